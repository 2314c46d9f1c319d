//! What a reply says: its document, the vendor's own words, when to come back.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest part of a vendor's message that is passed on, in characters.
const MAX_VENDOR_MESSAGE: usize = 200;

/// A reply whose status the operation itself has to judge.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// None when it was larger than the limit.
    pub(super) body: Option<Bytes>,
}

/// Why a reply has no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Larger than the limit.
    TooLarge,
    /// Not JSON, or JSON of another shape.
    NotTheShape,
}

impl Reply {
    /// The document.
    pub(super) fn document<T: DeserializeOwned>(&self) -> Result<T, Unreadable> {
        let body = self.body.as_ref().ok_or(Unreadable::TooLarge)?;
        serde_json::from_slice(body).map_err(|_| Unreadable::NotTheShape)
    }

    /// Nothing, or a document: no page of something that is not the API.
    pub(super) fn is_plausible(&self) -> bool {
        self.body.as_ref().is_some_and(Bytes::is_empty) || self.document::<Value>().is_ok()
    }

    /// The status with the vendor's short message, if it gave one: `400 ("name is required")`. What `hidden` stands for is
    /// taken out first, because what is cut off in its middle is no longer recognised.
    pub(super) fn said(&self, hidden: Option<&str>) -> String {
        let status = self.status.as_u16();
        let Some(message) = self.document::<Value>().ok().and_then(|document| vendor_message(&document)) else {
            return status.to_string();
        };
        let message = without(message, hidden);
        let message: String = message.chars().filter(|character| !character.is_control()).take(MAX_VENDOR_MESSAGE).collect();
        format!("{status} (\"{message}\")")
    }
}

/// The text without a secret.
pub(super) fn without(text: String, secret: Option<&str>) -> String {
    match secret {
        Some(secret) if !secret.is_empty() => text.replace(secret, "***"),
        Some(_) | None => text,
    }
}

/// The message where the vendors put it. A list gives its first entry.
fn vendor_message(document: &Value) -> Option<String> {
    let text = |pointer| match document.pointer(pointer)? {
        Value::String(text) => Some(text.as_str()),
        Value::Array(items) => items.first()?.as_str(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    ["/message", "/error/message", "/error"].into_iter().find_map(text).map(str::to_owned)
}

/// The delay of `Retry-After`, in seconds or as a date; none when absent or neither.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
