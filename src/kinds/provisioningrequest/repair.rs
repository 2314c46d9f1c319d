//! The one deterministic repair of a step (000, failure escalation 2): the failed call's fault is mended, then the call is sent
//! again. Whatever it meets after that is for a person.

use super::decide::Subject;
use crate::kinds::parts;
use crate::model::call::KeyedCall;
use crate::model::failure::{Failure, Repair};
use crate::model::journal::{CallEntry, Journal, RepairEntry, StepEntry};
use crate::model::step::Step;

/// Failures that no repair can mend any more become a person's: a second one in a step, one after its repair, and that of the
/// repair itself.
pub fn reclassify(journal: &mut Journal) {
    for entry in &mut journal.steps {
        let failed = entry.calls.iter().filter(|call| call.failure.is_some()).count();
        let spent = entry.repair.as_ref().is_some_and(|repair| repair.repeated_at.is_some());
        if failed > 1 || spent {
            for call in &mut entry.calls {
                call.failure = call.failure.take().map(Failure::reclassified);
            }
        }
        if let Some(failure) = unrepaired(entry) {
            entry.failure = Some(failure);
        }
    }
}

/// The failure of a step whose repair has failed itself.
fn unrepaired(entry: &StepEntry) -> Option<Failure> {
    let repair = entry.repair.as_ref().filter(|_| entry.failure.is_none())?;
    let why = repair.calls.iter().find_map(|call| call.failure.as_ref())?;
    let mut failure = repair.failure.clone().reclassified();
    failure.message = format!("{}; its repair {} failed: {}: {}", failure.message, repair.repair, why.code, why.message);
    failure.message.truncate(failure.message.floor_char_boundary(1024));
    failure.remediation.extend(why.remediation.iter().cloned());
    failure.remediation.truncate(8);
    Some(failure)
}

fn to_repair(entry: &StepEntry) -> Option<(&CallEntry, &Failure, Repair)> {
    entry.calls.iter().find_map(|call| {
        let failure = call.failure.as_ref()?;
        Some((call, failure, failure.repair?))
    })
}

/// Writes the intent of the repair. One that cannot be made has failed.
pub fn begin(subject: &Subject<'_>, step: Step, journal: &mut Journal) {
    let Some((call, failure, repair)) = journal.step(step).and_then(to_repair) else { return };
    let (repairs, failure) = (call.name.clone(), failure.clone());
    let planned = subject.parts(journal).and_then(|parts| parts.repair(repair, call)).and_then(|planned| keyed(subject, planned, step));
    let Some(entry) = journal.steps.iter_mut().find(|entry| entry.step == step) else { return };
    match planned {
        Ok(call) => {
            let calls = vec![parts::intent(&call, 1, subject.now)];
            entry.repair = Some(RepairEntry { repair, repairs, failure, calls, done_at: None, repeated_at: None });
        }
        Err(failure) => entry.failure = Some(failure),
    }
}

fn keyed(subject: &Subject<'_>, planned: parts::Planned, step: Step) -> Result<KeyedCall, Failure> {
    subject.keyed(planned, &format!("Repair/{step}"), 1)
}

/// The repairing call as planned, while it has no result.
pub fn planned(subject: &Subject<'_>, step: Step, journal: &Journal) -> Result<Vec<KeyedCall>, Failure> {
    let Some(entry) = journal.step(step) else { return Ok(Vec::new()) };
    let Some(repair) = entry.repair.as_ref().filter(|repair| repair.calls.iter().any(CallEntry::is_open)) else { return Ok(Vec::new()) };
    let Some(repaired) = entry.calls.iter().find(|call| call.name == repair.repairs) else { return Ok(Vec::new()) };
    let planned = subject.parts(journal)?.repair(repair.repair, repaired)?;
    keyed(subject, planned, step).map(|call| vec![call])
}

/// The repaired call is intended again: under a new key if it is a new effect.
pub fn repeat(subject: &Subject<'_>, step: Step, journal: &mut Journal) {
    let Some(repair) = journal.step(step).and_then(|entry| entry.repair.as_ref()) else { return };
    let (name, renews) = (repair.repairs.clone(), repair.repair.renews_key());
    let planned = subject.parts(journal).and_then(|parts| parts.of_step(step)).and_then(|all| {
        let found = all.into_iter().find(|planned| planned.name == name);
        found.map(|planned| subject.keyed(planned, step.name(), if renews { 2 } else { 1 })).transpose()
    });
    let Some(entry) = journal.steps.iter_mut().find(|entry| entry.step == step) else { return };
    if let Some(repair) = entry.repair.as_mut() {
        repair.repeated_at = Some(subject.now);
    }
    match planned {
        Ok(Some(call)) => {
            let number = if renews { 2 } else { 1 };
            if let Some(slot) = entry.calls.iter_mut().find(|call| call.name == name) {
                *slot = parts::intent(&call, number, subject.now);
            }
        }
        Ok(None) => {}
        Err(failure) => entry.failure = Some(failure),
    }
}
