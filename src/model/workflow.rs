//! n8n workflow documents: substitution, and the structural digest that proves a clone faithful (000, guarantee 8).
//!
//! What counts: node names, types, versions, parameters, what a node does on failure, the names under which credentials are
//! used, connections, workflow settings.
//! What does not: ids, positions, webhookId, versionId, timestamps, the credentials themselves, notes.
//! Every substituted place is replaced by its source's name, so template and clone have one digest.
//! docs/fidelity.md says it field by field, with test vectors.

use serde_json::{Map, Value, json};

use super::call::Place;
use super::canonical::{self, CanonicalError, CanonicalText, Digest};

/// Type of an n8n webhook trigger.
pub const WEBHOOK_NODE: &str = "n8n-nodes-base.webhook";
/// Where a webhook node keeps its path.
pub const WEBHOOK_PATH: &str = "/parameters/path";
/// Type inside the structural document.
const STRUCTURE_TYPE: &str = "mandate.dev/WorkflowStructure/v1";
/// Node fields that count besides the name and the names of credentials: all that n8n takes of a node and that change what
/// it does.
pub const NODE_FIELDS: [&str; 11] = [
    "type",
    "typeVersion",
    "parameters",
    "disabled",
    "executeOnce",
    "alwaysOutputData",
    "retryOnFail",
    "maxTries",
    "waitBetweenTries",
    "continueOnFail",
    "onError",
];

/// Why a workflow cannot be interpreted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkflowError {
    /// A field is missing or of the wrong type.
    #[error("the workflow has no {0}")]
    Malformed(&'static str),
    /// Two nodes of one name.
    #[error("two nodes are named {0:?}: names must be unique to be referred to")]
    DuplicateNode(String),
    /// A place that matches nothing.
    #[error("substitution {source_name}: node {node:?} has nothing at {pointer}")]
    PlaceUnmatched {
        /// Node named.
        node: String,
        /// Pointer named.
        pointer: String,
        /// Source.
        source_name: String,
    },
    /// Two substitutions at one place, or one inside another.
    #[error("substitutions {first} and {second} overlap in node {node:?}")]
    PlacesOverlap {
        /// Node.
        node: String,
        /// One source.
        first: String,
        /// The other source.
        second: String,
    },
    /// A webhook node that the schema does not list, or lists without it being there.
    #[error("webhook nodes are {found:?} but the schema lists {listed:?}")]
    Webhooks {
        /// In the workflow.
        found: Vec<String>,
        /// In the schema.
        listed: Vec<String>,
    },
    /// Not canonicalizable.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// The nodes of a workflow.
///
/// # Errors
/// When there are none, or two share a name.
pub fn nodes(workflow: &Value) -> Result<&Vec<Value>, WorkflowError> {
    let nodes = workflow.get("nodes").and_then(Value::as_array).ok_or(WorkflowError::Malformed("nodes"))?;
    let mut names: Vec<&str> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let name = node.get("name").and_then(Value::as_str).ok_or(WorkflowError::Malformed("node name"))?;
        if names.contains(&name) {
            return Err(WorkflowError::DuplicateNode(name.to_owned()));
        }
        names.push(name);
    }
    Ok(nodes)
}

/// Types of all nodes, sorted, without duplicates.
///
/// # Errors
/// When a node has no type.
pub fn node_types(workflow: &Value) -> Result<Vec<String>, WorkflowError> {
    let mut types = nodes(workflow)?
        .iter()
        .map(|node| node.get("type").and_then(Value::as_str).map(str::to_owned).ok_or(WorkflowError::Malformed("node type")))
        .collect::<Result<Vec<_>, _>>()?;
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

/// Checks that the webhook nodes of the workflow are exactly those listed.
///
/// # Errors
/// [`WorkflowError::Webhooks`] with both lists.
pub fn check_webhooks(workflow: &Value, listed: &[String]) -> Result<(), WorkflowError> {
    let mut found: Vec<String> = nodes(workflow)?
        .iter()
        .filter(|node| node.get("type").and_then(Value::as_str) == Some(WEBHOOK_NODE))
        .filter_map(|node| node.get("name").and_then(Value::as_str).map(str::to_owned))
        .collect();
    found.sort_unstable();
    let mut listed = listed.to_vec();
    listed.sort_unstable();
    if found == listed { Ok(()) } else { Err(WorkflowError::Webhooks { found, listed }) }
}

/// The places that are normalised in a workflow: its substitutions and the paths of its webhook nodes.
#[must_use]
pub fn normalised_places(places: &[Place], webhooks: &[String]) -> Vec<Place> {
    let paths =
        webhooks.iter().map(|node| Place { node: node.clone(), pointer: WEBHOOK_PATH.to_owned(), source: format!("webhook.{node}") });
    places.iter().cloned().chain(paths).collect()
}

/// The workflow with each place set to the value at its position.
///
/// # Errors
/// When a place matches nothing or overlaps another.
pub fn substitute(workflow: &Value, places: &[Place], values: &[String]) -> Result<Value, WorkflowError> {
    check_overlaps(places)?;
    nodes(workflow)?;
    let mut result = workflow.clone();
    for (place, value) in places.iter().zip(values) {
        let unmatched = || WorkflowError::PlaceUnmatched {
            node: place.node.clone(),
            pointer: place.pointer.clone(),
            source_name: place.source.clone(),
        };
        let node = node_mut(&mut result, &place.node).ok_or_else(unmatched)?;
        let target = node.pointer_mut(&place.pointer).ok_or_else(unmatched)?;
        *target = Value::String(value.clone());
    }
    Ok(result)
}

fn check_overlaps(places: &[Place]) -> Result<(), WorkflowError> {
    for (index, first) in places.iter().enumerate() {
        for second in places.iter().skip(index + 1).filter(|other| other.node == first.node) {
            let inside = |outer: &str, inner: &str| inner == outer || inner.starts_with(&format!("{outer}/"));
            if inside(&first.pointer, &second.pointer) || inside(&second.pointer, &first.pointer) {
                return Err(WorkflowError::PlacesOverlap {
                    node: first.node.clone(),
                    first: first.source.clone(),
                    second: second.source.clone(),
                });
            }
        }
    }
    Ok(())
}

fn node_mut<'a>(workflow: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    workflow.get_mut("nodes")?.as_array_mut()?.iter_mut().find(|node| node.get("name").and_then(Value::as_str) == Some(name))
}

/// Structural digest: equal for a template and for its clone with any values substituted.
///
/// # Errors
/// When the document is no workflow, or a place matches nothing.
pub fn structural_digest(workflow: &Value, places: &[Place], webhooks: &[String]) -> Result<Digest, WorkflowError> {
    Ok(structure(workflow, places, webhooks)?.digest())
}

/// The text that the structural digest is the hash of.
///
/// # Errors
/// As [`structural_digest`].
pub fn structure(workflow: &Value, places: &[Place], webhooks: &[String]) -> Result<CanonicalText, WorkflowError> {
    let all = normalised_places(places, webhooks);
    let names: Vec<String> = all.iter().map(|place| format!("{{{}}}", place.source)).collect();
    let normal = substitute(workflow, &all, &names)?;
    let structure: Map<String, Value> = nodes(&normal)?.iter().map(node_structure).collect();
    let document = json!({
        "@type": STRUCTURE_TYPE,
        "nodes": structure,
        "connections": normal.get("connections").cloned().unwrap_or_else(|| json!({})),
        "settings": normal.get("settings").cloned().unwrap_or_else(|| json!({})),
    });
    Ok(canonical::foreign(&document)?)
}

fn node_structure(node: &Value) -> (String, Value) {
    let name = node.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut kept: Map<String, Value> =
        NODE_FIELDS.iter().filter_map(|field| node.get(*field).map(|value| ((*field).to_owned(), value.clone()))).collect();
    if let Some(credentials) = node.get("credentials").and_then(Value::as_object) {
        kept.insert("credentials".into(), credentials.keys().cloned().collect());
    }
    (name, Value::Object(kept))
}

#[cfg(test)]
#[path = "workflow_tests.rs"]
mod tests;
