use std::time::{Duration, Instant};

use moil_salad::source::{Place, Source};

use super::*;

const INPUTS: &str = r#"{"a": 1, "f": 5.0, "s": "str", "l": [1, 2, 3], "n": null, "big": 1000000000000000000000000000000000000000000,
    "file": {"class": "File", "location": "file:///d/x.txt", "basename": "x.txt", "path": "/d/x.txt"},
    "dir": {"class": "Directory", "location": "file:///d"}}"#;

fn library(parts: &[&str]) -> Arc<Vec<Text>> {
    let source = Arc::new(Source { uri: "file:///a.cwl".to_owned(), text: String::new() });
    let place = Place::start_of(&source);
    Arc::new(parts.iter().map(|part| Text { text: (*part).into(), place: place.clone() }).collect())
}

fn engine() -> Engine {
    Engine::new(Limits { time: Duration::from_secs(60), memory: 64 << 20 })
}

fn evaluate_in(engine: &mut Engine, code: &str, parts: &[&str]) -> Result<String, String> {
    let inputs = json::parse(INPUTS).expect("JSON");
    let runtime = json::parse(r#"{"cores": 2}"#).expect("JSON");
    let roots = Roots { inputs: &inputs, self_: &Value::Null, runtime: &runtime };
    match engine.evaluate(code, &roots, &library(parts)) {
        Ok(value) => Ok(print::compact(&value)),
        Err(Failure::NoValue(reason) | Failure::Error(reason)) => Err(reason),
    }
}

fn evaluate(code: &str) -> Result<String, String> {
    evaluate_in(&mut engine(), code, &[])
}

#[test]
fn values_come_back_as_json_would_hold_them() {
    // Recorded from cwltool with Node.js.
    let cases = [
        ("(NaN)", "null"),
        ("(1/0)", "null"),
        ("(-0)", "0"),
        ("(1e21)", "1e+21"),
        ("(100000000000000000000)", "100000000000000000000"),
        ("(0.00001)", "1e-05"),
        ("(1e-7)", "1e-07"),
        ("({'a':undefined,'b':function(){}, c:NaN})", r#"{"c":null}"#),
        ("([undefined, NaN])", "[null,null]"),
        ("(inputs.s.length)", "3"),
        ("(inputs.s[0])", "\"s\""),
        ("(new Date(0))", "\"1970-01-01T00:00:00.000Z\""),
        ("('x' + \"y)\")", "\"xy)\""),
        ("{return '}';}", "\"}\""),
        (
            "(typeof require + typeof process + typeof console + typeof setTimeout)",
            "\"undefinedundefinedundefinedundefined\"",
        ),
        ("(inputs.big+0)", "1e+42"),
        ("(inputs.f+0)", "5"),
        ("(inputs.a // c\n)", "1"),
        ("(`a)b`)", "\"a)b\""),
        ("(inputs.s.split(/\\//))", "[\"str\"]"),
        ("(new Map())", "{}"),
        ("(Math.PI)", "3.141592653589793"),
        ("( {} )", "{}"),
        ("(inputs.__proto__)", "{}"),
        ("((function*(){})())", "{}"),
        ("(Promise.resolve(1))", "{}"),
        ("(inputs.dir.listing === undefined)", "true"),
        ("(inputs.n === null)", "true"),
        ("(self)", "null"),
        ("(inputs.file.nameroot + inputs.file.dirname)", "\"x/d\""),
        (
            "{ inputs.file.basename = 'y'; return inputs.file; }",
            r#"{"class":"File","location":"file:///d/x.txt","basename":"y","nameroot":"y","nameext":"","path":"/d/x.txt","dirname":"/d"}"#,
        ),
        ("(Array.apply(null, {length: 3}).map(Number.call, Number))", "[0,1,2]"),
        ("(Array.from(new Uint8Array([1, 300])))", "[1,44]"),
        ("(eval('inputs.a') + new Function('return 1')())", "2"),
        ("(Object.keys(this || {}).length)", "0"),
        ("('\\ud800' + '🕺')", "\"\u{FFFD}🕺\""),
    ];
    for (code, expected) in cases {
        assert_eq!(evaluate(code).as_deref(), Ok(expected), "{code}");
    }
}

#[test]
fn failures_carry_the_words_of_the_engine_and_the_line() {
    let cases = [
        ("(undefined)", "its value is undefined; where no value is meant, it must return null"),
        ("{}", "its value is undefined; where no value is meant, it must return null"),
        ("(function(){})", "its value is a function, which cannot be written as JSON"),
        ("(Symbol())", "its value is a symbol, which cannot be written as JSON"),
        ("(10n)", "TypeError: BigInt are forbidden in JSON.stringify"),
        ("{\n\n return foo.bar;}", "ReferenceError: foo is not defined (line 3 of the expression)"),
        ("(inputs.a.b.c)", "TypeError: cannot read property 'c' of undefined (line 1 of the expression)"),
        ("{throw 'abc'}", "abc"),
        ("{throw {code: 5}}", r#"{"code":5}"#),
        ("{throw undefined}", "something that cannot be shown was thrown"),
        ("{throw new Error('abc')}", "Error: abc (line 1 of the expression)"),
        ("({get a(){throw new Error('boo')}})", "Error: boo (line 1 of the expression)"),
        // Strict mode.
        ("(x=1)", "ReferenceError: x is not defined (line 1 of the expression)"),
        ("(this)", "its value is undefined; where no value is meant, it must return null"),
        ("{let a = {}; a.a = a; return a}", "TypeError: circular reference"),
        (
            "{var a = 1; for (var i = 0; i < 101; i++) a = [a]; return a}",
            "its value is not usable: line 1 column 101: the value is nested deeper than 100 levels",
        ),
        (
            "({'class': 'File', 'location': 5})",
            "its value is not usable: line 1 column 1: `location` of a File must be a string, not the number 5",
        ),
    ];
    for (code, expected) in cases {
        assert_eq!(evaluate(code), Err(expected.to_owned()), "{code}");
    }
    for code in ["{with(inputs){return a}}", "(010)", "(1 +)", "{ return 'a\n'; }", "(a\0)"] {
        assert!(evaluate(code).is_err(), "{code}");
    }
}

#[test]
fn libraries_are_one_script_whose_functions_see_the_variables() {
    let parts = [
        "function first() { return second() + inputs.a; }",
        "var one = 1;\nfunction second() { return one; }",
    ];
    let mut engine = engine();
    for _ in 0..3 {
        assert_eq!(evaluate_in(&mut engine, "(first())", &parts).as_deref(), Ok("2"));
    }
    // At the top level of a library the variables have no value yet.
    assert_eq!(
        evaluate_in(&mut engine, "(early)", &["var early = typeof inputs;"]).as_deref(),
        Ok("\"undefined\"")
    );
    // A part that is changed is another library.
    assert_eq!(
        evaluate_in(&mut engine, "(first())", &["function first() { return 9; }"]).as_deref(),
        Ok("9")
    );
    let indirect = ["function all() { return this === undefined ? 0 : 1; } var g = (0, eval)('this');"];
    assert_eq!(evaluate_in(&mut engine, "(g['inp' + 'uts'].a)", &indirect).as_deref(), Ok("1"));
}

#[test]
fn failures_in_a_library_name_its_part_and_line() {
    let mut engine = engine();
    let cases: [(&[&str], &str); 3] = [
        (&["var a = 1;", "\n\nfoo();"], "ReferenceError: foo is not defined (line 3 of expressionLib[1])"),
        (&["var a = 1;\nvar b = ;"], "line 2 of expressionLib[0]"),
        (&["function f() {\n  return inputs.a.b.c;\n}"], "line 2 of expressionLib[0]"),
    ];
    for (parts, expected) in cases {
        let reason = evaluate_in(&mut engine, "(f())", parts).expect_err("a failure");
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn nothing_is_shared_between_evaluations() {
    let mut engine = engine();
    let library: &[&str] = &["var count = 0; function next() { return ++count; }"];
    for _ in 0..3 {
        assert_eq!(evaluate_in(&mut engine, "(next())", library).as_deref(), Ok("1"));
    }
    let polluters = [
        "{ Object.prototype.evil = 1; return 0; }",
        "{ Array.prototype.map = function () { return 'evil'; }; return 0; }",
        "{ globalThis.evil = 1; return 0; }",
        "{ (0, eval)('var evil = 1'); return 0; }",
        "{ JSON.stringify = function () { return 'evil'; }; return 0; }",
        "{ String.prototype.toJSON = function () { return 'evil'; }; return 0; }",
        "{ (function*(){}).constructor.prototype.evil = 1; Symbol.for('evil').description; return 0; }",
        "{ Promise.resolve().then(function () { globalThis.evil = 1; }); return 0; }",
    ];
    for polluter in polluters {
        assert_eq!(evaluate_in(&mut engine, polluter, &[]).as_deref(), Ok("0"), "{polluter}");
        let probe = "([typeof evil, typeof ({}).evil, [1].map(String), JSON.stringify('x'), (function*(){}).evil === undefined])";
        assert_eq!(
            evaluate_in(&mut engine, probe, &[]).as_deref(),
            Ok(r#"["undefined","undefined",["1"],"\"x\"",true]"#),
            "after {polluter}"
        );
    }
}

#[test]
fn endless_code_is_stopped_and_the_engine_goes_on() {
    let mut engine = Engine::new(Limits { time: Duration::from_millis(100), memory: 64 << 20 });
    let endless = [
        "{ while (true) {} }",
        "{ while (true) { try { while (true) {} } catch (e) {} finally { while (true) {} } } }",
        "(/^(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'))",
        "(Array.prototype.indexOf.call({length: 9007199254740991}, 1))",
        "({ toJSON: function () { while (true) {} } })",
        "{ throw { get message() { while (true) {} }, toJSON: function () { while (true) {} } } }",
        "{ var e = new Error(); Object.defineProperty(e, 'name', { get: function () { while (true) {} } }); throw e; }",
        "{ var a = []; a.length = 4294967295; return a.every(function () { return true; }) && a.join('').length && 1; }",
    ];
    for code in endless {
        let start = Instant::now();
        assert_eq!(
            evaluate_in(&mut engine, code, &[]),
            Err("it took more than 0.1 seconds".to_owned()),
            "{code}"
        );
        assert!(start.elapsed() < Duration::from_secs(5), "{code} took {:?}", start.elapsed());
        assert_eq!(evaluate_in(&mut engine, "(inputs.a + 1)", &[]).as_deref(), Ok("2"));
    }
}

#[test]
fn built_in_functions_that_build_something_large_end_when_the_time_is_over() {
    let limits = Limits { time: Duration::ZERO, memory: 512 << 20 };
    let mut engine = Engine::new(limits);
    for code in ["(Array(1 << 28).join('x').length)", "('x'.repeat(1 << 22).split('').length)"] {
        let reason = evaluate_in(&mut engine, code, &[]);
        assert_eq!(reason, Err("it took more than 0 seconds".to_owned()), "{code}");
    }
    engine.limits.time = Duration::from_secs(60);
    assert_eq!(evaluate_in(&mut engine, "(inputs.a + 1)", &[]).as_deref(), Ok("2"));
}

#[test]
fn memory_and_stack_are_limited_and_the_engine_goes_on() {
    let mut engine = engine();
    let greedy = [
        "{ var a = []; while (true) a.push(new Array(1000).join('x') + a.length); }",
        "{ var s = 'x'; while (true) s += s; }",
        "('x'.repeat(1 << 29))",
        "{ var a = {}; for (var i = 0; ; i++) a['k' + i] = {}; }",
        "{ var f = []; while (true) f.push(function () { return f; }); }",
        "(new Uint8Array(1 << 30))",
        "{ var m = new Map(); for (var i = 0; ; i++) m.set({}, i); }",
        "{ var a = new Array(1 << 26); a.fill(1); return a.concat(a, a).sort(); }",
    ];
    for code in greedy {
        let reason = evaluate_in(&mut engine, code, &[]).expect_err(code);
        assert!(
            reason == "it took more than 64 MiB of memory"
                || reason.contains("string too long")
                || reason.contains("invalid string length"),
            "{code}: {reason}"
        );
        assert_eq!(evaluate_in(&mut engine, "(inputs.a + 1)", &[]).as_deref(), Ok("2"), "after {code}");
    }
    let deep = [
        "{ function f() { return f() + 1; } return f(); }",
        "{ var a = []; for (var i = 0; i < 1e5; i++) a = [a]; return JSON.stringify(a); }",
        "{ var a = []; for (var i = 0; i < 1e5; i++) a = [a]; return a; }",
        "(eval(new Array(100000).join('(') + '1' + new Array(100000).join(')')))",
        "(new RegExp(new Array(100000).join('(') + new Array(100000).join(')')).test('a'))",
        "(JSON.parse(new Array(1000000).join('[')))",
    ];
    for code in deep {
        let reason = evaluate_in(&mut engine, code, &[]).expect_err(code);
        assert!(reason.contains("stack") || reason.contains("Error"), "{code}: {reason}");
        assert_eq!(evaluate_in(&mut engine, "(inputs.a + 1)", &[]).as_deref(), Ok("2"), "after {code}");
    }
}

#[test]
fn the_use_of_the_clock_and_of_random_numbers_is_noticed() {
    let cases = [
        ("(inputs.a)", false),
        ("(new Date(0).getTime() + Date.UTC(2020, 1) + Date.parse('2020-01-01'))", false),
        ("(Math.floor(1.5) + 'random'.length)", false),
        ("(new Date() instanceof Date)", true),
        ("(typeof Date())", true),
        ("(Date.now() > 0)", true),
        ("(new (new Date(0).constructor)() > 0)", true),
        ("(Math.random() < 1)", true),
        ("(Math['ran' + 'dom'.trim()] ? 1 : 0)", false),
        ("(Math['ran' + 'dom']() < 1)", true),
        ("(globalThis['Da' + 'te'].now() > 0)", true),
        ("({}.constructor.constructor('return D' + 'ate.now()')() > 0)", true),
        ("(\\u0044ate.now() > 0)", true),
        (
            "{ class Mine extends Date {} return new Mine(0).getTime() === 0 && new Mine(0) instanceof Mine; }",
            false,
        ),
        ("{ class Mine extends Date {} return new Mine() > 0; }", true),
    ];
    let mut engine = engine();
    for (code, expected) in cases {
        evaluate_in(&mut engine, code, &[]).unwrap_or_else(|reason| panic!("{code}: {reason}"));
        assert_eq!(engine.replace_nondeterministic(false), expected, "{code}");
    }
    let library: &[&str] = &["function now() { return new Date(); } function zero() { return new Date(0); }"];
    for (code, expected) in [("(zero())", false), ("(now())", true)] {
        evaluate_in(&mut engine, code, library).expect(code);
        assert_eq!(engine.replace_nondeterministic(false), expected, "{code}");
    }
}

#[test]
fn scripts_cannot_see_that_the_clock_is_watched() {
    // What QuickJS says where nothing is watched.
    let cases = [
        ("(Object.getOwnPropertyNames(Date).sort().join())", r#""UTC,length,name,now,parse,prototype""#),
        (
            "([Date.length, Date.name, Date.now.name, Date.now.length, Math.random.name, Math.random.length])",
            r#"[7,"Date","now",0,"random",0]"#,
        ),
        ("(Date.toString())", r#""function Date() {\n    [native code]\n}""#),
        ("(Date.now.toString())", r#""function now() {\n    [native code]\n}""#),
        ("(Math.random.toString())", r#""function random() {\n    [native code]\n}""#),
        (
            "(Date.prototype.constructor === Date && new Date(0) instanceof Date && new Date(0).constructor === Date)",
            "true",
        ),
        (
            "(Object.getPrototypeOf(Date) === Function.prototype && Object.getPrototypeOf(new Date(0)) === Date.prototype)",
            "true",
        ),
        (
            "(['now', 'UTC', 'prototype'].map(name => Object.getOwnPropertyDescriptor(Date, name)).map(d => [d.writable, d.enumerable, d.configurable].join()))",
            r#"["true,false,true","true,false,true","false,false,false"]"#,
        ),
        ("(Object.keys(Date).length + Object.keys(Math).length + Object.keys(Date.prototype).length)", "0"),
        ("{ try { new Math.random(); } catch (error) { return error.name; } }", r#""TypeError""#),
        ("{ try { new Date.now(); } catch (error) { return error.name; } }", r#""TypeError""#),
        ("{ try { Date.prototype = {}; } catch (error) { return error.name; } }", r#""TypeError""#),
        ("(typeof Date() + new Date(2020, 0, 2, 3, 4, 5, 6).getMilliseconds())", r#""string6""#),
        ("{ Date = 3; return Date; }", "3"),
        ("(isNaN(new Date(undefined)))", "true"),
    ];
    let mut engine = engine();
    for (code, expected) in cases {
        assert_eq!(evaluate_in(&mut engine, code, &[]).as_deref(), Ok(expected), "{code}");
    }
}

#[test]
fn syntax_is_checked_without_running() {
    let mut engine = engine();
    for code in ["(a + b)", "{ while (true) {} }", "(function () { return 1; })", "{ return {a: 1}; } // x"] {
        assert_eq!(engine.check(code), Ok(()), "{code}");
    }
    for (code, line) in [("(a +)", 1), ("{\n return 1 1;\n}", 2), ("{ with (a) {} }", 1), ("(010)", 1)] {
        let reason = engine.check(code).expect_err(code);
        assert!(reason.starts_with("SyntaxError: "), "{reason}");
        assert!(reason.ends_with(&format!("(line {line} of the expression)")), "{reason}");
    }
}

#[test]
fn no_limit_of_memory_breaks_the_engine() {
    let parts = [
        "var table = {}; for (var i = 0; i < 50; i++) table['k' + i] = /a(b)+/.exec('abb' + i) || [i, {i: i}];",
    ];
    let code = "{ return new Date(0).toISOString() + JSON.stringify(table) + inputs.l.map(function (x) { return x + 'é'; }).join(); }";
    let mut outcomes = [0, 0];
    for kibibytes in (20..700).step_by(3) {
        let limits = Limits { time: Duration::from_secs(10), memory: kibibytes << 10 };
        let mut engine = Engine::new(limits);
        for _ in 0..2 {
            outcomes[usize::from(evaluate_in(&mut engine, code, &parts).is_ok())] += 1;
        }
    }
    // Both kinds were met, so that the limits were around what is needed.
    assert!(outcomes[0] > 50 && outcomes[1] > 50, "{outcomes:?}");
}

#[test]
fn scripts_have_a_console_only_where_it_is_wanted() {
    let mut engine = engine();
    let written = |engine: &mut Engine, code: &str, library: &[&str]| {
        let result = evaluate_in(engine, code, library);
        let lines = engine.take_console();
        let lines =
            lines.iter().map(|(is_error, text)| format!("{}{text}", if *is_error { "! " } else { "" }));
        (result, lines.collect::<Vec<_>>())
    };
    let (result, lines) = written(&mut engine, "{console.log(1); return 1;}", &[]);
    assert!(result.is_err_and(|words| words.contains("console is not defined")) && lines.is_empty());
    engine.set_console(true);
    for (code, expected) in [
        (
            "{console.log('a', 1, [true, null], {b: 'c'}, undefined); return 1;}",
            vec!["a 1 [true,null] {\"b\":\"c\"} undefined"],
        ),
        (
            "{console.error('no'); console.warn(new TypeError('x')); return 1;}",
            vec!["! no", "! TypeError: x"],
        ),
        (
            "{var o = {}; o.o = o; console.info(o, function f() {}); return 1;}",
            vec!["[object] function f() {}"],
        ),
        ("{console.debug(); console.trace(Symbol('s')); return 1;}", vec!["", "! Symbol(s)"]),
        ("{globalThis['con' + 'sole'].log('this'); return 1;}", vec!["this"]),
        ("(shout('lib') || 1)", vec!["LIB"]),
        ("(1)", vec![]),
    ] {
        let (result, lines) =
            written(&mut engine, code, &["function shout(x) { console.log(x.toUpperCase()); }"]);
        assert_eq!(
            (result.as_deref(), lines),
            (Ok("1"), expected.iter().map(ToString::to_string).collect()),
            "{code}"
        );
    }
    let (result, lines) = written(&mut engine, "{console.log('before'); throw new Error('x');}", &[]);
    assert!(result.is_err() && lines == ["before"], "what was written before a failure tells why");
    engine.set_console(false);
    assert!(written(&mut engine, "{console.log(1); return 1;}", &[]).0.is_err());
}

#[test]
fn a_script_that_writes_without_end_does_not_fill_the_memory() {
    let mut engine = Engine::new(Limits { time: Duration::from_millis(300), memory: 64 << 20 });
    engine.set_console(true);
    assert!(evaluate_in(&mut engine, "{while (true) { console.log('0123456789'); }}", &[]).is_err());
    let lines = engine.take_console();
    assert!(lines.iter().map(|(_, text)| text.len()).sum::<usize>() < 300_000);
    assert!(lines.last().is_some_and(|(_, text)| text.contains("left out")), "{:?}", lines.last());
    // The next one has room again.
    assert_eq!(evaluate_in(&mut engine, "{console.log('next'); return 1;}", &[]).as_deref(), Ok("1"));
    assert_eq!(engine.take_console(), [(false, "next".to_owned())]);
}
