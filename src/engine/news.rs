//! What is worth telling an operator: what an object's status says and a record or an offer proves.
//!
//! A kind lists the conditions that tell something. One that stands is a notice; one that stands after a status write and
//! did not stand before is news. Both are functions of object and audit chain, so whoever asks again, in another process
//! or another year, gets the same notices with the same identities.

use serde_json::{Value, json};

use super::kind::Chain;
use crate::model::canonical::{self, Digest};
use crate::model::notice::{Cause, Notice, Regarding, Topic};
use crate::model::object::Object;
use crate::model::pointer::text;
use crate::model::record::{Entry, RecordDraft};
use crate::model::time::Time;

/// A condition that tells something.
#[derive(Debug, Clone, Copy)]
pub struct Telling {
    /// Condition type.
    pub condition: &'static str,
    /// Its reason.
    pub reason: &'static str,
    /// What is told.
    pub topic: Topic,
    /// What proves it.
    pub proof: Proof,
}

/// What proves that a condition's reason is meant, and gives the notice its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The newest record of this event. Without one nothing has happened that could be told.
    Record(&'static str),
    /// The evidence that `status.decision` offers to a person.
    Offer,
}

/// What a status write makes true that was not. What a record proves is news once, with the status that first accounts for
/// it, however often the condition goes and comes back: `accounted` are the records that the written status accounts for and
/// the stored one did not. A record that is younger than the stored status is among them anyway; one may be older, when the
/// process died between the record and its status and what it stands for is done again first.
#[must_use]
pub fn news(tells: &[Telling], before: &Object, after: &Object, chain: &Chain, accounted: &[RecordDraft]) -> Vec<Notice> {
    let (known, recorded) = (standing(tells, before, chain), chain_length(before));
    let is_new = |place: usize| {
        let entry = chain.entries.get(place);
        place >= recorded || accounted.iter().any(|draft| entry.is_some_and(|entry| draft.is_of(entry)))
    };
    let mut fresh = standing(tells, after, chain);
    fresh.retain(|(notice, place)| match place {
        Some(place) => is_new(*place),
        None => !known.iter().any(|(known, _)| is_said_by(known, notice)),
    });
    fresh.into_iter().map(|(notice, _)| notice).collect()
}

/// What a stored status says that can be told again under the same identity.
#[must_use]
pub fn lasting(tells: &[Telling], object: &Object, chain: &Chain) -> Vec<Notice> {
    let notices = standing(tells, object, chain).into_iter().map(|(notice, _)| notice);
    notices.filter(|notice| matches!(notice.cause, Cause::Known(_))).collect()
}

/// Whether a status that said the one said the other, where no record tells.
fn is_said_by(known: &Notice, notice: &Notice) -> bool {
    let same_cause = match &notice.cause {
        Cause::Known(_) => known.cause == notice.cause,
        // Nothing else is known of an outcome whose chain is broken: under one reason it is one.
        Cause::Said(_) => known.reason == notice.reason,
    };
    known.topic == notice.topic && same_cause
}

/// Notices, and the place in the chain of the record that proves them.
fn standing(tells: &[Telling], object: &Object, chain: &Chain) -> Vec<(Notice, Option<usize>)> {
    let conditions = object.body.pointer("/status/conditions").and_then(Value::as_array);
    let said = |telling: &Telling| {
        let is_it =
            |condition: &&Value| text(condition, "/type") == Some(telling.condition) && text(condition, "/reason") == Some(telling.reason);
        notice(telling, conditions?.iter().find(is_it)?, object, chain)
    };
    tells.iter().filter_map(said).collect()
}

/// How many records the status knows of.
fn chain_length(object: &Object) -> usize {
    let length = object.body.pointer("/status/chain/length").and_then(Value::as_u64).unwrap_or_default();
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn notice(telling: &Telling, condition: &Value, object: &Object, chain: &Chain) -> Option<(Notice, Option<usize>)> {
    let Proved { cause, at } = proof(telling, condition, object, chain)?;
    let since = || object.body.pointer("/status/journal").and_then(last_done);
    let steps = |record: &'_ Entry| ["/remediation", "/failure/remediation"].iter().find_map(|at| record.payload.pointer(at).cloned());
    let record = at.and_then(|place| chain.entries.get(place));
    let remediation = record.and_then(steps).and_then(|steps| serde_json::from_value(steps).ok());
    let notice = Notice {
        topic: telling.topic,
        about: Regarding { api_version: object.resource.api_version(), key: object.key(), uid: object.uid().to_owned() },
        owner: owner(object),
        operator: text(&object.body, "/spec/operator").map(str::to_owned),
        reason: telling.reason.to_owned(),
        message: text(condition, "/message").unwrap_or_default().to_owned(),
        remediation: remediation.unwrap_or_default(),
        cause,
        time: record.map(|record| record.time).or_else(since),
    };
    Some((notice, at))
}

struct Proved {
    cause: Cause,
    /// Place in the chain.
    at: Option<usize>,
}

fn proof(telling: &Telling, condition: &Value, object: &Object, chain: &Chain) -> Option<Proved> {
    match telling.proof {
        Proof::Offer => {
            let hash = text(&object.body, "/status/decision/hash")?.parse().ok()?;
            Some(Proved { cause: Cause::Known(hash), at: None })
        }
        Proof::Record(_) if chain.broken.is_some() => Some(Proved { cause: Cause::Said(said(condition, object)?), at: None }),
        Proof::Record(event) => {
            let place = chain.entries.get(..chain_length(object))?.iter().rposition(|entry| entry.event == event)?;
            Some(Proved { cause: Cause::Known(hash_of(chain, place)?), at: Some(place) })
        }
    }
}

/// The hash of an entry: what the next one names, or the head.
fn hash_of(chain: &Chain, place: usize) -> Option<Digest> {
    match chain.entries.get(place + 1) {
        Some(next) => next.previous.clone(),
        None => chain.head.as_ref().map(|head| head.head.clone()),
    }
}

/// Digest of what the condition says. No times: the next try of the same pass says the same.
fn said(condition: &Value, object: &Object) -> Option<Digest> {
    let document = json!({
        "uid": object.uid(), "generation": object.generation(),
        "type": condition.get("type")?, "reason": condition.get("reason")?, "message": condition.get("message")?,
    });
    canonical::own(&document).ok().map(|text| text.digest())
}

/// The controlling owner, as an object reference.
fn owner(object: &Object) -> Option<Value> {
    let owners = object.body.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let mut reference =
        json!({"apiVersion": owner.get("apiVersion")?, "kind": owner.get("kind")?, "name": owner.get("name")?, "uid": owner.get("uid")?});
    if !object.namespace().is_empty() {
        reference["namespace"] = object.namespace().into();
    }
    Some(reference)
}

/// When the last thing was done that a journal tells of.
fn last_done(journal: &Value) -> Option<Time> {
    match journal {
        Value::Object(fields) => {
            let own = fields.get("doneAt").and_then(|time| serde_json::from_value(time.clone()).ok());
            fields.values().filter_map(last_done).chain(own).max()
        }
        Value::Array(items) => items.iter().filter_map(last_done).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
#[path = "news_tests.rs"]
mod tests;
