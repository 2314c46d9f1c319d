//! The deployment's own calls: cutover to a verified update, propagation of a higher revision. Both are journalled here, both go
//! forward only; one that fails stops for an operator, who decides on a retry.

use super::api::{AssistantDeployment, Cutover, CutoverStep, DeploymentJournal, Propagation, PropagationStep, RequestRef};
use super::facts::Facts;
use super::rules;
use crate::engine::settle;
use crate::kinds::parts::{self, Parts, Planned};
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, SchemaPin, State};
use crate::kinds::provisioningschema::api::ProvisioningSchema;
use crate::model::call::KeyedCall;
use crate::model::failure::{DECIDE_ANEW, Failure, FailureCode};
use crate::model::journal::{CallEntry, Calls, Journal, StepEntry};
use crate::model::time::Time;

/// Whether there is, or may be, something to call about.
pub fn is_wanted(deployment: &AssistantDeployment, facts: &Facts) -> bool {
    let journal = deployment.status.as_ref().map(|status| status.journal.clone()).unwrap_or_default();
    let open = journal.calls().into_iter().any(CallEntry::is_open);
    let switching = journal.cutover.as_ref().is_some_and(|cutover| !cutover.is_switched());
    open || switching || taking_over(&journal, facts).is_some() || behind(deployment, &journal, facts).is_some()
}

/// The verified update that has not begun to take over.
fn taking_over<'a>(journal: &DeploymentJournal, facts: &'a Facts) -> Option<&'a ProvisioningRequest> {
    let newest = facts.newest()?;
    let completed = newest.status.as_ref().and_then(|status| status.state) == Some(State::Completed);
    let begun = journal.cutover.as_ref().is_some_and(|cutover| Some(&cutover.to.uid) == newest.metadata.uid.as_ref());
    (completed && newest.spec.takes_over() && !begun).then_some(newest)
}

/// Whether a cutover is under way, the removal of the old assistant included.
pub fn is_cutting_over(journal: &DeploymentJournal, facts: &Facts) -> bool {
    let Some(cutover) = &journal.cutover else { return taking_over(journal, facts).is_some() };
    taking_over(journal, facts).is_some() || !cutover.is_switched() || old_remains(cutover, facts)
}

fn old_remains(cutover: &Cutover, facts: &Facts) -> bool {
    let Some(from) = &cutover.from else { return false };
    let old = facts.requests.iter().find(|request| request.metadata.uid.as_ref() == Some(&from.uid));
    old.and_then(|old| old.status.as_ref()).is_some_and(|status| status.journal.is_held())
}

/// The revision that the live assistant is on.
pub fn live_pin(journal: &DeploymentJournal, live: &ProvisioningRequest) -> SchemaPin {
    let ours = journal.propagation.as_ref().filter(|propagation| Some(&propagation.request.uid) == live.metadata.uid.as_ref());
    match ours {
        Some(propagation) if propagation.is_done() => propagation.to.clone(),
        Some(propagation) => propagation.from.clone(),
        None => live.spec.schema_ref.clone(),
    }
}

/// The pin of a schema as it is.
pub fn pin_of(schema: &ProvisioningSchema) -> Option<SchemaPin> {
    Some(SchemaPin { name: schema.metadata.name.clone()?, digest: schema.spec.digest().ok()? })
}

/// The current revision of the live version, when the live assistant is not on it.
pub fn behind<'a>(
    deployment: &AssistantDeployment,
    journal: &DeploymentJournal,
    facts: &'a Facts,
) -> Option<(&'a ProvisioningRequest, &'a ProvisioningSchema)> {
    let live = facts.live()?;
    let current = facts.current_of(&live.spec.version)?;
    let on = live_pin(journal, live);
    let former = facts.schema_named(&on.name).map_or(0, |schema| schema.spec.revision);
    let newer = pin_of(current).is_some_and(|pin| pin != on) && current.spec.revision > former;
    (newer && deployment.metadata.deletion_timestamp.is_none()).then_some((live, current))
}

/// Moves cutover and propagation forward as far as no effect is needed.
pub fn advance(deployment: &AssistantDeployment, facts: &Facts, journal: &mut DeploymentJournal, now: Time) {
    if deployment.metadata.deletion_timestamp.is_some() {
        return;
    }
    if let Some(newest) = taking_over(journal, facts) {
        let Some(to) = reference(newest) else { return };
        journal.cutover = Some(Cutover { from: facts.before(newest).and_then(reference), to, steps: Vec::new() });
    }
    if let Some(cutover) = &mut journal.cutover {
        cut_over(deployment, facts, cutover, now);
    }
    if is_cutting_over(journal, facts) || rules::holds_propagation(deployment, facts).is_some() {
        return;
    }
    if let Some((live, current)) = behind(deployment, journal, facts) {
        propagate(deployment, facts, journal, (live, current), now);
    }
}

fn reference(request: &ProvisioningRequest) -> Option<RequestRef> {
    Some(RequestRef { name: request.metadata.name.clone()?, uid: request.metadata.uid.clone()? })
}

fn cut_over(deployment: &AssistantDeployment, facts: &Facts, cutover: &mut Cutover, now: Time) {
    loop {
        let step = match cutover.steps.last() {
            None => CutoverStep::EnableNew,
            Some(entry) if entry.done_at.is_none() => return,
            Some(entry) if entry.step == CutoverStep::EnableNew => CutoverStep::DisableOld,
            Some(_) => return,
        };
        let planned = cutover_calls(deployment, facts, cutover, step);
        cutover.steps.push(begun(step, planned, now));
    }
}

/// A step with its intents. One without calls is done, one whose calls cannot be made has failed.
fn begun<S>(step: S, planned: Result<Vec<KeyedCall>, Failure>, now: Time) -> StepEntry<S> {
    match planned {
        Ok(calls) => {
            let done_at = calls.is_empty().then_some(now);
            StepEntry { done_at, ..StepEntry::of(step, calls.iter().map(|call| parts::intent(call, 1, now))) }
        }
        Err(failure) => StepEntry { failure: Some(failure), ..StepEntry::of(step, []) },
    }
}

fn cutover_calls(deployment: &AssistantDeployment, facts: &Facts, cutover: &Cutover, step: CutoverStep) -> Result<Vec<KeyedCall>, Failure> {
    let (whose, enabled) = match step {
        CutoverStep::EnableNew => (Some(&cutover.to), true),
        CutoverStep::DisableOld => (cutover.from.as_ref(), false),
    };
    let found = whose.and_then(|whose| facts.requests.iter().find(|request| request.metadata.uid.as_ref() == Some(&whose.uid)));
    let Some(request) = found else { return Ok(Vec::new()) };
    // What was taken away meanwhile has nothing to switch.
    let Some(journal) = request.status.as_ref().map(|status| &status.journal).filter(|journal| journal.undo.is_empty()) else {
        return Ok(Vec::new());
    };
    let planned = of_request(facts, request, journal, None)?.switch(enabled)?;
    keyed(deployment, facts, planned, &format!("{step:?}/{}", cutover.to.uid))
}

fn keyed(deployment: &AssistantDeployment, facts: &Facts, planned: Vec<Planned>, step: &str) -> Result<Vec<KeyedCall>, Failure> {
    let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
    let keyed = |planned: Planned| {
        let target = facts.providers.get(&planned.provider);
        planned.keyed(uid, step, 1, target)
    };
    planned.into_iter().map(keyed).collect()
}

/// What a request's parts are made from: by its pinned revision, or by another one.
fn of_request<'a>(
    facts: &'a Facts,
    request: &'a ProvisioningRequest,
    journal: &'a Journal,
    revision: Option<&'a ProvisioningSchema>,
) -> Result<Parts<'a>, Failure> {
    let pin = &request.spec.schema_ref;
    let pinned = || facts.schema_named(&pin.name).filter(|schema| schema.spec.digest().ok().as_ref() == Some(&pin.digest));
    let schema = revision.or_else(pinned).ok_or_else(|| {
        let message = format!("ProvisioningSchema {} with digest {} is gone", pin.name, pin.digest);
        Failure::human(FailureCode::InputsChanged, message, &["Create the schema again exactly as it was, from git.", DECIDE_ANEW])
    })?;
    Ok(Parts { spec: &request.spec, schema: &schema.spec, journal })
}

fn propagate(
    deployment: &AssistantDeployment,
    facts: &Facts,
    journal: &mut DeploymentJournal,
    (live, current): (&ProvisioningRequest, &ProvisioningSchema),
    now: Time,
) {
    let (Some(request), Some(to)) = (reference(live), pin_of(current)) else { return };
    let begun_already = journal.propagation.as_ref().is_some_and(|propagation| propagation.to == to && propagation.request == request);
    // One that is under way to an older revision ends first.
    let under_way = journal.propagation.as_ref().is_some_and(|propagation| !propagation.is_done() && propagation.failure().is_none());
    if begun_already || under_way {
        return;
    }
    let propagation = Propagation { request, from: live_pin(journal, live), to, steps: Vec::new() };
    let calls = propagation_calls(deployment, facts, &propagation);
    journal.propagation = Some(Propagation { steps: vec![begun(PropagationStep::UpdateInPlace, calls, now)], ..propagation });
}

fn propagation_calls(deployment: &AssistantDeployment, facts: &Facts, propagation: &Propagation) -> Result<Vec<KeyedCall>, Failure> {
    let request = facts.requests.iter().find(|request| request.metadata.uid.as_ref() == Some(&propagation.request.uid));
    let Some((request, journal)) = request.and_then(|request| Some((request, &request.status.as_ref()?.journal))) else {
        return Ok(Vec::new());
    };
    let gone = |name: &str| {
        let message = format!("ProvisioningSchema {name} is gone");
        Failure::human(FailureCode::InputsChanged, message, &["Create the schema again exactly as it was, from git.", DECIDE_ANEW])
    };
    let schema = |pin: &SchemaPin| facts.schema_named(&pin.name).ok_or_else(|| gone(&pin.name));
    let (from, to) = (schema(&propagation.from)?, schema(&propagation.to)?);
    let planned = of_request(facts, request, journal, Some(to))?.update_from(&from.spec)?;
    keyed(deployment, facts, planned, &format!("Propagation/{}", propagation.to.digest))
}

/// Calls with an intent, without a result, whose wait is over.
pub fn due(deployment: &AssistantDeployment, facts: &Facts, journal: &mut DeploymentJournal, now: Time) -> Vec<KeyedCall> {
    let mut all = Vec::new();
    if let Some(cutover) = &mut journal.cutover
        && let Some(step) = cutover.steps.last().filter(|entry| entry.done_at.is_none()).map(|entry| entry.step)
    {
        let planned = cutover_calls(deployment, facts, cutover, step);
        if let Some(entry) = cutover.steps.last_mut() {
            all.extend(due_of(entry, planned, now));
        }
    }
    if let Some(propagation) = &mut journal.propagation
        && propagation.steps.last().is_some_and(|entry| entry.done_at.is_none())
    {
        let planned = propagation_calls(deployment, facts, propagation);
        if let Some(entry) = propagation.steps.last_mut() {
            all.extend(due_of(entry, planned, now));
        }
    }
    all
}

fn due_of<S>(entry: &mut StepEntry<S>, planned: Result<Vec<KeyedCall>, Failure>, now: Time) -> Vec<KeyedCall> {
    if !entry.calls.iter().any(CallEntry::is_open) {
        return Vec::new();
    }
    settle::due(&mut entry.calls, planned, now).unwrap_or_else(|failure| {
        entry.failure = Some(failure);
        Vec::new()
    })
}

/// An operator has decided that what failed is tried again: the same calls under the same keys.
pub fn retry(journal: &mut DeploymentJournal) {
    fn reopen<S>(steps: &mut Vec<StepEntry<S>>) {
        // A step whose calls could not be made begins anew.
        steps.retain(|entry| entry.failure.is_none());
        for call in steps.iter_mut().flat_map(|entry| &mut entry.calls).filter(|call| call.failure.is_some()) {
            call.failure = None;
            call.waits = None;
        }
    }
    if let Some(cutover) = &mut journal.cutover {
        reopen(&mut cutover.steps);
    }
    if let Some(propagation) = &mut journal.propagation {
        reopen(&mut propagation.steps);
    }
    // A propagation that could not even begin is forgotten; it is found again.
    journal.propagation = journal.propagation.take().filter(|propagation| !propagation.steps.is_empty());
}

/// What has failed, and in which work.
pub fn failure(journal: &DeploymentJournal) -> Option<(&'static str, &Failure)> {
    let cutover = journal.cutover.as_ref().and_then(Cutover::failure).map(|failure| ("Cutover", failure));
    cutover.or_else(|| journal.propagation.as_ref().and_then(Propagation::failure).map(|failure| ("Propagation", failure)))
}
