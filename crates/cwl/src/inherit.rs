//! Requirements in force: own ones, those of the step, and those of the workflows around it.

use std::ops::Not;
use std::sync::Arc;

use moil_salad::source::Place;
use serde::{Deserialize, Serialize};

use crate::parameter::LoadListing;
use crate::process::Version;
use crate::requirement::{
    BoolOrText, CudaRequirement, DockerRequirement, Requirement, RequirementKind, Requirements,
    ResourceRequirement, SoftwarePackage, WorkDirEntry,
};
use crate::text::{NumberOrText, Text};

/// Environment variables: names and values.
pub type Variables = Vec<(Arc<str>, Text)>;

/// The requirements in force for a process or a step. A requirement beats a hint even from
/// further out; among equals the inner one wins, as a whole (CWL v1.2 Workflow §"Requirements
/// and hints").
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// The version of the document that the process stands in.
    pub version: Version,
    /// `expressionLib`, where InlineJavascriptRequirement is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub javascript: Option<Arc<Vec<Text>>>,
    /// DockerRequirement, and whether it is a requirement rather than a hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<(Arc<DockerRequirement>, bool)>,
    /// SoftwareRequirement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<Arc<Vec<SoftwarePackage>>>,
    /// InitialWorkDirRequirement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_work_dir: Option<Arc<Vec<WorkDirEntry>>>,
    /// EnvVarRequirement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Arc<Variables>>,
    /// ShellCommandRequirement.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub shell: bool,
    /// ResourceRequirement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Arc<ResourceRequirement>>,
    /// WorkReuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_reuse: Option<BoolOrText>,
    /// NetworkAccess; where `None`, v1.0 documents have the network and later ones have not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<BoolOrText>,
    /// InplaceUpdateRequirement.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub inplace_update: bool,
    /// ToolTimeLimit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<NumberOrText>,
    /// LoadListingRequirement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_listing: Option<LoadListing>,
    /// `cwltool:Secrets` of the process or step itself: it names inputs, so it is not inherited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Arc<Vec<Arc<str>>>>,
    /// `cwltool:CUDARequirement`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda: Option<Arc<CudaRequirement>>,
    /// `cwltool:MPIRequirement`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mpi: Option<NumberOrText>,
    /// `cwltool:ShmSize`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Text>,
    /// `UsePreemptible` of Arvados.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preemptible: Option<bool>,
    /// Requirements (not hints) that moil does not know, with their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<(Place, Arc<str>)>,
}

/// Requirements on the way from the outermost process inwards: `enter` each workflow, each step and
/// each process in turn.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    required: Arc<Vec<Requirement>>,
    hints: Arc<Vec<Requirement>>,
    /// `cwl:requirements` of the input object, until the first process is entered.
    pending: Arc<Vec<Requirement>>,
}

impl Inherited {
    /// Nothing but what the input object says in `cwl:requirements`. It counts as if it stood in the
    /// process that is entered first, in place of what stands there (CWL v1.2 §"Requirements and hints").
    pub fn root(input_object: Vec<Requirement>) -> Self {
        Self { pending: Arc::new(input_object), ..Self::default() }
    }

    /// The same, with requirements that count in place of those of what is entered next (`--overrides`).
    #[must_use]
    pub fn overriding(&self, requirements: &[Requirement]) -> Self {
        let mut pending = self.pending.as_ref().clone();
        pending.extend_from_slice(requirements);
        Self { pending: Arc::new(pending), ..self.clone() }
    }

    /// What is in force inside something that has requirements of its own.
    #[must_use]
    pub fn enter(&self, own: &Requirements) -> Self {
        let nothing_to_add = own.required.is_empty() && own.hints.is_empty() && self.pending.is_empty();
        if nothing_to_add && !self.has(is_secrets) {
            return self.clone();
        }
        let mut required = inheritable(&self.required);
        for requirement in own.required.iter().chain(self.pending.iter()) {
            add(&mut required, requirement);
        }
        let mut hints = inheritable(&self.hints);
        for hint in &own.hints {
            add(&mut hints, hint);
        }
        Self { required: Arc::new(required), hints: Arc::new(hints), pending: Arc::default() }
    }

    /// What that comes to for a process or step of a document of this version.
    pub fn effective(&self, version: Version) -> Effective {
        let mut effective = Effective::none(version);
        for hint in self.hints.iter() {
            effective.apply(hint, false);
        }
        for requirement in self.required.iter() {
            effective.apply(requirement, true);
        }
        effective
    }

    /// Whether a requirement or hint of the kind is in force.
    pub fn has(&self, is_kind: impl Fn(&RequirementKind) -> bool) -> bool {
        self.required.iter().chain(self.hints.iter()).any(|requirement| is_kind(&requirement.kind))
    }
}

fn is_secrets(kind: &RequirementKind) -> bool {
    matches!(kind, RequirementKind::Secrets(_))
}

/// What holds further in. Secrets are inputs of one process; another may have an input of the same name.
fn inheritable(outer: &[Requirement]) -> Vec<Requirement> {
    outer.iter().filter(|requirement| !is_secrets(&requirement.kind)).cloned().collect()
}

/// Puts a requirement in the place of one of the same class. Of the unknown ones all are kept, each class once.
fn add(list: &mut Vec<Requirement>, new: &Requirement) {
    let same = |old: &Requirement| match (&old.kind, &new.kind) {
        (RequirementKind::Unknown(a), RequirementKind::Unknown(b)) => a == b,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    };
    match list.iter_mut().find(|old| same(old)) {
        Some(old) => *old = new.clone(),
        None => list.push(new.clone()),
    }
}

impl Effective {
    /// No requirements at all.
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
            preemptible: None,
            unknown: Vec::new(),
        }
    }

    /// What a chain of requirements comes to, the outermost first.
    pub fn of(chain: &[&Requirements], version: Version) -> Self {
        chain.iter().fold(Inherited::default(), |inherited, own| inherited.enter(own)).effective(version)
    }

    fn apply(&mut self, requirement: &Requirement, is_required: bool) {
        match &requirement.kind {
            RequirementKind::InlineJavascript(library) => self.javascript = Some(Arc::clone(library)),
            RequirementKind::Docker(docker) => self.docker = Some((Arc::clone(docker), is_required)),
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
            RequirementKind::UsePreemptible(preemptible) => self.preemptible = Some(*preemptible),
            RequirementKind::Unknown(class) => {
                self.unknown.push((requirement.place.clone(), Arc::clone(class)));
            }
            // It may be the one that allows JavaScript.
            RequirementKind::Faulty => _ = self.javascript.get_or_insert_default(),
            RequirementKind::SchemaDef
            | RequirementKind::SubworkflowFeature
            | RequirementKind::ScatterFeature
            | RequirementKind::MultipleInputFeature
            | RequirementKind::StepInputExpression => {}
        }
    }
}

#[cfg(test)]
mod tests;
