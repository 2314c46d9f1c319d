//! What shall be for a deployment: its requests, and what they have come to.

use super::api::{AssistantDeployment, AssistantDeploymentStatus, DeploymentJournal};
use super::children::{self, Attempt};
use super::facts::Facts;
use super::lifecycle::{self, Cause};
use super::{evidence, rules, view, work};
use crate::engine::decision::{Child, Decision, Finalizer};
use crate::engine::kind::Around;
use crate::kinds::provisioningrequest::api::{RequestReason, request_name};
use crate::kinds::{decisions, status_value};
use crate::model::condition::{self, Summary};
use crate::model::decision::{Act, Stand};
use crate::model::finding::{Finding, Severity};
use crate::model::journal::Calls;

/// Decides.
pub fn decide(deployment: &AssistantDeployment, facts: &Facts, around: &Around<'_>) -> Decision {
    let going = deployment.metadata.deletion_timestamp.is_some();
    let before = deployment.status.clone().unwrap_or_default();
    let mut journal = before.journal.clone();
    take_decisions(deployment, facts, &mut journal, around);
    work::advance(deployment, facts, &mut journal, around.now);
    let calls = if going { Vec::new() } else { work::due(deployment, facts, &mut journal, around.now) };
    let (held, children) = if going { (None, Vec::new()) } else { next_request(deployment, facts, &journal) };
    let summary = view::summary(deployment, facts, &journal, held);
    let mut observations = summary.observations();
    observations.extend(view::up_to_date(deployment, facts, &journal));
    let generation = deployment.metadata.generation.unwrap_or_default();
    let newest = facts.newest();
    let shown = facts.live().or(newest).and_then(|request| request.status.as_ref());
    let wake =
        journal.calls().into_iter().filter(|call| call.is_open()).filter_map(|call| call.waits.as_ref()).map(|waits| waits.retry_at).min();
    let status = AssistantDeploymentStatus {
        conditions: condition::merge(&before.conditions, &observations, generation, around.now),
        observed_generation: generation,
        request: newest.and_then(|request| request.metadata.name.clone()),
        attempt: newest.map(|request| request.spec.attempt),
        webhooks: shown.map(|status| status.webhooks.clone()).unwrap_or_default(),
        schema: facts.live().map(|live| work::live_pin(&journal, live)),
        chain: around.chain.head.clone(),
        decision: evidence::offer(deployment, &journal),
        journal,
    };
    let needed = !children.is_empty() || has_outside(facts) || (newest.is_some() && !going);
    Decision {
        finalizer: if needed { Finalizer::Present } else { Finalizer::Absent },
        records: view::records(deployment, &status.journal),
        children,
        status: status_value(&status),
        calls,
        wake,
        ..Decision::default()
    }
}

/// Acts upon decisions on what the deployment's own calls have met.
fn take_decisions(deployment: &AssistantDeployment, facts: &Facts, journal: &mut DeploymentJournal, around: &Around<'_>) {
    let four_eyes = facts.tenant.as_ref().is_none_or(|tenant| tenant.four_eyes);
    while let Some(offer) = evidence::offer(deployment, journal) {
        let stand = Stand { offer: Some(&offer), submitter: &deployment.spec.operator, four_eyes, now: around.now };
        let recorded = decisions::recorded(&facts.decisions, &journal.decisions, around.chain);
        let passing = || decisions::first_passing(&facts.decisions, &journal.decisions, &stand, around.now);
        let Some(taken) = recorded.or_else(passing) else { return };
        let act = taken.act;
        journal.decisions.push(taken);
        if act == Act::Retry {
            work::retry(journal);
        }
    }
}

/// The next request, or why there is none yet.
fn next_request(deployment: &AssistantDeployment, facts: &Facts, journal: &DeploymentJournal) -> (Option<Summary>, Vec<Child>) {
    let Some(attempt) = next_attempt(deployment, facts, journal) else { return (None, Vec::new()) };
    // A person has decided on the retry: it waits in PENDING for what holds it back, as a request.
    let held = rules::held_back(deployment, facts)
        .filter(|finding| attempt.reason != RequestReason::Retry || finding.severity == Severity::Error || facts.schema.is_none());
    if let Some(finding) = held {
        let summary = if finding.severity == Severity::Error { Summary::Stalled(finding) } else { Summary::Progressing(finding) };
        return (Some(summary), Vec::new());
    }
    let name = request_name(deployment.metadata.name.as_deref().unwrap_or_default(), attempt.number);
    if facts.name_taken {
        let message = format!("ProvisioningRequest {name} exists and is not of this deployment: use another metadata.name");
        return (Some(Summary::Stalled(Finding::error("NameTaken", message))), Vec::new());
    }
    let spec = facts
        .schema
        .as_ref()
        .zip(facts.tenant_name.as_deref())
        .and_then(|(schema, tenant)| children::request_spec(deployment, tenant, schema, &attempt));
    let child = spec.as_ref().and_then(|spec| children::request(deployment, spec));
    let finding = Finding::waiting("Requesting", format!("ProvisioningRequest {name} is being made"));
    (Some(Summary::Progressing(finding)), child.into_iter().collect())
}

/// Which request is to be made now: see [`lifecycle::ATTEMPTS`].
fn next_attempt(deployment: &AssistantDeployment, facts: &Facts, journal: &DeploymentJournal) -> Option<Attempt> {
    let newest = facts.newest();
    let status = match newest {
        Some(newest) => Some(newest.status.as_ref()?),
        None => None,
    };
    let asks = |cause| match cause {
        Cause::Created => newest.is_none(),
        Cause::Retried => status.and_then(|status| status.journal.last_settled()).is_some_and(|taken| taken.act == Act::Retry),
        Cause::Edited => newest.is_some_and(|newest| view::is_edited(deployment, newest)) && !work::is_cutting_over(journal, facts),
    };
    let reason = lifecycle::next(status.map(|status| status.state.unwrap_or_default()), asks)?;
    let number = newest.map_or(0, |newest| newest.spec.attempt) + 1;
    let path = newest.filter(|_| reason == RequestReason::Retry).map_or(number, |newest| newest.spec.path_attempt);
    Some(Attempt { number, path, reason })
}

/// Whether any request left, or may have left, something outside that is its own to remove.
fn has_outside(facts: &Facts) -> bool {
    facts.requests.iter().filter_map(|request| request.status.as_ref()).any(|status| status.journal.is_held())
}
