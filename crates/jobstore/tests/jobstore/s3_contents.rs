//! Contents in a bucket.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::files::Files;
use moil_cwl::location;
use moil_job::contents::Contents;
use moil_job::spec::{AttemptId, JobId};
use moil_jobstore::content::imports::Import as _;
use moil_jobstore::content::s3::S3Contents;
use moil_jobstore::remote::Remote;
use moil_testing::hooks::Fault;
use moil_testing::s3::S3Server;

fn attempt() -> AttemptId {
    AttemptId { job: JobId("call[3]/align".into()), number: 2 }
}

fn contents(server: &S3Server) -> S3Contents {
    let client = moil_jobstore::s3::S3::new(crate::s3::settings(server));
    let bucket = client.bucket("runs--toil");
    bucket.create(None, &Default::default()).unwrap();
    server.hooks().forget_calls();
    S3Contents::new(bucket, "moil/run/".into(), "term")
}

/// All below a directory: path, and what it is.
fn tree(path: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap().path();
            let name = entry.strip_prefix(path).unwrap().display().to_string();
            let metadata = fs::metadata(&entry).unwrap();
            lines.push(if metadata.is_dir() {
                waiting.push(entry);
                format!("{name}/")
            } else {
                let executable = if metadata.permissions().mode() & 0o100 != 0 { "*" } else { "" };
                format!("{name}{executable} {:?}", fs::read(&entry).unwrap())
            });
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_file_costs_one_request_each_way() {
    let server = S3Server::start();
    let contents = contents(&server);
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a b #1.txt"), folder.path().join("to"));
    fs::write(&from, "content").unwrap();
    let location = contents.keep(&attempt(), &from).unwrap();
    assert!(location.starts_with("s3://runs--toil/moil/run/files/term/call_3__align-2-"), "{location}");
    assert!(location.ends_with("/a%20b%20%231.txt"), "{location}");
    contents.fetch_file(&location, &to).unwrap();
    assert_eq!(fs::read_to_string(&to).unwrap(), "content");
    assert_eq!(server.hooks().calls().len(), 2);
    assert!(contents.is_there(&location, false).unwrap());
    assert!(!contents.is_there(&location, true).unwrap());
    assert_ne!(contents.keep(&attempt(), &from).unwrap(), location, "no two outputs meet");
}

#[test]
fn a_directory_comes_back_as_it_was() {
    let server = S3Server::start();
    let contents = contents(&server);
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("out");
    fs::create_dir_all(from.join("a/ü x/deep")).unwrap();
    fs::create_dir_all(from.join("nothing in it")).unwrap();
    fs::write(from.join("empty"), "").unwrap();
    fs::write(from.join("a/small"), "small").unwrap();
    fs::write(from.join("a/ü x/deep/tool"), "#!/bin/sh").unwrap();
    fs::set_permissions(from.join("a/ü x/deep/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(from.join("a/large"), vec![7; 300_000]).unwrap();
    // What a link leads to is part of the output.
    symlink("../out/a/small", from.join("link")).unwrap();
    let before = tree(&from);
    let location = contents.keep(&attempt(), &from).unwrap();
    let to = folder.path().join("to");
    contents.fetch_directory(&location, &to).unwrap();
    assert_eq!(tree(&to), before);
    // What is in it has locations that follow from its own.
    let file = folder.path().join("file");
    for (name, bytes) in [("a/small", &b"small"[..]), ("empty", b""), ("a/large", &[7; 300_000])] {
        let location = location::child(&location, name);
        assert!(contents.is_there(&location, false).unwrap(), "{name}");
        contents.fetch_file(&location, &file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), bytes, "{name}");
    }
    let inner = location::child(&location, "a/ü x");
    assert!(contents.is_there(&inner, true).unwrap() && !contents.is_there(&inner, false).unwrap());
    contents.fetch_directory(&inner, &folder.path().join("inner")).unwrap();
    assert_eq!(tree(&folder.path().join("inner")), tree(&to.join("a/ü x")));
    assert!(!contents.is_there(&location::child(&location, "none"), false).unwrap());
}

#[test]
fn many_small_files_take_few_requests() {
    let server = S3Server::start();
    let contents = contents(&server);
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("out");
    fs::create_dir(&from).unwrap();
    for at in 0..2000 {
        fs::write(from.join(format!("{at:05}")), vec![b'x'; 10_000]).unwrap();
    }
    let location = contents.keep(&attempt(), &from).unwrap();
    contents.fetch_directory(&location, &folder.path().join("to")).unwrap();
    assert_eq!(tree(&folder.path().join("to")).len(), 2000);
    // Two packs (20 MB) and an index, each up and down; what exceeds a part goes in parts.
    assert!(server.hooks().calls().len() < 10, "{:?}", server.hooks().counts());
}

#[test]
fn a_directory_that_is_not_whole_is_not_there() {
    let server = S3Server::start();
    let contents = contents(&server);
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("out");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("a"), "x").unwrap();
    let refused = Fault::Refuse { status: 403, code: "AccessDenied" };
    server.hooks().inject(0..1, |call| call.target.ends_with("/.directory"), refused);
    let error = contents.keep(&attempt(), &from).unwrap_err().to_string();
    assert!(error.contains("bring the output") && error.contains("403 AccessDenied"), "{error}");
    let key = server.objects("runs--toil").into_keys().next().unwrap();
    let location = format!("s3://runs--toil/{}", key.replace(".pack-0", "out"));
    assert!(!contents.is_there(&location, true).unwrap());
    let error = contents.fetch_directory(&location, &folder.path().join("to")).unwrap_err().to_string();
    assert!(error.contains("not there any more"), "{error}");
    assert!(contents.fetch_file("s3://elsewhere/x", &folder.path().join("to")).is_err());
}

#[test]
fn an_input_is_brought_once() {
    let server = S3Server::start();
    let contents = contents(&server);
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fs::write(&one, "same").unwrap();
    fs::write(&two, "same").unwrap();
    let location = contents.import(&one).unwrap();
    assert_eq!(contents.import(&two).unwrap(), location);
    assert_eq!(server.hooks().count("PutObject"), 1);
    contents.fetch_file(&location, &folder.path().join("to")).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("to")).unwrap(), "same");
    assert!(contents.is_there(&location, false).unwrap());
}

/// Whoever reads locations sees files, packed or not.
#[test]
fn files_of_a_packed_directory_are_read_by_their_locations() {
    let server = S3Server::start();
    let client = moil_jobstore::s3::S3::new(crate::s3::settings(&server));
    client.bucket("runs--toil").create(None, &Default::default()).unwrap();
    let contents = S3Contents::new(client.bucket("runs--toil"), "moil/run-1/".into(), "term");
    let folder = tempfile::tempdir().unwrap();
    let (from, single, to) =
        (folder.path().join("out"), folder.path().join("single"), folder.path().join("to"));
    fs::create_dir_all(from.join("a/deep")).unwrap();
    fs::write(from.join("a/small"), "small").unwrap();
    fs::write(from.join("a/empty"), "").unwrap();
    fs::write(from.join("large"), vec![7; 300_000]).unwrap();
    fs::write(&single, "single").unwrap();
    let directory = contents.keep(&attempt(), &from).unwrap();
    let file = contents.keep(&attempt(), &single).unwrap();
    let remote = Remote::default().with_s3(client);
    server.hooks().forget_calls();
    for (name, bytes) in [("a/small", &b"small"[..]), ("a/empty", b""), ("large", &[7; 300_000])] {
        let location = location::child(&directory, name);
        let stat = remote.stat(&location).unwrap().unwrap();
        assert_eq!((stat.is_directory, stat.size), (false, bytes.len() as u64), "{name}");
        assert_eq!(remote.read_prefix(&location, 3).unwrap(), bytes[..bytes.len().min(3)], "{name}");
        assert_eq!(remote.read_prefix(&location, 1 << 20).unwrap(), bytes, "{name}");
        remote.download(&location, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), bytes, "{name}");
        assert!(remote.validator(&location).unwrap().is_some());
    }
    let names = |location: &str| -> Vec<(String, bool)> {
        let mut entries = remote.list(location).unwrap();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.into_iter().map(|entry| (entry.name, entry.stat.is_directory)).collect()
    };
    assert_eq!(names(&directory), [("a".into(), true), ("large".into(), false)]);
    let inner = location::child(&directory, "a");
    assert_eq!(names(&inner), [("deep".into(), true), ("empty".into(), false), ("small".into(), false)]);
    assert!(remote.stat(&inner).unwrap().unwrap().is_directory);
    assert!(remote.stat(&directory).unwrap().unwrap().is_directory);
    assert!(remote.stat(&location::child(&directory, "none")).unwrap().is_none());
    let lists = server.hooks().calls().into_iter().filter(|call| call.target.ends_with("/.directory"));
    assert_eq!(lists.count(), 1, "what is in the directory is asked for once");
    server.hooks().forget_calls();
    assert_eq!(remote.stat(&file).unwrap().unwrap().size, 6);
    assert_eq!(remote.read_prefix(&file, 100).unwrap(), b"single");
    remote.download(&file, &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"single");
    assert_eq!(server.hooks().calls().len(), 3, "one request for each");
}

/// What did not change is copied within the service, and the old version stays what it was.
#[test]
fn a_file_of_a_directory_that_changed_gives_a_new_version_of_the_directory() {
    let server = S3Server::start();
    let contents = contents(&server);
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("out");
    fs::create_dir_all(from.join("a/deep")).unwrap();
    fs::write(from.join("a/deep/x"), "old").unwrap();
    fs::write(from.join("a/y"), "y").unwrap();
    fs::write(from.join("ab"), "not below a").unwrap();
    fs::write(from.join("large"), vec![7; 300_000]).unwrap();
    fs::write(from.join("replaced"), vec![8; 300_000]).unwrap();
    let before = tree(&from);
    let location = contents.keep(&attempt(), &from).unwrap();
    server.hooks().forget_calls();
    let changed: Vec<(Arc<str>, PathBuf)> = [("a/deep", true), ("replaced", false)]
        .into_iter()
        .map(|(name, is_directory)| {
            let path = folder.path().join(format!("new-{is_directory}"));
            if is_directory {
                fs::create_dir(&path).unwrap();
                fs::write(path.join("z"), "new").unwrap();
            } else {
                fs::write(&path, "now small").unwrap();
            }
            (location::child(&location, name).into(), path)
        })
        .collect();
    let updates = contents.update(&attempt(), &changed).unwrap();
    let [update] = updates.as_slice() else { panic!("{updates:?}") };
    assert_eq!((&*update.from, update.size), (location.as_str(), None));
    // What is new comes in a pack, then the index.
    assert_eq!((server.hooks().count("PutObject"), server.hooks().count("UploadPart")), (2, 0));
    assert!(server.hooks().count("CopyObject") > 0);
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    contents.fetch_directory(&location, &old).unwrap();
    assert_eq!(tree(&old), before);
    contents.fetch_directory(&update.to, &new).unwrap();
    fs::remove_file(from.join("a/deep/x")).unwrap();
    fs::write(from.join("a/deep/z"), "new").unwrap();
    fs::write(from.join("replaced"), "now small").unwrap();
    assert_eq!(tree(&new), tree(&from));
}

#[test]
fn only_what_attempts_of_the_run_made_has_new_versions() {
    let server = S3Server::start();
    let contents = contents(&server);
    let folder = tempfile::tempdir().unwrap();
    let (file, directory) = (folder.path().join("x"), folder.path().join("d"));
    fs::write(&file, "one").unwrap();
    fs::create_dir(&directory).unwrap();
    let inputs = [contents.import(&file).unwrap(), contents.import_directory(&directory).unwrap()];
    let made = contents.keep(&attempt(), &file).unwrap();
    let others = inputs.into_iter().chain(["s3://elsewhere/x".to_owned(), made.clone()]);
    let changed: Vec<(Arc<str>, PathBuf)> = others.map(|location| (location.into(), file.clone())).collect();
    let updates = contents.update(&attempt(), &changed).unwrap();
    let [update] = updates.as_slice() else { panic!("{updates:?}") };
    assert_eq!((&*update.from, update.size), (made.as_str(), Some(3)));
    assert_ne!(update.to, update.from);
}

#[test]
fn what_is_kept_is_identified_without_a_request_and_other_objects_by_their_etags() {
    let server = S3Server::start();
    let client = moil_jobstore::s3::S3::new(crate::s3::settings(&server));
    let bucket = client.bucket("runs--toil");
    bucket.create(None, &Default::default()).unwrap();
    let contents = |run: &str| S3Contents::new(client.bucket("runs--toil"), format!("moil/{run}/"), "term");
    let folder = tempfile::tempdir().unwrap();
    let (file, directory, to) =
        (folder.path().join("file"), folder.path().join("directory"), folder.path().join("to"));
    fs::write(&file, "content").unwrap();
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("x"), "x").unwrap();
    bucket.put("in/x", b"before").unwrap();
    let remote = Remote::default().with_s3(client.clone());
    let (first, second) = (contents("run-1"), contents("run-2"));
    let name =
        |location: &str, as_directory| remote.identity(location, as_directory).map(|identity| identity.name);
    let (one, other) = (first.import(&file).unwrap(), second.import(&file).unwrap());
    let output = first.keep(&attempt(), &file).unwrap();
    let again = first.keep(&attempt(), &file).unwrap();
    let made = first.import_directory(&directory).unwrap();
    server.hooks().forget_calls();
    let import = remote.identity(&one, false).unwrap();
    let digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    assert_eq!(import.sha256.as_deref(), Some(digest));
    assert_eq!(name(&other, false), Some(import.name), "the same input of two runs is one content");
    assert!(name(&output, false).is_some() && name(&output, false) != name(&again, false));
    assert!(name(&made, true).is_some() && name(&made, true) != name(&made, false));
    assert_eq!(server.hooks().calls().len(), 0);
    // What others keep may change.
    let before = remote.identity("s3://runs--toil/in/x", false).unwrap();
    assert_eq!((before.size, before.sha256), (Some(6), None));
    assert_eq!(name("s3://runs--toil/in", true), None);
    assert_eq!(name("s3://runs--toil/in/none", false), None);
    let etag = before.etag.unwrap();
    assert!(remote.download_version("s3://runs--toil/in/x", &etag, &to).unwrap());
    bucket.put("in/x", b"after!").unwrap();
    assert_ne!(name("s3://runs--toil/in/x", false), Some(before.name));
    let other = folder.path().join("other");
    assert!(!remote.download_version("s3://runs--toil/in/x", &etag, &other).unwrap());
    assert!(!other.exists());
    // What our key encrypts is for nobody else.
    let encryption = moil_jobstore::s3::settings::Encryption::Customer([b'k'; 32]);
    let secret = moil_jobstore::s3::Settings { encryption, ..crate::s3::settings(&server) };
    let secret = Remote::default().with_s3(moil_jobstore::s3::S3::new(secret));
    assert_eq!(secret.identity(&one, false), None);
}
