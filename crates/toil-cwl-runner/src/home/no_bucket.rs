//! In the place of `bucket`, where the program is built without the feature `aws`: it says so.

use std::path::Path;
use std::sync::Arc;

use moil_cwl::value::Value;
use moil_job::failure::Failure;
use moil_jobstore::remote::Remote;

use crate::aws::without;
use crate::job_store::JobStore;
use crate::settings::{BucketPrefix, Settings};

pub(super) fn url(place: &BucketPrefix) -> String {
    format!("s3://{}/{}", place.name, place.prefix)
}

pub(super) fn check(_: &Settings, place: &BucketPrefix, _: &Remote) -> Result<(), Failure> {
    Err(without(&url(place)))
}

pub(super) fn bring(
    _: &Settings,
    place: &BucketPrefix,
    _: &Value,
    _: &Path,
    _: &Arc<Remote>,
    _: Option<&JobStore>,
) -> Result<Value, Failure> {
    Err(without(&url(place)))
}
