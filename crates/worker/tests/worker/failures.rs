//! Attempts that fail, and what is told of it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moil_cwl::number::Number;
use moil_cwl::requirement::{CudaRequirement, DockerRequirement};
use moil_cwl::text::NumberOrText;
use moil_cwl::types::Type;
use moil_job::failure::FailureKind;

use crate::fixture::*;

#[test]
fn a_failed_tool_tells_its_story() {
    let mut bench = Bench::new();
    let failure =
        bench.fail(script("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo \"line $i\" >&2; done; exit 3"));
    assert_eq!(failure.kind, FailureKind::ToolFailed { exit_code: 3, temporary: false });
    assert_eq!(failure.message, "the tool of step exited with code 3");
    assert!(failure.command.as_deref().unwrap().starts_with("sh -c 'for i in"), "{failure:?}");
    assert_eq!(failure.last_lines.len(), 10);
    assert_eq!((failure.last_lines[0].as_str(), failure.last_lines[9].as_str()), ("line 3", "line 12"));
    let log = fs::read_to_string(failure.log.unwrap()).unwrap();
    assert_eq!(log.lines().count(), 12);
}

#[test]
fn what_a_tool_says_on_standard_output_counts_if_it_says_nothing_else() {
    let mut bench = Bench::new();
    let failure = bench.fail(script("echo why; exit 1"));
    assert_eq!(failure.last_lines, ["why"]);
    assert!(failure.log.unwrap().ends_with("stdout.log"));
}

#[test]
fn codes_signals_and_temporary_failures_are_told_apart() {
    let mut bench = Bench::new();
    let failure = bench.fail(script("kill -SEGV $$"));
    assert_eq!(failure.kind, FailureKind::ToolFailed { exit_code: 139, temporary: false });
    assert!(failure.message.contains("SIGSEGV") && failure.advice.unwrap().contains("crashed"));
    let failure = bench.fail(script("exit 75").with(|plan| plan.tool.temporary_fail_codes = vec![75]));
    assert_eq!(failure.kind, FailureKind::ToolFailed { exit_code: 75, temporary: true });
    let failure = bench.fail(script("no-such-program-at-all"));
    assert_eq!(failure.kind, FailureKind::ToolFailed { exit_code: 127, temporary: false });
    assert!(failure.advice.unwrap().contains("container"));
    // A document may even call success a failure.
    let failure = bench.fail(script("exit 0").with(|plan| plan.tool.permanent_fail_codes = vec![0]));
    assert_eq!(failure.kind, FailureKind::ToolFailed { exit_code: 0, temporary: false });
}

#[test]
fn programs_that_cannot_be_started_are_told_with_what_to_do() {
    let mut bench = Bench::new();
    let broken = bench.given("broken", "#!/no/such/interpreter\n");
    let plain = bench.given("plain", "no program\n");
    for (path, mode) in [(&broken, 0o755), (&plain, 0o644)] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let long = "x".repeat(3 << 20);
    let check = |bench: &mut Bench, words: &[&str], advice: &str| {
        let failure = bench.fail(command(words));
        assert_eq!(failure.kind, FailureKind::CannotStart);
        assert!(failure.advice.as_deref().unwrap().contains(advice), "{failure:?}");
        assert!(failure.cause.is_some() && failure.command.is_some());
    };
    check(&mut bench, &["no-such-program"], "PATH");
    check(&mut bench, &[broken.to_str().unwrap()], "interpreter");
    check(&mut bench, &[plain.to_str().unwrap()], "chmod +x");
    check(&mut bench, &["echo", &long], "InitialWorkDirRequirement");
}

#[test]
fn a_tool_that_ignores_sigterm_ends_at_its_time_limit() {
    let mut bench = Bench::with(|config| config.grace = Duration::from_millis(200));
    let start = Instant::now();
    let failure = bench.fail(
        script(
            "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > pid; sleep 1000' & sleep 1000; sleep 1000",
        )
        .with(|plan| plan.effective.time_limit = Some(NumberOrText::Number(Number::Int(5)))),
    );
    assert_eq!(failure.kind, FailureKind::TimeLimit);
    assert!(failure.message.contains("5 s"), "{failure:?}");
    assert!((5_200..60_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    let pid = fs::read_to_string(bench.attempts()[0].join("out/pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}

#[test]
fn the_shorter_of_two_limits_counts() {
    let mut bench = Bench::with(|config| config.max_duration = Some(Duration::from_millis(300)));
    let limit = |seconds| {
        move |plan: &mut Plan| plan.effective.time_limit = Some(NumberOrText::Number(Number::Int(seconds)))
    };
    assert_eq!(bench.fail(command(&["sleep", "1000"])).kind, FailureKind::TimeLimit);
    assert_eq!(bench.fail(command(&["sleep", "1000"]).with(limit(0))).kind, FailureKind::TimeLimit);
    assert_eq!(bench.fail(command(&["sleep", "1000"]).with(limit(500))).kind, FailureKind::TimeLimit);
}

#[test]
fn a_missing_output_is_told_with_what_is_there() {
    let mut bench = Bench::new();
    let failure = bench.fail(script("echo x > other.txt; mkdir d; echo note >&2").output(
        "out",
        Type::File,
        "wanted.txt",
    ));
    assert_eq!(failure.kind, FailureKind::BadOutput);
    assert!(failure.advice.as_deref().unwrap().contains("d/, other.txt"), "{failure:?}");
    assert_eq!(failure.last_lines, ["note"]);
    let failure = bench.fail(command(&["true"]).output("out", Type::File, "wanted.txt"));
    assert!(failure.advice.unwrap().contains("empty"));
}

#[test]
fn links_to_the_outside_are_no_outputs() {
    let mut bench = Bench::new();
    let secret = bench.given("secret.txt", "secret");
    let failure = bench.fail(command(&["ln", "-s", secret.to_str().unwrap(), "out.txt"]).output(
        "out",
        Type::File,
        "out.txt",
    ));
    assert_eq!(failure.kind, FailureKind::BadOutput);
    assert!(failure.message.contains("secret.txt"), "{failure:?}");
}

#[test]
fn names_that_are_not_utf8_are_told() {
    let mut bench = Bench::new();
    let failure =
        bench.fail(script("touch \"$(printf 'a\\377')\"").output("out", Type::File.array_of(), "*"));
    assert_eq!(failure.kind, FailureKind::BadOutput);
    assert!(format!("{failure:?}").contains("UTF-8"), "{failure:?}");
}

#[test]
fn missing_inputs_come_before_what_is_not_supported() {
    let mut bench = Bench::new();
    let docker = |plan: &mut Plan| {
        let docker = DockerRequirement { pull: Some("debian".into()), ..DockerRequirement::default() };
        plan.effective.docker = Some((Arc::new(docker), true));
    };
    let missing = bench.path("missing.txt");
    let failure = bench.fail(command(&["true"]).input("f", Type::File, file(&missing)).with(docker));
    assert_eq!(failure.kind, FailureKind::BadInput);
    assert!(failure.message.contains("missing.txt"));
    let failure = bench.fail(command(&["true"]).with(docker));
    assert_eq!(failure.kind, FailureKind::Unsupported);
    assert!(failure.message.contains("debian"));
    let failure = bench.fail(
        command(&["true"]).with(|plan| plan.effective.unknown.push((place(), "NewRequirement".into()))),
    );
    assert_eq!(failure.kind, FailureKind::Unsupported);
    assert!(failure.message.contains("NewRequirement") && failure.place.is_some());
    assert!(bench.attempts().is_empty(), "nothing is left of attempts that never ran");
}

#[test]
fn without_a_driver_there_is_no_cuda() {
    let mut bench = Bench::with(|config| config.host_environment = vec![("PATH".into(), "/nowhere".into())]);
    let failure = bench.fail(command(&["/bin/true"]).with(|plan| {
        plan.effective.cuda = Some(Arc::new(CudaRequirement {
            version_min: "11.0".into(),
            compute_capability: vec!["8.0".into()],
            device_count_min: NumberOrText::Number(Number::Int(1)),
            device_count_max: None,
        }));
    }));
    assert_eq!(failure.kind, FailureKind::Unsupported);
}

#[test]
fn only_the_end_of_a_long_log_is_kept() {
    let mut bench = Bench::with(|config| config.max_log_size = Some(1000));
    let failure = bench.fail(script("seq 100000 >&2; exit 1"));
    assert_eq!(failure.last_lines.last().unwrap(), "100000");
    let log = fs::read_to_string(failure.log.unwrap()).unwrap();
    assert!(log.len() < 1100 && log.ends_with("99999\n100000\n"), "{log}");
}

#[test]
fn a_work_root_that_cannot_be_made_is_a_failure_of_the_system() {
    let bench = Bench::new();
    let in_the_way = bench.given("file", "");
    let config = moil_worker::config::WorkerConfig::new(
        moil_worker::spawner::Spawner::start().unwrap(),
        in_the_way.join("x"),
    );
    let error = moil_worker::local::LocalExecutor::new(config, Arc::new(|_| {})).err().unwrap();
    assert_eq!(error.kind, FailureKind::System);
}
