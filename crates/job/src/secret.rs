//! Values that must not be told (`cwltool:Secrets`). From the moment inputs are read a placeholder stands for
//! each of them; the worker puts the values in last. They are kept in memory and travel beside an attempt:
//! nothing here can be serialised, and nothing prints them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use moil_cwl::file_object::literal_name;
use moil_cwl::value::{Directory, File, Value, ValueMap};
use sha2::Sha256;

use crate::failure::{Failure, FailureKind};

/// How every placeholder begins; digits and a bracket follow.
const START: &str = "(secret-";
/// Hexadecimal digits of a placeholder: 128 bits, so that nobody guesses one.
const DIGITS: usize = 32;

/// The secrets of a run, by their placeholders.
///
/// A placeholder is a keyed hash of its value: equal values have one placeholder and are kept once, and whoever
/// does not have the key can neither guess one nor learn anything from it.
pub struct SecretStore {
    mac: Hmac<Sha256>,
    values: Mutex<HashMap<Arc<str>, Arc<str>>>,
}

impl SecretStore {
    /// A store without secrets. `key` must be random: 32 bytes that nobody else has.
    pub fn new(key: &[u8; 32]) -> Self {
        // Keys are filled up with zeros to the length of a block.
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key);
        Self { mac: KeyInit::new(&block.into()), values: Mutex::default() }
    }

    /// Puts placeholders in the place of the named inputs. What is hidden already stays as it is.
    ///
    /// # Errors
    /// An input holds something that cannot be hidden: only strings and file literals can, in arrays and records
    /// as well.
    pub fn hide_inputs(&self, names: &[Arc<str>], inputs: &mut ValueMap) -> Result<(), Failure> {
        for name in names {
            let Some(value) = inputs.get_mut(name) else { continue };
            *value = self.hide(value).map_err(|what| {
                let message = format!("the input {name} is a secret (cwltool:Secrets), but holds {what}");
                Failure::new(FailureKind::BadInput, message)
                    .with_advice("only strings and file literals can be kept secret: make it one of them, or take it off the list")
            })?;
        }
        Ok(())
    }

    /// The secrets that a value mentions.
    pub fn mentioned(&self, value: &Value) -> Secrets {
        let values = self.values();
        if values.is_empty() {
            return Secrets::default();
        }
        let mut found = BTreeMap::new();
        each_text(value, &mut |text| {
            for (placeholder, value) in placeholders(text).filter_map(|found| values.get_key_value(found)) {
                found.insert(Arc::clone(placeholder), Arc::clone(value));
            }
        });
        Secrets(found.into_iter().collect())
    }

    /// Whether all that looks like a placeholder in a value is one of this store.
    pub fn knows(&self, value: &Value) -> bool {
        let values = self.values();
        let mut all = true;
        each_text(value, &mut |text| all &= placeholders(text).all(|found| values.contains_key(found)));
        all
    }

    /// A value with placeholders in the place of all its texts, and of those of its file literals: for whoever keeps what
    /// may become a secret. What cannot be one stays.
    #[must_use]
    pub fn hide_texts(&self, value: &Value) -> Value {
        match value {
            Value::List(items) => Value::list(items.iter().map(|item| self.hide_texts(item)).collect()),
            Value::Map(entries) => {
                let hidden = entries.iter().map(|(name, item)| (Arc::clone(name), self.hide_texts(item)));
                Value::map(hidden.collect())
            }
            value => self.hide(value).unwrap_or_else(|_| value.clone()),
        }
    }

    /// Takes the placeholders in a value for what they stand for: for whoever works with what was kept of an input
    /// object, and can do without the secrets in it.
    pub fn do_without(&self, value: &Value) {
        let mut values = self.values();
        each_text(value, &mut |text| {
            for found in placeholders(text) {
                values.entry(found.into()).or_insert_with(|| found.into());
            }
        });
    }

    fn values(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<str>>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hide(&self, value: &Value) -> Result<Value, &'static str> {
        Ok(match value {
            Value::Null => Value::Null,
            Value::String(text) => Value::String(self.add(text)),
            Value::List(items) => Value::list(self.hide_all(items)?),
            Value::Map(entries) => {
                let hidden = entries.iter().map(|(name, item)| Ok((Arc::clone(name), self.hide(item)?)));
                Value::map(hidden.collect::<Result<_, _>>()?)
            }
            Value::File(file) => Value::File(Arc::new(self.hide_file(file)?)),
            Value::Directory(directory) => {
                let Directory { location: None, listing: Some(listing), .. } = &**directory else {
                    return Err("a directory on a disk");
                };
                let listing = Some(Arc::new(self.hide_all(listing)?));
                Value::Directory(Arc::new(Directory { listing, ..(**directory).clone() }))
            }
            Value::Bool(_) => return Err("a boolean"),
            Value::Number(_) => return Err("a number"),
        })
    }

    fn hide_all(&self, items: &[Value]) -> Result<Vec<Value>, &'static str> {
        items.iter().map(|item| self.hide(item)).collect()
    }

    fn hide_file(&self, file: &File) -> Result<File, &'static str> {
        let File { location: None, contents: Some(contents), .. } = file else {
            return Err("a file on a disk");
        };
        let hidden = self.add(contents);
        // The name of a literal that was given none is a hash of its text.
        let basename = match &file.basename {
            Some(name) if *name == literal_name(contents) => Some(literal_name(&hidden)),
            basename => basename.clone(),
        };
        Ok(File {
            contents: Some(hidden),
            basename,
            checksum: None,
            secondary_files: Arc::new(self.hide_all(&file.secondary_files)?),
            ..file.clone()
        })
    }

    /// The placeholder of a text. An empty one hides nothing and stays empty.
    fn add(&self, text: &Arc<str>) -> Arc<str> {
        let mut values = self.values();
        if text.is_empty() || values.contains_key(text) {
            return Arc::clone(text);
        }
        // A text made with a secret may become one itself; there are no secrets within secrets.
        let value: Arc<str> = match replace(text, |found| values.get(found).map(|value| &**value)) {
            Cow::Borrowed(_) => Arc::clone(text),
            Cow::Owned(revealed) => revealed.into(),
        };
        let mut mac = self.mac.clone();
        mac.update(value.as_bytes());
        let mut placeholder = START.to_owned();
        for byte in mac.finalize().into_bytes().iter().take(DIGITS / 2) {
            // Writing to a string cannot fail.
            _ = write!(placeholder, "{byte:02x}");
        }
        placeholder.push(')');
        let placeholder: Arc<str> = placeholder.into();
        values.insert(Arc::clone(&placeholder), value);
        placeholder
    }
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretStore({})", self.values().len())
    }
}

/// The secrets of one attempt, shared with the store that they come from: placeholders and values.
#[derive(Clone, Default)]
pub struct Secrets(
    /// Sorted by placeholder.
    Arc<[(Arc<str>, Arc<str>)]>,
);

impl Secrets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Placeholders and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(placeholder, value)| (&**placeholder, &**value))
    }

    /// A text with the values in the place of the placeholders: for what the tool gets, and nothing else.
    pub fn reveal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_empty() {
            return Cow::Borrowed(text);
        }
        replace(text, |found| {
            let index = self.0.binary_search_by(|(placeholder, _)| (**placeholder).cmp(found)).ok()?;
            self.0.get(index).map(|(_, value)| &**value)
        })
    }

    /// Whether a text mentions one of them.
    pub fn are_in(&self, text: &str) -> bool {
        matches!(self.reveal(text), Cow::Owned(_))
    }
}

/// Placeholders and values that travelled beside an attempt.
impl FromIterator<(Arc<str>, Arc<str>)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<str>)>>(pairs: I) -> Self {
        let sorted: BTreeMap<_, _> = pairs.into_iter().collect();
        Self(sorted.into_iter().collect())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// What looks like a placeholder, in order.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    const LENGTH: usize = START.len() + DIGITS + 1;
    text.match_indices(START).filter_map(|(at, _)| text.get(at..at + LENGTH))
}

/// A text with those placeholders replaced that `value` knows.
fn replace<'t, 'v>(text: &'t str, value: impl Fn(&str) -> Option<&'v str>) -> Cow<'t, str> {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some((placeholder, value)) = placeholders(rest).find_map(|found| Some((found, value(found)?))) {
        let (before, after) = rest.split_once(placeholder).unwrap_or((rest, ""));
        replaced.push_str(before);
        replaced.push_str(value);
        rest = after;
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    replaced.push_str(rest);
    Cow::Owned(replaced)
}

/// Calls `visit` for every text in which something may be mentioned. Locations and names are none.
fn each_text<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a str)) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => visit(text),
        Value::List(items) => items.iter().for_each(|item| each_text(item, visit)),
        Value::Map(entries) => entries.values().for_each(|item| each_text(item, visit)),
        Value::File(file) => {
            file.contents.iter().for_each(|contents| visit(contents));
            file.secondary_files.iter().chain(file.extra.values()).for_each(|item| each_text(item, visit));
        }
        Value::Directory(directory) => {
            let listing = directory.listing.iter().flat_map(|listing| listing.iter());
            listing.chain(directory.extra.values()).for_each(|item| each_text(item, visit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moil_cwl::json;

    fn store() -> SecretStore {
        SecretStore::new(&[7; 32])
    }

    fn hidden(store: &SecretStore, value: &str) -> Result<Value, &'static str> {
        store.hide(&json::parse(value).expect(value))
    }

    fn text(value: &Value) -> &str {
        value.as_str().expect("a string")
    }

    #[test]
    fn a_placeholder_tells_nothing_and_leads_back() {
        let store = store();
        let value = hidden(&store, r#""hunter2""#).unwrap();
        let placeholder = text(&value);
        assert!(placeholder.starts_with("(secret-") && placeholder.len() == 41, "{placeholder}");
        let secrets = store.mentioned(&value);
        let line = format!("user:{placeholder}@host {placeholder} (secret-) (secret-{})", "0".repeat(32));
        assert_eq!(
            secrets.reveal(&line),
            format!("user:hunter2@host hunter2 (secret-) (secret-{})", "0".repeat(32))
        );
        assert!(secrets.are_in(&line) && !secrets.are_in("(secret-"));
        assert!(!format!("{store:?} {secrets:?}").contains("hunter2"));
        let other = SecretStore::new(&[8; 32]);
        assert_ne!(hidden(&other, r#""hunter2""#).unwrap(), value, "it depends on the key");
        assert!(other.mentioned(&value).is_empty());
    }

    #[test]
    fn equal_values_are_kept_once_and_hidden_ones_are_not_hidden_again() {
        let store = store();
        let value = hidden(&store, r#"["a", "a", "b", ""]"#).unwrap();
        assert_eq!(store.hide(&value).unwrap(), value);
        assert_eq!(store.values().len(), 2);
        let items = value.as_list().unwrap();
        assert_eq!((&items[0], &items[3]), (&items[1], &Value::from("")));
    }

    #[test]
    fn a_text_made_with_a_secret_can_be_a_secret() {
        let store = store();
        let inner = hidden(&store, r#""hunter2""#).unwrap();
        let outer = store.hide(&Value::string(format!("me:{}", text(&inner)))).unwrap();
        let secrets = store.mentioned(&outer);
        assert_eq!(secrets.iter().count(), 1);
        assert_eq!(secrets.reveal(text(&outer)), "me:hunter2");
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_stays_what_it_is() {
        let store = store();
        let lookalike = format!("(secret-{})", "0".repeat(32));
        let value = store.hide(&Value::string(lookalike.clone())).unwrap();
        assert_eq!(store.mentioned(&value).reveal(text(&value)), lookalike);
    }

    #[test]
    fn file_literals_are_hidden_and_their_names_tell_nothing() {
        let store = store();
        let name = literal_name("hunter2");
        let file = format!(
            r#"{{"class": "File", "contents": "hunter2", "basename": "{name}", "checksum": "sha1$x",
                "secondaryFiles": [{{"class": "File", "contents": "hunter3", "basename": "key"}}]}}"#
        );
        let value = hidden(&store, &file).unwrap();
        let shown = format!("{value:?}");
        assert!(!shown.contains("hunter") && !shown.contains(&*name) && !shown.contains("sha1$"), "{shown}");
        assert!(shown.contains("key"), "{shown}");
        assert_eq!(store.mentioned(&value).iter().count(), 2);
    }

    #[test]
    fn texts_are_hidden_wherever_they_can_be() {
        let store = store();
        let value = r#"{"a": "one", "b": [1, {"class": "File", "location": "file:///x"}], "c": true}"#;
        let hidden = store.hide_texts(&json::parse(value).expect(value));
        assert!(text(hidden.field("a")).starts_with("(secret-"));
        assert_eq!(
            (hidden.field("b"), hidden.field("c")),
            (json::parse(value).unwrap().field("b"), &Value::Bool(true))
        );
    }

    #[test]
    fn a_placeholder_whose_value_is_gone_stands_for_itself() {
        let hidden = hidden(&store(), r#"["hunter2"]"#).unwrap();
        let other = store();
        assert!(!other.knows(&hidden));
        other.do_without(&hidden);
        assert!(other.knows(&hidden));
        let placeholder = text(&hidden.as_list().unwrap()[0]);
        assert_eq!(other.mentioned(&hidden).reveal(placeholder), placeholder);
        assert_eq!(other.hide(&hidden).unwrap(), hidden, "it is not hidden again");
    }

    #[test]
    fn only_secrets_that_are_mentioned_travel() {
        let store = store();
        let value = hidden(&store, r#"{"a": "one", "b": ["two"], "c": null}"#).unwrap();
        let mut inputs = ValueMap::new();
        inputs.insert("x".into(), Value::string(format!("-{}-", text(value.field("a")))));
        let secrets = store.mentioned(&Value::map(inputs));
        assert_eq!(secrets.iter().map(|(_, value)| value).collect::<Vec<_>>(), ["one"]);
    }

    #[test]
    fn what_cannot_be_hidden_is_refused_without_telling_it() {
        let check = |value: &str, what: &str| {
            let mut inputs = ValueMap::new();
            inputs.insert("pin".into(), json::parse(value).expect(value));
            let failure = store().hide_inputs(&["pin".into(), "absent".into()], &mut inputs).unwrap_err();
            assert!(failure.message.ends_with(what) && failure.message.contains("pin"), "{failure:?}");
            assert!(!format!("{failure:?}").contains("1234"));
        };
        check("1234", "a number");
        check("[\"x\", {\"port\": 1234}]", "a number");
        check("true", "a boolean");
        check(r#"{"class": "File", "location": "file:///1234"}"#, "a file on a disk");
        check(r#"{"class": "Directory", "location": "file:///1234"}"#, "a directory on a disk");
    }
}
