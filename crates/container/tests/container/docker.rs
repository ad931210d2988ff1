//! Images and command lines of Docker and Podman, with the real ones and a registry that can be told to fail.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use moil_container::docker::{self, Container};
use moil_container::docker_engine::{DockerEngine, Kind};
use moil_container::docker_images::{DockerImages, DockerSource, Known};
use moil_container::error::ImageError;
use moil_container::invocation::{Bind, Invocation, Network};

use crate::faults::signal;
use crate::fixture::{Listener, Place, eventually, is_there, name};
use crate::registry::{Fault, OciImage, Registry};

macro_rules! with_both {
    ($($name:ident)*) => {
        mod with_docker {
            $(#[test]
            fn $name() {
                super::$name(super::Kind::Docker);
            })*
        }
        mod with_podman {
            $(#[test]
            fn $name() {
                super::$name(super::Kind::Podman);
            })*
        }
    };
}

with_both! {
    a_tool_runs_as_the_command_line_says
    an_image_is_fetched_once_whoever_wants_it
    a_name_of_ones_own_is_fetched_under_that_of_the_registry
    why_an_image_cannot_be_had
    images_are_built_loaded_and_imported_once
    a_container_whose_client_was_killed_is_removed_by_name
    no_container_survives_a_runner_that_was_killed
    whether_a_container_heeds_sigterm_is_known
    files_of_a_container_are_given_away
}

/// The engine: Podman with storage of its own below this folder, Docker with the daemon that there is.
fn engine(kind: Kind, folder: &Path) -> DockerEngine {
    let mut environment: Vec<(OsString, OsString)> = vec![("HOME".into(), folder.join("user").into())];
    if kind == Kind::Podman {
        let storage = folder.join("storage.conf");
        let root = folder.display();
        let text =
            format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{root}/graph\"\nrunroot = \"{root}/run\"\n");
        fs::write(&storage, text).unwrap();
        environment.push(("CONTAINERS_STORAGE_CONF".into(), storage.into()));
    }
    // How the engine runs on this machine is its own matter.
    for variable in ["PATH", "CONTAINERS_CONF", "DOCKER_HOST"] {
        environment.extend(std::env::var_os(variable).map(|value| (variable.into(), value)));
    }
    let path = std::env::var_os("PATH").unwrap();
    DockerEngine::detect(kind, &path, &environment, Duration::from_secs(60)).unwrap()
}

/// The images as another process sees them: it knows nothing yet.
fn images(kind: Kind, folder: &Path) -> DockerImages {
    DockerImages {
        engine: engine(kind, folder),
        locks: folder.join("locks"),
        temporary: folder.join("temporary"),
        offline: false,
        anew: false,
        patience: Duration::from_secs(120),
        retries: Vec::new(),
        known: Known::default(),
    }
}

fn prepared(kind: Kind) -> Option<(Place, Registry, String)> {
    // One that is installed need not work: it wants a daemon, or a configuration that suits the machine.
    let component = if kind == Kind::Docker { "docker" } else { "podman" };
    if !std::env::var("MOIL_REQUIRE").is_ok_and(|names| names.split(',').any(|name| name == component)) {
        println!("skipped: {kind} is only tried where MOIL_REQUIRE names it");
        return None;
    }
    is_there(component, &[component, "busybox"]);
    let registry = Registry::start();
    let image = registry.push("lib/small:1", &OciImage::small());
    let place = Place::new(&registry.address);
    for folder in ["out", "tmp"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    Some((place, registry, image))
}

/// A process that runs a script in a new container, and the container's name.
fn start(folder: &Path, engine: &DockerEngine, image: &str, script: &str) -> (Child, String) {
    let invocation = Invocation {
        output: Bind { source: folder.join("out"), target: "/XyzAbc".into(), writable: true },
        temporary: folder.join("tmp"),
        binds: vec![Bind {
            source: folder.join("a,b \"c\""),
            target: "/in/a,b \"c\"".into(),
            writable: false,
        }],
        network: Network::None,
        nvidia: false,
        environment: vec![("ODD".into(), " # \"x\" $y ".into()), ("LINES".into(), "1\n2".into())],
        command: ["sh", "-c", script].map(String::from).to_vec(),
    };
    fs::write(&invocation.binds[0].source, "read\n").unwrap();
    let container = Container {
        image: image.into(),
        name: engine.container_name(),
        variables: folder.join("variables"),
        user: Some((0, 0)),
        keep_id: false,
        read_only: true,
        keep: false,
        id_file: None,
        shm_size: Some("1m".into()),
        memory_mib: None,
        cores: None,
    };
    let command = docker::command_line(engine, &container, &invocation).unwrap();
    fs::write(&container.variables, command.variables).unwrap();
    let child = Command::new(&command.line.argv[0])
        .args(&command.line.argv[1..])
        .env_clear()
        .envs(engine.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, container.name)
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The names of all containers of this test, be they at work or not.
fn containers(folder: &Path, engine: &DockerEngine) -> String {
    let mut filter = OsString::from("volume=");
    filter.push(folder.join("out"));
    let output = Command::new(&engine.program)
        .args(["ps", "--all", "--format", "{{.Names}}", "--filter"])
        .arg(filter)
        .env_clear()
        .envs(engine.environment.iter().cloned())
        .output()
        .unwrap();
    stdout(&output)
}

fn a_tool_runs_as_the_command_line_says(kind: Kind) {
    let Some((place, _registry, image)) = prepared(kind) else { return };
    let folder = place.folder.path();
    let images = images(kind, folder);
    let id = images.get(&name(&image), DockerSource::Registry, &Listener::default()).unwrap();
    let script = "pwd; echo $HOME; echo \"$ODD|$LINES\"; echo $IN_IMAGE; cat /in/*; echo made > made; \
        echo x > /x || echo sealed; df -k /dev/shm | tail -n 1 | awk '{print $2}'";
    let (child, _) = start(folder, &images.engine, &id, script);
    assert_eq!(
        stdout(&child.wait_with_output().unwrap()),
        "/XyzAbc\n/XyzAbc\n # \"x\" $y |1\n2\nyes\nread\nsealed\n1024\n"
    );
    assert_eq!(fs::read_to_string(place.path("out/made")).unwrap(), "made\n");
    assert_eq!(containers(folder, &images.engine), "");
}

fn an_image_is_fetched_once_whoever_wants_it(kind: Kind) {
    let Some((place, registry, _image)) = prepared(kind) else { return };
    // A daemon has the layers of other tests.
    let image = registry.push("lib/own:1", &OciImage::with_ballast(777));
    let ids: Vec<String> = std::thread::scope(|scope| {
        let ask = || {
            images(kind, place.folder.path())
                .get(&name(&image), DockerSource::Registry, &Listener::default())
                .unwrap()
        };
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(registry.layers_sent(), 1);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

fn a_name_of_ones_own_is_fetched_under_that_of_the_registry(kind: Kind) {
    let Some((place, _registry, image)) = prepared(kind) else { return };
    let images = images(kind, place.folder.path());
    let id = images.get(&name("my-own"), DockerSource::Renamed(&name(&image)), &Listener::default()).unwrap();
    assert_eq!(images.get(&name(&image), DockerSource::Registry, &Listener::default()).unwrap(), id);
}

fn why_an_image_cannot_be_had(kind: Kind) {
    let Some((place, registry, image)) = prepared(kind) else { return };
    let get = |image: &str, offline: bool| {
        let images = DockerImages { offline, ..images(kind, place.folder.path()) };
        images.get(&name(image), DockerSource::Registry, &Listener::default()).unwrap_err()
    };
    let missing = format!("{}/lib/missing:1", registry.address);
    assert!(matches!(get(&missing, true), ImageError::NotThere { .. }));
    assert!(matches!(get(&missing, false), ImageError::NotFound { .. }), "{:?}", get(&missing, false));
    registry.fail(Fault::Status(401));
    assert!(matches!(get(&image, false), ImageError::Denied { .. }), "{:?}", get(&image, false));
    registry.fail(Fault::Hang);
    let listener = Listener { gives_up_at: Some("Pulling"), ..Listener::default() };
    let cancelled =
        images(kind, place.folder.path()).get(&name(&image), DockerSource::Registry, &listener).unwrap_err();
    assert!(matches!(cancelled, ImageError::Cancelled { .. }), "{cancelled:?}");
}

/// What a script says in a new container.
fn say(folder: &Path, engine: &DockerEngine, image: &str, script: &str) -> String {
    stdout(&start(folder, engine, image, script).0.wait_with_output().unwrap())
}

fn images_are_built_loaded_and_imported_once(kind: Kind) {
    let Some((place, registry, image)) = prepared(kind) else { return };
    let folder = place.folder.path();
    let get = |name: &str, source: DockerSource<'_>| {
        let got = images(kind, folder).get(&crate::fixture::name(name), source, &Listener::default());
        assert_eq!(place.names("temporary"), [""; 0]);
        got
    };
    let engine = engine(kind, folder);
    // More than Apptainer's definition files can express.
    let text = format!(
        "FROM {image} AS first\nRUN echo built > /etc/made\nFROM {image}\nCOPY --from=first /etc/made /etc/made\n"
    );
    let built = get("moil-file-x", DockerSource::Dockerfile(&text)).unwrap();
    assert_eq!(say(folder, &engine, &built, "cat /etc/made"), "built\n");
    // What an archive holds is found again under the name that was asked for, without the archive.
    let archive = place.path("saved image.tar");
    let run = |words: &[&str]| {
        let mut command = Command::new(&engine.program);
        command.args(words).env_clear().envs(engine.environment.iter().cloned());
        stdout(&command.stderr(Stdio::null()).output().unwrap())
    };
    run(&["save", "--output", archive.to_str().unwrap(), &built]);
    run(&["rmi", "--force", &built]);
    let loaded = get("moil-load-x", DockerSource::Archive(&archive)).unwrap();
    assert_eq!(loaded, built);
    fs::remove_file(&archive).unwrap();
    assert_eq!(get("moil-load-x", DockerSource::Archive(&archive)).unwrap(), built);
    let root = place.path("root.tar");
    let id = run(&["create", &built]);
    run(&["export", "--output", root.to_str().unwrap(), id.trim()]);
    run(&["rm", id.trim()]);
    let imported = get("my/import:1", DockerSource::RootArchive(&root)).unwrap();
    assert_eq!(say(folder, &engine, &imported, "cat /etc/made"), "built\n");
    let requests = registry.requests();
    assert_eq!(get("my/import:1", DockerSource::RootArchive(&root)).unwrap(), imported);
    assert_eq!(registry.requests(), requests);
    // What fails says why, in the engine's words.
    let failure = |name: &str, source| get(name, source).unwrap_err().to_string();
    let bad = format!("FROM {image}\nRUN exit 7\n");
    let said = failure("bad", DockerSource::Dockerfile(&bad));
    assert!(said.contains("7"), "{said}");
    let nowhere = place.path("nowhere.tar");
    let said = failure("worse", DockerSource::Archive(&nowhere));
    assert!(said.contains("nowhere.tar"), "{said}");
}

fn a_container_whose_client_was_killed_is_removed_by_name(kind: Kind) {
    let Some((place, _registry, image)) = prepared(kind) else { return };
    let folder = place.folder.path();
    let images = images(kind, folder);
    let id = images.get(&name(&image), DockerSource::Registry, &Listener::default()).unwrap();
    let (mut client, container) = start(folder, &images.engine, &id, "touch up; sleep 1000");
    eventually("the tool runs", || place.path("out/up").exists());
    signal(client.id(), "KILL");
    client.wait().unwrap();
    assert_eq!(containers(folder, &images.engine).trim(), container);
    images.engine.end(&container, false, &mut || {}).unwrap();
    assert_eq!(containers(folder, &images.engine), "");
}

fn whether_a_container_heeds_sigterm_is_known(kind: Kind) {
    let Some((place, _registry, image)) = prepared(kind) else { return };
    let folder = place.folder.path();
    let images = images(kind, folder);
    let engine = &images.engine;
    let id = images.get(&name(&image), DockerSource::Registry, &Listener::default()).unwrap();
    for (script, is_deaf) in [
        ("touch up; sleep 1000; true", true),
        ("trap 'exit 3' TERM; touch up; while :; do sleep 0.1; done", false),
    ] {
        let (mut client, container) = start(folder, engine, &id, script);
        eventually("the tool runs", || place.path("out/up").exists());
        assert_eq!(engine.is_deaf(&container), is_deaf, "{script}");
        engine.end(&container, false, &mut || {}).unwrap();
        client.wait().unwrap();
        assert!(!engine.is_deaf(&container));
        for file in ["out/up", "variables"] {
            fs::remove_file(place.path(file)).unwrap();
        }
    }
}

fn files_of_a_container_are_given_away(kind: Kind) {
    use std::os::unix::fs::{MetadataExt as _, symlink};
    let Some((place, _registry, image)) = prepared(kind) else { return };
    let folder = place.folder.path();
    let images = images(kind, folder);
    let id = images.get(&name(&image), DockerSource::Registry, &Listener::default()).unwrap();
    let (out, tmp) = (place.path("out"), place.path("tmp"));
    fs::create_dir(out.join("deep")).unwrap();
    fs::write(out.join("deep/file"), "").unwrap();
    fs::write(tmp.join("scratch"), "").unwrap();
    // Where a link leads, nothing is changed.
    fs::write(place.path("outside"), "").unwrap();
    symlink(place.path("outside"), out.join("link")).unwrap();
    let owner =
        |path: &str| fs::symlink_metadata(place.path(path)).map(|data| (data.uid(), data.gid())).unwrap();
    let before = owner("outside");
    images.engine.give(&id, &[&out, &tmp], (4321, 1234)).unwrap();
    for path in ["out", "out/deep", "out/deep/file", "out/link", "tmp/scratch"] {
        assert_eq!(owner(path), (4321, 1234), "{path}");
    }
    assert_eq!(owner("outside"), before);
    assert_eq!(containers(folder, &images.engine), "");
    let said = images.engine.give("no-such-image", &[&out], (0, 0)).unwrap_err();
    assert!(said.contains("no-such-image"), "{said}");
}

const FOLDER: &str = "MOIL_TEST_RUNNER_FOLDER";
const IMAGE: &str = "MOIL_TEST_RUNNER_IMAGE";
const KIND: &str = "MOIL_TEST_RUNNER_KIND";

fn no_container_survives_a_runner_that_was_killed(kind: Kind) {
    let Some((place, _registry, image)) = prepared(kind) else { return };
    let folder = place.folder.path();
    let images = images(kind, folder);
    let id = images.get(&name(&image), DockerSource::Registry, &Listener::default()).unwrap();
    let mut runner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "docker::as_a_runner"])
        .env(FOLDER, folder)
        .env(IMAGE, id)
        .env(KIND, kind.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the tool runs", || place.path("out/up").exists());
    signal(runner.id(), "KILL");
    runner.wait().unwrap();
    eventually("the container is gone", || containers(folder, &images.engine).is_empty());
}

/// What such a runner does until it is killed. As a test of its own it has nothing to do.
#[test]
fn as_a_runner() {
    let (Some(folder), Ok(image)) = (std::env::var_os(FOLDER), std::env::var(IMAGE)) else { return };
    let folder = Path::new(&folder);
    let is_docker = std::env::var(KIND).is_ok_and(|kind| kind == Kind::Docker.to_string());
    let engine = engine(if is_docker { Kind::Docker } else { Kind::Podman }, folder);
    let _janitor = engine.janitor(false).unwrap();
    let (client, _) = start(folder, &engine, &image, "touch up; sleep 1000");
    client.wait_with_output().unwrap();
}
