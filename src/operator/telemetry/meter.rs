//! Doors that count what goes through them.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::Instant;

use super::Telemetry;
use crate::engine::outcome::Outcome;
use crate::engine::port::{Backends, Delta, Feed, Query, Read, Verb, World, WorldError};
use crate::model::call::KeyedCall;
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;

/// A world whose requests are counted. A watch counts as a list each time it tells one, and as a failed watch when it ends.
pub struct MeteredWorld {
    /// The world.
    pub world: Arc<dyn World>,
    /// What counts.
    pub telemetry: Telemetry,
}

impl MeteredWorld {
    async fn counted<T>(
        &self,
        verb: Verb,
        resource: &'static Resource,
        request: impl Future<Output = Result<T, WorldError>> + Send,
    ) -> Result<T, WorldError> {
        let began = Instant::now();
        let answer = request.await;
        let done = if verb == Verb::Create { "201" } else { "200" };
        self.telemetry.requested(verb, resource, answer.as_ref().err().map_or(done, code_of), began.elapsed());
        answer
    }
}

/// The HTTP status that an error stands for; `unavailable` and `no_answer` where there is none.
#[must_use]
pub fn code_of(error: &WorldError) -> &'static str {
    match error {
        WorldError::NotFound(_) | WorldError::NotServed(_) => "404",
        WorldError::AlreadyExists(_) | WorldError::Conflict { .. } => "409",
        WorldError::Invalid { .. } => "422",
        WorldError::Forbidden { .. } => "403",
        WorldError::BadRequest(_) => "400",
        WorldError::TooLarge { .. } => "413",
        WorldError::Gone(_) => "410",
        WorldError::Unavailable { .. } => "unavailable",
        WorldError::Unknown(_) => "no_answer",
        WorldError::WentBack { .. } => "went_back",
    }
}

/// Why a watch ended, as a reason.
pub(super) fn reason_of(error: &WorldError) -> &'static str {
    match error {
        WorldError::NotFound(_) | WorldError::NotServed(_) => "NotFound",
        WorldError::AlreadyExists(_) | WorldError::Conflict { .. } => "Conflict",
        WorldError::Invalid { .. } | WorldError::BadRequest(_) => "BadRequest",
        WorldError::Forbidden { .. } => "Forbidden",
        WorldError::TooLarge { .. } => "TooLarge",
        WorldError::Gone(_) => "Gone",
        WorldError::Unavailable { .. } => "Unavailable",
        WorldError::Unknown(_) => "NoAnswer",
        WorldError::WentBack { .. } => "WentBack",
    }
}

#[async_trait]
impl Read for MeteredWorld {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        self.counted(Verb::Get, key.resource, self.world.get(key)).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        self.counted(Verb::List, query.resource, self.world.list(query)).await
    }
}

#[async_trait]
impl World for MeteredWorld {
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.counted(Verb::Create, object.resource, self.world.create(object)).await
    }

    async fn update(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.counted(Verb::Update, object.resource, self.world.update(object)).await
    }

    async fn update_status(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.counted(Verb::UpdateStatus, object.resource, self.world.update_status(object)).await
    }

    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), WorldError> {
        self.counted(Verb::Delete, key.resource, self.world.delete(key, uid)).await
    }

    fn watch(&self, feed: &Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
        let (telemetry, resource) = (self.telemetry.clone(), feed.resource);
        let mut asked = Instant::now();
        let count = move |told: &Result<Delta, WorldError>| {
            match told {
                Ok(Delta::Listed { .. }) => telemetry.requested(Verb::List, resource, "200", asked.elapsed()),
                Ok(Delta::Applied(_) | Delta::Deleted(_) | Delta::Resumed) => {}
                Err(error) => telemetry.requested(Verb::Watch, resource, code_of(error), asked.elapsed()),
            }
            asked = Instant::now();
        };
        self.world.watch(feed).inspect(count).boxed()
    }
}

/// External systems whose calls are counted.
pub struct MeteredCalls {
    /// The systems.
    pub backends: Arc<dyn Backends>,
    /// What counts.
    pub telemetry: Telemetry,
}

#[async_trait]
impl Backends for MeteredCalls {
    async fn perform(&self, call: &KeyedCall) -> Outcome {
        let began = Instant::now();
        let outcome = self.backends.perform(call).await;
        let word = match &outcome {
            Outcome::Done(_) => "done",
            Outcome::Refused(_) => "refused",
            Outcome::NoEffect { .. } => "no_effect",
            Outcome::Unknown(_) => "unknown",
        };
        self.telemetry.called(call.provider.provider_type, word, began.elapsed());
        outcome
    }
}
