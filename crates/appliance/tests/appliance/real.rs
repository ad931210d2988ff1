//! The registry of others.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use moil_appliance::credentials::Places;
use moil_appliance::error::ApplianceError;
use moil_appliance::layout::MANIFEST;
use moil_appliance::reference::Reference;
use moil_appliance::registry::{Access, push};

use crate::{configuration, image};

/// The user `me` with the password `word:with colon`.
const PASSWORDS: &str = "me:$2b$05$abcdefghijklmnopqrstuu1P4fATl59x4NBpliZ39PpfNCG6nLmeu\n";
const AUTH: &str = "bWU6d29yZDp3aXRoIGNvbG9u";

struct Registry {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// A free port that the system gives to nobody who asks for any: for a program that cannot be asked for one.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 100) as u16 * 100;
    let mut ports = (0..100).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % 100);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

/// Starts one; `None` where it is not installed.
fn start(with_password: bool) -> Option<Registry> {
    if which::which("docker-registry").is_err() {
        let required = std::env::var("MOIL_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|name| name == "docker-registry"),
            "docker-registry is not installed, and MOIL_REQUIRE names it"
        );
        println!("skipped: docker-registry is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let place = folder.path().display();
    let mut settings = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {place}}}}}\nhttp: {{addr: \"{address}\"}}\n"
    );
    if with_password {
        fs::write(folder.path().join("passwords"), PASSWORDS).unwrap();
        settings += &format!("auth: {{htpasswd: {{realm: test, path: {place}/passwords}}}}\n");
    }
    fs::write(folder.path().join("registry.yml"), settings).unwrap();
    let process = Command::new("docker-registry")
        .arg("serve")
        .arg(folder.path().join("registry.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let registry = Registry { process, address, _folder: folder };
    for _ in 0..1200 {
        if TcpStream::connect(&registry.address).is_ok() {
            return Some(registry);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the registry does not answer at {}", registry.address);
}

fn access(files: &[&Path]) -> Access {
    let files = files.iter().map(|file| file.to_path_buf()).collect();
    Access { plain: true, certificates: Vec::new(), places: Places { files, path: Default::default() } }
}

#[test]
fn a_registry_has_what_was_pushed_and_gets_it_once() {
    let Some(registry) = start(false) else { return };
    let folder = tempfile::tempdir().unwrap();
    let layout = image(folder.path());
    let to = Reference::parse(&format!("{}/some/moil", registry.address), "moil", "1").unwrap();
    let mut told = 0;
    let pushed = push(&layout, &to, &access(&[]), &mut |_| told += 1).unwrap();
    assert_eq!((told, pushed.bytes), (3, layout.blobs.iter().map(|blob| blob.size).sum()));
    let pushed = push(&layout, &to, &access(&[]), &mut |_| panic!("it is there")).unwrap();
    assert_eq!(pushed.bytes, 0);
    // By digest and by tag it is the manifest that was made; the registry has checked what it names.
    for name in ["1", layout.manifest.digest.as_str()] {
        let url = format!("http://{}/v2/some/moil/manifests/{name}", registry.address);
        let said =
            ureq::get(&url).header("accept", MANIFEST).call().unwrap().body_mut().read_to_vec().unwrap();
        assert_eq!(said, fs::read(layout.path(&layout.manifest)).unwrap());
    }
}

#[test]
fn a_password_is_shown_where_it_is_asked_for() {
    let Some(registry) = start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let layout = image(folder.path());
    let to = Reference::parse(&registry.address, "moil", "1").unwrap();
    let file = configuration(folder.path(), &registry.address, AUTH);
    push(&layout, &to, &access(&[&file]), &mut |_| {}).unwrap();
    let wrong = configuration(folder.path(), &registry.address, "bWU6d3Jvbmc=");
    for access in [access(&[]), access(&[&wrong])] {
        let error = push(&layout, &to, &access, &mut |_| {}).unwrap_err();
        assert!(matches!(error, ApplianceError::Refused { status: 401, .. }), "{error}");
        assert!(error.advice().unwrap().contains("docker login"));
    }
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = Reference::parse(&address.to_string(), "moil", "1").unwrap();
    let error = push(&image(folder.path()), &to, &access(&[]), &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach the registry {address}"));
}
