//! The runner: watches fill the cache, changes fill the queue, a bounded number of passes empties it.
//!
//! One task owns the queue; passes are tasks of their own, so that one that panics or hangs costs only itself. A kind starts
//! when every watch that it reads has told its complete list: a reference is missing only when it is known to be missing,
//! and what one kind may not read holds up no other.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::StreamExt;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use super::cache::{Cache, Change};
use super::dependencies::{Dependencies, TrackedRead};
use super::doors::{CountedCalls, OwnChange, WriteThrough};
use super::ledger::ObjectLedger;
use super::queue::{Priority, Queue};
use super::retry::{self, Ended};
use super::telemetry::Telemetry;
use crate::engine::kind::{AnyKind, Settings};
use crate::engine::port::{Backends, Clock, Delta, Feed, Notifier, Verb, World, WorldError};
use crate::engine::step::{self, Doors, Passed};
use crate::kinds::operatordecision::api::DECISION;
use crate::model::condition::{self, Condition, Summary};
use crate::model::finding::Finding;
use crate::model::limits::PASS_DEADLINE;
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;
use crate::model::time::Time;

/// Longest silence of an idle loop.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Pause before a watch that ended is opened again.
const WATCH_PAUSE: Duration = Duration::from_millis(500);
/// A stale replica catches up within this time; a world that is still behind was restored.
const BACK_FOR_GOOD: Duration = Duration::from_secs(30);

/// Everything that the operator runs with.
#[derive(Clone)]
pub struct Setup {
    /// Kinds to reconcile.
    pub kinds: &'static [&'static dyn AnyKind],
    /// The world of each kind: the same world, with the rights of the kind.
    pub world_of: Arc<dyn Fn(&'static dyn AnyKind) -> Arc<dyn World> + Send + Sync>,
    /// External systems.
    pub backends: Arc<dyn Backends>,
    /// Who tells operators.
    pub notifier: Arc<dyn Notifier>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: Settings,
    /// Passes at once.
    pub workers: usize,
    /// What the operator tells of itself.
    pub telemetry: Telemetry,
    /// Whether passes may begin: a standby keeps its cache warm and begins none.
    pub active: watch::Receiver<bool>,
}

/// Why the operator ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Everything that is known may be newer than the world; only a process that knows nothing can go on.
    #[error("watching {resource}: {error}; starting anew forgets what was known")]
    WentBack {
        /// Which watch told it.
        resource: &'static Resource,
        /// What it told.
        error: WorldError,
    },
}

/// How busy the operator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Every watch has told its list.
    pub synced: bool,
    /// Objects that wait for a worker.
    pub backlog: usize,
    /// Passes under way.
    pub busy: usize,
    /// The next wake-up.
    pub next_wake: Option<Instant>,
}

impl Load {
    /// Nothing to do now, and no wake-up within `horizon`.
    #[must_use]
    pub fn is_settled(&self, horizon: Duration) -> bool {
        let soon = self.next_wake.is_some_and(|at| at.saturating_duration_since(Instant::now()) <= horizon);
        self.synced && self.backlog == 0 && self.busy == 0 && !soon
    }
}

/// The operator.
pub struct Operator {
    setup: Setup,
    cache: Arc<Cache>,
    dependencies: Arc<Dependencies>,
    load: watch::Sender<Load>,
}

/// What the runner's task owns.
struct Running {
    queue: Queue,
    failures: HashMap<Arc<ObjectKey>, u32>,
    seen: BTreeSet<Arc<ObjectKey>>,
    unsynced: BTreeSet<&'static Resource>,
    passes: JoinSet<PassEnd>,
}

struct PassEnd {
    key: Arc<ObjectKey>,
    end: Result<Passed, Ended>,
}

impl Operator {
    /// An operator that has not started.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let load = watch::Sender::new(Load { synced: false, backlog: 0, busy: 0, next_wake: None });
        Self { setup, cache: Arc::default(), dependencies: Arc::default(), load }
    }

    /// How busy it is, as it changes.
    #[must_use]
    pub fn load(&self) -> watch::Receiver<Load> {
        self.load.subscribe()
    }

    /// Runs until `stop` completes; passes under way are then given their deadline to end, and cut off.
    ///
    /// # Errors
    /// [`RunError`] when it cannot go on; passes under way are cut off.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) -> Result<(), RunError> {
        let (deltas, mut told) = mpsc::channel(1024);
        let (own, mut owned) = mpsc::unbounded_channel();
        let mut watches = JoinSet::new();
        let mut running = self.start(&mut watches, &deltas);
        let mut active = self.setup.active.clone();
        let mut stop = std::pin::pin!(stop);
        loop {
            self.hand_out(&mut running, &own);
            self.publish(&running);
            let wake = running.queue.next_wake();
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(change) = owned.recv() => self.wrote(&mut running, &change),
                Some((resource, delta)) = told.recv() => self.apply(&mut running, resource, delta),
                Some(Ok(error)) = watches.join_next() => return Err(error),
                Ok(()) = active.changed() => {}
                Some(ended) = running.passes.join_next() => if let Ok(ended) = ended { self.finish(&mut running, ended) },
                // So that whoever asks whether the loop still turns is answered by an idle one, too.
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = async { if let Some(at) = wake { tokio::time::sleep_until(at).await } }, if wake.is_some() => running.queue.wake_due(Instant::now()),
            }
        }
        watches.abort_all();
        let ended = async { while running.passes.join_next().await.is_some() {} };
        if tokio::time::timeout(PASS_DEADLINE, ended).await.is_err() {
            tracing::warn!("stopped before every pass had ended");
        }
        Ok(())
    }

    fn start(&self, watches: &mut JoinSet<RunError>, deltas: &mpsc::Sender<(&'static Resource, Delta)>) -> Running {
        let mut unsynced = BTreeSet::new();
        for kind in self.setup.kinds {
            let world = (self.setup.world_of)(*kind);
            for access in kind.reads().iter().filter(|access| access.verbs.contains(&Verb::Watch)) {
                if unsynced.insert(access.resource) {
                    let feed = Feed::of(access.resource, &self.setup.settings.system_namespace);
                    self.setup.telemetry.feed_expected(access.resource);
                    watches.spawn(follow(world.clone(), feed, self.setup.telemetry.clone(), deltas.clone()));
                }
            }
        }
        Running { queue: Queue::new(self.setup.workers), failures: HashMap::new(), seen: BTreeSet::new(), unsynced, passes: JoinSet::new() }
    }

    fn apply(&self, running: &mut Running, resource: &'static Resource, delta: Delta) {
        let first = matches!(delta, Delta::Listed { .. }) && running.unsynced.remove(resource);
        for change in self.cache.apply(resource, delta) {
            self.setup.telemetry.object_changed(change.before.as_deref(), change.after.as_deref());
            self.enqueue(running, &change);
            self.enqueue_dependents(running, &change, None);
        }
        if first {
            self.begin_kinds(running, resource);
        }
    }

    /// Objects of kinds that waited for this resource alone.
    fn begin_kinds(&self, running: &mut Running, resource: &'static Resource) {
        let reads = |kind: &&&'static dyn AnyKind| kind.reads().iter().any(|access| access.resource == resource);
        for kind in self.setup.kinds.iter().filter(reads) {
            if !running.is_begun(*kind) {
                continue;
            }
            for key in self.cache.keys(kind.resource()) {
                let key = Arc::new(key);
                let priority = running.priority(&key);
                running.queue.push(key, priority);
            }
        }
    }

    /// A pass changed something.
    fn wrote(&self, running: &mut Running, own: &OwnChange) {
        self.setup.telemetry.object_changed(own.change.before.as_deref(), own.change.after.as_deref());
        self.enqueue_dependents(running, &own.change, Some(&own.by));
    }

    fn kind_of(&self, key: &ObjectKey) -> Option<&'static dyn AnyKind> {
        self.setup.kinds.iter().find(|kind| kind.resource() == key.resource).copied()
    }

    /// The changed object itself.
    fn enqueue(&self, running: &mut Running, change: &Change) {
        let Some(kind) = self.kind_of(&change.key) else { return };
        let key = Arc::new(change.key.clone());
        if change.after.is_none() {
            running.seen.remove(&key);
            running.queue.wake_at(key, None);
            return;
        }
        if running.is_begun(kind) {
            let priority = running.priority(&key);
            running.queue.push(key, priority);
        }
    }

    /// Whoever read it, except the pass that changed it.
    fn enqueue_dependents(&self, running: &mut Running, change: &Change, by: Option<&Arc<ObjectKey>>) {
        if let Some(by) = by.filter(|by| by.as_ref() != &change.key) {
            tracing::trace!(%by, changed = %change.key, "changed by a pass");
            self.enqueue(running, change);
        }
        let priority = if change.key.resource == &DECISION { Priority::Human } else { Priority::Rest };
        for reader in self.dependencies.touched_by(change) {
            if by != Some(&reader) && *reader != change.key {
                let pause = self.kind_of(&reader).map(AnyKind::pause).unwrap_or_default();
                if pause.is_zero() || priority == Priority::Human {
                    running.queue.push(reader, priority);
                } else {
                    running.queue.wake_by(reader, Instant::now() + pause);
                }
            }
        }
    }

    fn hand_out(&self, running: &mut Running, own: &mpsc::UnboundedSender<OwnChange>) {
        if !*self.setup.active.borrow() {
            return;
        }
        while let Some(key) = running.queue.pop() {
            let Some(kind) = self.kind_of(&key) else { continue };
            let pass = Pass {
                kind,
                key: key.clone(),
                setup: self.setup.clone(),
                cache: self.cache.clone(),
                dependencies: self.dependencies.clone(),
                own: own.clone(),
            };
            let telemetry = self.setup.telemetry.clone();
            running.passes.spawn(async move {
                let began = Instant::now();
                let span = telemetry.pass_span(&key, pass.cache.peek(&key).as_deref());
                let end = pass.run().instrument(span).await;
                telemetry.passed(kind.resource().kind, &end, began.elapsed());
                PassEnd { key, end }
            });
        }
    }

    fn finish(&self, running: &mut Running, ended: PassEnd) {
        let PassEnd { key, end } = ended;
        running.queue.done(&key);
        match end {
            Ok(passed) => {
                running.failures.remove(&key);
                let wake = match passed {
                    Passed::Gone | Passed::Settled(None) => None,
                    Passed::Settled(Some(at)) => Some(self.instant(at)),
                };
                running.queue.wake_at(key, wake);
            }
            Err(ended) => {
                let failures = running.failures.entry(key.clone()).or_default();
                *failures += 1;
                let wait = retry::wait_after(&ended, *failures);
                if retry::is_routine(&ended) {
                    tracing::debug!(object = %key, ?ended, "pass ended early");
                } else {
                    tracing::warn!(object = %key, ?ended, wait_ms = wait.as_millis(), "pass ended early");
                }
                running.queue.wake_at(key, Some(Instant::now() + wait));
            }
        }
    }

    fn instant(&self, at: Time) -> Instant {
        let delay = Duration::try_from(at.instant().duration_since(self.setup.clock.now())).unwrap_or(Duration::ZERO);
        Instant::now() + delay
    }

    fn publish(&self, running: &Running) {
        let load = Load {
            synced: running.unsynced.is_empty(),
            backlog: running.queue.backlog(),
            busy: running.queue.busy(),
            next_wake: running.queue.next_wake(),
        };
        self.setup.telemetry.tick();
        self.setup.telemetry.queue(load.backlog, load.busy);
        self.load.send_if_modified(|present| {
            if *present == load {
                false
            } else {
                *present = load;
                true
            }
        });
    }
}

impl Running {
    /// Whether everything that the kind reads has been listed.
    fn is_begun(&self, kind: &dyn AnyKind) -> bool {
        kind.reads().iter().all(|access| !self.unsynced.contains(access.resource))
    }

    fn priority(&mut self, key: &Arc<ObjectKey>) -> Priority {
        if key.resource == &DECISION {
            Priority::Human
        } else if self.seen.insert(key.clone()) {
            Priority::New
        } else {
            Priority::Rest
        }
    }
}

/// Feeds one resource's deltas to the runner; opens a watch that has ended again. Ends when it cannot go on.
async fn follow(world: Arc<dyn World>, feed: Feed, telemetry: Telemetry, deltas: mpsc::Sender<(&'static Resource, Delta)>) -> RunError {
    let resource = feed.resource;
    let mut back = None;
    loop {
        let mut watch = world.watch(&feed);
        while let Some(delta) = watch.next().await {
            match delta {
                Ok(delta) => {
                    back = None;
                    if matches!(delta, Delta::Listed { .. } | Delta::Resumed) {
                        telemetry.feed_live(resource);
                    }
                    // The receiver goes only when the operator stops, and this task with it.
                    let _ = deltas.send((resource, delta)).await;
                }
                Err(error @ WorldError::WentBack { .. }) => {
                    tracing::error!(%resource, %error, "watch refused");
                    telemetry.feed_refused(resource);
                    telemetry.feed_down(resource, &error);
                    if back.get_or_insert_with(Instant::now).elapsed() > BACK_FOR_GOOD {
                        return RunError::WentBack { resource, error };
                    }
                }
                Err(error) => {
                    tracing::warn!(%resource, %error, "watch interrupted");
                    telemetry.feed_down(resource, &error);
                }
            }
        }
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

/// One pass as a task.
struct Pass {
    kind: &'static dyn AnyKind,
    key: Arc<ObjectKey>,
    setup: Setup,
    cache: Arc<Cache>,
    dependencies: Arc<Dependencies>,
    own: mpsc::UnboundedSender<OwnChange>,
}

impl Pass {
    async fn run(self) -> Result<Passed, Ended> {
        let rights = (self.setup.world_of)(self.kind);
        let read = TrackedRead::new(self.cache.clone(), rights.clone(), self.dependencies.clone(), self.key.clone());
        let world = WriteThrough { world: rights, cache: self.cache.clone(), by: self.key.clone(), told: self.own.clone() };
        let clock = self.setup.clock.as_ref();
        let ledger = ObjectLedger { read: &read, world: &world, clock, system_namespace: &self.setup.settings.system_namespace };
        let backends = CountedCalls::new(self.setup.backends.clone());
        let notifier = self.setup.notifier.as_ref();
        let doors = Doors { read: &read, world: &world, backends: &backends, ledger: &ledger, clock, notifier };
        let pass = AssertUnwindSafe(step::pass(self.kind, &self.key, &doors, &self.setup.settings)).catch_unwind();
        let ended = tokio::select! {
            biased;
            passed = pass => match passed {
                Ok(Ok(passed)) => Ok(passed),
                Ok(Err(error)) => Err(Ended::Error(error)),
                Err(panic) => Err(Ended::Panic(panic_text(panic.as_ref()))),
            },
            () = backends.idle_for_too_long() => Err(Ended::Deadline),
        };
        if let Err(Ended::Panic(text)) = &ended {
            self.report_panic(text, &world).await;
        }
        read.finish();
        ended
    }

    /// A fault of ours becomes a condition on the one object that met it.
    async fn report_panic(&self, text: &str, world: &dyn World) {
        use crate::engine::port::Read as _;
        let Ok(Some(stored)) = self.cache.get(&self.key).await else { return };
        let before: Vec<Condition> =
            stored.body.pointer("/status/conditions").and_then(|list| serde_json::from_value(list.clone()).ok()).unwrap_or_default();
        let finding = Finding::error("InternalError", format!("the controller failed on this object: {text}; please report it"));
        let now = Time::new(self.setup.clock.now());
        let conditions = condition::merge(&before, &Summary::Stalled(finding).observations(), stored.generation(), now);
        let mut object = Object::clone(&stored);
        object.body["status"]["conditions"] = json!(conditions);
        object.body["status"]["observedGeneration"] = stored.generation().into();
        if object.body.get("status") != stored.body.get("status")
            && let Err(error) = world.update_status(&object).await
        {
            tracing::warn!(object = %self.key, %error, "reporting a fault of ours");
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
