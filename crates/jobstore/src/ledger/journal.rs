//! The journal as it lies in the store: reading it, and judging what is missing or damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use moil_job::record::Record;
use serde::{Deserialize, Serialize};

use super::OpenError;
use crate::names::{self, JOURNAL, Term};
use crate::records::{Records, RecordsError};

/// How many groups are read at a time, where each costs a round trip.
const READERS: usize = 16;

/// Fewer groups than this are read one by one.
const FEW: usize = 64;

/// One group of records, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    /// Who wrote it, for messages.
    pub leader: String,
    /// The writer's nonce.
    pub nonce: String,
    /// The number of the group with which the writer took over.
    pub epoch: u64,
    /// When it was written, by the writer's clock, in milliseconds since 1970: for people.
    pub at: u64,
    /// The records.
    pub records: Vec<Record>,
}

/// A record of the journal and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The number of its group.
    pub number: u64,
    /// Whose time it was.
    pub term: Arc<Term>,
    /// When it was written, by that leader's clock, in milliseconds since 1970.
    pub at: u64,
    /// The record.
    pub record: Record,
}

/// What a journal says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// All records that count, in order.
    pub entries: Vec<Entry>,
    /// What a power cut took, if it took something that nobody has noticed before.
    pub lost: Option<Lost>,
}

impl Replay {
    /// The last leader's term, and its name for people.
    pub fn last_leader(&self) -> Option<(&Term, &str)> {
        self.entries.iter().rev().find_map(|entry| match &entry.record {
            Record::TookOver { leader, .. } => Some((&*entry.term, leader.as_str())),
            _ => None,
        })
    }

    /// Whether the store is about to be removed, or half removed.
    pub fn is_cleaning(&self) -> bool {
        self.entries.last().is_some_and(|entry| matches!(entry.record, Record::Cleaning { .. }))
    }

    /// The epochs of all leaders that count.
    pub fn epochs(&self) -> impl Iterator<Item = u64> {
        self.entries
            .iter()
            .filter(|entry| matches!(entry.record, Record::TookOver { .. }))
            .map(|entry| entry.number)
    }
}

/// Groups that do not count: a power cut took the first of them, and what comes after it cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first of them.
    pub from: u64,
    /// The last one that is there.
    pub to: u64,
    /// What is wrong with the first.
    pub reason: String,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, reason } = self;
        write!(
            f,
            "the end of the journal is lost, as happens when a machine is switched off ({reason}): \
             its groups {from} to {to} are left out, and what they tell of runs again"
        )
    }
}

/// A number of the journal: a group, or what is wrong with it.
pub(super) type Slot = Result<Group, RecordsError>;

/// Reads the group of a number; `None` where nothing is.
pub(super) fn read_group(records: &dyn Records, number: u64) -> Result<Option<Slot>, RecordsError> {
    let name = names::group(number);
    match records.get(&name) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => {
            Ok(Some(serde_json::from_slice(&bytes).map_err(|error| damaged(&name, &error.to_string()))))
        }
        Err(damage @ RecordsError::Damaged { .. }) => Ok(Some(Err(damage))),
        Err(error) => Err(error),
    }
}

/// Reads all groups from the first to the last that is there.
pub(super) fn read_all(records: &dyn Records) -> Result<Vec<Slot>, OpenError> {
    let mut last = 0;
    for name in records.list(JOURNAL, None)? {
        let strange = || OpenError::Records(damaged(&name, "the journal has no records of such names"));
        last = last.max(names::group_number(&name).ok_or_else(strange)?);
    }
    let count = usize::try_from(last).unwrap_or(usize::MAX);
    let read = |place: usize| match read_group(records, place as u64 + 1) {
        Ok(Some(slot)) => Ok(slot),
        Ok(None) => Ok(Err(damaged(&names::group(place as u64 + 1), "it is missing"))),
        Err(error) => Err(error),
    };
    let slots = if count < FEW { (0..count).map(read).collect() } else { read_in_parallel(count, &read) };
    Ok(slots?)
}

fn read_in_parallel(
    count: usize,
    read: &(dyn Fn(usize) -> Result<Slot, RecordsError> + Sync),
) -> Result<Vec<Slot>, RecordsError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut part = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                return part;
            }
            part.push((place, read(place)));
        }
    };
    let parts = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(work)).collect();
        readers.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut slots = Vec::with_capacity(count);
    for part in parts {
        // A reader does not panic; if one does, its part is missing, and that is told.
        slots.extend(part.unwrap_or_default());
    }
    slots.sort_unstable_by_key(|(place, _)| *place);
    slots.into_iter().map(|(_, slot)| slot).collect()
}

/// Whether a group says that the store is being removed.
pub(super) fn is_cleaning(slot: &Slot) -> bool {
    slot.as_ref().is_ok_and(|group| matches!(group.records.last(), Some(Record::Cleaning { .. })))
}

/// The record by which a leader took over, with the number of its group and the group.
pub(super) fn leaders(slots: &[Slot]) -> impl DoubleEndedIterator<Item = (u64, &Record, &Group)> {
    slots.iter().enumerate().filter_map(|(place, slot)| {
        let group = slot.as_ref().ok()?;
        let first = group.records.first()?;
        matches!(first, Record::TookOver { .. }).then_some((place as u64 + 1, first, group))
    })
}

/// What the groups say, seen from a start of a machine. `made` is the start on which the store was made.
///
/// What is missing or damaged is a power cut's doing if the last leader worked on another start of a machine: what was
/// not on its disk then is gone. On the same start it had been read whole by that leader; then it is an error.
pub(super) fn judge(slots: &[Slot], made: &str, boot: &str) -> Result<Replay, OpenError> {
    let mut replay = Replay::default();
    // A half removed store has lost all else.
    if let Some(Ok(group)) = slots.last().filter(|slot| is_cleaning(slot)) {
        let number = slots.len() as u64;
        let term = Arc::new(Term::new(number, &group.nonce));
        replay.entries = group.records.iter().map(|record| entry(number, &term, group.at, record)).collect();
        return Ok(replay);
    }
    let mut void = vec![false; slots.len()];
    for (epoch, record, _) in leaders(slots) {
        if let Record::TookOver { void_from: Some(from), .. } = record {
            let (from, to) = (from.saturating_sub(1) as usize, epoch as usize - 1);
            void[from.min(to)..to].fill(true);
        }
    }
    let last_boot = leaders(slots).next_back().map_or(made, |(_, record, _)| match record {
        Record::TookOver { boot, .. } => boot,
        _ => made,
    });
    let mut term = Arc::new(Term::new(0, ""));
    for (place, slot) in slots.iter().enumerate().filter(|(place, _)| !void[*place]) {
        let number = place as u64 + 1;
        let group = match slot {
            Ok(group) => group,
            Err(damage) if last_boot == boot => return Err(OpenError::Records(damage.clone())),
            Err(damage) => {
                replay.lost = Some(Lost { from: number, to: slots.len() as u64, reason: damage.to_string() });
                break;
            }
        };
        if let Some(Record::TookOver { nonce, .. }) = group.records.first() {
            term = Arc::new(Term::new(number, nonce));
        }
        replay.entries.extend(group.records.iter().map(|record| entry(number, &term, group.at, record)));
    }
    Ok(replay)
}

fn entry(number: u64, term: &Arc<Term>, at: u64, record: &Record) -> Entry {
    Entry { number, term: Arc::clone(term), at, record: record.clone() }
}

pub(super) fn damaged(name: &str, reason: &str) -> RecordsError {
    RecordsError::Damaged {
        name: name.to_owned(),
        reason: reason.to_owned(),
        advice: "restore it from a backup, or remove the job store with `moil clean` and start afresh"
            .to_owned(),
    }
}
