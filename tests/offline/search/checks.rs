//! What must hold in every state and of every unit.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use mandate::engine::audit::{Invariant, Snapshot, violations};
use mandate::engine::port::Query;
use mandate::kinds::auditrecord::api::RECORD;
use mandate::kinds::provisioningrequest::api::{REQUEST, State};
use mandate::kinds::provisioningrequest::lifecycle::{self, Transition};
use mandate::model::decision::Act;
use mandate::model::journal::{Calls as _, Journal};
use mandate::model::object::{Object, ObjectKey};
use serde_json::Value;

use super::moves::{journal, waits_for_a_person};
use super::stage::Done;
use super::state::Side;

/// The checks, and what they have seen.
pub struct Checks {
    invariants: Vec<Invariant>,
    seen: HashSet<u128>,
    pub rows: BTreeSet<Transition>,
    /// Snapshots that the registered invariants were run over.
    pub audited: usize,
}

impl Checks {
    pub fn new() -> Self {
        Self { invariants: mandate::kinds::invariants(), seen: HashSet::new(), rows: BTreeSet::new(), audited: 0 }
    }

    /// What is wrong with what a unit did to the object that passed.
    pub fn of_unit(&mut self, before: &Side, key: &ObjectKey, done: &Done) -> Vec<String> {
        let mut wrong = done.wrong.clone();
        for (written, kept) in &done.writes {
            let is_request = written.resource == &REQUEST && written == key;
            if let (Some(kept), true) = (kept, is_request) {
                let (old, new) = (journal(&before.objects[key].object), journal(&kept.object));
                wrong.extend(self.of_step(&old, &new));
                wrong.extend(decided(before, &before.objects[key].object, &old, &new));
            }
            if written.resource == &RECORD && before.objects.contains_key(written) {
                wrong.push(format!("{written} is changed"));
            }
        }
        wrong
    }

    /// A request goes on along rows of the table, and none that it has gone along is taken back.
    fn of_step(&mut self, old: &Journal, new: &Journal) -> Vec<String> {
        let (was, is) = (lifecycle::way(old), lifecycle::way(new));
        let mut wrong = Vec::new();
        if !is.starts_with(&was) {
            wrong.push(format!("it has gone along {was:?} and says now that it went along {is:?}"));
        }
        if lifecycle::causes(new).count() != is.len() {
            wrong.push(format!("not every cause has a row: {:?}", lifecycle::causes(new).collect::<Vec<_>>()));
        }
        for row in is.iter().skip(was.len()) {
            if waits_for_a_person(row.from) && !matches!(row.cause, lifecycle::Cause::Decided(_)) {
                wrong.push(format!("{} is left without a person: {row:?}", row.from));
            }
            self.rows.insert(**row);
        }
        wrong
    }

    /// What is wrong with a state.
    pub fn of_state(&mut self, side: &Side) -> Vec<String> {
        let mut wrong = outside(side);
        wrong.extend(self.audited(side));
        for kept in side.of_kind("ProvisioningRequest") {
            wrong.extend(of_request(side, &kept.object));
        }
        wrong
    }

    /// The registered invariants over the whole side, unless they were run over the same objects already.
    fn audited(&mut self, side: &Side) -> Vec<String> {
        if !self.seen.insert(side.objects.values().fold(0, |sum, kept| sum.wrapping_add(kept.hash))) {
            return Vec::new();
        }
        self.audited += 1;
        violations(&self.invariants, &Snapshot { objects: side.objects.values().map(|kept| Arc::clone(&kept.object)).collect() })
    }
}

/// Each decision that was acted upon now was there, was open, was for what was offered, and was acted upon only now.
fn decided(before: &Side, subject: &Object, old: &Journal, new: &Journal) -> Vec<String> {
    let mut wrong = Vec::new();
    for taken in new.decisions.iter().skip(old.decisions.len()) {
        if old.decisions.iter().any(|earlier| earlier.uid == taken.uid) {
            wrong.push(format!("{} is acted upon again", taken.name));
        }
        let found = before.of_kind("OperatorDecision").find(|kept| kept.object.uid() == taken.uid);
        let Some(decision) = found.map(|kept| &kept.object) else {
            wrong.push(format!("{} is acted upon and is not there", taken.name));
            continue;
        };
        let verdict = &decision.body["status"]["verdict"];
        if verdict.is_string() {
            wrong.push(format!("{} is acted upon and was judged {verdict}", taken.name));
        }
        if decision.namespace() != subject.namespace() {
            wrong.push(format!("{} is acted upon and lies in namespace {}", taken.name, decision.namespace()));
        }
        let published = &subject.body["status"]["decision"];
        if published["hash"] != taken.hash.as_str() || decision.body["spec"]["subject"]["hash"] != taken.hash.as_str() {
            wrong.push(format!("{} is acted upon and was not for the hash on display", taken.name));
        }
    }
    wrong
}

/// What is outside was made by a request that knows of it, or was left by a release; what is recorded done is there.
fn outside(side: &Side) -> Vec<String> {
    let mut wrong = Vec::new();
    let released = |uid: &str| {
        let about = side.of_kind("AuditRecord").filter(|kept| kept.is_selected(&Query::related(&RECORD, uid)));
        about.into_iter().any(|kept| kept.object.body["spec"]["event"] == "Released")
    };
    for (key, thing) in &side.outside.things {
        let maker = side.of_kind("ProvisioningRequest").find(|kept| kept.object.uid() == thing.of.1);
        let known = match maker {
            Some(kept) => {
                let journal = journal(&kept.object);
                journal.calls().iter().any(|call| call.key.digest().as_str() == key && !journal.is_undone(call))
            }
            None => released(&thing.of.1),
        };
        if !known {
            wrong.push(format!("{} of {} is outside and nobody knows of it", thing.call, thing.of.0));
        }
    }
    for kept in side.of_kind("ProvisioningRequest") {
        for (_, call) in journal(&kept.object).outside().filter(|(_, call)| call.result.is_some()) {
            let key = call.key.digest().as_str();
            // What is removed in this instant has no result yet.
            let going = side.outside.gone.contains(key);
            if !going && !side.outside.things.contains_key(key) {
                wrong.push(format!("{} of {} is recorded done and is not outside", call.name, kept.object.name()));
            }
        }
    }
    wrong
}

fn of_request(side: &Side, object: &Object) -> Vec<String> {
    let mut wrong = Vec::new();
    let journal = journal(object);
    let state = object.body["status"]["state"].as_str().unwrap_or("PENDING").to_owned();
    let way = lifecycle::way(&journal);
    let reached = way.last().map(|row| row.to).unwrap_or_default();
    if state != reached.to_string() {
        wrong.push(format!("{} shows {state} and has come to {reached}", object.name()));
    }
    let taken = |act: Act| journal.decisions.iter().filter(move |taken| taken.act == act);
    for decision in &journal.decisions {
        let verdict = side
            .of_kind("OperatorDecision")
            .find(|kept| kept.object.uid() == decision.uid)
            .map(|kept| &kept.object.body["status"]["verdict"]);
        if verdict.is_none_or(|verdict| verdict.is_string() && verdict != "Accepted") {
            wrong.push(format!("{} was acted upon and is {verdict:?}", decision.name));
        }
        if journal.decisions.iter().filter(|other| other.uid == decision.uid).count() > 1 {
            wrong.push(format!("{} was acted upon twice", decision.name));
        }
    }
    if reached == State::Completed && taken(Act::Verify).count() != 1 {
        wrong.push(format!("{} is COMPLETED without one Verify", object.name()));
    }
    if reached == State::RolledBack {
        let left: Vec<&str> =
            side.outside.things.values().filter(|thing| thing.of.1 == object.uid()).map(|thing| thing.call.as_str()).collect();
        if taken(Act::ConfirmRollback).count() != 1 || !left.is_empty() {
            wrong.push(format!("{} is ROLLED_BACK and {left:?} is left", object.name()));
        }
    }
    let repairs = side
        .of_kind("AuditRecord")
        .filter(|kept| kept.is_selected(&Query::related(&RECORD, object.uid())) && kept.object.body["spec"]["event"] == "RepairStarted");
    let steps: Vec<Value> = repairs
        .filter_map(|kept| {
            let entry: Value = serde_json::from_str(kept.object.body["spec"]["entry"].as_str()?).ok()?;
            Some(entry["payload"]["step"].clone())
        })
        .collect();
    if steps.iter().enumerate().any(|(index, step)| steps.iter().skip(index + 1).any(|other| other == step)) {
        wrong.push(format!("{} has repaired a step twice: {steps:?}", object.name()));
    }
    wrong
}

/// What must hold where nothing moves any more by itself: what is outside is what the journals say, and whatever stands still
/// waits for a person or for something that it names.
pub fn of_rest(side: &Side) -> Vec<String> {
    let mut wrong = Vec::new();
    for kept in side.of_kind("ProvisioningRequest") {
        let (object, journal) = (&kept.object, journal(&kept.object));
        let reached = lifecycle::way(&journal).last().map(|row| row.to).unwrap_or_default();
        let reason = object.body["status"]["conditions"][0]["reason"].as_str().unwrap_or_default();
        let gates = ["LeftoversRemain", "DeploymentGone", "TenantSuspended", "AwaitingDecision", "UndoFailed"];
        if !waits_for_a_person(reached) && !gates.contains(&reason) && !journal.is_released() && !object.is_going() {
            wrong.push(format!("{} stands still in {reached} for {reason}", object.name()));
        }
        if let Some(round) = journal.open_round().filter(|round| round.failure().is_none()) {
            wrong.push(format!("{} stands still in the middle of {:?}", object.name(), round.cause));
        }
        let left: BTreeSet<&str> = journal.outside().map(|(_, call)| call.key.digest().as_str()).collect();
        for (key, thing) in side.outside.things.iter().filter(|(_, thing)| thing.of.1 == object.uid()) {
            if !left.contains(key.as_str()) {
                wrong.push(format!("{} of {} is left and is not said to be", thing.call, object.name()));
            }
        }
        for (_, call) in journal.outside() {
            let there = side.outside.things.contains_key(call.key.digest().as_str());
            if call.result.is_some() && !there {
                wrong.push(format!("{} of {} is said to be left and is not there", call.name, object.name()));
            }
        }
    }
    wrong
}
