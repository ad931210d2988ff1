//! Options of runs on Kubernetes.

use super::*;

/// A run on Kubernetes with these options.
fn pods(options: &str) -> String {
    format!("--batchSystem kubernetes --jobStore aws:us-west-2:demo {options} w")
}

#[test]
fn what_pods_are_like_can_be_set_in_all_ways() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let kubernetes = settings(&pods(
        "--kubernetesNodeSelector disk=ssd,zone=a --kubernetesNodeSelector cpu=amd --kubernetesTolerations gpu:NoSchedule \
         --kubernetesTolerations {\"key\":\"batch\",\"operator\":\"Exists\"} --kubernetesImagePullSecrets a,b \
         --kubernetesVolume pvc:data:/data --kubernetesVolume secret:key:/key --kubernetesQueueName night \
         --kubernetesAppArmorProfile Unconfined --defaultPreemptible --kubernetesImageDisk 10Gi",
    ))
    .kubernetes;
    assert_eq!(kubernetes.node_selector, [pair("disk", "ssd"), pair("zone", "a"), pair("cpu", "amd")]);
    assert_eq!(kubernetes.tolerations.len(), 2);
    assert_eq!(kubernetes.tolerations[1]["key"], "batch");
    assert_eq!(kubernetes.pull_secrets, ["a", "b"]);
    assert_eq!(
        kubernetes.volumes.iter().map(|volume| volume.path.as_str()).collect::<Vec<_>>(),
        ["/data", "/key"]
    );
    assert_eq!(kubernetes.queue.as_deref(), Some("night"));
    assert_eq!(kubernetes.apparmor.as_deref(), Some("Unconfined"));
    assert!(kubernetes.preemptible);
    assert_eq!(kubernetes.image_disk, 10 << 30);
    assert!(!settings(&pods("")).kubernetes.preemptible);
    let variables =
        [("TOIL_KUBERNETES_VOLUME", "pvc:a:/a,pvc:b:/b:ro"), ("TOIL_KUBERNETES_JOB_LABELS", "team=x,cost=y")];
    let kubernetes = settle("w", &variables).expect("it is valid").kubernetes;
    assert_eq!((kubernetes.volumes.len(), kubernetes.job_labels.len()), (2, 2));
}

#[test]
fn what_pods_cannot_be_like_is_told_before_anything_runs() {
    let cases = [
        ("--kubernetesNodeSelector disk", "--kubernetesNodeSelector: 'disk' is not KEY=VALUE"),
        (
            "--kubernetesTolerations a:b",
            "--kubernetesTolerations: 'b' in 'a:b' is none of NoSchedule, PreferNoSchedule, NoExecute",
        ),
        (
            "--kubernetesTolerations {k:1}",
            "--kubernetesTolerations: the toleration has a field that is not known: k:1",
        ),
        ("--kubernetesTolerations {", "--kubernetesTolerations: "),
        ("--kubernetesPriorityClass High", "--kubernetesPriorityClass: 'High' is no name in Kubernetes"),
        (
            "--kubernetesImagePullSecrets a,b_c",
            "--kubernetesImagePullSecrets: 'b_c' is no name in Kubernetes",
        ),
        ("--kubernetesEnvFromSecret -", "--kubernetesEnvFromSecret: '-' is no name in Kubernetes"),
        ("--kubernetesVolume nfs:/data", "--kubernetesVolume: 'nfs:/data' has an unknown source"),
        ("--kubernetesVolume pvc:a:/a,pvc:b:/a", "--kubernetesVolume: /a is in use in pods already"),
        (
            "--kubernetesVolume pvc:a:/var/lib/toil",
            "--kubernetesVolume: /var/lib/toil is in use in pods already",
        ),
        (
            "--kubernetesJobLabels moil/run=x",
            "--kubernetesJobLabels: the label 'moil/run' is set by moil or by Kubernetes",
        ),
        ("--kubernetesQueueName a/b", "--kubernetesQueueName: 'a/b' cannot be the value of a label or taint"),
        ("--kubernetesNamespace My", "--kubernetesNamespace: 'My' is no name in Kubernetes"),
        ("--kubernetesServiceAccount A", "--kubernetesServiceAccount: 'A' is no name in Kubernetes"),
        ("--kubernetesHostPath data", "--kubernetesHostPath: 'data' is no absolute path of the nodes"),
        ("--kubernetesImageDisk much", "--kubernetesImageDisk: 'much' has an unknown unit"),
    ];
    for (options, expected) in cases {
        let (code, text) = fault(&pods(options));
        assert!(code == 2 && text.starts_with(expected), "{options}: {text}");
    }
}

#[test]
fn a_directory_is_a_job_store_for_pods_that_see_it() {
    let asked = |options: &str| settle(&format!("--batchSystem kubernetes {options} w"), &[]);
    let accepted = |options: &str| asked(options).unwrap_or_else(|error| panic!("{options}: {error}"));
    accepted("--jobStore /data/runs/a --kubernetesVolume pvc:data:/data");
    accepted("--jobStore file:/var/lib/toil/a --kubernetesHostPath /mnt/scratch");
    for options in [
        "--jobStore /data/runs/a",
        "--jobStore /data2/a --kubernetesVolume pvc:data:/data",
        "--jobStore /data/runs/a --kubernetesVolume pvc:data:/data:ro",
        "--jobStore /mnt/scratch/a --kubernetesHostPath /mnt/scratch",
        "--jobStore /var/lib/toil/a",
    ] {
        let error = asked(options).expect_err(options);
        assert_eq!(error.exit_code(), ExitCode::FAILURE);
        let text = error.to_string();
        assert!(text.starts_with("pods do not see the job store /"), "{text}");
        assert!(
            text.contains("--kubernetesVolume SOURCE:DIRECTORY") && text.contains("aws:REGION:NAME"),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_place_of_pods_is_not_handed_to_them() {
    let given = settings(&pods("--writeLogs logs --singularity-sandbox-path images"));
    assert_eq!(given.log.jobs_dir.as_deref(), Some(Path::new("/here/logs")), "logs come to the leader");
    assert_eq!(given.containers.sandboxes, None);
    assert_eq!(
        given.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(),
        ["--singularity-sandbox-path: pods do not see /here/images, so there will be no images of theirs"]
    );
    assert_eq!(given.containers.engine, Engine::Singularity);
    assert_eq!(settings(&pods("--no-container")).containers.engine, Engine::None);
    let (code, text) = fault(&pods("--docker"));
    assert!(code == 1 && text.contains("pods have no other engine"), "{text}");
    let (code, text) = fault(&pods("--sseKey key"));
    assert!(code == 1 && text.starts_with("pods do not see the key of --sseKey, /here/key"), "{text}");
    settings(&pods("--sseKey /keys/key --kubernetesVolume secret:key:/keys"));
}

#[test]
fn pods_that_share_a_directory_share_inputs_unless_told_not_to() {
    let node = "--kubernetesHostPath /data";
    for (options, shares) in [
        (pods(node), true),
        (pods(&format!("{node} --caching")), true),
        (pods(&format!("{node} --disableCaching false")), true),
        (pods(&format!("{node} --disableCaching")), false),
        (pods(&format!("{node} --caching=false")), false),
        (pods(""), false),
        (pods("--caching"), false),
        ("--batchSystem processes --jobStore s w".to_owned(), false),
        ("--batchSystem processes --jobStore s --caching w".to_owned(), true),
        ("--caching w".to_owned(), false),
    ] {
        assert_eq!(settings(&options).shares_inputs(), shares, "{options}");
    }
    let told = settings(&pods("--caching")).notes;
    assert!(told[0].text.contains("--kubernetesHostPath names one"), "{told:?}");
    assert_eq!(settings("--inputCacheSize 2Gi w").files.cache_limit, Some(2 << 30));
}
