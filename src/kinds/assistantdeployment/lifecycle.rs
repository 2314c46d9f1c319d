//! When a deployment makes its next request, and why: one table.

use std::fmt;

use crate::kinds::provisioningrequest::api::{RequestReason, State};

/// What asks for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The deployment is there.
    Created,
    /// An operator has decided on a retry of the newest request.
    Retried,
    /// The spec asks for something else than the newest request was made for, and no cutover is under way.
    Edited,
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Created => "the deployment is created",
            Self::Retried => "Retry is decided on it",
            Self::Edited => "the spec is edited",
        })
    }
}

/// One row: where the newest request stands, what asks, and which request follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follows {
    /// State of the newest request; none when there is none.
    pub newest: Option<State>,
    /// What asks.
    pub cause: Cause,
    /// Why the next request is made.
    pub reason: RequestReason,
}

/// Every way to a request. Nothing automatic leads on from FAILED: an edit of a deployment whose request has failed waits for a
/// retry or a rollback. What was rolled back is not tried again unasked.
pub const ATTEMPTS: &[Follows] = &[
    Follows { newest: None, cause: Cause::Created, reason: RequestReason::Initial },
    Follows { newest: Some(State::Failed), cause: Cause::Retried, reason: RequestReason::Retry },
    Follows { newest: Some(State::RolledBack), cause: Cause::Retried, reason: RequestReason::Retry },
    Follows { newest: Some(State::RolledBack), cause: Cause::Edited, reason: RequestReason::Update },
    Follows { newest: Some(State::Completed), cause: Cause::Edited, reason: RequestReason::Update },
];

/// Why a request follows now; none when none does.
#[must_use]
pub fn next(newest: Option<State>, asks: impl Fn(Cause) -> bool) -> Option<RequestReason> {
    ATTEMPTS.iter().find(|row| row.newest == newest && asks(row.cause)).map(|row| row.reason)
}
