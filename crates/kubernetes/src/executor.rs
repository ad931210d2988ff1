//! The executor: blocking calls for the leader, in front of a task that asks the API server.

use std::collections::HashMap;
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
use crate::settings::Settings;

/// How long the end of all pods is waited for.
const LAST_REPORTS: Duration = Duration::from_secs(60);

/// Runs each attempt as a Job.
pub struct KubernetesExecutor {
    commands: UnboundedSender<Command>,
    /// The Jobs of earlier leaders, by the words of their attempts.
    known: HashMap<String, String>,
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
            .enable_all()
            .build()
            .map_err(|error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error))?;
        let (cluster, owner, known) = runtime.block_on(async {
            let cluster = Cluster::connect(&settings, Arc::clone(&warn)).await?;
            let owner = cluster.own(&settings).await?;
            let known = cluster.known(&settings.run).await?;
            Ok::<_, Failure>((cluster, owner, known))
        })?;
        let (commands, receiver) = unbounded_channel();
        let lead = Lead::new(cluster, settings, owner, exchange, reporter, warn);
        runtime.spawn(lead.run(receiver));
        Ok(Self { commands, known: known.into_iter().collect(), runtime: Some(runtime) })
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
        let Some(job) = self.known.remove(word) else { return false };
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
