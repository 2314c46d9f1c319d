//! n8n, public API v1, as observed on 2.20.0.
//!
//! Names are not unique and the name filter matches substrings, so our key stands in the name and names are compared whole.
//! A name proves nothing of who made a workflow, so every node of a clone has an id that begins with our key: n8n keeps the ids
//! of nodes, and its editor gives new ones to a duplicate.
//! An id once given is never asked for with text that could lead to another path.

mod clone;
mod live;
mod publish;
mod reactivate;
mod remove;
mod update;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::faults::Refusal;
use super::session::{Known, Session};
use super::url;
use crate::engine::outcome::Outcome;
use crate::model::call::Template;
use crate::model::journal::Evidence;
use crate::model::limits::MAX_REPLY_BYTES;
use crate::model::pointer;
use crate::model::workflow::{self, WorkflowError};

pub(super) use clone::clone_workflow;
pub(super) use publish::publish_webhooks;
pub(super) use reactivate::reactivate_workflow;
pub(super) use remove::remove_workflow;
pub(super) use update::update_workflow;

const WORKFLOWS: &str = "/api/v1/workflows";
/// Largest reply about a clone, in bytes: an active workflow is told twice, and a template may have [`MAX_REPLY_BYTES`].
const MAX_CLONE_BYTES: usize = 2 * MAX_REPLY_BYTES;
/// What n8n allows in a page.
const PAGE: usize = 250;
/// Pages of one lookup. Our key is in the filter, so more than one page is already strange.
const MAX_PAGES: usize = 40;

/// Workflow settings that the API takes; it refuses a document with any other.
const SETTINGS: [&str; 12] = [
    "saveExecutionProgress",
    "saveManualExecutions",
    "saveDataErrorExecution",
    "saveDataSuccessExecution",
    "executionTimeout",
    "errorWorkflow",
    "timezone",
    "executionOrder",
    "callerPolicy",
    "callerIds",
    "timeSavedPerExecution",
    "availableInMCP",
];

/// Node fields that the API takes.
const NODE: [&str; 18] = [
    "id",
    "name",
    "webhookId",
    "disabled",
    "notesInFlow",
    "notes",
    "type",
    "typeVersion",
    "executeOnce",
    "alwaysOutputData",
    "retryOnFail",
    "maxTries",
    "waitBetweenTries",
    "continueOnFail",
    "onError",
    "position",
    "parameters",
    "credentials",
];

/// Reads a template and checks it against its pin.
pub(super) async fn read_template(session: &mut Session<'_>, template: &Template) -> Known<Evidence> {
    pinned(session, template).await?;
    Ok(Evidence { external_id: Some(template.id.clone()), digest: Some(template.digest.clone()), ..Evidence::default() })
}

/// The template as it is now, proven to be what the schema pins.
async fn pinned(session: &mut Session<'_>, template: &Template) -> Known<Value> {
    let id = &template.id;
    let Some(document) = workflow_by_id(session, id, MAX_REPLY_BYTES).await? else {
        return Err(session.refused(
            Refusal::TemplateMissing,
            id,
            format!("template {id} does not exist in provider {}", session.call.provider.name),
        ));
    };
    let wrong = |error: WorkflowError| interpretation(session, id, &error);
    for node_type in workflow::node_types(&document).map_err(wrong)? {
        if !template.node_types.contains(&node_type) {
            let message = format!("template {id} holds a node of type {node_type:?}, which the schema does not allow");
            return Err(session.refused(Refusal::NodeTypeNotAllowed, id, message));
        }
    }
    workflow::check_webhooks(&document, &template.webhooks).map_err(wrong)?;
    if let Some(setting) = members(&document, "settings").keys().find(|key| !SETTINGS.contains(&key.as_str())) {
        let message = format!("template {id} has the setting {setting:?}, which the API cannot give to a clone");
        return Err(session.refused(Refusal::TemplateInvalid, id, message));
    }
    let found = workflow::structural_digest(&document, &template.places, &template.webhooks).map_err(wrong)?;
    if found != template.digest {
        let message = format!("template {id} has structural digest {found}, the schema pins {}", template.digest);
        return Err(session.refused(Refusal::TemplateDrift, id, message));
    }
    Ok(document)
}

fn interpretation(session: &Session<'_>, id: &str, error: &WorkflowError) -> Outcome {
    let refusal = match error {
        WorkflowError::Malformed(_) | WorkflowError::DuplicateNode(_) | WorkflowError::Webhooks { .. } | WorkflowError::Canonical(_) => {
            Refusal::TemplateInvalid
        }
        WorkflowError::PlaceUnmatched { .. } | WorkflowError::PlacesOverlap { .. } => Refusal::SubstitutionUnmatched,
    };
    session.refused(refusal, id, format!("template {id}: {error}"))
}

/// The template with its places set to `values`.
async fn substituted(session: &mut Session<'_>, template: &Template, values: &[String]) -> Known<Value> {
    let document = pinned(session, template).await?;
    let substituted = workflow::substitute(&document, &template.places, values);
    substituted.map_err(|error| interpretation(session, &template.id, &error))
}

/// A template needs as many values as it has places.
fn check_values(session: &Session<'_>, template: &Template, values: &[String]) -> Known<()> {
    if values.len() == template.places.len() {
        return Ok(());
    }
    let message = format!("template {} has {} places for {} values", template.id, template.places.len(), values.len());
    Err(session.refused(Refusal::InputsInvalid, &template.id, message))
}

/// Why a workflow is not the template with its values; none if it is.
fn unfaithful(document: &Value, template: &Template, values: &[String]) -> Option<String> {
    let Template { digest: pinned, places, webhooks, .. } = template;
    match workflow::structural_digest(document, places, webhooks) {
        Ok(digest) if digest == *pinned => {}
        Ok(digest) => return Some(format!("has structural digest {digest}, its template {pinned}")),
        Err(error) => return Some(format!("cannot be interpreted: {error}")),
    }
    let (place, _) = places
        .iter()
        .zip(values)
        .find(|(place, value)| node(document, &place.node).and_then(|node| pointer::text(node, &place.pointer)) != Some(value.as_str()))?;
    Some(format!("does not hold {} at {} of node {:?}", place.source, place.pointer, place.node))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<Listed>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    name: String,
}

/// Ids of the workflows with our key in their name, of which `is_it` says that it is the name.
async fn named(session: &mut Session<'_>, is_it: impl Fn(&str) -> bool) -> Known<Vec<String>> {
    let first = format!("{WORKFLOWS}?name={}&limit={PAGE}", session.mark());
    let mut path = first.clone();
    let mut ids = Vec::new();
    for _ in 0..MAX_PAGES {
        let reply = session.read(&path).await?;
        let page: Page = session.document(&reply, "the list of workflows")?;
        ids.extend(page.data.into_iter().filter(|listed| is_it(&listed.name)).map(|listed| listed.id));
        match page.next_cursor.filter(|cursor| !cursor.is_empty()) {
            None => return Ok(ids),
            Some(cursor) => path = format!("{first}&cursor={}", url::encoded(&cursor)),
        }
    }
    Err(session.refused(Refusal::BadReply, "the list of workflows", format!("the list of workflows has more than {MAX_PAGES} pages")))
}

/// A clone; none if there is none of this id.
async fn clone_by_id(session: &mut Session<'_>, id: &str) -> Known<Option<Value>> {
    workflow_by_id(session, id, MAX_CLONE_BYTES).await
}

/// A workflow; none if there is none of this id.
async fn workflow_by_id(session: &mut Session<'_>, id: &str, max_bytes: usize) -> Known<Option<Value>> {
    let Some(segment) = url::segment(id) else { return Ok(None) };
    let reply = session.read_up_to(&format!("{WORKFLOWS}/{segment}"), max_bytes).await?;
    if reply.status == StatusCode::NOT_FOUND && reply.document::<Value>().is_ok() {
        return Ok(None);
    }
    session.document(&reply, &format!("workflow {id}")).map(Some)
}

/// The parts of a workflow that the API takes back.
fn writable(document: &Value, name: &str) -> Value {
    let kept = |value: &Value, fields: &[&str]| -> Map<String, Value> {
        let members = value.as_object().into_iter().flatten();
        members.filter(|(key, _)| fields.contains(&key.as_str())).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let nodes = document.get("nodes").and_then(Value::as_array).into_iter().flatten();
    serde_json::json!({
        "name": name,
        "nodes": nodes.map(|node| Value::Object(kept(node, &NODE))).collect::<Vec<_>>(),
        "connections": members(document, "connections"),
        "settings": kept(document.get("settings").unwrap_or(&Value::Null), &SETTINGS),
    })
}

fn members(document: &Value, name: &str) -> Map<String, Value> {
    document.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The node of a name, to be changed.
fn node_mut<'a>(document: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    let nodes = document.get_mut("nodes")?.as_array_mut()?;
    nodes.iter_mut().find(|node| node.get("name").and_then(Value::as_str) == Some(name))?.as_object_mut()
}

/// The node of a name.
fn node<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    let nodes = document.get("nodes")?.as_array()?;
    nodes.iter().find(|node| node.get("name").and_then(Value::as_str) == Some(name))
}

/// Gives the nodes ids that say who made them, numbered.
fn sign(document: &mut Value, mark: &str) {
    let nodes = document.get_mut("nodes").and_then(Value::as_array_mut).into_iter().flatten();
    for (number, node) in nodes.filter_map(Value::as_object_mut).enumerate() {
        node.insert("id".into(), format!("{mark}-{number}").into());
    }
}

/// Whether a node of the workflow is one that we made with this key.
fn is_signed(document: &Value, mark: &str) -> bool {
    let nodes = document.get("nodes").and_then(Value::as_array).into_iter().flatten();
    let ours = |id: &str| id.strip_prefix(mark).is_some_and(|number| number.starts_with('-'));
    nodes.filter_map(|node| pointer::text(node, "/id")).any(ours)
}

/// The refusal to take a workflow for ours.
fn not_ours(session: &Session<'_>, id: &str, name: &str) -> Outcome {
    let message = format!("workflow {id}, named {name:?}, has no node with key {}: it was not made by us", session.mark());
    session.refused(Refusal::NotOurs, &format!("workflow {id}"), message)
}

/// A `webhookId` of our own: n8n would otherwise make one up at every write.
fn webhook_id(session: &Session<'_>, node: &str) -> Value {
    let name = format!("{} {node}", session.call.key);
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string().into()
}
