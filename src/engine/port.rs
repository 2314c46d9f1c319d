//! The only doors to the outside: time, identifiers, the world of objects, external systems, the ledger.
//!
//! Everything below `decide` is pure; everything that is not pure enters through a trait of this file, so that a test
//! can stand in every doorway.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use uuid::Uuid;

use super::outcome::Outcome;
use crate::model::call::{KeyedCall, SecretKey};
use crate::model::notice::Notice;
use crate::model::object::{Object, ObjectKey};
use crate::model::record::{ChainHead, RecordDraft, Subject};
use crate::model::resource::Resource;

/// Wall-clock time. Sleeping is `tokio::time`, which tests pause.
pub trait Clock: Send + Sync {
    /// The present instant, as it is written into conditions, journals and records.
    fn now(&self) -> Timestamp;
}

/// Source of identifiers that nothing else determines: object UIDs, tokens.
pub trait Identifiers: Send + Sync {
    /// A version 4 UUID.
    fn uuid(&self) -> Uuid;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one door for the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The machine's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIdentifiers;

impl Identifiers for RandomIdentifiers {
    #[allow(clippy::disallowed_methods, reason = "this is the one door for random identifiers")]
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// A clock that starts at a fixed instant and follows `tokio::time`, paused or not: virtual time for simulations.
#[derive(Debug, Clone)]
pub struct VirtualClock {
    origin: Timestamp,
    started: tokio::time::Instant,
}

impl VirtualClock {
    /// A clock that reads `origin` now. Call inside a tokio runtime.
    #[must_use]
    pub fn starting_at(origin: Timestamp) -> Self {
        Self { origin, started: tokio::time::Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.origin.checked_add(jiff::SignedDuration::from_nanos(elapsed)).unwrap_or(Timestamp::MAX)
    }
}

/// What may be done to a resource, as RBAC verbs; `UpdateStatus` is `update` on the status subresource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// get
    Get,
    /// list
    List,
    /// watch
    Watch,
    /// create
    Create,
    /// update and patch of the main resource
    Update,
    /// update of the status subresource
    UpdateStatus,
    /// delete
    Delete,
}

/// A resource and what a kind does to it. The ClusterRole is generated from these; the memory world refuses the rest.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// Which resource.
    pub resource: &'static Resource,
    /// Which verbs.
    pub verbs: &'static [Verb],
}

/// Which objects to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Query {
    /// Resource type.
    pub resource: &'static Resource,
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Only objects that belong to, or are about, the object with this UID ([`Object::related_uids`]).
    pub related: Option<String>,
}

impl Query {
    /// All objects of a resource.
    #[must_use]
    pub fn all(resource: &'static Resource) -> Self {
        Self { resource, namespace: None, related: None }
    }

    /// Objects related to a UID, in any namespace.
    #[must_use]
    pub fn related(resource: &'static Resource, uid: &str) -> Self {
        Self { resource, namespace: None, related: Some(uid.to_owned()) }
    }

    /// Whether the query selects this object.
    #[must_use]
    pub fn selects(&self, object: &Object) -> bool {
        self.resource == object.resource
            && self.namespace.as_deref().is_none_or(|namespace| namespace == object.namespace())
            && self.related.as_deref().is_none_or(|uid| object.related_uids().contains(&uid))
    }
}

/// One thing wrong with an object, in the API server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Field path: `spec.providers.crm`.
    pub field: String,
    /// `FieldValueRequired`, `FieldValueInvalid`, `FieldValueTypeInvalid`, ...
    pub reason: &'static str,
    /// `Required value`, `Invalid value: "x": ...`, as in `<field>: <message>`.
    pub message: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.message)
    }
}

/// Why the world did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// 404
    #[error("{0} not found")]
    NotFound(ObjectKey),
    /// 409 on create
    #[error("{0} already exists")]
    AlreadyExists(ObjectKey),
    /// 409: the object changed, or is another one of the same name
    #[error("{key}: {message}")]
    Conflict {
        /// Which object.
        key: ObjectKey,
        /// What differs.
        message: String,
    },
    /// 422
    #[error("{key} is invalid: {}", causes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Invalid {
        /// Which object.
        key: ObjectKey,
        /// Everything that is wrong with it.
        causes: Vec<Cause>,
    },
    /// 403
    #[error("{key} is forbidden: {message}")]
    Forbidden {
        /// Which object.
        key: ObjectKey,
        /// Which rule refused it.
        message: String,
    },
    /// 400
    #[error("bad request: {0}")]
    BadRequest(String),
    /// 413
    #[error("{key} has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Which object.
        key: ObjectKey,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// 404 for a whole resource: its definition is not applied yet
    #[error("{0}")]
    NotServed(String),
    /// 410: the resource version to watch from is too old
    #[error("resource version {0} is too old")]
    Gone(String),
    /// The world cannot be reached or asks to come back later; nothing was written
    #[error("the world is unavailable: {message}")]
    Unavailable {
        /// What happened.
        message: String,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// No answer: what was asked for may have happened
    #[error("no answer to {0}: it may have happened")]
    Unknown(String),
    /// The world tells an older state than it told before: restored from a backup, or answered by a stale replica. What was
    /// known stays; only a restart forgets it.
    #[error("the world went back from resource version {from} to {to}")]
    WentBack {
        /// Newest version that was told.
        from: u64,
        /// Version that it tells now.
        to: u64,
    },
}

/// Reading objects, from a cache or from the world itself.
#[async_trait]
pub trait Read: Send + Sync {
    /// One object.
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError>;
    /// All objects that the query selects, by namespace and name.
    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError>;
}

/// What is watched of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Feed {
    /// Resource type.
    pub resource: &'static Resource,
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Objects come with nothing but `apiVersion`, `kind` and `metadata`.
    pub metadata_only: bool,
}

impl Feed {
    /// What the controller watches of a resource: all of it, or what the platform's own namespace holds; secrets without
    /// what they hold.
    #[must_use]
    pub fn of(resource: &'static Resource, system_namespace: &str) -> Self {
        Self {
            resource,
            namespace: resource.is_platform_only().then(|| system_namespace.to_owned()),
            metadata_only: resource.is_watched_without_body(),
        }
    }
}

/// What a watch tells.
#[derive(Debug, Clone)]
pub enum Delta {
    /// The complete list: at the start, and when changes may have been missed. What is not in it is gone.
    Listed {
        /// Every object there is.
        objects: Vec<Arc<Object>>,
        /// Version that the list reflects: an object written later may be missing from it and be there all the same.
        version: u64,
    },
    /// Created or changed.
    Applied(Arc<Object>),
    /// Gone; the last state.
    Deleted(Arc<Object>),
    /// After an interruption: it goes on where it was, nothing was missed.
    Resumed,
}

/// Writing and watching objects. Every write but create names UID and resource version (design section 3).
#[async_trait]
pub trait World: Read {
    /// Creates; the name is set by the caller, never generated.
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError>;
    /// Replaces everything but the status; `metadata.uid` and `metadata.resourceVersion` must match.
    async fn update(&self, object: &Object) -> Result<Arc<Object>, WorldError>;
    /// Replaces the status; `metadata.uid` and `metadata.resourceVersion` must match.
    async fn update_status(&self, object: &Object) -> Result<Arc<Object>, WorldError>;
    /// Asks for deletion of the object with this UID.
    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), WorldError>;
    /// All changes of a feed, beginning with the complete list. An error says that it is interrupted; a watch that can go on
    /// by itself does so after a pause of its own, and says so by `Listed` or `Resumed`. One that ends must be opened again.
    fn watch(&self, feed: &Feed) -> BoxStream<'static, Result<Delta, WorldError>>;
}

/// External systems.
#[async_trait]
pub trait Backends: Send + Sync {
    /// Sees to it that the effect with this key exists exactly once, and says what is known of it.
    /// Never panics, never waits longer than the call's deadline plus its consistency window.
    async fn perform(&self, call: &KeyedCall) -> Outcome;
}

/// A secret's value. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(pub String);

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretValue(***)")
    }
}

/// Why a secret is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is none, it lacks the key, or it is not labelled for the provider.
    #[error("{0}")]
    Missing(String),
    /// The world did not answer.
    #[error("reading a secret: {0}")]
    World(#[from] WorldError),
}

/// Secrets of providers: in the system namespace, by name, only if labelled for the provider.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The value of a key.
    async fn secret(&self, provider: &str, key: &SecretKey) -> Result<SecretValue, SecretError>;
}

/// One entry of a chain as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Canonical text.
    pub text: String,
    /// Stated digest.
    pub hash: String,
}

/// Audit chains. Objects are the first implementation; a database may be another.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// All entries about a subject, in order.
    async fn read(&self, subject: &Subject) -> Result<Vec<StoredEntry>, WorldError>;
    /// Appends a draft unless an entry of its identity (event, cause) exists. Returns the head afterwards.
    async fn append(&self, subject: &Subject, draft: &RecordDraft) -> Result<ChainHead, LedgerError>;
}

/// Why an entry was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The world refused or did not answer.
    #[error("appending a record: {0}")]
    World(#[from] WorldError),
    /// The chain does not verify; nothing is appended to it until a person has looked.
    #[error("the audit chain does not verify: {0}")]
    Broken(#[from] crate::model::record::BrokenLink),
    /// The draft has no canonical text.
    #[error("record {event}: {error}")]
    Draft {
        /// Event of the draft.
        event: &'static str,
        /// What is wrong.
        error: crate::model::canonical::CanonicalError,
    },
}

/// Tells operators of outcomes. Nothing of it fails a pass, and nothing that is read by one comes of it.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// The status that is written next says this, and the one before did not. Told before the write, so that a process that
    /// dies in between has told it: the next one tells it again under the same identity. Takes a few seconds at most.
    async fn becomes(&self, notice: &Notice);
    /// A stored status says this. Told after every pass over the object, so that a new process hears of what its
    /// predecessor may not have passed on. Returns at once.
    fn stands(&self, notice: &Notice);
}

/// Nobody is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

#[async_trait]
impl Notifier for Silent {
    async fn becomes(&self, _: &Notice) {}

    fn stands(&self, _: &Notice) {}
}
