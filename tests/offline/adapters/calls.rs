//! One call of every operation, with what it needs in the sandbox.

use mandate::model::call::{Call, KeyedCall, Place, Template, WebhookPath};
use mandate::model::rest::{Method, RestLookup, RestRequest, RestResource};
use mandate::model::workflow::structural_digest;
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
