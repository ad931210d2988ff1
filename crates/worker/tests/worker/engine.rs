//! The real engine of containers, and images for it.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moil_container::detect::{self, Engine};
use moil_container::image_name::HubMirror;
use moil_container::probe::{self, Probe};
use moil_container::store::{ImageStore, StoreConfig};
use moil_cwl::requirement::DockerRequirement;
use moil_worker::container::{self, Apptainer, Containers, Finder};
use moil_worker::direct::Direct;
use moil_worker::fetched_once::FetchedOnce;

use crate::fixture::{Bench, Plan};
use crate::registry::{OciImage, Registry};

/// An engine, and a registry with images.
pub struct Machine {
    pub registry: Registry,
    engine: Engine,
    probe: Probe,
    environment: Vec<(OsString, OsString)>,
    /// Stays from one run of the tests to the next; images have names that follow from their contents.
    folder: PathBuf,
    /// A small image.
    pub image: String,
}

/// The machine of these tests; says so, or fails if it must be there, where there is no engine.
pub fn machine() -> Option<&'static Machine> {
    static MACHINE: OnceLock<Option<Machine>> = OnceLock::new();
    MACHINE.get_or_init(make).as_ref()
}

#[expect(clippy::disallowed_methods, reason = "components are looked for in the environment")]
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn make() -> Option<Machine> {
    let programs = ["apptainer", "busybox", "unsquashfs"];
    if let Some(missing) = programs.iter().find(|program| which::which(program).is_err()) {
        let required = std::env::var("MOIL_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "apptainer"), "{missing} is not installed");
        println!("skipped: {missing} is not installed");
        return None;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("containers");
    let home = folder.join("home");
    for folder in [&home, &folder.join("temporary")] {
        fs::create_dir_all(folder).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let environment = vec![("PATH".into(), path.clone()), ("HOME".into(), home.into_os_string())];
    let engine = detect::detect(&path, &environment).unwrap();
    let probe = probe::remembered(&engine, &environment, &folder).unwrap();
    let registry = Registry::start();
    let mut machine = Machine { registry, engine, probe, environment, folder, image: String::new() };
    machine.image = machine.push("bb", &OciImage::small());
    Some(machine)
}

impl Machine {
    /// Puts an image into the registry, under a name that no other image ever had.
    pub fn push(&self, name: &str, image: &OciImage) -> String {
        let tag = image.digest()[7..19].to_owned();
        let name = format!("moil/{name}:{tag}");
        self.registry.push(&name, image);
        name
    }

    /// What one run of moil finds.
    pub fn finder(&self, always_pull: bool) -> Arc<Finder> {
        let unpack = (!self.probe.fuse).then(|| which::which("unsquashfs").unwrap());
        let images = ImageStore::new(StoreConfig {
            home: self.folder.join("images"),
            also: Vec::new(),
            layer_cache: self.folder.join("layers"),
            temporary: self.folder.join("temporary"),
            engine: self.engine.clone(),
            environment: self.environment.clone(),
            unpack,
            hub_mirror: HubMirror::parse(&format!("http://{}", self.registry.address)),
            offline: false,
            least_free: 0,
            patience: Duration::from_secs(120),
            retries: Vec::new(),
        });
        let apptainer = Apptainer {
            engine: self.engine.clone(),
            probe: self.probe,
            images,
            environment: self.environment.clone(),
            always_pull,
            fetched: FetchedOnce::default(),
            direct: Some(Direct::new(which::which("unsquashfs").unwrap())),
        };
        let engine = container::Engine::Apptainer(Box::new(apptainer));
        let containers = Arc::new(Containers { engine, network: None });
        Arc::new(Finder::new(None, Box::new(move || Ok(Some(Arc::clone(&containers))))))
    }

    pub fn bench(&self) -> Bench {
        Bench::with(|config| config.containers = Some(self.finder(false)))
    }
}

impl Plan {
    /// The tool runs in this image.
    pub fn in_image(self, image: &str) -> Self {
        self.in_container(DockerRequirement { pull: Some(image.into()), ..Default::default() })
    }

    pub fn in_container(mut self, docker: DockerRequirement) -> Self {
        self.effective.docker = Some((Arc::new(docker), true));
        self
    }

    /// Standard output is the output `out`.
    pub fn capture(self) -> Self {
        self.output("out", moil_cwl::types::Type::File, "out.txt")
            .with(|plan| plan.tool.stdout = Some(crate::fixture::text("out.txt")))
    }
}
