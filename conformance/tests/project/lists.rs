//! The lists of what passes agree with the suites that are in the project.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use moil_conformance::{expected, suite};

use crate::metadata::workspace;

#[test]
fn lists_are_sorted_and_without_doubles() {
    let folder = workspace().join("conformance/expected");
    let mut checked = 0;
    for mode in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for list in fs::read_dir(mode).unwrap() {
            let path = list.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let sorted = expected::print(expected::parse(&text).iter().map(String::as_str));
            assert_eq!(text, sorted, "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 4);
}

#[test]
fn the_own_list_names_tests_of_our_suite() {
    let conformance = workspace().join("conformance");
    let own = suite::load(&conformance.join("suite/index.yaml")).unwrap();
    let known: BTreeSet<&str> = own.tests.iter().map(|test| test.id.as_str()).collect();
    let list = expected::parse(&fs::read_to_string(conformance.join("expected/local/own.txt")).unwrap());
    let unknown: Vec<_> = list.iter().filter(|id| !known.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn tests_of_our_suite_name_documents_that_exist() {
    for index in ["conformance/suite/index.yaml", "examples/tests.yaml"] {
        let suite = suite::load(&workspace().join(index)).unwrap();
        for test in &suite.tests {
            for document in [Some(&test.tool), test.job.as_ref()].into_iter().flatten() {
                let path = document.split('#').next().unwrap_or_default();
                // Some tests are about documents that do not exist.
                let meant = document.starts_with("scratch:") || Path::new(path).starts_with("bad");
                assert!(meant || suite.root.join(path).exists(), "{}: no {document}", test.id);
            }
        }
    }
}
