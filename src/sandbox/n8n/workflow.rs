//! Workflows as the server keeps them, and the register of production webhooks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::sandbox::json::{ObjectText, compact};
use crate::sandbox::packed::Packed;
use crate::sandbox::state::{Collection, Resource, written};

use super::document::{Content, WEBHOOK_TYPE};

/// Types that start a workflow without being named `...Trigger`.
const OTHER_TRIGGERS: [&str; 4] = [WEBHOOK_TYPE, "n8n-nodes-base.cron", "n8n-nodes-base.interval", "n8n-nodes-base.emailReadImap"];
/// Types named `...Trigger` that only a person at the editor starts.
const MANUAL_TRIGGERS: [&str; 2] = ["n8n-nodes-base.manualTrigger", "@n8n/n8n-nodes-langchain.manualChatTrigger"];

/// A production webhook: `/webhook/<path>` answers this method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Webhook {
    pub(in crate::sandbox) method: String,
    pub(in crate::sandbox) path: String,
}

/// One workflow. Its nodes are packed text: thousands of workflows are kept and few are read.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Workflow {
    id: String,
    name: String,
    active: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    version_id: Uuid,
    version_counter: u64,
    nodes: Packed,
    connections: Packed,
    settings: Box<str>,
    static_data: Box<str>,
    publications: Vec<Publication>,
    triggers: usize,
    webhooks: Vec<Webhook>,
    /// Whether publishing registered the webhooks.
    registered: bool,
    digest: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Publication {
    event: String,
    version_id: Uuid,
    created_at: Timestamp,
}

/// What the log keeps of a workflow besides its content.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    id: String,
    active: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    version_id: Uuid,
    version_counter: u64,
    publications: Vec<Publication>,
    #[serde(default = "registers")]
    registered: bool,
}

fn registers() -> bool {
    true
}

impl Workflow {
    /// A new, inactive workflow.
    pub(in crate::sandbox) fn created(id: String, content: Content, digest: String, at: Timestamp, version_id: Uuid) -> Self {
        let kept = Kept {
            id,
            active: false,
            created_at: at,
            updated_at: at,
            version_id,
            version_counter: 1,
            publications: Vec::new(),
            registered: true,
        };
        Self::assembled(kept, content, digest)
    }

    /// The same workflow with new content; an active one is thereby published again.
    pub(in crate::sandbox) fn revised(&self, content: Content, digest: String, at: Timestamp, version_id: Uuid) -> Self {
        let kept = Kept {
            id: self.id.clone(),
            active: self.active,
            created_at: self.created_at,
            updated_at: at,
            version_id,
            version_counter: self.version_counter + 1,
            publications: Vec::new(),
            registered: true,
        };
        let revised = Self::assembled(kept, content, digest);
        if self.active { revised.published("activated", at) } else { revised }
    }

    /// The same workflow, published.
    pub(in crate::sandbox) fn activated(&self, at: Timestamp) -> Self {
        Self { active: true, updated_at: at, ..self.clone() }.published("activated", at)
    }

    /// The same workflow, its webhooks registered by the publication or not.
    pub(in crate::sandbox) fn registering(self, registered: bool) -> Self {
        Self { registered, ..self }
    }

    /// The same workflow, unpublished.
    pub(in crate::sandbox) fn deactivated(&self, at: Timestamp) -> Self {
        Self { active: false, updated_at: at, ..self.clone() }.published("deactivated", at)
    }

    fn published(mut self, event: &str, at: Timestamp) -> Self {
        self.publications.push(Publication { event: event.to_owned(), version_id: self.version_id, created_at: at });
        self
    }

    fn assembled(kept: Kept, content: Content, digest: String) -> Self {
        let Kept { id, active, created_at, updated_at, version_id, version_counter, publications, registered } = kept;
        let Content { name, nodes, connections, settings, static_data } = content;
        let enabled = || nodes.iter().filter(|node| node.get("disabled") != Some(&Value::Bool(true)));
        Self {
            id,
            name,
            active,
            created_at,
            updated_at,
            version_id,
            version_counter,
            triggers: enabled().filter(|node| is_trigger(node)).count(),
            webhooks: enabled().flat_map(webhooks_of).collect(),
            nodes: Packed::new(&compact(&nodes)),
            connections: Packed::new(&compact(&connections)),
            settings: compact(&settings).into(),
            static_data: compact(&static_data).into(),
            publications,
            registered,
            digest,
        }
    }

    pub(in crate::sandbox) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::sandbox) fn active(&self) -> bool {
        self.active
    }

    pub(in crate::sandbox) fn digest(&self) -> &str {
        &self.digest
    }

    pub(in crate::sandbox) fn has_trigger(&self) -> bool {
        self.triggers > 0
    }

    /// The production webhooks that answer now.
    pub(in crate::sandbox) fn live_webhooks(&self) -> Vec<Webhook> {
        if self.active && self.registered { self.webhooks.clone() } else { Vec::new() }
    }

    /// The workflow as the API shows it.
    pub(in crate::sandbox) fn rendered(&self) -> String {
        let active_version = if self.active { self.active_version() } else { String::from("null") };
        ObjectText::with_capacity(2 * (self.nodes.len() + self.connections.len()) + 1024)
            .value("id", &self.id)
            .value("name", &self.name)
            .value("description", &Value::Null)
            .value("active", &self.active)
            .value("isArchived", &false)
            .value("createdAt", &written(self.created_at))
            .value("updatedAt", &written(self.updated_at))
            .raw("nodes", &self.nodes.text())
            .raw("connections", &self.connections.text())
            .raw("settings", &self.settings)
            .raw("staticData", &self.static_data)
            .value("meta", &Value::Null)
            .value("pinData", &Value::Null)
            .value("versionId", &self.version_id)
            .value("versionCounter", &self.version_counter)
            .value("activeVersionId", &self.active.then_some(self.version_id))
            .value("triggerCount", &if self.active { self.triggers } else { 0 })
            .raw("shared", &self.shared())
            .raw("tags", "[]")
            .raw("activeVersion", &active_version)
            .finish()
    }

    fn shared(&self) -> String {
        let share = ObjectText::with_capacity(256)
            .value("createdAt", &written(self.created_at))
            .value("updatedAt", &written(self.created_at))
            .value("role", "workflow:owner")
            .value("workflowId", &self.id)
            .value("projectId", "sandboxProject00")
            .finish();
        format!("[{share}]")
    }

    fn active_version(&self) -> String {
        let history: Vec<Value> = self
            .publications
            .iter()
            .filter(|publication| publication.version_id == self.version_id)
            .zip(1..)
            .map(|(publication, id)| {
                serde_json::json!({
                    "id": id,
                    "workflowId": self.id,
                    "versionId": publication.version_id,
                    "event": publication.event,
                    "createdAt": written(publication.created_at),
                })
            })
            .collect();
        ObjectText::with_capacity(self.nodes.len() + self.connections.len() + 512)
            .value("versionId", &self.version_id)
            .value("workflowId", &self.id)
            .raw("nodes", &self.nodes.text())
            .raw("connections", &self.connections.text())
            .value("authors", "Sandbox Owner")
            .value("name", &Value::Null)
            .value("description", &Value::Null)
            .value("createdAt", &written(self.updated_at))
            .value("updatedAt", &written(self.updated_at))
            .value("workflowPublishHistory", &history)
            .finish()
    }

    /// The workflow as the log keeps it.
    pub(in crate::sandbox) fn record(&self) -> String {
        ObjectText::with_capacity(self.nodes.len() + self.connections.len() + 512)
            .value("id", &self.id)
            .value("name", &self.name)
            .value("active", &self.active)
            .value("createdAt", &self.created_at)
            .value("updatedAt", &self.updated_at)
            .value("versionId", &self.version_id)
            .value("versionCounter", &self.version_counter)
            .value("publications", &self.publications)
            .value("registered", &self.registered)
            .raw("nodes", &self.nodes.text())
            .raw("connections", &self.connections.text())
            .raw("settings", &self.settings)
            .raw("staticData", &self.static_data)
            .finish()
    }
}

impl Resource for Workflow {
    fn id(&self) -> &str {
        &self.id
    }
}

/// All workflows, and which of them holds which production webhook.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Workflows {
    collection: Collection<Workflow>,
    /// Path, then method, then the workflow's id.
    registered: BTreeMap<String, BTreeMap<String, String>>,
}

impl Workflows {
    /// See [`Collection::read`].
    pub(in crate::sandbox) fn read(&self, id: &str, now: Timestamp) -> Option<&Workflow> {
        self.collection.read(id, now)
    }

    /// See [`Collection::get`].
    pub(in crate::sandbox) fn get(&self, id: &str) -> Option<&Workflow> {
        self.collection.get(id)
    }

    /// See [`Collection::list`].
    pub(in crate::sandbox) fn list(&self, now: Timestamp) -> impl Iterator<Item = &Workflow> {
        self.collection.list(now)
    }

    /// Stores a workflow and brings the register in line with it.
    pub(in crate::sandbox) fn put(&mut self, workflow: Workflow, visible_from: Timestamp) {
        self.unregister(&workflow.id);
        for Webhook { method, path } in workflow.live_webhooks() {
            self.registered.entry(path).or_default().insert(method, workflow.id.clone());
        }
        self.collection.put(workflow, visible_from);
    }

    /// Takes a workflow and its webhooks away.
    pub(in crate::sandbox) fn remove(&mut self, id: &str) {
        self.unregister(id);
        self.collection.remove(id);
    }

    /// Puts back what [`Workflow::record`] wrote.
    pub(in crate::sandbox) fn restore(&mut self, record: &Value, digest: &str) -> Result<(), String> {
        let kept = Kept::deserialize(record).map_err(|error| error.to_string())?;
        let content = Content::from_export(record).map_err(|error| error.to_string())?;
        self.put(Workflow::assembled(kept, content, digest.to_owned()), Timestamp::MIN);
        Ok(())
    }

    /// Whether another active workflow holds one of this one's webhooks.
    pub(in crate::sandbox) fn conflicts(&self, workflow: &Workflow) -> bool {
        let holder = |webhook: &Webhook| self.registered.get(&webhook.path).and_then(|methods| methods.get(&webhook.method));
        workflow.webhooks.iter().filter_map(holder).any(|id| *id != workflow.id)
    }

    /// The methods that answer at a path, in alphabetical order.
    pub(in crate::sandbox) fn methods_at(&self, path: &str) -> Vec<&str> {
        self.registered.get(path).map(|methods| methods.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    fn unregister(&mut self, id: &str) {
        for Webhook { method, path } in self.collection.get(id).map(Workflow::live_webhooks).unwrap_or_default() {
            if let Some(methods) = self.registered.get_mut(&path) {
                methods.remove(&method);
                if methods.is_empty() {
                    self.registered.remove(&path);
                }
            }
        }
    }
}

fn is_trigger(node: &Value) -> bool {
    let kind = node.get("type").and_then(Value::as_str).unwrap_or_default();
    OTHER_TRIGGERS.contains(&kind) || (kind.ends_with("Trigger") && !MANUAL_TRIGGERS.contains(&kind))
}

fn webhooks_of(node: &Value) -> Vec<Webhook> {
    if node.get("type").is_none_or(|kind| kind != WEBHOOK_TYPE) {
        return Vec::new();
    }
    let text = |pointer| node.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    // A node without a path answers at its webhookId.
    let Some(path) = text("/parameters/path").or_else(|| text("/webhookId")) else { return Vec::new() };
    let path = path.trim_matches('/');
    let methods = match node.pointer("/parameters/httpMethod") {
        Some(Value::Array(methods)) => methods.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(method)) => vec![method.as_str()],
        _ => vec!["GET"],
    };
    methods.into_iter().map(|method| Webhook { method: method.to_uppercase(), path: path.to_owned() }).collect()
}
