//! Inputs that are fetched.

use super::*;
use std::sync::atomic::AtomicU32;

/// Counts what it fetches; fails for names that end in `gone`, once for those that end in `flaky`.
#[derive(Default)]
struct Web(AtomicU32);

impl Download for Web {
    fn download(&self, location: &str, to: &Path, _cancel: &Cancel) -> std::result::Result<(), String> {
        let count = self.0.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        if location.ends_with("gone") || location.ends_with("flaky") && count == 0 {
            return Err("404 Not Found".to_owned());
        }
        fs::write(to, location).map_err(|error| error.to_string())
    }
}

#[test]
fn each_location_is_fetched_once_however_many_want_it() {
    let dir = tempfile::tempdir().unwrap();
    let (web, downloads) = (Web::default(), Downloads::default());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (web, downloads, root) = (&web, &downloads, dir.path());
            scope.spawn(move || {
                let location: Arc<str> = format!("https://host{}/a%20b", thread % 2).into();
                let path = downloads.get(&location, root, Some(web), &Cancel::new()).unwrap();
                assert!(path.ends_with("a b"));
                assert_eq!(fs::read_to_string(path).unwrap(), *location);
            });
        }
    });
    assert_eq!(web.0.load(Ordering::SeqCst), 2);
}

#[test]
fn what_failed_is_tried_again_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (web, downloads) = (Web::default(), Downloads::default());
    let get = |location: &str| downloads.get(&location.into(), dir.path(), Some(&web), &Cancel::new());
    let failure = get("https://host/flaky").unwrap_err();
    assert_eq!((failure.kind, failure.cause.as_deref()), (FailureKind::BadInput, Some("404 Not Found")));
    assert!(get("https://host/flaky").is_ok());
    assert!(get("https://host/gone").is_err());
    assert!(downloads.get(&"https://host/x".into(), dir.path(), None, &Cancel::new()).is_err());
}

#[test]
fn files_become_local_and_directories_of_others_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (web, downloads) = (Web::default(), Downloads::default());
    let remote = Value::File(Arc::new(File {
        location: Some("https://host/reads.fq".into()),
        secondary_files: Arc::new(vec![Value::File(Arc::new(File {
            location: Some("s3://bucket/reads.idx".into()),
            ..File::default()
        }))]),
        ..File::default()
    }));
    let local = downloads.localise(&remote, dir.path(), Some(&web), &Cancel::new()).unwrap();
    let mut names = Vec::new();
    local.visit_files(&mut |item| match item {
        Value::File(file) => {
            assert!(path_of(file.location.as_deref().unwrap()).unwrap().is_file());
            names.push(file.basename.clone().unwrap().to_string());
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(names, ["reads.idx", "reads.fq"]);
    let directory = Value::Directory(Arc::new(moil_cwl::value::Directory {
        location: Some("https://host/d".into()),
        ..Default::default()
    }));
    assert!(downloads.localise(&directory, dir.path(), Some(&web), &Cancel::new()).is_err());
}

fn directory(location: &str) -> Value {
    let location = Some(location.into());
    Value::Directory(Arc::new(moil_cwl::value::Directory { location, ..Default::default() }))
}

fn location(value: &Value) -> PathBuf {
    let location = match value {
        Value::File(file) => file.location.clone(),
        Value::Directory(directory) => directory.location.clone(),
        other => panic!("{other:?}"),
    };
    path_of(&location.unwrap()).unwrap()
}

#[test]
fn what_was_made_here_is_not_fetched_unless_it_was_changed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("downloads");
    let (web, downloads) = (Web::default(), Downloads::with_room(20));
    let made = dir.path().join("a b.txt");
    fs::write(&made, "made here").unwrap();
    downloads.adopt("s3://b/1/a%20b.txt", &made, &root);
    let get = |location: &str| {
        let path = downloads.get(&location.into(), &root, Some(&web), &Cancel::new()).unwrap();
        (path.clone(), fs::read_to_string(path).unwrap())
    };
    let (path, text) = get("s3://b/1/a%20b.txt");
    assert_eq!((text.as_str(), made.exists()), ("made here", false));
    assert!(path.ends_with("a b.txt"));
    assert_eq!(web.0.load(Ordering::SeqCst), 0);
    fs::write(&path, "a tool wrote into its input").unwrap();
    assert_eq!(get("s3://b/1/a%20b.txt").1, "s3://b/1/a%20b.txt");
    // There is no room for more than 20 bytes.
    fs::write(&made, "another twelve").unwrap();
    downloads.adopt("s3://b/2/x", &made, &root);
    assert!(!made.exists());
    assert_eq!(get("s3://b/2/x").1, "s3://b/2/x");
    // Nor are links trusted.
    std::os::unix::fs::symlink(&path, &made).unwrap();
    downloads.adopt("s3://b/3/x", &made, &root);
    assert_eq!(get("s3://b/3/x").1, "s3://b/3/x");
}

#[test]
fn what_is_in_a_directory_that_is_here_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("downloads");
    let (web, downloads) = (Web::default(), Downloads::with_room(1000));
    let made = dir.path().join("d");
    fs::create_dir_all(made.join("e")).unwrap();
    fs::write(made.join("e/f 1"), "deep").unwrap();
    downloads.adopt("s3://b/1/d", &made, &root);
    let localise = |value: &Value| downloads.localise(value, &root, Some(&web), &Cancel::new());
    let whole = location(&localise(&directory("s3://b/1/d")).unwrap());
    assert_eq!(fs::read_to_string(whole.join("e/f 1")).unwrap(), "deep");
    assert_eq!(location(&localise(&directory("s3://b/1/d/e")).unwrap()), whole.join("e"));
    let file = Value::File(Arc::new(File { location: Some("s3://b/1/d/e/f%201".into()), ..File::default() }));
    assert_eq!(location(&localise(&file).unwrap()), whole.join("e/f 1"));
    assert_eq!(web.0.load(Ordering::SeqCst), 0);
    // Names cannot lead out, and what is not there is asked for.
    for other in ["s3://b/1/d/../x", "s3://b/1/d/%2e%2e/x", "s3://b/1/d/none", "s3://b/1/da"] {
        let path = downloads.get(&other.into(), &root, Some(&web), &Cancel::new()).unwrap();
        assert!(!path.starts_with(&whole), "{other}");
    }
    assert_eq!(web.0.load(Ordering::SeqCst), 4);
}
