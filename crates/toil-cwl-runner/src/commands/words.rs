//! The command lines of commands on job stores: a store, perhaps a job, options of the command, and those options of a
//! run that say how it is told and how S3 is reached.

use std::ffi::OsString;

use moil_job::failure::{Failure, FailureKind};

use crate::argparse::{self, Parsed, UsageError};
use crate::commands::answer;
use crate::environment::Environment;
use crate::exit_code::ExitCode;
use crate::given::Given;
use crate::invocation::Invocation;
use crate::log::Log;
use crate::options::{self, Kind};
use crate::report;
use crate::settings::{self, Settings};

/// What a command takes. Each option is all its names.
pub(super) struct Shape {
    pub help: &'static str,
    /// The words that must stand there, the store first. None: it is no command on a store.
    pub words: &'static [&'static str],
    pub flags: &'static [&'static [&'static str]],
    pub values: &'static [&'static [&'static str]],
    /// Options that take all words up to the next option.
    pub lists: &'static [&'static [&'static str]],
}

/// What was asked for.
pub(super) struct Asked {
    pub settings: Settings,
    /// The words behind the store.
    pub words: Vec<String>,
    pub log: Log,
    /// First names of options, with their values.
    given: Vec<(&'static str, Vec<String>)>,
    /// The options of a run among them.
    parsed: Parsed,
}

impl Asked {
    /// The settings with those that a job store keeps, for what the command line does not say.
    ///
    /// # Errors
    /// What is kept cannot be understood.
    pub fn settings_with(&self, stored: Vec<Given>) -> Result<Settings, Failure> {
        let mut parsed = self.parsed.clone();
        parsed.given.extend(stored);
        let Settings { environment, cwd, .. } = &self.settings;
        settings::resolve(parsed, environment, cwd, false)
            .map_err(|error| Failure::new(FailureKind::BadInput, error.to_string()))
    }

    pub fn has(&self, option: &str) -> bool {
        self.given.iter().any(|(name, _)| *name == option)
    }

    /// The values of an option, those given last.
    pub fn values(&self, option: &str) -> &[String] {
        let found = self.given.iter().rev().find(|(name, _)| *name == option);
        found.map_or(&[], |(_, values)| values)
    }

    pub fn value(&self, option: &str) -> Option<&str> {
        self.values(option).first().map(String::as_str)
    }
}

/// Reads the command line; where it is not to be carried out the answer is given, and its code returned.
pub(super) fn read(invocation: &mut Invocation<'_>, shape: &Shape) -> Result<Asked, ExitCode> {
    let split = match split(std::mem::take(&mut invocation.args), shape) {
        Ok(Some(split)) => split,
        Ok(None) => return Err(answer(invocation, shape.help)),
        Err(error) => return Err(refuse(invocation, &error, ExitCode::USAGE)),
    };
    let environment = Environment::new(std::mem::take(&mut invocation.env));
    let mut parsed = match argparse::parse(&split.others, &|_: &str| false) {
        Ok(parsed) => parsed,
        Err(error) => return Err(refuse(invocation, &error, ExitCode::USAGE)),
    };
    parsed.workflow = Some(String::new());
    let settings =
        settings::resolve(parsed.clone(), &environment, &invocation.cwd, invocation.stderr_is_terminal);
    let settings = settings.map_err(|error| refuse(invocation, &error, error.exit_code()))?;
    let stderr = std::mem::replace(&mut invocation.stderr, Box::new(std::io::sink()));
    let log = Log::new(settings.log.level, stderr, settings.log.colours, None);
    Ok(Asked { settings, words: split.words, log, given: split.given, parsed })
}

fn refuse(invocation: &mut Invocation<'_>, error: &dyn std::fmt::Display, code: ExitCode) -> ExitCode {
    _ = invocation.stderr.write_all(report::error(&invocation.program, error).as_bytes());
    code
}

struct Split {
    words: Vec<String>,
    given: Vec<(&'static str, Vec<String>)>,
    others: Vec<OsString>,
}

fn find(list: &'static [&'static [&'static str]], name: &str) -> Option<&'static str> {
    list.iter().find(|names| names.contains(&name)).and_then(|names| names.first().copied())
}

/// `None` where help is asked for.
fn split(args: Vec<OsString>, shape: &Shape) -> Result<Option<Split>, UsageError> {
    let mut split = Split { words: Vec::new(), given: Vec::new(), others: Vec::new() };
    let mut args = args.into_iter().map(|word| word.to_string_lossy().into_owned()).peekable();
    while let Some(word) = args.next() {
        let (name, joined) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let needs = || UsageError::new(format!("{name} needs a value"));
        if matches!(name, "--help" | "-h") {
            return Ok(None);
        } else if name == "--store" {
            split.words.insert(0, joined.or_else(|| args.next()).ok_or_else(needs)?);
        } else if let (Some(flag), None) = (find(shape.flags, name), &joined) {
            split.given.push((flag, Vec::new()));
        } else if let Some(option) = find(shape.values, name) {
            let value = joined.or_else(|| args.next()).ok_or_else(needs)?;
            split.given.push((option, vec![value]));
        } else if let Some(option) = find(shape.lists, name) {
            let mut values = Vec::from_iter(joined);
            while let Some(value) = args.next_if(|word| !word.starts_with('-')) {
                values.push(value);
            }
            if values.is_empty() {
                return Err(needs());
            }
            split.given.push((option, values));
        } else if name.starts_with('-') && name.len() > 1 {
            let value = match options::find(name).map(|option| option.kind) {
                _ if joined.is_some() => None,
                Some(Kind::Value | Kind::Repeated | Kind::Names) => args.next(),
                Some(Kind::Bool) => args.next_if(|word| argparse::bool_literal(word).is_some()),
                _ => None,
            };
            split.others.push(OsString::from(word));
            split.others.extend(value.map(OsString::from));
        } else {
            split.words.push(word);
        }
    }
    if let Some(missing) = shape.words.get(split.words.len()) {
        return Err(
            UsageError::new(format!("{missing} is missing")).with_hint("--help shows how it is written")
        );
    }
    if let Some(more) = split.words.get(shape.words.len()) {
        return Err(UsageError::new(format!("'{more}' is one word too many")));
    }
    if !shape.words.is_empty() {
        let store = split.words.remove(0);
        split.others.push(OsString::from(format!("--jobStore={store}")));
    }
    Ok(Some(split))
}
