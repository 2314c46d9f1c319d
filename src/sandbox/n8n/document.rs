//! The part of a workflow that a caller writes, checked as n8n's OpenAPI document has it.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::sandbox::json;

/// Types whose nodes get a `webhookId` from the server when they come without one.
pub(in crate::sandbox) const WEBHOOK_TYPE: &str = "n8n-nodes-base.webhook";

const NAME_CHARACTERS: std::ops::RangeInclusive<usize> = 1..=128;

const REQUIRED: [&str; 4] = ["name", "nodes", "connections", "settings"];
const OPTIONAL: [&str; 1] = ["staticData"];
const READ_ONLY: [&str; 9] = ["id", "active", "createdAt", "updatedAt", "isArchived", "versionId", "triggerCount", "meta", "tags"];
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

/// Why a document is refused; the text is what n8n says.
#[derive(Debug, thiserror::Error)]
pub(in crate::sandbox) enum Invalid {
    /// Something stands where its type does not belong.
    #[error("{0} must be {1}")]
    Type(String, &'static str),
    /// A property must be there.
    #[error("request/body must have required property '{0}'")]
    Missing(&'static str),
    /// Only the server writes this property.
    #[error("request/body/{0} is read-only")]
    ReadOnly(&'static str),
    /// A property that the schema does not have.
    #[error("{0} must NOT have additional properties")]
    Additional(String),
    /// The name's length.
    #[error("Workflow name must be 1 to 128 characters long.")]
    Name,
}

/// What a caller writes: everything else in a workflow is the server's.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Content {
    pub(super) name: String,
    pub(super) nodes: Vec<Value>,
    pub(super) connections: Value,
    pub(super) settings: Value,
    pub(super) static_data: Value,
}

impl Content {
    /// The body of a POST or PUT: unknown and read-only properties are refused.
    pub(in crate::sandbox) fn from_request(body: &Value) -> Result<Self, Invalid> {
        let members = object(body, "request/body")?;
        required(members)?;
        closed(members, "request/body", |key| REQUIRED.contains(&key) || OPTIONAL.contains(&key) || READ_ONLY.contains(&key))?;
        if let Some(key) = READ_ONLY.into_iter().find(|key| members.contains_key(*key)) {
            return Err(Invalid::ReadOnly(key));
        }
        let content = Self::from_members(members)?;
        closed(object(&content.settings, "request/body/settings")?, "request/body/settings", |key| SETTINGS.contains(&key))?;
        for (index, node) in content.nodes.iter().enumerate() {
            let place = format!("request/body/nodes/{index}");
            closed(object(node, &place)?, &place, |key| NODE.contains(&key))?;
        }
        if NAME_CHARACTERS.contains(&content.name.chars().count()) { Ok(content) } else { Err(Invalid::Name) }
    }

    /// An exported document: what the server wrote into it is passed over.
    pub(in crate::sandbox) fn from_export(document: &Value) -> Result<Self, Invalid> {
        let members = object(document, "request/body")?;
        required(members)?;
        let content = Self::from_members(members)?;
        for (index, node) in content.nodes.iter().enumerate() {
            object(node, &format!("request/body/nodes/{index}"))?;
        }
        Ok(content)
    }

    fn from_members(members: &Map<String, Value>) -> Result<Self, Invalid> {
        let member = |key: &'static str| members.get(key).ok_or(Invalid::Missing(key));
        let wrong = |key: &str, kind| Invalid::Type(format!("request/body/{key}"), kind);
        let connections = member("connections")?;
        let settings = member("settings")?;
        object(connections, "request/body/connections")?;
        object(settings, "request/body/settings")?;
        Ok(Self {
            name: member("name")?.as_str().ok_or_else(|| wrong("name", "string"))?.to_owned(),
            nodes: member("nodes")?.as_array().ok_or_else(|| wrong("nodes", "array"))?.clone(),
            connections: connections.clone(),
            settings: settings.clone(),
            static_data: members.get("staticData").cloned().unwrap_or_default(),
        })
    }

    /// `sha256:<hex>` of what the caller wrote. Take it before [`Content::complete`].
    pub(in crate::sandbox) fn digest(&self) -> String {
        json::digest(&serde_json::json!({
            "name": self.name,
            "nodes": self.nodes,
            "connections": self.connections,
            "settings": self.settings,
        }))
    }

    /// Puts a parameter into the last node that nobody sent.
    pub(in crate::sandbox) fn change(&mut self) {
        let parameters = self.nodes.last_mut().and_then(|node| node.get_mut("parameters")).and_then(Value::as_object_mut);
        if let Some(parameters) = parameters {
            parameters.insert("changed".to_owned(), true.into());
        }
    }

    /// Gives nodes the ids they lack, and webhook nodes their `webhookId`.
    pub(in crate::sandbox) fn complete(&mut self, mut uuid: impl FnMut() -> Uuid) {
        for node in self.nodes.iter_mut().filter_map(Value::as_object_mut) {
            let is_webhook = node.get("type").is_some_and(|kind| kind == WEBHOOK_TYPE);
            for key in ["id"].into_iter().chain(is_webhook.then_some("webhookId")) {
                if !node.contains_key(key) {
                    node.insert(key.to_owned(), uuid().to_string().into());
                }
            }
        }
    }
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>, Invalid> {
    value.as_object().ok_or_else(|| Invalid::Type(place.to_owned(), "object"))
}

fn required(members: &Map<String, Value>) -> Result<(), Invalid> {
    REQUIRED.into_iter().find(|key| !members.contains_key(*key)).map_or(Ok(()), |key| Err(Invalid::Missing(key)))
}

fn closed(members: &Map<String, Value>, place: &str, known: impl Fn(&str) -> bool) -> Result<(), Invalid> {
    if members.keys().all(|key| known(key)) { Ok(()) } else { Err(Invalid::Additional(place.to_owned())) }
}
