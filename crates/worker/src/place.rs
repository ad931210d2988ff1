//! Under which paths a tool sees the directories of its attempt, and where these are on this machine.

use std::path::{Path, PathBuf};

use crate::attempt_dir::AttemptDir;
use crate::run::utf8;
use crate::system::Result;

/// The output directory of a container, where the document names none.
const OUT: &str = "/var/spool/cwl";
/// `$TMPDIR` of a container.
const TMP: &str = "/tmp";
/// Where a container has its inputs.
const INPUTS: &str = "/var/lib/cwl/in";
/// Below an attempt's directory: what a container has at other absolute paths.
const ELSEWHERE: &str = "elsewhere";

/// The directories of an attempt as its tool sees them.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The output directory.
    pub(crate) out: String,
    /// `$TMPDIR`.
    pub(crate) tmp: String,
    /// Where inputs are.
    pub(crate) inputs: String,
    /// Where they are on this machine; `None` where the tool sees the paths of this machine.
    dirs: Option<AttemptDir>,
}

impl Place {
    /// This machine, as it is.
    ///
    /// # Errors
    /// A directory whose name is not UTF-8.
    pub(crate) fn host(dirs: &AttemptDir) -> Result<Self> {
        let text = |path: &Path| utf8(path).map(str::to_owned);
        Ok(Self { out: text(&dirs.out)?, tmp: text(&dirs.tmp)?, inputs: text(&dirs.inputs)?, dirs: None })
    }

    /// A container. `out` is `dockerOutputDirectory`.
    pub(crate) fn container(dirs: &AttemptDir, out: Option<&str>) -> Self {
        Self {
            out: out.unwrap_or(OUT).to_owned(),
            tmp: TMP.to_owned(),
            inputs: INPUTS.to_owned(),
            dirs: Some(dirs.clone()),
        }
    }

    /// Whether the tool runs in a container.
    pub(crate) fn is_container(&self) -> bool {
        self.dirs.is_some()
    }

    /// Whether what is made for a path has to be mounted there, and whether the tool may then write to it.
    pub(crate) fn to_be_mounted(&self, path: &str) -> Option<bool> {
        let is_elsewhere = self.is_container() && below(path, &self.out).is_none();
        is_elsewhere.then(|| below(path, &self.inputs).is_none())
    }

    /// Where a path of the tool is on this machine.
    pub(crate) fn on_host(&self, path: &str) -> PathBuf {
        let Some(dirs) = &self.dirs else { return PathBuf::from(path) };
        let known = [(&self.out, &dirs.out), (&self.inputs, &dirs.inputs), (&self.tmp, &dirs.tmp)];
        for (inside, host) in known {
            match below(path, inside) {
                Some("") => return host.clone(),
                Some(rest) => return host.join(rest),
                None => {}
            }
        }
        dirs.root.join(ELSEWHERE).join(path.trim_start_matches('/'))
    }
}

/// The rest of a path behind a directory, if it lies there.
fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(directory.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

#[cfg(test)]
impl Place {
    /// This machine, for tests that need no directories.
    pub(crate) fn here() -> Self {
        Self { out: String::new(), tmp: String::new(), inputs: String::new(), dirs: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs() -> AttemptDir {
        let root = PathBuf::from("/work/job");
        AttemptDir { out: root.join("out"), tmp: "/tmp/x".into(), inputs: root.join("in"), root }
    }

    #[test]
    fn paths_of_a_container_have_places_here() {
        let place = Place::container(&dirs(), None);
        for (inside, host) in [
            ("/var/spool/cwl", "/work/job/out"),
            ("/var/spool/cwl/a b/c", "/work/job/out/a b/c"),
            ("/var/spool/cwlx", "/work/job/elsewhere/var/spool/cwlx"),
            ("/var/lib/cwl/in/0/x", "/work/job/in/0/x"),
            ("/tmp/y", "/tmp/x/y"),
            ("/etc/tool.conf", "/work/job/elsewhere/etc/tool.conf"),
        ] {
            assert_eq!(place.on_host(inside), Path::new(host), "{inside}");
        }
        assert_eq!(place.to_be_mounted("/var/spool/cwl/x"), None);
        assert_eq!(place.to_be_mounted("/var/lib/cwl/in/0/literal"), Some(false));
        assert_eq!(place.to_be_mounted("/etc/x"), Some(true));
        // Even where one directory lies in another.
        let place = Place::container(&dirs(), Some("/tmp/out/"));
        assert_eq!(place.on_host("/tmp/out/x"), Path::new("/work/job/out/x"));
        assert_eq!(place.on_host("/tmp/other"), Path::new("/tmp/x/other"));
    }

    #[test]
    fn without_a_container_paths_are_what_they_are() {
        let place = Place::host(&dirs()).unwrap();
        assert_eq!(place.on_host("/etc/x"), Path::new("/etc/x"));
        assert_eq!(place.out, "/work/job/out");
        assert_eq!(place.to_be_mounted("/work/job/in/0/x"), None);
    }
}
