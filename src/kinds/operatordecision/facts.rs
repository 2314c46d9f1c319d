//! What a decision's own fate depends on: its subject.

use super::api::OperatorDecision;
use crate::engine::port::{Read, WorldError};
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, REQUEST, State};
use crate::kinds::tenant::api::{TENANT, TENANT_LABEL, Tenant};
use crate::model::decision::Offer;
use crate::model::journal::TakenDecision;
use crate::model::object::ObjectKey;
use crate::model::resource::NAMESPACE;

/// Facts.
#[derive(Debug)]
pub enum Facts {
    /// Nothing of this kind can be decided on.
    KindUnknown,
    /// There is no such subject now.
    SubjectMissing,
    /// The subject has another UID: a successor of the same name.
    Successor,
    /// The subject.
    Subject(SubjectFact),
}

/// What is known of the subject.
#[derive(Debug)]
pub struct SubjectFact {
    /// What it offers now.
    pub offer: Option<Offer>,
    /// Whether it will never offer anything again.
    pub ended: bool,
    /// What it has acted upon.
    pub taken: Vec<TakenDecision>,
    /// Who submitted what is decided on.
    pub submitter: String,
    /// Whether its tenant demands four eyes.
    pub four_eyes: bool,
}

/// Gathers the facts.
pub async fn gather(decision: &OperatorDecision, read: &dyn Read) -> Result<Facts, WorldError> {
    let subject = &decision.spec.subject;
    let namespace = decision.metadata.namespace.as_deref().unwrap_or_default();
    if subject.kind != REQUEST.kind {
        return Ok(Facts::KindUnknown);
    }
    let Some(object) = read.get(&ObjectKey::new(&REQUEST, namespace, &subject.name)).await? else { return Ok(Facts::SubjectMissing) };
    if object.uid() != subject.uid {
        return Ok(Facts::Successor);
    }
    let Ok(request) = object.parse::<ProvisioningRequest>() else { return Ok(Facts::SubjectMissing) };
    let status = request.status.unwrap_or_default();
    Ok(Facts::Subject(SubjectFact {
        ended: matches!(status.state, Some(State::Completed | State::Failed)),
        offer: status.decision,
        taken: status.journal.decisions,
        submitter: request.spec.operator,
        four_eyes: four_eyes(namespace, read).await?,
    }))
}

/// Whether the tenant of this namespace demands four eyes; without a tenant nobody can waive it.
async fn four_eyes(namespace: &str, read: &dyn Read) -> Result<bool, WorldError> {
    let space = read.get(&ObjectKey::new(&NAMESPACE, "", namespace)).await?;
    let Some(name) = space.as_ref().and_then(|space| space.label(TENANT_LABEL)) else { return Ok(true) };
    let tenant = read.get(&ObjectKey::new(&TENANT, "", name)).await?;
    Ok(tenant.and_then(|tenant| tenant.parse::<Tenant>().ok()).is_none_or(|tenant| tenant.spec.four_eyes))
}
