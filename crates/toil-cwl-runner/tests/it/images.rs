//! `moil images`.

use std::fs;
use std::path::Path;
use std::process::Command;

use toil_cwl_runner::commands;
use toil_cwl_runner::exit_code::ExitCode;

use super::{Answer, call};

/// A variable of the tests' own environment.
#[expect(clippy::disallowed_methods, reason = "components are looked for in the environment")]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Calls `moil` with a store of images and all that belongs to it below `dir`.
fn moil(dir: &Path, line: &str) -> Answer {
    let path = variable("PATH");
    let inside = |name: &str| dir.join(name).to_str().expect("it is UTF-8").to_owned();
    let (store, layers, home) = (inside("store"), inside("layers"), inside("home"));
    let env = [
        ("PATH", path.as_str()),
        ("HOME", home.as_str()),
        ("CWL_SINGULARITY_CACHE", store.as_str()),
        ("APPTAINER_CACHEDIR", layers.as_str()),
    ];
    call("moil", line, &env, dir, commands::run)
}

#[test]
fn wrong_usage_is_told() {
    let dir = tempfile::tempdir().expect("the directory is made");
    for (line, expected) in [
        ("images", "a command is missing\n  hint: there are list, pull, verify and prune"),
        ("images lst", "unknown command 'lst'\n  hint: there are list, pull, verify and prune"),
        ("images list x", "'x' is one word too many"),
        ("images list --keep 1G", "--keep belongs to prune"),
        ("images prune --keep", "--keep needs a value (SIZE)"),
        (
            "images prune --keep 1X",
            "--keep: '1X' has an unknown unit; known are K, M, G, T, P, E and Ki, Mi, Gi, Ti, Pi, Ei",
        ),
        (
            "images pull",
            "no workflow is given\n  hint: name a CWL file, and after it the file with its inputs",
        ),
    ] {
        let answer = moil(dir.path(), line);
        assert_eq!((answer.code, answer.stdout.as_str()), (ExitCode::USAGE, ""), "{line}");
        assert_eq!(answer.stderr, format!("moil images: error: {expected}\n"), "{line}");
    }
    assert!(moil(dir.path(), "images --help").stdout.starts_with("Manages the images of containers"));
}

#[test]
fn a_broken_image_is_listed_and_verifying_fails() {
    let dir = tempfile::tempdir().expect("the directory is made");
    let answer = moil(dir.path(), "images list");
    assert_eq!(answer.code, ExitCode::SUCCESS);
    assert!(answer.stdout.starts_with("0 images, 0.0 MiB, in "), "{}", answer.stdout);
    fs::create_dir(dir.path().join("store")).expect("it is made");
    fs::write(dir.path().join("store/debian:12.sif"), "cut off").expect("it is written");
    let answer = moil(dir.path(), "images list");
    assert_eq!((answer.code, answer.stderr.as_str()), (ExitCode::SUCCESS, ""));
    let expected = "  0.0 MiB  debian:12.sif  never used by moil  broken: it is not a SIF file\n1 images";
    assert!(answer.stdout.starts_with(expected), "{}", answer.stdout);
    let answer = moil(dir.path(), "images verify --json");
    assert_eq!(answer.code, ExitCode::FAILURE);
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).expect("it is JSON");
    assert_eq!(json["images"][0]["fault"], "it is not a SIF file");
    // It was never asked for through this store, and stays.
    assert_eq!(moil(dir.path(), "images prune").code, ExitCode::SUCCESS);
    assert!(dir.path().join("store/debian:12.sif").exists());
}

#[expect(clippy::print_stdout, reason = "whoever reads a log wants to know")]
fn skipped(missing: &str) {
    println!("skipped: {missing} is not installed");
}

/// Makes an archive `root.tgz` of a root file system, and a directory `home`; not where Apptainer is missing.
pub fn make_root(dir: &Path) -> bool {
    let missing = ["apptainer", "busybox", "unsquashfs"].into_iter().find(|program| {
        !Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .is_ok_and(|o| o.status.success())
    });
    if let Some(missing) = missing {
        let required = variable("MOIL_REQUIRE");
        assert!(!required.split(',').any(|name| name == "apptainer"), "{missing} is not installed");
        skipped(missing);
        return false;
    }
    let script = "mkdir -p root/bin root/etc root/tmp home && cp $(command -v busybox) root/bin/ && \
                  for name in sh echo cat; do ln -s busybox root/bin/$name; done && \
                  echo root:x:0:0::/root:/bin/sh > root/etc/passwd && tar -C root -czf root.tgz .";
    let made = Command::new("sh").args(["-c", script]).current_dir(dir).status();
    assert!(made.expect("sh runs").success());
    true
}

#[test]
fn images_of_a_workflow_are_there_ahead_of_a_run() {
    let dir = tempfile::tempdir().expect("the directory is made");
    if !make_root(dir.path()) {
        return;
    }
    let tool = "{class: CommandLineTool, requirements: {DockerRequirement: {dockerImport: root.tgz}}, \
                baseCommand: [echo, made], stdout: out.txt, inputs: [], outputs: {out: stdout}}";
    let text = format!(
        "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: {{out: {{type: File, outputSource: a/out}}}}\n\
         steps:\n  a: {{run: {tool}, in: [], out: [out]}}\n  b: {{run: {tool}, in: [], out: [out]}}\n"
    );
    fs::write(dir.path().join("wf.cwl"), text).expect("it is written");
    let answer = moil(dir.path(), "images pull --singularity --json wf.cwl");
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).expect("it is JSON");
    let images = json["images"].as_array().expect("it is a list");
    assert_eq!(images.len(), 1, "both tools name the same image");
    let path = Path::new(images[0]["path"].as_str().expect("it is a path")).to_owned();
    assert!(path.exists());
    assert_eq!(moil(dir.path(), "images verify").code, ExitCode::SUCCESS);
    let answer = moil(dir.path(), "run --singularity --disable-pull --outdir results wf.cwl");
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert_eq!(fs::read_to_string(dir.path().join("results/out.txt")).expect("it is there"), "made\n");
    let answer = moil(dir.path(), "images prune --keep 1G");
    assert!(answer.stdout.contains("0.0 MiB of layers") && path.exists(), "{}", answer.stdout);
    assert_eq!(moil(dir.path(), "images prune").code, ExitCode::SUCCESS);
    let images = fs::read_dir(dir.path().join("store")).expect("it is there").flatten();
    assert_eq!(images.filter(|entry| entry.path().is_file()).count(), 0);
    // What the inputs demand counts as in a run; their files need not be there.
    fs::write(
        dir.path().join("job.yml"),
        "x: {class: File, path: nowhere}\ncwltool:overrides:\n  wf.cwl#b/run: {requirements: {DockerRequirement: \
         {dockerPull: other:1}}}\n",
    )
    .expect("it is written");
    let answer = moil(dir.path(), "images pull --singularity --disable-pull wf.cwl job.yml");
    assert_eq!((answer.code, answer.stdout.as_str()), (ExitCode::FAILURE, "0 of 2 images are there\n"));
    assert!(answer.stderr.contains("other:1"), "{}", answer.stderr);
    // Now it cannot be had.
    let answer = moil(dir.path(), "images pull --singularity --disable-pull wf.cwl");
    assert_eq!((answer.code, answer.stdout.as_str()), (ExitCode::FAILURE, "0 of 1 images are there\n"));
    assert!(answer.stderr.contains("fetching images is switched off"), "{}", answer.stderr);
}
