//! What must hold of requests in every state of the world (design section 7).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::api::{ProvisioningRequest, State, request_name};
use super::lifecycle;
use crate::engine::audit::{Invariant, Snapshot};
use crate::kinds::auditrecord::api::RECORD;
use crate::kinds::operatordecision::api::OperatorDecision;
use crate::model::decision::Act;
use crate::model::journal::{CallEntry, Calls, Journal, UndoCause, undo_name};
use crate::model::pointer;
use crate::model::step::Step;

/// All of them.
pub const ALL: &[Invariant] = &[
    Invariant { number: 1, holds: "no key serves two calls; recorded done means that every call has its result", broken: keyed },
    Invariant { number: 2, holds: "a step begins only after the one before is recorded done, in the fixed order", broken: order },
    Invariant { number: 3, holds: "COMPLETED implies six recorded steps and one Verify", broken: completed },
    Invariant { number: 4, holds: "every act is a person's object, on record, acted upon once", broken: decided },
    Invariant { number: 5, holds: "after a failure no later step begins", broken: halted },
    Invariant { number: 5, holds: "only what was made is removed, and only by order", broken: undone },
    Invariant { number: 5, holds: "at most one repair of each step", broken: repaired },
    Invariant { number: 9, holds: "a request's name follows from deployment and attempt", broken: named },
    Invariant { number: 17, holds: "observedGeneration <= generation", broken: observed },
];

fn requests(world: &Snapshot) -> impl Iterator<Item = ProvisioningRequest> {
    world.of_kind("ProvisioningRequest").filter_map(|object| object.parse().ok())
}

fn each(world: &Snapshot, broken: impl Fn(&ProvisioningRequest) -> Option<String>) -> Vec<String> {
    let name = |request: &ProvisioningRequest| request.metadata.name.clone().unwrap_or_default();
    requests(world).filter_map(|request| broken(&request).map(|why| format!("{}: {why}", name(&request)))).collect()
}

fn order(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let steps = &request.status.as_ref()?.journal.steps;
        let in_order = steps.iter().zip(Step::ALL).all(|(entry, step)| entry.step == step);
        let done = steps.iter().rev().skip(1).all(|entry| entry.done_at.is_some());
        (!in_order || !done).then(|| format!("{:?}", steps.iter().map(|entry| (entry.step, entry.done_at)).collect::<Vec<_>>()))
    })
}

fn completed(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let status = request.status.as_ref()?;
        let verified = status.journal.decisions.iter().filter(|taken| taken.act == Act::Verify).count() == 1;
        let all_done = status.journal.steps.len() == Step::ALL.len() && status.journal.steps.iter().all(|entry| entry.done_at.is_some());
        (status.state == Some(State::Completed) && !(verified && all_done)).then(|| "COMPLETED without its proofs".to_owned())
    })
}

fn halted(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let steps = &request.status.as_ref()?.journal.steps;
        let failed = steps.iter().position(|entry| entry.failure().is_some())?;
        (failed + 1 != steps.len()).then(|| "a step began after a failure".to_owned())
    })
}

fn observed(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let status = request.status.as_ref()?;
        let moved = status.observed_generation > request.metadata.generation.unwrap_or_default();
        let stale = status.state.is_some_and(|state| state != lifecycle::state(&status.journal));
        (moved || stale).then(|| "the status does not follow from spec and journal".to_owned())
    })
}

/// What is wrong with how calls are journalled: the same for every kind that calls.
pub fn misjournalled(calls: &[&CallEntry]) -> Option<String> {
    let mut keys = BTreeSet::new();
    let twice = calls.iter().find(|call| !keys.insert(&call.key)).map(|call| format!("{} shares its key with another call", call.name));
    let both = calls.iter().find(|call| call.result.is_some() && call.failure.is_some());
    twice.or_else(|| both.map(|call| format!("{} has both a result and a failure", call.name)))
}

fn keyed(world: &Snapshot) -> Vec<String> {
    let mut owners = BTreeMap::new();
    let mut broken = each(world, |request| {
        let journal = &request.status.as_ref()?.journal;
        let steps = journal.steps.iter().chain(journal.undo.iter().flat_map(|round| &round.steps));
        let unproven = steps.into_iter().find(|entry| entry.done_at.is_some() && entry.calls.iter().any(|call| call.result.is_none()));
        misjournalled(&journal.calls()).or_else(|| unproven.map(|entry| format!("{} is done and lacks a result", entry.step)))
    });
    for request in requests(world) {
        let Some(status) = &request.status else { continue };
        for call in status.journal.calls() {
            if owners.insert(call.key.clone(), request.metadata.uid.clone()).is_some_and(|other| other != request.metadata.uid) {
                broken.push(format!(
                    "{}: {} has the key of another request's call",
                    request.metadata.name.clone().unwrap_or_default(),
                    call.name
                ));
            }
        }
    }
    broken
}

/// Payloads of the records of an event about a request.
fn records(world: &Snapshot, request: &ProvisioningRequest, event: Option<&str>) -> Vec<Value> {
    let uid = request.metadata.uid.as_deref();
    let about = world.of_kind(RECORD.kind).filter(|record| pointer::text(&record.body, "/spec/subject/uid") == uid);
    let entries = about.filter(|record| event.is_none() || pointer::text(&record.body, "/spec/event") == event);
    entries.filter_map(|record| serde_json::from_str::<Value>(pointer::text(&record.body, "/spec/entry")?).ok()).collect()
}

fn decided(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let taken = &request.status.as_ref()?.journal.decisions;
        let recorded = records(world, request, None);
        let mut uids = BTreeSet::new();
        taken.iter().find_map(|taken| {
            let decision = world.of_kind("OperatorDecision").find(|object| object.uid() == taken.uid);
            let other = decision.and_then(|object| object.parse::<OperatorDecision>().ok()).is_some_and(|decision| {
                let spec = &decision.spec;
                Some(&spec.subject.uid) != request.metadata.uid.as_ref() || spec.act != taken.act || spec.subject.hash != taken.hash
            });
            match () {
                () if !uids.insert(&taken.uid) => Some(format!("{} was acted upon twice", taken.name)),
                () if other => Some(format!("{} says something else than what was acted upon", taken.name)),
                () if recorded.iter().any(|entry| pointer::text(entry, "/payload/decisionUid") == Some(&taken.uid)) => None,
                () => Some(format!("{} is not on record", taken.name)),
            }
        })
    })
}

fn undone(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let journal = &request.status.as_ref()?.journal;
        let made: BTreeSet<String> = journal.steps.iter().flat_map(|entry| &entry.calls).map(|call| undo_name(&call.name)).collect();
        journal.undo.iter().find_map(|round| {
            let strange = round.steps.iter().flat_map(|entry| &entry.calls).find(|call| !made.contains(&call.name));
            let why = strange.map(|call| format!("{} removes what this request has not made", call.name));
            why.or_else(|| {
                (!is_ordered(journal, round.cause, &round.ordered_by)).then(|| "something is removed that nobody has ordered".to_owned())
            })
        })
    })
}

fn is_ordered(journal: &Journal, cause: UndoCause, by: &str) -> bool {
    let decided = |act: Act| journal.decisions.iter().any(|taken| taken.uid == by && taken.act == act);
    match cause {
        UndoCause::Rollback => decided(Act::Rollback),
        UndoCause::Retry => decided(Act::Retry),
        UndoCause::Retirement => journal.decisions.iter().any(|taken| taken.act == Act::Verify),
    }
}

fn repaired(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let mut steps = BTreeSet::new();
        let started = records(world, request, Some("RepairStarted"));
        let again = started.iter().filter_map(|entry| pointer::text(entry, "/payload/step")).find(|step| !steps.insert(*step))?;
        Some(format!("{again} was repaired twice"))
    })
}

fn named(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let name = request_name(&request.spec.deployment.name, request.spec.attempt);
        (request.metadata.name.as_ref() != Some(&name)).then(|| format!("attempt {} of it is {name}", request.spec.attempt))
    })
}
