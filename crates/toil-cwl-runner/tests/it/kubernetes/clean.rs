//! `moil clean` after leaders that were killed.

use std::path::Path;
use std::process::{Command, Output};

use super::space::{Space, in_time, scatter};
use super::{Sandbox, cluster, end, told};

/// `moil clean` where the program finds cluster and store, with these variables in the place of its own.
pub fn clean(
    space: &Space,
    sandbox: &Sandbox,
    registry: &str,
    words: &[&str],
    more: &[(&str, &Path)],
) -> Output {
    let like = space.program(sandbox, registry, &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_moil"));
    command.arg("clean").args(words).env_clear();
    for (name, value) in like.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.envs(more.iter().copied()).output().expect("it runs")
}

/// A run whose pods are at work, and whose leader was killed.
fn abandoned(space: &Space, sandbox: &Sandbox, registry: &str, more: &[&str]) {
    let child = space.program(sandbox, registry, more).spawn().expect("it starts");
    in_time("its pods are at work", 60, || space.pods("Running").len() == 2);
    let killed = Command::new("kill").args(["-KILL", &child.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    end(child);
}

#[test]
fn kubernetes_what_killed_leaders_left_is_removed_with_the_store_and_without() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("clean", &[]);
    let sandbox = scatter(2, "sleep 600");
    abandoned(&space, &sandbox, &registry, &[]);
    // The store knows the namespace.
    let store = format!("aws:us-east-1:{}-{}", space.name, std::process::id());
    let output = clean(&space, &sandbox, &registry, &[&store], &[]);
    assert!(output.status.success(), "{}", told(&output));
    for words in ["removed Jobs and pods of the run ", "removed the job store "] {
        assert!(told(&output).contains(words), "{words}: {}", told(&output));
    }
    assert!(space.is_clean());
    abandoned(&space, &sandbox, &registry, &[]);
    let of = |owner: &str| {
        let words = ["--kubernetes", "--owner", owner, "--kubernetesNamespace", &space.name];
        clean(&space, &sandbox, &registry, &words, &[])
    };
    let output = of("somebody");
    assert!(output.status.success() && told(&output).contains("there is no such run"), "{}", told(&output));
    assert_eq!(space.pods("Running").len(), 2);
    let output = of(&space.name);
    assert!(
        told(&output).contains(&format!(" of {} ({store}) in the namespace", space.name)),
        "{}",
        told(&output)
    );
    assert!(output.status.success() && space.is_clean());
    // The store is as it was, and its run can go on or be removed.
    let output = clean(&space, &sandbox, &registry, &[&store], &[]);
    assert!(output.status.success() && told(&output).contains("removed the job store "), "{}", told(&output));
}
