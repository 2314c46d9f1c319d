//! How a request is shown: summary, webhooks, records. The same for columns, pages, CLI and API.

use serde_json::{Value, json};

use super::api::{ProvisioningRequest, State};
use super::evidence;
use super::facts::Facts;
use super::lifecycle;
use crate::engine::kind::Chain;
use crate::kinds::assistantdeployment::api::WebhookStatus;
use crate::kinds::{decisions, parts};
use crate::model::canonical::{self, Digest};
use crate::model::condition::{Observation, Summary, Truth};
use crate::model::decision::Act;
use crate::model::failure::{self, DECIDE_ANEW, Failure, FailureCode};
use crate::model::finding::Finding;
use crate::model::journal::{Calls, Journal, RepairEntry, StepEntry, UndoCause};
use crate::model::record::RecordDraft;
use crate::model::step::Step;

/// The summary.
#[must_use]
pub fn summary(request: &ProvisioningRequest, facts: &Facts, journal: &Journal, gate: Option<&Finding>) -> Summary {
    if let Some(summary) = undoing(request, journal).or_else(|| leaving(request, facts, journal)) {
        return summary;
    }
    let step = |what: &str| Summary::Progressing(Finding::waiting("Provisioning", what.to_owned()));
    let under_way = |what: &str| waiting(journal).or_else(|| repairing(journal)).unwrap_or_else(|| step(what));
    match lifecycle::state(journal) {
        State::Pending => Summary::Progressing(gate.cloned().unwrap_or_else(|| Finding::waiting("Pending", "nothing was done yet"))),
        State::SchemaInterpreting => match gate {
            Some(gate) => Summary::Progressing(gate.clone()),
            None => under_way("step 1 of 6: reading and pinning the schema's templates"),
        },
        State::WorkflowsCloning => under_way("step 2 of 6: cloning workflows"),
        State::WebhooksAssigning => under_way("step 3 of 6: assigning webhooks"),
        State::IntegrationsConfiguring => under_way("step 4 of 6: configuring CRM and calendar"),
        State::VapiConfiguring => under_way("step 5 of 6: creating the voice assistant"),
        State::ManualVerification => {
            let message = format!("step 6 of 6: an operator checks the result: {}", decide("verify", request));
            Summary::Awaiting(Finding::waiting("AwaitingVerification", message))
        }
        State::Completed if journal.undo.iter().any(|round| round.cause == UndoCause::Retirement) => Summary::Ready(Finding::info(
            "Retired",
            "was provisioned and verified; a newer attempt has taken over, and nothing of it is left outside",
        )),
        State::Completed => Summary::Ready(Finding::info("Completed", "provisioned, and verified by an operator")),
        State::Failed if lifecycle::is_superseded(journal) => {
            Summary::Awaiting(Finding::info("Superseded", "failed; an operator has decided on a retry, and nothing of it is left outside"))
        }
        State::Failed => Summary::Stalled(failed(request, journal)),
        State::RollingBack => {
            let message = format!("everything was removed; an operator looks for it and confirms: {}", decide("confirm-rollback", request));
            Summary::Awaiting(Finding::waiting("AwaitingDecision", message))
        }
        State::RolledBack => Summary::Awaiting(Finding::info("RolledBack", "nothing is left outside, which an operator has confirmed")),
    }
}

/// The command that decides.
fn decide(act: &str, request: &ProvisioningRequest) -> String {
    format!("mandate decide {act} {}", named(request))
}

/// A request as that command takes it.
fn named(request: &ProvisioningRequest) -> String {
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    format!("-n {namespace} {name}")
}

/// The word of that command for what a round is gone on with.
fn go_on(cause: UndoCause) -> &'static str {
    match cause {
        UndoCause::Rollback | UndoCause::Retirement => "rollback",
        UndoCause::Retry => "retry",
    }
}

/// A round of removing what was left outside that is under way or has failed.
fn undoing(request: &ProvisioningRequest, journal: &Journal) -> Option<Summary> {
    let round = journal.open_round()?;
    let on = go_on(round.cause);
    if let Some(failure) = round.failure() {
        let remedy = failure::sentences(&failure.remedy(on, &named(request)));
        let message = format!("{}: {}. Remedy: {remedy}", failure.code, failure.message);
        return Some(Summary::Stalled(Finding::error("UndoFailed", message)));
    }
    let left: Vec<&str> = journal.outside().map(|(_, call)| call.name.as_str()).collect();
    let left = left.join(", ");
    let why = match round.cause {
        UndoCause::Rollback => {
            Finding::waiting("RollingBack", format!("an operator has decided on a rollback; still to be removed: {left}"))
        }
        UndoCause::Retry => {
            Finding::waiting("RemovingLeftovers", format!("an operator has decided on a retry; still to be removed: {left}"))
        }
        UndoCause::Retirement => Finding::waiting("Retiring", format!("a newer attempt has taken over; still to be removed: {left}")),
    };
    Some(waiting(journal).unwrap_or(Summary::Progressing(why)))
}

/// A request that is being deleted, or whose deployment is, while something is left outside.
fn leaving(request: &ProvisioningRequest, facts: &Facts, journal: &Journal) -> Option<Summary> {
    if !facts.is_leaving(request) || !journal.is_held() || lifecycle::state(journal) == State::RollingBack {
        return None;
    }
    let outside: Vec<&str> = journal.outside().map(|(_, call)| call.name.as_str()).collect();
    let message = format!(
        "deletion waits: {} left resources outside; remove them: {}; or leave them, on record: {}",
        outside.join(", "),
        decide("rollback", request),
        decide("release", request)
    );
    Some(Summary::Awaiting(Finding::waiting("AwaitingDecision", message)))
}

/// A repair that is under way.
fn repairing(journal: &Journal) -> Option<Summary> {
    let entry = journal.steps.last()?;
    let repair = entry.repair.as_ref().filter(|_| entry.done_at.is_none())?;
    let message =
        format!("{}: {} met {}; {} is the one repair that is tried", entry.step, repair.repairs, repair.failure.code, repair.repair);
    Some(Summary::Progressing(Finding::waiting("Repairing", message)))
}

/// A call that waits for its provider.
fn waiting(journal: &Journal) -> Option<Summary> {
    let calls = journal.calls().into_iter().filter(|call| call.is_open());
    let (call, waits) = calls.filter_map(|call| call.waits.as_ref().map(|waits| (call, waits))).next()?;
    let message = format!("{} waits for Provider {}: {} {}", call.name, call.provider, waits.code, waits.message);
    Some(Summary::Progressing(Finding::waiting("ProviderUnavailable", message)))
}

/// Why it failed.
fn failed(request: &ProvisioningRequest, journal: &Journal) -> Finding {
    if let Some((step, failure)) = journal.failure() {
        let remedy = failure::sentences(&failure.remedy("retry", &named(request)));
        return Finding::error("Failed", format!("{step}: {}: {}. Remedy: {remedy}", failure.code, failure.message));
    }
    let rejected = journal.decisions.iter().find(|taken| taken.act == Act::Reject);
    let (who, note) = rejected.map_or(("an operator", ""), |taken| (taken.operator.as_str(), taken.note.as_deref().unwrap_or_default()));
    Finding::error("Rejected", format!("{who} rejected the result: {note}"))
}

/// Says so when the audit chain does not verify; silent otherwise.
#[must_use]
pub fn chain_condition(chain: &Chain) -> Option<Observation> {
    let broken = chain.broken.as_ref()?;
    let why = Finding::error(
        "ChainBroken",
        format!("the audit chain does not verify: {broken}; run mandate verify on an export and compare with a backup"),
    );
    Some(Observation { kind: "AuditVerified", status: Truth::False, why })
}

/// Webhooks that answer.
#[must_use]
pub fn webhooks(facts: &Facts, journal: &Journal) -> Vec<WebhookStatus> {
    let Some(schema) = &facts.schema else { return Vec::new() };
    let nodes = schema.spec.workflows.iter().flat_map(|workflow| workflow.webhooks.iter().map(move |node| (workflow.name.as_str(), node)));
    nodes
        .filter_map(|(workflow, node)| {
            let url = parts::published_url(&schema.spec, journal, workflow, node)?;
            Some(WebhookStatus { workflow: workflow.to_owned(), node: node.clone(), url })
        })
        .collect()
}

/// Records of everything that must be on record so far: who began it, repairs, its failure, what was decided, what was removed.
#[must_use]
pub fn records(request: &ProvisioningRequest, journal: &Journal) -> Vec<RecordDraft> {
    let mut records = Vec::new();
    if !journal.steps.is_empty() {
        records.extend(initiated(request));
    }
    for entry in &journal.steps {
        records.extend(entry.repair.iter().flat_map(|repair| repair_records(entry, repair)));
    }
    if let Some((step, failure)) = journal.failure() {
        records.extend(failure_record(request, journal, step, failure));
    }
    for taken in &journal.decisions {
        records.extend(decisions::record(taken).map(|record| with_what_is_left(record, taken.act, journal)));
        if taken.act == Act::Reject {
            let note = taken.note.as_deref().unwrap_or_default();
            let message = format!("{} rejected the result: {note}", taken.operator);
            let failure = Failure::human(FailureCode::RejectedByOperator, message, &["Correct what was found.", DECIDE_ANEW]);
            records.extend(failure_record(request, journal, Step::ManualVerification, &failure));
        }
    }
    records.extend(undo_records(request, journal));
    records
}

/// A release names what it leaves outside: once the request is gone, nothing else does.
fn with_what_is_left(mut record: RecordDraft, act: Act, journal: &Journal) -> RecordDraft {
    if act == Act::Release {
        let left = journal.outside().map(|(_, call)| {
            let mut row = json!({"call": call.name, "provider": call.provider, "key": call.key});
            if let Some(id) = call.result.as_ref().and_then(|result| result.external_id.as_deref()) {
                row["externalId"] = id.into();
            }
            row
        });
        record.payload["left"] = left.collect();
    }
    record
}

/// Before the repair: what was met, and which repair is tried. After it: what the repaired call came to.
fn repair_records(entry: &StepEntry, repair: &RepairEntry) -> Vec<RecordDraft> {
    let key = repair.calls.first().map(|call| &call.key);
    let draft = |event, outcome: Option<Value>| {
        let mut payload = json!({
            "step": entry.step, "call": repair.repairs, "repair": repair.repair, "key": key,
            "met": {"class": repair.failure.class, "code": repair.failure.code, "message": repair.failure.message},
        });
        if let Some(outcome) = outcome {
            payload["outcome"] = outcome;
        }
        let identity = json!({"key": key, "repair": repair.repair});
        Some(RecordDraft { event, cause: cause(&identity)?, actor: "mandate".into(), payload })
    };
    let repaired = entry.calls.iter().find(|call| call.name == repair.repairs);
    let outcome = match (&entry.failure, repaired) {
        (Some(failure), _) => Some(json!({"code": failure.code, "message": failure.message})),
        (None, Some(call)) if repair.repeated_at.is_some() => match (&call.result, &call.failure) {
            (Some(_), _) => Some("Repaired".into()),
            (None, Some(failure)) => Some(json!({"code": failure.code, "message": failure.message})),
            (None, None) => None,
        },
        (None, _) => None,
    };
    let ended = outcome.and_then(|outcome| draft("RepairEnded", Some(outcome)));
    draft("RepairStarted", None).into_iter().chain(ended).collect()
}

/// Each removal, and what could not be removed.
fn undo_records(request: &ProvisioningRequest, journal: &Journal) -> Vec<RecordDraft> {
    let mut records = Vec::new();
    for round in &journal.undo {
        let failed = |failure: &Failure| {
            let remediation = failure.remedy(go_on(round.cause), &named(request));
            json!({"class": failure.class, "code": failure.code, "message": failure.message, "remediation": remediation})
        };
        for entry in &round.steps {
            for call in &entry.calls {
                let identity = json!({"key": call.key, "call": call.name});
                let mut payload = json!({"call": call.name, "provider": call.provider, "key": call.key, "cause": round.cause, "orderedBy": round.ordered_by});
                let event = match (&call.result, &call.failure) {
                    (Some(result), _) => {
                        payload["gone"] = if result.absent { "before" } else { "now" }.into();
                        if let Some(id) = &result.external_id {
                            payload["externalId"] = id.as_str().into();
                        }
                        "ResourceRemoved"
                    }
                    (None, Some(failure)) => {
                        payload["failure"] = failed(failure);
                        "RemovalFailed"
                    }
                    (None, None) => continue,
                };
                records.extend(cause(&identity).map(|cause| RecordDraft { event, cause, actor: "mandate".into(), payload }));
            }
            if let Some(failure) = &entry.failure {
                let payload = json!({"step": entry.step, "cause": round.cause, "orderedBy": round.ordered_by,
                    "failure": failed(failure)});
                records.extend(cause(&payload).map(|cause| RecordDraft {
                    event: "RemovalFailed",
                    cause,
                    actor: "mandate".into(),
                    payload,
                }));
            }
        }
    }
    records
}

fn cause(document: &Value) -> Option<Digest> {
    canonical::own(document).ok().map(|text| text.digest())
}

fn initiated(request: &ProvisioningRequest) -> Option<RecordDraft> {
    let spec = &request.spec;
    let digest = spec.digest().ok()?;
    Some(RecordDraft {
        event: "ProvisioningInitiated",
        cause: digest.clone(),
        actor: spec.operator.clone(),
        payload: json!({
            "requestDigest": digest, "schema": spec.schema_ref, "tenant": spec.tenant_name, "product": spec.product_type,
            "version": spec.version, "attempt": spec.attempt, "reason": spec.reason, "via": spec.via,
        }),
    })
}

fn failure_record(request: &ProvisioningRequest, journal: &Journal, step: Step, failure: &Failure) -> Option<RecordDraft> {
    let evidence = evidence::document(request, journal)?.digest();
    let identity = json!({"step": step, "class": failure.class, "code": failure.code, "message": failure.message});
    Some(RecordDraft {
        event: "ProvisioningFailed",
        cause: cause(&identity)?,
        actor: "mandate".into(),
        payload: json!({
            "step": step, "class": failure.class, "code": failure.code, "message": failure.message,
            "remediation": failure.remedy("retry", &named(request)), "evidence": evidence,
        }),
    })
}
