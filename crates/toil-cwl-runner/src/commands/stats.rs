//! `moil stats`: what a run used, by step.

use std::fmt::Write as _;
use std::sync::Arc;

use moil_engine::fold::used::{Spread, StepUse};
use moil_job::failure::{Failure, FailureKind};
use serde_json::{Map, Value as Json, json};

use super::words::{self, Asked, Shape};
use super::{finish, store};
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::run::print;

const SHAPE: Shape = Shape {
    help: "Shows what the jobs of a run used, by step. It works while the run goes on, and needs no --stats.

Usage: moil stats STORE [OPTIONS]

Options:
      --json, --raw           Print JSON: times in seconds, memory in KiB, disk in bytes.
      --pretty, --human       Print sizes with units.
      --categories LIST       time, clock (of processors), wait (granted cores that were idle), memory, disk
                              (output files), queue (until it was started), with commas.
      --sort ORDER            ascending or decending (default); so spelled by Toil, descending as well.
      --sortCategory NAME     One of the categories (default: time), alpha or count.
      --sortField NAME        min, med (default), ave, max or total.
      --outputFile FILE       Write it there.
  -h, --help                  Print this help and exit.
",
    words: &["the job store"],
    flags: &[&["--raw", "--json"], &["--pretty", "--human"]],
    values: &[&["--categories"], &["--sort"], &["--sortCategory"], &["--sortField"], &["--outputFile"]],
    lists: &[],
};

/// A category: its name, its unit, and how it is had.
type Category = (&'static str, &'static str, fn(&StepUse) -> &Spread);

const CATEGORIES: &[Category] = &[
    ("time", "s", |used| &used.time),
    ("clock", "core-s", |used| &used.clock),
    ("wait", "core-s", |used| &used.wait),
    ("memory", "KiB", |used| &used.memory),
    ("disk", "B", |used| &used.disk),
    ("queue", "s", |used| &used.queue),
];

/// The fields of a category: in a table, in JSON, and how they are had.
type Field = (&'static str, &'static str, fn(&Spread) -> f64);

const FIELDS: &[Field] = &[
    ("min", "min", |spread| spread.min),
    ("med", "median", |spread| spread.median),
    ("ave", "average", |spread| spread.mean),
    ("max", "max", |spread| spread.max),
    ("total", "total", |spread| spread.total),
];

/// `moil stats`.
pub(super) fn run(mut invocation: Invocation<'_>) -> ExitCode {
    let asked = match words::read(&mut invocation, &SHAPE) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let text = choices(&asked).and_then(|choices| {
        let seen = store::look(&asked.settings)?;
        let (all, steps) = seen.recorded.use_of_steps();
        let mut steps: Vec<(Arc<str>, StepUse)> = steps.into_iter().collect();
        choices.order(&mut steps);
        Ok(match asked.has("--raw") {
            true => format!("{:#}\n", as_json(&choices, &all, &steps)),
            false => as_text(&choices, &all, &steps),
        })
    });
    match (text, asked.value("--outputFile")) {
        (Err(failure), _) => finish(&asked.log, "stats", Err(failure)),
        (Ok(text), None) => print(invocation.stdout, &text, &asked.log),
        (Ok(text), Some(file)) => {
            let written = std::fs::write(invocation.cwd.join(file), text);
            let failed =
                |error| Failure::new(FailureKind::System, format!("cannot write {file}")).with_cause(error);
            finish(&asked.log, "stats", written.map_err(failed))
        }
    }
}

struct Choices {
    categories: Vec<&'static Category>,
    ascending: bool,
    by: String,
    field: &'static Field,
    pretty: bool,
}

fn choices(asked: &Asked) -> Result<Choices, Failure> {
    let unknown = |option: &str, word: &str, there: String| {
        Failure::new(FailureKind::BadInput, format!("{option} has no {word}"))
            .with_advice(format!("there are {there}"))
    };
    let names = || CATEGORIES.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
    let mut categories: Vec<&Category> = CATEGORIES.iter().collect();
    if let Some(list) = asked.value("--categories") {
        let words: Vec<&str> = list.split(',').map(str::trim).collect();
        if let Some(word) = words.iter().find(|word| CATEGORIES.iter().all(|(name, ..)| name != *word)) {
            return Err(unknown("--categories", word, names()));
        }
        categories.retain(|(name, ..)| words.contains(name));
    }
    let ascending = match asked.value("--sort") {
        Some("ascending") => true,
        None | Some("decending" | "descending") => false,
        Some(word) => return Err(unknown("--sort", word, "ascending and decending".to_owned())),
    };
    let by = asked.value("--sortCategory").unwrap_or("time").to_owned();
    if !matches!(&*by, "alpha" | "count") && CATEGORIES.iter().all(|(name, ..)| *name != by) {
        return Err(unknown("--sortCategory", &by, format!("{}, alpha and count", names())));
    }
    let word = asked.value("--sortField").unwrap_or("med");
    let field = FIELDS.iter().find(|(name, ..)| *name == word);
    let field = field.ok_or_else(|| unknown("--sortField", word, "min, med, ave, max, total".to_owned()))?;
    Ok(Choices { categories, ascending, by, field, pretty: asked.has("--pretty") })
}

impl Choices {
    fn order(&self, steps: &mut [(Arc<str>, StepUse)]) {
        let category = CATEGORIES.iter().find(|(name, ..)| *name == self.by);
        steps.sort_by(|(a, left), (b, right)| match (&*self.by, category) {
            ("alpha", _) => a.cmp(b),
            (_, Some((_, _, spread))) => {
                (self.field.2)(spread(left)).total_cmp(&(self.field.2)(spread(right)))
            }
            _ => left.time.count.cmp(&right.time.count),
        });
        if !self.ascending {
            steps.reverse();
        }
    }

    fn number(&self, unit: &str, number: f64) -> String {
        let bytes = match unit {
            "KiB" => number * 1024.0,
            _ => number,
        };
        match unit {
            "KiB" | "B" if self.pretty => crate::images::size(bytes as u64),
            "KiB" | "B" => format!("{number:.0}"),
            _ => format!("{number:.2}"),
        }
    }
}

fn as_text(choices: &Choices, all: &StepUse, steps: &[(Arc<str>, StepUse)]) -> String {
    let mut text = String::new();
    let mut table = |title: &str, used: &StepUse| {
        _ = writeln!(text, "{title}: {} attempts finished, {} cores granted", used.time.count, used.cores);
        _ = write!(text, "  {:<14}", "");
        FIELDS.iter().for_each(|(name, ..)| _ = write!(text, " {name:>12}"));
        text.push('\n');
        for (name, unit, spread) in &choices.categories {
            let unit = if choices.pretty && matches!(*unit, "KiB" | "B") { "" } else { unit };
            _ = write!(text, "  {:<14}", format!("{name} {unit}").trim_end());
            let real = CATEGORIES.iter().find(|(other, ..)| other == name).map_or("", |(_, unit, _)| unit);
            for (_, _, field) in FIELDS {
                _ = write!(text, " {:>12}", choices.number(real, field(spread(used))));
            }
            text.push('\n');
        }
    };
    table("all jobs", all);
    steps.iter().for_each(|(step, used)| table(step, used));
    text
}

fn as_json(choices: &Choices, all: &StepUse, steps: &[(Arc<str>, StepUse)]) -> Json {
    let one = |name: &str, used: &StepUse| {
        let mut object = Map::new();
        object.insert("name".to_owned(), json!(name));
        object.insert("total_number".to_owned(), json!(used.time.count));
        object.insert("total_cores".to_owned(), json!(used.cores));
        for (category, _, spread) in &choices.categories {
            for (_, field, number) in FIELDS {
                object.insert(format!("{field}_{category}"), json!(number(spread(used))));
            }
        }
        Json::Object(object)
    };
    let types: Vec<Json> = steps.iter().map(|(step, used)| one(step, used)).collect();
    json!({
        "version": 1,
        "total_run_time": all.time.total,
        "total_clock": all.clock.total,
        "jobs": one("jobs", all),
        "job_types": types,
    })
}
