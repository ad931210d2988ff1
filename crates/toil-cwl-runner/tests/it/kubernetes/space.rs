//! A namespace for a test, and a workflow for it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{kubectl, program, secret};
use crate::sandbox::Sandbox;

/// A namespace with the Secret that opens S3; goes with the test.
pub struct Space {
    pub name: String,
}

impl Space {
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Self {
        let space = Self::labelled(name, labels);
        space.apply(&secret());
        space
    }

    /// Without the Secret.
    pub fn bare(name: &str) -> Self {
        Self::labelled(name, &[])
    }

    fn labelled(name: &str, labels: &[(&str, &str)]) -> Self {
        let name = format!("moil-{name}-{}", std::process::id());
        let labels: Map<String, Value> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let space =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        kubectl(&["apply", "-f", "-"], &space.to_string()).expect("the namespace is made");
        let space = Self { name };
        in_time("its service account is there", 120, || space.get(&["serviceaccount", "default"]).is_ok());
        space
    }

    pub fn apply(&self, document: &Value) {
        self.kubectl(&["apply", "-f", "-"], &document.to_string()).expect("it is applied");
    }

    pub fn kubectl(&self, words: &[&str], document: &str) -> Result<String, String> {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(words.iter().copied()).collect();
        kubectl(&words, document)
    }

    /// Limits what there may be, and waits until that counts: before, the quota says of itself that it is not known.
    pub fn quota(&self, hard: &Value) {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": hard},
        }));
        let known = ["get", "resourcequota", "few", "-o", "jsonpath={.status.hard}"];
        in_time("it counts", 30, || self.kubectl(&known, "").is_ok_and(|hard| !hard.is_empty()));
    }

    /// Gives a service account these rights, and writes a kubeconfig for it: its path.
    pub fn account(&self, role: &str, sandbox: &Sandbox) -> PathBuf {
        self.kubectl(&["apply", "-f", "-"], role).expect("applied");
        let token = self.kubectl(&["create", "token", "moil-leader"], "").expect("a token");
        let path = std::env::var("KUBECONFIG").expect("it is set in the cluster's network");
        let text = std::fs::read_to_string(path).expect("it is there");
        let begin = text.find("token: \"").expect("it has a token") + 8;
        let end = begin + text[begin..].find('"').expect("it ends");
        sandbox.write("kubeconfig", format!("{}{}{}", &text[..begin], token.trim(), &text[end..]));
        sandbox.path("kubeconfig")
    }

    fn get(&self, words: &[&str]) -> Result<String, String> {
        let words: Vec<&str> = ["get"].into_iter().chain(words.iter().copied()).collect();
        self.kubectl(&words, "")
    }

    /// Names of pods that are in a phase.
    pub fn pods(&self, phase: &str) -> Vec<String> {
        let field = format!("--field-selector=status.phase={phase}");
        let list = self.get(&["pods", &field, "-o", "name"]).expect("pods are listed");
        list.lines().map(str::to_owned).collect()
    }

    pub fn jobs(&self) -> Vec<String> {
        let list = self.get(&["jobs", "-o", "name"]).expect("Jobs are listed");
        list.lines().map(str::to_owned).collect()
    }

    /// Nothing of moil's is left.
    pub fn is_clean(&self) -> bool {
        let label = "app.kubernetes.io/managed-by=moil";
        self.get(&["jobs,pods,secrets,configmaps", "-l", label, "-o", "name"]).expect("listed").is_empty()
    }

    /// The program in this namespace.
    pub fn program(&self, sandbox: &Sandbox, registry: &str, more: &[&str]) -> Command {
        let mut words = vec!["--kubernetesNamespace", &self.name];
        words.extend(more);
        program(sandbox, registry, &self.name, &words)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = kubectl(&["delete", "namespace", &self.name, "--wait=false"], "");
    }
}

/// As `eventually`: what a cluster does takes seconds; where it has other work, five times as many.
#[track_caller]
pub fn in_time(what: &str, seconds: u64, mut test: impl FnMut() -> bool) {
    let (began, seconds) = (Instant::now(), 5 * seconds);
    while !test() {
        assert!(began.elapsed() < Duration::from_secs(seconds), "not in {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The tool says its number.
pub const SAY: &str = "echo -n $0";

/// A sandbox whose workflow runs a line of the shell so many times; each says its number.
pub fn scatter(times: usize, line: &str) -> Sandbox {
    let line = serde_json::to_string(line).expect("a text");
    let sandbox = Sandbox::with(&format!(
        r#"
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {{}}
  ResourceRequirement: {{coresMin: 0.05, ramMin: 32, tmpdirMin: 10, outdirMin: 10}}
inputs: {{numbers: "int[]"}}
outputs: {{all: {{type: "string[]", outputSource: say/word}}}}
steps:
  say:
    scatter: number
    in: {{number: numbers}}
    out: [word]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, {line}]
      inputs: {{number: {{type: int, inputBinding: {{position: 1}}}}}}
      outputs:
        word:
          type: string
          outputBinding: {{glob: word, loadContents: true, outputEval: "$(self[0].contents)"}}
      stdout: word
"#
    ));
    let numbers: Vec<String> = (0..times).map(|number| number.to_string()).collect();
    sandbox.write("job.yml", format!("numbers: [{}]\n", numbers.join(", ")));
    sandbox
}
