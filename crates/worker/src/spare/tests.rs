//! Tests on the real disk.

use std::os::unix::fs::symlink;

use super::*;

struct Attempt {
    dirs: AttemptDir,
    shelf: PathBuf,
    staged: Vec<StagingEntry>,
    outputs: Value,
    _dir: tempfile::TempDir,
}

/// An attempt with an input, an empty log and two output files.
fn attempt() -> Attempt {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("job-1-0123");
    let dirs = AttemptDir {
        out: root.join("out"),
        tmp: root.join("tmp"),
        inputs: root.join("in"),
        root: root.clone(),
    };
    for made in [&dirs.out, &dirs.tmp, &dirs.inputs.join("0")] {
        fs::create_dir_all(made).unwrap();
        fs::set_permissions(made, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(dir.path().join("data"), "data").unwrap();
    let target = dirs.inputs.join("0/data");
    symlink(dir.path().join("data"), &target).unwrap();
    let location = files::location_of(&dir.path().join("data")).unwrap();
    let staged = vec![StagingEntry {
        source: StagingSource::Location { location: location.into(), is_directory: false },
        target: target.to_str().unwrap().to_owned(),
        writable: false,
    }];
    let log = dirs.stderr_log();
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(dirs.out.join("a.txt"), "a").unwrap();
    fs::write(dirs.out.join("b #1.txt"), "b").unwrap();
    let outputs = Value::list(vec![
        output(&dirs.out.join("a.txt")),
        Value::list(vec![output(&dirs.out.join("b #1.txt")), output(&dirs.out.join("a.txt"))]),
        output(&dir.path().join("data")),
    ]);
    Attempt { shelf: dir.path().join("outputs"), dirs, staged, outputs, _dir: dir }
}

fn output(path: &Path) -> Value {
    let location = files::location_of(path).map(Into::into);
    Value::File(Arc::new(File { location, ..File::default() }))
}

fn locations(value: &Value) -> Vec<PathBuf> {
    let mut found = Vec::new();
    value.visit_files(&mut |item| {
        if let Value::File(file) = item {
            found.push(files::path_of(file.location.as_deref().unwrap()).unwrap());
        }
    });
    found
}

#[test]
fn outputs_are_set_aside_and_the_rest_is_renamed() {
    let Attempt { dirs, shelf, staged, outputs, _dir } = attempt();
    let spare = Spare::default();
    let moved = spare.keep(&dirs, &outputs, &staged, &shelf).unwrap().unwrap();
    let (a, b) = (shelf.join("job-1-0123.a.txt"), shelf.join("job-1-0123.b #1.txt"));
    assert_eq!(locations(&moved), [a.clone(), b.clone(), a.clone(), _dir.path().join("data")]);
    assert_eq!((fs::read_to_string(a).unwrap(), fs::read_to_string(b).unwrap()), ("a".into(), "b".into()));
    let Value::List(items) = &moved else { panic!() };
    let Value::File(file) = &items[0] else { panic!() };
    assert_eq!(file.basename.as_deref(), Some("a.txt"));

    let next = _dir.path().join("job-2-4567");
    assert!(spare.take(&next));
    assert!(!dirs.root.exists());
    assert_eq!(children(&next.join("out")).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(children(&next.join("in/0")).unwrap(), Vec::<PathBuf>::new());
    assert!(!spare.take(&_dir.path().join("job-3-89ab")));
}

#[test]
fn whoever_leaves_more_than_outputs_keeps_everything() {
    type Change = fn(&mut Attempt);
    let changes: [(&str, Change); 16] = [
        ("a file that is no output", |a| fs::write(a.dirs.out.join("more"), "").unwrap()),
        ("a directory", |a| fs::create_dir(a.dirs.out.join("more")).unwrap()),
        ("a link as output", |a| {
            fs::remove_file(a.dirs.out.join("a.txt")).unwrap();
            symlink("b #1.txt", a.dirs.out.join("a.txt")).unwrap();
        }),
        ("an output that is not there", |a| fs::remove_file(a.dirs.out.join("a.txt")).unwrap()),
        ("an output elsewhere in the attempt", |a| {
            fs::write(a.dirs.tmp.join("x"), "").unwrap();
            a.outputs = output(&a.dirs.tmp.join("x"));
        }),
        ("a temporary file", |a| fs::write(a.dirs.tmp.join("x"), "").unwrap()),
        ("a file beside an input", |a| fs::write(a.dirs.inputs.join("0/data.fai"), "").unwrap()),
        ("a file instead of an input", |a| {
            fs::remove_file(a.dirs.inputs.join("0/data")).unwrap();
            fs::write(a.dirs.inputs.join("0/data"), "").unwrap();
        }),
        ("a file beside the directories", |a| fs::write(a.dirs.root.join("x"), "").unwrap()),
        ("a log with something in it", |a| fs::write(a.dirs.stderr_log(), "oops").unwrap()),
        ("a log with another name", |a| {
            fs::hard_link(a.dirs.stderr_log(), a._dir.path().join("log")).unwrap();
        }),
        ("an output directory that cannot be written", |a| {
            fs::set_permissions(&a.dirs.out, fs::Permissions::from_mode(0o555)).unwrap();
        }),
        ("an output directory whose group is inherited", |a| {
            fs::set_permissions(&a.dirs.out, fs::Permissions::from_mode(0o2755)).unwrap();
        }),
        ("attributes", |a| {
            let set = std::process::Command::new("python3")
                .args(["-c", "import os, sys; os.setxattr(sys.argv[1], 'user.x', b'1')"])
                .arg(&a.dirs.tmp)
                .status();
            if !set.is_ok_and(|status| status.success()) {
                // No Python, or no attributes here: another reason has to do.
                fs::write(a.dirs.tmp.join("x"), "").unwrap();
            }
        }),
        ("a name that is too long for the shelf", |a| {
            let name = "n".repeat(250);
            fs::rename(a.dirs.out.join("a.txt"), a.dirs.out.join(&name)).unwrap();
            a.outputs =
                Value::list(vec![output(&a.dirs.out.join(&name)), output(&a.dirs.out.join("b #1.txt"))]);
        }),
        ("a writable copy of an input", |a| {
            a.staged[0].writable = true;
        }),
    ];
    for (what, change) in changes {
        let mut attempt = attempt();
        change(&mut attempt);
        let spare = Spare::default();
        let kept = spare.keep(&attempt.dirs, &attempt.outputs, &attempt.staged, &attempt.shelf).unwrap();
        assert!(kept.is_none(), "{what}");
        assert!(!attempt.shelf.exists(), "{what}");
        assert!(!spare.take(&attempt._dir.path().join("next")), "{what}");
    }
}
