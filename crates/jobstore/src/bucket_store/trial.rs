//! Whether a store could be in a bucket.

use super::{BucketPlace, check_conditional_writes};
use crate::locator::RecordsIn;
use crate::place::trial::Trial;
use crate::s3::Error;

impl BucketPlace {
    /// As [`crate::place::Place::try_out`].
    ///
    /// # Errors
    /// Why not, and what to do, in words for people.
    pub fn try_out(&self, make: bool) -> Result<Trial, String> {
        let words = |error: Error| error.to_string();
        let is_there = self.bucket.exists().map_err(words)?;
        let made = match &self.own {
            _ if is_there => false,
            Some(own) if make => self.bucket.create(Some(&own.region), &self.tags).map_err(words)?,
            Some(_) => return Err(format!("there is no bucket {}", self.bucket.name())),
            None => {
                return Err(format!(
                    "there is no bucket {}: make it, or name another one",
                    self.bucket.name()
                ));
            }
        };
        let tried = self.try_bucket(is_there);
        match tried {
            Ok(found) => Ok(Trial { found, made }),
            Err(reason) => {
                if made {
                    self.take_back();
                }
                Err(reason)
            }
        }
    }

    fn try_bucket(&self, was_there: bool) -> Result<String, String> {
        let words = |error: Error| error.to_string();
        let (bucket, region) = (self.bucket.name(), self.bucket.region().map_err(words)?);
        let place = match region {
            Some(region) => format!("the bucket {bucket} in {region}"),
            None => format!("the bucket {bucket}"),
        };
        let place = if was_there { place } else { format!("{place} (made for this)") };
        if self.records == RecordsIn::SimpleDb && was_there {
            // Its domain is there only while a run is.
            if let Some(root) = self.root().map_err(|error| error.to_string())? {
                check_conditional_writes(&*root.records).map_err(|error| error.to_string())?;
                return Ok(format!("{place} can be read, and SimpleDB honours conditional puts"));
            }
        }
        self.bucket.check_conditional_writes(&format!("{}probe-", self.prefix)).map_err(words)?;
        Ok(format!("{place} can be written, and conditional puts are honoured"))
    }

    /// Removes the bucket, which was made for a trial. One that has something in it stays: it is somebody's now.
    pub fn take_back(&self) {
        let _ = self.bucket.remove();
    }
}
