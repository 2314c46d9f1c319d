//! docs/fidelity.md: what makes a workflow the same workflow, by vectors in both directions and by properties.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

use std::path::Path;
use std::process::Command;

use mandate::model::call::Place;
use mandate::model::canonical::{self, Digest};
use mandate::model::workflow::{self, NODE_FIELDS, WEBHOOK_NODE};
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Map, Value, json};

fn published() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fidelity.md")).unwrap()
}

/// First cells of the table whose heading begins so.
fn column(heading: &str) -> Vec<String> {
    let document = published();
    let table = document.split(&format!("| {heading} |")).nth(1).unwrap().lines().skip(2);
    let row = |line: &str| line.split('|').nth(1).unwrap().trim().trim_matches('`').to_owned();
    table.take_while(|line| line.starts_with('|')).map(row).collect()
}

/// A published workflow, what the schema says of it, and the command with the hash below it.
struct Vector {
    title: String,
    workflow: Value,
    places: Vec<Place>,
    webhooks: Vec<String>,
    command: String,
    hash: String,
}

fn vectors() -> Vec<Vector> {
    let document = published();
    let vector = |section: &str| {
        let block = |fence: &str, number: usize| {
            let after = section.split(&format!("```{fence}\n")).nth(number).unwrap();
            after.split("\n```").next().unwrap().to_owned()
        };
        let said: Value = serde_json::from_str(&block("json", 2)).unwrap();
        let (command, hash) = block("sh", 1).split_once('\n').map(|(command, hash)| (command.to_owned(), hash.to_owned())).unwrap();
        Vector {
            title: section.lines().next().unwrap().to_owned(),
            workflow: canonical::parse(&block("json", 1)).unwrap(),
            places: serde_json::from_value(said["substitutions"].clone()).unwrap(),
            webhooks: serde_json::from_value(said["webhooks"].clone()).unwrap(),
            command,
            hash: hash.strip_prefix("# ").unwrap().to_owned(),
        }
    };
    document.split("\n### ").skip(1).map(vector).collect()
}

#[test]
fn the_code_comes_from_each_published_workflow_to_the_published_text_and_hash() {
    for Vector { title, workflow, places, webhooks, command, hash } in vectors() {
        let text = workflow::structure(&workflow, &places, &webhooks).unwrap();
        assert!(!text.as_str().contains('\''), "{title}: the text would end the quotes of the command");
        assert_eq!(command, format!("printf '%s' '{}' | sha256sum", text.as_str()), "{title}");
        assert_eq!(workflow::structural_digest(&workflow, &places, &webhooks).unwrap().hex(), hash, "{title}");
    }
}

#[test]
fn sha256sum_comes_from_each_published_text_to_the_published_hash() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 4);
    for Vector { title, command, hash, .. } in &vectors {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().split(' ').next(), Some(hash.as_str()), "{title}");
    }
    assert_eq!(vectors[0].hash, vectors[1].hash, "a template and its clone");
    assert_ne!(vectors[0].hash, vectors[2].hash, "a template and what it was changed to");
}

#[test]
fn the_published_fields_are_those_that_the_code_counts() {
    let expected: Vec<&str> = ["name"].into_iter().chain(NODE_FIELDS).chain(["credentials"]).collect();
    assert_eq!(column("Of a node"), expected);
    let vector = vectors().remove(0);
    let text = workflow::structure(&vector.workflow, &vector.places, &vector.webhooks).unwrap();
    let structure = canonical::parse(text.as_str()).unwrap();
    let keys: Vec<&str> = structure.as_object().unwrap().keys().map(String::as_str).filter(|key| *key != "@type").collect();
    let mut published = column("Of the workflow");
    published.sort();
    assert_eq!(keys, published);
}

const NAMES: [&str; 6] = ["Call events", "Greet", "Find patient", "añadir", "Nodo/~1", "x"];
const CONNECTED: [&str; 3] = ["main", "error", "ai_tool"];

/// Values as parameters hold them. Numbers are those that have one form only, so that two differ when their text does.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-1000_i64..1000).prop_map(Value::from),
        "[a-zéñ{}\"\\\\ ]{0,8}".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-z/~]{1,5}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-z]{1,5}", json_value(), 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// A node of this name: a webhook for the first, anything for the others.
fn node(name: &'static str) -> impl Strategy<Value = Value> {
    let optional = subsequence(&NODE_FIELDS[3..], 0..=NODE_FIELDS.len() - 3);
    let credentials = subsequence(&["httpHeaderAuth", "oAuth2Api", "n8nApi"][..], 0..3);
    (object(), 1_i64..5, optional, json_value(), credentials).prop_map(move |(parameters, version, fields, value, credentials)| {
        let kind = if name == NAMES[0] { WEBHOOK_NODE } else { "n8n-nodes-base.set" };
        let mut node = json!({"name": name, "type": kind, "typeVersion": version, "parameters": parameters});
        if name == NAMES[0] {
            node["parameters"]["path"] = "5f0c0f0e-0000-4000-8000-000000000000".into();
        } else {
            node["parameters"]["text"] = "Hola".into();
        }
        for field in fields {
            node[field] = value.clone();
        }
        if !credentials.is_empty() {
            node["credentials"] = credentials.into_iter().map(|name| (name.to_owned(), json!({"id": "c", "name": "n"}))).collect();
        }
        node
    })
}

fn a_workflow() -> impl Strategy<Value = Value> {
    let nodes: Vec<_> = NAMES.map(node).into_iter().collect();
    let connections = prop::collection::btree_map(prop::sample::select(&NAMES[..]), json_value(), 0..4);
    (nodes, 2..=NAMES.len(), connections, object()).prop_map(|(nodes, kept, connections, settings)| {
        let connections: Map<String, Value> = connections.into_iter().map(|(name, to)| (name.to_owned(), json!({"main": to}))).collect();
        json!({"name": "Template", "nodes": &nodes[..kept], "connections": connections, "settings": settings})
    })
}

fn webhooks() -> Vec<String> {
    vec![NAMES[0].to_owned()]
}

fn places() -> Vec<Place> {
    vec![Place { node: NAMES[1].to_owned(), pointer: "/parameters/text".to_owned(), source: "parameters.greeting".to_owned() }]
}

fn digest(workflow: &Value) -> Digest {
    workflow::structural_digest(workflow, &places(), &webhooks()).unwrap()
}

/// The same value, or another one.
fn canonically_equal(one: &Value, other: &Value) -> bool {
    canonical::foreign(one).unwrap() == canonical::foreign(other).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_nodes_does_not_count(workflow in a_workflow(), order in Just((0..NAMES.len()).collect::<Vec<_>>()).prop_shuffle()) {
        let nodes = workflow["nodes"].as_array().unwrap();
        let mut permuted = workflow.clone();
        permuted["nodes"] = order.into_iter().filter_map(|index| nodes.get(index).cloned()).collect();
        prop_assert_eq!(digest(&permuted), digest(&workflow));
    }

    #[test]
    fn what_is_published_as_not_counting_does_not(workflow in a_workflow(), value in json_value(), at in any::<prop::sample::Index>()) {
        let not_counting = column("Field");
        let mut changed = workflow.clone();
        // As n8n answers, with all of it at once.
        for row in &not_counting[..3] {
            for field in row.split(['`', ',', ' ']).filter(|word| word.chars().all(char::is_alphanumeric) && !["of", "the", "workflow", ""].contains(word)) {
                changed[field] = value.clone();
            }
        }
        let nodes = changed["nodes"].as_array_mut().unwrap();
        let node = &mut nodes[at.index(workflow["nodes"].as_array().unwrap().len())];
        for field in ["id", "position", "webhookId", "notes", "notesInFlow"] {
            node[field] = value.clone();
        }
        for credential in node.get_mut("credentials").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            *credential = json!({"id": "another", "name": value});
        }
        prop_assert_eq!(digest(&changed), digest(&workflow));
    }

    #[test]
    fn every_field_of_a_node_that_counts_does(
        workflow in a_workflow(), value in json_value(), at in any::<prop::sample::Index>(), field in prop::sample::select(&NODE_FIELDS[..]),
    ) {
        let mut changed = workflow.clone();
        let nodes = changed["nodes"].as_array_mut().unwrap();
        let count = nodes.len();
        let node = &mut nodes[at.index(count)];
        if field == "parameters" {
            // Below it, where nothing is substituted.
            node["parameters"]["added"] = value;
        } else {
            prop_assume!(node.get(field).is_none_or(|before| !canonically_equal(before, &value)));
            node[field] = value;
        }
        prop_assert_ne!(digest(&changed), digest(&workflow));
    }

    #[test]
    fn names_credentials_connections_and_settings_count(workflow in a_workflow(), connected in prop::sample::select(&CONNECTED[..])) {
        let before = digest(&workflow);
        type Change = fn(&mut Value, &str);
        let changes: [Change; 6] = [
            |workflow, _| workflow["nodes"].as_array_mut().unwrap().push(json!({"name": "new", "type": "t", "typeVersion": 1, "parameters": {}})),
            |workflow, _| workflow["nodes"][1]["credentials"]["another"] = json!({"id": "c"}),
            |workflow, connected| workflow["connections"]["new"] = json!({connected: [[{"node": "x", "type": "main", "index": 0}]]}),
            |workflow, _| workflow["settings"]["executionTimeout"] = json!(99),
            |workflow, _| workflow["nodes"][0]["parameters"]["options"] = json!({"rawBody": true}),
            |workflow, _| drop(workflow["nodes"][1].as_object_mut().unwrap().remove("typeVersion")),
        ];
        for change in changes {
            let mut changed = workflow.clone();
            change(&mut changed, connected);
            prop_assert_ne!(digest(&changed), before.clone());
        }
        let mut renamed: Value = workflow.clone();
        renamed["nodes"][1]["name"] = "renamed".into();
        let places = [Place { node: "renamed".to_owned(), ..places().remove(0) }];
        prop_assert_ne!(workflow::structural_digest(&renamed, &places, &webhooks()).unwrap(), before);
    }

    #[test]
    fn a_clone_with_any_values_substituted_has_the_digest_of_its_template(workflow in a_workflow(), value in ".{0,20}", path in "[a-z0-9-]{1,60}") {
        let mut clone = workflow::substitute(&workflow, &places(), std::slice::from_ref(&value)).unwrap();
        clone["nodes"][0]["parameters"]["path"] = path.clone().into();
        prop_assert_eq!(digest(&clone), digest(&workflow));
        let unsaid = |workflow: &Value| workflow::structural_digest(workflow, &[], &[]).unwrap();
        prop_assert_ne!(unsaid(&clone), unsaid(&workflow), "what is not declared as substituted counts");
    }
}
