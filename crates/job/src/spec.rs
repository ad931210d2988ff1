//! Jobs and attempts.

use std::fmt;
use std::sync::Arc;

use moil_cwl::inherit::Effective;
use moil_cwl::process::CommandLineTool;
use moil_cwl::value::Value;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::resources::Resources;
use crate::secret::Secrets;

/// Names a job within its run by its position in the plan, such as `align[3]/sort`; stable over restarts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub Arc<str>);

/// What people call a job and its step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// The job's name: the step's own, numbered from the second on where it is scattered (`align_3`).
    pub name: Arc<str>,
    /// The step, with those of the workflows around it: `call/align`.
    pub step: Arc<str>,
}

impl JobId {
    /// What a job at this position is called, if nothing else is said: `call[3]/align[1]` is `align_2` of `call/align`.
    pub fn called(&self) -> Called {
        let mut step = String::new();
        let mut name = String::new();
        for part in self.0.split('/') {
            let plain = part.find(['[', '@']).map_or(part, |end| &part[..end]);
            let numbers = part[plain.len()..].split(['[', ']', '@']);
            let place: u64 = numbers.filter_map(|number| number.parse::<u64>().ok()).sum();
            name = if place == 0 { plain.to_owned() } else { format!("{plain}_{}", place + 1) };
            if !step.is_empty() {
                step.push('/');
            }
            step.push_str(plain);
        }
        Called { name: name.into(), step: step.into() }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names an attempt within its run: a job and the number of the try, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptId {
    /// The job.
    pub job: JobId,
    /// Which try, from 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.job, self.number)
    }
}

/// A command line tool with its inputs: all that decides what will come out.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its position in the plan.
    pub id: JobId,
    /// What people call it: the step's name, numbered where it is scattered (`align_3`).
    pub name: Arc<str>,
    /// The tool and its requirements, shared by all jobs of a step.
    pub tool: Arc<JobTool>,
    /// The input object: complete, checked, files with locations, placeholders for secrets.
    pub inputs: Value,
    /// What the document asks for, before any retry raised it.
    pub requested: Resources,
    /// `None` where nothing can be restarted or cached: then nothing is hashed.
    pub key: Option<Key>,
}

/// What the jobs of one step share.
#[derive(Clone, Debug)]
pub struct JobTool {
    /// The tool.
    pub tool: Arc<CommandLineTool>,
    /// The requirements in force.
    pub effective: Arc<Effective>,
    /// What stands beside its output files is wanted as well: documents that a generator makes name each other.
    pub with_siblings: bool,
}

/// One try at a job.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Chosen and recorded before the attempt is submitted.
    pub id: AttemptId,
    /// The job.
    pub job: Arc<Job>,
    /// What the attempt may use: what was requested, or more after a failure for lack of it.
    pub granted: Resources,
    /// The secrets that the inputs mention. They travel beside the attempt, and are never stored with it.
    pub secrets: Secrets,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_says_what_a_job_is_called() {
        let cases = [
            ("align", "align", "align"),
            ("align[0]", "align", "align"),
            ("call[3]/align[1]", "align_2", "call/align"),
            ("grow@2", "grow_3", "grow"),
            ("grow[1]@2", "grow_4", "grow"),
            ("", "", ""),
        ];
        for (id, name, step) in cases {
            let called = JobId(id.into()).called();
            assert_eq!((&*called.name, &*called.step), (name, step), "{id}");
        }
    }
}
