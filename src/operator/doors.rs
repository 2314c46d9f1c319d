//! The doors of one pass: writes go to the world and are seen in the cache at once.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::sleep;

use super::cache::{Cache, Change};
use crate::engine::outcome::Outcome;
use crate::engine::port::{Backends, Delta, Feed, Query, Read, World, WorldError};
use crate::model::call::KeyedCall;
use crate::model::limits::PASS_DEADLINE;
use crate::model::object::{Object, ObjectKey};

/// A change made by the pass over `by`.
#[derive(Debug)]
pub struct OwnChange {
    /// Whose pass made it.
    pub by: Arc<ObjectKey>,
    /// What changed.
    pub change: Change,
}

/// External systems, and how many calls of the pass are under way.
pub struct CountedCalls {
    /// The systems.
    pub backends: Arc<dyn Backends>,
    /// Calls under way.
    pub under_way: watch::Sender<usize>,
}

impl CountedCalls {
    /// Calls to these systems, none under way.
    #[must_use]
    pub fn new(backends: Arc<dyn Backends>) -> Self {
        Self { backends, under_way: watch::Sender::new(0) }
    }

    /// Completes when the pass has spent [`PASS_DEADLINE`] without a call under way. A call has its own deadline: cut off
    /// by another it would leave no trace of its try, and a slow provider would be tried for ever.
    pub async fn idle_for_too_long(&self) {
        let mut under_way = self.under_way.subscribe();
        loop {
            let spent = tokio::select! {
                () = sleep(PASS_DEADLINE) => true,
                called = under_way.wait_for(|calls| *calls > 0) => called.is_err(),
            };
            if spent || under_way.wait_for(|calls| *calls == 0).await.is_err() {
                return;
            }
        }
    }
}

#[async_trait]
impl Backends for CountedCalls {
    async fn perform(&self, call: &KeyedCall) -> Outcome {
        self.under_way.send_modify(|calls| *calls += 1);
        let outcome = self.backends.perform(call).await;
        self.under_way.send_modify(|calls| *calls -= 1);
        outcome
    }
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

    fn watch(&self, feed: &Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
        self.world.watch(feed)
    }
}
