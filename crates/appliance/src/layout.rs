//! An OCI image layout: a directory with layers, configuration and manifest, each named by its digest.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::ApplianceError;
use crate::tar;
use crate::tree::Tree;

/// The kind of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// How layers are compressed. The usual level 6 takes nearly twice as long, and saves 1 %.
const LEVEL: u32 = 5;

/// A stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What it is.
    pub media_type: &'static str,
    /// `sha256:` and hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

impl Blob {
    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.size})
    }
}

/// What a container of the image is by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// As Go names processors: `amd64`, `arm64`.
    pub architecture: String,
    /// Variables, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// What is run before the words of the command.
    pub entrypoint: Vec<String>,
    /// The command.
    pub command: Vec<String>,
    /// User and group, as numbers.
    pub user: String,
    /// Where it runs.
    pub working_dir: String,
    /// Labels.
    pub labels: Vec<(&'static str, String)>,
}

/// An image in a directory.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
    /// The layers, lowest first, and the configuration.
    pub blobs: Vec<Blob>,
    /// The manifest, whose digest is the image's.
    pub manifest: Blob,
}

impl Layout {
    /// Where the bytes of an object are.
    pub fn path(&self, blob: &Blob) -> PathBuf {
        blob_path(&self.folder, &blob.digest)
    }

    /// Writes an image into a directory, which is made. `tag` is its name there.
    ///
    /// # Errors
    /// A file of the trees cannot be read, or the directory not be written.
    pub fn write(folder: &Path, layers: &[Tree], config: &Config, tag: &str) -> Result<Self, ApplianceError> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(|error| ApplianceError::write(&blobs, error))?;
        let mut stored = Vec::new();
        let mut plain = Vec::new();
        for tree in layers {
            let (blob, digest) = layer(folder, tree)?;
            stored.push(blob);
            plain.push(digest);
        }
        let labels: serde_json::Map<_, _> =
            config.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let config = json!({
            "architecture": config.architecture,
            "os": "linux",
            "config": {
                "User": config.user,
                "Env": config.env,
                "Entrypoint": config.entrypoint,
                "Cmd": config.command,
                "WorkingDir": config.working_dir,
                "Labels": labels,
            },
            "rootfs": {"type": "layers", "diff_ids": plain},
        });
        let config = document(folder, CONFIG, &config)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": stored.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        let manifest = document(folder, MANIFEST, &manifest)?;
        stored.push(config);
        let mut entry = manifest.descriptor();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        put(&folder.join("index.json"), index.to_string().as_bytes())?;
        put(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Self { folder: folder.to_owned(), blobs: stored, manifest })
    }
}

fn blob_path(folder: &Path, digest: &str) -> PathBuf {
    folder.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), ApplianceError> {
    fs::write(path, bytes).map_err(|error| ApplianceError::write(path, error))
}

fn document(folder: &Path, media_type: &'static str, value: &Value) -> Result<Blob, ApplianceError> {
    let bytes = value.to_string().into_bytes();
    let digest = digest(&Sha256::digest(&bytes));
    put(&blob_path(folder, &digest), &bytes)?;
    Ok(Blob { media_type, digest, size: bytes.len() as u64 })
}

/// A layer, and the digest of its archive.
fn layer(folder: &Path, tree: &Tree) -> Result<(Blob, String), ApplianceError> {
    let partial = folder.join("blobs/sha256/.layer");
    let failed = |error| ApplianceError::write(&partial, error);
    let file = BufWriter::new(File::create(&partial).map_err(failed)?);
    let mut archive = Hashed::new(GzEncoder::new(Hashed::new(file), Compression::new(LEVEL)));
    tar::write(tree, &mut archive, &partial)?;
    let plain = digest(&archive.hash.finalize());
    let mut packed = archive.inner.finish().map_err(failed)?;
    packed.inner.flush().map_err(failed)?;
    let blob = Blob { media_type: LAYER, digest: digest(&packed.hash.finalize()), size: packed.count };
    fs::rename(&partial, blob_path(folder, &blob.digest)).map_err(failed)?;
    Ok((blob, plain))
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    bytes.iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
    text
}

/// Hashes and counts what goes through it.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
    count: u64,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), count: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees() -> [Tree; 2] {
        let mut base = Tree::new();
        base.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        let mut upon = Tree::upon();
        upon.script("usr/local/bin/moil", "#!/bin/sh\n");
        [base, upon]
    }

    fn config() -> Config {
        Config { architecture: "amd64".to_owned(), user: "1000:1000".to_owned(), ..Config::default() }
    }

    #[test]
    fn the_same_files_give_the_same_digest() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [first, second] =
            [0, 1].map(|at: usize| Layout::write(folders[at].path(), &trees(), &config(), "1").unwrap());
        assert_eq!(first.manifest, second.manifest);
        let mut other = trees();
        other[1].text("more", "");
        let third = tempfile::tempdir().unwrap();
        let third = Layout::write(third.path(), &other, &config(), "1").unwrap();
        assert_ne!(first.manifest.digest, third.manifest.digest);
        assert_eq!(first.blobs[0], third.blobs[0], "the lower layer is the same");
    }

    #[test]
    fn names_are_digests_and_sizes_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::write(folder.path(), &trees(), &config(), "1").unwrap();
        for blob in layout.blobs.iter().chain([&layout.manifest]) {
            let bytes = fs::read(layout.path(blob)).unwrap();
            assert_eq!(digest(&Sha256::digest(&bytes)), blob.digest);
            assert_eq!(bytes.len() as u64, blob.size);
        }
        let read =
            |blob: &Blob| -> Value { serde_json::from_slice(&fs::read(layout.path(blob)).unwrap()).unwrap() };
        let manifest = read(&layout.manifest);
        assert_eq!(manifest["layers"][1]["digest"], layout.blobs[1].digest);
        assert_eq!(read(&layout.blobs[2])["config"]["User"], "1000:1000");
        // The configuration names the archives, the manifest what they are packed to.
        let mut plain = Vec::new();
        let packed = File::open(layout.path(&layout.blobs[0])).unwrap();
        io::copy(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
        assert_eq!(read(&layout.blobs[2])["rootfs"]["diff_ids"][0], digest(&Sha256::digest(&plain)));
        assert_eq!(
            fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(),
            4,
            "nothing else is left"
        );
    }
}
