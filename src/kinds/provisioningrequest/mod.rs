//! ProvisioningRequest: see `README.md` in this folder.

pub mod api;
mod decide;
pub(crate) mod evidence;
pub(crate) mod facts;
mod invariants;
pub mod lifecycle;
mod repair;
pub(crate) mod rules;
#[cfg(test)]
mod tests;
mod undo;
mod view;

use async_trait::async_trait;

use crate::engine::audit::Invariant;
use crate::engine::decision::Decision;
use crate::engine::kind::{Around, Kind, Settings};
use crate::engine::news::{Proof, Telling};
use crate::engine::port::{Access, Read, Verb, WorldError};
use crate::kinds::{assistantdeployment, auditrecord, operatordecision, provider, provisioningschema, tenant};
use crate::model::condition::READY;
use crate::model::journal::Journal;
use crate::model::notice::Topic;
use crate::model::resource::{NAMESPACE, Resource, SECRET};

/// The kind.
pub struct ProvisioningRequestKind;

#[async_trait]
impl Kind for ProvisioningRequestKind {
    type Object = api::ProvisioningRequest;
    type Facts = facts::Facts;
    type Journal = Journal;
    const RESOURCE: &'static Resource = &api::REQUEST;
    const CHILDREN: &'static [&'static Resource] = &[];
    const READS: &'static [Access] = &[
        Access { resource: &api::REQUEST, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &assistantdeployment::api::DEPLOYMENT, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &tenant::api::TENANT, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &provisioningschema::api::SCHEMA, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &provider::api::PROVIDER, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &operatordecision::api::DECISION, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &auditrecord::api::RECORD, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &NAMESPACE, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &SECRET, verbs: &[Verb::Get] },
    ];
    const WRITES: &'static [Access] = &[
        Access { resource: &api::REQUEST, verbs: &[Verb::UpdateStatus, Verb::Update] },
        Access { resource: &auditrecord::api::RECORD, verbs: &[Verb::Create] },
        Access { resource: &NAMESPACE, verbs: &[Verb::Update] },
    ];
    const INVARIANTS: &'static [Invariant] = invariants::ALL;
    const TELLS: &'static [Telling] = &[
        Telling { condition: READY, reason: "AwaitingVerification", topic: Topic::AwaitingVerification, proof: Proof::Offer },
        Telling { condition: READY, reason: "Completed", topic: Topic::Completed, proof: Proof::Record("ProvisioningVerified") },
        Telling { condition: READY, reason: "Failed", topic: Topic::Failed, proof: Proof::Record("ProvisioningFailed") },
        Telling { condition: READY, reason: "Rejected", topic: Topic::Failed, proof: Proof::Record("ProvisioningFailed") },
        Telling { condition: READY, reason: "RolledBack", topic: Topic::RolledBack, proof: Proof::Record("RollbackConfirmed") },
        Telling { condition: READY, reason: "UndoFailed", topic: Topic::RollbackFailed, proof: Proof::Record("RemovalFailed") },
    ];

    async fn gather(object: &api::ProvisioningRequest, read: &dyn Read, _: &Settings) -> Result<facts::Facts, WorldError> {
        facts::gather(object, read).await
    }

    fn decide(object: &api::ProvisioningRequest, facts: &facts::Facts, around: &Around<'_>) -> Decision {
        decide::decide(object, facts, around)
    }
}
