use std::sync::Arc;

use super::*;
use crate::types::{ArrayType, RecordField};
use crate::value::{Directory, File};

fn field(name: &str, type_: Type) -> RecordField {
    RecordField {
        name: name.into(),
        type_,
        label: None,
        doc: None,
        secondary_files: Vec::new(),
        format: Vec::new(),
        streamable: false,
        load_contents: false,
        load_listing: None,
        input_binding: None,
        output_binding: None,
    }
}

fn record(fields: &[(&str, Type)]) -> Type {
    Type::Record(Arc::new(RecordType {
        name: None,
        fields: fields.iter().map(|(name, type_)| field(name, type_.clone())).collect(),
        binding: None,
    }))
}

fn array(items: Type) -> Type {
    Type::Array(Arc::new(ArrayType { items, binding: None }))
}

fn union(types: &[Type]) -> Type {
    Type::Union(Arc::new(types.to_vec()))
}

fn symbols(names: &[&str]) -> Type {
    Type::Enum(Arc::new(EnumType {
        name: None,
        symbols: names.iter().map(|&name| name.into()).collect(),
        binding: None,
    }))
}

fn map(entries: &[(&str, Value)]) -> Value {
    Value::map(entries.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect())
}

fn list(items: &[Value]) -> Value {
    Value::list(items.to_vec())
}

fn file(name: &str) -> Value {
    Value::File(Arc::new(File { basename: Some(name.into()), ..File::default() }))
}

fn written(value: f64, text: &str) -> Value {
    Value::Number(Number::Float { value, text: Some(text.into()) })
}

fn big(digits: &str) -> Value {
    Value::Number(Number::Big(digits.into()))
}

#[test]
fn fitting_values_fit() {
    let directory = Value::Directory(Arc::new(Directory::default()));
    let cases = [
        (Value::Null, Type::Null),
        (true.into(), Type::Boolean),
        (i64::from(i32::MAX).into(), Type::Int),
        (i64::from(i32::MIN).into(), Type::Int),
        (i64::MAX.into(), Type::Long),
        (3.0.into(), Type::Int),
        (7.into(), Type::Double),
        (big("1000000000000000000000"), Type::Float),
        ("".into(), Type::String),
        ("a".into(), symbols(&["a", "b"])),
        (file("x"), Type::File),
        (directory, Type::Directory),
        ("null".into(), Type::Any),
        (false.into(), Type::Any),
        (list(&[]), array(Type::File)),
        (list(&[1.into(), "x".into()]), array(union(&[Type::Int, Type::String]))),
        (map(&[("a", 1.into()), ("more", 2.into())]), record(&[("a", Type::Int)])),
        (map(&[]), record(&[("a", union(&[Type::Null, Type::Int]))])),
        (Value::Null, union(&[Type::Null, Type::File])),
    ];
    for (value, type_) in cases {
        assert_eq!(check(&value, &type_, "x"), Ok(()), "{value:?} as {type_:?}");
    }
}

#[test]
fn a_mismatch_names_part_and_type() {
    let settings = record(&[("a", Type::Int), ("b", array(Type::String))]);
    let cases = [
        (Value::Null, Type::Any, "x is null, but must be anything but null"),
        (true.into(), Type::Int, "x is a boolean (true), but must be int"),
        (
            2_147_483_648.into(),
            Type::Int,
            "x is a number (2147483648), but must be int: a whole number of 32 bits",
        ),
        (
            (-2_147_483_649).into(),
            Type::Int,
            "x is a number (-2147483649), but must be int: a whole number of 32 bits",
        ),
        (
            big("9223372036854775808"),
            Type::Long,
            "x is a number (9223372036854775808), but must be long: a whole number of 64 bits",
        ),
        (1e300.into(), Type::Long, "but must be long: a whole number of 64 bits"),
        (written(3.0, "3.0"), Type::Int, "x is a number (3.0), but must be int"),
        (1.5.into(), Type::Long, "x is a number (1.5), but must be long"),
        ("1".into(), Type::Int, "x is a string (\"1\"), but must be int"),
        (1.into(), Type::String, "x is a number (1), but must be string"),
        ("c".into(), symbols(&["a", "b"]), "x is a string (\"c\"), but must be one of \"a\", \"b\""),
        (1.into(), symbols(&["a"]), "x is a number (1), but must be \"a\""),
        (file("r.fq"), array(Type::File), "x is a File (r.fq), but must be File[]"),
        ("r.fq".into(), Type::File, "x is a string (\"r.fq\"), but must be File"),
        (file("d"), Type::Directory, "x is a File (d), but must be Directory"),
        (list(&[1.into(), Value::Null]), array(Type::Int), "x[1] is null, but must be int"),
        (map(&[("a", 1.into())]), settings.clone(), "x.b is missing, but must be string[]"),
        (map(&[("a", Value::Null), ("b", list(&[]))]), settings.clone(), "x.a is null, but must be int"),
        (
            list(&[map(&[("a", 1.into()), ("b", list(&[2.into()]))])]),
            array(settings.clone()),
            "x[0].b[0] is a number (2), but must be string",
        ),
        (1.5.into(), union(&[Type::Null, Type::Int, Type::String]), "but must be null, int or string"),
        (
            list(&["a".into(), 1.into()]),
            union(&[Type::Null, Type::String, array(Type::String)]),
            "x[1] is a number (1), but must be string",
        ),
        (
            map(&[("a", 1.into()), ("b", list(&[2.into()]))]),
            union(&[record(&[("z", Type::Int)]), settings]),
            "x.b[0] is a number (2), but must be string",
        ),
        (
            i64::MAX.into(),
            union(&[Type::Null, Type::Int]),
            "x is a number (9223372036854775807), but must be int: a whole number of 32 bits",
        ),
    ];
    for (value, type_, expected) in cases {
        let message = check(&value, &type_, "x").expect_err("a mismatch").to_string();
        assert!(message.ends_with(expected), "{message}\nshould end with\n{expected}");
    }
}

#[test]
fn the_alternative_that_knows_all_fields_is_selected() {
    let narrow = record(&[("a", Type::Int)]);
    let wide = record(&[("a", Type::Int), ("b", Type::Int)]);
    let both = union(&[narrow.clone(), wide.clone(), Type::String]);
    let cases = [
        (map(&[("a", 1.into())]), Some(&narrow)),
        (map(&[("a", 1.into()), ("b", 2.into())]), Some(&wide)),
        (map(&[("a", 1.into()), ("c", 2.into())]), Some(&narrow)),
        ("x".into(), Some(&Type::String)),
        (1.into(), None),
    ];
    for (value, expected) in cases {
        assert_eq!(select(&value, &both), expected, "{value:?}");
    }
    assert_eq!(select(&1.into(), &union(&[Type::Float, Type::Int])), Some(&Type::Float));
    assert_eq!(select(&Value::Null, &Type::Any), None);
}

#[test]
fn unexpected_fields_are_told_by_path() {
    let type_ = record(&[("rows", array(record(&[("a", Type::Int)])))]);
    let value = map(&[
        ("rows", list(&[map(&[("a", 1.into())]), map(&[("a", 1.into()), ("colour", 1.into())])])),
        ("size", 2.into()),
    ]);
    assert_eq!(unexpected_fields(&value, &type_), ["rows[1].colour", "size"]);
}
