//! What a decision's own fate depends on: its subject.

use serde_json::Value;

use super::api::OperatorDecision;
use crate::engine::kind::Settings;
use crate::engine::port::{Read, WorldError};
use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::provisioningrequest::api::REQUEST;
use crate::kinds::provisioningschema::api::SCHEMA;
use crate::kinds::tenant::api::{TENANT, TENANT_LABEL, Tenant};
use crate::model::decision::{Act, Offer};
use crate::model::journal::TakenDecision;
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::{NAMESPACE, Resource};

/// Kinds that take decisions. Each offers them in `status.decision` and keeps the taken ones in `status.journal.decisions`.
const SUBJECTS: [&Resource; 4] = [&DEPLOYMENT, &REQUEST, &SCHEMA, &TENANT];

/// Facts.
#[derive(Debug)]
pub enum Facts {
    /// Nothing of this kind can be decided on.
    KindUnknown,
    /// The subject belongs to the platform, and the decision is not in the platform's namespace, which this is.
    Misplaced(String),
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
    /// Who submitted what is decided on; empty where nobody did.
    pub submitter: String,
    /// Whether its tenant demands four eyes.
    pub four_eyes: bool,
}

/// Gathers the facts.
pub async fn gather(decision: &OperatorDecision, read: &dyn Read, settings: &Settings) -> Result<Facts, WorldError> {
    let subject = &decision.spec.subject;
    let namespace = decision.metadata.namespace.as_deref().unwrap_or_default();
    let Some(resource) = SUBJECTS.into_iter().find(|resource| resource.kind == subject.kind) else { return Ok(Facts::KindUnknown) };
    if !resource.namespaced && namespace != settings.system_namespace {
        return Ok(Facts::Misplaced(settings.system_namespace.clone()));
    }
    let Some(object) = read.get(&ObjectKey::new(resource, namespace, &subject.name)).await? else { return Ok(Facts::SubjectMissing) };
    if object.uid() != subject.uid {
        return Ok(Facts::Successor);
    }
    let taken: Vec<TakenDecision> = part(&object, "/status/journal/decisions").unwrap_or_default();
    let (submitter, four_eyes) = if resource.namespaced {
        (part(&object, "/spec/operator").unwrap_or_default(), four_eyes(namespace, read).await?)
    } else {
        proposed(&object, &taken)
    };
    Ok(Facts::Subject(SubjectFact {
        ended: matches!(object.body.pointer("/status/state").and_then(Value::as_str), Some("ROLLED_BACK")),
        offer: part(&object, "/status/decision"),
        taken,
        submitter,
        four_eyes,
    }))
}

/// A part of the subject, if it is there in its shape.
fn part<T: serde::de::DeserializeOwned>(object: &Object, pointer: &str) -> Option<T> {
    T::deserialize(object.body.pointer(pointer)?).ok()
}

/// Of what belongs to the platform only a tenant's release is for four eyes: whoever has proposed it is the submitter.
fn proposed(object: &Object, taken: &[TakenDecision]) -> (String, bool) {
    let proposal = taken.iter().find(|taken| taken.act == Act::Release);
    let demanded = object.resource == &TENANT && part(object, "/spec/fourEyes").unwrap_or(false);
    (proposal.map(|taken| taken.operator.clone()).unwrap_or_default(), demanded && proposal.is_some())
}

/// Whether the tenant of this namespace demands four eyes; without a tenant nobody can waive it.
async fn four_eyes(namespace: &str, read: &dyn Read) -> Result<bool, WorldError> {
    let space = read.get(&ObjectKey::new(&NAMESPACE, "", namespace)).await?;
    let Some(name) = space.as_ref().and_then(|space| space.label(TENANT_LABEL)) else { return Ok(true) };
    let tenant = read.get(&ObjectKey::new(&TENANT, "", name)).await?;
    Ok(tenant.and_then(|tenant| tenant.parse::<Tenant>().ok()).is_none_or(|tenant| tenant.spec.four_eyes))
}
