//! What Python 3.11's `glob.glob` gives for the same tree.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Files; `ln` is a link to `sub`, `dang` a link to nothing.
const FILES: &[&str] = &[
    "a.txt",
    "b.txt",
    "B.txt",
    ".hid",
    ".d/x",
    "sub/a.txt",
    "sub/.h",
    "sub/deep/c.txt",
    "s2/a.txt",
    "[",
    "[a",
    "a[1].txt",
    "a1.txt",
    "a-b",
    "a]b",
    "a!b",
    "é.txt",
    "b{1,2}.txt",
    "x\\y",
    "sp ace",
    "a*b",
    "-",
    "^",
    "a.b.c",
    "_",
    "ln",
    "dang",
];

struct Memory;

impl Memory {
    fn relative(path: &str) -> String {
        let path = path.strip_prefix("/out").expect("inside").trim_start_matches('/');
        match path.strip_prefix("ln/") {
            Some(rest) => format!("sub/{rest}"),
            None if path == "ln" => "sub".into(),
            None => path.into(),
        }
    }
}

impl Look for Memory {
    fn names(&self, directory: &str) -> Result<Vec<String>, Error> {
        let directory = Self::relative(directory);
        let prefix = if directory.is_empty() { directory } else { directory + "/" };
        let below = FILES.iter().filter_map(|file| file.strip_prefix(&prefix));
        let names: BTreeSet<&str> = below.filter_map(|rest| rest.split('/').next()).collect();
        Ok(names.into_iter().rev().map(str::to_owned).collect())
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        let path = Self::relative(path);
        Ok(FILES.iter().any(|file| *file == path) || self.is_directory(&format!("/out/{path}"))?)
    }

    fn is_directory(&self, path: &str) -> Result<bool, Error> {
        let path = Self::relative(path) + "/";
        Ok(path == "/" || FILES.iter().any(|file| file.starts_with(&path)))
    }
}

fn found(pattern: &str) -> Vec<String> {
    let found = expand(pattern, "/out", &Memory).expect(pattern);
    found.iter().map(|path| path.strip_prefix("/out/").unwrap_or(path).to_owned()).collect()
}

#[test]
fn patterns_match_what_python_matches() {
    for (pattern, expected) in TABLE {
        assert_eq!(found(pattern), *expected, "{pattern}");
    }
}

#[test]
fn absolute_patterns_inside_the_directory_are_relative_to_it() {
    for (pattern, expected) in [
        ("/out/*.txt", found("*.txt")),
        ("/out", vec!["/out".into()]),
        ("/out/", vec!["/out".into()]),
        (".", vec!["/out".into()]),
        ("./", vec!["/out".into()]),
        ("sub/..", vec!["/out".into()]),
        ("/out/sub", vec!["sub".into()]),
    ] {
        assert_eq!(found(pattern), expected, "{pattern}");
    }
}

#[test]
fn patterns_that_lead_outside_are_refused() {
    for pattern in ["/tmp/x", "/", "/outer/x", "/ou", "..", "../x", "sub/../../x", "*/../../x", "/out/../x"] {
        assert!(matches!(expand(pattern, "/out", &Memory), Err(ExpandError::Outside(_))), "{pattern}");
    }
}

#[test]
fn many_stars_take_no_time() {
    let pattern: Vec<char> = "a*".repeat(2000).chars().chain(['b']).collect();
    assert!(!matches(&pattern, &"a".repeat(4000)));
}

/// `fnmatch` by its definition: slow, and plainly right.
fn matches_by_definition(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|taken| matches_by_definition(rest, &name[taken..])),
        (['?', rest @ ..], [_, tail @ ..]) => matches_by_definition(rest, tail),
        ([c, rest @ ..], [d, tail @ ..]) => c == d && matches_by_definition(rest, tail),
        _ => false,
    }
}

proptest! {
    #[test]
    fn stars_and_question_marks_match_by_definition(pattern in "[ab*?]{0,9}", name in "[ab]{0,9}") {
        let pattern: Vec<char> = pattern.chars().collect();
        let chars: Vec<char> = name.chars().collect();
        prop_assert_eq!(matches(&pattern, &name), matches_by_definition(&pattern, &chars));
    }

    #[test]
    fn an_escaped_name_matches_itself_alone(name in "[a\\[\\]*?!^-]{1,8}", other in "[a\\[\\]*?!^-]{1,8}") {
        let escaped: String = name.chars().map(|c| if "*?[".contains(c) { format!("[{c}]") } else { c.into() }).collect();
        let pattern: Vec<char> = escaped.chars().collect();
        prop_assert!(matches(&pattern, &name));
        prop_assert_eq!(matches(&pattern, &other), name == other);
    }

    #[test]
    fn no_pattern_is_too_strange(pattern in "[a\\[\\]!*?^/.-]{0,12}") {
        let _ = expand(&pattern, "/out", &Memory);
    }
}

const TABLE: &[(&str, &[&str])] = &[
    (
        "*",
        &[
            "-",
            "B.txt",
            "[",
            "[a",
            "^",
            "_",
            "a!b",
            "a*b",
            "a-b",
            "a.b.c",
            "a.txt",
            "a1.txt",
            "a[1].txt",
            "a]b",
            "b.txt",
            "b{1,2}.txt",
            "dang",
            "ln",
            "s2",
            "sp ace",
            "sub",
            "x\\y",
            "é.txt",
        ],
    ),
    ("*.txt", &["B.txt", "a.txt", "a1.txt", "a[1].txt", "b.txt", "b{1,2}.txt", "é.txt"]),
    ("?.txt", &["B.txt", "a.txt", "b.txt", "é.txt"]),
    (
        "**",
        &[
            "-",
            "B.txt",
            "[",
            "[a",
            "^",
            "_",
            "a!b",
            "a*b",
            "a-b",
            "a.b.c",
            "a.txt",
            "a1.txt",
            "a[1].txt",
            "a]b",
            "b.txt",
            "b{1,2}.txt",
            "dang",
            "ln",
            "s2",
            "sp ace",
            "sub",
            "x\\y",
            "é.txt",
        ],
    ),
    ("**/*.txt", &["ln/a.txt", "s2/a.txt", "sub/a.txt"]),
    ("*/*", &["ln/a.txt", "ln/deep", "s2/a.txt", "sub/a.txt", "sub/deep"]),
    ("*/", &["ln", "s2", "sub"]),
    ("*/.", &["ln", "s2", "sub"]),
    ("sub", &["sub"]),
    ("sub/", &["sub"]),
    ("a.txt/", &[]),
    ("a**.txt", &["a.txt", "a1.txt", "a[1].txt"]),
    ("[", &["["]),
    ("[a", &["[a"]),
    ("a[1].txt", &["a1.txt"]),
    ("a[[]1].txt", &["a[1].txt"]),
    ("[ab].txt", &["a.txt", "b.txt"]),
    ("[!a].txt", &["B.txt", "b.txt", "é.txt"]),
    (
        "[!a]*",
        &[
            "-",
            "B.txt",
            "[",
            "[a",
            "^",
            "_",
            "b.txt",
            "b{1,2}.txt",
            "dang",
            "ln",
            "s2",
            "sp ace",
            "sub",
            "x\\y",
            "é.txt",
        ],
    ),
    ("[a-c].txt", &["a.txt", "b.txt"]),
    ("[c-a].txt", &[]),
    ("[a-]*", &["-", "a!b", "a*b", "a-b", "a.b.c", "a.txt", "a1.txt", "a[1].txt", "a]b"]),
    ("[]-a]*", &["^", "_", "a!b", "a*b", "a-b", "a.b.c", "a.txt", "a1.txt", "a[1].txt", "a]b"]),
    ("[!]", &[]),
    (
        "[!]]*",
        &[
            "-",
            "B.txt",
            "[",
            "[a",
            "^",
            "_",
            "a!b",
            "a*b",
            "a-b",
            "a.b.c",
            "a.txt",
            "a1.txt",
            "a[1].txt",
            "a]b",
            "b.txt",
            "b{1,2}.txt",
            "dang",
            "ln",
            "s2",
            "sp ace",
            "sub",
            "x\\y",
            "é.txt",
        ],
    ),
    ("[--0]*", &["-"]),
    (
        "[!-a]*",
        &[
            "B.txt",
            "[",
            "[a",
            "^",
            "_",
            "b.txt",
            "b{1,2}.txt",
            "dang",
            "ln",
            "s2",
            "sp ace",
            "sub",
            "x\\y",
            "é.txt",
        ],
    ),
    ("[^a]*", &["^", "a!b", "a*b", "a-b", "a.b.c", "a.txt", "a1.txt", "a[1].txt", "a]b"]),
    ("a[]]b", &["a]b"]),
    ("a[!]]b", &["a!b", "a*b", "a-b"]),
    (".*", &[".d", ".hid"]),
    (".*/x", &[".d/x"]),
    (".d/*", &[".d/x"]),
    ("./a.txt", &["a.txt"]),
    (
        "./*",
        &[
            "-",
            "B.txt",
            "[",
            "[a",
            "^",
            "_",
            "a!b",
            "a*b",
            "a-b",
            "a.b.c",
            "a.txt",
            "a1.txt",
            "a[1].txt",
            "a]b",
            "b.txt",
            "b{1,2}.txt",
            "dang",
            "ln",
            "s2",
            "sp ace",
            "sub",
            "x\\y",
            "é.txt",
        ],
    ),
    ("sub/../a.txt", &["a.txt"]),
    ("sub/./a.txt", &["sub/a.txt"]),
    ("sub//a.txt", &["sub/a.txt"]),
    ("b{1,2}.txt", &["b{1,2}.txt"]),
    ("x\\y", &["x\\y"]),
    ("x[\\\\]y", &["x\\y"]),
    ("*\\*", &["x\\y"]),
    ("a[*]b", &["a*b"]),
    ("a?b", &["a!b", "a*b", "a-b", "a]b"]),
    ("?", &["-", "[", "^", "_"]),
    ("??", &["[a", "ln", "s2"]),
    ("*.*", &["B.txt", "a.b.c", "a.txt", "a1.txt", "a[1].txt", "b.txt", "b{1,2}.txt", "é.txt"]),
    ("*.*.*", &["a.b.c"]),
    ("nothere", &[]),
    ("nothere/*", &[]),
    ("a.txt/*", &[]),
    ("*a*", &["[a", "a!b", "a*b", "a-b", "a.b.c", "a.txt", "a1.txt", "a[1].txt", "a]b", "dang", "sp ace"]),
    ("*a*b*", &["a!b", "a*b", "a-b", "a.b.c", "a]b"]),
    ("é*", &["é.txt"]),
    ("?.tx[t]", &["B.txt", "a.txt", "b.txt", "é.txt"]),
    ("[[]*", &["[", "[a"]),
    ("s*/*.txt", &["s2/a.txt", "sub/a.txt"]),
    ("*/deep/*", &["ln/deep/c.txt", "sub/deep/c.txt"]),
    ("s[u2]*/a.txt", &["s2/a.txt", "sub/a.txt"]),
    ("sp ace", &["sp ace"]),
    (
        "[a-c-e]*",
        &["-", "a!b", "a*b", "a-b", "a.b.c", "a.txt", "a1.txt", "a[1].txt", "a]b", "b.txt", "b{1,2}.txt"],
    ),
    (
        "[!a-]*",
        &[
            "B.txt",
            "[",
            "[a",
            "^",
            "_",
            "b.txt",
            "b{1,2}.txt",
            "dang",
            "ln",
            "s2",
            "sp ace",
            "sub",
            "x\\y",
            "é.txt",
        ],
    ),
    (
        "*[!t]",
        &[
            "-", "[", "[a", "^", "_", "a!b", "a*b", "a-b", "a.b.c", "a]b", "dang", "ln", "s2", "sp ace",
            "sub", "x\\y",
        ],
    ),
    (
        "***?",
        &[
            "-",
            "B.txt",
            "[",
            "[a",
            "^",
            "_",
            "a!b",
            "a*b",
            "a-b",
            "a.b.c",
            "a.txt",
            "a1.txt",
            "a[1].txt",
            "a]b",
            "b.txt",
            "b{1,2}.txt",
            "dang",
            "ln",
            "s2",
            "sp ace",
            "sub",
            "x\\y",
            "é.txt",
        ],
    ),
    (
        "[A-b]*",
        &[
            "B.txt",
            "[",
            "[a",
            "^",
            "_",
            "a!b",
            "a*b",
            "a-b",
            "a.b.c",
            "a.txt",
            "a1.txt",
            "a[1].txt",
            "a]b",
            "b.txt",
            "b{1,2}.txt",
        ],
    ),
    (".[!.]*", &[".d", ".hid"]),
    ("...", &[]),
];
