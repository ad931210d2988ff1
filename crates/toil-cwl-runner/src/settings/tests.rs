mod pods;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::argparse;
use crate::exit_code::ExitCode;
use crate::options::{self, Verdict};

fn settle(line: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let words: Vec<OsString> = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
    let parsed = argparse::parse(&words, &|_| false).map_err(SettingsError::Usage)?;
    let environment = Environment::new(variables.iter().map(|(name, value)| (name.into(), value.into())));
    resolve(parsed, &environment, Path::new("/here"), true)
}

fn settings(line: &str) -> Settings {
    settle(line, &[]).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn fault(line: &str) -> (u8, String) {
    let error = settle(line, &[]).expect_err(line);
    (error.exit_code().0, error.to_string())
}

fn notes(line: &str) -> Vec<String> {
    settings(line).notes.into_iter().map(|note| format!("{:?}: {}", note.level, note.text)).collect()
}

#[test]
fn the_defaults_are_those_of_toil() {
    let settings = settings("wf.cwl");
    assert_eq!(settings.action, Action::Run);
    assert_eq!(settings.workflow, "wf.cwl");
    assert_eq!(settings.files.outdir, Path::new("/here"));
    assert_eq!(settings.tools.eval_timeout, Duration::from_secs(20));
    assert_eq!(settings.tools.loop_limit, 1000);
    assert_eq!(settings.containers.engine, Engine::Auto);
    assert!(settings.documents.strict && settings.files.checksums && settings.resources.cwl_default_ram);
    assert!(!settings.files.keep_temporary && !settings.documents.relax_path_checks);
    assert_eq!(settings.log.level, Level::Info);
    assert_eq!(settings.log.keep, Keep::End(100 << 20));
    assert_eq!(settings.log.status_wait, Duration::from_secs(3600));
    assert_eq!(
        settings.store,
        Store {
            locator: None,
            restart: Restart::No,
            clean: Clean::OnSuccess,
            clean_work_dir: Clean::Always,
            stats: false,
            records: RecordsIn::S3,
            encryption_key: None
        }
    );
    assert_eq!(
        settings.resources,
        Resources {
            default_cores: 1.0,
            default_memory: 2 << 30,
            default_disk: 2 << 30,
            cwl_default_ram: true,
            cwl_min_ram: None,
            max_cores: None,
            max_memory: None,
            max_disk: None,
            max_jobs: None,
            jobs_as_cores: false,
            scale: 1.0,
            default_time: None,
            max_time: None
        }
    );
    assert_eq!(
        settings.retries,
        Retries {
            count: 1,
            backoff: Duration::from_secs(2),
            backoff_factor: 3.0,
            double_memory: false,
            stop_on_first_failure: false
        }
    );
    assert_eq!(settings.notes, []);
}

#[test]
fn the_command_line_beats_the_environment() {
    let variables = [("TOIL_WORKDIR", "/var"), ("ORCID", "1"), ("TMPDIR", "/usr")];
    let with = |line: &str| settle(line, &variables).expect("it is valid");
    assert_eq!(with("wf.cwl").files.work_dir, Path::new("/var"));
    assert_eq!(with("--workDir / wf.cwl").files.work_dir, Path::new("/"));
    assert_eq!(with("wf.cwl").provenance.orcid.as_deref(), Some("1"));
    assert_eq!(with("--orcid 2 wf.cwl").provenance.orcid.as_deref(), Some("2"));
    let overridden = [("TOIL_WORKDIR_OVERRIDE", "/usr"), ("TOIL_WORKDIR", "/var")];
    assert_eq!(
        settle("--workDir / wf.cwl", &overridden).expect("it is valid").files.work_dir,
        Path::new("/usr")
    );
}

#[test]
fn the_config_file_is_the_weakest() {
    let dir = tempfile::tempdir().expect("the directory is made");
    let file = dir.path().join("config");
    let text = "retryCount: 5\norcid: 3\nmaxJobs: 7\nsetEnv: {A: 1}\nunknown: 1\nrealTimeLogging: true\n";
    std::fs::write(&file, text).expect("it is written");
    let line = format!("--config {} --retryCount 2 -e B=2 w.cwl", file.display());
    let settings = settle(&line, &[("ORCID", "2")]).expect("it is valid");
    assert_eq!((settings.retries.count, settings.resources.max_jobs), (2, Some(7)));
    assert_eq!(settings.provenance.orcid.as_deref(), Some("2"));
    assert_eq!(settings.tools.set, [("B".to_owned(), OsString::from("2"))]);
    assert!(settings.log.real_time);
    assert_eq!(
        settings.notes.len(),
        1 + 1,
        "the unknown key and the option that is to come: {:?}",
        settings.notes
    );
}

#[test]
fn the_work_directory_is_found_as_python_finds_it() {
    let check = |variables: &[(&str, &str)], expected: &str| {
        assert_eq!(settle("wf.cwl", variables).expect("it is valid").files.work_dir, Path::new(expected));
    };
    check(&[("TMPDIR", "/usr"), ("TMP", "/var")], "/usr");
    check(&[("TMPDIR", "/not/there"), ("TEMP", "/var")], "/var");
    check(&[("TMPDIR", "")], "/tmp");
    let (code, text) = fault("--workDir /not/there wf.cwl");
    assert_eq!((code, text.as_str()), (1, "the work directory '/not/there' is not a directory that exists"));
}

#[test]
fn prefixes_of_temporary_directories_are_taken_apart() {
    let check = |prefix: &str, dir: &str, name: &str| {
        let files = settings(&format!("--tmpdir-prefix {prefix} wf.cwl")).files;
        assert_eq!(files.tmpdir, TemporaryPrefix { dir: PathBuf::from(dir), name: name.to_owned() });
        assert_eq!(files.tmp_outdir, files.tmpdir);
    };
    check("/x/y/job", "/x/y", "job");
    check("/x/y/", "/x/y", "");
    check("/job", "/", "job");
    check("job", "/here", "job");
    check("sub/job", "/here/sub", "job");
    let files = settings("--tmpdir-prefix /a/b --tmp-outdir-prefix /c/d wf.cwl").files;
    assert_eq!(files.tmp_outdir, TemporaryPrefix { dir: PathBuf::from("/c"), name: "d".to_owned() });
}

#[test]
fn levels_and_quiet_go_together_as_in_toil() {
    let check = |options: &str, level: Level| {
        assert_eq!(settings(&format!("{options} wf.cwl")).log.level, level, "{options}");
    };
    check("--quiet", Level::Error);
    check("--quiet --logDebug", Level::Debug);
    check("--quiet --logInfo", Level::Error);
    check("--logDebug --logError", Level::Error);
    check("--logLevel WARNING", Level::Warning);
    check("--logLevel trace", Level::Trace);
    check("--logOff", Level::Critical);
    check("--debug", Level::Debug);
    check("--no-warnings", Level::Error);
    assert_eq!(
        fault("--logLevel loud wf.cwl"),
        (2, "--logLevel: 'loud' is none of Critical, Error, Warning, Info, Debug and Trace".to_owned())
    );
}

#[test]
fn colours_can_be_switched_off() {
    let colours =
        |line: &str, variables: &[(&str, &str)]| settle(line, variables).expect("valid").log.colours;
    assert!(colours("w", &[]));
    assert!(colours("w", &[("NO_COLOR", "")]));
    assert!(!colours("w", &[("NO_COLOR", "1")]));
    assert!(!colours("w", &[("TERM", "dumb")]));
    assert!(!colours("--logColors false w", &[]));
    assert!(!colours("--disable-color w", &[]));
    assert!(colours("--disable-color --logColors yes w", &[]));
}

#[test]
fn tools_see_the_path_and_what_is_let_through() {
    let variables = [("PATH", "/bin"), ("A", "1"), ("B", "2")];
    let names = |line: &str| -> Vec<(String, String)> {
        let tools = settle(line, &variables).expect("valid").tools;
        let text = |text: &OsString| text.to_string_lossy().into_owned();
        tools.environment.iter().map(|(name, value)| (text(name), text(value))).collect()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(names("w.cwl"), pairs(&[("PATH", "/bin")]));
    assert_eq!(names("--preserve-environment A w.cwl"), pairs(&[("A", "1"), ("PATH", "/bin")]));
    assert_eq!(names("--preserve-environment A PATH w.cwl"), pairs(&[("A", "1"), ("PATH", "/bin")]));
    assert_eq!(
        names("--preserve-entire-environment w.cwl"),
        pairs(&[("A", "1"), ("B", "2"), ("PATH", "/bin")])
    );
    // A variable that is set for workers does not reach tools by itself.
    assert_eq!(names("-e C=3 w.cwl"), pairs(&[("PATH", "/bin")]));
    assert_eq!(
        names("-e C=3 -e B --preserve-environment B C w.cwl"),
        pairs(&[("B", "2"), ("C", "3"), ("PATH", "/bin")])
    );
    assert_eq!(
        notes("--preserve-environment NONE w.cwl"),
        ["Warning: --preserve-environment NONE: there is no such variable"]
    );
}

#[test]
fn variables_for_workers_have_a_value_from_somewhere() {
    assert_eq!(
        settings("-e A=1=2 -e B= -e A=3 w").tools.set,
        [("B".to_owned(), OsString::new()), ("A".to_owned(), "3".into())]
    );
    assert_eq!(fault("-e =1 w"), (2, "-e '=1' has no name".to_owned()));
    assert_eq!(
        fault("--setEnv NONE w"),
        (
            2,
            "--setEnv NONE: there is no such variable to take the value from\n  hint: write --setEnv NONE=VALUE"
                .to_owned()
        )
    );
}

#[test]
fn engines_exclude_each_other() {
    let engine = |line: &str| settings(line).containers.engine;
    assert_eq!(engine("--no-container w"), Engine::None);
    assert_eq!(engine("--singularity w"), Engine::Singularity);
    assert_eq!(engine("--docker w"), Engine::Docker);
    assert_eq!(engine("--podman --podman w"), Engine::Podman);
    assert_eq!(engine("--udocker w"), Engine::UserSpace("udocker".to_owned()));
    assert_eq!(engine("--user-space-docker-cmd=dx-docker w"), Engine::UserSpace("dx-docker".to_owned()));
    assert_eq!(
        fault("--singularity --no-container w"),
        (2, "--singularity and --no-container exclude each other".to_owned())
    );
    assert_eq!(
        fault("--user-space-docker-cmd x --podman w"),
        (2, "--user-space-docker-cmd and --podman exclude each other".to_owned())
    );
}

#[test]
fn containers_of_docker_are_sealed_and_removed_unless_options_say_otherwise() {
    let containers = |line: &str| settings(line).containers;
    let plain = containers("w");
    assert!(
        plain.match_user && plain.read_only && !plain.keep && !plain.strict_memory && !plain.strict_cores
    );
    assert_eq!(plain.id_files, None);
    let other = containers("--no-match-user --no-read-only --leave-container w");
    assert!(!other.match_user && !other.read_only && other.keep);
    let strict = containers("--strict-memory-limit --strict-cpu-limit --rm-container w");
    assert!(strict.strict_memory && strict.strict_cores && !strict.keep);
    let files =
        |line: &str| containers(line).id_files.map(|(folder, prefix)| (folder.ends_with("ids"), prefix));
    assert_eq!(files("--record-container-id w"), Some((false, String::new())));
    assert_eq!(files("--cidfile-dir ids w"), Some((true, String::new())));
    assert_eq!(files("--cidfile-dir ids --cidfile-prefix run w"), Some((true, "run-".to_owned())));
}

#[test]
fn logs_are_kept_plain_or_compressed() {
    let kept = |line: &str| {
        let log = settings(line).log;
        (log.jobs_dir.map(|dir| dir.file_name().map(|name| name.to_owned())), log.compress_jobs)
    };
    assert_eq!(kept("w"), (None, false));
    assert_eq!(kept("--writeLogs logs w"), (Some(Some("logs".into())), false));
    assert_eq!(kept("--writeLogsGzip logs w"), (Some(Some("logs".into())), true));
    assert_eq!(
        fault("--writeLogs a --writeLogsGzip b w"),
        (2, "--writeLogs and --writeLogsGzip exclude each other".to_owned())
    );
}

#[test]
fn job_stores_are_found_by_their_locator() {
    let store = |text: &str| settings(&format!("--jobStore {text} wf.cwl")).store.locator.expect("a locator");
    assert_eq!(store("/data/store"), Locator::File(PathBuf::from("/data/store")));
    assert_eq!(store("./store"), Locator::File(PathBuf::from("/here/store")));
    assert_eq!(store("store"), Locator::File(PathBuf::from("/here/store")));
    assert_eq!(store("file:store"), Locator::File(PathBuf::from("/here/store")));
    assert_eq!(store("file:/data/store"), Locator::File(PathBuf::from("/data/store")));
    assert_eq!(store("/with:colon"), Locator::File(PathBuf::from("/with:colon")));
    for bucket in ["aws:us-west-2:runs", "s3://bucket/some/prefix"] {
        assert_eq!(store(bucket).to_string(), bucket);
    }
    assert_eq!(fault("--jobStore aws:us-west-2:x wf.cwl").0, 2, "the name is too short");
    assert_eq!(fault("--jobstore google:p:x wf.cwl").0, 1);
    assert_eq!(
        fault("--jobStore s3:x wf.cwl"),
        (2, "--jobStore: \"s3:x\" is no job store: it is written s3://BUCKET/PREFIX".to_owned())
    );
    assert_eq!(
        fault("--jobStore file: wf.cwl"),
        (2, "--jobStore: \"file:\" is no job store: the path is missing".to_owned())
    );
}

#[test]
fn a_job_store_as_a_word_is_used_with_a_remark() {
    let settings = settings("file:store wf.cwl");
    assert_eq!(settings.store.locator, Some(Locator::File(PathBuf::from("/here/store"))));
    let text = "'file:store' was taken for the job store; toil-cwl-runner expects --jobStore file:store";
    assert_eq!(settings.notes, [Note { level: Level::Warning, text: text.to_owned() }]);
    assert_eq!(
        fault("--jobStore a file:b wf.cwl"),
        (2, "'file:b' looks like a second job store, after --jobStore\n  hint: only one job store can be used".to_owned())
    );
    assert_eq!(
        fault("aws:r:n"),
        (2, "no workflow is given\n  hint: 'aws:r:n' was taken for the job store".to_owned())
    );
}

#[test]
fn restart_has_two_forms() {
    let restart = |line: &str| settings(line).store.restart;
    assert_eq!(restart("--jobStore s wf.cwl"), Restart::No);
    assert_eq!(restart("--restart --jobStore s wf.cwl"), Restart::Yes);
    assert_eq!(restart("--restart=auto --jobStore s wf.cwl"), Restart::Auto);
}

#[test]
fn statistics_keep_the_job_store() {
    assert_eq!(settings("--stats wf.cwl").store.clean, Clean::Never);
    assert_eq!(settings("--stats --clean always wf.cwl").store.clean, Clean::Never);
    assert_eq!(settings("--clean onError --cleanWorkDir never wf.cwl").store.clean, Clean::OnError);
}

#[test]
fn batch_systems_have_old_and_new_names() {
    for name in ["single_machine", "singleMachine"] {
        assert_eq!(settings(&format!("--batchSystem {name} wf.cwl")).notes, []);
    }
    for (name, option) in [("kubernetes", "aws:REGION:NAME"), ("processes", "DIRECTORY")] {
        let text = format!(
            "--batchSystem {name} needs a job store\n  hint: workers share nothing else with the leader: add --jobStore {option}"
        );
        assert_eq!(fault(&format!("--batchSystem {name} wf.cwl")), (1, text));
        assert_eq!(settings(&format!("--batchSystem {name} --jobStore s3://bucket/p wf.cwl")).notes, []);
    }
    for name in
        ["aws_batch", "grid_engine", "gridEngine", "lsf", "mesos", "slurm", "torque", "htcondor", "parasol"]
    {
        let (code, text) = fault(&format!("--batchSystem {name} wf.cwl"));
        assert_eq!(code, 1);
        assert!(text.starts_with(&format!("--batchSystem {name} is not supported\n")), "{text}");
    }
    assert_eq!(
        fault("--batchSystem kubernets wf.cwl"),
        (2, "--batchSystem 'kubernets' is unknown\n  hint: did you mean kubernetes?".to_owned())
    );
}

#[test]
fn failures_are_handled_as_either_program_spells_it() {
    let stop = |line: &str| settings(line).retries.stop_on_first_failure;
    assert!(stop("--stopOnFirstFailure True wf.cwl"));
    assert!(stop("--stopOnFirstFailure wf.cwl"));
    assert!(stop("--on-error stop wf.cwl"));
    assert!(!stop("--on-error continue wf.cwl"));
    assert!(!stop("--on-error stop --stopOnFirstFailure false wf.cwl"));
    assert_eq!(settings("--retryCount 0 wf.cwl").retries.count, 0);
    assert_eq!(settings("--retryCount 99999999999 wf.cwl").retries.count, u32::MAX);
    assert_eq!(
        fault("--retryCount -1 wf.cwl"),
        (2, "--retryCount: '-1' is not a whole number of 0 or more".to_owned())
    );
}

#[test]
fn numbers_of_jobs_are_limited_by_either_option() {
    let jobs = |line: &str| {
        let resources = settings(line).resources;
        (resources.max_jobs, resources.jobs_as_cores)
    };
    assert_eq!(jobs("--maxJobs 0 w"), (None, false));
    assert_eq!(jobs("--maxJobs 5 w"), (Some(5), false));
    assert_eq!(jobs("--maxJobs 5 --parallel-max 3 w"), (Some(3), false));
    assert_eq!(jobs("--parallel-max 0 w"), (None, true));
}

#[test]
fn faults_of_values_name_the_option_as_it_was_written() {
    assert_eq!(
        fault("--defaultMemory 2X w"),
        (2, "--defaultMemory: '2X' has an unknown unit; known are K, M, G, T, P, E and Ki, Mi, Gi, Ti, Pi, Ei".to_owned())
    );
    assert_eq!(fault("--maxCores zero w"), (2, "--maxCores: 'zero' is not a number above 0".to_owned()));
    assert_eq!(
        fault("--eval-timeout -1 w"),
        (2, "--eval-timeout: '-1' is not a number of seconds".to_owned())
    );
}

#[test]
fn printing_is_an_action() {
    let action = |line: &str| settings(line).action;
    assert_eq!(action("--validate w"), Action::Validate { json: false });
    assert_eq!(action("--validate --json w"), Action::Validate { json: true });
    assert_eq!(
        action("--print-deps --relative-deps cwd w"),
        Action::PrintDependencies { relative_to_cwd: true }
    );
    assert_eq!(action("--print-supported-versions"), Action::PrintSupportedVersions);
    assert_eq!(action("--pack w"), Action::Pack);
    assert_eq!(action("--print-subgraph --target a w"), Action::PrintSubgraph);
    assert_eq!(
        fault("--print-rdf w"),
        (1, "--print-rdf is not supported yet (printing documents as RDF)".to_owned())
    );
    assert_eq!(
        fault("--target a --single-step b w"),
        (2, "--target, --single-step and --single-process exclude each other".to_owned())
    );
}

#[test]
fn what_is_no_workflow_is_said_so() {
    assert_eq!(
        fault("--quiet"),
        (
            2,
            "no workflow is given\n  hint: name a CWL file, and after it the file with its inputs".to_owned()
        )
    );
    let (code, text) = fault("tutorial_helloworld.py aws:us-west-2:demouser-toil-test-jobstore");
    assert_eq!(code, ExitCode::FAILURE.0);
    assert!(text.starts_with("'tutorial_helloworld.py' is a Python program\n"), "{text}");
}

#[test]
fn outputs_go_to_a_directory_or_to_a_bucket() {
    let bucket = |line: &str| {
        let bucket = settings(line).files.bucket.expect("a bucket");
        (bucket.name, bucket.prefix)
    };
    let pair = |name: &str, prefix: &str| (name.to_owned(), prefix.to_owned());
    assert_eq!(bucket("--outdir s3://bucket/a/b/ w"), pair("bucket", "a/b"));
    assert_eq!(bucket("--destBucket s3://bucket w"), pair("bucket", ""));
    assert_eq!(bucket("--destBucket bucket/a --outdir out w"), pair("bucket", "a"));
    let files = settings("--destBucket file:///data/x w").files;
    assert_eq!((files.bucket, files.outdir), (None, "/data/x".into()));
    assert_eq!(settings("--outdir bucket/a w").files.outdir, Path::new("/here/bucket/a"));
    let (code, told) = fault("--destBucket gs://b w");
    assert_eq!(code, 1);
    assert!(told.starts_with("--destBucket gs://b: outputs cannot go to gs:"), "{told}");
}

#[test]
fn options_without_effect_are_remarked_once() {
    assert_eq!(
        notes("--disableChaining --disableChaining true --beta-use-biocontainers --nodeTypes x w"),
        [
            "Info: --disableChaining has no effect: nothing is chained",
            "Warning: --beta-use-biocontainers is not supported yet (containers); the run goes on without it",
            "Warning: --nodeTypes is not supported: the cluster's own autoscaler does that",
        ]
    );
    assert_eq!(settings("--defaultPreemptible false --metrics false w").notes, []);
    // Nobody wrote a variable for this run alone.
    let variables = [("TOIL_KUBERNETES_OWNER", "me")];
    assert_eq!(settle("w", &variables).expect("valid").notes, []);
}

/// The settings are read by key: a key that is read and not in the table, or the other way round, is a slip.
#[test]
fn every_option_that_works_is_read_and_every_key_that_is_read_is_in_the_table() {
    let code = concat!(
        include_str!("resolve.rs"),
        include_str!("resolve/batch.rs"),
        include_str!("resolve/kubernetes.rs")
    );
    let literals: BTreeSet<&str> = code
        .split('"')
        .filter(|text| {
            text.starts_with("--") && text[2..].chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
        .collect();
    let keys: BTreeSet<&str> = options::all().map(|option| option.key).collect();
    for literal in &literals {
        assert!(keys.contains(literal), "{literal} is read but not in the table");
    }
    for option in options::all().filter(|option| option.verdict == Verdict::Runs) {
        let by_parser = ["--help", "--version"].contains(&option.key);
        assert!(by_parser || literals.contains(option.key), "{} works, but nobody reads it", option.name());
    }
}
