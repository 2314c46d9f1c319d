//! What stands before the search begins: providers and schemas that both tenants share, and a tenant with one deployment.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use mandate::kinds::crd;
use mandate::model::canonical::Digest;
use mandate::model::object::{FINALIZER, HOLDS_RECORDS, Object, ObjectKey};
use mandate::model::resource::NAMESPACE;
use mandate::model::rest::RestLookup;
use serde_json::{Value, json};

use super::state::{Kept, NOW, Outside, Side, Spent, put};

/// The two tenants. Neither name begins the other.
pub const TENANTS: [&str; 2] = ["alpha", "beta"];

/// A document as an object of its kind.
pub fn object(document: Value) -> Object {
    let kind = document["kind"].as_str().unwrap();
    let ours = crd::resources().into_iter().chain([&NAMESPACE]);
    Object { resource: ours.into_iter().find(|resource| resource.kind == kind).unwrap(), body: document }
}

fn ready(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": "Asis", "message": "", "observedGeneration": 1, "lastTransitionTime": NOW})
}

/// The smallest schema that lint would pass but for its single workflow. Version 1.0 has a CRM in which nothing is found again
/// (its creation is Opaque), 2.0 one with a lookup.
fn schema(version: &str) -> Value {
    let request = |method: &str, path: &str| json!({"method": method, "path": path, "success": [200]});
    let mut resource = json!({
        "create": request("POST", "/s"), "keyPointer": "/key", "idPointer": "/id",
        "enable": request("PATCH", "/s/{id}"), "disable": request("PATCH", "/s/{id}"), "remove": request("DELETE", "/s/{id}"),
    });
    if version == "2.0" {
        resource["lookup"] =
            serde_json::to_value(RestLookup { path: "/s?key={key}".into(), items: "/items".into(), key: "/key".into() }).unwrap();
    }
    json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "ProvisioningSchema",
        "metadata": {"name": format!("recepcionista-ia-{version}-r1")},
        "spec": {
            "constitutionVersion": "1.0", "product": "recepcionista-ia", "version": version, "revision": 1,
            "workflows": [{
                "name": "intake", "templateId": "tPlIntake1", "digest": Digest::of_bytes(version.as_bytes()),
                "nodeTypes": ["n8n-nodes-base.webhook"], "webhooks": ["Calls"],
            }],
            "integrations": {
                "crm": {"resource": resource, "body": "{\"url\":\"\"}", "substitutions": [{"pointer": "/url", "source": "webhooks.intake.Calls"}]},
                "calendar": {"triggers": ["BOOKING_CREATED"], "webhook": {"workflow": "intake", "node": "Calls"}},
            },
            "voice": {"assistant": "{}", "server": {"workflow": "intake", "node": "Calls"}},
            "verification": [{"item": "webhook-accessibility", "check": "Call it."}],
        },
        "status": {"conditions": [ready("Ready")], "observedGeneration": 1},
    })
}

/// What both tenants share and nothing in the search changes.
pub fn shared() -> OrdMap<ObjectKey, Kept> {
    let mut objects = OrdMap::new();
    for (name, kind) in [("n8n", "n8n"), ("crm", "http"), ("calcom", "calcom"), ("vapi", "vapi")] {
        let connection = json!({"baseUrl": format!("https://{name}.example")});
        put(
            &mut objects,
            object(json!({
                "apiVersion": "mandate.dev/v1alpha1", "kind": "Provider", "metadata": {"name": name},
                "spec": {"providerId": name, "type": kind, "connection": connection, "required": true},
                "status": {"conditions": [ready("Configured")], "observedGeneration": 1},
            })),
        );
    }
    for version in ["1.0", "2.0"] {
        put(&mut objects, object(schema(version)));
    }
    objects
}

/// A tenant with one deployment that nobody has looked at yet.
pub fn side(tenant: &str) -> Side {
    let mut objects = OrdMap::new();
    let mut keep = |document: Value| drop(put(&mut objects, object(document)));
    keep(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": tenant, "labels": {"mandate.dev/tenant": tenant, HOLDS_RECORDS: "true"}},
    }));
    keep(json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": tenant},
        "spec": {"owners": [{"kind": "User", "name": "olga"}]},
        "status": {"conditions": [ready("Ready")], "observedGeneration": 1},
    }));
    keep(json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "AssistantDeployment",
        "metadata": {"name": deployment_name(tenant), "namespace": tenant, "finalizers": [FINALIZER]},
        "spec": {
            "product": "recepcionista-ia", "version": "1.0", "operator": "ana", "via": "Relay",
            "providers": {"workflows": "n8n", "crm": "crm", "calendar": "calcom", "voice": "vapi"},
        },
        "status": {"observedGeneration": -1},
    }));
    Side { objects, outside: Arc::new(Outside::default()), passing: OrdSet::new(), spent: Spent::default() }
}

/// Each tenant's deployment has a name of its own.
pub fn deployment_name(tenant: &str) -> String {
    format!("{tenant}-desk")
}

/// A decision of a person.
pub fn decision(namespace: &str, name: &str, subject: &Object, act: &str, hash: &Value, checklist: &Value) -> Object {
    object(json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "subject": {"kind": subject.resource.kind, "name": subject.name(), "uid": subject.uid(), "hash": hash},
            "act": act, "operator": "ben", "via": "Relay", "checklist": checklist, "note": "as agreed",
        },
    }))
}
