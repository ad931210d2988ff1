//! Every package that is built has a licence on the list of deny.toml.

use std::collections::BTreeSet;
use std::fs;

use crate::metadata::{metadata, packages, workspace};

/// The strings of the array `allow` under `[licenses]`.
fn allowed() -> BTreeSet<String> {
    let text = fs::read_to_string(workspace().join("deny.toml")).unwrap();
    let (_, section) = text.split_once("[licenses]").unwrap();
    let (_, list) = section.split_once("allow = [").unwrap();
    let (list, _) = list.split_once("\n]").unwrap();
    list.lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'))
        .map(|(name, _)| name.into())
        .collect()
}

/// Whether an SPDX expression can be met with these licences.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let result = any(&words, &mut at, allowed);
    assert_eq!(at, words.len(), "cannot read the licence expression {expression:?}");
    result
}

fn any(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut result = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        result |= all(words, at, allowed);
    }
    result
}

fn all(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut result = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        result &= one(words, at, allowed);
    }
    result
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let result = any(words, at, allowed);
        *at += 1;
        return result;
    }
    if words.get(*at) == Some(&"WITH") {
        // An exception only ever permits more.
        *at += 2;
    }
    allowed.contains(word)
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Unicode-3.0".to_owned(), "Apache-2.0".to_owned()]);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT/GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND Unicode-3.0", true),
        ("GPL-3.0 OR MIT AND GPL-2.0", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
    ] {
        assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let allowed = allowed();
    assert!(allowed.contains("MIT"), "{allowed:?}");
    // Only what is built here: what other systems need may not even have been downloaded.
    let metadata = metadata(&["--offline", "--filter-platform", "x86_64-unknown-linux-gnu"]);
    let mut refused = Vec::new();
    for package in packages(&metadata) {
        let licence = package["license"].as_str().unwrap_or("no licence");
        if licence == "no licence" || !satisfied(licence, &allowed) {
            refused.push(format!("{} {}: {licence}", package["name"], package["version"]));
        }
    }
    assert!(packages(&metadata).len() > 50, "this cannot be all");
    assert!(refused.is_empty(), "{refused:#?}");
}
