//! What a plain scalar is: the rules of YAML 1.2 as the reader of the other
//! runners (ruamel.yaml with timestamps off) applies them.

use crate::node::Kind;

/// The kind of a plain (unquoted) scalar. Numbers keep their text.
pub fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    // Nearly all scalars of a document are words.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
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

/// The value of a whole number's text; `None` if it has more than 128 bits.
pub fn whole(text: &str) -> Option<i128> {
    let clean = text.replace('_', "");
    let digits = unsigned(&clean);
    let value = match digits.get(..2) {
        Some("0b") => i128::from_str_radix(&digits[2..], 2),
        Some("0o") => i128::from_str_radix(&digits[2..], 8),
        Some("0x") => i128::from_str_radix(&digits[2..], 16),
        _ => digits.parse(),
    };
    value.ok().map(|value| if clean.starts_with('-') { -value } else { value })
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn is_int(text: &str) -> bool {
    let digits = unsigned(text);
    let all = |digits: &str, accept: fn(char) -> bool| {
        !digits.is_empty() && digits.chars().all(|c| c == '_' || accept(c)) && digits.contains(accept)
    };
    if let Some(digits) = digits.strip_prefix("0b") {
        return all(digits, |c| matches!(c, '0' | '1'));
    }
    if let Some(digits) = digits.strip_prefix("0o") {
        return all(digits, |c| ('0'..='7').contains(&c));
    }
    if let Some(digits) = digits.strip_prefix("0x") {
        return all(digits, |c| c.is_ascii_hexdigit());
    }
    digits.starts_with(|c: char| c.is_ascii_digit()) && all(digits, |c| c.is_ascii_digit())
}

fn is_float(text: &str) -> bool {
    let body = unsigned(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(unsigned(exponent))),
        None => (body, None),
    };
    if exponent.is_some_and(|digits| digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit())) {
        return false;
    }
    let digits = |text: &str| text.chars().all(|c| c == '_' || c.is_ascii_digit());
    match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            let bare_point = whole.is_empty() && !fraction.starts_with(|c: char| c.is_ascii_digit());
            !bare_point && !whole.starts_with('_') && digits(whole) && digits(fraction)
        }
        None => exponent.is_some() && mantissa.starts_with(|c: char| c.is_ascii_digit()) && digits(mantissa),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> &'static str {
        match resolve(text) {
            Kind::Null => "null",
            Kind::Bool(_) => "bool",
            Kind::Int(_) => "int",
            Kind::Float(_) => "float",
            _ => "string",
        }
    }

    #[test]
    fn scalars_are_taken_as_by_ruamel() {
        for (kind, texts) in [
            ("null", &["", "~", "null", "Null", "NULL"][..]),
            ("bool", &["true", "True", "TRUE", "false", "False", "FALSE"]),
            ("int", &["0", "12", "-3", "+7", "012", "0o14", "0x1F", "0b101", "1_000", "0x_f"]),
            ("int", &["100000000000000000000"]),
            (
                "float",
                &["1.0", "1.", ".5", "1e42", "1E5", "-1.5e-3", "1.10", ".inf", "-.inf", ".nan", "1_0.5"],
            ),
            ("string", &["yes", "no", "on", "off", "y", "nul", "12:30:45", "2001-12-14", "1.2.3", "v1.2"]),
            ("string", &["+", "-", ".", "0x", "0b2", "0o8", "1e", "e5", "--1", "-.nan", "._5", "1a"]),
        ] {
            for text in texts {
                assert_eq!(name(text), kind, "{text:?}");
            }
        }
    }
}
