//! Takes back what an export moved, for a run that is taken up again: its results are wanted where they were.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use moil_job::moved::Moved;

use super::Action;

/// What the actions of an export will move: recorded before any of them is done. `planned` is what the last leader was to
/// move: if that one slept in its export, and woke up, it may have moved it by now.
pub fn moves(actions: &[Action], planned: &[Moved]) -> Vec<Moved> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Bring { from, to, may_move: true } => match identity(from) {
                Ok((size, modified)) => Some(Moved { from: from.clone(), to: to.clone(), size, modified }),
                // What is in neither place fails when it is to be moved.
                Err(_) => moved(planned, from, to).cloned(),
            },
            _ => None,
        })
        .collect()
}

/// What was to be moved so, if it was moved just as it was to be.
pub(super) fn moved<'a>(moves: &'a [Moved], from: &Path, to: &Path) -> Option<&'a Moved> {
    let moved = moves.iter().find(|moved| (&*moved.from, &*moved.to) == (from, to))?;
    let is_there = fs::symlink_metadata(from).is_err()
        && identity(to).is_ok_and(|identity| identity == (moved.size, moved.modified));
    is_there.then_some(moved)
}

/// Takes from the actions of an export what an earlier one has done, of which these are the `moves`, and [`undo`] has copied
/// back: both are as they were, and stay.
pub fn without_done(mut actions: Vec<Action>, moves: &[Moved]) -> Vec<Action> {
    let known: HashMap<(&Path, &Path), (u64, i128)> =
        moves.iter().map(|moved| ((&*moved.from, &*moved.to), (moved.size, moved.modified))).collect();
    let is_done = |from: &Path, to: &Path| {
        let recorded = known.get(&(from, to))?;
        let is_as_recorded = |path| identity(path).is_ok_and(|identity| identity == *recorded);
        // What has two names is not yet in anybody's hands.
        let are_two = fs::metadata(from).ok()?.ino() != fs::metadata(to).ok()?.ino();
        Some(are_two && is_as_recorded(from) && is_as_recorded(to))
    };
    actions.retain(|action| match action {
        Action::Bring { from, to, may_move: true } => is_done(from, to) != Some(true),
        _ => true,
    });
    actions
}

/// Brings back what was moved and is still the same file. The places that it was moved to keep it. Gives the number
/// of files that came back; those that did not are missing, and the jobs that made them run again.
///
/// What an export that was `cut` short had moved is in nobody's hands yet: it gets a second name, until the next export
/// takes that away. After a whole one people may have changed their files, or will: these are copied.
pub fn undo(moves: &[Moved], cut: bool) -> usize {
    moves.iter().filter(|moved| bring_back(moved, cut).unwrap_or(false)).count()
}

/// What was moved and is no longer where it was.
#[derive(Debug, Default)]
pub struct MovedAway {
    /// What is still the same file: its old and its new path.
    pub there: Vec<(PathBuf, PathBuf)>,
    /// The old paths of what was changed since, or is gone.
    pub lost: Vec<PathBuf>,
}

/// Looks where that is which was moved.
pub fn moved_away(moves: &[Moved]) -> MovedAway {
    let mut away = MovedAway::default();
    for moved in moves.iter().filter(|moved| fs::symlink_metadata(&moved.from).is_err()) {
        match identity(&moved.to) {
            Ok(identity) if identity == (moved.size, moved.modified) => {
                away.there.push((moved.from.clone(), moved.to.clone()));
            }
            _ => away.lost.push(moved.from.clone()),
        }
    }
    away
}

fn bring_back(moved: &Moved, cut: bool) -> io::Result<bool> {
    if fs::symlink_metadata(&moved.from).is_ok() || identity(&moved.to)? != (moved.size, moved.modified) {
        return Ok(false);
    }
    if let Some(parent) = moved.from.parent() {
        fs::create_dir_all(parent)?;
    }
    if cut && fs::hard_link(&moved.to, &moved.from).is_ok() {
        return Ok(true);
    }
    let partial = moved.from.with_extension("moil-part");
    // With its time: so the next export sees that nothing has changed since.
    let copied = fs::copy(&moved.to, &partial)
        .and_then(|_| File::open(&partial)?.set_modified(fs::metadata(&moved.to)?.modified()?))
        .and_then(|()| fs::rename(&partial, &moved.from));
    if copied.is_err() {
        _ = fs::remove_file(&partial);
    }
    copied.map(|()| true)
}

/// Size and time of modification of a regular file.
fn identity(path: &Path) -> io::Result<(u64, i128)> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((metadata.len(), i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())))
}

#[cfg(test)]
mod tests {
    use super::super::act;
    use super::*;

    /// A run with three outputs, of which `done` are exported.
    fn exported(dir: &Path, done: usize) -> (Vec<Moved>, Vec<PathBuf>) {
        let store = dir.join("store/work/a/out");
        fs::create_dir_all(&store).expect("it is made");
        let actions: Vec<Action> = (0..3)
            .map(|i| {
                fs::write(store.join(format!("{i}")), format!("{i}")).expect("it is written");
                let to = dir.join(format!("out/{i}"));
                Action::Bring { from: store.join(format!("{i}")), to, may_move: true }
            })
            .collect();
        let moves = moves(&actions, &[]);
        act(&actions[..done], &dir.join("out"), Some((&[], &|| Ok(())))).expect("they are moved");
        (moves, (0..3).map(|i| store.join(format!("{i}"))).collect())
    }

    #[test]
    fn an_export_cut_anywhere_is_taken_back_and_its_copies_stay() {
        for done in 0..=3 {
            let dir = tempfile::tempdir().expect("a directory");
            let (moves, sources) = exported(dir.path(), done);
            assert_eq!(moves.len(), 3);
            assert_eq!(undo(&moves, true), done);
            for (i, source) in sources.iter().enumerate() {
                assert_eq!(fs::read_to_string(source).expect("it is back"), i.to_string());
                assert_eq!(dir.path().join(format!("out/{i}")).exists(), i < done);
            }
            assert_eq!(undo(&moves, true), 0, "it can be done again");
        }
    }

    #[test]
    fn it_can_be_exported_again_to_the_same_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let (moves, sources) = exported(dir.path(), 3);
        undo(&moves, true);
        let again: Vec<Action> = moves
            .iter()
            .map(|moved| Action::Bring { from: moved.from.clone(), to: moved.to.clone(), may_move: true })
            .collect();
        act(&again, &dir.path().join("out"), Some((&[], &|| Ok(())))).expect("they are moved");
        assert_eq!(fs::read_to_string(dir.path().join("out/2")).expect("it is there"), "2");
        drop(sources);
    }

    #[test]
    fn what_people_have_is_a_file_of_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let (moves, sources) = exported(dir.path(), 3);
        assert_eq!(undo(&moves, false), 3);
        fs::write(dir.path().join("out/1"), "changed").expect("it is written");
        assert_eq!(fs::read_to_string(&sources[1]).expect("it is there"), "1");
    }

    #[test]
    fn what_was_exported_before_and_is_as_it_was_is_not_exported_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let (moves, sources) = exported(dir.path(), 3);
        let again: Vec<Action> = moves
            .iter()
            .map(|moved| Action::Bring { from: moved.from.clone(), to: moved.to.clone(), may_move: true })
            .collect();
        let left = |moves: &[Moved]| without_done(again.clone(), moves).len();
        assert_eq!(undo(&moves, false), 3);
        assert_eq!((left(&moves), left(&moves[1..])), (0, 1));
        // It goes on so: nothing is copied a second time.
        assert_eq!(self::moves(&again, &[]), moves);
        assert_eq!(undo(&moves, false), 0);
        // A job may have made something else of one, or people of the other.
        fs::write(&sources[0], "0 and more").expect("it is written");
        fs::write(dir.path().join("out/1"), "changed").expect("it is written");
        fs::remove_file(dir.path().join("out/2")).expect("it is removed");
        assert_eq!(left(&moves), 3);
        fs::hard_link(&sources[2], dir.path().join("out/2")).expect("it gets a second name");
        assert_eq!(left(&moves), 3);
    }

    #[test]
    fn what_was_changed_since_does_not_come_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let (moves, sources) = exported(dir.path(), 3);
        fs::write(dir.path().join("out/1"), "changed").expect("it is written");
        fs::remove_file(dir.path().join("out/2")).expect("it is removed");
        assert_eq!(undo(&moves, true), 1);
        assert_eq!(sources.iter().map(|source| source.exists()).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn what_a_leader_that_woke_up_has_moved_is_where_it_should_be() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, out) = (dir.path().join("store"), dir.path().join("out"));
        fs::create_dir_all(&store).expect("it is made");
        fs::create_dir_all(&out).expect("it is made");
        fs::write(store.join("x"), "new").expect("it is written");
        let action = Action::Bring { from: store.join("x"), to: out.join("x"), may_move: true };
        let planned = moves(std::slice::from_ref(&action), &[]);
        fs::rename(store.join("x"), out.join("x")).expect("it is moved");
        assert_eq!(moves(std::slice::from_ref(&action), &planned), planned, "also before it was planned");
        act(std::slice::from_ref(&action), &out, Some((&planned, &|| Ok(())))).expect("it is there");
        // Another file of that name is not taken for it.
        fs::write(out.join("x"), "older").expect("it is written");
        assert_eq!(moves(std::slice::from_ref(&action), &planned), []);
        act(&[action], &out, Some((&planned, &|| Ok(())))).expect_err("it is gone");
    }
}
