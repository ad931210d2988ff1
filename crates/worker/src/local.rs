//! The executor of this machine: a pool of threads that grows with what is submitted, each running
//! one attempt at a time. Nothing is queued: admission was the leader's decision.

use std::collections::{HashMap, VecDeque};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moil_cwl::expression::Evaluator;
use moil_job::executor::{Executor, Report, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::result::Outcome;
use moil_job::spec::{Attempt, AttemptId};

use crate::cancel::Cancel;
use crate::config::WorkerConfig;
use crate::run;
use crate::spare::Spare;
use crate::system::{self, Result};

/// How long [`LocalExecutor::shut_down`] waits for threads whose tools are dead already: they may be in the
/// middle of a JavaScript evaluation, which ends with the process.
const LAST_REPORTS: Duration = Duration::from_secs(3);

/// Runs attempts on this machine.
pub struct LocalExecutor {
    shared: Arc<Shared>,
}

struct Shared {
    config: WorkerConfig,
    reporter: Reporter,
    state: Mutex<State>,
    /// Told when there is something in the queue, or the executor closes.
    work: Condvar,
    /// Told when an attempt is over.
    over: Condvar,
}

#[derive(Default)]
struct State {
    /// Handed over, and not yet taken by a thread that was woken or made for it.
    queue: VecDeque<(Attempt, Cancel)>,
    /// Threads that wait.
    idle: usize,
    /// What was submitted and not reported.
    active: HashMap<AttemptId, Cancel>,
    closed: bool,
}

impl LocalExecutor {
    /// An executor that reports to `reporter`. Makes the work root, and takes links out of its name: tools
    /// must not see two names of one file.
    ///
    /// # Errors
    /// Where the work root cannot be made.
    pub fn new(mut config: WorkerConfig, reporter: Reporter) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&config.work_root);
        config.work_root = made
            .and_then(|()| config.work_root.canonicalize())
            .map_err(|error| system::failure("make the directory", &config.work_root, &error))?;
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                reporter,
                state: Mutex::default(),
                work: Condvar::new(),
                over: Condvar::new(),
            }),
        })
    }
}

impl Executor for LocalExecutor {
    fn submit(&mut self, attempts: Vec<Attempt>) {
        for attempt in attempts {
            let id = attempt.id.clone();
            let mut state = self.shared.state();
            if state.active.contains_key(&id) {
                continue;
            }
            if state.closed {
                drop(state);
                (self.shared.reporter)(Report::Finished(id, failed(Cancel::failure())));
                continue;
            }
            let cancel = Cancel::new();
            state.active.insert(id, cancel.clone());
            state.queue.push_back((attempt, cancel));
            let threads_needed = state.queue.len() > state.idle;
            drop(state);
            if !threads_needed {
                self.shared.work.notify_one();
            } else if let Err(error) = self.shared.add_thread() {
                self.shared.give_up_last(&error);
            }
        }
    }

    fn cancel(&mut self, attempts: &[AttemptId]) {
        let cancels: Vec<Cancel> = {
            let state = self.shared.state();
            attempts.iter().filter_map(|id| state.active.get(id).cloned()).collect()
        };
        for cancel in cancels {
            cancel.cancel(self.shared.config.grace);
        }
    }

    fn shut_down(&mut self) {
        let queued = {
            let mut state = self.shared.state();
            state.closed = true;
            for cancel in state.active.values() {
                cancel.cancel(Duration::ZERO);
            }
            std::mem::take(&mut state.queue)
        };
        self.shared.work.notify_all();
        for (attempt, _) in queued {
            self.shared.finish(attempt.id, failed(Cancel::failure()));
        }
        // Kills what is left of the tools and returns when it is gone.
        self.shared.config.spawner.shut_down();
        let deadline = Instant::now() + LAST_REPORTS;
        let mut state = self.shared.state();
        while !state.active.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.over.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let unheard: Vec<AttemptId> = state.active.drain().map(|(id, _)| id).collect();
        drop(state);
        for id in unheard {
            (self.shared.reporter)(Report::Finished(id, failed(Cancel::failure())));
        }
    }
}

impl Drop for LocalExecutor {
    fn drop(&mut self) {
        let already = self.shared.state().closed;
        if !already {
            self.shut_down();
        }
    }
}

fn failed(failure: Failure) -> Outcome {
    Outcome::Failed(Box::new(failure))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_thread(self: &Arc<Self>) -> std::io::Result<()> {
        let shared = Arc::clone(self);
        std::thread::Builder::new()
            .name("worker".to_owned())
            .stack_size(self.config.stack_size)
            .spawn(move || shared.serve())
            .map(drop)
    }

    /// The system gives no more threads: the attempt that wanted one fails, unless another thread took it.
    fn give_up_last(&self, error: &std::io::Error) {
        let last = self.state().queue.pop_back();
        if let Some((attempt, _)) = last {
            let failure = Failure::new(FailureKind::System, "cannot make a thread for the job")
                .with_cause(error)
                .with_advice(
                    "the limit of processes may be reached (see ulimit -u): run fewer jobs at a time",
                );
            self.finish(attempt.id, failed(failure));
        }
    }

    fn evaluator(&self) -> Evaluator {
        let evaluator = Evaluator::new(self.config.limits);
        evaluator.listen(self.config.console.clone());
        evaluator
    }

    /// What a thread of the pool does.
    fn serve(&self) {
        let mut evaluator = self.evaluator();
        let spare = Spare::default();
        while let Some((attempt, cancel)) = self.next() {
            let id = attempt.id.clone();
            let stop = cancel.clone();
            evaluator.stop_when(Some(Box::new(move || stop.is_cancelled())));
            let run = || run::run(&attempt, &self.config, &evaluator, &spare, &cancel, &self.reporter);
            let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
                // Whatever state the panic left it in.
                evaluator = self.evaluator();
                failed(internal(panic.as_ref()))
            });
            evaluator.stop_when(None);
            self.finish(id, cancelled_or(outcome, &cancel));
        }
    }

    fn next(&self) -> Option<(Attempt, Cancel)> {
        let mut state = self.state();
        loop {
            if let Some(work) = state.queue.pop_front() {
                return Some(work);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn finish(&self, id: AttemptId, outcome: Outcome) {
        // Who took it out reports it: exactly one report.
        let known = self.state().active.remove(&id).is_some();
        if known {
            (self.reporter)(Report::Finished(id, outcome));
        }
        self.over.notify_all();
    }
}

/// An expression that was stopped has not failed by itself.
fn cancelled_or(outcome: Outcome, cancel: &Cancel) -> Outcome {
    match outcome {
        Outcome::Failed(failure) if failure.kind == FailureKind::Expression && cancel.is_cancelled() => {
            Outcome::Failed(Box::new(Cancel::failure()))
        }
        outcome => outcome,
    }
}

fn internal(panic: &(dyn std::any::Any + Send)) -> Failure {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words");
    Failure::new(FailureKind::Internal, "moil failed while it ran the job")
        .with_cause(words)
        .with_advice("this is a defect of moil: please report it with the document and the inputs")
}
