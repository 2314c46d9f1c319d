//! Real sockets.

use std::error::Error;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use tokio::time::timeout;

use super::{Request, Response, Transport, TransportFault};

/// A connection that is not made by then was never used, so the fault is proven without effect while the deadline of the
/// exchange still runs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The client cannot be built: no TLS provider is installed, or the system's root certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("build the HTTP client")]
pub struct TransportError(#[source] reqwest::Error);

/// HTTP over TCP and TLS. No redirect, no proxy, nothing from the environment, no repetition.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
}

impl HttpTransport {
    /// A transport with its own connection pool. The process must have a TLS provider installed.
    ///
    /// # Errors
    /// [`TransportError`].
    pub fn new() -> Result<Self, TransportError> {
        reqwest::Client::builder()
            .user_agent(concat!("mandate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map(|client| Self { client })
            .map_err(TransportError)
    }

    async fn exchange(&self, request: Request) -> Result<Response, TransportFault> {
        let Request { method, url, headers, body, timeout: _, max_reply_bytes } = request;
        let mut builder = self.client.request(method, url).headers(headers);
        if let Some(body) = body {
            builder = builder.body(body);
        }
        let mut reply = builder.send().await.map_err(|error| classified(&error))?;
        let status = reply.status();
        let too_large = TransportFault::ReplyTooLarge(status);
        if reply.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max_reply_bytes)) {
            return Err(too_large);
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = reply.chunk().await.map_err(|error| classified(&error))? {
            if bytes.len() + chunk.len() > max_reply_bytes {
                return Err(too_large);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers: reply.headers().clone(), body: bytes.freeze() })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportFault> {
        let deadline = request.timeout;
        timeout(deadline, self.exchange(request)).await.unwrap_or(Err(TransportFault::Timeout))
    }
}

fn classified(error: &reqwest::Error) -> TransportFault {
    if error.is_builder() {
        return TransportFault::Unsendable;
    }
    if !error.is_connect() {
        return if error.is_timeout() { TransportFault::Timeout } else { TransportFault::ReplyLost };
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(fault) = connect_fault(current) {
            return fault;
        }
        cause = current.source();
    }
    TransportFault::ConnectFailed
}

fn connect_fault(cause: &(dyn Error + 'static)) -> Option<TransportFault> {
    if cause.is::<rustls::Error>() {
        return Some(TransportFault::TlsInvalid);
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            return Some(TransportFault::ConnectionRefused);
        }
        // An io::Error gives the source of what it wraps and passes over the wrapped error itself.
        return error.get_ref().and_then(|wrapped| connect_fault(wrapped));
    }
    // The connector tells a failed resolution by its text alone.
    cause.to_string().starts_with("dns error").then_some(TransportFault::NameResolution)
}
