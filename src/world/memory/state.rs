//! One committed state of the world. Cloning shares structure: a snapshot costs O(1), a write O(log n).

use std::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;

/// An object is about, or belongs to, the object with this UID. Without a key it sorts before all relations of its UID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Relation {
    uid: Arc<str>,
    key: Option<Arc<ObjectKey>>,
}

/// All objects at one resource version, by (resource, namespace, name) and by related UID.
#[derive(Clone)]
pub(super) struct State {
    pub(super) version: u64,
    objects: OrdMap<Arc<ObjectKey>, Arc<Object>>,
    relations: OrdSet<Relation>,
}

impl State {
    pub(super) fn empty_at(version: u64) -> Self {
        Self { version, objects: OrdMap::new(), relations: OrdSet::new() }
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// Stores an object under its key and returns the one it replaces.
    pub(super) fn put(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let key = Arc::new(object.key());
        let old = self.objects.insert(Arc::clone(&key), Arc::clone(&object));
        let before = old.as_ref().map(|old| old.related_uids()).unwrap_or_default();
        let after = object.related_uids();
        if before != after {
            self.unrelate(&key, &before);
            for uid in after {
                self.relations.insert(Relation { uid: uid.into(), key: Some(Arc::clone(&key)) });
            }
        }
        old
    }

    /// Removes the object under a key.
    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Arc<Object>> {
        let (key, old) = self.objects.remove_with_key(key)?;
        self.unrelate(&key, &old.related_uids());
        Some(old)
    }

    fn unrelate(&mut self, key: &Arc<ObjectKey>, uids: &[&str]) {
        for uid in uids {
            self.relations.remove(&Relation { uid: (*uid).into(), key: Some(Arc::clone(key)) });
        }
    }

    /// All objects, by key.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// Objects of a resource, in one namespace if given, by namespace and name.
    pub(super) fn of<'a>(&'a self, resource: &'static Resource, namespace: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Object>> {
        let first = ObjectKey { resource, namespace: namespace.unwrap_or_default().to_owned(), name: String::new() };
        let inside = move |key: &ObjectKey| key.resource == resource && namespace.is_none_or(|namespace| key.namespace == namespace);
        let range = (Bound::Included(first), Bound::Unbounded);
        self.objects.range::<_, ObjectKey>(range).take_while(move |(key, _)| inside(key)).map(|(_, object)| object)
    }

    /// Keys of the objects related to a UID ([`Object::related_uids`]), by key.
    pub(super) fn related<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = &'a Arc<ObjectKey>> {
        let range = (Bound::Included(Relation { uid: uid.into(), key: None }), Bound::Unbounded);
        let relations = self.relations.range::<_, Relation>(range).take_while(move |relation| &*relation.uid == uid);
        relations.filter_map(|relation| relation.key.as_ref())
    }
}
