use std::os::unix::ffi::OsStringExt as _;

use super::*;
use crate::detect::{Flavour, Version};

fn engine(flavour: Flavour, version: Version) -> Engine {
    Engine { program: "/usr/bin/singularity".into(), flavour, version }
}

fn apptainer() -> Engine {
    engine(Flavour::Apptainer, Version(1, 3, 0))
}

fn namespaces(there: bool) -> Probe {
    Probe { user_namespaces: there, network_namespaces: there, fuse: there }
}

fn bind(source: &str, target: &str, writable: bool) -> Bind {
    Bind { source: source.into(), target: target.into(), writable }
}

fn image() -> &'static Path {
    Path::new("/cache/debian:12.sif")
}

fn invocation() -> Invocation {
    Invocation {
        output: bind("/work/out", "/XyzAbc", true),
        temporary: "/work/tmp".into(),
        binds: vec![bind("/data/in.txt", "/var/lib/cwl/stg1/in.txt", false)],
        network: Network::Host,
        nvidia: false,
        environment: vec![("TMPDIR".into(), "/tmp".into()), ("LC_ALL".into(), "C".into())],
        command: ["cat", "/var/lib/cwl/stg1/in.txt"].map(String::from).to_vec(),
    }
}

/// One word a line, the variables after them.
fn print(line: CommandLine) -> String {
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    let words = line.argv.iter().map(text);
    let variables =
        line.environment.iter().map(|(name, value)| format!("env {}={}", text(name), text(value)));
    words.chain(variables).collect::<Vec<_>>().join("\n")
}

fn line(engine: &Engine, probe: &Probe, invocation: &Invocation) -> String {
    print(command_line(engine, probe, image(), invocation).unwrap())
}

fn refusal(engine: &Engine, change: impl FnOnce(&mut Invocation)) -> String {
    let mut changed = invocation();
    change(&mut changed);
    command_line(engine, &namespaces(true), image(), &changed).unwrap_err().to_string()
}

/// What stands between the working directory and the image.
fn network_words(change: impl FnOnce(&mut Invocation)) -> String {
    let mut changed = invocation();
    change(&mut changed);
    let line = line(&apptainer(), &namespaces(true), &changed);
    let (_, rest) = line.split_once("--pwd\n/XyzAbc\n").unwrap();
    let (words, _) = rest.split_once("/cache/debian:12.sif").unwrap();
    words.trim_end().replace('\n', " ")
}

#[test]
fn apptainer_with_user_namespaces() {
    insta::assert_snapshot!(line(&apptainer(), &namespaces(true), &invocation()), @r"
    /usr/bin/singularity
    --quiet
    run
    --contain
    --ipc
    --cleanenv
    --no-eval
    --userns
    --home
    /work/out:/XyzAbc
    --mount=type=bind,source=/work/tmp,target=/tmp
    --mount=type=bind,source=/data/in.txt,target=/var/lib/cwl/stg1/in.txt,readonly
    --pwd
    /XyzAbc
    /cache/debian:12.sif
    cat
    /var/lib/cwl/stg1/in.txt
    env APPTAINERENV_TMPDIR=/tmp
    env APPTAINERENV_LC_ALL=C
    ");
}

#[test]
fn singularity_ce_4_is_the_same_but_for_the_names_of_variables() {
    let ce = line(&engine(Flavour::SingularityCe, Version(4, 1, 2)), &namespaces(true), &invocation());
    let apptainer = line(&apptainer(), &namespaces(true), &invocation());
    assert_eq!(ce, apptainer.replace("APPTAINERENV_", "SINGULARITYENV_"));
}

#[test]
fn without_user_namespaces_processes_get_a_namespace_of_ids() {
    let with = line(&apptainer(), &namespaces(true), &invocation());
    let without = line(&apptainer(), &namespaces(false), &invocation());
    assert_eq!(without, with.replace("--userns", "--pid"));
}

#[test]
fn networks() {
    assert_eq!(network_words(|_| ()), "");
    assert_eq!(network_words(|i| i.network = Network::None), "--net --network none");
    assert_eq!(network_words(|i| i.network = Network::Named("bridge".into())), "--net --network bridge");
}

#[test]
fn cuda_comes_after_the_network() {
    assert_eq!(network_words(|i| i.nvidia = true), "--nv");
    let both = network_words(|i| (i.network, i.nvidia) = (Network::None, true));
    assert_eq!(both, "--net --network none --nv");
}

#[test]
fn singularity_3_8_has_no_mount_and_no_run() {
    insta::assert_snapshot!(line(&engine(Flavour::Singularity, Version(3, 8, 7)), &namespaces(false), &invocation()), @r"
    /usr/bin/singularity
    --quiet
    exec
    --contain
    --ipc
    --cleanenv
    --pid
    --home
    /work/out:/XyzAbc
    --bind
    /work/tmp:/tmp
    --bind
    /data/in.txt:/var/lib/cwl/stg1/in.txt:ro
    --pwd
    /XyzAbc
    /cache/debian:12.sif
    cat
    /var/lib/cwl/stg1/in.txt
    env SINGULARITYENV_TMPDIR=/tmp
    env SINGULARITYENV_LC_ALL=C
    ");
}

#[test]
fn singularity_ce_3_9_has_mount_but_no_run() {
    insta::assert_snapshot!(line(&engine(Flavour::SingularityCe, Version(3, 9, 9)), &namespaces(true), &invocation()), @r"
    /usr/bin/singularity
    --quiet
    exec
    --contain
    --ipc
    --cleanenv
    --userns
    --home
    /work/out:/XyzAbc
    --mount=type=bind,source=/work/tmp,target=/tmp
    --mount=type=bind,source=/data/in.txt,target=/var/lib/cwl/stg1/in.txt,readonly
    --pwd
    /XyzAbc
    /cache/debian:12.sif
    cat
    /var/lib/cwl/stg1/in.txt
    env SINGULARITYENV_TMPDIR=/tmp
    env SINGULARITYENV_LC_ALL=C
    ");
}

#[test]
fn apptainer_1_0_has_mount_but_no_run() {
    insta::assert_snapshot!(line(&engine(Flavour::Apptainer, Version(1, 0, 3)), &namespaces(true), &invocation()), @r"
    /usr/bin/singularity
    --quiet
    exec
    --contain
    --ipc
    --cleanenv
    --userns
    --home
    /work/out:/XyzAbc
    --mount=type=bind,source=/work/tmp,target=/tmp
    --mount=type=bind,source=/data/in.txt,target=/var/lib/cwl/stg1/in.txt,readonly
    --pwd
    /XyzAbc
    /cache/debian:12.sif
    cat
    /var/lib/cwl/stg1/in.txt
    env APPTAINERENV_TMPDIR=/tmp
    env APPTAINERENV_LC_ALL=C
    ");
}

#[test]
fn singularity_before_3_1_binds_the_output_directory() {
    insta::assert_snapshot!(line(&engine(Flavour::Singularity, Version(3, 0, 3)), &namespaces(false), &invocation()), @r"
    /usr/bin/singularity
    --quiet
    exec
    --contain
    --ipc
    --cleanenv
    --pid
    --bind
    /work/out:/XyzAbc
    --bind
    /work/tmp:/tmp
    --bind
    /data/in.txt:/var/lib/cwl/stg1/in.txt:ro
    --pwd
    /XyzAbc
    /cache/debian:12.sif
    cat
    /var/lib/cwl/stg1/in.txt
    env SINGULARITYENV_TMPDIR=/tmp
    env SINGULARITYENV_LC_ALL=C
    ");
}

#[test]
fn docker_output_directory_is_home_and_working_directory() {
    let mut changed = invocation();
    changed.output.target = "/other".into();
    let line = line(&apptainer(), &namespaces(true), &changed);
    assert!(line.contains("--home\n/work/out:/other\n"), "{line}");
    assert!(line.contains("--pwd\n/other\n"), "{line}");
}

#[test]
fn writable_and_nested_binds_and_absolute_entry_names() {
    let mut changed = invocation();
    changed.binds = vec![
        bind("/store/dir", "/XyzAbc/dir", false),
        bind("/scratch/copy", "/XyzAbc/dir/copy", true),
        bind("/store/conf", "/etc/tool.conf", false),
    ];
    let line = line(&apptainer(), &namespaces(true), &changed);
    let binds: Vec<&str> = line.lines().filter(|word| word.starts_with("--mount=")).skip(1).collect();
    insta::assert_snapshot!(binds.join("\n"), @r"
    --mount=type=bind,source=/store/dir,target=/XyzAbc/dir,readonly
    --mount=type=bind,source=/scratch/copy,target=/XyzAbc/dir/copy
    --mount=type=bind,source=/store/conf,target=/etc/tool.conf,readonly
    ");
}

/// The real engine takes these as meant: `tests/container/engine.rs` runs them.
#[test]
fn odd_names_are_quoted_in_mounts() {
    for (name, expected) in [
        ("a b", "--mount=type=bind,source=/d/a b,target=/c/a b,readonly"),
        ("a,b", "--mount=type=bind,\"source=/d/a,b\",\"target=/c/a,b\",readonly"),
        ("a\"b", "--mount=type=bind,\"source=/d/a\"\"b\",\"target=/c/a\"\"b\",readonly"),
        ("a:b", "--mount=type=bind,source=/d/a:b,target=/c/a:b,readonly"),
        ("a=b", "--mount=type=bind,source=/d/a=b,target=/c/a=b,readonly"),
        ("a\\b", "--mount=type=bind,source=/d/a\\b,target=/c/a\\b,readonly"),
        ("a\nb", "--mount=type=bind,\"source=/d/a\nb\",\"target=/c/a\nb\",readonly"),
        ("a\rb", "--mount=type=bind,\"source=/d/a\rb\",\"target=/c/a\rb\",readonly"),
    ] {
        let bind = bind(&format!("/d/{name}"), &format!("/c/{name}"), false);
        assert_eq!(mount::option("Apptainer", &bind).unwrap().to_str().unwrap(), expected);
    }
}

#[test]
fn paths_that_cannot_be_expressed_are_refused() {
    let old = engine(Flavour::Singularity, Version(3, 8, 7));
    let with_bind =
        |source: &'static str| move |i: &mut Invocation| i.binds = vec![bind(source, "/c", false)];
    assert_eq!(
        refusal(&apptainer(), with_bind("/d/a\r\nb")),
        r#"Apptainer 1.3.0 cannot be given the path "/d/a\r\nb": a carriage return before a newline is lost; rename it"#
    );
    for name in ["/d/a:b", "/d/a,b", "/d/a\\b"] {
        let refused = refusal(&old, with_bind(name));
        assert!(refused.starts_with("Singularity 3.8.7 cannot be given the path"), "{refused}");
        assert!(refused.ends_with("needs Apptainer or Singularity 3.9, or another name"), "{refused}");
    }
    let refused = refusal(&apptainer(), |i| i.output.source = "/d:e/out".into());
    assert!(refused.ends_with("choose another directory for temporary files"), "{refused}");
    let bytes = OsString::from_vec(b"/d/\xff".to_vec());
    let refused = refusal(&apptainer(), |i| i.binds[0].source = bytes.into());
    assert!(refused.ends_with("it is not UTF-8; rename it"), "{refused}");
    assert_eq!(refusal(&apptainer(), with_bind("d")), "\"d\" is not an absolute path");
}

#[test]
fn what_the_engine_would_misunderstand_is_refused() {
    for name in ["HOME", "PREPEND_PATH", "A=B"] {
        let refused = refusal(&apptainer(), |i| i.environment.push((name.into(), "x".into())));
        assert_eq!(refused, format!("Apptainer 1.3.0 does not let a tool's variable be called {name:?}"));
    }
    for name in ["", "--help", "a,b"] {
        let refused = refusal(&apptainer(), |i| i.network = Network::Named(name.into()));
        assert_eq!(refused, format!("{name:?} cannot be the name of a network"));
    }
    assert_eq!(refusal(&apptainer(), |i| i.command.clear()), "there is no command to run in the container");
}
