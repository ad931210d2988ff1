//! The page on diagnostics lists the codes that the source has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a code follows in the source.
const CALLS: [&str; 4] = ["Diagnostic::error(", "Diagnostic::warning(", "Diagnostic::unplaced(", ".error("];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All sources of the crates, but for tests.
fn sources(directory: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "tests" | "examples" | "target" | "testing") {
                sources(&path, into);
            }
        } else if name.ends_with(".rs") && !name.contains("tests") {
            let text = fs::read_to_string(&path).expect("a text");
            into.push(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned());
        }
    }
}

fn codes(text: &str, into: &mut BTreeSet<String>) {
    for call in CALLS {
        for (at, _) in text.match_indices(call) {
            let argument = text[at + call.len()..].trim_start();
            let Some((code, _)) = argument.strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
                continue;
            };
            // The log has an `error` as well, which takes a sentence.
            if !code.contains(' ') {
                into.insert(code.to_owned());
            }
        }
    }
}

#[test]
fn the_page_lists_the_codes_of_the_source() {
    let mut texts = Vec::new();
    sources(&root().join("crates"), &mut texts);
    let mut found = BTreeSet::new();
    texts.iter().for_each(|text| codes(text, &mut found));
    let page = fs::read_to_string(root().join("docs/diagnostics.md")).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let listed: BTreeSet<String> = rows.map(|(code, _)| code.to_owned()).collect();
    assert_eq!(listed, found, "docs/diagnostics.md (left) and the source (right) differ");
    for code in &found {
        let kebab = code.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert!(kebab && !code.starts_with('-') && !code.ends_with('-'), "{code} is not in kebab case");
    }
}
