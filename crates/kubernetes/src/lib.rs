//! The executor of Kubernetes: `batch/v1` Jobs whose pods run `moil worker`, for one attempt or for one after the other.
//!
//! What is made and what is read is decided by pure functions; one task of a runtime of its own asks the API server and
//! watches. The rest of the program sees blocking calls.
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | what the binary decides once for all pods |
//! | [`names`] | names and labels |
//! | [`notation`] | what people write about pods on a command line |
//! | [`manifest`] | the Job of an attempt |
//! | [`pool`] | pods that take more than one job: which, and how many |
//! | [`room`] | pods that wait for another run: which are taken over, and which make room |
//! | [`placement`] | on which nodes its pod may be |
//! | [`template`] | what people set in pods themselves |
//! | [`outcome`] | how it stands with an attempt, from its pod |
//! | [`events`] | what Kubernetes tells of those that have not begun |
//! | [`waiting`] | how long what a pod waits for may take |
//! | [`cluster`] | the API server |
//! | [`executor`] | the executor |
//! | `region` | whether the nodes are where the job store is |
//! | [`doctor`] | whether a cluster has what a run needs |

pub mod cluster;
pub mod doctor;
pub mod events;
pub mod executor;
mod lead;
pub mod logs;
pub mod manifest;
pub mod names;
pub mod notation;
pub mod outcome;
pub mod placement;
pub mod pool;
mod region;
pub mod room;
pub mod settings;
mod stream;
pub mod template;
pub mod waiting;
