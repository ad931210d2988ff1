//! A configuration of the engine for conversions in bounded memory. mksquashfs takes a quarter of the machine's memory
//! unless it is told otherwise, which in a pod is more than there is; and the engine tells it what stands in its
//! configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, End};
use crate::store::StoreConfig;
use crate::watch::Watch;

/// What mksquashfs may use, as the engine writes it. Conversions are hardly slower with it.
const MEMORY: &str = "512M";

/// Writes a configuration into this folder: the machine's own, with a limit. `None` where it has one already, or where the
/// engine heeds no other configuration: one that is set-uid does so for root alone.
///
/// # Errors
/// The engine cannot be started, or the configuration not be written.
pub(crate) fn bounded(
    config: &StoreConfig,
    temporary: &Path,
    watch: &dyn Watch,
) -> io::Result<Option<PathBuf>> {
    let mut command = Command::new(&config.engine.program);
    command.arg("buildcfg").env_clear().envs(config.environment.iter().cloned()).current_dir(temporary);
    let finished = process::run(&mut command, config.patience, &mut |_| !watch.cancelled())?;
    let own = match finished.end {
        End::Exited(0) => own_configuration(&finished.said, is_root()),
        _ => None,
    };
    // What we may not read, the engine may.
    let Some(text) = own.and_then(|path| fs::read_to_string(path).ok()).and_then(|text| limited(&text))
    else {
        return Ok(None);
    };
    let path = temporary.join("engine.conf");
    fs::write(&path, text)?;
    Ok(Some(path))
}

/// Where the engine's configuration is, from what `buildcfg` says; `None` where it heeds no other one.
fn own_configuration(said: &str, is_root: bool) -> Option<PathBuf> {
    let value = |key: &str| said.lines().find_map(|line| line.split_once(key)?.1.strip_prefix('='));
    let heeds_others = is_root || value("_SUID_INSTALL") == Some("0");
    heeds_others.then(|| value("_CONF_FILE").map(PathBuf::from)).flatten()
}

/// A configuration with a limit; `None` where there is one.
fn limited(text: &str) -> Option<String> {
    let has_limit = text.lines().any(|line| {
        line.split_once('=')
            .is_some_and(|(key, value)| key.trim() == "mksquashfs mem" && !value.trim().is_empty())
    });
    (!has_limit).then(|| format!("{text}\nmksquashfs mem = {MEMORY}\n"))
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Real, effective, …
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1))
        .is_some_and(|user| user == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_engine_that_heeds_another_configuration_is_given_one() {
        let said =
            |suid: &str| format!("APPTAINER_CONFDIR=/etc/a\nAPPTAINER_CONF_FILE=/etc/a/a.conf\n{suid}\n");
        let path = Some(PathBuf::from("/etc/a/a.conf"));
        for (suid, is_root, expected) in [
            ("APPTAINER_SUID_INSTALL=0", false, &path),
            ("SINGULARITY_SUID_INSTALL=1", false, &None),
            ("APPTAINER_SUID_INSTALL=1", true, &path),
            // Engines of before 1.0 do not say.
            ("", false, &None),
        ] {
            assert_eq!(own_configuration(&said(suid), is_root), *expected, "{suid} {is_root}");
        }
        assert_eq!(own_configuration("", true), None);
    }

    #[test]
    fn a_limit_of_the_machines_own_stays() {
        assert_eq!(limited("a = b\nmksquashfs mem = 64M\n"), None);
        for text in ["a = b\n", "# mksquashfs mem = 1G", "mksquashfs mem =\n", ""] {
            assert!(limited(text).unwrap().ends_with("\nmksquashfs mem = 512M\n"), "{text}");
        }
    }
}
