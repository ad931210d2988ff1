//! JSON texts and document nodes to values. Numbers keep their digits; mappings with `class: File`
//! or `class: Directory` become files and directories.

use std::sync::Arc;

use moil_salad::diagnostic::Diagnostic;
use moil_salad::node::{Kind, Node};

use crate::file_fields::from_fields;
use crate::number::Number;
use crate::value::{Value, ValueMap};

/// How deep lists and mappings may be nested in a value. What is read within this limit can also be
/// stored and read back (serde_json stops at 128 levels).
pub const MAX_DEPTH: usize = 100;

/// Reads one JSON text (RFC 8259), such as an input object, `cwl.output.json` or the result of an
/// expression. Half of a surrogate pair becomes U+FFFD; of a repeated key, the last value counts.
///
/// # Errors
/// What is wrong, with line and column, fit to be shown after the name of the text.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { text, position: 0, depth: 0 };
    let value = parser.value().and_then(|value| {
        parser.skip_space();
        if parser.position == text.len() {
            Ok(value)
        } else {
            Err("there is text after the value".to_owned())
        }
    });
    value.map_err(|message| parser.locate(&message))
}

/// The value of a checked node: one that [`try_from_node`] takes. Null where it would not.
pub fn from_node(node: &Node) -> Value {
    try_from_node(node).unwrap_or_default()
}

/// The value of a node.
///
/// # Errors
/// A number that cannot be represented (`1e400`), a field of a File or Directory with a value of
/// another type, or nesting beyond [`MAX_DEPTH`].
pub fn try_from_node(node: &Node) -> Result<Value, Diagnostic> {
    node_value(node, 0)
}

fn node_value(node: &Node, depth: usize) -> Result<Value, Diagnostic> {
    if depth > MAX_DEPTH {
        let message = format!("the value is nested deeper than {MAX_DEPTH} levels");
        return Err(Diagnostic::error("too-deep", &node.place, message));
    }
    Ok(match &node.kind {
        Kind::Null | Kind::Faulty => Value::Null,
        Kind::Bool(value) => Value::Bool(*value),
        Kind::Int(text) | Kind::Float(text) => Value::Number(
            Number::parse(text)
                .map_err(|e| Diagnostic::error("invalid-number", &node.place, e.to_string()))?,
        ),
        Kind::String(text) => Value::from(text.as_str()),
        Kind::List(items) => {
            Value::list(items.iter().map(|item| node_value(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        Kind::Map(map) => {
            let mut fields = ValueMap::with_capacity(map.entries.len());
            for entry in map.entries.iter().filter(|entry| !entry.value.is_faulty()) {
                fields.insert(entry.key.as_str().into(), node_value(&entry.value, depth + 1)?);
            }
            from_fields(fields).map_err(|message| Diagnostic::error("invalid-file", &node.place, message))?
        }
    })
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    /// Takes `expected` if it comes next.
    fn take(&mut self, expected: u8) -> bool {
        let found = self.peek() == Some(expected);
        self.position += usize::from(found);
        found
    }

    fn value(&mut self) -> Result<Value, String> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err("a value is expected".to_owned()),
            None => Err("the text ends where a value is expected".to_owned()),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, String>) -> Result<Value, String> {
        if self.depth == MAX_DEPTH {
            return Err(format!("the value is nested deeper than {MAX_DEPTH} levels"));
        }
        self.depth += 1;
        self.position += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, String> {
        if !self.text.as_bytes()[self.position..].starts_with(word.as_bytes()) {
            return Err("a value is expected".to_owned());
        }
        self.position += word.len();
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::list(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::list(items));
            }
            if !self.take(b',') {
                return Err("`,` or `]` is expected".to_owned());
            }
        }
    }

    fn object(&mut self) -> Result<Value, String> {
        let start = self.position - 1;
        let mut fields = ValueMap::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::map(fields));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err("a key in double quotes is expected".to_owned());
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err("`:` is expected".to_owned());
            }
            fields.insert(key, self.value()?);
            self.skip_space();
            if self.take(b'}') {
                return from_fields(fields).inspect_err(|_| self.position = start);
            }
            if !self.take(b',') {
                return Err("`,` or `}` is expected".to_owned());
            }
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.position;
        self.take(b'-');
        let digits = self.digits();
        if digits == 0 || (digits > 1 && self.text.as_bytes()[self.position - digits] == b'0') {
            return Err("this is no number of JSON".to_owned());
        }
        let mut float = false;
        if self.take(b'.') {
            float = true;
            if self.digits() == 0 {
                return Err("a digit is expected".to_owned());
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            float = true;
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            if self.digits() == 0 {
                return Err("a digit is expected".to_owned());
            }
        }
        let text = &self.text[start..self.position];
        if !float && let Ok(value) = text.parse::<i64>() {
            return Ok(Value::from(value));
        }
        match Number::parse(text) {
            Ok(number) => Ok(Value::Number(number)),
            Err(error) => {
                self.position = start;
                Err(error.to_string())
            }
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.position;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        self.position - start
    }

    /// A string; the opening quote comes next.
    fn string(&mut self) -> Result<Arc<str>, String> {
        self.position += 1;
        let mut built: Option<String> = None;
        loop {
            let start = self.position;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1F)) {
                self.position += 1;
            }
            let plain = &self.text[start..self.position];
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(match built {
                        None => plain.into(),
                        Some(text) => (text + plain).into(),
                    });
                }
                Some(b'\\') => {
                    let text = built.get_or_insert_default();
                    text.push_str(plain);
                    self.position += 1;
                    let escaped = self.escape()?;
                    built.get_or_insert_default().push(escaped);
                }
                Some(_) => return Err("a control character must be escaped".to_owned()),
                None => return Err("the text ends inside a string".to_owned()),
            }
        }
    }

    /// The character of an escape; its backslash was taken.
    fn escape(&mut self) -> Result<char, String> {
        let kind = self.peek();
        self.position += usize::from(kind.is_some());
        Ok(match kind {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hexadecimal()?;
                let after_first = self.position;
                if (0xD800..0xDC00).contains(&first) && self.take(b'\\') && self.take(b'u') {
                    let second = self.hexadecimal()?;
                    if (0xDC00..0xE000).contains(&second) {
                        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                        return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                }
                self.position = after_first;
                char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            Some(_) => {
                self.position -= 1;
                return Err("this is no escape of JSON".to_owned());
            }
            None => return Err("the text ends inside a string".to_owned()),
        })
    }

    fn hexadecimal(&mut self) -> Result<u32, String> {
        let digits = self.text.as_bytes().get(self.position..self.position + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.position += if code.is_some() { 4 } else { 0 };
        code.ok_or_else(|| "four hexadecimal digits are expected".to_owned())
    }

    fn locate(&self, message: &str) -> String {
        let before = &self.text.as_bytes()[..self.position.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
        format!("line {line} column {column}: {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print;
    use moil_salad::node::{Entry, Map};
    use moil_salad::source::{Place, Source};
    use proptest::prelude::*;

    #[test]
    fn json_is_read_exactly() {
        let cases = [
            ("null", "null"),
            (" [ ] ", "[]"),
            ("{ }", "{}"),
            ("[1, -2, 3.50, 1E5, true, false, null]", "[1,-2,3.5,100000.0,true,false,null]"),
            ("1000000000000000000000000000000000000000000", "1000000000000000000000000000000000000000000"),
            ("-9223372036854775809", "-9223372036854775809"),
            (r#""a\u00e9\n\"\\\/\ud83d\udd7a""#, "\"aé\\n\\\"\\\\/🕺\""),
            (r#""\ud83d""#, "\"\u{FFFD}\""),
            (r#""\ud83d\n""#, "\"\u{FFFD}\\n\""),
            (r#""\ud83dA""#, "\"\u{FFFD}A\""),
            (r#"{"b": 1, "a": {"c": []}, "b": 2}"#, r#"{"b":2,"a":{"c":[]}}"#),
            (r#"{"class": "Dirent", "x": 1}"#, r#"{"class":"Dirent","x":1}"#),
            (r#"{"class": 5}"#, r#"{"class":5}"#),
        ];
        for (text, expected) in cases {
            assert_eq!(print::compact(&parse(text).expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        let cases = [
            ("", "line 1 column 1: the text ends where a value is expected"),
            ("nul", "line 1 column 1: a value is expected"),
            ("1 2", "line 1 column 3: there is text after the value"),
            ("[1,\n 2,]", "line 2 column 4: a value is expected"),
            ("[1", "line 1 column 3: `,` or `]` is expected"),
            ("{\"é\" 1}", "line 1 column 6: `:` is expected"),
            ("{a: 1}", "line 1 column 2: a key in double quotes is expected"),
            ("012", "line 1 column 4: this is no number of JSON"),
            ("-", "line 1 column 2: this is no number of JSON"),
            ("1.", "line 1 column 3: a digit is expected"),
            ("[1e400]", "line 1 column 2: the number 1e400 cannot be represented: it is no finite double"),
            ("NaN", "line 1 column 1: a value is expected"),
            ("\"a\nb\"", "line 1 column 3: a control character must be escaped"),
            ("\"\\x\"", "line 1 column 3: this is no escape of JSON"),
            ("\"\\u12\"", "line 1 column 4: four hexadecimal digits are expected"),
            ("\"", "line 1 column 2: the text ends inside a string"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect_err(text), expected, "{text}");
        }
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).expect_err("deep").contains("nested deeper than 100 levels"));
        assert!(parse(&"[".repeat(1_000_000)).is_err());
    }

    fn node(kind: Kind) -> Node {
        let source = Arc::new(Source { uri: "file:///a.cwl".to_owned(), text: String::new() });
        Node { place: Place::start_of(&source), kind }
    }

    fn mapping(entries: Vec<(&str, Node)>) -> Node {
        let place = node(Kind::Null).place;
        let entries = entries
            .into_iter()
            .map(|(key, value)| Entry { key: key.to_owned(), key_place: place.clone(), value })
            .collect();
        node(Kind::Map(Map { entries }))
    }

    #[test]
    fn nodes_become_values() {
        let document = mapping(vec![
            ("i", node(Kind::Int("0x1F".to_owned()))),
            ("f", node(Kind::Float("1.10".to_owned()))),
            ("l", node(Kind::List(vec![node(Kind::Null), node(Kind::Bool(true))]))),
            (
                "file",
                mapping(vec![
                    ("class", node(Kind::String("File".to_owned()))),
                    ("path", node(Kind::String("/x/a.txt".to_owned()))),
                    ("nameroot", node(Kind::String("lie".to_owned()))),
                ]),
            ),
        ]);
        let value = from_node(&document);
        assert!(matches!(value.field("i"), Value::Number(Number::Int(31))));
        assert!(matches!(value.field("f"), Value::Number(number) if number.to_command_line() == "1.10"));
        assert!(matches!(value.field("file"), Value::File(file)
            if file.path.as_deref() == Some("/x/a.txt") && file.location.is_none() && file.extra.is_empty()));
    }

    #[test]
    fn nodes_that_cannot_be_represented_are_diagnosed() {
        let mut deep = node(Kind::Null);
        for _ in 0..=MAX_DEPTH {
            deep = node(Kind::List(vec![deep]));
        }
        let bad_file = mapping(vec![
            ("class", node(Kind::String("File".to_owned()))),
            ("size", node(Kind::String("big".to_owned()))),
        ]);
        for (node, code) in [
            (node(Kind::List(vec![node(Kind::Float("1e400".to_owned()))])), "invalid-number"),
            (bad_file, "invalid-file"),
            (deep, "too-deep"),
        ] {
            assert_eq!(try_from_node(&node).expect_err(code).code, code);
            assert_eq!(from_node(&node), Value::Null);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}|[\\[\\]{}\",:\\\\u0-9eE.+-]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn strings_survive(text in any::<String>()) {
            let value = Value::from(text.as_str());
            prop_assert_eq!(&parse(&print::compact(&value)).expect("JSON"), &value);
            prop_assert_eq!(&parse(&print::embedded(&value)).expect("JSON"), &value);
        }
    }
}
