//! Pullers that are killed with SIGKILL, at every stage: nothing of them survives, and the next one succeeds.

use std::process::Child;

use crate::child;
use crate::faults::{processes_of, signal};
use crate::fixture::{Place, assert_runs, eventually, get, has_engine, with_image};
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
    kill_at(&place, &registry, &image, |_| {
        // The engine's unfinished file, whose name is longer than a digest.
        place.names("layers/cache/blob/blobs/sha256").iter().any(|name| name.len() > 64)
    });
}

#[test]
fn while_the_image_is_converted_no_mksquashfs_survives() {
    if !has_engine() {
        return;
    }
    let (place, registry, _) = with_image();
    // Enough to be caught at it.
    let image = registry.push("lib/large:1", &OciImage::with_ballast(30_000_000));
    kill_at(&place, &registry, &image, |_| {
        processes_of(place.folder.path()).iter().any(|process| process.contains("mksquashfs"))
    });
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
    eventually("the first one pulls", || registry.requests() > 2);
    let others: Vec<_> = (0..3).map(|_| child::start(place.folder.path(), &image)).collect();
    registry.fail(Fault::None);
    signal(first.id(), "KILL");
    first.wait().unwrap();
    others.into_iter().for_each(child::assert_succeeded);
    assert_eq!(registry.layers_sent(), 1);
    place.assert_tidy();
}
