//! Parameters, attributes and conditions of a request.

use std::collections::BTreeMap;

use hyper::http::request::Parts;

use super::Failure;
use crate::server::decode;

/// The largest name or value, in bytes.
const LONGEST: usize = 1024;

/// The names and values of a form, sorted by name.
pub(super) struct Parameters(BTreeMap<String, String>);

/// An attribute that is to be written or deleted.
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) replace: bool,
}

/// The condition of a write.
pub(super) struct Expected {
    pub(super) name: String,
    /// `None`: the attribute is not to exist.
    pub(super) value: Option<String>,
}

impl Parameters {
    pub(super) fn read(head: &Parts, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let query = head.uri.query().unwrap_or_default();
        let pairs = query.split('&').chain(body.split('&')).filter(|pair| !pair.is_empty());
        let split = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(split.map(|(name, value)| (decode(name, true), decode(value, true))).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All, in the byte order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn needed(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            (400, "MissingParameter", format!("The request must contain the parameter {name}"))
        })
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// The values of `Name.1`, `Name.2` and so on.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|at| self.get(&format!("{name}.{at}"))).collect()
    }

    /// The attributes below a prefix such as `` or `Item.1.`.
    pub(super) fn attributes(&self, prefix: &str) -> Result<Vec<Attribute>, Failure> {
        let mut attributes = Vec::new();
        for at in 1.. {
            let part = |part: &str| self.get(&format!("{prefix}Attribute.{at}.{part}"));
            let Some(name) = part("Name") else { break };
            let value = part("Value").map(str::to_owned);
            check_length("Attribute name", name)?;
            check_length("Value", value.as_deref().unwrap_or_default())?;
            attributes.push(Attribute {
                name: name.to_owned(),
                value,
                replace: part("Replace") == Some("true"),
            });
        }
        Ok(attributes)
    }

    /// The condition, in either of the two spellings that the service's pages have.
    pub(super) fn expected(&self) -> Result<Option<Expected>, Failure> {
        let part = |part: &str| {
            self.get(&format!("Expected.1.{part}")).or_else(|| self.get(&format!("Expected.{part}")))
        };
        let Some(name) = part("Name") else { return Ok(None) };
        let value = part("Value").map(str::to_owned);
        match (part("Exists"), &value) {
            (Some("false"), None) | (None | Some("true"), Some(_)) => {}
            _ => return Err((400, "IncompleteExpectedValues", "Value, or Exists=false".to_owned())),
        }
        Ok(Some(Expected { name: name.to_owned(), value }))
    }
}

pub(super) fn check_length(what: &str, text: &str) -> Result<(), Failure> {
    if text.len() <= LONGEST {
        return Ok(());
    }
    Err((400, "InvalidParameterValue", format!("{what} is longer than {LONGEST} bytes")))
}
