//! The loop: one pass over one object.
//!
//! gather -> decide -> perform (finalizer, records, children, status, calls) -> settle -> decide again, until the decision
//! asks for nothing more. Results of one step and the intent of the next travel in one status write. Whatever is cut off
//! in between is found again by the next pass: intents are on disk before their calls, records before the status.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;

use super::decision::{Decision, Finalizer};
use super::diff::{self, Change};
use super::kind::{AnyKind, Around, Chain, RoundError, Settings};
use super::news;
use super::port::{Backends, Clock, Ledger, LedgerError, Notifier, Query, Read, World, WorldError};
use crate::model::call::{IdempotencyKey, KeyedCall};
use crate::model::journal::CallEntry;
use crate::model::limits::MAX_ROUNDS;
use crate::model::object::{FINALIZER, Object, ObjectKey};
use crate::model::record::{self, RecordDraft, Subject};
use crate::model::time::Time;

/// The doors of a pass.
#[derive(Clone, Copy)]
pub struct Doors<'a> {
    /// Where facts come from: a cache that sees our own writes.
    pub read: &'a dyn Read,
    /// Where writes go.
    pub world: &'a dyn World,
    /// External systems.
    pub backends: &'a dyn Backends,
    /// Audit chains.
    pub ledger: &'a dyn Ledger,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Who tells operators.
    pub notifier: &'a dyn Notifier,
}

/// What a pass came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// The object is gone.
    Gone,
    /// Nothing more to do until something changes, or until this instant.
    Settled(Option<Time>),
}

/// Why a pass ended early. Nothing is lost by it: the next pass finds what this one did.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// No decision.
    #[error(transparent)]
    Round(#[from] RoundError),
    /// The world refused or did not answer.
    #[error("{doing}: {error}")]
    World {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        error: WorldError,
    },
    /// A record could not be appended.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The decision never settled: a fault of ours.
    #[error("the decision did not settle in {MAX_ROUNDS} rounds")]
    Unsettled,
}

/// Reconciles one object as far as it can go now.
///
/// # Errors
/// [`PassError`]; the caller decides when to try again.
pub async fn pass(kind: &dyn AnyKind, key: &ObjectKey, doors: &Doors<'_>, settings: &Settings) -> Result<Passed, PassError> {
    let Some(mut stored) = doors.read.get(key).await.map_err(doing("reading the object"))? else { return Ok(Passed::Gone) };
    let mut draft = Object::clone(&stored);
    let mut intended = Intents::new();
    let mut accounted: Option<Vec<RecordDraft>> = None;
    for _ in 0..MAX_ROUNDS {
        let chain = read_chain(&draft, doors).await?;
        let now = Time::new(doors.clock.now());
        let decision = kind.round(&draft, doors.read, &Around { now, settings, chain: &chain }).await?;
        if decision.finalizer == Finalizer::Present
            && let Some(updated) = set_finalizer(&stored, true, doors).await?
        {
            take_metadata(&mut draft, &updated);
            stored = updated;
        }
        if append_records(&draft, &decision, &chain, doors).await? || change_children(kind, &draft, &decision, doors).await? {
            continue;
        }
        let anew = decision.records.iter().filter(|record| accounted.as_ref().is_some_and(|before| !before.contains(record)));
        let told = Told { chain: &chain, accounted: anew.cloned().collect() };
        stored = write_status(kind, stored, &mut draft, (decision.status, &told), &mut intended, doors).await?;
        accounted = Some(decision.records);
        news::lasting(kind.tells(), &stored, &chain).iter().for_each(|notice| doors.notifier.stands(notice));
        if decision.finalizer == Finalizer::Absent && set_finalizer(&stored, false, doors).await?.is_some() {
            return Ok(Passed::Settled(decision.wake));
        }
        if decision.calls.is_empty() {
            return Ok(Passed::Settled(decision.wake));
        }
        perform_calls(kind, &mut draft, decision.calls, &intended, doors).await;
    }
    Err(PassError::Unsettled)
}

fn doing(doing: &'static str) -> impl Fn(WorldError) -> PassError {
    move |error| PassError::World { doing, error }
}

/// What the object's audit chain is about.
#[must_use]
pub fn subject_of(object: &Object) -> Subject {
    Subject {
        kind: object.resource.kind.to_owned(),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        uid: object.uid().to_owned(),
    }
}

async fn read_chain(object: &Object, doors: &Doors<'_>) -> Result<Chain, PassError> {
    let stored = doors.ledger.read(&subject_of(object)).await.map_err(doing("reading the audit chain"))?;
    Ok(match record::verify_chain(stored.iter().map(|entry| (entry.text.as_str(), entry.hash.as_str()))) {
        Ok(entries) => {
            let last = stored.last().and_then(|last| last.hash.parse().ok());
            let head = last.zip(u32::try_from(entries.len()).ok()).map(|(head, length)| record::ChainHead { length, head });
            Chain { entries, head, broken: None }
        }
        Err(broken) => Chain { entries: Vec::new(), head: None, broken: Some(broken) },
    })
}

/// Sets or clears the controller's finalizer; none when it is as wanted already.
async fn set_finalizer(stored: &Arc<Object>, present: bool, doors: &Doors<'_>) -> Result<Option<Arc<Object>>, PassError> {
    let mut finalizers = stored.finalizers();
    if finalizers.contains(&FINALIZER) == present || (present && stored.is_going()) {
        return Ok(None);
    }
    if present {
        finalizers.push(FINALIZER);
    } else {
        finalizers.retain(|name| *name != FINALIZER);
    }
    let mut object = Object::clone(stored);
    object.set_metadata("finalizers", finalizers.into());
    doors.world.update(&object).await.map(Some).map_err(doing("setting the finalizer"))
}

fn take_metadata(draft: &mut Object, stored: &Object) {
    draft.body["metadata"] = stored.body["metadata"].clone();
}

/// Appends the records that do not exist yet; true when there were any.
async fn append_records(object: &Object, decision: &Decision, chain: &Chain, doors: &Doors<'_>) -> Result<bool, PassError> {
    let mut appended = false;
    for draft in &decision.records {
        if !chain.entries.iter().any(|entry| draft.is_of(entry)) {
            doors.ledger.append(&subject_of(object), draft).await?;
            appended = true;
        }
    }
    Ok(appended)
}

/// Makes the children what they shall be; true when something was changed.
async fn change_children(kind: &dyn AnyKind, owner: &Object, decision: &Decision, doors: &Doors<'_>) -> Result<bool, PassError> {
    let mut live = Vec::new();
    for resource in kind.children() {
        live.extend(doors.read.list(&Query::related(resource, owner.uid())).await.map_err(doing("listing children"))?);
    }
    for child in &decision.children {
        let key = child.object.key();
        if !live.iter().any(|object| object.key() == key) {
            live.extend(doors.read.get(&key).await.map_err(doing("reading a child"))?);
        }
    }
    let plan = diff::plan(owner.uid(), &decision.children, &live);
    for key in &plan.taken {
        tracing::debug!(child = %key, "the name is taken by an object that is not ours");
    }
    for change in &plan.changes {
        match change {
            Change::Create(object) => doors.world.create(object).await.map(drop).map_err(doing("creating a child"))?,
            Change::Update { object, .. } => doors.world.update(object).await.map(drop).map_err(doing("updating a child"))?,
            Change::Delete { key, uid } => doors.world.delete(key, uid).await.map_err(doing("deleting a child"))?,
        }
    }
    Ok(!plan.changes.is_empty())
}

/// What tells whether a status has news.
struct Told<'a> {
    chain: &'a Chain,
    /// Records that this status accounts for and the one before it, of the same pass, did not.
    accounted: Vec<RecordDraft>,
}

/// Writes the status if it differs from what is stored, noting the intents that this write puts on disk. What it makes true
/// is told first.
async fn write_status(
    kind: &dyn AnyKind,
    stored: Arc<Object>,
    draft: &mut Object,
    (status, told): (Value, &Told<'_>),
    intended: &mut Intents,
    doors: &Doors<'_>,
) -> Result<Arc<Object>, PassError> {
    if status.is_null() || stored.body.get("status") == Some(&status) {
        return Ok(stored);
    }
    let before = open_intents(kind, &stored);
    draft.body["status"] = status;
    for notice in news::news(kind.tells(), &stored, draft, told.chain, &told.accounted) {
        doors.notifier.becomes(&notice).await;
    }
    let written = doors.world.update_status(draft).await.map_err(doing("writing the status"))?;
    intended.extend(open_intents(kind, &written).difference(&before).cloned());
    *draft = Object::clone(&written);
    Ok(written)
}

/// Intents by key and time, and whether their last try is proven to have had no effect.
type Intents = BTreeSet<(IdempotencyKey, Time, bool)>;

fn open_intents(kind: &dyn AnyKind, object: &Object) -> Intents {
    let proven = |call: &CallEntry| call.waits.as_ref().is_some_and(|waits| waits.proven);
    let calls = kind.calls(object).into_iter().filter(CallEntry::is_open);
    calls.map(|call| (call.key.clone(), call.intended_at, proven(&call))).collect()
}

/// Sends the calls at once and settles their outcomes into the draft. An intent that this pass did not write itself is
/// older, so its effect may exist: the call says so.
async fn perform_calls(kind: &dyn AnyKind, draft: &mut Object, mut calls: Vec<KeyedCall>, intended: &Intents, doors: &Doors<'_>) {
    let present = open_intents(kind, draft);
    for call in &mut calls {
        call.resumed = !present.intersection(intended).any(|(key, _, _)| *key == call.key);
    }
    let outcomes = join_all(calls.iter().map(|call| doors.backends.perform(call))).await;
    kind.settle(draft, calls.iter().zip(outcomes).collect(), Time::new(doors.clock.now()));
}
