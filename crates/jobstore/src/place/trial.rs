//! Whether a store could be in a place: tried out with one small record, and taken back.

use std::fs;
use std::io;
use std::path::Path;

use super::Place;
use crate::nonce::nonce;

/// What a trial found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// For people: what was tried, and where the place is.
    pub found: String,
    /// The bucket was made for it.
    pub made: bool,
}

impl Place {
    /// Tries whether records can be put under the condition that they are not there yet. `make`: the bucket of an `aws:`
    /// store is made, if it is not there; [`Place::take_back`] removes it again.
    ///
    /// # Errors
    /// Why not, and what to do, in words for people.
    pub fn try_out(&self, make: bool) -> Result<Trial, String> {
        match self {
            Self::File { path, .. } => try_directory(path).map(|found| Trial { found, made: false }),
            #[cfg(feature = "aws")]
            Self::Bucket(place) => place.try_out(make),
        }
    }

    /// Removes what a trial made, if nobody has used it since.
    pub fn take_back(&self, trial: &Trial) {
        match self {
            Self::File { .. } => {}
            #[cfg(feature = "aws")]
            Self::Bucket(place) if trial.made => place.take_back(),
            #[cfg(feature = "aws")]
            Self::Bucket(_) => {}
        }
    }
}

/// Records are published by links: the name that is there stays what it is.
fn try_directory(path: &Path) -> Result<String, String> {
    let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(path);
    let (first, second) =
        (folder.join(format!(".moil-{}", nonce())), folder.join(format!(".moil-{}", nonce())));
    let tried = fs::write(&first, b"first").and_then(|()| {
        fs::hard_link(&first, &second)?;
        Ok(fs::hard_link(&first, &second).map_err(|error| error.kind()))
    });
    let _ = fs::remove_file(&first);
    let _ = fs::remove_file(&second);
    match tried {
        Ok(Err(io::ErrorKind::AlreadyExists)) => Ok(format!("{} can be written", folder.display())),
        Ok(_) => Err(format!(
            "the file system of {} lets a link take the place of a file: please use another one",
            folder.display()
        )),
        Err(error) => Err(format!("cannot make a file with a link in {}: {error}", folder.display())),
    }
}
