//! One call of every operation, with what it needs in the sandbox.

use mandate::model::call::{Call, IdempotencyKey, KeyedCall, Made, Place, Template, WebhookPath};
use mandate::model::rest::{Method, RestLookup, RestRequest, RestResource};
use mandate::model::workflow::structural_digest;
use mandate::sandbox::{Fault, FaultRule, Operation};
use serde_json::{Value, json};

use super::rig::{Rig, keyed};

pub const WORKFLOWS: &str = "/n8n/api/v1/workflows";
pub const TEMPLATE_PATH: &str = "11111111-1111-4111-8111-111111111111";

pub fn template_document() -> Value {
    json!({
        "name": "Reception template",
        "nodes": [
            {"id": "a", "name": "Incoming", "type": "n8n-nodes-base.webhook", "typeVersion": 2, "position": [0, 0],
             "parameters": {"path": TEMPLATE_PATH, "httpMethod": "POST"}},
            {"id": "b", "name": "Book", "type": "n8n-nodes-base.httpRequest", "typeVersion": 4.2, "position": [200, 0],
             "parameters": {"url": "https://placeholder.invalid", "method": "POST", "options": {"timeout": 5000}}},
            {"id": "c", "name": "Answer", "type": "n8n-nodes-base.set", "typeVersion": 3, "position": [400, 0],
             "parameters": {"values": {"string": [{"name": "clinic", "value": "placeholder"}]}}},
        ],
        "connections": {"Incoming": {"main": [[{"node": "Book", "type": "main", "index": 0}]]}},
        "settings": {"executionOrder": "v1"},
    })
}

pub fn places() -> Vec<Place> {
    let place = |node: &str, pointer: &str, source: &str| Place { node: node.into(), pointer: pointer.into(), source: source.into() };
    vec![place("Book", "/parameters/url", "parameter.bookingUrl"), place("Answer", "/parameters/values/string/0/value", "parameter.clinic")]
}

/// A template as a schema pins it, its document being in the sandbox.
pub async fn template(rig: &Rig) -> Template {
    let created = rig.direct("POST", WORKFLOWS, Some(template_document())).await;
    rig.settle();
    let webhooks = vec!["Incoming".to_owned()];
    Template {
        id: created["id"].as_str().unwrap().to_owned(),
        digest: structural_digest(&template_document(), &places(), &webhooks).unwrap(),
        node_types: ["webhook", "httpRequest", "set"].map(|name| format!("n8n-nodes-base.{name}")).to_vec(),
        places: places(),
        webhooks,
    }
}

pub fn clone_of(template: Template) -> KeyedCall {
    let values = vec!["https://booking.example/acme".to_owned(), "Acme Dental".to_owned()];
    keyed(Call::CloneWorkflow { template, label: "acme-dental intake".into(), values })
}

pub fn publish(workflow_id: &str, path: &str) -> KeyedCall {
    let webhooks = vec![WebhookPath { node: "Incoming".into(), path: path.into() }];
    keyed(Call::PublishWebhooks { workflow_id: workflow_id.into(), webhooks })
}

/// A clone in the sandbox, ready to be published at a path.
pub async fn publishable(rig: &Rig, path: &str) -> KeyedCall {
    let template = template(rig).await;
    let id = rig.done(&clone_of(template)).await.external_id.unwrap();
    rig.settle();
    publish(&id, path)
}

pub fn assistant() -> KeyedCall {
    let definition = json!({
        "model": {"provider": "openai", "model": "gpt-4o", "temperature": 0.5, "messages": [{"role": "system", "content": "Be kind."}]},
        "firstMessage": "Acme Dental, good morning.",
        "maxDurationSeconds": 600,
        "voicemailMessage": null,
        "metadata": {"tenant": "acme-dental"},
    });
    keyed(Call::CreateAssistant {
        name: "acme-dental reception".into(),
        definition: definition.to_string(),
        server_url: "https://n8n.example/webhook/acme".into(),
    })
}

pub fn subscription() -> KeyedCall {
    keyed(Call::SubscribeCalendar {
        subscriber_url: "https://n8n.example/webhook/acme-calendar".into(),
        triggers: vec!["BOOKING_CREATED".into(), "BOOKING_CANCELLED".into()],
        disabled: false,
    })
}

pub fn declared() -> RestResource {
    RestResource {
        create: RestRequest { method: Method::Post, path: "/v1/subscriptions".into(), body: None, success: vec![201] },
        key_pointer: "/externalId".into(),
        id_pointer: "/id".into(),
        lookup: Some(RestLookup { path: "/v1/subscriptions?externalId={key}".into(), items: "/items".into(), key: "/externalId".into() }),
        enable: None,
        disable: None,
        remove: None,
    }
}

pub fn resource_call(resource: RestResource) -> KeyedCall {
    let body = json!({"name": "acme-dental", "callbackUrl": "https://n8n.example/webhook/acme-crm"}).to_string();
    keyed(Call::CreateResource { resource: Box::new(resource), body, disabled: false })
}

pub fn resource() -> KeyedCall {
    resource_call(declared())
}

pub fn opaque() -> KeyedCall {
    resource_call(RestResource { lookup: None, ..declared() })
}

/// Every operation that creates something and finds it again.
pub async fn creating(rig: &Rig) -> Vec<KeyedCall> {
    rig.failing(vec![]);
    vec![clone_of(template(rig).await), assistant(), subscription(), resource()]
}

/// The same call under the key of a second try.
pub fn second_try(call: &KeyedCall) -> KeyedCall {
    let key = IdempotencyKey::new("request-1", "step", "call", 2, &call.input).unwrap();
    KeyedCall { key, ..call.clone() }
}

pub fn made_by(call: &KeyedCall, id: Option<&str>) -> Made {
    Made { id: id.map(str::to_owned), key: call.key.clone() }
}

/// A resource that can be switched and removed, as the examples declare one.
pub fn switchable() -> RestResource {
    let patch = |body: &str| RestRequest {
        method: Method::Patch,
        path: "/v1/subscriptions/{id}".into(),
        body: Some(body.into()),
        success: vec![200],
    };
    RestResource {
        enable: Some(patch(r#"{"enabled":true}"#)),
        disable: Some(patch(r#"{"enabled":false}"#)),
        remove: Some(RestRequest { method: Method::Delete, path: "/v1/subscriptions/{id}".into(), body: None, success: vec![200, 204] }),
        ..declared()
    }
}

/// The template after a revision: another parameter, a node more, a webhook node more.
pub fn newer_document() -> Value {
    let mut document = template_document();
    document["nodes"][1]["parameters"]["options"]["timeout"] = json!(9000);
    let nodes = document["nodes"].as_array_mut().unwrap();
    nodes.push(
        json!({"id": "d", "name": "Remember", "type": "n8n-nodes-base.set", "typeVersion": 3, "position": [600, 0], "parameters": {}}),
    );
    document
}

/// The newer template in the sandbox, and the call that brings a clone to it.
pub async fn update(rig: &Rig, workflow_id: &str, document: Value, webhooks: &[(&str, &str)]) -> KeyedCall {
    let created = rig.direct("POST", WORKFLOWS, Some(document.clone())).await;
    let nodes: Vec<String> = webhooks.iter().map(|(node, _)| (*node).to_owned()).collect();
    let template = Template {
        id: created["id"].as_str().unwrap().to_owned(),
        digest: structural_digest(&document, &places(), &nodes).unwrap(),
        node_types: ["webhook", "httpRequest", "set"].map(|name| format!("n8n-nodes-base.{name}")).to_vec(),
        places: places(),
        webhooks: nodes,
    };
    let webhooks = webhooks.iter().map(|(node, path)| WebhookPath { node: (*node).into(), path: (*path).into() }).collect();
    let values = vec!["https://booking.example/acme".to_owned(), "Acme Dental".to_owned()];
    rig.settle();
    keyed(Call::UpdateWorkflow { workflow_id: workflow_id.into(), template, values, webhooks })
}

/// What changes or removes something that an earlier call made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    Reactivate,
    UpdateWorkflow,
    RemoveWorkflow { by_key: bool },
    SetServerUrl { by_key: bool },
    UpdateAssistant { by_key: bool },
    RemoveAssistant { by_key: bool },
    SwitchOff,
    SwitchOn,
    SwitchSubscriptionOff,
    RemoveResource { by_key: bool },
    Unsubscribe { by_key: bool },
}

pub const LATER: [Later; 17] = [
    Later::Reactivate,
    Later::UpdateWorkflow,
    Later::RemoveWorkflow { by_key: false },
    Later::RemoveWorkflow { by_key: true },
    Later::SetServerUrl { by_key: false },
    Later::SetServerUrl { by_key: true },
    Later::UpdateAssistant { by_key: false },
    Later::UpdateAssistant { by_key: true },
    Later::RemoveAssistant { by_key: false },
    Later::RemoveAssistant { by_key: true },
    Later::SwitchOff,
    Later::SwitchOn,
    Later::SwitchSubscriptionOff,
    Later::RemoveResource { by_key: false },
    Later::RemoveResource { by_key: true },
    Later::Unsubscribe { by_key: false },
    Later::Unsubscribe { by_key: true },
];

/// A call on something that exists, and what it does to it.
pub struct Prepared {
    pub call: KeyedCall,
    /// Where others reach the thing.
    pub path: String,
    /// Its writes: method and path pattern, in order.
    pub writes: Vec<(&'static str, &'static str)>,
    pub effects: Vec<Operation>,
    pub removes: bool,
}

impl Later {
    /// The thing made, and the call; what was done so far is not counted.
    pub async fn prepared(self, rig: &Rig) -> Prepared {
        let prepared = match self {
            Self::Reactivate | Self::UpdateWorkflow | Self::RemoveWorkflow { .. } => self.on_workflow(rig).await,
            Self::SetServerUrl { .. } | Self::UpdateAssistant { .. } | Self::RemoveAssistant { .. } => self.on_assistant(rig).await,
            Self::SwitchOff | Self::SwitchOn | Self::RemoveResource { .. } => self.on_resource(rig).await,
            Self::SwitchSubscriptionOff | Self::Unsubscribe { .. } => self.on_subscription(rig).await,
        };
        rig.settle();
        prepared
    }

    async fn on_workflow(self, rig: &Rig) -> Prepared {
        let cloning = clone_of(template(rig).await);
        let id = rig.done(&cloning).await.external_id.unwrap();
        let unregistered = FaultRule::new(Fault::NotRegistered).on("POST", "/n8n/api/v1/workflows/*/activate");
        rig.failing(if self == Self::Reactivate { vec![unregistered] } else { vec![] });
        rig.perform(&publish(&id, "acme-1")).await;
        rig.failing(vec![]);
        let path = format!("{WORKFLOWS}/{id}");
        let (call, writes, effects) = match self {
            Self::Reactivate => (
                keyed(Call::ReactivateWorkflow { workflow_id: id }),
                vec![("POST", "/n8n/api/v1/workflows/*/deactivate"), ("POST", "/n8n/api/v1/workflows/*/activate")],
                vec![Operation::Deactivate, Operation::Activate, Operation::RegisterWebhook],
            ),
            Self::UpdateWorkflow => (
                update(rig, &id, newer_document(), &[("Incoming", "acme-1")]).await,
                vec![("PUT", "/n8n/api/v1/workflows/*")],
                vec![Operation::Update],
            ),
            _ => (
                keyed(Call::RemoveWorkflow { workflow: self.made(&cloning, &id) }),
                vec![("DELETE", "/n8n/api/v1/workflows/*")],
                vec![Operation::Delete, Operation::UnregisterWebhook],
            ),
        };
        Prepared { call, path, writes, effects, removes: matches!(self, Self::RemoveWorkflow { .. }) }
    }

    async fn on_assistant(self, rig: &Rig) -> Prepared {
        let creating = assistant();
        let id = rig.done(&creating).await.external_id.unwrap();
        let path = format!("/vapi/assistant/{id}");
        let assistant = self.made(&creating, &id);
        let server_url = "https://n8n.example/webhook/acme".to_owned();
        let (call, method, effect) = match self {
            Self::SetServerUrl { .. } => {
                rig.direct("PATCH", &path, Some(json!({"server": {"url": "https://old.example", "timeoutSeconds": 7}}))).await;
                (Call::SetServerUrl { assistant, server_url }, "PATCH", Operation::Update)
            }
            Self::UpdateAssistant { .. } => {
                let definition = json!({"firstMessage": "Acme Dental, good evening.", "model": {"provider": "openai"}}).to_string();
                (Call::UpdateAssistant { assistant, name: "acme-dental v2".into(), definition, server_url }, "PATCH", Operation::Update)
            }
            _ => (Call::RemoveAssistant { assistant }, "DELETE", Operation::Delete),
        };
        let removes = effect == Operation::Delete;
        Prepared { call: keyed(call), path, writes: vec![(method, "/vapi/assistant/*")], effects: vec![effect], removes }
    }

    async fn on_resource(self, rig: &Rig) -> Prepared {
        let creating = resource_call(switchable());
        let id = rig.done(&creating).await.external_id.unwrap();
        let path = format!("/crm/v1/subscriptions/{id}");
        let resource = Box::new(switchable());
        let (call, method, effect) = match self {
            Self::SwitchOff => (Call::SwitchResource { resource, id, enabled: false }, "PATCH", Operation::Update),
            Self::SwitchOn => {
                rig.direct("PATCH", &path, Some(json!({"enabled": false}))).await;
                (Call::SwitchResource { resource, id, enabled: true }, "PATCH", Operation::Update)
            }
            _ => (Call::RemoveResource { resource, made: self.made(&creating, &id) }, "DELETE", Operation::Delete),
        };
        let removes = effect == Operation::Delete;
        Prepared { call: keyed(call), path, writes: vec![(method, "/crm/v1/subscriptions/*")], effects: vec![effect], removes }
    }

    async fn on_subscription(self, rig: &Rig) -> Prepared {
        let id = rig.done(&subscription()).await.external_id.unwrap();
        let path = format!("/calcom/v2/webhooks/{id}");
        let subscriber_url = "https://n8n.example/webhook/acme-calendar".to_owned();
        let (call, method, effect) = match self {
            Self::SwitchSubscriptionOff => (Call::SwitchSubscription { id, subscriber_url, enabled: false }, "PATCH", Operation::Update),
            Self::Unsubscribe { by_key: true } => (Call::Unsubscribe { id: None, subscriber_url }, "DELETE", Operation::Delete),
            _ => (Call::Unsubscribe { id: Some(id), subscriber_url }, "DELETE", Operation::Delete),
        };
        let removes = effect == Operation::Delete;
        Prepared { call: keyed(call), path, writes: vec![(method, "/calcom/v2/webhooks/*")], effects: vec![effect], removes }
    }

    fn made(self, call: &KeyedCall, id: &str) -> Made {
        let by_key = match self {
            Self::RemoveWorkflow { by_key }
            | Self::SetServerUrl { by_key }
            | Self::UpdateAssistant { by_key }
            | Self::RemoveAssistant { by_key }
            | Self::RemoveResource { by_key }
            | Self::Unsubscribe { by_key } => by_key,
            Self::Reactivate | Self::UpdateWorkflow | Self::SwitchOff | Self::SwitchOn | Self::SwitchSubscriptionOff => false,
        };
        made_by(call, (!by_key).then_some(id))
    }
}
