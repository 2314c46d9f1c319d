//! One HTTP exchange with another system, and everything that can become of it.

mod http;
mod in_process;

use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode};
use async_trait::async_trait;
use bytes::Bytes;

pub use self::http::{HttpTransport, TransportError};
pub use in_process::{CallHook, InProcess};

/// A request. Credentials stand in headers marked sensitive, so that it can be printed.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub url: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, if it has one.
    pub body: Option<Bytes>,
    /// From now to the last byte of the reply.
    pub timeout: Duration,
    /// Largest body taken, in bytes.
    pub max_reply_bytes: usize,
}

/// A complete reply.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most as long as was allowed.
    pub body: Bytes,
}

/// Why there is no complete reply. No variant carries text of the request, which may hold credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportFault {
    /// Nothing was sent: the URL or a header cannot be sent at all.
    #[error("the request cannot be sent: its URL is not valid")]
    Unsendable,
    /// Nothing was sent: nobody listens.
    #[error("the connection was refused")]
    ConnectionRefused,
    /// Nothing was sent: the name has no address.
    #[error("the host name does not resolve")]
    NameResolution,
    /// Nothing was sent: the handshake failed.
    #[error("the TLS handshake failed: the certificate is not valid for the host, or there is no TLS")]
    TlsInvalid,
    /// Nothing was sent: no connection came about.
    #[error("no connection could be made")]
    ConnectFailed,
    /// Nothing was sent: this process must not send any more.
    #[error("the request was withheld: this process does not lead any more")]
    Withheld,
    /// The deadline passed.
    #[error("no complete reply before the deadline")]
    Timeout,
    /// The connection broke before the reply was complete.
    #[error("the connection broke before the reply was complete")]
    ReplyLost,
    /// The reply is larger than allowed; its status is known.
    #[error("the reply is larger than the limit")]
    ReplyTooLarge(StatusCode),
}

/// How requests travel.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends once: no redirect is followed and nothing is repeated.
    async fn send(&self, request: Request) -> Result<Response, TransportFault>;
}
