//! AssistantDeployment: see `README.md` in this folder.

pub mod api;
mod children;
mod decide;
pub(crate) mod evidence;
pub(crate) mod facts;
mod invariants;
pub mod lifecycle;
pub mod rules;
mod view;
mod work;

use async_trait::async_trait;

use crate::engine::audit::Invariant;
use crate::engine::decision::Decision;
use crate::engine::kind::{Around, Kind, Settings};
use crate::engine::news::{Proof, Telling};
use crate::engine::port::{Access, Read, Verb, WorldError};
use crate::kinds::{auditrecord, operatordecision, provider, provisioningrequest, provisioningschema, tenant};
use crate::model::condition::READY;
use crate::model::notice::Topic;
use crate::model::resource::{NAMESPACE, Resource, SECRET};

use self::view::UP_TO_DATE;

/// The kind.
pub struct AssistantDeploymentKind;

#[async_trait]
impl Kind for AssistantDeploymentKind {
    type Object = api::AssistantDeployment;
    type Facts = facts::Facts;
    type Journal = api::DeploymentJournal;
    const RESOURCE: &'static Resource = &api::DEPLOYMENT;
    const CHILDREN: &'static [&'static Resource] = &[&provisioningrequest::api::REQUEST];
    const READS: &'static [Access] = &[
        Access { resource: &api::DEPLOYMENT, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &provisioningrequest::api::REQUEST, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &provisioningschema::api::SCHEMA, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &provider::api::PROVIDER, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &operatordecision::api::DECISION, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &auditrecord::api::RECORD, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &SECRET, verbs: &[Verb::Get] },
        Access { resource: &tenant::api::TENANT, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &NAMESPACE, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
    ];
    const WRITES: &'static [Access] = &[
        Access { resource: &api::DEPLOYMENT, verbs: &[Verb::UpdateStatus, Verb::Update] },
        Access { resource: &provisioningrequest::api::REQUEST, verbs: &[Verb::Create] },
        Access { resource: &auditrecord::api::RECORD, verbs: &[Verb::Create] },
        Access { resource: &NAMESPACE, verbs: &[Verb::Update] },
    ];
    const INVARIANTS: &'static [Invariant] = invariants::ALL;
    const TELLS: &'static [Telling] = &[
        Telling { condition: READY, reason: "CutoverFailed", topic: Topic::Failed, proof: Proof::Record("CutoverFailed") },
        Telling { condition: UP_TO_DATE, reason: "UpToDate", topic: Topic::Propagated, proof: Proof::Record("RevisionPropagated") },
        Telling {
            condition: UP_TO_DATE,
            reason: "PropagationFailed",
            topic: Topic::PropagationFailed,
            proof: Proof::Record("PropagationFailed"),
        },
    ];

    async fn gather(object: &api::AssistantDeployment, read: &dyn Read, _: &Settings) -> Result<facts::Facts, WorldError> {
        facts::gather(object, read).await
    }

    fn decide(object: &api::AssistantDeployment, facts: &facts::Facts, around: &Around<'_>) -> Decision {
        decide::decide(object, facts, around)
    }
}
