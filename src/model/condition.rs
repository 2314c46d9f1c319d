//! Conditions: what is observed of an object, with the reason and since when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::Finding;
use super::limits::MAX_MESSAGE;
use super::time::Time;

/// The summary condition.
pub const READY: &str = "Ready";
/// Present and True while the controller works towards Ready or waits for something that will come by itself.
pub const RECONCILING: &str = "Reconciling";
/// Present and True when only a change by a person can help.
pub const STALLED: &str = "Stalled";

/// `True`, `False` or `Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// There is no fresh evidence.
    Unknown,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One observation, in the shape of `metav1.Condition`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed, CamelCase.
    #[serde(rename = "type")]
    #[schemars(length(max = 64))]
    pub kind: String,
    /// Whether it holds.
    pub status: Truth,
    /// Why, CamelCase; each is documented in the kind's README.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// For people: stable text without times that names the next command.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Generation of the spec that was observed.
    #[serde(default)]
    pub observed_generation: i64,
    /// When `status` last changed.
    pub last_transition_time: Time,
}

/// A condition before it is known whether it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Condition type.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// Reason and message.
    pub why: Finding,
}

/// Merges what is observed now into the conditions of before: a condition whose status did not change keeps its
/// transition time, one that is no longer observed goes. Order is that of `now_observed`.
#[must_use]
pub fn merge(before: &[Condition], now_observed: &[Observation], generation: i64, now: Time) -> Vec<Condition> {
    now_observed
        .iter()
        .map(|observation| {
            let former = before.iter().find(|condition| condition.kind == observation.kind);
            let since = former.filter(|condition| condition.status == observation.status).map(|condition| condition.last_transition_time);
            Condition {
                kind: observation.kind.to_owned(),
                status: observation.status,
                reason: observation.why.reason.to_owned(),
                message: observation.why.message.chars().take(MAX_MESSAGE).collect(),
                observed_generation: generation,
                last_transition_time: since.unwrap_or(now),
            }
        })
        .collect()
}

/// What a summary says, from which `Ready`, `Reconciling` and `Stalled` follow (design section 3, status contract).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Summary {
    /// All promised holds.
    Ready(Finding),
    /// On the way, or waiting for something that comes by itself.
    Progressing(Finding),
    /// There is no fresh evidence; the controller is on it.
    Unproven(Finding),
    /// Waiting for a person's act.
    Awaiting(Finding),
    /// Only a change by a person helps.
    Stalled(Finding),
}

impl Summary {
    /// The conditions that say it.
    #[must_use]
    pub fn observations(&self) -> Vec<Observation> {
        let observe = |kind, status, why: &Finding| Observation { kind, status, why: why.clone() };
        match self {
            Self::Ready(why) => vec![observe(READY, Truth::True, why)],
            Self::Progressing(why) => vec![observe(READY, Truth::False, why), observe(RECONCILING, Truth::True, why)],
            Self::Unproven(why) => vec![observe(READY, Truth::Unknown, why), observe(RECONCILING, Truth::True, why)],
            Self::Awaiting(why) => vec![observe(READY, Truth::False, why)],
            Self::Stalled(why) => vec![observe(READY, Truth::False, why), observe(STALLED, Truth::True, why)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time::new(jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn a_transition_time_moves_only_when_the_status_does() {
        let waiting = Summary::Progressing(Finding::waiting("ReferenceMissing", "Tenant a is missing")).observations();
        let first = merge(&[], &waiting, 1, at(10));
        let later = merge(&first, &Summary::Progressing(Finding::waiting("Other", "still")).observations(), 2, at(20));
        assert_eq!(later[0].last_transition_time, at(10));
        assert_eq!((later[0].reason.as_str(), later[0].observed_generation), ("Other", 2));
        let ready = merge(&later, &Summary::Ready(Finding::info("Ok", "")).observations(), 2, at(30));
        assert_eq!(ready.len(), 1);
        assert_eq!(ready[0].last_transition_time, at(30));
    }

    #[test]
    fn reconciling_and_stalled_never_stand_together() {
        let why = Finding::info("X", "");
        for summary in [
            Summary::Ready(why.clone()),
            Summary::Progressing(why.clone()),
            Summary::Unproven(why.clone()),
            Summary::Awaiting(why.clone()),
            Summary::Stalled(why),
        ] {
            let kinds: Vec<_> = summary.observations().iter().map(|observation| observation.kind).collect();
            assert!(!(kinds.contains(&RECONCILING) && kinds.contains(&STALLED)), "{kinds:?}");
            assert!(kinds.contains(&READY));
        }
    }
}
