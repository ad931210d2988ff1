//! The program as a whole, called in process.

mod appliance;
mod bad_input;
mod buckets;
mod cache;
mod commands;
mod damage;
mod debug_job;
mod definition;
mod docker;
mod docs;
mod elsewhere;
mod every_request;
mod full_disk;
mod generators;
mod images;
mod in_place;
mod input_cache;
mod job_commands;
mod kubernetes;
mod left_logs;
mod names;
mod output_buckets;
mod paused;
mod readme;
mod replay;
mod requests;
mod restart;
mod runs;
mod s3_faults;
mod sandbox;
mod secrets;
mod seed;
mod serve;
mod signals;
mod simpledb;
mod surroundings;
mod tools;
mod validate;
mod words;

use std::ffi::OsString;
use std::path::Path;

use toil_cwl_runner::exit_code::ExitCode;
use toil_cwl_runner::invocation::{Capture, Invocation};

/// What a call answered.
struct Answer {
    code: ExitCode,
    stdout: String,
    stderr: String,
}

/// Calls `program`; `line` is split at blanks and line breaks with a backslash, as a shell does it.
fn call(
    program: &str,
    line: &str,
    env: &[(&str, &str)],
    cwd: &Path,
    run: fn(Invocation<'_>) -> ExitCode,
) -> Answer {
    let words = line.split_whitespace().filter(|word| *word != "\\");
    let mut stdout = Vec::new();
    let stderr = Capture::default();
    let code = run(Invocation {
        program: program.to_owned(),
        executable: Some(env!("CARGO_BIN_EXE_toil-cwl-runner").into()),
        args: words.map(OsString::from).collect(),
        cwd: cwd.to_owned(),
        env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        stdin: Box::new(std::io::empty()),
        stdout: &mut stdout,
        stderr: Box::new(stderr.clone()),
        stderr_is_terminal: false,
        spawner: None,
        signals: Default::default(),
    });
    Answer { code, stdout: String::from_utf8(stdout).expect("it is text"), stderr: stderr.text() }
}

/// Calls `toil-cwl-runner` in an empty directory.
fn runner(line: &str) -> Answer {
    let dir = tempfile::tempdir().expect("the directory is made");
    call("toil-cwl-runner", line, &[], dir.path(), toil_cwl_runner::run)
}
