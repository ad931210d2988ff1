//! Resources of jobs, limits and retries.

use super::{Group, Opt};

pub(super) const RESOURCES: Group = Group {
    title: "Resources",
    options: &[
        Opt::value(&["--defaultCores"], "N", "Cores of jobs that do not ask for any (default: 1)."),
        Opt::value(&["--defaultMemory"], "SIZE", "Memory of jobs that do not ask for any (default: 2 Gi)."),
        Opt::value(&["--defaultDisk"], "SIZE", "Disk of jobs that do not ask for any (default: 2 Gi)."),
        Opt::value(&["--maxCores"], "N", "Refuse jobs with more cores, and use no more at a time."),
        Opt::value(&["--maxMemory"], "SIZE", "Refuse jobs with more memory, and use no more at a time."),
        Opt::value(&["--maxDisk"], "SIZE", "Refuse jobs with more disk, and use no more at a time."),
        Opt::flag(&["--cwl-default-ram"], "Tools that ask for no memory get the 256 MiB of CWL (default)."),
        Opt::flag(&["--no-cwl-default-ram"], "Tools that ask for no memory get --defaultMemory.")
            .sets("--cwl-default-ram", "false"),
        Opt::value(&["--cwl-min-ram"], "SIZE", "The least memory that a tool gets."),
        Opt::repeated(&["--defaultAccelerators"], "LIST", "Accelerators of jobs that do not ask for any.")
            .not_yet("accelerators"),
        Opt::bool(
            &["--defaultPreemptible", "--defaultPreemptable"],
            "On Kubernetes: jobs may run on nodes that can be taken away, and better run there (default: false).",
        ),
        Opt::value(
            &["--defaultWalltime"],
            "SECONDS",
            "Time limit of jobs that set none (default and 0: none).",
        ),
        Opt::value(&["--maxJobDuration"], "SECONDS", "End jobs that take longer (default: no limit)."),
    ],
};

pub(super) const RETRIES: Group = Group {
    title: "Retries",
    options: &[
        Opt::value(&["--retryCount"], "N", "How often a failed job is tried again (default: 1)."),
        Opt::value(
            &["--retryBackoffSeconds"],
            "SECONDS",
            "How long to wait before the first retry (default: 2).",
        ),
        Opt::value(
            &["--retryBackoffFactor"],
            "FACTOR",
            "How much longer to wait before each further one (default: 3).",
        ),
        Opt::bool(&["--doubleMem"], "Retry jobs that ran out of memory with twice as much, or all there is."),
        Opt::bool(&["--doubleTime"], "Retry jobs that a grid engine ended with twice the time.")
            .accepted("this program does not run jobs on grid engines"),
        Opt::bool(
            &["--enableUnlimitedPreemptibleRetries", "--enableUnlimitedPreemptableRetries"],
            "Losing a preemptible node does not count as a try.",
        )
        .not_yet("Kubernetes"),
        Opt::value(&["--rescueJobsFrequency"], "SECONDS", "Time between searches for lost jobs.")
            .accepted("lost jobs are noticed at once"),
    ],
};
