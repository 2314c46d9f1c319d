//! delete and deletecollection.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json as value};

use super::body;
use super::query::Parameters;
use super::read::selection;
use super::status::{Refusal, json};
use super::{Api, Asked};
use crate::engine::port::WorldError;
use crate::model::object::ObjectKey;
use crate::model::resource::NAMESPACE;
use crate::world::server::{Definition, FieldValidation, Preconditions, Subresource, not_permitted};

/// `DeleteOptions` as sent. A grace period means nothing here and is accepted.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeleteOptions {
    preconditions: Option<SentPreconditions>,
    propagation_policy: Option<String>,
    dry_run: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SentPreconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

/// Deletes an object.
pub async fn object(api: &Api, key: &ObjectKey, subresource: Subresource, asked: Asked) -> Result<Response, Refusal> {
    if subresource == Subresource::Status {
        return Err(Refusal::method_not_allowed());
    }
    let (parts, sent) = asked.request.into_parts();
    let preconditions = preconditions(&parts.headers, &asked.parameters, &body::read(sent).await?)?;
    let object = api.parts.server.delete(&asked.who, key, &preconditions).await?;
    if object.is_going() && (!object.finalizers().is_empty() || *key.resource == NAMESPACE) {
        return Ok(json(StatusCode::OK, &object.body));
    }
    let mut document = value!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": key.name, "kind": key.resource.plural, "uid": object.uid()},
    });
    if !key.resource.group.is_empty() {
        document["details"]["group"] = key.resource.group.into();
    }
    Ok(json(StatusCode::OK, &document))
}

/// Deletes what a request selects, one by one: what was permitted before the first refusal is gone.
pub async fn collection(api: &Api, definition: &Definition, namespace: Option<String>, asked: Asked) -> Result<Response, Refusal> {
    let (parts, sent) = asked.request.into_parts();
    let stated = preconditions(&parts.headers, &asked.parameters, &body::read(sent).await?)?;
    if stated != Preconditions::default() {
        return Err(Refusal::bad_request("preconditions name one object and cannot be stated for a collection"));
    }
    let selection = selection(definition, namespace, &asked.parameters);
    let (resource, scope) = (selection.resource, selection.namespace.as_deref().unwrap_or_default());
    if !api.parts.authorizer.may(&asked.who, "deletecollection", resource, Subresource::Main, scope) {
        let message = not_permitted(&asked.who.username, "deletecollection", resource, Subresource::Main, scope);
        return Err(WorldError::Forbidden { key: ObjectKey::new(resource, scope, ""), message }.into());
    }
    let listed = api.parts.server.list(&asked.who, &selection).await?;
    for object in &listed.objects {
        let only = Preconditions { uid: Some(object.uid().to_owned()), resource_version: None };
        match api.parts.server.delete(&asked.who, &object.key(), &only).await {
            // Or gone meanwhile, or a successor of the same name that was not selected.
            Ok(_) | Err(WorldError::NotFound(_) | WorldError::Conflict { .. }) => {}
            // Admission is asked about a collection without a name, and says so.
            Err(WorldError::Forbidden { key, message }) => {
                let key = ObjectKey { name: "Unknown".into(), ..key };
                return Err(WorldError::Forbidden { key, message }.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    // As they were listed: an object that waits for its finalizers looks untouched.
    let items: Vec<&Value> = listed.objects.iter().map(|object| &object.body).collect();
    let mut metadata = value!({"resourceVersion": api.parts.server.resource_version().to_string()});
    if definition.schema.is_some() {
        metadata["continue"] = "".into();
    }
    let (kind, api_version) = (format!("{}List", definition.resource.kind), definition.resource.api_version());
    Ok(json(StatusCode::OK, &value!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items})))
}

fn preconditions(headers: &HeaderMap, parameters: &Parameters, sent: &[u8]) -> Result<Preconditions, Refusal> {
    let options = if sent.is_empty() { DeleteOptions::default() } else { options(headers, sent)? };
    let DeleteOptions { preconditions, propagation_policy, dry_run: dry_runs } = options;
    let mut dry_runs = dry_runs.iter().map(String::as_str).chain(parameters.text("dryRun"));
    if dry_runs.try_fold(false, |any, stated| parameters.is_dry_run(stated).map(|dry| any || dry))? {
        return Err(Refusal::bad_request("dryRun is not supported for deletions here: nothing was deleted"));
    }
    let policies = ["Foreground", "Background", "Orphan"];
    if let Some(policy) = propagation_policy.as_deref().or(parameters.text("propagationPolicy"))
        && !policies.contains(&policy)
    {
        return Err(parameters.unsupported("propagationPolicy", policy, &["Foreground", "Background", "Orphan", "nil"]));
    }
    if let Some(policy) = propagation_policy.as_deref().or(parameters.text("propagationPolicy")).filter(|policy| *policy != "Background") {
        return Err(Refusal::bad_request(format!("propagationPolicy {policy} is not supported here: nothing was deleted; use Background")));
    }
    let SentPreconditions { uid, resource_version } = preconditions.unwrap_or_default();
    Ok(Preconditions { uid, resource_version })
}

fn options(headers: &HeaderMap, sent: &[u8]) -> Result<DeleteOptions, Refusal> {
    body::must_be_json(headers)?;
    let (document, _) = body::document(sent, FieldValidation::Ignore)?;
    // Read as a struct, a list would pass for one whose fields are all absent: a deletion without its preconditions.
    let preconditions = document.get("preconditions").filter(|stated| !stated.is_null());
    if !document.is_object() || preconditions.is_some_and(|stated| !stated.is_object()) {
        return Err(Refusal::bad_request("the body of a deletion is a DeleteOptions"));
    }
    let kind = document.get("kind").and_then(Value::as_str);
    if kind.is_some_and(|kind| kind != "DeleteOptions") {
        return Err(Refusal::bad_request("the body of a deletion is a DeleteOptions"));
    }
    DeleteOptions::deserialize(&document).map_err(|error| Refusal::bad_request(format!("DeleteOptions cannot be read: {error}")))
}
