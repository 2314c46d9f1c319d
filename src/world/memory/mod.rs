//! An API server in memory, optionally durable.
//!
//! Guarantees: readers never wait and always see one committed state; every write goes through one committer, in batches;
//! nothing is visible, to readers, watches or the writer, before it is on disk; resource versions only grow.
//! Not imitated, and refused: `generateName`. Not imitated: server-side apply, field managers, foreground and orphaning
//! deletion, quotas. Built-in resources have no schema and are stored as they come.

mod builtin;
mod catalogue;
mod check;
mod client;
mod collect;
mod commit;
mod history;
mod metadata;
mod selector;
mod state;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::Value;

use self::commit::{Queue, Shared};
use self::selector::Selector;
use self::write::Request;
use super::schema::SchemaError;
use super::server::{
    ApiServer, Authorizer, Definition, Guard, Identity, Listed, Preconditions, Selection, Subresource, WatchEvent, WriteOptions, Written,
};
use super::store::{Store, StoreError};
use crate::engine::audit::Snapshot;
use crate::engine::port::{Clock, Identifiers, WorldError};
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;

pub use self::catalogue::Catalogue;
pub use self::check::{Checked, Checker};
pub use self::client::{Client, Permissions};
pub use self::history::{HISTORY_BYTES, HISTORY_EVENTS};

/// What a world is made of.
pub struct MemoryOptions {
    /// What is served.
    pub catalogue: Arc<Catalogue>,
    /// Rules about identities, in order.
    pub guards: Vec<Arc<dyn Guard>>,
    /// Who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// Time of creations and deletions.
    pub clock: Arc<dyn Clock>,
    /// UIDs.
    pub ids: Arc<dyn Identifiers>,
    /// Where it is kept; none for a world that ends with the process.
    pub storage: Option<Store>,
}

/// Why a world could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A definition's schema does not compile.
    #[error("schema of {resource}: {error}")]
    Schema {
        /// Which definition.
        resource: String,
        /// What is wrong.
        error: SchemaError,
    },
    /// The state cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state holds objects that nothing defines: it was written by a newer program.
    #[error("the state holds {plural} of group {group:?}, which this program does not know")]
    UnknownResource {
        /// Group.
        group: String,
        /// Plural.
        plural: String,
    },
}

/// Everyone is allowed everything: for tests and simulations whose subject is not authorization.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn may(&self, _: &Identity, _: &str, _: &Resource, _: Subresource, _: &str) -> bool {
        true
    }
}

/// An API server in memory. Cheap to clone; all clones are one world.
#[derive(Clone)]
pub struct Memory {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Option<Arc<Shared>>,
    queue: Arc<Queue>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.history.close();
        }
        // Whoever drops a world may open its state again at once, so the committer must have let go of it.
        self.shared = None;
        self.queue.wait_until_idle();
    }
}

impl Memory {
    /// Opens a world: empty, or as its storage holds it. Blocks while reading the storage.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(options: MemoryOptions) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::open(options)?);
        Ok(Self { handle: Arc::new(Handle { shared: Some(shared), queue: Arc::default() }) })
    }

    /// A client of this world for the controller or a test. With permissions, it can do nothing that they do not declare.
    #[must_use]
    pub fn client(&self, identity: Identity, permissions: Option<Arc<Permissions>>) -> Client {
        Client::new(self.clone(), identity, permissions)
    }

    /// Every object, at one instant.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let objects = self.shared().map(|shared| shared.state.load().all().cloned().collect());
        Snapshot { objects: objects.unwrap_or_default() }
    }

    /// Objects of a resource related to a UID ([`Object::related_uids`]), by namespace and name.
    fn related(&self, resource: &Resource, uid: &str) -> Result<Vec<Arc<Object>>, WorldError> {
        let state = self.shared()?.state.load();
        Ok(state.related(uid).filter(|key| key.resource == resource).filter_map(|key| state.get(key).cloned()).collect())
    }

    fn shared(&self) -> Result<&Arc<Shared>, WorldError> {
        // The handle loses it only while it is being dropped, when nobody can ask any more.
        self.handle.shared.as_ref().ok_or_else(|| WorldError::Unavailable { message: "the world is closed".into(), retry_after: None })
    }

    fn selector(&self, who: &Identity, verb: &str, selection: &Selection) -> Result<Selector, WorldError> {
        let key = ObjectKey::new(selection.resource, selection.namespace.as_deref().unwrap_or(""), "");
        let shared = self.shared()?;
        let served = shared.served(&key)?;
        shared.authorize(who, verb, &key, Subresource::Main)?;
        Selector::parse(selection, served.definition)
    }

    async fn write(&self, who: &Identity, request: Request, options: WriteOptions) -> Result<Written, WorldError> {
        let shared = self.shared()?;
        let (verb, key, subresource) = request.asks();
        shared.served(&key)?;
        shared.authorize(who, verb, &key, subresource)?;
        commit::submit(&self.handle.queue, shared, who.clone(), request, options).await
    }
}

#[async_trait]
impl ApiServer for Memory {
    fn definitions(&self) -> &[Definition] {
        self.handle.shared.as_ref().map(|shared| shared.catalogue.definitions()).unwrap_or_default()
    }

    async fn get(&self, who: &Identity, key: &ObjectKey) -> Result<Arc<Object>, WorldError> {
        let shared = self.shared()?;
        shared.served(key)?;
        shared.authorize(who, "get", key, Subresource::Main)?;
        shared.state.load().get(key).cloned().ok_or_else(|| WorldError::NotFound(key.clone()))
    }

    async fn list(&self, who: &Identity, selection: &Selection) -> Result<Listed, WorldError> {
        let selector = self.selector(who, "list", selection)?;
        let state = self.shared()?.state.load_full();
        let objects = match (selector.name(), &selector.namespace) {
            (Some(name), Some(namespace)) => {
                let found = state.get(&ObjectKey::new(selector.resource, namespace, name));
                found.filter(|object| selector.selects(object)).cloned().into_iter().collect()
            }
            _ => {
                let candidates = state.of(selector.resource, selector.namespace.as_deref());
                candidates.filter(|object| selector.selects(object)).cloned().collect()
            }
        };
        Ok(Listed { objects, resource_version: state.version })
    }

    async fn create(&self, who: &Identity, object: Object, options: WriteOptions) -> Result<Written, WorldError> {
        self.write(who, Request::Create { object }, options).await
    }

    async fn update(&self, who: &Identity, object: Object, subresource: Subresource, options: WriteOptions) -> Result<Written, WorldError> {
        self.write(who, Request::Update { object, subresource }, options).await
    }

    async fn merge_patch(
        &self,
        who: &Identity,
        key: &ObjectKey,
        patch: &Value,
        subresource: Subresource,
        options: WriteOptions,
    ) -> Result<Written, WorldError> {
        self.write(who, Request::Patch { key: key.clone(), patch: patch.clone(), subresource }, options).await
    }

    async fn delete(&self, who: &Identity, key: &ObjectKey, preconditions: &Preconditions) -> Result<Arc<Object>, WorldError> {
        let request = Request::Delete { key: key.clone(), preconditions: preconditions.clone() };
        Ok(self.write(who, request, WriteOptions::default()).await?.object)
    }

    /// As on a cluster, `from` 0 begins with what exists, told as added.
    async fn watch(&self, who: &Identity, selection: &Selection, from: u64) -> Result<BoxStream<'static, WatchEvent>, WorldError> {
        let selector = self.selector(who, "watch", selection)?;
        let shared = self.shared()?;
        let gone = || WorldError::Gone(from.to_string());
        let state = shared.state.load_full();
        if from > state.version {
            return Err(gone());
        }
        if from > 0 {
            return shared.history.watch(selector, from).map_err(|_| gone());
        }
        let candidates = state.of(selector.resource, selector.namespace.as_deref());
        let existing: Vec<_> = candidates.filter(|object| selector.selects(object)).cloned().map(WatchEvent::Added).collect();
        let changes = shared.history.watch(selector, state.version).map_err(|_| gone())?;
        Ok(stream::iter(existing).chain(changes).boxed())
    }

    fn resource_version(&self) -> u64 {
        self.handle.shared.as_ref().map_or(0, |shared| shared.state.load().version)
    }
}
