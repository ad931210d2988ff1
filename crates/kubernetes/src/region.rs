//! Whether the nodes are in the region of the job store.

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::cluster::Cluster;

/// The label of nodes with their region.
const LABEL: &str = "topology.kubernetes.io/region";

/// How nodes begin that are machines of AWS.
const AWS: &str = "aws://";

/// What people should know of a job store in this region of AWS: that the nodes are in another one. One node is asked
/// for, and nothing is said where the leader may not see it.
pub async fn note(cluster: &Cluster, region: &str) -> Option<String> {
    let list = cluster.everywhere::<Node>().list(&ListParams::default().limit(1)).await.ok()?;
    elsewhere(list.items.first()?, region)
}

/// What is said of a node that is in another region. Regions of other clouds have names of their own.
fn elsewhere(node: &Node, region: &str) -> Option<String> {
    let is_aws = node.spec.as_ref()?.provider_id.as_ref()?.starts_with(AWS);
    let there = node.labels().get(LABEL).filter(|there| is_aws && *there != region)?;
    Some(format!(
        "the job store is in {region} and the nodes are in {there}: all files of jobs go from one to the other, which is \
         slow and costs; a job store beside the nodes is --jobStore aws:{there}:NAME"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_of_aws_in_another_region_are_told() {
        let node = |id: &str, region: &str| {
            let node = json!({"metadata": {"labels": {LABEL: region}}, "spec": {"providerID": id}});
            serde_json::from_value::<Node>(node).expect("a node")
        };
        let aws = "aws:///eu-central-1a/i-1";
        assert_eq!(elsewhere(&node(aws, "us-west-2"), "us-west-2"), None);
        assert_eq!(elsewhere(&node("gce://p/z/n", "europe-west3"), "us-west-2"), None);
        let told = elsewhere(&node(aws, "eu-central-1"), "us-west-2").expect("it is told");
        assert!(told.contains("in us-west-2 and") && told.contains("--jobStore aws:eu-central-1:"), "{told}");
        assert_eq!(elsewhere(&Node::default(), "us-west-2"), None);
    }
}
