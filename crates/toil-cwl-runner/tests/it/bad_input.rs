//! Documents, inputs and expressions that do harm.

use std::fmt::Write as _;

use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::Sandbox;

#[test]
fn a_document_of_many_steps_is_validated() {
    let mut text = "cwlVersion: v1.2\nclass: Workflow\ninputs: {x: string}\noutputs: []\nsteps:\n".to_owned();
    for number in 0..100_000 {
        let source = if number == 0 { "x".to_owned() } else { format!("s{}/o", number - 1) };
        _ = writeln!(text, "  s{number}: {{run: tool.cwl, in: {{i: {source}}}, out: [o]}}");
    }
    let sandbox = Sandbox::with(&text);
    sandbox.write(
        "tool.cwl",
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: x, inputs: {i: string}, outputs: {o: string}}",
    );
    let answer = sandbox.run(&["--validate", "main.cwl"]);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr.chars().take(2000).collect::<String>());
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut text =
        "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: x\ninputs: []\noutputs: []\n".to_owned();
    text.push_str("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let last = format!("*a{}", level - 1);
        _ = writeln!(text, "a{level}: &a{level} [{}]", vec![last; 10].join(", "));
    }
    let told = Sandbox::with(&text).failure(&["main.cwl"]);
    assert!(told.len() < 20_000 && told.contains("main.cwl:"), "{told}");
}

#[test]
fn nesting_without_end_is_refused() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    for text in [deep("[", "]"), deep("{a: ", "}"), "- ".repeat(100_000), "? ".repeat(100_000)] {
        let told = Sandbox::with(&text).failure(&["main.cwl"]);
        assert!(told.len() < 20_000, "{} bytes", told.len());
        let sandbox = Sandbox::with(
            "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: {i: Any}, outputs: []}",
        );
        sandbox.write("job.yml", format!("i: {text}"));
        sandbox.failure(&["main.cwl", "job.yml"]);
    }
}

#[test]
fn workflows_in_workflows_without_end_are_refused_or_run() {
    let mut text = "cwlVersion: v1.2\n$graph:\n".to_owned();
    for number in 0..3000 {
        _ = writeln!(
            text,
            "- {{id: w{number}, class: Workflow, requirements: {{SubworkflowFeatureRequirement: {{}}}}, inputs: [], outputs: [], steps: {{s: {{run: '#w{}', in: [], out: []}}}}}}",
            number + 1
        );
    }
    text.push_str("- {id: w3000, class: CommandLineTool, baseCommand: 'true', inputs: [], outputs: []}\n");
    let answer = Sandbox::with(&text).run(&["--validate", "main.cwl#w0"]);
    assert!([ExitCode::SUCCESS, ExitCode::FAILURE].contains(&answer.code));
}

#[test]
fn a_workflow_that_runs_itself_is_refused() {
    let text = "
cwlVersion: v1.2
class: Workflow
requirements: {SubworkflowFeatureRequirement: {}}
inputs: []
outputs: []
steps: {s: {run: main.cwl, in: [], out: []}}
";
    let told = Sandbox::with(text).failure(&["main.cwl"]);
    assert!(told.contains("main.cwl:"), "{told}");
}

#[test]
fn workflows_that_multiply_are_not_written_out() {
    let mut text = "cwlVersion: v1.2\n$graph:\n".to_owned();
    for number in 0..24 {
        let run = format!("{{run: '#w{}', in: [], out: []}}", number + 1);
        _ = writeln!(
            text,
            "- {{id: w{number}, class: Workflow, requirements: {{SubworkflowFeatureRequirement: {{}}}}, inputs: [], outputs: [], steps: {{a: {run}, b: {run}}}}}",
        );
    }
    text.push_str("- {id: w24, class: CommandLineTool, baseCommand: 'true', inputs: [], outputs: []}\n");
    let answer = Sandbox::with(&text).run(&["--validate", "main.cwl#w0"]);
    assert!([ExitCode::SUCCESS, ExitCode::FAILURE].contains(&answer.code));
}

#[test]
fn all_missing_input_files_are_named_at_once() {
    let sandbox = Sandbox::with(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: cat, inputs: {a: File, b: 'File[]', c: Directory}, outputs: []}",
    );
    sandbox.write("here.txt", "");
    sandbox.write(
        "job.yml",
        "a: {class: File, path: gone1.txt}\nb: [{class: File, path: gone2.txt}, {class: File, path: here.txt}, \
         {class: File, path: gone3.txt}]\nc: {class: Directory, path: gone4}\n",
    );
    let told = sandbox.failure(&["main.cwl", "job.yml"]);
    for name in ["gone1.txt", "gone2.txt", "gone3.txt", "gone4"] {
        assert!(told.contains(name), "{name} in {told}");
    }
    assert!(!told.contains("here.txt"), "{told}");
}

#[test]
fn expressions_that_never_end_or_take_everything_fail_in_words() {
    let check = |expression: &str| {
        let sandbox = Sandbox::with(&format!(
            "
cwlVersion: v1.2
class: ExpressionTool
requirements: {{InlineJavascriptRequirement: {{}}}}
inputs: []
outputs: {{o: Any}}
expression: |
  ${{ {expression} }}
"
        ));
        let told = sandbox.failure(&["--eval-timeout", "2", "main.cwl"]);
        assert!(told.contains("cannot evaluate") && told.contains("because"), "{expression}: {told}");
        assert!(told.len() < 5000, "{expression}: {} bytes", told.len());
    };
    check("while (true) {}");
    check("for (;;) { try { while (true) {} } catch (e) {} }");
    check("function f() { return f() + 1; } return {o: f()};");
    check("var a = []; while (true) { a.push(new Array(100000).join('x')); }");
    check("var s = 'x'; while (true) { s = s + s + 'y'; }");
    check("var o = {}; o.o = o; return o;");
    check("var a = []; for (var i = 0; i < 100000; i++) { a = [a]; } return {o: a};");
    check("return {o: /(a+)+$/.test(new Array(40).join('a') + 'b')};");
    check("throw new Array(1000000).join('x');");
    check("return JSON.parse('[' .repeat(1000000));");
    check("Object.prototype.toJSON = function () { return this; }; throw {};");
}

#[test]
fn files_may_be_called_anything() {
    let names = ["new\nline", "quote'\"`$(x)", "🦀 ä", "-rf", "a\\b", "tab\tx", "%41", "#1?x", "~", "*"];
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs: {f: {type: 'File[]', inputBinding: {position: 1}}, sep: {type: string, default: --, inputBinding: {}}}
outputs: {o: stdout}
stdout: all.txt
",
    );
    let mut job = Vec::new();
    for name in names {
        sandbox.write(name, format!("{name}|"));
        job.push(serde_json::json!({"class": "File", "path": sandbox.path(name)}));
    }
    sandbox.write("job.json", serde_json::json!({ "f": job }).to_string());
    sandbox.outputs(&["--relax-path-checks", "--outdir", "o", "main.cwl", "job.json"]);
    assert_eq!(sandbox.read("o/all.txt"), names.map(|name| format!("{name}|")).concat());
}

#[test]
fn outputs_may_be_called_anything() {
    let sandbox = Sandbox::with(
        "
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, make.sh]
requirements:
  InitialWorkDirRequirement:
    listing: [{entryname: make.sh, entry: $(inputs.script)}]
inputs: {script: File}
outputs: {o: {type: 'File[]', outputBinding: {glob: '*.x'}}}
",
    );
    sandbox.write(
        "make",
        "printf 1 > \"$(printf 'new\\nline.x')\"; printf 2 > \"quote'\\\".x\"; printf 3 > '🦀 ä.x'; printf 4 > -rf.x; printf 5 > '#?%41.x'\n",
    );
    let outputs = sandbox.outputs(&["--relax-path-checks", "--outdir", "o", "main.cwl", "--script", "make"]);
    assert_eq!(outputs["o"].as_array().map(Vec::len), Some(5));
    for (name, text) in
        [("new\nline.x", "1"), ("quote'\".x", "2"), ("🦀 ä.x", "3"), ("-rf.x", "4"), ("#?%41.x", "5")]
    {
        assert_eq!(sandbox.read(format!("o/{name}")), text, "{name}");
    }
}

#[test]
fn an_output_whose_name_is_no_text_is_refused_in_words() {
    let sandbox = Sandbox::with(
        r#"
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'printf 1 > "$(printf "bad\377.x")"; printf 2 > good.y']
inputs: []
outputs: {o: {type: 'File[]', outputBinding: {glob: '*.x'}}}
"#,
    );
    let told = sandbox.failure(&["--retryCount", "0", "main.cwl"]);
    assert!(told.contains("bad"), "{told}");
}

#[test]
fn a_directory_with_a_name_that_is_no_text_is_no_hang() {
    let sandbox = Sandbox::with(
        r#"
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'mkdir d; printf 1 > "d/$(printf "bad\377.x")"']
inputs: []
outputs: {o: {type: Directory, outputBinding: {glob: d}}}
"#,
    );
    let answer = sandbox.run(&["--retryCount", "0", "--outdir", "o", "main.cwl"]);
    assert!(answer.code == ExitCode::FAILURE || sandbox.list("o/d").len() == 1, "{}", answer.stdout);
}

#[test]
fn input_objects_that_are_none_are_refused() {
    let document =
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: {i: 'int?'}, outputs: []}";
    for text in [
        "[1, 2]",
        "just text",
        "i: {",
        "i: 1\ni: 2",
        "\u{0}",
        "i: 99999999999999999999999999",
        "i: !!python/object x",
        "i: .nan",
    ] {
        let sandbox = Sandbox::with(document);
        sandbox.write("job.yml", text);
        sandbox.failure(&["main.cwl", "job.yml"]);
    }
    let sandbox = Sandbox::with(document);
    sandbox.write("job.yml", b"i: \xff\xfe");
    assert!(sandbox.failure(&["main.cwl", "job.yml"]).contains("UTF-8"));
}

#[test]
fn names_may_not_lead_out_of_a_directory() {
    let tool = |more: &str| {
        format!("{{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [touch, x], inputs: [], {more}}}")
    };
    let expression = |object: &str| {
        format!(
            "{{cwlVersion: v1.2, class: ExpressionTool, requirements: {{InlineJavascriptRequirement: {{}}}}, inputs: [], \
             outputs: {{o: Any}}, expression: '$({{o: {object}}})'}}"
        )
    };
    for document in [
        tool("outputs: {o: stdout}, stdout: ../../evil"),
        tool("outputs: {o: stdout}, stdout: /evil"),
        tool(
            "outputs: [], requirements: {InitialWorkDirRequirement: {listing: [{entryname: ../../evil, entry: x}]}}",
        ),
        tool(
            "outputs: [], requirements: {InitialWorkDirRequirement: {listing: [{entryname: /evil, entry: x}]}}",
        ),
        tool("outputs: {o: {type: 'File[]', outputBinding: {glob: ../../../*}}}"),
        expression(r#"{class: "File", contents: "x", basename: "../../evil"}"#),
        expression(r#"{class: "Directory", basename: "..", listing: []}"#),
    ] {
        let sandbox = Sandbox::with(&document);
        sandbox.failure(&["--retryCount", "0", "--outdir", "o/p", "main.cwl"]);
        // What a tool made before its outputs were found wrong is kept to be looked at.
        let kept = sandbox.list("tmp").len();
        assert!(kept == 0 || document.contains("glob"), "{document}");
        assert!(!sandbox.path("evil").exists() && !sandbox.path("o").exists(), "{document}");
    }
}

#[test]
fn resources_that_make_no_sense_are_refused() {
    for cores in [".nan", ".inf", "-1", "1e300", "'$(\"x\")'", "'$([])'"] {
        let sandbox = Sandbox::with(&format!(
            "{{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: [], outputs: [], \
             requirements: {{InlineJavascriptRequirement: {{}}, ResourceRequirement: {{coresMin: {cores}}}}}}}"
        ));
        sandbox.failure(&["main.cwl"]);
    }
}
