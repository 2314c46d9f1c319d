//! JSON objects composed as text: stored documents are kept as compact text and never parsed to be listed.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A JSON object under construction; members appear in the order they are added.
pub(super) struct ObjectText(String);

impl ObjectText {
    /// An object without members, with room for `capacity` bytes.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let mut text = String::with_capacity(capacity.max(64));
        text.push('{');
        Self(text)
    }

    /// Adds a member whose value is serialised here.
    pub(super) fn value(self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        let text = compact(value);
        self.raw(name, &text)
    }

    /// Adds a member whose value already is JSON text.
    pub(super) fn raw(mut self, name: &str, text: &str) -> Self {
        self.separate();
        self.0.push_str(&compact(name));
        self.0.push(':');
        self.0.push_str(text);
        self
    }

    /// Adds all members of another object's text.
    pub(super) fn members_of(mut self, object: &str) -> Self {
        let members = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        if !members.is_empty() {
            self.separate();
            self.0.push_str(members);
        }
        self
    }

    /// The finished text.
    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn separate(&mut self) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
    }
}

/// A JSON array of texts that already are JSON.
pub(super) fn array(items: impl IntoIterator<Item = String>) -> String {
    let mut text = String::from("[");
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(']');
    text
}

/// Compact JSON text. Our values have string keys and finite numbers, so the fallback is never taken.
pub(super) fn compact(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| String::from("null"))
}

/// Canonical text (RFC 8785); the fallback is for numbers that it cannot hold.
pub(super) fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_else(|_| compact(value))
}

/// `sha256:<64 hex>` of the value's canonical text (RFC 8785).
pub(super) fn digest(value: &Value) -> String {
    let hash = Sha256::digest(canonical(value).as_bytes());
    hash.iter().fold(String::from("sha256:"), |mut hex, byte| {
        hex.push_str(&format!("{byte:02x}"));
        hex
    })
}
