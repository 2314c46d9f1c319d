//! The recent past, shared by all watches. Bounded: a watch that falls out of it ends and lists again.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use futures::stream::{self, BoxStream, StreamExt};
use serde_json::Value;
use tokio::sync::watch;

use super::selector::Selector;
use crate::model::object::Object;
use crate::world::server::WatchEvent;

/// Most events kept.
pub const HISTORY_EVENTS: usize = 8192;
/// Most bytes of JSON kept alive by events; old versions of large objects would otherwise dominate memory.
pub const HISTORY_BYTES: usize = 256 * 1024;
/// Events a watch takes per lock, so that a long catch-up does not hold up the committer.
const CHUNK: usize = 64;

/// One change of one object.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) version: u64,
    /// State before; none when created.
    pub(super) old: Option<Arc<Object>>,
    /// State after; when deleted the last state with the version of the deletion.
    pub(super) object: Arc<Object>,
    pub(super) deleted: bool,
    /// Size of the object's JSON.
    pub(super) bytes: usize,
}

impl Event {
    fn seen_through(&self, selector: &Selector) -> Option<WatchEvent> {
        if self.object.resource != selector.resource {
            return None;
        }
        let before = self.old.as_ref().filter(|old| selector.selects(old));
        let after = !self.deleted && selector.selects(&self.object);
        match (before, after) {
            (None, false) => None,
            (None, true) => Some(WatchEvent::Added(Arc::clone(&self.object))),
            (Some(_), true) => Some(WatchEvent::Modified(Arc::clone(&self.object))),
            (Some(_), false) if self.deleted => Some(WatchEvent::Deleted(Arc::clone(&self.object))),
            (Some(old), false) => Some(WatchEvent::Deleted(Arc::new(at_version(old, self.version)))),
        }
    }
}

/// The object with another resource version.
pub(super) fn at_version(object: &Object, version: u64) -> Object {
    let mut object = object.clone();
    object.set_metadata("resourceVersion", Value::String(version.to_string()));
    object
}

struct Kept {
    events: VecDeque<Event>,
    bytes: usize,
    /// Everything after this version is kept.
    floor: u64,
    /// Nothing more will come.
    closed: bool,
}

/// Events of all resources, in order.
pub(super) struct History {
    kept: RwLock<Kept>,
    newest: watch::Sender<u64>,
}

/// The version that a watch would go on after is no longer kept, or the world is closed.
pub(super) struct Ended;

impl History {
    pub(super) fn beginning_at(version: u64) -> Self {
        let kept = Kept { events: VecDeque::new(), bytes: 0, floor: version, closed: false };
        Self { kept: RwLock::new(kept), newest: watch::Sender::new(version) }
    }

    /// Adds events and wakes all watches.
    pub(super) fn publish(&self, events: impl Iterator<Item = Event>, version: u64) {
        {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            for event in events {
                kept.bytes += event.bytes;
                kept.events.push_back(event);
            }
            while kept.events.len() > HISTORY_EVENTS || kept.bytes > HISTORY_BYTES {
                let Some(oldest) = kept.events.pop_front() else { break };
                kept.bytes -= oldest.bytes;
                kept.floor = oldest.version;
            }
        }
        self.newest.send_replace(version);
    }

    /// Ends every watch once it has told what there is.
    pub(super) fn close(&self) {
        self.kept.write().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.newest.send_modify(|_| {});
    }

    /// The next events after a version, some at a time.
    fn after(&self, version: u64) -> Result<Vec<Event>, Ended> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if version < kept.floor {
            return Err(Ended);
        }
        let start = kept.events.partition_point(|event| event.version <= version);
        if kept.closed && start == kept.events.len() {
            return Err(Ended);
        }
        Ok(kept.events.iter().skip(start).take(CHUNK).cloned().collect())
    }

    /// What changes after `from`, in order, none left out. Ends when the reader is slower than the history is long.
    pub(super) fn watch(self: &Arc<Self>, selector: Selector, from: u64) -> Result<BoxStream<'static, WatchEvent>, Ended> {
        self.after(from)?;
        let cursor = Cursor { history: Arc::clone(self), newest: self.newest.subscribe(), selector, version: from };
        Ok(stream::unfold(cursor, Cursor::advance).map(stream::iter).flatten().boxed())
    }
}

struct Cursor {
    history: Arc<History>,
    newest: watch::Receiver<u64>,
    selector: Selector,
    version: u64,
}

impl Cursor {
    async fn advance(mut self) -> Option<(Vec<WatchEvent>, Self)> {
        loop {
            // Marked as seen before reading: an event published in between wakes the wait below at once.
            self.newest.borrow_and_update();
            let events = self.history.after(self.version).ok()?;
            let Some(last) = events.last() else {
                self.newest.changed().await.ok()?;
                continue;
            };
            self.version = last.version;
            let seen: Vec<_> = events.iter().filter_map(|event| event.seen_through(&self.selector)).collect();
            if !seen.is_empty() {
                return Some((seen, self));
            }
            // A watch that selects nothing of a long past must not keep its thread to itself.
            tokio::task::yield_now().await;
        }
    }
}
