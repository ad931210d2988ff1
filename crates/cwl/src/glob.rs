//! Patterns of `glob` (CWL v1.2 CommandLineTool §"CommandOutputBinding"), with the meaning that Python's
//! `glob.glob` gives them: `*`, `?`, `[…]` and `[!…]` within one part of a path; no recursion, no
//! braces, no escapes but `[*]`; names that begin with a dot only where the pattern does.

use std::borrow::Cow;

use crate::error::Error;

/// Looking at a tree for [`expand`]. Links are followed.
pub trait Look {
    /// The names in a directory; empty where it is none.
    ///
    /// # Errors
    /// Where it cannot be found out.
    fn names(&self, directory: &str) -> Result<Vec<String>, Error>;

    /// Whether something is at a path, be it a link that leads nowhere.
    ///
    /// # Errors
    /// Where it cannot be found out.
    fn exists(&self, path: &str) -> Result<bool, Error>;

    /// Whether a directory is at a path, or a link to one.
    ///
    /// # Errors
    /// Where it cannot be found out.
    fn is_directory(&self, path: &str) -> Result<bool, Error>;
}

/// Why a pattern cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExpandError {
    /// It leads out of the directory.
    #[error("{0:?} leads out of the output directory")]
    Outside(String),
    /// The tree could not be looked at.
    #[error(transparent)]
    Tree(#[from] Error),
}

/// The absolute paths in `root` that match a pattern, in the order of their bytes. The pattern is
/// relative to `root`, or an absolute path in it; `.` and `root` are `root` itself.
///
/// # Errors
/// See [`ExpandError`].
pub fn expand(pattern: &str, root: &str, tree: &dyn Look) -> Result<Vec<String>, ExpandError> {
    let outside = || ExpandError::Outside(pattern.to_owned());
    let relative = match pattern.strip_prefix('/') {
        None => Cow::Borrowed(pattern),
        Some(_) => match pattern.strip_prefix(root) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') || root.ends_with('/') => {
                Cow::Borrowed(rest)
            }
            _ => return Err(outside()),
        },
    };
    let mut parts: Vec<&str> = Vec::new();
    // A trailing slash and a dot ask for directories only.
    let mut only_directories = false;
    for part in relative.split('/') {
        only_directories = matches!(part, "" | ".");
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(outside)?;
                only_directories = true;
            }
            part => parts.push(part),
        }
    }
    let mut found = vec![root.trim_end_matches('/').to_owned()];
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        let mut next = Vec::new();
        for directory in &found {
            step(directory, part, last, only_directories, tree, &mut next)?;
        }
        found = next;
    }
    found.sort_unstable();
    Ok(found)
}

fn step(
    directory: &str,
    part: &str,
    last: bool,
    only_directories: bool,
    tree: &dyn Look,
    found: &mut Vec<String>,
) -> Result<(), Error> {
    let wanted = |path: &str| match last && !only_directories {
        true => Ok(true),
        false => tree.is_directory(path),
    };
    if has_magic(part) {
        let pattern: Vec<char> = part.chars().collect();
        for name in tree.names(directory)? {
            let hidden = name.starts_with('.') && !part.starts_with('.');
            let path = format!("{directory}/{name}");
            if !hidden && matches(&pattern, &name) && wanted(&path)? {
                found.push(path);
            }
        }
    } else {
        let path = format!("{directory}/{part}");
        if tree.exists(&path)? && wanted(&path)? {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a part of a pattern is more than a name.
fn has_magic(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// Whether a name matches a pattern, as Python's `fnmatch` says.
///
/// Only the last star is ever gone back to, so the time is at most the product of the lengths.
fn matches(pattern: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(p), name.get(n)) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            (Some('?'), Some(_)) => Some(1),
            (Some('['), Some(c)) => match class(pattern.get(p + 1..).unwrap_or_default()) {
                Some((set, length)) => set_holds(set, *c).then_some(length + 2),
                None => (*c == '[').then_some(1),
            },
            (Some(expected), Some(c)) => (expected == c).then_some(1),
            (None, Some(_)) | (Some(_), None) => None,
        };
        match (step, star) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            // Let the last star take one more character.
            (None, Some((after, taken))) if taken < name.len() => {
                star = Some((after, taken + 1));
                p = after;
                n = taken + 1;
            }
            (None, _) => return false,
        }
    }
}

/// The inside of `[…]` after its opening bracket, and its length without the brackets; `None` where it
/// is not closed. A bracket that comes first does not close.
fn class(rest: &[char]) -> Option<(&[char], usize)> {
    let mut start = usize::from(rest.first() == Some(&'!'));
    start += usize::from(rest.get(start) == Some(&']'));
    let length = start + rest.get(start..)?.iter().position(|c| *c == ']')?;
    Some((rest.get(..length)?, length))
}

fn set_holds(set: &[char], c: char) -> bool {
    let (negated, mut rest) = match set.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, set),
    };
    let mut held = false;
    loop {
        rest = match rest {
            [] => return held != negated,
            [low, '-', high, tail @ ..] => {
                held |= (*low..=*high).contains(&c);
                tail
            }
            [single, tail @ ..] => {
                held |= *single == c;
                tail
            }
        };
    }
}

#[cfg(test)]
mod tests;
