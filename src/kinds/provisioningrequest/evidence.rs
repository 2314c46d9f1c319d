//! The evidence that a person decides on, and the offer made with its hash.

use serde_json::{Value, json};

use super::api::{ProvisioningRequest, State};
use super::facts::Facts;
use super::lifecycle;
use crate::model::canonical::{self, CanonicalText};
use crate::model::decision::{Act, Offer};
use crate::model::failure::Failure;
use crate::model::journal::{CallEntry, Journal, StepEntry, UndoRound};

/// Type inside the hashed document.
const EVIDENCE_TYPE: &str = "mandate.dev/Evidence/v1";

/// The canonical evidence: request, paths, external ids with digests, failure, what was undone, what was decided before. No
/// observation times. What people did by hand is not in it, so that putting it on record moves no hash.
#[must_use]
pub fn document(request: &ProvisioningRequest, journal: &Journal) -> Option<CanonicalText> {
    let spec = &request.spec;
    let steps: Vec<Value> = journal.steps.iter().map(step).collect();
    let mut document = json!({
        "@type": EVIDENCE_TYPE,
        "subject": {"kind": super::api::REQUEST.kind, "name": request.metadata.name, "uid": request.metadata.uid},
        "requestDigest": spec.digest().ok()?,
        "schema": spec.schema_ref,
        "attempt": spec.attempt,
        "undoRounds": journal.undo.len(),
        "steps": steps,
    });
    if let Some((step, failure)) = journal.failure() {
        document["failure"] = failed(failure);
        document["failure"]["step"] = step.name().into();
    }
    if !journal.undo.is_empty() {
        let round = |round: &UndoRound| json!({"cause": round.cause, "steps": round.steps.iter().map(step).collect::<Vec<_>>()});
        document["undo"] = journal.undo.iter().map(round).collect();
    }
    let decided: Vec<Value> = journal
        .decisions
        .iter()
        .filter(|taken| taken.act.settles())
        .map(|taken| json!({"act": taken.act, "decisionUid": taken.uid, "evidence": taken.hash}))
        .collect();
    if !decided.is_empty() {
        document["decided"] = decided.into();
    }
    canonical::own(&document).ok()
}

fn step(entry: &StepEntry) -> Value {
    let mut row = json!({"step": entry.step, "calls": entry.calls.iter().map(call).collect::<Vec<_>>()});
    if let Some(repair) = &entry.repair {
        row["repair"] = json!({"repair": repair.repair, "repairs": repair.repairs, "met": failed(&repair.failure)});
    }
    if let Some(failure) = &entry.failure {
        row["failure"] = failed(failure);
    }
    row
}

fn call(entry: &CallEntry) -> Value {
    let mut row = json!({"call": entry.name, "operation": entry.operation, "provider": entry.provider, "key": entry.key});
    if let Some(result) = &entry.result {
        row["result"] = serde_json::to_value(result).unwrap_or(Value::Null);
    }
    if let Some(failure) = &entry.failure {
        row["failure"] = failed(failure);
    }
    row
}

fn failed(failure: &Failure) -> Value {
    json!({"class": failure.class, "code": failure.code, "message": failure.message})
}

/// What a person may decide now.
#[must_use]
pub fn offer(request: &ProvisioningRequest, facts: &Facts, journal: &Journal) -> Option<Offer> {
    let acts = acts(request, facts, journal);
    if acts.is_empty() {
        return None;
    }
    let checklist = if acts.contains(&Act::Verify) {
        facts.schema.as_ref()?.spec.verification.iter().map(|item| item.item.to_string()).collect()
    } else if acts.contains(&Act::ConfirmRollback) {
        removed(journal)
    } else {
        Vec::new()
    };
    Some(Offer { acts, hash: document(request, journal)?.digest(), checklist })
}

/// Which acts are possible, by where the request stands.
fn acts(request: &ProvisioningRequest, facts: &Facts, journal: &Journal) -> Vec<Act> {
    let leaving = facts.is_leaving(request);
    let newest = facts.deployment.as_ref().is_some_and(|deployment| deployment.newest);
    let stuck = journal.open_round().is_some_and(|round| round.failure().is_some());
    if journal.is_released() || (journal.open_round().is_some() && !stuck) {
        return Vec::new();
    }
    let mut acts = match lifecycle::state(journal) {
        State::RolledBack if newest && !leaving && !lifecycle::is_superseded(journal) => vec![Act::Retry],
        State::RolledBack => Vec::new(),
        State::RollingBack if stuck => vec![Act::Rollback, Act::Intervene],
        State::RollingBack => vec![Act::ConfirmRollback],
        _ if leaving && journal.is_held() => vec![Act::Rollback],
        _ if leaving => Vec::new(),
        State::ManualVerification => vec![Act::Verify, Act::Reject],
        State::Failed if lifecycle::is_superseded(journal) && !stuck => Vec::new(),
        State::Failed => vec![Act::Retry, Act::Rollback, Act::Intervene],
        State::Completed if stuck => vec![Act::Rollback, Act::Intervene],
        State::Completed if newest => vec![Act::Rollback],
        State::Completed
        | State::Pending
        | State::SchemaInterpreting
        | State::WorkflowsCloning
        | State::WebhooksAssigning
        | State::IntegrationsConfiguring
        | State::VapiConfiguring => Vec::new(),
    };
    if leaving && journal.is_held() {
        acts.push(Act::Release);
    }
    acts
}

/// What an operator looks for before a rollback is confirmed: an item for each kind of thing that was removed.
fn removed(journal: &Journal) -> Vec<String> {
    let gone = |operation: &str, item: &str| {
        let calls = journal.steps.iter().flat_map(|step| &step.calls);
        calls.into_iter().any(|call| call.operation == operation).then(|| item.to_owned())
    };
    [
        gone("CreateAssistant", "assistant-is-gone"),
        gone("SubscribeCalendar", "calendar-webhook-is-gone"),
        gone("CreateResource", "crm-registration-is-gone"),
        gone("CloneWorkflow", "workflows-are-gone"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
