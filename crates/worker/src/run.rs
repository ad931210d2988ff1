//! One attempt at a job: stage → check → run → collect → publish, each stage its own module, each cancellable.

mod by_hand;
mod kept;

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moil_container::invocation::Bind;
use moil_cwl::command_line::Word;
use moil_cwl::expression::{Context, Evaluator};
use moil_cwl::inherit::Effective;
use moil_cwl::process::{CommandLineTool, ExitClass};
use moil_cwl::requirement::WorkDirEntry;
use moil_cwl::resource_request::{Gpus, ResourceRequest, runtime};
use moil_cwl::staging::{Staging, StagingEntry};
use moil_cwl::value::{Value, ValueMap};
use moil_cwl::{command_line, initial_work_dir, limits, load_contents, shell, staging, streams};
use moil_job::contents::Contents;
use moil_job::executor::{Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::resources::Resources;
use moil_job::result::{JobResult, Outcome};
use moil_job::spec::{Attempt, Job};

use crate::attempt_dir::AttemptDir;
use crate::cancel::Cancel;
use crate::config::WorkerConfig;
use crate::container::{self, Container, EngineCommand, Inside};
use crate::files::LocalFiles;
use crate::in_place::{self, Private};
use crate::place::Place;
use crate::process::{self, Beside, End, StreamPaths, boxed};
use crate::secrets::Masks;
use crate::spare::Spare;
use crate::spawner::{Command, Exit};
use crate::stage::{Stager, check_sources};
use crate::system::Result;
use crate::{docker, engine_failure, image, machine, scratch, summary, usage};

pub use by_hand::{ByHand, lay_out};

/// Runs an attempt to its end. Never panics by intent, never leaves a process behind.
pub fn run(
    attempt: &Attempt,
    config: &WorkerConfig,
    evaluator: &Evaluator,
    spare: &Spare,
    cancel: &Cancel,
    reporter: &Reporter,
) -> Outcome {
    let masks = Masks::of(&attempt.secrets);
    let job = &attempt.job;
    let run = Run { attempt, job, config, evaluator, spare, cancel, reporter, masks: &masks, by_hand: false };
    match run.whole() {
        Ok(result) => Outcome::Done(result),
        // Whatever a cancelled step says of its end.
        Err(_) if cancel.is_cancelled() => Outcome::Failed(Box::new(Cancel::failure())),
        Err(mut failure) => {
            masks.hide_in(&mut failure);
            Outcome::Failed(failure)
        }
    }
}

struct Run<'a> {
    attempt: &'a Attempt,
    job: &'a Job,
    config: &'a WorkerConfig,
    evaluator: &'a Evaluator,
    spare: &'a Spare,
    cancel: &'a Cancel,
    reporter: &'a Reporter,
    masks: &'a Masks<'a>,
    /// The tool is to be run by somebody else, later: nothing that is put in place leads to what is not.
    by_hand: bool,
}

/// A job whose inputs are in place.
struct Prepared {
    /// The input object as expressions see it.
    inputs: Value,
    /// `runtime`, without an exit code.
    runtime: Value,
    /// All that was put in place.
    staged: Vec<StagingEntry>,
    /// What it changes in place and was copied for that.
    privates: Vec<Private>,
    /// Where the tool sees it.
    place: Place,
    /// The tool's container; as long as it is there, so is its image.
    container: Option<Container>,
    command: Command,
    /// For people.
    shown: String,
    limit: Option<Duration>,
    /// The streams that are logs, not output files.
    logs: Vec<PathBuf>,
}

/// What was put in place.
struct Staged {
    /// The input object with final paths.
    inputs: Value,
    entries: Vec<StagingEntry>,
    privates: Vec<Private>,
    /// What is to be mounted in a container.
    binds: Vec<Bind>,
}

impl Run<'_> {
    fn tool(&self) -> &CommandLineTool {
        &self.job.tool.tool
    }

    fn effective(&self) -> &Effective {
        &self.job.tool.effective
    }

    fn context<'a>(&'a self, inputs: &'a Value, runtime: &'a Value) -> Context<'a> {
        Context {
            evaluator: self.evaluator,
            inputs,
            runtime,
            javascript: self.effective().javascript.as_ref(),
            version: self.effective().version,
        }
    }

    fn whole(&self) -> Result<JobResult> {
        self.cancel.check()?;
        let dirs = AttemptDir::create(self.config, self.attempt, self.spare)?;
        let prepared = match self.prepare(&dirs) {
            Ok(prepared) => prepared,
            Err(failure) => {
                // No tool ran: there is nothing to look at, and there may be secrets in files.
                if !self.config.leave_tmpdir || !self.attempt.secrets.is_empty() {
                    scratch::remove(&dirs.tmp);
                    scratch::remove(&dirs.root);
                }
                return Err(failure);
            }
        };
        let mut result = self.execute(&dirs, &prepared);
        self.clean_up(&dirs, &prepared, &mut result)?;
        let result = result.and_then(|result| self.keep(&prepared, result));
        // In a store that is a directory it is where outputs and logs stay.
        let is_kept = self.config.contents.as_ref().is_none_or(|contents| contents.root().is_some());
        if self.config.apart.is_some() && !is_kept && !self.config.leave_tmpdir {
            scratch::remove(&dirs.root);
        }
        result
    }

    fn prepare(&self, dirs: &AttemptDir) -> Result<Prepared> {
        let loaded = self.load(&self.config.localise(&self.job.inputs, self.cancel)?)?;
        let chosen = container::choose(self.effective(), self.config.containers.as_deref());
        let place = match &chosen {
            Ok(Some(_)) => Place::container(dirs, container::output_directory(self.effective())),
            _ => Place::host(dirs)?,
        };
        let runtime = runtime(&request(&self.job.requested, self.effective()), &place.out, &place.tmp);
        let staging = staging::stage_inputs(&loaded, &place.inputs).map_err(boxed)?;
        check_sources(&staging.entries)?;
        // Whoever has to correct the inputs should not have to wait for an image first.
        let chosen = chosen?;
        image::check(self.effective(), self.config)?;
        let tell = |text| (self.reporter)(Report::Note(self.attempt.id.clone(), text));
        let container = chosen.map(|chosen| chosen.fetch(self.config, self.cancel, &tell)).transpose()?;

        let Staged { inputs, entries: staged, privates, binds } = self.stage(staging, &runtime, &place)?;
        let context = self.context(&inputs, &runtime);
        let mut words = command_line::words(self.tool(), &context).map_err(boxed)?;
        let mpi = process::mpi_prefix(self.config, self.effective(), &context)?;
        let variables =
            process::environment(self.config, &place, self.effective(), &context, !mpi.is_empty())?;
        let environment = self.reveal_in(variables);
        let argv = |words: Vec<Word>| shell::argv(words, self.effective().shell);
        let shown: Vec<String> = mpi.iter().cloned().chain(argv(words.clone())).collect();
        let shown = summary::command(&shown);
        // Before the words are quoted, so that no value can break out of its quotes.
        for word in &mut words {
            if let Cow::Owned(revealed) = self.attempt.secrets.reveal(&word.text) {
                word.text = revealed;
            }
        }
        let argv = argv(words);
        if argv.is_empty() {
            let message = "the tool has an empty command line";
            return Err(Box::new(
                Failure::new(FailureKind::BadInput, message)
                    .with_advice("give it a baseCommand, arguments, or an input with an inputBinding"),
            ));
        }
        let (argv, environment, isolation) = match &container {
            None => {
                let apart = self.config.apart.as_ref().map(|apart| apart.isolation(dirs)).transpose()?;
                (argv.into_iter().map(OsString::from).collect(), environment, apart)
            }
            Some(container) => {
                let inside = Inside {
                    words: argv,
                    environment,
                    binds,
                    network: limits::network(self.effective(), &context).map_err(boxed)?,
                    nvidia: self.effective().cuda.is_some(),
                    with_engine: !mpi.is_empty() || self.by_hand,
                    lasting: self.by_hand,
                    shm_size: self.effective().shm_size.as_ref().map(|size| size.text.to_string()),
                    granted: self.attempt.granted,
                };
                let EngineCommand { argv, environment, isolation } =
                    container.command(self.config, &place, dirs, inside)?;
                (argv, environment, isolation)
            }
        };
        let argv: Vec<OsString> = mpi.into_iter().map(OsString::from).chain(argv).collect();
        let streams = streams::streams(self.tool(), &context).map_err(boxed)?;
        let StreamPaths { stdin, stdout, stderr } = process::stream_paths(&streams, dirs, &place, &staged)?;
        let logs: Vec<PathBuf> = [(&streams.stdout, &stdout), (&streams.stderr, &stderr)]
            .into_iter()
            .filter(|(name, _)| name.is_none())
            .map(|(_, path)| path.clone())
            .collect();
        let limit = limits::time_limit(self.effective(), &context).map_err(boxed)?;
        let limit = [limit, self.config.max_duration].into_iter().flatten().min();
        Ok(Prepared {
            shown,
            command: Command {
                argv,
                environment,
                cwd: dirs.out.clone(),
                // What tools in containers are used to, since Docker does the same. Some (`wc`) write something else
                // where they can see how long their input is.
                through_pipe: place.is_container() && stdin.is_some(),
                stdin,
                stdout,
                stderr,
                limits: self.config.process_limits.clone(),
                isolation,
            },
            inputs,
            runtime,
            staged,
            privates,
            place,
            container,
            limit,
            logs,
        })
    }

    /// Puts the inputs, and what InitialWorkDirRequirement names, in place. Returns the inputs with their final paths.
    fn stage(&self, mut staging: Staging, runtime: &Value, place: &Place) -> Result<Staged> {
        let mut stager = Stager::new(self.cancel, self.config, place).revealing(&self.attempt.secrets);
        stager.copies = self.by_hand;
        let Some(listing) = &self.effective().initial_work_dir else {
            stager.stage(&mut staging.entries)?;
            return Ok(Staged {
                inputs: staging.inputs,
                entries: staging.entries,
                privates: Vec::new(),
                binds: stager.binds,
            });
        };
        let context = self.context(&staging.inputs, runtime);
        let listing = self.local_entries(listing)?;
        let mut work_dir = initial_work_dir::work_dir(
            &listing,
            self.effective(),
            &context,
            &staging,
            &place.out,
            place.is_container(),
        )
        .map_err(boxed)?;
        check_sources(&work_dir.entries)?;
        let mut privates = Vec::new();
        if self.effective().inplace_update && !self.by_hand {
            let contents = self.config.contents.as_deref();
            if contents.is_some_and(|contents| contents.root().is_none()) {
                let (inputs, downloads) = (&self.job.inputs, &self.config.downloads);
                privates = in_place::privates(&work_dir.entries, inputs, downloads, place);
            } else {
                let made = contents.and_then(Contents::root).unwrap_or(&self.config.work_root);
                let brought = self.config.download_root();
                stager = stager.sharing(in_place::share(&mut work_dir.entries, made, &brought)?);
            }
        }
        let mut staged = staging.entries;
        staged.append(&mut work_dir.entries);
        stager.stage(&mut staged)?;
        Ok(Staged { inputs: work_dir.inputs, entries: staged, privates, binds: stager.binds })
    }

    /// What InitialWorkDirRequirement lists, with the files and directories that the document itself names on this machine.
    fn local_entries<'a>(&self, listing: &'a [WorkDirEntry]) -> Result<Cow<'a, [WorkDirEntry]>> {
        if !listing.iter().any(|entry| matches!(entry, WorkDirEntry::Value(_))) {
            return Ok(Cow::Borrowed(listing));
        }
        let entries = listing.iter().map(|entry| match entry {
            WorkDirEntry::Value(value) => self.config.localise(value, self.cancel).map(WorkDirEntry::Value),
            other => Ok(other.clone()),
        });
        entries.collect::<Result<Vec<_>>>().map(Cow::Owned)
    }

    /// Variables with the secrets in their values.
    fn reveal_in(&self, mut variables: Vec<(OsString, OsString)>) -> Vec<(OsString, OsString)> {
        for (_, value) in &mut variables {
            if let Some(Cow::Owned(revealed)) = value.to_str().map(|text| self.attempt.secrets.reveal(text)) {
                *value = revealed.into();
            }
        }
        variables
    }

    /// The input object with what the tool's parameters want loaded.
    fn load(&self, inputs: &Value) -> Result<Value> {
        let mut loaded = inputs.as_map().cloned().unwrap_or_else(ValueMap::new);
        for input in &self.tool().common.inputs {
            let Some(value) = loaded.get_mut(&input.name) else { continue };
            let listing = load_contents::listing_in_force(input.load_listing, self.effective());
            *value = load_contents::load_input(input, value, listing, &LocalFiles).map_err(boxed)?;
        }
        Ok(Value::map(loaded))
    }

    fn execute(&self, dirs: &AttemptDir, prepared: &Prepared) -> Result<JobResult> {
        let logs: Vec<&Path> = prepared.logs.iter().map(PathBuf::as_path).collect();
        let mut tell =
            |line: String| (self.reporter)(Report::Output(self.attempt.id.clone(), self.masks.hide(&line)));
        let note = |text| (self.reporter)(Report::Note(self.attempt.id.clone(), text));
        let container = prepared.container.as_ref();
        let look = || container.into_iter().for_each(|container| container.look(&note));
        let beside = Beside {
            logs: &logs,
            deaf: container.and_then(Container::deaf),
            look: container.is_some().then_some((docker::LOOK_EVERY, &look)),
        };
        let end =
            process::run(self.config, &prepared.command, prepared.limit, self.cancel, beside, &mut tell);
        let killed = |end: &End| end.timed_out || end.exit.status.code().is_none();
        let code = end.as_ref().ok().filter(|end| !killed(end)).and_then(|end| end.exit.status.code());
        let gone = container.and_then(|container| container.ended(dirs, code, &note));
        let End { exit, timed_out } = end.map_err(|failure| self.with_command(prepared, failure))?;
        (self.reporter)(Report::ToolEnded(self.attempt.id.clone()));
        let exit_code = summary::exit_code(exit.status);
        if timed_out {
            return Err(self.told(prepared, self.too_long(prepared)));
        }
        if let Some(failure) =
            container.and_then(|container| self.engine_failed(prepared, container, exit_code, gone))
        {
            return Err(self.told(prepared, Box::new(failure)));
        }
        // A tool that was ended by a signal gave no code that the document could call a success.
        let class = match exit.status.code() {
            Some(code) => self.tool().classify_exit(i64::from(code)),
            None => ExitClass::PermanentFail,
        };
        if class != ExitClass::Success {
            return Err(self.told(prepared, self.tool_failed(prepared, &exit, class)));
        }
        let (outputs, output_bytes) = self.outputs(dirs, prepared, exit_code).map_err(|failure| {
            if failure.kind == FailureKind::Cancelled { failure } else { self.told(prepared, failure) }
        })?;
        let usage = usage::usage(&exit, output_bytes);
        Ok(JobResult { outputs, exit_code, usage, updates: Vec::new(), logs: Vec::new() })
    }

    /// The failure of what ran the container, where it is not the tool's. `gone` tells why a daemon does not answer.
    fn engine_failed(
        &self,
        prepared: &Prepared,
        container: &Container,
        exit_code: i32,
        gone: Option<String>,
    ) -> Option<Failure> {
        let speaker = container.speaker();
        let said = speaker
            .may_have_failed(exit_code)
            .then(|| summary::last_lines(&prepared.command.stderr, &|text| self.masks.hide(text)))
            .and_then(|lines| speaker.failure(&self.job.name, &lines));
        said.or_else(|| Some(engine_failure::lost(&self.job.name, &gone?)))
    }

    fn too_long(&self, prepared: &Prepared) -> Box<Failure> {
        let seconds = prepared.limit.unwrap_or_default().as_secs_f64();
        let message = format!("the tool of {} ran longer than its limit of {seconds} s", self.job.name);
        Box::new(Failure::new(FailureKind::TimeLimit, message).with_advice(
            "raise timelimit of ToolTimeLimit (or --maxJobDuration), or look in its last lines for what it was waiting for",
        ))
    }

    fn tool_failed(&self, prepared: &Prepared, exit: &Exit, class: ExitClass) -> Box<Failure> {
        let mut failure =
            summary::tool_failed(&self.job.name, exit.status, class == ExitClass::TemporaryFail);
        if summary::exit_code(exit.status) == 137 && self.config.out_of_memory.was_one_of_ours() {
            failure.kind = FailureKind::OutOfMemory;
            let why = match &prepared.container {
                Some(container) if container.limits_memory() => {
                    let granted = self.attempt.granted.ram_mib;
                    format!(
                        ": it used more memory than the {granted} MiB that it may (--strict-memory-limit)"
                    )
                }
                _ => match self.config.out_of_memory.limit() {
                    Some(limit) => {
                        format!(": it used more memory than the {} MiB that there are", limit >> 20)
                    }
                    None => ": the machine was out of memory".to_owned(),
                },
            };
            failure.message.push_str(&why);
        }
        Box::new(failure)
    }

    /// A failure with the command.
    fn with_command(&self, prepared: &Prepared, mut failure: Box<Failure>) -> Box<Failure> {
        failure.command = Some(prepared.shown.clone());
        failure
    }

    /// A failure of a tool that ran: with the command, its last lines, and where the rest of them is.
    fn told(&self, prepared: &Prepared, failure: Box<Failure>) -> Box<Failure> {
        let mut failure = self.with_command(prepared, failure);
        // What went wrong most often stands in standard error; some tools write it to standard output.
        let candidates = [&prepared.command.stderr, &prepared.command.stdout];
        let told = candidates
            .into_iter()
            .map(|log| (log, summary::last_lines(log, &|text| self.masks.hide(text))))
            .find(|(_, lines)| !lines.is_empty());
        if let Some((log, lines)) = told {
            failure.last_lines = lines;
            failure.log = Some(log.display().to_string());
        }
        if let (None, FailureKind::ToolFailed { exit_code, .. }) = (&failure.advice, &failure.kind) {
            let full = machine::is_full(&prepared.command.cwd).then_some(summary::DISK_FULL);
            let advice = full.or_else(|| summary::advice(*exit_code, &failure.last_lines));
            failure.advice = advice.map(str::to_owned);
        }
        failure
    }
}

/// What `runtime` is made of: what was asked for, whatever the attempt was given, so that the result does not
/// depend on where it ran.
fn request(requested: &Resources, effective: &Effective) -> ResourceRequest {
    ResourceRequest {
        cores: requested.cores,
        cores_max: None,
        ram_mib: requested.ram_mib,
        ram_max_mib: None,
        tmpdir_mib: requested.tmpdir_mib,
        outdir_mib: requested.outdir_mib,
        gpus: effective.cuda.as_ref().map(|cuda| Gpus {
            count: u64::from(requested.gpus),
            count_max: None,
            version_min: cuda.version_min.clone(),
            compute_capability: cuda.compute_capability.clone(),
        }),
    }
}

pub(crate) fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let message = format!("the work directory {} is not UTF-8, which CWL cannot name", path.display());
        Box::new(Failure::new(FailureKind::System, message).with_advice("choose another one with --workDir"))
    })
}
