//! Images that are made here: of a Dockerfile, or of an archive of a root file system.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::error::ImageError;
use crate::image_name::{BadImageName, ImageName};
use crate::process::{self, End};
use crate::store::{Source, StoreConfig};
use crate::watch::Watch;

/// The name of an image that has none of its own: `moil-KIND-HASH`, of all that decides what becomes of it.
///
/// # Errors
/// A kind that cannot stand in a name.
pub fn name(kind: &str, content: &[&str]) -> Result<ImageName, BadImageName> {
    let mut hash = Sha256::new();
    for part in content {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    ImageName::parse(&format!("moil-{kind}-{digits}"))
}

/// The definition file of an image in the making.
pub(crate) fn definition_path(temporary: &Path) -> PathBuf {
    temporary.join("image.def")
}

/// Puts what the engine builds of below `temporary`, if it has to be built.
pub(crate) fn prepare(
    config: &StoreConfig,
    image: &ImageName,
    source: &Source,
    temporary: &Path,
    watch: &dyn Watch,
) -> Result<(), ImageError> {
    let text = match source {
        Source::Registry | Source::Renamed(_) | Source::Archive(_) => return Ok(()),
        Source::Dockerfile(dockerfile) => dockerfile.definition(config.hub_mirror.as_ref()),
        Source::RootArchive(archive) => {
            let root = temporary.join("root");
            unpack(config, image, archive, &root, watch)?;
            // Without a script the engine would run nothing at all.
            format!("Bootstrap: localimage\nFrom: {}\n\n%runscript\nexec \"$@\"\n", root.display())
        }
    };
    let path = definition_path(temporary);
    fs::write(&path, text).map_err(|error| system(image, &path, &error))
}

/// Unpacks an archive, packed in any way that the system's `tar` knows. Devices are left out: they need privileges, and
/// a container has its own.
fn unpack(
    config: &StoreConfig,
    image: &ImageName,
    archive: &Path,
    root: &Path,
    watch: &dyn Watch,
) -> Result<(), ImageError> {
    fs::File::open(archive).map_err(|error| system(image, archive, &error))?;
    fs::create_dir(root).map_err(|error| system(image, root, &error))?;
    let mut command = Command::new("tar");
    command
        .args(["--extract", "--no-same-owner", "--delay-directory-restore"])
        .args(["--exclude=./dev/*", "--exclude=dev/*"])
        .arg("--directory")
        .arg(root)
        .arg("--file")
        .arg(archive)
        .env_clear()
        .envs(config.environment.iter().cloned());
    let mut go_on = |_: Duration| !watch.cancelled();
    let finished = process::run(&mut command, config.patience, &mut go_on)
        .map_err(|error| ImageError::Start { program: "tar".into(), error: error.to_string() })?;
    let failed = |said: &str| ImageError::Engine {
        image: image.as_str().into(),
        said: format!("{} could not be unpacked: {said}", archive.display()),
    };
    match finished.end {
        End::Exited(0) if is_root(root) => Ok(()),
        End::Exited(0) => Err(failed("there is no file system with a shell (bin/sh) in it")),
        End::Cancelled => Err(ImageError::Cancelled { image: image.as_str().into() }),
        End::Stalled | End::Exited(_) => {
            Err(failed(finished.said.lines().next().unwrap_or("tar says nothing").trim()))
        }
    }
}

/// Whether the engine can run something in a directory: its own script needs a shell. Links are absolute as seen from
/// inside.
fn is_root(root: &Path) -> bool {
    ["bin/sh", "usr/bin/sh"].iter().any(|path| root.join(path).symlink_metadata().is_ok())
}

/// What an engine's environment needs beside the usual for building. Root may not have all capabilities that the
/// kernel knows; commands of a Dockerfile then run in a user namespace or not at all.
pub(crate) fn environment(config: &StoreConfig, source: &Source) -> Option<(OsString, OsString)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
    let wanted = matches!(source, Source::Dockerfile(_)) && lacks_capabilities(&status, last.trim());
    wanted.then(|| (format!("{}_USERNS", config.engine.variable_prefix()).into(), "1".into()))
}

fn lacks_capabilities(status: &str, last: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
    let permitted = line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    match (permitted, last.parse::<u32>()) {
        // Others than root have none; the engine knows what to do.
        (Some(1..), Err(_)) => true,
        (Some(permitted @ 1..), Ok(last)) => permitted.count_ones() <= last,
        _ => false,
    }
}

fn system(image: &ImageName, path: &Path, error: &std::io::Error) -> ImageError {
    ImageError::System { image: image.as_str().into(), path: path.into(), error: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_contents() {
        let text = |content: &[&str]| name("file", content).unwrap().as_str().to_owned();
        assert_eq!(text(&["FROM a"]), text(&["FROM a"]));
        assert_ne!(text(&["FROM a"]), text(&["FROM b"]));
        assert_ne!(text(&["a", "b"]), text(&["ab"]));
        assert_eq!(text(&["FROM a"]).len(), "moil-file-".len() + 32);
    }

    #[test]
    fn a_root_that_may_not_do_everything_is_recognised() {
        for (permitted, lacks) in
            [("000001ffffffffff", false), ("000001fffeffffff", true), ("0000000000000000", false)]
        {
            let status = format!("Name:\tx\nCapPrm:\t{permitted}\n");
            assert_eq!(lacks_capabilities(&status, "40"), lacks, "{permitted}");
        }
    }
}
