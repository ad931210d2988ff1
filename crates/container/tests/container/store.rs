//! Images that are there, in the ways in which they can be there.

use std::fs;
use std::path::PathBuf;

use moil_container::error::ImageError;
use moil_container::image_name::HubMirror;
use moil_container::seal::Verdict;
use moil_container::sif;
use moil_container::store::{ImageStore, Source};

use crate::fixture::{Listener, Place, assert_runs, get, has_engine, name, with_image};
use crate::registry::{OciImage, Registry};

/// A place with an image in the store that the registry knows nothing of any more.
fn with_stored_image() -> (Place, Registry, String, PathBuf) {
    let (place, registry, image) = with_image();
    let path = get(&place.store(), &image).unwrap().file().to_owned();
    (place, registry, image, path)
}

#[test]
fn an_image_that_is_there_needs_no_registry_and_no_engine() {
    if !has_engine() {
        return;
    }
    let (place, registry, image, path) = with_stored_image();
    let requests = registry.requests();
    let mut config = place.config();
    config.engine.program = "/nowhere/apptainer".into();
    assert_eq!(get(&ImageStore::new(config), &image).unwrap().file(), path);
    assert_eq!(registry.requests(), requests);
    assert_runs(&place, &path);
}

#[test]
fn images_under_older_names_and_in_other_folders_are_found() {
    if !has_engine() {
        return;
    }
    let (place, _registry, _, path) = with_stored_image();
    let mut config = place.config();
    config.also = vec![place.path("of-others")];
    config.offline = true;
    fs::create_dir(place.path("of-others")).unwrap();
    for (folder, file) in [
        ("images", "quay.io_bio_tool_1.0.sif"),
        ("images", "quay.io_bio_tool:1.0.sif"),
        ("of-others", "quay.io_s_bio_s_tool:1.0.sif"),
    ] {
        let store = ImageStore::new(config.clone());
        let other = place.path(folder).join(file);
        assert!(matches!(get(&store, "quay.io/bio/tool:1.0"), Err(ImageError::Offline { .. })));
        fs::copy(&path, &other).unwrap();
        assert_eq!(get(&store, "docker://quay.io/bio/tool:1.0").unwrap().file(), other);
        fs::remove_file(&other).unwrap();
    }
    let store = ImageStore::new(config);
    // A path in place of a name, as dockerImageId may have.
    assert_eq!(get(&store, path.to_str().unwrap()).unwrap().file(), path);
    let nowhere = get(&store, "/nowhere/image.sif").unwrap_err().to_string();
    assert!(nowhere.starts_with("the image \"/nowhere/image.sif\" is no whole SIF file"), "{nowhere}");
    // A sandbox directory that somebody else made.
    fs::create_dir_all(place.path("of-others/mine/.singularity.d")).unwrap();
    assert_eq!(get(&store, "mine").unwrap().path, place.path("of-others/mine"));
}

#[test]
fn an_image_that_was_cut_off_is_replaced() {
    if !has_engine() {
        return;
    }
    let (place, _registry, image, path) = with_stored_image();
    let size = fs::metadata(&path).unwrap().len();
    for keep in [0, 60, 20_000, size - 1] {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(keep).unwrap();
        let watch = Listener::default();
        let got = place.store().get(&name(&image), &Source::Registry, false, &watch).unwrap();
        assert_eq!(got.file(), path);
        assert!(watch.was_told("is not used: it"), "{keep}");
        assert_eq!(sif::check(&path).unwrap().size, size);
    }
    assert_runs(&place, &path);
    // Nothing may be fetched: it is not handed out either.
    fs::File::options().write(true).open(&path).unwrap().set_len(20_000).unwrap();
    let config = moil_container::store::StoreConfig { offline: true, ..place.config() };
    assert!(matches!(get(&ImageStore::new(config), &image), Err(ImageError::Offline { .. })));
}

#[test]
fn fetching_anew_takes_what_the_tag_means_now() {
    if !has_engine() {
        return;
    }
    let (place, registry, image, path) = with_stored_image();
    let old = sif::check(&path).unwrap();
    registry.push("lib/bb:1", &OciImage::with_ballast(100_000));
    let store = place.store();
    assert_eq!(get(&store, &image).unwrap().file(), path);
    assert_eq!(sif::check(&path).unwrap(), old);
    // A job that runs meanwhile does not hold it up, and what the job has open stays as it is.
    let _running = get(&store, &image).unwrap();
    let open = fs::File::open(&path).unwrap();
    store.get(&name(&image), &Source::Registry, true, &Listener::default()).unwrap();
    assert!(sif::check(&path).unwrap().size > old.size);
    assert_eq!(open.metadata().unwrap().len(), old.size);
}

#[test]
fn a_run_goes_on_with_the_image_that_it_found_first() {
    if !has_engine() {
        return;
    }
    let (place, registry, image, path) = with_stored_image();
    let read = |path: &PathBuf| fs::read(path).unwrap();
    let (old, run) = (read(&path), place.store());
    assert_eq!(read(&get(&run, &image).unwrap().path), old);
    // The tag moves, and another run fetches anew.
    registry.push("lib/bb:1", &OciImage::with_ballast(100_000));
    let other = place.store();
    let new = other.get(&name(&image), &Source::Registry, true, &Listener::default()).unwrap();
    assert_eq!((read(&path), new.file()), (read(&new.path), &*path));
    let first = get(&run, &image).unwrap();
    assert!(read(&first.path) == old && read(&path) != old);
    assert_runs(&place, &first.path);
    // Somebody else takes the file away.
    fs::remove_file(&path).unwrap();
    assert_eq!(read(&get(&run, &image).unwrap().path), old);
    assert_eq!(place.names("images/.moil/kept").len(), 2);
    // Nothing is left of it once nobody uses it.
    drop((first, new, run, other));
    assert_eq!(place.names("images/.moil/kept"), [""; 0]);
    place.assert_tidy();
}

#[test]
fn a_run_that_was_killed_leaves_no_image_for_ever() {
    if !has_engine() {
        return;
    }
    let (place, _registry, image, path) = with_stored_image();
    let run = place.store();
    get(&run, &image).unwrap();
    // As after SIGKILL: the lock is gone and the link is not.
    let kept = place.path("images/.moil/kept").join(&place.names("images/.moil/kept")[0]);
    fs::hard_link(&kept, place.path("link")).unwrap();
    drop(run);
    fs::rename(place.path("link"), &kept).unwrap();
    assert_eq!(place.store().prune(u64::MAX).unwrap().removed, [""; 0].map(PathBuf::from));
    assert!(path.exists() && !kept.exists());
}

#[test]
fn a_byte_that_changed_in_the_middle_of_an_image_is_noticed() {
    if !has_engine() {
        return;
    }
    use std::os::unix::fs::FileExt as _;
    let (place, _registry, image, path) = with_stored_image();
    let made = fs::metadata(&path).unwrap();
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    let at = made.len() / 2;
    let mut byte = [0];
    let damage = |byte: &mut [u8; 1]| {
        file.read_exact_at(byte, at).unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
    };
    // Touched, but the same.
    file.set_modified(std::time::SystemTime::now()).unwrap();
    let watch = Listener::default();
    place.store().get(&name(&image), &Source::Registry, false, &watch).unwrap();
    assert!(!watch.was_told("is not used"), "{:?}", watch.told);
    // Written to.
    damage(&mut byte);
    place.store().get(&name(&image), &Source::Registry, false, &watch).unwrap();
    assert!(watch.was_told("they were changed or damaged"), "{:?}", watch.told);
    assert_eq!(place.store().verify(&path), Verdict::Whole);
    // By a disk that forgets: only reading all of it shows that.
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
    file.set_modified(modified).unwrap();
    get(&place.store(), &image).unwrap();
    assert!(matches!(place.store().verify(&path), Verdict::Broken(_)));
    // Of what others put there no more is known than its headers.
    let foreign = place.path("images/foreign:1.sif");
    fs::copy(&path, &foreign).unwrap();
    assert_eq!(place.store().verify(&foreign), Verdict::Headers);
}

#[test]
fn without_fuse_images_are_unpacked_once() {
    if !has_engine() {
        return;
    }
    let (place, registry, image, path) = with_stored_image();
    let mut config = place.config();
    config.unpack = Some(which::which("unsquashfs").unwrap());
    let store = ImageStore::new(config.clone());
    let first = get(&store, &image).unwrap();
    assert!(first.path.is_dir(), "{:?}", first.path);
    assert_runs(&place, &first.path);
    let made = fs::metadata(&first.path).unwrap().modified().unwrap();
    assert_eq!(get(&store, &image).unwrap().path, first.path);
    assert_eq!(fs::metadata(&first.path).unwrap().modified().unwrap(), made);
    place.assert_tidy();
    // The image is replaced: jobs go on in the old directory, new ones get a new one.
    registry.push("lib/bb:1", &OciImage::with_ballast(1000));
    let second = store.get(&name(&image), &Source::Registry, true, &Listener::default()).unwrap();
    assert_ne!(second.path, first.path);
    assert!(first.path.join("bin/busybox").exists() && second.path.join("etc/ballast").exists());
    assert_eq!(store.prune(u64::MAX).unwrap().removed, [""; 0].map(PathBuf::from));
    assert!(first.path.exists(), "a job may run in it");
    drop(first);
    let kept = second.path.clone();
    drop((second, store));
    ImageStore::new(config).prune(u64::MAX).unwrap();
    assert_eq!(place.names("images/.moil/sandboxes").len(), 1);
    assert!(kept.exists() && path.exists());
}

#[test]
fn pruning_leaves_what_is_in_use() {
    if !has_engine() {
        return;
    }
    let (place, registry, image, path) = with_stored_image();
    let store = place.store();
    let other = registry.push("lib/other:1", &OciImage::small());
    let running = get(&store, &other).unwrap();
    // Nobody asked this store for it: it is others'.
    let foreign = place.path("images/foreign:1.sif");
    fs::copy(&path, &foreign).unwrap();
    let pruned = place.store().prune(0).unwrap();
    assert_eq!(pruned.removed, std::slice::from_ref(&path));
    assert_eq!(pruned.in_use, [running.file()]);
    assert!(running.is_held() && running.file().exists() && foreign.exists() && !path.exists());
    drop(running);
    assert_eq!(place.store().prune(0).unwrap().removed, [""; 0].map(PathBuf::from), "its run goes on");
    drop(store);
    let store = place.store();
    assert_eq!(store.prune(0).unwrap().removed.len(), 1);
    // It comes back from the engine's layers; without them, from the registry.
    let sent = registry.layers_sent();
    get(&place.store(), &image).unwrap();
    assert_eq!(registry.layers_sent(), sent);
    assert!(store.prune_layers().unwrap().unwrap() > 0);
    store.prune(0).unwrap();
    get(&place.store(), &image).unwrap();
    assert_eq!(registry.layers_sent(), sent + 1);
}

#[test]
fn pruning_takes_the_least_recently_used_first() {
    if !has_engine() {
        return;
    }
    let (place, registry, image, first) = with_stored_image();
    let other = registry.push("lib/other:1", &OciImage::small());
    let second = get(&place.store(), &other).unwrap().file().to_owned();
    // Used once more.
    get(&place.store(), &image).unwrap();
    let store = place.store();
    let sizes: u64 = store.list().unwrap().iter().map(|stored| stored.size).sum();
    assert_eq!(store.prune(sizes - 1).unwrap().removed, [second]);
    assert!(first.exists());
}

#[test]
fn images_of_docker_hub_come_from_a_mirror() {
    if !has_engine() {
        return;
    }
    let (_, registry, _) = with_image();
    registry.push("library/bb:1", &OciImage::small());
    // Nothing in the engine's own configuration says that this registry speaks plain HTTP.
    let place = Place::new("127.0.0.1:1");
    let mut config = place.config();
    config.hub_mirror = HubMirror::parse(&format!("http://{}", registry.address));
    let got = get(&ImageStore::new(config), "bb:1").unwrap();
    assert_eq!(got.file(), place.path("images/bb:1.sif"));
    assert_runs(&place, &got.path);
}

#[test]
fn an_archive_of_docker_save_becomes_an_image() {
    if !has_engine() || !crate::fixture::is_there("docker-registry", &["skopeo"]) {
        return;
    }
    let (place, _registry, _) = with_image();
    OciImage::small().write_layout(&place.path("layout"), "bb");
    let archive = place.path("saved image.tar");
    let status = std::process::Command::new("skopeo")
        .args(["copy", "--quiet"])
        .arg(format!("oci:{}:bb", place.path("layout").display()))
        .arg(format!("docker-archive:{}:bb:1", archive.display()))
        .status();
    assert!(status.unwrap().success());
    let source = Source::Archive(archive);
    let got = place.store().get(&name("loaded:1"), &source, false, &Listener::default()).unwrap();
    assert_runs(&place, &got.path);
    place.assert_tidy();
}
