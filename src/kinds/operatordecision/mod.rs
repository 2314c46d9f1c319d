//! OperatorDecision: see `README.md` in this folder.

pub mod api;
mod decide;
mod facts;

use async_trait::async_trait;

use crate::engine::audit::Invariant;
use crate::engine::decision::Decision;
use crate::engine::kind::{Around, Kind, Settings};
use crate::engine::port::{Access, Read, Verb, WorldError};
use crate::kinds::{assistantdeployment, provisioningrequest, provisioningschema, tenant};
use crate::model::journal::NoCalls;
use crate::model::resource::{NAMESPACE, Resource};

/// The kind.
pub struct OperatorDecisionKind;

#[async_trait]
impl Kind for OperatorDecisionKind {
    type Object = api::OperatorDecision;
    type Facts = facts::Facts;
    type Journal = NoCalls;
    const RESOURCE: &'static Resource = &api::DECISION;
    const CHILDREN: &'static [&'static Resource] = &[];
    const READS: &'static [Access] = &[
        Access { resource: &api::DECISION, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &provisioningrequest::api::REQUEST, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &assistantdeployment::api::DEPLOYMENT, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &provisioningschema::api::SCHEMA, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &tenant::api::TENANT, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &NAMESPACE, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
    ];
    const WRITES: &'static [Access] = &[Access { resource: &api::DECISION, verbs: &[Verb::UpdateStatus] }];
    const INVARIANTS: &'static [Invariant] = &[];

    async fn gather(object: &api::OperatorDecision, read: &dyn Read, settings: &Settings) -> Result<facts::Facts, WorldError> {
        facts::gather(object, read, settings).await
    }

    fn decide(object: &api::OperatorDecision, facts: &facts::Facts, around: &Around<'_>) -> Decision {
        decide::decide(object, facts, around)
    }
}
