//! Every command that the README and the pages of the examples show is run.

use std::path::Path;
use std::process::Command;

use super::sandbox::PATH;

/// Commands that build, test or install: what they do is done by whoever runs this test.
const NOT_RUN: &[&str] = &["apt-get ", "cargo test", "cargo install"];

/// The tools of the example; where they are missing its commands only validate.
const SEQUENCING: &[&str] = &["bwa", "samtools", "bcftools"];

fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        match &mut block {
            None if line == "```sh" => block = Some(String::new()),
            Some(_) if line == "```" => blocks.extend(block.take()),
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// What is run of a block: the commands without those of [`NOT_RUN`].
fn script(block: &str) -> String {
    let whole = block.replace("\\\n", " ");
    let lines = whole.lines().filter(|line| !NOT_RUN.iter().any(|start| line.starts_with(start)));
    let script: Vec<String> = lines
        .map(|line| line.replace("cargo run --release --bin toil-cwl-runner --", "toil-cwl-runner"))
        .collect();
    script.join("\n")
}

fn has(tool: &str) -> bool {
    PATH.split(':').any(|directory| Path::new(directory).join(tool).exists())
}

fn run_page(root: &Path, page: &Path, cwd: &str) {
    let text = std::fs::read_to_string(page).expect("the page is there");
    let blocks = blocks(&text);
    // Those that want a cluster are run there: kubernetes/guide.rs.
    assert!(!blocks.is_empty() || text.contains("```sh kubernetes"), "{} has commands", page.display());
    let copy = tempfile::tempdir().expect("the directory is made");
    let status = Command::new("cp")
        .arg("-R")
        .arg(root.join("examples"))
        .arg(copy.path())
        .status()
        .expect("cp is there");
    assert!(status.success());
    let binaries = Path::new(env!("CARGO_BIN_EXE_toil-cwl-runner")).parent().expect("it is in a directory");
    for block in blocks {
        let mut script = script(&block);
        if script.contains("variants.cwl") && !SEQUENCING.iter().all(|tool| has(tool)) {
            script = script.replace("--no-container", "--validate");
            script = script.lines().filter(|line| !line.starts_with("tail ")).collect::<Vec<_>>().join("\n");
        }
        let output = Command::new("sh")
            .args(["-e", "-c", &script])
            .current_dir(copy.path().join(cwd))
            .env_clear()
            .env("PATH", format!("{}:{PATH}", binaries.display()))
            .env("TMPDIR", copy.path())
            .output()
            .expect("sh is there");
        assert!(
            output.status.success(),
            "{}: {script}\n{}{}",
            page.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_commands_of_the_pages_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    run_page(&root, &root.join("README.md"), ".");
    run_page(&root, &root.join("docs/job-stores.md"), ".");
    for entry in std::fs::read_dir(root.join("examples")).expect("examples are there") {
        let example = entry.expect("an entry").path();
        let page = example.join("README.md");
        if page.exists() {
            let name = example.file_name().expect("a name").to_string_lossy().into_owned();
            run_page(&root, &page, &format!("examples/{name}"));
        }
    }
}
