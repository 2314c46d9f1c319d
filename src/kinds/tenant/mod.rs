//! Tenant: see `README.md` in this folder.

pub mod api;
mod children;
mod decide;
pub(crate) mod evidence;
pub(crate) mod facts;
mod invariants;
mod release;
pub(crate) mod rules;

use async_trait::async_trait;

use crate::engine::audit::Invariant;
use crate::engine::decision::Decision;
use crate::engine::kind::{Around, Kind, Settings};
use crate::engine::port::{Access, Read, Verb, WorldError};
use crate::kinds::{auditrecord, operatordecision, provisioningrequest};
use crate::model::journal::NoCalls;
use crate::model::resource::{NAMESPACE, RESOURCE_QUOTA, ROLE_BINDING, Resource};

/// The kind.
pub struct TenantKind;

#[async_trait]
impl Kind for TenantKind {
    type Object = api::Tenant;
    type Facts = facts::Facts;
    type Journal = NoCalls;
    const RESOURCE: &'static Resource = &api::TENANT;
    const CHILDREN: &'static [&'static Resource] = &[&NAMESPACE, &ROLE_BINDING, &RESOURCE_QUOTA];
    const READS: &'static [Access] = &[
        Access { resource: &api::TENANT, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &NAMESPACE, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &ROLE_BINDING, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &RESOURCE_QUOTA, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &provisioningrequest::api::REQUEST, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &operatordecision::api::DECISION, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &auditrecord::api::RECORD, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
    ];
    const WRITES: &'static [Access] = &[
        Access { resource: &api::TENANT, verbs: &[Verb::UpdateStatus, Verb::Update] },
        Access { resource: &NAMESPACE, verbs: &[Verb::Create, Verb::Update] },
        Access { resource: &auditrecord::api::RECORD, verbs: &[Verb::Create] },
        Access { resource: &ROLE_BINDING, verbs: &[Verb::Create, Verb::Update, Verb::Delete] },
        Access { resource: &RESOURCE_QUOTA, verbs: &[Verb::Create, Verb::Update, Verb::Delete] },
    ];
    const INVARIANTS: &'static [Invariant] = invariants::ALL;

    async fn gather(object: &api::Tenant, read: &dyn Read, settings: &Settings) -> Result<facts::Facts, WorldError> {
        facts::gather(object, read, settings).await
    }

    fn decide(object: &api::Tenant, facts: &facts::Facts, around: &Around<'_>) -> Decision {
        decide::decide(object, facts, around)
    }
}
