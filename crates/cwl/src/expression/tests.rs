use moil_salad::source::{Place, Source};
use proptest::prelude::*;

use super::*;
use crate::json;
use crate::print::compact;

/// The same as in the script against cwltool that the expectations were recorded with.
const INPUTS: &str = r#"{"a": 1, "f": 5.0, "s": "str", "l": [1, 2, 3], "e": [], "n": null,
    "m": {"b az": "x", "length": 7, "é": "é"}, "b": true, "big": 1000000000000000000000000000000000000000000,
    "b'az": "q1", "b\"az": "q2", "t": 1.1, "small": 0.00001}"#;

fn text(text: &str) -> Text {
    let source = Arc::new(Source { uri: "file:///x.cwl".to_owned(), text: text.to_owned() });
    Text { text: text.into(), place: Place::start_of(&source) }
}

#[derive(Clone, Copy)]
enum Mode {
    References,
    JavaScript,
    Unstripped,
}

fn evaluate_as(written: &str, mode: Mode, version: Version) -> Result<String, Error> {
    let evaluator = Evaluator::new(Limits::default());
    let inputs = json::parse(INPUTS).expect("JSON");
    let runtime = json::parse(r#"{"cores": 1, "ram": 2, "tmpdir": "/tmp", "outdir": "/out"}"#).expect("JSON");
    let library = Arc::default();
    let context = Context {
        evaluator: &evaluator,
        inputs: &inputs,
        runtime: &runtime,
        javascript: matches!(mode, Mode::JavaScript).then_some(&library),
        version,
    };
    let value = match mode {
        Mode::Unstripped => context.evaluate_unstripped(&text(written), &Value::Null),
        _ => context.evaluate(&text(written), &Value::Null),
    };
    value.map(|value| compact(&value))
}

fn check(written: &str, mode: Mode, version: Version, expected: &str) {
    let value = evaluate_as(written, mode, version).map_err(|error| error.to_string());
    assert_eq!(value.as_deref(), Ok(expected), "{written:?}");
}

fn check_error(written: &str, mode: Mode, expected: &str) {
    let error = evaluate_as(written, mode, Version::V1_2).expect_err(written);
    assert_eq!(error.to_string(), format!("/x.cwl:1:1: cannot evaluate {expected}"), "{written:?}");
}

#[test]
fn references_are_evaluated_with_and_without_javascript() {
    // Recorded from cwltool.
    let cases = [
        ("$(inputs.a)", "1"),
        (" $(inputs.a) ", "1"),
        ("x$(inputs.a)y", "\"x1y\""),
        ("$(inputs.a)$(inputs.n)", "\"1null\""),
        ("$(inputs.m)!", r#""{\"b az\": \"x\", \"length\": 7, \"\\u00e9\": \"\\u00e9\"}!""#),
        (
            "$(inputs.f) $(inputs.t) $(inputs.big) $(inputs.small)",
            "\"5.0 1.1 1000000000000000000000000000000000000000000 1e-05\"",
        ),
        ("$(inputs.b) $(inputs.l)", "\"true [1, 2, 3]\""),
        ("$(null)", "null"),
        ("$(inputs.l.length)", "3"),
        ("$(inputs.m.length)", "7"),
        ("$(inputs.l[1])", "2"),
        ("$(inputs['m']['b az'])", "\"x\""),
        ("$(inputs.e.length)", "0"),
        ("$(inputs.s)\n", "\"str\""),
        ("$$(inputs.a)", "\"$1\""),
        ("$(inputs['m'].é)", "\"é\""),
        ("$(inputs.l.length)x", "\"3x\""),
        ("cost $5 $(inputs.a)", "\"cost $5 1\""),
        ("$(runtime)", r#"{"cores":1,"ram":2,"tmpdir":"/tmp","outdir":"/out"}"#),
        ("$(self)", "null"),
        ("$(inputs.big)", "1000000000000000000000000000000000000000000"),
        ("$(inputs.f)", "5.0"),
        // Nothing to evaluate: the string stays as it is.
        ("pre $x $", "\"pre $x $\""),
        (r"a\b\\", r#""a\\b\\\\""#),
        (" a ", "\" a \""),
        ("", "\"\""),
    ];
    for (written, expected) in cases {
        check(written, Mode::References, Version::V1_2, expected);
        check(written, Mode::JavaScript, Version::V1_2, expected);
    }
}

#[test]
fn javascript_is_evaluated_where_it_is_allowed() {
    // Recorded from cwltool.
    let cases = [
        ("$(inputs.s.length)", "3"),
        ("$(inputs.a+1)", "2"),
        ("$( inputs.a )", "1"),
        ("${return 1;}", "1"),
        ("$(inputs.f+0) x", "\"5 x\""),
        ("$(inputs.a)$('x')", "\"1x\""),
        ("$(runtime.cores+1)", "2"),
        ("$({a:1})", r#"{"a":1}"#),
        ("$({a: [1, 'é']})!", r#""{\"a\": [1, \"\\u00e9\"]}!""#),
        ("${return {'class':'File'};}", r#"{"class":"File"}"#),
        (r#"$("a" + '\'' + ')')"#, "\"a')\""),
        // Better than cwltool, which counts brackets and quotes in comments and regular expressions.
        ("${ // don't\n return 1; }", "1"),
        ("${ /* } */ return 1; }", "1"),
        ("$(/a[)]/.source)", "\"a[)]\""),
    ];
    for (written, expected) in cases {
        check(written, Mode::JavaScript, Version::V1_2, expected);
    }
}

#[test]
fn javascript_without_the_requirement_is_refused_with_a_hint() {
    let hint = "it is not a parameter reference. JavaScript needs InlineJavascriptRequirement";
    for written in [
        "$(inputs.a+1)",
        "${return 1;}",
        "$( inputs.a )",
        "$()",
        "$(inputs.)",
        "$(inputs..a)",
        "$(inputs.l[-1])",
    ] {
        check_error(written, Mode::References, &format!("{written}: {hint}"));
    }
    check_error(
        "$(foo.bar)",
        Mode::References,
        "$(foo.bar): there is no `foo`: a parameter reference begins with `inputs`, `self` or `runtime`. \
         JavaScript needs InlineJavascriptRequirement",
    );
}

#[test]
fn errors_show_the_expression_and_what_is_missing() {
    let cases = [
        ("$(null.x)", "$(null.x): `null` has no field `x`. JavaScript needs InlineJavascriptRequirement"),
        (
            "a $(inputs.a.length) b",
            "$(inputs.a.length): `inputs.a` is the number 1 and has no field `length`",
        ),
        ("$(inputs.l[3])", "$(inputs.l[3]): `inputs.l` has 3 items, so there is no item 3"),
        ("$(self.x)", "$(self.x): `self` is null and has no field `x`"),
        (
            "$(inputs.m.nope)",
            "$(inputs.m.nope): `inputs.m` has no field `nope`; it has `b az`, `length`, `é`",
        ),
        ("a $(inputs.a", "$(inputs.a: does not end: a bracket or quote is not closed"),
        ("${", "${: does not end: a bracket or quote is not closed"),
    ];
    for (written, expected) in cases {
        check_error(written, Mode::References, expected);
    }
    let cases = [
        // A missing input is an error with JavaScript as well, not null.
        (
            "$(inputs.m.nope)",
            "$(inputs.m.nope): `inputs.m` has no field `nope`; it has `b az`, `length`, `é`",
        ),
        (
            "$(inputs.n.x.y)",
            "$(inputs.n.x.y): `inputs.n` is null and has no field `x`; \
          TypeError: cannot read property 'x' of null (line 1 of the expression)",
        ),
        ("$(null.x)", "$(null.x): TypeError: cannot read property 'x' of null (line 1 of the expression)"),
        ("$(foo.bar)", "$(foo.bar): ReferenceError: foo is not defined (line 1 of the expression)"),
        (
            "pre$(undefined)",
            "$(undefined): its value is undefined; where no value is meant, it must return null",
        ),
        (
            "a\n${\n  return\n  foo; }",
            "${ return foo; }: its value is undefined; where no value is meant, it must return null",
        ),
    ];
    for (written, expected) in cases {
        check_error(written, Mode::JavaScript, expected);
    }
    let long = format!("${{ return {} foo; }}", "1 + ".repeat(100));
    let error = evaluate_as(&long, Mode::JavaScript, Version::V1_2).expect_err("foo");
    assert!(matches!(error, Error::Expression { expression, .. } if expression.chars().count() == 101));
}

#[test]
fn backslashes_follow_the_version_of_the_document() {
    // Recorded from cwltool: (text, v1.0 and v1.1, v1.2).
    let cases = [
        (r"\$(inputs.a)", "$(inputs.a)", "$(inputs.a)"),
        (r"\\$(inputs.a)", r"\1", r"\1"),
        (r"\\\$(inputs.a)", r"\$(inputs.a)", r"\$(inputs.a)"),
        (r"\\\\$(inputs.a)", r"\\1", r"\\1"),
        (r"a\b$(inputs.a)", "ab1", r"a\b1"),
        (r"a\nb \$ \( $(inputs.a)\\", r"anb $ ( 1\", r"a\nb \$ \( 1\"),
        (r"$(inputs.a)\ ", r"1\", r"1\"),
        ("a\\\nb $(inputs.a)", "a\nb 1", "a\\\nb 1"),
        (r"\${inputs.a}", "${inputs.a}", "${inputs.a}"),
        (r"$(inputs.a)\$(x)\${y}", "1$(x)${y}", "1$(x)${y}"),
        (r"\$$(inputs.a)", "$1", r"\$1"),
        (r"$\(inputs.a) $(inputs.a)", "$(inputs.a) 1", r"$\(inputs.a) 1"),
        (r"\\\\ $(inputs.s)", r"\\ str", r"\\ str"),
        (r"$(inputs.a)\$(inputs.a", "1$(inputs.a", "1$(inputs.a"),
        (r"\$(inputs.a", "$(inputs.a", "$(inputs.a"),
        (r"\é$(inputs.a)", "é1", r"\é1"),
    ];
    for (written, old, new) in cases {
        for (version, expected) in
            [(Version::V1_0, old), (Version::V1_1, old), (Version::V1_2, new), (Version::V1_3Dev, new)]
        {
            let expected = compact(&Value::from(expected));
            check(written, Mode::References, version, &expected);
        }
    }
}

#[test]
fn white_space_around_an_expression_counts_only_when_it_is_not_stripped() {
    // Recorded from cwltool: (text, stripped, unstripped).
    let object = r#""{\"b az\": \"x\", \"length\": 7, \"\\u00e9\": \"\\u00e9\"}\n""#;
    let cases = [
        (" $(inputs.a)", "1", "\" 1\""),
        ("$(inputs.a)\n", "1", "\"1\\n\""),
        ("$(inputs.a)", "1", "1"),
        ("$(inputs.m)\n", r#"{"b az":"x","length":7,"é":"é"}"#, object),
        ("\n$(inputs.s)\n", "\"str\"", "\"\\nstr\\n\""),
        (" a ", "\" a \"", "\" a \""),
        ("$(inputs.s) ", "\"str\"", "\"str \""),
    ];
    for (written, stripped, unstripped) in cases {
        check(written, Mode::References, Version::V1_2, stripped);
        check(written, Mode::Unstripped, Version::V1_2, unstripped);
    }
}

#[test]
fn syntax_is_checked_without_values() {
    let messages = |written: &str, javascript: bool| {
        let diagnostics = SyntaxCheck::default().text(&text(written), None, javascript, Version::V1_2);
        diagnostics.into_iter().map(|d| format!("{}: {}", d.code, d.message)).collect::<Vec<_>>()
    };
    for good in ["", "plain", "$(inputs.a.b[0]['c']) $(self) $(runtime.cores) $(null)", r"\$(a b"] {
        assert_eq!(messages(good, false), Vec::<String>::new(), "{good}");
        assert_eq!(messages(good, true), Vec::<String>::new(), "{good}");
    }
    for javascript in ["$(a + b)", "${ return 1; }", "$(foo)", "$(null.x)"] {
        assert_eq!(
            messages(javascript, false),
            [format!("invalid-expression: {javascript} is not a parameter reference")]
        );
        assert_eq!(messages(javascript, true), Vec::<String>::new(), "{javascript}");
    }
    assert_eq!(messages("$(1 +) $(2 +)", true).len(), 2);
    assert_eq!(
        messages("$(inputs.a) $(inputs", true),
        ["unfinished-expression: $(inputs does not end: a bracket or quote is not closed"]
    );
}

#[test]
fn what_looked_at_the_clock_is_not_repeatable() {
    let evaluator = Evaluator::new(Limits::default());
    let library = Arc::default();
    let context = Context {
        evaluator: &evaluator,
        inputs: &Value::Null,
        runtime: &Value::Null,
        javascript: Some(&library),
        version: Version::V1_2,
    };
    let evaluate = |code: &str| context.evaluate(&text(code), &Value::Null);
    let (clock, plain) = ("$(Date.now() + 1)", "$(1 + 1)");
    assert!(!evaluator.observe(|| evaluate(clock)).1);
    assert!(evaluator.observe(|| evaluate(plain)).1);
    assert!(!evaluator.observe(|| [clock, plain].map(evaluate)).1, "one is enough");
    evaluate(clock).expect("a number");
    assert!(evaluator.observe(|| evaluate(plain)).1, "what was before does not count");
    assert!(
        !evaluator.observe(|| evaluate("$([Math.random(), nothing])")).1,
        "an error may be another one, too"
    );
    let (inner, outer) = evaluator
        .observe(|| (evaluator.observe(|| evaluate(clock)).1, evaluator.observe(|| evaluate(plain)).1));
    assert_eq!((inner, outer), ((false, true), false), "calls may be nested");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_is_evaluated_or_refused(written in "\\PC{0,30}|([$(){}\\[\\]'\"`/\\\\ ]|inputs|\\.a|return){0,20}") {
        for mode in [Mode::References, Mode::JavaScript, Mode::Unstripped] {
            let _ = evaluate_as(&written, mode, Version::V1_2);
            let _ = evaluate_as(&written, mode, Version::V1_0);
        }
        let _ = SyntaxCheck::default().text(&text(&written), None, true, Version::V1_2);
    }
}
