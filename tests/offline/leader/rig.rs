//! Candidates over one world in memory, in virtual time, each behind a link that can fail and in a process that can stop.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use mandate::engine::kind::Settings;
use mandate::engine::port::{Clock, Delta, Feed, Query, RandomIdentifiers, Read, VirtualClock, World, WorldError};
use mandate::model::object::{Object, ObjectKey};
use mandate::model::resource::{LEASE, NAMESPACE};
use mandate::operator::embedded;
use mandate::operator::fence::FencedWorld;
use mandate::operator::leader::{self, Election, Farewell, Leadership, Lost, Options};
use mandate::world::memory::{Client, Memory, Permissions};
use mandate::world::server::Identity;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

pub const SYSTEM: &str = "mandate-system";

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn lease_key() -> ObjectKey {
    ObjectKey::new(&LEASE, SYSTEM, "mandate")
}

/// The machine's clock of one candidate: wrong by a fixed amount.
struct Skewed(VirtualClock, i64);

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.0.now().checked_add(jiff::SignedDuration::from_secs(self.1)).unwrap()
    }
}

/// How a candidate reaches the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Open,
    /// Every request fails at once, and watches end.
    Refused,
    /// Requests arrive or do not, and no reply comes.
    Silent,
    /// Requests arrive; replies to writes are lost.
    RepliesLost,
    /// Requests work, watches do not.
    NoWatch,
}

/// A world behind a line.
#[derive(Clone)]
pub struct Link {
    world: Arc<dyn World>,
    pub line: Arc<watch::Sender<Line>>,
    /// Longest delay of a request, or of its reply, in milliseconds.
    delay: u64,
    random: Arc<AtomicU64>,
}

impl Link {
    fn new(world: Arc<dyn World>, delay: u64, seed: u64) -> Self {
        Self { world, line: Arc::new(watch::Sender::new(Line::Open)), delay, random: Arc::new(AtomicU64::new(seed | 1)) }
    }

    async fn travel(&self) {
        if self.delay > 0 {
            let step = |state: u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
            let drawn = self.random.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).unwrap();
            sleep(millis((drawn >> 33) % self.delay)).await;
        }
    }

    async fn arrive(&self) -> Result<(), WorldError> {
        self.travel().await;
        let mut line = self.line.subscribe();
        let line = *line.wait_for(|line| *line != Line::Silent).await.unwrap();
        if line == Line::Refused { Err(refused()) } else { Ok(()) }
    }

    async fn write<T>(&self, write: impl Future<Output = Result<T, WorldError>> + Send) -> Result<T, WorldError> {
        self.arrive().await?;
        let done = write.await;
        self.travel().await;
        let mut line = self.line.subscribe();
        let line = *line.wait_for(|line| *line != Line::Silent).await.unwrap();
        if matches!(line, Line::Refused | Line::RepliesLost) { Err(WorldError::Unknown("a write".into())) } else { done }
    }
}

fn refused() -> WorldError {
    WorldError::Unavailable { message: "the line is cut".into(), retry_after: None }
}

#[async_trait]
impl Read for Link {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        self.arrive().await?;
        let found = self.world.get(key).await;
        self.arrive().await?;
        found
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        self.arrive().await?;
        self.world.list(query).await
    }
}

#[async_trait]
impl World for Link {
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.write(self.world.create(object)).await
    }

    async fn update(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.write(self.world.update(object)).await
    }

    async fn update_status(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.write(self.world.update_status(object)).await
    }

    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), WorldError> {
        self.write(self.world.delete(key, uid)).await
    }

    fn watch(&self, feed: &Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
        let (link, line) = (self.clone(), self.line.subscribe());
        stream::unfold(Some(self.world.watch(feed)), move |inner| {
            let (link, mut line) = (link.clone(), line.clone());
            async move {
                let mut inner = inner?;
                loop {
                    let now = *line.wait_for(|line| *line != Line::Silent).await.unwrap();
                    if matches!(now, Line::Refused | Line::NoWatch) {
                        return Some((Err(refused()), None));
                    }
                    tokio::select! {
                        told = inner.next() => {
                            link.travel().await;
                            line.wait_for(|line| *line != Line::Silent).await.unwrap();
                            return Some((told?, Some(inner)));
                        }
                        _ = line.changed() => {}
                    }
                }
            }
        })
        .boxed()
    }
}

/// A future that can be stopped and let go on, as SIGSTOP and SIGCONT do with a process.
struct Stoppable<F> {
    inner: Pin<Box<F>>,
    brake: Arc<Mutex<(bool, Option<Waker>)>>,
}

impl<F: Future> Future for Stoppable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut brake = self.brake.lock().unwrap();
        if brake.0 {
            brake.1 = Some(context.waker().clone());
            return Poll::Pending;
        }
        drop(brake);
        self.inner.as_mut().poll(context)
    }
}

/// One write of the work that a leader does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub at: Instant,
    pub by: usize,
    pub fencing: u32,
}

/// Where leaders' writes arrive; nothing else is ever asked of it.
struct Work {
    by: usize,
    done: Arc<Mutex<Vec<Done>>>,
}

#[async_trait]
impl Read for Work {
    async fn get(&self, _: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        Ok(None)
    }

    async fn list(&self, _: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl World for Work {
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        let fencing = object.name().trim_start_matches('n').parse().unwrap();
        self.done.lock().unwrap().push(Done { at: Instant::now(), by: self.by, fencing });
        Ok(Arc::new(object.clone()))
    }

    async fn update(&self, _: &Object) -> Result<Arc<Object>, WorldError> {
        Err(refused())
    }

    async fn update_status(&self, _: &Object) -> Result<Arc<Object>, WorldError> {
        Err(refused())
    }

    async fn delete(&self, _: &ObjectKey, _: &str) -> Result<(), WorldError> {
        Err(refused())
    }

    fn watch(&self, _: &Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
        stream::pending().boxed()
    }
}

/// One candidate process.
pub struct Candidate {
    pub leadership: Leadership,
    pub link: Link,
    pub client: Client,
    stop: watch::Sender<Option<Farewell>>,
    brake: Arc<Mutex<(bool, Option<Waker>)>>,
    pub task: JoinHandle<Result<(), Lost>>,
    pub alive: bool,
}

impl Candidate {
    pub fn leads(&self) -> bool {
        self.alive && self.leadership.is_held()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.alive = false;
        self.task.abort();
    }

    /// SIGTERM, its work having ended.
    pub fn ask_to_stop(&self) {
        self.stop.send_replace(Some(Farewell::Release));
    }

    pub fn ask_to_leave_it(&self) {
        self.stop.send_replace(Some(Farewell::RunOut));
    }

    /// SIGSTOP.
    pub fn halt(&self) {
        self.brake.lock().unwrap().0 = true;
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        let mut brake = self.brake.lock().unwrap();
        brake.0 = false;
        if let Some(waker) = brake.1.take() {
            waker.wake();
        }
    }

    pub fn line(&self, line: Line) {
        self.link.line.send_replace(line);
    }

    pub async fn ended(&mut self) -> Result<(), Lost> {
        self.alive = false;
        (&mut self.task).await.unwrap()
    }
}

/// How a candidate is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Made {
    pub delay: u64,
    pub skew: i64,
    pub seed: u64,
}

pub struct Rig {
    pub memory: Memory,
    pub clock: VirtualClock,
    pub candidates: Vec<Candidate>,
    pub done: Arc<Mutex<Vec<Done>>>,
}

impl Rig {
    pub async fn new() -> Self {
        let clock = VirtualClock::starting_at("2026-01-31T12:00:00Z".parse().unwrap());
        let memory = embedded::open(Arc::new(clock.clone()), Arc::new(RandomIdentifiers), None).unwrap();
        embedded::make_namespaces(&memory, &Settings::default()).await.unwrap();
        Self { memory, clock, candidates: Vec::new(), done: Arc::default() }
    }

    pub fn admin(&self) -> Client {
        self.memory.client(Identity::controller(), None)
    }

    pub fn start(&mut self) -> usize {
        self.start_with(Made::default())
    }

    pub fn start_with(&mut self, made: Made) -> usize {
        let by = self.candidates.len();
        let client = self.memory.client(Identity::controller(), Some(Arc::new(Permissions::of([&leader::ACCESS]))));
        let link = Link::new(Arc::new(client.clone()), made.delay, made.seed);
        let options = Options::new(leader::identity(&format!("pod-{by}"), &RandomIdentifiers), SYSTEM);
        let clock = Arc::new(Skewed(self.clock.clone(), made.skew));
        let (election, leadership) = Election::new(Arc::new(link.clone()), clock, options).unwrap();
        let (stop, mut stopped) = watch::channel(None);
        let asked = async move {
            let farewell = stopped.wait_for(Option::is_some).await.map(|farewell| farewell.unwrap());
            farewell.unwrap_or(Farewell::RunOut)
        };
        let world = FencedWorld { world: Arc::new(Work { by, done: self.done.clone() }), leadership: leadership.clone() };
        let work = work(world, leadership.clone());
        let process = async move {
            tokio::select! {
                biased;
                // The work is polled first: nothing but the door keeps a process that was halted from going on with it.
                () = work => unreachable!("the work never ends"),
                ended = election.run(asked) => ended,
            }
        };
        let brake: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
        let task = tokio::spawn(Stoppable { inner: Box::pin(process), brake: brake.clone() });
        self.candidates.push(Candidate { leadership, link, client, stop, brake, task, alive: true });
        by
    }

    pub fn leaders(&self) -> Vec<usize> {
        self.candidates.iter().enumerate().filter(|(_, candidate)| candidate.leads()).map(|(number, _)| number).collect()
    }

    /// How long it takes until exactly this candidate, or any other than `but`, leads.
    pub async fn until_led_by_another(&self, but: Option<usize>, at_most: Duration) -> (usize, Duration) {
        let began = Instant::now();
        loop {
            let leaders = self.leaders();
            if let [leader] = leaders[..]
                && Some(leader) != but
            {
                return (leader, began.elapsed());
            }
            assert!(began.elapsed() <= at_most, "no other leader after {at_most:?}: {leaders:?}");
            sleep(millis(5)).await;
        }
    }

    pub async fn lease(&self) -> Option<Arc<Object>> {
        self.admin().get(&lease_key()).await.unwrap()
    }

    /// The numbers of the work done never go back, and each is of one leader.
    pub fn check_fencing(&self) {
        let done = self.done.lock().unwrap().clone();
        for pair in done.windows(2) {
            assert!(pair[0].fencing <= pair[1].fencing, "{pair:?}");
            assert!(pair[0].fencing != pair[1].fencing || pair[0].by == pair[1].by, "{pair:?}");
        }
    }
}

/// Writes whenever it can, without asking first whether it may.
async fn work(world: FencedWorld, leadership: Leadership) {
    loop {
        let fencing = leadership.fencing().unwrap_or(0);
        let written = world.create(&Object::named(&NAMESPACE, "", &format!("n{fencing}"))).await;
        let refused = WorldError::Unavailable { message: "not the leader any more".into(), retry_after: None };
        assert!(written.is_ok() || written == Err(refused), "{written:?}");
        sleep(millis(50)).await;
    }
}
