//! What shall be for a request: advance the journal as far as it goes without an effect, then say which calls are due.

use super::api::{ProvisioningRequest, ProvisioningRequestStatus, State};
use super::facts::Facts;
use super::lifecycle::{self, Next};
use super::{calls, evidence, rules, view};
use crate::engine::decision::{Decision, Finalizer};
use crate::engine::kind::Around;
use crate::engine::settle;
use crate::kinds::{decisions, status_value};
use crate::model::call::KeyedCall;
use crate::model::condition;
use crate::model::decision::Stand;
use crate::model::failure::{Failure, FailureCode};
use crate::model::finding::Finding;
use crate::model::journal::{CallEntry, Journal, StepEntry};
use crate::model::step::Step;
use crate::model::time::Time;

/// Decides.
pub fn decide(request: &ProvisioningRequest, facts: &Facts, around: &Around<'_>) -> Decision {
    let before = request.status.clone().unwrap_or_default();
    let mut journal = before.journal.clone();
    let going = request.metadata.deletion_timestamp.is_some();
    let mut gate = None;
    let mut due = Vec::new();
    if !going {
        gate = advance(request, facts, &mut journal, around.now);
        due = due_calls(request, facts, &mut journal, around.now);
    }
    let offer = evidence::offer(request, facts, &journal);
    let summary = view::summary(request, &journal, gate.as_ref(), going);
    let mut observations = summary.observations();
    observations.extend(view::chain_condition(around.chain));
    let generation = request.metadata.generation.unwrap_or_default();
    let status = ProvisioningRequestStatus {
        conditions: condition::merge(&before.conditions, &observations, generation, around.now),
        observed_generation: generation,
        state: Some(lifecycle::state(&journal)),
        steps: lifecycle::progress(&journal),
        webhooks: view::webhooks(facts, &journal),
        decision: offer,
        chain: around.chain.head.clone(),
        journal,
    };
    let outside = status.journal.outside().next().is_some();
    Decision {
        finalizer: if outside || !going { Finalizer::Present } else { Finalizer::Absent },
        records: view::records(request, &status.journal),
        wake: wake(&status.journal),
        status: status_value(&status),
        calls: due,
        findings: gate.into_iter().collect(),
        ..Decision::default()
    }
}

/// Moves the journal forward as far as no effect is needed. Returns the gate that holds it in PENDING.
fn advance(request: &ProvisioningRequest, facts: &Facts, journal: &mut Journal, now: Time) -> Option<Finding> {
    for _ in 0..=Step::ALL.len() {
        match lifecycle::next(journal) {
            Next::Leave => {
                if let Some(closed) = rules::closed_gate(request, facts) {
                    return Some(closed);
                }
                begin(Step::SchemaInterpretation, request, facts, journal, now);
            }
            Next::Begin(step) => begin(step, request, facts, journal, now),
            Next::Decide => {
                take_decision(request, facts, journal, now);
                return None;
            }
            Next::Await(_) | Next::End => return None,
        }
    }
    None
}

/// Writes the intents of a step. A step whose calls cannot be made has failed; one without calls is done.
fn begin(step: Step, request: &ProvisioningRequest, facts: &Facts, journal: &mut Journal, now: Time) {
    let entry = match calls::of_step(step, request, facts, journal) {
        Ok(calls) => {
            let done = calls.is_empty() && step != Step::ManualVerification;
            StepEntry {
                step,
                calls: calls.iter().map(|call| intent(call, now)).collect(),
                done_at: done.then_some(now),
                failure: None,
                repair: None,
            }
        }
        Err(failure) => StepEntry { step, calls: Vec::new(), done_at: None, failure: Some(failure), repair: None },
    };
    journal.steps.push(entry);
}

fn intent(call: &KeyedCall, now: Time) -> CallEntry {
    CallEntry {
        name: call.name.clone(),
        operation: call.call.operation().to_owned(),
        key: call.key.clone(),
        try_number: 1,
        provider: call.provider.name.clone(),
        leaves_resource: call.call.leaves_resource(),
        intended_at: now,
        waits: None,
        result: None,
        failure: None,
    }
}

/// Calls with an intent, without a result, whose wait is over. A call whose inputs are no longer those of its intent
/// fails its step: what was promised cannot be sent any more.
fn due_calls(request: &ProvisioningRequest, facts: &Facts, journal: &mut Journal, now: Time) -> Vec<KeyedCall> {
    let Next::Await(step) = lifecycle::next(journal) else { return Vec::new() };
    let planned = calls::of_step(step, request, facts, journal);
    let Some(entry) = journal.steps.iter_mut().find(|entry| entry.step == step) else { return Vec::new() };
    let planned = match planned {
        Ok(planned) => planned,
        Err(failure) => {
            entry.failure = Some(failure);
            return Vec::new();
        }
    };
    let mut due = Vec::new();
    for call in entry.calls.iter_mut().filter(|call| call.is_open()) {
        let Some(found) = planned.iter().find(|planned| planned.key == call.key) else {
            let message = format!("{} would no longer send what its intent {} promised", call.name, call.key.mark());
            entry.failure =
                Some(Failure::human(FailureCode::InputsChanged, message, &["restore the schema from git", "then decide on a retry"]));
            return Vec::new();
        };
        if call.waits.as_ref().is_none_or(|waits| waits.retry_at <= now) {
            settle::renew_intent(call, found.call.class(), now);
            due.push(found.clone());
        }
    }
    due
}

/// Acts upon the first open decision that the rules let pass. One that was judged void stays so whatever has changed since.
fn take_decision(request: &ProvisioningRequest, facts: &Facts, journal: &mut Journal, now: Time) {
    let offer = evidence::offer(request, facts, journal);
    // A tenant that is gone cannot waive four eyes.
    let four_eyes = facts.tenant.as_ref().is_none_or(|tenant| tenant.four_eyes);
    let stand = Stand { offer: offer.as_ref(), submitter: &request.spec.operator, four_eyes, now };
    let Some(taken) = decisions::first_passing(&facts.decisions, &journal.decisions, &stand, now) else { return };
    journal.decisions.push(taken);
    let verified = lifecycle::state(journal) == State::Completed;
    if let Some(entry) = journal.steps.iter_mut().find(|entry| entry.step == Step::ManualVerification) {
        entry.done_at = verified.then_some(now);
    }
}

/// The earliest end of a wait.
fn wake(journal: &Journal) -> Option<Time> {
    let waits = journal.steps.iter().flat_map(|step| &step.calls).filter(|call| call.is_open()).filter_map(|call| call.waits.as_ref());
    if journal.failure().is_some() { None } else { waits.map(|waits| waits.retry_at).min() }
}
