//! What the tests share.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use moil_container::detect::{self, Engine};
use moil_container::error::ImageError;
use moil_container::image_name::ImageName;
use moil_container::store::{Image, ImageStore, Source, StoreConfig};
use moil_container::watch::{Event, Watch};

use crate::registry::Registry;

/// Whether a component is there. Says so if not, and fails where it must be there.
pub fn is_there(component: &str, programs: &[&str]) -> bool {
    let Some(missing) = programs.iter().find(|program| which::which(program).is_err()) else { return true };
    let required = std::env::var("MOIL_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name == component),
        "{missing} is not installed, and MOIL_REQUIRE names {component}"
    );
    println!("skipped: {missing} is not installed");
    false
}

/// What nearly all tests here need.
pub fn has_engine() -> bool {
    is_there("apptainer", &["apptainer", "busybox", "unsquashfs"])
}

pub fn engine() -> Engine {
    detect::detect(&std::env::var_os("PATH").unwrap(), &[]).unwrap()
}

/// A folder with a home directory, a store and all that belongs to it.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    /// Engines that run here take images from this registry.
    pub fn new(registry: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let containers = folder.path().join("user/.config/containers");
        fs::create_dir_all(&containers).unwrap();
        let configuration = format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
        fs::write(containers.join("registries.conf"), configuration).unwrap();
        fs::create_dir(folder.path().join("temporary")).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        environment(self.folder.path())
    }

    pub fn config(&self) -> StoreConfig {
        config(self.folder.path())
    }

    pub fn store(&self) -> ImageStore {
        ImageStore::new(self.config())
    }

    /// The files and folders in one of ours, by name.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Asserts that nothing half done is left.
    pub fn assert_tidy(&self) {
        assert_eq!(self.names("images/.moil/partial"), [""; 0]);
        assert_eq!(self.names("temporary"), [""; 0]);
    }
}

fn environment(folder: &Path) -> Vec<(OsString, OsString)> {
    vec![
        ("PATH".into(), std::env::var_os("PATH").unwrap()),
        ("HOME".into(), folder.join("user").into_os_string()),
    ]
}

pub fn config(folder: &Path) -> StoreConfig {
    StoreConfig {
        home: folder.join("images"),
        also: Vec::new(),
        layer_cache: folder.join("layers"),
        temporary: folder.join("temporary"),
        engine: engine(),
        environment: environment(folder),
        unpack: None,
        hub_mirror: None,
        offline: false,
        least_free: 0,
        patience: Duration::from_secs(120),
        retries: Vec::new(),
    }
}

/// Keeps what it is told; gives up once it was told this.
#[derive(Default)]
pub struct Listener {
    pub told: Mutex<Vec<String>>,
    pub gives_up_at: Option<&'static str>,
}

impl Watch for Listener {
    fn tell(&self, event: &Event<'_>) {
        self.told.lock().unwrap().push(format!("{event:?}"));
    }

    fn cancelled(&self) -> bool {
        self.gives_up_at.is_some_and(|sign| self.was_told(sign))
    }
}

impl Listener {
    pub fn was_told(&self, sign: &str) -> bool {
        self.told.lock().unwrap().iter().any(|event| event.contains(sign))
    }
}

pub fn name(text: &str) -> ImageName {
    ImageName::parse(text).unwrap()
}

/// Asks for an image that may be fetched.
pub fn get(store: &ImageStore, image: &str) -> Result<Image, ImageError> {
    store.get(&name(image), &Source::Registry, false, &Listener::default())
}

/// A place, and a registry with a small image in it.
pub fn with_image() -> (Place, Registry, String) {
    let registry = Registry::start();
    let image = registry.push("lib/bb:1", &crate::registry::OciImage::small());
    (Place::new(&registry.address), registry, image)
}

/// Runs `true` in the image.
pub fn assert_runs(place: &Place, image: &Path) {
    let output = std::process::Command::new(engine().program)
        .args(["--quiet", "exec", "--userns", "--contain"])
        .arg(image)
        .args(["cat", "/etc/passwd"])
        .env_clear()
        .envs(place.environment())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", image.display());
    assert!(String::from_utf8_lossy(&output.stdout).contains("root"));
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(120), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
