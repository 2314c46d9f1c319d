//! How a request is shown: summary, webhooks, records. The same for columns, pages, CLI and API.

use serde_json::{Value, json};

use super::api::{ProvisioningRequest, State};
use super::calls;
use super::evidence;
use super::facts::Facts;
use super::lifecycle;
use crate::engine::kind::Chain;
use crate::kinds::assistantdeployment::api::WebhookStatus;
use crate::kinds::decisions;
use crate::model::canonical::{self, Digest};
use crate::model::condition::{Observation, Summary, Truth};
use crate::model::decision::Act;
use crate::model::failure::{Failure, FailureCode};
use crate::model::finding::Finding;
use crate::model::journal::Journal;
use crate::model::record::RecordDraft;
use crate::model::step::Step;

/// The summary.
#[must_use]
pub fn summary(request: &ProvisioningRequest, journal: &Journal, gate: Option<&Finding>, going: bool) -> Summary {
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    let outside: Vec<&str> = journal.outside().map(|(_, call)| call.name.as_str()).collect();
    if going && !outside.is_empty() {
        let message =
            format!("deletion waits: {} left resources outside; an operator must decide what becomes of them", outside.join(", "));
        return Summary::Awaiting(Finding::waiting("AwaitingDecision", message));
    }
    let step = |what: &str| Summary::Progressing(Finding::waiting("Provisioning", what.to_owned()));
    match lifecycle::state(journal) {
        State::Pending => Summary::Progressing(gate.cloned().unwrap_or_else(|| Finding::waiting("Pending", "nothing was done yet"))),
        State::SchemaInterpreting => waiting(journal).unwrap_or_else(|| step("step 1 of 6: reading and pinning the schema's templates")),
        State::WorkflowsCloning => waiting(journal).unwrap_or_else(|| step("step 2 of 6: cloning workflows")),
        State::WebhooksAssigning => waiting(journal).unwrap_or_else(|| step("step 3 of 6: assigning webhooks")),
        State::IntegrationsConfiguring => waiting(journal).unwrap_or_else(|| step("step 4 of 6: configuring CRM and calendar")),
        State::VapiConfiguring => waiting(journal).unwrap_or_else(|| step("step 5 of 6: creating the voice assistant")),
        State::ManualVerification => {
            let message = format!("step 6 of 6: an operator checks the result: mandate decide verify -n {namespace} {name}");
            Summary::Awaiting(Finding::waiting("AwaitingVerification", message))
        }
        State::Completed => Summary::Ready(Finding::info("Completed", "provisioned, and verified by an operator")),
        State::Failed => Summary::Stalled(failed(journal)),
        State::RollingBack => Summary::Progressing(Finding::waiting("RollingBack", "removing what was left outside")),
        State::RolledBack => Summary::Awaiting(Finding::info("RolledBack", "nothing is left outside")),
    }
}

/// A call that waits for its provider.
fn waiting(journal: &Journal) -> Option<Summary> {
    let calls = journal.steps.iter().flat_map(|step| &step.calls).filter(|call| call.is_open());
    let (call, waits) = calls.filter_map(|call| call.waits.as_ref().map(|waits| (call, waits))).next()?;
    let message = format!("{} waits for Provider {}: {} {}", call.name, call.provider, waits.code, waits.message);
    Some(Summary::Progressing(Finding::waiting("ProviderUnavailable", message)))
}

/// Why it failed.
fn failed(journal: &Journal) -> Finding {
    if let Some((step, failure)) = journal.failure() {
        let remedy = failure.remediation.join("; ");
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
            let url = calls::published_url(&schema.spec, journal, workflow, node)?;
            Some(WebhookStatus { workflow: workflow.to_owned(), node: node.clone(), url })
        })
        .collect()
}

/// Records of everything that must be on record so far: who began it, its failure, what was decided.
#[must_use]
pub fn records(request: &ProvisioningRequest, journal: &Journal) -> Vec<RecordDraft> {
    let mut records = Vec::new();
    if !journal.steps.is_empty() {
        records.extend(initiated(request));
    }
    if let Some((step, failure)) = journal.failure() {
        records.extend(failure_record(request, journal, step, failure));
    }
    for taken in &journal.decisions {
        records.extend(decisions::record(taken));
        if taken.act == Act::Reject {
            let note = taken.note.as_deref().unwrap_or_default();
            let message = format!("{} rejected the result: {note}", taken.operator);
            let failure = Failure::human(
                FailureCode::RejectedByOperator,
                message,
                &["correct what was found", "then decide on a retry or a rollback"],
            );
            records.extend(failure_record(request, journal, Step::ManualVerification, &failure));
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
            "remediation": failure.remediation, "evidence": evidence,
        }),
    })
}
