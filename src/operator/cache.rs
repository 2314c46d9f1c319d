//! A cache of watched resources that sees our own writes at once.
//!
//! Guarantees: an object's version never goes back (a delta older than what a write of ours returned is ignored); a
//! relist tells what changed and what vanished. Reading it is no request to the world.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;

use crate::engine::port::{Delta, Query, Read, WorldError};
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;

/// What a delta changed.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which object.
    pub key: ObjectKey,
    /// As it was.
    pub before: Option<Arc<Object>>,
    /// As it is.
    pub after: Option<Arc<Object>>,
}

/// The cache.
#[derive(Debug, Default)]
pub struct Cache {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ObjectKey, Arc<Object>>,
    /// Keys of objects related to a UID.
    related: HashMap<String, BTreeSet<ObjectKey>>,
    /// Version at which an object was seen deleted: an older delta does not bring it back.
    deleted: HashMap<ObjectKey, u64>,
}

/// A resource version as a number; the API server's are comparable within one resource.
fn version(object: &Object) -> u64 {
    object.resource_version().parse().unwrap_or(0)
}

impl Cache {
    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a watch told. Returns what is different now.
    pub fn apply(&self, resource: &'static Resource, delta: Delta) -> Vec<Change> {
        let mut state = self.write_state();
        match delta {
            Delta::Applied(object) => state.put(object).into_iter().collect(),
            Delta::Deleted(object) => state.remove(&object.key(), version(&object)).into_iter().collect(),
            Delta::Listed { objects, version: listed_at } => {
                let listed: BTreeSet<ObjectKey> = objects.iter().map(|object| object.key()).collect();
                let gone: Vec<ObjectKey> = state.keys_of(resource).filter(|key| !listed.contains(key)).cloned().collect();
                // A complete list is newer than a tombstone that it has seen: nothing older can follow it.
                state.deleted.retain(|key, at| key.resource != resource || *at > listed_at);
                let mut changes: Vec<Change> = gone.iter().filter_map(|key| state.remove(key, listed_at)).collect();
                changes.extend(objects.into_iter().filter_map(|object| state.put(object)));
                changes
            }
            Delta::Resumed => Vec::new(),
        }
    }

    /// Takes the reply to a write of ours.
    pub fn written(&self, object: Arc<Object>) -> Option<Change> {
        self.write_state().put(object)
    }

    /// One object, now.
    #[must_use]
    pub fn peek(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.read_state().objects.get(key).cloned()
    }

    /// Keys of every object of a resource.
    #[must_use]
    pub fn keys(&self, resource: &'static Resource) -> Vec<ObjectKey> {
        self.read_state().keys_of(resource).cloned().collect()
    }

    /// Number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read_state().objects.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    fn keys_of(&self, resource: &'static Resource) -> impl Iterator<Item = &ObjectKey> {
        let first = ObjectKey { resource, namespace: String::new(), name: String::new() };
        self.objects.range((Bound::Included(first), Bound::Unbounded)).map(|(key, _)| key).take_while(move |key| key.resource == resource)
    }

    fn put(&mut self, object: Arc<Object>) -> Option<Change> {
        let key = object.key();
        let known = self.objects.get(&key).map(|known| version(known)).max(self.deleted.get(&key).copied());
        if known.is_some_and(|known| version(&object) <= known) {
            return None;
        }
        let before = self.objects.insert(key.clone(), object.clone());
        self.deleted.remove(&key);
        self.reindex(&key, before.as_deref(), Some(&object));
        Some(Change { key, before, after: Some(object) })
    }

    /// An object that is gone at a version, deleted or no longer listed. One that we wrote after that stays.
    fn remove(&mut self, key: &ObjectKey, at: u64) -> Option<Change> {
        if self.objects.get(key).is_some_and(|known| version(known) > at) {
            return None;
        }
        let before = self.objects.remove(key)?;
        self.deleted.insert(key.clone(), at);
        self.reindex(key, Some(&before), None);
        Some(Change { key: key.clone(), before: Some(before), after: None })
    }

    fn reindex(&mut self, key: &ObjectKey, before: Option<&Object>, after: Option<&Object>) {
        for uid in before.map(Object::related_uids).unwrap_or_default() {
            if let Some(keys) = self.related.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.related.remove(uid);
                }
            }
        }
        for uid in after.map(Object::related_uids).unwrap_or_default() {
            self.related.entry(uid.to_owned()).or_default().insert(key.clone());
        }
    }
}

#[async_trait]
impl Read for Cache {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        Ok(self.peek(key))
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        let state = self.read_state();
        let found = |key: &ObjectKey| state.objects.get(key).filter(|object| query.selects(object)).cloned();
        Ok(match &query.related {
            Some(uid) => state.related.get(uid).into_iter().flatten().filter_map(found).collect(),
            None => state.keys_of(query.resource).filter_map(found).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::resource::{NAMESPACE, SECRET};

    fn object(name: &str, version: u64, owner: &str) -> Arc<Object> {
        let mut object = Object::named(&SECRET, "a", name);
        object.set_metadata("resourceVersion", version.to_string().into());
        object.set_metadata("labels", json!({"mandate.dev/owner-uid": owner}));
        Arc::new(object)
    }

    fn listed(version: u64, objects: Vec<Arc<Object>>) -> Delta {
        Delta::Listed { objects, version }
    }

    #[tokio::test]
    async fn an_object_written_after_a_list_was_made_survives_that_list() {
        let cache = Cache::default();
        cache.apply(&SECRET, listed(3, vec![object("a", 1, "u")]));
        cache.written(object("ours", 9, "u"));
        assert!(cache.apply(&SECRET, listed(8, vec![object("a", 1, "u")])).is_empty());
        assert_eq!(cache.apply(&SECRET, listed(10, vec![object("a", 1, "u")])).len(), 1, "a list made after it knows better");
    }

    #[tokio::test]
    async fn an_older_delta_never_undoes_a_write_of_ours() {
        let cache = Cache::default();
        cache.written(object("x", 5, "u"));
        assert!(cache.apply(&SECRET, Delta::Applied(object("x", 4, "old"))).is_empty());
        assert!(cache.apply(&SECRET, Delta::Applied(object("x", 5, "u"))).is_empty(), "the echo of our own write is no change");
        assert!(cache.apply(&SECRET, Delta::Deleted(object("x", 3, "u"))).is_empty());
        assert_eq!(cache.apply(&SECRET, Delta::Deleted(object("x", 6, "u"))).len(), 1);
        assert!(cache.apply(&SECRET, Delta::Applied(object("x", 5, "u"))).is_empty(), "a late delta does not bring it back");
        assert_eq!(cache.apply(&SECRET, Delta::Applied(object("x", 7, "u"))).len(), 1, "a successor of the same name does");
    }

    #[tokio::test]
    async fn a_relist_tells_what_changed_and_what_vanished() {
        let cache = Cache::default();
        cache.apply(&SECRET, listed(3, vec![object("a", 1, "u"), object("b", 2, "u"), object("c", 3, "u")]));
        cache.written(Arc::new(Object::named(&NAMESPACE, "", "other")));
        let changes = cache.apply(&SECRET, listed(5, vec![object("a", 1, "u"), object("c", 4, "v")]));
        let mut names: Vec<_> = changes.iter().map(|change| (change.key.name.as_str(), change.after.is_some())).collect();
        names.sort_unstable();
        assert_eq!(names, [("b", false), ("c", true)]);
        let related = |uid: &'static str| Query::related(&SECRET, uid);
        assert_eq!(cache.list(&related("u")).await.unwrap().len(), 1);
        assert_eq!(cache.list(&related("v")).await.unwrap().len(), 1);
    }
}
