//! Images brought into registries: the real one of Debian's package, and one that asks for tokens and makes mistakes.

// Helpers of tests may panic and print as tests may; clippy sees only the tests themselves. Components are looked for
// in the environment.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod real;
mod tokens;

use std::fs;
use std::path::Path;

use moil_appliance::layout::{Config, Layout};
use moil_appliance::tree::Tree;

/// A small image.
fn image(folder: &Path) -> Layout {
    let mut base = Tree::new();
    base.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    base.directory("tmp", 0o1777);
    let mut upon = Tree::upon();
    upon.script("usr/local/bin/moil", "#!/bin/sh\necho moil\n");
    let config = Config { architecture: "amd64".to_owned(), ..Config::default() };
    Layout::write(folder, &[base, upon], &config, "1").unwrap()
}

/// A configuration of Docker with one user.
fn configuration(folder: &Path, registry: &str, auth: &str) -> std::path::PathBuf {
    let file = folder.join("config.json");
    fs::write(&file, format!("{{\"auths\": {{\"{registry}\": {{\"auth\": \"{auth}\"}}}}}}")).unwrap();
    file
}
