//! Telling the lines of a tool's logs while it runs.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Follows a log that another process writes.
pub(crate) struct Follower {
    file: Option<File>,
    path: std::path::PathBuf,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

/// A line longer than this is told in pieces, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

impl Follower {
    /// Follows the log at `path`, which need not be there yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { file: None, path: path.to_owned(), rest: Vec::new() }
    }

    /// Tells each line that was completed since the last call.
    pub(crate) fn tell_new(&mut self, tell: &mut dyn FnMut(String)) {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return };
        let mut buffer = [0; 16 * 1024];
        while let Ok(count) = file.read(&mut buffer)
            && count > 0
        {
            self.rest.extend_from_slice(buffer.get(..count).unwrap_or_default());
            while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                tell(text(&line));
            }
            if self.rest.len() > LONGEST_LINE {
                tell(text(&std::mem::take(&mut self.rest)));
            }
        }
    }

    /// Tells what is left, also a line without an end.
    pub(crate) fn tell_rest(mut self, tell: &mut dyn FnMut(String)) {
        self.tell_new(tell);
        if !self.rest.is_empty() {
            tell(text(&self.rest));
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn lines_are_told_once_they_are_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut follower = Follower::new(&path);
        let mut told = Vec::new();
        follower.tell_new(&mut |line| told.push(line));
        let mut log = File::create(&path).unwrap();
        for (written, expected) in [("one\ntw", vec!["one"]), ("", vec![]), ("o\r\n\nthr", vec!["two", ""])] {
            log.write_all(written.as_bytes()).unwrap();
            told.clear();
            follower.tell_new(&mut |line| told.push(line));
            assert_eq!(told, expected);
        }
        told.clear();
        follower.tell_rest(&mut |line| told.push(line));
        assert_eq!(told, ["thr"]);
    }
}
