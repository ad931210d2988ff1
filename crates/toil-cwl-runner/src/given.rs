//! Options with their values, from wherever they come: config file, environment, command line.

use crate::options::Opt;

/// Where a value comes from. Later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The definition of a run that is gone on with.
    Store,
    /// The config file.
    Config,
    /// An environment variable.
    Environment,
    /// The command line.
    CommandLine,
}

/// One option with its value.
#[derive(Clone, Debug)]
pub struct Given {
    /// The option.
    pub option: &'static Opt,
    /// How it was written: the spelling, the variable's name, or the key in the config file.
    pub spelled: String,
    /// The value; checked against the option's choices, booleans are `true` or `false`.
    pub value: String,
    /// Where it comes from.
    pub layer: Layer,
}

/// All options of a run, weakest layer first.
#[derive(Clone, Debug, Default)]
pub struct AllGiven {
    entries: Vec<Given>,
}

impl AllGiven {
    /// Adds options of a layer. Within a layer, later ones win.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = Given>) {
        self.entries.extend(entries);
        self.entries.sort_by_key(|given| given.layer);
    }

    /// The winning value of a setting.
    pub fn last(&self, key: &'static str) -> Option<&Given> {
        self.entries.iter().rfind(|given| given.option.key == key)
    }

    /// All values of a setting that is a list, of the strongest layer that has any.
    pub fn every(&self, key: &'static str) -> impl Iterator<Item = &Given> {
        let layer = self.last(key).map(|given| given.layer);
        self.entries.iter().filter(move |given| given.option.key == key && Some(given.layer) == layer)
    }

    /// All entries, weakest first.
    pub fn iter(&self) -> impl Iterator<Item = &Given> {
        self.entries.iter()
    }
}
