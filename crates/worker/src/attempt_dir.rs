//! The directories of one attempt: `<work root>/<job>-<try>-<random>/{out,tmp,in}`. No path is ever used twice.

use std::fs::DirBuilder;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use moil_job::spec::Attempt;

use crate::config::WorkerConfig;
use crate::spare::Spare;
use crate::system::{self, Result};

/// The directories of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptDir {
    /// The attempt's own directory; holds the logs.
    pub root: PathBuf,
    /// The output directory, `$HOME` and working directory of the tool.
    pub out: PathBuf,
    /// `$TMPDIR`.
    pub tmp: PathBuf,
    /// Where inputs are staged; made when the first one is.
    pub inputs: PathBuf,
}

/// The longest part of a job's name that goes into the name of its directory, in bytes.
const LONGEST_SLUG: usize = 40;

impl AttemptDir {
    /// Makes new directories for an attempt. The outermost is for its owner alone.
    ///
    /// # Errors
    /// Where a directory cannot be made.
    pub fn create(config: &WorkerConfig, attempt: &Attempt, spare: &Spare) -> Result<Self> {
        let prefix = format!("{}-{}", slug(&attempt.job.name), attempt.id.number);
        let renamed = config.work_root.join(unique(&prefix));
        let is_spare = spare.take(&renamed);
        let root = if is_spare { renamed } else { make_unique(&config.work_root, &prefix)? };
        let (out, inputs) = (root.join("out"), root.join("in"));
        let tmp = match &config.tmp_root {
            None => root.join("tmp"),
            // It may be on another disk, and its name must be new.
            Some(tmp_root) => make_unique(tmp_root, &prefix)?,
        };
        if !is_spare {
            make(&out)?;
            if config.tmp_root.is_none() {
                make(&tmp)?;
            }
        }
        Ok(Self { root, out, tmp, inputs })
    }

    /// The log of standard output, where it is no output file.
    pub fn stdout_log(&self) -> PathBuf {
        self.root.join("stdout.log")
    }

    /// The log of standard error, where it is no output file.
    pub fn stderr_log(&self) -> PathBuf {
        self.root.join("stderr.log")
    }
}

/// A name that is safe everywhere.
fn slug(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let slug: String = name.chars().map(safe).take(LONGEST_SLUG).collect();
    if slug.is_empty() { "job".to_owned() } else { slug }
}

/// A name that nobody has used. The seed of a new hasher is as random as that has to be.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", RandomState::new().hash_one(0))
}

fn make(path: &Path) -> Result<()> {
    std::fs::create_dir(path).map_err(|error| system::failure("make the directory", path, &error))
}

/// Makes `<parent>/<prefix>-<random>`, and `parent` where it is missing.
fn make_unique(parent: &Path, prefix: &str) -> Result<PathBuf> {
    loop {
        let path = parent.join(unique(prefix));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(parent)
                    .map_err(|error| system::failure("make the directory", parent, &error))?;
            }
            Err(error) => return Err(system::failure("make the directory", &path, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_safe_and_short() {
        for (name, expected) in
            [("align_3", "align_3"), ("a/b c\n#é", "a_b_c___"), ("", "job"), ("../..", "_____")]
        {
            assert_eq!(slug(name), expected);
        }
        assert_eq!(slug(&"x".repeat(500)).len(), LONGEST_SLUG);
    }

    #[test]
    fn names_are_never_used_twice() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("not/there");
        let made: std::collections::HashSet<PathBuf> =
            (0..100).map(|_| make_unique(&parent, "job-1").unwrap()).collect();
        assert_eq!(made.len(), 100);
    }
}
