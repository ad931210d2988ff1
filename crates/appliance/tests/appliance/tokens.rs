//! A registry that wants tokens, is busy at first, and has its uploads elsewhere.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use moil_appliance::credentials::Places;
use moil_appliance::error::ApplianceError;
use moil_appliance::reference::Reference;
use moil_appliance::registry::{Access, push};

use crate::{configuration, image};

/// me:word
const BASIC: &str = "bWU6d29yZA==";

#[derive(Default)]
struct State {
    /// Sizes of what was stored.
    stored: BTreeMap<String, usize>,
    /// Requests for tokens.
    tokens: Vec<String>,
    /// How many requests are still answered with 503.
    busy: u32,
}

/// Serves until the process ends.
fn serve(busy: u32) -> (String, Arc<Mutex<State>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let state = Arc::new(Mutex::new(State { busy, ..State::default() }));
    let (own, shared) = (address.clone(), Arc::clone(&state));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (address, state) = (own.clone(), Arc::clone(&shared));
            std::thread::spawn(move || while answer(&stream, &address, &state).is_some() {});
        }
    });
    (address, state)
}

/// Reads one request and answers it.
fn answer(stream: &TcpStream, address: &str, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut size, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => size = value.parse().unwrap(),
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; size];
    reader.read_exact(&mut body).ok()?;
    let mut state = state.lock().unwrap();
    let (status, headers, text) = if path.starts_with("/token") {
        state.tokens.push(path.clone());
        match authorization == format!("Basic {BASIC}") {
            true => (200, String::new(), r#"{"token": "good"}"#),
            false => (401, String::new(), r#"{"details": "incorrect username or password"}"#),
        }
    } else if authorization != "Bearer good" {
        let challenge =
            format!("www-authenticate: Bearer realm=\"http://{address}/token\",service=\"test\"\r\n");
        (401, challenge, r#"{"errors": [{"message": "authentication required"}]}"#)
    } else if state.busy > 0 {
        state.busy -= 1;
        (503, String::new(), "")
    } else {
        match method.as_str() {
            "HEAD" => (404, String::new(), ""),
            "POST" => (202, "location: /uploads/1?state=x\r\n".to_owned(), ""),
            "PUT" if path.starts_with("/v2/forbidden/") => (403, String::new(), "not for you\nmore"),
            _ => {
                state.stored.insert(path, body.len());
                (201, String::new(), "")
            }
        }
    };
    // What follows the answer to HEAD would be taken for the beginning of the next one.
    let text = if method == "HEAD" { "" } else { text };
    let length = text.len();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{text}").ok()
}

fn access(file: std::path::PathBuf) -> Access {
    let places = Places { files: vec![file], path: Default::default() };
    Access { plain: true, certificates: Vec::new(), places }
}

#[test]
fn a_token_is_fetched_once_and_busy_registries_are_asked_again() {
    let (address, state) = serve(2);
    let folder = tempfile::tempdir().unwrap();
    let layout = image(folder.path());
    let to = Reference::parse(&format!("{address}/me/moil:2"), "moil", "1").unwrap();
    let access = access(configuration(folder.path(), &address, BASIC));
    push(&layout, &to, &access, &mut |_| {}).unwrap();
    let state = state.lock().unwrap();
    assert_eq!(state.tokens, ["/token?service=test&scope=repository%3Ame%2Fmoil%3Apull%2Cpush"]);
    let mut expected: BTreeMap<String, usize> = layout
        .blobs
        .iter()
        .map(|blob| (format!("/uploads/1?state=x&digest={}", blob.digest), blob.size as usize))
        .collect();
    expected.insert("/v2/me/moil/manifests/2".to_owned(), layout.manifest.size as usize);
    assert_eq!(state.stored, expected);
}

#[test]
fn refusals_are_told_in_the_registry_s_words() {
    let (address, _) = serve(0);
    let folder = tempfile::tempdir().unwrap();
    let layout = image(folder.path());
    let refused = |name: &str, auth: &str| {
        let to = Reference::parse(&format!("{address}/{name}"), "moil", "1").unwrap();
        let access = access(configuration(folder.path(), &address, auth));
        let error = push(&layout, &to, &access, &mut |_| {}).unwrap_err();
        assert!(matches!(error, ApplianceError::Refused { .. }), "{error}");
        assert!(!format!("{error} {:?} {error:?}", error.cause()).contains("word:"), "no secrets");
        (error.to_string(), error.cause().unwrap())
    };
    let message = |what: &str| format!("the registry {address} refused: {what}");
    assert_eq!(
        refused("forbidden", BASIC),
        (message("putting the manifest"), "HTTP status 403: not for you".to_owned())
    );
    let (told, cause) = refused("x", "bWU6d3Jvbmc=");
    assert_eq!(told, message("giving a token"));
    assert!(cause.contains("HTTP status 401") && cause.contains("incorrect username"), "{cause}");
}
