//! Numbers compared as Python compares them: exactly, whatever their size and kind.

use moil_salad::node::Kind;

/// A number by its value.
#[derive(Debug, PartialEq)]
enum Number {
    /// Decimal digits without leading zeros, with `-` if negative.
    Whole(String),
    Double(f64),
}

/// Whether both are numbers (or booleans, which are 0 and 1 in Python) of the same value.
pub(crate) fn equal(a: &Kind, b: &Kind) -> bool {
    match (number(a), number(b)) {
        (Some(Number::Whole(a)), Some(Number::Whole(b))) => a == b,
        (Some(Number::Double(a)), Some(Number::Double(b))) => a == b,
        (Some(Number::Whole(whole)), Some(Number::Double(double)))
        | (Some(Number::Double(double)), Some(Number::Whole(whole))) => {
            // Rust prints all digits of a double that is whole.
            double.is_finite() && double.fract() == 0.0 && canonical(&format!("{double:.0}")) == whole
        }
        _ => false,
    }
}

fn number(kind: &Kind) -> Option<Number> {
    match kind {
        Kind::Bool(value) => Some(Number::Whole(u8::from(*value).to_string())),
        Kind::Int(text) => Some(Number::Whole(whole(text))),
        Kind::Float(text) => double(text).map(Number::Double),
        _ => None,
    }
}

/// The decimal digits of a whole number as YAML 1.2 writes it.
fn whole(text: &str) -> String {
    let text = text.replace('_', "");
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) if text.starts_with('-') => ("-", digits),
        Some(digits) => ("", digits),
        None => ("", text.as_str()),
    };
    let based = [("0x", 16), ("0o", 8), ("0b", 2)]
        .iter()
        .find_map(|(prefix, base)| Some((digits.strip_prefix(prefix)?, *base)))
        .and_then(|(digits, base)| u128::from_str_radix(digits, base).ok());
    match based {
        Some(value) => canonical(&format!("{sign}{value}")),
        None => canonical(&format!("{sign}{digits}")),
    }
}

fn canonical(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}"),
    }
}

fn double(text: &str) -> Option<f64> {
    let text = text.replace('_', "").to_ascii_lowercase();
    match text.as_str() {
        ".inf" | "+.inf" => Some(f64::INFINITY),
        "-.inf" => Some(f64::NEG_INFINITY),
        ".nan" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        match text {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "null" => Kind::Null,
            text if text.starts_with("0x") || !text.contains(['.', 'e']) => Kind::Int(text.to_owned()),
            text => Kind::Float(text.to_owned()),
        }
    }

    #[test]
    fn numbers_are_equal_by_value_as_in_python() {
        let large = "1000000000000000000000000000000000000000000";
        for (a, b, expected) in [
            ("1", "1.0", true),
            ("1", "true", true),
            ("0.0", "false", true),
            ("0", "-0.0", true),
            ("2", "true", false),
            ("012", "12", true),
            ("0x1F", "31", true),
            ("1_000", "1e3", true),
            (large, large, true),
            // 10**42 is not the double nearest to it.
            (large, "1e42", false),
            ("1000000000000000044885712678075916785549312", "1e42", true),
            ("9007199254740993", "9007199254740992.0", false),
            (".nan", ".nan", false),
            ("0", "null", false),
        ] {
            assert_eq!(equal(&kind(a), &kind(b)), expected, "{a} and {b}");
            assert_eq!(equal(&kind(b), &kind(a)), expected, "{b} and {a}");
        }
    }
}
