//! What the operator tells of itself: metrics, whether it is alive, whether it is ready, and the span of a pass.
//!
//! Every metric is documented in `docs/metrics.md`. Labels are of closed sets: kinds, resources, verbs, codes; never a name
//! of an object, never text from outside, never a secret.

mod feeds;
mod logs;
mod meter;

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use self::feeds::Feeds;
use super::leader::Leadership;
use super::retry::Ended;
use crate::engine::port::{Verb, WorldError};
use crate::engine::step::{PassError, Passed};
use crate::model::call::ProviderType;
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::{GROUP, Resource};

pub use self::feeds::{FeedState, Unready};
pub use self::logs::{JsonLines, log_json_to_stderr};
pub use self::meter::{MeteredCalls, MeteredWorld, code_of};

/// Seconds; a pass without calls takes milliseconds, its longest end is the pass deadline and a call's beyond it.
const PASS_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];
/// Seconds; of one request or call.
const REQUEST_BUCKETS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0];

/// A resource as a label: `plural.group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ResourceName(&'static Resource);

impl EncodeLabelValue for ResourceName {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.to_string().encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPass {
    kind: &'static str,
    end: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReady {
    kind: &'static str,
    ready: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResource {
    resource: ResourceName,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRestart {
    resource: ResourceName,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    verb: &'static str,
    resource: ResourceName,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVerb {
    verb: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCall {
    provider_type: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProvider {
    provider_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfNotice {
    channel: &'static str,
    result: &'static str,
}

/// How an operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// A Kubernetes Event.
    Event,
    /// A CloudEvent.
    CloudEvent,
}

/// What became of telling an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Told.
    Delivered,
    /// Not told by this try.
    Failed,
    /// The receiver will never take it.
    Refused,
    /// It gave way to newer ones.
    Dropped,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What the operator tells of itself. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    registry: Registry,
    passes: Family<OfPass, Counter>,
    pass_seconds: Histograms<OfKind>,
    backlog: Gauge,
    busy: Gauge,
    objects: Family<OfResource, Gauge>,
    ready: Family<OfReady, Gauge>,
    watch_live: Family<OfResource, Gauge>,
    watch_restarts: Family<OfRestart, Counter>,
    watch_refused: Family<OfResource, Counter>,
    requests: Family<OfRequest, Counter>,
    request_seconds: Histograms<OfVerb>,
    calls: Family<OfCall, Counter>,
    call_seconds: Histograms<OfProvider>,
    notices: Family<OfNotice, Counter>,
    notices_waiting: Gauge,
    leader: Gauge,
    fencing: Gauge,
    feeds: Feeds,
    leadership: Mutex<Option<Leadership>>,
    started: Instant,
    /// Milliseconds after `started`; negative before the first.
    ticked: AtomicI64,
    process: String,
    pass: AtomicU64,
}

impl Telemetry {
    /// Telemetry of a process; `process` tells it from others in pass ids: the first characters of its random id. Call
    /// inside a tokio runtime.
    #[must_use]
    pub fn new(process: &str) -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("mandate"),
            passes: Family::default(),
            pass_seconds: Family::new_with_constructor(|| Histogram::new(PASS_BUCKETS)),
            backlog: Gauge::default(),
            busy: Gauge::default(),
            objects: Family::default(),
            ready: Family::default(),
            watch_live: Family::default(),
            watch_restarts: Family::default(),
            watch_refused: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            notices: Family::default(),
            notices_waiting: Gauge::default(),
            leader: Gauge::default(),
            fencing: Gauge::default(),
            feeds: Feeds::default(),
            leadership: Mutex::default(),
            started: Instant::now(),
            ticked: AtomicI64::new(-1),
            process: process.to_owned(),
            pass: AtomicU64::new(0),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// All metrics as OpenMetrics text.
    ///
    /// # Errors
    /// Never in practice: writing to a string does not fail.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let leadership = self.0.leadership.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let held = leadership.as_ref().is_some_and(Leadership::is_held);
        self.0.leader.set(i64::from(held));
        self.0.fencing.set(leadership.and_then(|leadership| leadership.fencing()).map_or(0, i64::from));
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    /// Whose leadership is told; asked at each scrape.
    pub fn follow(&self, leadership: Leadership) {
        *self.0.leadership.lock().unwrap_or_else(PoisonError::into_inner) = Some(leadership);
    }

    /// A pass over an object of a kind has ended.
    pub fn passed(&self, kind: &'static str, end: &Result<Passed, Ended>, took: Duration) {
        let end = match end {
            Ok(Passed::Settled(_)) => "settled",
            Ok(Passed::Gone) => "gone",
            Err(Ended::Error(PassError::World { error: WorldError::Conflict { .. } | WorldError::AlreadyExists(_), .. })) => "conflict",
            Err(Ended::Error(_)) => "error",
            Err(Ended::Deadline) => "deadline",
            Err(Ended::Panic(_)) => "panic",
        };
        self.0.passes.get_or_create(&OfPass { kind, end }).inc();
        self.0.pass_seconds.get_or_create(&OfKind { kind }).observe(took.as_secs_f64());
    }

    /// How long the queue is, and how many passes are under way.
    pub fn queue(&self, backlog: usize, busy: usize) {
        self.0.backlog.set(i64::try_from(backlog).unwrap_or(i64::MAX));
        self.0.busy.set(i64::try_from(busy).unwrap_or(i64::MAX));
    }

    /// An object came, changed or went in the cache. To be told of every change once.
    pub fn object_changed(&self, before: Option<&Object>, after: Option<&Object>) {
        let count = |object: &Object, by: i64| {
            self.0.objects.get_or_create(&OfResource { resource: ResourceName(object.resource) }).inc_by(by);
            if object.resource.group == GROUP
                && let Some(ready) = readiness(object)
            {
                self.0.ready.get_or_create(&OfReady { kind: object.resource.kind, ready }).inc_by(by);
            }
        };
        if let Some(object) = before {
            count(object, -1);
        }
        if let Some(object) = after {
            count(object, 1);
        }
    }

    /// A request to the API server was answered, or not: `code` is an HTTP status, or [`code_of`] an error.
    pub fn requested(&self, verb: Verb, resource: &'static Resource, code: &'static str, took: Duration) {
        let verb = word(verb);
        self.0.requests.get_or_create(&OfRequest { verb, resource: ResourceName(resource), code }).inc();
        self.0.request_seconds.get_or_create(&OfVerb { verb }).observe(took.as_secs_f64());
    }

    /// A call to an external system came to an outcome.
    pub fn called(&self, provider: ProviderType, outcome: &'static str, took: Duration) {
        let provider_type = match provider {
            ProviderType::N8n => "n8n",
            ProviderType::Vapi => "vapi",
            ProviderType::Calcom => "calcom",
            ProviderType::Http => "http",
        };
        self.0.calls.get_or_create(&OfCall { provider_type, outcome }).inc();
        self.0.call_seconds.get_or_create(&OfProvider { provider_type }).observe(took.as_secs_f64());
    }

    /// An operator was told of an outcome, or was not.
    pub fn notified(&self, channel: Channel, delivery: Delivery) {
        let channel = match channel {
            Channel::Event => "event",
            Channel::CloudEvent => "cloud_event",
        };
        let result = match delivery {
            Delivery::Delivered => "delivered",
            Delivery::Failed => "failed",
            Delivery::Refused => "refused",
            Delivery::Dropped => "dropped",
        };
        self.0.notices.get_or_create(&OfNotice { channel, result }).inc();
    }

    /// How many CloudEvents wait for their delivery.
    pub fn notices_waiting(&self, waiting: usize) {
        self.0.notices_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// This resource is going to be watched; without it the process is not ready.
    pub fn feed_expected(&self, resource: &'static Resource) {
        self.feed(resource, FeedState::Listing);
    }

    /// The watch of a resource has told its complete list.
    pub fn feed_live(&self, resource: &'static Resource) {
        self.feed(resource, FeedState::Live);
    }

    /// The watch of a resource ended and will be opened again.
    pub fn feed_down(&self, resource: &'static Resource, error: &WorldError) {
        let reason = meter::reason_of(error);
        self.feed(resource, FeedState::Down(reason));
        self.0.watch_restarts.get_or_create(&OfRestart { resource: ResourceName(resource), reason }).inc();
    }

    /// A change was not taken: its resource version is older than what is known.
    pub fn feed_refused(&self, resource: &'static Resource) {
        self.0.watch_refused.get_or_create(&OfResource { resource: ResourceName(resource) }).inc();
    }

    fn feed(&self, resource: &'static Resource, state: FeedState) {
        self.0.feeds.set(resource, state);
        self.0.watch_live.get_or_create(&OfResource { resource: ResourceName(resource) }).set(i64::from(state == FeedState::Live));
    }

    /// What is not ready, by resource. Empty when every feed is live; never empty before the first is expected.
    #[must_use]
    pub fn unready(&self) -> Vec<Unready> {
        self.0.feeds.unready()
    }

    /// The runner's loop has come round.
    pub fn tick(&self) {
        let elapsed = i64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.0.ticked.store(elapsed, Ordering::Relaxed);
    }

    /// How long ago the runner's loop came round; none before it did for the first time.
    #[must_use]
    pub fn since_tick(&self) -> Option<Duration> {
        let ticked = u64::try_from(self.0.ticked.load(Ordering::Relaxed)).ok()?;
        Some(self.0.started.elapsed().saturating_sub(Duration::from_millis(ticked)))
    }

    /// The span of one pass. Whatever is logged inside carries object, uid, generation and pass id, at every level.
    #[must_use]
    pub fn pass_span(&self, key: &ObjectKey, stored: Option<&Object>) -> Span {
        let number = self.0.pass.fetch_add(1, Ordering::Relaxed) + 1;
        let span = tracing::error_span!(
            "pass",
            object = %key,
            uid = Empty,
            generation = Empty,
            pass = %format_args!("{}-{number}", self.0.process)
        );
        if let Some(stored) = stored {
            span.record("uid", stored.uid());
            span.record("generation", stored.generation());
        }
        span
    }
}

impl Inner {
    fn register(&mut self) {
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        let registry = &mut self.registry;
        registry.register("build", "Version of this process", build);
        registry.register("passes", "Passes over objects, by kind and how they ended", self.passes.clone());
        registry.register_with_unit("pass", "How long a pass took", Unit::Seconds, self.pass_seconds.clone());
        registry.register("queue_backlog", "Objects that wait for a worker", self.backlog.clone());
        registry.register("queue_busy", "Passes under way", self.busy.clone());
        registry.register("cached_objects", "Objects known from watches", self.objects.clone());
        registry.register("objects_ready", "Objects of our kinds by the status of condition Ready", self.ready.clone());
        registry.register("watch_live", "1 if the watch of a resource is live, 0 if it is not", self.watch_live.clone());
        registry.register("watch_restarts", "Watches that ended and were opened again, by reason", self.watch_restarts.clone());
        registry.register("watch_refused", "Changes not taken because they were older than what is known", self.watch_refused.clone());
        registry.register("api_requests", "Requests to the API server by verb, resource and HTTP code", self.requests.clone());
        registry.register_with_unit("api_request", "How long the API server took to answer", Unit::Seconds, self.request_seconds.clone());
        registry.register("external_calls", "Calls to external systems by type of provider and outcome", self.calls.clone());
        registry.register_with_unit(
            "external_call",
            "How long a call with all its exchanges took",
            Unit::Seconds,
            self.call_seconds.clone(),
        );
        registry.register("notifications", "Tries to tell an operator of an outcome, by channel and result", self.notices.clone());
        registry.register("notifications_waiting", "CloudEvents that wait for their delivery", self.notices_waiting.clone());
        registry.register("leader", "1 if this process leads, 0 if it stands by", self.leader.clone());
        registry.register("leader_fencing_number", "How often the lease had changed hands when this process took it", self.fencing.clone());
    }
}

/// The status of condition Ready; none for kinds without conditions.
fn readiness(object: &Object) -> Option<&'static str> {
    let conditions = object.body.pointer("/status/conditions")?.as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    Some(match ready["status"].as_str() {
        Some("True") => "True",
        Some("False") => "False",
        Some(_) | None => "Unknown",
    })
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Watch => "watch",
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::UpdateStatus => "update_status",
        Verb::Delete => "delete",
    }
}
