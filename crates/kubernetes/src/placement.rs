//! On which nodes a pod may be: selector, tolerations, and nodes that can be taken away at any time.

use serde_json::{Value, json};

use crate::manifest::Order;
use crate::settings::Settings;

/// Labels of nodes that can be taken away, as clouds and provisioners set them: key and value.
const PREEMPTIBLE: &[(&str, &str)] = &[
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("cloud.google.com/gke-preemptible", "true"),
    ("cloud.google.com/gke-spot", "true"),
    ("karpenter.sh/capacity-type", "spot"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
];

/// How many of these keep jobs away that must not be on such nodes: those that Toil knows. Where all nodes are of another
/// kind, runs of Toil have worked, too.
const AVOIDED: usize = 2;

/// Taints of such nodes.
const TAINTS: &[(&str, &str)] = &[
    ("cloud.google.com/gke-preemptible", "true"),
    ("cloud.google.com/gke-spot", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
];

/// Sets what says on which nodes a pod may be. Those to avoid are used if there are no others.
pub fn place(pod: &mut Value, order: &Order<'_>, settings: &Settings) {
    let avoid = order.avoid;
    let mut tolerations = settings.tolerations.clone();
    let label = |operator: &str, (key, value): &(&str, &str)| json!({"key": key, "operator": operator, "values": [value]});
    let mut preferred = Vec::new();
    let mut affinity = json!({});
    if order.preemptible.unwrap_or(settings.preemptible) {
        let taint = |(key, value): &(&str, &str)| json!({"key": key, "operator": "Equal", "value": value});
        tolerations.extend(TAINTS.iter().map(taint));
        let prefer = |node| json!({"weight": 1, "preference": {"matchExpressions": [label("In", node)]}});
        preferred.extend(PREEMPTIBLE.iter().map(prefer));
    } else {
        let avoided: Vec<Value> = PREEMPTIBLE[..AVOIDED].iter().map(|node| label("NotIn", node)).collect();
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!({"nodeSelectorTerms": [{"matchExpressions": avoided}]});
    }
    if !avoid.is_empty() {
        // By their names: the label with the name of the host may say something else. A field takes one value.
        let other = |node: &String| json!({"key": "metadata.name", "operator": "NotIn", "values": [node]});
        let others: Vec<Value> = avoid.iter().map(other).collect();
        preferred.push(json!({"weight": 100, "preference": {"matchFields": others}}));
    }
    if !preferred.is_empty() {
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = preferred.into();
    }
    pod["affinity"] = json!({"nodeAffinity": affinity});
    if !tolerations.is_empty() {
        pod["tolerations"] = tolerations.into();
    }
    if !settings.node_selector.is_empty() {
        let labels = settings.node_selector.iter().map(|(key, value)| (key.clone(), value.as_str().into()));
        pod["nodeSelector"] = Value::Object(labels.collect());
    }
}
