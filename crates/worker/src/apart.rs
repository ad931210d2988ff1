//! Keeping attempts apart that run one after the other, or side by side, in one pod: a tool without a container sees the
//! files of the pod, but can change none of them, and has directories for temporary files, shared memory and semaphores of
//! its own. What it leaves goes with its attempt.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use moil_container::direct::{Isolation, Mount};

use crate::attempt_dir::{AttemptDir, unique};
use crate::spawner::{Command, Spawner};
use crate::system::{self, Result};

/// Where programs put temporary files that nobody tells them to put elsewhere.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// How tools without a container are kept apart.
#[derive(Debug)]
pub struct Apart {
    /// Where a tool's root is put together: in namespaces of its own, so that nobody else sees it.
    root: PathBuf,
    /// Where attempts work.
    work_root: PathBuf,
}

impl Apart {
    /// Makes what it takes below `work_root`. `None`: this machine lets us make no namespaces and mounts.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub fn new(spawner: &Spawner, work_root: &Path) -> Result<Option<Self>> {
        let root = work_root.join(unique("root"));
        let tried = work_root.join(unique("trial"));
        for made in [&root, &tried] {
            std::fs::create_dir_all(made)
                .map_err(|error| system::failure("make the directory", made, &error))?;
        }
        let apart = Self { root, work_root: work_root.to_owned() };
        let dirs =
            AttemptDir { out: tried.clone(), tmp: tried.clone(), inputs: tried.clone(), root: tried.clone() };
        let command = Command {
            argv: ["/bin/sh", "-c", ":"].map(OsString::from).into(),
            cwd: tried.clone(),
            stdout: "/dev/null".into(),
            stderr: "/dev/null".into(),
            isolation: Some(apart.isolation(&dirs)?),
            ..Command::default()
        };
        let end = spawner.spawn(&command).ok().and_then(|running| running.wait(None));
        let works = end.is_some_and(|end| end.is_ok_and(|exit| exit.status.success()));
        crate::scratch::remove(&tried);
        Ok(works.then_some(apart))
    }

    /// The namespaces and mounts of an attempt's tool.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub(crate) fn isolation(&self, dirs: &AttemptDir) -> Result<Isolation> {
        let mount = |source: &Path, target: &Path, filesystem, read_only| Mount {
            source: source.to_owned(),
            target: target.to_owned(),
            filesystem,
            data: OsString::new(),
            read_only,
        };
        let inside = |path: &str| self.root.join(path.trim_start_matches('/'));
        let mut mounts = vec![mount(Path::new("/"), &self.root, None, true)];
        for place in TEMPORARY.into_iter().filter(|place| Path::new(place).is_dir()) {
            let own = dirs.root.join(place.trim_start_matches('/').replace('/', "-"));
            std::fs::create_dir_all(&own)
                .map_err(|error| system::failure("make the directory", &own, &error))?;
            mounts.push(mount(&own, &inside(place), None, false));
            if let Ok(rest) = self.work_root.strip_prefix(place) {
                // It would be hidden.
                let own = own.join(rest);
                std::fs::create_dir_all(&own)
                    .map_err(|error| system::failure("make the directory", &own, &error))?;
                let work_root = inside(&self.work_root.to_string_lossy());
                mounts.push(mount(&self.work_root, &work_root, None, false));
            }
        }
        if Path::new("/dev/shm").is_dir() {
            mounts.push(mount(Path::new("tmpfs"), &inside("/dev/shm"), Some(c"tmpfs"), false));
        }
        Ok(Isolation { root: self.root.clone(), mounts, directory: dirs.out.clone(), no_network: false })
    }
}
