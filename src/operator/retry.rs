//! From an error to a wait, in one match.

use std::time::Duration;

use crate::engine::kind::RoundError;
use crate::engine::port::{LedgerError, WorldError};
use crate::engine::step::PassError;

/// First and longest wait after errors that pass.
const SHORT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Wait after errors that only a change can mend; the change itself wakes at once.
const LONG: Duration = Duration::from_secs(300);

/// How a pass ended badly.
#[derive(Debug)]
pub enum Ended {
    /// With an error.
    Error(PassError),
    /// Its deadline passed.
    Deadline,
    /// It panicked: a fault of ours, reported on the object.
    Panic(String),
}

/// When to try again after the `failures`-th bad end in a row (from 1).
#[must_use]
pub fn wait_after(ended: &Ended, failures: u32) -> Duration {
    match ended {
        Ended::Error(PassError::Round(RoundError::Gather(error))) => wait_after_world(error, failures),
        Ended::Error(PassError::World { error, .. } | PassError::Ledger(LedgerError::World(error))) => wait_after_world(error, failures),
        Ended::Error(
            PassError::Round(RoundError::Shape { .. })
            | PassError::Ledger(LedgerError::Broken(_) | LedgerError::Draft { .. })
            | PassError::Unsettled,
        )
        | Ended::Panic(_) => LONG,
        Ended::Deadline => backoff(failures),
    }
}

fn wait_after_world(error: &WorldError, failures: u32) -> Duration {
    match error {
        WorldError::Unavailable { retry_after: Some(delay), .. } => *delay,
        WorldError::NotFound(_)
        | WorldError::AlreadyExists(_)
        | WorldError::Conflict { .. }
        | WorldError::NotServed(_)
        | WorldError::Gone(_)
        | WorldError::Unavailable { retry_after: None, .. }
        | WorldError::Unknown(_)
        | WorldError::WentBack { .. }
        // Rights are given back without a change of the object.
        | WorldError::Forbidden { .. } => backoff(failures),
        WorldError::Invalid { .. } | WorldError::BadRequest(_) | WorldError::TooLarge { .. } => LONG,
    }
}

fn backoff(failures: u32) -> Duration {
    SHORT.0.saturating_mul(1 << failures.saturating_sub(1).min(12)).min(SHORT.1)
}

/// Whether the end is worth a warning: conflicts are how two writers meet, not faults.
#[must_use]
pub fn is_routine(ended: &Ended) -> bool {
    matches!(ended, Ended::Error(PassError::World { error: WorldError::Conflict { .. } | WorldError::AlreadyExists(_), .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_errors_back_off_and_lasting_ones_wait_for_a_change() {
        let world = |error| Ended::Error(PassError::World { doing: "x", error });
        let unknown = world(WorldError::Unknown("x".into()));
        assert_eq!(wait_after(&unknown, 1), Duration::from_millis(100));
        assert_eq!(wait_after(&unknown, 3), Duration::from_millis(400));
        assert_eq!(wait_after(&unknown, 1000), Duration::from_secs(30));
        let told = world(WorldError::Unavailable { message: String::new(), retry_after: Some(Duration::from_secs(7)) });
        assert_eq!(wait_after(&told, 9), Duration::from_secs(7));
        assert_eq!(wait_after(&world(WorldError::BadRequest("x".into())), 1), LONG);
        assert_eq!(wait_after(&Ended::Panic("x".into()), 1), LONG);
    }
}
