//! Values for job specifications and journals: what is written is read back exactly, digits and texts
//! of numbers included. In JSON a value looks like itself but for a few tagged mappings:
//! `{"$int": "digits"}`, `{"$float": "text"}`, `{"$class": "File", …}` and, around a mapping that has
//! a key with `$`, `{"$map": {…}}`.
//!
//! `path` is not written: it means something on one machine only ([`File::path`]).

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};

use crate::number::Number;
use crate::value::{Directory, File, Value, ValueMap};

/// How deep a value may be nested to be written; serde_json would not read back more than 128 levels,
/// and whoever holds the value needs some of them.
const MAX_DEPTH: usize = 110;

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tagged = |serializer: S, tag: &str, text: &str| {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(tag, text)?;
            map.end()
        };
        match self {
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Big(digits) => tagged(serializer, "$int", digits),
            Self::Float { text: Some(text), .. } => tagged(serializer, "$float", text),
            Self::Float { value, text: None } if value.is_finite() => serializer.serialize_f64(*value),
            Self::Float { value, text: None } => tagged(serializer, "$float", &value.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(number),
            _ => Err(de::Error::custom("a number is expected")),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Nested(self, 0).serialize(serializer)
    }
}

/// A value and how deep it lies.
struct Nested<'a>(&'a Value, usize);

/// A list and how deep it lies.
struct NestedList<'a>(&'a [Value], usize);

/// A mapping and how deep it lies.
struct NestedMap<'a>(&'a ValueMap, usize);

fn check_depth<E: serde::ser::Error>(depth: usize) -> Result<(), E> {
    if depth > MAX_DEPTH {
        return Err(E::custom(format!("the value is nested deeper than {MAX_DEPTH} levels")));
    }
    Ok(())
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, depth) = *self;
        match value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(number) => number.serialize(serializer),
            Value::String(text) => serializer.serialize_str(text),
            Value::List(items) => NestedList(items, depth).serialize(serializer),
            Value::Map(entries) if entries.keys().any(|key| key.starts_with('$')) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$map", &NestedMap(entries, depth + 1))?;
                map.end()
            }
            Value::Map(entries) => NestedMap(entries, depth).serialize(serializer),
            Value::File(file) => serialize_file(file, depth, serializer),
            Value::Directory(directory) => serialize_directory(directory, depth, serializer),
        }
    }
}

impl Serialize for NestedList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        check_depth(self.1)?;
        serializer.collect_seq(self.0.iter().map(|item| Nested(item, self.1 + 1)))
    }
}

impl Serialize for NestedMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        check_depth(self.1)?;
        serializer.collect_map(self.0.iter().map(|(key, item)| (key, Nested(item, self.1 + 1))))
    }
}

fn serialize_file<S: Serializer>(file: &File, depth: usize, serializer: S) -> Result<S::Ok, S::Error> {
    check_depth::<S::Error>(depth).map_err(S::Error::custom)?;
    let File {
        location,
        basename,
        checksum,
        size,
        secondary_files,
        has_secondary_files,
        format,
        contents,
        path: _,
        extra,
    } = file;
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("$class", "File")?;
    let texts = [
        ("location", location),
        ("basename", basename),
        ("checksum", checksum),
        ("format", format),
        ("contents", contents),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            map.serialize_entry(name, text)?;
        }
    }
    if let Some(size) = size {
        map.serialize_entry("size", size)?;
    }
    if *has_secondary_files || !secondary_files.is_empty() {
        map.serialize_entry("secondaryFiles", &NestedList(secondary_files, depth + 1))?;
    }
    if !extra.is_empty() {
        map.serialize_entry("extra", &NestedMap(extra, depth + 1))?;
    }
    map.end()
}

fn serialize_directory<S: Serializer>(
    directory: &Directory,
    depth: usize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    check_depth::<S::Error>(depth).map_err(S::Error::custom)?;
    let Directory { location, basename, listing, path: _, extra } = directory;
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("$class", "Directory")?;
    for (name, text) in [("location", location), ("basename", basename)] {
        if let Some(text) = text {
            map.serialize_entry(name, text)?;
        }
    }
    if let Some(listing) = listing {
        map.serialize_entry("listing", &NestedList(listing, depth + 1))?;
    }
    if !extra.is_empty() {
        map.serialize_entry("extra", &NestedMap(extra, depth + 1))?;
    }
    map.end()
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of CWL")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Number::parse(&value.to_string()).map(Value::Number).map_err(E::custom)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::list(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some(first) = map.next_key::<Arc<str>>()? else { return Ok(Value::map(ValueMap::new())) };
        match &*first {
            "$int" => number(&map.next_value::<String>()?).map(Value::Number).map_err(de::Error::custom),
            "$float" => Ok(Value::Number(float(&map.next_value::<String>()?).map_err(de::Error::custom)?)),
            "$map" => Ok(Value::map(map.next_value::<Entries>()?.0)),
            "$class" => match map.next_value::<String>()?.as_str() {
                "File" => file(map),
                "Directory" => directory(map),
                other => Err(de::Error::unknown_variant(other, &["File", "Directory"])),
            },
            tag if tag.starts_with('$') => {
                Err(de::Error::unknown_field(tag, &["$int", "$float", "$map", "$class"]))
            }
            _ => {
                let value = map.next_value()?;
                let mut entries = ValueMap::from([(first, value)]);
                while let Some((key, value)) = map.next_entry()? {
                    entries.insert(key, value);
                }
                Ok(Value::map(entries))
            }
        }
    }
}

/// A mapping whose keys have no meaning.
struct Entries(ValueMap);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ValueMap::deserialize(deserializer).map(Entries)
    }
}

fn number(text: &str) -> Result<Number, String> {
    Number::parse(text).map_err(|error| error.to_string())
}

fn float(text: &str) -> Result<Number, String> {
    match text {
        "NaN" => Ok(Number::from(f64::NAN)),
        "inf" => Ok(Number::from(f64::INFINITY)),
        "-inf" => Ok(Number::from(f64::NEG_INFINITY)),
        _ => {
            let value = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
            Ok(Number::Float { value, text: Some(text.into()) })
        }
    }
}

fn file<'de, A: MapAccess<'de>>(mut map: A) -> Result<Value, A::Error> {
    let mut file = File::default();
    while let Some(field) = map.next_key::<String>()? {
        match field.as_str() {
            "location" => file.location = Some(map.next_value()?),
            "basename" => file.basename = Some(map.next_value()?),
            "checksum" => file.checksum = Some(map.next_value()?),
            "format" => file.format = Some(map.next_value()?),
            "contents" => file.contents = Some(map.next_value()?),
            "size" => file.size = Some(map.next_value()?),
            "secondaryFiles" => {
                file.secondary_files = map.next_value()?;
                file.has_secondary_files = true;
            }
            "extra" => file.extra = Arc::new(map.next_value::<Entries>()?.0),
            other => return Err(de::Error::custom(format!("a File has no field {other:?}"))),
        }
    }
    Ok(Value::File(Arc::new(file)))
}

fn directory<'de, A: MapAccess<'de>>(mut map: A) -> Result<Value, A::Error> {
    let mut directory = Directory::default();
    while let Some(field) = map.next_key::<String>()? {
        match field.as_str() {
            "location" => directory.location = Some(map.next_value()?),
            "basename" => directory.basename = Some(map.next_value()?),
            "listing" => directory.listing = Some(map.next_value()?),
            "extra" => directory.extra = Arc::new(map.next_value::<Entries>()?.0),
            other => return Err(de::Error::custom(format!("a Directory has no field {other:?}"))),
        }
    }
    Ok(Value::Directory(Arc::new(directory)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use proptest::prelude::*;

    fn round_trip(value: &Value) -> (String, Value) {
        let text = serde_json::to_string(value).expect("a value can be written");
        let read = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        (text, read)
    }

    #[test]
    fn values_are_written_like_themselves_but_for_the_tags() {
        let cases = [
            ("null", "null"),
            ("[true, 1, -1, \"é\"]", "[true,1,-1,\"é\"]"),
            ("{}", "{}"),
            ("1.10", r#"{"$float":"1.10"}"#),
            (
                "1000000000000000000000000000000000000000000",
                r#"{"$int":"1000000000000000000000000000000000000000000"}"#,
            ),
            (r#"{"b": {"$int": "5"}, "a": 1}"#, r#"{"b":{"$map":{"$int":"5"}},"a":1}"#),
            (r#"{"a": 1, "$class": "File"}"#, r#"{"$map":{"a":1,"$class":"File"}}"#),
            (
                r#"{"class": "File", "location": "file:///a", "size": 3, "contents": "", "x": {"$y": 1},
                    "secondaryFiles": [{"class": "Directory", "basename": "d", "listing": [], "z": null}]}"#,
                r#"{"$class":"File","location":"file:///a","contents":"","size":3,"secondaryFiles":[{"$class":"Directory","basename":"d","listing":[],"extra":{"z":null}}],"extra":{"x":{"$map":{"$y":1}}}}"#,
            ),
        ];
        for (text, wire) in cases {
            let value = json::parse(text).expect(text);
            let (written, read) = round_trip(&value);
            assert_eq!(written, wire);
            // Debug also compares the texts of numbers, which equality ignores.
            assert_eq!(format!("{read:?}"), format!("{value:?}"));
        }
    }

    #[test]
    fn a_path_is_never_written() {
        let file =
            json::parse(r#"{"class": "File", "location": "file:///a", "path": "/stage/a"}"#).expect("JSON");
        assert!(!round_trip(&file).0.contains("stage"));
    }

    #[test]
    fn the_deepest_value_that_is_read_can_be_stored_inside_a_record() {
        let deepest =
            json::parse(&("[".repeat(json::MAX_DEPTH) + &"]".repeat(json::MAX_DEPTH))).expect("JSON");
        assert_eq!(round_trip(&deepest).1, deepest);
        let mut too_deep = Value::Null;
        for _ in 0..200 {
            too_deep = Value::list(vec![too_deep]);
        }
        assert!(serde_json::to_string(&too_deep).is_err());
    }

    #[test]
    fn unknown_tags_are_refused() {
        for text in [
            r#"{"$what": 1}"#,
            r#"{"$class": "Dirent"}"#,
            r#"{"$int": "x"}"#,
            r#"{"$class": "File", "path": "/x"}"#,
        ] {
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i128>().prop_map(|n| Value::Number(Number::parse(&n.to_string()).expect("digits"))),
            "[$a-z]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let files = prop::collection::vec(inner.clone(), 0..3);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::list),
                prop::collection::vec(("[$a-c]{0,3}|\\$class|class", inner), 0..4).prop_map(|entries| {
                    Value::map(entries.into_iter().map(|(k, v)| (k.into(), v)).collect())
                }),
                (any::<Option<u64>>(), files.clone()).prop_map(|(size, secondary)| Value::File(Arc::new(
                    File {
                        size,
                        has_secondary_files: true,
                        secondary_files: Arc::new(secondary),
                        ..File::default()
                    }
                ))),
                files.prop_map(|listing| Value::Directory(Arc::new(Directory {
                    listing: Some(Arc::new(listing)),
                    ..Directory::default()
                }))),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_survives(value in any_value()) {
            prop_assert_eq!(format!("{:?}", round_trip(&value).1), format!("{value:?}"));
        }
    }
}
