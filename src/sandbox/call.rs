//! One request and one reply, as the vendors' modules see them: no sockets, no futures.

use std::fmt::Display;

use axum::extract::Query;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;

use super::json::ObjectText;

/// A request whose body has arrived.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Path with query, as sent.
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// The path's segments below the vendor's prefix; `/n8n/healthz` gives `healthz`.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.uri.path().split('/').filter(|segment| !segment.is_empty()).skip(1).collect()
    }

    /// Decoded query parameters in the order sent.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        Query::try_from_uri(&self.uri).map(|Query(pairs)| pairs).unwrap_or_default()
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The token of `Authorization: Bearer`.
    pub(super) fn bearer(&self) -> Option<&str> {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// A status and JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

impl Reply {
    /// 200 with JSON text.
    pub(super) fn ok(body: String) -> Self {
        Self { status: StatusCode::OK, body }
    }

    /// 201 with JSON text.
    pub(super) fn created(body: String) -> Self {
        Self { status: StatusCode::CREATED, body }
    }

    /// `{"message": ...}` with a status.
    pub(super) fn message(status: StatusCode, message: impl Display) -> Self {
        Self { status, body: ObjectText::with_capacity(64).value("message", &message.to_string()).finish() }
    }
}
