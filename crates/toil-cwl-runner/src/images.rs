//! `moil images`: what is in the store of images, fetching ahead of a run, checking, making room.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use moil_container::prune::Stored;
use moil_container::seal::Verdict;
use moil_cwl::inherit::Inherited;
use moil_engine::graph::{Body, Node};
use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::remote::Remote;
use moil_worker::cancel::Cancel;
use moil_worker::container::Fetched;
use moil_worker::downloads::Downloads;
use moil_worker::image_source::Wanted;
use serde_json::json;

use crate::argparse::{self, Immediate, UsageError};
use crate::assemble;
use crate::commands::answer;
use crate::containers;
use crate::downloader::Downloader;
use crate::environment::Environment;
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::log::Log;
use crate::run::print;
use crate::settings::{self, Settings, value};
use crate::{failure_report, inputs, report};

const HELP: &str = "Manages the images of containers, as Apptainer and Singularity run them.

Usage: moil images list [--json]
       moil images pull [--json] [OPTIONS OF RUN] WORKFLOW [INPUT_FILE]
       moil images verify [--json]
       moil images prune [--keep SIZE] [--json]

Commands:
  list    Show the images that are there.
  pull    Fetch or build all images that a workflow names, ahead of a run. Of inputs only what they
          demand of tools is read (overrides): the files need not be there.
  verify  Read all images, and look whether they are what was made; the exit code is 1 if one is not. Of images
          that others put into the folder no more is looked at than their headers.
  prune   Remove images that no run uses, the least recently used first, and the engine's layers. Images
          that others put into the folder stay.

Options:
      --json       Print JSON.
      --keep SIZE  Remove only as many images as are beyond this size, such as 20G.
  -h, --help       Print this help and exit.
";

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    List,
    Pull,
    Verify,
    Prune,
}

/// `moil images`.
pub(crate) fn run(mut invocation: Invocation<'_>) -> ExitCode {
    invocation.program.push_str(" images");
    let usage = |invocation: &mut Invocation<'_>, error: UsageError| {
        _ = invocation.stderr.write_all(report::error(&invocation.program, &error).as_bytes());
        ExitCode::USAGE
    };
    let mut words = std::mem::take(&mut invocation.args).into_iter();
    let first = words.next().unwrap_or_default();
    let command = match first.to_str() {
        Some("list") => Command::List,
        Some("pull") => Command::Pull,
        Some("verify") => Command::Verify,
        Some("prune") => Command::Prune,
        Some("--help" | "-h" | "help") => return answer(&mut invocation, HELP),
        _ => {
            let message = if first.is_empty() {
                "a command is missing".to_owned()
            } else {
                format!("unknown command '{}'", first.display())
            };
            let error = UsageError::new(message).with_hint("there are list, pull, verify and prune");
            return usage(&mut invocation, error);
        }
    };
    let own = match Own::take(words, command) {
        Ok(own) => own,
        Err(error) => return usage(&mut invocation, error),
    };
    let environment = Environment::new(std::mem::take(&mut invocation.env));
    let cwd = invocation.cwd.clone();
    let mut parsed = match argparse::parse(&own.others, &|word: &str| cwd.join(word).is_file()) {
        Ok(parsed) => parsed,
        Err(error) => return usage(&mut invocation, error),
    };
    if own.help || parsed.immediate == Some(Immediate::Help) {
        return answer(&mut invocation, HELP);
    }
    if command != Command::Pull {
        parsed.workflow = Some(String::new());
    }
    let settings = match settings::resolve(parsed, &environment, &cwd, invocation.stderr_is_terminal) {
        Ok(settings) => settings,
        Err(error) => {
            _ = invocation.stderr.write_all(report::error(&invocation.program, &error).as_bytes());
            return error.exit_code();
        }
    };
    let log = Log::new(settings.log.level, invocation.stderr, settings.log.colours, None);
    for note in &settings.notes {
        log.log(note.level, &note.text);
    }
    let result = match command {
        Command::List | Command::Verify => list(&settings, own.json, command == Command::Verify, &log),
        Command::Prune => prune(&settings, own.keep, own.json),
        Command::Pull => {
            let ended_by = Arc::new(AtomicI32::new(0));
            let cancel = Cancel::new();
            let _guard = invocation.signals.handle({
                let (cancel, ended_by) = (cancel.clone(), Arc::clone(&ended_by));
                move |signal| {
                    ended_by.store(signal, Ordering::Relaxed);
                    cancel.cancel(Duration::ZERO);
                }
            });
            let result = pull(&settings, own.json, &mut *invocation.stdin, &cancel, &log);
            match ended_by.load(Ordering::Relaxed) {
                0 => result,
                libc::SIGTERM => return ExitCode::TERMINATED,
                _ => return ExitCode::INTERRUPTED,
            }
        }
    };
    match result {
        Ok((text, code)) => match print(invocation.stdout, &text, &log) {
            ExitCode::SUCCESS => code,
            failed => failed,
        },
        Err(failure) => {
            failure_report::lines("images", &failure).iter().for_each(|line| log.error(line));
            code_of(&failure)
        }
    }
}

/// The options of this command alone, and all other words.
struct Own {
    json: bool,
    help: bool,
    /// Bytes.
    keep: u64,
    others: Vec<OsString>,
}

impl Own {
    fn take(mut words: impl Iterator<Item = OsString>, command: Command) -> Result<Self, UsageError> {
        let mut own = Self { json: false, help: false, keep: 0, others: Vec::new() };
        while let Some(word) = words.next() {
            let text = word.to_str().unwrap_or_default();
            let keep = match text.split_once('=') {
                Some(("--keep", size)) => Some(size.to_owned()),
                _ if text == "--keep" => {
                    let size = words.next().and_then(|size| size.into_string().ok());
                    Some(size.ok_or_else(|| UsageError::new("--keep needs a value (SIZE)"))?)
                }
                _ => None,
            };
            match (text, keep) {
                ("--json", _) => own.json = true,
                ("--help" | "-h", _) => own.help = true,
                (_, Some(size)) if command == Command::Prune => {
                    let size = value::size_from(0)(&size);
                    own.keep = size.map_err(|fault| UsageError::new(format!("--keep: {fault}")))?;
                }
                (_, Some(_)) => return Err(UsageError::new("--keep belongs to prune")),
                _ if command == Command::Pull || text.starts_with('-') => own.others.push(word),
                _ => return Err(UsageError::new(format!("'{text}' is one word too many"))),
            }
        }
        Ok(own)
    }
}

type Answer = Result<(String, ExitCode), Failure>;

fn list(settings: &Settings, json: bool, verify: bool, log: &Log) -> Answer {
    let store = containers::store(settings);
    let home = &store.config().home;
    let mut images = store.list().map_err(|error| refused("list the images in", home, error))?;
    if verify {
        for image in &mut images {
            if let Verdict::Broken(fault) = store.verify(&image.path) {
                image.fault = Some(fault);
            }
        }
    }
    let broken: Vec<&Stored> = images.iter().filter(|image| image.fault.is_some()).collect();
    let code = if verify && !broken.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if json {
        let images: Vec<_> = images.iter().map(as_json).collect();
        return Ok((format!("{:#}\n", json!({"folder": home, "images": images})), code));
    }
    let mut text = String::new();
    for image in &images {
        let used = match image.last_use.and_then(|at| at.elapsed().ok()) {
            Some(age) => format!("used {} ago", span(age)),
            None => "never used by moil".to_owned(),
        };
        let fault = image.fault.as_deref().map(|fault| format!("  broken: {fault}")).unwrap_or_default();
        text += &format!("{:>9}  {}  {used}{fault}\n", size(image.size), file_name(&image.path));
    }
    let total = size(images.iter().map(|image| image.size).sum());
    text += &format!("{} images, {total}, in {}\n", images.len(), home.display());
    if verify && !broken.is_empty() {
        log.error(format_args!(
            "{} of {} images are broken; they are fetched anew when a job wants them",
            broken.len(),
            images.len()
        ));
    }
    Ok((text, code))
}

fn as_json(image: &Stored) -> serde_json::Value {
    let last_use = image.last_use.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    json!({
        "path": image.path,
        "bytes": image.size,
        "last_use": last_use.map(|at| at.as_secs()),
        "fault": image.fault,
    })
}

fn prune(settings: &Settings, keep: u64, json: bool) -> Answer {
    let store = containers::store(settings);
    let config = store.config();
    let pruned = store.prune(keep).map_err(|error| refused("remove images from", &config.home, error))?;
    let layers = if config.layer_cache.is_dir() {
        store.prune_layers().map_err(|error| refused("remove layers from", &config.layer_cache, error))?
    } else {
        Some(0)
    };
    if json {
        let answer = json!({
            "removed": pruned.removed,
            "in_use": pruned.in_use,
            "bytes_left": pruned.left,
            "layer_bytes_removed": layers,
        });
        return Ok((format!("{answer:#}\n"), ExitCode::SUCCESS));
    }
    let mut text = String::new();
    for path in &pruned.removed {
        text += &format!("removed {}\n", file_name(path));
    }
    for path in &pruned.in_use {
        text += &format!("kept {}: a run uses it\n", file_name(path));
    }
    text += &match layers {
        Some(bytes) => format!("removed {} of layers\n", size(bytes)),
        None => "kept the layers: an image is fetched\n".to_owned(),
    };
    text += &format!("{} of images are left in {}\n", size(pruned.left), config.home.display());
    Ok((text, ExitCode::SUCCESS))
}

fn pull(
    settings: &Settings,
    json: bool,
    stdin: &mut (dyn Read + Send),
    cancel: &Cancel,
    log: &Log,
) -> Answer {
    let remote = Arc::new(Remote::default());
    let settings = &assemble::follow_tool(settings.clone(), &remote);
    let loaded = assemble::load_document(settings, &remote).map_err(|diagnostics| {
        log.text(&report::diagnostics(&diagnostics));
        Failure::new(FailureKind::BadInput, format!("{} cannot be loaded", settings.workflow))
    })?;
    let demands = inputs::read_demands(settings, &loaded, &remote, stdin, log).map_err(|r| r.failure)?;
    let main = Node::main(&loaded.process, &Inherited::root(demands.requirements), demands.overrides);
    let mut wanted = Vec::new();
    let default_image = settings.containers.default_image.as_deref();
    images_of(&main, default_image, &mut wanted).map_err(|failure| *failure)?;
    let mut seen = HashSet::new();
    wanted.retain(|wanted: &Wanted| seen.insert(wanted.name.clone()));
    let scratch = tempfile::tempdir().map_err(|error| {
        Failure::new(FailureKind::System, "cannot make a directory for temporary files").with_cause(error)
    })?;
    let downloads = Downloads::default();
    let downloader = Downloader(Arc::clone(&remote));
    let bring = |location: &Arc<str>| downloads.get(location, scratch.path(), Some(&downloader), cancel);
    let mut fetched = Vec::new();
    let mut failed = None;
    if !wanted.is_empty() {
        let containers = containers::find_for_images(settings, log)?;
        for wanted in &wanted {
            match containers.fetch(wanted, &bring, cancel, &|text| log.info(text)) {
                Ok(Fetched::File(image)) => fetched.push((wanted.name.as_str(), image.file().to_owned())),
                Ok(Fetched::Id(id)) => fetched.push((wanted.name.as_str(), id.into())),
                Err(failure) => {
                    failure_report::lines("images", &failure).iter().for_each(|line| log.error(line));
                    // The others may still be had.
                    failed.get_or_insert(code_of(&failure));
                    if cancel.is_cancelled() {
                        break;
                    }
                }
            }
        }
    }
    let text = if json {
        let images: Vec<_> =
            fetched.iter().map(|(name, path)| json!({"image": name, "path": path})).collect();
        format!("{:#}\n", json!({"images": images}))
    } else {
        let lines = fetched.iter().map(|(name, path)| format!("{name}  {}\n", path.display()));
        lines.chain([format!("{} of {} images are there\n", fetched.len(), wanted.len())]).collect()
    };
    Ok((text, failed.unwrap_or(ExitCode::SUCCESS)))
}

/// The images that the tools of a process name. What processes that are generated name is not known before they are.
fn images_of(node: &Node, default_image: Option<&str>, found: &mut Vec<Wanted>) -> Result<(), Box<Failure>> {
    match node.body() {
        Body::Tool(tool) => match (&tool.effective.docker, default_image) {
            (Some((docker, _)), _) => found.push(Wanted::of(docker)?),
            (None, Some(name)) => found.push(Wanted::of_registry(name)?),
            (None, None) => {}
        },
        Body::Workflow(workflow) => {
            for step in &workflow.nodes {
                images_of(step, default_image, found)?;
            }
        }
        Body::Generator(generator) => images_of(&generator.embedded(), default_image, found)?,
        Body::Expression(..) | Body::Operation(..) => {}
    }
    Ok(())
}

fn code_of(failure: &Failure) -> ExitCode {
    if failure.kind == FailureKind::Unsupported { ExitCode::UNSUPPORTED } else { ExitCode::FAILURE }
}

fn refused(what: &str, path: &Path, error: std::io::Error) -> Failure {
    Failure::new(FailureKind::System, format!("cannot {what} {}", path.display())).with_cause(error)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A time for people.
pub(crate) fn span(time: Duration) -> String {
    let (count, unit) = match time.as_secs() {
        seconds @ ..120 => (seconds, "s"),
        seconds @ ..7_200 => (seconds / 60, "min"),
        seconds @ ..172_800 => (seconds / 3_600, "h"),
        seconds => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}
