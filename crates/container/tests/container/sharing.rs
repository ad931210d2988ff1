//! Many that want the same.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::child;
use crate::fixture::{Place, assert_runs, eventually, get, has_engine, is_there, with_image};
use crate::registry::OciImage;

#[test]
fn sixteen_processes_that_want_one_image_download_it_once() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    let children: Vec<_> = (0..16).map(|_| child::start(place.folder.path(), &image)).collect();
    children.into_iter().for_each(child::assert_succeeded);
    assert_eq!(registry.layers_sent(), 1);
    place.assert_tidy();
    assert_runs(&place, &get(&place.store(), &image).unwrap().path);
}

#[test]
fn sixteen_processes_and_eight_images_that_share_a_layer() {
    if !has_engine() {
        return;
    }
    let (place, registry, _) = with_image();
    let image = OciImage::small();
    let images: Vec<String> = (0..8)
        .map(|number| {
            // Another configuration makes another image of the same layer.
            let mut other = image.clone();
            let old = crate::registry::digest(&other.config);
            other.config.extend_from_slice(" ".repeat(number).as_bytes());
            let text = String::from_utf8(other.manifest).unwrap();
            let sizes = (format!("\"size\":{}}},\"layers\"", image.config.len()), other.config.len());
            other.manifest = text
                .replace(&old, &crate::registry::digest(&other.config))
                .replace(&sizes.0, &format!("\"size\":{}}},\"layers\"", sizes.1))
                .into_bytes();
            registry.push(&format!("lib/shared{number}:1"), &other)
        })
        .collect();
    let children: Vec<_> =
        (0..16).map(|number| child::start(place.folder.path(), &images[number % 8])).collect();
    children.into_iter().for_each(child::assert_succeeded);
    place.assert_tidy();
    for image in &images {
        assert_runs(&place, &get(&place.store(), image).unwrap().path);
    }
}

#[test]
fn without_file_locks_images_come_more_than_once_and_are_never_broken() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    let children: Vec<_> = (0..8).map(|_| child::start_without_locks(place.folder.path(), &image)).collect();
    children.into_iter().for_each(child::assert_succeeded);
    assert!(registry.layers_sent() > 1, "nobody waited");
    place.assert_tidy();
    // Each had a cache of its own.
    assert_eq!(place.names("layers"), ["moil.lock"]);
    assert_runs(&place, &get(&place.store(), &image).unwrap().path);
}

#[test]
fn threads_of_one_process_share_too() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    let store = place.store();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| get(&store, &image).unwrap());
        }
    });
    assert_eq!(registry.layers_sent(), 1);
}

#[test]
fn two_names_of_one_digest_are_downloaded_once() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    let small = OciImage::small();
    let second = registry.push("lib/bb:2", &small);
    let store = place.store();
    let exact = format!("{}/lib/bb@{}", registry.address, small.digest());
    let paths: Vec<_> =
        [&image, &second, &exact].iter().map(|name| get(&store, name).unwrap().path).collect();
    assert_eq!(registry.layers_sent(), 1);
    assert!(paths[0] != paths[1] && paths[1] != paths[2], "{paths:?}");
    paths.iter().for_each(|path| assert_runs(&place, path));
}

/// A free port that the system gives to nobody who asks for any: for a program that cannot be asked for one.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 100) as u16 * 100;
    let mut ports = (0..100).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % 100);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

#[test]
fn sixteen_processes_and_a_registry_of_others() {
    if !has_engine() || !is_there("docker-registry", &["docker-registry", "skopeo"]) {
        return;
    }
    let address = format!("127.0.0.1:{}", free_port());
    let place = Place::new(&address);
    let configuration = format!(
        "{{version: 0.1, log: {{accesslog: {{disabled: true}}, level: info}}, storage: {{filesystem: \
         {{rootdirectory: {:?}}}}}, http: {{addr: \"{address}\"}}}}",
        place.path("registry")
    );
    std::fs::write(place.path("registry.yml"), configuration).unwrap();
    let log = std::fs::File::create(place.path("registry.log")).unwrap();
    let mut registry = Command::new("docker-registry")
        .arg("serve")
        .arg(place.path("registry.yml"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let outcome = std::panic::catch_unwind(|| {
        OciImage::small().write_layout(&place.path("layout"), "bb");
        eventually("the registry takes an image", || {
            let pushed = Command::new("skopeo")
                .args(["copy", "--quiet", "--dest-tls-verify=false"])
                .arg(format!("oci:{}:bb", place.path("layout").display()))
                .arg(format!("docker://{address}/lib/bb:1"))
                .stderr(Stdio::null())
                .status();
            pushed.unwrap().success()
        });
        let image = format!("{address}/lib/bb:1");
        let children: Vec<_> = (0..16).map(|_| child::start(place.folder.path(), &image)).collect();
        children.into_iter().for_each(child::assert_succeeded);
        let log = std::fs::read_to_string(place.path("registry.log")).unwrap();
        let layer = crate::registry::digest(&OciImage::small().layer);
        let downloads = log
            .lines()
            .filter(|line| {
                line.contains("http.request.method=GET") && line.contains(&format!("/blobs/{layer}"))
            })
            .filter(|line| line.contains("response completed"));
        assert_eq!(downloads.count(), 1, "{log}");
    });
    registry.kill().unwrap();
    registry.wait().unwrap();
    outcome.unwrap();
}
