//! Requirements and hints.

use std::sync::Arc;

use moil_salad::node::{Kind, Node};
use moil_salad::uri;

use super::cursor::{Cursor, items, text};
use super::{Converter, short_name};
use crate::json;
use crate::location;
use crate::number::Number;
use crate::parameter::LoadListing;
use crate::requirement::{
    BoolOrText, CudaRequirement, DockerRequirement, Requirement, RequirementKind, Requirements,
    ResourceRequirement, SoftwarePackage, WorkDirEntry,
};
use crate::text::NumberOrText;

/// The name of a requirement's class without the prefixes of the vocabularies that moil knows.
pub(crate) fn class_name(class: &str) -> &str {
    ["http://commonwl.org/cwltool#", "cwltool:", "https://w3id.org/cwl/cwl#"]
        .iter()
        .find_map(|prefix| class.strip_prefix(prefix))
        .unwrap_or(class)
}

impl Converter<'_> {
    /// `requirements` and `hints` of a process or step.
    pub(super) fn requirements(&self, cursor: &Cursor) -> Requirements {
        let mut requirements = Requirements::default();
        for node in cursor.list("requirements") {
            requirements.required.extend(self.requirement(node));
        }
        for field in ["requirements", "hints"] {
            if !cursor.is_whole(field) {
                let place = cursor.place_of(field).clone();
                requirements.required.push(Requirement { place, kind: RequirementKind::Faulty });
            }
        }
        for node in cursor.list("hints") {
            // Of unknown hints the walker has warned.
            let hint = self.requirement(node);
            requirements.hints.extend(hint.filter(|hint| !matches!(hint.kind, RequirementKind::Unknown(_))));
        }
        requirements
    }

    /// One requirement; `None` for those that are dealt with elsewhere, or are faulty.
    pub(super) fn requirement(&self, node: &Node) -> Option<Requirement> {
        let class =
            class_name(Cursor::new(node, "ProcessRequirement", &self.findings)?.required("class")?.as_str()?);
        let cursor = Cursor::new(node, class, &self.findings)?;
        cursor.ignore(&["class", "label", "doc"]);
        let kind = match class {
            "InlineJavascriptRequirement" => {
                RequirementKind::InlineJavascript(Arc::new(cursor.texts("expressionLib")))
            }
            "SchemaDefRequirement" => {
                cursor.ignore(&["types"]);
                RequirementKind::SchemaDef
            }
            "DockerRequirement" => RequirementKind::Docker(Arc::new(DockerRequirement {
                pull: cursor.string("dockerPull"),
                load: located(&cursor, "dockerLoad"),
                file: cursor.string("dockerFile"),
                import: located(&cursor, "dockerImport"),
                image_id: cursor.string("dockerImageId"),
                output_directory: cursor.string("dockerOutputDirectory"),
            })),
            "SoftwareRequirement" => RequirementKind::Software(Arc::new(self.packages(&cursor))),
            "InitialWorkDirRequirement" => {
                RequirementKind::InitialWorkDir(Arc::new(self.work_dir_entries(&cursor)))
            }
            "EnvVarRequirement" => RequirementKind::EnvVar(Arc::new(self.environment(&cursor))),
            "ShellCommandRequirement" => RequirementKind::ShellCommand,
            "ResourceRequirement" => RequirementKind::Resource(Arc::new(ResourceRequirement {
                cores_min: cursor.number("coresMin"),
                cores_max: cursor.number("coresMax"),
                ram_min: cursor.number("ramMin"),
                ram_max: cursor.number("ramMax"),
                tmpdir_min: cursor.number("tmpdirMin"),
                tmpdir_max: cursor.number("tmpdirMax"),
                outdir_min: cursor.number("outdirMin"),
                outdir_max: cursor.number("outdirMax"),
            })),
            "WorkReuse" => RequirementKind::WorkReuse(self.bool_or_text(&cursor, "enableReuse")?),
            "NetworkAccess" => RequirementKind::NetworkAccess(self.bool_or_text(&cursor, "networkAccess")?),
            "InplaceUpdateRequirement" => RequirementKind::InplaceUpdate(cursor.flag("inplaceUpdate", true)),
            "ToolTimeLimit" | "TimeLimit" => {
                cursor.required("timelimit");
                RequirementKind::ToolTimeLimit(cursor.number("timelimit")?)
            }
            "LoadListingRequirement" => {
                RequirementKind::LoadListing(self.load_listing(&cursor).unwrap_or(LoadListing::None))
            }
            "SubworkflowFeatureRequirement" => RequirementKind::SubworkflowFeature,
            "ScatterFeatureRequirement" => RequirementKind::ScatterFeature,
            "MultipleInputFeatureRequirement" => RequirementKind::MultipleInputFeature,
            "StepInputExpressionRequirement" => RequirementKind::StepInputExpression,
            "Secrets" => RequirementKind::Secrets(Arc::new(
                cursor.strings("secrets").iter().map(|id| short_name(id).into()).collect(),
            )),
            "CUDARequirement" => RequirementKind::Cuda(Arc::new(CudaRequirement {
                version_min: cursor.string("cudaVersionMin")?,
                compute_capability: cursor.strings("cudaComputeCapability"),
                device_count_min: cursor
                    .number("cudaDeviceCountMin")
                    .unwrap_or(NumberOrText::Number(Number::Int(1))),
                device_count_max: cursor.number("cudaDeviceCountMax"),
            })),
            "MPIRequirement" => RequirementKind::Mpi(
                cursor.number("processes").unwrap_or(NumberOrText::Number(Number::Int(1))),
            ),
            "ShmSize" => RequirementKind::ShmSize(cursor.text("shmSize")?),
            "http://arvados.org/cwl#UsePreemptible" => {
                cursor.required("usePreemptible");
                RequirementKind::UsePreemptible(cursor.flag("usePreemptible", true))
            }
            // The step that holds it makes a loop of it.
            "Loop" => return None,
            // Nobody knows its fields.
            _ => return Some(self.unknown(node)),
        };
        cursor.finish();
        Some(Requirement { place: node.place.clone(), kind })
    }

    fn unknown(&self, node: &Node) -> Requirement {
        let class = node.get("class").and_then(Node::as_str).unwrap_or_default();
        Requirement { place: node.place.clone(), kind: RequirementKind::Unknown(class.into()) }
    }

    fn bool_or_text(&self, cursor: &Cursor, field: &str) -> Option<BoolOrText> {
        let node = cursor.required(field)?;
        match (&node.kind, text(node)) {
            (Kind::Bool(value), _) => Some(BoolOrText::Bool(*value)),
            (_, Some(text)) => Some(BoolOrText::Text(text)),
            _ => {
                cursor.wrong(field, node, "a boolean or an expression");
                None
            }
        }
    }

    fn packages(&self, cursor: &Cursor) -> Vec<SoftwarePackage> {
        let mut packages = Vec::new();
        for node in cursor.list("packages") {
            let Some(entry) = Cursor::new(node, "SoftwarePackage", &self.findings) else { continue };
            entry.required("package");
            if let Some(package) = entry.string("package") {
                let (version, specs) = (entry.strings("version"), entry.strings("specs"));
                packages.push(SoftwarePackage { package, version, specs });
            }
            entry.finish();
        }
        packages
    }

    fn environment(&self, cursor: &Cursor) -> Vec<(Arc<str>, crate::text::Text)> {
        let mut definitions = Vec::new();
        for node in cursor.list("envDef") {
            let Some(entry) = Cursor::new(node, "EnvironmentDef", &self.findings) else { continue };
            entry.required("envName");
            entry.required("envValue");
            if let (Some(name), Some(value)) = (entry.string("envName"), entry.text("envValue")) {
                definitions.push((name, value));
            }
            entry.finish();
        }
        definitions
    }

    /// `listing`: one expression, or a list of expressions, files, directories, dirents and nulls.
    fn work_dir_entries(&self, cursor: &Cursor) -> Vec<WorkDirEntry> {
        let Some(listing) = cursor.required("listing") else { return Vec::new() };
        let mut entries = Vec::new();
        for node in items(listing) {
            if let Some(text) = text(node) {
                entries.push(WorkDirEntry::Text(text));
                continue;
            }
            let is_dirent = node.as_map().is_some_and(|map| map.get("class").is_none());
            if !is_dirent {
                entries.push(WorkDirEntry::Value(json::from_node(node)));
                continue;
            }
            let Some(entry) = Cursor::new(node, "Dirent", &self.findings) else { continue };
            entry.required("entry");
            if let Some(text) = entry.text("entry") {
                entries.push(WorkDirEntry::Dirent {
                    entry: text,
                    entryname: entry.text("entryname"),
                    writable: entry.flag("writable", false),
                });
            }
            entry.finish();
        }
        entries
    }
}

/// A URI, or a path beside the document, as a URI.
fn located(cursor: &Cursor<'_, '_>, field: &str) -> Option<Arc<str>> {
    let text = cursor.string(field)?;
    Some(if location::is_absolute(&text) {
        text
    } else {
        uri::join(&cursor.place.source.uri, &uri::encode_path(&text)).into()
    })
}
