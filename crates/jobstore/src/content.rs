//! The contents of output files, kept beyond their attempts.
//!
//! | module | holds |
//! |---|---|
//! | [`file`] | contents in a directory |
//! | [`imports`] | inputs of this machine are brought to them |
//! | `s3` | contents in a bucket (feature `aws`) |

use moil_job::spec::AttemptId;

pub mod file;
pub mod imports;
#[cfg(feature = "aws")]
pub mod s3;

/// A name for what an attempt left, for people: what keeps two apart is random.
fn slug(attempt: &AttemptId) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let name: String = attempt.job.0.chars().map(safe).take(60).collect();
    format!("{name}-{}", attempt.number)
}
