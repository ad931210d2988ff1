//! What containers of Docker and Podman want beside a process of their client: ending them, looking whether their daemon
//! lives, and files of theirs that are not ours.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moil_container::docker_engine::{Janitor, Kind};
use moil_container::docker_images::DockerImages;

use crate::attempt_dir::AttemptDir;
use crate::cancel::Deaf;
use crate::spawner;

/// Docker or Podman, and how they are used.
#[derive(Debug)]
pub struct Docker {
    /// The images, and the engine that has them.
    pub images: DockerImages,
    /// What ends containers when we are killed.
    pub janitor: Janitor,
    /// The user and group that tools run as; `None` (`--no-match-user`) for the image's own.
    pub user: Option<(u32, u32)>,
    /// Whether Podman has to be told to map the user to itself.
    pub keep_id: bool,
    /// Off with `--no-read-only`.
    pub read_only: bool,
    /// `--leave-container`.
    pub keep: bool,
    /// `--cidfile-dir` and `--cidfile-prefix`: what the files of ids are called, before the container's name.
    pub id_files: Option<String>,
    /// `--strict-memory-limit`.
    pub strict_memory: bool,
    /// `--strict-cpu-limit`.
    pub strict_cores: bool,
    /// When the daemon was last asked for a sign of life.
    pub asked: Mutex<Option<Instant>>,
}

/// How often the daemon is asked for a sign of life while tools run.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long it has for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it has where something has just taken too long or failed.
const AGAIN: Duration = Duration::from_secs(3);

impl Docker {
    /// Ends the container of a client that ended with this code; `None` where it was killed: that does not end the
    /// container. Returns why the daemon does not answer, if that is so.
    pub(crate) fn ended(&self, name: &str, exit_code: Option<i32>, tell: &dyn Fn(String)) -> Option<String> {
        // From 125 on it may be the client that failed or was ended, and not the tool.
        if exit_code.is_some_and(|code| code < 125) {
            return None;
        }
        let engine = &self.images.engine;
        let mut slow = || tell(format!("waits for {} to end the container {name}", engine.kind));
        let said = engine.end(name, self.keep, &mut slow).err()?;
        self.janitor.is_needed();
        tell(format!("the container {name} may still be there: {said}"));
        engine.ask(AGAIN).err().map(|error| error.to_string())
    }

    /// Tells whether SIGTERM does nothing to a container.
    pub(crate) fn deaf(self: &Arc<Self>, name: &str) -> Deaf {
        let (docker, name) = (Arc::clone(self), name.to_owned());
        Arc::new(move || docker.images.engine.is_deaf(&name))
    }

    /// Says so where the daemon gives no sign of life: the client of a container waits for it without a word.
    pub(crate) fn look(&self, tell: &dyn Fn(String)) {
        let engine = &self.images.engine;
        if engine.kind == Kind::Podman {
            return;
        }
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
                return;
            }
            *asked = Some(Instant::now());
        }
        if let Err(error) = engine.ask(PATIENCE) {
            tell(format!("{error}; what has ended in a container is not noticed before it does"));
        }
    }

    /// Makes what the user of a container wrote ours: else it could not be read, moved or removed.
    pub(crate) fn take_files(&self, image: &str, dirs: &AttemptDir, tell: &dyn Fn(String)) {
        let (user, group) = spawner::ids();
        if self.user.is_some()
            || user == 0
            || ![&dirs.out, &dirs.tmp].into_iter().any(|dir| has_others(dir, user, 0))
        {
            return;
        }
        // Podman without root: root in its containers is us.
        let to = if self.images.engine.kind == Kind::Podman { (0, 0) } else { (user, group) };
        if let Err(said) = self.images.engine.give(image, &[&dirs.out, &dirs.tmp], to) {
            tell(format!(
                "files that the image's own user made stay that user's, since the image has no working chown: {said}"
            ));
        }
    }
}

/// Deeper than this nothing is looked at: paths of the system end long before.
const DEEPEST: usize = 2_000;

/// Whether somebody else owns something in a directory.
fn has_others(directory: &Path, user: u32, depth: usize) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    depth < DEEPEST
        && entries.into_iter().any(|entry| {
            entry.metadata().is_ok_and(|metadata| {
                metadata.uid() != user || (metadata.is_dir() && has_others(&entry.path(), user, depth + 1))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_are_found_wherever_they_are() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), "").unwrap();
        let (user, _) = spawner::ids();
        assert!(!has_others(dir.path(), user, 0));
        assert!(has_others(dir.path(), user + 1, 0));
        assert!(!has_others(&dir.path().join("missing"), user + 1, 0));
    }
}
