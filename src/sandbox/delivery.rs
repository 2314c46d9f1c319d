//! Replies on their way to the caller, whole or maimed.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::call::Reply;

const HUGE_CHUNK: usize = 64 * 1024;
const MEBIBYTE: usize = 1024 * 1024;

/// Extension on a response that never reaches its caller. Over a socket the connection closes without a byte; a caller in the
/// same process sees this mark, and reading the body fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLost;

/// The reply as it is.
pub(super) fn whole(reply: Reply) -> Response {
    response(reply.status, "application/json; charset=utf-8", Body::from(reply.body))
}

/// The reply with `Retry-After`.
pub(super) fn with_retry_after(reply: Reply, seconds: Option<u64>) -> Response {
    let mut response = whole(reply);
    if let Some(seconds) = seconds {
        insert(&mut response, header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The reply byte by byte, with a pause before each.
pub(super) fn dripping(reply: Reply, pause: Duration) -> Response {
    let bytes = Bytes::from(reply.body);
    let drip = stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, Infallible>(byte), rest))
    });
    response(reply.status, "application/json; charset=utf-8", Body::from_stream(drip))
}

/// No reply: the body fails at once, which closes the connection before its head is sent.
pub(super) fn cut() -> Response {
    let failure = stream::once(async { Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)) });
    let mut response = response(StatusCode::OK, "application/json; charset=utf-8", Body::from_stream(failure));
    response.extensions_mut().insert(ReplyLost);
    response
}

/// A page where JSON was expected.
pub(super) fn html() -> Response {
    let page = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><h1>Checking your browser</h1></body></html>";
    response(StatusCode::OK, "text/html; charset=utf-8", Body::from(page))
}

/// A valid JSON document of about this many MiB, made as it is sent.
pub(super) fn huge(mebibytes: u32) -> Response {
    static FILLING: [u8; HUGE_CHUNK] = [b'x'; HUGE_CHUNK];
    let chunks = usize::try_from(mebibytes).unwrap_or(usize::MAX).saturating_mul(MEBIBYTE / HUGE_CHUNK);
    let filling = std::iter::repeat_n(Bytes::from_static(&FILLING), chunks);
    let text = std::iter::once(Bytes::from_static(b"{\"data\":\"")).chain(filling).chain([Bytes::from_static(b"\"}")]);
    response(StatusCode::OK, "application/json; charset=utf-8", Body::from_stream(stream::iter(text.map(Ok::<_, Infallible>))))
}

fn response(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    insert(&mut response, header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn insert(response: &mut Response, name: HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}
