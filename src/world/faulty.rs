//! A world that fails on purpose: at a planned moment a write is refused, its reply is lost, or the process "dies".
//!
//! One [`CrashPlan`] counts the moments of everything that takes part in a run, the world and the transports of external
//! calls alike, so that a test can count them in a run without faults and then enumerate them all.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::future;
use futures::stream::{BoxStream, StreamExt};
use tokio::sync::watch;

use crate::engine::port::{Delta, Feed, Query, Read, World, WorldError};
use crate::model::object::{Object, ObjectKey};

/// A moment at which a run can be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// Before a read of the world; only with [`Faulty::with_reads`].
    BeforeRead,
    /// Before a write is sent.
    BeforeWrite,
    /// The write is done, its reply not yet received.
    AfterWriteBeforeReply,
    /// The reply is received.
    AfterWrite,
    /// Before an external call is sent.
    BeforeCall,
    /// The call has had its effect, its reply not yet received.
    AfterSendBeforeReply,
    /// The reply of the call is received.
    AfterCall,
}

/// What happens at the planned moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request fails: without effect before it, with its reply lost after it. At [`Point::AfterWrite`] and
    /// [`Point::AfterCall`] nothing can fail any more.
    Fail,
    /// The process dies: nothing that it began goes on, and nothing new begins.
    Crash,
}

/// The planned moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoint {
    /// Never: the plan only counts.
    Never,
    /// The n-th moment of any kind, from 1.
    Nth(usize),
    /// Before the n-th write, from 1.
    Before(usize),
    /// After the n-th write, before its reply, from 1.
    After(usize),
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// Report a failure: of the request at a `Before...`, of the reply at an `After...`.
    Fail,
    /// Never return: await [`CrashPlan::dead`].
    Crash,
}

/// Counts moments and interrupts at one of them. Shared by everything that takes part in one run.
#[derive(Debug)]
pub struct CrashPlan {
    at: FaultPoint,
    fault: Fault,
    hits: Mutex<Vec<Point>>,
    crashed: watch::Sender<bool>,
}

impl CrashPlan {
    /// A plan that interrupts once.
    #[must_use]
    pub fn new(at: FaultPoint, fault: Fault) -> Arc<Self> {
        Arc::new(Self { at, fault, hits: Mutex::default(), crashed: watch::Sender::new(false) })
    }

    /// A plan that only counts.
    #[must_use]
    pub fn counting() -> Arc<Self> {
        Self::new(FaultPoint::Never, Fault::Fail)
    }

    /// Counts a moment and says what happens at it. After a crash it is always [`Verdict::Crash`], uncounted.
    #[must_use]
    pub fn tick(&self, point: Point) -> Verdict {
        if self.has_crashed() {
            return Verdict::Crash;
        }
        let mut hits = self.lock();
        hits.push(point);
        let of_kind = || hits.iter().filter(|hit| **hit == point).count();
        let planned = match self.at {
            FaultPoint::Never => false,
            FaultPoint::Nth(n) => hits.len() == n,
            FaultPoint::Before(n) => point == Point::BeforeWrite && of_kind() == n,
            FaultPoint::After(n) => point == Point::AfterWriteBeforeReply && of_kind() == n,
        };
        drop(hits);
        match (planned, self.fault) {
            (false, _) => Verdict::Proceed,
            (true, Fault::Fail) => Verdict::Fail,
            (true, Fault::Crash) => {
                self.crashed.send_replace(true);
                Verdict::Crash
            }
        }
    }

    /// Number of moments so far.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.lock().len()
    }

    /// The moments so far, in order: names the one that a test was interrupted at.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        self.lock().clone()
    }

    /// Whether the process has died.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        *self.crashed.borrow()
    }

    /// Resolves when the process dies: then drop everything that ran in it.
    pub fn crashed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut crashed = self.crashed.subscribe();
        async move {
            if crashed.wait_for(|crashed| *crashed).await.is_err() {
                // The plan is gone, and with it every way to crash.
                future::pending::<()>().await;
            }
        }
    }

    /// What a dead process does next: nothing, for ever.
    pub async fn dead<T>(&self) -> T {
        future::pending().await
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Point>> {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A world seen by a process that is interrupted as planned. The world itself goes on: start another process over it.
#[derive(Clone)]
pub struct Faulty {
    world: Arc<dyn World>,
    plan: Arc<CrashPlan>,
    count_reads: bool,
}

impl Faulty {
    /// Interrupts writes; reads and watches only stop with the process.
    #[must_use]
    pub fn new(world: Arc<dyn World>, plan: Arc<CrashPlan>) -> Self {
        Self { world, plan, count_reads: false }
    }

    /// Interrupts reads too.
    #[must_use]
    pub fn with_reads(mut self) -> Self {
        self.count_reads = true;
        self
    }

    async fn read<T>(&self, what: String, read: impl Future<Output = Result<T, WorldError>> + Send) -> Result<T, WorldError> {
        if self.plan.has_crashed() {
            return self.plan.dead().await;
        }
        if self.count_reads {
            match self.plan.tick(Point::BeforeRead) {
                Verdict::Proceed => {}
                Verdict::Fail => return Err(unavailable(&what)),
                Verdict::Crash => return self.plan.dead().await,
            }
        }
        read.await
    }

    /// `write` does nothing before it is polled.
    async fn write<T>(&self, what: String, write: impl Future<Output = Result<T, WorldError>> + Send) -> Result<T, WorldError> {
        match self.plan.tick(Point::BeforeWrite) {
            Verdict::Proceed => {}
            Verdict::Fail => return Err(unavailable(&what)),
            Verdict::Crash => return self.plan.dead().await,
        }
        let done = write.await;
        match self.plan.tick(Point::AfterWriteBeforeReply) {
            Verdict::Proceed => {}
            Verdict::Fail => return Err(WorldError::Unknown(what)),
            Verdict::Crash => return self.plan.dead().await,
        }
        match self.plan.tick(Point::AfterWrite) {
            // A reply that is received cannot fail any more.
            Verdict::Proceed | Verdict::Fail => done,
            Verdict::Crash => self.plan.dead().await,
        }
    }
}

fn unavailable(what: &str) -> WorldError {
    WorldError::Unavailable { message: format!("{what}: refused on purpose"), retry_after: None }
}

#[async_trait]
impl Read for Faulty {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        self.read(format!("get {key}"), self.world.get(key)).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        self.read(format!("list {}", query.resource), self.world.list(query)).await
    }
}

#[async_trait]
impl World for Faulty {
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.write(format!("create {}", object.key()), self.world.create(object)).await
    }

    async fn update(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.write(format!("update {}", object.key()), self.world.update(object)).await
    }

    async fn update_status(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.write(format!("update status of {}", object.key()), self.world.update_status(object)).await
    }

    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), WorldError> {
        self.write(format!("delete {key}"), self.world.delete(key, uid)).await
    }

    /// Falls silent when the process dies.
    fn watch(&self, feed: &Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
        let silence = futures::stream::pending();
        self.world.watch(feed).take_until(self.plan.crashed()).chain(silence).boxed()
    }
}
