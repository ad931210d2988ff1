//! Pullers that are killed with SIGKILL, at every stage: nothing of them survives, and the next one succeeds.

use std::process::Child;

use crate::child;
use crate::faults::{processes_of, signal};
use crate::fixture::{Place, assert_runs, eventually, get, has_engine, name, with_image};
use crate::registry::{Fault, OciImage, Registry};

/// Kills a puller once `stage` is reached, and sees how the next one fares.
fn kill_at(place: &Place, registry: &Registry, image: &str, stage: impl Fn(&Child) -> bool) {
    let mut child = child::start(place.folder.path(), image);
    eventually("the stage is reached", || stage(&child));
    signal(child.id(), "KILL");
    child.wait().unwrap();
    eventually("nothing of it survives", || processes_of(place.folder.path()).is_empty());
    registry.fail(Fault::None);
    let got = get(&place.store(), image).unwrap();
    place.assert_tidy();
    assert_runs(place, &got.path);
}

#[test]
fn while_it_waits_for_the_registry() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    registry.fail(Fault::Hang);
    kill_at(&place, &registry, &image, |_| registry.requests() > 0);
}

#[test]
fn while_a_layer_comes() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    registry.fail(Fault::HalfALayer);
    kill_at(&place, &registry, &image, |_| has_part_of_a_layer(&place));
}

/// Whether there is an unfinished file of the engine's, whose name is longer than a digest.
fn has_part_of_a_layer(place: &Place) -> bool {
    place.names("layers/cache/blob/blobs/sha256").iter().any(|name| name.len() > 64)
}

#[test]
fn while_the_image_is_converted_no_mksquashfs_survives() {
    if !has_engine() {
        return;
    }
    let (place, registry, _) = with_image();
    // Enough to be caught at it.
    let image = registry.push("lib/large:1", &OciImage::with_ballast(30_000_000));
    let conversions = || -> Vec<String> {
        let all = processes_of(place.folder.path()).into_iter();
        all.filter(|process| process.contains("mksquashfs") && process.contains("-noappend")).collect()
    };
    kill_at(&place, &registry, &image, |_| {
        let found = conversions();
        // In bounded memory.
        assert!(found.iter().all(|process| process.contains(" -mem 512M ")), "{found:?}");
        !found.is_empty()
    });
}

#[test]
fn while_it_waits_for_its_turn() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    registry.fail(Fault::HalfALayer);
    let mut first = child::start(place.folder.path(), &image);
    eventually("the first one pulls", || registry.requests() > 2);
    let mut second = child::start(place.folder.path(), &image);
    let lock = place.path("images/.moil/locks").join(format!("{}.pull", name(&image).file_name()));
    eventually("the second one waits", || has_open(&second, &lock));
    signal(second.id(), "KILL");
    second.wait().unwrap();
    signal(first.id(), "KILL");
    first.wait().unwrap();
    registry.fail(Fault::None);
    assert_runs(&place, &get(&place.store(), &image).unwrap().path);
    place.assert_tidy();
}

/// Whether a process has this file open.
fn has_open(child: &Child, path: &std::path::Path) -> bool {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().flatten();
    entries.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|open| open == path)
}

#[test]
fn while_an_image_is_unpacked() {
    if !has_engine() {
        return;
    }
    let (place, _registry, image) = with_image();
    // A program that unpacks one half and then waits.
    let script = format!(
        "#!/bin/sh\nwhile [ \"$1\" != -dest ]; do shift; done\nmkdir -p \"$2/bin\"\ntouch {}\nsleep 1000\n",
        place.path("reached").display()
    );
    crate::test_program::write_program(&place.path("unpack"), &script);
    let mut child = child::start_unpacking(place.folder.path(), &image, &place.path("unpack"));
    eventually("it unpacks", || place.path("reached").exists());
    signal(child.id(), "KILL");
    child.wait().unwrap();
    eventually("nothing of it survives", || processes_of(place.folder.path()).is_empty());
    assert_eq!(place.names("images/.moil/partial").len(), 1, "half a directory has no name yet");
    let config = moil_container::store::StoreConfig {
        unpack: Some(which::which("unsquashfs").unwrap()),
        ..place.config()
    };
    let store = moil_container::store::ImageStore::new(config);
    let got = get(&store, &image).unwrap();
    assert!(got.path.is_dir());
    assert_runs(&place, &got.path);
    place.assert_tidy();
}

#[test]
fn at_moments_that_nobody_chose() {
    if !has_engine() {
        return;
    }
    let (place, registry, _) = with_image();
    for number in 0..5_u64 {
        let image = registry.push(&format!("lib/any{number}:1"), &OciImage::with_ballast(number as usize));
        let began = std::time::Instant::now();
        let wait = std::time::Duration::from_millis(number * 90);
        kill_at(&place, &registry, &image, |_| began.elapsed() >= wait);
    }
}

#[test]
fn the_next_process_in_line_takes_over() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    registry.fail(Fault::HalfALayer);
    let mut first = child::start(place.folder.path(), &image);
    eventually("the first one pulls", || has_part_of_a_layer(&place));
    let others: Vec<_> = (0..3).map(|_| child::start(place.folder.path(), &image)).collect();
    registry.fail(Fault::None);
    signal(first.id(), "KILL");
    first.wait().unwrap();
    others.into_iter().for_each(child::assert_succeeded);
    assert_eq!(registry.layers_sent(), 1);
    place.assert_tidy();
}
