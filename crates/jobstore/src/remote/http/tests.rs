//! Against a server in this process that answers as it is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Serves `answer(count of the request, request line)` on a port of its own, and counts.
fn server(answer: impl Fn(usize, &str) -> String + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while !lines.next().unwrap().unwrap().is_empty() {}
            let answer = answer(counter.fetch_add(1, Ordering::SeqCst), &request);
            // A client that has gone away is no fault.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, count)
}

fn answer(status: &str, length: usize, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn whole(body: &str) -> String {
    answer("200 OK", body.len(), body)
}

#[test]
fn a_download_that_breaks_off_is_begun_again() {
    let (address, count) =
        server(|n, _| if n == 0 { answer("200 OK", 9, "half") } else { whole("whole one") });
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("x");
    Http::default().download(&address, &to).unwrap();
    assert_eq!((fs::read_to_string(to).unwrap().as_str(), count.load(Ordering::SeqCst)), ("whole one", 2));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_document_that_breaks_off_is_fetched_again() {
    let (address, _) = server(|n, _| if n == 0 { answer("200 OK", 9, "half") } else { whole("whole one") });
    assert_eq!(Http::default().text(&address).as_deref(), Ok("whole one"));
}

#[test]
fn busy_servers_are_asked_again_and_others_are_not() {
    let (address, count) = server(|n, _| answer(["503 Busy", "200 OK"][n.min(1)], 2, "ok"));
    assert_eq!(Http::default().text(&address).as_deref(), Ok("ok"));
    assert_eq!(count.load(Ordering::SeqCst), 2);
    let (address, count) = server(|_, _| answer("404 Not Found", 0, ""));
    assert_eq!(Http::default().text(&address), Err("the server answered 404 Not Found".to_owned()));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_server_that_refuses_head_is_asked_for_the_start() {
    let (address, _) = server(|_, request| match request.starts_with("HEAD") {
        true => answer("405 Method Not Allowed", 0, ""),
        false => whole("x"),
    });
    assert!(matches!(Http::default().stat(&address), Ok(Some(_))));
}

#[test]
fn redirections_without_end_are_given_up_at_once() {
    let (address, count) = server(|_, _| {
        "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
    });
    assert!(Http::default().text(&address).unwrap_err().contains("redirect"));
    assert!(count.load(Ordering::SeqCst) < 20);
}

#[test]
fn files_without_certificates_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let error = |file: &Path| Http::new(vec![file.to_owned()]).text("https://127.0.0.1:1/").unwrap_err();
    assert!(error(&file).contains("cannot read the certificates in"), "{}", error(&file));
    fs::write(&file, "nothing\n").unwrap();
    assert!(error(&file).contains("there are no certificates in"), "{}", error(&file));
}

#[test]
fn only_a_strong_etag_of_this_very_address_identifies_a_file() {
    let told = |headers: &'static str, status: &'static str| {
        let (address, _) = server(move |_, _| {
            format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\nConnection: close\r\n{headers}\r\n")
        });
        Http::default().identity(&format!("{address}/x"))
    };
    let found = told("ETag: \"one\"\r\n", "200 OK").expect("it is identified");
    assert_eq!((found.size, found.etag.as_deref()), (Some(5), Some("\"one\"")));
    let other = told("ETag: \"two\"\r\n", "200 OK").expect("it is identified");
    assert_ne!(found.name, other.name);
    for (headers, status) in [
        ("", "200 OK"),
        ("ETag: W/\"one\"\r\n", "200 OK"),
        ("ETag: \"one\"\r\nCache-Control: private, no-store\r\n", "200 OK"),
        ("ETag: \"one\"\r\nContent-Encoding: br\r\n", "200 OK"),
        ("ETag: \"one\"\r\n", "404 Not Found"),
        ("ETag: \"one\"\r\n", "203 Changed on the way"),
    ] {
        assert_eq!(told(headers, status), None, "{headers} {status}");
    }
    let (address, _) = server(|_, request| {
        let words = if request.contains("/moved") { "302 Found\r\nLocation: /x" } else { "200 OK" };
        format!("HTTP/1.1 {words}\r\nContent-Length: 0\r\nConnection: close\r\nETag: \"one\"\r\n\r\n")
    });
    assert!(Http::default().identity(&format!("{address}/x")).is_some());
    assert_eq!(Http::default().identity(&format!("{address}/moved")), None);
    assert!(Http::default().identity("http://127.0.0.1:1/x").is_none());
}

#[test]
fn another_version_is_not_taken_for_the_one_that_is_wanted() {
    let (address, _) = server(|_, _| {
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\nETag: \"new\"\r\n\r\nnew".to_owned()
    });
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("x");
    assert_eq!(Http::default().download_version(&address, "\"old\"", &to), Ok(false));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(Http::default().download_version(&address, "\"new\"", &to), Ok(true));
    assert_eq!(fs::read_to_string(to).unwrap(), "new");
}
