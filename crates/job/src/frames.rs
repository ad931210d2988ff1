//! What a leader and a worker that takes more than one job tell each other: a line of JSON each, on the worker's standard
//! input and output.
//!
//! The streams may be cut at any byte, and something else may write into them, so that nothing depends on a line that
//! arrives: results are in the job store before they are told, the worker repeats what nobody has taken, and the leader
//! asks again for what the worker does not know of. A line that cannot be read is nobody's.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::result::Outcome;

/// The version of the form. It changes with every change that the other side would not understand.
pub const VERSION: u32 = 4;

/// What the leader tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "camelCase")]
pub enum Order {
    /// The first line of each connection. A worker that has no run takes this one; one that has another run does not
    /// listen. It is answered with [`Answer::Here`].
    Hello {
        /// The version of the leader's form.
        version: u32,
        /// Whether the lines of tools are to be told.
        lines: bool,
        /// What the leader leads.
        run: Run,
        /// How its workers work, as the job store has it; without it that is read there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settings: Option<String>,
    },
    /// Begin an attempt, or go on with it if it has begun.
    Run {
        /// The attempt, by its word.
        word: Arc<str>,
        /// As [`crate::wire`] writes it; empty if it lies in the job store.
        attempt: String,
        /// Its tool, if the worker has not been told it since the connection was made, and it is not in the job store.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool: Option<Arc<str>>,
    },
    /// End an attempt.
    Cancel {
        /// The attempt, by its word.
        word: Arc<str>,
    },
    /// The end of an attempt has been heard: it need not be told again.
    Taken {
        /// The attempt, by its word.
        word: Arc<str>,
    },
    /// The leader lives. It is answered with [`Answer::Here`].
    Alive,
    /// End when no attempt is left.
    Finish,
    /// The run is over: forget it, and wait for a leader of another one. It is answered with [`Answer::Rests`], unless there
    /// is an attempt.
    Rest {
        /// How long, before it ends.
        seconds: u64,
    },
}

/// A run, as its workers find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its job store.
    pub store: String,
    /// Its random number.
    pub number: String,
    /// Whether the job store is asked for the run of this number, or has no other one.
    pub by_number: bool,
}

/// What the worker tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Answer {
    /// The worker lives.
    Here {
        /// The version of the worker's form.
        version: u32,
        /// The attempts at work, and those whose ends nobody has taken.
        attempts: Vec<Arc<str>>,
        /// It can keep attempts apart. If it cannot, it takes none.
        keeps_apart: bool,
    },
    /// A line of a tool.
    Line {
        /// The attempt, by its word.
        word: Arc<str>,
        /// Without its end.
        text: String,
    },
    /// What an attempt does that takes long, or waits for.
    Note {
        /// The attempt, by its word.
        word: Arc<str>,
        /// For people.
        text: String,
    },
    /// A tool and all that it started are gone; its outputs are still looked at.
    ToolEnded {
        /// The attempt, by its word.
        word: Arc<str>,
    },
    /// An attempt is over, and its result is in the job store.
    Finished {
        /// The attempt, by its word.
        word: Arc<str>,
        /// What came of it.
        outcome: Box<Outcome>,
    },
    /// The worker has no run any more.
    Rests,
}

/// Who talks: a term of a leader in orders, the mark by which that leader knows its answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// The term, as it is displayed. Of two leaders the later one counts.
    pub term: String,
    /// Letters and digits that nobody else knows: what tools write into the stream does not have them.
    pub mark: String,
}

/// An order with who gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ordered {
    /// The leader.
    pub leader: Leader,
    /// What is to be done.
    pub order: Order,
}

#[derive(Serialize, Deserialize)]
struct Answered {
    mark: String,
    answer: Answer,
}

/// An order as a line, with its end.
pub fn write_order(leader: &Leader, order: &Order) -> String {
    line(&Ordered { leader: leader.clone(), order: order.clone() })
}

/// Reads a line of the leader. `None`: it is none.
pub fn read_order(line: &[u8]) -> Option<Ordered> {
    read(line)
}

/// An answer as a line, with its end.
pub fn write_answer(mark: &str, answer: &Answer) -> String {
    line(&Answered { mark: mark.to_owned(), answer: answer.clone() })
}

/// Reads a line of the worker. `None`: it is none, or is not meant for the leader with this mark.
pub fn read_answer(line: &[u8], mark: &str) -> Option<Answer> {
    // Before it is parsed: a tool that writes brackets for ever should not be followed into them.
    if !line.starts_with(format!("{{\"mark\":\"{mark}\",").as_bytes()) {
        return None;
    }
    let Answered { mark: found, answer } = read(line)?;
    (found == mark).then_some(answer)
}

fn line(form: &impl Serialize) -> String {
    // Structs with texts, numbers and values of CWL can always be written. JSON has no line ends outside of texts.
    let mut line = serde_json::to_string(form).unwrap_or_default();
    line.push('\n');
    line
}

fn read<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    // Values nest as deeply as documents let them; those who read lines have a stack for that.
    deserializer.disable_recursion_limit();
    let read = T::deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, FailureKind};

    fn leader() -> Leader {
        Leader { term: "2-ab".to_owned(), mark: "m1".to_owned() }
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let word: Arc<str> = "2-ab/align.1".into();
        let run = Run { store: "s3://b/p".to_owned(), number: "r1".to_owned(), by_number: true };
        let orders = [
            Order::Hello { version: VERSION, lines: true, run: run.clone(), settings: None },
            Order::Hello { version: VERSION, lines: true, run, settings: Some("{\n}".to_owned()) },
            Order::Run { word: Arc::clone(&word), attempt: "{\"a\":\n1}".to_owned(), tool: None },
            Order::Run { word: Arc::clone(&word), attempt: String::new(), tool: Some("{\n}".into()) },
            Order::Cancel { word: Arc::clone(&word) },
            Order::Taken { word: Arc::clone(&word) },
            Order::Alive,
            Order::Finish,
            Order::Rest { seconds: 60 },
        ];
        for order in orders {
            let line = write_order(&leader(), &order);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert_eq!(read_order(line.as_bytes()), Some(Ordered { leader: leader(), order }));
        }
        let failed = Outcome::Failed(Box::new(Failure::new(FailureKind::OutOfMemory, "x\ny")));
        let answers = [
            Answer::Here { version: VERSION, attempts: vec![Arc::clone(&word)], keeps_apart: true },
            Answer::Line { word: Arc::clone(&word), text: "\u{0}é\"".to_owned() },
            Answer::Note { word: Arc::clone(&word), text: "fetches".to_owned() },
            Answer::ToolEnded { word: Arc::clone(&word) },
            Answer::Finished { word, outcome: Box::new(failed) },
            Answer::Rests,
        ];
        for answer in answers {
            let line = write_answer("m1", &answer);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert_eq!(read_answer(line.as_bytes(), "m1"), Some(answer));
        }
    }

    #[test]
    fn what_is_no_line_of_the_other_side_is_nobodys() {
        let alive = write_order(&leader(), &Order::Alive);
        let here =
            write_answer("m1", &Answer::Here { version: VERSION, attempts: Vec::new(), keeps_apart: true });
        let cases: [&[u8]; 7] = [
            b"",
            b"hello world\n",
            b"\xff\xfe\n",
            &alive.as_bytes()[..alive.len() / 2],
            &alive.as_bytes()[5..],
            b"{\"leader\":{\"term\":\"x\",\"mark\":\"\"},\"order\":{\"tell\":\"explode\"}}",
            here.as_bytes(),
        ];
        for case in cases {
            assert_eq!(read_order(case), None, "{}", String::from_utf8_lossy(case));
        }
        assert_eq!(read_order(format!("{}{}", alive.trim_end(), alive).as_bytes()), None, "two in one");
        assert_eq!(read_answer(here.as_bytes(), "m2"), None, "it is another leader's");
        assert_eq!(read_answer(alive.as_bytes(), "m1"), None);
        assert_eq!(read_answer("[".repeat(1 << 20).as_bytes(), "m1"), None);
    }
}
