//! Parameter references: the part of the expression language that needs no JavaScript (CWL v1.2
//! §"Parameter references").

use crate::file_fields::{describe, expression_fields};
use crate::value::Value;

/// A parsed parameter reference, such as `inputs.files[0]['b az'].size`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The first symbol: `inputs`, `self`, `runtime`, `null`, or one that only JavaScript may know.
    pub root: String,
    /// What is taken of it, step by step.
    pub segments: Vec<Segment>,
}

/// One step of a [`Reference`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// `.name`, `['name']` or `["name"]`.
    Field(String),
    /// `[0]`. Numbers that fit nothing are taken as the largest one.
    Index(usize),
}

/// What the first symbol may stand for.
#[derive(Clone, Copy, Debug)]
pub struct Roots<'a> {
    /// `inputs`.
    pub inputs: &'a Value,
    /// `self`.
    pub self_: &'a Value,
    /// `runtime`.
    pub runtime: &'a Value,
}

impl Reference {
    /// Reads the text between the parentheses of `$(…)`. `None` if it is no parameter reference;
    /// white space is not allowed anywhere.
    pub fn parse(text: &str) -> Option<Self> {
        let (root, mut rest) = symbol(text)?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            let (segment, after) = segment(rest)?;
            segments.push(segment);
            rest = after;
        }
        Some(Self { root: root.to_owned(), segments })
    }

    /// Whether the first symbol is one that exists without JavaScript.
    pub fn has_known_root(&self) -> bool {
        match self.root.as_str() {
            "inputs" | "self" | "runtime" => true,
            "null" => self.segments.is_empty(),
            _ => false,
        }
    }

    /// The value that the reference names.
    ///
    /// # Errors
    /// Which part does not exist, and what there is instead.
    pub fn evaluate(&self, roots: &Roots<'_>) -> Result<Value, String> {
        let root = match self.root.as_str() {
            "inputs" => roots.inputs,
            "self" => roots.self_,
            "runtime" => roots.runtime,
            "null" if self.segments.is_empty() => return Ok(Value::Null),
            "null" => return Err(format!("`null` has no {}", self.segments[0].words())),
            other => {
                return Err(format!(
                    "there is no `{other}`: a parameter reference begins with `inputs`, `self` or `runtime`"
                ));
            }
        };
        let mut value = root.clone();
        for (position, segment) in self.segments.iter().enumerate() {
            let is_last = position + 1 == self.segments.len();
            value = step(&value, segment, is_last).ok_or_else(|| self.explain(position, &value))?;
        }
        Ok(value)
    }

    /// Why the segment at `position` cannot be taken of `value`.
    fn explain(&self, position: usize, value: &Value) -> String {
        let name = self.prefix(position);
        let segment = &self.segments[position];
        match (value, segment) {
            (Value::Map(entries), Segment::Field(field)) => {
                format!("`{name}` has no field `{field}`; {}", names(entries.keys().map(|key| &**key)))
            }
            (Value::File(_) | Value::Directory(_), Segment::Field(field)) => {
                let fields = expression_fields(value).unwrap_or_default();
                let names = names(fields.iter().map(|(key, _)| *key));
                format!("`{name}` is {} without a field `{field}`; {names}", describe(value))
            }
            (Value::List(items), Segment::Index(_)) => {
                let count = match items.len() {
                    0 => "is an empty list".to_owned(),
                    1 => "has 1 item".to_owned(),
                    more => format!("has {more} items"),
                };
                format!("`{name}` {count}, so there is no {}", segment.words())
            }
            (Value::List(_), Segment::Field(field)) if field == "length" => {
                format!("`{name}.length` is a number and has no {}", self.segments[position + 1].words())
            }
            (Value::List(_), Segment::Field(_)) => {
                format!(
                    "`{name}` is a list and has no {}, only items such as `[0]` and `.length`",
                    segment.words()
                )
            }
            _ => format!("`{name}` is {} and has no {}", describe(value), segment.words()),
        }
    }

    /// The reference up to, but without, the segment at `position`.
    fn prefix(&self, position: usize) -> String {
        let mut text = self.root.clone();
        for segment in &self.segments[..position] {
            match segment {
                Segment::Field(name) if symbol(name).is_some_and(|(_, rest)| rest.is_empty()) => {
                    text.push('.');
                    text.push_str(name);
                }
                Segment::Field(name) => text.push_str(&format!("[{name:?}]")),
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl Segment {
    fn words(&self) -> String {
        match self {
            Self::Field(name) => format!("field `{name}`"),
            Self::Index(index) => format!("item {index}"),
        }
    }
}

/// One step into a value. `length` of a list is a number only at the end of a reference.
fn step(value: &Value, segment: &Segment, is_last: bool) -> Option<Value> {
    match (value, segment) {
        (Value::Map(entries), Segment::Field(name)) => entries.get(name.as_str()).cloned(),
        (Value::File(file), Segment::Field(name)) if name == "secondaryFiles" => {
            // A File keeps no difference between none and an empty list.
            Some(Value::List(file.secondary_files.clone()))
        }
        (Value::File(_) | Value::Directory(_), Segment::Field(name)) => {
            expression_fields(value)?.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
        }
        (Value::List(items), Segment::Index(index)) => items.get(*index).cloned(),
        (Value::List(items), Segment::Field(name)) if name == "length" && is_last => {
            i64::try_from(items.len()).ok().map(Value::from)
        }
        _ => None,
    }
}

/// The names that there are, as words.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "it has no fields".to_owned(),
        count if count > SHOWN => format!("it has {shown} and {} more", count - SHOWN),
        _ => format!("it has {shown}"),
    }
}

/// The symbol at the start of a text, and the rest.
fn symbol(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The segment at the start of a text, and the rest.
fn segment(text: &str) -> Option<(Segment, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let (name, rest) = symbol(rest)?;
        return Some((Segment::Field(name.to_owned()), rest));
    }
    let rest = text.strip_prefix('[')?;
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        return quoted(&rest[1..], quote);
    }
    let end = rest.find(']')?;
    let (digits, rest) = rest.split_at(end);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((Segment::Index(digits.parse().unwrap_or(usize::MAX)), &rest[1..]))
}

/// A name up to the quote and bracket that close it. A backslash before a quote is dropped; any
/// other backslash stands for itself.
fn quoted(text: &str, quote: char) -> Option<(Segment, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((position, c)) = characters.next() {
        match c {
            '\\' => match characters.next_if(|(_, next)| matches!(next, '\'' | '"')) {
                Some((_, escaped)) => name.push(escaped),
                None => name.push('\\'),
            },
            c if c == quote => {
                let rest = text[position + 1..].strip_prefix(']')?;
                return (!name.is_empty()).then_some((Segment::Field(name), rest));
            }
            c => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::print::compact;
    use proptest::prelude::*;

    const INPUTS: &str = r#"{"a": 1, "s": "str", "l": [1, 2, 3], "e": [], "n": null,
        "m": {"b az": "x", "length": 7, "é": "é"}, "b'az": "q1", "b\"az": "q2",
        "f": {"class": "File", "location": "file:///d/x.tar.gz", "path": "/d/x.tar.gz", "basename": "x.tar.gz", "mine": 5},
        "d": {"class": "Directory", "location": "file:///d", "listing": [{"class": "File", "basename": "y"}]},
        "big": 1000000000000000000000000000000000000000000}"#;

    /// The value as JSON, or the error.
    fn evaluate(text: &str) -> Result<String, String> {
        let inputs = json::parse(INPUTS).expect("JSON");
        let runtime = json::parse(r#"{"cores": 1}"#).expect("JSON");
        let roots = Roots { inputs: &inputs, self_: &Value::Null, runtime: &runtime };
        let reference = Reference::parse(text).unwrap_or_else(|| panic!("{text} is no reference"));
        reference.evaluate(&roots).map(|value| compact(&value))
    }

    #[test]
    fn references_name_values() {
        // Recorded from cwltool.
        let cases = [
            ("null", "null"),
            ("self", "null"),
            ("inputs.a", "1"),
            ("inputs.n", "null"),
            ("inputs['a']", "1"),
            ("inputs.l[1]", "2"),
            ("inputs.l[01]", "2"),
            ("inputs.l.length", "3"),
            ("inputs.l['length']", "3"),
            ("inputs.e.length", "0"),
            ("inputs.m.length", "7"),
            ("inputs['m'][\"b az\"]", "\"x\""),
            ("inputs['m'].é", "\"é\""),
            (r"inputs['b\'az']", "\"q1\""),
            (r#"inputs['b\"az']"#, "\"q2\""),
            ("inputs[\"b'az\"]", "\"q1\""),
            ("inputs['b\"az']", "\"q2\""),
            ("inputs.f.nameroot", "\"x.tar\""),
            ("inputs.f.nameext", "\".gz\""),
            ("inputs.f.dirname", "\"/d\""),
            ("inputs.f.class", "\"File\""),
            ("inputs.f.mine", "5"),
            ("inputs.f.secondaryFiles", "[]"),
            ("inputs.d.listing[0].basename", "\"y\""),
            ("inputs.d.listing.length", "1"),
            ("inputs.big", "1000000000000000000000000000000000000000000"),
            ("runtime.cores", "1"),
        ];
        for (text, expected) in cases {
            assert_eq!(evaluate(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_tell_what_is_missing_and_what_there_is() {
        let cases = [
            (
                "inputs.nope",
                "`inputs` has no field `nope`; it has `a`, `s`, `l`, `e`, `n`, `m`, `b'az`, `b\"az`, `f`, `d`, `big`",
            ),
            ("inputs.m.nope", "`inputs.m` has no field `nope`; it has `b az`, `length`, `é`"),
            ("inputs.m['b az'].x", "`inputs.m[\"b az\"]` is the string \"x\" and has no field `x`"),
            ("inputs.a.length", "`inputs.a` is the number 1 and has no field `length`"),
            ("inputs.s.length", "`inputs.s` is the string \"str\" and has no field `length`"),
            ("inputs.s[0]", "`inputs.s` is the string \"str\" and has no item 0"),
            ("inputs.l[3]", "`inputs.l` has 3 items, so there is no item 3"),
            (
                "inputs.l[99999999999999999999999]",
                "`inputs.l` has 3 items, so there is no item 18446744073709551615",
            ),
            ("inputs.e[0]", "`inputs.e` is an empty list, so there is no item 0"),
            (
                "inputs.l.x",
                "`inputs.l` is a list and has no field `x`, only items such as `[0]` and `.length`",
            ),
            ("inputs.l.length.x", "`inputs.l.length` is a number and has no field `x`"),
            ("inputs.m[0]", "`inputs.m` is a mapping and has no item 0"),
            (
                "inputs.f.size",
                "`inputs.f` is a File without a field `size`; it has `class`, `location`, `basename`, `nameroot`, `nameext`, `path`, `dirname`, `mine`",
            ),
            ("inputs.n.x", "`inputs.n` is null and has no field `x`"),
            ("self.x", "`self` is null and has no field `x`"),
            ("null.x", "`null` has no field `x`"),
            ("foo.bar", "there is no `foo`: a parameter reference begins with `inputs`, `self` or `runtime`"),
        ];
        for (text, expected) in cases {
            assert_eq!(evaluate(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_left_to_javascript() {
        let cases = [
            "",
            " inputs",
            "inputs.a ",
            "inputs.a+1",
            "inputs.",
            "inputs..a",
            "inputs.l[-1]",
            "inputs.l[]",
            "inputs['']",
            "inputs['a]",
            "inputs['a'",
            "inputs['a'x]",
            "inputs[a]",
            "inputs[0",
            ".a",
            "inputs.a()",
            r"inputs['a\']",
            "inputs.a.['b']",
        ];
        for text in cases {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_backslash_before_anything_but_a_quote_is_itself() {
        let reference = Reference::parse(r#"x['a\\n\"']"#).expect("a reference");
        assert_eq!(reference.segments, [Segment::Field(r#"a\\n""#.to_owned())]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}|(inputs|self)[.\\[\\]'\"\\\\a-z0-9]{0,30}") {
            if let Some(reference) = Reference::parse(&text) {
                let inputs = json::parse(INPUTS).expect("JSON");
                let _ = reference.evaluate(&Roots { inputs: &inputs, self_: &inputs, runtime: &inputs });
            }
        }

        #[test]
        fn any_quoted_name_is_found(name in "[^\\\\]{1,10}") {
            let escaped = name.replace('\'', "\\'").replace('"', "\\\"");
            let reference = Reference::parse(&format!("inputs['{escaped}']")).expect("a reference");
            prop_assert_eq!(reference.segments, vec![Segment::Field(name)]);
        }
    }
}
