//! Outcomes into the journal: the shared part of settling.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::outcome::{Fault, Outcome};
use crate::model::call::{CallClass, KeyedCall};
use crate::model::failure::{DECIDE_ANEW, Failure, FailureCode};
use crate::model::journal::{CallEntry, Calls, Waits};
use crate::model::limits::{FIRST_BACKOFF, MAX_BACKOFF, WAIT_BUDGET};
use crate::model::object::Object;
use crate::model::time::Time;

/// The journal of an object; empty when it has none.
#[must_use]
pub fn journal_of<J: DeserializeOwned + Default>(object: &Object) -> J {
    let journal = object.body.get("status").and_then(|status| status.get("journal"));
    journal.and_then(|journal| J::deserialize(journal).ok()).unwrap_or_default()
}

/// Writes the outcomes of calls into the journal. Entries without an outcome, and those settled before, stay.
pub fn settle(journal: &mut dyn Calls, outcomes: Vec<(&KeyedCall, Outcome)>, now: Time) {
    let mut groups = journal.groups_mut();
    for (call, outcome) in outcomes {
        let entry = groups.iter_mut().flat_map(|group| group.calls.iter_mut()).find(|entry| entry.key == call.key);
        if let Some(entry) = entry.filter(|entry| entry.is_open()) {
            settle_one(entry, call, outcome, now);
        }
    }
    for group in &mut groups {
        let complete = !group.calls.is_empty() && group.calls.iter().all(|call| call.result.is_some());
        if complete && group.done_at.is_none() {
            *group.done_at = Some(now);
        }
    }
}

fn settle_one(entry: &mut CallEntry, call: &KeyedCall, outcome: Outcome, now: Time) {
    match outcome {
        Outcome::Done(evidence) => {
            // How often it was tried, and what came instead, stays beside the result.
            if let Some(waits) = &mut entry.waits {
                waits.proven = false;
            }
            entry.result = Some(evidence);
        }
        Outcome::Refused(failure) => entry.failure = Some(failure),
        Outcome::NoEffect { fault, retry_after } => wait(entry, call, &fault, Some(retry_after), now),
        Outcome::Unknown(fault) if call.call.class() == CallClass::Opaque => entry.failure = Some(unknown(entry, call, &fault)),
        Outcome::Unknown(fault) => wait(entry, call, &fault, None, now),
    }
}

/// Of the entries, those with an intent, without a result, whose wait is over, as planned.
///
/// # Errors
/// A call whose inputs are no longer those of its intent: what was promised cannot be sent any more.
pub fn due(entries: &mut [CallEntry], planned: Result<Vec<KeyedCall>, Failure>, now: Time) -> Result<Vec<KeyedCall>, Failure> {
    let planned = planned?;
    let mut due = Vec::new();
    for call in entries.iter_mut().filter(|call| call.is_open()) {
        let Some(found) = planned.iter().find(|planned| planned.key == call.key) else {
            let message = format!("{} would no longer send what its intent {} promised", call.name, call.key.mark());
            return Err(Failure::human(FailureCode::InputsChanged, message, &["Restore the schema from git.", DECIDE_ANEW]));
        };
        if call.waits.as_ref().is_none_or(|waits| waits.retry_at <= now) {
            renew_intent(call, found.call.class(), now);
            due.push(found.clone());
        }
    }
    Ok(due)
}

/// An Opaque call whose last try is proven to have had no effect gets an intent of its own before it is sent again: after
/// a crash the journal then tells whether anything can have been sent. Other classes are looked up instead.
pub fn renew_intent(entry: &mut CallEntry, class: CallClass, now: Time) {
    if let Some(waits) = entry.waits.as_mut().filter(|waits| waits.proven && class == CallClass::Opaque) {
        waits.proven = false;
        entry.intended_at = now;
    }
}

/// An effect that may have happened and cannot be looked up: a person must look (design section 3, Opaque).
fn unknown(entry: &CallEntry, call: &KeyedCall, fault: &Fault) -> Failure {
    let (name, key, provider) = (&call.name, &call.key, &call.provider.name);
    let message = format!("whether {name} took effect at Provider {provider} is unknown ({}): it cannot be looked up", fault.code);
    let look =
        format!("Inspect Provider {provider} for a resource that carries key {} made at or after {}.", key.mark(), entry.intended_at);
    Failure::human(FailureCode::OutcomeUnknown, message, &[look.as_str(), "If it exists, remove it by hand.", DECIDE_ANEW])
}

/// Notes a try without a result. `proven` holds when to come back, if the try is proven to have had no effect.
fn wait(entry: &mut CallEntry, call: &KeyedCall, fault: &Fault, proven: Option<Option<Duration>>, now: Time) {
    let (tries, since) = entry.waits.as_ref().map_or((1, now), |waits| (waits.tries + 1, waits.since));
    let backoff = FIRST_BACKOFF.saturating_mul(1 << (tries - 1).min(10)).min(MAX_BACKOFF);
    let delay = proven.flatten().unwrap_or(backoff).max(FIRST_BACKOFF);
    if now.since(since) + delay > WAIT_BUDGET {
        let message = format!(
            "{} at Provider {} did not succeed in {tries} tries within {} s; last: {} {}",
            call.name,
            call.provider.name,
            WAIT_BUDGET.as_secs(),
            fault.code,
            fault.message
        );
        let look = format!("Check connection and service of Provider {0}: `kubectl get provider {0} -o yaml`.", call.provider.name);
        entry.failure =
            Some(Failure::human(FailureCode::Unavailable, message, &[look.as_str(), "Wait until it answers again.", DECIDE_ANEW]));
        return;
    }
    entry.waits = Some(Waits {
        code: fault.code.to_owned(),
        message: fault.message.chars().take(512).collect(),
        tries,
        since,
        retry_at: Time::after(now.instant(), delay),
        proven: proven.is_some(),
    });
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
