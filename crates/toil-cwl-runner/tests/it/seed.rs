//! The commands of the documents that describe the original system, word for word.

use std::ffi::OsString;
use std::path::Path;

use toil_cwl_runner::argparse::{self, Parsed};
use toil_cwl_runner::environment::Environment;
use toil_cwl_runner::exit_code::ExitCode;
use toil_cwl_runner::settings::{self, Settings, SettingsError};

use super::{call, runner};

const CWL: &str = "--jobStore  aws:us-west-2:demouser-toil-test-jobstore \\
     --batchSystem kubernetes \\
     --realTimeLogging \\
     --logInfo \\
     --disableCaching \\
     path/to/cwl/workflow \\
     path/to/cwl/input/object";

const PYTHON: &str = "tutorial_helloworld.py \\
         aws:us-west-2:demouser-toil-test-jobstore \\
         --batchSystem kubernetes \\
         --realTimeLogging \\
         --logInfo \\
         --disableCaching false";

const ENVIRONMENT: &[(&str, &str)] = &[
    ("TOIL_KUBERNETES_OWNER", "demo-user"),
    ("TOIL_AWS_SECRET_NAME", "aws-credentials"),
    ("TOIL_KUBERNETES_HOST_PATH", "/data/scratch"),
];

fn parse(line: &str) -> Parsed {
    let words: Vec<OsString> =
        line.split_whitespace().filter(|word| *word != "\\").map(OsString::from).collect();
    argparse::parse(&words, &|_| false).expect("it is understood")
}

/// The winning value of each key.
fn values(parsed: &Parsed) -> Vec<(&'static str, &str)> {
    parsed.given.iter().map(|given| (given.option.key, given.value.as_str())).collect()
}

fn settle(line: &str) -> Result<Settings, SettingsError> {
    settings::resolve(parse(line), &Environment::default(), Path::new("/"), false)
}

#[test]
fn the_cwl_command_is_understood() {
    let parsed = parse(CWL);
    assert_eq!(
        values(&parsed),
        [
            ("--jobStore", "aws:us-west-2:demouser-toil-test-jobstore"),
            ("--batchSystem", "kubernetes"),
            ("--realTimeLogging", "true"),
            ("--logLevel", "Info"),
            ("--caching", "false"),
        ]
    );
    assert_eq!(parsed.workflow.as_deref(), Some("path/to/cwl/workflow"));
    assert_eq!(parsed.inputs, [argparse::InputWord::Plain("path/to/cwl/input/object".to_owned())]);
}

#[test]
fn the_cwl_command_is_followed_on_kubernetes() {
    let settings = settle(CWL).expect("it can be followed");
    assert_eq!(settings.batch, settings::BatchSystem::Kubernetes);
    assert_eq!(settings.notes, []);
    let with_host_path = |line: &str| {
        let variables = ENVIRONMENT.iter().map(|(name, value)| (name.into(), value.into()));
        settings::resolve(parse(line), &Environment::new(variables), Path::new("/"), false)
    };
    for (line, shares) in [(CWL.to_owned(), false), (CWL.replace("Caching", "Caching false"), true)] {
        assert_eq!(with_host_path(&line).expect("it can be followed").shares_inputs(), shares, "{line}");
    }
    // The workflow of the page is not there.
    let answer = call("toil-cwl-runner", CWL, ENVIRONMENT, Path::new("/"), toil_cwl_runner::run);
    assert_eq!((answer.code, answer.stdout.as_str()), (ExitCode::FAILURE, ""));
    assert!(answer.stderr.contains("path/to/cwl/workflow"), "{}", answer.stderr);
}

#[test]
fn the_same_command_runs_on_this_machine() {
    let local = CWL
        .replace("aws:us-west-2:demouser-toil-test-jobstore", "file:store")
        .replace("kubernetes", "single_machine");
    let settings = settle(&local).expect("it can be followed");
    assert!(settings.log.real_time);
    assert_eq!(settings.workflow, "path/to/cwl/workflow");
    assert_eq!(settings.store.locator, Some(moil_jobstore::locator::Locator::File("/store".into())));
}

#[test]
fn the_python_command_is_understood_and_answered() {
    let parsed = parse(PYTHON);
    assert_eq!(
        values(&parsed),
        [
            ("--batchSystem", "kubernetes"),
            ("--realTimeLogging", "true"),
            ("--logLevel", "Info"),
            ("--caching", "true")
        ]
    );
    assert_eq!(parsed.workflow.as_deref(), Some("tutorial_helloworld.py"));
    assert_eq!(parsed.job_store_word.as_deref(), Some("aws:us-west-2:demouser-toil-test-jobstore"));
    let answer = runner(PYTHON);
    assert_eq!(answer.code, ExitCode::FAILURE);
    assert_eq!(
        answer.stderr,
        "toil-cwl-runner: error: 'tutorial_helloworld.py' is a Python program\n  \
         hint: this program runs CWL documents; Python workflows of Toil need Toil\n"
    );
}

#[test]
fn caching_is_on_and_off_in_both_spellings() {
    let caching = |words: &str| {
        let parsed = parse(&format!("{words} wf.cwl"));
        assert_eq!(parsed.workflow.as_deref(), Some("wf.cwl"), "{words}");
        values(&parsed).first().map(|(key, value)| (*key, (*value).to_owned()))
    };
    let check = |words: &str, expected: &str| {
        assert_eq!(caching(words), Some(("--caching", expected.to_owned())), "{words}");
    };
    check("--disableCaching", "false");
    check("--disableCaching true", "false");
    check("--disableCaching false", "true");
    check("--disableCaching=false", "true");
    check("--caching true", "true");
    check("--caching=False", "false");
}

#[test]
fn options_of_cwltool_can_be_passed() {
    let settings = settle("--no-match-user wf.cwl").expect("it can be followed");
    let texts: Vec<_> = settings.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(texts, [""; 0]);
    assert!(!settings.containers.match_user);
}

#[test]
fn the_variables_of_the_documents_are_known() {
    let environment = Environment::new(ENVIRONMENT.iter().map(|(name, value)| (name.into(), value.into())));
    let given = environment.options().expect("they are valid");
    let mut found: Vec<_> = given.iter().map(|given| (given.option.name(), given.value.as_str())).collect();
    found.sort_unstable();
    assert_eq!(found, [("--kubernetesHostPath", "/data/scratch"), ("--kubernetesOwner", "demo-user")]);
    assert!(environment.known("TOIL_AWS_SECRET_NAME").is_some());
    assert!(environment.known("SINGULARITY_CACHEDIR").is_none());
    assert!(environment.known("TOIL_APPLIANCE_SELF").is_none());
}
