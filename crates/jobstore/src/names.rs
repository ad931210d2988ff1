//! What the records of a run are called.

use std::fmt;

use moil_job::spec::AttemptId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::nonce::hex;

/// The record that says what the store is.
pub const INFO: &str = "moil.json";

/// The journal's groups.
pub const JOURNAL: &str = "journal/";

/// What may be of an attempt's name in the name of a record, in bytes.
const LONGEST: usize = 150;

/// The time of one leader: its epoch, and what tells it from a leader whose take-over a power cut undid. Names of
/// attempts' results and directories begin with it, so that none is ever used twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Term {
    /// The number of the group with which the leader took over.
    pub epoch: u64,
    /// The beginning of the leader's nonce.
    pub mark: String,
}

impl Term {
    /// The term that begins with a group.
    pub fn new(epoch: u64, nonce: &str) -> Self {
        Self { epoch, mark: nonce.chars().take(12).collect() }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.mark)
    }
}

/// A group of the journal.
pub fn group(number: u64) -> String {
    format!("{JOURNAL}{number:020}")
}

/// The number of a group from its name.
pub fn group_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(JOURNAL)?;
    let number = digits.parse().ok()?;
    (group(number) == name).then_some(number)
}

/// The definition of the run, as its leader of a term found it.
pub fn definition(term: &Term) -> String {
    format!("definition/{term}")
}

/// What a worker is to do.
pub fn attempt(term: &Term, id: &AttemptId) -> String {
    format!("attempts/{term}/{}", attempt_word(id))
}

/// What came of an attempt.
pub fn result(term: &Term, id: &AttemptId) -> String {
    format!("results/{term}/{}", attempt_word(id))
}

/// The leader's sign of life.
pub fn heartbeat(term: &Term) -> String {
    format!("heartbeat/{term}")
}

/// The wish that the leader ends the run.
pub fn kill(term: &Term) -> String {
    format!("kill/{term}")
}

/// An attempt's name in one word: readable as far as it goes, different for different attempts, fit for a record and
/// for a directory.
pub fn attempt_word(id: &AttemptId) -> String {
    let mut word = String::new();
    if id.job.0.is_empty() {
        word.push('~');
    }
    for (place, byte) in id.job.0.bytes().enumerate() {
        match byte {
            b'.' if place > 0 => word.push('.'),
            b'-' | b'_' => word.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => word.push(char::from(byte)),
            _ => word.push_str(&format!("~{byte:02X}")),
        }
    }
    if word.len() > LONGEST {
        // Every `~` of the plain form is followed by two digits, so that no name is taken for another's short form.
        word.truncate(LONGEST - 34);
        word = format!("{word}~~{}", &hex(&Sha256::digest(id.job.0.as_bytes()))[..32]);
    }
    format!("{word}.{}", id.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::check_name;
    use moil_job::spec::JobId;
    use std::collections::HashSet;

    fn id(job: &str, number: u32) -> AttemptId {
        AttemptId { job: JobId(job.into()), number }
    }

    #[test]
    fn attempts_have_names_that_are_readable_and_different() {
        let cases = [
            (id("align[3]/sort", 1), "align~5B3~5D~2Fsort.1"),
            (id("a.b", 12), "a.b.12"),
            (id("..", 1), "~2E..1"),
            (id("é ", 1), "~C3~A9~20.1"),
        ];
        for (id, word) in cases {
            assert_eq!(attempt_word(&id), word);
        }
        let long = "step/".repeat(100);
        let many: Vec<AttemptId> = [
            id("a", 1),
            id("a", 11),
            id("a.1", 1),
            id("a/1", 1),
            id("a~2F1", 1),
            id(&long, 1),
            id(&(long.clone() + "x"), 1),
        ]
        .into();
        let names: HashSet<String> = many.iter().map(|id| result(&Term::new(7, "abcdef"), id)).collect();
        assert_eq!(names.len(), many.len());
        for name in names {
            assert_eq!(check_name(&name), Ok(()), "{name}");
        }
    }

    #[test]
    fn only_what_is_written_as_a_number_is_a_group() {
        assert_eq!(group_number(&group(42)), Some(42));
        assert_eq!(group_number(&group(u64::MAX)), Some(u64::MAX));
        for name in
            ["journal/42", "journal/+0000000000000000042", "journal/x", "results/00000000000000000042"]
        {
            assert_eq!(group_number(name), None, "{name}");
        }
    }
}
