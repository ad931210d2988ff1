//! Images as directories, for machines that cannot mount SIF files without privilege.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::error::ImageError;
use crate::image_name::ImageName;
use crate::process::{self, End};
use crate::store::StoreConfig;
use crate::watch::Watch;

/// Unpacks the file system that begins at this byte of the image into a new directory.
pub(crate) fn unpack(
    config: &StoreConfig,
    name: &ImageName,
    program: &Path,
    image: &Path,
    root: u64,
    target: &Path,
    watch: &dyn Watch,
) -> Result<(), ImageError> {
    let mut command = Command::new(program);
    // Extended attributes need privileges, and no tool looks at those of an image.
    command
        .args(["-no-progress", "-no-xattrs", "-offset", &root.to_string(), "-dest"])
        .args([target, image])
        .env_clear()
        .envs(config.environment.iter().cloned());
    let finished = process::run(&mut command, config.patience, &mut |_| !watch.cancelled())
        .map_err(|error| ImageError::Start { program: program.into(), error: error.to_string() })?;
    let image = name.as_str().to_owned();
    match finished.end {
        // 2 says that something could not be set as in the image, such as a device.
        End::Exited(0 | 2) => Ok(()),
        End::Cancelled => Err(ImageError::Cancelled { image }),
        End::Stalled | End::Exited(_) => Err(ImageError::Engine {
            image,
            said: format!("it could not be unpacked: {}", finished.said.trim()),
        }),
    }
}

/// Removes a file or a tree, be it that there is none. Images have directories that their owner may not write to.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).or_else(|_| {
            make_writable(path)?;
            fs::remove_dir_all(path)
        }),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn make_writable(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}
