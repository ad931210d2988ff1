use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use moil_cwl::location;
use moil_job::result::Usage;

use super::directory::HOME;
use super::*;

struct Case {
    dir: tempfile::TempDir,
    cache: Cache,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = Self::open(dir.path());
        Self { dir, cache }
    }

    fn open(dir: &Path) -> Cache {
        let made = fs::canonicalize(dir).expect("it is there").join("work");
        let made = Made::new(vec![made], Vec::new());
        directory::open(&dir.join("cache"), made, Arc::default()).expect("it opens")
    }

    /// A result with a file, a directory, and a file of somebody else.
    fn result(&self, text: &str) -> JobResult {
        let work = fs::canonicalize(self.dir.path()).expect("it is there").join("work");
        fs::create_dir_all(work.join("d/e")).expect("it is made");
        for name in ["x #1", "d/e/y"] {
            fs::write(work.join(name), text).expect("it is written");
        }
        let uri = |name: &str| Some(location::file_uri(&work.join(name).to_string_lossy()).into());
        let file = |location| Value::File(Arc::new(FileValue { location, ..FileValue::default() }));
        let listing = Some(Arc::new(vec![file(uri("d/e/y"))]));
        let directory = Directory { location: uri("d"), listing, ..Directory::default() };
        let others = file(Some("file:///data/input".into()));
        let outputs = Value::list(vec![file(uri("x #1")), Value::Directory(Arc::new(directory)), others]);
        JobResult { outputs, exit_code: 0, usage: Usage::default(), updates: Vec::new(), logs: Vec::new() }
    }
}

fn locations(result: &JobResult) -> Vec<String> {
    let mut found = Vec::new();
    result.outputs.visit_files(&mut |item| found.extend(location_of(item).map(|text| text.to_string())));
    found
}

fn paths(result: &JobResult) -> Vec<PathBuf> {
    locations(result).iter().map(|text| PathBuf::from(location::file_path(text).expect("a file"))).collect()
}

#[test]
fn a_result_is_found_with_copies_of_its_files_that_are_read_only() {
    let case = Case::new();
    assert_eq!(case.cache.find("abc"), Ok(None));
    let result = case.result("one");
    case.cache.store("abc", &result).expect("it is kept");
    fs::remove_dir_all(case.dir.path().join("work")).expect("it is removed");
    let found = Case::open(case.dir.path()).find("abc").expect("it is read").expect("it is there");
    let paths = paths(&found);
    assert_eq!(paths[3], Path::new("/data/input"), "what somebody else has stays there");
    assert!(locations(&found)[..3].iter().all(|location| case.cache.has(location)));
    for path in [&paths[0], &paths[1]] {
        assert_eq!(fs::read_to_string(path).expect("it is there"), "one");
        assert!(fs::metadata(path).expect("it is there").permissions().readonly());
    }
    assert!(paths[0].ends_with("x #1") || paths[1].ends_with("x #1"), "{paths:?}");
}

#[test]
fn what_was_changed_or_removed_or_added_is_not_used_and_made_anew() {
    type Damage = fn(&[PathBuf]);
    let damages: [Damage; 4] = [
        |paths| {
            fs::set_permissions(&paths[0], fs::Permissions::from_mode(0o644)).expect("it is changed");
            fs::write(&paths[0], "two").expect("it is written");
        },
        |paths| fs::remove_file(&paths[1]).expect("it is removed"),
        |paths| fs::write(paths[2].join("new"), "").expect("it is written"),
        |paths| fs::remove_dir_all(paths[2].parent().expect("a directory")).expect("it is removed"),
    ];
    for damage in damages {
        let case = Case::new();
        let result = case.result("one");
        case.cache.store("abc", &result).expect("it is kept");
        damage(&paths(&case.cache.find("abc").expect("it is read").expect("it is there")));
        assert_eq!(case.cache.find("abc"), Ok(None));
        case.cache.store("abc", &result).expect("it is kept again");
        let found = case.cache.find("abc").expect("it is read").expect("it is there");
        assert!(
            paths(&found)[..2].iter().all(|path| fs::read_to_string(path).is_ok_and(|text| text == "one"))
        );
    }
}

#[test]
fn an_entry_that_is_cut_off_or_scribbled_on_is_not_used() {
    for damage in [&b""[..], b"moil-record-1 scribble"] {
        let case = Case::new();
        case.cache.store("abc", &case.result("one")).expect("it is kept");
        let entry = case.dir.path().join("cache").join(HOME).join(name("abc", 1));
        fs::remove_file(&entry).expect("it is there");
        fs::write(&entry, damage).expect("it is written");
        assert_eq!(case.cache.find("abc"), Ok(None));
        case.cache.store("abc", &case.result("two")).expect("it is kept again");
        assert!(case.cache.find("abc").expect("it is read").is_some());
    }
}

#[test]
fn of_many_that_keep_the_same_at_once_one_wins_and_the_others_leave_nothing() {
    let case = Case::new();
    let result = case.result("one");
    let path = case.dir.path();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| Case::open(path).store("abc", &result).expect("it is kept"));
        }
    });
    assert!(case.cache.find("abc").expect("it is read").is_some());
    let entries = case.cache.numbers("abc").expect("it is read").len();
    let files = location::file_path(case.cache.root()).expect("a path");
    assert_eq!(fs::read_dir(files).expect("it is read").count(), entries);
}

#[test]
fn the_secret_is_made_once_and_nobody_else_can_read_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let secrets: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let open = || *Case::open(dir.path()).secret();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(secrets.iter().all(|secret| *secret == secrets[0] && *secret != [0; 32]));
    let home = dir.path().join("cache").join(HOME);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&home), mode(&home.join("secret"))), (0o700, 0o600));
}
