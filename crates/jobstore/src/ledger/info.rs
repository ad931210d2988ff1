//! What a store says of itself. This record has the same name and place in all versions.

use serde::{Deserialize, Serialize};

use super::{OpenError, TRIES, journal};
use crate::names::INFO;
use crate::nonce::nonce;
use crate::records::{Put, Records};
use crate::who::Who;

/// The version of what this program writes, and the newest that it reads.
pub const VERSION: u64 = 2;

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The version of what is stored.
    pub version: u64,
    /// The program that made it, for messages.
    pub made_by: String,
    /// The run: 32 hexadecimal digits that no other run has.
    pub run: String,
    /// The start of the machine on which it was made.
    pub boot: String,
    /// The secret under which memo keys of this run are made: 64 hexadecimal digits. It protects what keys would tell
    /// elsewhere, such as in logs; whoever can read the store can read the inputs as well.
    pub key: String,
}

impl Info {
    /// A new run.
    pub fn new(who: &Who) -> Self {
        Self {
            version: VERSION,
            made_by: concat!("moil ", env!("CARGO_PKG_VERSION")).to_owned(),
            run: nonce(),
            boot: who.boot.clone(),
            key: nonce() + &nonce(),
        }
    }
}

/// What every version can read.
#[derive(Deserialize)]
struct Version {
    version: u64,
    #[serde(default)]
    made_by: String,
}

/// Keeps it where there is none.
pub(super) fn store(records: &dyn Records, info: &Info) -> Result<(), OpenError> {
    let bytes = serde_json::to_vec(info).unwrap_or_default();
    let mut tries = 0;
    loop {
        match records.put_if_absent(INFO, &bytes) {
            Ok(Put::Stored) => return Ok(()),
            Ok(Put::Exists) => break,
            Err(error) => {
                tries += 1;
                if tries == TRIES {
                    return Err(error.into());
                }
            }
        }
    }
    // An answer may have been lost: then it is this one that is there.
    if records.get(INFO)?.as_deref() == Some(&bytes) { Ok(()) } else { Err(OpenError::Exists) }
}

/// What is kept, if this program can work with it.
pub(super) fn load(records: &dyn Records) -> Result<Info, OpenError> {
    let Some(bytes) = records.get(INFO)? else {
        let is_cleaning = journal::read_all(records)?.last().is_some_and(journal::is_cleaning);
        return Err(if is_cleaning { OpenError::Cleaning } else { OpenError::Missing });
    };
    let damaged = |error: serde_json::Error| OpenError::Records(journal::damaged(INFO, &error.to_string()));
    let Version { version, made_by } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(OpenError::TooNew { version, made_by });
    }
    serde_json::from_slice(&bytes).map_err(damaged)
}
