//! create, update and patch.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::accept::form;
use super::body::{self, Destination};
use super::query::Parameters;
use super::status::Refusal;
use super::{Api, Asked};
use crate::model::object::ObjectKey;
use crate::world::server::{Definition, Subresource, WriteOptions, Written};

/// The one kind of patch that is understood.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Creates an object in a collection.
pub async fn create(api: &Api, definition: &Definition, namespace: Option<String>, asked: Asked) -> Result<Response, Refusal> {
    if definition.resource.namespaced && namespace.is_none() {
        return Err(Refusal::not_served("an empty namespace may not be set during creation"));
    }
    let (parts, sent) = asked.request.into_parts();
    body::must_be_json(&parts.headers)?;
    let options = options(&asked.parameters)?;
    let (value, remarks) = body::document(&body::read(sent).await?, options.field_validation)?;
    let object = body::object(definition, Destination::Collection(namespace.as_deref()), value)?;
    let written = api.parts.server.create(&asked.who, object, options).await?;
    reply(api, StatusCode::CREATED, &parts.headers, &asked.parameters, written, remarks)
}

/// Replaces an object or its status.
pub async fn update(
    api: &Api,
    definition: &Definition,
    key: &ObjectKey,
    subresource: Subresource,
    asked: Asked,
) -> Result<Response, Refusal> {
    let (parts, sent) = asked.request.into_parts();
    body::must_be_json(&parts.headers)?;
    let options = options(&asked.parameters)?;
    let (value, remarks) = body::document(&body::read(sent).await?, options.field_validation)?;
    let object = body::object(definition, Destination::Object(key), value)?;
    let written = api.parts.server.update(&asked.who, object, subresource, options).await?;
    reply(api, StatusCode::OK, &parts.headers, &asked.parameters, written, remarks)
}

/// Applies a merge patch to an object or its status.
pub async fn patch(api: &Api, key: &ObjectKey, subresource: Subresource, asked: Asked) -> Result<Response, Refusal> {
    let (parts, sent) = asked.request.into_parts();
    let media_type = body::media_type(&parts.headers);
    if media_type != MERGE_PATCH {
        let message = format!(
            "the body of the request was in an unknown format ({media_type}) - accepted media types include: {MERGE_PATCH}; \
             JSON patch, strategic merge patch and apply are not served"
        );
        return Err(Refusal::unsupported_media_type(message));
    }
    let options = options(&asked.parameters)?;
    let (value, remarks) = body::document(&body::read(sent).await?, options.field_validation)?;
    if !value.is_object() {
        return Err(Refusal::bad_request("a merge patch of an object is an object"));
    }
    let written = api.parts.server.merge_patch(&asked.who, key, &value, subresource, options).await?;
    reply(api, StatusCode::OK, &parts.headers, &asked.parameters, written, remarks)
}

fn options(parameters: &Parameters) -> Result<WriteOptions, Refusal> {
    Ok(WriteOptions { field_validation: parameters.field_validation()?, dry_run: parameters.dry_run()? })
}

fn reply(
    api: &Api,
    code: StatusCode,
    headers: &HeaderMap,
    parameters: &Parameters,
    written: Written,
    remarks: Vec<String>,
) -> Result<Response, Refusal> {
    let Written { object, warnings } = written;
    let mut response = api.show(code, form(headers)?, parameters.include_object()?, &object);
    for warning in remarks.iter().chain(&warnings) {
        response.headers_mut().append(header::WARNING, warning_header(warning));
    }
    Ok(response)
}

/// `299 - "text"` (RFC 7234 section 5.5), without what a header cannot hold.
fn warning_header(text: &str) -> HeaderValue {
    let visible: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let quoted = visible.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_str(&format!("299 - \"{quoted}\"")).unwrap_or_else(|_| HeaderValue::from_static("299 - \"unprintable\""))
}
