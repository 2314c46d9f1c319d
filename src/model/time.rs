//! Instants as they are stored: UTC, whole seconds.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An instant, UTC, in whole seconds, written as RFC 3339 (`2026-01-31T12:00:00Z`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(Timestamp);

impl Time {
    /// The instant, its fraction of a second dropped.
    #[must_use]
    pub fn new(instant: Timestamp) -> Self {
        Self(Timestamp::from_second(instant.as_second()).unwrap_or(instant))
    }

    /// The instant `delay` later, rounded up to the next whole second so that a wake-up never comes early.
    #[must_use]
    pub fn after(instant: Timestamp, delay: Duration) -> Self {
        let later = instant.checked_add(delay).unwrap_or(Timestamp::MAX);
        let whole = later.as_second() + i64::from(later.subsec_nanosecond() > 0);
        Self(Timestamp::from_second(whole).unwrap_or(Timestamp::MAX))
    }

    /// The instant for arithmetic.
    #[must_use]
    pub fn instant(self) -> Timestamp {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or(Duration::ZERO)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
    }
}

/// Schema of an instant in a frozen spec: a plain string, because the API server compares `format: date-time` loosely.
#[must_use]
pub fn plain_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        "maxLength": 20,
    })
}
