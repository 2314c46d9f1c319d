//! A proxy on loopback before an API server, which notes writes and keeps back one of them: the moment of a kill.
//!
//! Everything passes as it is, watches as they come, the caller's token with it. From the kept write on nothing passes and
//! nothing is answered any more: whoever asks through it is to be killed, and shall not get further meanwhile. Renewals of
//! leases are no writes here: when they come is chance.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, Uri, header};
use reqwest::{Certificate, Client};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Headers of one connection, which say nothing about the next.
const OF_THE_CONNECTION: [header::HeaderName; 4] = [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// Which side of the write the kill is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The server never sees it.
    BeforeItIsSent,
    /// The server has done it, and nobody is told.
    AfterItIsDone,
}

/// Which write is kept back.
#[derive(Debug, Clone)]
pub enum Moment {
    /// The one of this number, from 1.
    Nth(usize),
    /// The first of this sort, as [`sort`] names it.
    FirstOf(String),
    /// None.
    Never,
}

impl Moment {
    fn is_met(&self, writes: &[String]) -> bool {
        match self {
            Self::Nth(number) => writes.len() >= *number,
            Self::FirstOf(sort) => writes.contains(sort),
            Self::Never => false,
        }
    }
}

/// A listening proxy, until it is dropped.
pub struct Proxy {
    address: String,
    keeper: Arc<Keeper>,
    server: JoinHandle<()>,
}

struct Keeper {
    client: Client,
    upstream: String,
    moment: Moment,
    kept: Kept,
    writes: Mutex<Vec<String>>,
    reached: watch::Sender<Option<String>>,
}

impl Proxy {
    /// Listens before the API server at `upstream`, known by the certificate in this file.
    pub async fn start(upstream: String, certificate: &Path, moment: Moment, kept: Kept) -> Self {
        let mut client = Client::builder().no_proxy();
        for trusted in Certificate::from_pem_bundle(&std::fs::read(certificate).unwrap()).unwrap() {
            client = client.add_root_certificate(trusted);
        }
        let (reached, _) = watch::channel(None);
        let client = client.build().unwrap();
        let keeper = Arc::new(Keeper { client, upstream, moment, kept, writes: Mutex::default(), reached });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(keeper.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, keeper, server }
    }

    /// Where it listens, as an address of a kubeconfig.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits until the write is kept back; says its sort.
    pub async fn reached(&self) -> String {
        let mut reached = self.keeper.reached.subscribe();
        reached.wait_for(Option::is_some).await.unwrap().clone().unwrap()
    }

    /// Sorts of the writes that came by so far, in order.
    pub fn writes(&self) -> Vec<String> {
        self.keeper.writes.lock().unwrap().clone()
    }

    /// Whether the write has come by; if so, it is kept back now or soon.
    pub fn is_met(&self) -> bool {
        self.keeper.moment.is_met(&self.writes())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Method, plural and subresource of a write; none for reads, and for leases.
fn sort(method: &Method, uri: &Uri) -> Option<String> {
    let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method);
    if !writes || uri.path().starts_with("/apis/coordination.k8s.io/") {
        return None;
    }
    let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    let (_, parts) = parts.split_at(if parts[0] == "api" { 2 } else { 3 });
    let parts = if parts[0] == "namespaces" && parts.len() > 2 { &parts[2..] } else { parts };
    let subresource = parts.get(2).map(|name| format!("/{name}")).unwrap_or_default();
    Some(format!("{method} {}{subresource}", parts[0]))
}

async fn pass(State(keeper): State<Arc<Keeper>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    keeper.open().await;
    let kept = sort(&method, &uri).filter(|sort| keeper.note(sort));
    if let Some(sort) = kept.as_ref().filter(|_| keeper.kept == Kept::BeforeItIsSent) {
        keeper.keep(sort).await;
    }
    let answer = keeper.forward(method, &uri, headers, body).await;
    if let Some(sort) = &kept {
        keeper.keep(sort).await;
    }
    keeper.open().await;
    answer
}

impl Keeper {
    /// Notes a write, and says whether it is the one.
    fn note(&self, sort: &str) -> bool {
        let mut writes = self.writes.lock().unwrap();
        let was_met = self.moment.is_met(&writes);
        writes.push(sort.to_owned());
        !was_met && self.moment.is_met(&writes)
    }

    /// Never returns: the caller's connection ends with its process, and this with the connection.
    async fn keep(&self, sort: &str) {
        self.reached.send_replace(Some(sort.to_owned()));
        std::future::pending().await
    }

    /// Returns unless the write is kept back already.
    async fn open(&self) {
        if self.reached.borrow().is_some() {
            std::future::pending().await
        }
    }

    async fn forward(&self, method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Response {
        let sent = self.client.request(method, format!("{}{uri}", self.upstream)).headers(end_to_end(headers)).body(body).send().await;
        let Ok(answer) = sent else {
            // The server is going down with the test.
            return Response::builder().status(502).body(Body::empty()).unwrap();
        };
        let (status, headers) = (answer.status(), end_to_end(answer.headers().clone()));
        let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        response
    }
}

fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
    headers
}
