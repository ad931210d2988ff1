use super::*;
use crate::expression::Limits;
use crate::parameter::{LinkMerge, PickValue};
use crate::preparing_fixture::{Disk, effective, json, place, step, step_input, text, value, values};
use crate::process::{LoopInput, ScatterMethod};

fn evaluator() -> Evaluator {
    Evaluator::new(Limits::default())
}

fn sources(text: &str) -> Vec<Vec<Value>> {
    value(text).as_list().expect(text).iter().map(|links| links.as_list().expect(text).to_vec()).collect()
}

#[test]
fn links_are_merged_and_defaults_stand_in_for_null() {
    let with_default = |links| StepInput { default: value("7"), ..step_input("a", links) };
    let mut flattened = step_input("a", 2);
    flattened.source.link_merge = Some(LinkMerge::Flattened);
    let mut picking = with_default(2);
    picking.source.pick_value = Some(PickValue::AllNonNull);
    let mut failing = step_input("a", 2);
    failing.source.pick_value = Some(PickValue::FirstNonNull);
    let cases = [
        (step_input("a", 1), "[[1]]", Ok(r#"{"a":1}"#)),
        (step_input("a", 0), "[[]]", Ok(r#"{"a":null}"#)),
        (step_input("a", 2), "[[1, [2]]]", Ok(r#"{"a":[1,[2]]}"#)),
        (flattened, "[[1, [2]]]", Ok(r#"{"a":[1,2]}"#)),
        (with_default(1), "[[null]]", Ok(r#"{"a":7}"#)),
        (with_default(0), "[]", Ok(r#"{"a":7}"#)),
        (with_default(1), "[[false]]", Ok(r#"{"a":false}"#)),
        (picking, "[[null, null]]", Ok(r#"{"a":[]}"#)),
        (failing, "[[null, null]]", Err("all sources of `s/a` are null")),
    ];
    for (input, links, expected) in cases {
        let found = step_inputs(&step(vec![input]), &sources(links), &Disk::default());
        let found = found.map(|inputs| json(&Value::map(inputs))).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{links}");
    }
}

#[test]
fn default_files_of_steps_are_completed_and_must_be_there() {
    let default = value(r#"{"class": "File", "location": "file:///d/x.txt"}"#);
    let with_default = step(vec![StepInput { default, ..step_input("a", 1) }]);
    let given = |links: &str, disk: &Disk| {
        let inputs = step_inputs(&with_default, &sources(links), disk);
        inputs.map(|inputs| json(&Value::map(inputs))).map_err(|error| error.to_string())
    };
    let there = given("[[null]]", &Disk::new(&[("/d/x.txt", "abc")])).expect("there");
    assert!(there.contains(r#""basename":"x.txt""#) && there.contains(r#""size":3"#), "{there}");
    assert_eq!(given("[[null]]", &Disk::default()), Err("missing: file:///d/x.txt".to_owned()));
    assert_eq!(given("[[1]]", &Disk::default()), Ok(r#"{"a":1}"#.to_owned()));
}

/// The inputs of all elements, `-` for those that are skipped.
fn elements(step: &Step, inputs: &str, disk: &Disk) -> Result<String, String> {
    let inputs = values(inputs);
    let evaluator = evaluator();
    let scatter = Scatter::new(step, &inputs).map_err(|error| error.to_string())?;
    let count = scatter.as_ref().map_or(1, Scatter::count);
    let mut shown = Vec::new();
    for index in 0..count {
        let element = scatter.as_ref().map(|scatter| (scatter, index));
        let prepared = element_inputs(step, &inputs, element, &evaluator, &effective(), disk)
            .map_err(|error| error.to_string())?;
        shown.push(if prepared.skipped { "-".to_owned() } else { json(&Value::map(prepared.inputs)) });
    }
    Ok(shown.join(" "))
}

fn value_from(name: &str, expression: &str) -> StepInput {
    StepInput { value_from: Some(text(expression)), ..step_input(name, 1) }
}

#[test]
fn value_from_sees_the_item_and_the_inputs_before() {
    let mut scattered = step(vec![
        value_from("a", "$(self * 10)"),
        value_from("b", "$(inputs.a + inputs.b.length)"),
        step_input("c", 1),
        value_from("d", "$(self)"),
    ]);
    scattered.scatter = vec!["a".into()];
    let found =
        elements(&scattered, r#"{"a": [1, 2], "b": [5, 6, 7], "c": "x", "d": null}"#, &Disk::default());
    let expected = r#"{"a":10,"b":4,"c":"x","d":null} {"a":20,"b":5,"c":"x","d":null}"#;
    assert_eq!(found.as_deref(), Ok(expected));
}

#[test]
fn a_constant_value_from_replaces_the_value() {
    let found = elements(&step(vec![value_from("a", "constant")]), r#"{"a": 1}"#, &Disk::default());
    assert_eq!(found.as_deref(), Ok(r#"{"a":"constant"}"#));
}

#[test]
fn when_sees_values_after_value_from_and_decides_for_each_element() {
    let mut conditional = step(vec![value_from("a", "$(self + 1)"), step_input("b", 1)]);
    conditional.scatter = vec!["a".into(), "b".into()];
    conditional.scatter_method = Some(ScatterMethod::FlatCross);
    conditional.when = Some(text("$(inputs.a > 2 && inputs.b == 'y')"));
    let found = elements(&conditional, r#"{"a": [1, 2], "b": ["x", "y"]}"#, &Disk::default());
    assert_eq!(found.as_deref(), Ok(r#"- - - {"a":3,"b":"y"}"#));
}

#[test]
fn when_must_be_a_boolean() {
    let mut conditional = step(vec![step_input("x", 1)]);
    for (when, part) in [
        ("$(inputs.x % 2)", "when gives a number (1), but must give a boolean"),
        ("$(null)", "when gives null"),
        ("true", "when gives a string"),
    ] {
        conditional.when = Some(text(when));
        let message = elements(&conditional, r#"{"x": 3}"#, &Disk::default()).expect_err(when);
        assert!(message.contains(part), "{when}: {message}");
    }
}

#[test]
fn contents_are_loaded_after_scattering() {
    let disk = Disk::new(&[("/a", "one"), ("/b", "two")]);
    let file = |path: &str| format!(r#"{{"class": "File", "location": "file://{path}", "basename": "f"}}"#);
    let mut scattered = step(vec![StepInput {
        load_contents: true,
        value_from: Some(text("$(self.contents)")),
        ..step_input("f", 1)
    }]);
    scattered.scatter = vec!["f".into()];
    let given = format!(r#"{{"f": [{}, {}]}}"#, file("/a"), file("/b"));
    assert_eq!(elements(&scattered, &given, &disk).as_deref(), Ok(r#"{"f":"one"} {"f":"two"}"#));
}

#[test]
fn directories_are_listed_where_an_expression_wants_it() {
    let disk = Disk::new(&[("/d/s/x", "1"), ("/d/y", "22")]);
    let given = r#"{"d": {"class": "Directory", "location": "file:///d", "basename": "d"}}"#;
    let listed = |listing| StepInput { load_listing: listing, ..value_from("d", "$(self.listing.length)") };
    let cases = [
        (listed(None), "{\"d\":2}"),
        (listed(Some(LoadListing::Shallow)), "{\"d\":2}"),
        (value_from("d", "$(self.listing[0].listing[0].basename)"), "{\"d\":\"x\"}"),
    ];
    for (input, expected) in cases {
        assert_eq!(elements(&step(vec![input]), given, &disk).as_deref(), Ok(expected));
    }
    let untouched = elements(&step(vec![step_input("d", 1)]), given, &disk).expect("inputs");
    assert!(!untouched.contains("listing"), "{untouched}");
}

fn loop_input(name: &str, sources: &[&str]) -> LoopInput {
    LoopInput {
        name: name.into(),
        sources: sources.iter().map(|&source| source.into()).collect(),
        is_list: sources.len() != 1,
        link_merge: None,
        pick_value: None,
        default: Value::Null,
        value_from: None,
    }
}

fn round(loop_: &Loop, inputs: &str, outputs: &str) -> Result<Option<String>, String> {
    let disk = Disk::default();
    let (inputs, outputs) = (values(inputs), value(outputs));
    next_round(loop_, &step(Vec::new()), &inputs, &outputs, &evaluator(), &effective(), &disk)
        .map(|next| next.map(|inputs| json(&Value::map(inputs))))
        .map_err(|error| error.to_string())
}

#[test]
fn rounds_follow_each_other() {
    let made_file = "${ return {'class': 'File', 'basename': 'n' + inputs.i, 'contents': 'x'}; }";
    let from = |name: &str, sources: &[&str], text_: &str| LoopInput {
        value_from: Some(text(text_)),
        ..loop_input(name, sources)
    };
    let cases = [
        (vec![loop_input("i", &["o"])], r#"{"i":5,"j":1}"#),
        (vec![loop_input("i", &["o", "p"])], r#"{"i":[5,null],"j":1}"#),
        (vec![LoopInput { default: value("9"), ..loop_input("i", &["p"]) }], r#"{"i":9,"j":1}"#),
        (vec![from("i", &["o"], "$(self + inputs.i + inputs.j)")], r#"{"i":9,"j":1}"#),
        (vec![from("j", &[], "$(inputs.j + 1)")], r#"{"i":3,"j":2}"#),
        (vec![from("j", &[], "$(self)")], r#"{"i":3,"j":null}"#),
        (vec![loop_input("i", &["o"]), from("j", &[], "$(inputs.i)")], r#"{"i":5,"j":3}"#),
        (vec![loop_input("new", &["o"])], r#"{"i":3,"j":1,"new":5}"#),
        (
            vec![from("j", &[], made_file)],
            r#"{"i":3,"j":{"class":"File","basename":"n3","nameroot":"n3","nameext":"","size":1,"contents":"x"}}"#,
        ),
    ];
    for (inputs, expected) in cases {
        let loop_ = Loop { when: text("$(true)"), inputs, output: LoopOutput::Last };
        let found = round(&loop_, r#"{"i": 3, "j": 1}"#, r#"{"o": 5, "p": null}"#);
        assert_eq!(found, Ok(Some(expected.to_owned())));
    }
}

#[test]
fn a_loop_ends_when_its_condition_on_the_next_inputs_says_so() {
    let loop_ = |when: &str| Loop {
        when: text(when),
        inputs: vec![loop_input("i", &["o"])],
        output: LoopOutput::All,
    };
    let next = |when: &str, o: &str| round(&loop_(when), r#"{"i": 3}"#, &format!(r#"{{"o": {o}}}"#));
    assert_eq!(next("$(inputs.i < 5)", "4"), Ok(Some(r#"{"i":4}"#.to_owned())));
    assert_eq!(next("$(inputs.i < 5)", "5"), Ok(None));
    assert!(next("$(inputs.i)", "5").is_err_and(|message| message.contains("boolean")));
}

#[test]
fn the_first_round_of_a_loop_may_be_skipped() {
    let mut looping = step(vec![value_from("i", "$(self + 1)")]);
    looping.loop_ = Some(Loop { when: text("$(inputs.i < 5)"), inputs: Vec::new(), output: LoopOutput::All });
    assert_eq!(elements(&looping, r#"{"i": 3}"#, &Disk::default()).as_deref(), Ok(r#"{"i":4}"#));
    assert_eq!(elements(&looping, r#"{"i": 4}"#, &Disk::default()).as_deref(), Ok("-"));
}

#[test]
fn a_file_that_value_from_makes_is_completed() {
    let made = value_from("f", "${ return {'class': 'File', 'location': 'file:///d/x y'}; }");
    let found = elements(&step(vec![made]), r#"{"f": null}"#, &Disk::default()).expect("made");
    assert!(found.contains(r#""location":"file:///d/x%20y","basename":"x y""#), "{found}");
    let none = value_from("f", "${ return {'class': 'File'}; }");
    let message = elements(&step(vec![none]), r#"{"f": null}"#, &Disk::default()).expect_err("no file");
    assert!(message.contains("valueFrom: the File without a name has neither"), "{message}");
}

#[test]
fn a_fault_of_a_loop_has_a_place() {
    let picking = LoopInput { pick_value: Some(PickValue::FirstNonNull), ..loop_input("i", &["p", "p"]) };
    let loop_ = Loop { when: text("$(true)"), inputs: vec![picking], output: LoopOutput::All };
    let disk = Disk::default();
    let outcome = next_round(
        &loop_,
        &step(Vec::new()),
        &ValueMap::new(),
        &Value::Null,
        &evaluator(),
        &effective(),
        &disk,
    );
    assert!(
        matches!(outcome, Err(Error::Invalid { place: Some(found), .. }) if found.to_string() == place().to_string())
    );
}

#[test]
fn rounds_are_gathered() {
    let rounds = || vec![1.into(), 2.into()];
    assert_eq!(gather_rounds(LoopOutput::Last, rounds()), 2.into());
    assert_eq!(gather_rounds(LoopOutput::All, rounds()), Value::list(rounds()));
    assert_eq!(gather_rounds(LoopOutput::Last, Vec::new()), Value::Null);
    assert_eq!(gather_rounds(LoopOutput::All, Vec::new()), Value::list(Vec::new()));
}
