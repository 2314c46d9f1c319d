//! What a kind is to the loop: gather facts, decide.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::audit::Invariant;
use super::decision::Decision;
use super::news::Telling;
use super::outcome::Outcome;
use super::port::{Access, Read, WorldError};
use super::settle;
use crate::model::call::KeyedCall;
use crate::model::journal::{CallEntry, Calls};
use crate::model::object::Object;
use crate::model::record::{BrokenLink, ChainHead, Entry};
use crate::model::resource::Resource;
use crate::model::time::Time;

/// Settings that decisions depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Namespace of the platform: records about cluster-scoped subjects, secrets of providers.
    pub system_namespace: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { system_namespace: "mandate-system".to_owned() }
    }
}

/// The subject's audit chain as it stands, re-hashed on this read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chain {
    /// Entries that verify, in order.
    pub entries: Vec<Entry>,
    /// Head; none for an empty or broken chain.
    pub head: Option<ChainHead>,
    /// What is wrong with it.
    pub broken: Option<BrokenLink>,
}

/// What a decision depends on besides the object and its facts.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The present.
    pub now: Time,
    /// Settings.
    pub settings: &'a Settings,
    /// The object's own audit chain.
    pub chain: &'a Chain,
}

/// A kind of object that is reconciled.
#[async_trait]
pub trait Kind: Send + Sync + 'static {
    /// The object as a Rust type.
    type Object: DeserializeOwned + Send + Sync + 'static;
    /// Everything a decision needs to know of the world; prints in tests.
    type Facts: Debug + Send + Sync;
    /// `status.journal`, as far as the loop settles calls in it; [`NoCalls`](crate::model::journal::NoCalls) for kinds that
    /// call nobody.
    type Journal: Calls + Serialize + DeserializeOwned + Default;
    /// Its resource.
    const RESOURCE: &'static Resource;
    /// Resources of its children.
    const CHILDREN: &'static [&'static Resource];
    /// What it reads.
    const READS: &'static [Access];
    /// What it writes.
    const WRITES: &'static [Access];
    /// How long a change of something else that it reads may wait, so that many such changes are met by one pass. Its own
    /// changes and people's acts never wait. Default: not at all.
    const PAUSE: Duration = Duration::ZERO;
    /// What must hold of it in every state of the world.
    const INVARIANTS: &'static [Invariant];
    /// What of it an operator is told.
    const TELLS: &'static [Telling] = &[];

    /// Collects the facts. The only asynchronous part of a kind.
    async fn gather(object: &Self::Object, read: &dyn Read, settings: &Settings) -> Result<Self::Facts, WorldError>;

    /// Decides. Pure: the same object, facts and surroundings give the same decision.
    fn decide(object: &Self::Object, facts: &Self::Facts, around: &Around<'_>) -> Decision;
}

/// Why a round of the loop could not come to a decision.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The stored object does not have the shape of its kind.
    #[error("reading {kind} {name}: {error}")]
    Shape {
        /// Kind.
        kind: &'static str,
        /// Name.
        name: String,
        /// What does not fit.
        error: serde_json::Error,
    },
    /// Facts could not be gathered.
    #[error("gathering facts: {0}")]
    Gather(#[from] WorldError),
}

/// A kind without its types, so that the loop is compiled once.
#[async_trait]
pub trait AnyKind: Send + Sync {
    /// [`Kind::RESOURCE`]
    fn resource(&self) -> &'static Resource;
    /// [`Kind::CHILDREN`]
    fn children(&self) -> &'static [&'static Resource];
    /// [`Kind::READS`]
    fn reads(&self) -> &'static [Access];
    /// [`Kind::WRITES`]
    fn writes(&self) -> &'static [Access];
    /// [`Kind::PAUSE`]
    fn pause(&self) -> Duration;
    /// [`Kind::INVARIANTS`]
    fn invariants(&self) -> &'static [Invariant];
    /// [`Kind::TELLS`]
    fn tells(&self) -> &'static [Telling];
    /// Every call in the object's journal.
    fn calls(&self, object: &Object) -> Vec<CallEntry>;
    /// Settles outcomes into the object's journal.
    fn settle(&self, object: &mut Object, outcomes: Vec<(&KeyedCall, Outcome)>, now: Time);
    /// Parses, gathers, decides.
    async fn round(&self, object: &Object, read: &dyn Read, around: &Around<'_>) -> Result<Decision, RoundError>;
}

/// The bridge from [`Kind`] to [`AnyKind`].
pub struct Erased<K>(PhantomData<K>);

impl<K> Erased<K> {
    /// The only value.
    pub const KIND: Self = Self(PhantomData);
}

#[async_trait]
impl<K: Kind> AnyKind for Erased<K> {
    fn resource(&self) -> &'static Resource {
        K::RESOURCE
    }

    fn children(&self) -> &'static [&'static Resource] {
        K::CHILDREN
    }

    fn reads(&self) -> &'static [Access] {
        K::READS
    }

    fn writes(&self) -> &'static [Access] {
        K::WRITES
    }

    fn pause(&self) -> Duration {
        K::PAUSE
    }

    fn invariants(&self) -> &'static [Invariant] {
        K::INVARIANTS
    }

    fn tells(&self) -> &'static [Telling] {
        K::TELLS
    }

    fn calls(&self, object: &Object) -> Vec<CallEntry> {
        settle::journal_of::<K::Journal>(object).calls().into_iter().cloned().collect()
    }

    fn settle(&self, object: &mut Object, outcomes: Vec<(&KeyedCall, Outcome)>, now: Time) {
        let mut journal: K::Journal = settle::journal_of(object);
        settle::settle(&mut journal, outcomes, now);
        if let Ok(journal) = serde_json::to_value(journal) {
            object.body["status"]["journal"] = journal;
        }
    }

    async fn round(&self, object: &Object, read: &dyn Read, around: &Around<'_>) -> Result<Decision, RoundError> {
        let shape = |error| RoundError::Shape { kind: K::RESOURCE.kind, name: object.name().to_owned(), error };
        let typed: K::Object = object.parse().map_err(shape)?;
        let facts = K::gather(&typed, read, around.settings).await?;
        tracing::trace!(?facts, "gathered");
        Ok(K::decide(&typed, &facts, around))
    }
}
