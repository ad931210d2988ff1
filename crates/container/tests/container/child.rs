//! Processes of their own that ask a store for an image: this very program, started once more.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use moil_container::store::{ImageStore, Source};

use crate::fixture::{Listener, config, name};

const FOLDER: &str = "MOIL_TEST_CHILD_FOLDER";
const IMAGE: &str = "MOIL_TEST_CHILD_IMAGE";

/// A process that fetches this image into the store of a place.
pub fn start(folder: &Path, image: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::as_a_child", "--nocapture"])
        .env(FOLDER, folder)
        .env(IMAGE, image)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Asserts that a process got its image.
pub fn assert_succeeded(child: Child) {
    let output = child.wait_with_output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}: {text}", output.status.signal());
    assert!(text.contains("got "), "{text}");
}

/// What such a process does. As a test of its own it has nothing to do.
#[test]
fn as_a_child() {
    let (Some(folder), Ok(image)) = (std::env::var_os(FOLDER), std::env::var(IMAGE)) else { return };
    let store = ImageStore::new(config(Path::new(&folder)));
    let got = store.get(&name(&image), &Source::Registry, false, &Listener::default()).unwrap();
    println!("got {}", got.path.display());
}
