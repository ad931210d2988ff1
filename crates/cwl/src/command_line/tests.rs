use crate::job_fixture::{Fixture, input, place, text, tool};
use crate::number::Number;
use crate::types::{ArrayType, EnumType, RecordField, RecordType};

use super::*;

const INPUTS: &str = r#"{
    "n": 3, "s": "a b", "empty": "", "none": null, "yes": true, "no": false,
    "tiny": 1.23e-5, "big": 1e42, "whole": 1000000000000000000000000000000000000000000, "plain": 123000.0,
    "f": {"class": "File", "basename": "x.txt", "path": "/in/x.txt", "location": "file:///other/x.txt"},
    "d": {"class": "Directory", "basename": "d", "path": "/in/d", "location": "file:///d"},
    "list": ["a", "b", "c"], "none_list": [], "nested": [["a", "b"], [], ["c"]], "bools": [true, false],
    "record": {"x": 1, "y": "z", "extra": 5}, "records": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}], "mixed": ["a", 1, null, {"class": "File", "path": "/p"}],
    "files": [{"class": "File", "path": "/p"}, {"class": "File", "path": "/q"}]
}"#;

/// A binding in the notation of documents.
fn binding(fields: &str) -> CommandLineBinding {
    let fields = crate::json::parse(fields).expect(fields);
    let string = |name: &str| fields.field(name).as_str().map(Arc::from);
    let boolean = |name: &str| fields.field(name) != &Value::Bool(false);
    CommandLineBinding {
        position: match fields.field("position") {
            Value::Number(number) => Some(NumberOrText::Number(number.clone())),
            Value::String(position) => Some(NumberOrText::Text(text(position))),
            _ => None,
        },
        prefix: string("prefix"),
        separate: boolean("separate"),
        item_separator: string("itemSeparator"),
        value_from: string("valueFrom").map(|value_from: Arc<str>| text(&value_from)),
        shell_quote: boolean("shellQuote"),
        ..plain_binding(&place())
    }
}

fn array(items: Type, own: Option<&str>) -> Type {
    Type::Array(Arc::new(ArrayType { items, binding: own.map(binding) }))
}

fn union(types: &[Type]) -> Type {
    Type::Union(Arc::new(types.to_vec()))
}

fn field(name: &str, type_: Type, own: Option<&str>) -> RecordField {
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
        input_binding: own.map(binding),
        output_binding: None,
    }
}

fn record(fields: Vec<RecordField>, own: Option<&str>) -> Type {
    Type::Record(Arc::new(RecordType { name: None, fields, binding: own.map(binding) }))
}

fn with_inputs(
    parameters: &[(&str, Type, Option<&str>)],
    arguments: Vec<Argument>,
) -> Result<Vec<String>, String> {
    let mut tool = tool();
    tool.base_command = vec!["cmd".into()];
    tool.arguments = arguments;
    for (name, type_, own) in parameters {
        let mut parameter = input(name, type_.clone());
        parameter.binding = own.map(binding);
        tool.common.inputs.push(parameter);
    }
    Fixture::new(INPUTS)
        .with(|context| words(&tool, context))
        .map(|words| words.into_iter().skip(1).map(|word| word.text).collect())
        .map_err(|error| error.to_string())
}

fn check(name: &str, type_: Type, own: Option<&str>, expected: &[&str]) {
    let words = with_inputs(&[(name, type_, own)], Vec::new());
    assert_eq!(words, Ok(expected.iter().map(|word| (*word).to_owned()).collect()), "{name} {own:?}");
}

#[test]
fn scalars_become_words() {
    for (name, type_, own, expected) in [
        ("n", Type::Int, Some("{}"), &["3"][..]),
        ("n", Type::Int, None, &[]),
        ("n", Type::Int, Some(r#"{"prefix": "-n"}"#), &["-n", "3"]),
        ("n", Type::Int, Some(r#"{"prefix": "-n", "separate": false}"#), &["-n3"]),
        ("s", Type::String, Some("{}"), &["a b"]),
        ("empty", Type::String, Some(r#"{"prefix": "-e"}"#), &["-e", ""]),
        ("none", union(&[Type::Null, Type::Int]), Some(r#"{"prefix": "-n"}"#), &[]),
        ("none", Type::Null, Some(r#"{"valueFrom": "never"}"#), &[]),
        ("missing", union(&[Type::Null, Type::Int]), Some("{}"), &[]),
        ("yes", Type::Boolean, Some(r#"{"prefix": "-y"}"#), &["-y"]),
        ("no", Type::Boolean, Some(r#"{"prefix": "-y"}"#), &[]),
        ("yes", Type::Boolean, Some("{}"), &[]),
        ("f", Type::File, Some("{}"), &["/in/x.txt"]),
        ("d", Type::Directory, Some(r#"{"prefix": "-d"}"#), &["-d", "/in/d"]),
        ("f", Type::Any, Some("{}"), &["/in/x.txt"]),
        ("f", union(&[Type::Null, Type::Directory, Type::File]), Some("{}"), &["/in/x.txt"]),
    ] {
        check(name, type_, own, expected);
    }
}

#[test]
fn numbers_have_no_exponents() {
    for (name, expected) in [
        ("tiny", "0.0000123"),
        ("whole", "1000000000000000000000000000000000000000000"),
        ("big", "1000000000000000000000000000000000000000000"),
    ] {
        check(name, Type::Double, Some("{}"), &[expected]);
    }
}

#[test]
fn arrays_have_one_prefix_and_then_their_items() {
    let strings = || array(Type::String, None);
    for (name, type_, own, expected) in [
        ("list", strings(), Some(r#"{"prefix": "-l"}"#), &["-l", "a", "b", "c"][..]),
        ("list", strings(), None, &[]),
        ("list", array(Type::String, Some(r#"{"prefix": "-l"}"#)), None, &["-l", "a", "-l", "b", "-l", "c"]),
        (
            "list",
            array(Type::String, Some(r#"{"prefix": "-Y"}"#)),
            Some(r#"{"prefix": "-X"}"#),
            &["-X", "-Y", "a", "-Y", "b", "-Y", "c"],
        ),
        (
            "list",
            array(Type::String, Some(r#"{"prefix": "-Y", "separate": false}"#)),
            Some("{}"),
            &["-Ya", "-Yb", "-Yc"],
        ),
        (
            "list",
            strings(),
            Some(r#"{"prefix": "-I", "itemSeparator": ",", "separate": false}"#),
            &["-Ia,b,c"],
        ),
        ("list", strings(), Some(r#"{"prefix": "-I", "itemSeparator": ","}"#), &["-I", "a,b,c"]),
        ("none_list", strings(), Some(r#"{"prefix": "-l"}"#), &[]),
        ("none_list", strings(), Some(r#"{"prefix": "-l", "itemSeparator": ","}"#), &[]),
        ("nested", array(strings(), None), Some("{}"), &["a", "b", "c"]),
        (
            "nested",
            array(array(Type::String, Some(r#"{"prefix": "-i"}"#)), None),
            None,
            &["-i", "a", "-i", "b", "-i", "c"],
        ),
        ("bools", array(Type::Boolean, Some(r#"{"prefix": "-b"}"#)), None, &["-b"]),
        ("list", strings(), Some(r#"{"prefix": "-v", "valueFrom": "replaced"}"#), &["-v", "replaced"]),
        ("list", strings(), Some(r#"{"prefix": "-v", "valueFrom": "$(self)"}"#), &["-v", "a", "b", "c"]),
        ("list", strings(), Some(r#"{"valueFrom": "$(self)", "itemSeparator": ":"}"#), &["a:b:c"]),
        ("list", array(Type::String, Some(r#"{"valueFrom": "<$(self)>"}"#)), None, &["<a>", "<b>", "<c>"]),
        ("list", Type::Any, Some(r#"{"prefix": "-l"}"#), &["-l", "a", "b", "c"]),
        ("files", array(Type::File, None), Some(r#"{"itemSeparator": ","}"#), &["/p,/q"]),
        ("mixed", Type::Any, Some("{}"), &["a", "1", "/p"]),
    ] {
        check(name, type_, own, expected);
    }
}

#[test]
fn records_bind_their_fields() {
    let fields =
        |x: Option<&str>, y: Option<&str>| vec![field("x", Type::Int, x), field("y", Type::String, y)];
    for (type_, own, expected) in [
        (
            record(fields(Some(r#"{"prefix": "-x"}"#), Some(r#"{"prefix": "-y"}"#)), None),
            None,
            &["-x", "1", "-y", "z"][..],
        ),
        (record(fields(Some(r#"{"position": 2}"#), Some(r#"{"position": 1}"#)), None), None, &["z", "1"]),
        (record(fields(Some("{}"), None), None), Some(r#"{"prefix": "-r"}"#), &["-r", "1"]),
        (record(fields(Some("{}"), None), Some(r#"{"prefix": "-t"}"#)), None, &["-t", "1"]),
        (record(fields(Some("{}"), None), None), Some(r#"{"valueFrom": "$(self.y)"}"#), &["z"]),
        (record(fields(None, None), None), Some("{}"), &[]),
    ] {
        check("record", type_, own, expected);
    }
}

#[test]
fn a_union_binds_as_the_alternative_that_the_value_fits() {
    let alternatives = union(&[
        Type::Null,
        array(Type::Int, Some(r#"{"prefix": "--ints"}"#)),
        array(Type::String, Some(r#"{"prefix": "--strings"}"#)),
        record(vec![field("other", Type::Int, Some("{}"))], None),
        record(vec![field("x", Type::Int, Some(r#"{"prefix": "-x"}"#))], None),
    ]);
    check("list", alternatives.clone(), None, &["--strings", "a", "--strings", "b", "--strings", "c"]);
    check("record", alternatives.clone(), None, &["-x", "1"]);
    let message = with_inputs(&[("s", alternatives, None)], Vec::new()).expect_err("fits nothing");
    assert!(message.contains("s is a string"), "{message}");
}

#[test]
fn enumerations_may_have_a_binding_of_their_own() {
    let symbols = |own: Option<&str>| {
        Type::Enum(Arc::new(EnumType { name: None, symbols: vec!["a b".into()], binding: own.map(binding) }))
    };
    check("s", symbols(None), Some(r#"{"prefix": "-s"}"#), &["-s", "a b"]);
    check("s", symbols(Some(r#"{"prefix": "-s"}"#)), None, &["-s", "a b"]);
    check("s", union(&[Type::Null, symbols(Some("{}"))]), None, &["a b"]);
}

#[test]
fn words_are_sorted_by_position_then_arguments_then_names() {
    let argument = |own: &str| Argument::Binding(binding(own));
    let words = with_inputs(
        &[
            ("s", Type::String, Some("{}")),
            ("n", Type::Int, Some("{}")),
            ("f", Type::File, Some(r#"{"position": -1}"#)),
            ("d", Type::Directory, Some(r#"{"position": "$(1 + 1)"}"#)),
            (
                "record",
                record(vec![field("x", Type::Int, Some(r#"{"position": 9}"#))], None),
                Some(r#"{"position": 1, "prefix": "-r"}"#),
            ),
            ("list", array(Type::String, Some(r#"{"position": 3}"#)), None),
        ],
        vec![
            Argument::Text(text("first")),
            argument(r#"{"position": 2, "valueFrom": "two"}"#),
            argument(r#"{"position": "$(null)", "valueFrom": "second"}"#),
            argument(r#"{"position": "$(inputs.n)", "valueFrom": "three"}"#),
            Argument::Text(text("$(inputs.s)")),
            argument(r#"{"prefix": "-E", "valueFrom": "$(false)"}"#),
            argument(r#"{"prefix": "-D", "valueFrom": "$(true)"}"#),
            argument(r#"{"prefix": "-N", "valueFrom": "$(self)"}"#),
        ],
    );
    let expected = [
        "/in/x.txt",
        "first",
        "second",
        "a b",
        "-D",
        "3",
        "a b",
        "-r",
        "1",
        "two",
        "/in/d",
        "three",
        "a",
        "b",
        "c",
    ];
    assert_eq!(words, Ok(expected.map(str::to_owned).into()));
}

#[test]
fn positions_see_the_value_and_must_be_whole() {
    let words = with_inputs(
        &[("n", Type::Int, Some(r#"{"position": "$(-self)"}"#)), ("s", Type::String, Some("{}"))],
        vec![Argument::Text(text("x"))],
    );
    assert_eq!(words, Ok(["3", "x", "a b"].map(str::to_owned).into()));
    for (own, reason) in [
        (r#"{"position": "$('x')"}"#, "position is a string"),
        (r#"{"position": "$(1.5)"}"#, "must be an int"),
    ] {
        let message = with_inputs(&[("n", Type::Int, Some(own))], Vec::new()).expect_err(own);
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn shell_quote_is_of_the_binding_alone() {
    let mut tool = tool();
    tool.base_command = vec!["echo".into()];
    tool.arguments = vec![Argument::Binding(binding(r#"{"shellQuote": false, "valueFrom": "&&"}"#))];
    let mut list = input("list", array(Type::String, None));
    list.binding = Some(binding(r#"{"shellQuote": false, "prefix": "-l"}"#));
    tool.common.inputs.push(list);
    let words = Fixture::new(INPUTS).with(|context| words(&tool, context)).expect("words");
    let shown: Vec<(&str, bool)> = words.iter().map(|word| (word.text.as_str(), word.quote)).collect();
    assert_eq!(shown, [("echo", true), ("&&", false), ("-l", false), ("a", true), ("b", true), ("c", true)]);
}

#[test]
fn values_nested_too_deeply_are_refused() {
    let mut value = Value::Number(Number::Int(1));
    for _ in 0..200 {
        value = Value::list(vec![value]);
    }
    let mut tool = tool();
    let mut deep = input("deep", Type::Any);
    deep.binding = Some(binding("{}"));
    tool.common.inputs.push(deep);
    let inputs = Value::map([("deep".into(), value)].into_iter().collect());
    let message = Fixture::of(inputs).with(|context| words(&tool, context)).expect_err("deep").to_string();
    assert!(message.contains("nested"), "{message}");
}

#[test]
fn a_file_that_is_not_staged_has_no_word() {
    let own = r#"{"valueFrom": "$({'class': 'File', 'location': 'file:///x', 'basename': 'x'})"}"#;
    let message = with_inputs(&[("n", Type::Int, Some(own))], Vec::new()).expect_err("no path");
    assert!(message.contains("a File (x) has no path"), "{message}");
}

#[test]
fn the_words_of_one_record_stay_together() {
    let item = |own: Option<&str>| {
        let fields = vec![
            field("x", Type::Int, Some(r#"{"position": 2}"#)),
            field("y", Type::String, Some(r#"{"position": 1}"#)),
        ];
        record(fields, own)
    };
    check("records", array(item(None), None), None, &["a", "1", "b", "2"]);
    check("records", array(item(None), None), Some("{}"), &["a", "1", "b", "2"]);
    check("records", array(item(None), Some(r#"{"prefix": "-r"}"#)), None, &["-r", "a", "1", "-r", "b", "2"]);
    check("records", array(item(Some(r#"{"prefix": "-r"}"#)), None), None, &["-r", "a", "1", "-r", "b", "2"]);
}
