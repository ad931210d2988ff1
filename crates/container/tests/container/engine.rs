//! Command lines, carried out by the real engine.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::{Command, Output};

use moil_container::apptainer;
use moil_container::detect::Engine;
use moil_container::invocation::{Bind, Invocation, Network};
use moil_container::probe::{self, Probe};

use crate::fixture::{Place, engine, get, has_engine, with_image};
use crate::registry::{OciImage, Registry};

/// A place with an image, and an invocation of a shell script in it.
fn prepared(script: &str) -> (Place, Registry, Invocation) {
    let (place, registry, image) = with_image();
    get(&place.store(), &image).unwrap();
    for folder in ["out", "tmp", "in"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    let invocation = Invocation {
        output: Bind { source: place.path("out"), target: "/XyzAbc".into(), writable: true },
        temporary: place.path("tmp"),
        binds: Vec::new(),
        network: Network::None,
        nvidia: false,
        environment: Vec::new(),
        command: ["sh", "-c", script].map(String::from).to_vec(),
    };
    (place, registry, invocation)
}

fn probe_here(place: &Place) -> Probe {
    probe::probe(&engine(), &place.environment(), place.folder.path()).unwrap()
}

/// Runs an invocation in the only image of the place.
fn run(place: &Place, invocation: &Invocation) -> Output {
    run_in(&place.store().list().unwrap()[0].path, place, invocation)
}

fn run_in(image: &Path, place: &Place, invocation: &Invocation) -> Output {
    let line = apptainer::command_line(&engine(), &probe_here(place), image, invocation).unwrap();
    Command::new(&line.argv[0])
        .args(&line.argv[1..])
        .env_clear()
        .envs(place.environment())
        .envs(line.environment)
        .current_dir(&invocation.output.source)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_tool_sees_its_output_directory_as_home_and_writes_to_it() {
    if !has_engine() {
        return;
    }
    let (place, _registry, invocation) =
        prepared("pwd; echo $HOME; echo made > made; echo $IN_IMAGE; ls /tmp");
    fs::write(place.path("tmp/seen"), "").unwrap();
    assert_eq!(stdout(&run(&place, &invocation)), "/XyzAbc\n/XyzAbc\nyes\nseen\n");
    assert_eq!(fs::read_to_string(place.path("out/made")).unwrap(), "made\n");
}

#[test]
fn docker_output_directory_and_absolute_entry_names() {
    if !has_engine() {
        return;
    }
    let (place, _registry, mut invocation) = prepared("pwd; cat /conf/tool.conf inside");
    invocation.output.target = "/other".into();
    fs::write(place.path("in/tool.conf"), "conf\n").unwrap();
    for target in ["/conf/tool.conf", "/other/inside"] {
        let source = place.path("in/tool.conf");
        invocation.binds.push(Bind { source, target: target.into(), writable: false });
    }
    assert_eq!(stdout(&run(&place, &invocation)), "/other\nconf\nconf\n");
}

#[test]
fn binds_are_read_only_unless_they_are_writable() {
    if !has_engine() {
        return;
    }
    let script = "echo x > /fixed/file || echo refused; echo x > /free/file; ls /free";
    let (place, _registry, mut invocation) = prepared(script);
    for (target, writable) in [("/fixed", false), ("/free", true)] {
        invocation.binds.push(Bind { source: place.path("in"), target: target.into(), writable });
    }
    assert_eq!(stdout(&run(&place, &invocation)), "refused\nfile\n");
}

/// All that a mount can express, in one run.
#[test]
fn files_of_any_name_can_be_bound() {
    if !has_engine() {
        return;
    }
    let (place, _registry, mut invocation) = prepared("for file in /in/*; do cat \"$file\"; done");
    let names: Vec<&[u8]> = vec![
        b"plain",
        b"a b",
        b"a,b",
        b"a\"b",
        b"a:b",
        b"a=b",
        b"a\\b",
        b"a\nb",
        b"a\rb",
        b" lead",
        b"trail ",
        b"a'b",
        b"$(id)",
        b"`id`",
        b"#",
        b"\xc3\xa4",
        b"\"",
        b",readonly",
        b"\n",
    ];
    for name in &names {
        let file = OsString::from_vec(name.to_vec());
        fs::write(place.path("in").join(&file), "ok\n").unwrap();
        let (source, target) = (place.path("in").join(&file), Path::new("/in").join(&file));
        invocation.binds.push(Bind { source, target, writable: false });
    }
    assert_eq!(stdout(&run(&place, &invocation)), "ok\n".repeat(names.len()));
}

#[test]
fn variables_arrive_as_they_are_and_those_of_the_host_do_not() {
    if !has_engine() {
        return;
    }
    let (place, _registry, mut invocation) = prepared("env");
    let odd = "$(id) `id` \"quoted\" 'single' back\\slash\nnext line";
    for (name, value) in [("ODD", odd), ("EMPTY", ""), ("TMPDIR", "/tmp"), ("PATH", "/own:/bin")] {
        invocation.environment.push((name.into(), value.into()));
    }
    let said = stdout(&run(&place, &invocation));
    for line in [&format!("ODD={odd}\n"), "EMPTY=\n", "TMPDIR=/tmp\n", "PATH=/own:/bin\n", "HOME=/XyzAbc\n"] {
        assert!(said.contains(line), "{line}{said}");
    }
    assert!(!said.contains(place.path("user").to_str().unwrap()), "{said}");
}

#[test]
fn words_of_the_command_arrive_as_they_are() {
    if !has_engine() {
        return;
    }
    let (place, _registry, mut invocation) = prepared("");
    let odd = ["$(id)", "`id`", "a b", "'", "\"", "\\n", "", "--help", "*"];
    invocation.command = ["echo", "-"].into_iter().chain(odd).map(String::from).collect();
    assert_eq!(stdout(&run(&place, &invocation)), format!("- {}\n", odd.join(" ")));
}

#[test]
fn the_entry_point_of_an_image_comes_before_the_command() {
    if !has_engine() {
        return;
    }
    let (place, registry, mut invocation) = prepared("");
    let image = OciImage::small().with_entry_point(r#"["/bin/sh"]"#);
    let name = registry.push("lib/entry:1", &image);
    let image = get(&place.store(), &name).unwrap().file().to_owned();
    invocation.command = ["-c", "echo moo"].map(String::from).to_vec();
    assert_eq!(stdout(&run_in(&image, &place, &invocation)), "moo\n");
}

#[test]
fn without_a_network_there_is_only_the_loopback() {
    if !has_engine() {
        return;
    }
    let (place, _registry, mut invocation) = prepared("cat /proc/net/dev");
    if !probe_here(&place).network_namespaces {
        println!("skipped: no network namespaces here");
        return;
    }
    let interfaces = |output: Output| stdout(&output).lines().filter(|line| line.contains(':')).count();
    assert_eq!(interfaces(run(&place, &invocation)), 1);
    invocation.network = Network::Host;
    let here = fs::read_to_string("/proc/net/dev").unwrap().matches(':').count();
    assert_eq!(interfaces(run(&place, &invocation)), here);
}

#[test]
fn exit_codes_come_through() {
    if !has_engine() {
        return;
    }
    let (place, _registry, invocation) = prepared("exit 42");
    assert_eq!(run(&place, &invocation).status.code(), Some(42));
}

#[test]
fn the_probe_is_remembered() {
    if !has_engine() {
        return;
    }
    let place = Place::new("127.0.0.1:1");
    let mut engine = engine();
    let folder = place.path("remembered");
    let first = probe::remembered(&engine, &place.environment(), &folder).unwrap();
    assert_eq!(place.names("remembered").len(), 1);
    // Of another engine of this version nothing is asked.
    engine.program = "/nowhere/apptainer".into();
    assert_eq!(probe::remembered(&engine, &place.environment(), &folder).unwrap(), first);
    // Of another version nothing is known.
    engine.version.2 += 1;
    assert!(probe::remembered(&engine, &place.environment(), &folder).is_err());
    assert_eq!(place.names("remembered").len(), 1);
}

#[test]
fn an_engine_that_runs_nothing_says_why() {
    if !has_engine() {
        return;
    }
    let place = Place::new("127.0.0.1:1");
    let mut engine = engine();
    let try_out =
        |engine: &Engine| probe::try_out(engine, &place.environment(), place.folder.path()).unwrap();
    let before = place.names(".");
    assert_eq!(try_out(&engine), Ok(()));
    let script = place.path("engine");
    crate::test_program::write_program(
        &script,
        "#!/bin/sh\necho 'FATAL: no user namespaces' >&2\nexit 255\n",
    );
    engine.program = script.clone();
    assert_eq!(try_out(&engine), Err("FATAL: no user namespaces".to_owned()));
    fs::remove_file(script).unwrap();
    assert_eq!(place.names("."), before);
}
