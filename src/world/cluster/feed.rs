//! The list and the watch of one feed, as one stream of deltas that mends itself.
//!
//! ```text
//!            +-- too old (410), version unknown (504) --+
//!            v                                          |
//! Begin -> list, held until complete -> Listed -> watch from its version -> Applied, Deleted, ...
//!   ^                                                ^                         |
//!   |                                                +-- ended by the server --+
//!   +---- pause <- Err: refused, broken off, silent, an older state than before
//! ```
//!
//! Guarantees: a list is told when it is whole, never in parts; after an interruption the watch goes on from the last
//! version it saw, so nothing is missed and nothing is listed again without need; a list that is older than what was told
//! is refused; each feed pauses for itself, so that one that is refused slows no other. Asks for the list as a stream
//! (`sendInitialEvents`) and falls back to pages where the server does not know that.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use http::{Method, Request};
use kube::core::WatchEvent;
use tokio::time::{Instant, sleep, timeout};

use super::body::Lean;
use super::exchange::{self, Ask, path_of};
use super::{Cluster, REQUEST, error};
use crate::engine::port::{Delta, Feed, Verb, WorldError};
use crate::model::object::{Object, ObjectKey};

/// The server ends a watch after this long, in seconds.
const LASTS: u64 = 290;
/// Longest silence: the server sends a bookmark every minute.
const SILENCE: Duration = Duration::from_secs(90);
/// First and longest pause after an error.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A watch that lasted this long was a good one: the next pause is a short one again.
const GOOD: Duration = Duration::from_secs(5);
/// Annotation of the bookmark that ends the initial events.
const INITIAL_END: &str = "k8s.io/initial-events-end";

type Events = BoxStream<'static, Result<WatchEvent<Lean>, kube::Error>>;

/// All changes of a feed. Never ends.
pub fn watch(cluster: Cluster, feed: Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
    let key = ObjectKey::new(feed.resource, feed.namespace.as_deref().unwrap_or_default(), "");
    let following = Following {
        cluster,
        feed,
        key,
        state: State::Begin,
        newest: 0,
        next: None,
        interrupted: false,
        streamed: true,
        pause: PAUSE.0,
        opened: None,
    };
    stream::unfold(following, |mut following| async move { Some((following.next().await, following)) }).boxed()
}

enum State {
    Begin,
    Pause,
    /// Initial events that are not whole yet, if the list comes as a stream.
    Watch(Events, Option<Vec<Arc<Object>>>),
}

struct Following {
    cluster: Cluster,
    feed: Feed,
    key: ObjectKey,
    state: State,
    /// Newest version that was told.
    newest: u64,
    /// Where to go on; none: list first.
    next: Option<u64>,
    interrupted: bool,
    streamed: bool,
    pause: Duration,
    opened: Option<Instant>,
}

impl Following {
    async fn next(&mut self) -> Result<Delta, WorldError> {
        loop {
            let told = match std::mem::replace(&mut self.state, State::Begin) {
                State::Pause => {
                    sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE.1);
                    Ok(None)
                }
                State::Begin => self.begin().await,
                State::Watch(events, initial) => self.follow(events, initial).await,
            };
            match told {
                Ok(Some(delta)) => {
                    self.interrupted = false;
                    return Ok(delta);
                }
                Ok(None) => {}
                Err(error) => {
                    self.interrupted = true;
                    if self.opened.take().is_some_and(|opened| opened.elapsed() >= GOOD) {
                        self.pause = PAUSE.0;
                    }
                    self.state = State::Pause;
                    return Err(error);
                }
            }
        }
    }

    async fn begin(&mut self) -> Result<Option<Delta>, WorldError> {
        match self.next {
            Some(version) => {
                let events = match self.open(&format!("resourceVersion={version}")).await {
                    Ok(events) => events,
                    Err(refused) => return self.refused(refused).map(|()| None),
                };
                self.state = State::Watch(events, None);
                Ok(self.interrupted.then_some(Delta::Resumed))
            }
            None if self.streamed => match self.open("sendInitialEvents=true&resourceVersionMatch=NotOlderThan").await {
                Ok(events) => {
                    self.state = State::Watch(events, Some(Vec::new()));
                    Ok(None)
                }
                Err(WorldError::Invalid { .. } | WorldError::BadRequest(_)) => {
                    self.streamed = false;
                    Ok(None)
                }
                Err(refused) => Err(refused),
            },
            None => {
                let listed = self.cluster.list_all(&self.feed).await?;
                self.listed(listed.objects, listed.version).map(Some)
            }
        }
    }

    /// A whole list, unless it is older than what was told before.
    fn listed(&mut self, objects: Vec<Arc<Object>>, version: u64) -> Result<Delta, WorldError> {
        if version < self.newest {
            self.next = None;
            return Err(WorldError::WentBack { from: self.newest, to: version });
        }
        self.saw(version);
        Ok(Delta::Listed { objects, version })
    }

    fn saw(&mut self, version: u64) {
        self.newest = self.newest.max(version);
        self.next = Some(self.newest);
    }

    async fn open(&mut self, from: &str) -> Result<Events, WorldError> {
        let path = path_of(self.feed.resource, self.feed.namespace.as_deref());
        let path = format!("{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={LASTS}&{from}");
        let ask = self.ask(path);
        let request: Request<Vec<u8>> = exchange::request(&ask)?;
        let opened = timeout(REQUEST, self.cluster.client.request_events::<Lean>(request)).await;
        match opened {
            Ok(Ok(events)) => {
                self.opened = Some(Instant::now());
                Ok(events.boxed())
            }
            Ok(Err(failed)) => Err(self.failure(&ask, &failed)),
            Err(_) => Err(error::lost(&ask, &format!("no reply within {} s", REQUEST.as_secs()))),
        }
    }

    fn ask(&self, path: String) -> Ask<'_> {
        let accept = self.feed.metadata_only.then_some("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
        Ask { verb: Verb::Watch, method: Method::GET, path, key: &self.key, body: None, accept }
    }

    fn failure(&self, ask: &Ask<'_>, failed: &kube::Error) -> WorldError {
        let kube::Error::Api(status) = failed else { return error::of_client(ask, failed) };
        // 504: a watch is to begin at a version that the server has not reached.
        if status.code == 504 {
            return WorldError::Gone(status.message.clone());
        }
        error::of_status(ask, status.code, &serde_json::to_value(status).unwrap_or_default(), None, &[])
    }

    /// A version that the server does not keep is no fault: the list tells what was missed.
    fn refused(&mut self, refused: WorldError) -> Result<(), WorldError> {
        let WorldError::Gone(message) = refused else { return Err(refused) };
        tracing::info!(resource = %self.feed.resource, message, "listing again");
        self.next = None;
        let hasty = self.opened.take().is_none_or(|opened| opened.elapsed() < GOOD);
        self.state = if hasty { State::Pause } else { State::Begin };
        Ok(())
    }

    async fn follow(&mut self, mut events: Events, initial: Option<Vec<Arc<Object>>>) -> Result<Option<Delta>, WorldError> {
        let ask = self.ask(path_of(self.feed.resource, self.feed.namespace.as_deref()));
        let event = match timeout(SILENCE, events.next()).await {
            Err(_) => return Err(error::lost(&ask, &format!("the watch was silent for {} s", SILENCE.as_secs()))),
            Ok(Some(Err(failed))) => {
                let failure = self.failure(&ask, &failed);
                return self.refused(failure).map(|()| None);
            }
            Ok(None) if initial.is_some() => return Err(error::lost(&ask, "the list broke off")),
            // The server ends each watch now and then; one that does so at once is not asked again at once.
            Ok(None) => {
                if self.opened.is_some_and(|opened| opened.elapsed() < GOOD) {
                    self.state = State::Pause;
                }
                return Ok(None);
            }
            Ok(Some(Ok(event))) => event,
        };
        match event {
            WatchEvent::Error(status) => {
                let failure = self.failure(&ask, &kube::Error::Api(status));
                self.refused(failure).map(|()| None)
            }
            WatchEvent::Bookmark(mark) => {
                let version = mark.metadata.resource_version.parse().unwrap_or(0);
                let whole = mark.metadata.annotations.get(INITIAL_END).is_some_and(|end| end == "true");
                match initial {
                    Some(objects) if whole => {
                        let listed = self.listed(objects, version)?;
                        self.state = State::Watch(events, None);
                        Ok(Some(listed))
                    }
                    initial => {
                        if initial.is_none() {
                            self.saw(version);
                        }
                        self.state = State::Watch(events, initial);
                        Ok(None)
                    }
                }
            }
            WatchEvent::Added(Lean(body)) | WatchEvent::Modified(Lean(body)) => Ok(self.applied(body, events, initial)),
            WatchEvent::Deleted(Lean(body)) => {
                let object = Arc::new(exchange::object(self.feed.resource, body));
                let held = initial.map(|mut objects| {
                    objects.retain(|held| held.key() != object.key());
                    objects
                });
                let told = held.is_none().then(|| self.told(&object));
                self.state = State::Watch(events, held);
                Ok(told.map(|()| Delta::Deleted(object)))
            }
        }
    }

    fn applied(&mut self, body: serde_json::Value, events: Events, initial: Option<Vec<Arc<Object>>>) -> Option<Delta> {
        let object = Arc::new(exchange::object(self.feed.resource, body));
        let (delta, held) = match initial {
            Some(mut objects) => {
                objects.push(object);
                (None, Some(objects))
            }
            None => {
                self.told(&object);
                (Some(Delta::Applied(object)), None)
            }
        };
        self.state = State::Watch(events, held);
        delta
    }

    fn told(&mut self, object: &Object) {
        self.saw(object.resource_version().parse().unwrap_or(0));
    }
}
