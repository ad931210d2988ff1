//! The inputs that workers of one machine share, where the leader says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use moil_job::contents::Contents;
use moil_worker::downloads::Download;
use moil_worker::input_cache::{self, CacheConfig, Cached};

use crate::log::Log;
use crate::settings::Settings;

/// Where they lie in the home of a worker, which is that of an owner in pods that share a directory of their node.
const BELOW_HOME: [&str; 3] = [".cache", "moil", "inputs"];

/// How long another worker may bring nothing of what it fetches: it also reads all of it.
const PATIENCE: Duration = Duration::from_secs(600);

/// The same downloads, through what workers of this machine share, if they share inputs.
pub fn around(
    download: Arc<dyn Download>,
    settings: &Settings,
    contents: &dyn Contents,
    log: &Log,
) -> Arc<dyn Download> {
    let home = settings.environment.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let Some(home) = home.filter(|_| settings.files.caching == Some(true)) else { return download };
    let log = log.clone();
    // What a store in a directory keeps is moved there, and can be changed in place.
    let links = contents.root().is_none() && !input_cache::may_write_anything();
    let config = config(&home, settings.files.cache_limit, links);
    Arc::new(Cached::new(download, config, Box::new(move |text| log.warning(text))))
}

fn config(home: &Path, limit: Option<u64>, links: bool) -> CacheConfig {
    let owner = home.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let base = home.parent().filter(|_| owner.is_some()).unwrap_or(home);
    let below = owner.into_iter().chain(BELOW_HOME.map(str::to_owned)).collect();
    CacheConfig { base: base.to_owned(), below, limit, links, patience: PATIENCE }
}
