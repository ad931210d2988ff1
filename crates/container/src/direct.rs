//! Running a tool in an unpacked image without the engine: what the new process mounts before it becomes the tool.
//!
//! An engine takes a tenth of a second to start; namespaces and some mounts take a thousandth. What a tool sees is the
//! same as with the options that `apptainer` is given: the image, read-only; its output directory, `/tmp` and inputs;
//! the devices that every program wants; the machine's processes and, where it may use it, network.
//!
//! The root is an overlay of the image and, above it, a folder with nothing but places for mounts ([`Ground`]). So the
//! image itself is never changed.

use std::ffi::{CStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::invocation::{Bind, CommandLine, Invocation, Network};

/// What a new process does before it becomes the tool: it enters user, mount and IPC namespaces of its own, carries
/// out the mounts in their order, makes `root` its root directory, and changes to `directory` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// A directory of this machine.
    pub root: PathBuf,
    /// What is mounted, mostly below the root.
    pub mounts: Vec<Mount>,
    /// The working directory, as the tool sees it.
    pub directory: PathBuf,
    /// Whether it gets a network of its own, with nothing but loopback.
    pub no_network: bool,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted; for filesystems without a source, their name.
    pub source: PathBuf,
    /// Where, as a path of this machine.
    pub target: PathBuf,
    /// The kind of filesystem; `None` binds the source.
    pub filesystem: Option<&'static CStr>,
    /// Options of the filesystem.
    pub data: OsString,
    /// Whether nothing can be written to it.
    pub read_only: bool,
}

/// Devices that programs expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links in `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// Files of this machine that go before those of the image.
const HOST_FILES: [&str; 3] = ["etc/hosts", "etc/resolv.conf", "etc/localtime"];
/// Directories that are mounted.
const DIRECTORIES: [&str; 7] = ["proc", "sys", "dev", "dev/shm", "dev/pts", "tmp", "var/tmp"];

/// Sets the image's environment. The variables of the tool are there before, and images only set what is not there. Its
/// own variables have names that no tool gives its.
const ENVIRONMENT: &str = r#"for moil_at in /.singularity.d/env/*.sh; do
    if [ -f "$moil_at" ]; then . "$moil_at"; fi
done
"#;
/// Runs the entry point of the image, which makes of the words what it likes.
const ENTRY_POINT: &str = r#"exec /.singularity.d/runscript "$@""#;
/// Runs the words; the program by its path, as Apptainer does, since programs can see how they were started. That there is
/// no such program is said in the words of Apptainer, with its exit code: a shell's own code could as well be the tool's.
const WORDS: &str = r#"moil_fails() { printf 'FATAL:   %s\n' "$1" >&2; exit 255; }
case $1 in
*/*)
    [ -e "$1" ] || moil_fails "stat $1: no such file or directory"
    [ ! -d "$1" ] && [ -x "$1" ] || moil_fails "permission denied" ;;
*)
    moil_rest=$PATH:
    while :; do
        [ -n "$moil_rest" ] || moil_fails "\"$1\": executable file not found in \$PATH"
        moil_at=${moil_rest%%:*}
        moil_at=${moil_at:-.}/$1
        moil_rest=${moil_rest#*:}
        if [ -f "$moil_at" ] && [ -x "$moil_at" ]; then break; fi
    done
    shift
    set -- "$moil_at" "$@" ;;
esac
exec "$@""#;

/// An unpacked image with places for mounts above it. One serves all tools of an image that have their output
/// directory in the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The image.
    image: PathBuf,
    /// The folder above it.
    places: PathBuf,
    /// The empty directory that becomes the root.
    root: PathBuf,
    /// The output directory and the directory of inputs, as tools see them.
    output: PathBuf,
    inputs: PathBuf,
    /// Whether the image has a program of its own that is run with the words.
    has_entry_point: bool,
    /// Which of [`DEVICES`] and [`HOST_FILES`] this machine has.
    host: Vec<&'static str>,
}

impl Ground {
    /// Makes the folders for an image below `folder`, which must be new. `None` where the image is not one that can be
    /// run so: it has no shell, sets variables in ways that we do not follow, or has links where something has to be
    /// mounted.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(image: &Path, folder: &Path, output: &Path, inputs: &Path) -> io::Result<Option<Self>> {
        let (places, root) = (folder.join("places"), folder.join("root"));
        let inside = |path: &Path| path.strip_prefix("/").map(Path::to_owned).ok();
        let (Some(output_place), Some(inputs_place)) = (inside(output), inside(inputs)) else {
            return Ok(None);
        };
        let mut directories: Vec<PathBuf> = DIRECTORIES.iter().map(PathBuf::from).collect();
        directories.extend([output_place, inputs_place, "etc".into()]);
        let is_plain = |path: &PathBuf| {
            let mut above = path.ancestors().filter(|part| !part.as_os_str().is_empty());
            above.all(|part| match fs::symlink_metadata(image.join(part)) {
                Ok(metadata) => metadata.is_dir(),
                Err(_) => true,
            })
        };
        // What follows a link in the image is the image's matter; it is looked at from outside.
        let has_shell = fs::symlink_metadata(image.join("bin")).is_ok()
            && (image.join("bin/sh").symlink_metadata().is_ok()
                || image.join("usr/bin/sh").symlink_metadata().is_ok());
        if sets_variables_itself(image) || !has_shell || !directories.iter().all(is_plain) {
            return Ok(None);
        }
        fs::create_dir_all(&root)?;
        for directory in &directories {
            fs::create_dir_all(places.join(directory))?;
        }
        fs::set_permissions(places.join("var/tmp"), fs::Permissions::from_mode(0o1777))?;
        let mut host = Vec::new();
        for device in DEVICES {
            if Path::new("/dev").join(device).exists() {
                fs::write(places.join("dev").join(device), "")?;
                host.push(device);
            }
        }
        for (name, target) in LINKS {
            symlink(target, places.join("dev").join(name))?;
        }
        for file in HOST_FILES {
            // A link in the image would be followed to a file that is not there.
            if Path::new("/").join(file).is_file() {
                fs::write(places.join(file), "")?;
                host.push(file);
            }
        }
        let (image, output, inputs) = (image.to_owned(), output.to_owned(), inputs.to_owned());
        let has_entry_point = has_entry_point(&image);
        Ok(Some(Self { image, places, root, output, inputs, has_entry_point, host }))
    }

    /// Lets tools find the name of their user: an entry for it after those of the image.
    ///
    /// # Errors
    /// What the system says.
    pub fn add_user(&self, user: u32, group: u32) -> io::Result<()> {
        let home = self.output.display();
        let lines = [
            ("etc/passwd", format!("user:x:{user}:{group}::{home}:/bin/sh\n"), format!(":{user}:")),
            ("etc/group", format!("user:x:{group}:\n"), format!(":{group}:")),
        ];
        for (file, line, number) in lines {
            let mut text = fs::read_to_string(self.image.join(file)).unwrap_or_default();
            // The third field, which for root is always there.
            let is_known = text.lines().any(|line| {
                line.splitn(3, ':').nth(2).is_some_and(|rest| format!(":{rest}:").starts_with(&number))
            });
            if !is_known {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&line);
            }
            fs::write(self.places.join(file), text)?;
        }
        Ok(())
    }
}

/// Whether an image has an entry point, or a script of its own. What Apptainer writes for images of Docker begins with
/// their entry point; what it writes where nothing was said, and what we write for archives, runs the words.
fn has_entry_point(image: &Path) -> bool {
    let Ok(script) = fs::read_to_string(image.join(".singularity.d/runscript")) else { return false };
    let is_of_docker = script.lines().any(|line| line.trim() == "OCI_ENTRYPOINT=''");
    let code: Vec<&str> =
        script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    !is_of_docker && code != [r#"exec "$@""#]
}

/// Whether an image was made with an environment of its own beside that of Docker. Unlike Docker's it overrules what is
/// there, and the engine sets the tool's variables after it.
fn sets_variables_itself(image: &Path) -> bool {
    let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    ["90-environment.sh", "91-environment.sh"].iter().any(|file| {
        let text = fs::read_to_string(image.join(".singularity.d/env").join(file)).unwrap_or_default();
        text.lines().any(is_code)
    })
}

/// A path as a layer of an overlay.
fn escaped(path: &Path) -> OsString {
    let mut escaped = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if b":,\\".contains(&byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    OsString::from_vec(escaped)
}

/// The process that runs an invocation on this ground, with `inputs` as the directory of inputs, if there are any.
/// `None` where only the engine can do what is wanted.
pub fn plan(
    invocation: &Invocation,
    ground: &Ground,
    inputs: Option<&Path>,
) -> Option<(CommandLine, Isolation)> {
    let no_network = match invocation.network {
        Network::None => true,
        Network::Host => false,
        Network::Named(_) => return None,
    };
    let has_place =
        |bind: &Bind| bind.target.starts_with(&ground.output) || bind.target.starts_with(&ground.inputs);
    if invocation.nvidia
        || invocation.output.target != ground.output
        || !invocation.binds.iter().all(has_place)
    {
        return None;
    }
    let at = |path: &Path| ground.root.join(path.strip_prefix("/").unwrap_or(path));
    let bind = |source: &Path, target: &Path, read_only: bool| Mount {
        source: source.to_owned(),
        target: at(target),
        filesystem: None,
        data: OsString::new(),
        read_only,
    };
    let made = |filesystem: &'static CStr, target: &str, data: &str| Mount {
        source: filesystem.to_string_lossy().into_owned().into(),
        target: at(Path::new(target)),
        filesystem: Some(filesystem),
        data: data.into(),
        read_only: false,
    };
    let mut layers = OsString::from("lowerdir=");
    layers.push(escaped(&ground.places));
    layers.push(":");
    layers.push(escaped(&ground.image));
    layers.push(",userxattr");
    let mut mounts = vec![Mount {
        source: "overlay".into(),
        target: ground.root.clone(),
        filesystem: Some(c"overlay"),
        data: layers,
        read_only: true,
    }];
    mounts.push(bind(Path::new("/proc"), Path::new("/proc"), false));
    mounts.push(bind(Path::new("/sys"), Path::new("/sys"), true));
    mounts.push(made(c"devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620"));
    mounts.push(made(c"tmpfs", "/dev/shm", "mode=1777"));
    mounts.push(made(c"tmpfs", "/var/tmp", "mode=1777"));
    for &name in &ground.host {
        let path = if name.contains('/') { Path::new("/").join(name) } else { Path::new("/dev").join(name) };
        mounts.push(bind(&path, &path, name.contains('/')));
    }
    mounts.push(bind(&invocation.temporary, Path::new("/tmp"), false));
    mounts.push(bind(&invocation.output.source, &ground.output, false));
    mounts.extend(inputs.map(|inputs| bind(inputs, &ground.inputs, true)));
    mounts.extend(invocation.binds.iter().map(|b| bind(&b.source, &b.target, !b.writable)));
    let isolation =
        Isolation { root: ground.root.clone(), mounts, directory: ground.output.clone(), no_network };
    let script = format!("{ENVIRONMENT}{}", if ground.has_entry_point { ENTRY_POINT } else { WORDS });
    let mut argv: Vec<OsString> = ["/bin/sh", "-c", &script, "tool"].map(OsString::from).into();
    argv.extend(invocation.command.iter().map(OsString::from));
    // An empty PATH is one that the image sets.
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), "".into()),
        ("LANG".into(), "C".into()),
        ("HOME".into(), ground.output.clone().into()),
        ("APPTAINER_NO_EVAL".into(), "1".into()),
        ("SINGULARITY_NO_EVAL".into(), "1".into()),
        ("APPTAINER_CONTAINER".into(), ground.image.clone().into()),
        ("SINGULARITY_CONTAINER".into(), ground.image.clone().into()),
    ];
    for (name, value) in &invocation.environment {
        environment.retain(|(known, _)| known != name.as_str());
        environment.push((name.into(), value.into()));
    }
    Some((CommandLine { argv, environment }, isolation))
}

#[cfg(test)]
mod tests;
