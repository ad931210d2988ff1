//! The image that DockerRequirement asks for: its name, and where it comes from (CWL v1.2 CommandLineTool
//! §"DockerRequirement").

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use moil_container::build;
use moil_container::dockerfile::Dockerfile;
use moil_container::image_name::{BadImageName, ImageName};
use moil_container::store::Source;
use moil_cwl::requirement::DockerRequirement;
use moil_job::failure::{Failure, FailureKind};

use crate::files::path_of;
use crate::system::{self, Result};

/// An image before anything is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name in the store.
    pub name: ImageName,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The registry that its name says.
    Registry,
    /// `dockerPull`, where `dockerImageId` gives the image another name.
    Renamed(ImageName),
    /// `dockerLoad`: the location of what `docker save` wrote.
    Load(Arc<str>),
    /// `dockerImport`: the location of an archive of a root file system.
    Import(Arc<str>),
    /// `dockerFile`: its text.
    File(Arc<str>),
}

impl Wanted {
    /// The image of a registry.
    ///
    /// # Errors
    /// [`FailureKind::BadInput`] for what is no name of an image.
    pub fn of_registry(name: &str) -> Result<Self> {
        Ok(Self { name: parsed(ImageName::parse(name))?, origin: Origin::Registry })
    }

    /// The image of a requirement. Of several fields that say where it comes from, the first counts that cwltool looks
    /// at: `dockerPull`, `dockerFile`, `dockerLoad`, `dockerImport`. `dockerImageId` is its name then; alone it is that
    /// of an image in the store or a registry, or the path of one.
    ///
    /// # Errors
    /// [`FailureKind::BadInput`]: no image is named, or what stands there cannot be one.
    pub fn of(docker: &DockerRequirement) -> Result<Self> {
        match (&docker.pull, &docker.image_id) {
            (Some(pull), Some(name)) => {
                let (pull, name) = (parsed(ImageName::parse(pull))?, parsed(ImageName::parse(name))?);
                let origin = if pull == name { Origin::Registry } else { Origin::Renamed(pull) };
                return Ok(Self { name, origin });
            }
            (Some(name), None) => return Self::of_registry(name),
            (None, Some(name)) if !has_source(docker) => return Self::of_registry(name),
            _ => {}
        }
        let (kind, content, origin) = match docker {
            DockerRequirement { file: Some(text), .. } => {
                ("file", vec![text.to_string()], Origin::File(Arc::clone(text)))
            }
            DockerRequirement { load: Some(location), .. } => {
                ("load", identity(location)?, Origin::Load(Arc::clone(location)))
            }
            DockerRequirement { import: Some(location), .. } => {
                ("import", identity(location)?, Origin::Import(Arc::clone(location)))
            }
            _ => {
                let message = "DockerRequirement names no image";
                return Err(Box::new(
                    Failure::new(FailureKind::BadInput, message)
                        .with_advice("give it dockerPull, such as debian:12"),
                ));
            }
        };
        let content: Vec<&str> = content.iter().map(String::as_str).collect();
        let name = match &docker.image_id {
            Some(name) => ImageName::parse(name),
            None => build::name(kind, &content),
        };
        Ok(Self { name: parsed(name)?, origin })
    }

    /// What the store makes the image of, where it is not there. `bring` brings what is not on this machine.
    ///
    /// # Errors
    /// [`FailureKind::Unsupported`] for a Dockerfile that cannot be built without Docker; what `bring` says.
    pub fn source(&self, bring: &dyn Fn(&Arc<str>) -> Result<PathBuf>) -> Result<Source> {
        Ok(match &self.origin {
            Origin::Registry => Source::Registry,
            Origin::Renamed(name) => Source::Renamed(name.clone()),
            Origin::File(text) => Source::Dockerfile(Dockerfile::parse(text).map_err(|error| {
                let message = "the image of dockerFile cannot be built";
                Box::new(Failure::new(FailureKind::Unsupported, message).with_cause(error).with_advice(
                    "build the image with Docker, put it into a registry, and name it with dockerPull",
                ))
            })?),
            Origin::Load(location) => Source::Archive(local(location, bring)?),
            Origin::Import(location) => Source::RootArchive(local(location, bring)?),
        })
    }
}

/// Where an archive is on this machine; `bring` brings one that is not.
pub(crate) fn local(location: &Arc<str>, bring: &dyn Fn(&Arc<str>) -> Result<PathBuf>) -> Result<PathBuf> {
    path_of(location).or_else(|_| bring(location))
}

fn has_source(docker: &DockerRequirement) -> bool {
    docker.file.is_some() || docker.load.is_some() || docker.import.is_some()
}

/// What tells an archive from what stood at its location before; of other machines' the location alone is known.
fn identity(location: &Arc<str>) -> Result<Vec<String>> {
    let mut identity = vec![location.to_string()];
    if let Ok(path) = path_of(location) {
        let metadata = fs::metadata(&path)
            .map_err(|error| system::failure("read the archive of the image", &path, &error))?;
        identity.extend(
            [metadata.len(), metadata.mtime() as u64, metadata.mtime_nsec() as u64].map(|n| n.to_string()),
        );
    }
    Ok(identity)
}

fn parsed(name: std::result::Result<ImageName, BadImageName>) -> Result<ImageName> {
    name.map_err(|error| {
        Box::new(
            Failure::new(FailureKind::BadInput, error.to_string())
                .with_advice("correct dockerPull (or dockerImageId) of DockerRequirement"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::location_of;

    #[test]
    fn an_image_has_a_name_and_an_origin() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("a b.tar");
        fs::write(&archive, "x").unwrap();
        let location: Arc<str> = location_of(&archive).unwrap().into();
        let text = |text: &str| Some(Arc::<str>::from(text));
        let none = DockerRequirement::default();
        let of = |docker: DockerRequirement| {
            let wanted = Wanted::of(&docker).unwrap();
            (wanted.name.as_str().to_owned(), wanted.origin)
        };
        let pull =
            DockerRequirement { pull: text("debian:12"), load: text("file:///nowhere"), ..none.clone() };
        assert_eq!(of(pull.clone()), ("debian:12".into(), Origin::Registry));
        let id = text("mine");
        let renamed = Origin::Renamed(ImageName::parse("debian:12").unwrap());
        assert_eq!(of(DockerRequirement { image_id: id.clone(), ..pull }), ("mine".into(), renamed));
        assert_eq!(of(DockerRequirement { image_id: id.clone(), ..none.clone() }).1, Origin::Registry);
        let load = DockerRequirement { load: Some(location.clone()), ..none.clone() };
        let (first, origin) = of(load.clone());
        assert!(first.starts_with("moil-load-") && origin == Origin::Load(location.clone()), "{first}");
        fs::write(&archive, "changed").unwrap();
        assert_ne!(of(load.clone()).0, first);
        assert_eq!(of(DockerRequirement { image_id: id, ..load }).0, "mine");
        let import = DockerRequirement { import: text("https://example.org/x.tar"), ..none.clone() };
        assert!(of(import.clone()).0.starts_with("moil-import-"));
        let fetched = Wanted::of(&import).unwrap().source(&|_| Ok("/here".into())).unwrap();
        assert_eq!(fetched, Source::RootArchive("/here".into()));
        let file = DockerRequirement { file: text("FROM debian:12"), ..none.clone() };
        assert!(of(file).0.starts_with("moil-file-"));
        let copies = Wanted::of(&DockerRequirement { file: text("COPY x"), ..none.clone() }).unwrap();
        let failure = copies.source(&|_| Ok("/here".into())).unwrap_err();
        assert_eq!(failure.message, "the image of dockerFile cannot be built");
        for (docker, expected) in [
            (none.clone(), "DockerRequirement names no image"),
            (
                DockerRequirement { load: text("file:///nowhere/x"), ..none },
                "cannot read the archive of the image /nowhere/x",
            ),
        ] {
            assert_eq!(Wanted::of(&docker).unwrap_err().message, expected);
        }
    }
}
