//! The engine: a pure plan of what is to be done, and the leader that does it.
//!
//! | module | holds |
//! |---|---|
//! | [`graph`] | workflows with the requirements in force at every place |
//! | [`generator`] | processes that make the process to run |
//! | [`plan`] | which steps are to be prepared and which jobs are to run |
//! | [`evaluator`] | the threads that evaluate expressions and prepare jobs |
//! | [`admission`] | which waiting jobs may start now |
//! | [`retry`] | whether a failed job is tried again |
//! | [`leader`] | the loop that owns all run state |
//! | [`journal`] | the thread that writes down what the leader does |
//! | [`keying`] | the memo keys of jobs |
//! | [`caching`] | results that are kept beyond the run |
//! | [`memo`] | results that earlier leaders recorded |
//! | [`replay`] | what expressions gave that give something else each time |
//! | `updates` | what tools changed in place, and where it lies now |
//! | [`retrace`] | the way back to one job, for whoever looks at it |
//! | [`export`] | where the outputs go at the end |
//! | [`fold`] | status, statistics and messages from the stream of events |

pub mod admission;
pub mod caching;
pub mod evaluator;
pub mod export;
pub mod fold;
pub mod generator;
pub mod graph;
pub mod journal;
pub mod keying;
pub mod leader;
pub mod memo;
pub mod plan;
pub mod replay;
pub mod retrace;
pub mod retry;
mod updates;
