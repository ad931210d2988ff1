//! Removing a run, in an order that survives being interrupted.
//!
//! First [`Record::Cleaning`] is appended: from then on nobody takes over, and whoever finds it finishes. The groups by
//! which leaders are fenced stay, with the group before each (whose answer its writer may still wait for): a leader
//! that has slept through all this must still find them. They are small, and as many as there were leaders.

use std::collections::HashSet;

use moil_cwl::value::Value;
use moil_job::record::Record;
use serde::{Deserialize, Serialize};

use super::{OpenError, TRIES, info, journal, take_number, took_over};
use crate::names::{self, JOURNAL};
use crate::nonce::nonce;
use crate::records::{Records, RecordsError};
use crate::who::Who;

/// Records that a run that another process led is about to be removed, even if its journal is damaged. Its leader, if
/// it still works, is fenced.
///
/// # Errors
/// There is none, it was made by a version that came later, or it cannot be written.
pub fn retire(records: &dyn Records, who: &Who) -> Result<(), OpenError> {
    match info::load(records) {
        Ok(_) | Err(OpenError::Cleaning | OpenError::Records(RecordsError::Damaged { .. })) => {}
        Err(error) => return Err(error),
    }
    let nonce = nonce();
    let mut slots = journal::read_all(records)?;
    let mut tries = 0;
    while !slots.last().is_some_and(journal::is_cleaning) {
        let epoch = slots.len() as u64 + 1;
        let epochs = journal::leaders(&slots).map(|(epoch, ..)| epoch).chain([epoch]).collect();
        let group = took_over(who, &nonce, epoch, None, Some(Record::Cleaning { epochs, outputs: None }));
        match take_number(records, &mut slots, &group, &mut tries) {
            Ok(None) => {}
            Ok(Some(_)) => break,
            // Whoever was faster may clean as well, or lead: then it is asked to end first.
            Err(OpenError::Beaten { .. }) if tries < TRIES => {
                tries += 1;
                slots = journal::read_all(records)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Records that, and removes the run.
///
/// # Errors
/// As [`retire`]; or it cannot be removed.
pub fn clean(records: &dyn Records, who: &Who) -> Result<(), OpenError> {
    retire(records, who)?;
    finish_cleaning(records)?;
    Ok(())
}

/// A group of a journal: nobody else has written one with both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupId {
    /// Its number.
    pub number: u64,
    /// Its leader's.
    pub nonce: String,
}

/// The removal of a run, as its journal records it.
pub struct Removal {
    /// The group that does.
    pub by: GroupId,
    /// The output object, if the run was a success.
    pub outputs: Option<Value>,
}

/// The last group of a journal, if it records the removal of the run.
fn retired(records: &dyn Records) -> Result<Option<(GroupId, Record)>, RecordsError> {
    let names = records.list(JOURNAL, None)?;
    let Some(last) = names.iter().rev().find_map(|name| names::group_number(name)) else { return Ok(None) };
    let Some(Ok(group)) = journal::read_group(records, last)? else { return Ok(None) };
    let by = GroupId { number: last, nonce: group.nonce };
    Ok(group.records.into_iter().next_back().filter(is_removal).map(|record| (by, record)))
}

fn is_removal(record: &Record) -> bool {
    matches!(record, Record::Cleaning { .. })
}

/// The removal of a run, if it is recorded.
///
/// # Errors
/// It cannot be read.
pub fn removal(records: &dyn Records) -> Result<Option<Removal>, RecordsError> {
    Ok(match retired(records)? {
        Some((by, Record::Cleaning { outputs, .. })) => Some(Removal { by, outputs }),
        _ => None,
    })
}

/// The same, if this group records it, and is there.
///
/// # Errors
/// It cannot be read.
pub fn removal_by(records: &dyn Records, by: &GroupId) -> Result<Option<Removal>, RecordsError> {
    let Some(Ok(group)) = journal::read_group(records, by.number)? else { return Ok(None) };
    let is_it = group.nonce == by.nonce;
    Ok(match group.records.into_iter().next_back() {
        Some(Record::Cleaning { outputs, .. }) if is_it => Some(Removal { by: by.clone(), outputs }),
        _ => None,
    })
}

/// Removes what is left of a run whose removal is recorded, and nothing else. Interrupted, it can be called again, by
/// several at the same time. Says whether there was such a run.
///
/// # Errors
/// Something cannot be removed.
pub fn finish_cleaning(records: &dyn Records) -> Result<bool, RecordsError> {
    let Some((last, Record::Cleaning { epochs, .. })) = retired(records)? else { return Ok(false) };
    let stay: HashSet<u64> =
        epochs.iter().chain([&last.number]).flat_map(|number| [number.saturating_sub(1), *number]).collect();
    let (groups, others): (Vec<_>, Vec<_>) =
        records.list("", None)?.into_iter().partition(|name| names::group_number(name).is_some());
    let goes = |name: &String| names::group_number(name).is_some_and(|number| !stay.contains(&number));
    records.delete(&others)?;
    records.delete(&groups.into_iter().filter(goes).collect::<Vec<_>>())?;
    Ok(true)
}
