//! What is known of an effect after one call.

use std::time::Duration;

use crate::model::failure::Failure;
use crate::model::journal::Evidence;

/// A try that ended without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable code: `RateLimited`, `ConnectionRefused`, `Timeout`, `ReplyLost`, ...
    pub code: &'static str,
    /// What happened, without secrets and without times.
    pub message: String,
}

/// Outcome of one effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It exists, exactly once, as asked for.
    Done(Evidence),
    /// It will not happen by trying again.
    Refused(Failure),
    /// Proven: nothing happened. The same call is sent again later.
    NoEffect {
        /// Why.
        fault: Fault,
        /// When the other side said to come back.
        retry_after: Option<Duration>,
    },
    /// It may or may not have happened.
    Unknown(Fault),
}
