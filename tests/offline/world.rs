//! The worlds: an API server in memory, the same made durable, one that fails on purpose.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "clippy permits these in test functions only, not in what they share"
)]

mod client;
mod collection;
mod durability;
mod faults;
mod metadata;
mod schemas;
mod watches;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use mandate::engine::port::{Clock, Feed, Identifiers, VirtualClock, WorldError};
use mandate::model::object::{Object, ObjectKey};
use mandate::model::resource::{BUILT_IN, NAMESPACE, Resource, ours};
use mandate::world::memory::{AllowAll, Catalogue, Memory, MemoryOptions};
use mandate::world::server::{
    ApiServer, Definition, Guard, Identity, Listed, Preconditions, Selection, Subresource, WriteOptions, Written,
};
use mandate::world::store::Store;
use serde_json::{Value, json};
use uuid::Uuid;

static WIDGET: Resource = ours("Widget", "widgets", true);
static GADGET: Resource = ours("Gadget", "gadgets", false);

/// UIDs that repeat from run to run.
#[derive(Default)]
struct Sequential(AtomicU64);

impl Identifiers for Sequential {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        "2026-01-31T12:00:00.7Z".parse().unwrap()
    }
}

fn definition(resource: &'static Resource, schema: Option<Value>) -> Definition {
    Definition {
        resource,
        schema,
        has_status: true,
        columns: Vec::new(),
        selectable: vec![".spec.colour".into()],
        short_names: Vec::new(),
        categories: Vec::new(),
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "colour": {"type": "string", "enum": ["red", "green", "blue"]},
                    "size": {"type": "integer", "minimum": 1, "default": 1},
                    "text": {"type": "string"},
                    "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is immutable"}]},
                },
            },
            "status": {
                "type": "object",
                "default": {"observedGeneration": -1},
                "properties": {"observedGeneration": {"type": "integer"}, "note": {"type": "string"}},
            },
        },
    })
}

fn options() -> MemoryOptions {
    let built_in = BUILT_IN.iter().map(|resource| definition(resource, None));
    let custom = [&WIDGET, &GADGET].map(|resource| definition(resource, Some(schema())));
    MemoryOptions {
        catalogue: Catalogue::compile(built_in.chain(custom).collect()).unwrap(),
        guards: Vec::new(),
        authorizer: Arc::new(AllowAll),
        clock: Arc::new(Fixed),
        ids: Arc::new(Sequential::default()),
        storage: None,
    }
}

fn guarded(guard: impl Guard + 'static) -> MemoryOptions {
    MemoryOptions { guards: vec![Arc::new(guard)], ..options() }
}

fn stored_in(store: &Store) -> MemoryOptions {
    MemoryOptions { storage: Some(store.clone()), ids: Arc::new(mandate::engine::port::RandomIdentifiers), ..options() }
}

fn virtual_clock() -> Arc<VirtualClock> {
    Arc::new(VirtualClock::starting_at("2026-01-31T12:00:00Z".parse().unwrap()))
}

fn me() -> Identity {
    Identity { username: "ada".into(), groups: Vec::new() }
}

/// A world with namespace `acme`.
async fn world_of(options: MemoryOptions) -> Memory {
    let memory = Memory::open(options).unwrap();
    create(&memory, Object::named(&NAMESPACE, "", "acme")).await.unwrap();
    memory
}

async fn world() -> Memory {
    world_of(options()).await
}

fn widget(name: &str, spec: Value) -> Object {
    let mut object = Object::named(&WIDGET, "acme", name);
    object.body["spec"] = spec;
    object
}

fn gadget(name: &str) -> Object {
    let mut object = Object::named(&GADGET, "", name);
    object.body["spec"] = json!({});
    object
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(&WIDGET, "acme", name)
}

async fn create(memory: &Memory, object: Object) -> Result<Arc<Object>, WorldError> {
    Ok(write(memory, object, WriteOptions::default()).await?.object)
}

async fn write(memory: &Memory, object: Object, options: WriteOptions) -> Result<Written, WorldError> {
    memory.create(&me(), object, options).await
}

async fn update(memory: &Memory, object: &Object) -> Result<Arc<Object>, WorldError> {
    Ok(memory.update(&me(), object.clone(), Subresource::Main, WriteOptions::default()).await?.object)
}

async fn update_status(memory: &Memory, object: &Object) -> Result<Arc<Object>, WorldError> {
    Ok(memory.update(&me(), object.clone(), Subresource::Status, WriteOptions::default()).await?.object)
}

async fn patch(memory: &Memory, key: &ObjectKey, patch: Value) -> Result<Arc<Object>, WorldError> {
    Ok(memory.merge_patch(&me(), key, &patch, Subresource::Main, WriteOptions::default()).await?.object)
}

async fn delete(memory: &Memory, key: &ObjectKey) -> Result<Arc<Object>, WorldError> {
    memory.delete(&me(), key, &Preconditions::default()).await
}

async fn get(memory: &Memory, key: &ObjectKey) -> Option<Arc<Object>> {
    match memory.get(&me(), key).await {
        Ok(object) => Some(object),
        Err(WorldError::NotFound(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

fn all(resource: &'static Resource) -> Selection {
    Selection { resource, namespace: None, fields: String::new(), labels: String::new() }
}

async fn list(memory: &Memory, selection: &Selection) -> Listed {
    memory.list(&me(), selection).await.unwrap()
}

fn names(listed: &Listed) -> Vec<&str> {
    listed.objects.iter().map(|object| object.name()).collect()
}

/// The object changed by hand, as a client would.
fn edited(object: &Object, edit: impl FnOnce(&mut Value)) -> Object {
    let mut object = object.clone();
    edit(&mut object.body);
    object
}

/// Field and message of every cause.
fn causes(error: WorldError) -> Vec<String> {
    match error {
        WorldError::Invalid { causes, .. } => causes.iter().map(ToString::to_string).collect(),
        other => panic!("{other}"),
    }
}

fn forbidden(error: WorldError) -> String {
    match error {
        WorldError::Forbidden { message, .. } => message,
        other => panic!("{other}"),
    }
}

fn conflict(error: WorldError) -> String {
    match error {
        WorldError::Conflict { message, .. } => message,
        other => panic!("{other}"),
    }
}

fn bad_request(error: WorldError) -> String {
    match error {
        WorldError::BadRequest(message) => message,
        other => panic!("{other}"),
    }
}

/// A feed of everything there is of a resource.
fn whole(resource: &'static Resource) -> Feed {
    Feed { resource, namespace: None, metadata_only: false }
}
