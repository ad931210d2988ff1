//! Who may do what, and in which region.

use std::sync::Arc;

use hyper::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};

use super::state::State;

pub(super) struct Access(pub(super) Arc<State>);

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let reads =
            ["GetObject", "HeadObject", "ListObjectsV2", "HeadBucket"].contains(&context.s3_op().name());
        let public = self.0.options.public.as_deref();
        let is_public = public.is_some() && context.s3_path().get_bucket_name() == public;
        match context.credentials() {
            Some(_) => Ok(()),
            None if reads && is_public => Ok(()),
            None => Err(s3_error!(AccessDenied, "the request is not signed")),
        }
    }
}

/// The region of the bucket that a request is for, if it was signed for another one.
pub(super) fn other_region(state: &State, path: &str, headers: &HeaderMap) -> Option<String> {
    let bucket = path.trim_start_matches('/').split('/').next()?;
    let region = state.lock().get(bucket).map(|bucket| bucket.facts.region.clone())?;
    let region = if region.is_empty() { "us-east-1".to_owned() } else { region };
    let signed = headers.get("authorization")?.to_str().ok()?;
    let scope = signed.split_once("Credential=")?.1.split(',').next()?;
    (state.options.regions && scope.split('/').nth(2) != Some(region.as_str())).then_some(region)
}
