//! `moil doctor`: whether there is what a run needs, line by line, and what to do where something is missing.
//!
//! | module | holds |
//! |---|---|
//! | `cluster` | `--batchSystem kubernetes`: the cluster, then a pod |
//! | `machine` | looking around on this machine, or in a pod |
//! | `facts` | what that means, and what to do |
//! | `registry` | whether a registry can be reached |

mod cluster;
mod facts;
mod machine;
mod registry;

use std::fmt::Write as _;

use moil_kubernetes::doctor::{Check, Stop, Verdict};
use serde_json::json;

use self::facts::Where;
use super::words::{self, Asked, Shape};
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::run::print;
use crate::settings::BatchSystem;
use crate::{aws, job_store, tls};

const HELP: &str =
    "Checks what a run needs, and says what to do where something is missing. It takes the options of a run.
With --batchSystem kubernetes: the cluster, our rights, the Secret, the job store, and all that one pod sees, which
is made as those of jobs are and removed again. Else: this machine.

Usage: moil doctor [--batchSystem kubernetes --jobStore STORE] [OPTIONS]

Options:
      --image NAME  Check as well whether the registry of this image can be reached.
      --json        Print JSON.
  -h, --help        Print this help and exit.

The exit code is 0 if nothing failed.
";

const DOCTOR: Shape =
    Shape { help: HELP, words: &[], flags: &[&["--json"]], values: &[&["--image"]], lists: &[] };

/// In a pod, which is started as those of jobs are.
const INSIDE: Shape = Shape {
    help: HELP,
    words: &["the job store"],
    flags: &[&["--inside"]],
    values: &[&["--image"], &["--attempt"]],
    lists: &[],
};

/// The line on the job store.
const STORE: &str = "job store";

/// `moil doctor`.
pub(super) fn run(mut invocation: Invocation<'_>) -> ExitCode {
    if invocation.args.iter().any(|word| word == "--inside") {
        return inside(invocation);
    }
    let asked = match words::read(&mut invocation, &DOCTOR) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let stop = Stop::default();
    let checks = match asked.settings.batch {
        BatchSystem::Kubernetes => {
            let signalled = stop.clone();
            let _guard = invocation.signals.handle(move |_| signalled.stop());
            cluster::look(&asked, &stop)
        }
        _ => here(&asked, &invocation),
    };
    let text = match asked.has("--json") {
        true => format!("{:#}\n", json!({"checks": checks, "failed": failed(&checks)})),
        false => table(&checks),
    };
    match print(invocation.stdout, &text, &asked.log) {
        ExitCode::SUCCESS if stop.is_wanted() => ExitCode::INTERRUPTED,
        ExitCode::SUCCESS if failed(&checks) > 0 => ExitCode::FAILURE,
        code => code,
    }
}

/// What a pod sees: each check as JSON on a line of its own, as soon as it is there.
fn inside(mut invocation: Invocation<'_>) -> ExitCode {
    // In a directory that our user may not enter not even a configuration could be looked for.
    invocation.env.retain(|(name, _)| name != "HOME");
    let asked = match words::read(&mut invocation, &INSIDE) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let facts = machine::look(&asked.settings);
    for check in facts::checks(&facts, Where::Pod).into_iter().chain(more(&asked, Where::Pod)) {
        let line = serde_json::to_string(&check).unwrap_or_default();
        if print(invocation.stdout, &format!("{line}\n"), &asked.log) != ExitCode::SUCCESS {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What this machine has.
fn here(asked: &Asked, invocation: &Invocation<'_>) -> Vec<Check> {
    let facts = machine::look(&asked.settings);
    let mut checks = vec![machine::spawner(invocation.spawner.as_ref())];
    checks.extend(facts::checks(&facts, Where::Here));
    checks.push(machine::engine(&asked.settings, &asked.log));
    checks.extend(more(asked, Where::Here));
    checks
}

/// The registry and the job store, if they are asked for.
fn more(asked: &Asked, place: Where) -> impl Iterator<Item = Check> {
    let environment = &asked.settings.environment;
    let certificates = tls::certificate_files(environment, &asked.settings.cwd);
    let image = asked.value("--image").map(str::to_owned);
    let registry = image.map(|image| registry::look(&image, environment, &certificates));
    // The bucket was made by whoever started the pod.
    let make = place == Where::Here;
    let store = asked.settings.store.locator.is_some().then(|| {
        try_store(asked, make).map_or_else(
            |reason| Check::failed(STORE, reason, facts::store_advice(place)),
            |(found, taken)| {
                taken();
                Check::ok(STORE, found)
            },
        )
    });
    registry.into_iter().chain(store)
}

/// Tries out the job store. Gives what was found, and what removes what was made for that.
///
/// # Errors
/// Why it cannot be used.
fn try_store(asked: &Asked, make: bool) -> Result<(String, impl FnOnce() + use<>), String> {
    let words = |failure: moil_job::failure::Failure| match failure.cause {
        Some(cause) => format!("{}: {cause}", failure.message),
        None => failure.message,
    };
    let buckets = aws::buckets(&asked.settings).map_err(words)?;
    let place = job_store::place(&asked.settings, &buckets).map_err(words)?;
    let place = place.ok_or_else(|| "none is named".to_owned())?;
    let trial = place.try_out(make)?;
    Ok((trial.found.clone(), move || place.take_back(&trial)))
}

fn failed(checks: &[Check]) -> usize {
    checks.iter().filter(|check| check.verdict == Verdict::Failed).count()
}

/// The checks for people: a line for each, and below it what to do.
fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.what.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for Check { what, verdict, found, advice } in checks {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Failed => "failed",
            Verdict::CannotTell => "cannot tell",
        };
        _ = writeln!(text, "{verdict:<11}  {what:<width$}  {}", found.replace('\n', " "));
        if let Some(advice) = advice {
            _ = writeln!(text, "{:<11}  {:<width$}  try: {}", "", "", advice.replace('\n', " "));
        }
    }
    let count = failed(checks);
    text.push_str(&match count {
        0 => "\nNothing failed.\n".to_owned(),
        1 => "\n1 check failed.\n".to_owned(),
        count => format!("\n{count} checks failed.\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use moil_kubernetes::doctor::rights::RIGHTS;

    use super::*;
    use crate::yaml;

    #[test]
    fn the_table_has_a_line_for_each_check_and_below_it_what_to_do() {
        let checks = [
            Check::ok("cluster", "there"),
            Check::failed("rights: jobs", "not allowed: create", "apply the Role"),
            Check::unknown("Pod Security", "a\nb"),
        ];
        assert_eq!(
            table(&checks),
            "ok           cluster       there\n\
             failed       rights: jobs  not allowed: create\n                           try: apply the Role\n\
             cannot tell  Pod Security  a b\n\n1 check failed.\n"
        );
    }

    #[test]
    fn the_rights_are_those_of_the_role_that_people_apply() {
        let documents = include_str!("../../../../examples/kubernetes/leader-role.yaml");
        let role = documents.split("\n---\n").find(|text| text.contains("\nkind: Role\n")).expect("a Role");
        let role = yaml::read("leader-role.yaml", role).expect("YAML");
        let texts = |value: &serde_json::Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let given: BTreeSet<(String, String, String)> = role["rules"]
            .as_array()
            .expect("rules")
            .iter()
            .flat_map(|rule| {
                let (groups, verbs) = (texts(&rule["apiGroups"]), texts(&rule["verbs"]));
                texts(&rule["resources"]).into_iter().flat_map(move |resource| {
                    let (group, resource) = (groups[0].clone(), resource);
                    verbs.clone().into_iter().map(move |verb| (group.clone(), resource.clone(), verb))
                })
            })
            .collect();
        let checked: BTreeSet<(String, String, String)> = RIGHTS
            .iter()
            .flat_map(|right| {
                let of =
                    |verb: &&str| (right.group.to_owned(), right.resource.to_owned(), (*verb).to_owned());
                right.verbs.iter().map(of)
            })
            .collect();
        assert_eq!(checked, given);
    }
}
