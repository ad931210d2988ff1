//! The S3 server, asked by AWS's own client.

use std::future::Future;
use std::sync::{Arc, Barrier};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier, Tag, Tagging,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use moil_testing::hooks::{Call, Fault, Gate};
use moil_testing::s3::{ACCESS_KEY, Flavour, Options, S3Server, SECRET_KEY};

fn client_with(server: &S3Server, secret: &str) -> Client {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_sdk_s3::config::Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new("us-east-1"))
        .endpoint_url(server.url())
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .credentials_provider(Credentials::new(ACCESS_KEY, secret, None, None, "test"))
        .build();
    Client::from_conf(config)
}

fn client(server: &S3Server) -> Client {
    client_with(server, SECRET_KEY)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The status of an error; 0 if there was no answer, 200 if it went well.
macro_rules! status {
    ($request:expr) => {
        match $request.send().await {
            Ok(_) => 200,
            Err(error) => error.raw_response().map_or(0, |answer| answer.status().as_u16()),
        }
    };
}

async fn put(client: &Client, key: &str, bytes: &[u8]) {
    client
        .put_object()
        .bucket("bucket")
        .key(key)
        .body(ByteStream::from(bytes.to_vec()))
        .send()
        .await
        .unwrap();
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let answer = client.get_object().bucket("bucket").key(key).send().await.unwrap();
    answer.body.collect().await.unwrap().to_vec()
}

#[test]
fn objects_come_back_as_they_were() {
    let server = S3Server::start();
    run(async {
        let client = client(&server);
        client.create_bucket().bucket("bucket").send().await.unwrap();
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let answer = client
            .put_object()
            .bucket("bucket")
            .key("a folder/ü%2B+.bin")
            .metadata("nonce", "n1")
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .body(ByteStream::from(bytes.clone()))
            .send()
            .await
            .unwrap();
        assert!(answer.checksum_sha256.is_some());
        assert_eq!(get(&client, "a folder/ü%2B+.bin").await, bytes);
        let head = client.head_object().bucket("bucket").key("a folder/ü%2B+.bin").send().await.unwrap();
        assert_eq!(head.content_length, Some(800_000));
        assert_eq!(head.metadata.unwrap()["nonce"], "n1");
        assert_eq!(head.e_tag, answer.e_tag);
        let range = client.get_object().bucket("bucket").key("a folder/ü%2B+.bin").range("bytes=4-7");
        let range = range.send().await.unwrap();
        assert_eq!(range.content_range.as_deref(), Some("bytes 4-7/800000"));
        assert_eq!(range.body.collect().await.unwrap().to_vec(), 1_u32.to_le_bytes());
        put(&client, "empty", b"").await;
        assert_eq!(get(&client, "empty").await, b"");
        assert_eq!(status!(client.get_object().bucket("bucket").key("empty").range("bytes=0-9")), 416);
        assert_eq!(status!(client.get_object().bucket("bucket").key("none")), 404);
        assert_eq!(status!(client.get_object().bucket("none").key("none")), 404);
        // A body that is streamed has its checksum after it.
        let folder = std::env::temp_dir().join(format!("moil-testing-{}", std::process::id()));
        std::fs::write(&folder, &bytes).unwrap();
        let body = ByteStream::from_path(&folder).await.unwrap();
        client.put_object().bucket("bucket").key("streamed").body(body).send().await.unwrap();
        std::fs::remove_file(folder).unwrap();
        assert_eq!(get(&client, "streamed").await, bytes);
    });
}

#[test]
fn signatures_and_checksums_are_checked() {
    let server = S3Server::start();
    run(async {
        let client = client(&server);
        client.create_bucket().bucket("bucket").send().await.unwrap();
        let stranger = client_with(&server, "wrong");
        assert_eq!(
            status!(stranger.put_object().bucket("bucket").key("k").body(ByteStream::from_static(b"x"))),
            403
        );
        let wrong = || client.put_object().bucket("bucket").key("k").body(ByteStream::from_static(b"x"));
        assert_eq!(status!(wrong().content_md5("1B2M2Y8AsgTpgAmY7PhCfg==")), 400);
        assert_eq!(status!(wrong().checksum_sha256("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")), 400);
        assert_eq!(status!(wrong().content_md5("nd1Om6glZIk4GwtlJFl9EA==")), 400);
        assert!(server.objects("bucket").is_empty());
    });
}

#[test]
fn conditions_are_checked() {
    let server = S3Server::start();
    run(async {
        let client = client(&server);
        client.create_bucket().bucket("bucket").send().await.unwrap();
        let write = || client.put_object().bucket("bucket").key("k").body(ByteStream::from_static(b"x"));
        assert_eq!(status!(write().if_match("\"0\"")), 404);
        let first = write().if_none_match("*").send().await.unwrap();
        assert_eq!(status!(write().if_none_match("*")), 412);
        let etag = first.e_tag.unwrap();
        assert_eq!(status!(write().if_match("\"0\"")), 412);
        assert_eq!(status!(write().if_match(&etag)), 200);
        let read = client.get_object().bucket("bucket").key("k");
        assert_eq!(status!(read.clone().if_match("\"0\"")), 412);
        assert_eq!(status!(read.clone().if_none_match(&etag)), 304);
        let copy = client.copy_object().bucket("bucket").key("copy").copy_source("bucket/k");
        assert_eq!(status!(copy.clone().copy_source_if_match("\"0\"")), 412);
        assert_eq!(status!(copy.copy_source_if_match(&etag)), 200);
        assert_eq!(status!(client.delete_object().bucket("bucket").key("k").if_match("\"0\"")), 412);
        assert_eq!(status!(client.delete_object().bucket("bucket").key("k").if_match(&etag)), 200);
    });
}

#[test]
fn one_of_many_writers_wins() {
    let server = Arc::new(S3Server::start());
    run(client(&server).create_bucket().bucket("bucket").send()).unwrap();
    for round in 0..20 {
        let start = Arc::new(Barrier::new(8));
        let writers: Vec<_> = (0..8_u8)
            .map(|writer| {
                let (server, start) = (Arc::clone(&server), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    run(async {
                        let client = client(&server);
                        let body = ByteStream::from(vec![writer; 1000]);
                        status!(
                            client
                                .put_object()
                                .bucket("bucket")
                                .key(format!("{round}"))
                                .if_none_match("*")
                                .body(body)
                        )
                    })
                })
            })
            .collect();
        let statuses: Vec<u16> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let winner = statuses.iter().position(|status| *status == 200).unwrap();
        assert!(
            statuses.iter().enumerate().all(|(at, status)| at == winner || *status == 412),
            "{statuses:?}"
        );
        assert_eq!(server.objects("bucket")[&round.to_string()], [winner as u8; 1000]);
    }
}

#[test]
fn servers_of_others_can_be_imitated() {
    let ignores = S3Server::with(Options { flavour: Flavour::IgnoresConditions, ..Options::default() });
    let unquoted = S3Server::with(Options { flavour: Flavour::UnquotedETags, ..Options::default() });
    run(async {
        for server in [&ignores, &unquoted] {
            client(server).create_bucket().bucket("bucket").send().await.unwrap();
        }
        let write = || client(&ignores).put_object().bucket("bucket").key("k").if_none_match("*");
        assert_eq!(status!(write()), 200);
        assert_eq!(status!(write()), 200);
        let write = || client(&unquoted).put_object().bucket("bucket").key("k");
        let etag = write().send().await.unwrap().e_tag.unwrap();
        assert_eq!(status!(write().if_match(&etag)), 412);
        assert_eq!(status!(write().if_match(etag.trim_matches('"'))), 200);
    });
}

#[test]
fn listings_have_pages_and_folders() {
    let server = S3Server::with(Options { page: 3, ..Options::default() });
    run(async {
        let client = client(&server);
        client.create_bucket().bucket("bucket").send().await.unwrap();
        for key in ["a", "d/1", "d/2", "d/e/3", "dd", "z", "Z"] {
            put(&client, key, b"x").await;
        }
        let mut keys = Vec::new();
        let mut token = None;
        loop {
            let request = client.list_objects_v2().bucket("bucket").set_continuation_token(token);
            let page = request.send().await.unwrap();
            keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
            token = page.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(keys, ["Z", "a", "d/1", "d/2", "d/e/3", "dd", "z"]);
        let page = client.list_objects_v2().bucket("bucket").prefix("d").delimiter("/").send().await.unwrap();
        let contents: Vec<_> = page.contents().iter().filter_map(|object| object.key()).collect();
        let folders: Vec<_> = page.common_prefixes().iter().filter_map(|folder| folder.prefix()).collect();
        assert_eq!((contents, folders), (vec!["dd"], vec!["d/"]));
        let page =
            client.list_objects_v2().bucket("bucket").start_after("d/2").max_keys(2).send().await.unwrap();
        let contents: Vec<_> = page.contents().iter().filter_map(|object| object.key()).collect();
        assert_eq!(contents, ["d/e/3", "dd"]);
        assert_eq!(page.is_truncated, Some(true));
        let objects = ["a", "z", "none"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
        let delete = Delete::builder().set_objects(Some(objects.into())).build().unwrap();
        client.delete_objects().bucket("bucket").delete(delete).send().await.unwrap();
        assert_eq!(server.objects("bucket").len(), 5);
        assert_eq!(status!(client.delete_bucket().bucket("bucket")), 409);
    });
}

#[test]
fn parts_become_an_object() {
    let server = S3Server::with(Options { smallest_part: 10, ..Options::default() });
    run(async {
        let client = client(&server);
        client.create_bucket().bucket("bucket").send().await.unwrap();
        put(&client, "source", b"0123456789abcdefghij").await;
        let begin = client.create_multipart_upload().bucket("bucket").key("k").metadata("nonce", "n").send();
        let id = begin.await.unwrap().upload_id.unwrap();
        let part = client.upload_part().bucket("bucket").key("k").upload_id(&id).part_number(1);
        let first = part.body(ByteStream::from_static(b"first part")).send().await.unwrap();
        let copy = client.upload_part_copy().bucket("bucket").key("k").upload_id(&id).part_number(2);
        let copy = copy.copy_source("bucket/source").copy_source_range("bytes=10-12").send().await.unwrap();
        let completed = |number, etag| CompletedPart::builder().part_number(number).e_tag(etag).build();
        let (first, second) =
            (completed(1, first.e_tag.unwrap()), completed(2, copy.copy_part_result.unwrap().e_tag.unwrap()));
        let complete = |parts: Vec<CompletedPart>| {
            let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
            client
                .complete_multipart_upload()
                .bucket("bucket")
                .key("k")
                .upload_id(&id)
                .multipart_upload(whole)
        };
        assert_eq!(status!(complete(vec![second.clone(), first.clone()])), 400, "the wrong order");
        assert_eq!(status!(complete(vec![completed(1, "\"0\"".to_owned())])), 400, "another part");
        assert_eq!(server.unfinished_uploads("bucket"), 1);
        let done = complete(vec![first.clone(), second.clone()]).send().await.unwrap();
        assert!(done.e_tag.unwrap().ends_with("-2\""));
        assert_eq!(get(&client, "k").await, b"first partabc");
        assert_eq!(status!(complete(vec![first, second])), 404, "it is complete already");
        let begin = client.create_multipart_upload().bucket("bucket").key("other").send().await.unwrap();
        let uploads = client.list_multipart_uploads().bucket("bucket").send().await.unwrap();
        assert_eq!(uploads.uploads().len(), 1);
        let id = begin.upload_id.unwrap();
        client.abort_multipart_upload().bucket("bucket").key("other").upload_id(id).send().await.unwrap();
        assert_eq!(server.unfinished_uploads("bucket"), 0);
    });
}

#[test]
fn keys_of_clients_are_asked_for() {
    let server = S3Server::start();
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    run(async {
        let client = client(&server);
        client.create_bucket().bucket("bucket").send().await.unwrap();
        let write = || {
            client
                .put_object()
                .bucket("bucket")
                .key("k")
                .sse_customer_algorithm("AES256")
                .sse_customer_key(key)
        };
        assert_eq!(status!(write().sse_customer_key_md5("1B2M2Y8AsgTpgAmY7PhCfg==")), 400);
        let digest = md5_of(key);
        assert_eq!(status!(write().sse_customer_key_md5(&digest)), 200);
        assert_eq!(server.encryption("bucket", "k").as_deref(), Some("SSE-C"));
        let read = client.get_object().bucket("bucket").key("k");
        assert_eq!(status!(read.clone()), 400);
        let read = read.sse_customer_algorithm("AES256");
        assert_eq!(status!(read.clone().sse_customer_key(key).sse_customer_key_md5(&digest)), 200);
        let other = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";
        let other_digest = md5_of(other);
        assert_eq!(status!(read.sse_customer_key(other).sse_customer_key_md5(other_digest)), 403);
    });
}

fn md5_of(key: &str) -> String {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use md5::{Digest, Md5};
    BASE64_STANDARD.encode(Md5::digest(BASE64_STANDARD.decode(key).unwrap()))
}

#[test]
fn buckets_keep_what_they_are_told() {
    let server = S3Server::start();
    run(async {
        let client = client(&server);
        client.create_bucket().bucket("bucket").send().await.unwrap();
        assert_eq!(status!(client.create_bucket().bucket("bucket")), 409);
        assert_eq!(status!(client.get_bucket_tagging().bucket("bucket")), 404);
        let tag = Tag::builder().key("Owner").value("me").build().unwrap();
        let tagging = Tagging::builder().tag_set(tag).build().unwrap();
        client.put_bucket_tagging().bucket("bucket").tagging(tagging).send().await.unwrap();
        assert_eq!(server.bucket("bucket").unwrap().tags["Owner"], "me");
        assert_eq!(client.get_bucket_tagging().bucket("bucket").send().await.unwrap().tag_set().len(), 1);
        assert_eq!(status!(client.head_bucket().bucket("bucket")), 200);
        assert_eq!(status!(client.head_bucket().bucket("none")), 404);
        client.delete_bucket().bucket("bucket").send().await.unwrap();
        assert!(server.bucket("bucket").is_none());
    });
}

fn is_put(call: &Call) -> bool {
    call.is("PutObject")
}

#[test]
fn faults_are_shown() {
    let server = S3Server::start();
    run(async {
        let client = client(&server);
        client.create_bucket().bucket("bucket").send().await.unwrap();
        let write = || client.put_object().bucket("bucket").key("k").body(ByteStream::from(vec![7; 300_000]));
        let hooks = server.hooks();
        hooks.inject(0..1, is_put, Fault::CutRequest(1000));
        assert_eq!(status!(write()), 0);
        assert!(server.objects("bucket").is_empty());
        hooks.inject(0..1, is_put, Fault::SLOW_DOWN);
        let error = write().send().await.unwrap_err();
        assert_eq!(error.raw_response().unwrap().status().as_u16(), 503);
        assert_eq!(aws_sdk_s3::error::ProvideErrorMetadata::code(&error), Some("SlowDown"));
        assert!(server.objects("bucket").is_empty());
        hooks.inject(0..1, is_put, Fault::LoseAnswer);
        assert_eq!(status!(write()), 0);
        assert_eq!(server.objects("bucket")["k"].len(), 300_000);
        hooks.inject(0..1, |call| call.is("GetObject"), Fault::CutAnswer(1000));
        let answer = client.get_object().bucket("bucket").key("k").send().await.unwrap();
        assert_eq!(answer.content_length, Some(300_000));
        assert!(answer.body.collect().await.is_err());
        assert_eq!(get(&client, "k").await.len(), 300_000);
        assert_eq!(hooks.count("PutObject"), 3);
    });
}

#[test]
fn a_gate_holds_a_call_before_or_after_it_takes_effect() {
    let server = Arc::new(S3Server::start());
    run(client(&server).create_bucket().bucket("bucket").send()).unwrap();
    for (fault, stored) in [(Fault::PauseBefore as fn(Gate) -> Fault, false), (Fault::PauseAfter, true)] {
        let gate = Gate::default();
        let key = format!("{stored}");
        server.hooks().inject(0..1, is_put, fault(gate.clone()));
        let writer = {
            let (server, key) = (Arc::clone(&server), key.clone());
            std::thread::spawn(move || run(async { put(&client(&server), &key, b"x").await }))
        };
        gate.wait_for_call();
        assert_eq!(server.objects("bucket").contains_key(&key), stored);
        gate.open();
        writer.join().unwrap();
        assert!(server.objects("bucket").contains_key(&key));
        server.hooks().heal();
    }
}
