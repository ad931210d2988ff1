//! Values as JSON: for stdout, inside strings, and for JavaScript.

use std::fmt::Write;

use crate::file_fields::{expression_fields, output_fields};
use crate::value::Value;

/// The output object as it goes to stdout: indented by four, characters as they are, files with the
/// fields of the output object. Without a line feed at the end.
pub fn pretty(value: &Value) -> String {
    let style = Style { indent: Some(4), comma: ",", colon: ": ", sort: false, ascii: false, output: true };
    style.print(value)
}

/// A value that is put into a string (CWL v1.2 §"String interpolation"): `", "` and `": "` as
/// separators, keys sorted, only ASCII, so that every runner writes the same bytes.
pub fn embedded(value: &Value) -> String {
    let style = Style { indent: None, comma: ", ", colon: ": ", sort: true, ascii: true, output: false };
    style.print(value)
}

/// A value without any white space, files as expressions see them: what JavaScript gets.
pub fn compact(value: &Value) -> String {
    let style = Style { indent: None, comma: ",", colon: ":", sort: false, ascii: false, output: false };
    style.print(value)
}

#[derive(Clone, Copy)]
struct Style {
    indent: Option<usize>,
    comma: &'static str,
    colon: &'static str,
    sort: bool,
    ascii: bool,
    /// Files have the fields of the output object, not those that expressions see.
    output: bool,
}

impl Style {
    fn print(self, value: &Value) -> String {
        let mut text = String::new();
        self.value(&mut text, value, 0);
        text
    }

    fn value(self, out: &mut String, value: &Value, level: usize) {
        match value {
            Value::Null => out.push_str("null"),
            Value::Bool(true) => out.push_str("true"),
            Value::Bool(false) => out.push_str("false"),
            Value::Number(number) => out.push_str(&number.to_json_text()),
            Value::String(text) => self.string(out, text),
            Value::List(items) => {
                self.enclosed(out, '[', ']', items.iter(), level, |out, item| {
                    self.value(out, item, level + 1);
                });
            }
            Value::Map(entries) => {
                self.entries(out, entries.iter().map(|(key, item)| (&**key, item)).collect(), level);
            }
            Value::File(_) | Value::Directory(_) => {
                let fields = if self.output { output_fields(value) } else { expression_fields(value) };
                let fields = fields.unwrap_or_default();
                self.entries(out, fields.iter().map(|(key, item)| (*key, item)).collect(), level);
            }
        }
    }

    fn entries(self, out: &mut String, mut entries: Vec<(&str, &Value)>, level: usize) {
        if self.sort {
            entries.sort_by_key(|(key, _)| *key);
        }
        self.enclosed(out, '{', '}', entries.into_iter(), level, |out, (key, item)| {
            self.string(out, key);
            out.push_str(self.colon);
            self.value(out, item, level + 1);
        });
    }

    fn enclosed<T>(
        self,
        out: &mut String,
        open: char,
        close: char,
        items: impl Iterator<Item = T>,
        level: usize,
        mut print: impl FnMut(&mut String, T),
    ) {
        out.push(open);
        let mut empty = true;
        for item in items {
            if !empty {
                out.push_str(self.comma);
            }
            empty = false;
            self.new_line(out, level + 1);
            print(out, item);
        }
        if !empty {
            self.new_line(out, level);
        }
        out.push(close);
    }

    fn new_line(self, out: &mut String, level: usize) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * level));
        }
    }

    fn string(self, out: &mut String, text: &str) {
        out.push('"');
        let mut plain_start = 0;
        for (position, c) in text.char_indices() {
            let is_plain = match c {
                '"' | '\\' | '\0'..='\u{1f}' => false,
                ' '..='~' => true,
                _ => !self.ascii,
            };
            if is_plain {
                continue;
            }
            out.push_str(&text[plain_start..position]);
            plain_start = position + c.len_utf8();
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a String cannot fail.
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
            }
        }
        out.push_str(&text[plain_start..]);
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn the_output_object_is_printed_as_toil_prints_it() {
        let value = parse(
            r#"{"o": {"class": "File", "location": "file:///o/a%20b.txt", "basename": "a b.txt", "size": 4,
                "checksum": "sha1$d7", "format": "http://x/y",
                "secondaryFiles": [{"class": "Directory", "location": "file:///o/d", "basename": "d", "listing": []}]},
                "j": {"a": [], "b": {}, "c": [1, [2.50]], "e": "é\u0001"}, "n": null}"#,
        )
        .expect("JSON");
        assert_eq!(
            pretty(&value),
            r#"{
    "o": {
        "class": "File",
        "location": "file:///o/a%20b.txt",
        "basename": "a b.txt",
        "nameroot": "a b",
        "nameext": ".txt",
        "checksum": "sha1$d7",
        "size": 4,
        "format": "http://x/y",
        "secondaryFiles": [
            {
                "class": "Directory",
                "location": "file:///o/d",
                "basename": "d",
                "listing": [],
                "path": "/o/d"
            }
        ],
        "path": "/o/a b.txt"
    },
    "j": {
        "a": [],
        "b": {},
        "c": [
            1,
            [
                2.5
            ]
        ],
        "e": "é\u0001"
    },
    "n": null
}"#
        );
    }

    #[test]
    fn values_inside_strings_are_printed_as_python_prints_them() {
        // Recorded from cwltool: $(inputs) between other text.
        let cases = [
            (
                r#"{"b az": "x", "length": 7, "é": "é"}"#,
                "{\"b az\": \"x\", \"length\": 7, \"\\u00e9\": \"\\u00e9\"}",
            ),
            ("[1,2,3]", "[1, 2, 3]"),
            (r#"["🕺\u007f/\u0008"]"#, "[\"\\ud83d\\udd7a\\u007f/\\b\"]"),
            (r#"{"b": 1, "a": {"d": [], "c": {}}}"#, "{\"a\": {\"c\": {}, \"d\": []}, \"b\": 1}"),
            (
                "[5.0, 1.10, 0.00001, 1000000000000000000000000000000000000000000]",
                "[5.0, 1.1, 1e-05, 1000000000000000000000000000000000000000000]",
            ),
            (
                r#"{"class": "File", "location": "file:///ct/in.txt", "size": 3, "basename": "in.txt",
                    "contents": "hi\n", "path": "/tmp/stg/in.txt"}"#,
                "{\"basename\": \"in.txt\", \"class\": \"File\", \"contents\": \"hi\\n\", \"dirname\": \"/tmp/stg\", \
                 \"location\": \"file:///ct/in.txt\", \"nameext\": \".txt\", \"nameroot\": \"in\", \
                 \"path\": \"/tmp/stg/in.txt\", \"size\": 3}",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(embedded(&parse(text).expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn javascript_gets_absent_fields_as_absent() {
        let directory =
            parse(r#"{"class": "Directory", "location": "file:///d", "basename": "d"}"#).expect("JSON");
        assert_eq!(compact(&directory), r#"{"class":"Directory","location":"file:///d","basename":"d"}"#);
    }
}
