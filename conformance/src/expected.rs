//! The lists of what passes: one file per mode and suite, one id per line.

use std::collections::BTreeSet;

/// How a run differs from the list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Ids on the list that did not pass.
    pub lost: Vec<String>,
    /// Ids that passed and are not on the list.
    pub gained: Vec<String>,
}

impl Difference {
    /// Whether the run was just as the list says.
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.gained.is_empty()
    }
}

/// The ids of a list. Empty lines and what follows a `#` at the start of a line do not count.
pub fn parse(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The text of a list.
pub fn print<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let ids: BTreeSet<_> = ids.into_iter().collect();
    ids.into_iter().flat_map(|id| [id, "\n"]).collect()
}

/// Compares a run with the list. Only tests that were `run` count, so that a part of a suite can be run.
pub fn compare<'a>(
    list: &BTreeSet<String>,
    run: impl IntoIterator<Item = &'a str>,
    passed: &BTreeSet<&str>,
) -> Difference {
    let mut difference = Difference::default();
    for id in run {
        match (list.contains(id), passed.contains(id)) {
            (true, false) => difference.lost.push(id.to_owned()),
            (false, true) => difference.gained.push(id.to_owned()),
            _ => {}
        }
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_either_direction_shows() {
        let list = parse("# local\na\n\nb\nnot_run\n");
        let difference = compare(&list, ["a", "b", "c", "d"], &BTreeSet::from(["b", "c"]));
        assert_eq!(difference, Difference { lost: vec!["a".into()], gained: vec!["c".into()] });
        assert!(compare(&list, ["a", "b"], &BTreeSet::from(["a", "b"])).is_empty());
    }

    #[test]
    fn lists_are_sorted_and_read_back() {
        let text = print(["b", "a", "b"]);
        assert_eq!(text, "a\nb\n");
        assert_eq!(parse(&text), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    }
}
