//! Questions about oneself: `kubectl auth whoami` and `kubectl auth can-i`. Nothing is stored.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json as value};

use super::body;
use super::status::{Refusal, json};
use super::{Api, Asked};
use crate::world::server::{FieldValidation, Identity, Subresource};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    namespace: String,
    verb: String,
    group: String,
    resource: String,
    subresource: String,
}

/// Answers a review.
pub async fn answer(api: &Api, group: &str, plural: &str, asked: Asked) -> Result<Response, Refusal> {
    let (parts, sent) = asked.request.into_parts();
    body::must_be_json(&parts.headers)?;
    let (review, _) = body::document(&body::read(sent).await?, FieldValidation::Ignore)?;
    let Value::Object(mut review) = review else {
        return Err(Refusal::bad_request("the body of the request is no object"));
    };
    let status = match plural {
        "selfsubjectreviews" => value!({"userInfo": {"username": asked.who.username, "groups": asked.who.groups}}),
        _ => access(api, &asked.who, review.get("spec").unwrap_or(&Value::Null))?,
    };
    review.insert("status".into(), status);
    review.entry("apiVersion").or_insert_with(|| format!("{group}/v1").into());
    Ok(json(StatusCode::CREATED, &review))
}

fn access(api: &Api, who: &Identity, spec: &Value) -> Result<Value, Refusal> {
    let Some(attributes) = spec.get("resourceAttributes").filter(|attributes| !attributes.is_null()) else {
        return Ok(value!({"allowed": false, "reason": "permissions are on resources only"}));
    };
    let Attributes { namespace, verb, group, resource, subresource } = Attributes::deserialize(attributes)
        .map_err(|error| Refusal::bad_request(format!("spec.resourceAttributes cannot be read: {error}")))?;
    let subresource = match subresource.as_str() {
        "" => Subresource::Main,
        "status" => Subresource::Status,
        _ => return Ok(value!({"allowed": false, "reason": format!("subresource {subresource:?} is not served")})),
    };
    let definitions = api.parts.server.definitions();
    let named = |plural: &str, candidate: &str| plural == candidate;
    let served = definitions.iter().find(|definition| definition.resource.group == group && named(definition.resource.plural, &resource));
    let Some(definition) = served else {
        return Ok(value!({"allowed": false, "reason": format!("resource {resource:?} of group {group:?} is not served")}));
    };
    Ok(value!({"allowed": api.parts.authorizer.may(who, &verb, definition.resource, subresource, &namespace)}))
}
