//! Those who run attempts: this machine, a cluster.

use crate::result::Outcome;
use crate::spec::{Attempt, AttemptId};

/// Runs attempts. Admission is the leader's alone: what is submitted is started, never queued.
pub trait Executor {
    /// Starts attempts. Submitting an attempt again attaches to the one that runs. Never blocks for
    /// longer than it takes to hand them over; what goes wrong is reported like any other end.
    fn submit(&mut self, attempts: Vec<Attempt>);

    /// Ends attempts; each is still reported, as cancelled or however it ended before.
    fn cancel(&mut self, attempts: &[AttemptId]);

    /// Goes on with an attempt that an earlier leader has submitted, and reports its end like that of others. `word` names
    /// it among all that leaders of this run have submitted ([`crate::exchange`]). Says whether anything is known of it;
    /// executors whose attempts end with their leader know nothing.
    fn attach(&mut self, _word: &str, _attempt: &AttemptId) -> bool {
        false
    }

    /// Lets go of everything, since it is another leader's now: it reports nothing more, and leaves at work what can do
    /// without it.
    fn leave(&mut self) {
        self.shut_down();
    }

    /// Ends everything that is left, at once. Afterwards nothing of the executor's is running.
    fn shut_down(&mut self);
}

/// What an executor tells. It is given a function to call, from any thread, when it is made.
#[derive(Clone, Debug)]
pub enum Report {
    /// What the attempt is doing that takes long, or waits for, in a sentence for people.
    Note(AttemptId, String),
    /// It is at work there: for people, as in `demo-toil-align-0123abcd-x7k2p on node-7`. An executor need not tell it.
    Placed(AttemptId, std::sync::Arc<str>),
    /// A line of the tool's output, where live output was asked for.
    Output(AttemptId, String),
    /// The tool and all that it started are gone; its outputs are still looked at. At most once for each
    /// attempt, before [`Report::Finished`]; an executor need not tell it. What the attempt was granted may
    /// go to the next one.
    ToolEnded(AttemptId),
    /// The attempt is over. Exactly one for each attempt that was submitted.
    Finished(AttemptId, Outcome),
}

/// Where an executor reports to.
pub type Reporter = std::sync::Arc<dyn Fn(Report) + Send + Sync>;
