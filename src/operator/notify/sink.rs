//! Notices as CloudEvents, posted to one receiver.
//!
//! At least once: what was not taken is sent again, with a growing pause, under the same id; a new process sends again what
//! stands when it comes to the object, because it cannot know what its predecessor had delivered. Receivers tell copies by
//! `source` and `id`. What gave way to a newer outcome before it could be delivered is lost with the process that held it:
//! its record says it.
//! In order: one at a time, the oldest first. Nothing waits for it: passes hand over and go on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::adapters::cloudevents::{Posted, Receiver};
use crate::engine::port::Notifier;
use crate::model::canonical::Digest;
use crate::model::limits::FIRST_BACKOFF;
use crate::model::notice::Notice;
use crate::operator::telemetry::{Channel, Delivery, Telemetry};

/// Longest pause between two tries, a receiver's own wish included.
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// Most notices of one object that wait; the oldest gives way. So the queue is no longer than the world is large.
const MOST_OF_ONE: usize = 8;

/// Tells by CloudEvents, while [`Sink::deliver`] runs.
pub struct Sink {
    receiver: Receiver,
    telemetry: Telemetry,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    /// The oldest first. The first may be under way.
    queue: VecDeque<Arc<Notice>>,
    /// How many of them are about an object, by UID.
    of_one: HashMap<String, usize>,
    /// The last notice that was handed over, by UID of the object and topic.
    known: HashMap<(String, &'static str), Digest>,
}

impl Sink {
    /// A sink that holds nothing.
    #[must_use]
    pub fn new(receiver: Receiver, telemetry: Telemetry) -> Self {
        Self { receiver, telemetry, waiting: Mutex::default(), changed: Notify::new() }
    }

    /// Delivers until it is dropped.
    pub async fn deliver(&self) {
        let mut pause = FIRST_BACKOFF;
        loop {
            let Some(notice) = self.first() else {
                self.changed.notified().await;
                continue;
            };
            let (object, reason) = (&notice.about.key, &notice.reason);
            match self.receiver.post(&notice.cloud_event()).await {
                Posted::Taken => {
                    self.done(&notice, Delivery::Delivered);
                    pause = FIRST_BACKOFF;
                }
                Posted::Refused(status) => {
                    tracing::error!(%object, reason, %status, "the receiver of notifications refused one; it is not sent again");
                    self.done(&notice, Delivery::Refused);
                    pause = FIRST_BACKOFF;
                }
                Posted::Again { why, after } => {
                    self.telemetry.notified(Channel::CloudEvent, Delivery::Failed);
                    let wait = after.unwrap_or(pause).clamp(FIRST_BACKOFF, MAX_PAUSE);
                    let waiting = self.lock().queue.len();
                    tracing::warn!(%object, reason, why, waiting, wait_s = wait.as_secs(), "a notification was not delivered yet");
                    sleep(wait).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    /// Waits until everything is delivered or refused, but no longer than this.
    pub async fn drained(&self, longest: Duration) {
        let empty = async {
            while self.first().is_some() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(longest, empty).await.is_err() {
            tracing::warn!(waiting = self.lock().queue.len(), "notifications are left undelivered; the next start sends them again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn first(&self) -> Option<Arc<Notice>> {
        self.lock().queue.front().cloned()
    }

    /// It needs no delivery any more. While it was under way it may have given way to newer ones, and is counted already.
    fn done(&self, notice: &Arc<Notice>, delivery: Delivery) {
        let mut waiting = self.lock();
        if waiting.queue.front().is_some_and(|first| Arc::ptr_eq(first, notice)) {
            waiting.remove(0);
            self.telemetry.notified(Channel::CloudEvent, delivery);
            self.telemetry.notices_waiting(waiting.queue.len());
        }
    }
}

impl Waiting {
    fn remove(&mut self, place: usize) {
        let Some(notice) = self.queue.remove(place) else { return };
        if let Some(count) = self.of_one.get_mut(&notice.about.uid) {
            *count -= 1;
            if *count == 0 {
                self.of_one.remove(&notice.about.uid);
            }
        }
    }

    fn push(&mut self, notice: &Notice) {
        *self.of_one.entry(notice.about.uid.clone()).or_default() += 1;
        self.queue.push_back(Arc::new(notice.clone()));
    }
}

#[async_trait]
impl Notifier for Sink {
    async fn becomes(&self, _: &Notice) {}

    fn stands(&self, notice: &Notice) {
        let mut waiting = self.lock();
        let (uid, cause) = (&notice.about.uid, notice.cause.digest());
        let told = waiting.known.insert((uid.clone(), notice.topic.event_type()), cause.clone());
        if told.as_ref() == Some(cause) {
            return;
        }
        if waiting.of_one.get(uid).is_some_and(|count| *count >= MOST_OF_ONE)
            && let Some(oldest) = waiting.queue.iter().position(|other| &other.about.uid == uid)
        {
            waiting.remove(oldest);
            self.telemetry.notified(Channel::CloudEvent, Delivery::Dropped);
            tracing::error!(object = %notice.about.key, "a notification gave way to newer ones about the same object");
        }
        waiting.push(notice);
        self.telemetry.notices_waiting(waiting.queue.len());
        drop(waiting);
        self.changed.notify_one();
    }
}
