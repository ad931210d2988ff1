//! An API server that loses answers, ends watches and asks for patience: the real one, with a proxy of our own before it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster;
use super::faults::ended;
use super::shared::{ALONE, Shared};
use super::space::{SAY, Space, in_time, scatter};

/// What happens to a request.
#[derive(Clone)]
pub enum Fault {
    /// It is carried out, and its answer is lost.
    LoseAnswer,
    /// It is carried out, and its answer comes after so long.
    LateAnswer(Duration),
    /// It is answered with this status and object, and not carried out.
    Answer(u16, Value),
    /// Its answer is cut after so long.
    CutAfter(Duration),
    /// It is carried out after so long.
    Delay(Duration),
    /// Something else takes its name before it is carried out.
    TakeName,
}

/// A fault for the next requests that begin so and have this in their path.
pub struct Rule {
    pub begins: &'static str,
    pub has: &'static str,
    pub times: usize,
    pub fault: Fault,
}

pub struct Proxy {
    address: String,
    rules: Arc<Mutex<Vec<Rule>>>,
    kubectl: Child,
}

impl Proxy {
    pub fn start(namespace: &str, rules: Vec<Rule>) -> Self {
        let mut kubectl = Command::new("kubectl")
            // By itself it lets nobody attach.
            .args(["proxy", "--port=0", "--reject-paths=^/none$"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl is there");
        let mut line = String::new();
        BufReader::new(kubectl.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("it says its address");
        let upstream = line.trim().rsplit(' ').next().expect("an address").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let rules = Arc::new(Mutex::new(rules));
        let (shared, namespace) = (Arc::clone(&rules), namespace.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (upstream, rules, namespace) = (upstream.clone(), Arc::clone(&shared), namespace.clone());
                thread::spawn(move || serve(client, &upstream, &rules, &namespace));
            }
        });
        Self { address, rules, kubectl }
    }

    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"http://{}\"}}}}]\n\
             users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             current-context: x\n",
            self.address
        )
    }

    /// All faults have come to pass.
    fn is_through(&self) -> bool {
        self.left() == 0
    }

    /// How many faults have not.
    pub fn left(&self) -> usize {
        self.rules.lock().expect("whole").iter().map(|rule| rule.times).sum()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

/// One request of one connection.
fn serve(mut client: TcpStream, upstream: &str, rules: &Mutex<Vec<Rule>>, namespace: &str) {
    let mut reader = BufReader::new(client.try_clone().expect("a clone"));
    let (mut head, mut length, mut connection) = (Vec::new(), 0, "close");
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(number) = lower.strip_prefix("content-length:") {
            length = number.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            break;
        }
        if lower.starts_with("upgrade:") {
            connection = "Upgrade";
        }
        if !lower.starts_with("connection:") {
            head.push(line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    let fault = rules.lock().expect("whole").iter_mut().find_map(|rule| {
        let fits = rule.times > 0 && head[0].starts_with(rule.begins) && head[0].contains(rule.has);
        fits.then(|| {
            rule.times -= 1;
            rule.fault.clone()
        })
    });
    match &fault {
        Some(Fault::Answer(code, object)) => {
            let text = object.to_string();
            let _ = write!(
                client,
                "HTTP/1.1 {code} No\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
            return;
        }
        Some(Fault::TakeName) => {
            let mut other: Value = serde_json::from_slice(&body).expect("an object");
            other["metadata"]["annotations"] = json!({});
            other["metadata"]["ownerReferences"] = json!([]);
            super::kubectl(&["-n", namespace, "create", "-f", "-"], &other.to_string()).expect("it is made");
        }
        Some(Fault::Delay(time)) => thread::sleep(*time),
        _ => {}
    }
    let mut server = TcpStream::connect(upstream).expect("the real one listens");
    let sent = format!("{}Connection: {connection}\r\n\r\n", head.concat());
    server.write_all(sent.as_bytes()).and_then(|()| server.write_all(&body)).expect("it is sent");
    if connection == "Upgrade" {
        let mut server = server.try_clone().expect("a clone");
        thread::spawn(move || {
            let _ = std::io::copy(&mut reader, &mut server);
            let _ = server.shutdown(std::net::Shutdown::Write);
        });
    }
    match fault {
        Some(Fault::LoseAnswer) => {
            let mut answer = Vec::new();
            let _ = server.read_to_end(&mut answer);
        }
        Some(Fault::LateAnswer(time)) => {
            thread::sleep(time);
            let _ = std::io::copy(&mut server, &mut client);
        }
        Some(Fault::CutAfter(time)) => {
            let both = (server.try_clone().expect("a clone"), client.try_clone().expect("a clone"));
            thread::spawn(move || {
                thread::sleep(time);
                let _ = both.0.shutdown(std::net::Shutdown::Both);
                let _ = both.1.shutdown(std::net::Shutdown::Both);
            });
            let _ = std::io::copy(&mut server, &mut client);
        }
        _ => {
            let _ = std::io::copy(&mut server, &mut client);
        }
    }
}

fn status(code: u16, reason: &str, details: Value) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("{reason}, says the test"), "reason": reason, "details": details, "code": code,
    })
}

#[test]
fn kubernetes_answers_may_be_lost_and_watches_may_end() {
    let Some((registry, _whole)) = cluster() else { return };
    let gone = json!({"type": "ERROR", "object": status(410, "Expired", json!({}))});
    let busy = status(429, "TooManyRequests", json!({"retryAfterSeconds": 1}));
    let cut = || Fault::CutAfter(Duration::from_secs(2));
    let rule = |begins, has, times, fault| Rule { begins, has, times, fault };
    let cases = [
        (
            "lost",
            vec![
                rule("POST", "/configmaps", 1, Fault::LoseAnswer),
                rule("POST", "/jobs", 3, Fault::LoseAnswer),
                rule("DELETE", "/jobs", 2, Fault::LoseAnswer),
                rule("DELETE", "/configmaps", 1, Fault::LoseAnswer),
            ],
        ),
        (
            "busy",
            vec![
                rule("POST", "/jobs", 2, Fault::Answer(429, busy)),
                rule("POST", "/jobs", 2, Fault::Answer(503, status(503, "ServiceUnavailable", json!({})))),
                rule("GET", "/pods", 1, Fault::Answer(500, status(500, "InternalError", json!({})))),
            ],
        ),
        ("cut", vec![rule("GET", "/pods?&watch=true", 2, cut()), rule("GET", "/jobs?&watch=true", 2, cut())]),
        (
            "gone",
            vec![
                rule("GET", "/pods?&watch=true", 2, Fault::Answer(200, gone.clone())),
                rule("GET", "/jobs?&watch=true", 1, Fault::Answer(200, gone)),
            ],
        ),
    ];
    for (name, rules) in cases {
        let space = Space::new(&format!("api-{name}"), &[]);
        let proxy = Proxy::start(&space.name, rules);
        let sandbox = scatter(3, &format!("sleep 4; {SAY}"));
        sandbox.write("kubeconfig", proxy.kubeconfig());
        let mut program = space.program(&sandbox, &registry, &[]);
        let child = program.env("KUBECONFIG", sandbox.path("kubeconfig")).spawn().expect("it starts");
        let said = ended(child, 0);
        assert!(!said.contains("] failed: "), "{name}: {said}");
        assert!(proxy.is_through(), "{name}: some faults did not come to pass");
        in_time("nothing is left", 60, || space.is_clean());
    }
}

#[test]
fn kubernetes_jobs_of_others_are_not_taken_for_ours() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("foreign", &[]);
    let rules = vec![Rule { begins: "POST", has: "/jobs", times: 1, fault: Fault::TakeName }];
    let proxy = Proxy::start(&space.name, rules);
    let sandbox = scatter(1, SAY);
    sandbox.write("kubeconfig", proxy.kubeconfig());
    let mut program = space.program(&sandbox, &registry, &["--clean", "always"]);
    let child = program.env("KUBECONFIG", sandbox.path("kubeconfig")).spawn().expect("it starts");
    let said = ended(child, 1);
    assert!(said.contains("there is another Job moil-foreign-"), "{said}");
    assert!(said.contains(&format!("-n {}", space.name)), "{said}");
    assert_eq!(space.jobs().len(), 1, "the other's stays");
}

#[test]
fn kubernetes_shared_pods_bear_streams_that_are_slow_or_cut_or_refused_for_now() {
    let Some((registry, _whole)) = cluster() else { return };
    let rule = |times, fault| Rule { begins: "GET", has: "/attach", times, fault };
    let busy = || Fault::Answer(500, status(500, "InternalError", json!({})));
    let cases = [
        ("slow", rule(2, Fault::Delay(Duration::from_secs(10)))),
        ("cut", rule(4, Fault::CutAfter(Duration::from_secs(3)))),
        ("refused", rule(4, busy())),
    ];
    for (name, rule) in cases {
        let shared =
            Shared::new(&format!("stream-{name}"), &registry, 4, Some(ALONE), &format!("sleep 6; {SAY}"));
        let proxy = Proxy::start(&shared.space.name, vec![rule]);
        shared.sandbox.write("kubeconfig", proxy.kubeconfig());
        let mut program = shared.command(&[]);
        let child = program.env("KUBECONFIG", shared.sandbox.path("kubeconfig")).spawn().expect("it starts");
        let said = ended(child, 0);
        assert!(!said.contains("] failed: ") && !said.contains("a pod of its own"), "{name}: {said}");
        assert!(proxy.is_through(), "{name}: some faults did not come to pass");
        shared.ran_once(4);
        shared.is_clean();
    }
}

#[test]
fn kubernetes_shared_pods_do_without_one_that_cannot_be_attached_to() {
    let Some((registry, _whole)) = cluster() else { return };
    let line = format!("until [ -e /marks/go ]; do sleep 0.1; done; {SAY}");
    let shared = Shared::new("stream-one", &registry, 6, Some(ALONE), &line);
    let few = |pods: &str| shared.space.quota(&json!({"pods": pods}));
    few("1");
    let proxy = Proxy::start(&shared.space.name, Vec::new());
    shared.sandbox.write("kubeconfig", proxy.kubeconfig());
    let mut program = shared.command(&[]);
    let child = program.env("KUBECONFIG", shared.sandbox.path("kubeconfig")).spawn().expect("it starts");
    shared.until_begun(1);
    let refused = Fault::Answer(500, status(500, "InternalError", json!({})));
    let rule = Rule { begins: "GET", has: "/attach", times: 999, fault: refused };
    proxy.rules.lock().expect("whole").push(rule);
    few("2");
    in_time("there is another pod", 90, || shared.space.pods("Running").len() == 2);
    let first = shared.space.pods("Running");
    in_time("it is given up", 120, || shared.space.pods("Running").iter().any(|pod| !first.contains(pod)));
    shared.sandbox.write("marks/go", "");
    let said = ended(child, 0);
    assert_eq!(said.matches("cannot be attached to, and is given up").count(), 1, "{said}");
    assert!(!said.contains("] failed: ") && !said.contains("a pod of its own"), "{said}");
    shared.ran_once(6);
    shared.is_clean();
}
