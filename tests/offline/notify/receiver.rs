//! A receiver that answers as its script says.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use mandate::adapters::transport::{Request, Response, Transport, TransportFault};
use serde_json::Value;
use tokio::time::Instant;

/// One answer.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Nobody listens.
    Refuse,
    /// Nothing comes back.
    Hang,
    /// It took it, and the reply was lost.
    ReplyLost,
    /// A status.
    Status(u16),
    /// 429, and when to come back in seconds.
    Later(u32),
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Got {
    pub at: Instant,
    pub url: String,
    pub body: Value,
    pub content_type: String,
    pub authorization: Option<HeaderValue>,
}

impl Got {
    /// What names the notice.
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap()
    }

    /// Last words of its type.
    pub fn what(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap();
        kind.strip_prefix("dev.mandate.").unwrap()
    }
}

/// The receiver. After its script it takes everything.
#[derive(Default)]
pub struct Receiver {
    script: Mutex<VecDeque<Answer>>,
    got: Mutex<Vec<Got>>,
}

impl Receiver {
    pub fn answers(&self, script: &[Answer]) {
        *self.script.lock().unwrap() = script.iter().copied().collect();
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transport for Receiver {
    async fn send(&self, request: Request) -> Result<Response, TransportFault> {
        let got = Got {
            at: Instant::now(),
            url: request.url,
            body: serde_json::from_slice(&request.body.unwrap()).unwrap(),
            content_type: request.headers[CONTENT_TYPE].to_str().unwrap().to_owned(),
            authorization: request.headers.get(AUTHORIZATION).cloned(),
        };
        self.got.lock().unwrap().push(got);
        let answer = self.script.lock().unwrap().pop_front().unwrap_or(Answer::Status(204));
        let reply = |status: u16, headers| Ok(Response { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::new() });
        match answer {
            Answer::Refuse => Err(TransportFault::ConnectionRefused),
            Answer::Hang => {
                tokio::time::sleep(request.timeout).await;
                Err(TransportFault::Timeout)
            }
            Answer::ReplyLost => Err(TransportFault::ReplyLost),
            Answer::Status(status) => reply(status, HeaderMap::new()),
            Answer::Later(seconds) => reply(429, HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from(seconds))])),
        }
    }
}
