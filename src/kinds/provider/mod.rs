//! Provider: see `README.md` in this folder.

pub mod api;
mod decide;
pub(crate) mod facts;
pub(crate) mod rules;

use async_trait::async_trait;

use crate::engine::audit::Invariant;
use crate::engine::decision::Decision;
use crate::engine::kind::{Around, Kind, Settings};
use crate::engine::port::{Access, Read, Verb, WorldError};
use crate::model::journal::NoCalls;
use crate::model::resource::{Resource, SECRET};

/// The kind.
pub struct ProviderKind;

#[async_trait]
impl Kind for ProviderKind {
    type Object = api::Provider;
    type Facts = facts::Facts;
    type Journal = NoCalls;
    const RESOURCE: &'static Resource = &api::PROVIDER;
    const CHILDREN: &'static [&'static Resource] = &[];
    const READS: &'static [Access] = &[
        Access { resource: &api::PROVIDER, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
        Access { resource: &SECRET, verbs: &[Verb::Get, Verb::List, Verb::Watch] },
    ];
    const WRITES: &'static [Access] = &[Access { resource: &api::PROVIDER, verbs: &[Verb::UpdateStatus] }];
    const INVARIANTS: &'static [Invariant] = &[];

    async fn gather(object: &api::Provider, read: &dyn Read, settings: &Settings) -> Result<facts::Facts, WorldError> {
        facts::gather(object, read, settings).await
    }

    fn decide(object: &api::Provider, facts: &facts::Facts, around: &Around<'_>) -> Decision {
        decide::decide(object, facts, around)
    }
}
