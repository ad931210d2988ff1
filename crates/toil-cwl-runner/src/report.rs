//! How faults are shown to people.

use std::fmt::Write as _;
use std::io::Write as _;

use moil_salad::diagnostic::{Diagnostic, Severity};
use moil_salad::source::Place;
use serde_json::json;

use crate::exit_code::ExitCode;

/// A fault that ends the program before there is a log: `PROGRAM: error: …`.
pub fn error(program: &str, error: &dyn std::fmt::Display) -> String {
    format!("{program}: error: {error}\n")
}

/// The fault that leaves nothing to run in: the current directory is gone.
pub fn no_current_directory(program: &str, cause: &std::io::Error) -> ExitCode {
    let text = error(program, &format_args!("cannot find the current directory: {cause}"));
    _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}

/// Faults of documents, one after the other: `file:line:column: error: message [code]`.
pub fn diagnostics(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let severity = match diagnostic.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        if let Some(place) = &diagnostic.place {
            _ = write!(text, "{place}: ");
        }
        _ = writeln!(text, "{severity}: {} [{}]", diagnostic.message, diagnostic.code);
        if let Some(place) = &diagnostic.place {
            excerpt(place, &mut text);
        }
        for (place, note) in &diagnostic.related {
            _ = writeln!(text, "  {place}: {note}");
        }
        if let Some(hint) = &diagnostic.hint {
            _ = writeln!(text, "  hint: {hint}");
        }
    }
    text
}

/// The longest line of a document that is shown.
const EXCERPT: usize = 160;

/// The line at a place, with a mark below the column.
fn excerpt(place: &Place, text: &mut String) {
    let Some(index) = place.line.checked_sub(1) else { return };
    let Some(line) = place.source.text.lines().nth(index as usize) else { return };
    if line.trim().is_empty() || line.chars().count() > EXCERPT {
        return;
    }
    let number = place.line.to_string();
    // Tabs stay tabs, so that the mark stands where the terminal puts the column.
    let before: String = line
        .chars()
        .take((place.column as usize).saturating_sub(1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    _ = writeln!(text, "  {number} | {line}");
    _ = writeln!(text, "  {:width$} | {before}^", "", width = number.len());
}

/// Faults of documents for other programs: a JSON list.
pub fn diagnostics_json(diagnostics: &[Diagnostic]) -> String {
    let place =
        |place: &Place| json!({ "uri": place.source.uri, "line": place.line, "column": place.column });
    let list: Vec<serde_json::Value> = diagnostics
        .iter()
        .map(|diagnostic| {
            json!({
                "severity": match diagnostic.severity {
                    Severity::Warning => "warning",
                    Severity::Error => "error",
                },
                "code": diagnostic.code,
                "message": diagnostic.message,
                "place": diagnostic.place.as_ref().map(place),
                "related": diagnostic
                    .related
                    .iter()
                    .map(|(at, note)| json!({ "place": place(at), "message": note }))
                    .collect::<Vec<_>>(),
                "hint": diagnostic.hint,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(list))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moil_salad::source::Source;

    use super::*;

    #[test]
    fn a_diagnostic_has_its_place_its_code_and_its_hint() {
        let source =
            Arc::new(Source { uri: "file:///data/wf.cwl".to_owned(), text: "a\nb\n    run: x\n".to_owned() });
        let place = Place { source: Arc::clone(&source), line: 3, column: 5 };
        let first = Place { source, line: 1, column: 1 };
        let faults = [
            Diagnostic::error("duplicate-key", &place, "the key 'run' stands here twice")
                .with_related(&first, "first here")
                .with_hint("remove one"),
            Diagnostic::unplaced("no-document", "cannot read it"),
        ];
        assert_eq!(
            diagnostics(&faults),
            "/data/wf.cwl:3:5: error: the key 'run' stands here twice [duplicate-key]\n  \
             3 |     run: x\n    |     ^\n  /data/wf.cwl:1:1: first here\n  hint: remove one\nerror: cannot read it [no-document]\n"
        );
    }
}
