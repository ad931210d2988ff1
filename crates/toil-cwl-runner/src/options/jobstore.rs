//! The job store, restart and cleaning.

use super::{Group, Opt};

const WHEN: &[&str] = &["always", "onError", "never", "onSuccess"];

pub(super) const GROUP: Group = Group {
    title: "Job store and restart",
    options: &[
        Opt::value(
            &["--jobStore", "--jobstore"],
            "LOCATOR",
            "Where the run is recorded: a path, file:PATH or aws:REGION:NAME (default: nowhere).",
        ),
        Opt::optional(
            &["--restart"],
            "auto",
            "Go on with the run of the job store; =auto: start it if there is none.",
        )
        .constant("true")
        .choices(&["auto"]),
        Opt::value(&["--clean"], "WHEN", "When the job store is deleted (default: onSuccess).").choices(WHEN),
        Opt::value(&["--cleanWorkDir"], "WHEN", "When a job's directories are deleted (default: always).")
            .choices(WHEN),
        Opt::flag(&["--stats"], "Print what the jobs of each step took, as JSON on stderr, at the end."),
        Opt::bool(
            &["--caching"],
            "Workers of one machine fetch an input once, and keep it for later runs (default: with --kubernetesHostPath).",
        ),
        Opt::bool(&["--disableCaching"], "The opposite of --caching.").inverts("--caching").hidden(),
        Opt::value(
            &["--inputCacheSize"],
            "SIZE",
            "The most that --caching keeps on a machine (default: a quarter of the room there).",
        )
        .own(),
        Opt::bool(&["--symlinkImports"], "Link inputs instead of copying them.").accepted(IN_PLACE),
        Opt::flag(&["--linkImports"], "The same as --symlinkImports true.")
            .sets("--symlinkImports", "true")
            .accepted(IN_PLACE)
            .hidden(),
        Opt::flag(&["--noLinkImports"], "The same as --symlinkImports false.")
            .sets("--symlinkImports", "false")
            .accepted(IN_PLACE)
            .hidden(),
        Opt::bool(&["--symlinkJobStoreReads"], "Let tools read files of the job store in place.")
            .accepted(IN_PLACE),
        Opt::bool(&["--moveOutputs"], "Move outputs out of the job store.").accepted(MOVED),
        Opt::flag(&["--moveExports"], "The same as --moveOutputs true.")
            .sets("--moveOutputs", "true")
            .accepted(MOVED)
            .hidden(),
        Opt::flag(&["--noMoveExports"], "The same as --moveOutputs false.")
            .sets("--moveOutputs", "false")
            .accepted(MOVED)
            .hidden(),
        Opt::bool(
            &["--disableJobStoreChecksumVerification"],
            "Do not verify what is read from the job store.",
        )
        .accepted("what is read is always verified"),
        Opt::value(&["--jobStoreTimeout"], "SECONDS", "How long to wait for a job's result.")
            .accepted("a result is in the job store before its job ends"),
        Opt::value(&["--coordinationDir"], "DIR", "Where lock files go.")
            .variable("TOIL_COORDINATION_DIR")
            .accepted("locks lie beside what they protect"),
        Opt::value(
            &["--runDir"],
            "DIR",
            "A directory for the job store, temporary files and images of the run.",
        )
        .variable("TOIL_RUN_DIR")
        .not_yet("one directory for everything"),
    ],
};

const IN_PLACE: &str = "files are read where they are; changes during the run are told";
const MOVED: &str = "outputs are moved where nothing else needs them, and copied otherwise";
