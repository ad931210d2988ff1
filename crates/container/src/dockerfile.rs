//! Dockerfiles as definition files of Apptainer, as far as that goes: one stage, and no files from outside, since CWL
//! gives the text of a Dockerfile and no folder to build it in. <https://docs.docker.com/reference/dockerfile/>

use std::collections::HashMap;
use std::fmt::Write as _;

use thiserror::Error;

use crate::image_name::{BadImageName, HubMirror, ImageName};

/// A Dockerfile that can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The image that it begins with.
    pub from: ImageName,
    /// The sections of the definition file.
    sections: String,
}

/// A Dockerfile that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line} of the Dockerfile: {fault}")]
pub struct DockerfileError {
    /// The line at fault, from 1 on; that of an instruction's beginning.
    pub line: usize,
    /// What is wrong, or cannot be done.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// There is no folder to copy from.
    #[error("{0} needs files beside the Dockerfile, and CWL has no place for them")]
    Files(String),
    /// Something that is not done.
    #[error("{0} is not supported without Docker")]
    Unsupported(String),
    /// Something that nobody understands.
    #[error("{0}")]
    Wrong(String),
    /// FROM names no image.
    #[error(transparent)]
    Image(#[from] BadImageName),
}

impl Dockerfile {
    /// Reads the text of a Dockerfile.
    ///
    /// # Errors
    /// What is wrong with it, or cannot be expressed in a definition file.
    pub fn parse(text: &str) -> Result<Self, DockerfileError> {
        let mut reading = Reading::default();
        let mut last = 1;
        for (line, instruction) in instructions(text)? {
            last = line;
            let (word, rest) = instruction.split_once(char::is_whitespace).unwrap_or((&instruction, ""));
            reading
                .instruction(&word.to_uppercase(), rest.trim())
                .map_err(|fault| DockerfileError { line, fault })?;
        }
        let from = reading.from.ok_or_else(|| {
            let fault = Fault::Wrong("there is no FROM".into());
            DockerfileError { line: last, fault }
        })?;
        let mut sections = format!("%post\ncd /\n{}", reading.post);
        for (name, lines) in
            [("environment", reading.environment), ("labels", reading.labels), ("runscript", reading.run)]
        {
            if !lines.is_empty() {
                _ = write!(sections, "\n%{name}\n{lines}");
            }
        }
        Ok(Self { from, sections })
    }

    /// The definition file, where images of docker.io come from another registry.
    pub fn definition(&self, hub: Option<&HubMirror>) -> String {
        let url = self.from.url(hub);
        let from = url.strip_prefix("docker://").unwrap_or(&url);
        format!("Bootstrap: docker\nFrom: {from}\n\n{}", self.sections)
    }
}

/// Instructions with the lines they begin at, comments left out and lines joined.
fn instructions(text: &str) -> Result<Vec<(usize, String)>, DockerfileError> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let directive = trimmed.strip_prefix('#').map(|text| text.replace(' ', "").to_lowercase());
        if found.is_empty() && directive.is_some_and(|directive| directive.starts_with("escape=`")) {
            let fault = Fault::Unsupported("the directive escape=`".into());
            return Err(DockerfileError { line: index + 1, fault });
        }
        // Also between the lines of one instruction.
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let end = line.trim_end();
        let (part, more) = end.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match found.last_mut().filter(|_| goes_on) {
            Some((_, instruction)) => instruction.push_str(part),
            None => found.push((index + 1, part.trim_start().to_owned())),
        }
        goes_on = more;
    }
    Ok(found)
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    from: Option<ImageName>,
    /// ARGs before FROM.
    arguments: HashMap<String, String>,
    /// ARGs after it, as words for a shell. Nothing of them is there any more when the image is used.
    build: HashMap<String, String>,
    /// The program and options of RUN's shell form; `/bin/sh -c` if empty.
    shell: Vec<String>,
    /// Whether USER named somebody else than root.
    is_user: bool,
    post: String,
    environment: String,
    labels: String,
    run: String,
}

impl Reading {
    fn instruction(&mut self, word: &str, rest: &str) -> Result<(), Fault> {
        if self.from.is_none() && !matches!(word, "ARG" | "FROM") {
            return Err(Fault::Wrong(format!("{word} stands before FROM")));
        }
        match word {
            "FROM" => self.from(rest),
            "ARG" => self.arg(rest),
            "RUN" => self.run(rest),
            "ENV" => self.env(rest),
            "WORKDIR" => {
                let path = self.word(rest)?;
                _ = writeln!(self.post, "mkdir -p {path}\ncd {path}");
                Ok(())
            }
            "ENTRYPOINT" => {
                self.run = match list(rest)? {
                    Some(words) if words.is_empty() => "exec \"$@\"\n".into(),
                    Some(words) => format!("exec {} \"$@\"\n", quoted(&words)),
                    None => format!("exec /bin/sh -c {}\n", quote(rest)),
                };
                Ok(())
            }
            "SHELL" => {
                self.shell = list(rest)?.ok_or_else(|| Fault::Wrong("SHELL takes a list of words".into()))?;
                Ok(())
            }
            "LABEL" => {
                for (name, value) in assignments(rest)? {
                    _ = writeln!(self.labels, "{} {}", plain(&name)?, plain(&value)?);
                }
                Ok(())
            }
            "USER" => {
                self.is_user = !matches!(rest.split(':').next(), Some("root" | "0"));
                Ok(())
            }
            "COPY" | "ADD" => Err(Fault::Files(word.into())),
            // Jobs always bring a command along; the others say nothing that matters to a tool.
            "CMD" | "EXPOSE" | "VOLUME" | "STOPSIGNAL" | "HEALTHCHECK" | "MAINTAINER" => Ok(()),
            "ONBUILD" => Err(Fault::Unsupported(word.into())),
            _ => Err(Fault::Wrong(format!("the instruction {word} is not known"))),
        }
    }

    fn from(&mut self, rest: &str) -> Result<(), Fault> {
        if self.from.is_some() {
            return Err(Fault::Unsupported("a second stage (FROM)".into()));
        }
        let mut words = rest.split_whitespace();
        let image = words.next().unwrap_or_default();
        if image.starts_with("--") {
            return Err(Fault::Unsupported(format!("FROM {image}")));
        }
        let mut name = String::new();
        for piece in pieces(image)? {
            match piece {
                Piece::Text(text) => name.push_str(&text),
                Piece::Variable(variable) => {
                    let (variable, default) = variable.split_once(":-").unwrap_or((&variable, ""));
                    let value = self.arguments.get(variable).filter(|value| !value.is_empty());
                    name.push_str(value.map_or(default, String::as_str));
                }
            }
        }
        if name == "scratch" {
            return Err(Fault::Unsupported("FROM scratch".into()));
        }
        self.from = Some(ImageName::parse(&name)?);
        Ok(())
    }

    fn arg(&mut self, rest: &str) -> Result<(), Fault> {
        for word in words(rest)? {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), self.arguments.get(&word).map(|value| quote(value))),
            };
            let name = variable_name(name)?;
            if self.from.is_none() {
                self.arguments.insert(name.into(), value.map_or(Ok(String::new()), |value| plain(&value))?);
            } else if let Some(value) = value {
                let value = self.word(&value)?;
                _ = writeln!(self.post, "export {name}={value}");
                self.build.insert(name.into(), value);
            }
        }
        Ok(())
    }

    fn run(&mut self, rest: &str) -> Result<(), Fault> {
        if self.is_user {
            return Err(Fault::Unsupported("RUN as another user than root".into()));
        }
        if rest.starts_with("--") {
            return Err(Fault::Unsupported(format!("RUN {}", rest.split(' ').next().unwrap_or_default())));
        }
        if rest.contains("<<") && rest.split("<<").skip(1).any(|text| text.starts_with(is_delimiter)) {
            return Err(Fault::Unsupported("a here-document".into()));
        }
        let command = match list(rest)? {
            Some(words) => quoted(&words),
            None if self.shell.is_empty() => format!("/bin/sh -c {}", quote(rest)),
            None => format!("{} {}", quoted(&self.shell), quote(rest)),
        };
        // Whatever options the script's own shell has.
        _ = writeln!(self.post, "{command} || exit");
        Ok(())
    }

    fn env(&mut self, rest: &str) -> Result<(), Fault> {
        for (name, value) in assignments(rest)? {
            let line = format!("export {}={}\n", variable_name(&name)?, self.word(&value)?);
            self.build.remove(&name);
            self.post.push_str(&line);
            self.environment.push_str(&line);
        }
        Ok(())
    }

    /// A value as one word for a shell, which puts in the variables of the image.
    fn word(&self, text: &str) -> Result<String, Fault> {
        let mut word = String::new();
        for piece in pieces(text)? {
            match piece {
                Piece::Text(text) if text.is_empty() => {}
                Piece::Text(text) => word.push_str(&quote(&text)),
                Piece::Variable(variable) => {
                    let name = variable.split(':').next().unwrap_or_default();
                    match (self.build.get(name), variable.split_once(":+")) {
                        (Some(_), Some((_, instead))) => word.push_str(&quote(instead)),
                        (Some(value), None) => word.push_str(value),
                        (None, _) => _ = write!(word, "\"${{{variable}}}\""),
                    }
                }
            }
        }
        Ok(if word.is_empty() { "''".into() } else { word })
    }
}

fn is_delimiter(c: char) -> bool {
    c.is_ascii_alphabetic() || "-_'\"".contains(c)
}

/// `NAME=VALUE …`, or the old `NAME VALUE` for one alone. Values are as they stand, quotation marks and all.
fn assignments(rest: &str) -> Result<Vec<(String, String)>, Fault> {
    let words = words(rest)?;
    if words.first().is_some_and(|first| !first.contains('=')) {
        let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        return Ok(vec![(name.into(), value.trim().into())]);
    }
    words
        .iter()
        .map(|word| {
            let (name, value) =
                word.split_once('=').ok_or_else(|| Fault::Wrong(format!("{word:?} should be NAME=VALUE")))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Words as they stand, parted where white space is not in quotation marks or behind a backslash.
fn words(text: &str) -> Result<Vec<String>, Fault> {
    let mut words = vec![String::new()];
    let (mut open, mut escaped) = (None, false);
    for c in text.chars() {
        match (c, open) {
            _ if escaped => escaped = false,
            ('\\', None | Some('"')) => escaped = true,
            ('"' | '\'', None) => open = Some(c),
            (_, Some(mark)) if c == mark => open = None,
            (_, None) if c.is_whitespace() => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    if open.is_some() {
        return Err(Fault::Wrong("a quotation mark is not closed".into()));
    }
    words.retain(|word| !word.is_empty());
    Ok(words)
}

/// A part of a value.
enum Piece {
    Text(String),
    /// A name, perhaps with `:-` or `:+` and a text.
    Variable(String),
}

/// A value without its quotation marks.
fn pieces(text: &str) -> Result<Vec<Piece>, Fault> {
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut open = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, open) {
            ('\\', None | Some('"')) => match rest.next() {
                // In quotation marks a backslash is one, but for these.
                Some(next) if open.is_none() || "\"$\\".contains(next) => plain.push(next),
                Some(next) => plain.extend(['\\', next]),
                None => plain.push('\\'),
            },
            ('"' | '\'', None) => open = Some(c),
            (_, Some(mark)) if c == mark => open = None,
            ('$', None | Some('"')) => {
                let mut name = String::new();
                if rest.next_if_eq(&'{').is_some() {
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(Fault::Wrong("${ is not closed".into())),
                        }
                    }
                } else {
                    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                        name.push(c);
                    }
                }
                let variable = name.split_once([':', '-', '+']).map_or(&*name, |(variable, _)| variable);
                variable_name(variable)?;
                if name[variable.len()..].contains(|c: char| "\"`$\\".contains(c)) {
                    return Err(Fault::Unsupported(format!("${{{name}}}")));
                }
                found.push(Piece::Text(std::mem::take(&mut plain)));
                found.push(Piece::Variable(name));
            }
            _ => plain.push(c),
        }
    }
    found.push(Piece::Text(plain));
    Ok(found)
}

/// A value in which no variable may stand.
fn plain(text: &str) -> Result<String, Fault> {
    pieces(text)?
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => Ok(text),
            Piece::Variable(variable) => {
                Err(Fault::Unsupported(format!("the variable ${variable} at this place")))
            }
        })
        .collect()
}

fn variable_name(name: &str) -> Result<&str, Fault> {
    let fits = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if fits { Ok(name) } else { Err(Fault::Wrong(format!("{name:?} is no name of a variable"))) }
}

/// The words of an instruction's JSON form; `None` for the other one. JSON's numbers and the like have no place here.
fn list(text: &str) -> Result<Option<Vec<String>>, Fault> {
    let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) else { return Ok(None) };
    let wrong = || Fault::Wrong(format!("{text} is no list of words in double quotation marks"));
    let mut words = Vec::new();
    let mut rest = inner.trim();
    while !rest.is_empty() {
        let mut word = String::new();
        let mut characters = rest.strip_prefix('"').ok_or_else(wrong)?.chars();
        loop {
            match characters.next().ok_or_else(wrong)? {
                '"' => break,
                '\\' => match characters.next().ok_or_else(wrong)? {
                    'n' => word.push('\n'),
                    't' => word.push('\t'),
                    c @ ('"' | '\\' | '/') => word.push(c),
                    _ => return Err(wrong()),
                },
                c => word.push(c),
            }
        }
        words.push(word);
        rest = characters.as_str().trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) if !more.trim().is_empty() => more.trim_start(),
            None if rest.is_empty() => rest,
            _ => return Err(wrong()),
        };
    }
    Ok(Some(words))
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// A word for a shell. To the definition file two braces would be a variable, and a line with a percent sign a section.
fn quote(word: &str) -> String {
    let word = word.replace('\'', r"'\''").replace("{{", "{''{").replace("}}", "}''}");
    format!("'{}'", word.replace("\n%", "\n''%"))
}

#[cfg(test)]
mod tests;
