//! What shall be for a request: advance the journal as far as it goes without an effect, then say which calls are due.

use super::api::{ProvisioningRequest, ProvisioningRequestStatus, State};
use super::facts::Facts;
use super::lifecycle::{self, Next};
use super::{evidence, repair, rules, undo, view};
use crate::engine::decision::{Decision, Finalizer};
use crate::engine::kind::{Around, Chain};
use crate::engine::settle;
use crate::kinds::parts::{self, Parts, Planned};
use crate::kinds::{decisions, status_value};
use crate::model::call::KeyedCall;
use crate::model::condition;
use crate::model::decision::{Act, Stand};
use crate::model::failure::{DECIDE_ANEW, Failure, FailureCode};
use crate::model::finding::Finding;
use crate::model::journal::{Calls, Journal, StepEntry, UndoCause};
use crate::model::limits::MAX_ROUNDS;
use crate::model::step::Step;
use crate::model::time::Time;

/// Decides.
pub fn decide(request: &ProvisioningRequest, facts: &Facts, around: &Around<'_>) -> Decision {
    let before = request.status.clone().unwrap_or_default();
    let mut journal = before.journal.clone();
    let subject = Subject { request, facts, chain: around.chain, now: around.now };
    let gate = subject.advance(&mut journal);
    let due = subject.due_calls(&mut journal);
    let offer = evidence::offer(request, facts, &journal);
    let summary = view::summary(request, facts, &journal, gate.as_ref());
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
    let going = request.metadata.deletion_timestamp.is_some();
    Decision {
        finalizer: if !going || status.journal.is_held() { Finalizer::Present } else { Finalizer::Absent },
        records: view::records(request, &status.journal),
        wake: wake(&status.journal),
        status: status_value(&status),
        calls: due,
        findings: gate.into_iter().collect(),
        ..Decision::default()
    }
}

/// A request, what is known around it, and now.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The request.
    pub request: &'a ProvisioningRequest,
    /// What is known.
    pub facts: &'a Facts,
    /// The request's audit chain.
    pub chain: &'a Chain,
    /// The present.
    pub now: Time,
}

impl Subject<'_> {
    /// Moves the journal forward as far as no effect is needed. Returns the gate that holds it.
    fn advance(&self, journal: &mut Journal) -> Option<Finding> {
        let going = self.request.metadata.deletion_timestamp.is_some();
        let leaving = self.facts.is_leaving(self.request);
        repair::reclassify(journal);
        for _ in 0..MAX_ROUNDS {
            match lifecycle::next(journal) {
                Next::Begin(_) | Next::Repair(_) | Next::Repeat(_) | Next::Await if leaving && journal.open_round().is_none() => {
                    if !self.take_decision(journal) {
                        return None;
                    }
                }
                Next::Leave if going => return None,
                Next::Leave => {
                    if let Some(closed) = rules::closed_gate(self.request, self.facts) {
                        return Some(closed);
                    }
                    self.begin(Step::SchemaInterpretation, journal);
                }
                Next::Begin(step) => {
                    if let Some(closed) = rules::leftovers_gone(step, self.facts) {
                        return Some(closed);
                    }
                    self.begin(step, journal);
                }
                Next::Repair(step) => repair::begin(self, step, journal),
                Next::Repeat(step) => repair::repeat(self, step, journal),
                Next::Undo => undo::advance(self, journal),
                Next::Decide => {
                    if !self.retire(journal) && !self.take_decision(journal) {
                        return None;
                    }
                }
                Next::Await => return None,
            }
        }
        None
    }

    /// The call with its key in a step of the journal.
    pub fn keyed(&self, planned: Planned, step: &str, number: u32) -> Result<KeyedCall, Failure> {
        let uid = self.request.metadata.uid.as_deref().unwrap_or_default();
        let target = self.facts.providers.get(&planned.provider).map(|found| &found.target);
        planned.keyed(uid, step, number, target)
    }

    /// What the calls are made from: the pinned schema, unless it is gone.
    pub fn parts<'a>(&'a self, journal: &'a Journal) -> Result<Parts<'a>, Failure> {
        let pin = &self.request.spec.schema_ref;
        let schema = self.facts.schema.as_ref().filter(|schema| schema.digest.as_ref() == Some(&pin.digest));
        let schema = schema.ok_or_else(|| {
            let message = format!("ProvisioningSchema {} with digest {} is gone", pin.name, pin.digest);
            Failure::human(FailureCode::InputsChanged, message, &["Create the schema again exactly as it was, from git.", DECIDE_ANEW])
        })?;
        Ok(Parts { spec: &self.request.spec, schema: &schema.spec, journal })
    }

    /// The keyed calls of a step, each in the try that its entry is in.
    fn of_step(&self, step: Step, journal: &Journal) -> Result<Vec<KeyedCall>, Failure> {
        let planned = self.parts(journal)?.of_step(step)?;
        let number = |name: &str| {
            let entry = journal.step(step).and_then(|entry| entry.calls.iter().find(|call| call.name == name));
            entry.map_or(1, |entry| entry.try_number)
        };
        planned
            .into_iter()
            .map(|planned| (number(&planned.name), planned))
            .map(|(number, planned)| self.keyed(planned, step.name(), number))
            .collect()
    }

    /// Writes the intents of a step. A step whose calls cannot be made has failed; one without calls is done.
    fn begin(&self, step: Step, journal: &mut Journal) {
        let entry = match self.of_step(step, journal) {
            Ok(calls) => {
                let done = calls.is_empty() && step != Step::ManualVerification;
                StepEntry {
                    done_at: done.then_some(self.now),
                    ..StepEntry::of(step, calls.iter().map(|call| parts::intent(call, 1, self.now)))
                }
            }
            Err(failure) => StepEntry { failure: Some(failure), ..StepEntry::of(step, []) },
        };
        journal.steps.push(entry);
    }

    /// Calls with an intent, without a result, whose wait is over.
    fn due_calls(&self, journal: &mut Journal) -> Vec<KeyedCall> {
        if lifecycle::next(journal) != Next::Await {
            return Vec::new();
        }
        if journal.open_round().is_some() {
            return undo::due(self, journal);
        }
        if self.facts.is_leaving(self.request) {
            return Vec::new();
        }
        let Some(step) = journal.steps.last().map(|entry| entry.step) else { return Vec::new() };
        let planned = self.of_step(step, journal);
        let repairing = repair::planned(self, step, journal);
        let Some(entry) = journal.steps.last_mut() else { return Vec::new() };
        let mut due = settle::due(&mut entry.calls, planned, self.now);
        if let (Ok(due), Some(repair)) = (&mut due, entry.repair.as_mut()) {
            match settle::due(&mut repair.calls, repairing, self.now) {
                Ok(more) => due.extend(more),
                Err(failure) => entry.failure = Some(failure),
            }
        }
        due.unwrap_or_else(|failure| {
            entry.failure = Some(failure);
            Vec::new()
        })
    }

    /// The newer assistant has taken over: what this one made is removed. True when that begins now.
    fn retire(&self, journal: &mut Journal) -> bool {
        let by = self.facts.deployment.as_ref().and_then(|deployment| deployment.retired_by.clone());
        let Some(by) = by.filter(|_| journal.undo.is_empty() && lifecycle::state(journal) == State::Completed) else { return false };
        journal.undo.push(undo::round(UndoCause::Retirement, by));
        true
    }

    /// Acts upon the decision that is on record already, or the first open one that the rules let pass. True when there was one.
    fn take_decision(&self, journal: &mut Journal) -> bool {
        let offer = evidence::offer(self.request, self.facts, journal);
        // A tenant that is gone cannot waive four eyes.
        let four_eyes = self.facts.tenant.as_ref().is_none_or(|tenant| tenant.four_eyes);
        let stand = Stand { offer: offer.as_ref(), submitter: &self.request.spec.operator, four_eyes, now: self.now };
        let recorded = decisions::recorded(&self.facts.decisions, &journal.decisions, self.chain);
        let passing = || decisions::first_passing(&self.facts.decisions, &journal.decisions, &stand, self.now);
        let Some(taken) = recorded.or_else(passing) else { return false };
        let (act, uid) = (taken.act, taken.uid.clone());
        journal.decisions.push(taken);
        match act {
            Act::Verify => {
                if let Some(entry) = journal.steps.iter_mut().find(|entry| entry.step == Step::ManualVerification) {
                    entry.done_at = Some(self.now);
                }
            }
            Act::Rollback => journal.undo.push(undo::round(UndoCause::Rollback, uid)),
            Act::Retry => journal.undo.push(undo::round(UndoCause::Retry, uid)),
            Act::Reject | Act::ConfirmRollback | Act::Release | Act::Intervene | Act::ValidatePropagation => {}
        }
        true
    }
}

/// The earliest end of a wait.
fn wake(journal: &Journal) -> Option<Time> {
    let open = journal.calls().into_iter().filter(|call| call.is_open()).filter_map(|call| call.waits.as_ref());
    if lifecycle::next(journal) == Next::Await { open.map(|waits| waits.retry_at).min() } else { None }
}
