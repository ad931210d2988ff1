//! The input object: from a file, from options, or from both; options win.

use std::io::Read;
use std::sync::Arc;

use moil_cwl::inherit::Inherited;
use moil_cwl::input_object::{self, InputObject, Reading};
use moil_cwl::load::Loaded;
use moil_cwl::overrides::{self, Override};
use moil_cwl::process::{Common, Process};
use moil_cwl::requirement::Requirement;
use moil_cwl::type_name::type_name;
use moil_cwl::value::{Value, ValueMap};
use moil_cwl::{document, input_options, location};
use moil_engine::graph::{self, Overrides};
use moil_job::failure::{Failure, FailureKind};
use moil_job::secret::SecretStore;
use moil_jobstore::remote::Remote;
use moil_salad::diagnostic::{Diagnostic, has_errors};
use moil_salad::fetch::Fetch;
use moil_salad::reader;
use moil_salad::source::Source;

use crate::argparse::InputWord;
use crate::assemble::workflow_uri;
use crate::definition::{self, Definition, StoredInputs};
use crate::exit_code::ExitCode;
use crate::job_store::JobStore;
use crate::log::Log;
use crate::report;
use crate::settings::Settings;

/// What a run begins with.
#[derive(Debug)]
pub struct Prepared {
    /// The URI of the input file; empty where there was none.
    pub location: String,
    /// The input object as it was given, with placeholders for secrets.
    pub given: StoredInputs,
    /// The values of inputs that were given; placeholders for secrets.
    pub values: ValueMap,
    /// The secrets among them, and those that are found later.
    pub secrets: Arc<SecretStore>,
    /// `cwl:requirements` of the input object.
    pub requirements: Vec<Requirement>,
    /// `--overrides` and `cwltool:overrides`.
    pub overrides: Overrides,
}

/// Why there is no input object.
#[derive(Debug)]
pub struct Refused {
    /// What is wrong.
    pub failure: Failure,
    /// [`ExitCode::USAGE`] where the words of the command line are, as with Toil.
    pub code: ExitCode,
}

impl Refused {
    fn usage(failure: impl Into<Failure>) -> Self {
        Self { failure: failure.into(), code: ExitCode::USAGE }
    }
}

impl<F: Into<Failure>> From<F> for Refused {
    fn from(failure: F) -> Self {
        let failure = failure.into();
        let unsupported = failure.kind == FailureKind::Unsupported;
        Self { failure, code: if unsupported { ExitCode::UNSUPPORTED } else { ExitCode::FAILURE } }
    }
}

/// Checks that all inputs are given that must be.
///
/// # Errors
/// One that names all that are missing.
pub fn check_complete(common: &Common, values: &ValueMap) -> Result<(), Refused> {
    let given = |name: &str| values.get(name).is_some_and(|value| !value.is_null());
    let missing: Vec<String> = common
        .inputs
        .iter()
        .filter(|input| input.default.is_null() && !input.type_.is_optional() && !given(&input.name))
        .map(|input| format!("{} ({})", input.name, type_name(&input.type_)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = if missing.len() == 1 { "an input is missing" } else { "inputs are missing" };
    let failure = Failure::new(FailureKind::BadInput, format!("{what}: {}", missing.join(", ")));
    Err(Refused::usage(failure.with_advice(
        "give an input file after the workflow, or --NAME VALUE; --tool-help before the workflow lists its inputs",
    )))
}

/// What a job store knows of the input object, for a run that goes on where the input file is not.
#[derive(Clone, Copy, Default)]
pub struct Fallback<'a> {
    /// The store.
    pub store: Option<&'a JobStore>,
    /// The definition of the run, where documents are taken from it, too.
    pub definition: Option<&'a Definition>,
}

impl Fallback<'_> {
    /// The input object that is to be taken in the place of an input file; `None` if that is what counts.
    fn inputs(&self, words: &Words, settings: &Settings, log: &Log) -> Result<Option<StoredInputs>, Failure> {
        let stored = match (&words.file, self.definition, self.store) {
            (None, definition, _) => return Ok(definition.map(|definition| definition.inputs.clone())),
            (Some(file), _, Some(store)) if file != "-" => {
                let Some(missing) = definition::is_missing(file, settings) else { return Ok(None) };
                store.definition()?.map(|definition| (missing, definition.inputs))
            }
            _ => None,
        };
        Ok(stored.map(|(missing, inputs)| {
            log.warning(format_args!(
                "{missing} is not on this machine: the inputs are those that the job store keeps"
            ));
            inputs
        }))
    }
}

/// Reads the input object, and checks that its files are there. What stands for secrets depends on `key`, which must be
/// the same for all leaders of a run.
///
/// # Errors
/// What is wrong with it.
pub fn prepare(
    settings: &Settings,
    loaded: &Loaded,
    remote: &Remote,
    key: Option<[u8; 32]>,
    fallback: Fallback<'_>,
    stdin: &mut (dyn Read + Send),
    log: &Log,
) -> Result<Prepared, Refused> {
    let words = Words::sort(&settings.inputs, &loaded.process).map_err(Refused::usage)?;
    let cwd = format!("{}/", location::file_uri(&settings.cwd.to_string_lossy()));
    let stored = fallback.inputs(&words, settings, log)?;
    let mut object = match &stored {
        Some(stored) => stored.object()?,
        None => words.object(settings, loaded, remote, stdin, log)?,
    };
    let (base, location) = match (&stored, &words.file) {
        (Some(stored), _) => (stored.base.clone(), stored.location.clone()),
        (None, Some(file)) if file != "-" => (cwd.clone(), workflow_uri(file, &settings.cwd)),
        (None, _) => (cwd.clone(), String::new()),
    };
    let kept = stored.as_ref().map(|_| object.values.clone()).unwrap_or_default();
    let common = loaded.process.common();
    if let Process::Generator(_) = loaded.process {
        // What a generator does not declare may be for the process that it makes.
        let (own, others): (Vec<_>, Vec<_>) =
            words.options.into_iter().partition(|(name, _)| input_options::is_option(common, name));
        object.values.extend(input_options::parse(common, &own, &cwd).map_err(Refused::usage)?);
        object.values.extend(input_options::untyped(&others).map_err(Refused::usage)?);
    } else {
        object.values.extend(input_options::parse(common, &words.options, &cwd).map_err(Refused::usage)?);
        for sentence in input_object::unknown_inputs(common, &object.values) {
            log.warning(sentence);
        }
    }
    let Demands { requirements, overrides } = demands(&object, &base, settings, loaded, remote, log)?;
    let secrets = secrets(key)?;
    check_known(&kept, &object.values, &secrets)?;
    let inherited = Inherited::root(requirements.clone());
    if let Some(names) = graph::main_effective(&loaded.process, &inherited, &overrides).secrets {
        secrets.hide_inputs(&names, &mut object.values)?;
    }
    for sentence in input_object::unknown_inputs(loaded.process.common(), &object.values) {
        log.warning(sentence);
    }
    let given = StoredInputs::new(location.clone(), base, &object.values, &object);
    let values = input_object::check_files(&object.values, remote)?;
    Ok(Prepared { location, given, values, secrets, requirements, overrides })
}

/// The inputs of a run as its job store keeps them, for whoever looks at it: files may be gone, secrets are.
///
/// # Errors
/// What is kept cannot be used.
pub fn as_stored(
    settings: &Settings,
    loaded: &Loaded,
    remote: &Remote,
    key: [u8; 32],
    stored: &StoredInputs,
    log: &Log,
) -> Result<Prepared, Failure> {
    let object = stored.object()?;
    let Demands { requirements, overrides } =
        demands(&object, &stored.base, settings, loaded, remote, log).map_err(|refused| refused.failure)?;
    let secrets = secrets(Some(key))?;
    secrets.do_without(&Value::map(object.values.clone()));
    let (location, given) = (stored.location.clone(), stored.clone());
    // Which file is missed shows when it is.
    let values = input_object::check_files(&object.values, remote).unwrap_or(object.values);
    Ok(Prepared { location, given, values, secrets, requirements, overrides })
}

/// Checks that of what was kept no value is wanted that was a secret.
fn check_known(kept: &ValueMap, values: &ValueMap, secrets: &SecretStore) -> Result<(), Failure> {
    let is_gone =
        |(name, value): &(&Arc<str>, &Value)| values.get(*name) == Some(value) && !secrets.knows(value);
    let gone: Vec<&str> = kept.iter().filter(is_gone).map(|(name, _)| &**name).collect();
    let Some(first) = gone.first() else { return Ok(()) };
    let what = if gone.len() == 1 { "the value of a secret is" } else { "the values of secrets are" };
    let message = format!("{what} not kept in the job store, and must be given again: {}", gone.join(", "));
    Err(Failure::new(FailureKind::BadInput, message).with_advice(format!(
        "give the workflow and the input file again, or, where the workflow is not on this machine, its name and then \
         --{first} VALUE: what is not given is taken from the job store"
    )))
}

/// What the input object and `--overrides` demand of processes, beside what their documents do.
#[derive(Debug)]
pub struct Demands {
    /// `cwl:requirements` of the input object.
    pub requirements: Vec<Requirement>,
    /// `--overrides` and `cwltool:overrides`.
    pub overrides: Overrides,
}

/// Reads what is demanded beside the document. The files that are inputs need not be there.
///
/// # Errors
/// What is wrong with it.
pub fn read_demands(
    settings: &Settings,
    loaded: &Loaded,
    remote: &Remote,
    stdin: &mut (dyn Read + Send),
    log: &Log,
) -> Result<Demands, Refused> {
    let words = Words::sort(&settings.inputs, &loaded.process).map_err(Refused::usage)?;
    let object = words.object(settings, loaded, remote, stdin, log)?;
    let cwd = format!("{}/", location::file_uri(&settings.cwd.to_string_lossy()));
    demands(&object, &cwd, settings, loaded, remote, log)
}

fn demands(
    object: &InputObject,
    base: &str,
    settings: &Settings,
    loaded: &Loaded,
    remote: &Remote,
    log: &Log,
) -> Result<Demands, Refused> {
    let tool = &loaded.document.main;
    let mut all_overrides = Vec::new();
    if let Some(node) = &object.overrides {
        all_overrides.extend(overrides::from_node(node, tool)?);
    }
    if let Some(path) = &settings.documents.overrides {
        let uri = location::file_uri(&path.to_string_lossy());
        let node = parse(&uri, Fetch::text(remote, &uri), log)?;
        all_overrides.extend(overrides::from_node(&node, tool)?);
    }
    let requirements = document::requirements(&object.requirements, base, remote)
        .map_err(|diagnostics| faults(&diagnostics, log))?;
    let mut overrides = Overrides::new();
    for Override { target, requirements } in all_overrides {
        let requirements = document::requirements(&requirements, &target, remote)
            .map_err(|diagnostics| faults(&diagnostics, log))?;
        overrides.insert(target, requirements);
    }
    Ok(Demands { requirements, overrides })
}

/// A store for the secrets of a run, with that key, or one of its own.
fn secrets(key: Option<[u8; 32]>) -> Result<Arc<SecretStore>, Failure> {
    if let Some(key) = key {
        return Ok(Arc::new(SecretStore::new(&key)));
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| {
        Failure::new(FailureKind::System, "the system gives no random numbers").with_cause(error)
    })?;
    Ok(Arc::new(SecretStore::new(&key)))
}

fn read(
    file: &str,
    settings: &Settings,
    loaded: &Loaded,
    remote: &Remote,
    stdin: &mut (dyn Read + Send),
    log: &Log,
) -> Result<InputObject, Failure> {
    let (uri, text) = if file == "-" {
        let mut text = String::new();
        let read = stdin.read_to_string(&mut text).map(|_| text).map_err(|error| error.to_string());
        (location::file_uri(&settings.cwd.join("stdin").to_string_lossy()), read)
    } else {
        let uri = workflow_uri(file, &settings.cwd);
        let text = Fetch::text(remote, &uri);
        (uri, text)
    };
    let node = parse(&uri, text, log)?;
    let base = match &settings.files.basedir {
        Some(directory) => format!("{}/", location::file_uri(&directory.to_string_lossy())),
        None => uri,
    };
    let reading =
        Reading { base: &base, namespaces: &loaded.document.namespaces, fetch: remote, read: &reader::read };
    Ok(input_object::from_node(&node, &reading)?)
}

fn parse(uri: &str, text: Result<String, String>, log: &Log) -> Result<moil_salad::node::Node, Failure> {
    let text = text.map_err(|reason| {
        let shown = uri.strip_prefix("file://").unwrap_or(uri);
        Failure::new(FailureKind::BadInput, format!("cannot read {shown}")).with_cause(reason)
    })?;
    let source = Arc::new(Source { uri: uri.to_owned(), text });
    let (node, diagnostics) = reader::read(&source);
    match node {
        Some(node) if !has_errors(&diagnostics) => Ok(node),
        _ => Err(faults(&diagnostics, log)),
    }
}

fn faults(diagnostics: &[Diagnostic], log: &Log) -> Failure {
    log.text(&report::diagnostics(diagnostics));
    Failure::new(FailureKind::BadInput, "the input object cannot be used; the faults are listed above")
}

/// The words after the workflow, by what they are.
#[derive(Debug, Default, PartialEq)]
struct Words {
    file: Option<String>,
    options: Vec<(String, Option<String>)>,
}

impl Words {
    /// The input object of the file; options are not in it yet.
    fn object(
        &self,
        settings: &Settings,
        loaded: &Loaded,
        remote: &Remote,
        stdin: &mut (dyn Read + Send),
        log: &Log,
    ) -> Result<InputObject, Failure> {
        match &self.file {
            Some(file) => read(file, settings, loaded, remote, stdin, log),
            None => Ok(InputObject::default()),
        }
    }

    /// A plain word after an option is its value, unless the option's input is a boolean; any other
    /// plain word is the input file, of which there may be one.
    fn sort(words: &[InputWord], process: &Process) -> Result<Self, Failure> {
        let mut sorted = Self::default();
        let mut open = false;
        for word in words {
            match word {
                InputWord::Option { name, value } => {
                    open = value.is_none() && !input_options::is_flag(process.common(), name);
                    sorted.options.push((name.clone(), value.clone()));
                }
                InputWord::Plain(text) => match sorted.options.last_mut().filter(|_| open) {
                    Some((_, value)) => {
                        *value = Some(text.clone());
                        open = false;
                    }
                    None if sorted.file.is_none() => sorted.file = Some(text.clone()),
                    None => {
                        return Err(Failure::new(
                            FailureKind::BadInput,
                            format!("{text} is one word too many: there is an input file already"),
                        )
                        .with_advice(
                            "inputs are given as --name value, options of the runner before the workflow",
                        ));
                    }
                },
            }
        }
        Ok(sorted)
    }
}
