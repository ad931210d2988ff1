//! Joins the parts for one run: documents, inputs, engine, executor, export.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use moil_cwl::document::LoadOptions;
use moil_cwl::expression::{Limits, Listener};
use moil_cwl::inherit::Inherited;
use moil_cwl::load::{self, Loaded};
use moil_cwl::ontology::LazyOntology;
use moil_cwl::process_inputs::InputOptions;
use moil_cwl::resource_request::Defaults;
use moil_cwl::value::Value;
use moil_engine::admission::Capacity;
use moil_engine::evaluator::{self, Evaluators};
use moil_engine::generator::Load;
use moil_engine::graph::Node;
use moil_engine::journal::Journal;
use moil_engine::leader::{Helpers, Leader, Message, Policy};
use moil_engine::plan::Plan;
use moil_engine::retry::RetryPolicy;
use moil_job::executor::{Executor, Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::secret::SecretStore;
use moil_jobstore::remote::{self, Remote};
use moil_salad::diagnostic::Diagnostic;
use moil_salad::fetch::Fetch;
use moil_salad::reader;
use moil_salad::source::Source;
use moil_worker::config::WorkerConfig;
use moil_worker::downloads::Downloads;
use moil_worker::local::LocalExecutor;
use moil_worker::machine::Machine;
use moil_worker::spawner::Spawner;

use crate::argparse::InputWord;
use crate::audience::{self, Audience};
use crate::cache;
use crate::containers;
use crate::definition::Definition;
use crate::downloader::Downloader;
use crate::elsewhere;
use crate::generated;
use crate::home;
use crate::inputs::Prepared;
use crate::job_store::JobStore;
use crate::keys;
use crate::left_logs::{self, Fetcher};
use crate::log::Log;
use crate::mpi_config;
use crate::settings::{BatchSystem, HandOver, Keep, Settings};
use crate::signals::Signals;
use crate::watched_inputs::WatchedInputs;
use crate::work_directory::WorkDirectory;

/// What is needed from outside to run.
pub struct Surroundings<'a> {
    /// Starts the tools.
    pub spawner: Spawner,
    /// Tells of SIGINT and SIGTERM.
    pub signals: &'a Signals,
    /// Where this program lies.
    pub executable: Option<&'a Path>,
    /// Where people are told.
    pub log: &'a Log,
}

/// How a run ended.
#[derive(Default)]
pub struct Finished {
    /// The output object after export; `None` if the run failed.
    pub outputs: Option<Value>,
    /// Whether something was asked for that moil does not do: exit code 33.
    pub unsupported: bool,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its job store, to be closed when the output object has been handed over.
    pub store: Option<JobStore>,
}

/// The URI of a workflow as people write it: a path or a URL, perhaps with `#name`. A file that is
/// called just so, `#` and all, is meant before anything else.
pub fn workflow_uri(word: &str, cwd: &Path) -> String {
    if remote::is_http(word) || word.starts_with("file:") {
        return word.to_owned();
    }
    let uri = |path: &str| moil_cwl::location::file_uri(&cwd.join(path).to_string_lossy());
    if cwd.join(word).exists() {
        return clean(&uri(word));
    }
    match word.split_once('#') {
        Some((path, fragment)) => format!("{}#{fragment}", clean(&uri(path))),
        None => clean(&uri(word)),
    }
}

/// Without `.` and `..`, so that one file has one name.
fn clean(uri: &str) -> String {
    moil_salad::uri::join("file:///", uri.strip_prefix("file://").unwrap_or(uri))
}

/// The settings with the workflow that an input object names (`cwl:tool`), where the word that should be
/// the workflow is such an input object (CWL v1.2 Workflow §"Executing CWL documents as scripts").
pub fn follow_tool(settings: Settings, remote: &Remote) -> Settings {
    const FIELDS: [&str; 2] = ["cwl:tool", "https://w3id.org/cwl/cwl#tool"];
    let uri = workflow_uri(&settings.workflow, &settings.cwd);
    let text = Fetch::text(remote, &uri).unwrap_or_default();
    if !FIELDS.iter().any(|field| text.contains(field)) {
        return settings;
    }
    let source = Arc::new(Source { uri: uri.clone(), text });
    let (node, _) = reader::read(&source);
    let named = FIELDS.iter().find_map(|field| node.as_ref()?.get(field)?.as_str());
    match named.filter(|_| node.as_ref().is_some_and(|node| node.get("class").is_none())) {
        Some(tool) => {
            let mut inputs = vec![InputWord::Plain(settings.workflow.clone())];
            inputs.extend(settings.inputs.iter().cloned());
            Settings { workflow: moil_salad::uri::join(&uri, tool), inputs, ..settings }
        }
        None => settings,
    }
}

/// Loads the document.
///
/// # Errors
/// All that is wrong with it.
pub fn load_document(settings: &Settings, remote: &Remote) -> Result<Loaded, Vec<Diagnostic>> {
    load::load(&workflow_uri(&settings.workflow, &settings.cwd), remote, load_options(settings))
}

/// How documents are read.
pub fn load_options(settings: &Settings) -> LoadOptions {
    LoadOptions { development: settings.documents.development_versions, lenient: !settings.documents.strict }
}

/// Runs a process on an input object, and brings the outputs to their place.
///
/// # Errors
/// What kept the run from beginning, or its outputs from being brought home.
pub fn run(
    settings: &Settings,
    loaded: &Loaded,
    prepared: Prepared,
    remote: &Arc<Remote>,
    mut store: Option<JobStore>,
    surroundings: &Surroundings<'_>,
) -> Result<Finished, Failure> {
    match lead(settings, loaded, prepared, remote, &mut store, surroundings) {
        Ok(finished) => Ok(Finished { store, ..finished }),
        Err(failure) => Err(match store {
            Some(store) => store.unless_taken(failure),
            None => failure,
        }),
    }
}

/// As [`run`]; the store is closed by whoever calls this, and told of.
fn lead(
    settings: &Settings,
    loaded: &Loaded,
    prepared: Prepared,
    remote: &Arc<Remote>,
    store: &mut Option<JobStore>,
    surroundings: &Surroundings<'_>,
) -> Result<Finished, Failure> {
    // What would keep the results from being brought home is found before days of work, not after.
    if settings.files.hand_over != HandOver::Leave {
        home::check(settings, remote)?;
    }
    let mut audience = Audience::new(settings, surroundings.log)?;
    if let Some(store) = store {
        store.begin();
    }
    let watched = WatchedInputs::new(&prepared.values);
    let work = WorkDirectory::make(settings, store.as_ref().and_then(JobStore::work_directory))?;
    let (sender, receiver) = channel::<Message>();
    let signal: Arc<Mutex<Option<i32>>> = Arc::default();
    let guard = {
        let (sender, signal) = (Mutex::new(sender.clone()), Arc::clone(&signal));
        // On a cluster it is what a leader is told whose node is drained: its pods need not end for that.
        let leaves = settings.batch == BatchSystem::Kubernetes;
        surroundings.signals.handle(move |number| {
            *signal.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
            let message = if leaves && number == libc::SIGTERM { Message::Leave } else { Message::Interrupt };
            // Fails only when the leader is gone, and then there is nothing left to interrupt.
            _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(message);
        })
    };
    if let Some(store) = store {
        let definition = Definition::of(settings, loaded, &prepared, remote);
        let form = elsewhere::form(settings)?;
        let sender = Mutex::new(sender.clone());
        let kill = move || {
            _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(Message::Interrupt);
        };
        store.announce(&definition, form.as_deref(), surroundings.log, kill)?;
    }
    let load = generated::loader(settings, remote, sender.clone());
    let no_thread = |error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error);
    let console = settings.tools.js_console.then(|| console(&sender));
    // What jobs leave in a bucket stays here as well, as long as there is room.
    let room = store.as_ref().map(|_| moil_worker::machine::machine(&work.path).disk / 4);
    let downloads = Arc::new(Downloads::with_room(room.unwrap_or(0)));
    let cache =
        cache::open(settings, loaded, &work.path, remote, store.as_ref(), &downloads, surroundings.log)?;
    let mut evaluation = evaluator_settings(settings, loaded, remote, &prepared.secrets, load);
    evaluation.console.clone_from(&console);
    let logs = match &*store {
        Some(_) => Fetcher::start(settings, remote, surroundings.log).map_err(no_thread)?,
        None => None,
    };
    let exchange = store.as_ref().map(JobStore::exchange);
    evaluation.exchange = exchange.map(|exchange| left_logs::take_from(exchange, logs.as_ref()));
    if let Some(store) = &*store {
        evaluation.keys = Some(Arc::new(keys::keying(settings, store, remote, cache.root.as_deref())));
        if store.is_in_doubt() {
            evaluation.files = Box::new(keys::Hashed(Arc::clone(remote)));
        }
    }
    let keying = evaluation.keys.clone();
    evaluation.cache.clone_from(&cache.cached);
    let evaluators = Evaluators::start(evaluation, &sender)
        .map_err(|error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error))?;
    let journal = match &*store {
        None => None,
        Some(store) => Some(Journal::start(store.journal(), sender.clone()).map_err(no_thread)?),
    };
    let warn: Arc<dyn Fn(String) + Send + Sync> = {
        let sender = Mutex::new(sender.clone());
        Arc::new(move |text| {
            _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(Message::Warning(text));
        })
    };
    let reporter: Reporter = {
        let (sender, logs) = (Mutex::new(sender), logs.clone());
        Arc::new(move |mut report| {
            if let (Report::Finished(_, outcome), Some(logs)) = (&mut report, &logs) {
                logs.take_from(outcome);
            }
            _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(Message::Report(report));
        })
    };
    let mut executor: Box<dyn Executor> = match &*store {
        Some(store) if settings.batch == BatchSystem::Processes => {
            Box::new(elsewhere::processes(settings, store, surroundings.executable, reporter)?)
        }
        Some(store) if settings.batch == BatchSystem::Kubernetes => {
            Box::new(elsewhere::kubernetes(settings, store, reporter, warn)?)
        }
        store => {
            let mut config = worker_config(settings, &work.path, remote, surroundings.spawner.clone())?;
            config.containers = containers::finder(settings, surroundings.log);
            config.console = console;
            config.contents = store.as_ref().map(JobStore::contents);
            config.downloads = Arc::clone(&downloads);
            Box::new(LocalExecutor::new(config, reporter).map_err(|failure| *failure)?)
        }
    };
    let inherited = Inherited::root(prepared.requirements);
    let main = Arc::new(Node::main(&loaded.process, &inherited, prepared.overrides));
    let plan = Plan::new(main, prepared.values);
    let helpers = Helpers {
        evaluators: &evaluators,
        executor: &mut *executor,
        exchange: store.as_ref().map(JobStore::exchange),
        secrets: prepared.secrets,
        journal,
        memo: store.as_ref().map(JobStore::memo).unwrap_or_default(),
        keys: keying,
        cache: cache.cached,
        events: &mut |event| audience.hear(event),
    };
    let end = Leader::new(plan, policy(settings, &work.path), helpers).run(&receiver);
    // What the executor had to say while it was shut down.
    for message in receiver.try_iter() {
        if let Message::Warning(text) = message {
            surroundings.log.warning(text);
        }
    }
    // From here on a signal ends the program at once: there is nobody left to tell.
    drop(guard);
    audience.leave(settings);
    if let Some(logs) = logs {
        logs.finish();
    }
    if let (Some(store), Some(refusal)) = (&*store, &end.refusal)
        && let Some(failure) = store.taken(refusal)
    {
        return Err(failure);
    }
    audience::tell_failures(&end, surroundings.log);
    if let Some(sentence) = watched.changed() {
        surroundings.log.warning(sentence);
    }
    let outputs = match &end.outputs {
        Some(outputs) => {
            let home = home::bring(settings, outputs, &work.path, remote, &downloads, store.as_ref());
            Some(home.map_err(|failure| {
                let (place, work) = (home::place(settings), work.path.display());
                match failure.advice {
                    None => {
                        failure.with_advice(format!("what was not brought to {place} is still in {work}"))
                    }
                    Some(_) => failure,
                }
            })?)
        }
        None => None,
    };
    if let (Some(store), Some(outputs)) = (&*store, &outputs) {
        store.succeeded(settings, outputs)?;
    }
    work.clean(settings, end.failures.is_empty());
    let signal = *signal.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Finished {
        outputs,
        unsupported: end.failures.iter().any(|(_, failure)| failure.kind == FailureKind::Unsupported),
        signal: signal.filter(|_| end.interrupted),
        store: None,
    })
}

/// Hands what expressions write to the leader, so that it comes in its place among the events.
fn console(sender: &Sender<Message>) -> Listener {
    let sender = Mutex::new(sender.clone());
    Arc::new(move |text| {
        _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(Message::Console(text));
    })
}

/// What evaluators are told.
pub(crate) fn evaluator_settings(
    settings: &Settings,
    loaded: &Loaded,
    remote: &Arc<Remote>,
    secrets: &Arc<SecretStore>,
    load: Box<Load>,
) -> evaluator::Settings {
    evaluator::Settings {
        limits: limits(settings),
        console: None,
        files: Box::new(Arc::clone(remote)),
        defaults: defaults(settings),
        inputs: InputOptions {
            ontology: Arc::new(LazyOntology::new(if settings.documents.skip_schemas {
                Vec::new()
            } else {
                loaded.document.schemas.clone()
            })),
            fetch: Arc::clone(remote) as _,
        },
        secrets: Arc::clone(secrets),
        load,
        keys: None,
        exchange: None,
        cache: None,
        loop_limit: u32::try_from(settings.tools.loop_limit).unwrap_or(u32::MAX),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// What a cluster has is its scheduler's affair.
const ANYWHERE: Machine = Machine { cores: f64::MAX, memory: u64::MAX, disk: u64::MAX, gpus: u32::MAX };

/// How many pods there are at a time, if nothing is said of it.
const PODS: usize = 1000;

fn policy(settings: &Settings, work: &Path) -> Policy {
    let resources = &settings.resources;
    let machine = match settings.batch {
        BatchSystem::Kubernetes => ANYWHERE,
        BatchSystem::SingleMachine | BatchSystem::Processes => moil_worker::machine::machine(work),
    };
    let cores = resources.max_cores.map_or(machine.cores, |limit| limit.min(machine.cores));
    let mib = |bytes: u64| bytes >> 20;
    let jobs = match resources.max_jobs {
        Some(0) | None if resources.jobs_as_cores => machine.cores as usize,
        Some(0) | None if settings.batch == BatchSystem::Kubernetes => PODS,
        Some(0) | None => usize::MAX,
        Some(jobs) => usize::try_from(jobs).unwrap_or(usize::MAX),
    };
    Policy {
        capacity: Capacity {
            // `--scale` multiplies what jobs ask for; the same ratio is had by dividing what there is.
            cores: cores / if resources.scale > 0.0 { resources.scale } else { 1.0 },
            ram_mib: mib(resources.max_memory.map_or(machine.memory, |limit| limit.min(machine.memory))),
            disk_mib: mib(resources.max_disk.map_or(machine.disk, |limit| limit.min(machine.disk))),
            gpus: machine.gpus,
            jobs,
        },
        retry: RetryPolicy {
            count: settings.retries.count,
            losses: 5,
            backoff: settings.retries.backoff,
            factor: settings.retries.backoff_factor,
            double_memory: settings.retries.double_memory,
        },
        stop_on_first_failure: settings.retries.stop_on_first_failure,
    }
}

/// What a job gets where its document does not say.
pub fn defaults(settings: &Settings) -> Defaults {
    let resources = &settings.resources;
    let mib = |bytes: u64| bytes >> 20;
    let standard = Defaults::default();
    let ram_mib = if resources.cwl_default_ram { standard.ram_mib } else { mib(resources.default_memory) };
    Defaults {
        cores: resources.default_cores,
        ram_mib: ram_mib.max(resources.cwl_min_ram.map_or(0, mib)),
        ..standard
    }
}

/// Limits of evaluations.
pub fn limits(settings: &Settings) -> Limits {
    Limits { time: settings.tools.eval_timeout, ..Limits::default() }
}

/// How attempts are run, as far as settings say it.
///
/// # Errors
/// A file that they name cannot be read.
pub fn worker_config(
    settings: &Settings,
    work: &Path,
    remote: &Arc<Remote>,
    spawner: Spawner,
) -> Result<WorkerConfig, Failure> {
    let mut config = WorkerConfig::new(spawner, work.join("jobs"));
    config.host_environment.clone_from(&settings.tools.environment);
    config.limits = limits(settings);
    config.checksums = settings.files.checksums;
    config.leave_tmpdir = settings.files.keep_temporary;
    config.live_output = settings.log.real_time;
    config.max_duration = settings.resources.max_time;
    if let Some(path) = &settings.tools.mpi_config {
        config.mpi = mpi_config::read(path, &settings.environment)?;
    }
    config.max_log_size = match settings.log.keep {
        Keep::End(bytes) => Some(bytes),
        // The worker keeps ends; beginnings are kept whole.
        Keep::All | Keep::Beginning(_) => None,
    };
    config.kept_logs = left_logs::kept(settings);
    config.left_logs = settings.log.left;
    config.tmp_root =
        (settings.files.tmpdir != settings.files.tmp_outdir).then(|| settings.files.tmpdir.dir.clone());
    config.download = Some(Arc::new(Downloader(Arc::clone(remote))));
    Ok(config)
}
