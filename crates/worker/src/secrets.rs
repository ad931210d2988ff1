//! Secrets (`cwltool:Secrets`) in what a tool says: their values give way to placeholders again.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use moil_cwl::value::{self, Value};
use moil_job::failure::Failure;
use moil_job::secret::Secrets;

/// The shortest value that is looked for in outputs, in bytes. Shorter ones stand in many a text by chance, and
/// an output must not change for that.
const SHORTEST_IN_OUTPUTS: usize = 8;
/// The shortest line of a longer value that is looked for, in bytes.
const SHORTEST_LINE: usize = 4;
/// A line of a log longer than this is looked through in pieces, in bytes.
const PIECE: u64 = 1 << 20;

/// What is looked for, and what is put in its place.
pub(crate) struct Masks<'a> {
    /// Longest first: one secret may hold another.
    patterns: Vec<(&'a str, &'a str)>,
}

impl<'a> Masks<'a> {
    /// For the secrets of an attempt: the values, and their lines, since logs are told by the line.
    pub(crate) fn of(secrets: &'a Secrets) -> Self {
        let mut patterns = Vec::new();
        for (placeholder, value) in secrets.iter() {
            patterns.push((value, placeholder));
            let lines = value.lines().filter(|line| line.trim().len() >= SHORTEST_LINE && *line != value);
            patterns.extend(lines.map(|line| (line, placeholder)));
        }
        patterns.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self { patterns }
    }

    /// Whether there is nothing to look for.
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// A text without secrets.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.hide_from(0, text)
    }

    /// A text without those secrets that are not shorter than `shortest`.
    fn hide_from(&self, shortest: usize, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, placeholder) in self.patterns.iter().take_while(|(value, _)| value.len() >= shortest) {
            if text.contains(value) {
                text = text.replace(value, placeholder);
            }
        }
        text
    }

    /// A failure without secrets.
    pub(crate) fn hide_in(&self, failure: &mut Failure) {
        if self.is_empty() {
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

    /// An output object whose texts, `contents` among them, hold no secrets that can be told from chance.
    pub(crate) fn hide_in_outputs(&self, outputs: &Value) -> Value {
        let all = |items: &[Value]| items.iter().map(|item| self.hide_in_outputs(item)).collect::<Vec<_>>();
        match outputs {
            _ if self.is_empty() => outputs.clone(),
            Value::String(text) => Value::from(self.hide_from(SHORTEST_IN_OUTPUTS, text)),
            Value::List(items) => Value::list(all(items)),
            Value::Map(entries) => Value::map(
                entries.iter().map(|(name, item)| (Arc::clone(name), self.hide_in_outputs(item))).collect(),
            ),
            Value::File(file) => Value::File(Arc::new(value::File {
                contents: file
                    .contents
                    .as_ref()
                    .map(|contents| self.hide_from(SHORTEST_IN_OUTPUTS, contents).into()),
                secondary_files: Arc::new(all(&file.secondary_files)),
                ..(**file).clone()
            })),
            Value::Directory(directory) => Value::Directory(Arc::new(value::Directory {
                listing: directory.listing.as_ref().map(|listing| Arc::new(all(listing))),
                ..(**directory).clone()
            })),
            Value::Null | Value::Bool(_) | Value::Number(_) => outputs.clone(),
        }
    }

    /// Takes the secrets out of a log, line by line. A log that cannot be changed is removed.
    pub(crate) fn hide_in_log(&self, log: &Path) {
        if self.is_empty() || fs::metadata(log).is_ok_and(|metadata| metadata.len() == 0) {
            return;
        }
        let masked = log.with_extension("masked");
        if self.copy(log, &masked).and_then(|()| fs::rename(&masked, log)).is_err() {
            // What is not there is no secret any more.
            let _ = fs::remove_file(&masked);
            let _ = fs::remove_file(log);
        }
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut from, mut to) = (BufReader::new(File::open(from)?), BufWriter::new(File::create(to)?));
        let mut line = Vec::new();
        while from.by_ref().take(PIECE).read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            let hidden = self.hide(&text);
            // Bytes that are no UTF-8 stay as they are in lines without secrets.
            to.write_all(if hidden == *text { &line } else { hidden.as_bytes() })?;
            line.clear();
        }
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moil_cwl::json;
    use moil_cwl::value::ValueMap;
    use moil_job::secret::SecretStore;

    /// The secrets with these values, and the placeholder of each.
    fn secrets<const N: usize>(values: [&str; N]) -> (Secrets, [String; N]) {
        let store = SecretStore::new(&[7; 32]);
        let mut inputs: ValueMap =
            [("s".into(), Value::list(values.map(Value::from).into()))].into_iter().collect();
        store.hide_inputs(&["s".into()], &mut inputs).unwrap();
        let inputs = Value::map(inputs);
        let items = inputs.field("s").as_list().unwrap();
        (store.mentioned(&inputs), std::array::from_fn(|index| items[index].as_str().unwrap().to_owned()))
    }

    #[test]
    fn longer_secrets_are_hidden_first() {
        let (secrets, [short, long]) = secrets(["abc", "abcdef"]);
        assert_eq!(Masks::of(&secrets).hide("xabcdef abc"), format!("x{long} {short}"));
    }

    #[test]
    fn lines_of_a_secret_are_hidden_too() {
        let (secrets, [key]) = secrets(["line one\nline two\n}\n"]);
        assert_eq!(Masks::of(&secrets).hide("log: line two }"), format!("log: {key} }}"));
    }

    #[test]
    fn outputs_keep_what_may_be_chance() {
        let (secrets, [_, long]) = secrets(["abc", "hunter2-and-more"]);
        let outputs = json::parse(
            r#"{"hunter2-and-more": ["abc hunter2-and-more", 3],
                "f": {"class": "File", "location": "file:///hunter2-and-more", "contents": "hunter2-and-more"}}"#,
        );
        let hidden = Masks::of(&secrets).hide_in_outputs(&outputs.unwrap());
        let expected = format!(
            r#"{{"hunter2-and-more": ["abc {long}", 3],
                "f": {{"class": "File", "location": "file:///hunter2-and-more", "contents": "{long}"}}}}"#
        );
        assert_eq!(hidden, json::parse(&expected).unwrap());
    }

    #[test]
    fn logs_lose_their_secrets_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("stderr.log");
        let (secrets, [key]) = secrets(["hunter2"]);
        fs::write(&log, b"\xff raw\nkey=hunter2\r\nthe end").unwrap();
        Masks::of(&secrets).hide_in_log(&log);
        let expected = [b"\xff raw\nkey=", key.as_bytes(), b"\r\nthe end"].concat();
        assert_eq!(fs::read(&log).unwrap(), expected);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
