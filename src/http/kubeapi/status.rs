//! Refusals as `metav1.Status`, in kube-apiserver's words.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::engine::port::{Cause, WorldError};
use crate::model::object::ObjectKey;
use crate::model::resource::Resource;

/// Seconds after which to come back when the world does not say.
const RETRY_AFTER_SECONDS: u64 = 1;

/// A request that was not done.
#[derive(Debug, Clone)]
pub struct Refusal {
    code: StatusCode,
    reason: &'static str,
    message: String,
    /// In a box because every handler's `Result` has room for it.
    details: Box<Details>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<StatusCause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct StatusCause {
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'static str,
    message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    field: String,
}

impl Details {
    fn of(key: &ObjectKey) -> Self {
        Self { name: key.name.clone(), ..Self::about(key.resource) }
    }

    fn about(resource: &Resource) -> Self {
        Self { group: resource.group, kind: resource.plural, ..Self::default() }
    }

    fn later(seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds), ..Self::default() }
    }
}

impl Refusal {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Box::default() }
    }

    fn with(self, details: Details) -> Self {
        Self { details: Box::new(details), ..self }
    }

    /// 400
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403 that concerns no object.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// 404 of a path.
    pub fn no_such_path() -> Self {
        Self::not_served("the server could not find the requested resource")
    }

    /// 404 of a path, saying why nothing is there.
    pub fn not_served(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// 405
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// 406
    pub fn not_acceptable() -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", "only the following media types are accepted: application/json")
    }

    /// 408: the body did not arrive in time; nothing was done.
    pub fn body_too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "Timeout", "the body of the request did not arrive in time")
    }

    /// 410: a list cannot be continued, or is asked for at a version that is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 413
    pub fn too_large(limit: usize) -> Self {
        let message = format!("Request entity is too large: limit is {limit}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// 415
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 422 with the object's kind, as validation refuses it.
    pub fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        // The API server names the resource, not the kind, when an update does not say what it changes.
        let unconditional = causes.iter().any(|cause| cause.field == "metadata.resourceVersion");
        let word = if unconditional { resource.plural } else { resource.kind };
        let qualified = qualified(word, resource.group);
        let texts: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let text = if let [text] = texts.as_slice() { text.clone() } else { format!("[{}]", texts.join(", ")) };
        let causes = causes.into_iter().map(|Cause { field, reason, message }| StatusCause { reason, message, field }).collect();
        let details = Details { name: name.to_owned(), group: resource.group, kind: word, causes, retry_after_seconds: None };
        let message = format!("{qualified} {name:?} is invalid: {text}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).with(details)
    }

    /// 422 of a parameter of the request.
    pub fn invalid_options(options: &'static str, cause: Cause) -> Self {
        let message = format!("{options}.meta.k8s.io \"\" is invalid: {cause}");
        let Cause { field, reason, message: words } = cause;
        let causes = vec![StatusCause { reason, message: words, field }];
        let details = Details { group: "meta.k8s.io", kind: options, causes, ..Details::default() };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).with(details)
    }

    /// 504: a version was asked for that does not exist yet.
    pub fn version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let cause = StatusCause { reason: "ResourceVersionTooLarge", message: "Too large resource version".into(), field: String::new() };
        let details = Details { causes: vec![cause], ..Details::later(RETRY_AFTER_SECONDS) };
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message).with(details)
    }

    /// The document, as body of a reply or of a watch's ERROR event.
    pub fn document(&self) -> impl Serialize + '_ {
        Document {
            kind: "Status",
            api_version: "v1",
            metadata: Value::Object(serde_json::Map::new()),
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details: (*self.details != Details::default()).then_some(&self.details),
            code: self.code.as_u16(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Value,
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    code: u16,
}

fn qualified(word: &str, group: &str) -> String {
    if group.is_empty() { word.to_owned() } else { format!("{word}.{group}") }
}

impl From<WorldError> for Refusal {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::NotFound(key) => {
                Self::new(StatusCode::NOT_FOUND, "NotFound", format!("{} {:?} not found", key.resource, key.name)).with(Details::of(&key))
            }
            WorldError::AlreadyExists(key) => {
                let message = format!("{} {:?} already exists", key.resource, key.name);
                Self::new(StatusCode::CONFLICT, "AlreadyExists", message).with(Details::of(&key))
            }
            WorldError::Conflict { key, message } => {
                let message = format!("Operation cannot be fulfilled on {} {:?}: {message}", key.resource, key.name);
                Self::new(StatusCode::CONFLICT, "Conflict", message).with(Details::of(&key))
            }
            WorldError::Invalid { key, causes } => Self::invalid(key.resource, &key.name, causes),
            WorldError::Forbidden { key, message } => {
                let subject = if key.name.is_empty() { key.resource.to_string() } else { format!("{} {:?}", key.resource, key.name) };
                // Admission policies repeat themselves as a cause; RBAC does not.
                let denial = message.starts_with("ValidatingAdmissionPolicy '");
                let cause = StatusCause { reason: "", message: message.clone(), field: String::new() };
                let causes = denial.then_some(cause).into_iter().collect();
                Self::forbidden(format!("{subject} is forbidden: {message}")).with(Details { causes, ..Details::of(&key) })
            }
            WorldError::BadRequest(message) => Self::bad_request(message),
            WorldError::TooLarge { key, bytes, limit } => {
                let message = format!("Request entity is too large: {} {:?} has {bytes} bytes, limit is {limit}", key.resource, key.name);
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message).with(Details::of(&key))
            }
            WorldError::NotServed(message) => Self::new(StatusCode::NOT_FOUND, "NotFound", message),
            WorldError::Gone(version) => Self::expired(format!("too old resource version: {version}")),
            WorldError::Unavailable { message, retry_after } => {
                let seconds = retry_after.map_or(RETRY_AFTER_SECONDS, |wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message).with(Details::later(seconds))
            }
            error @ WorldError::WentBack { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", error.to_string())
                .with(Details::later(RETRY_AFTER_SECONDS)),
            // A 5xx without Retry-After: the client must look before it asks again.
            WorldError::Unknown(what) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", format!("Timeout: no answer to {what}: it may have happened"))
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.code, &self.document());
        if let Some(seconds) = self.details.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A reply with a JSON body.
pub fn json(code: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(text) => body(code, HeaderValue::from_static("application/json"), text),
        // Only a map whose keys are no strings cannot be written, and no document here has one.
        Err(error) => body(StatusCode::INTERNAL_SERVER_ERROR, HeaderValue::from_static("text/plain"), error.to_string().into_bytes()),
    }
}

fn body(code: StatusCode, media_type: HeaderValue, text: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
