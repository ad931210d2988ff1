//! The client of S3 against a server with faults.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use moil_jobstore::records::Put;
use moil_jobstore::s3::settings::{Credentials, Encryption, Parts, Patience};
use moil_jobstore::s3::{Bucket, Kind, S3, Settings};
use moil_testing::hooks::{Call, Fault};
use moil_testing::s3::{ACCESS_KEY, Flavour, Options, S3Server, SECRET_KEY};

const KEY: &str = "folder/a key+ü";

/// What a client needs to reach a test server; impatient.
pub fn settings(server: &S3Server) -> Settings {
    Settings {
        region: Some("eu-central-1".into()),
        endpoint: Some(server.url()),
        credentials: Credentials::Keys {
            access: ACCESS_KEY.into(),
            secret: SECRET_KEY.into(),
            session: None,
        },
        patience: Patience {
            tries: 4,
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_millis(4),
        },
        parts: Parts { smallest: 1000, most: 8, in_flight: 3 << 20, largest_copy: 5000, copied: 1000 },
        ..Settings::default()
    }
}

/// A server whose parts may be small.
fn server() -> S3Server {
    S3Server::with(Options { smallest_part: 1000, page: 3, ..Options::default() })
}

fn bucket(server: &S3Server) -> Bucket {
    let bucket = S3::new(settings(server)).bucket("runs--toil");
    assert!(bucket.create(None, &BTreeMap::new()).unwrap());
    server.hooks().forget_calls();
    bucket
}

/// Bytes of which no two parts are the same.
fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 251 + at % 251) as u8).collect()
}

fn on(operation: &'static str) -> impl Fn(&Call) -> bool {
    move |call| call.is(operation)
}

#[test]
fn objects_are_put_got_and_deleted() {
    let server = server();
    let bucket = bucket(&server);
    assert_eq!(bucket.get(KEY).unwrap(), None);
    assert_eq!(bucket.head(KEY).unwrap(), None);
    bucket.put(KEY, b"0123456789").unwrap();
    assert_eq!(bucket.get(KEY).unwrap().unwrap(), b"0123456789");
    assert_eq!(bucket.head(KEY).unwrap().unwrap().size, 10);
    for (offset, length, expected) in [(2, 3, "234"), (8, 100, "89"), (10, 5, ""), (3, 0, "")] {
        let got = bucket.get_range(KEY, offset, length).unwrap().unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), expected, "{offset} {length}");
    }
    bucket.delete(&[KEY.into(), "none".into()]).unwrap();
    assert!(server.objects("runs--toil").is_empty());
}

#[test]
fn a_bucket_is_made_private_and_tagged_and_removed() {
    let server = server();
    let bucket = S3::new(settings(&server)).bucket("runs--toil");
    assert!(!bucket.exists().unwrap());
    let tags = BTreeMap::from([("Owner".to_owned(), "me".to_owned())]);
    assert!(bucket.create(Some("eu-central-1"), &tags).unwrap());
    assert!(!bucket.create(Some("eu-central-1"), &tags).unwrap(), "it is there already");
    assert!(bucket.exists().unwrap());
    let facts = server.bucket("runs--toil").unwrap();
    assert!(facts.is_private);
    assert_eq!((facts.tags, facts.region), (tags, "eu-central-1".to_owned()));
    assert_eq!(facts.sweep_uploads_days, Some(7));
    bucket.put("k", b"x").unwrap();
    assert!(bucket.remove().unwrap_err().reason.contains("BucketNotEmpty"));
    bucket.delete(&["k".into()]).unwrap();
    assert!(bucket.remove().unwrap());
    assert!(!bucket.remove().unwrap());
}

#[test]
fn listings_go_over_pages() {
    let server = server();
    let bucket = bucket(&server);
    let names: Vec<String> = (0..8).map(|at| format!("a/{at}")).collect();
    for name in names.iter().chain(&["b/1".to_owned()]) {
        bucket.put(name, b"x").unwrap();
    }
    let keys = |prefix, after| -> Vec<String> {
        bucket.list(prefix, after).unwrap().into_iter().map(|entry| entry.key).collect()
    };
    assert_eq!(keys("a/", None), names);
    assert_eq!(keys("a/", Some("a/5")), names[6..]);
    assert_eq!(keys("", Some("a/7")), ["b/1"]);
    assert!(keys("c", None).is_empty());
    bucket.delete(&names).unwrap();
    assert_eq!(server.hooks().count("DeleteObjects"), 1);
    assert_eq!(keys("", None), ["b/1"]);
}

#[test]
fn a_conditional_put_whose_answer_was_lost_is_known_as_ours() {
    for faults in [
        vec![Fault::LoseAnswer],
        vec![Fault::LoseAnswer, Fault::LoseAnswer],
        vec![Fault::LoseAnswer, Fault::SLOW_DOWN],
        vec![Fault::CONFLICT, Fault::INTERNAL_ERROR, Fault::LoseAnswer],
        vec![Fault::CutRequest(2), Fault::CONFLICT],
    ] {
        let server = server();
        let bucket = bucket(&server);
        for (at, fault) in faults.iter().enumerate() {
            let at = at as u64;
            server.hooks().inject(at..at + 1, on("PutObject"), fault.clone());
        }
        assert_eq!(bucket.put_if_absent("k", b"ours").unwrap(), Put::Stored, "{faults:?}");
        assert_eq!(server.objects("runs--toil")["k"], b"ours");
        // The same bytes of another writer are another write.
        assert_eq!(bucket.put_if_absent("k", b"ours").unwrap(), Put::Exists, "{faults:?}");
    }
}

#[test]
fn busy_servers_are_asked_again_and_refusals_are_not() {
    let busy = [Fault::SLOW_DOWN, Fault::INTERNAL_ERROR, Fault::CutAnswer(5), Fault::LoseAnswer];
    for fault in busy {
        let server = server();
        let bucket = bucket(&server);
        bucket.put("k", b"0123456789").unwrap();
        server.hooks().inject(0..3, on("GetObject"), fault.clone());
        assert_eq!(bucket.get("k").unwrap().unwrap(), b"0123456789", "{fault:?}");
        server.hooks().inject(0..4, on("GetObject"), fault.clone());
        let error = bucket.get("k").unwrap_err();
        assert!(error.kind.is_passing() && error.reason.contains("tried 4 times"), "{error}");
    }
    let server = server();
    let bucket = bucket(&server);
    bucket.put("k", b"x").unwrap();
    for (fault, kind) in [
        (Fault::EXPIRED_TOKEN, Kind::Credentials),
        (Fault::Refuse { status: 403, code: "AccessDenied" }, Kind::Denied),
        (Fault::Refuse { status: 400, code: "InvalidRequest" }, Kind::Refused),
    ] {
        server.hooks().forget_calls();
        server.hooks().inject(0..1, on("GetObject"), fault);
        let error = bucket.get("k").unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(
            error.to_string().starts_with("cannot read s3://runs--toil/k: the server answered"),
            "{error}"
        );
        assert_eq!(server.hooks().count("GetObject"), 1);
    }
}

#[test]
fn files_go_up_and_down() {
    let server = server();
    let bucket = bucket(&server);
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    for (size, requests) in [(0, "PutObject"), (10, "PutObject"), (1000, "PutObject"), (1001, "UploadPart")] {
        fs::write(&from, bytes(size)).unwrap();
        let content = bucket.upload(KEY, &from).unwrap();
        assert_eq!(content.size, size as u64);
        assert!(server.hooks().count(requests) > 0, "{size}");
        server.hooks().forget_calls();
        assert_eq!(bucket.download(KEY, &to, Some(&content)).unwrap(), Some(content));
        assert_eq!(fs::read(&to).unwrap(), bytes(size), "{size}");
    }
    fs::write(&from, b"").unwrap();
    let content = bucket.upload(KEY, &from).unwrap();
    assert_eq!(content.checksum, "sha1$da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_eq!(bucket.download("none", &to, None).unwrap(), None);
}

/// 8 parts at most, so the parts of this file are 1 MiB.
const LARGE: usize = (5 << 20) + 12_345;

#[test]
fn parts_that_fail_are_sent_and_asked_for_again() {
    let server = server();
    let bucket = bucket(&server);
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::write(&from, bytes(LARGE)).unwrap();
    let hooks = server.hooks();
    hooks.inject(0..1, on("UploadPart"), Fault::CutRequest(70_000));
    hooks.inject(3..4, on("UploadPart"), Fault::SLOW_DOWN);
    hooks.inject(5..6, on("UploadPart"), Fault::LoseAnswer);
    hooks.inject(0..1, on("CompleteMultipartUpload"), Fault::LoseAnswer);
    hooks.inject(0..1, on("CreateMultipartUpload"), Fault::INTERNAL_ERROR);
    let content = bucket.upload(KEY, &from).unwrap();
    assert_eq!(server.objects("runs--toil")[KEY], bytes(LARGE));
    assert_eq!(server.unfinished_uploads("runs--toil"), 0);
    assert_eq!(hooks.count("UploadPart"), 6 + 3);

    hooks.heal();
    hooks.forget_calls();
    hooks.inject(1..2, on("GetObject"), Fault::CutAnswer(70_000));
    hooks.inject(3..4, on("GetObject"), Fault::SLOW_DOWN);
    assert_eq!(bucket.download(KEY, &to, Some(&content)).unwrap(), Some(content));
    assert_eq!(fs::read(&to).unwrap(), bytes(LARGE));
    // The first piece, the rest in 6 parts, and 2 of them again: what came is not asked for once more.
    assert_eq!(hooks.count("GetObject"), 1 + 6 + 2);
}

#[test]
fn an_upload_that_fails_leaves_nothing() {
    let server = server();
    let bucket = bucket(&server);
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from");
    fs::write(&from, bytes(LARGE)).unwrap();
    server.hooks().inject(2..3, on("UploadPart"), Fault::Refuse { status: 403, code: "AccessDenied" });
    assert_eq!(bucket.upload(KEY, &from).unwrap_err().kind, Kind::Denied);
    assert!(server.objects("runs--toil").is_empty());
    assert_eq!(server.unfinished_uploads("runs--toil"), 0);
    // One whose writer died is swept by its prefix.
    server.hooks().heal();
    server.hooks().inject(0..9, on("UploadPart"), Fault::Refuse { status: 403, code: "AccessDenied" });
    server.hooks().inject(
        0..9,
        on("AbortMultipartUpload"),
        Fault::Refuse { status: 403, code: "AccessDenied" },
    );
    bucket.upload(KEY, &from).unwrap_err();
    assert_eq!(server.unfinished_uploads("runs--toil"), 1);
    server.hooks().heal();
    assert_eq!(bucket.sweep_uploads("elsewhere/").unwrap(), 0);
    assert_eq!(bucket.sweep_uploads("folder/").unwrap(), 1);
    assert_eq!(server.unfinished_uploads("runs--toil"), 0);
}

#[test]
fn damaged_objects_are_noticed() {
    let server = server();
    let bucket = bucket(&server);
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::write(&from, bytes(LARGE)).unwrap();
    let content = bucket.upload(KEY, &from).unwrap();
    server.damage("runs--toil", KEY, |bytes| bytes[2_000_000] ^= 1);
    let error = bucket.download(KEY, &to, Some(&content)).unwrap_err();
    assert_eq!(error.kind, Kind::Damaged);
    assert!(error.reason.contains(&content.checksum), "{error}");
    assert!(fs::read_dir(folder.path()).unwrap().count() == 1, "nothing is left beside the source");
}

#[test]
fn an_object_that_is_replaced_during_a_download_is_not_mixed() {
    let server = server();
    let bucket = bucket(&server);
    bucket.put(KEY, &bytes(3000)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let gate = moil_testing::hooks::Gate::default();
    server.hooks().inject(1..2, on("GetObject"), Fault::PauseBefore(gate.clone()));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| bucket.download(KEY, &folder.path().join("to"), None));
        gate.wait_for_call();
        bucket.put(KEY, &bytes(4000)).unwrap();
        gate.open();
        let error = reader.join().unwrap().unwrap_err();
        assert_eq!(error.kind, Kind::Precondition);
        assert!(error.reason.contains("replaced"), "{error}");
    });
}

#[test]
fn copies_are_made_by_the_server() {
    let server = server();
    let bucket = bucket(&server);
    let other = S3::new(settings(&server)).bucket("inputs");
    other.create(None, &BTreeMap::new()).unwrap();
    for size in [10, 5000, 5001, 3 << 20] {
        other.put(KEY, &bytes(size)).unwrap();
        let etag = other.head(KEY).unwrap().unwrap().etag;
        server.hooks().forget_calls();
        bucket.copy_from(&other, KEY, Some(&etag), "copy/ü").unwrap();
        assert_eq!(server.objects("runs--toil")["copy/ü"], bytes(size), "{size}");
        assert_eq!(server.hooks().count("CopyObject"), u64::from(size <= 5000));
        assert_eq!(server.hooks().count("GetObject") + server.hooks().count("PutObject"), 0);
    }
    let error = bucket.copy_from(&other, KEY, Some("\"other\""), "copy").unwrap_err();
    assert_eq!(error.kind, Kind::Precondition);
    assert_eq!(bucket.copy_from(&other, "none", None, "copy").unwrap_err().kind, Kind::NoObject);
}

#[test]
fn a_server_that_copies_in_parts_only_copies_small_objects_too() {
    let server = server();
    let bucket = bucket(&server);
    server.hooks().inject(0..9, on("CopyObject"), Fault::Refuse { status: 501, code: "NotImplemented" });
    for size in [0, 10] {
        bucket.put("k", &bytes(size)).unwrap();
        bucket.copy_from(&bucket, "k", None, "copy").unwrap();
        assert_eq!(server.objects("runs--toil")["copy"], bytes(size));
    }
    // A server that has no lifecycles and no access blocks will do as well.
    let without = S3::new(settings(&server)).bucket("without");
    for operation in ["PutPublicAccessBlock", "PutBucketLifecycleConfiguration", "PutBucketTagging"] {
        server.hooks().inject(0..9, on(operation), Fault::Refuse { status: 501, code: "NotImplemented" });
    }
    assert!(without.create(None, &BTreeMap::from([("Owner".into(), "me".into())])).unwrap());
}

#[test]
fn objects_are_encrypted_as_wanted() {
    for (encryption, expected) in [
        (Encryption::Bucket, None),
        (Encryption::S3, Some("AES256")),
        (Encryption::Kms(Some("key".into())), Some("aws:kms")),
        (Encryption::Customer(*b"0123456789abcdef0123456789abcdef"), Some("SSE-C")),
    ] {
        let server = server();
        let bucket = S3::new(Settings { encryption, ..settings(&server) }).bucket("runs--toil");
        bucket.create(None, &BTreeMap::new()).unwrap();
        bucket.check_conditional_writes("probe/").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, bytes(LARGE)).unwrap();
        assert_eq!(bucket.put_if_absent("record", b"x").unwrap(), Put::Stored);
        let content = bucket.upload("file", &from).unwrap();
        bucket.copy_from(&bucket, "file", None, "copy").unwrap();
        bucket.copy_from(&bucket, "record", None, "small copy").unwrap();
        for key in ["record", "file", "copy", "small copy"] {
            assert_eq!(server.encryption("runs--toil", key).as_deref(), expected, "{key}");
        }
        assert_eq!(bucket.get("record").unwrap().unwrap(), b"x");
        assert_eq!(bucket.download("copy", &to, Some(&content)).unwrap(), Some(content));
        if expected == Some("SSE-C") {
            let without = S3::new(settings(&server)).bucket("runs--toil");
            assert_eq!(without.get("record").unwrap_err().kind, Kind::Refused);
        }
    }
}

#[test]
fn a_server_that_ignores_conditions_is_refused() {
    let good = server();
    bucket(&good).check_conditional_writes("probe/").unwrap();
    assert!(good.objects("runs--toil").is_empty());
    let bad = S3Server::with(Options { flavour: Flavour::IgnoresConditions, ..Options::default() });
    let error = bucket(&bad).check_conditional_writes("probe/").unwrap_err();
    assert!(error.reason.contains("ignores If-None-Match"), "{error}");
    assert!(bad.objects("runs--toil").is_empty());
}

#[test]
fn a_server_that_is_not_there_and_wrong_keys_are_told() {
    let server = server();
    let wrong =
        Credentials::Keys { access: ACCESS_KEY.into(), secret: "planted-secret".into(), session: None };
    let stranger = S3::new(Settings { credentials: wrong, ..settings(&server) }).bucket("runs--toil");
    let error = stranger.get("k").unwrap_err();
    assert_eq!(error.kind, Kind::Credentials);
    assert!(error.reason.contains("AWS_ACCESS_KEY_ID") && !error.to_string().contains("planted"), "{error}");
    let settings = settings(&server);
    drop(server);
    let error = S3::new(settings).bucket("runs--toil").get("k").unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(error.reason.contains("tried 4 times"), "{error}");
}

#[test]
fn a_file_that_grows_during_an_upload_is_not_stored() {
    let server = server();
    let bucket = bucket(&server);
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from");
    fs::write(&from, bytes(LARGE)).unwrap();
    let gate = moil_testing::hooks::Gate::default();
    server.hooks().inject(0..1, on("CreateMultipartUpload"), Fault::PauseAfter(gate.clone()));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| bucket.upload(KEY, &from));
        gate.wait_for_call();
        fs::write(&from, bytes(LARGE + 1)).unwrap();
        gate.open();
        let error = writer.join().unwrap().unwrap_err();
        assert_eq!(error.kind, Kind::Local);
    });
    assert!(server.objects("runs--toil").is_empty());
}

#[test]
fn buckets_of_other_regions_are_found() {
    let server =
        S3Server::with(Options { smallest_part: 1000, page: 3, regions: true, ..Options::default() });
    let client = |region: &str| S3::new(Settings { region: Some(region.into()), ..settings(&server) });
    for region in ["us-east-1", "eu-west-3"] {
        client(region).bucket(&format!("in-{region}")).create(Some(region), &BTreeMap::new()).unwrap();
    }
    let s3 = client("eu-central-1");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("from"), bytes(5000)).unwrap();
    let (far, other) = (s3.bucket("in-us-east-1"), s3.bucket("in-eu-west-3"));
    assert_eq!(far.list("", None).unwrap(), []);
    server.hooks().forget_calls();
    // Uploads, listings and copies go there, and only the first request of a client went astray.
    far.upload(KEY, &folder.path().join("from")).unwrap();
    assert_eq!(far.head(KEY).unwrap().unwrap().size, 5000);
    assert_eq!(server.hooks().count("HeadObject"), 1);
    other.copy_from(&far, KEY, None, "copy").unwrap();
    let again = client("eu-central-1").bucket("in-eu-west-3");
    assert_eq!(again.head("copy").unwrap().unwrap().size, 5000);
    let fresh = client("eu-central-1").bucket("in-us-east-1");
    assert!(fresh.download(KEY, &folder.path().join("to"), None).unwrap().is_some());
    assert_eq!(fs::read(folder.path().join("to")).unwrap(), bytes(5000));
    fresh.delete(&[KEY.into()]).unwrap();
    assert!(server.objects("in-us-east-1").is_empty());
}

#[test]
fn what_is_told_to_one_slows_all_down() {
    let server = server();
    let bucket = bucket(&server);
    let patience =
        Patience { tries: 8, first_wait: Duration::from_secs(6), longest_wait: Duration::from_secs(6) };
    let slow = S3::new(Settings { patience, ..settings(&server) }).bucket("runs--toil");
    bucket.put("k", b"x").unwrap();
    slow.get("k").unwrap();
    server.hooks().forget_calls();
    server.hooks().inject(0..1, on("GetObject"), Fault::SLOW_DOWN);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| slow.get("k"));
        while server.hooks().count("GetObject") == 0 {
            std::thread::yield_now();
        }
        // When the answer has come, whoever comes now or a little later waits with the first.
        std::thread::sleep(Duration::from_secs(1));
        let others: Vec<_> = (0..4).map(|_| scope.spawn(|| slow.head("k"))).collect();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(server.hooks().calls().len(), 1, "nobody asks meanwhile");
        assert!(first.join().unwrap().unwrap().is_some());
        assert!(others.into_iter().all(|other| other.join().unwrap().unwrap().is_some()));
    });
}

#[test]
fn what_others_keep_is_read_without_our_key() {
    use moil_cwl::files::Files;

    let server = server();
    let plain = bucket(&server);
    plain.put("in/x.txt", b"plain").unwrap();
    let encryption = Encryption::Customer([b'k'; 32]);
    let s3 = S3::new(Settings { encryption, ..settings(&server) });
    s3.bucket("runs--toil").put("in/y.txt", b"secret").unwrap();
    let remote = moil_jobstore::remote::Remote::new(Vec::new()).with_s3(s3.clone());
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("x.txt", "plain"), ("y.txt", "secret")] {
        let location = format!("s3://runs--toil/in/{name}");
        assert_eq!(remote.stat(&location).unwrap().unwrap().size, text.len() as u64);
        assert_eq!(remote.read_prefix(&location, 100).unwrap(), text.as_bytes());
        remote.download(&location, &folder.path().join(name)).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), text);
        remote.copy_to(&location, &s3.bucket("runs--toil"), &format!("out/{name}"), folder.path()).unwrap();
        assert_eq!(server.encryption("runs--toil", &format!("out/{name}")).as_deref(), Some("SSE-C"));
    }
}
