//! A receiver of CloudEvents over HTTP: structured mode, one event per request.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;

use super::reply::retry_after;
use super::transport::{Request, Response, Transport, TransportFault};
use crate::engine::port::Clock;
use crate::model::limits::CALL_DEADLINE;

/// Media type of structured mode.
const STRUCTURED: &str = "application/cloudevents+json";
/// Nothing of a reply is used but its head.
const MAX_REPLY: usize = 64 * 1024;

/// Where CloudEvents go.
pub struct Receiver {
    /// `http` or `https`. May hold a secret in its query: never printed.
    pub url: String,
    /// File with a bearer token, read before each try: it may be renewed at any time.
    pub token: Option<PathBuf>,
    /// How requests travel.
    pub transport: Arc<dyn Transport>,
    /// Reads the dates of replies.
    pub clock: Arc<dyn Clock>,
}

/// What became of one try. No variant holds anything of the request or of the reply's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// The receiver has it.
    Taken,
    /// The receiver will never take it: another try would be the same.
    Refused(StatusCode),
    /// It may be taken another time.
    Again {
        /// Why not now.
        why: String,
        /// When the receiver wishes to be asked again.
        after: Option<Duration>,
    },
}

impl Receiver {
    /// Tries once.
    pub async fn post(&self, event: &Value) -> Posted {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED));
        match self.bearer().await {
            Ok(Some(bearer)) => drop(headers.insert(AUTHORIZATION, bearer)),
            Ok(None) => {}
            Err(why) => return Posted::Again { why, after: None },
        }
        let request = Request {
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: Some(Bytes::from(event.to_string())),
            timeout: CALL_DEADLINE,
            max_reply_bytes: MAX_REPLY,
        };
        match self.transport.send(request).await {
            Ok(Response { status, headers, .. }) => judged(status, retry_after(&headers, self.clock.now())),
            Err(TransportFault::ReplyTooLarge(status)) => judged(status, None),
            Err(fault) => Posted::Again { why: fault.to_string(), after: None },
        }
    }

    async fn bearer(&self) -> Result<Option<HeaderValue>, String> {
        let Some(file) = &self.token else { return Ok(None) };
        let token = tokio::fs::read_to_string(file).await.map_err(|error| format!("reading the token: {error}"))?;
        let token = token.trim();
        if token.is_empty() {
            return Err("the file of the token is empty".to_owned());
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| "the token cannot stand in a header".to_owned())?;
        bearer.set_sensitive(true);
        Ok(Some(bearer))
    }
}

/// What a status says. Rights and addresses are mended while we wait; a body that is not understood is not.
fn judged(status: StatusCode, after: Option<Duration>) -> Posted {
    let passing = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if status.is_success() {
        Posted::Taken
    } else if status.is_client_error() && !passing.contains(&status) {
        Posted::Refused(status)
    } else {
        Posted::Again { why: format!("the receiver answered {status}"), after }
    }
}
