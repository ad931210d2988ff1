//! Tests on a real disk.

use super::*;
use crate::files::location_of;
use crate::in_place;

fn entry(source: StagingSource, target: &Path, writable: bool) -> StagingEntry {
    StagingEntry { source, target: target.to_str().unwrap().to_owned(), writable }
}

fn located(path: &Path, is_directory: bool) -> StagingSource {
    StagingSource::Location { location: location_of(path).unwrap().into(), is_directory }
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A directory `user` with a file, a read-only one and a directory; and `out`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self { dir };
        fs::create_dir_all(place.path("user/d/e")).unwrap();
        fs::create_dir(place.path("out")).unwrap();
        fs::write(place.path("user/a b#.txt"), "original").unwrap();
        fs::write(place.path("user/d/e/f"), "deep").unwrap();
        fs::write(place.path("user/d/x"), "x").unwrap();
        for (path, mode) in [("user/d/e/f", 0o444), ("user/d/e", 0o555), ("user/d/x", 0o555)] {
            fs::set_permissions(place.path(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        place
    }

    fn config(&self) -> WorkerConfig {
        WorkerConfig::new(crate::spawner::Spawner::start().unwrap(), self.path("work"))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o777
    }
}

#[test]
fn what_may_not_be_written_is_linked() {
    let place = Place::new();
    let mut entries = [
        entry(located(&place.path("user/a b#.txt"), false), &place.path("in/0/new name"), false),
        entry(located(&place.path("user/d"), true), &place.path("in/1/d"), false),
        entry(StagingSource::Literal("text".into()), &place.path("in/2/literal"), false),
        entry(StagingSource::EmptyDirectory, &place.path("in/3/empty"), false),
        entry(StagingSource::Literal("inner".into()), &place.path("in/3/empty/inner"), false),
    ];
    check_sources(&entries).unwrap();
    Stager::new(&Cancel::new(), &place.config(), &crate::place::Place::here()).stage(&mut entries).unwrap();
    assert_eq!(fs::read_link(place.path("in/0/new name")).unwrap(), place.path("user/a b#.txt"));
    assert_eq!(fs::read_link(place.path("in/1/d")).unwrap(), place.path("user/d"));
    assert_eq!((place.text("in/2/literal"), place.text("in/3/empty/inner")), ("text".into(), "inner".into()));
}

#[test]
fn what_may_be_written_is_a_copy_writable_at_every_level() {
    let place = Place::new();
    let mut entries = [
        entry(located(&place.path("user/a b#.txt"), false), &place.path("out/file"), true),
        entry(located(&place.path("user/d"), true), &place.path("out/d"), true),
    ];
    symlink("nowhere", place.path("user/d/broken")).unwrap();
    symlink("x", place.path("user/d/link")).unwrap();
    Stager::new(&Cancel::new(), &place.config(), &crate::place::Place::here()).stage(&mut entries).unwrap();
    assert_eq!(
        (place.mode("out/d/e"), place.mode("out/d/e/f"), place.mode("out/d/x")),
        (0o755, 0o644, 0o755)
    );
    for path in ["out/file", "out/d/e/f", "out/d/link"] {
        assert!(fs::symlink_metadata(place.path(path)).unwrap().is_file(), "{path}");
        fs::write(place.path(path), "changed").unwrap();
    }
    assert_eq!(fs::read_link(place.path("out/d/broken")).unwrap(), Path::new("nowhere"));
    assert_eq!(
        (place.text("user/a b#.txt"), place.text("user/d/e/f"), place.text("user/d/x")),
        ("original".into(), "deep".into(), "x".into())
    );
    let time = |path| fs::metadata(place.path(path)).unwrap().modified().unwrap();
    assert_eq!(time("out/d/x"), time("out/d/x"));
}

#[test]
fn copies_keep_the_time_of_change() {
    let place = Place::new();
    let source = place.path("user/a b#.txt");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().append(true).open(&source).unwrap().set_modified(time).unwrap();
    Stager::new(&Cancel::new(), &place.config(), &crate::place::Place::here())
        .stage(&mut [entry(located(&source, false), &place.path("out/copy"), true)])
        .unwrap();
    assert_eq!(fs::metadata(place.path("out/copy")).unwrap().modified().unwrap(), time);
}

#[test]
fn only_files_of_the_run_are_changed_in_place() {
    let place = Place::new();
    fs::create_dir_all(place.path("work/downloads")).unwrap();
    fs::write(place.path("work/made"), "made").unwrap();
    fs::write(place.path("work/downloads/brought"), "brought").unwrap();
    let names = ["work/made", "work/downloads/brought", "user/a b#.txt"];
    let mut entries = names.map(|name| {
        entry(located(&place.path(name), false), &place.path(&format!("out/{}", name.len())), true)
    });
    let shared = in_place::share(&mut entries, &place.path("work"), &place.path("work/downloads")).unwrap();
    assert_eq!(shared, HashSet::from([entries[0].target.clone()]));
    Stager::new(&Cancel::new(), &place.config(), &crate::place::Place::here()).stage(&mut entries).unwrap();
    entries.iter().for_each(|entry| fs::write(&entry.target, "changed").unwrap());
    assert_eq!(names.map(|name| place.text(name)), ["changed", "brought", "original"]);
}

#[test]
fn missing_and_mistaken_sources_are_named() {
    let place = Place::new();
    let check = |entries: &[StagingEntry], words: &[&str]| {
        let failure = check_sources(entries).unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadInput);
        words.iter().for_each(|word| assert!(failure.message.contains(word), "{}", failure.message));
    };
    let target = place.path("in/0/x");
    let missing =
        ["gone one", "gone two"].map(|name| entry(located(&place.path(name), false), &target, false));
    check(&missing, &["gone one", "gone two"]);
    check(
        &[entry(located(&place.path("user/d"), false), &target, false)],
        &["is a directory, but must be a file"],
    );
    check(
        &[entry(located(&place.path("user/d/x"), true), &target, false)],
        &["is a file, but must be a directory"],
    );
}

#[test]
fn a_directory_that_links_to_itself_is_refused() {
    let place = Place::new();
    symlink(place.path("user/d"), place.path("user/d/again")).unwrap();
    let mut entries = [entry(located(&place.path("user/d"), true), &place.path("out/d"), true)];
    assert!(
        Stager::new(&Cancel::new(), &place.config(), &crate::place::Place::here())
            .stage(&mut entries)
            .is_err()
    );
}

#[test]
fn staging_stops_when_cancelled() {
    let place = Place::new();
    let cancel = Cancel::new();
    cancel.cancel(std::time::Duration::ZERO);
    let mut entries = [entry(StagingSource::EmptyDirectory, &place.path("in/0/x"), false)];
    assert_eq!(
        Stager::new(&cancel, &place.config(), &crate::place::Place::here())
            .stage(&mut entries)
            .unwrap_err()
            .kind,
        FailureKind::Cancelled
    );
    assert!(!place.path("in").exists());
}

#[test]
fn very_many_inputs_of_a_container_are_one_mount() {
    use std::os::unix::fs::MetadataExt as _;

    let place = Place::new();
    let root = place.path("job");
    let dirs = crate::attempt_dir::AttemptDir {
        out: root.join("out"),
        tmp: root.join("tmp"),
        inputs: root.join("in"),
        root,
    };
    let container = crate::place::Place::container(&dirs, None);
    let file = place.path("user/a b#.txt");
    let inputs = |count: usize| -> Vec<StagingEntry> {
        let target = |index| format!("/var/lib/cwl/in/{index}/f");
        (0..count).map(|index| entry(located(&file, false), Path::new(&target(index)), false)).collect()
    };
    let mut few = inputs(bundle::MOST_MOUNTS);
    let (cancel, config) = (Cancel::new(), place.config());
    let mut stager = Stager::new(&cancel, &config, &container);
    stager.stage(&mut few).unwrap();
    assert_eq!(stager.binds.len(), few.len());
    fs::remove_dir_all(&dirs.root).unwrap();

    let mut many = inputs(bundle::MOST_MOUNTS);
    many.extend([
        entry(located(&place.path("user/d"), true), Path::new("/var/lib/cwl/in/d/tree"), false),
        entry(StagingSource::Literal("text".into()), Path::new("/var/lib/cwl/in/l/literal"), false),
        entry(located(&file, false), Path::new("/var/spool/cwl/worked on"), false),
        entry(located(&file, false), Path::new("/etc/tool.conf"), false),
    ]);
    let mut stager = Stager::new(&cancel, &config, &container);
    stager.stage(&mut many).unwrap();
    let targets: Vec<_> =
        stager.binds.iter().map(|bind| (bind.target.to_str().unwrap(), bind.writable)).collect();
    assert_eq!(targets, [("/var/lib/cwl/in", false), ("/etc/tool.conf", false)]);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&dirs.inputs.join("7/f")), inode(&file));
    assert_eq!(fs::read_to_string(dirs.inputs.join("d/tree/e/f")).unwrap(), "deep");
    assert_eq!(fs::read_to_string(dirs.inputs.join("l/literal")).unwrap(), "text");
    // What the tool could write to is a copy, and known as one.
    assert_ne!(inode(&dirs.out.join("worked on")), inode(&file));
    assert_eq!(many.iter().filter(|entry| entry.writable).count(), 1);
}
