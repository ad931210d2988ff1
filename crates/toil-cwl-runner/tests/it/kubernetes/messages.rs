//! What people read of failures and of waiting: whole lines, and compared with what is kept in `snapshots`.

use std::collections::HashSet;

/// Compares what a run said of why it failed, and in lines with this in them: each line once, and without what is another in
/// each run.
#[track_caller]
pub fn assert_told(name: &str, about: &str, said: &str) {
    let mut known = HashSet::new();
    let lines = said.lines().filter_map(|line| line.split_once("] ")).map(|(_time, line)| line);
    let lines = lines.filter(|line| line.starts_with("[E]") || line.contains(about));
    let told: Vec<String> = lines.map(plain).filter(|line| known.insert(line.clone())).collect();
    insta::assert_snapshot!(name, told.join("\n"));
}

/// A line without numbers of jobs and processes, hashes, names of pods, and places of this machine and in stores.
fn plain(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.split_once("say_") {
        _ if word.contains("/tmp/") => "PLACE".to_owned(),
        _ if word.starts_with("s3://") => "RECORD".to_owned(),
        Some((step, _)) => format!("{step}say]"),
        None => name(word),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A name such as `moil-space-1234-toil-say-4-0123456789ab-x7f2q`.
fn name(word: &str) -> String {
    let is = |part: &str, of: fn(char) -> bool| !part.is_empty() && part.chars().all(of);
    let mut parts: Vec<String> = Vec::new();
    for part in word.split('-') {
        let rest = part.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
        let is_number = is(rest, |letter| letter.is_ascii_digit());
        // The first job has none.
        if is_number && parts.last().is_some_and(|last| last == "say") {
            continue;
        }
        let what = match parts.last().map(String::as_str) {
            Some("HASH") => "POD",
            Some(_) if rest.len() == 12 && is(rest, |letter| letter.is_ascii_hexdigit()) => "HASH",
            Some(_) if is_number => "N",
            _ => rest,
        };
        parts.push(format!("{what}{}", &part[rest.len()..]));
    }
    parts.join("-")
}

#[test]
fn what_differs_from_run_to_run_is_left_out() {
    for (line, expected) in [
        ("[I] [job say_12] waits: x", "[I] [job say] waits: x"),
        ("pods \"a-1234-toil-say-0123456789ab-x7f2q\" is", "pods \"a-N-toil-say-HASH-POD\" is"),
        ("\"a-1234-toil-say-4-0123456789ab\" is", "\"a-N-toil-say-HASH\" is"),
        ("  log      /tmp/x/y", "  log      PLACE"),
        ("cannot read s3://b/run-0123/1-ab: no", "cannot read RECORD no"),
        ("a read-only file-system", "a read-only file-system"),
    ] {
        assert_eq!(plain(line), expected);
    }
}
