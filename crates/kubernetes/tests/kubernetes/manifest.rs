//! The Job of an attempt.

use k8s_openapi::api::batch::v1::Job;
use moil_job::resources::Resources;
use moil_kubernetes::manifest::{self, Order};
use moil_kubernetes::settings::Settings;
use moil_kubernetes::{notation, template};
use serde_json::{Value, json};

const GRANTED: Resources =
    Resources { cores: 1.5, ram_mib: 4096, tmpdir_mib: 1024, outdir_mib: 1024, gpus: 0 };

fn settings() -> Settings {
    let command = ["moil", "worker", "--store", "aws:us-west-2:demo"].map(str::to_owned).to_vec();
    Settings::new("demo-user", "0123abcd", "aws:us-west-2:demo", "quay.io/demo/appliance:1", command)
}

fn order() -> Order<'static> {
    Order {
        word: "12-abcdef/align~5B3~5D.2",
        serves: None,
        step: "align_4",
        granted: &GRANTED,
        secrets: None,
        avoid: &[],
        inputs: 0,
        has_image: false,
        preemptible: None,
        late: None,
    }
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
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let settings = Settings {
        service_account: Some("runner".into()),
        aws_secret: Some("aws-credentials".into()),
        seccomp: "profiles/moil.json".into(),
        apparmor: Some("moil".into()),
        environment: vec![
            pair("AWS_REGION", "us-west-1"),
            pair("HOME", "/"),
            pair("AWS_REGION", "us-west-2"),
        ],
        node_selector: vec![pair("disk", "ssd")],
        tolerations: notation::tolerations("batch=yes:NoSchedule").expect("it is one"),
        priority_class: Some("low".into()),
        pull_secrets: vec!["registry".into()],
        secret_environment: vec!["proxy".into()],
        volumes: notation::volumes(
            "/mnt/ref:/ref:ro,pvc:data:/data,secret:licence:/opt/licence,configMap:conf:/etc/ref",
        )
        .expect("they are volumes"),
        job_labels: vec![pair("team", "genomes")],
        queue: Some("night".into()),
        preemptible: true,
        image_disk_mib: 4096,
        template: Some(
            template::check(json!({
                "metadata": {"annotations": {"example.com/cost": "genomes"}},
                "spec": {
                    "dnsPolicy": "None",
                    "dnsConfig": {"nameservers": ["10.0.0.1"]},
                    "containers": [{"name": "worker", "resources": {"limits": {"cpu": 2}}}],
                },
            }))
            .expect("it is a template"),
        ),
        ..settings()
    };
    let granted = Resources { gpus: 2, ..GRANTED };
    let order = Order {
        late: Some(1_800_000_000),
        secrets: Some("demo-secrets"),
        granted: &granted,
        inputs: 1 << 30,
        has_image: true,
        ..order()
    };
    insta::assert_snapshot!(serde_json::to_string_pretty(&job(&order, &settings)).expect("JSON"));
}

#[test]
fn nodes_that_lost_an_attempt_are_avoided_beside_all_else() {
    let avoid = ["node-7".to_owned(), "node-8".to_owned()];
    let names = ["node-7", "node-8"]
        .map(|node| json!({"key": "metadata.name", "operator": "NotIn", "values": [node]}));
    for (preemptible, preferences) in [(false, 1), (true, 6)] {
        let job = job(&Order { avoid: &avoid, ..order() }, &Settings { preemptible, ..settings() });
        let affinity = &job["spec"]["template"]["spec"]["affinity"]["nodeAffinity"];
        let preferred =
            affinity["preferredDuringSchedulingIgnoredDuringExecution"].as_array().expect("a list");
        assert_eq!(preferred.len(), preferences);
        let last = &preferred[preferences - 1];
        assert_eq!((&last["weight"], &last["preference"]["matchFields"]), (&json!(100), &json!(names)));
        assert_eq!(affinity["requiredDuringSchedulingIgnoredDuringExecution"].is_null(), preemptible);
    }
}

#[test]
fn a_document_says_more_of_nodes_that_can_be_taken_away_than_an_option() {
    for (document, option, expected) in
        [(None, false, false), (None, true, true), (Some(true), false, true), (Some(false), true, false)]
    {
        let settings = Settings { preemptible: option, ..settings() };
        let pod = &job(&Order { preemptible: document, ..order() }, &settings)["spec"]["template"]["spec"];
        assert_eq!(pod["tolerations"].is_array(), expected, "{document:?} {option}");
    }
}

#[test]
fn disk_counts_what_lies_in_the_pod() {
    let disk = |order: Order<'_>, settings: Settings| {
        let pod = job(&order, &settings)["spec"]["template"]["spec"].clone();
        let disk = |list: &str| pod["containers"][0]["resources"][list]["ephemeral-storage"].clone();
        assert_eq!(disk("limits"), disk("requests"));
        disk("limits")
    };
    let settings = || Settings { image_disk_mib: 4096, ..settings() };
    let scratch = 1024 + 1024 + 256;
    let mib = |mib: u64| format!("{mib}Mi");
    assert_eq!(disk(order(), settings()), mib(scratch));
    let with = || Order { inputs: (5 << 20) + 1, has_image: true, ..order() };
    assert_eq!(disk(with(), settings()), mib(scratch + 6 + 4096));
    assert_eq!(disk(with(), Settings { sees_inputs: true, ..settings() }), mib(scratch + 4096));
    assert_eq!(disk(with(), Settings { host_path: Some("/data".into()), ..settings() }), mib(scratch + 6));
    assert_eq!(disk(order(), Settings { has_default_image: true, ..settings() }), mib(scratch + 4096));
}

#[test]
fn a_directory_of_the_node_is_opened_and_has_a_folder_for_each_owner() {
    let settings =
        Settings { host_path: Some("/data/scratch".into()), owner: "Ada Lovelace".into(), ..settings() };
    let pod = &job(&order(), &settings)["spec"]["template"]["spec"];
    insta::assert_snapshot!(serde_json::to_string_pretty(&pod["initContainers"]).expect("JSON"));
    let path = json!({"path": "/data/scratch", "type": "DirectoryOrCreate"});
    assert_eq!(pod["volumes"][0], json!({"name": "work", "hostPath": path}));
    let home =
        pod["containers"][0]["env"].as_array().expect("a list").iter().find(|one| one["name"] == "HOME");
    assert_eq!(home.expect("it is set")["value"], "/var/lib/toil/ada-lovelace");
    // Who has opened it on all nodes needs nothing that opens it.
    let template = template::check(json!({"spec": {"initContainers": null}})).expect("it is allowed");
    let settings = Settings { template: Some(template), ..settings };
    assert!(job(&order(), &settings)["spec"]["template"]["spec"]["initContainers"].is_null());
}

#[test]
fn apparmor_is_said_in_both_forms_and_beside_a_context_of_the_user() {
    for (profile, annotation, kind) in [
        ("Unconfined", "unconfined", "Unconfined"),
        ("RuntimeDefault", "runtime/default", "RuntimeDefault"),
        ("moil", "localhost/moil", "Localhost"),
    ] {
        let context = Some(json!({"runAsUser": 1000}));
        let settings = Settings { apparmor: Some(profile.into()), security_context: context, ..settings() };
        let template = &job(&order(), &settings)["spec"]["template"];
        let key = "container.apparmor.security.beta.kubernetes.io/worker";
        assert_eq!(template["metadata"]["annotations"][key], annotation);
        let security = &template["spec"]["containers"][0]["securityContext"];
        assert_eq!(security["appArmorProfile"]["type"], kind);
        assert_eq!(security["runAsUser"], 1000);
    }
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

#[test]
fn pods_are_alike_that_have_another_size() {
    let small = Resources { cores: 0.1, ram_mib: 256, ..GRANTED };
    let serves = |granted: &Resources, settings: &Settings| {
        let job = job(&Order { serves: Some(1 << 20), granted, ..order() }, settings);
        let metadata = &job["metadata"];
        (metadata["labels"]["moil/like"].clone(), metadata["annotations"]["moil/room"].clone())
    };
    let (like, room) = serves(&GRANTED, &settings());
    assert!(like.is_string());
    assert_eq!(room, "1500 4096 2048");
    assert_eq!(serves(&small, &settings()), (like.clone(), json!("100 256 2048")));
    let other_run = Settings { run: "other".into(), store: "s3://other".into(), ..settings() };
    assert_eq!(serves(&GRANTED, &other_run).0, like);
    let other_image = Settings { image: "quay.io/demo/appliance:2".into(), ..settings() };
    assert_ne!(serves(&GRANTED, &other_image).0, like);
    assert_ne!(serves(&Resources { gpus: 1, ..GRANTED }, &settings()).0, like);
    // How much such pods have is not known from their jobs.
    let template = json!({"spec": {"containers": [{"name": "worker", "resources": {"limits": {"cpu": 2}}}]}});
    let set = Settings { template: Some(template::check(template).expect("a template")), ..settings() };
    assert_ne!(serves(&GRANTED, &set).0, like);
    assert_ne!(serves(&GRANTED, &set).0, serves(&small, &set).0);
    assert!(job(&order(), &settings())["metadata"]["labels"]["moil/like"].is_null());
}
