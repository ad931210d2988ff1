//! Requirements in force: own ones, those of the step, and those of the workflows around it.

use std::sync::Arc;

use moil_salad::source::Place;

use crate::parameter::LoadListing;
use crate::process::Version;
use crate::requirement::{
    BoolOrText, CudaRequirement, DockerRequirement, ResourceRequirement, SoftwarePackage, WorkDirEntry,
};
use crate::text::{NumberOrText, Text};

/// The requirements in force for a process or a step. A requirement beats a hint even from
/// further out; among equals the inner one wins, as a whole (CWL v1.2 Workflow §"Requirements
/// and hints").
#[derive(Clone, Debug)]
pub struct Effective {
    /// The version of the document that the process stands in.
    pub version: Version,
    /// `expressionLib`, where InlineJavascriptRequirement is in force.
    pub javascript: Option<Arc<Vec<Text>>>,
    /// DockerRequirement, and whether it is a requirement rather than a hint.
    pub docker: Option<(Arc<DockerRequirement>, bool)>,
    /// SoftwareRequirement.
    pub software: Option<Arc<Vec<SoftwarePackage>>>,
    /// InitialWorkDirRequirement.
    pub initial_work_dir: Option<Arc<Vec<WorkDirEntry>>>,
    /// EnvVarRequirement.
    pub environment: Option<Arc<Vec<(Arc<str>, Text)>>>,
    /// ShellCommandRequirement.
    pub shell: bool,
    /// ResourceRequirement.
    pub resources: Option<Arc<ResourceRequirement>>,
    /// WorkReuse.
    pub work_reuse: Option<BoolOrText>,
    /// NetworkAccess; where `None`, v1.0 documents have the network and later ones have not.
    pub network: Option<BoolOrText>,
    /// InplaceUpdateRequirement.
    pub inplace_update: bool,
    /// ToolTimeLimit.
    pub time_limit: Option<NumberOrText>,
    /// LoadListingRequirement.
    pub load_listing: Option<LoadListing>,
    /// `cwltool:Secrets`.
    pub secrets: Option<Arc<Vec<Arc<str>>>>,
    /// `cwltool:CUDARequirement`.
    pub cuda: Option<Arc<CudaRequirement>>,
    /// `cwltool:MPIRequirement`.
    pub mpi: Option<NumberOrText>,
    /// `cwltool:ShmSize`.
    pub shm_size: Option<Text>,
    /// Requirements (not hints) that moil does not know, with their places.
    pub unknown: Vec<(Place, Arc<str>)>,
}
