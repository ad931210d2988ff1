//! A registry for one test: it serves images made here, counts what it sends, and fails as it is told.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// How the registry fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Everything is answered with this status.
    Status(u16),
    /// Requests are taken and never answered.
    Hang,
    /// Of each layer one half is sent, and then nothing more.
    HalfALayer,
}

struct Blob {
    bytes: Arc<Vec<u8>>,
    is_layer: bool,
}

struct State {
    fault: Fault,
    /// What the header of a request must say, where a password is needed.
    authorization: Option<String>,
    /// By digest.
    blobs: HashMap<String, Blob>,
    /// By `NAME:TAG`: the digest of the manifest.
    tags: HashMap<String, String>,
    /// Of layers, by digest: how often one was sent to its end.
    layers_sent: HashMap<String, usize>,
    requests: usize,
}

/// An image: manifest, configuration, layer.
#[derive(Clone)]
pub struct OciImage {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub layer: Arc<Vec<u8>>,
}

#[derive(Clone)]
pub struct Registry {
    pub address: String,
    state: Arc<Mutex<State>>,
}

pub fn digest(bytes: &[u8]) -> String {
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}

/// A small Linux in a layer: busybox, and a file with this many bytes that cannot be compressed.
fn layer(ballast: usize) -> (Vec<u8>, String) {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for path in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr/bin", "var/tmp"] {
        std::fs::create_dir_all(at(path)).unwrap();
    }
    let busybox = which::which("busybox").unwrap();
    std::fs::copy(busybox, at("bin/busybox")).unwrap();
    for applet in ["sh", "cat", "echo", "true", "ls", "env", "touch", "pwd", "chown"] {
        std::os::unix::fs::symlink("busybox", at("bin").join(applet)).unwrap();
    }
    for (path, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/hosts", ""),
        ("etc/resolv.conf", ""),
    ] {
        std::fs::write(at(path), text).unwrap();
    }
    // A simple generator: the same bytes each time.
    let mut seed = 88_172_645_463_325_252_u64 ^ ballast as u64;
    let noise = (0..ballast).map(|_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    });
    std::fs::write(at("etc/ballast"), noise.collect::<Vec<u8>>()).unwrap();
    let tar = output(Command::new("tar").arg("-C").arg(folder.path()).args([
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "-cf",
        "-",
        ".",
    ]));
    let diff_id = digest(&tar);
    std::fs::write(at("layer.tar"), &tar).unwrap();
    let layer = output(Command::new("gzip").args(["-1", "-n", "-c"]).arg(at("layer.tar")));
    (layer, diff_id)
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

impl OciImage {
    /// An image of about a megabyte.
    pub fn small() -> Self {
        static SMALL: OnceLock<OciImage> = OnceLock::new();
        SMALL.get_or_init(|| Self::with_ballast(0)).clone()
    }

    /// An image with this many bytes more, which take time to convert.
    pub fn with_ballast(ballast: usize) -> Self {
        let (layer, diff_id) = layer(ballast);
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["PATH=/bin","IN_IMAGE=yes"],"Cmd":["/bin/sh"]}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
        )
        .into_bytes();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{}","size":{}}}]}}"#,
            digest(&config),
            config.len(),
            digest(&layer),
            layer.len()
        )
        .into_bytes();
        Self { manifest, config, layer: Arc::new(layer) }
    }

    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// The same image with an entry point, in JSON.
    pub fn with_entry_point(&self, words: &str) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let config = text(&self.config).replace(r#""Cmd":"#, &format!(r#""Entrypoint":{words},"Cmd":"#));
        let size = |length: usize| format!(r#""size":{length}}},"layers""#);
        let manifest = text(&self.manifest)
            .replace(&digest(&self.config), &digest(config.as_bytes()))
            .replace(&size(self.config.len()), &size(config.len()));
        Self { manifest: manifest.into(), config: config.into(), layer: Arc::clone(&self.layer) }
    }

    /// Writes an OCI layout with the image under this tag.
    pub fn write_layout(&self, folder: &Path, tag: &str) {
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        for bytes in [&self.manifest, &self.config, &*self.layer] {
            std::fs::write(blobs.join(digest(bytes).trim_start_matches("sha256:")), bytes).unwrap();
        }
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{MANIFEST}","digest":"{}","size":{},"annotations":{{"org.opencontainers.image.ref.name":"{tag}"}}}}]}}"#,
            self.digest(),
            self.manifest.len()
        );
        std::fs::write(folder.join("index.json"), index).unwrap();
    }
}

impl Registry {
    /// A registry without images, on a free port of the loopback address. It ends with the test's process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            fault: Fault::None,
            authorization: None,
            blobs: HashMap::new(),
            tags: HashMap::new(),
            layers_sent: HashMap::new(),
            requests: 0,
        }));
        let registry = Self { address, state };
        let served = registry.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                thread::spawn(move || served.serve(&stream));
            }
        });
        registry
    }

    /// Puts an image there; returns its name.
    pub fn push(&self, name: &str, image: &OciImage) -> String {
        let mut state = self.state.lock().unwrap();
        for (bytes, is_layer) in [(&image.manifest, false), (&image.config, false), (&*image.layer, true)] {
            state.blobs.insert(digest(bytes), Blob { bytes: Arc::new(bytes.clone()), is_layer });
        }
        state.tags.insert(name.into(), image.digest());
        format!("{}/{name}", self.address)
    }

    pub fn fail(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// Lets nobody in whose requests do not have this header, in small letters.
    pub fn demand(&self, authorization: &str) {
        self.state.lock().unwrap().authorization = Some(authorization.to_lowercase());
    }

    /// How often layers were sent as a whole.
    pub fn layers_sent(&self) -> usize {
        self.state.lock().unwrap().layers_sent.values().sum()
    }

    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut request = String::new();
            if reader.read_line(&mut request).unwrap_or(0) == 0 {
                return;
            }
            let mut headers = String::new();
            loop {
                let mut header = String::new();
                match reader.read_line(&mut header) {
                    Ok(count) if count > 2 => headers.push_str(&header.to_lowercase()),
                    _ => break,
                }
            }
            if self.answer(stream, &request, &headers).is_none() {
                return;
            }
        }
    }

    /// Answers one request; `None` ends the connection.
    fn answer(&self, mut stream: &TcpStream, request: &str, headers: &str) -> Option<()> {
        let mut words = request.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.requests += 1;
            match &state.authorization {
                Some(wanted) if !headers.contains(wanted) => Fault::Status(401),
                _ => state.fault,
            }
        };
        match fault {
            Fault::Hang => {
                thread::sleep(Duration::from_secs(3600));
                return None;
            }
            Fault::Status(status) => {
                let (code, extra) = match status {
                    401 => ("UNAUTHORIZED", "WWW-Authenticate: Basic realm=\"test\"\r\n"),
                    403 => ("DENIED", ""),
                    429 => ("TOOMANYREQUESTS", "Retry-After: 1\r\n"),
                    _ => ("UNKNOWN", ""),
                };
                let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{status} by test"}}]}}"#);
                return send(stream, status, extra, "application/json", body.as_bytes(), method);
            }
            _ => {}
        }
        let found = self.find(path);
        let Some((bytes, kind, is_layer)) = found else {
            let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            return send(stream, 404, "", "application/json", body, method);
        };
        let name = digest(&bytes);
        let extra = format!("Docker-Content-Digest: {name}\r\n");
        if !is_layer || method == "HEAD" {
            return send(stream, 200, &extra, kind, &bytes, method);
        }
        send(stream, 200, &extra, kind, &bytes, "HEAD")?;
        let chunk = bytes.len() / 50 + 1;
        for (index, part) in bytes.chunks(chunk).enumerate() {
            if fault == Fault::HalfALayer && index == 25 {
                thread::sleep(Duration::from_secs(3600));
            }
            stream.write_all(part).ok()?;
        }
        *self.state.lock().unwrap().layers_sent.entry(name).or_default() += 1;
        Some(())
    }

    /// What lies at this path of the protocol.
    fn find(&self, path: &str) -> Option<(Arc<Vec<u8>>, &'static str, bool)> {
        let path = path.strip_prefix("/v2/")?;
        if path.is_empty() {
            return Some((Arc::new(b"{}".to_vec()), "application/json", false));
        }
        let state = self.state.lock().unwrap();
        if let Some((name, reference)) = path.split_once("/manifests/") {
            let digest = match reference.starts_with("sha256:") {
                true => reference,
                false => state.tags.get(&format!("{name}:{reference}"))?,
            };
            return Some((state.blobs.get(digest)?.bytes.clone(), MANIFEST, false));
        }
        let (_, digest) = path.split_once("/blobs/")?;
        let blob = state.blobs.get(digest)?;
        Some((blob.bytes.clone(), "application/octet-stream", blob.is_layer))
    }
}

fn send(
    mut stream: &TcpStream,
    status: u16,
    extra: &str,
    kind: &str,
    body: &[u8],
    method: &str,
) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status} Test\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{extra}\
         Docker-Distribution-Api-Version: registry/2.0\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    if method != "HEAD" {
        stream.write_all(body).ok()?;
    }
    Some(())
}
