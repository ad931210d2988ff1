//! What the records of a run are called.

use std::fmt;
use std::str::FromStr;

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

impl FromStr for Term {
    type Err = ();

    /// Reads what was displayed.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, mark) = text.split_once('-').ok_or(())?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let term = Self { epoch: epoch.parse().map_err(|_| ())?, mark: mark.to_owned() };
        (!mark.is_empty() && mark.bytes().all(is_hex) && term.to_string() == text).then_some(term).ok_or(())
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

/// An attempt that was started in a term: names it among all attempts of a run.
pub fn word(term: &Term, id: &AttemptId) -> String {
    word_in(&term.to_string(), id)
}

/// The same, with the term as it is displayed.
pub fn word_in(term: &str, id: &AttemptId) -> String {
    format!("{term}/{}", attempt_word(id))
}

/// What a worker is to do, by the word for the attempt.
pub fn attempt(word: &str) -> String {
    format!("attempts/{word}")
}

/// A tool, by its hash.
pub fn tool(hash: &str) -> String {
    format!("tools/{hash}")
}

/// How the workers of a term work.
pub fn settings(term: &Term) -> String {
    format!("settings/{term}")
}

/// What came of an attempt, by the word for it.
pub fn result(word: &str) -> String {
    format!("results/{word}")
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
        let names: HashSet<String> =
            many.iter().map(|id| result(&word(&Term::new(7, "abcdef"), id))).collect();
        assert_eq!(names.len(), many.len());
        for name in names {
            assert_eq!(check_name(&name), Ok(()), "{name}");
        }
    }

    #[test]
    fn terms_are_read_back_and_nothing_else_is_a_term() {
        let term = Term::new(42, "0123456789abcdef");
        assert_eq!(term.to_string().parse(), Ok(term));
        for text in ["", "42", "42-", "-ab", "+4-ab", "04-ab", "4-AB", "4-a/b", "4-..", "4-ab-cd"] {
            assert_eq!(text.parse::<Term>(), Err(()), "{text}");
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
