//! The journal as the leader sees it: a thread of its own writes, so that nothing waits for a disk or a server.
//!
//! One group is written at a time; what arrives meanwhile goes into the next one. So there is no timer, and the
//! slower the store, the larger the groups.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use moil_job::record::Record;
use moil_job::store::{Store, StoreError};

use crate::leader::Message;

/// What is to be recorded, in order. Once a group was refused nothing more is written.
pub struct Journal {
    writer: Sender<Vec<Record>>,
    pending: Vec<Record>,
    /// How many of `pending`, from the first on, may wait for others.
    notes: usize,
    /// Since when the first of these waits.
    noted: Option<Instant>,
    /// How many records are being written.
    writing: usize,
    added: u64,
    stored: u64,
    refused: bool,
    /// How long that took whose records wait.
    work: Duration,
}

/// How long notes may wait for a group that they can go with. Most pods have started by then.
const NOTE_DELAY: Duration = Duration::from_secs(3);

/// How much work may wait to be recorded.
const SHORT: Duration = Duration::from_millis(20);

/// What came of writing a group.
#[derive(Debug)]
pub struct Written(Result<(), StoreError>);

impl Journal {
    /// Starts the thread; it tells `reply` of each group, and ends with the journal.
    ///
    /// # Errors
    /// The system's, where it gives no thread.
    pub fn start(store: Arc<dyn Store>, reply: Sender<Message>) -> io::Result<Self> {
        let (writer, groups) = channel::<Vec<Record>>();
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            for group in groups {
                let written = Written(store.append(&group));
                if reply.send(Message::Written(written)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            writer,
            pending: Vec::new(),
            notes: 0,
            noted: None,
            writing: 0,
            added: 0,
            stored: 0,
            refused: false,
            work: Duration::ZERO,
        })
    }

    /// Adds a record to the next group. Gives its number, from 1, for [`Self::is_stored`].
    pub fn add(&mut self, record: Record) -> u64 {
        self.pending.push(record);
        self.added += 1;
        self.added
    }

    /// Adds a record that only people want to know, and that is not worth a group of its own: it goes with the next
    /// one, or when [`Self::flush_notes`] is called, which is to be done when [`Self::notes_wait`] has passed.
    pub fn note(&mut self, record: Record) -> u64 {
        if self.notes == self.pending.len() {
            self.notes += 1;
            self.noted.get_or_insert_with(Instant::now);
        }
        self.add(record)
    }

    /// Adds the record of something that took so long. Many short jobs share a group: no more than [`SHORT`] of work
    /// is ever done again because its record was waiting for others.
    pub fn add_work(&mut self, record: Record, took: Duration) {
        self.work += took;
        if self.work < SHORT {
            self.note(record);
        } else {
            self.add(record);
        }
    }

    /// How much longer notes may wait, if there is nothing else to be written.
    pub fn notes_wait(&self) -> Option<Duration> {
        let only_notes = self.writing == 0 && !self.refused && self.notes == self.pending.len();
        let noted = self.noted.filter(|_| only_notes)?;
        Some(NOTE_DELAY.saturating_sub(noted.elapsed()))
    }

    /// Lets notes wait no longer.
    pub fn flush_notes(&mut self) {
        self.notes = 0;
        self.flush();
    }

    /// Whether the record of that number, and all before it, are stored.
    pub fn is_stored(&self, number: u64) -> bool {
        number <= self.stored
    }

    /// Hands on what was added, unless a group is being written: then it waits for that. Notes alone wait as well.
    pub fn flush(&mut self) {
        if self.writing > 0 || self.pending.len() == self.notes || self.refused {
            return;
        }
        self.notes = 0;
        self.noted = None;
        self.work = Duration::ZERO;
        let group = std::mem::take(&mut self.pending);
        self.writing = group.len();
        // The thread ends only with this sender, or when nobody listens any more.
        self.refused = self.writer.send(group).is_err();
    }

    /// Takes note of what came of a group.
    ///
    /// # Errors
    /// The store's: nothing of that group, and nothing after it, is or will be stored.
    pub fn take(&mut self, written: Written) -> Result<(), StoreError> {
        let count = std::mem::take(&mut self.writing);
        match written.0 {
            Ok(()) => {
                self.stored += count as u64;
                Ok(())
            }
            Err(error) => {
                self.refused = true;
                Err(error)
            }
        }
    }

    /// Whether nothing is being written or waits for it.
    pub fn is_idle(&self) -> bool {
        self.writing == 0 && (self.refused || self.pending.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Everything;

    impl Store for Everything {
        fn is_durable(&self) -> bool {
            true
        }

        fn append(&self, _: &[Record]) -> Result<(), StoreError> {
            Ok(())
        }
    }

    /// Others that come after it do not keep the first one waiting.
    #[test]
    fn notes_wait_from_the_first_one_on() {
        let (reply, messages) = channel();
        let mut journal = Journal::start(Arc::new(Everything), reply).expect("a thread");
        let note = || Record::StepFinished { step: "s".into() };
        assert_eq!(journal.notes_wait(), None);
        journal.note(note());
        std::thread::sleep(Duration::from_millis(20));
        journal.note(note());
        let wait = journal.notes_wait().expect("two wait");
        assert!(wait <= NOTE_DELAY - Duration::from_millis(20), "{wait:?}");
        journal.flush();
        assert!(journal.notes_wait().is_some(), "they are no group of their own yet");
        journal.flush_notes();
        assert_eq!(journal.notes_wait(), None);
        let Ok(Message::Written(written)) = messages.recv() else { panic!("they are written") };
        journal.take(written).expect("they are stored");
        assert!(journal.is_idle() && journal.is_stored(2) && journal.notes_wait().is_none());
        journal.note(note());
        journal.add(note());
        assert_eq!(journal.notes_wait(), None, "there is something that they can go with");
    }
}
