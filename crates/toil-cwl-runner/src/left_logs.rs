//! Logs that workers elsewhere leave in the job store come to the leader's directories (`--log-dir`, `--writeLogs`). Nobody
//! waits for them but the end of the run.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use moil_job::exchange::{Exchange, Told};
use moil_job::failure::Failure;
use moil_job::record::Imported;
use moil_job::result::{LeftLog, Outcome};
use moil_job::spec::{Attempt, AttemptId};
use moil_jobstore::remote::Remote;
use moil_worker::kept_logs::KeptLogs;

use crate::log::Log;
use crate::settings::Settings;

/// How many are fetched at a time.
const THREADS: usize = 4;

/// The logs that are kept, and where.
pub fn kept(settings: &Settings) -> Vec<KeptLogs> {
    let log = &settings.log;
    let streams = log.streams_dir.iter().map(|dir| KeptLogs { dir: dir.clone(), all: true, gzip: false });
    let jobs = log.jobs_dir.iter().map(|dir| KeptLogs {
        dir: dir.clone(),
        all: log.all_jobs,
        gzip: log.compress_jobs,
    });
    streams.chain(jobs).collect()
}

/// Fetches logs. Clones share it.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    /// One for each thread: the logs of one job come in their order.
    threads: Vec<(Mutex<Option<Sender<Asked>>>, Mutex<Option<JoinHandle<()>>>)>,
    kept: Vec<KeptLogs>,
}

/// A log that is to come.
struct Asked {
    log: LeftLog,
    failed: bool,
}

impl Fetcher {
    /// One for the directories of the settings; `None` if they name none.
    ///
    /// # Errors
    /// There are no more threads.
    pub fn start(settings: &Settings, remote: &Arc<Remote>, log: &Log) -> io::Result<Option<Self>> {
        let kept = kept(settings);
        if kept.is_empty() {
            return Ok(None);
        }
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let (sender, asked) = channel();
            let home = Home {
                kept: kept.clone(),
                scratch: settings.files.work_dir.clone(),
                remote: Arc::clone(remote),
                log: log.clone(),
            };
            let thread = thread::Builder::new().name("logs".to_owned()).spawn(move || home.fetch(&asked))?;
            threads.push((Mutex::new(Some(sender)), Mutex::new(Some(thread))));
        }
        Ok(Some(Self(Arc::new(Inner { threads, kept }))))
    }

    /// Takes the logs out of an outcome; they come after a while. A failure tells where they will be.
    pub fn take_from(&self, outcome: &mut Outcome) {
        let logs = outcome.take_logs();
        if let Outcome::Failed(failure) = outcome {
            self.tell(&logs, failure);
        }
        let failed = matches!(outcome, Outcome::Failed(_));
        for log in logs {
            let mut hash = DefaultHasher::new();
            log.job.hash(&mut hash);
            let at = usize::try_from(hash.finish()).unwrap_or(0) % self.0.threads.len().max(1);
            if let Some((sender, _)) = self.0.threads.get(at)
                && let Some(sender) = &*sender.lock().unwrap_or_else(PoisonError::into_inner)
            {
                // The threads end only with the senders.
                _ = sender.send(Asked { log, failed });
            }
        }
    }

    /// Where the log is that a failure tells of: where the worker had it nobody looks.
    fn tell(&self, logs: &[LeftLog], failure: &mut Failure) {
        let stem = failure.log.as_deref().map(Path::new).and_then(Path::file_stem);
        let log = logs.iter().find(|log| stem.is_some_and(|stem| *stem == *log.stream));
        if let (Some(log), Some(kept)) = (log, self.0.kept.last()) {
            failure.log = Some(kept.pattern(&log.job, &log.stream).display().to_string());
        }
    }

    /// Waits for all that are on their way.
    pub fn finish(self) {
        for (sender, _) in &self.0.threads {
            sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        for (_, thread) in &self.0.threads {
            let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            // One that panicked has been told.
            _ = thread.map(JoinHandle::join);
        }
    }
}

/// Where logs come to.
struct Home {
    kept: Vec<KeptLogs>,
    scratch: PathBuf,
    remote: Arc<Remote>,
    log: Log,
}

impl Home {
    fn fetch(&self, asked: &Receiver<Asked>) {
        for Asked { log, failed } in asked {
            if let Err(reason) = self.bring(&log, failed) {
                let LeftLog { job, stream, .. } = log;
                self.log.warning(format!("the {stream} of {job} is not kept: {reason}"));
            }
        }
    }

    fn bring(&self, log: &LeftLog, failed: bool) -> Result<(), String> {
        let words = |error: io::Error| error.to_string();
        let passing = tempfile::Builder::new().prefix("moil-log-").tempdir_in(&self.scratch);
        let passing = passing.map_err(words)?;
        // Whatever it is called: it must not lead out of here.
        let stream = if log.stream == "stdout" { "stdout" } else { "stderr" };
        let path = passing.path().join(format!("{stream}.log"));
        self.remote.download(&log.location, &path).map_err(|error| error.to_string())?;
        for kept in self.kept.iter().filter(|kept| kept.all || failed) {
            kept.keep(&path, &log.job).map_err(words)?;
        }
        Ok(())
    }
}

/// The same exchange, which takes the logs out of outcomes that are read from it.
pub fn take_from(exchange: Arc<dyn Exchange>, logs: Option<&Fetcher>) -> Arc<dyn Exchange> {
    match logs {
        Some(logs) => Arc::new(Taking { exchange, logs: logs.clone() }),
        None => exchange,
    }
}

struct Taking {
    exchange: Arc<dyn Exchange>,
    logs: Fetcher,
}

impl Exchange for Taking {
    fn hand_over(&self, attempt: &Attempt) -> Result<String, Failure> {
        self.exchange.hand_over(attempt)
    }

    fn write(&self, attempt: &Attempt) -> Result<Told, Failure> {
        self.exchange.write(attempt)
    }

    fn settings(&self) -> Option<String> {
        self.exchange.settings()
    }

    fn imported(&self) -> Vec<Imported> {
        self.exchange.imported()
    }

    fn word(&self, term: &str, attempt: &AttemptId) -> String {
        self.exchange.word(term, attempt)
    }

    fn outcome(&self, word: &str, attempt: &AttemptId) -> Result<Option<Outcome>, Failure> {
        let mut outcome = self.exchange.outcome(word, attempt)?;
        if let Some(outcome) = &mut outcome {
            self.logs.take_from(outcome);
        }
        Ok(outcome)
    }
}
