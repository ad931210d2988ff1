//! What is accepted so that old command lines keep working, without an effect here.

use super::{Group, Opt};

const GRID: &str = "this program does not run jobs on grid engines";
const SLURM: &str = "this program does not run jobs on Slurm";
const SCALING: &str = "the cluster's own autoscaler does that";
const SERVICES: &str = "CWL has no services";
const GONE: &str = "Toil no longer has it, and this program never had it";
const MESOS: &str = "this program does not run jobs on Mesos";
const TES: &str = "this program does not run jobs through GA4GH TES";
const WDL: &str = "this program runs CWL, not WDL";
const WORKERS: &str = "it helps with debugging Toil's workers";

pub(super) const GRID_ENGINES: Group = Group {
    title: "Grid engines (accepted, without effect)",
    options: &[
        Opt::flag(&["--manualMemArgs"], "Memory arguments of qsub.").accepted(GRID),
        Opt::flag(&["--coalesceStatusCalls"], "Ask for many states at once.").accepted(GRID),
        Opt::value(&["--statePollingWait"], "SECONDS", "Time between questions for states.").accepted(GRID),
        Opt::value(&["--statePollingTimeout"], "SECONDS", "How long to ask a broken scheduler.")
            .accepted(GRID),
        Opt::value(&["--batchLogsDir"], "DIR", "Where the scheduler writes logs.")
            .variable("TOIL_BATCH_LOGS_DIR")
            .accepted(GRID),
        Opt::flag(&["--memoryIsProduct"], "Memory counts per core.").accepted(GRID),
        Opt::bool(&["--slurmAllocateMem"], "Ask Slurm for memory.")
            .variable("TOIL_SLURM_ALLOCATE_MEM")
            .accepted(SLURM),
        Opt::flag(&["--allocate_mem"], "The same as --slurmAllocateMem true.")
            .sets("--slurmAllocateMem", "true")
            .accepted(SLURM)
            .hidden(),
        Opt::flag(&["--dont_allocate_mem"], "The same as --slurmAllocateMem false.")
            .sets("--slurmAllocateMem", "false")
            .accepted(SLURM)
            .hidden(),
        Opt::bool(&["--slurmDefaultAllMem"], "Ask Slurm for all memory of a node.")
            .variable("TOIL_SLURM_DEFAULT_ALL_MEM")
            .accepted(SLURM),
        Opt::value(&["--slurmTime"], "TIME", "Time limit in Slurm.")
            .variable("TOIL_SLURM_TIME")
            .accepted(SLURM),
        Opt::value(&["--slurmPartition"], "NAME", "Partition of Slurm.")
            .variable("TOIL_SLURM_PARTITION")
            .accepted(SLURM),
        Opt::value(&["--slurmQOS"], "NAME", "Quality of service in Slurm.")
            .variable("TOIL_SLURM_QOS")
            .accepted(SLURM),
        Opt::value(&["--slurmGPUPartition"], "NAME", "Partition of Slurm for GPUs.")
            .variable("TOIL_SLURM_GPU_PARTITION")
            .accepted(SLURM),
        Opt::value(&["--slurmGPUQOS"], "NAME", "Quality of service in Slurm for GPUs.")
            .variable("TOIL_SLURM_GPU_QOS")
            .accepted(SLURM),
        Opt::value(&["--slurmPE"], "NAME", "Partition of Slurm for several cores.")
            .variable("TOIL_SLURM_PE")
            .accepted(SLURM),
        Opt::value(&["--slurmArgs"], "ARGUMENTS", "More arguments for Slurm.")
            .variable("TOIL_SLURM_ARGS")
            .accepted(SLURM),
    ],
};

pub(super) const AUTOSCALING: Group = Group {
    title: "Autoscaling (accepted, without effect)",
    options: &[
        Opt::value(&["--provisioner", "-p"], "NAME", "Who starts nodes.").not_applicable(SCALING),
        Opt::repeated(&["--nodeTypes"], "LIST", "Kinds of nodes.").not_applicable(SCALING),
        Opt::repeated(&["--maxNodes"], "LIST", "Most nodes of each kind.").not_applicable(SCALING),
        Opt::repeated(&["--minNodes"], "LIST", "Fewest nodes of each kind.").not_applicable(SCALING),
        Opt::value(&["--targetTime"], "SECONDS", "How soon all jobs are to be done.").not_applicable(SCALING),
        Opt::value(&["--betaInertia"], "FACTOR", "How slowly the number of nodes follows.")
            .not_applicable(SCALING),
        Opt::value(&["--scaleInterval"], "SECONDS", "Time between decisions.").not_applicable(SCALING),
        Opt::value(
            &["--preemptibleCompensation", "--preemptableCompensation"],
            "FACTOR",
            "How many preemptible nodes are replaced by others.",
        )
        .not_applicable(SCALING),
        Opt::value(&["--nodeStorage"], "GB", "Disk of nodes.").not_applicable(SCALING),
        Opt::repeated(&["--nodeStorageOverrides"], "LIST", "Disk of single kinds of nodes.")
            .not_applicable(SCALING),
        Opt::bool(&["--metrics"], "Show metrics in Grafana.").not_applicable("there is no server of metrics"),
        Opt::bool(&["--assumeZeroOverhead"], "Nodes need nothing for themselves.").not_applicable(SCALING),
        Opt::repeated(&["--nodeOptions"], "OPTIONS", "Options of nodes.").not_applicable(GONE).seed_era(),
    ],
};

pub(super) const OTHERS: Group = Group {
    title: "Others (accepted, without effect)",
    options: &[
        Opt::value(&["--config_version"], "VERSION", "The version of the config file.")
            .accepted("all versions are read alike")
            .hidden(),
        Opt::flag(&["--noStdOutErr"], "Do not keep what workers print.")
            .accepted("what workers print is kept only with --writeLogs"),
        Opt::optional(&["--clusterStats"], "FILE", "Write statistics of the autoscaler.").accepted(SCALING),
        Opt::bool(&["--forceDockerAppliance"], "Do not look whether the image of the workers exists.")
            .accepted("it is not looked for"),
        Opt::value(&["--publishWorkflowMetrics"], "WHICH", "Report runs to Dockstore.")
            .choices(&["all", "current", "no"])
            .not_applicable("this program reports nothing to anybody"),
        Opt::value(&["--servicePollingInterval"], "SECONDS", "How often services look.").accepted(SERVICES),
        Opt::value(&["--maxServiceJobs"], "N", "Most services.").accepted(SERVICES).hidden(),
        Opt::value(
            &["--maxPreemptibleServiceJobs", "--maxPreemptableServiceJobs"],
            "N",
            "Most preemptible services.",
        )
        .accepted(SERVICES)
        .hidden(),
        Opt::value(&["--deadlockWait"], "SECONDS", "How long services may wait for each other.")
            .accepted(SERVICES)
            .hidden(),
        Opt::value(&["--deadlockCheckInterval"], "SECONDS", "How often that is looked at.")
            .accepted(SERVICES)
            .hidden(),
        Opt::flag(&["--debugWorker"], "Run workers inside the leader.").accepted(WORKERS),
        Opt::flag(&["--disableWorkerOutputCapture"], "Let workers print.").accepted(WORKERS),
        Opt::value(&["--badWorker"], "FRACTION", "Kill workers at random.").accepted(WORKERS),
        Opt::value(&["--badWorkerFailInterval"], "SECONDS", "How soon.").accepted(WORKERS),
        Opt::value(&["--wdlOutputDialect"], "NAME", "For WDL.").accepted(WDL).hidden(),
        Opt::value(&["--wdlOutputDirectory"], "DIR", "For WDL.").accepted(WDL).hidden(),
        Opt::value(&["--wdlOutputFile"], "FILE", "For WDL.").accepted(WDL).hidden(),
        Opt::bool(&["--wdlReferenceInputs"], "For WDL.").accepted(WDL).hidden(),
        Opt::value(&["--wdlContainer"], "NAME", "For WDL.").accepted(WDL).hidden(),
        Opt::bool(&["--wdlAllCallOutputs"], "For WDL.").accepted(WDL).hidden(),
        Opt::bool(&["--wdlStrict"], "For WDL.").accepted(WDL).hidden(),
        Opt::bool(&["--wdlQuantCheck"], "For WDL.").accepted(WDL).hidden(),
        Opt::value(&["--parasolCommand"], "COMMAND", "For Parasol.").not_applicable(GONE).seed_era(),
        Opt::value(&["--parasolMaxBatches"], "N", "For Parasol.").not_applicable(GONE).seed_era(),
        Opt::value(&["--mesosMaster", "--mesosEndpoint"], "HOST", "For Mesos.")
            .not_applicable(MESOS)
            .hidden(),
        Opt::value(&["--mesosFrameworkId"], "ID", "For Mesos.").not_applicable(MESOS).hidden(),
        Opt::value(&["--mesosRole"], "NAME", "For Mesos.").not_applicable(MESOS).hidden(),
        Opt::value(&["--mesosName"], "NAME", "For Mesos.").not_applicable(MESOS).hidden(),
        Opt::value(&["--tesEndpoint"], "URL", "For GA4GH TES.").not_applicable(TES).seed_era(),
        Opt::value(&["--tesUser"], "NAME", "For GA4GH TES.").not_applicable(TES).seed_era(),
        Opt::value(&["--tesPassword"], "PASSWORD", "For GA4GH TES.").not_applicable(TES).seed_era(),
        Opt::value(&["--tesBearerToken"], "TOKEN", "For GA4GH TES.").not_applicable(TES).seed_era(),
        Opt::value(&["--tempDirRoot"], "DIR", "Where temporary files go.").sets("--workDir", "").seed_era(),
    ],
};
