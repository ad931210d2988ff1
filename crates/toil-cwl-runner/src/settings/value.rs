//! Values of options: sizes, numbers, times, paths.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

const UNITS: &[(&str, u64)] = &[
    ("b", 1),
    ("k", 1000),
    ("m", 1000_u64.pow(2)),
    ("g", 1000_u64.pow(3)),
    ("t", 1000_u64.pow(4)),
    ("p", 1000_u64.pow(5)),
    ("e", 1000_u64.pow(6)),
    ("ki", 1 << 10),
    ("mi", 1 << 20),
    ("gi", 1 << 30),
    ("ti", 1 << 40),
    ("pi", 1 << 50),
    ("ei", 1 << 60),
];

/// A size in bytes as Toil reads it: a number, a unit, perhaps a blank between them, in any case;
/// `K` is 1000 and `Ki` is 1024, and a `B` may follow. Fractions of bytes are cut off. Sizes beyond
/// 64 bits are as good as none, and are cut to the largest.
///
/// # Errors
/// What is wrong, to follow the option's name.
pub fn size(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let start = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '_' | ' ')).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(start).unwrap_or((text, ""));
    let unit = unit.to_ascii_lowercase();
    let bare = if unit.len() > 1 { unit.strip_suffix('b').unwrap_or(&unit) } else { &unit };
    let factor = if unit.is_empty() {
        Some(1)
    } else {
        UNITS.iter().find(|(name, _)| *name == bare).map(|(_, factor)| *factor)
    };
    let factor = factor.ok_or_else(|| {
        format!("'{text}' has an unknown unit; known are K, M, G, T, P, E and Ki, Mi, Gi, Ti, Pi, Ei")
    })?;
    let digits: String = digits.chars().filter(|c| !matches!(c, '_' | ' ')).collect();
    // Whole numbers exactly: a double has 53 bits only.
    if let Ok(whole) = digits.parse::<i64>() {
        return Ok(whole.saturating_mul(i64::try_from(factor).unwrap_or(i64::MAX)));
    }
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((number * factor as f64) as i64),
        _ => Err(format!("'{text}' is not a size such as 2Gi or 500M")),
    }
}

/// A size that is at least `least`.
///
/// # Errors
/// What is wrong, to follow the option's name.
pub fn size_from(least: u64) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let bytes = size(text)?;
        u64::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes >= least)
            .ok_or_else(|| format!("'{text}' is too small; the least is {least}"))
    }
}

/// A limit: a size that is at least one byte. Toil writes "no limit" as the largest signed number.
///
/// # Errors
/// What is wrong, to follow the option's name.
pub fn size_limit(text: &str) -> Result<Option<u64>, String> {
    Ok(Some(size_from(1)(text)?).filter(|limit| *limit < i64::MAX as u64))
}

/// A whole number, 0 or more.
///
/// # Errors
/// What is wrong, to follow the option's name.
pub fn count(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("'{text}' is not a whole number of 0 or more"))
}

/// A number of jobs; 0 and Toil's largest number mean no limit.
///
/// # Errors
/// What is wrong, to follow the option's name.
pub fn count_limit(text: &str) -> Result<Option<u64>, String> {
    Ok(Some(count(text)?).filter(|limit| *limit != 0 && *limit < i64::MAX as u64))
}

/// A number above 0, such as cores or factors.
///
/// # Errors
/// What is wrong, to follow the option's name.
pub fn positive(text: &str) -> Result<f64, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .ok_or_else(|| format!("'{text}' is not a number above 0"))
}

/// Cores; Toil's largest number means no limit.
///
/// # Errors
/// What is wrong, to follow the option's name.
pub fn core_limit(text: &str) -> Result<Option<f64>, String> {
    Ok(Some(positive(text)?).filter(|limit| *limit < i64::MAX as f64))
}

/// A time in seconds, with fractions.
///
/// # Errors
/// What is wrong, to follow the option's name.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number: Option<f64> = text.trim().parse().ok();
    number
        .and_then(|number| Duration::try_from_secs_f64(number).ok())
        .ok_or_else(|| format!("'{text}' is not a number of seconds"))
}

/// A time limit in seconds; 0 and Toil's largest number mean no limit.
///
/// # Errors
/// What is wrong, to follow the option's name.
pub fn time_limit(text: &str) -> Result<Option<Duration>, String> {
    Ok(Some(seconds(text)?).filter(|limit| !limit.is_zero() && limit.as_secs() < i64::MAX as u64))
}

/// A path without `.` and `..`, as Python's `abspath` writes it: locations below it look as cwltool prints them.
pub fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            // Above the root there is nothing.
            Component::ParentDir => _ = clean.pop(),
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_toil_reads_them() {
        let check = |text: &str, expected: i64| assert_eq!(size(text), Ok(expected), "{text}");
        check("0", 0);
        check("1024", 1024);
        check("1K", 1000);
        check("1k", 1000);
        check("1KB", 1000);
        check("1Ki", 1024);
        check("1 KiB", 1024);
        check("2.0 Gi", 2 << 30);
        check("2G", 2_000_000_000);
        check("1.5Mi", 3 << 19);
        check("8.0 Ei", i64::MAX);
        check("99999999999Ei", i64::MAX);
        check("9223372036854775807", i64::MAX);
        check("-100", -100);
        check("-1Ki", -1024);
        check("1_000", 1000);
        check("7b", 7);
        check("0.5", 0);
        check(" 3 m ", 3_000_000);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        let check = |text: &str| assert!(size(text).is_err(), "{text}");
        check("");
        check("Gi");
        check("2X");
        check("two");
        check("1e3");
        check("1.2.3");
        check("--5");
        check("5 Gi extra");
        check("nan");
        check("inf");
        check("1Gibb");
    }

    #[test]
    fn limits_know_how_toil_writes_none() {
        assert_eq!(size_limit("9223372036854775807"), Ok(None));
        assert_eq!(size_limit("4Gi"), Ok(Some(4 << 30)));
        assert!(size_limit("0").is_err());
        assert_eq!(count_limit("0"), Ok(None));
        assert_eq!(count_limit("9223372036854775807"), Ok(None));
        assert_eq!(count_limit("3"), Ok(Some(3)));
        assert!(count_limit("-3").is_err());
        assert_eq!(core_limit("9223372036854775807"), Ok(None));
        assert_eq!(core_limit("1.5"), Ok(Some(1.5)));
        assert!(core_limit("0").is_err());
        assert!(core_limit("nan").is_err());
        assert_eq!(time_limit("0"), Ok(None));
        assert_eq!(time_limit("9223372036854775807"), Ok(None));
        assert_eq!(time_limit("1.5"), Ok(Some(Duration::from_millis(1500))));
        assert!(time_limit("-1").is_err());
        assert!(seconds("1e400").is_err());
    }
}
