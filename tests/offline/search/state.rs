//! One tenant's side of the world: its objects, what exists outside under its keys, and what of the bounds is spent.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use mandate::engine::port::Query;
use mandate::model::object::{Object, ObjectKey};
use serde_json::{Value, json};
use uuid::Uuid;

/// The one instant at which everything happens: time tells no states apart.
pub const NOW: &str = "2026-01-01T00:00:00Z";

/// 128 bits of anything.
pub fn hash128(of: &impl Hash) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        of.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// An object as it is stored.
#[derive(Clone)]
pub struct Kept {
    pub object: Arc<Object>,
    pub hash: u128,
    related: Arc<[String]>,
}

impl Kept {
    /// The resource version is the content's hash: two worlds with the same contents are the same state.
    pub fn of(mut object: Object) -> Self {
        object.set_metadata("resourceVersion", Value::Null);
        let hash = hash128(&object.body.to_string());
        object.set_metadata("resourceVersion", (hash >> 64).to_string().into());
        let related = object.related_uids().into_iter().map(str::to_owned).collect();
        Self { object: Arc::new(object), hash, related }
    }

    pub fn is_selected(&self, query: &Query) -> bool {
        self.object.resource == query.resource
            && query.namespace.as_deref().is_none_or(|namespace| namespace == self.object.namespace())
            && query.related.as_deref().is_none_or(|uid| self.related.iter().any(|related| related == uid))
    }
}

/// Something that exists at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Thing {
    pub id: String,
    /// Name and UID of the request that made it.
    pub of: (String, String),
    pub call: String,
    pub paths: Vec<String>,
    pub enabled: bool,
    /// What it was made from: moved by a propagation.
    pub version: String,
    /// Nothing finds it but its id.
    pub hidden: bool,
}

/// What exists at all providers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Outside {
    /// By key of the call that made it.
    pub things: BTreeMap<String, Thing>,
    /// Keys whose thing was removed.
    pub gone: BTreeSet<String>,
    /// A call that goes on failing: UID of whose it is, its name.
    pub stubborn: Option<(String, String)>,
}

/// How much of the bounds is spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Spent {
    pub faults: u8,
    /// Decisions that nobody should make, edits, suspensions, deletions.
    pub meddling: u8,
    pub edited: bool,
    pub suspended: bool,
}

/// One tenant's side.
#[derive(Clone)]
pub struct Side {
    pub objects: OrdMap<ObjectKey, Kept>,
    pub outside: Arc<Outside>,
    /// Objects whose pass goes on as soon as it gets to: the intents on disk are its own.
    pub passing: OrdSet<ObjectKey>,
    pub spent: Spent,
}

impl Side {
    pub fn hash(&self) -> u128 {
        let objects = self.objects.values().fold(0_u128, |sum, kept| sum.wrapping_add(kept.hash));
        let passing: Vec<String> = self.passing.iter().map(ToString::to_string).collect();
        objects.wrapping_add(hash128(&(&self.outside, passing, self.spent)))
    }

    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Kept> {
        self.objects.values().filter(move |kept| kept.object.resource.kind == kind)
    }
}

/// Stores an object: a new one gets its UID from its key.
pub fn put(objects: &mut OrdMap<ObjectKey, Kept>, mut object: Object) -> Arc<Object> {
    if object.uid().is_empty() {
        let uid = Uuid::new_v5(&Uuid::NAMESPACE_OID, object.key().path().as_bytes());
        object.set_metadata("uid", uid.to_string().into());
        object.set_metadata("generation", 1.into());
        object.set_metadata("creationTimestamp", NOW.into());
    }
    let kept = Kept::of(object);
    let stored = kept.object.clone();
    objects.insert(stored.key(), kept);
    stored
}

/// Deletion was asked for: what has finalizers waits for them.
pub fn delete(objects: &mut OrdMap<ObjectKey, Kept>, key: &ObjectKey) {
    let Some(kept) = objects.get(key) else { return };
    let mut object = Object::clone(&kept.object);
    if object.finalizers().is_empty() {
        remove(objects, key);
    } else if !object.is_going() {
        object.set_metadata("deletionTimestamp", NOW.into());
        object.set_metadata("generation", (object.generation() + 1).into());
        put(objects, object);
    }
}

/// An object goes, and what it owns after it.
pub fn remove(objects: &mut OrdMap<ObjectKey, Kept>, key: &ObjectKey) {
    let Some(gone) = objects.remove(key) else { return };
    let owned = |kept: &&Kept| kept.object.owner_uids().contains(&gone.object.uid());
    let owned: Vec<ObjectKey> = objects.values().filter(owned).map(|kept| kept.object.key()).collect();
    owned.iter().for_each(|key| delete(objects, key));
}

/// An object with something in it replaced.
pub fn edit(objects: &mut OrdMap<ObjectKey, Kept>, key: &ObjectKey, change: impl FnOnce(&mut Value)) {
    let Some(kept) = objects.get(key) else { return };
    let mut object = Object::clone(&kept.object);
    change(&mut object.body["spec"]);
    if object.body["spec"] != kept.object.body["spec"] {
        object.set_metadata("generation", json!(object.generation() + 1));
        put(objects, object);
    }
}
