//! The Job of an attempt.

use k8s_openapi::api::batch::v1::Job;
use moil_job::resources::Resources;
use moil_kubernetes::manifest::{self, Order};
use moil_kubernetes::settings::Settings;
use serde_json::{Value, json};

const GRANTED: Resources =
    Resources { cores: 1.5, ram_mib: 4096, tmpdir_mib: 1024, outdir_mib: 1024, gpus: 0 };

fn settings() -> Settings {
    let command = ["moil", "worker", "--store", "aws:us-west-2:demo"].map(str::to_owned).to_vec();
    Settings::new("demo-user", "0123abcd", "aws:us-west-2:demo", "quay.io/demo/appliance:1", command)
}

fn order() -> Order<'static> {
    Order { word: "12-abcdef/align~5B3~5D.2", step: "align_4", granted: &GRANTED, secrets: None, avoid: &[] }
}

/// The Job, after it was seen to be one.
fn job(order: &Order<'_>, settings: &Settings) -> Value {
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "demo", "uid": "1-2-3"});
    let job = manifest::job(order, settings, &owner);
    let read: Job = serde_json::from_value(job.clone()).expect("it is a Job");
    // What is not known to the API is lost on the way.
    let written = serde_json::to_value(&read).expect("it is written");
    assert_eq!(written, job);
    job
}

#[test]
fn the_job_of_an_attempt() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&job(&order(), &settings())).expect("JSON"));
}

#[test]
fn a_job_with_all_that_can_be_set() {
    let settings = Settings {
        service_account: Some("runner".into()),
        aws_secret: Some("aws-credentials".into()),
        host_path: Some("/data/scratch".into()),
        seccomp: "profiles/moil.json".into(),
        environment: vec![("AWS_REGION".into(), "us-west-2".into())],
        ..settings()
    };
    let granted = Resources { gpus: 2, ..GRANTED };
    let order = Order { secrets: Some("demo-secrets"), granted: &granted, ..order() };
    insta::assert_snapshot!(serde_json::to_string_pretty(&job(&order, &settings)).expect("JSON"));
}

#[test]
fn contexts_of_the_user_take_the_place_of_ours() {
    let settings = Settings {
        pod_security_context: Some(json!({"runAsUser": 1000})),
        security_context: Some(json!({"privileged": false})),
        ..settings()
    };
    let pod = &job(&order(), &settings)["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"], json!({"runAsUser": 1000}));
    assert_eq!(pod["containers"][0]["securityContext"], json!({"privileged": false}));
}
