//! The command line, read as Python's argparse reads it: options and other
//! words may be mixed, `--` ends the options, `--name=value` and `--name value`
//! are the same, nothing may be abbreviated, the last one wins.
//!
//! It goes beyond argparse where Toil's releases contradict each other: flags
//! that later demand a value are understood in both ways, and no option takes
//! the workflow for its value.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;

use crate::given::{Given, Layer};
use crate::options::{self, Kind, Opt};

/// A command line that cannot be understood. The exit code is 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl UsageError {
    /// An error without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UsageError {}

/// A word after the workflow that is not an option of the runner. What it means depends on the
/// workflow's inputs: `--flag word` is one input or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputWord {
    /// `--name`, `--name=value`, `-n` or `-n=value`.
    Option {
        /// The name without hyphens.
        name: String,
        /// What follows `=`.
        value: Option<String>,
    },
    /// Any other word: the input file, or the value of the option before it.
    Plain(String),
}

/// What only prints something and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Immediate {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// A command line that was understood.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The options, in order.
    pub given: Vec<Given>,
    /// The workflow as it was written: a path, perhaps with `#name`, or a URL.
    pub workflow: Option<String>,
    /// What comes after the workflow, in order.
    pub inputs: Vec<InputWord>,
    /// A job store that stands where Toil's Python workflows take it: as a word of its own.
    pub job_store_word: Option<String>,
    /// The first `--help` or `--version`. Nothing else matters then.
    pub immediate: Option<Immediate>,
}

/// Reads the words after the program's name. `is_file` tells whether a word names an existing file;
/// it is asked only where an option with an optional value could take the workflow for its value.
///
/// # Errors
/// The first word that cannot be understood, unless `--help` or `--version` is among the words.
pub fn parse(words: &[OsString], is_file: &dyn Fn(&str) -> bool) -> Result<Parsed, UsageError> {
    let mut texts = Vec::with_capacity(words.len());
    for word in words {
        let text = word.to_str().ok_or_else(|| {
            UsageError::new(format!("the word '{}' is not valid UTF-8", word.to_string_lossy()))
                .with_hint("rename the file, or name it in an input object as a percent-encoded file: URI")
        })?;
        texts.push(text);
    }
    let mut parser = Parser { words: &texts, next: 0, is_file, parsed: Parsed::default(), error: None };
    parser.run();
    let Parser { mut parsed, error, .. } = parser;
    if parsed.immediate.is_some() {
        return Ok(parsed);
    }
    if let Some(error) = error {
        return Err(error);
    }
    // A single `file:` word can only have been the workflow.
    if parsed.workflow.is_none()
        && parsed.job_store_word.as_ref().is_some_and(|word| word.starts_with("file:"))
    {
        parsed.workflow = parsed.job_store_word.take();
    }
    Ok(parsed)
}

/// A literal boolean, in any mix of upper and lower case.
pub fn bool_literal(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The value that an option writes when it is given `text`, checked as far as the table goes.
///
/// # Errors
/// `text` is no boolean or none of the option's choices.
pub fn checked_value(option: &Opt, spelled: &str, text: &str) -> Result<String, UsageError> {
    if option.kind == Kind::Bool {
        let value = bool_literal(text)
            .ok_or_else(|| UsageError::new(format!("{spelled} is true or false, not '{text}'")))?;
        return Ok((value != option.inverted).to_string());
    }
    if !option.choices.is_empty() && !option.choices.contains(&text) {
        let error = UsageError::new(format!("{spelled} cannot be '{text}'"));
        let hint = match crate::suggest::nearest(text, option.choices.iter().copied()) {
            Some(choice) => format!("did you mean '{choice}'?"),
            None => format!("choose one of: {}", option.choices.join(", ")),
        };
        return Err(error.with_hint(hint));
    }
    Ok(text.to_owned())
}

/// The value that an option writes when it is given none.
pub fn bare_value(option: &Opt) -> String {
    if option.kind == Kind::Bool { (!option.inverted).to_string() } else { option.constant.to_owned() }
}

struct Parser<'a> {
    words: &'a [&'a str],
    next: usize,
    is_file: &'a dyn Fn(&str) -> bool,
    parsed: Parsed,
    /// The first error. Reading goes on: `--help` after a slip still helps.
    error: Option<UsageError>,
}

/// A word in the form of an option.
struct OptionWord<'a> {
    /// With hyphens.
    spelled: &'a str,
    value: Option<&'a str>,
}

/// Takes a word apart that has the form of an option. Negative numbers, a single hyphen and words with
/// a blank in their name have not.
fn option_word(word: &str) -> Option<OptionWord<'_>> {
    let (spelled, value) = match word.split_once('=') {
        Some((spelled, value)) => (spelled, Some(value)),
        None => (word, None),
    };
    let name = spelled.strip_prefix("--").or_else(|| spelled.strip_prefix('-'))?;
    let first = name.chars().next()?;
    let negative_number = !spelled.starts_with("--") && (first.is_ascii_digit() || first == '.');
    if negative_number || name.contains(char::is_whitespace) || first == '-' {
        return None;
    }
    Some(OptionWord { spelled, value })
}

/// Whether a word looks like a workflow or an input object.
fn looks_like_document(word: &str) -> bool {
    let path = word.split('#').next().unwrap_or(word);
    let has_extension = |extension: &str| path.to_ascii_lowercase().ends_with(extension);
    [".cwl", ".yml", ".yaml", ".json"].into_iter().any(has_extension) || word.contains("://")
}

/// Whether a word has the form of a job store's locator: `aws:REGION:NAME`, `google:…`, or `file:PATH`
/// that is not the URL of a document.
fn is_locator(word: &str) -> bool {
    let scheme = ["aws:", "google:", "file:"].into_iter().find(|scheme| word.starts_with(scheme));
    scheme.is_some() && !looks_like_document(word)
}

fn is_variable_name(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl<'a> Parser<'a> {
    fn run(&mut self) {
        let mut options_ended = false;
        while let Some(word) = self.take() {
            if !options_ended && word == "--" {
                options_ended = true;
                continue;
            }
            match option_word(word) {
                Some(option) if !options_ended => self.option(word, &option),
                Some(option) if self.parsed.workflow.is_some() => self.input_option(&option),
                _ => self.plain(word),
            }
        }
    }

    fn take(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next).copied()?;
        self.next += 1;
        Some(word)
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).copied()
    }

    fn fail(&mut self, error: UsageError) {
        self.error.get_or_insert(error);
    }

    fn plain(&mut self, word: &str) {
        let expects_value = matches!(self.parsed.inputs.last(), Some(InputWord::Option { value: None, .. }));
        let after_workflow = self.parsed.workflow.is_some();
        let locator = is_locator(word) && (!after_workflow || (!expects_value && !word.starts_with("file:")));
        if locator && self.parsed.job_store_word.is_none() {
            self.parsed.job_store_word = Some(word.to_owned());
        } else if after_workflow {
            self.parsed.inputs.push(InputWord::Plain(word.to_owned()));
        } else {
            self.parsed.workflow = Some(word.to_owned());
        }
    }

    fn input_option(&mut self, word: &OptionWord<'_>) {
        let name = word.spelled.trim_start_matches('-').to_owned();
        self.parsed.inputs.push(InputWord::Option { name, value: word.value.map(str::to_owned) });
    }

    fn option(&mut self, word: &'a str, parts: &OptionWord<'a>) {
        let after_workflow = self.parsed.workflow.is_some();
        let usable = |option: &&'static Opt| !after_workflow || option.after_workflow();
        if let Some(option) = options::find(parts.spelled).filter(usable) {
            return self.known(option, parts.spelled, parts.value);
        }
        // `-eNAME=VALUE`: the value is joined to a short option.
        if !word.starts_with("--")
            && let Some((short, joined)) = word.split_at_checked(2)
            && let Some(option) = options::find(short).filter(usable)
            && option.kind != Kind::Flag
            && !joined.is_empty()
        {
            return self.known(option, short, Some(joined));
        }
        if after_workflow {
            return self.input_option(parts);
        }
        let hint = match options::nearest(parts.spelled) {
            Some(name) => format!("did you mean {name}?"),
            None => "options of the workflow come after the workflow".to_owned(),
        };
        self.fail(UsageError::new(format!("unknown option {}", parts.spelled)).with_hint(hint));
    }

    fn known(&mut self, option: &'static Opt, spelled: &str, joined: Option<&str>) {
        match option.name() {
            "--help" => _ = self.parsed.immediate.get_or_insert(Immediate::Help),
            "--version" => _ = self.parsed.immediate.get_or_insert(Immediate::Version),
            _ => {}
        }
        match (option.kind, joined) {
            (Kind::Flag, None) => self.push(option, spelled, bare_value(option)),
            (Kind::Flag, Some(value)) => {
                self.fail(UsageError::new(format!("{spelled} takes no value, but has '{value}'")));
            }
            (_, Some(value)) => self.push_checked(option, spelled, value),
            (Kind::Value | Kind::Repeated, None) => {
                if let Some(value) = self.required_value(option, spelled) {
                    self.push_checked(option, spelled, value);
                }
            }
            (Kind::Bool, None) => match self.peek().filter(|word| self.is_value_of_bool(option, word)) {
                Some(value) => {
                    self.next += 1;
                    self.push_checked(option, spelled, value);
                }
                None => self.push(option, spelled, bare_value(option)),
            },
            (Kind::OptionalValue, None) => {
                match self.peek().filter(|word| self.is_optional_value(option, word)) {
                    Some(value) => {
                        self.next += 1;
                        self.push_checked(option, spelled, value);
                    }
                    None => self.push(option, spelled, bare_value(option)),
                }
            }
            (Kind::Names, None) => self.names(option, spelled),
        }
    }

    fn push(&mut self, option: &'static Opt, spelled: &str, value: String) {
        self.parsed.given.push(Given {
            option,
            spelled: spelled.to_owned(),
            value,
            layer: Layer::CommandLine,
        });
    }

    fn push_checked(&mut self, option: &'static Opt, spelled: &str, value: &str) {
        match checked_value(option, spelled, value) {
            Ok(value) => self.push(option, spelled, value),
            Err(error) => self.fail(error),
        }
    }

    fn required_value(&mut self, option: &Opt, spelled: &str) -> Option<&'a str> {
        match self.peek() {
            Some(word) if word != "--" && option_word(word).is_none() => {
                self.next += 1;
                Some(word)
            }
            Some(word) => {
                let error = UsageError::new(format!(
                    "{spelled} needs a value ({}), but {word} follows",
                    option.value_name
                ));
                self.fail(error.with_hint(format!("if that is the value, write {spelled}={word}")));
                None
            }
            None => {
                self.fail(UsageError::new(format!("{spelled} needs a value ({})", option.value_name)));
                None
            }
        }
    }

    /// In Toil 4.1 `--disableCaching` took a value, later it did not: a file of that name is the workflow.
    fn is_value_of_bool(&self, option: &Opt, word: &str) -> bool {
        bool_literal(word).is_some() && !(option.inverted && (self.is_file)(word))
    }

    fn is_optional_value(&self, option: &Opt, word: &str) -> bool {
        // With choices there is no telling a value from the workflow, so it takes a `=`.
        let possible = option.choices.is_empty() && word != "--" && option_word(word).is_none();
        let leaves_a_workflow = || {
            let later = self.words.get(self.next + 1..).unwrap_or_default();
            self.parsed.workflow.is_some()
                || later.iter().any(|word| option_word(word).is_none() && *word != "--")
        };
        possible && !looks_like_document(word) && leaves_a_workflow() && !(self.is_file)(word)
    }

    /// Toil takes all words up to the next option, cwltool takes one. Names of variables are taken
    /// as long as they are no file and leave a workflow.
    fn names(&mut self, option: &'static Opt, spelled: &str) {
        let Some(first) = self.required_value(option, spelled) else { return };
        self.push(option, spelled, first.to_owned());
        while let Some(word) = self.peek() {
            let later = self.words.get(self.next + 1..).unwrap_or_default();
            let leaves_a_workflow = self.parsed.workflow.is_some()
                || later.iter().any(|word| option_word(word).is_none() && *word != "--");
            if !is_variable_name(word) || !leaves_a_workflow || (self.is_file)(word) {
                break;
            }
            self.next += 1;
            self.push(option, spelled, word.to_owned());
        }
    }
}
