//! Strict JSON. A reader of its own rather than the one under test: what
//! moil's lenient reader would forgive must fail here, as it fails in cwltest.

use std::sync::Arc;

use moil_salad::node::{Entry, Kind, Map, Node};
use moil_salad::source::{Place, Source};

/// Deeper nesting than any output object has.
const MAX_DEPTH: usize = 512;

/// Reads one JSON text. Numbers keep their digits; of equal keys the last one counts, as in Python.
///
/// # Errors
/// What is wrong, with the byte at which it is.
pub fn read(text: &str) -> Result<Node, String> {
    let source = Arc::new(Source { uri: "stdout".to_owned(), text: String::new() });
    let mut reader = Reader { text, at: 0, place: Place::start_of(&source) };
    let node = reader.value(0)?;
    reader.space();
    if reader.at < text.len() { Err(reader.wrong("nothing more")) } else { Ok(node) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    place: Place,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong(&self, wanted: &str) -> String {
        match self.rest().chars().next() {
            Some(found) => format!("expected {wanted} at byte {}, found {found:?}", self.at),
            None => format!("expected {wanted} at byte {}, found the end", self.at),
        }
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels of nesting"));
        }
        self.space();
        let kind = match self.rest().chars().next() {
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Kind::String(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            _ if self.take("null") => Kind::Null,
            _ if self.take("true") => Kind::Bool(true),
            _ if self.take("false") => Kind::Bool(false),
            _ => return Err(self.wrong("a value")),
        };
        Ok(Node { place: self.place.clone(), kind })
    }

    fn map(&mut self, depth: usize) -> Result<Kind, String> {
        let mut map = Map::default();
        self.take("{");
        self.space();
        if self.take("}") {
            return Ok(Kind::Map(map));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            if !self.take(":") {
                return Err(self.wrong("a colon"));
            }
            let value = self.value(depth + 1)?;
            map.remove(&key);
            map.entries.push(Entry { key, key_place: self.place.clone(), value });
            self.space();
            if self.take("}") {
                return Ok(Kind::Map(map));
            }
            if !self.take(",") {
                return Err(self.wrong("a comma or }"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, String> {
        let mut items = Vec::new();
        self.take("[");
        self.space();
        if self.take("]") {
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take("]") {
                return Ok(Kind::List(items));
            }
            if !self.take(",") {
                return Err(self.wrong("a comma or ]"));
            }
        }
    }

    fn number(&mut self) -> Result<Kind, String> {
        let start = self.at;
        self.take("-");
        if !self.take("0") {
            self.digits()?;
        }
        let mut whole = true;
        if self.take(".") {
            whole = false;
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            whole = false;
            let _ = self.take("+") || self.take("-");
            self.digits()?;
        }
        let text = self.text.get(start..self.at).unwrap_or_default().to_owned();
        Ok(if whole { Kind::Int(text) } else { Kind::Float(text) })
    }

    fn digits(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let count = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        self.at += count;
        if count == 0 { Err(self.wrong("a digit")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.take("\"") {
            return Err(self.wrong("a string"));
        }
        let mut text = String::new();
        loop {
            let Some(character) = self.rest().chars().next() else { return Err(self.wrong("a quote")) };
            self.at += character.len_utf8();
            match character {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                '\0'..='\x1f' => {
                    return Err(format!("a control character in a string at byte {}", self.at - 1));
                }
                _ => text.push(character),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        let Some(character) = self.rest().chars().next() else { return Err(self.wrong("an escape")) };
        let simple = match character {
            '"' | '\\' | '/' => character,
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                self.at += 1;
                let first = self.hex()?;
                if (0xd800..0xdc00).contains(&first) && self.take("\\u") {
                    let second = self.hex()?;
                    let joined = 0x10000 + ((first - 0xd800) << 10) + second.wrapping_sub(0xdc00);
                    return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => return Err(self.wrong("an escape")),
        };
        self.at += 1;
        Ok(simple)
    }

    fn hex(&mut self) -> Result<u32, String> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match code {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => Err(self.wrong("four hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match read(text) {
            Ok(node) => node.describe(),
            Err(message) => message,
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn values_keep_their_text() {
        check(
            "1000000000000000000000000000000000000000000",
            "the number 1000000000000000000000000000000000000000000",
        );
        check(" -0.50e+3 ", "the number -0.50e+3");
        check(r#""a\u00e9\ud83d\ude00\n""#, r#"the string "aé😀\n""#);
        check("[]", "a list");
        check("{\"a\": [null, true]}", "a mapping");
    }

    #[test]
    fn anything_but_json_is_refused() {
        check("", "expected a value at byte 0, found the end");
        check("{} x", "expected nothing more at byte 3, found 'x'");
        check("[1,]", "expected a value at byte 3, found ']'");
        check("{a: 1}", "expected a string at byte 1, found 'a'");
        check("01", "expected nothing more at byte 1, found '1'");
        check("\"a\nb\"", "a control character in a string at byte 2");
        check(&"[".repeat(100_000), "more than 512 levels of nesting");
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let node = read(r#"{"a": 1, "a": 2}"#).unwrap();
        assert_eq!(node.get("a").unwrap().describe(), "the number 2");
    }
}
