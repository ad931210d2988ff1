//! Memo keys: what decides a job's result, hashed part by part.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// A job's memo key with its parts, kept so that a changed key can be explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The hash of all parts, in hexadecimal.
    pub hash: String,
    /// The name and hash of each part, in order.
    pub parts: Vec<(String, String)>,
}

/// Makes keys with the secret of a run or cache: keyed, so that a key tells nothing about secret inputs.
pub struct Keys {
    mac: Hmac<Sha256>,
}

impl Keys {
    /// Keys under a secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        Self { mac }
    }

    /// The key of a job from the named parts of what decides its result, each in canonical form.
    pub fn key(&self, parts: &[(&str, &str)]) -> Key {
        let parts: Vec<(String, String)> =
            parts.iter().map(|(name, text)| ((*name).to_owned(), self.hash(&[text]))).collect();
        let flat: Vec<&str> = parts.iter().flat_map(|(name, hash)| [name.as_str(), hash.as_str()]).collect();
        Key { hash: self.hash(&flat), parts }
    }

    /// Hashes pieces with their lengths, so that no two lists of pieces look alike.
    fn hash(&self, pieces: &[&str]) -> String {
        let mut mac = self.mac.clone();
        for piece in pieces {
            mac.update(&(piece.len() as u64).to_le_bytes());
            mac.update(piece.as_bytes());
        }
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Key {
    /// The names of the parts in which this key differs from another.
    pub fn differences<'a>(&'a self, other: &Key) -> Vec<&'a str> {
        self.parts
            .iter()
            .filter(|(name, hash)| other.parts.iter().all(|(n, h)| n != name || h != hash))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_give_equal_keys() {
        let keys = Keys::new(&[7; 32]);
        assert_eq!(keys.key(&[("tool", "a"), ("inputs", "b")]), keys.key(&[("tool", "a"), ("inputs", "b")]));
    }

    #[test]
    fn a_changed_part_is_named() {
        let keys = Keys::new(&[7; 32]);
        let (old, new) =
            (keys.key(&[("tool", "a"), ("inputs", "b")]), keys.key(&[("tool", "a"), ("inputs", "c")]));
        assert_ne!(old.hash, new.hash);
        assert_eq!(new.differences(&old), ["inputs"]);
    }

    #[test]
    fn the_secret_matters() {
        let part = [("tool", "a")];
        assert_ne!(Keys::new(&[1; 32]).key(&part).hash, Keys::new(&[2; 32]).key(&part).hash);
    }

    #[test]
    fn moving_text_between_parts_changes_the_key() {
        let keys = Keys::new(&[7; 32]);
        assert_ne!(keys.key(&[("a", "xy"), ("b", "z")]).hash, keys.key(&[("a", "x"), ("b", "yz")]).hash);
    }
}
