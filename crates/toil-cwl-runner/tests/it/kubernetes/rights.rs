//! People with few rights: what they can do with the Roles that are printed, and what is said where one is missing.

use std::process::{Child, Command};

use moil_kubernetes::doctor::rights::RIGHTS;
use serde_json::{Value, json};

use super::faults::{ended, signal};
use super::leader::example;
use super::space::{SAY, Space, in_time, scatter};
use super::{ALL, Sandbox, cluster, end, lines, told, words};

/// The Role of Toil's page on Kubernetes, word for word but for the namespace.
const TOIL_USER: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: toil-user
rules:
- apiGroups: ["*"]
  resources: ["*"]
  verbs: ["explain", "get", "watch", "list", "describe", "logs", "attach", "exec", "port-forward", "proxy", "cp", "auth"]
- apiGroups: ["batch"]
  resources: ["*"]
  verbs: ["get", "watch", "list", "create", "run", "set", "delete"]
- apiGroups: [""]
  resources: ["secrets", "pods", "pods/attach", "podtemplates", "configmaps", "events", "services"]
  verbs: ["patch", "get", "update", "watch", "list", "create", "run", "set", "delete", "exec"]
- apiGroups: [""]
  resources: ["pods", "pods/log"]
  verbs: ["get", "list"]
- apiGroups: [""]
  resources: ["pods/exec"]
  verbs: ["create"]
"#;

/// Lets a user have a Role.
fn bind(space: &Space, role: &str, user: &str) {
    space.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"kind": "User", "name": user}],
    }));
}

/// Writes the kubeconfig of a user, who has no rights but those that are bound; gives its path.
fn kubeconfig(sandbox: &Sandbox, user: &str) -> std::path::PathBuf {
    let path = std::env::var("KUBECONFIG").expect("it is set in the cluster's network");
    let text = std::fs::read_to_string(path).expect("it is there");
    let name = format!("{user}.kubeconfig");
    sandbox.write(&name, text.replace("user: {token: ", &format!("user: {{as: {user}, token: ")));
    sandbox.path(&name)
}

#[test]
fn kubernetes_people_with_a_printed_role_can_run_watch_restart_and_clean() {
    let Some((registry, _whole)) = cluster() else { return };
    for (name, role) in [
        ("moil-leader", example("leader-role.yaml")),
        ("moil-people", example("people-role.yaml")),
        ("toil-user", TOIL_USER.to_owned()),
    ] {
        let space = Space::new(&format!("role-{name}"), &[]);
        space.kubectl(&["apply", "-f", "-"], &role).expect("it is applied");
        bind(&space, name, "ada");
        let sandbox = words(15);
        let ada = kubeconfig(&sandbox, "ada");
        let start = |more: &[&str]| -> Child {
            let mut program = space.program(&sandbox, &registry, more);
            program.env("KUBECONFIG", &ada).spawn().expect("it starts")
        };
        let at_work = || in_time("all are at work", 120, || space.pods("Running").len() == 3);
        let kubectl = |words: &[&str]| {
            let mut kubectl = Command::new("kubectl");
            kubectl.env("KUBECONFIG", &ada).args(["-n", &space.name]).args(words);
            let output = kubectl.output().expect("kubectl is there");
            assert!(output.status.success(), "{name}: {words:?}: {}", told(&output));
        };
        let mut first = start(&["--realTimeLogging"]);
        at_work();
        kubectl(&["get", "jobs,pods,events"]);
        kubectl(&["logs", &space.pods("Running")[0]]);
        signal(&first, "-KILL");
        let said: Vec<String> = lines(&mut first).collect();
        assert!(!said.join("\n").contains("forbidden"), "{name}: {said:?}");
        first.wait().expect("it ends");
        let said = ended(start(&["--restart"]), 0);
        assert!(said.contains("still running, started by an earlier leader"), "{name}: {said}");
        assert!(!said.contains("forbidden"), "{name}: {said}");
        assert_eq!(sandbox.read("out/all.txt"), ALL, "{name}");
        in_time("nothing is left", 60, || space.is_clean());
        let second = start(&[]);
        at_work();
        signal(&second, "-KILL");
        end(second);
        let store = format!("aws:us-east-1:{}-{}", space.name, std::process::id());
        let output = super::clean::clean(&space, &sandbox, &registry, &[&store], &[("KUBECONFIG", &ada)]);
        assert!(output.status.success() && space.is_clean(), "{name}: {}", told(&output));
    }
}

/// A Role of a leader without one right.
fn without(role: &Value, resource: &str, verb: &str) -> Value {
    let mut role = role.clone();
    let rules = role["rules"].as_array_mut().expect("a list");
    for rule in rules.iter_mut().filter(|rule| rule["resources"] == json!([resource])) {
        rule["verbs"].as_array_mut().expect("a list").retain(|other| other != verb);
    }
    rules.retain(|rule| rule["verbs"] != json!([]));
    role["metadata"]["name"] = format!("no-{verb}-{}", resource.replace('/', "-")).into();
    role
}

#[test]
fn kubernetes_a_right_that_is_missing_is_named() {
    let Some((registry, _whole)) = cluster() else { return };
    let space = Space::new("missing", &[]);
    // As kubectl reads it.
    space.kubectl(&["apply", "-f", "-"], &example("leader-role.yaml")).expect("it is applied");
    let role = space.kubectl(&["get", "role", "moil-leader", "-o", "json"], "").expect("it is there");
    let mut role: Value = serde_json::from_str(&role).expect("JSON");
    role["metadata"] = json!({});
    // It is what doctor looks for.
    let printed = role["rules"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|rule| (rule["apiGroups"][0].clone(), rule["resources"].clone(), rule["verbs"].clone()));
    let known = RIGHTS.iter().map(|right| (json!(right.group), json!([right.resource]), json!(right.verbs)));
    let sorted = |rights: Vec<(Value, Value, Value)>| {
        let mut rights: Vec<String> = rights.iter().map(|right| format!("{right:?}")).collect();
        rights.sort();
        rights
    };
    assert_eq!(sorted(printed.collect()), sorted(known.collect()));
    // What the run does without it.
    let cases = [
        ("configmaps", "create", 1),
        ("configmaps", "delete", 0),
        ("jobs", "create", 1),
        ("jobs", "list", 1),
        ("jobs", "watch", 0),
        ("jobs", "delete", 0),
        ("pods", "list", 1),
        ("pods", "watch", 0),
        ("pods/log", "get", 0),
        ("secrets", "create", 1),
        ("secrets", "delete", 0),
    ];
    // All at a time, since some wait whether the right will come.
    let runs: Vec<_> = cases
        .iter()
        .map(|(resource, verb, _)| {
            let role = without(&role, resource, verb);
            let user = role["metadata"]["name"].as_str().expect("a name").to_owned();
            space.apply(&role);
            bind(&space, &user, &user);
            let sandbox = match *resource {
                "secrets" => words(1),
                _ => scatter(1, SAY),
            };
            let store = format!("aws:us-east-1:{}-{user}", space.name);
            let options = ["--jobStore", &store, "--clean", "always", "--realTimeLogging"];
            let mut program = space.program(&sandbox, &registry, &options);
            let program =
                program.env("KUBECONFIG", kubeconfig(&sandbox, &user)).env("TOIL_KUBERNETES_OWNER", &user);
            (program.spawn().expect("it starts"), sandbox)
        })
        .collect();
    for ((resource, verb, code), (child, _sandbox)) in cases.iter().zip(runs) {
        let output = end(child);
        let said = told(&output);
        // For half a minute it goes on without a watch; on a slow machine that is not enough.
        let is_late =
            *verb == "watch" && output.status.code() == Some(1) && said.contains("cannot be watched");
        assert!(is_late || output.status.code() == Some(*code), "{resource}, {verb}: {said}");
        let right = format!("cannot {verb} resource \"{resource}\"");
        assert!(said.contains(&right) && said.contains("leader-role.yaml"), "{right}: {said}");
        // Once for each of three jobs that fail, and else once.
        assert!(said.matches(&right).count() <= 3, "{right}: {said}");
    }
}
