//! VAPI, Cal.com and the CRM: shapes, refusals, and how a caller finds again what it made.

use std::time::Duration;

use http::StatusCode;
use mandate::sandbox::Operation;
use serde_json::{Value, json};

use super::bench::{Bench, request};

const SYSTEMS: [(&str, &str); 3] = [("/vapi/assistant", "vapi"), ("/calcom/v2/webhooks", "calcom"), ("/crm/v1/subscriptions", "crm")];

async fn status_with(authorization: Option<&str>, path: &str) -> (StatusCode, Value) {
    let mut request = request("GET", path, None);
    request.headers_mut().remove("authorization");
    if let Some(value) = authorization {
        request.headers_mut().insert("authorization", value.parse().unwrap());
    }
    let response = Bench::new().respond(request).await;
    let status = response.status();
    (status, serde_json::from_slice(&axum::body::to_bytes(response.into_body(), 4096).await.unwrap()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_system_takes_its_own_bearer_token_only() {
    for (path, system) in SYSTEMS {
        assert_eq!(status_with(None, path).await.0, 401);
        assert_eq!(status_with(Some("Bearer sandbox-n8n-key"), path).await.0, 401);
        assert_eq!(status_with(Some(&format!("Bearer sandbox-{system}-key")), path).await.0, 200);
    }
    assert_eq!(status_with(None, "/vapi/assistant").await.1["statusCode"], 401);
    assert_eq!(status_with(None, "/calcom/v2/webhooks").await.1["error"]["code"], "UnauthorizedException");
    assert_eq!(status_with(None, "/crm/v1/subscriptions").await.1["error"]["code"], "unauthorized");
}

fn assistant(key: &str) -> Value {
    json!({"name": "Reception", "firstMessage": "Hello", "server": {"url": "https://hooks.example/x"}, "metadata": {"key": key}})
}

#[tokio::test(start_paused = true)]
async fn an_assistant_is_created_read_patched_and_deleted() {
    let bench = Bench::new();
    let (status, created) = bench.post("/vapi/assistant", assistant("a")).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(
        (&created["name"], &created["metadata"], &created["createdAt"]),
        (&json!("Reception"), &json!({"key": "a"}), &json!("2026-03-02T09:00:00.000Z"))
    );
    assert!(created["orgId"].is_string());
    let place = format!("/vapi/assistant/{}", created["id"].as_str().unwrap());
    assert_eq!(bench.get(&place).await, (StatusCode::OK, created.clone()));
    tokio::time::advance(Duration::from_secs(1)).await;
    let (status, patched) = bench.call("PATCH", &place, Some(json!({"firstMessage": "Good morning", "name": null}))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&patched["firstMessage"], &patched["name"], &patched["server"]),
        (&json!("Good morning"), &Value::Null, &created["server"])
    );
    assert_eq!((&patched["createdAt"], &patched["updatedAt"]), (&created["createdAt"], &json!("2026-03-02T09:00:01.000Z")));
    assert_eq!(bench.call("DELETE", &place, None).await, (StatusCode::OK, patched));
    let (status, gone) = bench.get(&place).await;
    assert_eq!((status.as_u16(), &gone["error"], &gone["statusCode"]), (404, &json!("Not Found"), &json!(404)));
    let label = json!({"key": "a"}).to_string();
    let done = |operation| (operation, label.clone());
    assert_eq!(bench.operations(), [done(Operation::Create), done(Operation::Update), done(Operation::Delete)]);
}

#[tokio::test(start_paused = true)]
async fn an_assistant_that_breaks_a_rule_is_refused_with_every_reason() {
    let bench = Bench::new();
    let cases = [
        (json!({"name": "x".repeat(41)}), "name must be shorter than or equal to 40 characters"),
        (json!({"colour": 1}), "property colour should not exist"),
        (json!({"metadata": "a"}), "metadata must be an object"),
        (json!({"maxDurationSeconds": 9}), "maxDurationSeconds must not be less than 10"),
        (json!({"maxDurationSeconds": 43_201}), "maxDurationSeconds must not be greater than 43200"),
        (json!({"server": {"url": 7}}), "server.url must be a URL address"),
    ];
    for (body, message) in cases {
        let (status, refusal) = bench.post("/vapi/assistant", body).await;
        assert_eq!((status.as_u16(), refusal), (400, json!({"message": [message], "error": "Bad Request", "statusCode": 400})));
    }
    let (_, refusal) = bench.post("/vapi/assistant", json!({"colour": 1, "name": 2})).await;
    assert_eq!(refusal["message"].as_array().unwrap().len(), 2);
    assert_eq!(bench.sandbox.effects(), []);
    assert_eq!(bench.post("/vapi/assistant", json!({"name": "x".repeat(40)})).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn assistants_are_listed_newest_first_and_found_by_paging_back_in_time() {
    let bench = Bench::new();
    for number in 0..5 {
        bench.post("/vapi/assistant", assistant(&number.to_string())).await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let keys = async |query: &str| -> Vec<String> {
        let (status, list) = bench.get(&format!("/vapi/assistant?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        list.as_array().unwrap().iter().map(|found| found["metadata"]["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys("").await, ["4", "3", "2", "1", "0"]);
    assert_eq!(keys("limit=2").await, ["4", "3"]);
    assert_eq!(keys("limit=2&createdAtLt=2026-03-02T09:00:03.000Z").await, ["2", "1"]);
    assert_eq!(keys("createdAtGe=2026-03-02T09:00:03.000Z").await, ["4", "3"]);
    assert_eq!(keys("createdAtGt=2026-03-02T09:00:03.000Z").await, ["4"]);
    assert_eq!(keys("updatedAtLe=2026-03-02T09:00:00.000Z").await, ["0"]);
    assert_eq!(bench.get("/vapi/assistant?createdAtGe=yesterday").await.0, 400);
    assert_eq!(bench.get("/vapi/assistant?name=Reception").await.0, 400);
}

fn calendar_hook(url: &str) -> Value {
    json!({"subscriberUrl": url, "triggers": ["BOOKING_CREATED"], "active": true, "secret": "s"})
}

#[tokio::test(start_paused = true)]
async fn a_calendar_webhook_is_created_read_patched_and_deleted() {
    let bench = Bench::new();
    let (status, created) = bench.post("/calcom/v2/webhooks", calendar_hook("https://hooks.example/a")).await;
    assert_eq!(status, StatusCode::CREATED);
    let data = &created["data"];
    assert_eq!(
        (&created["status"], &data["subscriberUrl"], &data["userId"]),
        (&json!("success"), &json!("https://hooks.example/a"), &json!(1))
    );
    let place = format!("/calcom/v2/webhooks/{}", data["id"].as_str().unwrap());
    let mut versioned = request("GET", &place, None);
    versioned.headers_mut().insert("cal-api-version", "2024-08-13".parse().unwrap());
    assert_eq!(bench.respond(versioned).await.status(), 200);
    let (status, patched) = bench.call("PATCH", &place, Some(json!({"active": false}))).await;
    assert_eq!((status.as_u16(), &patched["data"]["active"], &patched["data"]["triggers"]), (200, &json!(false), &data["triggers"]));
    let (_, listed) = bench.get("/calcom/v2/webhooks").await;
    assert_eq!(listed, json!({"status": "success", "data": [patched["data"]]}));
    assert_eq!(bench.call("DELETE", &place, None).await, (StatusCode::OK, patched));
    let (status, gone) = bench.get(&place).await;
    assert_eq!((status.as_u16(), &gone["status"], &gone["error"]["code"]), (404, &json!("error"), &json!("NotFoundException")));
    assert_eq!(gone["path"], place.trim_start_matches("/calcom"));
    let labels: Vec<String> = bench.sandbox.effects().into_iter().map(|effect| effect.label).collect();
    assert_eq!(labels, ["https://hooks.example/a"; 3]);
}

#[tokio::test(start_paused = true)]
async fn one_subscriber_url_has_one_calendar_webhook() {
    let bench = Bench::new();
    bench.post("/calcom/v2/webhooks", calendar_hook("https://hooks.example/a")).await;
    let (status, refusal) = bench.post("/calcom/v2/webhooks", calendar_hook("https://hooks.example/a")).await;
    let error = &refusal["error"];
    assert_eq!((status.as_u16(), &error["code"]), (409, &json!("ConflictException")));
    assert_eq!(error["message"], "Webhook with this subscriber url already exists for this user");
    let (_, other) = bench.post("/calcom/v2/webhooks", calendar_hook("https://hooks.example/b")).await;
    let place = format!("/calcom/v2/webhooks/{}", other["data"]["id"].as_str().unwrap());
    assert_eq!(bench.call("PATCH", &place, Some(json!({"subscriberUrl": "https://hooks.example/a"}))).await.0, 409);
    assert_eq!(bench.call("PATCH", &place, Some(json!({"subscriberUrl": "https://hooks.example/b"}))).await.0, 200);
    assert_eq!(bench.sandbox.effects().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_calendar_webhook_that_breaks_a_rule_is_refused_by_property() {
    let bench = Bench::new();
    let (status, refusal) = bench.post("/calcom/v2/webhooks", json!({"subscriberUrl": "nowhere", "triggers": ["LUNCH"]})).await;
    assert_eq!((status.as_u16(), &refusal["error"]["code"]), (400, &json!("BadRequestException")));
    let errors = refusal["error"]["details"]["errors"].as_array().unwrap();
    let properties: Vec<&str> = errors.iter().map(|error| error["property"].as_str().unwrap()).collect();
    assert_eq!(properties, ["active", "subscriberUrl", "triggers"]);
}

#[tokio::test(start_paused = true)]
async fn calendar_webhooks_are_paged_by_skip_and_take() {
    let bench = Bench::new();
    for number in 0..4 {
        bench.post("/calcom/v2/webhooks", calendar_hook(&format!("https://hooks.example/{number}"))).await;
    }
    let (_, page) = bench.get("/calcom/v2/webhooks?skip=1&take=2").await;
    let urls: Vec<&Value> = page["data"].as_array().unwrap().iter().map(|hook| &hook["subscriberUrl"]).collect();
    assert_eq!(urls, ["https://hooks.example/1", "https://hooks.example/2"]);
}

fn subscription(external_id: &str) -> Value {
    json!({"externalId": external_id, "name": "Reception", "callbackUrl": "https://hooks.example/a"})
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_created_read_patched_and_deleted() {
    let bench = Bench::new();
    let (status, created) = bench.post("/crm/v1/subscriptions", subscription("a")).await;
    assert_eq!((status.as_u16(), &created["enabled"], &created["externalId"]), (201, &json!(true), &json!("a")));
    let place = format!("/crm/v1/subscriptions/{}", created["id"].as_str().unwrap());
    assert_eq!(bench.get(&place).await, (StatusCode::OK, created));
    let (status, patched) = bench.call("PATCH", &place, Some(json!({"enabled": false}))).await;
    assert_eq!((status.as_u16(), &patched["enabled"], &patched["name"]), (200, &json!(false), &json!("Reception")));
    assert_eq!(bench.call("DELETE", &place, None).await, (StatusCode::OK, patched));
    let (status, gone) = bench.call("DELETE", &place, None).await;
    assert_eq!((status.as_u16(), &gone["error"]["code"]), (404, &json!("not_found")));
    let done = |operation| (operation, "a".to_owned());
    assert_eq!(bench.operations(), [done(Operation::Create), done(Operation::Update), done(Operation::Delete)]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_subscription_to_what_it_is_already_is_no_effect() {
    let bench = Bench::new();
    let (_, created) = bench.post("/crm/v1/subscriptions", subscription("a")).await;
    let path = format!("/crm/v1/subscriptions/{}", created["id"].as_str().unwrap());
    for enabled in [true, false, false] {
        let (status, changed) = bench.call("PATCH", &path, Some(json!({ "enabled": enabled }))).await;
        assert_eq!((status, &changed["enabled"]), (StatusCode::OK, &json!(enabled)));
    }
    let done: Vec<Operation> = bench.operations().into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(done, [Operation::Create, Operation::Update]);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_does_not_keep_a_subscription_from_being_made_twice() {
    let bench = Bench::new();
    for _ in 0..2 {
        let mut request = request("POST", "/crm/v1/subscriptions", Some(subscription("a")));
        request.headers_mut().insert("idempotency-key", "once".parse().unwrap());
        assert_eq!(bench.respond(request).await.status(), 201);
    }
    let (_, page) = bench.get("/crm/v1/subscriptions?externalId=a").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_found_by_exact_external_id_and_paged_past_deletes() {
    let bench = Bench::new();
    let mut ids = Vec::new();
    for name in ["a", "ab", "a", "a"] {
        let (_, created) = bench.post("/crm/v1/subscriptions", subscription(name)).await;
        ids.push(created["id"].as_str().unwrap().to_owned());
    }
    let page = async |query: &str| {
        let (status, page) = bench.get(&format!("/crm/v1/subscriptions?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let found: Vec<String> = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
        (found, page["nextCursor"].as_str().map(str::to_owned))
    };
    let (found, cursor) = page("externalId=a&limit=1").await;
    assert_eq!(found, ids[..1]);
    bench.call("DELETE", &format!("/crm/v1/subscriptions/{}", ids[0]), None).await;
    let (found, cursor) = page(&format!("externalId=a&limit=1&cursor={}", cursor.unwrap())).await;
    assert_eq!(found, ids[2..3]);
    let (found, cursor) = page(&format!("externalId=a&limit=1&cursor={}", cursor.unwrap())).await;
    assert_eq!((found, cursor), (ids[3..].to_vec(), None));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_breaks_a_rule_is_refused_by_field() {
    let bench = Bench::new();
    let cases = [
        (json!({"name": "x", "callbackUrl": "https://hooks.example/a"}), "externalId", "externalId is required"),
        (json!({"callbackUrl": "ftp://x"}), "callbackUrl", "callbackUrl must be an http or https URL"),
        (json!({"enabled": "yes"}), "enabled", "enabled must be a boolean"),
        (json!({"externalId": ""}), "externalId", "externalId must be 1 to 200 characters long"),
        (json!({"colour": 1}), "colour", "colour is not a known field"),
    ];
    for (body, field, message) in cases {
        let (status, refusal) = bench.post("/crm/v1/subscriptions", body).await;
        let error = json!({"code": "validation_failed", "message": message, "field": field});
        assert_eq!((status.as_u16(), refusal), (422, json!({ "error": error })));
    }
    assert_eq!(bench.call("POST", "/crm/v1/subscriptions", Some(json!([]))).await.0, 400);
    assert_eq!(bench.sandbox.effects(), []);
}
