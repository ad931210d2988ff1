//! From options to settings.

mod batch;
mod kubernetes;
mod subject;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moil_jobstore::locator::{Locator, RecordsIn};

use moil_worker::kept_logs::LeftLogs;

use super::error::SettingsError;
use super::value;
use super::{
    Action, BatchSystem, BucketPrefix, CachePlace, Clean, Containers, Documents, Engine, Files, HandOver,
    Keep, Log, Note, Part, Preserved, Provenance, Resources, Restart, Retries, Settings, Store,
    TemporaryPrefix, Tools,
};
use crate::argparse::{Parsed, UsageError};
use crate::config_file;
use crate::environment::Environment;
use crate::given::{AllGiven, Layer};
use crate::log::Level;
use crate::options::Verdict;

fn refused(message: impl Into<String>) -> SettingsError {
    SettingsError::Refused(UsageError::new(message))
}

/// Joins the layers and gives everything its type.
///
/// # Errors
/// See [`SettingsError`]; the first fault found.
pub fn resolve(
    parsed: Parsed,
    environment: &Environment,
    cwd: &Path,
    stderr_is_terminal: bool,
) -> Result<Settings, SettingsError> {
    let Parsed { given: command_line, workflow, inputs, job_store_word, immediate: _ } = parsed;
    let mut given = AllGiven::default();
    given.extend(command_line);
    given.extend(environment.options()?);
    let config = given.last("--config").map(|given| cwd.join(&given.value));
    let read = config_file::read(config.as_deref(), environment)?;
    given.extend(read.given);

    let mut source = Source { given: &given, environment, cwd, notes: read.notes };
    source.verdicts()?;
    let action = source.action();
    let workflow = match workflow {
        // The job store of a run that goes on knows what it is.
        None if action == Action::Run && source.text("--restart").is_some_and(|text| text != "false") => {
            String::new()
        }
        workflow => source.workflow(workflow, action, job_store_word.as_deref())?,
    };
    let batch = batch::batch_system(&source)?;
    let retries = source.retries()?;
    let files = source.files()?;
    let store = source.store(job_store_word)?;
    let kubernetes = source.kubernetes()?;
    batch::check_store(batch, &store, &kubernetes, action)?;
    let mut settings = Settings {
        action,
        workflow,
        inputs,
        documents: source.documents(),
        part: source.part()?,
        batch,
        kubernetes,
        tools: source.tools()?,
        containers: source.containers()?,
        log: source.log(stderr_is_terminal)?,
        store,
        resources: source.resources()?,
        retries,
        files,
        provenance: source.provenance(),
        kept: source.kept(),
        cwd: cwd.to_owned(),
        environment: environment.clone(),
        notes: source.notes,
    };
    if batch == BatchSystem::Kubernetes && action == Action::Run {
        kubernetes::fit(&mut settings)?;
    }
    Ok(settings)
}

struct Source<'a> {
    given: &'a AllGiven,
    environment: &'a Environment,
    cwd: &'a Path,
    notes: Vec<Note>,
}

/// Accessors by key. The keys are the table's, so that a search finds both.
impl Source<'_> {
    fn text(&self, key: &'static str) -> Option<&str> {
        self.given.last(key).map(|given| given.value.as_str())
    }

    fn owned(&self, key: &'static str) -> Option<String> {
        self.text(key).map(str::to_owned).filter(|text| !text.is_empty())
    }

    fn flag(&self, key: &'static str, default: bool) -> bool {
        self.text(key).map_or(default, |text| text == "true")
    }

    fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.text(key).filter(|text| !text.is_empty()).map(|text| self.cwd.join(text))
    }

    fn read<T>(
        &self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
        default: T,
    ) -> Result<T, UsageError> {
        match self.given.last(key) {
            Some(given) => {
                read(&given.value).map_err(|what| UsageError::new(format!("{}: {what}", given.spelled)))
            }
            None => Ok(default),
        }
    }

    fn list(&self, key: &'static str) -> Vec<String> {
        self.given.every(key).map(|given| given.value.clone()).collect()
    }
}

impl Source<'_> {
    /// Says what does not work, once for each option that somebody wrote down for this program.
    fn verdicts(&mut self) -> Result<(), SettingsError> {
        let mut seen = Vec::new();
        for given in
            self.given.iter().filter(|given| !matches!(given.layer, Layer::Store | Layer::Environment))
        {
            let name = given.option.name();
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let spelled = &given.spelled;
            // What is switched off is not missed, and a config file is shared with Toil: it is full of
            // options that mean nothing here.
            let off = matches!(given.value.as_str(), "" | "false");
            let quieter = |level| if given.layer == Layer::Config { Level::Debug } else { level };
            let note = match given.option.verdict {
                Verdict::Runs => continue,
                Verdict::Accepted(why) => {
                    Note { level: quieter(Level::Info), text: format!("{spelled} has no effect: {why}") }
                }
                Verdict::NotYet(_) | Verdict::Refused(_) | Verdict::NotApplicable(_) if off => continue,
                Verdict::NotYet(topic) => Note {
                    level: Level::Warning,
                    text: format!("{spelled} is not supported yet ({topic}); the run goes on without it"),
                },
                Verdict::NotApplicable(why) => Note {
                    level: quieter(Level::Warning),
                    text: format!("{spelled} is not supported: {why}"),
                },
                Verdict::Refused(topic) => {
                    return Err(refused(format!("{spelled} is not supported yet ({topic})")));
                }
            };
            self.notes.push(note);
        }
        Ok(())
    }

    fn action(&self) -> Action {
        let relative_to_cwd = self.text("--relative-deps") == Some("cwd");
        let json = self.flag("--json", false);
        let actions = [
            ("--print-supported-versions", Action::PrintSupportedVersions),
            ("--validate", Action::Validate { json }),
            ("--tool-help", Action::ToolHelp),
            ("--make-template", Action::MakeTemplate),
            ("--print-targets", Action::PrintTargets),
            ("--print-subgraph", Action::PrintSubgraph),
            ("--pack", Action::Pack),
            ("--print-pre", Action::PrintPreprocessed),
            ("--print-dot", Action::PrintDot),
            ("--print-deps", Action::PrintDependencies { relative_to_cwd }),
            ("--print-input-deps", Action::PrintInputDependencies { relative_to_cwd }),
        ];
        let mut chosen = Action::Run;
        for (key, action) in actions {
            if self.flag(key, false) && chosen == Action::Run {
                chosen = action;
            }
        }
        chosen
    }

    fn documents(&self) -> Documents {
        Documents {
            strict: self.flag("--strict", true),
            development_versions: self.flag("--enable-dev", false),
            extensions: self.flag("--enable-ext", false),
            relax_path_checks: self.flag("--relax-path-checks", false),
            skip_schemas: self.flag("--skip-schemas", false),
            overrides: self.path("--overrides"),
        }
    }

    fn part(&self) -> Result<Part, UsageError> {
        let part = Part {
            targets: self.list("--target"),
            single_step: self.owned("--single-step"),
            single_process: self.owned("--single-process"),
        };
        let chosen = [!part.targets.is_empty(), part.single_step.is_some(), part.single_process.is_some()];
        if chosen.into_iter().filter(|chosen| *chosen).count() > 1 {
            return Err(UsageError::new("--target, --single-step and --single-process exclude each other"));
        }
        Ok(part)
    }

    fn files(&mut self) -> Result<Files, SettingsError> {
        let (outdir, bucket) = self.outputs()?;
        let work_dir = self.work_dir()?;
        let default_prefix = TemporaryPrefix { dir: work_dir.clone(), name: "moil-".to_owned() };
        let tmpdir = self.prefix("--tmpdir-prefix").unwrap_or(default_prefix);
        Ok(Files {
            outdir: outdir.map_or_else(|| self.cwd.to_owned(), |path| value::without_dots(&path)),
            bucket,
            summary: self.path("--write-summary"),
            basedir: self.path("--basedir"),
            tmp_outdir: self.prefix("--tmp-outdir-prefix").unwrap_or_else(|| tmpdir.clone()),
            tmpdir,
            keep_temporary: !self.flag("--rm-tmpdir", true),
            hand_over: match self.text("--move-outputs") {
                Some("copy") => HandOver::Copy,
                Some("leave") => HandOver::Leave,
                _ => HandOver::Move,
            },
            checksums: self.flag("--compute-checksum", true),
            streaming: !self.flag("--disable-streaming", false),
            cache: self.cache()?,
            caching: self.text("--caching").map(|text| text == "true"),
            cache_limit: self.read("--inputCacheSize", value::size_limit, None)?,
            place_is_given: self.environment.known("TOIL_WORKDIR_OVERRIDE").is_some()
                || ["--workDir", "--tmpdir-prefix", "--tmp-outdir-prefix"]
                    .iter()
                    .any(|option| self.given.last(option).is_some()),
            work_dir,
        })
    }

    /// Where outputs go: to a directory, or to a bucket. As with Toil, `--destBucket` counts more than `--outdir`.
    fn outputs(&self) -> Result<(Option<PathBuf>, Option<BucketPrefix>), SettingsError> {
        let [given, directory] = ["--destBucket", "--outdir"]
            .map(|option| self.text(option).filter(|text| !text.is_empty()).map(|text| (option, text)));
        let Some((option, text)) = given.or(directory) else { return Ok((None, None)) };
        let url = match (option, text.split_once("://")) {
            (_, Some(("s3", _))) => text.to_owned(),
            ("--destBucket", None) => format!("s3://{text}"),
            (_, Some(("file", path))) => return Ok((Some(self.cwd.join(path)), None)),
            (_, Some((scheme, _))) => {
                let error = UsageError::new(format!("{option} {text}: outputs cannot go to {scheme}:"));
                return Err(SettingsError::Refused(error.with_hint("use a directory or s3://BUCKET/PREFIX")));
            }
            (_, None) => return Ok((Some(self.cwd.join(text)), None)),
        };
        Ok((None, self.bucket(option, text, &url)?))
    }

    /// Where results are kept beyond the run.
    fn cache(&self) -> Result<Option<CachePlace>, SettingsError> {
        const OPTION: &str = "--cachedir";
        Ok(match self.text(OPTION) {
            Some(text) if text.starts_with("s3://") => {
                self.bucket(OPTION, text, text)?.map(CachePlace::Bucket)
            }
            _ => self.path(OPTION).map(CachePlace::Directory),
        })
    }

    /// The place in a bucket that an option names by a URL.
    fn bucket(&self, option: &str, text: &str, url: &str) -> Result<Option<BucketPrefix>, SettingsError> {
        match Locator::parse(url, self.cwd) {
            Ok(Locator::S3 { bucket, prefix }) => Ok(Some(BucketPrefix { name: bucket, prefix })),
            Ok(_) => Ok(None),
            Err(error) => Err(UsageError::new(format!("{option} {text}: {}", error.reason)).into()),
        }
    }

    /// As Python's tempfile and Toil find it. Toil, too, refuses a work directory that is not there.
    fn work_dir(&mut self) -> Result<PathBuf, SettingsError> {
        let overriding = self.environment.known("TOIL_WORKDIR_OVERRIDE").map(|dir| self.cwd.join(dir));
        if let Some(dir) = overriding.or_else(|| self.path("--workDir")) {
            return if dir.is_dir() {
                Ok(dir)
            } else {
                Err(refused(format!("the work directory '{}' is not a directory that exists", dir.display())))
            };
        }
        let variables = ["TMPDIR", "TEMP", "TMP"].into_iter().filter_map(|name| self.environment.known(name));
        let usual = ["/tmp", "/var/tmp", "/usr/tmp"].map(|dir| self.cwd.join(dir));
        let mut candidates = variables.map(|dir| self.cwd.join(dir)).chain(usual);
        let dir = candidates.find(|dir| dir.is_dir()).unwrap_or_else(|| self.cwd.to_owned());
        if let Some(wanted) = self.environment.known("TMPDIR").map(|dir| self.cwd.join(dir))
            && wanted != dir
        {
            let text = format!(
                "TMPDIR names {}, which is no directory: temporary files go to {}",
                wanted.display(),
                dir.display()
            );
            self.notes.push(Note { level: Level::Warning, text });
        }
        Ok(dir)
    }

    fn prefix(&self, key: &'static str) -> Option<TemporaryPrefix> {
        let text = self.text(key).filter(|text| !text.is_empty())?;
        let (dir, name) = match text.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some((dir, name)) => (dir, name),
            None => ("", text),
        };
        let dir = if dir.is_empty() { self.cwd.to_owned() } else { self.cwd.join(dir) };
        Some(TemporaryPrefix { dir, name: name.to_owned() })
    }

    fn tools(&mut self) -> Result<Tools, UsageError> {
        let mut set: Vec<(String, OsString)> = Vec::new();
        for given in self.given.every("--setEnv") {
            let (name, value) = match given.value.split_once('=') {
                Some((name, value)) => (name, Some(OsString::from(value))),
                None => (given.value.as_str(), self.environment.get(&given.value).map(OsString::from)),
            };
            let spelled = &given.spelled;
            if name.is_empty() {
                return Err(UsageError::new(format!("{spelled} '{}' has no name", given.value)));
            }
            let value = value.ok_or_else(|| {
                UsageError::new(format!("{spelled} {name}: there is no such variable to take the value from"))
                    .with_hint(format!("write {spelled} {name}=VALUE"))
            })?;
            set.retain(|(other, _)| other != name);
            set.push((name.to_owned(), value));
        }
        let (preserved, environment) = self.tool_environment(&set);
        Ok(Tools {
            preserved,
            environment,
            set,
            eval_timeout: self.read("--eval-timeout", value::seconds, Duration::from_secs(20))?,
            js_console: self.flag("--js-console", false),
            loop_limit: self.read("--cwl-loop-iteration-limit", value::count, 1000)?,
            mpi_config: self.path("--mpi-config-file"),
        })
    }

    fn tool_environment(&mut self, set: &[(String, OsString)]) -> (Preserved, Vec<(OsString, OsString)>) {
        let mut worker: BTreeMap<OsString, OsString> =
            self.environment.all().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        worker.extend(set.iter().map(|(name, value)| (OsString::from(name), value.clone())));
        let preserved = match self.flag("--preserve-entire-environment", false) {
            true => Preserved::All,
            false => Preserved::Named(self.list("--preserve-environment")),
        };
        if let Preserved::Named(names) = &preserved {
            for name in names {
                if !worker.contains_key(std::ffi::OsStr::new(name)) {
                    let text = format!("--preserve-environment {name}: there is no such variable");
                    self.notes.push(Note { level: Level::Warning, text });
                }
            }
        }
        let environment = preserved.of(worker);
        (preserved, environment)
    }

    fn containers(&self) -> Result<Containers, UsageError> {
        let chosen: Vec<_> = self.given.every("--singularity").collect();
        if let [first, others @ ..] = chosen.as_slice()
            && let Some(other) = others.iter().find(|other| other.value != first.value)
        {
            return Err(UsageError::new(format!(
                "{} and {} exclude each other",
                first.spelled, other.spelled
            )));
        }
        let command = self.given.last("--user-space-docker-cmd");
        if let (Some(command), Some(other)) = (command, chosen.first())
            && command.layer == other.layer
            && other.value != "udocker"
        {
            return Err(UsageError::new(format!(
                "{} and {} exclude each other",
                command.spelled, other.spelled
            )));
        }
        let engine = match (command, self.text("--singularity")) {
            (Some(command), _) => Engine::UserSpace(command.value.clone()),
            (None, Some("none")) => Engine::None,
            (None, Some("singularity" | "true")) => Engine::Singularity,
            (None, Some("docker")) => Engine::Docker,
            (None, Some("podman")) => Engine::Podman,
            (None, Some("udocker")) => Engine::UserSpace("udocker".to_owned()),
            (None, _) => Engine::Auto,
        };
        let prefix = self.owned("--cidfile-prefix");
        let id_files = match self.path("--cidfile-dir") {
            None if prefix.is_none() && !self.flag("--record-container-id", false) => None,
            folder => Some((
                folder.unwrap_or_else(|| self.cwd.to_owned()),
                prefix.map(|prefix| prefix + "-").unwrap_or_default(),
            )),
        };
        Ok(Containers {
            match_user: !self.flag("--no-match-user", false),
            read_only: !self.flag("--no-read-only", false),
            keep: !self.flag("--rm-container", true),
            strict_memory: self.flag("--strict-memory-limit", false),
            strict_cores: self.flag("--strict-cpu-limit", false),
            id_files,
            engine,
            default_image: self.owned("--default-container"),
            pull: self.flag("--enable-pull", true),
            always_pull: self.flag("--force-docker-pull", false),
            sandboxes: self.path("--singularity-sandbox-path"),
            network: self.owned("--custom-net"),
        })
    }

    fn log(&self, stderr_is_terminal: bool) -> Result<Log, UsageError> {
        let quiet = self.flag("--quiet", false);
        let level = self.read("--logLevel", Level::parse, Level::Info)?;
        // A level beats --quiet, except for the default one: so does Toil.
        let level = if quiet && level == Level::Info { Level::Error } else { level };
        let plain = self.environment.known("NO_COLOR").is_some()
            || self.environment.known("TERM").is_some_and(|term| term == "dumb");
        let here = |text: Option<&str>| text.map(|dir| self.cwd.join(dir));
        let (plain_logs, compressed_logs) =
            (here(self.text("--writeLogs")), here(self.text("--writeLogsGzip")));
        if plain_logs.is_some() && compressed_logs.is_some() {
            return Err(UsageError::new("--writeLogs and --writeLogsGzip exclude each other"));
        }
        Ok(Log {
            level,
            file: self.path("--logFile"),
            rotating: self.flag("--rotatingLogging", false),
            colours: stderr_is_terminal && self.flag("--logColors", true) && !plain,
            progress: stderr_is_terminal && level >= Level::Warning && !self.flag("--disableProgress", false),
            status_wait: self.read("--statusWait", value::seconds, Duration::from_secs(3600))?,
            real_time: self.flag("--realTimeLogging", false),
            streams_dir: self.path("--log-dir"),
            compress_jobs: compressed_logs.is_some(),
            jobs_dir: plain_logs.or(compressed_logs),
            left: LeftLogs::None,
            all_jobs: self.flag("--writeLogsFromAllJobs", false),
            keep: match self.read("--maxLogFileSize", value::size, 100 << 20)? {
                0 => Keep::All,
                size if size > 0 => Keep::End(size.unsigned_abs()),
                size => Keep::Beginning(size.unsigned_abs()),
            },
            messages: self.path("--writeMessages"),
        })
    }

    fn store(&mut self, job_store_word: Option<String>) -> Result<Store, SettingsError> {
        let option = self.given.last("--jobStore").map(|given| given.value.clone());
        let (text, from) = match (option, job_store_word) {
            (Some(_), Some(word)) => {
                let error =
                    UsageError::new(format!("'{word}' looks like a second job store, after --jobStore"));
                return Err(error.with_hint("only one job store can be used").into());
            }
            (Some(text), None) => (Some(text), "--jobStore"),
            (None, Some(word)) => {
                let text = format!(
                    "'{word}' was taken for the job store; toil-cwl-runner expects --jobStore {word}"
                );
                self.notes.push(Note { level: Level::Warning, text });
                (Some(word), "job store")
            }
            (None, None) => (None, ""),
        };
        let locator = match text {
            Some(text) => Some(locator(&text, from, self.cwd)?),
            None => None,
        };
        let restart = match self.text("--restart") {
            Some("auto") => Restart::Auto,
            Some("true") => Restart::Yes,
            _ => Restart::No,
        };
        if restart != Restart::No && locator.is_none() {
            let error = UsageError::new("--restart needs the job store of the run");
            return Err(error.with_hint("name it with --jobStore").into());
        }
        let stats = self.flag("--stats", false);
        let default_clean = if stats { Clean::Never } else { Clean::OnSuccess };
        let clean = match self.text("--clean") {
            // The statistics are in the job store.
            Some(_) if stats => Clean::Never,
            text => clean(text, default_clean),
        };
        let clean_work_dir = clean_of(self.text("--cleanWorkDir"));
        let records = match self.text("--awsRecords") {
            Some("simpledb") => RecordsIn::SimpleDb,
            _ => RecordsIn::S3,
        };
        if records == RecordsIn::SimpleDb && !matches!(locator, Some(Locator::Aws { .. })) {
            let error = UsageError::new("--awsRecords simpledb needs a job store aws:REGION:NAME");
            return Err(error.with_hint("name it with --jobStore, or leave --awsRecords out").into());
        }
        let encryption_key = self.path("--sseKey");
        Ok(Store { locator, restart, clean, clean_work_dir, stats, records, encryption_key })
    }

    fn resources(&self) -> Result<Resources, UsageError> {
        let max_jobs = self.read("--maxJobs", value::count_limit, None)?;
        let parallel = self.given.last("--parallel-max").is_some();
        let parallel_max = self.read("--parallel-max", value::count_limit, None)?;
        Ok(Resources {
            default_cores: self.read("--defaultCores", value::positive, 1.0)?,
            default_memory: self.read("--defaultMemory", value::size_from(1), 2 << 30)?,
            default_disk: self.read("--defaultDisk", value::size_from(1), 2 << 30)?,
            cwl_default_ram: self.flag("--cwl-default-ram", true),
            cwl_min_ram: self.read("--cwl-min-ram", |text| value::size_from(0)(text).map(Some), None)?,
            max_cores: self.read("--maxCores", value::core_limit, None)?,
            max_memory: self.read("--maxMemory", value::size_limit, None)?,
            max_disk: self.read("--maxDisk", value::size_limit, None)?,
            max_jobs: max_jobs.into_iter().chain(parallel_max).min(),
            jobs_as_cores: parallel && parallel_max.is_none(),
            scale: self.read("--scale", value::positive, 1.0)?,
            default_time: self.read("--defaultWalltime", value::time_limit, None)?,
            max_time: self.read("--maxJobDuration", value::time_limit, None)?,
        })
    }

    fn retries(&self) -> Result<Retries, UsageError> {
        let retries = |text: &str| value::count(text).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Retries {
            count: self.read("--retryCount", retries, 1)?,
            backoff: self.read("--retryBackoffSeconds", value::seconds, Duration::from_secs(2))?,
            backoff_factor: self.read("--retryBackoffFactor", value::positive, 3.0)?,
            double_memory: self.flag("--doubleMem", false),
            // cwltool's --on-error writes the same setting.
            stop_on_first_failure: matches!(self.text("--stopOnFirstFailure"), Some("true" | "stop")),
        })
    }

    fn provenance(&self) -> Provenance {
        Provenance {
            dir: self.path("--provenance"),
            user: self.flag("--enable-user-provenance", false),
            host: self.flag("--enable-host-provenance", false),
            orcid: self.owned("--orcid"),
            full_name: self.owned("--full-name"),
        }
    }
}

fn clean(text: Option<&str>, default: Clean) -> Clean {
    match text {
        Some("always") => Clean::Always,
        Some("onError") => Clean::OnError,
        Some("never") => Clean::Never,
        Some("onSuccess") => Clean::OnSuccess,
        _ => default,
    }
}

fn clean_of(text: Option<&str>) -> Clean {
    clean(text, Clean::Always)
}

/// A locator; what Toil has and this program has not is refused, all else is a fault of the command line.
fn locator(text: &str, from: &str, cwd: &Path) -> Result<Locator, SettingsError> {
    Locator::parse(text, cwd).map_err(|error| {
        let error = UsageError::new(format!("{from}: {error}"));
        if text.starts_with("google:") { SettingsError::Refused(error) } else { error.into() }
    })
}
