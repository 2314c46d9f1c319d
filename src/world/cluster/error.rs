//! What an API server's refusals mean to us.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::exchange::Ask;
use crate::engine::port::{Cause, WorldError};
use crate::model::limits::MAX_OBJECT_BYTES;
use crate::model::object::ObjectKey;
use crate::model::pointer;
use crate::model::resource::NAMESPACE;

/// Reasons of causes that the API server gives.
const REASONS: [&str; 10] = [
    "FieldValueNotFound",
    "FieldValueRequired",
    "FieldValueDuplicate",
    "FieldValueInvalid",
    "FieldValueNotSupported",
    "FieldValueForbidden",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
    "InternalError",
];

/// No reply: a read had no effect, a write may have had.
pub fn lost(ask: &Ask<'_>, what: &str) -> WorldError {
    if ask.is_read() {
        WorldError::Unavailable { message: format!("{ask}: {what}"), retry_after: None }
    } else {
        tracing::debug!(%ask, what, "no reply");
        WorldError::Unknown(ask.to_string())
    }
}

/// The client's own failure to send, or to get a reply.
pub fn of_client(ask: &Ask<'_>, failed: &kube::Error) -> WorldError {
    if never_sent(failed) {
        return WorldError::Unavailable { message: format!("{ask}: {failed}"), retry_after: None };
    }
    lost(ask, &failed.to_string())
}

/// Whether no byte of the request left: there was no connection to send it on, or no credential to send.
fn never_sent(failed: &kube::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(failed);
    while let Some(error) = source {
        if error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return true;
        }
        source = error.source();
    }
    matches!(failed, kube::Error::Auth(_))
}

/// A reply that is no success.
pub fn of_reply(ask: &Ask<'_>, code: StatusCode, headers: &HeaderMap, text: &[u8]) -> WorldError {
    let status: Value = serde_json::from_slice(text).unwrap_or_default();
    let later = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    of_status(ask, code.as_u16(), &status, later, text)
}

/// A Status document, in a reply or in a watch.
pub fn of_status(ask: &Ask<'_>, code: u16, status: &Value, later: Option<Duration>, text: &[u8]) -> WorldError {
    let reason = pointer::text(status, "/reason").unwrap_or_default();
    let plain = || String::from_utf8_lossy(text).trim().chars().take(512).collect::<String>();
    let message = pointer::text(status, "/message").map_or_else(plain, str::to_owned);
    let key = || ask.key.clone();
    match code {
        400 => WorldError::BadRequest(message),
        401 => WorldError::Forbidden { key: key(), message: format!("the credential is not accepted: {message}") },
        403 => WorldError::Forbidden { key: key(), message },
        404 => not_found(ask, status, message),
        409 if reason == "AlreadyExists" => WorldError::AlreadyExists(key()),
        409 => WorldError::Conflict { key: key(), message },
        410 => WorldError::Gone(message),
        413 => WorldError::TooLarge { key: key(), bytes: ask.body.map_or(0, |body| body.to_string().len()), limit: MAX_OBJECT_BYTES },
        422 => WorldError::Invalid { key: key(), causes: causes(status, &message) },
        429 => WorldError::Unavailable { message: format!("{ask}: {message}"), retry_after: later.or(Some(Duration::from_secs(1))) },
        500..600 if ask.is_read() => WorldError::Unavailable { message: format!("{ask}: {code} {message}"), retry_after: later },
        500..600 => lost(ask, &format!("{code} {message}")),
        _ => WorldError::BadRequest(format!("{ask}: {code} {message}")),
    }
}

/// The object, the namespace that it should be in, or the resource itself.
fn not_found(ask: &Ask<'_>, status: &Value, message: String) -> WorldError {
    let name = pointer::text(status, "/details/name").unwrap_or_default();
    match pointer::text(status, "/details/kind") {
        Some("namespaces") if ask.key.resource != &NAMESPACE => WorldError::NotFound(ObjectKey::new(&NAMESPACE, "", name)),
        Some(_) if !name.is_empty() => WorldError::NotFound(ask.key.clone()),
        // Neither there nor missing: the definition is not applied yet.
        Some(_) | None => {
            let message = format!("{} are not served: {message}; apply the CustomResourceDefinitions: mandate crds", ask.key.resource);
            WorldError::NotServed(message)
        }
    }
}

fn causes(status: &Value, message: &str) -> Vec<Cause> {
    let listed = status.pointer("/details/causes").and_then(Value::as_array);
    let mut causes: Vec<Cause> = listed
        .into_iter()
        .flatten()
        .map(|cause| {
            let text = |field: &str| cause.get(field).and_then(Value::as_str).unwrap_or_default();
            let reason = REASONS.into_iter().find(|known| *known == text("reason")).unwrap_or("FieldValueInvalid");
            Cause { field: text("field").to_owned(), reason, message: text("message").to_owned() }
        })
        .collect();
    if causes.is_empty() {
        causes.push(Cause { field: "<nil>".to_owned(), reason: "FieldValueInvalid", message: message.to_owned() });
    }
    causes
}
