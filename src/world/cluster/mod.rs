//! A cluster as a world: the Kubernetes API through the kube client.
//!
//! Guarantees: every request has a deadline of its own; a read is repeated when nothing or a passing fault came back; a
//! write is repeated only where its name and preconditions make the second one harmless, and what is then found is
//! compared with what was asked for, so that a lost reply is no conflict; what is only ever created is found by its name and
//! not looked at. What is not here: caching, counting, who may write now, and when to come back after all tries failed; the
//! operator does that.

mod body;
mod error;
mod exchange;
mod feed;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::exchange::{Ask, path_of, path_to};
use crate::engine::port::{Delta, Feed, Query, Read, Verb, World, WorldError};
use crate::model::object::{Object, ObjectKey};

/// Deadline of one request; a hung server costs no more than this.
const REQUEST: Duration = Duration::from_secs(10);
/// All tries of one request together: less than a pass may spend idle.
const TRIES: Duration = Duration::from_secs(20);
/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Objects per page of a list.
const PAGE: usize = 500;

/// A cluster, as one user sees it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

/// A client for a cluster with our policy and not its own: no retries, and deadlines per request instead of per read.
///
/// # Errors
/// [`kube::Error`] when certificates or credentials cannot be used.
pub fn client(mut config: kube::Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    config.read_timeout = None;
    config.connect_timeout = Some(REQUEST);
    config.write_timeout = Some(REQUEST);
    Client::try_from(config)
}

impl Cluster {
    /// The cluster that a client asks.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks until there is an answer that another try would not change.
    async fn read(&self, ask: &Ask<'_>) -> Result<Value, WorldError> {
        let began = Instant::now();
        let mut pause = PAUSE.0;
        loop {
            let error = match self.exchange(ask).await {
                Err(error @ (WorldError::Unavailable { .. } | WorldError::Unknown(_))) => error,
                answered => return answered,
            };
            let wait = wait_after(&error, pause);
            if began.elapsed() + wait > TRIES {
                return Err(error);
            }
            sleep(wait).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Sends a write until it is known what became of it. True beside an error: an earlier try may have been done.
    async fn write(&self, ask: &Ask<'_>) -> Result<Value, (WorldError, bool)> {
        let began = Instant::now();
        let mut pause = PAUSE.0;
        let mut lost = false;
        loop {
            let error = match self.exchange(ask).await {
                Ok(answer) => return Ok(answer),
                Err(error @ (WorldError::Unavailable { .. } | WorldError::Unknown(_))) => error,
                Err(error) => return Err((error, lost)),
            };
            lost |= matches!(error, WorldError::Unknown(_));
            let wait = wait_after(&error, pause);
            if began.elapsed() + wait > TRIES {
                return Err((if lost { WorldError::Unknown(ask.to_string()) } else { error }, lost));
            }
            tracing::debug!(%ask, %error, "asked again");
            sleep(wait).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// After a lost reply: what is there, if it is what was asked for.
    async fn done_before(&self, key: &ObjectKey, wanted: &Object, part: fn(&Value) -> Value) -> Result<Option<Arc<Object>>, WorldError> {
        let found = self.get(key).await?;
        Ok(found.filter(|found| {
            let same_object = wanted.uid().is_empty() || wanted.uid() == found.uid();
            same_object && holds(&part(&found.body), &part(&wanted.body))
        }))
    }

    async fn put(&self, object: &Object, verb: Verb, part: fn(&Value) -> Value) -> Result<Arc<Object>, WorldError> {
        let key = object.key();
        if object.uid().is_empty() || object.resource_version().is_empty() {
            return Err(WorldError::BadRequest(format!("an update of {key} must name its UID and resource version")));
        }
        let status = if verb == Verb::UpdateStatus { "/status" } else { "" };
        let path = format!("{}{status}?fieldValidation=Strict", path_to(&key));
        let ask = Ask { verb, method: Method::PUT, path, key: &key, body: Some(&object.body), accept: None };
        match self.write(&ask).await {
            Ok(answer) => Ok(Arc::new(exchange::object(key.resource, answer))),
            Err((error @ WorldError::Conflict { .. }, true)) => self.done_before(&key, object, part).await?.ok_or(error),
            Err((error, _)) => Err(error),
        }
    }
}

/// How long to wait before the next try.
fn wait_after(error: &WorldError, pause: Duration) -> Duration {
    if let WorldError::Unavailable { retry_after: Some(wait), .. } = error { *wait } else { pause }
}

/// Whether `found` says everything that `wanted` says: the server adds defaults and fields of its own.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| found.get(name).is_some_and(|found| holds(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| holds(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}

fn status_part(body: &Value) -> Value {
    body.get("status").cloned().unwrap_or_default()
}

/// Everything that we set: not the status, and of the metadata what is not the server's.
fn main_part(body: &Value) -> Value {
    let metadata = |field: &str| body.get("metadata").and_then(|metadata| metadata.get(field)).cloned();
    let mut part = body.clone();
    if let Some(fields) = part.as_object_mut() {
        fields.remove("status");
        let kept = ["labels", "annotations", "finalizers", "ownerReferences"];
        let kept = kept.into_iter().filter_map(|field| Some((field.to_owned(), metadata(field)?)));
        fields.insert("metadata".to_owned(), kept.collect::<serde_json::Map<_, _>>().into());
    }
    part
}

#[async_trait]
impl Read for Cluster {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        let ask = Ask { verb: Verb::Get, method: Method::GET, path: path_to(key), key, body: None, accept: None };
        match self.read(&ask).await {
            Ok(answer) => Ok(Some(Arc::new(exchange::object(key.resource, answer)))),
            Err(WorldError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A consistent list, page by page. The relation is looked for here: the server has no index of it.
    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        let feed = Feed { resource: query.resource, namespace: query.namespace.clone(), metadata_only: false };
        let listed = self.list_all(&feed).await?;
        let mut objects: Vec<Arc<Object>> = listed.objects.into_iter().filter(|object| query.selects(object)).collect();
        objects.sort_by_key(|object| object.key());
        Ok(objects)
    }
}

/// Every page of a list.
struct ListedPages {
    objects: Vec<Arc<Object>>,
    version: u64,
}

impl Cluster {
    async fn list_all(&self, feed: &Feed) -> Result<ListedPages, WorldError> {
        let key = ObjectKey::new(feed.resource, feed.namespace.as_deref().unwrap_or_default(), "");
        let accept = feed.metadata_only.then_some("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
        let first = format!("{}?limit={PAGE}", path_of(feed.resource, feed.namespace.as_deref()));
        let mut path = first.clone();
        let mut objects = Vec::new();
        loop {
            let ask = Ask { verb: Verb::List, method: Method::GET, path, key: &key, body: None, accept };
            let mut page = self.read(&ask).await?;
            let items = page.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
            objects.extend(items.into_iter().map(|item| Arc::new(exchange::object(feed.resource, item))));
            let metadata = |field: &str| page.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).unwrap_or_default();
            match metadata("continue") {
                "" => {
                    let version = metadata("resourceVersion");
                    let version = version.parse().map_err(|_| exchange::strange(&ask, &format!("a list of version {version:?}")))?;
                    return Ok(ListedPages { objects, version });
                }
                next => path = format!("{first}&continue={}", exchange::encoded(next)),
            }
        }
    }
}

#[async_trait]
impl World for Cluster {
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        let key = object.key();
        if key.name.is_empty() {
            return Err(WorldError::BadRequest(format!("a new {} must be named by its creator", key.resource.kind)));
        }
        let namespace = key.resource.namespaced.then_some(key.namespace.as_str());
        let path = format!("{}?fieldValidation=Strict", path_of(key.resource, namespace));
        let ask = Ask { verb: Verb::Create, method: Method::POST, path, key: &key, body: Some(&object.body), accept: None };
        match self.write(&ask).await {
            Ok(answer) => Ok(Arc::new(exchange::object(key.resource, answer))),
            Err((error @ WorldError::AlreadyExists(_), true)) if !key.resource.is_only_created() => {
                self.done_before(&key, object, main_part).await?.ok_or(error)
            }
            Err((error, _)) => Err(error),
        }
    }

    async fn update(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.put(object, Verb::Update, main_part).await
    }

    async fn update_status(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.put(object, Verb::UpdateStatus, status_part).await
    }

    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), WorldError> {
        if uid.is_empty() {
            return Err(WorldError::BadRequest(format!("a delete of {key} must name its UID")));
        }
        let options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}, "propagationPolicy": "Background"});
        let ask = Ask { verb: Verb::Delete, method: Method::DELETE, path: path_to(key), key, body: Some(&options), accept: None };
        match self.write(&ask).await {
            Ok(_) | Err((WorldError::NotFound(_), true)) => Ok(()),
            Err((error, _)) => Err(error),
        }
    }

    fn watch(&self, feed: &Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
        feed::watch(self.clone(), feed.clone())
    }
}
