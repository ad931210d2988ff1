//! Removing a run, in an order that survives being interrupted.
//!
//! First [`Record::Cleaning`] is appended: from then on nobody takes over, and whoever finds it finishes. The groups by
//! which leaders are fenced stay, with the group before each (whose answer its writer may still wait for): a leader
//! that has slept through all this must still find them. They are small, and as many as there were leaders.

use std::collections::HashSet;

use moil_cwl::value::Value;
use moil_job::record::Record;

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

/// The record of the removal of a run, and the number of its group, if it is recorded.
fn retired(records: &dyn Records) -> Result<Option<(u64, Record)>, RecordsError> {
    let names = records.list(JOURNAL, None)?;
    let Some(last) = names.iter().rev().find_map(|name| names::group_number(name)) else { return Ok(None) };
    let Some(Ok(group)) = journal::read_group(records, last)? else { return Ok(None) };
    Ok(group.records.into_iter().next_back().filter(is_removal).map(|record| (last, record)))
}

fn is_removal(record: &Record) -> bool {
    matches!(record, Record::Cleaning { .. })
}

/// Whether the removal of a run is recorded.
///
/// # Errors
/// It cannot be read.
pub fn is_retired(records: &dyn Records) -> Result<bool, RecordsError> {
    Ok(retired(records)?.is_some())
}

/// The output object of a run that was a success, and whose removal is recorded.
///
/// # Errors
/// It cannot be read.
pub fn outputs_of_cleaned(records: &dyn Records) -> Result<Option<Value>, RecordsError> {
    Ok(match retired(records)? {
        Some((_, Record::Cleaning { outputs, .. })) => outputs,
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
        epochs.iter().chain([&last]).flat_map(|number| [number.saturating_sub(1), *number]).collect();
    let (groups, others): (Vec<_>, Vec<_>) =
        records.list("", None)?.into_iter().partition(|name| names::group_number(name).is_some());
    let goes = |name: &String| names::group_number(name).is_some_and(|number| !stay.contains(&number));
    records.delete(&others)?;
    records.delete(&groups.into_iter().filter(goes).collect::<Vec<_>>())?;
    Ok(true)
}
