//! The crates form a star: salad, cwl, job in a row; the others see cwl and job but never each other;
//! only the binary joins them.

use std::fs;

use crate::metadata::{metadata, packages, workspace};

/// Which crates of the workspace a crate may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("moil-salad", &[]),
    ("moil-cwl", &["moil-salad"]),
    ("moil-job", &["moil-salad", "moil-cwl"]),
    ("moil-engine", &["moil-salad", "moil-cwl", "moil-job"]),
    ("moil-jobstore", &["moil-salad", "moil-cwl", "moil-job"]),
    ("moil-kubernetes", &["moil-cwl", "moil-job"]),
    ("moil-container", &[]),
    ("moil-appliance", &[]),
    ("moil-worker", &["moil-salad", "moil-cwl", "moil-job", "moil-container"]),
    (
        "toil-cwl-runner",
        &[
            "moil-salad",
            "moil-cwl",
            "moil-job",
            "moil-engine",
            "moil-jobstore",
            "moil-kubernetes",
            "moil-container",
            "moil-appliance",
            "moil-worker",
        ],
    ),
    ("moil-testing", &["moil-cwl", "moil-job"]),
    ("moil-conformance", &["moil-salad", "toil-cwl-runner"]),
];

#[test]
fn crates_depend_on_each_other_as_a_star() {
    let metadata = metadata(&["--no-deps"]);
    for package in packages(&metadata) {
        let name = package["name"].as_str().unwrap();
        let (_, may_use) = MAY_USE
            .iter()
            .find(|(crate_name, _)| *crate_name == name)
            .unwrap_or_else(|| panic!("{name} is new: say in structure.rs what it may use"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            let ours = !dependency["path"].is_null();
            let for_tests = dependency["kind"] == "dev" && used == "moil-testing";
            assert!(!ours || for_tests || may_use.contains(&used), "{name} must not use {used}");
        }
    }
}

#[test]
fn every_crate_keeps_the_rules_of_the_workspace() {
    let metadata = metadata(&["--no-deps"]);
    for package in packages(&metadata) {
        let path = package["manifest_path"].as_str().unwrap();
        let manifest = fs::read_to_string(path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{path} does not take the workspace's lints");
        assert!(package["description"].is_string(), "{path} has no description");
        let has_tests =
            package["targets"].as_array().unwrap().iter().filter(|t| t["kind"][0] == "test").count();
        assert!(
            has_tests <= 1,
            "{path}: one integration-test binary per crate is enough, each is linked anew"
        );
    }
}

/// Traces of the machine on which something was written have no place in the project.
#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    let output = std::process::Command::new("git")
        .args(["grep", "-lIE", r"/(home|Users)/[a-z]+/|/root/[a-z.]"])
        .current_dir(workspace())
        .output();
    let Ok(output) = output else {
        println!("skipped: git is not installed");
        return;
    };
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    let found: Vec<&str> = found.lines().filter(|file| !file.ends_with("structure.rs")).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_tests_that_the_table_of_faults_names_are_there() {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("\n## ").find(|part| part.starts_with("Faults")).unwrap();
    let names: Vec<(&str, &str)> = table.split('`').filter_map(|word| word.split_once("::")).collect();
    assert!(names.len() > 30, "{names:?}");
    let mut files = Vec::new();
    let mut waiting = vec![workspace().join("crates")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            match entry.unwrap().path() {
                path if path.is_dir() => waiting.push(path),
                path => files.push(path),
            }
        }
    }
    for (file, test) in names {
        let file = format!("{file}.rs");
        let mut there = files.iter().filter(|path| path.file_name().unwrap() == file.as_str());
        let is_there = there.any(|path| fs::read_to_string(path).unwrap().contains(&format!("fn {test}(")));
        assert!(is_there, "there is no test {test} in a file {file}");
    }
}
