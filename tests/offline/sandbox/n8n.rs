//! n8n 2.20.0 as it was observed, one test per fact.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Request, StatusCode};
use mandate::sandbox::{N8N_KEY, Operation};
use serde_json::{Value, json};

use super::bench::{Bench, WORKFLOWS, request, webhook_workflow};

async fn refusal_with_key(key: Option<&str>) -> (StatusCode, Value) {
    let mut request = Request::builder().uri(WORKFLOWS).body(Body::empty()).unwrap();
    if let Some(key) = key {
        request.headers_mut().insert("x-n8n-api-key", key.parse().unwrap());
    }
    let response = Bench::new().respond(request).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_missing_key_and_a_wrong_key_are_told_apart() {
    let (status, body) = refusal_with_key(None).await;
    assert_eq!((status.as_u16(), body), (401, json!({"message": "'X-N8N-API-KEY' header required"})));
    let (status, body) = refusal_with_key(Some("wrong")).await;
    assert_eq!((status.as_u16(), body), (401, json!({"message": "unauthorized"})));
    assert_eq!(refusal_with_key(Some(N8N_KEY)).await.0, 200);
}

fn changed(key: &str, value: Value) -> Value {
    let mut document = webhook_workflow("Reception", "p");
    if value.is_null() {
        document.as_object_mut().unwrap().remove(key);
    } else {
        document[key] = value;
    }
    document
}

#[tokio::test(start_paused = true)]
async fn a_document_that_breaks_a_rule_is_refused_in_n8ns_words() {
    let missing = |key: &str| format!("request/body must have required property '{key}'");
    let read_only = |key: &str| format!("request/body/{key} is read-only");
    let length = "Workflow name must be 1 to 128 characters long.".to_owned();
    let cases = [
        (changed("settings", Value::Null), missing("settings")),
        (changed("connections", Value::Null), missing("connections")),
        (changed("nodes", Value::Null), missing("nodes")),
        (changed("name", Value::Null), missing("name")),
        (changed("active", json!(true)), read_only("active")),
        (changed("tags", json!([])), read_only("tags")),
        (changed("meta", json!({})), read_only("meta")),
        (changed("settings", json!({"colour": 1})), "request/body/settings must NOT have additional properties".into()),
        (changed("colour", json!(1)), "request/body must NOT have additional properties".into()),
        (changed("name", json!("")), length.clone()),
        (changed("name", json!("é".repeat(129))), length),
        (changed("name", json!(7)), "request/body/name must be string".into()),
        (changed("nodes", json!({})), "request/body/nodes must be array".into()),
        (changed("nodes", json!([{"colour": 1}])), "request/body/nodes/0 must NOT have additional properties".into()),
        (json!([]), "request/body must be object".into()),
    ];
    let bench = Bench::new();
    for (document, message) in cases {
        let (status, body) = bench.post(WORKFLOWS, document).await;
        assert_eq!((status.as_u16(), body), (400, json!({ "message": message })));
    }
    assert_eq!(bench.sandbox.effects(), []);
    assert_eq!(bench.post(WORKFLOWS, changed("name", json!("é".repeat(128)))).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_json_is_refused() {
    let bench = Bench::new();
    let mut plain = request("POST", WORKFLOWS, Some(webhook_workflow("a", "p")));
    plain.headers_mut().remove("content-type");
    assert_eq!(bench.respond(plain).await.status(), 415);
    let (status, body) = bench.call("POST", WORKFLOWS, Some(json!("x"))).await;
    assert_eq!((status.as_u16(), body), (400, json!({"message": "request/body must be object"})));
    let mut torn = request("POST", WORKFLOWS, None);
    *torn.body_mut() = Body::from("{\"name\":");
    assert_eq!(bench.respond(torn).await.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn creating_answers_200_with_the_whole_workflow_and_what_the_server_sets() {
    let bench = Bench::new();
    let (status, created) = bench.post(WORKFLOWS, webhook_workflow("Reception", "p")).await;
    assert_eq!(status, StatusCode::OK);
    let id = created["id"].as_str().unwrap();
    assert!(id.len() == 16 && id.chars().all(|character| character.is_ascii_alphanumeric()), "{id}");
    assert_eq!(created["createdAt"], "2026-03-02T09:00:00.000Z");
    assert_eq!(created["createdAt"], created["updatedAt"]);
    assert!(created["versionId"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    assert_eq!(
        (&created["active"], &created["activeVersionId"], &created["triggerCount"], &created["isArchived"], &created["versionCounter"]),
        (&json!(false), &Value::Null, &json!(0), &json!(false), &json!(1))
    );
    assert_eq!(created["shared"][0]["workflowId"], id);
    let (hook, next) = (&created["nodes"][0], &created["nodes"][1]);
    assert!(hook["webhookId"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    assert_eq!((&hook["id"], &next["id"], &next["webhookId"]), (&json!("hook"), &json!("next"), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_node_of_a_type_nobody_knows_is_taken() {
    let bench = Bench::new();
    let node = json!({"name": "Odd", "type": "nobody.knows", "typeVersion": 9, "parameters": {"any": [1.5]}});
    let (status, created) = bench.post(WORKFLOWS, changed("nodes", json!([node]))).await;
    assert_eq!((status.as_u16(), &created["nodes"][0]["parameters"]), (200, &json!({"any": [1.5]})));
    assert!(created["nodes"][0]["id"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_webhook_id_that_is_sent_is_kept() {
    let bench = Bench::new();
    let mut document = webhook_workflow("Reception", "p");
    document["nodes"][0]["webhookId"] = json!("mine");
    let (_, created) = bench.post(WORKFLOWS, document).await;
    assert_eq!(created["nodes"][0]["webhookId"], "mine");
}

#[tokio::test(start_paused = true)]
async fn two_creates_with_one_name_give_two_workflows() {
    let bench = Bench::new();
    let first = bench.workflow(webhook_workflow("Reception", "p")).await;
    let second = bench.workflow(webhook_workflow("Reception", "p")).await;
    assert_ne!(first, second);
    let (_, found) = bench.get(&format!("{WORKFLOWS}?name=Reception")).await;
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_shows_exactly_the_observed_members() {
    let bench = Bench::new();
    let id = bench.workflow(webhook_workflow("Reception", "p")).await;
    bench.activate(&id).await;
    let (status, found) = bench.get(&format!("{WORKFLOWS}/{id}")).await;
    assert_eq!(status, StatusCode::OK);
    let keys: BTreeSet<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    let observed = "active activeVersion activeVersionId connections createdAt description id isArchived meta name nodes pinData \
                    settings shared staticData tags triggerCount updatedAt versionCounter versionId";
    assert_eq!(keys, observed.split_whitespace().collect());
    let published = &found["activeVersion"];
    assert_eq!((&published["nodes"], &published["connections"]), (&found["nodes"], &found["connections"]));
    assert_eq!(published["workflowPublishHistory"][0]["event"], "activated");
    let (status, body) = bench.get(&format!("{WORKFLOWS}/0000000000000000")).await;
    assert_eq!((status.as_u16(), body), (404, json!({"message": "Not Found"})));
}

async fn names(bench: &Bench, query: &str) -> Vec<String> {
    let (status, page) = bench.get(&format!("{WORKFLOWS}?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["data"].as_array().unwrap().iter().map(|workflow| workflow["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_name_filter_is_a_substring_match() {
    let bench = Bench::new();
    for name in ["acme reception", "acme", "other"] {
        bench.workflow(webhook_workflow(name, "p")).await;
    }
    assert_eq!(names(&bench, "name=acme").await, ["acme reception", "acme"]);
    assert_eq!(names(&bench, "name=e%20rec").await, ["acme reception"]);
    assert!(names(&bench, "name=nobody").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_paged_by_cursor_and_limited_to_250() {
    let bench = Bench::new();
    for number in 0..251 {
        bench.workflow(webhook_workflow(&format!("w{number}"), "p")).await;
    }
    let mut seen = Vec::new();
    let mut query = "limit=100".to_owned();
    let mut pages = 0;
    loop {
        let (_, page) = bench.get(&format!("{WORKFLOWS}?{query}")).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|workflow| workflow["name"].clone()));
        pages += 1;
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        query = format!("cursor={cursor}");
    }
    assert_eq!(pages, 3);
    assert_eq!(seen, (0..251).map(|number| json!(format!("w{number}"))).collect::<Vec<_>>());
    assert_eq!(names(&bench, "limit=250").await.len(), 250);
    for (query, message) in [
        ("limit=251", "request/query/limit must be <= 250"),
        ("limit=many", "request/query/limit must be number"),
        ("cursor=x", "An invalid cursor was provided"),
    ] {
        let (status, body) = bench.get(&format!("{WORKFLOWS}?{query}")).await;
        assert_eq!((status.as_u16(), body), (400, json!({ "message": message })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_takes_four_members_and_not_a_whole_read() {
    let bench = Bench::new();
    let id = bench.workflow(webhook_workflow("Reception", "p")).await;
    let place = format!("{WORKFLOWS}/{id}");
    let (_, whole) = bench.get(&place).await;
    let (status, body) = bench.call("PUT", &place, Some(whole)).await;
    assert_eq!((status.as_u16(), body), (400, json!({"message": "request/body must NOT have additional properties"})));
    let (status, updated) = bench.call("PUT", &place, Some(webhook_workflow("Renamed", "q"))).await;
    assert_eq!((status.as_u16(), &updated["name"], &updated["versionCounter"]), (200, &json!("Renamed"), &json!(2)));
    let (status, body) = bench.call("PUT", &format!("{WORKFLOWS}/nobody"), Some(webhook_workflow("x", "q"))).await;
    assert_eq!((status.as_u16(), body), (404, json!({"message": "Not Found"})));
}

#[tokio::test(start_paused = true)]
async fn a_put_on_an_active_workflow_publishes_at_once() {
    let bench = Bench::new();
    let (_, before) = bench.post(WORKFLOWS, webhook_workflow("Reception", "old")).await;
    let id = before["id"].as_str().unwrap();
    bench.activate(id).await;
    let (status, after) = bench.call("PUT", &format!("{WORKFLOWS}/{id}"), Some(webhook_workflow("Reception", "new"))).await;
    assert_eq!((status.as_u16(), &after["active"]), (200, &json!(true)));
    assert_eq!(bench.post("/n8n/webhook/new", json!({})).await.0, 200);
    assert_eq!(bench.post("/n8n/webhook/old", json!({})).await.0, 404);
    assert_ne!(after["versionId"], before["versionId"]);
    assert_eq!(after["versionId"], after["activeVersionId"]);
    assert_ne!(after["nodes"][0]["webhookId"], before["nodes"][0]["webhookId"]);
}

#[tokio::test(start_paused = true)]
async fn activation_registers_the_webhook_and_is_idempotent() {
    let bench = Bench::new();
    let id = bench.workflow(webhook_workflow("Reception", "p")).await;
    assert_eq!(bench.post("/n8n/webhook/p", json!({})).await.0, 404);
    let (status, active) = bench.activate(&id).await;
    assert_eq!((status.as_u16(), &active["active"], &active["triggerCount"]), (200, &json!(true), &json!(1)));
    assert_eq!(active["activeVersionId"], active["versionId"]);
    let (status, body) = bench.post("/n8n/webhook/p", json!({})).await;
    assert_eq!((status.as_u16(), body), (200, json!({"message": "Workflow was started"})));
    let effects = bench.sandbox.effects();
    assert_eq!(bench.activate(&id).await.0, 200);
    assert_eq!(bench.sandbox.effects(), effects);
}

#[tokio::test(start_paused = true)]
async fn a_path_held_by_another_active_workflow_is_a_conflict_for_the_same_method_only() {
    let bench = Bench::new();
    let first = bench.workflow(webhook_workflow("one", "p")).await;
    let second = bench.workflow(webhook_workflow("two", "p")).await;
    let mut reading = webhook_workflow("three", "p");
    reading["nodes"][0]["parameters"].as_object_mut().unwrap().remove("httpMethod");
    let third = bench.workflow(reading).await;
    assert_eq!(bench.activate(&first).await.0, 200);
    let (status, body) = bench.activate(&second).await;
    assert_eq!((status.as_u16(), body), (400, json!({"message": "There is a conflict with one of the webhooks."})));
    assert_eq!(bench.activate(&third).await.0, 200);
    assert_eq!(bench.call("GET", "/n8n/webhook/p", None).await.0, 200);
    let moving = bench.workflow(webhook_workflow("four", "q")).await;
    bench.activate(&moving).await;
    let (status, _) = bench.call("PUT", &format!("{WORKFLOWS}/{moving}"), Some(webhook_workflow("four", "p"))).await;
    assert_eq!(status, 400);
    assert_eq!(bench.post("/n8n/webhook/q", json!({})).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_without_a_trigger_cannot_be_activated() {
    let bench = Bench::new();
    let manual = json!({"name": "Start", "type": "n8n-nodes-base.manualTrigger", "parameters": {}});
    let mut disabled = webhook_workflow("x", "p")["nodes"][0].clone();
    disabled["disabled"] = json!(true);
    for node in [manual, disabled] {
        let id = bench.workflow(changed("nodes", json!([node]))).await;
        let (status, body) = bench.activate(&id).await;
        assert_eq!(status, 400);
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with("Workflow cannot be activated because it has no trigger node. "), "{message}");
    }
    let scheduled = json!({"name": "Every day", "type": "n8n-nodes-base.scheduleTrigger", "parameters": {}});
    let id = bench.workflow(changed("nodes", json!([scheduled]))).await;
    assert_eq!(bench.activate(&id).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn deactivation_closes_the_path() {
    let bench = Bench::new();
    let id = bench.workflow(webhook_workflow("Reception", "p")).await;
    bench.activate(&id).await;
    let (status, body) = bench.call("POST", &format!("{WORKFLOWS}/{id}/deactivate"), None).await;
    assert_eq!((status.as_u16(), &body["active"], &body["activeVersion"]), (200, &json!(false), &Value::Null));
    assert_eq!(bench.post("/n8n/webhook/p", json!({})).await.0, 404);
    let other = bench.workflow(webhook_workflow("Other", "p")).await;
    assert_eq!(bench.activate(&other).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn deleting_answers_with_the_workflow_even_an_active_one_and_then_404() {
    let bench = Bench::new();
    let id = bench.workflow(webhook_workflow("Reception", "p")).await;
    bench.activate(&id).await;
    let place = format!("{WORKFLOWS}/{id}");
    let (status, body) = bench.call("DELETE", &place, None).await;
    assert_eq!((status.as_u16(), &body["id"]), (200, &json!(id)));
    assert_eq!(bench.post("/n8n/webhook/p", json!({})).await.0, 404);
    let (status, body) = bench.call("DELETE", &place, None).await;
    assert_eq!((status.as_u16(), body), (404, json!({"message": "Not Found"})));
}

#[tokio::test(start_paused = true)]
async fn a_production_url_is_the_path_alone() {
    let bench = Bench::new();
    let path = "acme-dental-5f9bd2a6-7f60-4c4d-9a0b-0a4ef1c0a8d1";
    let id = bench.workflow(webhook_workflow("Reception", path)).await;
    bench.activate(&id).await;
    assert_eq!(bench.post(&format!("/n8n/webhook/{path}"), json!({})).await.0, 200);
    let (status, body) = bench.post("/n8n/webhook/x", json!({})).await;
    assert_eq!((status.as_u16(), &body["message"]), (404, &json!("The requested webhook \"POST x\" is not registered.")));
    let (status, body) = bench.get(&format!("/n8n/webhook/{path}")).await;
    let message = "This webhook is not registered for GET requests. Did you mean to make a POST request?";
    assert_eq!((status.as_u16(), &body["message"]), (404, &json!(message)));
}

#[tokio::test(start_paused = true)]
async fn health_and_unknown_routes_answer() {
    let bench = Bench::new();
    assert_eq!(bench.get("/n8n/healthz").await, (StatusCode::OK, json!({"status": "ok"})));
    assert_eq!(bench.get("/n8n/api/v1/nothing").await.0, 404);
    assert_eq!(bench.call("PATCH", WORKFLOWS, None).await.0, 405);
    assert_eq!(bench.get("/elsewhere").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn every_effect_is_logged_and_nothing_else() {
    let bench = Bench::new();
    let id = bench.workflow(webhook_workflow("Reception", "old")).await;
    let place = format!("{WORKFLOWS}/{id}");
    bench.activate(&id).await;
    bench.get(&place).await;
    bench.get(WORKFLOWS).await;
    bench.post("/n8n/webhook/old", json!({})).await;
    bench.call("PUT", &place, Some(webhook_workflow("Reception", "new"))).await;
    bench.call("POST", &format!("{place}/deactivate"), None).await;
    bench.call("DELETE", &place, None).await;
    let of = |operation, label: &str| (operation, label.to_owned());
    assert_eq!(
        bench.operations(),
        [
            of(Operation::Create, "Reception"),
            of(Operation::Activate, "Reception"),
            of(Operation::RegisterWebhook, "POST old"),
            of(Operation::Update, "Reception"),
            of(Operation::UnregisterWebhook, "POST old"),
            of(Operation::RegisterWebhook, "POST new"),
            of(Operation::Deactivate, "Reception"),
            of(Operation::UnregisterWebhook, "POST new"),
            of(Operation::Delete, "Reception"),
        ]
    );
    let effects = bench.sandbox.effects();
    assert_eq!(effects.iter().map(|effect| effect.sequence).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    assert!(effects.iter().all(|effect| effect.id == id));
    assert_eq!(bench.sandbox.effects_after(7), effects[7..]);
}

#[tokio::test(start_paused = true)]
async fn the_digest_covers_what_was_asked_for_and_not_what_the_server_made_up() {
    let bench = Bench::new();
    bench.workflow(webhook_workflow("Reception", "p")).await;
    bench.workflow(webhook_workflow("Reception", "p")).await;
    bench.workflow(webhook_workflow("Reception", "q")).await;
    let digests: Vec<String> = bench.sandbox.effects().into_iter().map(|effect| effect.digest).collect();
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}
