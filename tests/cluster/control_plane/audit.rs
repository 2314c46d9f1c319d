//! What the API server was asked, from its own audit log.

use std::path::Path;

use serde_json::Value;

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// User name.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or an HTTP method in lower case.
    pub verb: String,
    /// API group; empty for the core group and for paths outside resources.
    pub group: String,
    /// Plural, with the subresource: `tenants/status`; empty for paths outside resources.
    pub resource: String,
    /// Namespace; empty when there is none.
    pub namespace: String,
    /// Name; empty when there is none.
    pub name: String,
    /// HTTP status.
    pub code: u64,
    /// When it was received, RFC 3339.
    pub received: String,
    /// Path and query.
    pub uri: String,
}

impl Request {
    /// Whether it asks for a change.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch" | "head")
    }
}

/// All complete lines of the log.
pub fn read(log: &Path) -> Vec<Request> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| request(&serde_json::from_str(line).unwrap())).collect()
}

fn request(event: &Value) -> Request {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (plural, subresource) = (text("/objectRef/resource"), text("/objectRef/subresource"));
    Request {
        user: text("/user/username"),
        verb: text("/verb"),
        group: text("/objectRef/apiGroup"),
        resource: if subresource.is_empty() { plural } else { format!("{plural}/{subresource}") },
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
        received: text("/requestReceivedTimestamp"),
        uri: text("/requestURI"),
    }
}
