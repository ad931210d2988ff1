//! What belongs into the image: moil, a shell with the usual tools, Apptainer, what they load, certificates, and the few
//! files that make it a system. All is found on this machine.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::ApplianceError;
use crate::layout::Config;
use crate::libraries::{self, Library};
use crate::tree::Tree;

/// What is known of this machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The program `moil`.
    pub moil: PathBuf,
    /// `PATH`.
    pub path: OsString,
    /// The file with the certificates that are trusted.
    pub certificates: Option<PathBuf>,
}

/// What else Apptainer runs, where it is there; images cannot be unpacked without the second.
const HELPERS: [&str; 6] =
    ["mksquashfs", "unsquashfs", "squashfuse", "squashfuse_ll", "fuse-overlayfs", "fusermount3"];

/// The usual tools, where there is no busybox.
const TOOLS: &str = "awk base64 basename cat chmod chown cksum comm cp cut date dd df diff dirname du echo env expand expr \
    false find fold grep gunzip gzip head hostname id install join kill ln ls md5sum mkdir mktemp mv nl nproc od paste \
    pr printenv printf ps pwd readlink realpath rm rmdir sed seq sh sha1sum sha256sum sha512sum shuf sleep sort split \
    stat tac tail tar tee test timeout touch tr true tsort uname uniq wc whoami xargs zcat";

/// Other names of `moil`.
const RUNNERS: [&str; 3] = ["toil-cwl-runner", "cwl-runner", "toil"];

const ENTRY: &str = "usr/local/bin/moil-entry";
const HOME: &str = "home/moil";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The layers of the image: everything else, and above it moil, which changes more often.
///
/// # Errors
/// Something that belongs into it is not on this machine, or cannot be read.
pub fn layers(machine: &Machine) -> Result<[Tree; 2], ApplianceError> {
    let mut base = Finder { machine, tree: Tree::new(), programs: Vec::new() };
    base.system();
    base.shell()?;
    base.apptainer()?;
    base.programs.push(machine.moil.clone());
    base.libraries()?;
    let mut upon = Tree::upon();
    upon.file("usr/local/bin/moil", &machine.moil, 0o755);
    for name in RUNNERS {
        upon.link(&format!("usr/local/bin/{name}"), "moil");
    }
    Ok([base.tree, upon])
}

/// What a container of the image is by itself.
pub fn config(version: &str) -> Config {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Config {
        architecture: architecture.to_owned(),
        env: vec![PATH.to_owned(), format!("HOME=/{HOME}")],
        entrypoint: vec![format!("/{ENTRY}")],
        command: vec!["moil".to_owned(), "--help".to_owned()],
        // A number, so that a cluster sees that it is not root.
        user: "1000:1000".to_owned(),
        working_dir: format!("/{HOME}"),
        labels: vec![
            ("org.opencontainers.image.title", "moil".to_owned()),
            ("org.opencontainers.image.version", version.to_owned()),
        ],
    }
}

struct Finder<'a> {
    machine: &'a Machine,
    tree: Tree,
    /// Those whose libraries are wanted.
    programs: Vec<PathBuf>,
}

impl Finder<'_> {
    fn system(&mut self) {
        let tree = &mut self.tree;
        for path in ["dev", "proc", "sys", "root"] {
            tree.directory(path, 0o755);
        }
        // Whoever the user is.
        for path in ["tmp", "var/tmp", "var/lib/toil", HOME] {
            tree.directory(path, 0o1777);
        }
        tree.writable(
            "etc/passwd",
            format!("root:x:0:0:root:/root:/bin/sh\nmoil:x:1000:1000:moil:/{HOME}:/bin/sh\n"),
        );
        tree.text("etc/group", "root:x:0:\nmoil:x:1000:\n");
        tree.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
        tree.text("etc/os-release", "ID=moil\nNAME=moil\nPRETTY_NAME=\"moil's worker image\"\n");
        // Apptainer binds them into its containers.
        for path in ["etc/hosts", "etc/resolv.conf", "etc/localtime"] {
            tree.text(path, "");
        }
        tree.script(ENTRY, include_str!("entry.sh"));
        if let Some(certificates) = &self.machine.certificates {
            tree.file("etc/ssl/certs/ca-certificates.crt", certificates, 0o644);
        }
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        which::which_in_global(name, Some(&self.machine.path)).ok()?.next()
    }

    /// A program under the name by which it is found, in `/usr/bin`.
    fn program(&mut self, name: &str) -> Option<PathBuf> {
        let path = self.which(name)?;
        self.tree.file(&format!("usr/bin/{name}"), &path, 0o755);
        self.programs.push(path.clone());
        Some(path)
    }

    fn shell(&mut self) -> Result<(), ApplianceError> {
        let bash = self.program("bash");
        if let Some(busybox) = self.program("busybox") {
            for applet in said(&busybox, "--list")?.lines().map(str::trim).filter(|name| !name.is_empty()) {
                self.tree.link(&format!("usr/bin/{applet}"), "busybox");
            }
            return Ok(());
        }
        for name in TOOLS.split_whitespace() {
            self.program(name);
        }
        if bash.is_none() && !self.tree.has("usr/bin/sh") {
            let advice = "install bash or busybox; the image needs a shell";
            return Err(ApplianceError::Missing { program: "a shell", advice });
        }
        Ok(())
    }

    fn apptainer(&mut self) -> Result<(), ApplianceError> {
        let found = ["apptainer", "singularity"].into_iter().find_map(|name| Some((name, self.which(name)?)));
        let Some((name, program)) = found else {
            let advice = "the image gets Apptainer from the machine where it is made; install it here, or use \
                          appliance/Dockerfile";
            return Err(ApplianceError::Missing { program: "Apptainer", advice });
        };
        let configuration = said(&program, "buildcfg")?;
        let value = |key: &str| {
            let found =
                configuration.lines().find_map(|line| line.split_once('=').filter(|(name, _)| *name == key));
            found.map(|(_, value)| value.trim().to_owned())
        };
        self.tree.file(&format!("usr/bin/{name}"), &program, 0o755);
        if name == "apptainer" {
            self.tree.link("usr/bin/singularity", "apptainer");
        }
        self.programs.push(program);
        if let Some(folder) = value("LIBEXECDIR") {
            self.folder(Path::new(&folder).join(name).as_path())?;
        }
        if let Some(folder) = value("APPTAINER_CONFDIR").or_else(|| value("SINGULARITY_CONFDIR")) {
            self.folder(Path::new(&folder))?;
        }
        // Where it builds its containers: empty, and never written to.
        if let Some(session) = value("SESSIONDIR") {
            let parent = Path::new(&session).parent().unwrap_or(Path::new("/"));
            for folder in [session.clone(), parent.join("source").to_string_lossy().into_owned()] {
                self.tree.directory(&folder, 0o755);
            }
        }
        for helper in HELPERS {
            self.program(helper);
        }
        if !self.tree.has("usr/bin/unsquashfs") {
            let advice = "it belongs to squashfs-tools; images are unpacked with it";
            return Err(ApplianceError::Missing { program: "unsquashfs", advice });
        }
        Ok(())
    }

    /// A directory with all that is in it; programs of other users' rights are of no use in a pod.
    fn folder(&mut self, folder: &Path) -> Result<(), ApplianceError> {
        let mut entries = fs::read_dir(folder)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| ApplianceError::read(folder, error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let about = fs::metadata(&path).map_err(|error| ApplianceError::read(&path, error))?;
            let mode = about.permissions().mode();
            if about.is_dir() {
                self.folder(&path)?;
            } else if about.is_file() && mode & 0o6000 == 0 {
                let runs = mode & 0o111 != 0;
                self.tree.file(&path.to_string_lossy(), &path, if runs { 0o755 } else { 0o644 });
                if runs || path.extension().is_some_and(|ending| ending == "so") {
                    self.programs.push(path);
                }
            }
        }
        Ok(())
    }

    fn libraries(&mut self) -> Result<(), ApplianceError> {
        let mut all = Vec::new();
        for program in &self.programs {
            all.extend(libraries::of(program, &self.machine.path)?);
        }
        all.sort();
        all.dedup();
        place(&mut self.tree, &all, &|path| path.is_file());
        Ok(())
    }
}

/// Puts libraries where they are found without a cache of names: beside the C library, which lies in a directory where
/// the loader looks by itself.
fn place(tree: &mut Tree, libraries: &[Library], exists: &dyn Fn(&Path) -> bool) {
    let beside = libraries.iter().find(|library| library.name.starts_with("libc.so"));
    let beside = beside.and_then(|library| library.path.parent()).unwrap_or(Path::new("/usr/lib"));
    for library in libraries {
        // The loader itself is named by its path.
        let to =
            if library.name.starts_with('/') { library.path.clone() } else { beside.join(&library.name) };
        tree.file(&to.to_string_lossy(), &library.path, 0o755);
    }
    // Older C libraries load these when names are looked up.
    for name in ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"] {
        let path = beside.join(name);
        if exists(&path) {
            tree.file(&path.to_string_lossy(), &path, 0o755);
        }
    }
}

/// What a program says to one word.
fn said(program: &Path, word: &str) -> Result<String, ApplianceError> {
    let failed =
        |words: String| ApplianceError::Command { command: format!("{} {word}", program.display()), words };
    let output = Command::new(program)
        .arg(word)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_program::write_program;
    use crate::tree::{Entry, Source};

    #[test]
    fn libraries_lie_where_the_loader_looks() {
        let library = |name: &str, path: &str| Library { name: name.to_owned(), path: path.into() };
        let libraries = [
            library("/lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
            library("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
            library("libx.so.1", "/opt/x/lib/libx.so.1"),
        ];
        let mut tree = Tree::new();
        place(&mut tree, &libraries, &|path| path.ends_with("libnss_dns.so.2"));
        let files: Vec<_> = tree
            .entries()
            .filter_map(|(path, entry)| match entry {
                Entry::File { source: Source::File(source), .. } => Some((path, source.to_str().unwrap())),
                _ => None,
            })
            .collect();
        assert_eq!(
            files,
            [
                ("usr/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
                ("usr/lib/x86_64-linux-gnu/libnss_dns.so.2", "/lib/x86_64-linux-gnu/libnss_dns.so.2"),
                ("usr/lib/x86_64-linux-gnu/libx.so.1", "/opt/x/lib/libx.so.1"),
                ("usr/lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
            ]
        );
    }

    #[test]
    fn the_dockerfile_makes_the_same() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../appliance/Dockerfile");
        let text = fs::read_to_string(file).unwrap();
        let config = config("1");
        let list = |words: &[String]| serde_json::to_string(words).unwrap().replace(',', ", ");
        for expected in [
            format!("USER {}\n", config.user),
            format!("ENV {}\n", config.env[1]),
            format!("WORKDIR {}\n", config.working_dir),
            format!("ENTRYPOINT {}\n", list(&config.entrypoint)),
            format!("CMD {}\n", list(&config.command)),
            format!("for name in {};", RUNNERS.join(" ")),
            "crates/appliance/src/entry.sh".to_owned(),
        ] {
            assert!(text.contains(&expected), "{expected}");
        }
    }

    /// Programs that only answer what they are asked.
    #[test]
    fn a_machine_without_apptainer_is_told_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("bash", ""), ("ldd", "echo not a dynamic executable >&2; exit 1")] {
            write_program(&folder.path().join(name), &format!("#!/bin/sh\n{text}\n"));
        }
        let machine =
            Machine { moil: folder.path().join("bash"), path: folder.path().into(), certificates: None };
        let error = layers(&machine).unwrap_err();
        assert_eq!(error.to_string(), "Apptainer is not installed on this machine");
        assert!(error.advice().unwrap().contains("appliance/Dockerfile"));
    }
}
