//! The committer: applies queued writes to a private next state, makes the batch durable, then publishes and answers.
//!
//! Without storage a write is a batch of its own, committed by the task that asks. With storage, the first writer starts a
//! committer on a blocking thread, which takes everything queued since its last transaction until nothing is left: many
//! concurrent writers share one `fsync`, and paused time does not run on while it is under way.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::catalogue::{Catalogue, Served};
use super::collect::Work;
use super::history::{Event, History};
use super::state::State;
use super::write::{Request, Writer};
use super::{MemoryOptions, OpenError};
use crate::engine::port::{Clock, Identifiers, WorldError};
use crate::model::object::{Object, ObjectKey};
use crate::world::server::{Authorizer, Guard, Identity, Subresource, WriteOptions, Written, not_permitted};
use crate::world::store::{Row, Store};

/// Most writes in one transaction.
const MAX_BATCH: usize = 1024;
/// Resource version of an empty world: a list must not answer 0, which asks a watch for something else.
const FIRST_VERSION: u64 = 1;

type Answer = Result<Written, WorldError>;

/// Everything that the clones of a world share.
pub(super) struct Shared {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) guards: Vec<Arc<dyn Guard>>,
    pub(super) authorizer: Arc<dyn Authorizer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Identifiers>,
    pub(super) state: ArcSwap<State>,
    pub(super) history: Arc<History>,
    store: Option<Store>,
    committer: Mutex<Committer>,
}

/// What only the committer touches.
#[derive(Default)]
struct Committer {
    work: Work,
    /// Why nothing can be written any more: what is on disk is unknown.
    failed: Option<String>,
}

/// One change of a draft, with the JSON that goes to disk.
struct Change {
    event: Event,
    json: Vec<u8>,
}

/// The next state while it is being made.
pub(super) struct Draft {
    pub(super) state: State,
    changes: Vec<Change>,
}

impl Draft {
    /// Stores an object that carries the next version already.
    pub(super) fn put(&mut self, object: &Arc<Object>, json: Vec<u8>) {
        self.state.version += 1;
        let old = self.state.put(Arc::clone(object));
        let event = Event { version: self.state.version, old, object: Arc::clone(object), deleted: false, bytes: json.len() };
        self.changes.push(Change { event, json });
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) {
        let Some(old) = self.state.remove(key) else { return };
        self.state.version += 1;
        let version = self.state.version;
        let object = Arc::new(super::history::at_version(&old, version));
        self.changes.push(Change { event: Event { version, old: Some(old), object, deleted: true, bytes: 0 }, json: Vec::new() });
    }
}

impl Shared {
    pub(super) fn open(options: MemoryOptions) -> Result<Self, OpenError> {
        let MemoryOptions { catalogue, guards, authorizer, clock, ids, storage: store } = options;
        let state = match &store {
            Some(store) => load(&catalogue, store)?,
            None => State::empty_at(FIRST_VERSION),
        };
        let committer = Committer { work: Work::found_in(&state), failed: None };
        let history = Arc::new(History::beginning_at(state.version));
        let (state, committer) = (ArcSwap::from_pointee(state), Mutex::new(committer));
        let shared = Self { catalogue, guards, authorizer, clock, ids, state, history, store, committer };
        // A process that was killed between an owner's deletion and its dependents' left these behind.
        shared.collect_until_done(&mut shared.committer());
        Ok(shared)
    }

    pub(super) fn served(&self, key: &ObjectKey) -> Result<Served<'_>, WorldError> {
        self.catalogue.get(key.resource).ok_or_else(|| WorldError::NotFound(key.clone()))
    }

    pub(super) fn authorize(&self, who: &Identity, verb: &str, key: &ObjectKey, subresource: Subresource) -> Result<(), WorldError> {
        if self.authorizer.may(who, verb, key.resource, subresource, &key.namespace) {
            return Ok(());
        }
        // As on a cluster, where the name of what is created is inside the document, which is not read yet.
        let name = if verb == "create" { String::new() } else { key.name.clone() };
        let message = not_permitted(&who.username, verb, key.resource, subresource, &key.namespace);
        Err(WorldError::Forbidden { key: ObjectKey { name, ..key.clone() }, message })
    }

    fn committer(&self) -> MutexGuard<'_, Committer> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn draft(&self) -> Draft {
        Draft { state: State::clone(&self.state.load()), changes: Vec::new() }
    }

    /// Commits one batch and what follows from it. Every write is answered, in order, once the batch is durable.
    fn commit(&self, batch: Vec<Write>) {
        let mut committer = self.committer();
        if let Some(message) = &committer.failed {
            let refuse = |write: Write| write.answer.give(Err(WorldError::Unavailable { message: message.clone(), retry_after: None }));
            return batch.into_iter().for_each(refuse);
        }
        let mut draft = self.draft();
        let mut answers = Vec::with_capacity(batch.len());
        for Write { who, request, options, answer } in batch {
            answers.push((answer, self.apply(&mut draft, &who, request, options)));
        }
        let published = self.publish(&mut committer, draft);
        for (answer, result) in answers {
            answer.give(published.clone().and(result));
        }
        if published.is_ok() {
            self.collect_until_done(&mut committer);
        }
    }

    fn collect_until_done(&self, committer: &mut Committer) {
        committer.work.retry_refused();
        while !committer.work.is_empty() {
            let mut draft = self.draft();
            let work = std::mem::take(&mut committer.work);
            committer.work = work.perform(self, &mut draft);
            if let Err(error) = self.publish(committer, draft) {
                tracing::error!(%error, "collecting what nothing owns");
                return;
            }
        }
    }

    /// One write. A fault of ours while judging one object must not take the others with it.
    pub(super) fn apply(&self, draft: &mut Draft, who: &Identity, request: Request, options: WriteOptions) -> Answer {
        let key = request.asks().1;
        let applied = std::panic::catch_unwind(AssertUnwindSafe(|| Writer::new(self, draft, who, options).apply(request)));
        applied.unwrap_or_else(|_| {
            tracing::error!(%key, "a write panicked");
            Err(WorldError::Unavailable { message: format!("internal error while writing {key}"), retry_after: None })
        })
    }

    /// Makes a draft durable, then visible.
    fn publish(&self, committer: &mut Committer, draft: Draft) -> Result<(), WorldError> {
        let Draft { state, changes } = draft;
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(store) = &self.store {
            let keys: Vec<ObjectKey> = changes.iter().map(|change| change.event.object.key()).collect();
            let rows = keys.iter().zip(&changes).map(|(key, change)| row(key, change));
            if let Err(error) = store.commit(rows, state.version) {
                let message = format!("the state can no longer be written: {error}; restart to read what was kept");
                tracing::error!(%error, "committing");
                committer.failed = Some(message.clone());
                return Err(WorldError::Unknown(message));
            }
        }
        for Change { event, .. } in &changes {
            committer.work.note(event, &state);
        }
        let version = state.version;
        // The state first: who hears of a change from a watch must find it when reading.
        self.state.store(Arc::new(state));
        self.history.publish(changes.into_iter().map(|change| change.event), version);
        Ok(())
    }
}

fn row<'a>(key: &'a ObjectKey, change: &'a Change) -> Row<'a> {
    Row { key, json: if change.event.deleted { None } else { Some(&change.json) } }
}

fn load(catalogue: &Catalogue, store: &Store) -> Result<State, OpenError> {
    let mut state = State::empty_at(store.version()?.unwrap_or(FIRST_VERSION));
    store.for_each(|stored| {
        let unknown = || OpenError::UnknownResource { group: stored.group.clone(), plural: stored.plural.clone() };
        let resource = catalogue.by_plural(&stored.group, &stored.plural).ok_or_else(unknown)?;
        state.put(Arc::new(Object { resource, body: stored.body }));
        Ok::<_, OpenError>(())
    })?;
    Ok(state)
}

/// A write that waits for the committer.
pub(super) struct Write {
    who: Identity,
    request: Request,
    options: WriteOptions,
    answer: Reply,
}

struct Reply(oneshot::Sender<Answer>);

impl Reply {
    fn give(self, answer: Answer) {
        // A writer that no longer waits has given up on the answer, not on the write.
        drop(self.0.send(answer));
    }
}

/// Writes that wait for a durable committer.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    idle: Condvar,
}

#[derive(Default)]
struct Waiting {
    writes: Vec<Write>,
    committing: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller must start the committer.
    fn push(&self, write: Write) -> bool {
        let mut waiting = self.lock();
        waiting.writes.push(write);
        !std::mem::replace(&mut waiting.committing, true)
    }

    pub(super) fn wait_until_idle(&self) {
        let waiting = self.idle.wait_while(self.lock(), |waiting| waiting.committing);
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A committer under way. A runtime that shuts down may drop it before it begins: then the queue must not wait for it.
struct Run {
    queue: Arc<Queue>,
    shared: Option<Arc<Shared>>,
}

impl Run {
    fn until_nothing_waits(mut self) {
        while let Some(batch) = self.next() {
            if let Some(shared) = &self.shared {
                shared.commit(batch);
            }
        }
    }

    /// What waits; none ends the committer, under the same lock, so that no write is pushed to one that has ended.
    fn next(&mut self) -> Option<Vec<Write>> {
        let mut waiting = self.queue.lock();
        if waiting.writes.is_empty() {
            end(&mut waiting, &self.queue, &mut self.shared);
            return None;
        }
        let count = waiting.writes.len().min(MAX_BATCH);
        Some(waiting.writes.drain(..count).collect())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.shared.is_some() {
            let mut waiting = self.queue.lock();
            waiting.writes.clear();
            end(&mut waiting, &self.queue, &mut self.shared);
        }
    }
}

/// Lets go of the world before saying so: who waits for idleness may open the state again at once.
fn end(waiting: &mut Waiting, queue: &Queue, shared: &mut Option<Arc<Shared>>) {
    *shared = None;
    waiting.committing = false;
    queue.idle.notify_all();
}

/// Has a write committed. Once begun it happens, whether or not the caller waits for the answer.
pub(super) async fn submit(queue: &Arc<Queue>, shared: &Arc<Shared>, who: Identity, request: Request, options: WriteOptions) -> Answer {
    let (sender, receiver) = oneshot::channel();
    let write = Write { who, request, options, answer: Reply(sender) };
    if shared.store.is_none() {
        shared.commit(vec![write]);
    } else if queue.push(write) {
        let run = Run { queue: Arc::clone(queue), shared: Some(Arc::clone(shared)) };
        drop(tokio::task::spawn_blocking(move || run.until_nothing_waits()));
    }
    receiver.await.unwrap_or_else(|_| Err(WorldError::Unknown("a write: the world was closed".into())))
}
