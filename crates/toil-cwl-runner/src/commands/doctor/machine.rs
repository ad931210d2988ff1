//! Looking around on this machine, or in a pod.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use moil_container::{detect, probe};
use moil_kubernetes::doctor::Check;
use moil_worker::machine;
use moil_worker::spawner::Spawner;

use super::facts::Facts;
use crate::containers;
use crate::log::Log;
use crate::settings::Settings;

/// Settings of the kernel that have to do with user namespaces, below /proc/sys.
const KERNEL: &[&str] = &[
    "user.max_user_namespaces",
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
];

/// What is to be seen.
pub(super) fn look(settings: &Settings) -> Facts {
    let work = &settings.files.work_dir;
    let environment: Vec<(OsString, OsString)> =
        settings.environment.all().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let path = settings.environment.get("PATH").unwrap_or_default();
    let engine = detect::detect(path, &environment).map_err(|error| error.to_string());
    let runs = match &engine {
        Ok(engine) => {
            probe::try_out(engine, &environment, work).unwrap_or_else(|error| Err(error.to_string()))
        }
        Err(_) => Err("there is no engine".to_owned()),
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:")?.trim().parse().ok());
    let text =
        |path: &str| fs::read_to_string(path).ok().map(|text| text.trim_matches(['\0', '\n']).to_owned());
    Facts {
        user: fs::metadata("/proc/self").map_or(0, |process| process.uid()),
        work: work.display().to_string(),
        free: machine::check_writable(work)
            .map(|()| machine::machine(work).disk)
            .map_err(|error| error.to_string()),
        namespaces: try_namespaces(false),
        mounts: try_namespaces(true),
        seccomp,
        // Without such a module, reading fails.
        confined: text("/proc/self/attr/current"),
        kernel: KERNEL
            .iter()
            .filter_map(|name| {
                let value = text(&format!("/proc/sys/{}", name.replace('.', "/")))?;
                Some(((*name).to_owned(), value))
            })
            .collect(),
        fuse: OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok(),
        unsquashfs: std::env::split_paths(path).any(|folder| folder.join("unsquashfs").is_file()),
        engine: engine.map(|engine| engine.to_string()),
        runs,
        memory: memory(),
    }
}

/// Whether a child can make a user namespace, and in it a mount. It changes nothing outside of that.
#[expect(unsafe_code, reason = "std has no namespaces")]
fn try_namespaces(with_mount: bool) -> Result<(), String> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("--version").env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let enter = move || {
        // SAFETY: system calls alone, between fork and exec; the texts end in NUL.
        unsafe {
            if libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) != 0 {
                return Err(io::Error::last_os_error());
            }
            let (none, root) = (c"none".as_ptr(), c"/".as_ptr());
            let flags = libc::MS_REC | libc::MS_PRIVATE;
            if with_mount && libc::mount(none, root, std::ptr::null(), flags, std::ptr::null()) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: what runs there makes system calls alone.
    unsafe { command.pre_exec(enter) };
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    // It got there.
    let _ = child.wait();
    Ok(())
}

/// The version of cgroups, the limit of this process, and whether pressure is told.
fn memory() -> Option<(u8, Option<u64>, bool)> {
    let limit = |path: &str| -> Option<Option<u64>> {
        let text = fs::read_to_string(path).ok()?;
        // Without a limit the first version has a number that no machine reaches.
        Some(text.trim().parse().ok().filter(|bytes| *bytes < 1_u64 << 60))
    };
    let root = "/sys/fs/cgroup";
    if let Some(found) = limit(&format!("{root}/memory.max")) {
        let pressure = fs::read(format!("{root}/memory.pressure")).is_ok();
        return Some((2, found, pressure));
    }
    limit(&format!("{root}/memory/memory.limit_in_bytes")).map(|found| (1, found, false))
}

/// The process that starts tools.
pub(super) fn spawner(given: Option<&Spawner>) -> Check {
    const TITLE: &str = "starting tools";
    let started = match given {
        Some(_) => Ok(()),
        None => Spawner::start().map(|spawner| spawner.shut_down()),
    };
    match started {
        Ok(()) => Check::ok(TITLE, "the process that starts tools is there"),
        Err(error) => Check::failed(
            TITLE,
            format!("cannot start the process that starts tools: {error}"),
            "look at the limits of processes (ulimit -u) and memory",
        ),
    }
}

/// What would run containers.
pub(super) fn engine(settings: &Settings, log: &Log) -> Check {
    const TITLE: &str = "containers";
    match containers::find(settings, log) {
        Ok(Some(found)) => Check::ok(TITLE, format!("are run with {}", containers::name(&found))),
        Ok(None) => Check::unknown(TITLE, "no engine is installed; tools that need an image do not run"),
        Err(failure) => Check::of(TITLE, failure),
    }
}
