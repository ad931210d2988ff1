//! Finding `$(…)`, `${…}` and backslashes in a string.

use std::ops::Range;

/// What the scanner stops at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A backslash with the character that it precedes.
    Escape(Range<usize>),
    /// An expression: `$(…)` or `${…}`.
    Block(Range<usize>),
}

/// Whether there is anything to evaluate. Strings without it are taken as they are, backslashes and
/// white space included.
pub fn has_expression(text: &str) -> bool {
    text.contains("$(") || text.contains("${")
}

/// The next escape or expression at or after `from`. A backslash at the very end is plain text.
///
/// With `javascript`, brackets in comments, regular expressions and template literals do not count.
///
/// # Errors
/// Where an expression begins that does not end.
pub fn next(text: &str, from: usize, javascript: bool) -> Result<Option<Found>, usize> {
    let bytes = text.as_bytes();
    let mut position = from;
    while let Some(byte) = bytes.get(position) {
        match byte {
            b'\\' => {
                let escaped = text[position + 1..].chars().next();
                return Ok(escaped.map(|c| Found::Escape(position..position + 1 + c.len_utf8())));
            }
            b'$' if matches!(bytes.get(position + 1), Some(b'(' | b'{')) => {
                let by_tokens = if javascript { end_by_tokens(bytes, position + 1) } else { None };
                // Where our idea of JavaScript's tokens fails, brackets and quotes alone may find the end.
                let end = by_tokens.or_else(|| end_by_brackets(bytes, position + 1)).ok_or(position)?;
                return Ok(Some(Found::Block(position..end)));
            }
            _ => position += 1,
        }
    }
    Ok(None)
}

/// The end of the block that opens at `open`, by quotes and its own kind of brackets: the rule of
/// CWL v1.2 §"Expressions", and all that parameter references need.
fn end_by_brackets(bytes: &[u8], open: usize) -> Option<usize> {
    let opening = *bytes.get(open)?;
    let closing = closing(opening);
    let mut depth = 0_usize;
    let mut position = open;
    while let Some(&byte) = bytes.get(position) {
        position += 1;
        if byte == opening {
            depth += 1;
        } else if byte == closing {
            depth -= 1;
            if depth == 0 {
                return Some(position);
            }
        } else if matches!(byte, b'\'' | b'"') {
            position = end_of_string(bytes, position, byte)?;
        }
    }
    None
}

/// The end of the block that opens at `open`, by the tokens of JavaScript. `None` if brackets do not match.
fn end_by_tokens(bytes: &[u8], open: usize) -> Option<usize> {
    /// Stands for the `}` after which a template literal goes on.
    const TEMPLATE: u8 = b'`';
    let mut awaited: Vec<u8> = Vec::new();
    // Whether a value came last, so that a slash divides; otherwise it begins a regular expression.
    let mut after_value = false;
    let mut position = open;
    while let Some(&byte) = bytes.get(position) {
        let start = position;
        position += 1;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'(' | b'[' | b'{' => {
                awaited.push(closing(byte));
                after_value = false;
            }
            b')' | b']' | b'}' => {
                match awaited.pop()? {
                    TEMPLATE if byte == b'}' => position = template(bytes, position, &mut awaited)?,
                    expected if expected != byte => return None,
                    _ if awaited.is_empty() => return Some(position),
                    _ => {}
                }
                after_value = awaited.last() != Some(&TEMPLATE) || byte != b'}';
            }
            b'\'' | b'"' => {
                position = end_of_string(bytes, position, byte)?;
                after_value = true;
            }
            b'`' => {
                let depth = awaited.len();
                position = template(bytes, position, &mut awaited)?;
                after_value = awaited.len() == depth;
            }
            b'/' if bytes.get(position) == Some(&b'/') => {
                position += bytes[position..].iter().position(|b| *b == b'\n')?;
            }
            b'/' if bytes.get(position) == Some(&b'*') => {
                position += 1 + bytes[position + 1..].windows(2).position(|pair| pair == b"*/")? + 2;
            }
            b'/' => match end_of_regular_expression(bytes, position).filter(|_| !after_value) {
                Some(end) => {
                    position = end;
                    after_value = true;
                }
                None => after_value = false,
            },
            byte if is_word(byte) => {
                position += bytes[position..].iter().take_while(|b| is_word(**b)).count();
                after_value = !BEFORE_VALUES.contains(&&bytes[start..position]);
            }
            _ => after_value = false,
        }
    }
    None
}

/// Words that look like names but are followed by a value.
const BEFORE_VALUES: &[&[u8]] = &[
    b"return",
    b"typeof",
    b"case",
    b"in",
    b"of",
    b"delete",
    b"void",
    b"throw",
    b"new",
    b"do",
    b"else",
    b"instanceof",
    b"yield",
    b"await",
];

fn closing(opening: u8) -> u8 {
    match opening {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// The position after the closing quote; `position` is after the opening one.
fn end_of_string(bytes: &[u8], mut position: usize, quote: u8) -> Option<usize> {
    loop {
        match *bytes.get(position)? {
            b'\\' => position += 2,
            byte if byte == quote => return Some(position + 1),
            _ => position += 1,
        }
    }
}

/// The position after the closing slash; `position` is after the opening one.
fn end_of_regular_expression(bytes: &[u8], mut position: usize) -> Option<usize> {
    let mut in_class = false;
    loop {
        match *bytes.get(position)? {
            b'\\' => position += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'/' if !in_class => return Some(position + 1),
            b'\n' => return None,
            _ => {}
        }
        position += 1;
    }
}

/// The position after the closing backtick, or after a `${`, whose end is then awaited.
fn template(bytes: &[u8], mut position: usize, awaited: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *bytes.get(position)? {
            b'\\' => position += 2,
            b'`' => return Some(position + 1),
            b'$' if bytes.get(position + 1) == Some(&b'{') => {
                awaited.push(b'`');
                return Some(position + 2);
            }
            _ => position += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The pieces that are found, in order; the place of an unfinished block as `!position`.
    fn pieces(text: &str, javascript: bool) -> Vec<String> {
        let mut found = Vec::new();
        let mut position = 0;
        loop {
            match next(text, position, javascript) {
                Ok(None) => return found,
                Ok(Some(Found::Block(range) | Found::Escape(range))) => {
                    found.push(text[range.clone()].to_owned());
                    position = range.end;
                }
                Err(position) => {
                    found.push(format!("!{position}"));
                    return found;
                }
            }
        }
    }

    #[test]
    fn blocks_end_at_their_own_bracket() {
        let cases: &[(&str, &[&str])] = &[
            ("plain", &[]),
            ("a $(b) c ${d} e", &["$(b)", "${d}"]),
            ("$$(a)$", &["$(a)"]),
            ("$(a(b)(c))d)", &["$(a(b)(c))"]),
            ("$(')')x", &["$(')')"]),
            (r#"$("a\")")x"#, &[r#"$("a\")")"#]),
            ("${ return {a: '}'}; }", &["${ return {a: '}'}; }"]),
            ("$(a", &["!0"]),
            ("$(a)$('b", &["$(a)", "!4"]),
            (r"\$(a) \\ $(b)\", &[r"\$", r"\\", "$(b)"]),
            (r"\é$(a)", &[r"\é", "$(a)"]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text, false), *expected, "{text} as a reference");
            assert_eq!(pieces(text, true), *expected, "{text} as JavaScript");
        }
    }

    #[test]
    fn tokens_of_javascript_hide_brackets_and_quotes() {
        let whole = [
            "${ // don't }\n return 1; }",
            "${ /* } ' */ return 1; }",
            "$(a // )\n)",
            r"$(a.split(/\//))",
            "$(a.replace(/[(/]/g, '') / 2)",
            "$(/['\"]/.test(a))",
            "$(`a)b`)",
            "${ return `}${ {a: `}${b}`}.a }{`; }",
            "$(`${`)`})`)",
            "${ return /}/.test(a); }",
            "${ if (a) { return 'x' } /* ' */ }",
            "$(a[0] / b / (c))",
        ];
        for text in whole {
            assert_eq!(pieces(&format!("{text} ' )}}"), true), [text], "{text}");
        }
    }

    #[test]
    fn where_tokens_do_not_match_brackets_alone_count() {
        // Recorded from cwltool: only the own kind of bracket counts.
        for text in ["${ return (1; }", "$(a // b)", "$(a])"] {
            assert_eq!(pieces(text, true), [text], "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_scanned(text in "\\PC{0,40}|[$(){}\\[\\]'\"`/\\\\*a\n]{0,40}", javascript: bool) {
            let mut position = 0;
            while let Ok(Some(Found::Block(range) | Found::Escape(range))) = next(&text, position, javascript) {
                prop_assert!(range.start >= position && range.end > range.start);
                prop_assert!(text.get(range.clone()).is_some());
                position = range.end;
            }
        }
    }
}
