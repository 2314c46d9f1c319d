//! The transport on real sockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Redirect;
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Method, StatusCode};
use mandate::adapters::Adapters;
use mandate::adapters::transport::{HttpTransport, Request, Response, Transport, TransportFault};
use mandate::engine::outcome::Outcome;
use mandate::engine::port::{Backends, RandomIdentifiers, SecretValue, SystemClock};
use mandate::sandbox::{Sandbox, SandboxOptions, VAPI_KEY};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::calls::assistant;
use super::rig::OneSecret;

const LIMIT: usize = 64 * 1024;

fn transport() -> HttpTransport {
    // Another test of this process may have installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    HttpTransport::new().unwrap()
}

async fn exchange(url: &str, timeout: Duration) -> Result<Response, TransportFault> {
    let request = Request { method: Method::GET, url: url.into(), headers: HeaderMap::new(), body: None, timeout, max_reply_bytes: LIMIT };
    transport().send(request).await
}

async fn get_soon(url: &str) -> Result<Response, TransportFault> {
    exchange(url, Duration::from_secs(10)).await
}

async fn fault(url: &str) -> TransportFault {
    get_soon(url).await.unwrap_err()
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn serving(router: Router) -> String {
    let (listener, url) = listener().await;
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Reads a request, answers with these bytes and closes.
async fn answering(reply: &'static [u8]) -> String {
    let (listener, url) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(reply).await;
        }
    });
    url
}

#[tokio::test]
async fn a_refused_connection_is_told_from_one_that_breaks() {
    let (unused, url) = listener().await;
    drop(unused);
    assert_eq!(fault(&url).await, TransportFault::ConnectionRefused);
    assert_eq!(fault(&answering(b"").await).await, TransportFault::ReplyLost);
    assert_eq!(fault(&answering(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await).await, TransportFault::ReplyLost);
    assert_eq!(fault(&answering(b"SSH-2.0-nothing\r\n").await).await, TransportFault::ReplyLost);
}

#[tokio::test]
async fn what_is_no_url_is_never_sent() {
    assert_eq!(fault("no url").await, TransportFault::Unsendable);
    assert_eq!(fault("ftp://127.0.0.1/").await, TransportFault::Unsendable);
}

#[tokio::test]
async fn a_handshake_with_a_server_that_has_no_tls_sends_nothing() {
    let url = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(fault(&url.replace("http://", "https://")).await, TransportFault::TlsInvalid);
}

#[tokio::test]
async fn a_name_without_an_address_sends_nothing() {
    assert_eq!(fault("http://nobody.invalid/").await, TransportFault::NameResolution);
}

#[tokio::test]
async fn silence_ends_at_the_deadline_before_and_within_the_body() {
    let router = Router::new().route("/hang", get(std::future::pending::<&'static str>)).route(
        "/drip",
        get(|| async {
            let first = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"{"))]);
            Body::from_stream(futures::StreamExt::chain(first, stream::pending()))
        }),
    );
    let url = serving(router).await;
    for path in ["/hang", "/drip"] {
        let asked = Instant::now();
        let reply = exchange(&format!("{url}{path}"), Duration::from_millis(200)).await;
        assert_eq!(reply.unwrap_err(), TransportFault::Timeout);
        assert!(asked.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_reply_beyond_the_limit_is_cut_off_whether_it_is_announced_or_not() {
    let endless =
        || async { Body::from_stream(stream::repeat_with(|| Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 1024])))) };
    let router = Router::new()
        .route("/announced", get(|| async { vec![b'x'; LIMIT + 1] }))
        .route("/endless", get(endless))
        .route("/exact", get(|| async { vec![b'x'; LIMIT] }));
    let url = serving(router).await;
    for path in ["/announced", "/endless"] {
        assert_eq!(fault(&format!("{url}{path}")).await, TransportFault::ReplyTooLarge(StatusCode::OK));
    }
    assert_eq!(get_soon(&format!("{url}/exact")).await.unwrap().body.len(), LIMIT);
}

#[tokio::test]
async fn a_redirect_is_a_reply_and_not_followed() {
    let router = Router::new().route("/from", get(|| async { Redirect::temporary("/to") })).route("/to", get(|| async { "arrived" }));
    let reply = get_soon(&format!("{}/from", serving(router).await)).await.unwrap();
    assert_eq!(reply.status, StatusCode::TEMPORARY_REDIRECT);
    assert!(reply.body.is_empty());
}

fn over_sockets() -> Adapters {
    let secret = OneSecret(Ok(SecretValue(VAPI_KEY.into())));
    Adapters::new(Arc::new(transport()), Arc::new(secret), Arc::new(SystemClock))
}

#[tokio::test]
async fn an_assistant_is_created_once_over_a_socket() {
    let sandbox = Sandbox::open(SandboxOptions::new(Arc::new(SystemClock), Arc::new(RandomIdentifiers))).unwrap();
    let mut call = assistant();
    call.provider.base_url = format!("{}/vapi", serving(sandbox.router()).await);
    let adapters = over_sockets();
    let first = adapters.perform(&call).await;
    assert!(matches!(first, Outcome::Done(_)), "{first:?}");
    assert_eq!(adapters.perform(&call).await, first);
    assert_eq!(sandbox.effects().len(), 1);
}

#[tokio::test]
async fn nobody_listening_is_proven_to_be_without_effect() {
    let (unused, url) = listener().await;
    drop(unused);
    let mut call = assistant();
    call.provider.base_url = url;
    let Outcome::NoEffect { fault, retry_after: None } = over_sockets().perform(&call).await else { panic!() };
    assert_eq!(fault.code, "ConnectionRefused");
}
