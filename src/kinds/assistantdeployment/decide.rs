//! What shall be for a deployment: its first request, and what that request has come to.

use super::api::{AssistantDeployment, AssistantDeploymentStatus};
use super::facts::Facts;
use super::{children, rules};
use crate::engine::decision::{Child, Decision, Finalizer};
use crate::engine::kind::Around;
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, State};
use crate::kinds::status_value;
use crate::model::condition::{self, READY, Summary};
use crate::model::finding::{Finding, Severity};

/// Decides.
pub fn decide(deployment: &AssistantDeployment, facts: &Facts, around: &Around<'_>) -> Decision {
    let going = deployment.metadata.deletion_timestamp.is_some();
    let current = facts.requests.last();
    let (summary, children) = match current {
        Some(request) if going => (leaving(facts, request), Vec::new()),
        Some(request) => (following(deployment, request), Vec::new()),
        None if going => (Summary::Progressing(Finding::waiting("Deleting", "nothing was provisioned; it goes now")), Vec::new()),
        None => first(deployment, facts),
    };
    let before = deployment.status.clone().unwrap_or_default();
    let generation = deployment.metadata.generation.unwrap_or_default();
    let request_status = current.and_then(|request| request.status.as_ref());
    let status = AssistantDeploymentStatus {
        conditions: condition::merge(&before.conditions, &summary.observations(), generation, around.now),
        observed_generation: generation,
        request: current.and_then(|request| request.metadata.name.clone()),
        attempt: current.map(|request| request.spec.attempt),
        webhooks: request_status.map(|status| status.webhooks.clone()).unwrap_or_default(),
        chain: around.chain.head.clone(),
    };
    let needed = !children.is_empty() || has_outside(facts) || (current.is_some() && !going);
    Decision {
        finalizer: if needed { Finalizer::Present } else { Finalizer::Absent },
        children,
        status: status_value(&status),
        ..Decision::default()
    }
}

/// The first request, or why there is none yet.
fn first(deployment: &AssistantDeployment, facts: &Facts) -> (Summary, Vec<Child>) {
    if let Some(finding) = rules::held_back(deployment, facts) {
        let summary = if finding.severity == Severity::Error { Summary::Stalled(finding) } else { Summary::Progressing(finding) };
        return (summary, Vec::new());
    }
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    if facts.name_taken {
        let message = format!(
            "ProvisioningRequest {} exists and is not of this deployment: use another metadata.name",
            children::request_name(name, 1)
        );
        return (Summary::Stalled(Finding::error("NameTaken", message)), Vec::new());
    }
    let spec = facts
        .schema
        .as_ref()
        .zip(facts.tenant_name.as_deref())
        .and_then(|(schema, tenant)| children::request_spec(deployment, tenant, schema, 1));
    let child = spec.as_ref().and_then(|spec| children::request(deployment, spec));
    let finding = Finding::waiting("Requesting", format!("ProvisioningRequest {} is being made", children::request_name(name, 1)));
    (Summary::Progressing(finding), child.into_iter().collect())
}

/// A live deployment stands where its request stands.
fn following(deployment: &AssistantDeployment, request: &ProvisioningRequest) -> Summary {
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let state = request.status.as_ref().and_then(|status| status.state).unwrap_or_default();
    let conditions = request.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let said = conditions.iter().find(|condition| condition.kind == READY).map(|condition| condition.message.as_str()).unwrap_or_default();
    let edited = edited(deployment, request);
    match state {
        State::Completed if edited => Summary::Progressing(Finding::waiting(
            "EditPending",
            format!("the spec differs from what {name} provisioned; the edit waits for its own request"),
        )),
        State::Completed => Summary::Ready(Finding::info("Completed", format!("provisioned by {name} and verified by an operator"))),
        State::Failed => Summary::Stalled(Finding::error("RequestFailed", format!("{name}: {said}"))),
        State::RollingBack => Summary::Progressing(Finding::waiting("RollingBack", format!("{name}: {said}"))),
        State::RolledBack => Summary::Awaiting(Finding::waiting("RolledBack", format!("{name}: {said}"))),
        State::ManualVerification => Summary::Awaiting(Finding::waiting("AwaitingVerification", format!("{name}: {said}"))),
        State::Pending
        | State::SchemaInterpreting
        | State::WorkflowsCloning
        | State::WebhooksAssigning
        | State::IntegrationsConfiguring
        | State::VapiConfiguring => Summary::Progressing(Finding::waiting("Provisioning", format!("{name} is on its way"))),
    }
}

/// Whether the spec asks for something else than the request provisioned. Who asks and how is no edit; nor is suspend.
fn edited(deployment: &AssistantDeployment, request: &ProvisioningRequest) -> bool {
    let (wanted, done) = (&deployment.spec, &request.spec);
    wanted.product != done.product_type
        || wanted.version != done.version
        || wanted.demo != done.demo
        || wanted.providers != done.providers
        || wanted.credentials != done.credentials
        || wanted.parameters != done.parameters
}

/// Whether any request left, or may have left, something outside.
fn has_outside(facts: &Facts) -> bool {
    let journals = facts.requests.iter().filter_map(|request| request.status.as_ref()).map(|status| &status.journal);
    journals.into_iter().any(|journal| journal.outside().next().is_some())
}

/// A deployment that is being deleted.
fn leaving(facts: &Facts, request: &ProvisioningRequest) -> Summary {
    let name = request.metadata.name.as_deref().unwrap_or_default();
    if !has_outside(facts) {
        return Summary::Progressing(Finding::waiting("Deleting", "nothing was left outside; it goes now"));
    }
    let message =
        format!("deletion waits: {name} left resources outside; nothing outside is removed or orphaned silently, an operator must decide");
    Summary::Awaiting(Finding::waiting("AwaitingDecision", message))
}
