//! `conformance run SUITE`: runs a suite in cwltest's format and compares what passes with a list.

// This program is a tool for developers: it prints, and it may ask for the current directory.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use moil_conformance::drive::{self, Outcome, Settings};
use moil_conformance::in_process::InProcess;
use moil_conformance::program::Program;
use moil_conformance::report::{self, Facts};
use moil_conformance::runner::Runner;
use moil_conformance::verdict::Verdict;
use moil_conformance::{expected, suite};

const USAGE: &str = "\
usage: conformance run SUITE [option…] [-- runner option…]
       conformance list SUITE

  --mode MODE      local (default): the runner gets --no-container; plain: it gets nothing
  --tool PATH      the runner; toil-cwl-runner from the search path by default
  --in-process     moil in this process is the runner
  --only ID,ID     only these tests
  --tags TAG,TAG   only tests with one of these tags
  -j N             tests at the same time (default: 2)
  --timeout S      seconds for a test (default: 120)
  --report FILE    writes what was found as JSON
  --commit TEXT    the commit of the suite, for the report
  --expect LIST    fails unless exactly the tests on this list pass
  --bless          writes the list given by --expect instead
  --verbose        shows the runner's stderr for tests that failed

An option of the runner that begins with scratch: is a path in a directory that each test has for itself;
{scratch} in it is a name that no other test has.

A test that needs a program which is not installed is skipped, unless MOIL_REQUIRE (names separated by
commas) names it: then it fails.";

struct Options {
    suite: PathBuf,
    mode: String,
    tool: PathBuf,
    in_process: bool,
    only: Option<BTreeSet<String>>,
    tags: Option<BTreeSet<String>>,
    parallel: usize,
    timeout: u64,
    report: Option<PathBuf>,
    commit: Option<String>,
    expect: Option<PathBuf>,
    bless: bool,
    verbose: bool,
    args: Vec<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let result = match words.split_first() {
        Some((command, rest)) if command == "run" => parse(rest).and_then(|options| run(&options, &words)),
        Some((command, rest)) if command == "list" => parse(rest).and_then(|options| list(&options.suite)),
        Some((command, _)) if command == "--help" || command == "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn parse(words: &[String]) -> Result<Options, String> {
    let mut options = Options {
        suite: PathBuf::new(),
        mode: "local".to_owned(),
        tool: "toil-cwl-runner".into(),
        in_process: false,
        only: None,
        tags: None,
        parallel: 2,
        timeout: 120,
        report: None,
        commit: None,
        expect: None,
        bless: false,
        verbose: false,
        args: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or_else(|| format!("{word} needs a value\n\n{USAGE}"));
        let names = |text: String| Some(text.split(',').map(str::to_owned).collect());
        let number = |text: String| text.parse().map_err(|_| format!("{word} needs a number, not {text:?}"));
        match word.as_str() {
            "--mode" => options.mode = value()?,
            "--tool" => options.tool = value()?.into(),
            "--in-process" => options.in_process = true,
            "--only" => options.only = names(value()?),
            "--tags" => options.tags = names(value()?),
            "-j" => options.parallel = number(value()?)? as usize,
            "--timeout" => options.timeout = number(value()?)?,
            "--report" => options.report = Some(value()?.into()),
            "--commit" => options.commit = Some(value()?),
            "--expect" => options.expect = Some(value()?.into()),
            "--bless" => options.bless = true,
            "--verbose" => options.verbose = true,
            "--" => {
                options.args.extend(words.by_ref().cloned());
            }
            other if other.starts_with('-') => return Err(format!("unknown option {other}\n\n{USAGE}")),
            other if options.suite.as_os_str().is_empty() => options.suite = other.into(),
            other => return Err(format!("unexpected word {other}\n\n{USAGE}")),
        }
    }
    if options.suite.as_os_str().is_empty() {
        return Err(USAGE.to_owned());
    }
    match options.mode.as_str() {
        "local" => options.args.insert(0, "--no-container".to_owned()),
        "plain" => {}
        other => return Err(format!("unknown mode {other}")),
    }
    // A path is meant from here, not from the folder of the suite, in which the runner is started.
    if options.tool.components().count() > 1 {
        options.tool = fs::canonicalize(&options.tool)
            .map_err(|error| format!("cannot find {}: {error}", options.tool.display()))?;
    }
    Ok(options)
}

fn list(path: &Path) -> Result<bool, String> {
    for test in suite::load(path)?.tests {
        println!("{}: {}", test.id, test.doc.replace('\n', " "));
    }
    Ok(true)
}

fn run(options: &Options, words: &[String]) -> Result<bool, String> {
    let suite = suite::load(&options.suite)?;
    if let Some(only) = &options.only
        && let Some(unknown) = only.iter().find(|id| !suite.tests.iter().any(|test| test.id == **id))
    {
        return Err(format!("no test is called {unknown:?}"));
    }
    let runner: Box<dyn Runner> = if options.in_process {
        Box::new(InProcess)
    } else {
        Box::new(Program { path: options.tool.clone() })
    };
    let settings = Settings {
        args: options.args.clone(),
        parallel: options.parallel,
        timeout: Duration::from_secs(options.timeout),
        require: env::var("MOIL_REQUIRE").unwrap_or_default().split(',').map(str::to_owned).collect(),
    };
    let wanted = |test: &suite::Test| {
        let tagged = |tags: &BTreeSet<String>| test.tags.iter().flatten().any(|tag| tags.contains(tag));
        options.only.as_ref().is_none_or(|only| only.contains(&test.id))
            && options.tags.as_ref().is_none_or(tagged)
    };
    let outcomes = drive::run(&suite, &*runner, &settings, &wanted, &|test, outcome| {
        show(&test.id, outcome, options.verbose);
    });

    let count = |wanted: fn(&Verdict) -> bool| outcomes.iter().filter(|o| wanted(&o.verdict)).count();
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    println!(
        "{}: {} passed, {} failed, {} unsupported, {} skipped",
        options.suite.display(),
        count(|verdict| *verdict == Verdict::Passed),
        failed,
        count(|verdict| *verdict == Verdict::Unsupported),
        count(|verdict| matches!(verdict, Verdict::Skipped(_))),
    );
    if let Some(path) = &options.report {
        let facts = Facts {
            suite: options.suite.display().to_string(),
            commit: options.commit.clone(),
            mode: options.mode.clone(),
            runner: options.tool.display().to_string(),
            version: runner.version(),
            command: words.to_vec(),
        };
        let text = format!("{:#}\n", report::report(&suite, &facts, &outcomes));
        fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    match &options.expect {
        Some(path) => against_list(path, options.bless, &outcomes),
        None => Ok(failed == 0),
    }
}

fn show(id: &str, outcome: &Outcome, verbose: bool) {
    let line = match &outcome.verdict {
        Verdict::Passed | Verdict::Unsupported => return,
        Verdict::Failed(reason) => format!("failed: {id}: {reason}"),
        Verdict::Skipped(reason) => format!("skipped: {id}: {reason}"),
    };
    let stderr = if verbose { format!("\n{}", outcome.stderr) } else { String::new() };
    println!("{line}{stderr}");
}

fn against_list(path: &Path, bless: bool, outcomes: &[Outcome]) -> Result<bool, String> {
    let passed: BTreeSet<&str> =
        outcomes.iter().filter(|o| o.verdict == Verdict::Passed).map(|o| o.id.as_str()).collect();
    if bless {
        let text = expected::print(passed);
        fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        return Ok(true);
    }
    let text =
        fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let run = outcomes.iter().filter(|o| !matches!(o.verdict, Verdict::Skipped(_))).map(|o| o.id.as_str());
    let difference = expected::compare(&expected::parse(&text), run, &passed);
    for id in &difference.lost {
        println!("{}: {id} no longer passes", path.display());
    }
    for id in &difference.gained {
        println!("{}: {id} passes and is not on the list", path.display());
    }
    Ok(difference.is_empty())
}
