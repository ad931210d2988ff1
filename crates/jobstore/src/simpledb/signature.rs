//! Signature Version 2: HMAC-SHA256 over the sorted parameters of a request.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The body of a signed POST: all parameters, and the signature. `host` is that of the header, in small letters.
pub(super) fn sign(secret: &str, host: &str, path: &str, mut parameters: Vec<(String, String)>) -> String {
    parameters.sort();
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let query = pairs.join("&");
    let text = format!("POST\n{host}\n{path}\n{query}");
    // A key of any length will do.
    let signature = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mut mac| {
        mac.update(text.as_bytes());
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    });
    format!("{query}&Signature={}", encode(&signature.unwrap_or_default()))
}

/// RFC 3986: only letters, digits and `-_.~` stay as they are.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte as char),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                encoded.push('%');
                encoded.push(DIGITS[usize::from(byte >> 4)] as char);
                encoded.push(DIGITS[usize::from(byte & 15)] as char);
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(encode("aZ9-_.~"), "aZ9-_.~");
        assert_eq!(encode("a b+c/d=é%"), "a%20b%2Bc%2Fd%3D%C3%A9%25");
    }

    /// What botocore signs for the same request.
    #[test]
    fn a_request_is_signed_as_botocore_signs_it() {
        let parameters = [
            ("Action", "PutAttributes"),
            ("AWSAccessKeyId", "AKTEST000001"),
            ("DomainName", "runs--jobs"),
            ("ItemName", "a/b ~1"),
            ("SignatureMethod", "HmacSHA256"),
            ("SignatureVersion", "2"),
            ("Timestamp", "2026-11-28T01:02:03Z"),
            ("Version", "2009-04-15"),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = sign("secretsecret12345", "sdb.amazonaws.com", "/", parameters.to_vec());
        assert!(body.starts_with("AWSAccessKeyId=AKTEST000001&Action=PutAttributes&DomainName="), "{body}");
        assert!(body.ends_with("&Signature=m9sZt231t1hBTf80HkYYJjP7UFKi3YzIdyEZU%2Fe18U4%3D"), "{body}");
    }
}
