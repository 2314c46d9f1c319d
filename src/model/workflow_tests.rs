use super::*;

fn template() -> Value {
    json!({
        "id": "aaaa", "name": "Template", "settings": {"executionOrder": "v1"},
        "nodes": [
            {"id": "1", "name": "Hook", "type": WEBHOOK_NODE, "typeVersion": 2, "position": [0, 0], "webhookId": "w",
             "parameters": {"path": "5f0c0f0e-0000-4000-8000-000000000000", "httpMethod": "POST"}},
            {"id": "2", "name": "Send", "type": "n8n-nodes-base.httpRequest", "typeVersion": 4.2, "position": [1, 0],
             "parameters": {"url": "https://template.example", "options": {}}, "credentials": {"httpHeaderAuth": {"id": "c", "name": "n"}}},
        ],
        "connections": {"Hook": {"main": [[{"node": "Send", "type": "main", "index": 0}]]}},
    })
}

fn places() -> Vec<Place> {
    vec![
        Place { node: "Send".into(), pointer: "/parameters/url".into(), source: "parameters.crmUrl".into() },
        Place { node: "Send".into(), pointer: "/credentials/httpHeaderAuth/id".into(), source: "credentials.crm.id".into() },
    ]
}

fn digest(workflow: &Value) -> Digest {
    structural_digest(workflow, &places(), &["Hook".into()]).unwrap()
}

#[test]
fn a_clone_with_only_its_values_changed_has_the_digest_of_its_template() {
    let mut clone = substitute(&template(), &places(), &["https://acme.example".into(), "cred-7".into()]).unwrap();
    assert_eq!(clone["nodes"][1]["parameters"]["url"], "https://acme.example");
    clone["id"] = "bbbb".into();
    clone["name"] = "acme intake".into();
    clone["nodes"][0]["parameters"]["path"] = "acme-123".into();
    clone["nodes"][0]["webhookId"] = "other".into();
    clone["nodes"][1]["position"] = json!([9, 9]);
    clone["updatedAt"] = "later".into();
    assert_eq!(digest(&clone), digest(&template()));
}

#[test]
fn any_structural_change_changes_the_digest() {
    let original = digest(&template());
    for (pointer, value) in [
        ("/nodes/1/type", json!("n8n-nodes-base.code")),
        ("/nodes/1/typeVersion", json!(4.1)),
        ("/nodes/1/parameters/options", json!({"timeout": 1})),
        ("/nodes/0/parameters/httpMethod", json!("GET")),
        ("/nodes/1/credentials", json!({"oAuth2Api": {"id": "c", "name": "n"}, "httpHeaderAuth": {"id": "c"}})),
        ("/connections/Hook/main/0/0/index", json!(1)),
        ("/settings", json!({"executionOrder": "v0"})),
    ] {
        let mut changed = template();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert_ne!(digest(&changed), original, "{pointer}");
    }
}

#[test]
fn a_place_that_matches_nothing_is_refused_by_name() {
    for (node, pointer) in [("Send", "/parameters/absent"), ("Nobody", "/parameters/url")] {
        let wrong = [Place { node: node.into(), pointer: pointer.into(), source: "parameters.x".into() }];
        let error = structural_digest(&template(), &wrong, &["Hook".into()]).unwrap_err();
        assert!(matches!(error, WorkflowError::PlaceUnmatched { .. }), "{error}");
        assert!(error.to_string().contains(pointer), "{error}");
    }
}

#[test]
fn overlapping_places_and_unlisted_webhooks_are_refused() {
    let whole = Place { node: "Send".into(), pointer: "/parameters".into(), source: "parameters.all".into() };
    let overlapping = [places()[0].clone(), whole];
    assert!(matches!(substitute(&template(), &overlapping, &["a".into(), "b".into()]), Err(WorkflowError::PlacesOverlap { .. })));
    assert!(check_webhooks(&template(), &["Hook".into()]).is_ok());
    assert!(matches!(check_webhooks(&template(), &[]), Err(WorkflowError::Webhooks { .. })));
    assert!(matches!(check_webhooks(&template(), &["Hook".into(), "Other".into()]), Err(WorkflowError::Webhooks { .. })));
}

#[test]
fn two_nodes_of_one_name_are_refused() {
    let mut twice = template();
    twice["nodes"][1]["name"] = "Hook".into();
    assert_eq!(nodes(&twice).unwrap_err(), WorkflowError::DuplicateNode("Hook".into()));
}

/// Published in docs/hashes.md; it changes only with a new `@type`.
#[test]
fn the_published_vector_holds() {
    insta::assert_snapshot!(digest(&template()).as_str(), @"sha256:c161ed0ce19ad8601352dd4a13061bb3d84e45ba99ecb51ceb75e96dd21fa18b");
}
