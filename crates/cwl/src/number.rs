//! Numbers that keep what was written: whole numbers of any size, and a float's own text.

use std::fmt;
use std::sync::Arc;

/// A number of a document or an input object.
#[derive(Clone, Debug)]
pub enum Number {
    /// A whole number that fits 64 bits.
    Int(i64),
    /// A larger whole number, by its decimal digits (with `-` if negative), without leading zeros.
    Big(Arc<str>),
    /// Any other number.
    Float {
        /// The nearest double.
        value: f64,
        /// What was written, where it came from a document and not from a computation.
        text: Option<Arc<str>>,
    },
}

/// Why a text is no number that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseNumberError {
    /// The text is not written like a number.
    #[error("{0:?} is not a number")]
    Syntax(String),
    /// Larger than the largest double (`1e400`), infinite or not a number.
    #[error("the number {0} cannot be represented: it is no finite double")]
    NotFinite(String),
    /// More digits than anybody can mean.
    #[error("the number has {0} digits; at most {MAX_DIGITS} are taken")]
    TooLong(usize),
}

/// The most digits that a number may be written with. Python's own limit for whole numbers.
pub const MAX_DIGITS: usize = 4300;

impl Number {
    /// Reads a number as YAML 1.2 and JSON write it: `12`, `-1_000`, `0x1F`, `0o14`, `0b101`,
    /// `012` (which is twelve), `1.10`, `.5`, `1e5`. A float keeps its text.
    ///
    /// # Errors
    /// The text is no number, or one that is not finite as a double.
    pub fn parse(text: &str) -> Result<Self, ParseNumberError> {
        if text.len() > MAX_DIGITS {
            return Err(ParseNumberError::TooLong(text.len()));
        }
        let syntax = || ParseNumberError::Syntax(text.to_owned());
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if matches!(unsigned.to_ascii_lowercase().as_str(), ".inf" | ".nan") {
            return Err(ParseNumberError::NotFinite(text.to_owned()));
        }
        if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return Err(syntax());
        }
        let clean: String = unsigned.chars().filter(|c| *c != '_').collect();
        let radix = match clean.get(..2) {
            Some("0x" | "0X") => 16,
            Some("0o" | "0O") => 8,
            Some("0b" | "0B") => 2,
            _ => 10,
        };
        let digits = if radix == 10 { clean.as_str() } else { &clean[2..] };
        if !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) {
            return Ok(whole(negative, digits, radix));
        }
        if radix != 10 || !is_float(&clean) {
            return Err(syntax());
        }
        let written = if negative { format!("-{clean}") } else { clean };
        let value: f64 = written.parse().map_err(|_| syntax())?;
        if !value.is_finite() {
            return Err(ParseNumberError::NotFinite(text.to_owned()));
        }
        Ok(Self::Float { value, text: Some(written.into()) })
    }

    /// The nearest double; infinite for whole numbers beyond the largest double.
    pub fn as_f64(&self) -> f64 {
        match self {
            Self::Int(value) => *value as f64,
            Self::Big(digits) => digits.parse().unwrap_or(f64::NAN),
            Self::Float { value, .. } => *value,
        }
    }

    /// The number as an integer of 64 bits, if it is one; floats without a fraction count (`3.0`).
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Big(_) => None,
            Self::Float { value, .. } => {
                let whole = value.trunc();
                // -2^63 is a double, 2^63 is the first one that no longer fits.
                (whole == *value && (-TWO_63..TWO_63).contains(&whole)).then_some(whole as i64)
            }
        }
    }

    /// The number rounded up, as resource requests are (CWL v1.2 §"ResourceRequirement"); the
    /// nearest end of the range where it does not fit 64 bits.
    pub fn ceil(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            Self::Big(digits) if digits.starts_with('-') => i64::MIN,
            Self::Big(_) => i64::MAX,
            Self::Float { value, .. } => value.ceil() as i64,
        }
    }

    /// Whether it was written as a whole number: what the types `int` and `long` take.
    pub fn is_integer(&self) -> bool {
        !matches!(self, Self::Float { .. })
    }

    /// As JSON: whole numbers by their digits, floats as Python's `repr` prints them (`5.0`,
    /// `1e-05`, `1e+42`). A float that is not finite becomes `null`, as in JavaScript.
    pub fn to_json_text(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Big(digits) => digits.to_string(),
            Self::Float { value, .. } if !value.is_finite() => "null".to_owned(),
            Self::Float { value, .. } => python_repr(*value),
        }
    }

    /// As an argument of a command: the decimal digits of what was written, never an exponent
    /// (CWL v1.2 CommandLineTool §"Input binding").
    pub fn to_command_line(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Big(digits) => digits.to_string(),
            Self::Float { value, text: Some(text) } => expand(text).unwrap_or_else(|| expand_value(*value)),
            Self::Float { value, text: None } => expand_value(*value),
        }
    }
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// A whole number from checked digits.
fn whole(negative: bool, digits: &str, radix: u32) -> Number {
    if let Ok(value) = i128::from_str_radix(digits, radix) {
        let value = if negative { -value } else { value };
        if let Ok(value) = i64::try_from(value) {
            return Number::Int(value);
        }
    }
    let decimal =
        if radix == 10 { digits.trim_start_matches('0').to_owned() } else { to_decimal(digits, radix) };
    Number::Big(if negative { format!("-{decimal}").into() } else { decimal.into() })
}

/// Digits of another radix as decimal digits without leading zeros.
fn to_decimal(digits: &str, radix: u32) -> String {
    const BASE: u64 = 1_000_000_000;
    // Little end first. Quadratic, which MAX_DIGITS keeps harmless.
    let mut groups: Vec<u64> = vec![0];
    for digit in digits.chars().filter_map(|c| c.to_digit(radix)) {
        let mut carry = u64::from(digit);
        for group in &mut groups {
            let sum = *group * u64::from(radix) + carry;
            *group = sum % BASE;
            carry = sum / BASE;
        }
        if carry > 0 {
            groups.push(carry);
        }
    }
    let text: String = groups.iter().rev().map(|group| format!("{group:09}")).collect();
    match text.trim_start_matches('0') {
        "" => "0".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// Whether a text without sign and underscores is digits with a fraction or an exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = split_exponent(text);
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let exponent_is_good = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    !(before.is_empty() && after.is_empty()) && all_digits(before) && all_digits(after) && exponent_is_good
}

fn split_exponent(text: &str) -> (&str, Option<&str>) {
    match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    }
}

/// The decimal digits of a float's text. `None` if its exponent is absurd (`0e999999999`).
fn expand(text: &str) -> Option<String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (mantissa, exponent) = split_exponent(unsigned);
    let exponent: i64 = exponent.map_or(Some(0), |exponent| exponent.parse().ok())?;
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{before}{after}");
    let point = i64::try_from(before.len()).ok()?.checked_add(exponent)?;
    if !(-1000..=1000 + MAX_DIGITS as i64).contains(&point) {
        return None;
    }
    let padded = if point <= 0 {
        format!("{}{digits}", "0".repeat(point.unsigned_abs() as usize + 1))
    } else {
        format!("{digits:0<width$}", width = point as usize)
    };
    let (whole, fraction) = padded.split_at(point.max(1) as usize);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// The decimal digits of a double: Python's `repr` without its exponent.
fn expand_value(value: f64) -> String {
    if !value.is_finite() {
        return "null".to_owned();
    }
    let repr = python_repr(value);
    expand(&repr).unwrap_or(repr)
}

/// The shortest text that reads back as this double, in Python's form.
fn python_repr(value: f64) -> String {
    // Rust's `{:e}` gives the shortest digits as `d.ddde±x`; only the layout differs.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = split_exponent(&scientific);
    let exponent: i32 = exponent.and_then(|exponent| exponent.parse().ok()).unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    let plain = format!("{value}");
    if plain.contains('.') { plain } else { plain + ".0" }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Float { value, text: None }
    }
}

/// As [`Number::to_json_text`].
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json_text())
    }
}

/// Equal by value, as in Python: `1` equals `1.0`, and the text does not matter. A whole number
/// equals a float only if they are exactly the same: `10**42` is not `1e42`.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Big(a), Self::Big(b)) => a == b,
            (Self::Float { value: a, .. }, Self::Float { value: b, .. }) => a == b,
            (Self::Int(a), float @ Self::Float { .. }) | (float @ Self::Float { .. }, Self::Int(a)) => {
                float.as_i64() == Some(*a)
            }
            (Self::Big(a), Self::Float { value: b, .. }) | (Self::Float { value: b, .. }, Self::Big(a)) => {
                // Without a fraction, Rust prints a double's exact digits.
                b.fract() == 0.0 && format!("{b:.0}") == **a
            }
            // A whole number that fits 64 bits is never `Big`.
            (Self::Int(_), Self::Big(_)) | (Self::Big(_), Self::Int(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// (text, JSON, command line), recorded from schema_salad and cwltool.
    const GROUND_TRUTH: &[(&str, &str, &str)] = &[
        ("0", "0", "0"),
        ("-0", "0", "0"),
        ("12", "12", "12"),
        ("+12", "12", "12"),
        ("012", "12", "12"),
        ("1_000", "1000", "1000"),
        ("0x1F", "31", "31"),
        ("-0x1F", "-31", "-31"),
        ("0o14", "12", "12"),
        ("0b101", "5", "5"),
        ("9223372036854775807", "9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808", "9223372036854775808"),
        ("-9223372036854775808", "-9223372036854775808", "-9223372036854775808"),
        ("00100000000000000000000", "100000000000000000000", "100000000000000000000"),
        (
            "0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
            "87112285931760246646623899502532662132735",
            "87112285931760246646623899502532662132735",
        ),
        ("1e42", "1e+42", "1000000000000000000000000000000000000000000"),
        ("0.00001", "1e-05", "0.00001"),
        ("1.23e-05", "1.23e-05", "0.0000123"),
        ("1E5", "100000.0", "100000"),
        ("1.23e5", "123000.0", "123000"),
        ("123.45e1", "1234.5", "1234.5"),
        ("5.0", "5.0", "5.0"),
        ("1.10", "1.1", "1.10"),
        (".5", "0.5", "0.5"),
        ("5.", "5.0", "5"),
        ("+1.5", "1.5", "1.5"),
        ("-0.0", "-0.0", "-0.0"),
        ("0.0001", "0.0001", "0.0001"),
        ("1e16", "1e+16", "10000000000000000"),
        ("1e15", "1000000000000000.0", "1000000000000000"),
        ("1e-7", "1e-07", "0.0000001"),
        ("123456789012345680.0", "1.2345678901234568e+17", "123456789012345680.0"),
        ("5e-324", "5e-324", SMALLEST),
        ("1_000.5", "1000.5", "1000.5"),
        ("0e999999999", "0.0", "0.0"),
    ];

    const SMALLEST: &str = concat!(
        "0.00000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "0005"
    );

    #[test]
    fn numbers_print_as_cwltool_prints_them() {
        for (text, json, command_line) in GROUND_TRUTH {
            let number = Number::parse(text).expect(text);
            assert_eq!(number.to_json_text(), *json, "JSON of {text}");
            assert_eq!(number.to_command_line(), *command_line, "command line of {text}");
        }
    }

    #[test]
    fn computed_floats_print_without_exponent_on_the_command_line() {
        let cases = [(5.0, "5.0"), (1e-7, "0.0000001"), (1e21, "1000000000000000000000"), (0.1, "0.1")];
        for (value, expected) in cases {
            assert_eq!(Number::from(value).to_command_line(), expected);
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", "+", "x", "0x", "0xG", "0o8", "0b2", "1e", "1e+", ".", ".e5", "1.2.3", "--1", "1 2",
            "１",
        ] {
            assert!(matches!(Number::parse(text), Err(ParseNumberError::Syntax(_))), "{text}");
        }
        for text in ["1e400", "-1e400", ".inf", "-.INF", ".nan"] {
            assert!(matches!(Number::parse(text), Err(ParseNumberError::NotFinite(_))), "{text}");
        }
        assert!(matches!(Number::parse(&"9".repeat(5000)), Err(ParseNumberError::TooLong(5000))));
    }

    #[test]
    fn equality_is_pythons() {
        let cases = [
            ("1", "1.0", true),
            ("1.0", "1.00", true),
            ("1000000000000000000000000000000000000000000", "1e42", false),
            ("100000000000000000000", "1e20", true),
            ("9223372036854775807", "9223372036854775808.0", false),
            ("9223372036854775808", "9223372036854775808.0", true),
            ("-9223372036854775808", "-9223372036854775808.0", true),
            ("1", "1.5", false),
            ("0", "-0.0", true),
        ];
        for (a, b, equal) in cases {
            let (x, y) = (Number::parse(a).expect(a), Number::parse(b).expect(b));
            assert_eq!(x == y, equal, "{a} == {b}");
            assert_eq!(y == x, equal, "{b} == {a}");
        }
    }

    #[test]
    fn conversions_to_integers_keep_the_value_or_fail() {
        let cases =
            [("3.0", Some(3)), ("3.5", None), ("1e19", None), ("-9.223372036854775808e18", Some(i64::MIN))];
        for (text, expected) in cases {
            assert_eq!(Number::parse(text).expect(text).as_i64(), expected, "{text}");
        }
        let ceilings = [("254.1", 255), ("2", 2), ("-1.5", -1), ("1e300", i64::MAX)];
        for (text, expected) in ceilings {
            assert_eq!(Number::parse(text).expect(text).ceil(), expected, "{text}");
        }
        assert!(Number::parse("1").expect("1").is_integer());
        assert!(!Number::parse("1.0").expect("1.0").is_integer());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = Number::parse(&text);
        }

        #[test]
        fn floats_survive_both_prints(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let number = Number::from(value);
            prop_assert_eq!(number.to_json_text().parse::<f64>().ok(), Some(value));
            let argument = number.to_command_line();
            prop_assert!(!argument.contains(['e', 'E']), "{}", argument);
            prop_assert_eq!(argument.parse::<f64>().ok(), Some(value));
        }

        #[test]
        fn whole_numbers_survive(value in any::<i128>()) {
            let number = Number::parse(&value.to_string()).expect("a whole number");
            prop_assert_eq!(number.to_json_text(), value.to_string());
            let hexadecimal = format!("{}0x{:x}", if value < 0 { "-" } else { "" }, value.unsigned_abs());
            prop_assert_eq!(Number::parse(&hexadecimal).expect("hexadecimal"), number);
        }
    }
}
