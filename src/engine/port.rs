//! The only doors to the outside: time, identifiers, the world of objects, external systems, the ledger.
//!
//! Everything below `decide` is pure; everything that is not pure enters through a trait of this file, so that a test
//! can stand in every doorway.

use jiff::Timestamp;
use uuid::Uuid;

/// Wall-clock time. Sleeping is `tokio::time`, which tests pause.
pub trait Clock: Send + Sync {
    /// The present instant, as it is written into conditions, journals and records.
    fn now(&self) -> Timestamp;
}

/// Source of identifiers that nothing else determines: object UIDs, tokens.
pub trait Identifiers: Send + Sync {
    /// A version 4 UUID.
    fn uuid(&self) -> Uuid;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one door for the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The machine's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIdentifiers;

impl Identifiers for RandomIdentifiers {
    #[allow(clippy::disallowed_methods, reason = "this is the one door for random identifiers")]
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// A clock that starts at a fixed instant and follows `tokio::time`, paused or not: virtual time for simulations.
#[derive(Debug, Clone)]
pub struct VirtualClock {
    origin: Timestamp,
    started: tokio::time::Instant,
}

impl VirtualClock {
    /// A clock that reads `origin` now. Call inside a tokio runtime.
    #[must_use]
    pub fn starting_at(origin: Timestamp) -> Self {
        Self { origin, started: tokio::time::Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.origin.checked_add(jiff::SignedDuration::from_nanos(elapsed)).unwrap_or(Timestamp::MAX)
    }
}
