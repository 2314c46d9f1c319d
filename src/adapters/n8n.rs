//! n8n, public API v1, as observed on 2.20.0.
//!
//! Names are not unique and the name filter matches substrings, so our key stands in the name and names are compared whole.
//! An id once given is never asked for with text that could lead to another path.

mod clone;
mod publish;

use http::StatusCode;
use serde_json::{Map, Value};

use super::faults::Refusal;
use super::session::{Known, Session};
use super::url;
use crate::engine::outcome::Outcome;
use crate::model::call::Template;
use crate::model::journal::Evidence;
use crate::model::workflow::{self, WorkflowError};

pub(super) use clone::clone_workflow;
pub(super) use publish::publish_webhooks;

const WORKFLOWS: &str = "/api/v1/workflows";

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
    let Some(document) = workflow_by_id(session, id).await? else {
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

/// A workflow; none if there is none of this id.
async fn workflow_by_id(session: &mut Session<'_>, id: &str) -> Known<Option<Value>> {
    let Some(segment) = url::segment(id) else { return Ok(None) };
    let reply = session.read(&format!("{WORKFLOWS}/{segment}")).await?;
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

/// A `webhookId` of our own: n8n would otherwise make one up at every write.
fn webhook_id(session: &Session<'_>, node: &str) -> Value {
    let name = format!("{} {node}", session.call.key);
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string().into()
}
