//! Who has to look again when something changes: reads are the subscription.
//!
//! Every read of a pass is noted before it is made, so a change between read and end of the pass is not missed. When a
//! pass ends, what it no longer reads is forgotten.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::cache::{Cache, Change};
use crate::engine::port::{Query, Read, WorldError};
use crate::model::object::{Object, ObjectKey};

/// One thing that was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Dependency {
    Object(ObjectKey),
    Query(Query),
}

/// What each object's last pass read.
#[derive(Debug, Default)]
pub struct Dependencies {
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    dependents: HashMap<Arc<Dependency>, BTreeSet<Arc<ObjectKey>>>,
    read_by: HashMap<Arc<ObjectKey>, BTreeSet<Arc<Dependency>>>,
}

impl Dependencies {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Objects whose last pass read something that this change touches.
    #[must_use]
    pub fn touched_by(&self, change: &Change) -> BTreeSet<Arc<ObjectKey>> {
        let index = self.index();
        let mut touched = BTreeSet::new();
        let mut look = |dependency: Dependency| touched.extend(index.dependents.get(&dependency).into_iter().flatten().cloned());
        let key = &change.key;
        look(Dependency::Object(key.clone()));
        let objects = change.before.iter().chain(&change.after);
        let uids: BTreeSet<&str> = objects.flat_map(|object| object.related_uids()).collect();
        for namespace in [None, Some(key.namespace.clone())] {
            let query = |related| Dependency::Query(Query { resource: key.resource, namespace: namespace.clone(), related });
            look(query(None));
            uids.iter().for_each(|uid| look(query(Some((*uid).to_owned()))));
        }
        touched
    }

    fn note(&self, reader: &Arc<ObjectKey>, dependency: Dependency) {
        let mut index = self.index();
        let dependency = Arc::new(dependency);
        if index.read_by.entry(reader.clone()).or_default().insert(dependency.clone()) {
            index.dependents.entry(dependency).or_default().insert(reader.clone());
        }
    }

    /// Keeps only what the ended pass of `reader` read.
    fn keep(&self, reader: &Arc<ObjectKey>, read: &BTreeSet<Dependency>) {
        let mut index = self.index();
        let Some(noted) = index.read_by.remove(reader) else { return };
        let (kept, stale): (BTreeSet<_>, BTreeSet<_>) = noted.into_iter().partition(|dependency| read.contains(dependency.as_ref()));
        for dependency in stale {
            if let Some(readers) = index.dependents.get_mut(&dependency) {
                readers.remove(reader);
                if readers.is_empty() {
                    index.dependents.remove(&dependency);
                }
            }
        }
        if !kept.is_empty() {
            index.read_by.insert(reader.clone(), kept);
        }
    }
}

/// The cache as one pass reads it. What a watch tells without its body is completed from the world.
pub struct TrackedRead {
    cache: Arc<Cache>,
    world: Arc<dyn Read>,
    dependencies: Arc<Dependencies>,
    reader: Arc<ObjectKey>,
    read: Mutex<BTreeSet<Dependency>>,
}

impl TrackedRead {
    /// Reads of a pass over `reader`.
    #[must_use]
    pub fn new(cache: Arc<Cache>, world: Arc<dyn Read>, dependencies: Arc<Dependencies>, reader: Arc<ObjectKey>) -> Self {
        Self { cache, world, dependencies, reader, read: Mutex::default() }
    }

    fn note(&self, dependency: Dependency) {
        if self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(dependency.clone()) {
            self.dependencies.note(&self.reader, dependency);
        }
    }

    /// The pass has ended: what it did not read is no dependency any more.
    pub fn finish(&self) {
        self.dependencies.keep(&self.reader, &self.read.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[async_trait]
impl Read for TrackedRead {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        self.note(Dependency::Object(key.clone()));
        match self.cache.get(key).await? {
            Some(_) if key.resource.is_watched_without_body() => self.world.get(key).await,
            found => Ok(found),
        }
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        self.note(Dependency::Query(query.clone()));
        self.cache.list(query).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::port::Delta;
    use crate::model::resource::{NAMESPACE, SECRET};

    fn stored(resource: &'static crate::model::resource::Resource, name: &str, version: &str) -> Arc<Object> {
        let mut object = Object::named(resource, "a", name);
        object.set_metadata("resourceVersion", version.into());
        Arc::new(object)
    }

    #[tokio::test]
    async fn a_missing_reference_wakes_its_reader_when_it_appears_and_not_after_it_is_no_longer_read() {
        let (cache, dependencies) = (Arc::new(Cache::default()), Arc::new(Dependencies::default()));
        let reader = Arc::new(ObjectKey::new(&NAMESPACE, "", "reader"));
        let pass = || TrackedRead::new(cache.clone(), cache.clone(), dependencies.clone(), reader.clone());
        let first = pass();
        assert!(first.get(&ObjectKey::new(&SECRET, "a", "s")).await.unwrap().is_none());
        first.finish();
        let change = cache.apply(&SECRET, Delta::Applied(stored(&SECRET, "s", "1"))).remove(0);
        assert!(dependencies.touched_by(&change).contains(&reader));
        let other = cache.apply(&SECRET, Delta::Applied(stored(&SECRET, "t", "2"))).remove(0);
        assert!(dependencies.touched_by(&other).is_empty());
        pass().finish();
        assert!(dependencies.touched_by(&change).is_empty());
    }
}
