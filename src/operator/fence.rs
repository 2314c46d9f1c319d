//! Doors that close when this process does not lead: after losing the lease it starts no write and no effect.
//!
//! Asked at each door, before each thing that is sent, not once per pass: a process may be stopped at any instruction and
//! go on after its time. What is under way when the time ends is given up; nothing is begun in its place.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::leader::Leadership;
use crate::adapters::transport::{Request, Response, Transport, TransportFault};
use crate::engine::outcome::{Fault, Outcome};
use crate::engine::port::{Backends, Delta, Feed, Query, Read, World, WorldError};
use crate::model::call::KeyedCall;
use crate::model::object::{Object, ObjectKey};

const NOT_LEADER: &str = "not the leader any more";

/// A world that is written to by the leader only. Reads and watches pass.
pub struct FencedWorld {
    /// The world.
    pub world: Arc<dyn World>,
    /// Whether this process leads.
    pub leadership: Leadership,
}

impl FencedWorld {
    async fn write<T>(
        &self,
        what: &str,
        key: &ObjectKey,
        write: impl Future<Output = Result<T, WorldError>> + Send,
    ) -> Result<T, WorldError> {
        if !self.leadership.is_held() {
            return Err(WorldError::Unavailable { message: NOT_LEADER.to_owned(), retry_after: None });
        }
        tokio::select! {
            biased;
            () = self.leadership.ended() => Err(WorldError::Unknown(format!("{what} {key}: {NOT_LEADER}"))),
            done = write => done,
        }
    }
}

#[async_trait]
impl Read for FencedWorld {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        self.world.get(key).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        self.world.list(query).await
    }
}

#[async_trait]
impl World for FencedWorld {
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.write("create", &object.key(), self.world.create(object)).await
    }

    async fn update(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.write("update", &object.key(), self.world.update(object)).await
    }

    async fn update_status(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.write("update status of", &object.key(), self.world.update_status(object)).await
    }

    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), WorldError> {
        self.write("delete", key, self.world.delete(key, uid)).await
    }

    fn watch(&self, feed: &Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
        self.world.watch(feed)
    }
}

/// External systems that the leader only calls.
pub struct FencedCalls {
    /// The systems.
    pub backends: Arc<dyn Backends>,
    /// Whether this process leads.
    pub leadership: Leadership,
}

#[async_trait]
impl Backends for FencedCalls {
    async fn perform(&self, call: &KeyedCall) -> Outcome {
        let fault = || Fault { code: "NotLeader", message: NOT_LEADER.to_owned() };
        if !self.leadership.is_held() {
            return Outcome::NoEffect { fault: fault(), retry_after: None };
        }
        tokio::select! {
            biased;
            () = self.leadership.ended() => Outcome::Unknown(fault()),
            outcome = self.backends.perform(call) => outcome,
        }
    }
}

/// Exchanges with external systems, each begun by the leader only: one call may need several.
pub struct FencedTransport {
    /// How requests travel.
    pub transport: Arc<dyn Transport>,
    /// Whether this process leads.
    pub leadership: Leadership,
}

#[async_trait]
impl Transport for FencedTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportFault> {
        if !self.leadership.is_held() {
            return Err(TransportFault::Withheld);
        }
        tokio::select! {
            biased;
            () = self.leadership.ended() => Err(TransportFault::ReplyLost),
            reply = self.transport.send(request) => reply,
        }
    }
}
