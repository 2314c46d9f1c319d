//! Exchanges with a server in this process, for simulations: no socket, virtual time, and a hook at every crash point.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, BodyDataStream};
use bytes::BytesMut;
use futures::StreamExt as _;
use http::StatusCode;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt as _;

use super::{Request, Response, Transport, TransportFault};

/// Stands at the crash points of every exchange. A hook that never returns is a crash there.
#[async_trait]
pub trait CallHook: Send + Sync {
    /// Nothing has been sent.
    async fn before_send(&self, _request: &Request) {}
    /// The server has done what it was asked; the caller knows nothing of it.
    async fn after_send_before_reply(&self, _request: &Request) {}
    /// The reply is here; the caller has not acted on it.
    async fn after_reply(&self, _request: &Request) {}
}

/// Sends nothing on and holds nothing up.
struct NoHook;

impl CallHook for NoHook {}

/// Calls a router. Scheme and host of the URL are of no importance.
#[derive(Clone)]
pub struct InProcess {
    router: Router,
    hook: Arc<dyn CallHook>,
}

impl InProcess {
    /// A transport to this router.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self { router, hook: Arc::new(NoHook) }
    }

    /// The same with a hook in every exchange.
    #[must_use]
    pub fn hooked(self, hook: Arc<dyn CallHook>) -> Self {
        Self { hook, ..self }
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request) -> Result<Response, TransportFault> {
        let deadline = Instant::now() + request.timeout;
        let call = outgoing(&request)?;
        self.hook.before_send(&request).await;
        let Ok(answered) = timeout_at(deadline, self.router.clone().oneshot(call)).await else {
            return Err(TransportFault::Timeout);
        };
        let Ok(reply) = answered;
        self.hook.after_send_before_reply(&request).await;
        let (parts, body) = reply.into_parts();
        let read = read(body.into_data_stream(), parts.status, request.max_reply_bytes);
        let body = timeout_at(deadline, read).await.unwrap_or(Err(TransportFault::Timeout))?;
        self.hook.after_reply(&request).await;
        Ok(Response { status: parts.status, headers: parts.headers, body: body.freeze() })
    }
}

fn outgoing(request: &Request) -> Result<http::Request<Body>, TransportFault> {
    let body = request.body.clone().map_or_else(Body::empty, Body::from);
    let mut call =
        http::Request::builder().method(request.method.clone()).uri(&request.url).body(body).map_err(|_| TransportFault::Unsendable)?;
    *call.headers_mut() = request.headers.clone();
    Ok(call)
}

/// A stream that fails is a connection that broke.
async fn read(mut stream: BodyDataStream, status: StatusCode, limit: usize) -> Result<BytesMut, TransportFault> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| TransportFault::ReplyLost)?;
        if bytes.len() + chunk.len() > limit {
            return Err(TransportFault::ReplyTooLarge(status));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
