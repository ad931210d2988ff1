//! Copies of what is kept, within the service.

use std::collections::BTreeSet;

use moil_job::spec::AttemptId;

use super::index::{Entry, Index, Kind};
use super::{S3Contents, location, unit_key};

impl S3Contents {
    /// Keeps a copy of what another run kept. Gives its location.
    ///
    /// # Errors
    /// It is not there; the server's words.
    pub(crate) fn take(
        &self,
        attempt: &AttemptId,
        from: &S3Contents,
        at: &str,
        is_directory: bool,
    ) -> Result<String, String> {
        let named = from.named(at)?;
        let path = format!("{}/{}", named.output, named.inside);
        let path = path.trim_end_matches('/');
        let new = self.output_key(attempt, path.rsplit('/').next().unwrap_or(path));
        if is_directory {
            let index = from.index(&named.output)?;
            let entries = index.below(&named.inside);
            let source = Source { contents: from, output: &named.output, inside: &named.inside };
            let copied = self.copy_entries(&source, entries, &new)?;
            self.put_index(&new, copied)?;
        } else if named.inside.is_empty() {
            self.bucket.copy_from(&from.bucket, &named.output, None, &new).map_err(|error| error.reason)?;
        } else {
            from.copy(at, &self.bucket, &new)?;
        }
        Ok(location(&self.bucket, &new))
    }

    /// Copies entries of a directory, with the packs that they need, to where they are to lie in a new one. Gives them with
    /// their paths there.
    pub(super) fn copy_entries(
        &self,
        source: &Source<'_>,
        entries: &[Entry],
        new: &str,
    ) -> Result<Index, String> {
        let copy = |from: &str, to: &str| {
            let copied = self.bucket.copy_from(&source.contents.bucket, from, None, to);
            copied.map(drop).map_err(|error| error.reason)
        };
        let mut index = Index::default();
        let mut packs = BTreeSet::new();
        for entry in entries {
            let path = entry.path.strip_prefix(source.inside).unwrap_or(&entry.path).trim_start_matches('/');
            match entry.kind {
                Kind::Object(_) => {
                    copy(&format!("{}/{}", source.output, entry.path), &format!("{new}/{path}"))?;
                }
                Kind::Packed { pack, size, .. } if size > 0 => drop(packs.insert(pack)),
                Kind::Directory | Kind::Packed { .. } => {}
            }
            index.entries.push(Entry { path: path.to_owned(), ..entry.clone() });
        }
        for pack in packs {
            let name = format!(".pack-{pack}");
            copy(&unit_key(source.output, &name), &unit_key(new, &name))?;
        }
        Ok(index)
    }
}

/// Where entries lie that are copied.
pub(super) struct Source<'a> {
    pub(super) contents: &'a S3Contents,
    /// The key of the directory.
    pub(super) output: &'a str,
    /// Where in that; empty for all of it.
    pub(super) inside: &'a str,
}
