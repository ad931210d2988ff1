//! The `expressionLib` of a process: compiled once, found again by identity or by text.

use std::rc::Rc;
use std::sync::Arc;

use super::bytecode::Bytecode;
use super::{COMPLETE_WORDS, INDIRECT_WORDS, NONDETERMINISTIC_WORDS, contains_any};
use crate::text::Text;

/// The name of the library's script in stack traces.
pub const NAME: &str = "expressionLib";

/// How many compiled libraries are kept. A workflow has few; a server that runs many must not grow.
const KEPT: usize = 16;

/// All parts of one `expressionLib` as one script, which is what makes a function of one part known
/// to all others.
pub struct Library {
    /// The parts, each on lines of its own.
    pub source: String,
    /// The first line of each part, counted from 1.
    first_lines: Vec<usize>,
    /// Whether it may need rare built-in objects.
    pub needs_complete: bool,
    /// Whether it may ask for the time or random numbers.
    pub may_be_nondeterministic: bool,
    /// Whether it may reach a variable without naming it.
    pub is_indirect: bool,
    /// The compiled script.
    pub bytecode: Option<Bytecode>,
}

impl Library {
    /// A library that is not compiled yet.
    pub fn new(parts: &[Text]) -> Self {
        let mut source = String::new();
        let mut first_lines = Vec::with_capacity(parts.len());
        let mut line = 1;
        for part in parts {
            first_lines.push(line);
            line += part.text.matches('\n').count() + 1;
            source.push_str(&part.text);
            source.push('\n');
        }
        Self {
            needs_complete: contains_any(&source, COMPLETE_WORDS),
            may_be_nondeterministic: contains_any(&source, NONDETERMINISTIC_WORDS),
            is_indirect: contains_any(&source, INDIRECT_WORDS),
            source,
            first_lines,
            bytecode: None,
        }
    }

    /// A line of the script as a line of one part.
    pub fn place(&self, line: usize) -> String {
        let part = self.first_lines.partition_point(|first| *first <= line).saturating_sub(1);
        let first = self.first_lines.get(part).copied().unwrap_or(1);
        format!("line {} of {NAME}[{part}]", line + 1 - first)
    }
}

/// The libraries that were used last.
#[derive(Default)]
pub struct Libraries {
    entries: Vec<(Arc<Vec<Text>>, Rc<Library>)>,
}

impl Libraries {
    /// The library made of `parts`, if it is known.
    pub fn get(&mut self, parts: &Arc<Vec<Text>>) -> Option<Rc<Library>> {
        let by_identity = self.entries.iter().position(|(known, _)| Arc::ptr_eq(known, parts));
        let index = by_identity.or_else(|| self.entries.iter().position(|(known, _)| known == parts))?;
        Some(Rc::clone(&self.entries[index].1))
    }

    /// Adds a library; the oldest one goes when there are too many.
    pub fn insert(&mut self, parts: &Arc<Vec<Text>>, library: Library) -> Rc<Library> {
        if self.entries.len() == KEPT {
            self.entries.remove(0);
        }
        let library = Rc::new(library);
        self.entries.push((Arc::clone(parts), Rc::clone(&library)));
        library
    }
}
