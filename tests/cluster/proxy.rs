//! A proxy on loopback before an API server, which counts writes and keeps back one of them: the moment of a kill.
//!
//! Everything passes as it is, watches as they come, the caller's token with it. From the kept write on nothing passes and
//! nothing is answered any more: whoever asks through it is to be killed, and shall not get further meanwhile. Renewals of
//! leases are no writes here: when they come is chance.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// A listening proxy, until it is dropped.
pub struct Proxy {
    address: String,
    keeper: Arc<Keeper>,
    server: JoinHandle<()>,
}

struct Keeper {
    client: Client,
    upstream: String,
    nth: usize,
    kept: Kept,
    writes: AtomicUsize,
    reached: watch::Sender<Option<String>>,
}

impl Proxy {
    /// Listens before the API server at `upstream`, known by the certificate in this file; keeps back the `nth` write, from 1.
    pub async fn start(upstream: String, certificate: &Path, nth: usize, kept: Kept) -> Self {
        let mut client = Client::builder().no_proxy();
        for trusted in Certificate::from_pem_bundle(&std::fs::read(certificate).unwrap()).unwrap() {
            client = client.add_root_certificate(trusted);
        }
        let (reached, _) = watch::channel(None);
        let keeper = Keeper { client: client.build().unwrap(), upstream, nth, kept, writes: AtomicUsize::new(0), reached };
        let keeper = Arc::new(keeper);
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

    /// Waits until the write is kept back; method and path of it.
    pub async fn reached(&self) -> String {
        let mut reached = self.keeper.reached.subscribe();
        reached.wait_for(Option::is_some).await.unwrap().clone().unwrap()
    }

    /// Writes that came by so far.
    pub fn writes(&self) -> usize {
        self.keeper.writes.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn is_counted(method: &Method, uri: &Uri) -> bool {
    let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method);
    writes && !uri.path().starts_with("/apis/coordination.k8s.io/")
}

async fn pass(State(keeper): State<Arc<Keeper>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let number = if is_counted(&method, &uri) { keeper.writes.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
    let what = format!("{method} {}", uri.path());
    if number == keeper.nth && keeper.kept == Kept::BeforeItIsSent {
        keeper.keep(&what).await;
    }
    keeper.open().await;
    let answer = keeper.forward(method, &uri, headers, body).await;
    if number == keeper.nth {
        keeper.keep(&what).await;
    }
    keeper.open().await;
    answer
}

impl Keeper {
    /// Never returns: the caller's connection ends with its process, and this with the connection.
    async fn keep(&self, what: &str) {
        self.reached.send_replace(Some(what.to_owned()));
        std::future::pending().await
    }

    /// Returns unless the write is kept back.
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
