use super::*;
use crate::preparing_fixture::{array, common, field, input, json, node, optional, record, symbols, value};
use crate::process::Common;

fn process() -> Common {
    let documented =
        crate::parameter::Input { doc: Some("Reads to align.".into()), ..input("r", array(Type::File)) };
    let with_default =
        crate::parameter::Input { default: value("\"bob\""), ..input("my-name", Type::String) };
    let mut y = field("y", Type::String);
    y.doc = Some("why".into());
    let union = Type::Union(Arc::new(vec![Type::Int, Type::Boolean, Type::String]));
    let deep = array(array(Type::Int));
    let mut process = common(
        vec![
            with_default,
            input("n", Type::Int),
            input("opt", optional(Type::Float)),
            documented,
            input("d", Type::Directory),
            input("flag", Type::Boolean),
            input("e", symbols(&["a", "b"])),
            input("u", union),
            input("deep", deep),
            input(
                "rec",
                record(vec![
                    field("x", Type::Int),
                    y,
                    field("in", record(vec![field("z", array(Type::Int))])),
                ]),
            ),
            input("ss", optional(array(Type::String))),
            input("f_one", optional(Type::File)),
            input("l", Type::Long),
        ],
        Vec::new(),
    );
    process.doc = Some("Does a thing.".into());
    process
}

fn read(words: &[&str]) -> Result<String, String> {
    let words: Vec<_> = words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => ((*word).to_owned(), None),
        })
        .collect();
    parse(&process(), &words, "file:///cwd/")
        .map(|values| json(&Value::map(values)))
        .map_err(|error| error.to_string())
}

#[test]
fn words_become_values() {
    let cases: [(&[&str], &str); 19] = [
        (&["-u=3"], r#"{"u":3}"#),
        (&["-u=true"], r#"{"u":true}"#),
        (&["-u=x"], r#"{"u":"x"}"#),
        (&[], "{}"),
        (&["--my-name=alice"], r#"{"my-name":"alice"}"#),
        (&["--my_name=7"], r#"{"my-name":"7"}"#),
        (&["-n=-3"], r#"{"n":-3}"#),
        (&["l=9223372036854775807"], r#"{"l":9223372036854775807}"#),
        (&["--opt=1.5e3"], r#"{"opt":1500.0}"#),
        (&["--opt=4"], r#"{"opt":4}"#),
        (&["--flag"], r#"{"flag":true}"#),
        (&["--flag=False"], r#"{"flag":false}"#),
        (&["-e=b"], r#"{"e":"b"}"#),
        (&["--ss=x", "-n=1", "--ss=y"], r#"{"ss":["x","y"],"n":1}"#),
        (&["-n=1", "-n=2"], r#"{"n":2}"#),
        (
            &["--rec.x=1", "--rec.y=b", "--rec.in.z=1", "--rec.in.z=2"],
            r#"{"rec":{"x":1,"y":"b","in":{"z":[1,2]}}}"#,
        ),
        (
            &["--f-one=a #1.txt"],
            r#"{"f_one":{"class":"File","location":"file:///cwd/a%20%231.txt","basename":"a #1.txt","nameroot":"a #1","nameext":".txt"}}"#,
        ),
        (
            &["-r=s3://b/x"],
            r#"{"r":[{"class":"File","location":"s3://b/x","basename":"x","nameroot":"x","nameext":""}]}"#,
        ),
        (&["-d=../d/"], r#"{"d":{"class":"Directory","location":"file:///d","basename":"d"}}"#),
    ];
    for (words, expected) in cases {
        assert_eq!(read(words).as_deref(), Ok(expected), "{words:?}");
    }
}

#[test]
fn wrong_words_are_told() {
    for (word, part) in [
        ("--my-name", "--my-name: a value is expected"),
        ("-n=x", "-n: \"x\" is not int"),
        ("-n=1.5", "is not int"),
        ("-n=3000000000", "too large for an int"),
        ("--opt=nan", "is not float"),
        ("-e=c", "-e: \"c\" is not one of \"a\", \"b\""),
        ("--flag=3", "--flag: \"3\" is not boolean"),
        ("--deep=3", "--deep: values of type int[][] need an input object"),
        ("--rec=3", "values of type record need an input object"),
        ("--other=3", "--other is no input of the process; its inputs are --my-name, -n,"),
        ("-r=d/", "ends in a slash"),
    ] {
        let message = read(&[word]).expect_err(word);
        assert!(message.contains(part), "{word}: {message}");
    }
}

#[test]
fn flags_are_known() {
    for (name, expected) in [("--flag", true), ("flag", true), ("-n", false), ("-u", false), ("--x", false)] {
        assert_eq!(is_flag(&process(), name), expected, "{name}");
    }
}

#[test]
fn help_shows_all_options() {
    let expected = "\
usage: t.cwl [-h] [--my-name MY_NAME] -n N [--opt OPT] -r R [-r R …] -d D --flag -e {a,b} -u U
    --rec.x REC.X --rec.y REC.Y --rec.in.z REC.IN.Z [--rec.in.z REC.IN.Z …] [--ss SS …]
    [--f_one F_ONE] -l L [job_order]

Does a thing.

positional arguments:
  job_order             input object, a JSON or YAML file

options:
  -h, --help            show this help message and exit
  --my-name MY_NAME     (string, default \"bob\")
  -n N                  (int)
  --opt OPT             (float, optional)
  -r R                  Reads to align. (File[])
  -d D                  (Directory)
  --flag                (boolean)
  -e {a,b}              (one of \"a\", \"b\")
  -u U                  (int, boolean or string)
  --rec.x REC.X         (int)
  --rec.y REC.Y         why (string)
  --rec.in.z REC.IN.Z   (int[])
  --ss SS               (string[], optional)
  --f_one F_ONE         (File, optional)
  -l L                  (long)

only in an input object: deep
";
    assert_eq!(help(&process(), "t.cwl"), expected);
}

#[test]
fn a_template_is_an_input_object() {
    let expected = r#"my-name: "bob"  # default, type "string"
"n": 0  # type "int"
opt: 0.1  # type "float" (optional)
r:  # array of type "File"
  - class: "File"
    path: "a/file/path"
d:  # type "Directory"
  class: "Directory"
  path: "a/directory/path"
flag: false  # type "boolean"
e: "a"  # one of "a", "b"
u: 0  # one of int, boolean, string
deep:  # array of array of type "int"
  -
    - 0
rec:  # record
  x: 0
  "y": "a_string"
  in:
    z:
      - 0
ss:  # array of type "string" (optional)
  - "a_string"
f_one:  # type "File" (optional)
  class: "File"
  path: "a/file/path"
l: 0  # type "long"
"#;
    let text = template(&process());
    assert_eq!(text, expected);
    let read_back = crate::json::from_node(&node("file:///t.yml", &text));
    for input in &process().inputs {
        let found = read_back.field(&input.name);
        assert!(crate::conform::fits(&input.type_, found), "{}: {found:?}", input.name);
    }
    assert_eq!(template(&common(Vec::new(), Vec::new())), "{}\n");
}

#[test]
fn nested_lists_in_a_template_can_be_read_back() {
    let nested =
        common(vec![input("m", array(array(record(vec![field("a", array(Type::Int))]))))], Vec::new());
    let read_back = crate::json::from_node(&node("file:///t.yml", &template(&nested)));
    assert_eq!(json(&read_back), r#"{"m":[[{"a":[0]}]]}"#);
}
