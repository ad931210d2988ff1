//! `moil appliance`: the worker image, made from what is on this machine.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use moil_appliance::content::{self, Machine};
use moil_appliance::credentials::Places;
use moil_appliance::error::ApplianceError;
use moil_appliance::layout::Layout;
use moil_appliance::reference::Reference;
use moil_appliance::registry::{self, Access};
use moil_job::failure::{Failure, FailureKind};

use super::{answer, finish};
use crate::argparse::UsageError;
use crate::environment::Environment;
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::log::{Level, Log};
use crate::run::print;
use crate::{report, tls};

const HELP: &str =
    "Makes the image of worker pods from what is on this machine: moil, Apptainer, a shell with the
usual tools, all that they load. Docker is not needed. The same files give the same image.

Usage: moil appliance push REGISTRY[/NAME][:TAG] [--insecure]
       moil appliance build DIRECTORY

Commands:
  push   Put it into a registry, and print its name there: the value for TOIL_APPLIANCE_SELF.
         Name and tag are moil and this version unless they are given. Credentials are those of
         `docker login` (DOCKER_CONFIG, ~/.docker/config.json, REGISTRY_AUTH_FILE).
  build  Write it as an OCI image layout, and print its digest.

Options:
      --insecure  Speak http, not https. With registries of this machine that is the rule.
  -h, --help      Print this help and exit.
";

/// The name of the image, if none is given.
const NAME: &str = "moil";
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Help,
    Push { to: Reference, plain: bool },
    Build { folder: PathBuf },
}

/// `moil appliance`.
pub(super) fn run(mut invocation: Invocation<'_>) -> ExitCode {
    let asked = match read(&std::mem::take(&mut invocation.args)) {
        Ok(Asked::Help) => return answer(&mut invocation, HELP),
        Ok(asked) => asked,
        Err(error) => {
            _ = invocation.stderr.write_all(report::error(&invocation.program, &error).as_bytes());
            return ExitCode::USAGE;
        }
    };
    let environment = Environment::new(std::mem::take(&mut invocation.env));
    let stderr = std::mem::replace(&mut invocation.stderr, Box::new(std::io::sink()));
    let log = Log::new(Level::Info, stderr, invocation.stderr_is_terminal, None);
    match made(&asked, &invocation, &environment, &log) {
        Ok(text) => print(invocation.stdout, &text, &log),
        Err(failure) => finish(&log, "appliance", Err(failure)),
    }
}

fn read(args: &[OsString]) -> Result<Asked, UsageError> {
    let mut words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
    if words.iter().any(|word| matches!(word.as_ref(), "--help" | "-h")) {
        return Ok(Asked::Help);
    }
    let all = words.len();
    words.retain(|word| word != "--insecure");
    let plain = words.len() < all;
    if let Some(option) = words.iter().find(|word| word.starts_with('-')) {
        return Err(UsageError::new(format!("unknown option {option}")));
    }
    match words.iter().map(AsRef::as_ref).collect::<Vec<_>>()[..] {
        ["push", place] => {
            let to =
                Reference::parse(place, NAME, VERSION).map_err(|error| UsageError::new(error.to_string()))?;
            Ok(Asked::Push { plain: plain || to.is_loopback(), to })
        }
        ["build", folder] if !plain => Ok(Asked::Build { folder: PathBuf::from(folder) }),
        ["push"] => Err(UsageError::new("push needs a registry").with_hint("such as quay.io/NAME/moil")),
        ["build"] => Err(UsageError::new("build needs a directory")),
        ["push", _, ..] => Err(UsageError::new("push takes one word")),
        ["build", ..] => Err(UsageError::new("build takes one word, and no option")),
        _ => Err(UsageError::new("a command is missing").with_hint("there are push and build")),
    }
}

/// Makes the image, and brings it where it is wanted. What is printed is returned.
fn made(
    asked: &Asked,
    invocation: &Invocation<'_>,
    environment: &Environment,
    log: &Log,
) -> Result<String, Failure> {
    let certificates = tls::certificate_files(environment, &invocation.cwd);
    let path = environment.get("PATH").unwrap_or_default().to_owned();
    let executable = invocation.executable.as_deref().unwrap_or(Path::new("/proc/self/exe"));
    // The other program of ours lies beside it.
    let moil = Some(executable.with_file_name("moil")).filter(|moil| moil.is_file());
    let moil = moil.unwrap_or_else(|| executable.to_owned());
    let machine = Machine { moil, path: path.clone(), certificates: certificates.first().cloned() };
    let build = |folder: &Path, tag: &str| -> Result<Layout, ApplianceError> {
        Layout::write(folder, &content::layers(&machine)?, &content::config(VERSION), tag)
    };
    match asked {
        Asked::Help => Ok(HELP.to_owned()),
        Asked::Build { folder } => {
            let layout = build(&invocation.cwd.join(folder), VERSION).map_err(failure)?;
            log.info(format_args!("made an image of {}", size(&layout)));
            Ok(format!("{}\n", layout.manifest.digest))
        }
        Asked::Push { to, plain } => {
            let temporary = environment.known("TMPDIR").unwrap_or("/tmp".as_ref());
            let folder = tempfile::tempdir_in(temporary).map_err(|error| {
                let place = Path::new(temporary).display();
                Failure::new(FailureKind::System, format!("cannot make a directory in {place}"))
                    .with_cause(error)
            })?;
            let layout = build(folder.path(), &to.tag).map_err(failure)?;
            log.info(format_args!("made an image of {}", size(&layout)));
            let places = Places { files: configurations(environment, &invocation.cwd), path };
            let access = Access { plain: *plain, certificates, places };
            let pushed = registry::push(&layout, to, &access, &mut |blob| {
                log.info(format_args!("pushing {} ({})", blob.digest, mebibytes(blob.size)));
            });
            let pushed = pushed.map_err(failure)?;
            if pushed.bytes == 0 {
                log.info("its layers are there already");
            }
            Ok(format!("{to}@{}\n", layout.manifest.digest))
        }
    }
}

/// Where credentials for registries are.
fn configurations(environment: &Environment, cwd: &Path) -> Vec<PathBuf> {
    let docker = environment.known("DOCKER_CONFIG").map(|folder| cwd.join(folder));
    let docker = docker.or_else(|| environment.known("HOME").map(|home| cwd.join(home).join(".docker")));
    let other = environment.known("REGISTRY_AUTH_FILE").map(|file| cwd.join(file));
    docker.map(|folder| folder.join("config.json")).into_iter().chain(other).collect()
}

fn size(layout: &Layout) -> String {
    mebibytes(layout.blobs.iter().map(|blob| blob.size).sum())
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn failure(error: ApplianceError) -> Failure {
    let mut failure = Failure::new(FailureKind::System, error.to_string());
    failure.cause = error.cause();
    failure.advice = error.advice();
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, String> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        read(&words).map_err(|error| error.message)
    }

    #[test]
    fn plain_http_is_for_registries_of_this_machine_and_where_it_is_asked_for() {
        for (line, expected) in [
            ("push quay.io/me/moil", false),
            ("push quay.io/me/moil --insecure", true),
            ("push --insecure quay.io/me/moil", true),
            ("push localhost:5000", true),
        ] {
            let Ok(Asked::Push { plain, .. }) = asked(line) else { panic!("{line}") };
            assert_eq!(plain, expected, "{line}");
        }
    }

    #[test]
    fn wrong_words_are_told() {
        for (line, expected) in [
            ("", "a command is missing"),
            ("pull x", "a command is missing"),
            ("push", "push needs a registry"),
            ("push a.b c", "push takes one word"),
            ("push --base x quay.io", "unknown option --base"),
            ("build", "build needs a directory"),
            ("build x --insecure", "build takes one word, and no option"),
        ] {
            assert_eq!(asked(line).unwrap_err(), expected, "{line}");
        }
        assert_eq!(asked("push x --help"), Ok(Asked::Help));
    }

    #[test]
    fn credentials_are_where_docker_has_them() {
        let files = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
            configurations(&Environment::new(variables), Path::new("/here"))
        };
        assert_eq!(files(&[("HOME", "/home")]), [Path::new("/home/.docker/config.json")]);
        let all = [("HOME", "/home"), ("DOCKER_CONFIG", "d"), ("REGISTRY_AUTH_FILE", "/auth.json")];
        assert_eq!(files(&all), [Path::new("/here/d/config.json"), Path::new("/auth.json")]);
    }
}
