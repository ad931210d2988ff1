//! What an engine can do on this machine: tried once per machine and engine version, then remembered.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::detect::Engine;
use crate::lock::own_suffix;
use crate::process::{self, End};

/// What an engine can do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// `--userns` works. Root on a machine that lets it do less than everything needs it, too.
    pub user_namespaces: bool,
    /// `--net --network none` works beside it.
    pub network_namespaces: bool,
    /// SIF files can be mounted. Else images have to be unpacked into sandbox directories.
    pub fuse: bool,
}

/// What engines say of an image without the program that was asked for: they got as far as starting it.
const GOT_THERE: &[&str] =
    &["executable file not found", "No valid /bin/sh", "/bin/sh doesn't exist in container"];

/// The directories of an image on which engines mount something, and the files of which they make their own.
const MOUNTED: &[&str] = &["dev", "proc", "sys", "tmp", "var/tmp", "etc"];
const WRITTEN: &[&str] = &["etc/passwd", "etc/group", "etc/hosts", "etc/resolv.conf"];

/// How long an engine may do nothing before it is taken to be unable.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries what the engine can do, on an empty directory as image: no image is needed for that. Below `scratch` a
/// directory is made and removed. The engine gets `environment` and nothing else.
///
/// # Errors
/// The directory cannot be made, or the engine not started.
pub fn probe(engine: &Engine, environment: &[(OsString, OsString)], scratch: &Path) -> io::Result<Probe> {
    let image = scratch.join(format!("probe.{}", own_suffix()));
    fs::create_dir_all(&image)?;
    let tries = |words: &[&str]| run_nothing(engine, environment, &image, words).map(|ran| ran.is_ok());
    let tried = tries(&["--userns"]).and_then(|user_namespaces| {
        let network: &[&str] = if user_namespaces {
            &["--userns", "--net", "--network", "none"]
        } else {
            &["--net", "--network", "none"]
        };
        Ok(Probe {
            user_namespaces,
            network_namespaces: tries(network)?,
            // Without user namespaces the engine is set-uid, and the kernel mounts the image for it.
            fuse: !user_namespaces || can_open_fuse(),
        })
    });
    let removed = fs::remove_dir_all(&image);
    let probe = tried?;
    removed?;
    Ok(probe)
}

/// Tries whether the engine runs what tools want of it where it has no privileges: namespaces of users and network, files
/// of its own. Below `scratch` a directory is made and removed. Else gives the engine's words.
///
/// # Errors
/// The directory cannot be made, or the engine not started.
pub fn try_out(
    engine: &Engine,
    environment: &[(OsString, OsString)],
    scratch: &Path,
) -> io::Result<Result<(), String>> {
    let image = scratch.join(format!("try.{}", own_suffix()));
    let words = ["--contain", "--ipc", "--cleanenv", "--no-home", "--userns", "--net", "--network", "none"];
    let ran = make_image(&image).and_then(|()| run_nothing(engine, environment, &image, &words));
    let removed = fs::remove_dir_all(&image);
    let ran = ran?;
    removed?;
    Ok(ran)
}

/// Makes an image with nothing but what engines want of one.
fn make_image(image: &Path) -> io::Result<()> {
    for folder in MOUNTED {
        fs::create_dir_all(image.join(folder))?;
    }
    for file in WRITTEN {
        fs::write(image.join(file), "")?;
    }
    Ok(())
}

/// Runs what is not there in an empty directory as image. Success is that the engine gets so far; else it has words.
fn run_nothing(
    engine: &Engine,
    environment: &[(OsString, OsString)],
    image: &Path,
    words: &[&str],
) -> io::Result<Result<(), String>> {
    let mut command = Command::new(&engine.program);
    command
        .arg("exec")
        .args(words)
        .arg(image)
        .arg("true")
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)));
    let finished = process::run(&mut command, PATIENCE, &mut |_| true)?;
    let got_there =
        finished.end == End::Exited(0) || GOT_THERE.iter().any(|sign| finished.said.contains(sign));
    Ok(if got_there { Ok(()) } else { Err(finished.said.trim().to_owned()) })
}

/// A machine can have the device and not let us use it.
fn can_open_fuse() -> bool {
    OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok()
}

/// As [`probe`], unless `folder` has the answer of an earlier time. An answer holds for one boot of a machine, for an
/// engine's version, and for what the process is allowed: pods of one machine may differ in that.
///
/// # Errors
/// As [`probe`]. An answer that cannot be kept is no error: it is found again the next time.
pub fn remembered(engine: &Engine, environment: &[(OsString, OsString)], folder: &Path) -> io::Result<Probe> {
    let path = remembered_at(engine, folder);
    if let Some(probe) = fs::read_to_string(&path).ok().as_deref().and_then(parse) {
        return Ok(probe);
    }
    let probe = probe(engine, environment, folder)?;
    let partial = path.with_extension(format!("partial.{}", own_suffix()));
    if fs::write(&partial, print(probe)).is_ok() {
        // Whoever loses the race has found the same.
        let _ = fs::rename(&partial, &path);
    }
    Ok(probe)
}

fn remembered_at(engine: &Engine, folder: &Path) -> PathBuf {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut name = format!("probe.{}.{}-{}", boot.trim(), engine.variable_prefix(), engine.version);
    for key in ["Uid:", "CapEff:", "NoNewPrivs:", "Seccomp:"] {
        let value = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        name.push('.');
        name.push_str(value.split_whitespace().next().unwrap_or_default());
    }
    name.push_str(if can_open_fuse() { ".fuse" } else { "" });
    folder.join(name)
}

fn print(probe: Probe) -> String {
    format!(
        "user_namespaces={}\nnetwork_namespaces={}\nfuse={}\n",
        probe.user_namespaces, probe.network_namespaces, probe.fuse
    )
}

fn parse(text: &str) -> Option<Probe> {
    let value = |name: &str| -> Option<bool> {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    Some(Probe {
        user_namespaces: value("user_namespaces")?,
        network_namespaces: value("network_namespaces")?,
        fuse: value("fuse")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes of two pods of one node have the same number.
    #[test]
    fn no_two_processes_try_in_one_place() {
        assert!(own_suffix().starts_with(&crate::lock::host_name()));
        assert_ne!(own_suffix(), own_suffix());
    }

    #[test]
    fn what_was_found_is_kept_and_half_of_it_is_not_believed() {
        for bits in 0..8_u8 {
            let probe = Probe {
                user_namespaces: bits & 1 != 0,
                network_namespaces: bits & 2 != 0,
                fuse: bits & 4 != 0,
            };
            assert_eq!(parse(&print(probe)), Some(probe));
        }
        assert_eq!(parse("user_namespaces=true\nnetwork_name"), None);
        assert_eq!(parse(""), None);
    }
}
