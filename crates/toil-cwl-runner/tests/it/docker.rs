//! Runs in real containers of Docker and Podman: what is left of them.

// Which of them is there, and how it runs on this machine, is known from the environment.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use toil_cwl_runner::exit_code::ExitCode;

use super::sandbox::{PATH, Sandbox, mark};

const SLEEPS: &str = "
cwlVersion: v1.2
class: CommandLineTool
requirements:
  DockerRequirement: {dockerImageId: IMAGE}
  ToolTimeLimit: {timelimit: 1}
inputs: []
outputs: {out: stdout}
stdout: out.txt
baseCommand: [sh, -c, 'id -u; sleep 1000']
";

macro_rules! with_both {
    ($($name:ident)*) => {
        mod with_docker {
            $(#[test]
            fn $name() {
                super::$name("docker");
            })*
        }
        mod with_podman {
            $(#[test]
            fn $name() {
                super::$name("podman");
            })*
        }
    };
}

with_both! {
    a_container_that_ran_too_long_is_removed
    a_container_that_is_to_be_left_is_there_with_its_id
    images_that_are_built_and_imported_are_run
    a_program_that_is_not_in_the_image_is_not_the_tools_failure
    a_job_runs_by_hand_again_and_again
}

/// A sandbox with an image that only its tests use.
struct Engine {
    program: &'static str,
    image: String,
    sandbox: Sandbox,
}

/// With a document for `main.cwl`, made for the image. `None` without the engine.
fn prepared(program: &'static str, document: impl Fn(&str) -> String) -> Option<Engine> {
    // One that is installed need not work: it wants a daemon, or a configuration that suits the machine.
    if !std::env::var("MOIL_REQUIRE").is_ok_and(|names| names.split(',').any(|name| name == program)) {
        println!("skipped: {program} is only tried where MOIL_REQUIRE names it");
        return None;
    }
    let image = format!("localhost/moil-test:{}", mark());
    let engine = Engine { program, sandbox: Sandbox::with(&document(&image)), image };
    let sandbox = &engine.sandbox;
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
    engine.say(&["import", "--change", "ENV PATH=/bin", "image.tar", &engine.image]);
    Some(engine)
}

impl Engine {
    /// Gives a command what the engine needs to know of this sandbox, and of this machine.
    fn environment(&self, command: &mut Command) {
        command
            .env("HOME", self.sandbox.path(""))
            .env("CONTAINERS_STORAGE_CONF", self.sandbox.path("storage.conf"));
        for variable in ["CONTAINERS_CONF", "DOCKER_HOST", "PATH"] {
            if let Some(value) = std::env::var_os(variable) {
                command.env(variable, value);
            }
        }
    }

    /// What the engine says.
    fn say(&self, words: &[&str]) -> String {
        let mut command = Command::new(self.program);
        command.args(words).current_dir(self.sandbox.path("")).env_clear();
        self.environment(&mut command);
        let Output { status, stdout, stderr } = command.output().expect("the engine is started");
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("it is text")
    }

    /// The ids of all containers of this sandbox.
    fn containers(&self) -> String {
        let filter = format!("ancestor={}", self.image);
        self.say(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter])
    }

    /// Runs a document with these options; what came of it.
    fn run(&self, words: &[&str]) -> Output {
        let option = format!("--{}", self.program);
        let mut command = self.sandbox.program(&[&[option.as_str()], words].concat());
        self.environment(&mut command);
        command.output().expect("it is started")
    }
}

fn sleeps(image: &str) -> String {
    SLEEPS.replace("IMAGE", image)
}

fn a_container_that_ran_too_long_is_removed(program: &'static str) {
    let Some(engine) = prepared(program, sleeps) else { return };
    let output = engine.run(&["--retryCount=0", "main.cwl"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(ExitCode::FAILURE.0.into()), "{said}");
    assert!(said.contains("ran longer than its limit of 1 s"), "{said}");
    assert_eq!(engine.containers(), "");
}

fn a_container_that_is_to_be_left_is_there_with_its_id(program: &'static str) {
    let short =
        |image: &str| sleeps(image).replace("sleep 1000", "true").replace("timelimit: 1", "timelimit: 0");
    let Some(engine) = prepared(program, short) else { return };
    std::fs::create_dir(engine.sandbox.path("ids")).expect("the directory is made");
    let output = engine.run(&["--leave-container", "--cidfile-dir=ids", "--cidfile-prefix=mine", "main.cwl"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = engine.sandbox.list("ids");
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert!(file.to_string_lossy().starts_with("mine-moil-"), "{files:?}");
    let id = engine.containers();
    assert_eq!(id.trim(), engine.sandbox.read(Path::new("ids").join(file)).trim());
    engine.say(&["rm", id.trim()]);
}

fn images_that_are_built_and_imported_are_run(program: &'static str) {
    let tool = |docker: &str, words: &str| {
        format!(
            "cwlVersion: v1.2\nclass: CommandLineTool\nrequirements: {{DockerRequirement: {docker}}}\n\
             inputs: []\noutputs: {{out: stdout}}\nstdout: out.txt\nbaseCommand: {words}\n"
        )
    };
    let built = |image: &str| {
        tool(&format!("{{dockerFile: \"FROM {image}\\nRUN id -u > /made\\n\"}}"), "[busybox, cat, /made]")
    };
    let Some(engine) = prepared(program, built) else { return };
    let imported = tool("{dockerImport: image.tar}", "[/bin/busybox, echo, imported]");
    engine.sandbox.write("import.cwl", imported);
    for (document, expected) in [("main.cwl", "0\n"), ("import.cwl", "imported\n")] {
        let output = engine.run(&[document]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(engine.sandbox.read("out.txt"), expected);
    }
}

fn a_program_that_is_not_in_the_image_is_not_the_tools_failure(program: &'static str) {
    let Some(engine) = prepared(program, sleeps) else { return };
    for (words, expected) in [
        ("no-such-program", "because  \"no-such-program\": executable file not found in $PATH"),
        ("/bin", "because  \"/bin\": permission denied"),
        ("sh, -c, 'exit 127'", "the tool of main.cwl exited with code 127"),
    ] {
        let document = sleeps(&engine.image)
            .replace("sh, -c, 'id -u; sleep 1000'", words)
            .replace("timelimit: 1", "timelimit: 0");
        engine.sandbox.write("main.cwl", document);
        let output = engine.run(&["--retryCount=0", "main.cwl"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected), "{said}");
        assert_eq!(
            said.contains("cannot be started in its container"),
            expected.starts_with("because"),
            "{said}"
        );
    }
    assert_eq!(engine.containers(), "");
}

fn a_job_runs_by_hand_again_and_again(program: &'static str) {
    let echo = |image: &str| {
        let words = "sh, -c, 'echo \"$GREETING\"; read x; echo $x', x";
        let more =
            "stdin: $(inputs.f.path)\nrequirements:\n  EnvVarRequirement: {envDef: {GREETING: it is me}}";
        sleeps(image)
            .replace("sh, -c, 'id -u; sleep 1000'", words)
            .replace("inputs: []", "inputs: {f: File}")
            .replace("timelimit: 1", "timelimit: 0")
            .replace("requirements:", more)
    };
    let Some(engine) = prepared(program, echo) else { return };
    engine.sandbox.write("in.txt", "of the file\n");
    let begin = ["--jobStore=store", "--clean=never", "main.cwl", "--f=in.txt"];
    let output = engine.run(&begin);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut moil = Command::new(env!("CARGO_BIN_EXE_moil"));
    let words = ["debug-job", "store", "main.cwl", "--retrieveTaskDirectory", "d"];
    moil.args(words).arg(format!("--{program}")).current_dir(engine.sandbox.path("")).env_clear();
    engine.environment(&mut moil);
    let output = moil.output().expect("it is started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(engine.sandbox.path("in.txt")).expect("it is removed");
    for _ in 0..2 {
        let mut script = Command::new(engine.sandbox.path("d/run.sh"));
        script.env_clear();
        engine.environment(&mut script);
        let output = script.output().expect("it is started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(engine.sandbox.read("d/out/out.txt"), "it is me\nof the file\n");
        std::fs::remove_file(engine.sandbox.path("d/out/out.txt")).expect("it is removed");
    }
    assert_eq!(engine.containers(), "");
}
