//! The parser of the schema notation.

use std::collections::HashMap;

use super::{Enumeration, Field, Record, Role, Schema, SchemaError, Type};

#[derive(Default)]
pub(super) struct Parser {
    line: usize,
    definitions: Vec<Definition>,
    index: HashMap<String, usize>,
    roots: Vec<String>,
    schema: Schema,
}

struct Definition {
    name: String,
    line: usize,
    body: Body,
}

enum Body {
    Record { bases: Vec<String>, mark: Option<(String, String)>, fields: Vec<RawField>, removed: Vec<String> },
    Enum(Vec<String>),
    Union(Vec<Written>),
    Removed,
}

struct RawField {
    line: usize,
    types: Vec<Written>,
    field: Field,
}

/// A type as written: a name, or a list.
enum Written {
    Name(String),
    List(Vec<Written>),
}

impl Parser {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T, SchemaError> {
        Err(SchemaError { line: self.line, message: message.into() })
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), SchemaError> {
        let mut current: Option<usize> = None;
        for (number, line) in text.lines().enumerate() {
            self.line = number + 1;
            let content = strip_comment(line);
            if content.trim().is_empty() {
                continue;
            }
            if content.starts_with(' ') {
                let Some(current) = current else { return self.fail("a field without a record") };
                self.field(current, content.trim())?;
            } else {
                current = self.statement(content.trim())?;
            }
        }
        Ok(())
    }

    fn statement(&mut self, content: &str) -> Result<Option<usize>, SchemaError> {
        let (word, rest) = content.split_once(' ').unwrap_or((content, ""));
        let rest = rest.trim();
        match word {
            "option" if rest == "nested-arrays" => self.schema.nested_arrays = true,
            "vocabulary" => self.schema.vocabulary = rest.to_owned(),
            "namespace" => match rest.split_once(' ') {
                Some((prefix, iri)) => {
                    self.schema.namespaces.push((prefix.to_owned(), iri.trim().to_owned()));
                }
                None => return self.fail("a namespace is a prefix and an IRI"),
            },
            "root" => self.roots.push(rest.to_owned()),
            "enum" | "union" => {
                let Some((name, alternatives)) = rest.split_once('=') else {
                    return self.fail("expected `=`");
                };
                let name = name.trim().to_owned();
                let body = if word == "enum" {
                    Body::Enum(alternatives.split('|').map(|word| word.trim().to_owned()).collect())
                } else {
                    Body::Union(self.alternatives(alternatives)?)
                };
                self.define(name, body);
            }
            "record" => return self.record(rest).map(Some),
            "change" => match self.index.get(rest) {
                Some(index) => return Ok(Some(*index)),
                None => return self.fail(format!("{rest} is not defined")),
            },
            "remove" => match self.index.get(rest).and_then(|at| self.definitions.get_mut(*at)) {
                Some(definition) => definition.body = Body::Removed,
                None => return self.fail(format!("{rest} is not defined")),
            },
            _ => return self.fail(format!("what is `{content}`?")),
        }
        Ok(None)
    }

    /// A definition of the same name is replaced where it stands.
    fn define(&mut self, name: String, body: Body) -> usize {
        let definition = Definition { name: name.clone(), line: self.line, body };
        if let Some(at) = self.index.get(&name).copied()
            && let Some(slot) = self.definitions.get_mut(at)
        {
            *slot = definition;
            return at;
        }
        let at = self.definitions.len();
        self.definitions.push(definition);
        self.index.insert(name, at);
        at
    }

    fn record(&mut self, rest: &str) -> Result<usize, SchemaError> {
        let mut mark = None;
        let mut head = rest;
        if let Some((before, value)) = rest.rsplit_once('=') {
            let (before, field) = before.rsplit_once(' ').unwrap_or(("", before));
            mark = Some((field.trim().to_owned(), value.trim().to_owned()));
            head = before;
        }
        let (name, bases) = head.split_once(':').unwrap_or((head, ""));
        let bases = bases.split(',').map(|base| base.trim().to_owned()).filter(|base| !base.is_empty());
        let body = Body::Record { bases: bases.collect(), mark, fields: Vec::new(), removed: Vec::new() };
        Ok(self.define(name.trim().to_owned(), body))
    }

    fn field(&mut self, current: usize, content: &str) -> Result<(), SchemaError> {
        if let Some(name) = content.strip_prefix("- ") {
            let name = name.trim().to_owned();
            if let Some(Body::Record { fields, removed, .. }) =
                self.definitions.get_mut(current).map(|d| &mut d.body)
            {
                fields.retain(|f| f.field.name != name);
                removed.push(name);
            }
            return Ok(());
        }
        let Some((name, rest)) = content.split_once(':') else { return self.fail("expected `:`") };
        let (name, required) = match name.trim().strip_suffix('?') {
            Some(name) => (name, false),
            None => (name.trim(), true),
        };
        let mut parts = rest.split(" @");
        let types = self.alternatives(parts.next().unwrap_or(""))?;
        let mut field = Field {
            name: name.to_owned(),
            required,
            types: Vec::new(),
            role: Role::Text,
            map: None,
            open: false,
            scope: None,
        };
        for annotation in parts {
            self.annotate(&mut field, annotation.trim())?;
        }
        let raw = RawField { line: self.line, types, field };
        match self.definitions.get_mut(current).map(|d| &mut d.body) {
            Some(Body::Record { fields, .. }) => {
                match fields.iter_mut().find(|f| f.field.name == raw.field.name) {
                    Some(slot) => *slot = raw,
                    None => fields.push(raw),
                }
                Ok(())
            }
            _ => self.fail("only records have fields"),
        }
    }

    fn annotate(&self, field: &mut Field, annotation: &str) -> Result<(), SchemaError> {
        let (word, argument) = match annotation.split_once('(') {
            Some((word, argument)) => (word, argument.trim_end_matches(')')),
            None => (annotation, ""),
        };
        field.role = match word {
            "id" => Role::Id,
            "idref" => Role::IdRef,
            "define" => Role::Define,
            "link" => match argument.parse() {
                Ok(scopes) => Role::Link(scopes),
                Err(_) => return self.fail("link takes a number"),
            },
            "reference" => Role::Reference,
            "uri" => Role::Uri,
            "path" => Role::Path,
            "iri" => Role::Iri,
            "type" => Role::Type,
            "secondary" => Role::Secondary,
            "symbols" => Role::Symbols,
            "map" => {
                let (subject, predicate) = match argument.split_once(',') {
                    Some((subject, predicate)) => (subject, Some(predicate.trim().to_owned())),
                    None => (argument, None),
                };
                field.map = Some((subject.trim().to_owned(), predicate));
                field.role
            }
            "open" => {
                field.open = true;
                field.role
            }
            "scope" => {
                field.scope = Some(argument.to_owned());
                field.role
            }
            _ => return self.fail(format!("unknown annotation @{annotation}")),
        };
        Ok(())
    }

    fn alternatives(&self, text: &str) -> Result<Vec<Written>, SchemaError> {
        let mut depth = 0_usize;
        let mut start = 0;
        let mut parts = Vec::new();
        for (at, c) in text.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                '|' if depth == 0 => {
                    parts.push(&text[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        parts.push(&text[start..]);
        parts.into_iter().map(|part| self.alternative(part.trim())).collect()
    }

    fn alternative(&self, text: &str) -> Result<Written, SchemaError> {
        if let Some(items) = text.strip_suffix("[]") {
            let items = items.trim();
            let items = items.strip_prefix('(').and_then(|i| i.strip_suffix(')')).unwrap_or(items);
            return Ok(Written::List(self.alternatives(items)?));
        }
        if text.is_empty() || text.contains(|c: char| !c.is_alphanumeric()) {
            return self.fail(format!("`{text}` is not a type"));
        }
        Ok(Written::Name(text.to_owned()))
    }

    pub(super) fn finish(mut self) -> Result<Schema, SchemaError> {
        let mut schema = std::mem::take(&mut self.schema);
        // Numbers first, because records name each other.
        let mut numbers: HashMap<&str, Type> = HashMap::new();
        let (mut records, mut enums) = (0, 0);
        for definition in &self.definitions {
            match &definition.body {
                Body::Record { .. } => {
                    numbers.insert(&definition.name, Type::Record(records));
                    records += 1;
                }
                Body::Enum(_) => {
                    numbers.insert(&definition.name, Type::Enum(enums));
                    enums += 1;
                }
                Body::Union(_) | Body::Removed => {}
            }
        }
        for definition in &self.definitions {
            match &definition.body {
                Body::Record { mark, .. } => {
                    let mut fields = Vec::new();
                    self.collect_fields(definition, &numbers, &mut fields, 0)?;
                    if let Some((_, class)) = mark.as_ref().filter(|(field, _)| field == "class") {
                        schema.classes.push(class.clone());
                    }
                    schema.record_names.insert(definition.name.clone(), schema.records.len());
                    schema.records.push(Record { name: definition.name.clone(), mark: mark.clone(), fields });
                }
                Body::Enum(symbols) => {
                    schema.enums.push(Enumeration { name: definition.name.clone(), symbols: symbols.clone() })
                }
                Body::Union(_) | Body::Removed => {}
            }
        }
        for root in &self.roots {
            self.resolve_name(root, &numbers, &mut schema.roots, 0, 0)?;
        }
        Ok(schema)
    }

    fn collect_fields(
        &self,
        definition: &Definition,
        numbers: &HashMap<&str, Type>,
        into: &mut Vec<Field>,
        depth: usize,
    ) -> Result<(), SchemaError> {
        let error = |message: String| Err(SchemaError { line: definition.line, message });
        let Body::Record { bases, fields, removed, .. } = &definition.body else {
            return error(format!("{} is not a record", definition.name));
        };
        if depth > 8 {
            return error(format!("{} is its own base", definition.name));
        }
        for base in bases {
            match self.index.get(base).and_then(|at| self.definitions.get(*at)) {
                Some(base) => self.collect_fields(base, numbers, into, depth + 1)?,
                None => return error(format!("{base} is not defined")),
            }
        }
        into.retain(|field| !removed.contains(&field.name));
        for raw in fields {
            let mut field = raw.field.clone();
            self.resolve_types(&raw.types, numbers, &mut field.types, raw.line, 0)?;
            match into.iter_mut().find(|known| known.name == field.name) {
                Some(known) => *known = field,
                None => into.push(field),
            }
        }
        Ok(())
    }

    fn resolve_types(
        &self,
        written: &[Written],
        numbers: &HashMap<&str, Type>,
        into: &mut Vec<Type>,
        line: usize,
        depth: usize,
    ) -> Result<(), SchemaError> {
        for alternative in written {
            match alternative {
                Written::Name(name) => self.resolve_name(name, numbers, into, line, depth)?,
                Written::List(items) => {
                    let mut types = Vec::new();
                    self.resolve_types(items, numbers, &mut types, line, depth)?;
                    into.push(Type::List(types));
                }
            }
        }
        Ok(())
    }

    fn resolve_name(
        &self,
        name: &str,
        numbers: &HashMap<&str, Type>,
        into: &mut Vec<Type>,
        line: usize,
        depth: usize,
    ) -> Result<(), SchemaError> {
        let found = match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "string" => Type::String,
            "expression" => Type::Expression,
            "any" => Type::Any,
            _ => {
                let definition = self.index.get(name).and_then(|at| self.definitions.get(*at));
                return match definition.map(|d| &d.body) {
                    // What was removed is simply no longer among the alternatives.
                    Some(Body::Removed) => Ok(()),
                    Some(Body::Union(types)) if depth < 8 => {
                        self.resolve_types(types, numbers, into, line, depth + 1)
                    }
                    Some(Body::Record { .. } | Body::Enum(_)) => {
                        into.extend(numbers.get(name).cloned());
                        Ok(())
                    }
                    _ => Err(SchemaError { line, message: format!("{name} is not defined") }),
                };
            }
        };
        into.push(found);
        Ok(())
    }
}

/// A `#` that begins a word begins a comment; `…cwl#` is an IRI.
fn strip_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.split_once(" # ").map_or(line, |(content, _)| content).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "
# A little language.
vocabulary http://x/y#
root Thing
enum Colour = red | blue
record Named
    id?: string @id
    doc?: string | string[]
record Box : Named class=Box    # with a comment
    items: Thing[] @map(id,colour)
    colour?: null | Colour
    from?: string | string[] @link(2)
record Ball : Named class=ext:Ball
    size: int | (int | expression)[]
union Thing = Box | Ball
";

    fn fields(schema: &Schema, record: &str) -> String {
        let names = schema.record_named(record).map(|r| r.fields.iter().map(|f| f.name.clone()));
        names.map(|n| n.collect::<Vec<_>>().join(" ")).unwrap_or_default()
    }

    #[test]
    fn records_have_the_fields_of_their_bases() {
        let schema = Schema::parse(&[BASE]).unwrap();
        assert_eq!(fields(&schema, "Box"), "id doc items colour from");
        assert_eq!(schema.roots().len(), 2);
        assert!(schema.knows_class("ext:Ball") && !schema.knows_class("Named"));
        let boxes = schema.record_named("Box").unwrap();
        let items = boxes.field("items").unwrap();
        assert_eq!(items.map, Some(("id".to_owned(), Some("colour".to_owned()))));
        assert!(items.required);
        assert_eq!(boxes.field("from").unwrap().role, Role::Link(2));
        let size = &schema.record_named("Ball").unwrap().field("size").unwrap().types;
        assert_eq!(size, &[Type::Int, Type::List(vec![Type::Int, Type::Expression])]);
    }

    #[test]
    fn changes_add_replace_and_take_away() {
        let change = "change Box\n    - from\n    - doc\n    weight: float\nremove Ball\n";
        let schema = Schema::parse(&[BASE, change]).unwrap();
        assert_eq!(fields(&schema, "Box"), "id items colour weight");
        assert_eq!(schema.roots().len(), 1);
        assert!(!schema.knows_class("ext:Ball"));
    }

    #[test]
    fn faults_have_a_line() {
        for (text, expected) in [
            ("record A\n    x: Nothing\n", "schema line 2: Nothing is not defined"),
            ("    x: int\n", "schema line 1: a field without a record"),
            ("record A\n    x int\n", "schema line 2: expected `:`"),
            ("record A\n    x: int @what\n", "schema line 2: unknown annotation @what"),
            ("change B\n", "schema line 1: B is not defined"),
            ("nonsense\n", "schema line 1: what is `nonsense`?"),
        ] {
            assert_eq!(Schema::parse(&[text]).unwrap_err().to_string(), expected);
        }
    }
}
