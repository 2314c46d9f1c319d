//! ProvisioningSchema: see `README.md` in this folder.

pub mod api;
mod decide;
mod facts;
pub(crate) mod propagation;
mod removal;
pub(crate) mod revisions;
pub mod rules;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;

use crate::engine::audit::Invariant;
use crate::engine::decision::Decision;
use crate::engine::kind::{Around, Kind, Settings};
use crate::engine::port::{Access, Read, Verb, WorldError};
use crate::kinds::{assistantdeployment, auditrecord, operatordecision, provisioningrequest};
use crate::model::journal::NoCalls;
use crate::model::resource::{NAMESPACE, Resource};

/// The kind.
pub struct ProvisioningSchemaKind;

#[async_trait]
impl Kind for ProvisioningSchemaKind {
    type Object = api::ProvisioningSchema;
    type Facts = facts::Facts;
    type Journal = NoCalls;
    const RESOURCE: &'static Resource = &api::SCHEMA;
    const CHILDREN: &'static [&'static Resource] = &[];
    const READS: &'static [Access] = &[
        Access { resource: &api::SCHEMA, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &assistantdeployment::api::DEPLOYMENT, verbs: &[Verb::List, Verb::Watch] },
        Access { resource: &provisioningrequest::api::REQUEST, verbs: &[Verb::List, Verb::Watch] },
        Access { resource: &operatordecision::api::DECISION, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &auditrecord::api::RECORD, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
    ];
    const WRITES: &'static [Access] = &[
        Access { resource: &api::SCHEMA, verbs: &[Verb::UpdateStatus, Verb::Update] },
        Access { resource: &auditrecord::api::RECORD, verbs: &[Verb::Create] },
        Access { resource: &NAMESPACE, verbs: &[Verb::Get, Verb::Update] },
    ];
    /// It counts all deployments of its product: one pass for many of their changes.
    const PAUSE: Duration = Duration::from_secs(1);
    const INVARIANTS: &'static [Invariant] = &[];

    async fn gather(object: &api::ProvisioningSchema, read: &dyn Read, settings: &Settings) -> Result<facts::Facts, WorldError> {
        facts::gather(object, read, settings).await
    }

    fn decide(object: &api::ProvisioningSchema, facts: &facts::Facts, around: &Around<'_>) -> Decision {
        decide::decide(object, facts, around)
    }
}
