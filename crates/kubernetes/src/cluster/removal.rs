//! Removing what runs have in a cluster, for whoever leads none of them.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::ListParams;
use moil_job::failure::{Failure, FailureKind};
use tokio::time::{Instant, sleep};

use super::Cluster;
use crate::names;
use crate::settings::Settings;

/// How long pods are waited for: they have 30 s to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(500);

/// Whose objects are meant; of both, if both are given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whose<'a> {
    /// The owner, as `--kubernetesOwner` names it.
    pub owner: Option<&'a str>,
    /// The run.
    pub run: Option<&'a str>,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The namespace.
    pub namespace: String,
    /// For people: each run with its owner and job store.
    pub runs: Vec<String>,
    /// Pods that waited for another run.
    pub waiting: usize,
    /// Pods that have not ended yet.
    pub pods_left: usize,
}

impl Whose<'_> {
    /// The selector of these objects.
    pub(crate) fn selector(&self) -> String {
        let label = |name: &str, value: &str| format!("{name}={}", names::label(value));
        let owner = self.owner.map(|owner| label(names::OWNER, owner));
        let run = self.run.map(|run| label(names::RUN, run));
        let ours = [Some("app.kubernetes.io/managed-by=moil".to_owned()), owner, run];
        ours.into_iter().flatten().collect::<Vec<_>>().join(",")
    }
}

/// Removes the objects of runs, and waits for the end of their pods. Of the settings only what says where the cluster is
/// is used.
///
/// # Errors
/// There is no cluster, or it refuses.
pub fn remove(
    settings: &Settings,
    whose: Whose<'_>,
    warn: Arc<dyn Fn(String) + Send + Sync>,
) -> Result<Removed, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(FailureKind::System, "cannot start threads").with_cause(error))?;
    runtime.block_on(async {
        let cluster = Cluster::connect(settings, warn).await?;
        // Those of a run are of no other one, and go with it; those that wait for another one are of none.
        let waiting = match whose.run {
            None => cluster.remove_waiting(&whose.selector()).await?,
            Some(_) => 0,
        };
        let removed = cluster.remove(&whose.selector()).await?;
        Ok(Removed { waiting, ..removed })
    })
}

impl Cluster {
    /// Whatever belongs to a run belongs to its ConfigMap, and goes with it.
    async fn remove(&self, selector: &str) -> Result<Removed, Failure> {
        let parameters = ListParams::default().labels(selector);
        let maps = self.patient(|| async { self.api::<ConfigMap>().list(&parameters).await }).await;
        let maps = maps.map_err(|error| self.failure("list the ConfigMaps of", selector, &error))?;
        let mut removed = Removed { namespace: self.namespace.clone(), ..Removed::default() };
        for map in maps {
            let label = |name: &str| map.labels().get(name).cloned().unwrap_or_default();
            let store = map.data.as_ref().and_then(|data| data.get("store")).cloned().unwrap_or_default();
            self.delete::<ConfigMap>(&map.name_any()).await?;
            removed.runs.push(format!("{} of {} ({store})", label(names::RUN), label(names::OWNER)));
        }
        let began = Instant::now();
        loop {
            let pods = self.patient(|| async { self.pods().list(&parameters).await }).await;
            removed.pods_left =
                pods.map_err(|error| self.failure("list the pods of", selector, &error))?.items.len();
            if removed.pods_left == 0 || began.elapsed() >= PATIENCE {
                return Ok(removed);
            }
            sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_what_is_moils_is_selected() {
        let selector = |owner, run| Whose { owner, run }.selector();
        assert_eq!(selector(None, Some("abc")), "app.kubernetes.io/managed-by=moil,moil/run=abc");
        assert_eq!(
            selector(Some("Ada L"), Some("abc")),
            "app.kubernetes.io/managed-by=moil,moil/owner=Ada-L,moil/run=abc"
        );
    }
}
