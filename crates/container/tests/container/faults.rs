//! Registries that fail, caches that are broken, disks that are full, folders that cannot be written to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use moil_container::error::ImageError;
use moil_container::store::{ImageStore, Source, StoreConfig};

use crate::fixture::{Listener, Place, assert_runs, get, has_engine, name, with_image};
use crate::registry::{Fault, OciImage, Registry};

#[test]
fn a_registry_that_refuses_is_told_of_in_its_own_words() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    for (status, expected) in [
        (401, "does not let us have"),
        (403, "does not let us have"),
        // Of the whole protocol: it is no registry.
        (404, "could not be fetched from"),
        (429, "has had too many requests"),
        (500, "could not be fetched from"),
        (503, "could not be fetched from"),
    ] {
        registry.fail(Fault::Status(status));
        let error = get(&place.store(), &image).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{status}: {error:?}");
        assert!(text.contains(&registry.address), "{status}: {text}");
        place.assert_tidy();
    }
    registry.fail(Fault::None);
    let error = get(&place.store(), &format!("{}/lib/other:1", registry.address)).unwrap_err();
    assert!(matches!(&error, ImageError::NotFound { said, .. } if !said.contains('\n')), "{error:?}");
    get(&place.store(), &image).unwrap();
}

#[test]
fn a_registry_that_wants_a_password_gets_that_of_the_user() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    // me:secret
    registry.demand("Authorization: Basic bWU6c2VjcmV0");
    assert!(matches!(get(&place.store(), &image), Err(ImageError::Denied { .. })));
    let mut config = place.config();
    for (name, value) in [("USERNAME", "me"), ("PASSWORD", "secret")] {
        config.environment.push((format!("APPTAINER_DOCKER_{name}").into(), value.into()));
    }
    assert_runs(&place, &get(&ImageStore::new(config), &image).unwrap().path);
    place.store().prune(0).unwrap();
    // As `apptainer registry login` leaves it.
    fs::create_dir_all(place.path("user/.apptainer")).unwrap();
    let text = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, registry.address);
    fs::write(place.path("user/.apptainer/docker-config.json"), text).unwrap();
    get(&place.store(), &image).unwrap();
}

#[test]
fn a_registry_that_is_not_there() {
    if !has_engine() {
        return;
    }
    // Nobody listens at port 1.
    let place = Place::new("127.0.0.1:1");
    let error = get(&place.store(), "127.0.0.1:1/lib/bb:1").unwrap_err();
    assert!(matches!(error, ImageError::Registry { .. }), "{error:?}");
}

#[test]
fn a_registry_that_hangs_is_given_up() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    for fault in [Fault::Hang, Fault::HalfALayer] {
        registry.fail(fault);
        let config = StoreConfig { patience: Duration::from_secs(3), ..place.config() };
        let error = get(&ImageStore::new(config), &image).unwrap_err();
        assert!(matches!(error, ImageError::Stalled { .. }), "{fault:?}: {error:?}");
        place.assert_tidy();
    }
    registry.fail(Fault::None);
    get(&place.store(), &image).unwrap();
}

#[test]
fn a_registry_that_comes_round_is_asked_again() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    registry.fail(Fault::Status(503));
    let config = StoreConfig { retries: vec![Duration::from_millis(1); 100], ..place.config() };
    std::thread::scope(|scope| {
        let got = scope.spawn(|| get(&ImageStore::new(config), &image).map(|image| image.path));
        let asked = registry.requests();
        crate::fixture::eventually("it asks", || registry.requests() > asked);
        registry.fail(Fault::None);
        got.join().unwrap().unwrap();
    });
}

#[test]
fn those_who_wait_for_what_fails_are_told_and_do_not_try_one_by_one() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    registry.fail(Fault::Hang);
    let store = ImageStore::new(StoreConfig { patience: Duration::from_secs(2), ..place.config() });
    let requests = registry.requests();
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| get(&store, &image).unwrap_err())).collect();
        for asked in asked {
            assert!(matches!(asked.join().unwrap(), ImageError::Stalled { .. }));
        }
    });
    // None where the engine itself was too slow to ask.
    assert!(registry.requests() - requests <= 1);
    // Other processes are told, too: what a store knows is its own.
    let requests = registry.requests();
    let told = std::thread::scope(|scope| {
        let ask = || {
            let config = StoreConfig { patience: Duration::from_secs(2), ..place.config() };
            get(&ImageStore::new(config), &image).unwrap_err()
        };
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let errors = asked.into_iter().map(|asked| asked.join().unwrap());
        errors.filter(|error| matches!(error, ImageError::Elsewhere { .. })).count()
    });
    assert_eq!(told, 3);
    assert!(registry.requests() - requests <= 1);
    // Whoever asks later tries.
    registry.fail(Fault::None);
    let patient = ImageStore::new(place.config());
    get(&patient, &image).unwrap();
}

#[test]
fn cancelling_ends_a_pull() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    registry.fail(Fault::HalfALayer);
    let watch = Listener { gives_up_at: Some("Pulling"), ..Listener::default() };
    let error = place.store().get(&name(&image), &Source::Registry, false, &watch).unwrap_err();
    assert!(matches!(error, ImageError::Cancelled { .. }), "{error:?}");
    place.assert_tidy();
}

/// A place whose layer cache knows the image, and whose store does not.
fn with_layers() -> (Place, Registry, String) {
    let (place, registry, image) = with_image();
    get(&place.store(), &image).unwrap();
    place.store().prune(0).unwrap();
    assert!(get(&ImageStore::new(StoreConfig { offline: true, ..place.config() }), &image).is_err());
    (place, registry, image)
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_empty_index_of_the_layer_cache_is_healed() {
    if !has_engine() {
        return;
    }
    for text in ["", "{\"schemaVersion\": 2, \"manif"] {
        let (place, registry, _) = with_layers();
        fs::write(place.path("layers/cache/blob/index.json"), text).unwrap();
        // An image that the cache does not have as a whole: only then the index is read.
        let image = registry.push("lib/more:1", &OciImage::with_ballast(1000));
        let watch = Listener::default();
        let got = place.store().get(&name(&image), &Source::Registry, false, &watch).unwrap();
        assert!(watch.was_told("index.json: it was broken"), "{:?}", watch.told);
        assert_runs(&place, &got.path);
    }
}

#[test]
fn a_layer_of_the_right_size_with_wrong_bytes_is_healed() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_layers();
    files(place.path("layers/cache/oci-tmp")).iter().for_each(|path| fs::remove_file(path).unwrap());
    let blob = files(place.path("layers/cache/blob/blobs/sha256"))
        .into_iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 1000].fill(0);
    fs::write(&blob, bytes).unwrap();
    let sent = registry.layers_sent();
    let watch = Listener::default();
    let got = place.store().get(&name(&image), &Source::Registry, false, &watch).unwrap();
    assert!(watch.was_told(blob.file_name().unwrap().to_str().unwrap()), "{:?}", watch.told);
    // The engine begins to fetch layers that it has, too, and how much of them comes is chance.
    assert!(registry.layers_sent() > sent);
    assert_runs(&place, &got.path);
}

#[test]
fn a_half_image_in_the_engines_cache_is_not_handed_out() {
    if !has_engine() {
        return;
    }
    let (place, _registry, image) = with_layers();
    let [cached] = &files(place.path("layers/cache/oci-tmp"))[..] else { panic!("one image") };
    let size = fs::metadata(cached).unwrap().len();
    fs::File::options().write(true).open(cached).unwrap().set_len(size / 2).unwrap();
    let got = get(&place.store(), &image).unwrap();
    assert_eq!(fs::metadata(&got.path).unwrap().len(), size);
    assert_runs(&place, &got.path);
}

#[test]
fn an_engine_that_leaves_a_broken_image_is_not_believed() {
    if !has_engine() {
        return;
    }
    let place = Place::new("127.0.0.1:1");
    let program = place.path("engine");
    let script = "#!/bin/sh\n# --nocolor pull TARGET NAME\n[ \"$2\" != pull ] || echo half >\"$3\"\n";
    crate::test_program::write_program(&program, script);
    let mut config = place.config();
    config.engine.program = program;
    let error = get(&ImageStore::new(config), "debian").unwrap_err();
    assert_eq!(error.to_string(), "the engine made a broken image of debian: it is not a SIF file");
    assert_eq!(place.names("images"), [".moil"]);
    place.assert_tidy();
}

#[test]
fn too_little_space_is_said_before_anything_is_fetched() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    let config = StoreConfig { least_free: u64::MAX, ..place.config() };
    let error = get(&ImageStore::new(config), &image).unwrap_err();
    assert!(matches!(error, ImageError::Space { .. }), "{error:?}");
    assert_eq!(registry.requests(), 0);
}

/// A small file system in memory, unmounted in the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output().ok()?;
        if !output.status.success() {
            println!("skipped: no file system can be mounted: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Some(Self(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_becomes_full_is_said_and_leaves_nothing() {
    if !has_engine() {
        return;
    }
    for folder in ["layers", "temporary", "images"] {
        let (place, _registry, image) = with_image();
        let Some(disk) = Disk::mount(place.path(folder), "size=500k") else { return };
        let error = get(&place.store(), &image).unwrap_err();
        assert!(matches!(error, ImageError::Full { .. }), "{folder}: {error:?}");
        place.assert_tidy();
        // As soon as there is space it goes on.
        let status = Command::new("mount").args(["-o", "remount,size=50m"]).arg(&disk.0).status();
        assert!(status.unwrap().success());
        get(&place.store(), &image).unwrap();
    }
}

#[test]
fn layers_on_another_file_system() {
    if !has_engine() {
        return;
    }
    let (place, _registry, image) = with_image();
    let Some(_disk) = Disk::mount(place.path("layers"), "size=50m") else { return };
    let got = get(&place.store(), &image).unwrap();
    assert_runs(&place, &got.path);
}

#[test]
fn a_store_that_cannot_be_written_to() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    let Some(disk) = Disk::mount(place.path("images"), "size=50m") else { return };
    let path = get(&place.store(), &image).unwrap().file().to_owned();
    fs::rename(place.path("images/.moil"), place.path("images/.kept")).unwrap();
    // Not while a process that another test has just forked still has a file open.
    crate::fixture::eventually("it is read-only", || {
        Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status().unwrap().success()
    });
    // What is there can be used.
    let got = get(&place.store(), &image).unwrap();
    assert_eq!(got.path, path);
    assert!(!got.is_held());
    assert_runs(&place, &path);
    // What is not cannot be fetched, and the reason is told.
    let other = registry.push("lib/other:1", &OciImage::small());
    let error = get(&place.store(), &other).unwrap_err().to_string();
    assert!(error.contains(place.path("images").to_str().unwrap()), "{error}");
    assert!(error.contains("Read-only file system"), "{error}");
}

#[test]
fn a_store_that_is_a_file() {
    if !has_engine() {
        return;
    }
    let (place, _registry, image) = with_image();
    fs::write(place.path("images"), "").unwrap();
    let error = get(&place.store(), &image).unwrap_err();
    assert!(matches!(error, ImageError::System { .. }), "{error:?}");
}

#[test]
fn leftovers_of_dead_processes_are_removed_and_others_are_not() {
    if !has_engine() {
        return;
    }
    let (place, _registry, image) = with_image();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host: String =
        host.trim().chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    let file = name(&image).file_name();
    // A number that no process has: they end at 4194304.
    let dead = format!("{file}.{host}.4194305.0");
    let partial = place.path("images/.moil/partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join(format!("sif.{dead}")), "half").unwrap();
    let unpacked = format!("moil-pull.{}/rootfs", dead.replace(':', "_"));
    fs::create_dir_all(place.path("temporary").join(unpacked)).unwrap();
    // Of a process that lives, and of another machine.
    let alive = format!("sif.{file}.{host}.1.0");
    let elsewhere = format!("sif.{file}.elsewhere.4194305.0");
    fs::write(partial.join(&alive), "half").unwrap();
    fs::write(partial.join(&elsewhere), "half").unwrap();
    get(&place.store(), &image).unwrap();
    let mut left = [alive, elsewhere];
    left.sort();
    assert_eq!(place.names("images/.moil/partial"), left);
    assert_eq!(place.names("temporary"), [""; 0]);
    // Of other images what is old goes when room is made, and no file of others.
    let day = Duration::from_secs(25 * 3600);
    for (name, age) in [
        (format!("moil-pull.other_1.sif.{}.4194305.0", &host), day),
        (format!("moil-pull.fresh_1.sif.{}.4194305.0", &host), Duration::ZERO),
        (format!("moil-pull.alive_1.sif.{}.1.0", &host), day),
        ("moil-pull.strange_1.sif.elsewhere.7.0".to_owned(), day),
        ("somebodys.thesis.2026.11.27".to_owned(), day),
    ] {
        let path = place.path("temporary").join(name);
        fs::create_dir(&path).unwrap();
        fs::File::open(path).unwrap().set_modified(std::time::SystemTime::now() - age).unwrap();
    }
    place.store().prune(u64::MAX).unwrap();
    let kept = ["moil-pull.alive_1.sif", "moil-pull.fresh_1.sif", "somebodys.thesis"];
    let names = place.names("temporary");
    assert!(
        names.len() == 3 && kept.iter().zip(&names).all(|(kept, name)| name.starts_with(kept)),
        "{names:?}"
    );
}

#[test]
fn a_holder_that_is_stopped_is_named() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    registry.fail(Fault::Hang);
    let mut child = crate::child::start(place.folder.path(), &image);
    crate::fixture::eventually("the child asks", || registry.requests() > 0);
    signal(child.id(), "STOP");
    let watch = Listener { gives_up_at: Some("stopped: true"), ..Listener::default() };
    let began = Instant::now();
    let error = place.store().get(&name(&image), &Source::Registry, false, &watch);
    assert!(matches!(error, Err(ImageError::Cancelled { .. })), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(60));
    let told = watch.told.lock().unwrap().join("\n");
    assert!(
        told.contains("the same image is pulled") && told.contains(&format!("pid: {}", child.id())),
        "{told}"
    );
    drop(told);
    signal(child.id(), "KILL");
    child.wait().unwrap();
    // Its lock died with it.
    registry.fail(Fault::None);
    get(&place.store(), &image).unwrap();
    place.assert_tidy();
}

#[test]
fn a_stopped_pull_of_another_image_is_named_and_nothing_is_pruned_under_it() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    let other = registry.push("lib/other:1", &OciImage::small());
    registry.fail(Fault::HalfALayer);
    let mut child = crate::child::start(place.folder.path(), &image);
    let parts = || place.names("layers/cache/blob/blobs/sha256");
    crate::fixture::eventually("a layer comes", || parts().iter().any(|name| name.len() > 64));
    signal(child.id(), "STOP");
    assert_eq!(place.store().prune_layers().unwrap(), None);
    place.store().prune(0).unwrap();
    assert!(!parts().is_empty());
    let watch = Listener { gives_up_at: Some("stopped: true"), ..Listener::default() };
    let error = place.store().get(&name(&other), &Source::Registry, false, &watch);
    assert!(matches!(error, Err(ImageError::Cancelled { .. })), "{error:?}");
    assert!(watch.was_told("another image is pulled"), "{:?}", watch.told);
    // It goes on, and with it those who wait: the one that is stopped has lost nothing.
    registry.fail(Fault::None);
    signal(child.id(), "CONT");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| get(&place.store(), &other).map(|image| image.file().to_owned()));
        // Its connection will not come round.
        signal(child.id(), "KILL");
        child.wait().unwrap();
        assert!(waits.join().unwrap().unwrap().exists());
    });
    get(&place.store(), &image).unwrap();
    place.assert_tidy();
}

pub fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
    assert!(status.unwrap().success());
}

/// Processes that have this folder in their command line or environment, or work in it.
pub fn processes_of(folder: &Path) -> Vec<String> {
    let needle = folder.to_str().unwrap().as_bytes().to_vec();
    let holds = |text: &[u8]| text.windows(needle.len()).any(|part| part == needle);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())
            || entry.file_name().to_str() == Some(&std::process::id().to_string())
        {
            continue;
        }
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        if holds(&line) || holds(&fs::read(path.join("environ")).unwrap_or_default()) {
            found.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}
