//! The text of `--help`, made by clap from the table of options.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

use crate::options::{self, Kind, Opt, Verdict};

/// The version of Toil whose options are followed.
pub const TOIL_VERSION: &str = "9.6.0";

/// What `--version` prints, without a line feed.
pub fn version() -> String {
    format!("moil {} (options of toil-cwl-runner {TOIL_VERSION})", env!("CARGO_PKG_VERSION"))
}

/// What stands after the program's name in its usage line.
pub const USAGE: &str = "[OPTIONS] WORKFLOW [INPUT_FILE] [--INPUT VALUE]...";

/// The whole help, `width` characters wide.
pub fn text(program: &str, width: usize) -> String {
    command(program).term_width(width.max(60)).render_help().to_string()
}

fn command(program: &str) -> Command {
    let mut command = Command::new("toil-cwl-runner")
        .bin_name(program.to_owned())
        .about("Runs a CWL workflow (v1.0, v1.1, v1.2) and prints its output object as JSON.")
        .override_usage(format!("{program} {USAGE}"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args([
            Arg::new("WORKFLOW").help("The workflow: a file, file#name or a URL."),
            Arg::new("INPUT_FILE").help("Its inputs, as YAML or JSON; '-' for stdin."),
            Arg::new("INPUTS")
                .value_name("--INPUT VALUE")
                .num_args(0..)
                .help("Single inputs. Put '--' before one that has the name of an option."),
        ])
        .after_help(AFTER);
    for group in options::GROUPS {
        for option in group.options.iter().filter(|option| !option.hidden) {
            command = command.arg(argument(option).help_heading(group.title));
        }
    }
    command
}

const AFTER: &str = "Every option can also be set in the file of --config, some by environment variables. \
                     After the workflow only options of toil-cwl-runner are options, all others are inputs. \
                     Exit codes: 0 success, 1 failure, 2 wrong usage, 33 not supported.";

fn argument(option: &'static Opt) -> Arg {
    let mut help = option.help.to_owned();
    if let Some(variable) = option.variable {
        help.push_str(&format!(" [variable: {variable}]"));
    }
    match option.verdict {
        Verdict::Runs => {}
        Verdict::Accepted(_) => help.push_str(" [no effect]"),
        Verdict::NotYet(_) | Verdict::Refused(_) => help.push_str(" [not supported yet]"),
        Verdict::NotApplicable(_) => help.push_str(" [not supported]"),
    }
    let mut arg = Arg::new(option.name()).help(help);
    for name in option.names {
        arg = match (name.strip_prefix("--"), name.chars().nth(1)) {
            (Some(long), _) if *name == option.name() => arg.long(long),
            (Some(long), _) => arg.visible_alias(long),
            (None, Some(short)) => arg.short(short),
            (None, None) => arg,
        };
    }
    if !option.value_name.is_empty() {
        arg = arg.value_name(option.value_name);
    }
    if !option.choices.is_empty() && option.kind == Kind::Value {
        arg = arg.value_parser(PossibleValuesParser::new(option.choices));
    }
    match option.kind {
        Kind::Flag => arg.action(ArgAction::SetTrue),
        Kind::Value => arg.action(ArgAction::Set),
        Kind::OptionalValue | Kind::Bool => arg.action(ArgAction::Set).num_args(0..=1),
        Kind::Names | Kind::Repeated => arg.action(ArgAction::Append),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_option_that_is_not_hidden() {
        let text = text("toil-cwl-runner", 100);
        for option in options::all() {
            let shown = option.names.iter().all(|name| text.contains(name));
            assert!(shown != option.hidden || option.hidden, "{}", option.name());
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn clap_finds_no_fault_in_the_table() {
        command("toil-cwl-runner").debug_assert();
    }
}
