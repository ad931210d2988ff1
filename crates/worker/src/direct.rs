//! Running tools without the engine, in images that were unpacked because they are used often.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use moil_container::direct::{self, Ground, Isolation};
use moil_container::image_name::ImageName;
use moil_container::invocation::Invocation;

use crate::attempt_dir::{AttemptDir, unique};
use crate::config::WorkerConfig;
use crate::container::EngineCommand;
use crate::place::Place;
use crate::spawner::Command;

/// How often an image is used through the engine before it is unpacked: that takes as long as some starts.
const SELDOM: u32 = 3;

/// What is known of images that are run without the engine.
#[derive(Debug)]
pub struct Direct {
    /// The program `unsquashfs`.
    pub(crate) unpack: PathBuf,
    uses: Mutex<HashMap<ImageName, u32>>,
    /// By image and output directory; `None` for an image that only the engine can run.
    grounds: Mutex<HashMap<(PathBuf, String), Option<Arc<Ground>>>>,
    /// Whether this machine lets us make namespaces and mounts.
    works: OnceLock<bool>,
}

impl Direct {
    /// With the program that unpacks images.
    pub fn new(unpack: PathBuf) -> Self {
        Self { unpack, uses: Mutex::default(), grounds: Mutex::default(), works: OnceLock::new() }
    }

    /// Counts a use; whether there were many before it.
    pub(crate) fn is_used_often(&self, name: &ImageName) -> bool {
        if self.works.get() == Some(&false) {
            return false;
        }
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = uses.entry(name.clone()).or_default();
        *count = count.saturating_add(1);
        *count > SELDOM
    }

    /// The process that runs an invocation; `None` where the engine has to.
    pub(crate) fn command(
        &self,
        config: &WorkerConfig,
        place: &Place,
        dirs: &AttemptDir,
        image: &Path,
        invocation: &Invocation,
    ) -> Option<EngineCommand> {
        let ground = self.ground(config, place, image)?;
        let inputs = dirs.inputs.is_dir().then_some(dirs.inputs.as_path());
        let (line, isolation) = direct::plan(invocation, &ground, inputs)?;
        self.works.get_or_init(|| is_possible(config, dirs, &isolation)).then_some(EngineCommand {
            argv: line.argv,
            environment: line.environment,
            isolation: Some(isolation),
        })
    }

    fn ground(&self, config: &WorkerConfig, place: &Place, image: &Path) -> Option<Arc<Ground>> {
        let mut grounds = self.grounds.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let folder = config.work_root.join("grounds").join(unique("ground"));
            // Where it cannot be made, the engine does without.
            let ground = Ground::make(image, &folder, Path::new(&place.out), Path::new(&place.inputs))
                .ok()
                .flatten()?;
            let (user, group) = crate::spawner::ids();
            ground.add_user(user, group).ok()?;
            Some(Arc::new(ground))
        };
        grounds.entry((image.to_owned(), place.out.clone())).or_insert_with(make).clone()
    }
}

/// Tries it with a command that does nothing.
fn is_possible(config: &WorkerConfig, dirs: &AttemptDir, isolation: &Isolation) -> bool {
    let command = Command {
        argv: ["/bin/sh", "-c", ":"].map(OsString::from).into(),
        cwd: dirs.out.clone(),
        stdout: "/dev/null".into(),
        stderr: "/dev/null".into(),
        isolation: Some(isolation.clone()),
        ..Command::default()
    };
    let end = config.spawner.spawn(&command).ok().and_then(|running| running.wait(None));
    end.is_some_and(|end| end.is_ok_and(|exit| exit.status.success()))
}
