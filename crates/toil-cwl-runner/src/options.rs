//! The table of options: one entry per option, with everything that the
//! parser, the help, the settings, the config file and the documentation need.
//!
//! The entries stand in one file per area; [`GROUPS`] joins them in the order
//! of the help.

mod accepted;
mod aws;
mod batch;
mod container;
mod cwl;
mod jobstore;
mod kubernetes;
mod logging;
mod resources;

/// How an option takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value. Sets [`Opt::key`] to [`Opt::constant`].
    Flag,
    /// Exactly one value; the last one given wins.
    Value,
    /// At most one value; without it [`Opt::constant`] holds. The next word is the value only if it
    /// cannot be the workflow or its input file.
    OptionalValue,
    /// `true` or `false`; alone it means true. The next word is the value only if it is a literal
    /// boolean. Toil 4 and 5 had plain flags where Toil 6 and later demand a value.
    Bool,
    /// One or more words: names of variables, up to the first word that cannot be one.
    Names,
    /// One value each time it is given; all of them count.
    Repeated,
}

/// What this program does with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Runs,
    /// It is accepted and changes nothing, for the reason given.
    Accepted(&'static str),
    /// To come; until then the run goes on without it, with a warning. The text names the topic.
    NotYet(&'static str),
    /// To come, and a run without it would give other results: it is refused. The text names the topic.
    Refused(&'static str),
    /// It makes no sense here, for the reason given. The run goes on, with a warning.
    NotApplicable(&'static str),
}

/// Which program an option comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// toil-cwl-runner 9.6.
    Toil,
    /// toil-cwl-runner 4.1 to 5.8, gone since.
    SeedEra,
    /// Only cwltool has it.
    Cwltool,
    /// This program's own.
    Own,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// All spellings with their hyphens, the one for the help first.
    pub names: &'static [&'static str],
    /// How it takes its value.
    pub kind: Kind,
    /// What its value is called in the help. Empty for flags.
    pub value_name: &'static str,
    /// The values that it allows; empty: any. Compared exactly.
    pub choices: &'static [&'static str],
    /// One line for people.
    pub help: &'static str,
    /// What this program does with it.
    pub verdict: Verdict,
    /// Which program it comes from.
    pub origin: Origin,
    /// The setting that it writes. Options with one key overrule each other, the last one wins.
    pub key: &'static str,
    /// What is written where no value is given.
    pub constant: &'static str,
    /// For [`Kind::Bool`]: what is written is the opposite of what is given.
    pub inverted: bool,
    /// The environment variable that sets it where the command line does not.
    pub variable: Option<&'static str>,
    /// Not in the help: old or internal.
    pub hidden: bool,
}

impl Opt {
    const fn new(
        names: &'static [&'static str],
        kind: Kind,
        value_name: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            names,
            kind,
            value_name,
            choices: &[],
            help,
            verdict: Verdict::Runs,
            origin: Origin::Toil,
            key: names[0],
            constant: "true",
            inverted: false,
            variable: None,
            hidden: false,
        }
    }

    const fn flag(names: &'static [&'static str], help: &'static str) -> Self {
        Self::new(names, Kind::Flag, "", help)
    }

    const fn value(names: &'static [&'static str], value_name: &'static str, help: &'static str) -> Self {
        Self::new(names, Kind::Value, value_name, help)
    }

    const fn optional(names: &'static [&'static str], value_name: &'static str, help: &'static str) -> Self {
        Self::new(names, Kind::OptionalValue, value_name, help).constant("")
    }

    const fn bool(names: &'static [&'static str], help: &'static str) -> Self {
        Self::new(names, Kind::Bool, "BOOL", help)
    }

    const fn repeated(names: &'static [&'static str], value_name: &'static str, help: &'static str) -> Self {
        Self::new(names, Kind::Repeated, value_name, help)
    }

    /// Writes `constant` to the setting of another option.
    const fn sets(mut self, key: &'static str, constant: &'static str) -> Self {
        self.key = key;
        self.constant = constant;
        self
    }

    /// Writes the opposite of its value to the setting of another option.
    const fn inverts(mut self, key: &'static str) -> Self {
        self.key = key;
        self.inverted = true;
        self
    }

    const fn constant(mut self, constant: &'static str) -> Self {
        self.constant = constant;
        self
    }

    const fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }

    const fn variable(mut self, name: &'static str) -> Self {
        self.variable = Some(name);
        self
    }

    const fn verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    const fn accepted(self, why: &'static str) -> Self {
        self.verdict(Verdict::Accepted(why))
    }

    const fn not_yet(self, topic: &'static str) -> Self {
        self.verdict(Verdict::NotYet(topic))
    }

    const fn refused(self, topic: &'static str) -> Self {
        self.verdict(Verdict::Refused(topic))
    }

    const fn not_applicable(self, why: &'static str) -> Self {
        self.verdict(Verdict::NotApplicable(why))
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    const fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Gone from Toil since, so hidden as well.
    const fn seed_era(self) -> Self {
        self.origin(Origin::SeedEra).hidden()
    }

    const fn cwltool(self) -> Self {
        self.origin(Origin::Cwltool)
    }

    const fn own(self) -> Self {
        self.origin(Origin::Own)
    }

    /// The spelling that help and messages use.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Whether it is an option after the workflow too. Words after the workflow belong to the
    /// workflow's inputs, except for the options of toil-cwl-runner; cwltool hands all of them on.
    /// So an input called `debug` or `target` keeps working.
    pub fn after_workflow(&self) -> bool {
        matches!(self.origin, Origin::Toil | Origin::SeedEra)
    }
}

/// Options that stand together in the help.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The options in the order of the help.
    pub options: &'static [Opt],
}

/// All options, in the order of the help.
pub const GROUPS: &[Group] = &[
    cwl::GENERAL,
    cwl::DOCUMENTS,
    cwl::PRINTING,
    cwl::PARTS,
    cwl::OUTPUTS,
    cwl::TOOLS,
    container::GROUP,
    logging::GROUP,
    jobstore::GROUP,
    batch::GROUP,
    resources::RESOURCES,
    resources::RETRIES,
    kubernetes::GROUP,
    aws::GROUP,
    cwl::PROVENANCE,
    accepted::GRID_ENGINES,
    accepted::AUTOSCALING,
    accepted::OTHERS,
];

/// All options.
pub fn all() -> impl Iterator<Item = &'static Opt> {
    GROUPS.iter().flat_map(|group| group.options)
}

/// The option of one exact spelling, such as `--outdir`.
pub fn find(name: &str) -> Option<&'static Opt> {
    all().find(|option| option.names.contains(&name))
}

/// The spelling nearest to `name`, if one is near enough to be what was meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    let names = all().flat_map(|option| option.names).copied().filter(|name| name.starts_with("--"));
    crate::suggest::nearest(name, names)
}
