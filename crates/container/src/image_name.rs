//! Names of images: what is asked of a registry, and under which file names an image may lie in a folder.
//!
//! cwltool has named files in three ways. The newest is written; all three are looked for, so that folders
//! that others filled stay useful.

use thiserror::Error;

/// What the tool's document calls an image, without `docker://`: `debian:12`, `quay.io/biocontainers/bwa:0.7`,
/// `host:5000/name@sha256:…`. From `dockerPull`, or from `dockerImageId` where that is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageName(String);

/// A registry that has the images of docker.io, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubMirror {
    /// Its host, with a port or a path if it has one.
    pub host: String,
    /// It speaks HTTP without TLS.
    pub plain: bool,
}

impl HubMirror {
    /// Reads a URL as `SINGULARITY_DOCKER_HUB_MIRROR` has it; a bare host will do.
    pub fn parse(url: &str) -> Option<Self> {
        let (plain, rest) = match url.trim().split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https" | "docker", rest)) => (false, rest),
            Some(_) => return None,
            None => (false, url.trim()),
        };
        let host = rest.trim_end_matches('/');
        let odd = |c: char| c.is_whitespace() || c.is_control() || "@?#".contains(c);
        (!host.is_empty() && !host.starts_with('-') && !host.contains(odd))
            .then(|| Self { host: host.into(), plain })
    }
}

/// A name that cannot be one of an image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadImageName {
    /// Nothing, or nothing but `docker://`.
    #[error("the name of the image is empty")]
    Empty,
    /// White space, a control character, or a dash where a name begins.
    #[error("{name:?} cannot be the name of an image: {fault}")]
    Malformed {
        /// The name.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A scheme other than `docker://`.
    #[error("images of {scheme}:// are not supported, only those of Docker registries ({name})")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
        /// The name.
        name: String,
    },
    /// The file name would be longer than the 255 bytes that file systems take.
    #[error("the name of the image is too long to be a file name: {name}")]
    TooLong {
        /// The name.
        name: String,
    },
}

/// What a file name may take beside the image's own: our suffixes for locks and temporary files.
const LONGEST: usize = 255 - 60;

impl ImageName {
    /// Reads a name as documents give it; white space around it and `docker://` are dropped.
    ///
    /// # Errors
    /// A name that no registry could answer to.
    pub fn parse(text: &str) -> Result<Self, BadImageName> {
        let given = text.trim();
        let name = match given.split_once("://") {
            Some(("docker", rest)) => rest,
            Some((scheme, _)) => {
                return Err(BadImageName::Scheme { scheme: scheme.into(), name: given.into() });
            }
            None => given,
        };
        if name.is_empty() {
            return Err(BadImageName::Empty);
        }
        let fault = if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            "it has white space in it"
        } else if name.starts_with('-') {
            // It would be an option where it stands by itself.
            "it begins with a dash"
        } else if name.split('/').any(|part| part == ".." || part == ".") {
            "it is a path"
        } else {
            ""
        };
        if !fault.is_empty() {
            return Err(BadImageName::Malformed { name: name.into(), fault });
        }
        let parsed = Self(name.to_owned());
        if parsed.file_name().len() > LONGEST {
            return Err(BadImageName::TooLong { name: name.into() });
        }
        Ok(parsed)
    }

    /// The name as given, without `docker://`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What an engine is told to pull, where images of docker.io come from another registry.
    pub fn url(&self, hub: Option<&HubMirror>) -> String {
        match hub {
            Some(hub) if self.registry() == "docker.io" => {
                let path = self.0.strip_prefix("docker.io/").unwrap_or(&self.0);
                // Only docker.io adds this by itself.
                let library = if path.contains('/') { "" } else { "library/" };
                format!("docker://{}/{library}{path}", hub.host)
            }
            _ => format!("docker://{}", self.0),
        }
    }

    /// Whether the name says which contents it means, so that it never means others.
    pub fn has_digest(&self) -> bool {
        self.0.contains('@')
    }

    /// The registry, or `docker.io` where none is given.
    pub fn registry(&self) -> &str {
        self.given_registry().unwrap_or("docker.io")
    }

    fn given_registry(&self) -> Option<&str> {
        let (first, _) = self.0.split_once('/')?;
        (first.contains(['.', ':']) || first == "localhost").then_some(first)
    }

    /// Whether the name says which registry it is of.
    pub fn is_qualified(&self) -> bool {
        self.given_registry().is_some()
    }

    /// The name with `:latest` where there is neither tag nor digest. A port counts as a tag, as with cwltool:
    /// the file name must be the one that cwltool looks for.
    fn tagged(&self) -> String {
        if self.0.contains(':') { self.0.clone() } else { format!("{}:latest", self.0) }
    }

    /// The file name that cwltool 3.3 and moil write: `debian:12.sif`, `quay.io_s_biocontainers_s_bwa:0.7.sif`.
    pub fn file_name(&self) -> String {
        format!("{}.sif", self.tagged().replace('_', "___").replace('/', "_s_"))
    }

    /// All file names that the image may have, the newest encoding first: that of cwltool 3.3, that of cwl-utils
    /// 0.42, that of cwltool 3.2. An older name that could as well be another image's under the newest encoding is
    /// left out.
    pub fn file_names(&self) -> Vec<String> {
        let tagged = self.tagged();
        let mut names = vec![self.file_name()];
        for older in [tagged.replace(['/', ':'], "_"), tagged.replace('/', "_")] {
            let name = format!("{older}.sif");
            if !could_be_current(&name) && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Whether the newest encoding could have made this file name: without what stands for `_` and `/` nothing of
/// these is left.
fn could_be_current(name: &str) -> bool {
    !name.replace("___", "").replace("_s_", "").contains(['_', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        ImageName::parse(text).unwrap().file_names()
    }

    /// What cwl-utils 0.45 (`SingularityImagePuller`) makes of these names.
    #[test]
    fn files_are_named_as_cwltool_names_them() {
        for (name, expected) in [
            ("debian:12", vec!["debian:12.sif", "debian_12.sif"]),
            ("debian", vec!["debian:latest.sif", "debian_latest.sif"]),
            ("docker://debian", vec!["debian:latest.sif", "debian_latest.sif"]),
            (
                "quay.io/biocontainers/samtools:1.17--h00cdaf9_0",
                vec![
                    "quay.io_s_biocontainers_s_samtools:1.17--h00cdaf9___0.sif",
                    "quay.io_biocontainers_samtools_1.17--h00cdaf9_0.sif",
                    "quay.io_biocontainers_samtools:1.17--h00cdaf9_0.sif",
                ],
            ),
            // No tag is added: the port's colon counts.
            (
                "localhost:5000/foo",
                vec!["localhost:5000_s_foo.sif", "localhost_5000_foo.sif", "localhost:5000_foo.sif"],
            ),
            (
                "foo/bar@sha256:abcd",
                vec!["foo_s_bar@sha256:abcd.sif", "foo_bar@sha256_abcd.sif", "foo_bar@sha256:abcd.sif"],
            ),
        ] {
            assert_eq!(names(name), expected, "{name}");
        }
    }

    #[test]
    fn an_older_name_that_is_another_images_newest_name_is_not_taken() {
        // Under the older encodings "a/s/b:1" would be the file of "a/b:1" under the newest.
        assert!(names("a/b:1").contains(&"a_s_b:1.sif".to_owned()));
        assert!(!names("a/s/b:1").contains(&"a_s_b:1.sif".to_owned()));
    }

    #[test]
    fn registries_are_told_from_folders() {
        for (name, expected) in [
            ("debian", "docker.io"),
            ("library/debian:12", "docker.io"),
            ("quay.io/biocontainers/bwa:0.7", "quay.io"),
            ("localhost/foo", "localhost"),
            ("127.0.0.1:5000/foo", "127.0.0.1:5000"),
            ("foo@sha256:12", "docker.io"),
        ] {
            assert_eq!(ImageName::parse(name).unwrap().registry(), expected, "{name}");
        }
    }

    #[test]
    fn a_mirror_takes_the_place_of_docker_hub_only() {
        let hub = HubMirror::parse("http://mirror:5000/").unwrap();
        assert_eq!(hub, HubMirror { host: "mirror:5000".into(), plain: true });
        for (name, expected) in [
            ("debian:12", "docker://mirror:5000/library/debian:12"),
            ("docker.io/debian:12", "docker://mirror:5000/library/debian:12"),
            ("docker.io/library/debian:12", "docker://mirror:5000/library/debian:12"),
            ("bio/bwa@sha256:12", "docker://mirror:5000/bio/bwa@sha256:12"),
            ("quay.io/bio/bwa:1", "docker://quay.io/bio/bwa:1"),
        ] {
            assert_eq!(ImageName::parse(name).unwrap().url(Some(&hub)), expected);
        }
        assert_eq!(ImageName::parse("debian:12").unwrap().url(None), "docker://debian:12");
        let plain = |url| HubMirror::parse(url).map(|hub| (hub.host, hub.plain));
        assert_eq!(plain("https://m/hub"), Some(("m/hub".into(), false)));
        assert_eq!(plain("m"), Some(("m".into(), false)));
        for url in ["", "http://", "ftp://m", "http://a b", "--help"] {
            assert_eq!(plain(url), None, "{url}");
        }
    }

    #[test]
    fn names_that_no_registry_knows_are_refused() {
        for (name, expected) in [
            ("", "the name of the image is empty"),
            ("docker://", "the name of the image is empty"),
            (
                "library://a/b",
                "images of library:// are not supported, only those of Docker registries (library://a/b)",
            ),
            ("a b", "\"a b\" cannot be the name of an image: it has white space in it"),
            ("--help", "\"--help\" cannot be the name of an image: it begins with a dash"),
            ("../x", "\"../x\" cannot be the name of an image: it is a path"),
        ] {
            assert_eq!(ImageName::parse(name).unwrap_err().to_string(), expected, "{name}");
        }
        let long = "a/".repeat(80) + "b";
        assert!(matches!(ImageName::parse(&long), Err(BadImageName::TooLong { .. })));
    }
}
