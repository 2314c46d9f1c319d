//! Which Host headers are answered.
//!
//! A page in the user's browser can make its own name resolve to loopback; the Host header is what it cannot forge.

use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri};

/// Names under which the server is reached, with port: `127.0.0.1:8181`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// The names of loopback at a port.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self::of([format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")])
    }

    /// These names, each as a client writes it into the header: with the port unless that is 80.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Why the request is not for this server; none when it is. Exactly one Host header is needed.
    #[must_use]
    pub fn refusal(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let mut stated = headers.get_all(HOST).iter();
        let (Some(host), None) = (stated.next(), stated.next()) else {
            return Some("the request needs exactly one Host header".into());
        };
        let host = String::from_utf8_lossy(host.as_bytes()).to_ascii_lowercase();
        let authority = uri.authority().map(|authority| authority.as_str().to_ascii_lowercase());
        let refused = [Some(host), authority].into_iter().flatten().find(|name| !self.names.contains(name));
        refused.map(|name| format!("host {name:?} is not served here; served are {}", self.names.join(", ")))
    }
}
