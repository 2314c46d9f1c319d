//! Follows one Lease by a watch; reads it only while the watch is down.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::{Instant, sleep_until};

use super::record::Record;
use crate::engine::port::{Delta, Feed, World, WorldError};
use crate::model::object::ObjectKey;

/// The watch, whether it is live, and when to try again if it is not.
pub(super) struct Follow {
    world: Arc<dyn World>,
    key: ObjectKey,
    period: Duration,
    stream: Option<BoxStream<'static, Result<Delta, WorldError>>>,
    live: bool,
    retry_at: Instant,
}

/// What following the lease brought.
pub(super) enum Told {
    /// The lease as it is; none when it is absent.
    Lease(Option<Record>),
    /// The watch is not live and the retry period has passed: it is to be read.
    Overdue,
}

impl Follow {
    pub(super) fn new(world: Arc<dyn World>, key: ObjectKey, period: Duration) -> Self {
        Self { world, key, period, stream: None, live: false, retry_at: Instant::now() + period }
    }

    /// The next thing told. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Told {
        loop {
            let stream = self.stream.get_or_insert_with(|| self.world.watch(&Feed::of(self.key.resource, &self.key.namespace)));
            let told = tokio::select! {
                biased;
                told = stream.next() => told,
                () = sleep_until(self.retry_at), if !self.live => {
                    self.retry_at = Instant::now() + self.period;
                    return Told::Overdue;
                }
            };
            match told {
                Some(Ok(delta)) => {
                    self.live |= matches!(delta, Delta::Listed { .. } | Delta::Resumed);
                    if let Some(lease) = self.lease(delta) {
                        return Told::Lease(lease);
                    }
                }
                Some(Err(error)) => {
                    tracing::warn!(lease = %self.key, %error, "the watch of the lease is interrupted");
                    self.interrupted();
                }
                None => {
                    self.interrupted();
                    self.pause().await;
                    return Told::Overdue;
                }
            }
        }
    }

    /// Opens the watch anew: it told less than a read did.
    pub(super) fn reopen(&mut self) {
        self.stream = None;
        self.live = false;
        self.retry_at = Instant::now() + self.period;
    }

    /// It may go on by itself; until it says so, the lease is read.
    fn interrupted(&mut self) {
        if self.live {
            self.retry_at = Instant::now() + self.period;
        }
        self.live = false;
    }

    /// A watch that ended is opened again after the retry period. Until then an empty one stands in its place, so that a
    /// cancelled pause is gone on with.
    async fn pause(&mut self) {
        self.stream = Some(futures::stream::empty().boxed());
        sleep_until(self.retry_at).await;
        self.stream = None;
        self.retry_at = Instant::now() + self.period;
    }

    /// What a delta says of the one lease.
    fn lease(&self, delta: Delta) -> Option<Option<Record>> {
        match delta {
            Delta::Listed { objects, .. } => Some(objects.iter().find(|object| object.key() == self.key).map(|object| Record::of(object))),
            Delta::Applied(object) => (object.key() == self.key).then(|| Some(Record::of(&object))),
            Delta::Deleted(object) => (object.key() == self.key).then_some(None),
            Delta::Resumed => None,
        }
    }
}
