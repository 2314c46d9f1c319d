//! How a deployment is shown: summary, whether it is on the current revision, records.

use serde_json::json;

use super::api::{AssistantDeployment, DeploymentJournal};
use super::facts::Facts;
use super::{rules, work};
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, State};
use crate::model::canonical;
use crate::model::condition::{Observation, READY, Summary, Truth};
use crate::model::decision::Act;
use crate::model::failure::{self, Failure};
use crate::model::finding::Finding;
use crate::model::record::RecordDraft;

/// Condition: the live assistant is on the current revision of its version.
pub const UP_TO_DATE: &str = "UpToDate";

/// The summary. `held` says why the next request is not there yet.
#[must_use]
pub fn summary(deployment: &AssistantDeployment, facts: &Facts, journal: &DeploymentJournal, held: Option<Summary>) -> Summary {
    let Some(newest) = facts.newest() else {
        return held.unwrap_or_else(|| Summary::Progressing(Finding::waiting("Deleting", "nothing was provisioned; it goes now")));
    };
    if deployment.metadata.deletion_timestamp.is_some() {
        return leaving(deployment, facts);
    }
    if let Some(cutover) = journal.cutover.as_ref().filter(|_| work::is_cutting_over(journal, facts)) {
        if let Some(failure) = cutover.failure() {
            let message = format!("{}: {}. {}", failure.code, failure.message, then_retry(deployment, failure));
            return Summary::Stalled(Finding::error("CutoverFailed", message));
        }
        let old = cutover.from.as_ref().map_or("nothing", |from| from.name.as_str());
        return Summary::Progressing(Finding::waiting("CuttingOver", format!("{} takes over from {old}", cutover.to.name)));
    }
    match held {
        Some(summary @ (Summary::Stalled(_) | Summary::Progressing(_))) => summary,
        _ => following(deployment, newest, facts),
    }
}

fn then_retry(deployment: &AssistantDeployment, failure: &Failure) -> String {
    format!("Remedy: {}", failure::sentences(&remedy(deployment, failure)))
}

fn remedy(deployment: &AssistantDeployment, failure: &Failure) -> Vec<String> {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    failure.remedy("retry", &format!("-n {namespace} assistantdeployment/{name}"))
}

/// A deployment stands where its newest request stands.
fn following(deployment: &AssistantDeployment, newest: &ProvisioningRequest, facts: &Facts) -> Summary {
    let name = newest.metadata.name.as_deref().unwrap_or_default();
    let status = newest.status.as_ref();
    let state = status.and_then(|status| status.state).unwrap_or_default();
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let said = conditions.iter().find(|condition| condition.kind == READY).map(|condition| condition.message.as_str()).unwrap_or_default();
    let serving = facts.live().filter(|live| live.metadata.uid != newest.metadata.uid).and_then(|live| live.metadata.name.as_deref());
    let mut meanwhile = serving.map(|live| format!("; {live} serves meanwhile")).unwrap_or_default();
    let open = match state {
        State::Failed | State::RollingBack | State::ManualVerification => true,
        State::Pending
        | State::SchemaInterpreting
        | State::WorkflowsCloning
        | State::WebhooksAssigning
        | State::IntegrationsConfiguring
        | State::VapiConfiguring
        | State::Completed
        | State::RolledBack => false,
    };
    if open && is_edited(deployment, newest) {
        meanwhile.push_str("; the spec was edited since, which waits until this is decided");
    }
    match state {
        State::Completed if status.is_some_and(|status| status.journal.is_released()) => {
            Summary::Awaiting(Finding::info("Released", format!("{name}: {said}")))
        }
        State::Completed => Summary::Ready(Finding::info("Completed", format!("provisioned by {name} and verified by an operator"))),
        State::Failed => Summary::Stalled(Finding::error("RequestFailed", format!("{name}: {said}{meanwhile}"))),
        State::RollingBack => Summary::Awaiting(Finding::waiting("RollingBack", format!("{name}: {said}{meanwhile}"))),
        State::RolledBack => {
            let message = format!("{name} was rolled back{meanwhile}; change the spec, or decide on a retry of {name}");
            Summary::Awaiting(Finding::waiting("RolledBack", message))
        }
        State::ManualVerification => Summary::Awaiting(Finding::waiting("AwaitingVerification", format!("{name}: {said}{meanwhile}"))),
        State::Pending
        | State::SchemaInterpreting
        | State::WorkflowsCloning
        | State::WebhooksAssigning
        | State::IntegrationsConfiguring
        | State::VapiConfiguring
            if is_edited(deployment, newest) =>
        {
            let message = format!("{name} is on its way{meanwhile}; the spec was edited since, which waits for a request of its own");
            Summary::Progressing(Finding::waiting("EditPending", message))
        }
        State::Pending
        | State::SchemaInterpreting
        | State::WorkflowsCloning
        | State::WebhooksAssigning
        | State::IntegrationsConfiguring
        | State::VapiConfiguring => Summary::Progressing(Finding::waiting("Provisioning", format!("{name} is on its way{meanwhile}"))),
    }
}

/// Whether the spec asks for something else than the request was made for. Who asks and how is no edit; nor is suspend.
#[must_use]
pub fn is_edited(deployment: &AssistantDeployment, request: &ProvisioningRequest) -> bool {
    let (wanted, done) = (&deployment.spec, &request.spec);
    wanted.product != done.product_type
        || wanted.version != done.version
        || wanted.demo != done.demo
        || wanted.providers != done.providers
        || wanted.credentials != done.credentials
        || wanted.parameters != done.parameters
}

/// A deployment that is being deleted.
fn leaving(deployment: &AssistantDeployment, facts: &Facts) -> Summary {
    let held: Vec<&str> = facts
        .requests
        .iter()
        .filter(|request| request.status.as_ref().is_some_and(|status| status.journal.is_held()))
        .filter_map(|request| request.metadata.name.as_deref())
        .collect();
    if held.is_empty() {
        return Summary::Progressing(Finding::waiting("Deleting", "nothing is left outside; it goes now"));
    }
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let commands = |act: &str| -> String {
        let each: Vec<String> = held.iter().map(|name| format!("mandate decide {act} -n {namespace} {name}")).collect();
        each.join("; ")
    };
    let message = format!(
        "deletion waits: {} left resources outside, and nothing outside is removed or orphaned silently; remove them: {}; or leave them, on record: {}",
        held.join(", "),
        commands("rollback"),
        commands("release"),
    );
    Summary::Awaiting(Finding::waiting("AwaitingDecision", message))
}

/// Whether the live assistant is on the current revision of its version; nothing is said while there is no live one.
#[must_use]
pub fn up_to_date(deployment: &AssistantDeployment, facts: &Facts, journal: &DeploymentJournal) -> Option<Observation> {
    facts.live()?;
    let observe = |status, why| Some(Observation { kind: UP_TO_DATE, status, why });
    let Some((_, current)) = work::behind(deployment, journal, facts) else {
        return observe(Truth::True, Finding::info("UpToDate", "the live assistant is on the current revision of its version"));
    };
    let name = current.metadata.name.as_deref().unwrap_or_default();
    if let Some(failure) =
        journal.propagation.as_ref().filter(|propagation| propagation.to.name == name).and_then(|propagation| propagation.failure())
    {
        let message = format!("{name}: {}: {}. {}", failure.code, failure.message, then_retry(deployment, failure));
        return observe(Truth::False, Finding::error("PropagationFailed", message));
    }
    let why = rules::holds_propagation(deployment, facts);
    observe(
        Truth::False,
        why.unwrap_or_else(|| Finding::waiting("PropagationPending", format!("{name} is on its way to the live assistant"))),
    )
}

/// Records of cutover, propagation and decisions so far.
#[must_use]
pub fn records(deployment: &AssistantDeployment, journal: &DeploymentJournal) -> Vec<RecordDraft> {
    let mut records = Vec::new();
    let draft = |event, identity: serde_json::Value, actor: &str, payload| {
        let cause = canonical::own(&identity).ok()?.digest();
        Some(RecordDraft { event, cause, actor: actor.to_owned(), payload })
    };
    if let Some(cutover) = &journal.cutover {
        let ends = json!({"from": cutover.from, "to": cutover.to});
        for entry in &cutover.steps {
            let mut payload = ends.clone();
            payload["step"] = json!(entry.step);
            if entry.done_at.is_some() {
                let calls = entry.calls.iter().map(|call| json!({"call": call.name, "provider": call.provider, "key": call.key}));
                payload["calls"] = calls.collect();
                records.extend(draft("CutoverStepDone", json!({"to": cutover.to.uid, "step": entry.step}), "mandate", payload));
            } else if let Some(failure) = entry.failure() {
                payload["failure"] = json!({"class": failure.class, "code": failure.code, "message": failure.message, "remediation": remedy(deployment, failure)});
                let round = journal.decisions.len();
                records.extend(draft(
                    "CutoverFailed",
                    json!({"to": cutover.to.uid, "step": entry.step, "code": failure.code, "round": round}),
                    "mandate",
                    payload,
                ));
            }
        }
    }
    if let Some(propagation) = &journal.propagation {
        let mut payload = json!({"request": propagation.request, "from": propagation.from, "to": propagation.to});
        if propagation.is_done() {
            payload["verdict"] = "Pass".into();
            let digests = propagation.steps.iter().flat_map(|entry| &entry.calls);
            payload["proven"] = digests
                .map(|call| json!({"call": call.name, "provider": call.provider, "key": call.key, "digest": call.result.as_ref().and_then(|result| result.digest.clone())}))
                .collect();
            records.extend(draft(
                "RevisionPropagated",
                json!({"request": propagation.request.uid, "to": propagation.to.digest}),
                "mandate",
                payload,
            ));
        } else if let Some(failure) = propagation.failure() {
            payload["verdict"] = "Fail".into();
            payload["failure"] = json!({"class": failure.class, "code": failure.code, "message": failure.message, "remediation": remedy(deployment, failure)});
            let round = journal.decisions.len();
            let identity = json!({"request": propagation.request.uid, "to": propagation.to.digest, "code": failure.code, "round": round});
            records.extend(draft("PropagationFailed", identity, "mandate", payload));
        }
    }
    for taken in &journal.decisions {
        let event = match taken.act {
            Act::Retry => "RetryOrdered",
            Act::Intervene => "Intervened",
            Act::Verify | Act::Reject | Act::Rollback | Act::ConfirmRollback | Act::Release | Act::ValidatePropagation => continue,
        };
        let mut payload =
            json!({"decision": taken.name, "decisionUid": taken.uid, "act": taken.act, "evidence": taken.hash, "via": taken.via});
        if let Some(note) = &taken.note {
            payload["note"] = note.as_str().into();
        }
        let identity = json!({"decisionUid": taken.uid, "act": taken.act, "evidence": taken.hash});
        records.extend(draft(event, identity, &taken.operator, payload));
    }
    records
}
