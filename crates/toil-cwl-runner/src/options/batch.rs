//! Where jobs run, and how many at a time.

use super::{Group, Opt};

pub(super) const GROUP: Group = Group {
    title: "Running jobs",
    options: &[
        Opt::value(
            &["--batchSystem"],
            "NAME",
            "Where jobs run: single_machine (default), kubernetes, or processes: on this machine, each in a worker process of its own, as on a cluster.",
        ),
        Opt::value(
            &["--maxJobs"],
            "N",
            "How many jobs run at a time (default and 0: no limit but cores and memory).",
        ),
        Opt::flag(&["--parallel"], "Run jobs in parallel.").accepted("jobs always run in parallel").cwltool(),
        Opt::value(&["--parallel-max"], "N", "How many jobs run at a time; 0: as many as cores.").cwltool(),
        Opt::value(&["--scale"], "FACTOR", "Multiply the cores that jobs ask for by this (default: 1)."),
        Opt::bool(&["--stopOnFirstFailure"], "End the run at the first job that fails (default: false)."),
        Opt::value(
            &["--on-error"],
            "ACTION",
            "stop: the same as --stopOnFirstFailure; continue: its opposite.",
        )
        .choices(&["stop", "continue"])
        .sets("--stopOnFirstFailure", "")
        .cwltool(),
        Opt::value(&["--maxLocalJobs"], "N", "How many small jobs run beside the leader.").accepted(SMALL),
        Opt::flag(
            &["--runLocalJobsOnWorkers", "--runCwlInternalJobsOnWorkers"],
            "Run small jobs on workers.",
        )
        .accepted(SMALL),
        Opt::bool(&["--disableAutoDeployment"], "Do not carry Python code to workers.").accepted(PYTHON),
        Opt::flag(&["--disableHotDeployment"], "The same as --disableAutoDeployment.")
            .sets("--disableAutoDeployment", "true")
            .accepted(PYTHON),
        Opt::bool(&["--disableChaining"], "Do not run successors in the same worker.")
            .accepted("nothing is chained"),
    ],
};

const SMALL: &str = "scatter, conditions and expressions need no jobs of their own";
const PYTHON: &str = "there is no Python code to carry";
