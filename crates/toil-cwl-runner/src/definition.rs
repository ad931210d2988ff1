//! The definition of a run, as its job store keeps it: all that another machine needs to lead the run on.
//!
//! It has the texts of the documents as they were read, the input object with absolute locations, and the options that
//! decide what comes out ([`KEPT`]). Not in it are the values of secrets and of variables, and files.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use moil_cwl::input_object::InputObject;
use moil_cwl::load::Loaded;
use moil_cwl::requirement::{Requirement, RequirementKind};
use moil_cwl::secret_inputs::secret_inputs;
use moil_cwl::value::{Value, ValueMap};
use moil_cwl::{location, pack};
use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::remote::Remote;
use moil_salad::fetch::Fetch;
use moil_salad::node::Node;
use moil_salad::source::Source;
use moil_salad::{reader, uri};
use serde::{Deserialize, Serialize};

use crate::assemble::workflow_uri;
use crate::given::{Given, Layer};
use crate::inputs::Prepared;
use crate::options;
use crate::settings::{Action, Restart, Settings};

/// Changes with every change that an older program would not understand.
const VERSION: u32 = 1;

/// The options that decide what comes out, by their keys: they hold for whoever goes on with the run, unless they are
/// given anew.
pub const KEPT: &[&str] = &[
    "--strict",
    "--enable-dev",
    "--enable-ext",
    "--relax-path-checks",
    "--skip-schemas",
    "--overrides",
    "--target",
    "--single-step",
    "--single-process",
    "--compute-checksum",
    "--preserve-environment",
    "--preserve-entire-environment",
    "--eval-timeout",
    "--cwl-loop-iteration-limit",
    "--singularity",
    "--default-container",
    "--custom-net",
    "--no-match-user",
    "--no-read-only",
    "--defaultCores",
    "--defaultMemory",
    "--defaultDisk",
    "--cwl-default-ram",
    "--cwl-min-ram",
];

/// The definition of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    version: u32,
    /// The URI of the process, perhaps with a fragment.
    process: String,
    /// The texts of documents by URI; `None` where a secret stands in one.
    texts: BTreeMap<String, Option<String>>,
    /// The input object.
    pub inputs: StoredInputs,
    /// Options by their keys, with their values.
    options: Vec<(String, String)>,
    /// The names of the variables of `--setEnv`.
    variables: Vec<String>,
    /// Whether `--mpi-config-file` was given.
    mpi: bool,
}

/// An input object, with placeholders for what is secret or becomes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredInputs {
    /// The URI of the input file; empty where there was none.
    pub location: String,
    /// The URI that references in `requirements` are relative to.
    pub base: String,
    /// The values, before files were looked at.
    values: Value,
    /// `cwl:requirements`, each as JSON.
    requirements: Vec<String>,
    /// `cwltool:overrides`, as JSON.
    overrides: Option<String>,
}

impl StoredInputs {
    /// The input object with these values, which secrets are no longer in.
    pub fn new(location: String, base: String, values: &ValueMap, object: &InputObject) -> Self {
        Self {
            location,
            base,
            values: Value::map(values.clone()),
            requirements: object.requirements.iter().map(pack::node_text).collect(),
            overrides: object.overrides.as_ref().map(pack::node_text),
        }
    }

    /// As it was read.
    ///
    /// # Errors
    /// What is kept is damaged.
    pub fn object(&self) -> Result<InputObject, Failure> {
        let node = |text: &String| -> Result<Node, Failure> {
            let source = Source { uri: self.location.clone(), text: text.clone() };
            reader::read(&Arc::new(source)).0.ok_or_else(|| unreadable("a part of the input object is empty"))
        };
        Ok(InputObject {
            values: self.values.as_map().cloned().unwrap_or_default(),
            requirements: self.requirements.iter().map(node).collect::<Result<_, _>>()?,
            overrides: self.overrides.as_ref().map(node).transpose()?,
            ..InputObject::default()
        })
    }
}

fn unreadable(cause: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::System, "the definition of the run in the job store cannot be read")
        .with_cause(cause)
}

/// Why what the job store keeps is wanted in the place of the workflow's documents; `None` if it is not.
pub fn why_needed(settings: &Settings) -> Option<String> {
    let goes_on = settings.store.restart != Restart::No && settings.store.locator.is_some();
    if settings.action != Action::Run || !goes_on {
        return None;
    }
    if settings.workflow.is_empty() {
        return Some("no workflow is given".to_owned());
    }
    is_missing(&settings.workflow, settings).map(|path| format!("{path} is not on this machine"))
}

/// The path of a document, as it is given on the command line, if it is one of this machine and not there.
pub fn is_missing(word: &str, settings: &Settings) -> Option<String> {
    let uri = workflow_uri(word, &settings.cwd);
    let path = location::file_path(uri::split_fragment(&uri).0)?;
    (!std::path::Path::new(&path).exists()).then_some(path)
}

impl Definition {
    /// The definition of a run that is about to begin or go on.
    pub fn of(settings: &Settings, loaded: &Loaded, prepared: &Prepared, remote: &Remote) -> Self {
        let secrets = secret_inputs(&loaded.process);
        let mut inputs = prepared.given.clone();
        let mut values = inputs.values.as_map().cloned().unwrap_or_default();
        // Where that is said of a step from outside, it is not known what leads to it.
        let is_secrets = |requirement: &Requirement| matches!(requirement.kind, RequirementKind::Secrets(_));
        let all = prepared.overrides.values().flatten().any(is_secrets);
        for (_, value) in values.iter_mut().filter(|(name, _)| all || secrets.names.contains(*name)) {
            *value = prepared.secrets.hide_texts(value);
        }
        inputs.values = Value::map(values);
        let hidden: Vec<Value> =
            secrets.defaults.iter().map(|default| prepared.secrets.hide_texts(default)).collect();
        let tools = &settings.tools;
        Self {
            version: VERSION,
            process: workflow_uri(&settings.workflow, &settings.cwd),
            texts: without_secrets(texts(settings, loaded, remote), prepared, &Value::list(hidden)),
            inputs,
            options: settings.kept.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
            variables: tools.set.iter().map(|(name, _)| name.clone()).collect(),
            mpi: tools.mpi_config.is_some(),
        }
    }

    /// As it is stored.
    pub fn write(&self) -> Vec<u8> {
        // Structs with texts and values can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// It is not what this version writes.
    pub fn read(bytes: &[u8]) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if version > VERSION {
            let cause = format!("it is of a newer moil (form {version}; this one reads {VERSION})");
            return Err(unreadable(cause).with_advice("go on with that program, or give the documents again"));
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    /// The URI of the process.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// The texts of the documents, for [`Remote::with_texts`].
    pub fn texts(&self) -> HashMap<String, Result<String, String>> {
        let text = |text: &Option<String>| {
            text.clone().ok_or_else(|| {
                "it is not kept in the job store, since a secret stands in it (the default of an input that \
                 cwltool:Secrets names): give the documents again"
                    .to_owned()
            })
        };
        self.texts.iter().map(|(uri, kept)| (uri.clone(), text(kept))).collect()
    }

    /// The options, as the weakest layer.
    pub fn options(&self) -> Vec<Given> {
        let given = |(key, value): &(String, String)| {
            let option = options::all().find(|option| option.key == key)?;
            Some(Given { option, spelled: key.clone(), value: value.clone(), layer: Layer::Store })
        };
        self.options.iter().filter_map(given).collect()
    }

    /// What the run was begun with, is not kept, and was not given again; in one sentence each.
    pub fn lacks(&self, settings: &Settings) -> Vec<String> {
        let set = &settings.tools.set;
        let gone = self.variables.iter().filter(|name| set.iter().all(|(given, _)| given != *name));
        let gone = gone.map(|name| format!("--setEnv {name}"));
        let mpi = self.mpi && settings.tools.mpi_config.is_none();
        gone.chain(mpi.then(|| "--mpi-config-file".to_owned()))
            .map(|option| {
                format!("the run was begun with {option}, which is not kept in the job store: without it jobs run again")
            })
            .collect()
    }
}

/// All texts that were read, and ontologies that may be.
fn texts(settings: &Settings, loaded: &Loaded, remote: &Remote) -> BTreeMap<String, String> {
    let read = loaded.document.sources.iter().map(|(uri, _)| uri.clone());
    // Those on servers are as far from every machine, and some are large.
    let schemas = loaded.document.schemas.iter().filter(|uri| uri.starts_with("file:")).cloned();
    let schemas = schemas.filter(|_| !settings.documents.skip_schemas);
    let overrides = settings.documents.overrides.iter();
    let overrides = overrides.map(|path| location::file_uri(&path.to_string_lossy()));
    read.chain(schemas)
        .chain(overrides)
        // What cannot be read was not needed.
        .filter_map(|uri| Some((Fetch::text(remote, &uri).ok()?, uri)))
        .map(|(text, uri)| (uri, text))
        .collect()
}

/// Leaves out the texts that secrets stand in. `hidden` mentions them.
fn without_secrets(
    texts: BTreeMap<String, String>,
    prepared: &Prepared,
    hidden: &Value,
) -> BTreeMap<String, Option<String>> {
    let secrets = prepared.secrets.mentioned(hidden);
    let holds = |text: &String| secrets.iter().any(|(_, secret)| text.contains(secret));
    // One that is written in another way than it reads may be in any of them.
    let is_somewhere = |secret: &str| texts.values().any(|text| text.contains(secret));
    let lost = secrets.iter().any(|(_, secret)| !is_somewhere(secret));
    let is_fit: Vec<bool> = texts.values().map(|text| !lost && !holds(text)).collect();
    texts.into_iter().zip(is_fit).map(|((uri, text), is_fit)| (uri, is_fit.then_some(text))).collect()
}
