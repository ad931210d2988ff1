//! What is asked of the API server (its audit log tells) and of the job store (the server is ours).

use std::collections::BTreeMap;
use std::process::Child;
use std::time::{Duration, Instant};

use moil_testing::hooks::Call;
use moil_testing::s3::{ACCESS_KEY, Options, S3Server, SECRET_KEY};
use serde_json::{Value, json};

use super::cluster;
use super::faults::{ended, signal};
use super::space::{SAY, Space, in_time, scatter};
use crate::buckets::make_bucket;
use crate::sandbox::Sandbox;

/// A namespace whose pods have their job store with us.
struct Counted {
    space: Space,
    server: S3Server,
    registry: String,
}

impl Counted {
    fn new(name: &str, registry: &str) -> Self {
        let address = registry.split(':').next().and_then(|host| host.parse().ok()).expect("an address");
        let server = S3Server::with(Options { address, ..Options::default() });
        let space = Space::bare(name);
        let keys = format!("aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
        space.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws-credentials"},
            "stringData": {"credentials": format!("[default]\n{keys}")},
        }));
        Self { space, server, registry: registry.to_owned() }
    }

    fn start(&self, sandbox: &Sandbox, more: &[&str]) -> Child {
        let mut program = self.space.program(sandbox, &self.registry, more);
        program
            .env("AWS_ENDPOINT_URL", self.server.url())
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        program.spawn().expect("it starts")
    }

    /// What moil asked of the API server so far, but for watches: how often each verb of each kind.
    fn asked(&self) -> BTreeMap<String, u64> {
        let log = std::env::var("MOIL_TEST_KUBERNETES_AUDIT").expect("it is set in the cluster's network");
        let mut asked = BTreeMap::new();
        for line in std::fs::read_to_string(log).expect("it is there").lines() {
            // The last line may be half a one.
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let is_ours = event["objectRef"]["namespace"] == *self.space.name
                && event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("moil/"));
            let (verb, kind) = (&event["verb"], &event["objectRef"]["resource"]);
            if let (true, Some(verb), Some(kind)) = (is_ours && verb != "watch", verb.as_str(), kind.as_str())
            {
                *asked.entry(format!("{verb} {kind}")).or_default() += 1;
            }
        }
        asked
    }

    /// What leader and workers asked of the job store so far, but for the leader's signs of life and the look whether
    /// somebody wants its end.
    fn stored(&self) -> Vec<Call> {
        let mut calls = self.server.hooks().calls();
        calls.retain(|call| !call.target.contains("/heartbeat/") && !call.target.contains("/kill/"));
        calls
    }
}

#[test]
fn kubernetes_leaders_that_wait_ask_for_nothing() {
    let Some((registry, _whole)) = cluster() else { return };
    let counted = Counted::new("idle", &registry);
    let sandbox = scatter(10, &format!("sleep 600; {SAY}"));
    let child = counted.start(&sandbox, &[]);
    in_time("all are at work", 120, || counted.space.pods("Running").len() == 10);
    let all = || (counted.asked(), counted.stored().len());
    let mut before = all();
    in_time("they have begun", 120, || {
        std::thread::sleep(Duration::from_secs(8));
        std::mem::replace(&mut before, all()) == before
    });
    std::thread::sleep(Duration::from_secs(30));
    assert_eq!(counted.asked(), before.0);
    let calls = counted.stored();
    assert_eq!(calls.len(), before.1, "{:?}", &calls[before.1..]);
    signal(&child, "-INT");
    ended(child, 130);
}

#[test]
fn kubernetes_jobs_cost_few_requests() {
    const JOBS: usize = 12;
    let Some((registry, _whole)) = cluster() else { return };
    let counted = Counted::new("few", &registry);
    let sandbox = scatter(JOBS, SAY);
    ended(counted.start(&sandbox, &[]), 0);
    // A Job is made and removed, and looked at once more where its pod is slow to come.
    // The last ones are on their way when the leader ends.
    in_time("all are removed", 60, || counted.asked().get("delete jobs") == Some(&(JOBS as u64)));
    let asked = counted.asked();
    assert_eq!((asked["create jobs"], asked["delete jobs"]), (JOBS as u64, JOBS as u64), "{asked:?}");
    assert!(asked.values().sum::<u64>() <= 3 * JOBS as u64 + 20, "{asked:?}");
    // An attempt and its result are written and read; and the journal.
    let stored = counted.stored();
    assert!(stored.len() <= 5 * JOBS + 45, "{}: {stored:#?}", stored.len());
}

/// Besides those of the job: its start, its result (read again where it is not told) and its end; with a pod of its own, the
/// attempt, which is written and read.
#[test]
fn kubernetes_runs_of_one_job_cost_few_requests() {
    let Some((registry, _whole)) = cluster() else { return };
    let counted = Counted::new("small", &registry);
    make_bucket(&counted.server, "shared", &[]);
    let sandbox = scatter(1, SAY);
    for (store, pod_per_job, job, most) in [
        ("s3://shared/one", "false", 3, 10),
        ("s3://shared/two", "true", 6, 10),
        ("aws:eu-central-1:run-small", "false", 3, 19),
        ("aws:eu-central-1:run-small", "true", 6, 19),
    ] {
        counted.server.hooks().forget_calls();
        let words = ["--jobStore", store, &format!("--kubernetesPodPerJob={pod_per_job}")];
        let began = Instant::now();
        ended(counted.start(&sandbox, &words), 0);
        // What people want to know of an attempt is recorded by itself where its pod is slow to come.
        let notes = began.elapsed().as_secs() as usize / 3;
        let mut stored = counted.stored();
        // A worker whose first job takes more than two seconds asks for this once.
        let asks =
            |call: &Call| call.is("GetObject") && call.target.ends_with("journal/00000000000000000002");
        if let Some(asked) = stored.iter().position(asks) {
            stored.remove(asked);
        }
        let count = stored.len();
        println!("{store}, a pod per job: {pod_per_job}: {count} requests, {job} of them for the job");
        assert!(count <= job + most + notes, "{store}, {pod_per_job}: {count}: {stored:#?}");
    }
}
