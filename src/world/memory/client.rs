//! A client of the memory world, as the controller sees it: typed doors, declared permissions, counted requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use super::Memory;
use crate::engine::port::{Access, Delta, Query, Read, Verb, World, WorldError};
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;
use crate::world::server::{ApiServer, FieldValidation, Identity, Preconditions, Selection, Subresource, WatchEvent, WriteOptions};

/// The controller's own documents are known to the last field: an unknown one is a fault of ours, not to be swallowed.
const STRICT: WriteOptions = WriteOptions { field_validation: FieldValidation::Strict, dry_run: false };

/// What kinds declare that they read and write. Everything else is refused.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    allowed: BTreeSet<(&'static Resource, Verb)>,
}

impl Permissions {
    /// The union of declarations.
    #[must_use]
    pub fn of<'a>(declared: impl IntoIterator<Item = &'a Access>) -> Self {
        let pairs = declared.into_iter().flat_map(|access| access.verbs.iter().map(|verb| (access.resource, *verb)));
        Self { allowed: pairs.collect() }
    }

    /// Whether it is declared.
    #[must_use]
    pub fn allow(&self, resource: &'static Resource, verb: Verb) -> bool {
        self.allowed.contains(&(resource, verb))
    }
}

/// A client with an identity. Clones share their counters.
#[derive(Clone)]
pub struct Client {
    memory: Memory,
    identity: Identity,
    permissions: Option<Arc<Permissions>>,
    requests: Arc<Mutex<BTreeMap<Verb, u64>>>,
}

impl Client {
    pub(super) fn new(memory: Memory, identity: Identity, permissions: Option<Arc<Permissions>>) -> Self {
        Self { memory, identity, permissions, requests: Arc::default() }
    }

    /// Requests so far by verb, refused ones included; a watch counts as a list and a watch each time it begins.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<Verb, u64> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begin(&self, verb: Verb, key: &ObjectKey) -> Result<(), WorldError> {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(verb).or_default() += 1;
        match &self.permissions {
            Some(permissions) if !permissions.allow(key.resource, verb) => Err(self.undeclared(verb, key)),
            Some(_) | None => Ok(()),
        }
    }

    fn undeclared(&self, verb: Verb, key: &ObjectKey) -> WorldError {
        let (words, subresource) = match verb {
            Verb::Get => ("get", Subresource::Main),
            Verb::List => ("list", Subresource::Main),
            Verb::Watch => ("watch", Subresource::Main),
            Verb::Create => ("create", Subresource::Main),
            Verb::Update => ("update", Subresource::Main),
            Verb::UpdateStatus => ("update", Subresource::Status),
            Verb::Delete => ("delete", Subresource::Main),
        };
        let refusal = super::commit::refused(&self.identity.username, words, key.resource, subresource, &key.namespace);
        WorldError::Forbidden { key: key.clone(), message: format!("{refusal}: no kind declares it") }
    }

    async fn put(&self, verb: Verb, object: &Object, subresource: Subresource) -> Result<Arc<Object>, WorldError> {
        self.begin(verb, &object.key())?;
        if object.uid().is_empty() || object.resource_version().is_empty() {
            return Err(WorldError::BadRequest(format!("an update of {} must name its UID and resource version", object.key())));
        }
        Ok(self.memory.update(&self.identity, object.clone(), subresource, STRICT).await?.object)
    }

    async fn begin_watch(&self, resource: &'static Resource) -> Result<(Vec<Arc<Object>>, BoxStream<'static, WatchEvent>), WorldError> {
        let everything = ObjectKey::new(resource, "", "");
        let selection = Selection { resource, namespace: None, fields: String::new(), labels: String::new() };
        self.begin(Verb::List, &everything)?;
        let listed = self.memory.list(&self.identity, &selection).await?;
        self.begin(Verb::Watch, &everything)?;
        let events = self.memory.watch(&self.identity, &selection, listed.resource_version).await?;
        Ok((listed.objects, events))
    }
}

#[async_trait]
impl Read for Client {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        self.begin(Verb::Get, key)?;
        match self.memory.get(&self.identity, key).await {
            Ok(object) => Ok(Some(object)),
            Err(WorldError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        let key = ObjectKey::new(query.resource, query.namespace.as_deref().unwrap_or(""), "");
        self.begin(Verb::List, &key)?;
        if let Some(uid) = &query.related {
            self.memory.shared()?.authorize(&self.identity, "list", &key, Subresource::Main)?;
            let mut related = self.memory.related(query.resource, uid)?;
            related.retain(|object| query.selects(object));
            return Ok(related);
        }
        let selection =
            Selection { resource: query.resource, namespace: query.namespace.clone(), fields: String::new(), labels: String::new() };
        Ok(self.memory.list(&self.identity, &selection).await?.objects)
    }
}

#[async_trait]
impl World for Client {
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.begin(Verb::Create, &object.key())?;
        Ok(ApiServer::create(&self.memory, &self.identity, object.clone(), STRICT).await?.object)
    }

    async fn update(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.put(Verb::Update, object, Subresource::Main).await
    }

    async fn update_status(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.put(Verb::UpdateStatus, object, Subresource::Status).await
    }

    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), WorldError> {
        self.begin(Verb::Delete, key)?;
        if uid.is_empty() {
            return Err(WorldError::BadRequest(format!("a delete of {key} must name its UID")));
        }
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        ApiServer::delete(&self.memory, &self.identity, key, &preconditions).await.map(|_| ())
    }

    /// Lists again when it has fallen out of the history: nothing is missed, what vanished meanwhile is not in the list.
    fn watch(&self, resource: &'static Resource) -> BoxStream<'static, Result<Delta, WorldError>> {
        let begin = Watching::Begin(self.clone(), resource);
        stream::unfold(begin, Watching::next).boxed()
    }
}

enum Watching {
    Begin(Client, &'static Resource),
    Follow(Client, &'static Resource, BoxStream<'static, WatchEvent>),
    Ended,
}

impl Watching {
    async fn next(mut self) -> Option<(Result<Delta, WorldError>, Self)> {
        loop {
            self = match self {
                Self::Ended => return None,
                Self::Begin(client, resource) => match client.begin_watch(resource).await {
                    Ok((objects, events)) => return Some((Ok(Delta::Listed(objects)), Self::Follow(client, resource, events))),
                    // Between the list and the watch, the history can outrun us only when writes never stop.
                    Err(WorldError::Gone(_)) => {
                        tokio::task::yield_now().await;
                        Self::Begin(client, resource)
                    }
                    Err(error) => return Some((Err(error), Self::Ended)),
                },
                Self::Follow(client, resource, mut events) => match events.next().await {
                    Some(event) => return Some((Ok(delta(event)), Self::Follow(client, resource, events))),
                    None => Self::Begin(client, resource),
                },
            };
        }
    }
}

fn delta(event: WatchEvent) -> Delta {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => Delta::Applied(object),
        WatchEvent::Deleted(object) => Delta::Deleted(object),
    }
}
