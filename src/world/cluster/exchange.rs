//! One request and its reply, within its deadline.

use std::fmt;

use http::{Method, Request, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde_json::Value;

use super::body::{Lean, LeanList};
use super::{Cluster, REQUEST, error};
use crate::engine::port::{Verb, WorldError};
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;

/// Largest reply, in bytes: a page of the largest objects is far below it.
const MAX_REPLY: usize = 1 << 30;

/// One request.
pub struct Ask<'a> {
    /// What it asks for.
    pub verb: Verb,
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// What it is about.
    pub key: &'a ObjectKey,
    /// Document that is sent.
    pub body: Option<&'a Value>,
    /// Form of the reply, if not the object itself.
    pub accept: Option<&'static str>,
}

impl Ask<'_> {
    /// Whether it changes nothing, so that no reply means no effect.
    pub fn is_read(&self) -> bool {
        matches!(self.verb, Verb::Get | Verb::List | Verb::Watch)
    }
}

impl fmt::Display for Ask<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

/// Path of a collection.
pub fn path_of(resource: &Resource, namespace: Option<&str>) -> String {
    let group = if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
    let namespace = namespace.map(|namespace| format!("/namespaces/{}", encoded(namespace))).unwrap_or_default();
    format!("{group}/{}{namespace}/{}", resource.version, resource.plural)
}

/// Path of an object.
pub fn path_to(key: &ObjectKey) -> String {
    let namespace = key.resource.namespaced.then_some(key.namespace.as_str());
    format!("{}/{}", path_of(key.resource, namespace), encoded(&key.name))
}

/// Text as part of a path or query.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A reply that is not what an API server says.
pub fn strange(ask: &Ask<'_>, what: &str) -> WorldError {
    WorldError::Unavailable { message: format!("{ask}: the reply is {what}"), retry_after: None }
}

/// An object of this resource, whatever form the reply had.
pub fn object(resource: &'static Resource, mut body: Value) -> Object {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("apiVersion".to_owned(), resource.api_version().into());
        fields.insert("kind".to_owned(), resource.kind.into());
    }
    Object { resource, body }
}

/// The request as it is sent.
pub fn request(ask: &Ask<'_>) -> Result<Request<Vec<u8>>, WorldError> {
    let mut request = Request::builder().method(ask.method.clone()).uri(&ask.path);
    request = request.header(header::ACCEPT, ask.accept.unwrap_or("application/json"));
    let body = match ask.body {
        None => Vec::new(),
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body.to_string().into_bytes()
        }
    };
    request.body(body).map_err(|error| WorldError::BadRequest(format!("{ask}: {error}")))
}

impl Cluster {
    /// Sends a request and reads its reply.
    pub(super) async fn exchange(&self, ask: &Ask<'_>) -> Result<Value, WorldError> {
        let request = request(ask)?.map(Body::from);
        let replied = async {
            let response = self.client.send(request).await.map_err(|failed| error::of_client(ask, &failed))?;
            let (parts, body) = response.into_parts();
            let limited = Limited::new(body, MAX_REPLY).collect().await;
            let text = limited.map_err(|failed| error::lost(ask, &format!("reading the reply: {failed}")))?.to_bytes();
            Ok((parts, text))
        };
        let replied = tokio::time::timeout(REQUEST, replied).await;
        let replied = replied.unwrap_or_else(|_| Err(error::lost(ask, &format!("no reply within {} s", REQUEST.as_secs()))));
        let (parts, text) = replied?;
        if !parts.status.is_success() {
            return Err(error::of_reply(ask, parts.status, &parts.headers, &text));
        }
        let unreadable = |failed: serde_json::Error| error::lost(ask, &format!("reading the reply: {failed}"));
        if ask.verb == Verb::List {
            let list: LeanList = serde_json::from_slice(&text).map_err(unreadable)?;
            let items: Vec<Value> = list.items.into_iter().flatten().map(|Lean(item)| item).collect();
            return Ok(serde_json::json!({"metadata": list.metadata, "items": items}));
        }
        serde_json::from_slice::<Lean>(&text).map(|Lean(body)| body).map_err(unreadable)
    }
}
