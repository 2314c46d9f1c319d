//! Something between the operator and the API server that loses replies.
//!
//! The first reply to each write is lost after the write was done: a gateway's timeout comes instead. The same write again
//! goes through. Everything else passes as it is.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use reqwest::Client;
use tokio::net::TcpListener;

use crate::control_plane::ControlPlane;

/// What it has lost: method and path.
type Lost = (String, String);

/// The gateway; gone with its task.
pub struct Lossy {
    port: u16,
    inner: Arc<Inner>,
    serving: tokio::task::JoinHandle<()>,
}

struct Inner {
    client: Client,
    to: String,
    seen: Mutex<HashSet<(String, String, Vec<u8>)>>,
    lost: Mutex<Vec<Lost>>,
}

impl Lossy {
    /// Starts one in front of a control plane.
    pub async fn start(plane: &ControlPlane) -> Self {
        let inner = Arc::new(Inner { client: plane.client(), to: plane.address(), seen: Mutex::default(), lost: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(pass).with_state(inner.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, inner, serving }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything that was done and whose reply was lost.
    pub fn lost(&self) -> Vec<Lost> {
        self.inner.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let mut onward = inner.client.request(parts.method.clone(), format!("{}{path}", inner.to)).body(body.clone());
    for name in [header::AUTHORIZATION, header::ACCEPT, header::CONTENT_TYPE] {
        if let Some(value) = parts.headers.get(&name) {
            onward = onward.header(name, value);
        }
    }
    let Ok(reply) = onward.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let write = (parts.method.to_string(), parts.uri.path().to_owned(), body);
    if !parts.method.is_safe()
        && reply.status().is_success()
        && inner.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(write.clone())
    {
        inner.lost.lock().unwrap_or_else(PoisonError::into_inner).push((write.0, write.1));
        return (StatusCode::GATEWAY_TIMEOUT, "the reply is lost").into_response();
    }
    let mut response = Response::builder().status(reply.status());
    if let Some(value) = reply.headers().get(header::CONTENT_TYPE) {
        response = response.header(header::CONTENT_TYPE, value);
    }
    response.body(Body::from_stream(reply.bytes_stream())).unwrap()
}
