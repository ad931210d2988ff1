//! The words of a tool's command line (CWL v1.2 CommandLineTool §"Input binding").

use std::sync::Arc;

use moil_salad::source::Place;

use crate::conform;
use crate::error::Error;
use crate::expression::Context;
use crate::parameter::{CommandLineBinding, PlaceTag};
use crate::process::{Argument, CommandLineTool};
use crate::text::NumberOrText;
use crate::types::Type;
use crate::value::Value;

/// How deep arrays and records may be nested in a value.
const DEPTH_LIMIT: usize = 100;

/// One word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word itself, never quoted.
    pub text: String,
    /// `shellQuote`: whether [`crate::shell::argv`] quotes it where a shell runs the command.
    pub quote: bool,
}

/// The words of a job's command line in order: `baseCommand`, then `arguments` and bindings of inputs
/// by their sort keys.
///
/// `context.inputs` must be staged: the value of a File is its `path`. A null adds nothing, whatever its
/// binding says. A key is the positions on the way to a binding, each followed by the index into
/// `arguments`, or by the name of the parameter or field and the index into its array; numbers come
/// before names. A position that is not given, or evaluates to null, is 0.
///
/// # Errors
/// What expressions give; a position that is no whole number; a value that fits no alternative of a
/// union.
pub fn words(tool: &CommandLineTool, context: &Context<'_>) -> Result<Vec<Word>, Error> {
    let mut binder = Binder { context, bound: Vec::new() };
    for (index, argument) in tool.arguments.iter().enumerate() {
        binder.argument(index, argument)?;
    }
    for input in &tool.common.inputs {
        let target =
            Target { type_: &input.type_, value: context.inputs.field(&input.name), place: &input.place };
        binder.bind(target, input.binding.as_ref(), &Level::top(&input.name))?;
    }
    let mut bound = binder.bound;
    bound.sort_by(|a, b| a.key.cmp(&b.key));
    let base = tool.base_command.iter().map(|text| Word { text: text.to_string(), quote: true });
    Ok(base.chain(bound.into_iter().flat_map(|bound| bound.words)).collect())
}

/// A part of a sort key. The order of the variants counts: numbers come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Name(Arc<str>),
}

struct Bound {
    key: Vec<Key>,
    words: Vec<Word>,
}

/// What a binding is bound to.
#[derive(Clone, Copy)]
struct Target<'a> {
    type_: &'a Type,
    value: &'a Value,
    place: &'a Place,
}

/// Where in the walk a binding is met.
#[derive(Clone)]
struct Level<'a> {
    /// The keys of the bindings around.
    prefix: Vec<Key>,
    /// The parameter or field that holds the binding.
    name: &'a Arc<str>,
    /// The index, for an item of an array.
    index: Option<i64>,
    depth: usize,
}

impl<'a> Level<'a> {
    fn top(name: &'a Arc<str>) -> Self {
        Self { prefix: Vec::new(), name, index: None, depth: 0 }
    }

    /// The key of a binding at this level.
    fn key(&self, position: i64) -> Vec<Key> {
        let mut key = self.prefix.clone();
        key.extend([Key::Number(position), Key::Name(Arc::clone(self.name))]);
        key.extend(self.index.map(Key::Number));
        key
    }

    /// The prefix for what is inside, where this level itself has no binding.
    fn inner_prefix(&self) -> Vec<Key> {
        let mut prefix = self.prefix.clone();
        prefix.extend(self.index.map(Key::Number));
        prefix
    }
}

struct Binder<'c, 'v> {
    context: &'c Context<'v>,
    bound: Vec<Bound>,
}

impl Binder<'_, '_> {
    fn argument(&mut self, index: usize, argument: &Argument) -> Result<(), Error> {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        let (position, words) = match argument {
            Argument::Text(text) => {
                let value = self.context.evaluate(text, &Value::Null)?;
                (0, self.value_words(&value, &plain_binding(&text.place), true)?)
            }
            Argument::Binding(binding) => {
                (self.position(binding, &Value::Null)?, self.binding_words(binding, &Value::Null)?)
            }
        };
        self.bound.push(Bound { key: vec![Key::Number(position), Key::Number(index)], words });
        Ok(())
    }

    fn bind(
        &mut self,
        target: Target<'_>,
        binding: Option<&CommandLineBinding>,
        level: &Level<'_>,
    ) -> Result<(), Error> {
        let Target { type_, value, place } = target;
        if value.is_null() {
            return Ok(());
        }
        if level.depth > DEPTH_LIMIT {
            return Err(Error::invalid(
                place,
                format!("{} is nested more than {DEPTH_LIMIT} levels deep", level.name),
            ));
        }
        let mut prefix = level.inner_prefix();
        if let Some(binding) = binding {
            prefix = level.key(self.position(binding, value)?);
            let words = self.binding_words(binding, value)?;
            self.bound.push(Bound { key: prefix.clone(), words });
            if binding.value_from.is_some() {
                return Ok(());
            }
        }
        let type_ = match type_ {
            Type::Union(types) => types.iter().find(|t| conform::fits(t, value)).ok_or_else(|| {
                let message =
                    conform::check(value, type_, level.name).err().map(|mismatch| mismatch.to_string());
                Error::invalid(place, message.unwrap_or_default())
            })?,
            other => other,
        };
        let inner = Level { prefix, name: level.name, index: None, depth: level.depth + 1 };
        match (type_, value) {
            // An alternative of a union may be a union itself.
            (Type::Union(_), _) => self.bind(Target { type_, ..target }, None, &inner),
            (Type::Array(array), Value::List(items)) => {
                self.items(&array.items, items, array.binding.as_ref(), binding, place, inner)
            }
            (Type::Any, Value::List(items)) => self.items(&Type::Any, items, None, binding, place, inner),
            (Type::Record(record), Value::Map(_)) => {
                let mut inner = inner;
                if let Some(own) = &record.binding {
                    let key = inner.key(self.position(own, value)?);
                    let words = self.binding_words(own, value)?;
                    self.bound.push(Bound { key: key.clone(), words });
                    if own.value_from.is_some() {
                        return Ok(());
                    }
                    inner.prefix = key;
                }
                for field in &record.fields {
                    let target = Target { type_: &field.type_, value: value.field(&field.name), place };
                    self.bind(
                        target,
                        field.input_binding.as_ref(),
                        &Level { name: &field.name, ..inner.clone() },
                    )?;
                }
                Ok(())
            }
            (Type::Enum(enumeration), _) => match &enumeration.binding {
                Some(own) => {
                    let key = inner.key(self.position(own, value)?);
                    let words = self.binding_words(own, value)?;
                    self.bound.push(Bound { key, words });
                    Ok(())
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Binds the items of an array: by the binding of the type; without one as they are, if the array
    /// itself is bound and does not join them. As with other runners, `shellQuote` of the array is not
    /// theirs.
    fn items(
        &mut self,
        type_: &Type,
        items: &[Value],
        own: Option<&CommandLineBinding>,
        outer: Option<&CommandLineBinding>,
        place: &Place,
        inner: Level<'_>,
    ) -> Result<(), Error> {
        let implied =
            outer.filter(|outer| outer.item_separator.is_none()).map(|outer| plain_binding(&outer.place.0));
        for (index, value) in items.iter().enumerate() {
            let level = Level { index: i64::try_from(index).ok(), ..inner.clone() };
            self.bind(Target { type_, value, place }, own.or(implied.as_ref()), &level)?;
        }
        Ok(())
    }

    fn position(&self, binding: &CommandLineBinding, value: &Value) -> Result<i64, Error> {
        let (number, place) = match &binding.position {
            None => return Ok(0),
            Some(NumberOrText::Number(number)) => (Value::Number(number.clone()), &binding.place.0),
            Some(NumberOrText::Text(text)) => (self.context.evaluate(text, value)?, &text.place),
        };
        match &number {
            Value::Null => Ok(0),
            Value::Number(n) if conform::whole(n).is_some() => Ok(conform::whole(n).unwrap_or(0)),
            other => Err(Error::invalid(
                place,
                format!("position is {}, but must be an int", conform::describe(other)),
            )),
        }
    }

    fn binding_words(&self, binding: &CommandLineBinding, value: &Value) -> Result<Vec<Word>, Error> {
        match &binding.value_from {
            Some(text) => self.value_words(&self.context.evaluate(text, value)?, binding, true),
            None => self.value_words(value, binding, false),
        }
    }

    /// The words of one value. The items of an array come only with `with_items`, or joined: otherwise
    /// they are bound on their own.
    fn value_words(
        &self,
        value: &Value,
        binding: &CommandLineBinding,
        with_items: bool,
    ) -> Result<Vec<Word>, Error> {
        let prefix = binding.prefix.as_deref().map(str::to_owned);
        let text_of = |value| text_of(value, &binding.place.0);
        let texts: Vec<String> = match value {
            Value::Null | Value::Bool(false) => Vec::new(),
            Value::Bool(true) | Value::Map(_) => prefix.into_iter().collect(),
            Value::List(items) if items.is_empty() => Vec::new(),
            Value::List(items) => match &binding.item_separator {
                Some(separator) => {
                    let texts: Vec<String> = items.iter().map(text_of).collect::<Result<_, _>>()?;
                    prefixed(prefix, texts.join(separator), binding.separate)
                }
                None if with_items => {
                    prefix.into_iter().map(Ok).chain(items.iter().map(text_of)).collect::<Result<_, _>>()?
                }
                None => prefix.into_iter().collect(),
            },
            Value::Number(_) | Value::String(_) | Value::File(_) | Value::Directory(_) => {
                prefixed(prefix, text_of(value)?, binding.separate)
            }
        };
        Ok(texts.into_iter().map(|text| Word { text, quote: binding.shell_quote }).collect())
    }
}

fn prefixed(prefix: Option<String>, text: String, separate: bool) -> Vec<String> {
    match prefix {
        None => vec![text],
        Some(prefix) if separate => vec![prefix, text],
        Some(prefix) => vec![prefix + &text],
    }
}

/// A value as one word: the path of a file, JSON for what is inside lists.
fn text_of(value: &Value, place: &Place) -> Result<String, Error> {
    let path = match value {
        Value::String(text) => return Ok(text.to_string()),
        Value::Number(number) => return Ok(number.to_command_line()),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
            return Ok(crate::print::embedded(value));
        }
        Value::File(file) => &file.path,
        Value::Directory(directory) => &directory.path,
    };
    match path {
        Some(path) => Ok(path.to_string()),
        None => {
            Err(Error::invalid(place, format!("{} has no path: it is not staged", conform::describe(value))))
        }
    }
}

/// What `inputBinding: {}` means.
fn plain_binding(place: &Place) -> CommandLineBinding {
    CommandLineBinding {
        position: None,
        prefix: None,
        separate: true,
        item_separator: None,
        value_from: None,
        shell_quote: true,
        load_contents: false,
        place: PlaceTag(place.clone()),
    }
}

#[cfg(test)]
mod tests;
