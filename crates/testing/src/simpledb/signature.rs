//! Signature Version 2, as it is checked. Written from the description of the service, without looking at the client.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::http::request::Parts;
use sha2::Sha256;

use super::request::Parameters;
use super::{ACCESS_KEY, Failure, SECRET_KEY};

/// How far a request's clock may be off, in seconds.
const SKEW: i64 = 15 * 60;

pub(super) fn check(head: &Parts, parameters: &Parameters) -> Result<(), Failure> {
    if parameters.needed("AWSAccessKeyId")? != ACCESS_KEY {
        return Err((403, "InvalidClientTokenId", "there is no such access key".to_owned()));
    }
    if (parameters.get("SignatureVersion"), parameters.get("SignatureMethod"))
        != (Some("2"), Some("HmacSHA256"))
    {
        return Err((
            400,
            "InvalidParameterValue",
            "SignatureVersion 2 and HmacSHA256 are needed".to_owned(),
        ));
    }
    let timestamp = parameters.needed("Timestamp")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    match seconds(timestamp) {
        Some(then) if (then - now).abs() <= SKEW => {}
        Some(_) => return Err((400, "RequestExpired", format!("{timestamp} is too far from now"))),
        None => return Err((400, "InvalidParameterValue", format!("{timestamp} is no time"))),
    }
    let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let given = parameters.needed("Signature")?;
    if given != sign(SECRET_KEY, &host.to_lowercase(), head.uri.path(), parameters) {
        return Err((403, "SignatureDoesNotMatch", "the signature is not that of the request".to_owned()));
    }
    Ok(())
}

fn sign(secret: &str, host: &str, path: &str, parameters: &Parameters) -> String {
    let pairs: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| *name != "Signature")
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let text = format!("POST\n{host}\n{path}\n{}", pairs.join("&"));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => (byte as char).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The seconds since 1970 of a time such as `2026-11-28T01:02:03Z`, with or without a fraction.
fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let time = time.split('.').next()?;
    let numbers = |text: &str, separator| -> Option<Vec<i64>> {
        text.split(separator).map(|number| number.parse().ok()).collect()
    };
    let ([year, month, day], [hour, minute, second]) =
        (numbers(date, '-')?.try_into().ok()?, numbers(time, ':')?.try_into().ok()?);
    // Days of the civil calendar: years begin in March, so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-03-01T00:00:00.123Z", Some(951_868_800)),
            ("2026-11-28T01:02:03Z", Some(1_795_827_723)),
            ("2026-11-28 01:02:03", None),
            ("yesterday", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
