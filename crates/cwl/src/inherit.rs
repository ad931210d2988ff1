//! Requirements in force: own ones, those of the step, and those of the workflows around it.

use std::sync::Arc;

use moil_salad::source::Place;

use crate::parameter::LoadListing;
use crate::process::Version;
use crate::requirement::{
    BoolOrText, CudaRequirement, DockerRequirement, Requirement, RequirementKind, Requirements,
    ResourceRequirement, SoftwarePackage, WorkDirEntry,
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

/// The requirements and hints around a place, from the outside in, and those of the input object,
/// which beat them all.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    layers: Vec<Arc<Requirements>>,
    overriding: Arc<Vec<Requirement>>,
}

impl Inherited {
    /// Outside of everything. `overriding` are the requirements of the input object
    /// (`cwl:requirements`), which beat those of the document.
    pub fn root(overriding: Vec<Requirement>) -> Self {
        Self { layers: Vec::new(), overriding: Arc::new(overriding) }
    }

    /// Inside of a process or step with these requirements.
    #[must_use]
    pub fn enter(&self, requirements: &Requirements) -> Self {
        let mut layers = self.layers.clone();
        if !requirements.required.is_empty() || !requirements.hints.is_empty() {
            layers.push(Arc::new(requirements.clone()));
        }
        Self { layers, overriding: Arc::clone(&self.overriding) }
    }

    /// What is in force here, in a document of this version.
    pub fn effective(&self, version: Version) -> Effective {
        let mut effective = Effective::none(version);
        // Whoever comes later wins: hints from the outside in, then requirements, then the input object.
        for layer in &self.layers {
            layer.hints.iter().for_each(|hint| effective.take(hint, false));
        }
        for layer in &self.layers {
            layer.required.iter().for_each(|requirement| effective.take(requirement, true));
        }
        self.overriding.iter().for_each(|requirement| effective.take(requirement, true));
        effective
    }
}

impl Effective {
    /// Nothing is required.
    pub fn none(version: Version) -> Self {
        Self {
            version,
            javascript: None,
            docker: None,
            software: None,
            initial_work_dir: None,
            environment: None,
            shell: false,
            resources: None,
            work_reuse: None,
            network: None,
            inplace_update: false,
            time_limit: None,
            load_listing: None,
            secrets: None,
            cuda: None,
            mpi: None,
            shm_size: None,
            unknown: Vec::new(),
        }
    }

    fn take(&mut self, requirement: &Requirement, mandatory: bool) {
        match &requirement.kind {
            RequirementKind::InlineJavascript(library) => self.javascript = Some(Arc::clone(library)),
            RequirementKind::Docker(docker) => self.docker = Some((Arc::clone(docker), mandatory)),
            RequirementKind::Software(packages) => self.software = Some(Arc::clone(packages)),
            RequirementKind::InitialWorkDir(listing) => self.initial_work_dir = Some(Arc::clone(listing)),
            RequirementKind::EnvVar(variables) => self.environment = Some(Arc::clone(variables)),
            RequirementKind::ShellCommand => self.shell = true,
            RequirementKind::Resource(resources) => self.resources = Some(Arc::clone(resources)),
            RequirementKind::WorkReuse(reuse) => self.work_reuse = Some(reuse.clone()),
            RequirementKind::NetworkAccess(access) => self.network = Some(access.clone()),
            RequirementKind::InplaceUpdate(update) => self.inplace_update = *update,
            RequirementKind::ToolTimeLimit(limit) => self.time_limit = Some(limit.clone()),
            RequirementKind::LoadListing(listing) => self.load_listing = Some(*listing),
            RequirementKind::Secrets(names) => self.secrets = Some(Arc::clone(names)),
            RequirementKind::Cuda(cuda) => self.cuda = Some(Arc::clone(cuda)),
            RequirementKind::Mpi(processes) => self.mpi = Some(processes.clone()),
            RequirementKind::ShmSize(size) => self.shm_size = Some(size.clone()),
            RequirementKind::Unknown(class) if mandatory => {
                self.unknown.push((requirement.place.clone(), Arc::clone(class)));
            }
            RequirementKind::Unknown(_)
            | RequirementKind::SchemaDef
            | RequirementKind::SubworkflowFeature
            | RequirementKind::ScatterFeature
            | RequirementKind::MultipleInputFeature
            | RequirementKind::StepInputExpression => {}
        }
    }
}
