//! Outputs that go to a bucket: copied there within the service where they lie in one already, else brought up.
//!
//! Names follow from the output object alone, and what is there under a name is replaced, so that an export that was
//! interrupted is done again in the same way. A bucket has no directories: only an empty one gets an object of its own,
//! whose key ends in `/`.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use moil_cwl::location;
use moil_cwl::value::{File, Value};
use moil_engine::export::{self, Action, Export};
use moil_job::failure::{Failure, FailureKind};
use moil_job::record::Record;
use moil_jobstore::content::s3 as content;
use moil_jobstore::locator::Locator;
use moil_jobstore::remote::Remote;
use moil_jobstore::s3::Bucket;
use moil_jobstore::s3::transfer::Content;

use crate::job_store::{JobStore, Still};
use crate::settings::{BucketPrefix, Settings};

/// How many files are on their way at once.
const AT_ONCE: usize = 16;

/// What stands for the place in the plan of an export.
const ROOT: &str = "/";

/// The place as people write it.
pub(super) fn url(place: &BucketPrefix) -> String {
    format!("s3://{}/{}", place.name, place.prefix)
}

fn bucket(place: &BucketPrefix, remote: &Remote) -> Result<Bucket, Failure> {
    remote.bucket(&place.name).ok_or_else(|| {
        Failure::new(FailureKind::System, format!("cannot write to {}", url(place)))
            .with_cause("nothing is set up to reach S3")
    })
}

/// Whether objects can be written there.
pub(super) fn check(settings: &Settings, place: &BucketPrefix, remote: &Remote) -> Result<(), Failure> {
    if let Some(Locator::Aws { name, .. }) = &settings.store.locator
        && Locator::bucket(name) == place.name
    {
        let message = format!("the outputs cannot go to {}: that bucket is the job store's own", url(place));
        return Err(Failure::new(FailureKind::BadInput, message)
            .with_advice("it is removed with the job store; choose another bucket"));
    }
    bucket(place, remote)?.check_writable(&key(place, Path::new(ROOT))).map_err(|error| {
        Failure::new(FailureKind::System, format!("cannot write outputs to {}", url(place)))
            .with_cause(error.reason)
            .with_advice("choose another place with --outdir or --destBucket")
    })
}

/// The key of a path below [`ROOT`].
fn key(place: &BucketPrefix, path: &Path) -> String {
    let below = path.strip_prefix(ROOT).unwrap_or(path).to_string_lossy();
    if place.prefix.is_empty() { below.into_owned() } else { format!("{}/{below}", place.prefix) }
}

/// Exports the outputs; gives the output object as it is printed.
///
/// # Errors
/// What the server or the system refused; another leader has taken over the run.
pub(super) fn bring(
    settings: &Settings,
    place: &BucketPrefix,
    outputs: &Value,
    work: &Path,
    remote: &Arc<Remote>,
    store: Option<&JobStore>,
) -> Result<Value, Failure> {
    let bucket = bucket(place, remote)?;
    let url = content::location(&bucket, &place.prefix);
    let export = Export { outdir: ROOT.into(), url: Some(url.trim_end_matches('/').to_owned()), own: None };
    let (value, actions) = export::plan(outputs, &export, remote)?;
    if let Some(store) = store {
        store.record(Record::ExportPlanned {
            outputs: outputs.clone(),
            to: self::url(place),
            moves: Vec::new(),
        })?;
    }
    let still = store.map(JobStore::still);
    let exporter = Exporter { place, bucket: &bucket, remote, scratch: work, still };
    let stored = exporter.act(&actions)?;
    let Ok(value) = value.try_map_files::<Infallible>(&mut |item| {
        Ok(match item {
            Value::File(file) => Value::File(Arc::new(measured(&file, &stored, settings.files.checksums))),
            other => other,
        })
    });
    Ok(value)
}

/// What is known of a file that was stored: its size in bytes, and its checksum if that was computed on the way.
type Stored = (u64, Option<String>);

/// A file with what is known of it now. What was copied within the service keeps what the job that made it said.
fn measured(file: &File, stored: &HashMap<String, Stored>, checksums: bool) -> File {
    let key = file.location.as_deref().and_then(content::bucket_and_key).map(|(_, key)| key);
    let mut file = file.clone();
    if let Some((size, checksum)) = key.and_then(|key| stored.get(&key)) {
        file.size = Some(*size);
        if let Some(checksum) = checksum.as_deref().filter(|_| checksums) {
            file.checksum = Some(checksum.into());
        }
    }
    file
}

struct Exporter<'a> {
    place: &'a BucketPrefix,
    bucket: &'a Bucket,
    remote: &'a Remote,
    scratch: &'a Path,
    /// What is asked before each action.
    still: Option<Still<'a>>,
}

impl Exporter<'_> {
    /// Does all of it, many at once. Gives what is known of the files by their keys.
    fn act(&self, actions: &[Action]) -> Result<HashMap<String, Stored>, Failure> {
        let empty = empty_directories(actions);
        let (next, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
        let stored: Mutex<HashMap<String, Stored>> = Mutex::default();
        let failure: Mutex<Option<Failure>> = Mutex::default();
        let work = || {
            while !ended.load(Ordering::Relaxed)
                && let Some(action) = actions.get(next.fetch_add(1, Ordering::Relaxed))
            {
                match self.one(action, &empty) {
                    Ok(Some((key, facts))) => {
                        stored.lock().unwrap_or_else(PoisonError::into_inner).insert(key, facts);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        ended.store(true, Ordering::Relaxed);
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..AT_ONCE.min(actions.len()) {
                scope.spawn(work);
            }
            work();
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None => Ok(stored.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn one(&self, action: &Action, empty: &HashSet<&Path>) -> Result<Option<(String, Stored)>, Failure> {
        self.still.as_ref().map_or(Ok(()), Still::ours)?;
        let (to, copied) = match action {
            Action::MakeDirectory(path) if !empty.contains(path.as_path()) => return Ok(None),
            Action::MakeDirectory(path) => {
                let key = key(self.place, path) + "/";
                let put = self.bucket.put(&key, b"").map_err(|error| self.failed(&key, error.reason));
                return put.map(|()| None);
            }
            Action::Bring { from, to, .. } => {
                let text = from.to_str().ok_or_else(|| {
                    self.failed(&key(self.place, to), format!("{} is not UTF-8", from.display()))
                })?;
                (to, self.copy(&location::file_uri(text), to))
            }
            Action::Copy { location, to } => (to, self.copy(location, to)),
            Action::Write { to, text } => {
                let put = self.bucket.put(&key(self.place, to), text.as_bytes());
                let content = Content::of(text.as_bytes());
                (to, put.map(|()| (content.size, Some(content.checksum))).map_err(|error| error.reason))
            }
        };
        let key = key(self.place, to);
        match copied {
            Ok(stored) => Ok(Some((key, stored))),
            Err(reason) => Err(self.failed(&key, reason)),
        }
    }

    fn copy(&self, location: &str, to: &Path) -> Result<Stored, String> {
        let copied = self.remote.copy_to(location, self.bucket, &key(self.place, to), self.scratch);
        copied.map_err(|error| error.to_string())
    }

    fn failed(&self, key: &str, reason: String) -> Failure {
        let message = format!("cannot write the output {}", self.bucket.url(key));
        Failure::new(FailureKind::System, message).with_cause(reason)
    }
}

/// The directories that nothing is in.
fn empty_directories(actions: &[Action]) -> HashSet<&Path> {
    let mut empty = HashSet::new();
    let mut full = HashSet::new();
    for action in actions {
        let path: &PathBuf = match action {
            Action::MakeDirectory(path) => {
                empty.insert(path.as_path());
                path
            }
            Action::Bring { to, .. } | Action::Copy { to, .. } | Action::Write { to, .. } => to,
        };
        full.extend(path.parent());
    }
    empty.retain(|path| !full.contains(path));
    empty
}
