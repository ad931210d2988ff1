//! Outputs that are all there is in one directory of the run's own move with it, in one go.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use super::Action;

/// Moves the directory that holds the outputs to where they are wanted, if that directory is not there yet and all
/// outputs keep their names. Whether it did; where it did not, nothing has changed.
///
/// A directory that exists is never replaced, even an empty one: somebody may be at work in it.
pub(super) fn take(actions: &[Action], outdir: &Path) -> bool {
    let Some((source, names)) = all_of_one(actions, outdir) else { return false };
    let holds_nothing_else = || -> io::Result<bool> {
        let mut count = 0;
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            // A link would have been followed, and a directory is not what was asked for.
            if !entry.file_type()?.is_file() || !names.contains(&*entry.file_name()) {
                return Ok(false);
            }
            count += 1;
        }
        Ok(count == names.len())
    };
    holds_nothing_else().unwrap_or(false) && made_alike(source, outdir).is_ok()
}

/// The directory that all files are in, and their names, if they keep these and may be moved.
fn all_of_one<'a>(actions: &'a [Action], outdir: &Path) -> Option<(&'a Path, HashSet<&'a OsStr>)> {
    let mut source = None;
    let mut names = HashSet::with_capacity(actions.len());
    for action in actions {
        let Action::Bring { from, to, may_move: true } = action else { return None };
        let name = from.file_name()?;
        let parent = from.parent()?;
        if to.parent() != Some(outdir)
            || to.file_name() != Some(name)
            || *source.get_or_insert(parent) != parent
        {
            return None;
        }
        names.insert(name);
    }
    // A few files are as quickly moved one by one.
    (names.len() >= FEW).then_some((source?, names))
}

/// Fewer files than this are moved one by one.
const FEW: usize = 16;

/// Moves a directory to a new name, with the owner and mode that a directory made there has.
fn made_alike(source: &Path, outdir: &Path) -> io::Result<()> {
    // Renaming to an empty directory replaces it, so that what was made here is the pattern, and nobody else's is lost.
    if let Some(parent) = outdir.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::create_dir(outdir)?;
    let moved = alike(source, outdir).and_then(|()| fs::rename(source, outdir));
    if moved.is_err() {
        fs::remove_dir(outdir)?;
    }
    moved
}

fn alike(source: &Path, pattern: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (old, new) = (fs::symlink_metadata(source)?, fs::symlink_metadata(pattern)?);
    if (old.dev(), old.uid(), old.gid()) != (new.dev(), new.uid(), new.gid()) || has_attributes(pattern)? {
        return Err(io::ErrorKind::Unsupported.into());
    }
    fs::set_permissions(source, new.permissions())
}

/// Whether a directory has more than a mode: an access list that was inherited, a label.
fn has_attributes(directory: &Path) -> io::Result<bool> {
    let size = rustix::fs::listxattr(directory, &mut [0; 0]);
    match size {
        Ok(size) => Ok(size > 0),
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes `made/0` … `made/N`, and the actions that bring them to `out`.
    fn made(dir: &Path, count: usize) -> Vec<Action> {
        fs::create_dir(dir.join("made")).expect("it is made");
        (0..count)
            .map(|i| {
                let from = dir.join(format!("made/{i}"));
                fs::write(&from, "x").expect("it is written");
                Action::Bring { from, to: dir.join(format!("out/{i}")), may_move: true }
            })
            .collect()
    }

    #[test]
    fn a_directory_of_outputs_moves_as_a_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let actions = made(dir.path(), 20);
        fs::set_permissions(dir.path().join("made"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("it is changed");
        fs::create_dir(dir.path().join("pattern")).expect("it is made");
        assert!(take(&actions, &dir.path().join("out")));
        assert!(!dir.path().join("made").exists());
        assert_eq!(fs::read_dir(dir.path().join("out")).expect("a directory").count(), 20);
        let mode = |name: &str| fs::metadata(dir.path().join(name)).expect("it is there").permissions();
        assert_eq!(mode("out"), mode("pattern"));
    }

    #[test]
    fn it_does_not_where_anything_else_is_in_it_or_wanted() {
        type Change = fn(&Path, &mut Vec<Action>);
        let changes: [(&str, Change); 8] = [
            ("another file", |dir, _| fs::write(dir.join("made/more"), "").expect("it is written")),
            ("a file is missing", |dir, _| fs::remove_file(dir.join("made/3")).expect("it is removed")),
            ("a link", |dir, _| {
                fs::remove_file(dir.join("made/3")).expect("it is removed");
                std::os::unix::fs::symlink("4", dir.join("made/3")).expect("it is linked");
            }),
            ("another name", |dir, actions| {
                actions[3] =
                    Action::Bring { from: dir.join("made/3"), to: dir.join("out/three"), may_move: true };
            }),
            ("one stays", |dir, actions| {
                actions[3] =
                    Action::Bring { from: dir.join("made/3"), to: dir.join("out/3"), may_move: false };
            }),
            ("a literal", |dir, actions| {
                actions.push(Action::Write { to: dir.join("out/text"), text: "x".into() });
            }),
            ("the place is taken", |dir, _| fs::create_dir(dir.join("out")).expect("it is made")),
            ("few", |_, actions| actions.truncate(3)),
        ];
        for (what, change) in changes {
            let dir = tempfile::tempdir().expect("a directory");
            let mut actions = made(dir.path(), 20);
            change(dir.path(), &mut actions);
            assert!(!take(&actions, &dir.path().join("out")), "{what}");
            assert!(dir.path().join("made").exists(), "{what}");
            assert_eq!(dir.path().join("out").exists(), what == "the place is taken", "{what}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_made_is_left_to_the_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let actions = made(dir.path(), 20);
        fs::write(dir.path().join("file"), "").expect("it is written");
        assert!(!take(&actions, &dir.path().join("file/out")));
    }
}
