//! Call caches in buckets.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use moil_cwl::files::Files as _;
use moil_cwl::location;
use moil_cwl::value::{Directory, File, Value};
use moil_job::cache::CallCache as _;
use moil_job::contents::Contents as _;
use moil_job::result::{JobResult, Usage};
use moil_job::spec::{AttemptId, JobId};
use moil_jobstore::call_cache::{Cache, bucket};
use moil_jobstore::content::s3::S3Contents;
use moil_jobstore::origins::Made;
use moil_jobstore::remote::Remote;
use moil_jobstore::s3::S3;
use moil_testing::hooks::Fault;
use moil_testing::s3::S3Server;

struct Case {
    server: S3Server,
    s3: S3,
    work: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let server = S3Server::start();
        let s3 = S3::new(crate::s3::settings(&server));
        s3.bucket("caches").create(None, &Default::default()).unwrap();
        Self { server, s3, work: tempfile::tempdir().unwrap() }
    }

    /// The cache, for a run that works in a directory and keeps its outputs in `s3://caches/run-1/files/`.
    fn open(&self) -> Cache {
        let made = Made::new(vec![self.work.path().to_owned()], vec!["s3://caches/run-1/files/".to_owned()]);
        bucket::open(self.s3.bucket("caches"), "team/cache", made).unwrap()
    }

    fn run(&self) -> S3Contents {
        S3Contents::new(self.s3.bucket("caches"), "run-1/".into(), "term")
    }

    fn remote(&self) -> Remote {
        Remote::default().with_s3(self.s3.clone())
    }

    /// A directory with small files, a large one and another directory.
    fn directory(&self, text: &str) -> std::path::PathBuf {
        let path = self.work.path().join("d #1");
        fs::create_dir_all(path.join("e/empty")).unwrap();
        fs::write(path.join("e/x"), text).unwrap();
        fs::write(path.join("large"), vec![7; 300_000]).unwrap();
        path
    }

    /// A result with a directory, a file of that, another file and one of somebody else.
    fn local(&self, text: &str) -> JobResult {
        let directory = self.directory(text);
        fs::write(self.work.path().join("y"), text).unwrap();
        let uri = |path: &Path| location::file_uri(&path.to_string_lossy());
        result(vec![
            file(&uri(&self.work.path().join("y"))),
            folder(&uri(&directory)),
            file(&uri(&directory.join("e/x"))),
            file("file:///data/input"),
        ])
    }

    fn text(&self, location: &str) -> String {
        String::from_utf8(self.remote().read_prefix(location, 1000).unwrap()).unwrap()
    }
}

fn file(location: &str) -> Value {
    Value::File(Arc::new(File { location: Some(location.into()), ..File::default() }))
}

fn folder(location: &str) -> Value {
    Value::Directory(Arc::new(Directory { location: Some(location.into()), ..Directory::default() }))
}

fn result(outputs: Vec<Value>) -> JobResult {
    JobResult {
        outputs: Value::list(outputs),
        exit_code: 0,
        usage: Usage::default(),
        updates: Vec::new(),
        logs: Vec::new(),
    }
}

fn locations(result: &JobResult) -> Vec<String> {
    let mut found = Vec::new();
    result.outputs.visit_files(&mut |item| match item {
        Value::File(file) => found.extend(file.location.as_deref().map(str::to_owned)),
        Value::Directory(directory) => found.extend(directory.location.as_deref().map(str::to_owned)),
        _ => {}
    });
    found
}

#[test]
fn a_result_is_found_with_copies_of_its_files() {
    let case = Case::new();
    let cache = case.open();
    assert_eq!(cache.find("abc"), Ok(None));
    cache.store("abc", &case.local("one")).unwrap();
    fs::remove_dir_all(case.work.path()).unwrap();
    let cache = case.open();
    let found = locations(&cache.find("abc").unwrap().unwrap());
    assert!(found[..3].iter().all(|location| cache.has(location)), "{found:?}");
    assert_eq!(found[3], "file:///data/input", "what somebody else has stays there");
    assert_eq!(found[2], location::child(&found[1], "e/x"));
    assert_eq!((case.text(&found[0]), case.text(&found[2])), ("one".into(), "one".into()));
    assert!(case.remote().stat(&location::child(&found[1], "e/empty")).unwrap().unwrap().is_directory);
}

#[test]
fn what_lies_in_a_bucket_is_copied_there() {
    let case = Case::new();
    let attempt = AttemptId { job: JobId("make".into()), number: 1 };
    let whole = case.run().keep(&attempt, &case.directory("one")).unwrap();
    let single = case.work.path().join("single");
    fs::write(&single, "single").unwrap();
    let single = case.run().keep(&attempt, &single).unwrap();
    let inner = |name: &str| location::child(&whole, name);
    let results = [
        ("a", result(vec![folder(&whole), file(&single), file("s3://others/x")])),
        ("b", result(vec![folder(&inner("e"))])),
        ("c", result(vec![file(&inner("e/x")), file(&inner("large"))])),
    ];
    case.server.hooks().forget_calls();
    let cache = case.open();
    for (key, result) in &results {
        cache.store(key, result).unwrap();
    }
    assert_eq!(case.server.hooks().count("UploadPart"), 0, "nothing large passes through here");
    // The run's own files are not needed any more.
    let keys: Vec<String> =
        case.server.objects("caches").into_keys().filter(|key| key.starts_with("run-1/")).collect();
    case.s3.bucket("caches").delete(&keys).unwrap();
    let found = |key: &str| locations(&case.open().find(key).unwrap().unwrap());
    let [whole, single, others] = found("a").try_into().unwrap();
    assert_eq!((case.text(&single), others.as_str()), ("single".into(), "s3://others/x"));
    let to = tempfile::tempdir().unwrap();
    assert!(case.remote().download_directory(&whole, &to.path().join("d")).unwrap());
    assert_eq!(fs::read_to_string(to.path().join("d/e/x")).unwrap(), "one");
    assert_eq!(fs::read(to.path().join("d/large")).unwrap(), [7; 300_000]);
    assert!(to.path().join("d/e/empty").is_dir());
    let [inner] = found("b").try_into().unwrap();
    assert!(inner.ends_with("/e"), "{inner}");
    assert!(case.remote().download_directory(&inner, &to.path().join("e")).unwrap());
    assert_eq!(fs::read_to_string(to.path().join("e/x")).unwrap(), "one");
    let [small, large] = found("c").try_into().unwrap();
    assert_eq!(case.text(&small), "one");
    assert_eq!(case.remote().stat(&large).unwrap().unwrap().size, 300_000);
}

#[test]
fn what_was_changed_or_removed_or_added_is_not_used_and_made_anew() {
    for damage in ["change", "remove", "add", "cut the entry off"] {
        let case = Case::new();
        let (cache, result) = (case.open(), case.local("one"));
        cache.store("abc", &result).unwrap();
        let bucket = case.s3.bucket("caches");
        let keys: Vec<String> = case.server.objects("caches").into_keys().collect();
        let pack = keys.iter().find(|key| key.ends_with("/.pack-0")).unwrap();
        match damage {
            "change" => bucket.put(pack, b"two").unwrap(),
            "remove" => bucket.delete(std::slice::from_ref(pack)).unwrap(),
            "add" => bucket.put(&format!("{pack}-1"), b"new").unwrap(),
            _ => {
                let entry = keys.iter().find(|key| key.contains("/entries/")).unwrap();
                bucket.put(entry, b"{\"result\":").unwrap();
            }
        }
        assert_eq!(cache.find("abc"), Ok(None), "{damage}");
        cache.store("abc", &result).unwrap();
        let found = locations(&cache.find("abc").unwrap().unwrap());
        assert_eq!(case.text(&found[2]), "one", "{damage}");
    }
}

#[test]
fn of_many_that_keep_the_same_at_once_one_wins_and_the_others_leave_nothing() {
    let case = Case::new();
    let result = case.local("one");
    let secrets: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let keep = || {
            let cache = case.open();
            cache.store("abc", &result).unwrap();
            *cache.secret()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(keep)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    assert!(case.open().find("abc").unwrap().is_some());
    let keys: Vec<String> = case.server.objects("caches").into_keys().collect();
    let entries = keys.iter().filter(|key| key.contains("/entries/")).count();
    let indexes = keys.iter().filter(|key| key.ends_with("/.directory")).count();
    assert_eq!(entries, indexes, "{keys:?}");
}

#[test]
fn an_answer_that_was_lost_and_a_server_that_refuses_leave_no_half_entry() {
    let case = Case::new();
    let (cache, result) = (case.open(), case.local("one"));
    let is_entry =
        |call: &moil_testing::hooks::Call| call.is("PutObject") && call.target.contains("/entries/");
    case.server.hooks().inject(0..1, is_entry, Fault::LoseAnswer);
    cache.store("abc", &result).unwrap();
    assert!(cache.find("abc").unwrap().is_some());
    let before = case.server.objects("caches").len();
    let refused = Fault::Refuse { status: 403, code: "AccessDenied" };
    case.server.hooks().inject(
        0..10,
        |call| call.is("PutObject") && call.target.ends_with("/.directory"),
        refused,
    );
    let error = cache.store("def", &result).unwrap_err().to_string();
    assert!(error.contains("the cache cannot keep") && error.contains("AccessDenied"), "{error}");
    case.server.hooks().heal();
    assert_eq!(cache.find("def"), Ok(None));
    assert_eq!(case.server.objects("caches").len(), before, "nothing of it stays");
}
