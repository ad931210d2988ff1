//! Small named records that are written once: all that a journal, results and flags need of a store.
//!
//! A store is [`Records`]; what is built on it (the ledger) is written once for all of them.
//!
//! | module | holds |
//! |---|---|
//! | [`memory`] | records of one process |
//! | [`file`] | records as files, for many processes and machines that share a directory |
//! | `s3` | records as objects of S3 (feature `aws`) |
//! | `simpledb` | records as items of SimpleDB (feature `aws`) |

pub mod file;
pub mod memory;
#[cfg(feature = "aws")]
pub mod s3;
#[cfg(feature = "aws")]
pub mod simpledb;

/// Keeps records under names. All calls block; what they return is stored and seen by everybody.
///
/// Names follow [`check_name`]. Several processes on several machines may use the same records at the same time.
pub trait Records: Send + Sync {
    /// Stores bytes under a name that nothing has yet. Of all who try the same name at the same time one gets
    /// [`Put::Stored`].
    ///
    /// # Errors
    /// After [`RecordsError::Failed`] the bytes may or may not be stored, or be stored later: whoever must know reads
    /// the name, and finds there what can be told from another's.
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Put, RecordsError>;

    /// Stores bytes under a name, whatever is there (heartbeats, and that a run is gone: whoever says that says the same).
    ///
    /// # Errors
    /// As [`Records::put_if_absent`].
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RecordsError>;

    /// The bytes under a name, if there are any.
    ///
    /// # Errors
    /// [`RecordsError::Damaged`] where what is there is not what was stored.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RecordsError>;

    /// Names that begin with `prefix` and come after `after`, in byte order. The prefix need not end at a `/`.
    ///
    /// # Errors
    /// The store cannot be read.
    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, RecordsError>;

    /// Deletes records; names that nothing has are passed over.
    ///
    /// # Errors
    /// Any of them may then be there or not.
    fn delete(&self, names: &[String]) -> Result<(), RecordsError>;
}

/// What came of a [`Records::put_if_absent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The name was free, and has the bytes now.
    Stored,
    /// The name is taken: by another, or by this caller when the answer of an earlier try was lost.
    Exists,
}

/// Why records could not be stored or had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// Nothing may have this name.
    #[error("{name:?} cannot name a record: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What is stored under the name is not what was written.
    #[error("the record {name} is damaged: {reason}; {advice}")]
    Damaged {
        /// The record, as people find it: a path, an URL.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// The store refused, or could not be reached. What was asked for may or may not have been done.
    #[error("cannot {operation} {name}: {reason}")]
    Failed {
        /// What was being done, as a verb: `store`, `read`, `list`, `delete`.
        operation: &'static str,
        /// The record, or the prefix, as people find it.
        name: String,
        /// The underlying system's words, and what to do where that is known.
        reason: String,
    },
}

/// The longest name, in bytes: what SimpleDB and S3 take, less a prefix.
const MAX_NAME: usize = 700;

/// The longest part of a name between two `/`, in bytes: what file systems take, less an ending.
const MAX_SEGMENT: usize = 200;

/// Checks a name: parts of ASCII letters, digits and `._~-` with `/` between them, none of which begins with a dot.
/// So every store can have it, and no name leads out of the store.
///
/// # Errors
/// [`RecordsError::BadName`] says what is wrong.
pub fn check_name(name: &str) -> Result<(), RecordsError> {
    let bad = |reason| Err(RecordsError::BadName { name: name.chars().take(MAX_NAME).collect(), reason });
    if name.len() > MAX_NAME {
        return bad("it is too long");
    }
    for segment in name.split('/') {
        if segment.is_empty() {
            return bad("a part of it is empty");
        }
        if segment.len() > MAX_SEGMENT {
            return bad("a part of it is too long");
        }
        if segment.starts_with('.') {
            return bad("a part of it begins with a dot");
        }
        if !segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)) {
            return bad("only ASCII letters, digits and ._~-/ are allowed");
        }
    }
    Ok(())
}

/// Checks a prefix of names: a name, or the beginning of one, or nothing.
///
/// # Errors
/// [`RecordsError::BadName`] says what is wrong.
pub fn check_prefix(prefix: &str) -> Result<(), RecordsError> {
    match prefix.strip_suffix('/').unwrap_or(prefix) {
        "" if prefix.is_empty() => Ok(()),
        name => check_name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_a_store_or_that_some_store_cannot_have_are_refused() {
        for good in ["a", "journal/00000000000000000042", "results/7-ab/align~5B3~5D.1", "a/b/c_d"] {
            assert_eq!(check_name(good), Ok(()));
        }
        let (long, longest) = ("a".repeat(201), "a/".repeat(351));
        for bad in [
            "", "/", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "a/.b", "a b", "é", "a\0b", "a\\b",
            &long, &longest,
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_prefix_may_end_anywhere_in_a_name() {
        for good in ["", "a", "a/", "journal/0000"] {
            assert_eq!(check_prefix(good), Ok(()));
        }
        for bad in ["/", "a//", "../", "a/."] {
            assert!(check_prefix(bad).is_err(), "{bad:?}");
        }
    }
}
