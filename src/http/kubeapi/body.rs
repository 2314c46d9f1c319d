//! Request bodies: within a size, within a time, JSON, and of the type that the path names.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::duplicates;
use super::status::Refusal;
use crate::engine::port::Cause;
use crate::model::object::{Object, ObjectKey};
use crate::world::server::{Definition, FieldValidation};

/// The most a body may have, in bytes, as on a cluster.
pub const LIMIT: usize = 3 * 1024 * 1024;
/// How long a body may take to arrive.
const TIME: Duration = Duration::from_secs(30);

/// A body as it came.
///
/// # Errors
/// 413, 408, or 400 when the connection broke.
pub async fn read(body: Body) -> Result<Bytes, Refusal> {
    let collected = tokio::time::timeout(TIME, Limited::new(body, LIMIT).collect()).await.map_err(|_| Refusal::body_too_slow())?;
    collected.map(|body| body.to_bytes()).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Refusal::too_large(LIMIT)
        } else {
            Refusal::bad_request(format!("the body of the request did not arrive whole: {error}"))
        }
    })
}

/// Media type of a body, without parameters, in lower case; empty when not stated.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> String {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    stated.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// Refuses bodies that are not JSON. One without a media type is taken for JSON, as the API server does.
///
/// # Errors
/// 415
pub fn must_be_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let media_type = media_type(headers);
    if media_type.is_empty() || media_type == "application/json" {
        return Ok(());
    }
    let message =
        format!("the body of the request was in an unknown format ({media_type}) - accepted media types include: application/json");
    Err(Refusal::unsupported_media_type(message))
}

/// A JSON document and the remarks on it.
///
/// # Errors
/// 400 when it is no JSON, or when fields are repeated and validation is strict.
pub fn document(text: &[u8], validation: FieldValidation) -> Result<(Value, Vec<String>), Refusal> {
    let unreadable = |error: serde_json::Error| Refusal::bad_request(format!("error decoding the body: {error}"));
    let mut value = serde_json::from_slice(text).map_err(unreadable)?;
    whole_numbers(&mut value);
    let repeated = match validation {
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Warn | FieldValidation::Strict => duplicates::find(text).map_err(unreadable)?,
    };
    let remarks: Vec<String> = repeated.into_iter().map(|path| format!("duplicate field {path:?}")).collect();
    if validation == FieldValidation::Strict && !remarks.is_empty() {
        return Err(Refusal::bad_request(format!("strict decoding error: {}", remarks.join(", "))));
    }
    Ok((value, remarks))
}

/// `2.0` is `2`: what is stored is what the API server would send back.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Number(number) => {
            // Beyond this a floating-point number no longer knows its last digit.
            let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0);
            if let Some(integer) = whole.and_then(|float| format!("{float:.0}").parse::<i64>().ok()) {
                *number = integer.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Where a sent object is going.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// Into a collection; the object says its name.
    Collection(Option<&'a str>),
    /// Onto the object with this key.
    Object(&'a ObjectKey),
}

/// A sent document as an object for its destination.
///
/// # Errors
/// 400 when type, namespace or name differ from the path's.
pub fn object(definition: &Definition, destination: Destination<'_>, value: Value) -> Result<Object, Refusal> {
    let resource = definition.resource;
    let Value::Object(mut body) = value else {
        return Err(Refusal::bad_request("the body of the request is no object"));
    };
    type_field(&mut body, definition, "apiVersion", "API version", &resource.api_version())?;
    type_field(&mut body, definition, "kind", "kind", resource.kind)?;
    let metadata = body.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(metadata) = metadata else {
        return Err(Refusal::bad_request("metadata is no object"));
    };
    match destination {
        Destination::Collection(namespace) => {
            if metadata.get("generateName").is_some_and(|name| name != "") && metadata.get("name").is_none_or(|name| name == "") {
                return Err(Refusal::bad_request("metadata.generateName is not supported here: set metadata.name"));
            }
            place(metadata, definition, namespace.unwrap_or(""))?;
        }
        Destination::Object(key) => {
            let name = metadata.get("name").and_then(Value::as_str).unwrap_or("");
            if name != key.name {
                let message = format!("the name of the object ({name}) does not match the name on the URL ({})", key.name);
                return Err(Refusal::bad_request(message));
            }
            place(metadata, definition, &key.namespace)?;
        }
    }
    Ok(Object { resource, body: Value::Object(body) })
}

/// Built-in types may leave out what the path says already; custom resources may not, as on a cluster.
fn type_field(body: &mut Map<String, Value>, definition: &Definition, field: &str, spoken: &str, expected: &str) -> Result<(), Refusal> {
    let stated = body.get(field).and_then(Value::as_str).unwrap_or("");
    if stated.is_empty() && definition.schema.is_none() {
        body.insert(field.to_owned(), expected.into());
        return Ok(());
    }
    if stated.is_empty() {
        return Err(Refusal::bad_request(format!("{field:?} is missing in the body of the request: expected {expected:?}")));
    }
    if stated != expected && field == "kind" && definition.schema.is_some() {
        let cause =
            Cause { field: field.into(), reason: "FieldValueInvalid", message: format!("Invalid value: {stated:?}: must be {expected}") };
        let name = body.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str).unwrap_or("");
        return Err(Refusal::invalid(definition.resource, name, vec![cause]));
    }
    if stated != expected {
        return Err(Refusal::bad_request(format!("the {spoken} in the data ({stated}) does not match the expected {spoken} ({expected})")));
    }
    Ok(())
}

/// Sees to it that the object is in the namespace that the path names (empty: in none).
fn place(metadata: &mut Map<String, Value>, definition: &Definition, namespace: &str) -> Result<(), Refusal> {
    if !definition.resource.namespaced {
        metadata.remove("namespace");
        return Ok(());
    }
    let stated = metadata.get("namespace").and_then(Value::as_str).unwrap_or("");
    if stated.is_empty() && !namespace.is_empty() {
        metadata.insert("namespace".into(), namespace.into());
        return Ok(());
    }
    if stated != namespace {
        return Err(Refusal::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
    }
    Ok(())
}
