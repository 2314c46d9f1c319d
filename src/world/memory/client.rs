//! A client of the memory world, as the controller sees it: typed doors, declared permissions, counted requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use super::Memory;
use crate::engine::port::{Access, Delta, Feed, Query, Read, Verb, World, WorldError};
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;
use crate::world::server::{
    ApiServer, FieldValidation, Identity, Listed, Preconditions, Selection, Subresource, WatchEvent, WriteOptions, not_permitted,
};

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
        let refusal = not_permitted(&self.identity.username, words, key.resource, subresource, &key.namespace);
        WorldError::Forbidden { key: key.clone(), message: format!("{refusal}: no kind declares it") }
    }

    async fn put(&self, verb: Verb, object: &Object, subresource: Subresource) -> Result<Arc<Object>, WorldError> {
        self.begin(verb, &object.key())?;
        if object.uid().is_empty() || object.resource_version().is_empty() {
            return Err(WorldError::BadRequest(format!("an update of {} must name its UID and resource version", object.key())));
        }
        Ok(self.memory.update(&self.identity, object.clone(), subresource, STRICT).await?.object)
    }

    async fn begin_watch(&self, feed: &Feed) -> Result<(Listed, BoxStream<'static, WatchEvent>), WorldError> {
        let resource = feed.resource;
        let everything = ObjectKey::new(resource, feed.namespace.as_deref().unwrap_or(""), "");
        let selection = Selection { resource, namespace: feed.namespace.clone(), fields: String::new(), labels: String::new() };
        self.begin(Verb::List, &everything)?;
        let listed = self.memory.list(&self.identity, &selection).await?;
        self.begin(Verb::Watch, &everything)?;
        let events = self.memory.watch(&self.identity, &selection, listed.resource_version).await?;
        Ok((listed, events))
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
    fn watch(&self, feed: &Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
        let begin = Watching::Begin(self.clone(), feed.clone());
        stream::unfold(begin, Watching::next).boxed()
    }
}

/// As much of an object as the feed tells.
fn seen(feed: &Feed, object: Arc<Object>) -> Arc<Object> {
    if !feed.metadata_only {
        return object;
    }
    let told = ["apiVersion", "kind", "metadata"].into_iter().filter_map(|field| Some((field.to_owned(), object.body.get(field)?.clone())));
    Arc::new(Object { resource: object.resource, body: told.collect::<serde_json::Map<_, _>>().into() })
}

enum Watching {
    Begin(Client, Feed),
    Follow(Client, Feed, BoxStream<'static, WatchEvent>),
    Ended,
}

impl Watching {
    async fn next(mut self) -> Option<(Result<Delta, WorldError>, Self)> {
        loop {
            self = match self {
                Self::Ended => return None,
                Self::Begin(client, feed) => match client.begin_watch(&feed).await {
                    Ok((listed, events)) => {
                        let objects = listed.objects.into_iter().map(|object| seen(&feed, object)).collect();
                        let delta = Delta::Listed { objects, version: listed.resource_version };
                        return Some((Ok(delta), Self::Follow(client, feed, events)));
                    }
                    // Between the list and the watch, the history can outrun us only when writes never stop.
                    Err(WorldError::Gone(_)) => {
                        tokio::task::yield_now().await;
                        Self::Begin(client, feed)
                    }
                    Err(error) => return Some((Err(error), Self::Ended)),
                },
                Self::Follow(client, feed, mut events) => match events.next().await {
                    Some(event) => return Some((Ok(delta(&feed, event)), Self::Follow(client, feed, events))),
                    None => Self::Begin(client, feed),
                },
            };
        }
    }
}

fn delta(feed: &Feed, event: WatchEvent) -> Delta {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => Delta::Applied(seen(feed, object)),
        WatchEvent::Deleted(object) => Delta::Deleted(seen(feed, object)),
    }
}
