//! The executor: blocking calls for the leader, in front of a task that asks the API server.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use moil_job::exchange::Exchange;
use moil_job::executor::{Executor, Reporter};
use moil_job::failure::{Failure, FailureKind};
use moil_job::spec::{Attempt, AttemptId};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::cluster::Cluster;
use crate::lead::{Command, Lead};
use crate::names;
use crate::region;
use crate::settings::Settings;

/// How long the end of all pods is waited for.
const LAST_REPORTS: Duration = Duration::from_secs(60);

/// The stack of the threads that talk to the cluster, in bytes.
const STACK: usize = 8 << 20;

/// Runs attempts in pods: each in one of its own, or one after the other in those of their class.
pub struct KubernetesExecutor {
    commands: UnboundedSender<Command>,
    /// The Jobs of earlier leaders, by the words of their attempts.
    known: HashMap<String, String>,
    /// The words of attempts that earlier leaders' pods have which take more than one.
    shared: HashSet<String>,
    /// `None` once it was shut down.
    runtime: Option<Runtime>,
}

impl KubernetesExecutor {
    /// Finds the cluster and what earlier leaders of the run have left there.
    ///
    /// # Errors
    /// There is no cluster, or it refuses.
    pub fn new(
        settings: Settings,
        exchange: Arc<dyn Exchange>,
        reporter: Reporter,
        warn: Arc<dyn Fn(String) + Send + Sync>,
    ) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("kubernetes")
            // Results are read there, and values nest deeply.
            .thread_stack_size(STACK)
            .enable_all()
            .build()
            .map_err(|error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error))?;
        let (cluster, owner, known) = runtime.block_on(async {
            let cluster = Cluster::connect(&settings, Arc::clone(&warn)).await?;
            let owner = cluster.own(&settings).await?;
            let known = cluster.known(&settings.run).await?;
            Ok::<_, Failure>((cluster, owner, known))
        })?;
        let (pods, known): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|(word, _)| names::is_pod_word(word));
        if let Some(region) = settings.region.clone() {
            let (cluster, tell) = (cluster.clone(), Arc::clone(&warn));
            runtime.spawn(async move { region::note(&cluster, &region).await.map(|note| tell(note)) });
        }
        let (commands, receiver) = unbounded_channel();
        let lead = Lead::new(cluster, settings, owner, exchange, reporter, warn);
        runtime.spawn(lead.run(receiver));
        let mut executor = Self {
            commands,
            known: known.into_iter().collect(),
            shared: HashSet::new(),
            runtime: Some(runtime),
        };
        if !pods.is_empty() {
            // Nothing is run again before it is known what is at work.
            let (answer, asked) = channel();
            executor.tell(Command::Adopt(pods, answer));
            executor.shared = asked.recv().unwrap_or_default().into_iter().collect();
        }
        Ok(executor)
    }

    fn tell(&self, command: Command) {
        // It is gone only after the end.
        let _ = self.commands.send(command);
    }
}

impl Executor for KubernetesExecutor {
    fn submit(&mut self, attempts: Vec<Attempt>) {
        self.tell(Command::Submit(attempts));
    }

    fn cancel(&mut self, attempts: &[AttemptId]) {
        self.tell(Command::Cancel(attempts.to_vec()));
    }

    fn attach(&mut self, word: &str, attempt: &AttemptId) -> bool {
        let job = self.known.remove(word);
        if job.is_none() && !self.shared.remove(word) {
            return false;
        }
        self.tell(Command::Attach { word: word.to_owned(), job, attempt: attempt.clone() });
        true
    }

    fn leave(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shut_down_now();
        }
    }

    fn shut_down(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let (done, wait) = channel();
        self.tell(Command::ShutDown(done));
        // What is left after that is removed by Kubernetes: it has no owner any more.
        let _ = wait.recv_timeout(LAST_REPORTS);
        runtime.shut_down_now();
    }
}

/// Ends a runtime without waiting for calls that block.
trait ShutDownNow {
    fn shut_down_now(self);
}

impl ShutDownNow for Runtime {
    fn shut_down_now(self) {
        self.shutdown_timeout(Duration::from_millis(100));
    }
}
