//! One `perform`: its exchanges, its deadline, and what is known so far about effects.
//!
//! Every fault passes through here, so that one place decides between "nothing happened" and "may have happened", and takes
//! the secret out of whatever a vendor repeats of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::carried_key;
use super::faults::{self, Passing, Refusal, Repairable, WriteEffect};
use super::limits::Slots;
use super::reply::{Reply, Unreadable, retry_after, without};
use super::transport::{Request, Response, Transport, TransportFault};
use crate::engine::outcome::Outcome;
use crate::engine::port::{Clock, SecretValue};
use crate::model::call::{KeyedCall, ProviderType};
use crate::model::limits::MAX_REPLY_BYTES;

/// Pause before the second look for something that may still appear; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The version of Cal.com's API that the webhook shapes were taken from.
const CALCOM_VERSION: (HeaderName, HeaderValue) = (HeaderName::from_static("cal-api-version"), HeaderValue::from_static("2024-08-13"));

/// The outcome that ends a call early, or what was found out.
pub(super) type Known<T> = Result<T, Outcome>;

/// What became of a write that was answered.
#[derive(Debug)]
pub(super) enum Written {
    /// 2xx.
    Done(Reply),
    /// 3xx or 4xx: it did not happen.
    Refused(Reply),
}

/// One call under way.
pub(super) struct Session<'a> {
    pub(super) call: &'a KeyedCall,
    transport: &'a dyn Transport,
    clock: &'a dyn Clock,
    slots: Arc<Slots>,
    secret: Option<SecretValue>,
    headers: HeaderMap,
    window: Duration,
    started: Instant,
    deadline: Instant,
    /// Limit of the last exchange's reply, in bytes.
    allowed: usize,
    /// A write of this call happened or may have happened.
    touched: bool,
}

impl<'a> Session<'a> {
    /// A session that ends `window` after the provider's timeout, the waiting for slots not counted.
    pub(super) fn begin(
        call: &'a KeyedCall,
        doors: (&'a dyn Transport, &'a dyn Clock, Arc<Slots>),
        secret: Option<SecretValue>,
        window: Duration,
    ) -> Known<Self> {
        let (transport, clock, slots) = doors;
        let started = Instant::now();
        let deadline = started + call.provider.timeout + window;
        let headers = credentials(call, secret.as_ref())?;
        Ok(Self { call, transport, clock, slots, secret, headers, window, started, deadline, allowed: MAX_REPLY_BYTES, touched: false })
    }

    /// GET below the base URL. A status that is neither success nor a passing fault is the operation's to judge.
    pub(super) async fn read(&mut self, path: &str) -> Known<Reply> {
        self.read_up_to(path, MAX_REPLY_BYTES).await
    }

    /// As [`Session::read`], with its own limit on the reply in bytes.
    pub(super) async fn read_up_to(&mut self, path: &str, max_reply_bytes: usize) -> Known<Reply> {
        let headers = self.headers.clone();
        let answered = self.exchange(Method::GET, path, headers, None, max_reply_bytes).await;
        self.judged(answered, Purpose::Read)
    }

    /// A request without credentials, for what anybody may ask.
    pub(super) async fn probe(&mut self, method: Method, path: &str) -> Known<Reply> {
        let answered = self.exchange(method, path, HeaderMap::new(), None, MAX_REPLY_BYTES).await;
        self.judged(answered, Purpose::Probe)
    }

    /// A request that changes something.
    pub(super) async fn write(&mut self, method: Method, path: &str, body: Option<&Value>) -> Known<Written> {
        let mut headers = self.headers.clone();
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map(|body| Bytes::from(body.to_string()));
        let answered = self.exchange(method, path, headers, body, MAX_REPLY_BYTES).await;
        let reply = self.judged(answered, Purpose::Write)?;
        if reply.status.is_success() {
            self.touched = true;
            Ok(Written::Done(reply))
        } else {
            Ok(Written::Refused(reply))
        }
    }

    /// The document of a successful read; `what` names it.
    pub(super) fn document<T: DeserializeOwned>(&self, reply: &Reply, what: &str) -> Known<T> {
        if !reply.status.is_success() {
            return Err(self.refused(Refusal::BadReply, what, format!("reading {what} answered {}", self.said(reply))));
        }
        reply.document().map_err(|unreadable| self.unreadable(unreadable, what))
    }

    /// The refusal for a reply that cannot be interpreted.
    pub(super) fn unreadable(&self, unreadable: Unreadable, what: &str) -> Outcome {
        match unreadable {
            Unreadable::TooLarge => {
                self.refused(Refusal::ReplyTooLarge, what, format!("the reply about {what} is larger than {} bytes", self.allowed))
            }
            Unreadable::NotTheShape => self.refused(Refusal::BadReply, what, format!("the reply about {what} is not the JSON expected")),
        }
    }

    /// What a reply says, fit to be passed on.
    pub(super) fn said(&self, reply: &Reply) -> String {
        reply.said(self.secret.as_ref().map(|SecretValue(secret)| secret.as_str()))
    }

    /// A refusal about `object`.
    pub(super) fn refused(&self, refusal: Refusal, object: &str, message: impl Into<String>) -> Outcome {
        faults::refused(refusal, self.call, object, self.without_secret(message.into()))
    }

    /// A failure about `object` that its repair may mend.
    pub(super) fn repairable(&self, fault: Repairable, object: &str, message: impl Into<String>) -> Outcome {
        faults::repairable(fault, self.call, object, self.without_secret(message.into()))
    }

    /// Our key as what the call is about carries it.
    pub(super) fn mark(&self) -> &'a str {
        carried_key(self.call).mark()
    }

    /// The looks for something whose making may still be under way: as many as fit into the consistency window since the
    /// beginning.
    pub(super) fn looks_for_made(&self) -> Looks {
        Looks { until: Some(self.started + self.window), looked_at: Instant::now(), pause: FIRST_PAUSE }
    }

    /// The looks before something is created: one, or, when it may be on its way already, as many as fit into the consistency
    /// window since the beginning.
    pub(super) fn looks_before(&self) -> Looks {
        Looks { until: self.call.resumed.then(|| self.started + self.window), looked_at: Instant::now(), pause: FIRST_PAUSE }
    }

    /// The looks for something that must appear within the consistency window from now.
    pub(super) fn looks_after(&self) -> Looks {
        let now = Instant::now();
        Looks { until: Some(now + self.window), looked_at: now, pause: FIRST_PAUSE }
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<Bytes>,
        max_reply_bytes: usize,
    ) -> Result<Response, Interruption> {
        let asked = Instant::now();
        let _slot = self.slots.slot().await;
        self.deadline += asked.elapsed();
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Interruption::DeadlineSpent);
        }
        let url = format!("{}{path}", self.call.provider.base_url.trim_end_matches('/'));
        let timeout = left.min(self.call.provider.timeout);
        let request = Request { method, url, headers, body, timeout, max_reply_bytes };
        self.allowed = max_reply_bytes;
        self.transport.send(request).await.map_err(Interruption::Transport)
    }

    /// Ends the call on a fault that every operation classifies alike.
    fn judged(&mut self, answered: Result<Response, Interruption>, purpose: Purpose) -> Known<Reply> {
        let (reply, retry_after) = match answered {
            Ok(Response { status, headers, body }) => (Reply { status, body: Some(body) }, retry_after(&headers, self.clock.now())),
            Err(Interruption::Transport(TransportFault::ReplyTooLarge(status))) => (Reply { status, body: None }, None),
            Err(interruption) => return Err(self.interrupted(interruption, purpose)),
        };
        let provider = &self.call.provider.name;
        let rejected = |refusal| Err(self.refused(refusal, provider, format!("provider {provider} answered {}", self.said(&reply))));
        let passing = match reply.status {
            StatusCode::UNAUTHORIZED if purpose != Purpose::Probe => return rejected(Refusal::CredentialsRejected),
            StatusCode::FORBIDDEN if purpose != Purpose::Probe => return rejected(Refusal::CredentialsForbidden),
            StatusCode::TOO_MANY_REQUESTS => Passing::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => Passing::Unavailable,
            StatusCode::REQUEST_TIMEOUT => Passing::ServerError,
            status if status.is_server_error() => Passing::ServerError,
            _ => return Ok(reply),
        };
        let message = format!("provider {provider} answered {}", self.said(&reply));
        Err(self.passing(passing, purpose, &message, retry_after))
    }

    fn interrupted(&mut self, interruption: Interruption, purpose: Purpose) -> Outcome {
        let provider = &self.call.provider.name;
        let fault = match interruption {
            Interruption::DeadlineSpent => {
                let message = format!("provider {provider}: the call's time was spent before its last exchange");
                return self.passing(Passing::DeadlineSpent, purpose, &message, None);
            }
            Interruption::Transport(fault) => fault,
        };
        let message = format!("provider {provider}: {fault}");
        let passing = match fault {
            TransportFault::Unsendable => return self.refused(Refusal::ProviderUnusable, provider, message),
            TransportFault::ConnectionRefused => Passing::ConnectionRefused,
            TransportFault::NameResolution => Passing::NameResolution,
            TransportFault::TlsInvalid => Passing::TlsInvalid,
            TransportFault::ConnectFailed => Passing::ConnectFailed,
            TransportFault::Withheld => Passing::Withheld,
            TransportFault::Timeout => Passing::Timeout,
            // With its status known it was judged as a reply.
            TransportFault::ReplyLost | TransportFault::ReplyTooLarge(_) => Passing::ReplyLost,
        };
        self.passing(passing, purpose, &message, None)
    }

    fn passing(&mut self, passing: Passing, purpose: Purpose, message: &str, retry_after: Option<Duration>) -> Outcome {
        self.touched |= purpose == Purpose::Write && passing.class() == WriteEffect::Possible;
        let message = self.without_secret(message.to_owned());
        if self.touched { faults::unknown(passing, &message) } else { faults::no_effect(passing, &message, retry_after) }
    }

    fn without_secret(&self, text: String) -> String {
        without(text, self.secret.as_ref().map(|SecretValue(secret)| secret.as_str()))
    }
}

/// What an exchange is for, which decides what its faults mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
    /// Without credentials, so nothing in its reply is about them.
    Probe,
}

/// Why an exchange has no reply.
enum Interruption {
    Transport(TransportFault),
    DeadlineSpent,
}

/// Repeated looks within a window. The last one begins when the window has passed, not before.
pub(super) struct Looks {
    until: Option<Instant>,
    looked_at: Instant,
    pause: Duration,
}

impl Looks {
    /// Waits before the next look; false when there is none.
    pub(super) async fn again(&mut self) -> bool {
        let Some(until) = self.until.filter(|until| self.looked_at < *until) else { return false };
        sleep(self.pause.min(until.saturating_duration_since(Instant::now()))).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        self.looked_at = Instant::now();
        true
    }
}

fn credentials(call: &KeyedCall, secret: Option<&SecretValue>) -> Known<HeaderMap> {
    let mut headers = HeaderMap::new();
    if call.provider.provider_type == ProviderType::Calcom {
        let (name, value) = CALCOM_VERSION;
        headers.insert(name, value);
    }
    let Some(SecretValue(secret)) = secret else { return Ok(headers) };
    let (name, text) = match call.provider.provider_type {
        ProviderType::N8n => (HeaderName::from_static("x-n8n-api-key"), secret.clone()),
        ProviderType::Vapi | ProviderType::Calcom | ProviderType::Http => (header::AUTHORIZATION, format!("Bearer {secret}")),
    };
    let value = HeaderValue::from_str(&text).ok().filter(|_| !secret.trim().is_empty());
    let Some(mut value) = value else {
        let message = format!("the secret of provider {} is empty or holds a character that no header can carry", call.provider.name);
        return Err(faults::refused(Refusal::SecretUnusable, call, &call.provider.name, message));
    };
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
}
