//! What is run, how documents are read and printed, where outputs go, what tools see.

use super::{Group, Opt};

pub(super) const GENERAL: Group = Group {
    title: "General",
    options: &[
        Opt::flag(&["--help", "-h"], "Print this help and exit."),
        Opt::flag(&["--version"], "Print the version and exit."),
        Opt::value(
            &["--config"],
            "FILE",
            "Read options from a YAML file; its keys are the long names of options.",
        ),
    ],
};

pub(super) const DOCUMENTS: Group = Group {
    title: "Reading documents",
    options: &[
        Opt::flag(&["--validate"], "Check the document, and the inputs if given, and exit.").cwltool(),
        Opt::flag(&["--json"], "With --validate: print the faults as JSON.").own(),
        Opt::flag(&["--strict"], "Fields that CWL does not know are errors (default).").cwltool(),
        Opt::flag(&["--not-strict", "--non-strict"], "Fields that CWL does not know are warnings.")
            .sets("--strict", "false"),
        Opt::flag(&["--enable-dev"], "Allow versions of CWL that are not released."),
        Opt::flag(&["--enable-ext"], "Allow the extensions under cwltool's namespace."),
        Opt::flag(&["--relax-path-checks"], "Allow spaces, '#' and other unusual characters in file names."),
        Opt::flag(&["--skip-schemas"], "Do not read the ontologies named by $schemas.").cwltool(),
        Opt::value(&["--overrides"], "FILE", "Read changes to the requirements of single steps from a file."),
        Opt::flag(&["--disable-validate"], "Skip the check of documents.")
            .accepted("documents are always checked; it takes milliseconds")
            .hidden(),
        Opt::flag(&["--fast-parser"], "Use another parser.").accepted("there is one parser").hidden(),
        Opt::flag(&["--disable-js-validation"], "Do not check the style of JavaScript.")
            .accepted("only the syntax of JavaScript is checked")
            .cwltool(),
        Opt::value(&["--js-hint-options-file"], "FILE", "Options of jshint.")
            .accepted("JavaScript is not checked for style")
            .cwltool(),
        Opt::flag(&["--doc-cache"], "Keep documents that were fetched by http.")
            .accepted("documents are fetched once per run and not kept")
            .cwltool(),
        Opt::flag(&["--no-doc-cache"], "Do not keep documents that were fetched by http.")
            .sets("--doc-cache", "false")
            .accepted("documents are fetched once per run and not kept")
            .cwltool(),
        Opt::flag(&["--enable-ga4gh-tool-registry"], "Find workflows in tool registries.")
            .not_yet("tool registries")
            .cwltool(),
        Opt::flag(&["--disable-ga4gh-tool-registry"], "Do not ask tool registries for workflows.")
            .sets("--enable-ga4gh-tool-registry", "false")
            .accepted("tool registries are not asked")
            .cwltool(),
        Opt::repeated(&["--add-ga4gh-tool-registry"], "URL", "Ask this tool registry too.")
            .not_yet("tool registries")
            .cwltool(),
    ],
};

pub(super) const PRINTING: Group = Group {
    title: "Printing instead of running",
    options: &[
        Opt::flag(&["--print-supported-versions"], "Print the versions of CWL that can be run.").cwltool(),
        Opt::flag(&["--make-template"], "Print an input object to fill in.").cwltool(),
        Opt::flag(&["--tool-help"], "Print the inputs of the workflow as options.").cwltool(),
        Opt::flag(&["--pack"], "Print the document with all that it refers to, as one.").cwltool(),
        Opt::flag(&["--print-pre"], "Print the document after references are resolved.").cwltool(),
        Opt::flag(&["--print-dot"], "Print the workflow as a graph for Graphviz.").cwltool(),
        Opt::flag(&["--print-deps"], "Print the files that the document refers to.").cwltool(),
        Opt::flag(&["--print-input-deps"], "Print the files that the input object refers to.").cwltool(),
        Opt::value(&["--relative-deps"], "FROM", "Where printed paths start: at the document or here.")
            .choices(&["primary", "cwd"])
            .cwltool(),
        Opt::flag(&["--print-targets"], "Print what --target can name.").cwltool(),
        Opt::flag(&["--print-subgraph"], "Print the part of the workflow that would run.").cwltool(),
        Opt::flag(&["--print-rdf"], "Print the document as RDF.")
            .refused("printing documents as RDF")
            .cwltool(),
        Opt::value(&["--rdf-serializer"], "FORMAT", "The notation of --print-rdf.")
            .not_yet("printing documents as RDF")
            .cwltool(),
    ],
};

pub(super) const PARTS: Group = Group {
    title: "Running a part",
    options: &[
        Opt::repeated(
            &["--target", "-t"],
            "NAME",
            "Run only what this output or step needs; may be repeated.",
        )
        .cwltool(),
        Opt::value(&["--single-step"], "STEP", "Run only this step, with its scatter and conditions.")
            .cwltool(),
        Opt::value(&["--single-process"], "STEP", "Run only the tool of this step.").cwltool(),
    ],
};

pub(super) const OUTPUTS: Group = Group {
    title: "Files",
    options: &[
        Opt::value(
            &["--outdir"],
            "DIR",
            "Where outputs go: a directory or s3://BUCKET/PREFIX (default: the current directory).",
        ),
        Opt::value(
            &["--write-summary", "-w"],
            "FILE",
            "Write the output object to a file instead of stdout.",
        )
        .cwltool(),
        Opt::value(
            &["--basedir"],
            "DIR",
            "Where relative paths of the input object start (default: at its file).",
        ),
        Opt::value(&["--workDir"], "DIR", "Where temporary files go.").variable("TOIL_WORKDIR"),
        Opt::value(
            &["--tmpdir-prefix"],
            "PREFIX",
            "How the paths of the tools' temporary directories begin.",
        ),
        Opt::value(
            &["--tmp-outdir-prefix"],
            "PREFIX",
            "How the paths of the tools' output directories begin.",
        ),
        Opt::flag(&["--rm-tmpdir"], "Delete temporary directories when they have been used (default)."),
        Opt::flag(&["--leave-tmpdir"], "Keep temporary directories.").sets("--rm-tmpdir", "false"),
        Opt::flag(&["--move-outputs"], "Move outputs to --outdir (default).").constant("move").cwltool(),
        Opt::flag(&["--copy-outputs"], "Copy outputs to --outdir.").sets("--move-outputs", "copy").cwltool(),
        Opt::flag(&["--leave-outputs"], "Leave outputs where tools wrote them.")
            .sets("--move-outputs", "leave")
            .cwltool(),
        Opt::flag(&["--compute-checksum"], "Put the checksums of files into the output object (default)."),
        Opt::flag(&["--no-compute-checksum"], "Leave checksums out.").sets("--compute-checksum", "false"),
        Opt::flag(&["--disable-streaming"], "Do not stream files marked as streamable.")
            .accepted("nothing is streamed: files are complete before they are read"),
        Opt::value(
            &["--cachedir"],
            "DIR",
            "Keep results of jobs here (a directory or s3://BUCKET/PREFIX) and take them from here.",
        ),
        Opt::value(
            &["--destBucket"],
            "URL",
            "Write outputs to a bucket: s3://BUCKET/PREFIX or BUCKET/PREFIX.",
        ),
        Opt::flag(&["--bypass-file-store"], "Use files where they are.")
            .accepted("files are always used where they are if they can be"),
        Opt::flag(&["--reference-inputs"], "Use remote inputs where they are.")
            .accepted("inputs on servers and in buckets are used where they are"),
        Opt::flag(&["--runImportsOnWorkers", "--run-imports-on-workers"], "Let workers fetch inputs.")
            .accepted("inputs are fetched where they are needed"),
        Opt::value(
            &["--importWorkersBatchSize", "--import-workers-batch-size"],
            "SIZE",
            "How much one worker fetches.",
        )
        .accepted("inputs are fetched where they are needed"),
        Opt::value(
            &["--importWorkersThreshold", "--import-workers-threshold"],
            "SIZE",
            "How much one worker fetches.",
        )
        .sets("--importWorkersBatchSize", "")
        .accepted("inputs are fetched where they are needed")
        .hidden(),
        Opt::value(
            &["--importWorkersDisk", "--import-workers-disk"],
            "SIZE",
            "Disk of workers that fetch inputs.",
        )
        .accepted("inputs are fetched where they are needed"),
    ],
};

pub(super) const TOOLS: Group = Group {
    title: "Tools and expressions",
    options: &[
        Opt::new(
            &["--preserve-environment"],
            super::Kind::Names,
            "VAR...",
            "Let tools outside containers see these variables.",
        ),
        Opt::flag(&["--preserve-entire-environment"], "Let tools outside containers see all variables."),
        Opt::repeated(
            &["--setEnv", "-e"],
            "NAME[=VALUE]",
            "Set a variable for workers; without a value it is taken from here.",
        ),
        Opt::value(&["--eval-timeout"], "SECONDS", "How long one expression may take (default: 20)."),
        Opt::flag(&["--js-console"], "Give expressions a console, and log what they write to it.").cwltool(),
        Opt::value(&["--cwl-loop-iteration-limit"], "N", "How often one step may loop (default: 1000)."),
        Opt::value(&["--mpi-config-file"], "FILE", "How MPI programs are started on this machine."),
        Opt::value(&["--beta-dependency-resolvers-configuration"], "FILE", "How to find software packages.")
            .not_yet("software packages"),
        Opt::value(&["--beta-dependencies-directory"], "DIR", "Where software packages are.")
            .not_yet("software packages"),
        Opt::flag(&["--beta-conda-dependencies"], "Get software packages with Conda.")
            .not_yet("software packages"),
    ],
};

pub(super) const PROVENANCE: Group = Group {
    title: "Provenance",
    options: &[
        Opt::value(&["--provenance"], "DIR", "Describe the run in a research object.").not_yet("provenance"),
        Opt::flag(&["--enable-user-provenance"], "Name the user in it.").not_yet("provenance"),
        Opt::flag(&["--disable-user-provenance"], "Do not name the user in it (default).")
            .sets("--enable-user-provenance", "false"),
        Opt::flag(&["--enable-host-provenance"], "Name the machine in it.").not_yet("provenance"),
        Opt::flag(&["--disable-host-provenance"], "Do not name the machine in it (default).")
            .sets("--enable-host-provenance", "false"),
        Opt::value(&["--orcid"], "ID", "Your ORCID, for it.").variable("ORCID").not_yet("provenance"),
        Opt::value(&["--full-name"], "NAME", "Your name, for it.")
            .variable("CWL_FULL_NAME")
            .not_yet("provenance"),
    ],
};
