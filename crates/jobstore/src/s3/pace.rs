//! How requests are made again, and how all of them slow down together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;

use super::bucket::Bucket;
use super::error::{Error, Kind};

/// What answers that refuse a request for its region say the region in.
const REGION_HEADER: &str = "x-amz-bucket-region";

/// Until when nobody makes a request. A server that says that there are too many says it to one of many.
#[derive(Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// How long to wait before the next request.
    fn ahead(&self) -> Duration {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Nobody goes on before this time is over.
    fn slow_down(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = (*latest).max(Some(until));
    }

    async fn pass(&self) {
        // Whoever waits meanwhile may have been told to wait longer.
        loop {
            let wait = self.ahead();
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }
}

impl Bucket {
    /// One request, made again as the settings say.
    pub(super) fn request<T, F>(&self, once: impl FnMut(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.s3.block_on(|| self.retried(once))
    }

    /// Makes a request until it succeeds, fails for good, or patience ends.
    pub(super) async fn retried<T, F>(&self, mut once: impl FnMut(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let patience = self.s3.settings().patience;
        for wait in patience.waits() {
            self.s3.pace().pass().await;
            match once(self.s3.client(&self.name)?).await {
                Err(error) if error.kind == Kind::Elsewhere => {}
                Err(error) if error.kind == Kind::SlowDown => self.s3.pace().slow_down(wait),
                Err(error) if error.kind.is_passing() => tokio::time::sleep(wait).await,
                done => return done,
            }
        }
        self.s3.pace().pass().await;
        once(self.s3.client(&self.name)?).await.map_err(|error| patience.given_up(error))
    }

    /// An error, and what else an answer tells: in which region the bucket is, and that nobody asked for it by name.
    pub(super) fn told<E>(&self, mut error: Error, answer: &SdkError<E, HttpResponse>) -> Error {
        let response = answer.raw_response();
        let region = response
            .filter(|response| matches!(response.status().as_u16(), 301 | 307 | 400))
            .and_then(|response| response.headers().get(REGION_HEADER));
        if let Some(region) = region
            && self.s3.learn(&self.name, region)
        {
            error.kind = Kind::Elsewhere;
        }
        if error.kind == Kind::Denied && self.s3.is_anonymous() {
            error.reason += "; no AWS credentials were found, so the request was not signed (AWS_ACCESS_KEY_ID and \
                             AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of this machine)";
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_that_was_asked_for_counts() {
        let pace = Pace::default();
        assert!(pace.ahead().is_zero());
        pace.slow_down(Duration::from_secs(60));
        pace.slow_down(Duration::from_secs(1));
        assert!(pace.ahead() > Duration::from_secs(30));
    }
}
