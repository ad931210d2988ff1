//! Runs in real containers of Podman: what is left of them.

// Whether Podman is there, and how it runs on this machine, is known from the environment.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::{PATH, Sandbox};

const SLEEPS: &str = "
cwlVersion: v1.2
class: CommandLineTool
requirements:
  DockerRequirement: {dockerImageId: 'localhost/moil-test:1'}
  ToolTimeLimit: {timelimit: 1}
inputs: []
outputs: {out: stdout}
stdout: out.txt
baseCommand: [sh, -c, 'id -u; sleep 1000']
";

/// A sandbox with an image; `None` without Podman.
fn prepared(document: &str) -> Option<Sandbox> {
    // One that is installed need not work: it wants a configuration that suits the machine.
    if !std::env::var("MOIL_REQUIRE").is_ok_and(|names| names.split(',').any(|name| name == "podman")) {
        println!("skipped: Podman is only tried where MOIL_REQUIRE names it");
        return None;
    }
    let missing = ["podman", "busybox"]
        .into_iter()
        .find(|name| !std::env::split_paths(PATH).any(|folder| folder.join(name).is_file()));
    assert!(missing.is_none(), "{missing:?} is not installed");
    let sandbox = Sandbox::with(document);
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/state\"\n",
        sandbox.path("").display()
    );
    sandbox.write("storage.conf", storage);
    let bin = sandbox.path("root/bin");
    std::fs::create_dir_all(&bin).expect("the directory is made");
    let busybox =
        std::env::split_paths(PATH).map(|folder| folder.join("busybox")).find(|path| path.is_file());
    std::fs::copy(busybox.expect("it is there"), bin.join("busybox")).expect("it is copied");
    for name in ["sh", "id", "sleep"] {
        symlink("busybox", bin.join(name)).expect("the link is made");
    }
    let tar = sandbox.path("image.tar");
    let made = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(sandbox.path("root")).arg(".").status();
    assert!(made.expect("tar is there").success());
    podman(&sandbox, &["import", "--change", "ENV PATH=/bin", "image.tar", "localhost/moil-test:1"]);
    Some(sandbox)
}

/// Gives a command what Podman needs to know of this sandbox, and of this machine.
fn environment<'a>(sandbox: &Sandbox, command: &'a mut Command) -> &'a mut Command {
    command.env("HOME", sandbox.path("")).env("CONTAINERS_STORAGE_CONF", sandbox.path("storage.conf"));
    std::env::var_os("CONTAINERS_CONF")
        .into_iter()
        .fold(command, |command, value| command.env("CONTAINERS_CONF", value))
}

fn podman(sandbox: &Sandbox, words: &[&str]) -> String {
    let mut command = Command::new("podman");
    command.args(words).current_dir(sandbox.path("")).env_clear().env("PATH", PATH);
    let Output { status, stdout, stderr } =
        environment(sandbox, &mut command).output().expect("podman is started");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("it is text")
}

#[test]
fn a_container_that_ran_too_long_is_removed() {
    let Some(sandbox) = prepared(SLEEPS) else { return };
    let mut command = sandbox.program(&["--podman", "--retryCount=0", "main.cwl"]);
    let output = environment(&sandbox, &mut command).output().expect("it is started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(ExitCode::FAILURE.0.into()), "{said}");
    assert!(said.contains("ran longer than its limit of 1 s"), "{said}");
    assert_eq!(podman(&sandbox, &["ps", "--all", "--quiet"]), "");
}

#[test]
fn a_container_that_is_to_be_left_is_there_with_its_id() {
    let Some(sandbox) =
        prepared(&SLEEPS.replace("sleep 1000", "true").replace("timelimit: 1", "timelimit: 0"))
    else {
        return;
    };
    std::fs::create_dir(sandbox.path("ids")).expect("the directory is made");
    let words = ["--podman", "--leave-container", "--cidfile-dir=ids", "--cidfile-prefix=mine", "main.cwl"];
    let mut command = sandbox.program(&words);
    let output = environment(&sandbox, &mut command).output().expect("it is started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = sandbox.list("ids");
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert!(file.to_string_lossy().starts_with("mine-moil-"), "{files:?}");
    let id = podman(&sandbox, &["ps", "--all", "--quiet", "--no-trunc"]);
    assert_eq!(
        id.trim(),
        std::fs::read_to_string(sandbox.path("ids").join(file)).expect("it is read").trim()
    );
    podman(&sandbox, &["rm", "--all"]);
}

#[test]
fn podman_runs_images_that_are_built_and_imported() {
    let tool = |docker: &str, words: &str| {
        format!(
            "cwlVersion: v1.2\nclass: CommandLineTool\nrequirements: {{DockerRequirement: {docker}}}\n\
             inputs: []\noutputs: {{out: stdout}}\nstdout: out.txt\nbaseCommand: {words}\n"
        )
    };
    let file = "{dockerFile: \"FROM localhost/moil-test:1\\nRUN id -u > /made\\n\"}";
    let Some(sandbox) = prepared(&tool(file, "[busybox, cat, /made]")) else { return };
    sandbox.write("import.cwl", tool("{dockerImport: image.tar}", "[/bin/busybox, echo, imported]"));
    for (document, expected) in [("main.cwl", "0\n"), ("import.cwl", "imported\n")] {
        let mut command = sandbox.program(&["--podman", document]);
        let output = environment(&sandbox, &mut command).output().expect("it is started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(sandbox.read("out.txt"), expected);
    }
}
