//! docs/hashes.md: each published text is what the code hashes, and the printed command agrees with the printed hash.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

use std::path::Path;
use std::process::Command;

use mandate::model::call::{IdempotencyKey, Place};
use mandate::model::canonical::{self, Digest};
use mandate::model::record::{ChainHead, RecordDraft, Subject, entry_text};
use mandate::model::workflow::structural_digest;
use mandate::offline::canonical::{Choice, text};
use serde_json::{Value, json};

/// A published text: heading, text, and the digest that the code comes to by its own way.
struct Vector {
    heading: &'static str,
    text: String,
    digest: Digest,
}

const UID: &str = "5f0c0f0e-0000-4000-8000-000000000001";

fn plain(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

fn key() -> (String, IdempotencyKey) {
    let input = plain("{}");
    let document = json!({"requestUid": UID, "step": "WorkflowCloning", "call": "clone/intake", "try": 1, "inputDigest": input});
    let key = IdempotencyKey::new(UID, "WorkflowCloning", "clone/intake", 1, &input).unwrap();
    (canonical::own(&document).unwrap().into_string(), key)
}

fn schema() -> Value {
    json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "ProvisioningSchema", "metadata": {"name": "recepcionista-ia-1.0-r1"},
        "spec": {"constitutionVersion": "1.0", "product": "recepcionista-ia", "version": "1.0", "revision": 1},
    })
}

/// The schema as the API server stores it.
fn published_schema() -> Value {
    let mut schema = schema();
    schema["metadata"]["uid"] = "5f0c0f0e-0000-4000-8000-000000000003".into();
    schema
}

fn request() -> Value {
    let schema: mandate::kinds::provisioningschema::api::ProvisioningSchema = serde_json::from_value(schema()).unwrap();
    json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "ProvisioningRequest",
        "metadata": {"name": "receptionist-1", "namespace": "acme-dental", "uid": UID},
        "spec": {
            "deployment": {"name": "receptionist", "uid": "5f0c0f0e-0000-4000-8000-000000000002"},
            "tenantName": "acme-dental", "productType": "recepcionista-ia", "version": "1.0",
            "schemaRef": {"name": "recepcionista-ia-1.0-r1", "digest": schema.spec.digest().unwrap()},
            "operator": "ana@acme-dental.example", "via": "Direct", "attempt": 1, "pathAttempt": 1, "reason": "Initial", "demo": false,
            "providers": {"workflows": "n8n", "crm": "crm", "calendar": "calcom", "voice": "vapi"},
            "parameters": {"language": "es"},
        },
        "status": {"observedGeneration": 1, "journal": {"steps": [{
            "step": "WorkflowCloning",
            "doneAt": "2026-01-31T12:00:01Z",
            "calls": [{
                "name": "clone/intake", "operation": "CloneWorkflow", "key": key().1, "provider": "n8n", "leavesResource": true,
                "intendedAt": "2026-01-31T12:00:00Z",
                "result": {"externalId": "Q1w2E3r4T5y6U7i8", "digest": plain("{}")},
            }],
        }]}},
    })
}

fn of_object(heading: &'static str, object: &Value, evidence: bool) -> Vector {
    let text = text(object, Choice { evidence, ..Choice::default() }).unwrap();
    let request = || serde_json::from_value::<mandate::kinds::provisioningrequest::api::ProvisioningRequest>(object.clone()).unwrap();
    let digest = match heading {
        "ProvisioningSchema" => serde_json::from_value::<mandate::kinds::provisioningschema::api::ProvisioningSchema>(object.clone())
            .unwrap()
            .spec
            .digest()
            .unwrap(),
        "ProvisioningRequest" => request().spec.digest().unwrap(),
        _ => plain(&text),
    };
    Vector { heading, text, digest }
}

fn record() -> Vector {
    let subject =
        Subject { kind: "ProvisioningRequest".into(), namespace: "acme-dental".into(), name: "receptionist-1".into(), uid: UID.into() };
    let before = ChainHead { length: 1, head: plain("the entry before") };
    let draft = RecordDraft {
        event: "ProvisioningVerified",
        cause: plain("{}"),
        actor: "ben@acme-dental.example".into(),
        payload: json!({"act": "Verify"}),
    };
    let time = serde_json::from_value(json!("2026-01-31T12:00:00Z")).unwrap();
    let entry = entry_text(&subject, Some(&before), time, &draft).unwrap();
    Vector { heading: "AuditRecord", digest: entry.digest(), text: entry.into_string() }
}

fn structure() -> Vector {
    let template = json!({
        "id": "aaaa", "name": "Template", "settings": {"executionOrder": "v1"},
        "nodes": [
            {"id": "1", "name": "Hook", "type": "n8n-nodes-base.webhook", "typeVersion": 2, "position": [0, 0], "webhookId": "w",
             "parameters": {"path": "5f0c0f0e-0000-4000-8000-000000000000", "httpMethod": "POST"}},
            {"id": "2", "name": "Send", "type": "n8n-nodes-base.httpRequest", "typeVersion": 4.2, "position": [1, 0],
             "parameters": {"url": "https://template.example", "options": {}}, "credentials": {"httpHeaderAuth": {"id": "c", "name": "n"}}},
        ],
        "connections": {"Hook": {"main": [[{"node": "Send", "type": "main", "index": 0}]]}},
    });
    let place = |pointer: &str, source: &str| Place { node: "Send".into(), pointer: pointer.into(), source: source.into() };
    let places = [place("/parameters/url", "parameters.crmUrl"), place("/credentials/httpHeaderAuth/id", "credentials.crm.id")];
    let document = json!({
        "@type": "mandate.dev/WorkflowStructure/v1",
        "nodes": {
            "Hook": {"type": "n8n-nodes-base.webhook", "typeVersion": 2, "parameters": {"path": "{webhook.Hook}", "httpMethod": "POST"}},
            "Send": {"type": "n8n-nodes-base.httpRequest", "typeVersion": 4.2, "credentials": ["httpHeaderAuth"],
                     "parameters": {"url": "{parameters.crmUrl}", "options": {}}},
        },
        "connections": template["connections"],
        "settings": template["settings"],
    });
    Vector {
        heading: "WorkflowStructure",
        text: canonical::foreign(&document).unwrap().into_string(),
        digest: structural_digest(&template, &places, &["Hook".into()]).unwrap(),
    }
}

fn vectors() -> Vec<Vector> {
    let (text, key) = key();
    vec![
        Vector { heading: "IdempotencyKey", text, digest: key.digest().clone() },
        of_object("ProvisioningSchema", &schema(), false),
        of_object("ProvisioningRequest", &request(), false),
        of_object("Evidence", &request(), true),
        of_object("Evidence", &published_schema(), true),
        record(),
        structure(),
    ]
}

fn published() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hashes.md")).unwrap()
}

#[test]
fn the_code_hashes_exactly_the_published_texts() {
    let document = published();
    let mut wrong = Vec::new();
    for Vector { heading, text, digest } in vectors() {
        assert_eq!(digest, plain(&text), "{heading}: the code hashes something else than this text");
        assert!(!text.contains('\''), "{heading}: the text would end the quotes of the command");
        let block = format!("printf '%s' '{text}' | sha256sum\n# {}\n", digest.hex());
        let section = document.split("\n## ").find(|section| section.starts_with(heading)).unwrap_or_default();
        if !section.contains(&block) {
            wrong.push(format!("{heading}:\n{block}"));
        }
    }
    assert!(wrong.is_empty(), "docs/hashes.md must hold\n{}", wrong.join("\n"));
}

#[test]
fn the_published_commands_print_the_published_hashes() {
    let document = published();
    let lines: Vec<&str> = document.lines().collect();
    let mut run = 0;
    for pair in lines.windows(2).filter(|pair| pair[0].starts_with("printf ")) {
        let output = Command::new("sh").args(["-c", pair[0]]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.split(' ').next(), pair[1].strip_prefix("# "), "{}", pair[0]);
        run += 1;
    }
    assert_eq!(run, vectors().len());
}

/// A hashed document that is not published would be a promise nobody can check.
#[test]
fn every_type_that_is_hashed_is_published() {
    let found = regex::Regex::new(r#""mandate\.dev/([A-Z][A-Za-z]*)/v(\d+)""#).unwrap();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap_or_default();
        for name in found.find_iter(&source) {
            seen += 1;
            assert!(
                published().contains(name.as_str().trim_matches('"')),
                "docs/hashes.md does not name {} of {}",
                name.as_str(),
                path.display()
            );
        }
    }
    assert!(seen >= 7, "{seen}");
}
