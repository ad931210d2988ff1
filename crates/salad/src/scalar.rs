//! What a plain scalar is: the rules of YAML 1.2 as CWL's other readers apply them.
//!
//! They differ from the YAML 1.2 core schema in places (`0b101`, `1_000` and `012` are whole
//! numbers) and take no dates. `%YAML 1.1` at the head of a document switches to the rules of
//! YAML 1.1 (`yes`, `0777`, `1:30`).

use crate::node::Kind;

/// The rules that a document asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// YAML 1.2, unless the document says otherwise.
    #[default]
    V1_2,
    /// A document that begins with `%YAML 1.1`.
    V1_1,
}

/// What a plain (unquoted) scalar means. Numbers keep their text.
pub fn resolve(text: &str, rules: Rules) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    if rules == Rules::V1_1
        && let Some(kind) = resolve_1_1(text)
    {
        return kind;
    }
    // Most scalars are words: look no further than the first character.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Kind::String(text.to_owned());
    }
    if is_int(text) {
        Kind::Int(text.to_owned())
    } else if is_float(text) {
        Kind::Float(text.to_owned())
    } else {
        Kind::String(text.to_owned())
    }
}

fn resolve_1_1(text: &str) -> Option<Kind> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some(Kind::Bool(true)),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some(Kind::Bool(false)),
        _ => {}
    }
    let (sign, digits) = split_sign(text);
    // Octal and base 60 are put into decimals here, because later readers know no YAML 1.1.
    if digits.len() > 1 && digits.starts_with('0') && all(digits, |c| matches!(c, '0'..='7' | '_')) {
        let octal: String = digits.chars().filter(|c| *c != '_').collect();
        return u64::from_str_radix(&octal, 8).ok().map(|value| Kind::Int(format!("{sign}{value}")));
    }
    if digits.contains(':') && digits.starts_with(|c: char| matches!(c, '1'..='9')) {
        let mut value: u64 = 0;
        for (index, part) in digits.split(':').enumerate() {
            let part: String = part.chars().filter(|c| index > 0 || *c != '_').collect();
            let number: u64 = part.parse().ok()?;
            if index > 0 && (number > 59 || part.len() > 2) {
                return None;
            }
            value = value.checked_mul(60)?.checked_add(number)?;
        }
        return Some(Kind::Int(format!("{sign}{value}")));
    }
    None
}

fn split_sign(text: &str) -> (&str, &str) {
    match text.as_bytes().first() {
        Some(b'-' | b'+') => text.split_at(1),
        _ => ("", text),
    }
}

fn all(text: &str, test: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(test)
}

/// Digits of a base with `_` between them; at least one digit.
fn digits(text: &str, is_digit: impl Fn(char) -> bool) -> bool {
    all(text, |c| c == '_' || is_digit(c)) && text.contains(&is_digit)
}

fn is_int(text: &str) -> bool {
    let (_, rest) = split_sign(text);
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    digits(rest, |c| c.is_ascii_digit())
        || rest.strip_prefix("0b").is_some_and(|r| digits(r, |c| matches!(c, '0' | '1')))
        || rest.strip_prefix("0o").is_some_and(|r| digits(r, |c| matches!(c, '0'..='7')))
        || rest.strip_prefix("0x").is_some_and(|r| digits(r, |c| c.is_ascii_hexdigit()))
}

fn is_float(text: &str) -> bool {
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (_, rest) = split_sign(text);
    if matches!(rest, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let exponent_is = |must_have_sign: bool| match exponent {
        None => true,
        Some(exponent) => {
            let (sign, number) = split_sign(exponent);
            all(number, |c| c.is_ascii_digit()) && !(must_have_sign && sign.is_empty())
        }
    };
    let digit = |c: char| c.is_ascii_digit();
    match mantissa.split_once('.') {
        // `.5e3` without a sign in the exponent is a string to the other readers; so it is to us.
        Some(("", fraction)) => digits(fraction, digit) && exponent_is(true),
        Some((whole, fraction)) => {
            whole.starts_with(digit)
                && digits(whole, digit)
                && fraction.chars().all(|c| c == '_' || digit(c))
                && exponent_is(false)
        }
        None => {
            exponent.is_some() && mantissa.starts_with(digit) && digits(mantissa, digit) && exponent_is(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(kind: &Kind) -> String {
        match kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(value) => format!("bool {value}"),
            Kind::Int(text) => format!("int {text}"),
            Kind::Float(text) => format!("float {text}"),
            Kind::String(text) => format!("str {text}"),
            Kind::List(_) | Kind::Map(_) => "collection".to_owned(),
        }
    }

    fn check(rules: Rules, kind: &str, texts: &[&str]) {
        for text in texts {
            let expected = if matches!(kind, "int" | "float" | "str") {
                format!("{kind} {text}")
            } else {
                kind.to_owned()
            };
            assert_eq!(show(&resolve(text, rules)), expected, "{text:?}");
        }
    }

    #[test]
    fn yaml_1_2_as_other_cwl_readers_take_it() {
        check(Rules::V1_2, "null", &["", "~", "null", "Null", "NULL"]);
        check(Rules::V1_2, "bool true", &["true", "True", "TRUE"]);
        check(Rules::V1_2, "bool false", &["false", "False", "FALSE"]);
        check(
            Rules::V1_2,
            "int",
            &["0", "-1", "+12", "012", "1_000", "0x1F", "0o14", "0b101", "-0x_1", "100000000000000000000"],
        );
        check(
            Rules::V1_2,
            "float",
            &[
                "1.", "1.5", "-1_0.5_0", ".5", "+.5e-3", "1e42", "1E5", "1.5e+3", ".inf", "-.INF", ".nan",
                ".NaN",
            ],
        );
        check(
            Rules::V1_2,
            "str",
            &[
                "yes",
                "on",
                "No",
                "nULL",
                "tRUE",
                "12:30:45",
                "2001-12-14",
                ".5e3",
                "1e",
                "e5",
                "-",
                "+",
                ".",
                "-_",
                "0x",
                "0b2",
                "0o8",
                "1.2.3",
                "_1",
                "--1",
                "._",
                "-.nan",
                "<<",
                "=",
                "1e5.0",
                "1 000",
                "１",
            ],
        );
    }

    #[test]
    fn yaml_1_1_when_the_document_says_so() {
        check(Rules::V1_1, "bool true", &["y", "yes", "On", "true"]);
        check(Rules::V1_1, "bool false", &["n", "NO", "off", "false"]);
        check(Rules::V1_1, "int 511", &["0777"]);
        check(Rules::V1_1, "int 5400", &["1:30:00"]);
        check(Rules::V1_1, "int -90", &["-1:30"]);
        check(Rules::V1_1, "str", &["1:90", "089x", "yEs"]);
    }
}
