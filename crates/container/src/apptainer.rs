//! The command lines of Apptainer, SingularityCE and Singularity: pure functions of an engine, what it can do on
//! this machine, and what is to run.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::detect::Engine;
use crate::invocation::{Bind, CommandLine, Invocation, InvocationError, Network};
use crate::mount;
use crate::probe::Probe;

/// The process that runs this invocation in an image: a SIF file or a sandbox directory, absolute. Its working directory and its standard streams are the caller's matter.
///
/// # Errors
/// The invocation has something that this engine's options cannot express.
pub fn command_line(
    engine: &Engine,
    probe: &Probe,
    image: &Path,
    invocation: &Invocation,
) -> Result<CommandLine, InvocationError> {
    if invocation.command.is_empty() {
        return Err(InvocationError::NoCommand);
    }
    let mut argv: Vec<OsString> = vec![engine.program.clone().into(), "--quiet".into()];
    let mut push = |words: &[&OsStr]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    let word = OsStr::new;
    push(&[word(if engine.has_no_eval() { "run" } else { "exec" })]);
    push(&[word("--contain"), word("--ipc"), word("--cleanenv")]);
    if engine.has_no_eval() {
        push(&[word("--no-eval")]);
    }
    // Without namespaces of its own the process would outlive an engine that is killed.
    push(&[word(if probe.user_namespaces { "--userns" } else { "--pid" })]);
    let output = &invocation.output;
    if engine.has_home() {
        push(&[word("--home"), &home(engine, output)?]);
    } else {
        argv_bind(engine, output, &mut push)?;
    }
    let temporary = Bind { source: invocation.temporary.clone(), target: "/tmp".into(), writable: true };
    for bind in std::iter::once(&temporary).chain(&invocation.binds) {
        argv_bind(engine, bind, &mut push)?;
    }
    push(&[word("--pwd"), path(engine, &output.target)?.as_os_str()]);
    match &invocation.network {
        Network::Host => {}
        Network::None => push(&[word("--net"), word("--network"), word("none")]),
        Network::Named(name) => {
            push(&[word("--net"), word("--network"), word(mount::network(name)?)]);
        }
    }
    if invocation.nvidia {
        push(&[word("--nv")]);
    }
    push(&[path(engine, image)?.as_os_str()]);
    argv.extend(invocation.command.iter().map(OsString::from));
    let environment = invocation
        .environment
        .iter()
        .map(|(name, value)| Ok((variable(engine, name)?, value.into())))
        .collect::<Result<_, _>>()?;
    Ok(CommandLine { argv, environment })
}

fn argv_bind(engine: &Engine, bind: &Bind, push: &mut impl FnMut(&[&OsStr])) -> Result<(), InvocationError> {
    if engine.has_mount() {
        push(&[&mount::option(&engine.to_string(), bind)?]);
    } else {
        push(&[OsStr::new("--bind"), &plain_bind(engine, bind)?]);
    }
    Ok(())
}

/// `SOURCE:TARGET[:ro]` of engines without `--mount`. `:rw` is the default, and a fault of some 3.6 releases.
fn plain_bind(engine: &Engine, bind: &Bind) -> Result<OsString, InvocationError> {
    let mut word = OsString::new();
    for path in [&bind.source, &bind.target] {
        let path = self::path(engine, path)?;
        if path.as_os_str().as_bytes().iter().any(|byte| b",:\\".contains(byte)) {
            let fault = "a comma, colon or backslash needs Apptainer or Singularity 3.9, or another name";
            return Err(unspeakable(engine, path, fault));
        }
        if !word.is_empty() {
            word.push(":");
        }
        word.push(path);
    }
    if !bind.writable {
        word.push(":ro");
    }
    Ok(word)
}

/// `HOST:CONTAINER`, of which no engine has a form with quotation marks.
fn home(engine: &Engine, output: &Bind) -> Result<OsString, InvocationError> {
    let (source, target) = (path(engine, &output.source)?, path(engine, &output.target)?);
    for path in [source, target] {
        if path.as_os_str().as_bytes().contains(&b':') {
            let fault =
                "an output directory must not have a colon; choose another directory for temporary files";
            return Err(unspeakable(engine, path, fault));
        }
    }
    let mut word = source.as_os_str().to_owned();
    word.push(":");
    word.push(target);
    Ok(word)
}

/// The variable by which the engine is told of a tool's variable: on the command line everyone could read it.
fn variable(engine: &Engine, name: &str) -> Result<OsString, InvocationError> {
    // These mean something else to the engine; HOME it sets itself.
    let kept = matches!(name, "" | "HOME" | "PREPEND_PATH" | "APPEND_PATH");
    if kept || name.contains(['=', '\0']) {
        return Err(InvocationError::Variable { engine: engine.to_string(), name: name.into() });
    }
    Ok(format!("{}ENV_{name}", engine.variable_prefix()).into())
}

fn path<'a>(engine: &Engine, path: &'a Path) -> Result<&'a Path, InvocationError> {
    mount::path(&engine.to_string(), path)
}

fn unspeakable(engine: &Engine, path: &Path, fault: &'static str) -> InvocationError {
    mount::unspeakable(&engine.to_string(), path, fault)
}

#[cfg(test)]
mod tests;
