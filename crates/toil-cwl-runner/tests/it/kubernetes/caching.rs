//! Inputs that the pods of a node share.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use super::{Sandbox, cluster, end, eventually, left, program, told};

const SUMS: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
  ResourceRequirement: {coresMin: 0.1, ramMin: 50, tmpdirMin: 10, outdirMin: 10}
inputs: {words: "string[]", file: File}
outputs:
  sums: {type: 'File[]', outputSource: sum/one}
steps:
  sum:
    scatter: word
    in: {word: words, file: file}
    out: [one]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo $0 $(cksum < $1)']
      inputs: {word: {type: string, inputBinding: {position: 1}}, file: {type: File, inputBinding: {position: 2}}}
      outputs: {one: stdout}
      stdout: $(inputs.word).txt
"#;

/// What clients say to a server, connection by connection.
type Said = Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>;

/// Stands before the cluster's S3, and keeps what it is asked.
fn stand_before(address: &str) -> (String, Said) {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a free port");
    let port = listener.local_addr().expect("it has an address").port();
    let said = Said::default();
    let kept = Arc::clone(&said);
    let server = address.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&server) else { continue };
            let words: Arc<Mutex<Vec<u8>>> = Arc::default();
            kept.lock().expect("it is free").push(Arc::clone(&words));
            let (Ok(back), Ok(forth)) = (server.try_clone(), client.try_clone()) else { continue };
            std::thread::spawn(move || pass(client, server, Some(words)));
            std::thread::spawn(move || pass(back, forth, None));
        }
    });
    let host = address.split(':').next().unwrap_or_default();
    (format!("http://{host}:{port}"), said)
}

fn pass(mut from: TcpStream, mut to: TcpStream, kept: Option<Arc<Mutex<Vec<u8>>>>) {
    let mut chunk = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if let Some(kept) = &kept {
            kept.lock().expect("it is free").extend(&chunk[..count]);
        }
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// How often the beginning of an input was asked for; forgets what was asked.
fn fetched(said: &Said) -> usize {
    let said = std::mem::take(&mut *said.lock().expect("it is free"));
    let beginnings = |words: &Arc<Mutex<Vec<u8>>>| {
        let words = String::from_utf8_lossy(&words.lock().expect("it is free")).into_owned();
        let heads = words.split("GET /").skip(1).filter_map(|rest| rest.split("\r\n\r\n").next());
        heads.filter(|head| head.contains("/imports/") && head.contains("bytes=0-")).count()
    };
    said.iter().map(beginnings).sum()
}

#[test]
fn kubernetes_pods_of_one_node_fetch_an_input_once() {
    let Some((registry, _whole)) = cluster() else { return };
    let (sandbox, owner) = (Sandbox::with(SUMS), "moil-inputs");
    let content: Vec<u8> = (0..20_u32 << 20).map(|number| (number % 251) as u8).collect();
    sandbox.write("file", content);
    sandbox.write("job.yml", "words: [a, b, c, d, e, f, g, h]\nfile: {class: File, path: file}\n");
    let server = std::env::var("MOIL_TEST_KUBERNETES_S3").expect("it is set in the cluster's network");
    let (url, said) = stand_before(server.trim_start_matches("http://"));
    let node = sandbox.path("node").display().to_string();
    let mut sums: Option<Vec<String>> = None;
    for (option, expected) in [("--caching", 1), ("--disableCaching=false", 0), ("--disableCaching", 8)] {
        let options = ["--kubernetesHostPath", &node, "--kubernetesPodPerJob", option];
        let mut command = program(&sandbox, &registry, owner, &options);
        let output = end(command.env("AWS_ENDPOINT_URL", &url).spawn().expect("it starts"));
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!(fetched(&said), expected, "{option}: {}", told(&output));
        let found: Vec<String> =
            sandbox.list("out").iter().map(|name| sandbox.read(sandbox.path("out").join(name))).collect();
        assert_eq!(found.len(), 8);
        assert_eq!(*sums.get_or_insert_with(|| found.clone()), found);
        eventually("nothing is left", || left(owner).is_empty());
    }
    let inputs = format!("node/{owner}/.cache/moil/inputs");
    let mode = |name: &str| {
        std::fs::metadata(sandbox.path(name)).expect("it is there").permissions().mode() & 0o7777
    };
    assert_eq!(mode(&inputs), 0o700);
    let entries = sandbox.list(&format!("{inputs}/entries"));
    assert_eq!(entries.len(), 1);
    assert_eq!(mode(&format!("{inputs}/entries/{}/data", entries[0].display())), 0o444);
    assert_eq!(sandbox.list("node"), [owner], "nothing else is left behind");
}
