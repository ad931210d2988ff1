//! Requirements and hints.

use std::ops::Not;
use std::sync::Arc;

use moil_salad::source::Place;
use serde::{Deserialize, Serialize};

use crate::parameter::LoadListing;
use crate::text::{NumberOrText, Text};

/// The requirements and hints of one process or step, as written there.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// `requirements`.
    pub required: Vec<Requirement>,
    /// `hints`; unknown ones were dropped with a warning.
    pub hints: Vec<Requirement>,
}

/// One requirement or hint, with its place.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// Where it stands.
    pub place: Place,
    /// Which one it is.
    pub kind: RequirementKind,
}

/// All requirements that moil knows. Types of SchemaDefRequirement are resolved while
/// loading; StepInputExpression, Scatter, Subworkflow and MultipleInput only have to be checked for.
#[derive(Clone, Debug)]
pub enum RequirementKind {
    /// `InlineJavascriptRequirement`: the texts of `expressionLib`.
    InlineJavascript(Arc<Vec<Text>>),
    /// `SchemaDefRequirement`: already resolved.
    SchemaDef,
    /// `DockerRequirement`.
    Docker(Arc<DockerRequirement>),
    /// `SoftwareRequirement`.
    Software(Arc<Vec<SoftwarePackage>>),
    /// `InitialWorkDirRequirement`.
    InitialWorkDir(Arc<Vec<WorkDirEntry>>),
    /// `EnvVarRequirement`: names and values.
    EnvVar(Arc<Vec<(Arc<str>, Text)>>),
    /// `ShellCommandRequirement`.
    ShellCommand,
    /// `ResourceRequirement`.
    Resource(Arc<ResourceRequirement>),
    /// `WorkReuse`.
    WorkReuse(BoolOrText),
    /// `NetworkAccess`.
    NetworkAccess(BoolOrText),
    /// `InplaceUpdateRequirement`.
    InplaceUpdate(bool),
    /// `ToolTimeLimit`, in seconds.
    ToolTimeLimit(NumberOrText),
    /// `LoadListingRequirement`.
    LoadListing(LoadListing),
    /// `SubworkflowFeatureRequirement`.
    SubworkflowFeature,
    /// `ScatterFeatureRequirement`.
    ScatterFeature,
    /// `MultipleInputFeatureRequirement`.
    MultipleInputFeature,
    /// `StepInputExpressionRequirement`.
    StepInputExpression,
    /// `cwltool:Secrets`: names of inputs.
    Secrets(Arc<Vec<Arc<str>>>),
    /// `cwltool:CUDARequirement`.
    Cuda(Arc<CudaRequirement>),
    /// `cwltool:MPIRequirement`: the number of processes.
    Mpi(NumberOrText),
    /// `cwltool:ShmSize`, such as `64m`.
    ShmSize(Text),
    /// `UsePreemptible` of Arvados: whether the job may run on nodes that can be taken away.
    UsePreemptible(bool),
    /// A requirement that moil does not know: refused with 33 where the process would have to run.
    Unknown(Arc<str>),
    /// A requirement that was refused, and may be any. Never in a process that runs.
    Faulty,
}

/// A boolean or an expression that gives one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BoolOrText {
    /// A constant.
    Bool(bool),
    /// To be evaluated.
    Text(Text),
}

/// `DockerRequirement`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerRequirement {
    /// `dockerPull`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<Arc<str>>,
    /// `dockerLoad`, as a URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Arc<str>>,
    /// `dockerFile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// `dockerImport`, as a URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<Arc<str>>,
    /// `dockerImageId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<Arc<str>>,
    /// `dockerOutputDirectory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_directory: Option<Arc<str>>,
}

/// A package of `SoftwareRequirement`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SoftwarePackage {
    /// `package`.
    pub package: Arc<str>,
    /// `version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub version: Vec<Arc<str>>,
    /// `specs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub specs: Vec<Arc<str>>,
}

/// An entry of `InitialWorkDirRequirement.listing`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WorkDirEntry {
    /// `Dirent`.
    Dirent {
        /// `entry`.
        entry: Text,
        /// `entryname`.
        #[serde(skip_serializing_if = "Option::is_none")]
        entryname: Option<Text>,
        /// `writable`.
        #[serde(default, skip_serializing_if = "Not::not")]
        writable: bool,
    },
    /// An expression that gives files, directories, dirents, lists of them or null. When the whole
    /// `listing` is one expression, it is the only entry.
    Text(Text),
    /// A File or Directory written out, or null.
    Value(crate::value::Value),
}

/// `ResourceRequirement`. Sizes are in mebibytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRequirement {
    /// `coresMin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores_min: Option<NumberOrText>,
    /// `coresMax`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores_max: Option<NumberOrText>,
    /// `ramMin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_min: Option<NumberOrText>,
    /// `ramMax`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_max: Option<NumberOrText>,
    /// `tmpdirMin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpdir_min: Option<NumberOrText>,
    /// `tmpdirMax`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpdir_max: Option<NumberOrText>,
    /// `outdirMin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outdir_min: Option<NumberOrText>,
    /// `outdirMax`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outdir_max: Option<NumberOrText>,
}

/// `cwltool:CUDARequirement`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CudaRequirement {
    /// `cudaVersionMin`.
    pub version_min: Arc<str>,
    /// `cudaComputeCapability`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compute_capability: Vec<Arc<str>>,
    /// `cudaDeviceCountMin`.
    pub device_count_min: NumberOrText,
    /// `cudaDeviceCountMax`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_count_max: Option<NumberOrText>,
}
