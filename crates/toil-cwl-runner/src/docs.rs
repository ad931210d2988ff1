//! The pages of the documentation that are made from the tables.

use std::fmt::Write as _;

use crate::environment;
use crate::exit_code;
use crate::options::{self, Kind, Opt, Origin, Verdict};

/// All pages: the name of the file in `docs/` and its text.
pub fn pages() -> [(&'static str, String); 3] {
    [
        ("options.md", options_page()),
        ("environment.md", environment_page()),
        ("exit-codes.md", exit_codes_page()),
    ]
}

const MADE: &str = "<!-- Made from the tables in the code. `MOIL_BLESS=1 cargo test -p toil-cwl-runner` writes it anew. -->\n\n";

fn options_page() -> String {
    let mut page = format!(
        "# Options\n\n{MADE}\
         All options of toil-cwl-runner 9.6 and of its releases 4.1 to 5.8, and those of cwltool. \
         Options may stand before and after the workflow; after it, the options that only cwltool has and \
         moil's own are taken for inputs of the workflow. `--` ends the options. A stronger place beats a \
         weaker one: command line, environment variable, config file, default.\n\n\
         A value in brackets may be left out. `BOOL` is `true` or `false`; the option alone means true.\n"
    );
    for group in options::GROUPS {
        _ = write!(page, "\n## {}\n\n| option | meaning | state | from |\n|---|---|---|---|\n", group.title);
        for option in group.options {
            let names: Vec<_> = option.names.iter().map(|name| format!("`{name}`")).collect();
            let mut meaning = option.help.to_owned();
            if let Some(variable) = option.variable {
                _ = write!(meaning, " Variable: `{variable}`.");
            }
            if !option.choices.is_empty() {
                _ = write!(meaning, " One of: {}.", option.choices.join(", "));
            }
            let (names, value) = (names.join(", "), value(option));
            let (state, origin) = (state(option.verdict), origin(option.origin));
            _ = writeln!(page, "| {names}{value} | {} | {} | {origin} |", cell(&meaning), cell(&state));
        }
    }
    page
}

fn value(option: &Opt) -> String {
    match option.kind {
        Kind::Flag => String::new(),
        Kind::Value | Kind::Names | Kind::Repeated => format!(" {}", option.value_name),
        Kind::OptionalValue if !option.choices.is_empty() => format!("[={}]", option.value_name),
        Kind::OptionalValue | Kind::Bool => format!(" [{}]", option.value_name),
    }
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn state(verdict: Verdict) -> String {
    match verdict {
        Verdict::Runs => "works".to_owned(),
        Verdict::Accepted(why) => format!("no effect: {why}"),
        Verdict::NotYet(topic) => format!("not yet ({topic})"),
        Verdict::Refused(topic) => format!("not yet, refused ({topic})"),
        Verdict::NotApplicable(why) => format!("not supported: {why}"),
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Toil => "Toil",
        Origin::SeedEra => "Toil 4 and 5",
        Origin::Cwltool => "cwltool",
        Origin::Own => "moil",
    }
}

fn environment_page() -> String {
    let mut page = format!(
        "# Environment variables\n\n{MADE}## Variables that stand for an option\n\n\
         The command line beats them, they beat the config file. Empty counts as not set.\n\n\
         | variable | option |\n|---|---|\n"
    );
    for option in options::all() {
        if let Some(variable) = option.variable {
            _ = writeln!(page, "| `{variable}` | `{}` |", option.name());
        }
    }
    page.push_str("\n## Other variables\n\n| variable | meaning | without it | state |\n|---|---|---|---|\n");
    for variable in environment::TABLE {
        let state = state(variable.verdict);
        _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            variable.name,
            cell(variable.meaning),
            cell(variable.default),
            cell(&state)
        );
    }
    page
}

fn exit_codes_page() -> String {
    let mut page = format!("# Exit codes\n\n{MADE}| code | meaning |\n|---|---|\n");
    for row in exit_code::TABLE {
        _ = writeln!(page, "| {} | {} |", row.code.0, cell(row.meaning));
    }
    page.push_str("\nA tool's own exit code is never handed on.\n");
    page
}
