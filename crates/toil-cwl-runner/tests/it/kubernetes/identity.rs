//! Web identity (IRSA): leader and pods have no keys, but tokens of service accounts, which a token service takes for
//! them. The service is ours; tokens are the cluster's, and it says whose they are.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::faults::ended;
use super::space::{SAY, Space, in_time, scatter};
use super::{Sandbox, cluster, kubectl};

const AUDIENCE: &str = "sts.amazonaws.com";
const SECRET: &str = "bm90LXRvLWJlLXRvbGQ";

/// A token service: the roles that it was asked for, and whose tokens came with them.
struct TokenService {
    url: String,
    asked: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl TokenService {
    /// Where pods reach it. It fails the first time that it is asked, or refuses all.
    fn start(registry: &str, refuses: bool) -> Self {
        let host = registry.split(':').next().expect("a host");
        let listener = TcpListener::bind((host, 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let shared = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut is_first = true;
            for stream in listener.incoming().flatten() {
                let (status, body) = match (refuses, std::mem::take(&mut is_first)) {
                    (true, _) => ("403 Forbidden", refusal()),
                    (false, true) => ("503 Service Unavailable", String::new()),
                    (false, false) => ("200 OK", keys()),
                };
                serve(stream, status, &body, &shared);
            }
        });
        Self { url, asked }
    }
}

/// Whose token it is, by the word of the cluster, which takes none of a pod that is gone.
fn user(token: &str) -> String {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token, "audiences": [AUDIENCE]},
    });
    let words = ["create", "-f", "-", "-o", "jsonpath={.status.user.username}"];
    kubectl(&words, &review.to_string()).expect("it is reviewed")
}

/// One request: the form of AssumeRoleWithWebIdentity.
fn serve(mut stream: TcpStream, status: &str, body: &str, asked: &Mutex<BTreeSet<(String, String)>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form).expect("the form");
    let form = String::from_utf8(form).expect("a text");
    let value = |name: &str| {
        let found = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.expect("it is in the form").replace("%3A", ":").replace("%2F", "/")
    };
    assert_eq!(value("Action"), "AssumeRoleWithWebIdentity");
    asked.lock().expect("whole").insert((value("RoleArn"), user(&value("WebIdentityToken"))));
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n", body.len());
    let _ = write!(stream, "{head}Connection: close\r\n\r\n{body}");
}

fn keys() -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIATEST</AccessKeyId>\
         <SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{SECRET}</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>"
    )
}

fn refusal() -> String {
    "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
     <Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error>\
     </ErrorResponse>"
        .to_owned()
}

/// The pods of workers, as the webhook of EKS makes them for the service account.
fn template() -> String {
    json!({"spec": {
        "containers": [{
            "name": "worker",
            "env": [
                {"name": "AWS_ROLE_ARN", "value": "arn:aws:iam::1:role/worker"},
                {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/identity/token"},
            ],
            "volumeMounts": [{"name": "identity", "mountPath": "/identity", "readOnly": true}],
        }],
        "volumes": [{"name": "identity", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "audience": AUDIENCE, "expirationSeconds": 3600}},
        ]}}],
    }})
    .to_string()
}

/// The program, whose leader has a token and no keys.
fn with_token(
    space: &Space,
    sandbox: &Sandbox,
    registry: &str,
    service: &TokenService,
) -> (std::process::Command, String) {
    let audience = format!("--audience={AUDIENCE}");
    let token = space.kubectl(&["create", "token", "leads", &audience], "").expect("a token");
    sandbox.write("token", token.trim());
    sandbox.write("template.json", template());
    let options = [
        "--kubernetesServiceAccount=works",
        "--kubernetesPodTemplate=template.json",
        "--realTimeLogging",
        "--logLevel=TRACE",
        "--clean=always",
    ];
    let mut program = space.program(sandbox, registry, &options);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "TOIL_AWS_SECRET_NAME"] {
        program.env_remove(name);
    }
    program
        .env("AWS_ROLE_ARN", "arn:aws:iam::1:role/leader")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", sandbox.path("token"))
        .env("AWS_ENDPOINT_URL_STS", &service.url);
    (program, token.trim().to_owned())
}

#[test]
fn kubernetes_leader_and_pods_have_keys_by_the_tokens_of_their_service_accounts() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::bare("identity");
    for account in ["leads", "works"] {
        space.kubectl(&["create", "serviceaccount", account], "").expect("made");
    }
    let sandbox = scatter(2, SAY);
    let service = TokenService::start(&registry, false);
    let (mut program, token) = with_token(&space, &sandbox, &registry, &service);
    let said = ended(program.spawn().expect("it starts"), 0);
    assert!(!said.contains("] failed: "), "{said}");
    let of = |role: &str, account: &str| {
        let account = format!("system:serviceaccount:{}:{account}", space.name);
        (format!("arn:aws:iam::1:role/{role}"), account)
    };
    let asked = service.asked.lock().expect("whole").clone();
    assert_eq!(asked, BTreeSet::from([of("leader", "leads"), of("worker", "works")]));
    assert!(!said.contains(&token) && !said.contains("eyJ") && !said.contains(SECRET), "{said}");
    in_time("nothing is left", 60, || space.is_clean());

    // One that is refused says so, and what it was.
    let service = TokenService::start(&registry, true);
    let (mut program, token) = with_token(&space, &sandbox, &registry, &service);
    let said = ended(program.spawn().expect("it starts"), 1);
    assert!(said.contains("Not authorized to perform sts:AssumeRoleWithWebIdentity"), "{said}");
    assert!(!said.contains(&token) && !said.contains("eyJ"), "{said}");
}
