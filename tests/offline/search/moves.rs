//! Everything that can happen to one side: a unit of any object's pass, acts of people, what the tenant itself does.

use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::kinds::operatordecision::api::{DECISION, decision_name};
use mandate::kinds::provisioningrequest::api::State;
use mandate::kinds::tenant::api::TENANT;
use mandate::model::canonical::Digest;
use mandate::model::decision::{Act, Offer};
use mandate::model::failure::FailureCode;
use mandate::model::journal::Journal;
use mandate::model::object::{Object, ObjectKey};
use serde_json::{Value, json};

use super::clinic::{TENANTS, decision, deployment_name};
use super::stage::Run;
use super::state::{Kept, Side, delete, edit, put};

/// What a tenant does, or has done to it, at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// The deployment is deleted.
    Delete,
    /// The deployment asks for the second version.
    Upgrade,
    /// The tenant is suspended.
    Suspend,
    /// It is not any more.
    Resume,
}

impl Event {
    pub fn happens(self, objects: &mut OrdMap<ObjectKey, Kept>, tenant: &str) {
        let deployment = ObjectKey::new(&DEPLOYMENT, tenant, &deployment_name(tenant));
        let suspend = |objects: &mut _, suspended: bool| {
            edit(objects, &ObjectKey::new(&TENANT, "", tenant), |spec| spec["suspended"] = suspended.into());
        };
        match self {
            Self::Delete => delete(objects, &deployment),
            Self::Upgrade => edit(objects, &deployment, |spec| spec["version"] = "2.0".into()),
            Self::Suspend => suspend(objects, true),
            Self::Resume => suspend(objects, false),
        }
    }
}

/// A decision that nobody should make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stray {
    /// The act is not offered.
    NotOffered,
    /// The hash is not that of the evidence.
    Stale,
    /// Not every item is ticked.
    Unticked,
    /// It lies in the other tenant's namespace.
    Abroad,
}

/// One move.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Move {
    Unit(ObjectKey, Run),
    Decision(String, Act, Option<Stray>),
    Event(Event),
}

impl fmt::Display for Move {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(key, Run::Well) => write!(formatter, "{key} passes"),
            Self::Unit(key, run) => write!(formatter, "{key} passes and {run:?}"),
            Self::Decision(subject, act, None) => write!(formatter, "a person decides {act:?} on {subject}"),
            Self::Decision(subject, act, Some(stray)) => write!(formatter, "somebody decides {act:?} on {subject}: {stray:?}"),
            Self::Event(event) => write!(formatter, "{event:?}"),
        }
    }
}

/// What bounds one side.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Requests of the deployment: what would make one more is not done.
    pub attempts: usize,
    pub faults: u8,
    /// A fault may be anything, or but a refusal.
    pub any_fault: bool,
    /// Decisions that nobody should make, edits, suspensions, deletions.
    pub meddling: u8,
    /// Decisions at once that are not judged yet.
    pub open: usize,
}

/// Rounds of undoing, at most: a failed round can be ordered anew for ever.
const ROUNDS: usize = 2;

/// Objects that have passes of their own.
pub fn passing(side: &Side) -> Vec<ObjectKey> {
    let kinds = ["AssistantDeployment", "ProvisioningRequest", "OperatorDecision"];
    side.objects.values().filter(|kept| kinds.contains(&kept.object.resource.kind)).map(|kept| kept.object.key()).collect()
}

fn requests(side: &Side) -> usize {
    side.of_kind("ProvisioningRequest").count()
}

/// What the tenant may do now.
pub fn events(side: &Side, tenant: &str, bounds: &Bounds) -> Vec<(Event, Side)> {
    let mut events = Vec::new();
    if side.spent.suspended {
        events.push(Event::Resume);
    }
    if side.spent.meddling < bounds.meddling {
        let deployment = side.objects.get(&ObjectKey::new(&DEPLOYMENT, tenant, &deployment_name(tenant)));
        if deployment.is_some_and(|kept| !kept.object.is_going()) {
            events.push(Event::Delete);
            if !side.spent.edited && requests(side) < bounds.attempts {
                events.push(Event::Upgrade);
            }
        }
        if !side.spent.suspended {
            events.push(Event::Suspend);
        }
    }
    events.into_iter().map(|event| (event, after(event, side, tenant))).collect()
}

fn after(event: Event, side: &Side, tenant: &str) -> Side {
    let mut after = side.clone();
    event.happens(&mut after.objects, tenant);
    spend(event, &mut after);
    after
}

/// What an event costs.
pub fn spend(event: Event, side: &mut Side) {
    match event {
        Event::Resume => side.spent.suspended = false,
        Event::Suspend => side.spent.suspended = true,
        Event::Upgrade => side.spent.edited = true,
        Event::Delete => {}
    }
    if event != Event::Resume {
        side.spent.meddling += 1;
    }
}

/// What people may decide now, and what they should not.
pub fn decisions(side: &Side, tenant: &str, bounds: &Bounds) -> Vec<(Move, Side)> {
    let judged = |kept: &&Kept| kept.object.body["status"]["verdict"].is_string();
    let open = side.of_kind("OperatorDecision").filter(|kept| !judged(kept)).count();
    if open >= bounds.open {
        return Vec::new();
    }
    let subjects = side.objects.values().filter(|kept| ["AssistantDeployment", "ProvisioningRequest"].contains(&kept.object.resource.kind));
    subjects.flat_map(|kept| on(&kept.object, side, tenant, bounds)).collect()
}

fn on(subject: &Object, side: &Side, tenant: &str, bounds: &Bounds) -> Vec<(Move, Side)> {
    let offer: Option<Offer> = serde_json::from_value(subject.body["status"]["decision"].clone()).ok();
    let offered = offer.as_ref().map(|offer| offer.acts.as_slice()).unwrap_or_default();
    let mut all: Vec<(Act, Option<Stray>)> =
        offered.iter().filter(|act| is_bounded(**act, subject, side, bounds)).map(|act| (*act, None)).collect();
    if side.spent.meddling < bounds.meddling {
        all.extend(Act::ALL.into_iter().filter(|act| !offered.contains(act)).map(|act| (act, Some(Stray::NotOffered))));
        all.extend(offered.iter().flat_map(|act| [(*act, Some(Stray::Stale)), (*act, Some(Stray::Abroad))]));
        all.extend(offered.iter().filter(|act| act.needs_checklist()).map(|act| (*act, Some(Stray::Unticked))));
    }
    let hash = offer.as_ref().map_or_else(|| Digest::of_bytes(b"nothing"), |offer| offer.hash.clone());
    let checklist = offer.map(|offer| offer.checklist).unwrap_or_default();
    all.into_iter().filter_map(|(act, stray)| made(subject, (act, stray), (&hash, &checklist), side, tenant)).collect()
}

/// Whether an act keeps the side within its bounds.
fn is_bounded(act: Act, subject: &Object, side: &Side, bounds: &Bounds) -> bool {
    if subject.resource.kind != "ProvisioningRequest" {
        return true;
    }
    let journal: Journal = journal(subject);
    let again = journal.undo.last().is_some_and(|round| round.done_at.is_none());
    match act {
        Act::Retry if !again => requests(side) < bounds.attempts && journal.undo.len() < ROUNDS,
        Act::Retry | Act::Rollback => journal.undo.len() < ROUNDS,
        Act::Intervene => again || !side.of_kind("OperatorDecision").any(|kept| kept.object.body["spec"]["act"] == "Intervene"),
        Act::Verify | Act::Reject | Act::ConfirmRollback | Act::Release | Act::ValidatePropagation => true,
    }
}

pub fn journal(object: &Object) -> Journal {
    serde_json::from_value(object.body["status"]["journal"].clone()).unwrap_or_default()
}

fn made(
    subject: &Object,
    (act, stray): (Act, Option<Stray>),
    (hash, checklist): (&Digest, &[String]),
    side: &Side,
    tenant: &str,
) -> Option<(Move, Side)> {
    let stale = Digest::of_bytes(b"stale");
    let hash = if stray == Some(Stray::Stale) { &stale } else { hash };
    let abroad = TENANTS.into_iter().find(|other| *other != tenant && stray == Some(Stray::Abroad));
    let namespace = abroad.unwrap_or(tenant);
    let ticked: Value = if stray != Some(Stray::Unticked) && act.needs_checklist() { json!(checklist) } else { json!([]) };
    let number = if stray.is_some() { 2 } else { 1 };
    let name = decision_name(act, subject.name(), hash, number);
    if side.objects.contains_key(&ObjectKey::new(&DECISION, namespace, &name)) {
        return None;
    }
    let mut after = side.clone();
    put(&mut after.objects, decision(namespace, &name, subject, &format!("{act:?}"), &json!(hash), &ticked));
    if stray.is_some() {
        after.spent.meddling += 1;
    } else if act == Act::Intervene {
        by_hand(subject, &mut after);
    }
    Some((Move::Decision(subject.name().to_owned(), act, stray), after))
}

/// A person takes away what we cannot, and puts that on record.
fn by_hand(subject: &Object, side: &mut Side) {
    let journal = journal(subject);
    let Some(round) = journal.open_round() else { return };
    let beyond_us = round
        .steps
        .iter()
        .flat_map(|step| &step.calls)
        .filter(|call| call.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::NotRemovable));
    let outside = Arc::make_mut(&mut side.outside);
    for removal in beyond_us {
        let made = journal.steps.iter().flat_map(|step| &step.calls).find(|call| removal.name == format!("undo/{}", call.name));
        if let Some(key) = made.map(|made| made.key.digest().as_str().to_owned())
            && outside.things.remove(&key).is_some()
        {
            outside.gone.insert(key);
        }
    }
}

/// Whether a state waits for a person.
pub fn waits_for_a_person(state: State) -> bool {
    match state {
        State::ManualVerification | State::Completed | State::Failed | State::RollingBack | State::RolledBack => true,
        State::Pending
        | State::SchemaInterpreting
        | State::WorkflowsCloning
        | State::WebhooksAssigning
        | State::IntegrationsConfiguring
        | State::VapiConfiguring => false,
    }
}
