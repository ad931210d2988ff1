//! The commands of the README and of examples/kubernetes, as a new user follows them: with other names, and the test's S3.

use std::path::Path;
use std::process::Command;

use super::space::{Space, in_time};
use super::{cluster, request};
use crate::sandbox::{PATH, Sandbox};

/// The blocks of a page that want a cluster, one after the other.
fn script(page: &str) -> String {
    let blocks = page.split("```sh kubernetes\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default()).collect()
}

/// Runs a script in a copy of the examples, as somebody whose kubeconfig names the namespace.
fn follow(space: &Space, sandbox: &Sandbox, folder: &str, script: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let copied = Command::new("cp").arg("-R").arg(root.join("examples")).arg(sandbox.path(".")).status();
    assert!(copied.expect("cp is there").success());
    let variable = |name: &str| std::env::var(name).expect("it is set in the cluster's network");
    let kubeconfig = std::fs::read_to_string(variable("KUBECONFIG")).expect("it is there");
    sandbox
        .write("kubeconfig", kubeconfig.replace("namespace: default", &format!("namespace: {}", space.name)));
    std::fs::create_dir(sandbox.path(".aws")).expect("it is made");
    sandbox.write(".aws/credentials", "[default]\naws_access_key_id = test\naws_secret_access_key = test\n");
    let config = format!("[default]\nendpoint_url = {}\n", variable("MOIL_TEST_KUBERNETES_S3"));
    sandbox.write(".aws/config", config);
    let binaries = Path::new(env!("CARGO_BIN_EXE_moil")).parent().expect("it is in a directory");
    let kubectl = variable("PATH");
    let output = Command::new("sh")
        .args(["-e", "-x", "-c", script])
        .current_dir(sandbox.path(folder))
        .env_clear()
        .env("PATH", format!("{}:{PATH}:{kubectl}", binaries.display()))
        .env("HOME", sandbox.path("."))
        .env("USER", "ada")
        .env("TMPDIR", sandbox.path("tmp"))
        .env("KUBECONFIG", sandbox.path("kubeconfig"))
        .output()
        .expect("sh is there");
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {told}");
    told
}

/// The names of the pages are others' or nobody's.
fn with_names(text: &str, space: &Space, registry: &str) -> String {
    text.replace("registry.example.org/moil/appliance:1", &format!("{registry}/test/{}:1", space.name))
        .replace("moil appliance push", "moil appliance push --insecure")
        // In the files of people it has the address of the server as well.
        .replace("--from-file ~/.aws/credentials", "--from-file ~/.aws/credentials --from-file ~/.aws/config")
        .replace("aws:us-west-2:demo", &format!("aws:us-west-2:{}", space.name))
        .replace("demo-results", &format!("{}-results", space.name))
}

#[test]
fn kubernetes_commands_of_the_readme_run() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::bare("readme");
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md"));
    let script = script(&page.expect("it is there"));
    assert!(script.contains("--restart") && script.contains("moil clean"), "{script}");
    let sandbox = Sandbox::new();
    let told = follow(&space, &sandbox, ".", &with_names(&script, &space, &registry));
    assert_eq!(told.matches("completed success (reused)").count(), 4, "{told}");
    assert!(sandbox.path("results/a.upper.txt").is_file(), "{told}");
    in_time("nothing is left", 60, || space.is_clean());
}

#[test]
fn kubernetes_commands_of_the_examples_run() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::bare("example");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kubernetes");
    let page = std::fs::read_to_string(folder.join("README.md")).expect("it is there");
    let sandbox = Sandbox::new();
    let address = std::env::var("MOIL_TEST_KUBERNETES_S3").expect("it is set in the cluster's network");
    request(address.trim_start_matches("http://"), "PUT", &format!("/{}-results", space.name));
    // The files are changed as their reader is told to.
    let image = super::image(&registry);
    let edit = format!(
        "sed -i 's|registry.example.org/moil/appliance:1|{image}|; s|aws:us-west-2:demo-run|aws:us-west-2:{name}|; \
         s|demo-results|{name}-results|' leader.yaml\n",
        name = space.name
    );
    let script = edit + &with_names(&script(&page), &space, &registry);
    let told = follow(&space, &sandbox, "examples/kubernetes", &script);
    assert!(told.contains("\"words\": "), "{told}");
    in_time("nothing is left of the workers", 60, || space.is_clean());
}
