//! The doors of one pass: writes go to the world and are seen in the cache at once.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::mpsc::UnboundedSender;

use super::cache::{Cache, Change};
use crate::engine::port::{Delta, Query, Read, World, WorldError};
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;

/// A change made by the pass over `by`.
#[derive(Debug)]
pub struct OwnChange {
    /// Whose pass made it.
    pub by: Arc<ObjectKey>,
    /// What changed.
    pub change: Change,
}

/// A world whose writes reach the cache before they return, and whoever depends on them.
pub struct WriteThrough {
    /// The world.
    pub world: Arc<dyn World>,
    /// The cache.
    pub cache: Arc<Cache>,
    /// Whose pass writes.
    pub by: Arc<ObjectKey>,
    /// Where changes are told.
    pub told: UnboundedSender<OwnChange>,
}

impl WriteThrough {
    fn saw(&self, object: Arc<Object>) -> Arc<Object> {
        if let Some(change) = self.cache.written(object.clone()) {
            // The receiver ends only when the operator stops; then nobody needs to know.
            let _ = self.told.send(OwnChange { by: self.by.clone(), change });
        }
        object
    }
}

#[async_trait]
impl Read for WriteThrough {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        self.world.get(key).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        self.world.list(query).await
    }
}

#[async_trait]
impl World for WriteThrough {
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.world.create(object).await.map(|object| self.saw(object))
    }

    async fn update(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.world.update(object).await.map(|object| self.saw(object))
    }

    async fn update_status(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.world.update_status(object).await.map(|object| self.saw(object))
    }

    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), WorldError> {
        self.world.delete(key, uid).await
    }

    fn watch(&self, resource: &'static Resource) -> BoxStream<'static, Result<Delta, WorldError>> {
        self.world.watch(resource)
    }
}
