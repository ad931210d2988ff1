use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::*;

/// Larger than what is compared each time.
const LARGE: usize = (1 << 20) + 1;

/// Knows files by their locations, which say what is in them: `name` and so many letters.
#[derive(Default)]
struct Server {
    fetched: AtomicU32,
    /// What all are said to be.
    sha256: Option<String>,
    /// How many come damaged.
    damaged: AtomicU32,
    /// What is there instead of files.
    refuses: bool,
    /// Waited for before anything comes.
    hold: Mutex<()>,
}

impl Server {
    fn fetched(&self) -> u32 {
        self.fetched.load(Ordering::SeqCst)
    }

    fn count(&self) {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        drop(self.hold.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn content(location: &str) -> String {
    let letters = location.rsplit('/').next().unwrap().parse().unwrap_or(10);
    "x".repeat(letters)
}

impl Download for Server {
    fn download(&self, location: &str, to: &Path, _: &Cancel) -> std::result::Result<(), String> {
        self.count();
        if self.refuses {
            return Err("no such thing".to_owned());
        }
        let damaged =
            self.damaged.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let text = if damaged.is_ok() { "damaged".to_owned() } else { content(location) };
        fs::write(to, text).map_err(|error| error.to_string())
    }

    fn download_directory(&self, _: &str, to: &Path, _: &Cancel) -> std::result::Result<bool, String> {
        self.count();
        fs::create_dir_all(to.join("deep/empty")).unwrap();
        fs::write(to.join("deep/run"), "run").unwrap();
        fs::set_permissions(to.join("deep/run"), Permissions::from_mode(0o755)).unwrap();
        fs::write(to.join("file"), "file").unwrap();
        Ok(true)
    }

    fn identify(&self, location: &str, as_directory: bool) -> Option<Identity> {
        let name = format!("{location} {as_directory}");
        location.starts_with("s3:").then(|| Identity {
            name,
            sha256: self.sha256.clone(),
            ..Identity::default()
        })
    }
}

/// A directory in which all users may make some of their own, and workers in it.
struct Node {
    dir: tempfile::TempDir,
    server: Arc<Server>,
    told: Arc<Mutex<Vec<String>>>,
    next: AtomicU32,
}

impl Node {
    fn new() -> Self {
        Self::with(Server::default())
    }

    fn with(server: Server) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
        Self { dir, server: Arc::new(server), told: Arc::default(), next: AtomicU32::new(0) }
    }

    fn config(&self) -> CacheConfig {
        CacheConfig {
            base: self.dir.path().to_owned(),
            below: ["owner", "inputs"].map(str::to_owned).into(),
            limit: None,
            links: true,
            patience: Duration::from_secs(600),
        }
    }

    fn worker(&self, config: CacheConfig) -> Cached {
        let told = Arc::clone(&self.told);
        let warn = Box::new(move |text| told.lock().unwrap().push(text));
        Cached::new(Arc::clone(&self.server) as _, config, warn)
    }

    fn inputs(&self) -> PathBuf {
        self.dir.path().join("owner/inputs")
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    fn free(&self) -> PathBuf {
        self.dir.path().join(format!("to-{}", self.next.fetch_add(1, Ordering::SeqCst)))
    }

    /// What a worker of its own gets.
    fn get(&self, config: CacheConfig, location: &str) -> PathBuf {
        let to = self.free();
        self.worker(config).download(location, &to, &Cancel::new()).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), content(location));
        to
    }

    fn names(&self, part: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.inputs().join(part))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The entry of a file.
    fn entry(&self, location: &str) -> PathBuf {
        self.inputs().join("entries").join(key(&format!("{location} false")))
    }
}

#[test]
fn of_sixteen_that_want_one_content_at_once_one_fetches_it() {
    let node = Node::new();
    let held = node.server.hold.lock().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| node.get(node.config(), "s3://b/20"));
        }
        // Some of them wait by then; however many, it is the same in the end.
        std::thread::sleep(Duration::from_millis(50));
        drop(held);
    });
    assert_eq!((node.server.fetched(), node.told()), (1, Vec::new()));
    node.get(node.config(), "s3://b/21");
    node.get(node.config(), "http://other/20");
    node.get(node.config(), "http://other/20");
    assert_eq!(node.server.fetched(), 4, "what nothing is known of is fetched each time");
    assert_eq!(node.names("partial"), [""; 0]);
    assert_eq!(node.names("locks"), [""; 0]);
}

#[test]
fn what_is_kept_cannot_be_written_to_and_copies_are_private() {
    let node = Node::new();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let (first, second) = (node.get(node.config(), "s3://b/9"), node.get(node.config(), "s3://b/9"));
    assert_eq!((inode(&first), mode(&first)), (inode(&second), 0o444));
    let copy = node.get(CacheConfig { links: false, ..node.config() }, "s3://b/9");
    assert_ne!(inode(&copy), inode(&first));
    fs::write(&copy, "changed").unwrap();
    node.get(node.config(), "s3://b/9");
    assert_eq!(node.server.fetched(), 1);
    assert_eq!(mode(&node.inputs()), 0o700);
}

#[test]
fn what_was_damaged_or_replaced_by_links_is_fetched_anew() {
    let (small, large) = ("s3://b/100".to_owned(), format!("s3://b/{LARGE}"));
    type Damage = fn(&Path, &Path);
    let cases: [(&str, Damage); 8] = [
        ("written to", |entry, _| {
            fs::set_permissions(entry.join("data"), Permissions::from_mode(0o644)).unwrap();
            let size = fs::metadata(entry.join("data")).unwrap().len();
            fs::write(entry.join("data"), "y".repeat(size as usize)).unwrap();
        }),
        ("cut", |entry, _| {
            fs::set_permissions(entry.join("data"), Permissions::from_mode(0o644)).unwrap();
            let file = fs::File::options().write(true).open(entry.join("data")).unwrap();
            let times = file.metadata().unwrap().modified().unwrap();
            file.set_len(5).unwrap();
            file.set_modified(times).unwrap();
        }),
        ("gone", |entry, _| fs::remove_file(entry.join("data")).unwrap()),
        ("without a note", |entry, _| fs::remove_file(entry.join("note")).unwrap()),
        ("with half a note", |entry, _| fs::write(entry.join("note"), "{\"version\": 1").unwrap()),
        ("a link", |entry, victim| {
            fs::remove_file(entry.join("data")).unwrap();
            symlink(victim, entry.join("data")).unwrap();
        }),
        ("noted by a link", |entry, victim| {
            fs::remove_file(entry.join("note")).unwrap();
            symlink(victim, entry.join("note")).unwrap();
        }),
        ("a link as a whole", |entry, victim| {
            let aside = victim.with_extension("entry");
            fs::rename(entry, &aside).unwrap();
            symlink(aside, entry).unwrap();
        }),
    ];
    for (what, damage) in cases {
        for (location, links) in [(&small, true), (&small, false), (&large, true), (&large, false)] {
            let node = Node::new();
            let config = || CacheConfig { links, ..node.config() };
            let victim = node.free();
            fs::write(&victim, "mine").unwrap();
            node.get(config(), location);
            damage(&node.entry(location), &victim);
            node.get(config(), location);
            node.get(config(), location);
            assert_eq!(node.server.fetched(), 2, "{what}");
            let told = node.told();
            assert!(told.len() == 1 && told[0].contains("was damaged"), "{what}: {told:?}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "mine", "{what}");
        }
    }
}

#[test]
fn after_a_new_start_of_the_machine_contents_are_compared() {
    for (changes, fetched) in [(false, 1), (true, 2)] {
        let node = Node::new();
        let location = format!("s3://b/{LARGE}");
        node.get(node.config(), &location);
        let (note, data) = (node.entry(&location).join("note"), node.entry(&location).join("data"));
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let text = fs::read_to_string(&note).unwrap();
        fs::write(&note, text.replace(boot.trim(), "another")).unwrap();
        if changes {
            fs::set_permissions(&data, Permissions::from_mode(0o644)).unwrap();
            let file = fs::File::options().write(true).open(&data).unwrap();
            let times = file.metadata().unwrap().modified().unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"0", 1000).unwrap();
            file.set_modified(times).unwrap();
        }
        node.get(node.config(), &location);
        assert_eq!(node.server.fetched(), fetched);
        assert!(fs::read_to_string(&note).unwrap().contains(boot.trim()), "it is compared once");
    }
}

#[test]
fn the_least_recently_used_goes_and_nothing_that_is_in_use() {
    let node = Node::new();
    let config = || CacheConfig { limit: Some(100), ..node.config() };
    let get = |location: &str| fs::remove_file(node.get(config(), location)).unwrap();
    let is_kept = |location: &str| node.entry(location).exists();
    let aged = |location: &str, seconds: u64| {
        let note = fs::File::options().append(true).open(node.entry(location).join("note")).unwrap();
        note.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    get("s3://b/30");
    get("s3://b/31");
    aged("s3://b/30", 2);
    aged("s3://b/31", 1);
    get("s3://b/32");
    assert!(is_kept("s3://b/30") && is_kept("s3://b/31") && is_kept("s3://b/32"));
    get("s3://b/33");
    assert!(is_kept("s3://b/30") && !is_kept("s3://b/31") && is_kept("s3://b/33"));
    // Who used it last goes last.
    aged("s3://b/32", 3);
    get("s3://b/30");
    let used = node.get(config(), "s3://b/33");
    aged("s3://b/33", 1);
    get("s3://b/40");
    assert!(is_kept("s3://b/33") && !is_kept("s3://b/32"), "a link is as good as a lock");
    get("s3://b/101");
    assert!(!is_kept("s3://b/101") && is_kept("s3://b/40"), "what does not fit comes all the same");
    get("s3://b/90");
    assert!(!is_kept("s3://b/90"), "nor does it fit beside what is in use");
    fs::remove_file(used).unwrap();
    get("s3://b/90");
    assert!(is_kept("s3://b/90") && !is_kept("s3://b/33"));
    assert_eq!(node.told(), [""; 0]);
}

#[test]
fn what_does_not_fit_is_fetched_once_by_each_who_wants_it() {
    let node = Node::new();
    let held = node.server.hold.lock().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let config = CacheConfig { limit: Some(10), ..node.config() };
            scope.spawn(|| node.get(config, "s3://b/11"));
        }
        drop(held);
    });
    assert_eq!(node.server.fetched(), 4);
}

#[test]
fn what_dead_processes_left_goes_and_is_in_nobodys_way() {
    let node = Node::new();
    node.get(node.config(), "s3://b/1");
    let (mine, other) = (key("s3://b/2 false"), key("s3://b/3 false"));
    let victim = node.free();
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("data"), "mine").unwrap();
    for name in [&mine, &other] {
        fs::write(node.inputs().join("locks").join(name), "in vain").unwrap();
    }
    symlink(&victim, node.inputs().join("partial").join(&mine)).unwrap();
    fs::create_dir(node.inputs().join("partial").join(&other)).unwrap();
    fs::write(node.inputs().join("partial").join(&other).join("data.part"), "half").unwrap();
    fs::create_dir(node.inputs().join("partial/removed-1")).unwrap();
    node.get(node.config(), "s3://b/2");
    assert_eq!((node.names("partial"), node.names("locks")), (Vec::new(), Vec::new()));
    assert_eq!(node.names("entries").len(), 2);
    assert_eq!(fs::read_to_string(victim.join("data")).unwrap(), "mine");
}

#[test]
fn whoever_holds_a_lock_and_does_nothing_holds_nobody_up() {
    let node = Node::new();
    node.get(node.config(), "s3://b/1");
    let path = node.inputs().join("locks").join(key("s3://b/2 false"));
    let held = lock::Lock::try_take(&path).unwrap().unwrap();
    let config = || CacheConfig { patience: Duration::ZERO, ..node.config() };
    node.get(config(), "s3://b/2");
    node.get(config(), "s3://b/2");
    assert_eq!((node.server.fetched(), node.names("entries").len()), (3, 1));
    let cancel = Cancel::new();
    cancel.cancel(Duration::ZERO);
    let given_up = node.worker(node.config()).download("s3://b/2", &node.free(), &cancel);
    assert_eq!(given_up.unwrap_err(), "it was given up");
    drop(held);
    node.get(config(), "s3://b/2");
    assert_eq!(node.names("entries").len(), 2);
}

#[test]
fn a_folder_that_others_can_change_is_not_used() {
    let twice = |node: &Node| {
        let worker = node.worker(node.config());
        for _ in 0..2 {
            worker.download("s3://b/5", &node.free(), &Cancel::new()).unwrap();
        }
        assert_eq!(node.server.fetched(), 2);
        let told = node.told();
        assert_eq!(told.len(), 1, "once: {told:?}");
        assert!(told[0].contains("inputs are not shared in"), "{told:?}");
        told[0].clone()
    };
    let node = Node::new();
    fs::set_permissions(node.dir.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(twice(&node).contains("(let it have mode 1777)"));

    for name in ["owner", "owner/inputs", "owner/inputs/entries"] {
        let node = Node::new();
        let (path, other) = (node.dir.path().join(name), node.dir.path().join("other"));
        fs::create_dir_all(&path).unwrap();
        fs::create_dir(&other).unwrap();
        fs::remove_dir(&path).unwrap();
        symlink(&other, &path).unwrap();
        assert!(twice(&node).contains("is no directory, or a link"), "{name}");
        assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    }
    let node = Node::new();
    fs::create_dir(node.dir.path().join("owner")).unwrap();
    fs::set_permissions(node.dir.path().join("owner"), Permissions::from_mode(0o775)).unwrap();
    assert!(twice(&node).contains("can be written to by other users"));
    let node = Node::new();
    fs::write(node.dir.path().join("owner"), "").unwrap();
    assert!(twice(&node).contains("is no directory"));
    let node = Node::new();
    let away = CacheConfig { base: node.dir.path().join("none"), ..node.config() };
    node.get(away, "s3://b/5");
    assert!(node.told()[0].contains("No such file"));
}

#[test]
fn what_comes_is_compared_with_what_is_known_of_it() {
    let digest = |text: &str| Some(key(text));
    for (damaged, sha256, fetched, comes) in [
        (0, digest(&content("s3://b/7")), 1, true),
        (1, digest(&content("s3://b/7")), 2, true),
        (2, digest(&content("s3://b/7")), 2, false),
        (0, digest("another"), 2, false),
    ] {
        let node = Node::with(Server { damaged: AtomicU32::new(damaged), sha256, ..Server::default() });
        let to = node.free();
        let came = node.worker(node.config()).download("s3://b/7", &to, &Cancel::new());
        assert_eq!((node.server.fetched(), came.is_ok(), to.exists()), (fetched, comes, comes));
        if let Err(reason) = came {
            assert!(reason.contains("what came is damaged: its SHA-256 is"), "{reason}");
            assert_eq!(node.names("entries"), [""; 0]);
        }
    }
    let node = Node::with(Server { refuses: true, ..Server::default() });
    let refused = node.worker(node.config()).download("s3://b/7", &node.free(), &Cancel::new());
    assert_eq!((refused.unwrap_err().as_str(), node.server.fetched()), ("no such thing", 1));
    assert_eq!((node.told(), node.names("partial")), (Vec::new(), Vec::new()));
}

#[test]
fn directories_come_with_all_that_is_in_them() {
    for links in [true, false] {
        let node = Node::new();
        let config = || CacheConfig { links, ..node.config() };
        let get = || {
            let to = node.free();
            assert!(node.worker(config()).download_directory("s3://b/d", &to, &Cancel::new()).unwrap());
            assert_eq!(fs::read_to_string(to.join("file")).unwrap(), "file");
            assert_eq!(fs::metadata(to.join("deep/run")).unwrap().mode() & 0o111, 0o111);
            assert!(to.join("deep/empty").is_dir());
            // What a tool makes in it is its own.
            fs::write(to.join("deep/new"), "").unwrap();
            to
        };
        let first = get();
        assert!(!get().join("new").exists());
        assert_eq!(node.server.fetched(), 1);
        fs::remove_dir_all(first).unwrap();
        let entry = node.inputs().join("entries").join(key("s3://b/d true"));
        fs::remove_file(entry.join("data/deep/run")).unwrap();
        get();
        assert_eq!(node.server.fetched(), 2);
    }
}
