//! Values that must not be told (`cwltool:Secrets`).

use moil_cwl::value::Value;
use moil_job::failure::Failure;
use moil_job::spec::Job;

/// The secret values of a job, and what stands for each of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// Longest first: one secret may hold another.
    values: Vec<(String, String)>,
}

impl Secrets {
    /// The secrets among a job's inputs.
    pub(crate) fn of(job: &Job) -> Self {
        let mut values = Vec::new();
        for name in job.tool.effective.secrets.iter().flat_map(|names| names.iter()) {
            collect(job.inputs.field(name), name, &mut values);
        }
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// A text with each secret replaced by a placeholder that names its input.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, placeholder) in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value, placeholder);
            }
        }
        text
    }

    /// A failure without secrets. The command is not touched: it was quoted after its words were hidden.
    pub(crate) fn hide_in(&self, failure: &mut Failure) {
        if self.values.is_empty() {
            return;
        }
        failure.message = self.hide(&failure.message);
        for text in [&mut failure.cause, &mut failure.advice, &mut failure.command].into_iter().flatten() {
            *text = self.hide(text);
        }
        for line in &mut failure.last_lines {
            *line = self.hide(line);
        }
    }
}

fn collect(value: &Value, name: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) if !text.is_empty() => {
            let placeholder = format!("(secret-{name})");
            into.extend(
                text.lines()
                    .filter(|line| line.trim().len() > 3)
                    .map(|l| (l.to_owned(), placeholder.clone())),
            );
            into.push((text.to_string(), placeholder));
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, name, into)),
        Value::Map(entries) => entries.values().for_each(|item| collect(item, name, into)),
        Value::File(file) => {
            if file.location.is_none()
                && let Some(contents) = &file.contents
            {
                collect(&Value::String(contents.clone()), name, into);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_secrets_are_hidden_first() {
        let mut values = Vec::new();
        collect(&Value::list(vec!["abc".into(), "abcdef".into()]), "key", &mut values);
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        let secrets = Secrets { values };
        assert_eq!(secrets.hide("xabcdef abc"), "x(secret-key) (secret-key)");
    }

    #[test]
    fn lines_of_a_secret_are_hidden_too() {
        let mut values = Vec::new();
        collect(&"line one\nline two\n}\n".into(), "pem", &mut values);
        let secrets = Secrets { values };
        assert_eq!(secrets.hide("log: line two }"), "log: (secret-pem) }");
    }
}
