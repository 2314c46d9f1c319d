//! One test per knob, in virtual time; the cut connection also over a socket.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use mandate::sandbox::{Fault, FaultRule, Operation, ReplyLost, SandboxOptions, Vendor};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::bench::{Bench, WORKFLOWS, options, request, webhook_workflow};

fn create() -> http::Request<axum::body::Body> {
    request("POST", WORKFLOWS, Some(webhook_workflow("Reception", "p")))
}

#[tokio::test(start_paused = true)]
async fn latency_falls_half_before_and_half_after_the_effect() {
    let bench = Bench::failing(vec![FaultRule::new(Fault::Latency { milliseconds: 1000 })]);
    let started = Instant::now();
    let mut reply = Box::pin(bench.respond(create()));
    assert!(timeout(Duration::from_millis(499), &mut reply).await.is_err());
    assert_eq!(bench.sandbox.effects(), []);
    assert!(timeout(Duration::from_millis(2), &mut reply).await.is_err());
    assert_eq!(bench.sandbox.effects().len(), 1);
    assert_eq!(reply.await.status(), 200);
    assert_eq!(started.elapsed(), Duration::from_millis(1000));
}

#[tokio::test(start_paused = true)]
async fn a_status_fault_answers_as_the_vendor_does_and_has_no_effect() {
    let cases = [
        (Fault::BadRequest, 400, None),
        (Fault::Unauthorized, 401, None),
        (Fault::TooManyRequests { retry_after_seconds: 7 }, 429, Some("7")),
        (Fault::InternalError, 500, None),
        (Fault::Unavailable { retry_after_seconds: Some(3) }, 503, Some("3")),
        (Fault::Unavailable { retry_after_seconds: None }, 503, None),
    ];
    for (fault, status, retry_after) in cases {
        let bench = Bench::failing(vec![FaultRule::new(fault)]);
        let shapes = [
            (WORKFLOWS, "/message"),
            ("/vapi/assistant", "/statusCode"),
            ("/calcom/v2/webhooks", "/error/code"),
            ("/crm/v1/subscriptions", "/error/message"),
        ];
        for (path, member) in shapes {
            let response = bench.respond(request("POST", path, Some(json!({})))).await;
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().get("retry-after").map(|value| value.to_str().unwrap()), retry_after);
            let body: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
            assert!(body.pointer(member).is_some(), "{path}: {body}");
            let told = body["message"].as_str().unwrap_or_default();
            assert!(status != 401 || path != WORKFLOWS || told == "unauthorized", "{body}");
        }
        assert_eq!(bench.sandbox.effects(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_after_the_effect_hides_an_effect_that_happened() {
    for fault in [Fault::InternalError, Fault::Html, Fault::HugeBody { mebibytes: 1 }] {
        let bench = Bench::failing(vec![FaultRule::new(fault).after_effect()]);
        bench.respond(create()).await;
        assert_eq!(bench.operations(), [(Operation::Create, "Reception".to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_leaves_the_effect_and_a_lost_request_does_not() {
    for (fault, effects) in [(Fault::ReplyLost, 1), (Fault::RequestLost, 0)] {
        let bench = Bench::failing(vec![FaultRule::new(fault)]);
        let response = bench.respond(create()).await;
        assert!(response.extensions().get::<ReplyLost>().is_some());
        assert!(response.into_body().collect().await.is_err());
        assert_eq!(bench.sandbox.effects().len(), effects);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_drip_sends_a_byte_a_second() {
    let bench = Bench::failing(vec![FaultRule::new(Fault::SlowDrip { milliseconds_per_byte: 1000 })]);
    let started = Instant::now();
    let response = bench.respond(request("GET", "/n8n/healthz", None)).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"status":"ok"}"#);
    assert_eq!(started.elapsed(), Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn under_eventual_consistency_reads_miss_for_a_while_what_writes_see_at_once() {
    let lag = FaultRule::new(Fault::EventualConsistency { milliseconds: 5000 });
    let creates = [
        (WORKFLOWS, webhook_workflow("Reception", "p"), "/id", "/data"),
        ("/vapi/assistant", json!({}), "/id", ""),
        ("/calcom/v2/webhooks", json!({"subscriberUrl": "https://a.example", "triggers": [], "active": true}), "/data/id", "/data"),
        ("/crm/v1/subscriptions", json!({"externalId": "a", "name": "a", "callbackUrl": "https://a.example"}), "/id", "/items"),
    ];
    for (path, body, id, list) in creates {
        let bench = Bench::failing(vec![lag.clone()]);
        let (_, created) = bench.post(path, body).await;
        let place = format!("{path}/{}", created.pointer(id).unwrap().as_str().unwrap());
        let listed = async || bench.get(path).await.1.pointer(list).unwrap().as_array().unwrap().len();
        tokio::time::advance(Duration::from_millis(4999)).await;
        assert_eq!((bench.get(&place).await.0.as_u16(), listed().await), (404, 0), "{path}");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((bench.get(&place).await.0.as_u16(), listed().await), (200, 1), "{path}");
    }
    let bench = Bench::failing(vec![lag]);
    let id = bench.workflow(webhook_workflow("Reception", "p")).await;
    assert_eq!(bench.activate(&id).await.0, 200);
    assert_eq!(bench.get(&format!("{WORKFLOWS}/{id}")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn html_comes_where_json_was_expected() {
    let bench = Bench::failing(vec![FaultRule::new(Fault::Html)]);
    let response = bench.respond(create()).await;
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"text/html; charset=utf-8".parse().unwrap()));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"<!DOCTYPE html>"));
    assert_eq!(bench.sandbox.effects(), []);
}

#[tokio::test(start_paused = true)]
async fn a_huge_body_is_valid_json_of_that_size() {
    let bench = Bench::failing(vec![FaultRule::new(Fault::HugeBody { mebibytes: 3 })]);
    let (status, body) = bench.get(WORKFLOWS).await;
    assert_eq!((status.as_u16(), body["data"].as_str().unwrap().len()), (200, 3 * 1024 * 1024));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_request_never_gets_a_reply() {
    for (rule, effects) in [(FaultRule::new(Fault::Hang), 0), (FaultRule::new(Fault::Hang).after_effect(), 1)] {
        let bench = Bench::failing(vec![rule]);
        assert!(timeout(Duration::from_secs(86_400), bench.respond(create())).await.is_err());
        assert_eq!(bench.sandbox.effects().len(), effects);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_strikes_its_vendor_method_path_and_window_only() {
    let activation = FaultRule::new(Fault::InternalError).vendor(Vendor::N8n).on("POST", "/n8n/api/v1/workflows/*/activate");
    let bench = Bench::failing(vec![activation.window(1, 2), FaultRule::new(Fault::Unauthorized).on("GET", "/vapi/**")]);
    let id = bench.workflow(webhook_workflow("Reception", "p")).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(bench.activate(&id).await.0.as_u16());
    }
    assert_eq!(seen, [200, 500, 500, 200]);
    assert_eq!(bench.get(&format!("{WORKFLOWS}/{id}")).await.0, 200);
    assert_eq!(bench.get("/vapi/assistant").await.0, 401);
    assert_eq!(bench.get("/vapi/assistant/x").await.0, 401);
    assert_eq!(bench.post("/vapi/assistant", json!({})).await.0, 201);
    assert_eq!(bench.sandbox.faults().iter().map(|armed| armed.seen).collect::<Vec<_>>(), [4, 2]);
}

#[tokio::test(start_paused = true)]
async fn faults_are_set_read_and_cleared_over_http_and_never_disturb_that() {
    let bench = Bench::new();
    let rules = json!([{"vendor": "n8n", "times": 1, "fault": {"kind": "unavailable", "retryAfterSeconds": 2}}, {"fault": {"kind": "hang"}, "skip": 1}]);
    let (status, armed) = bench.call("PUT", "/_sandbox/faults", Some(rules)).await;
    assert_eq!((status.as_u16(), &armed[0]["rule"]["fault"]["kind"], &armed[0]["seen"]), (200, &json!("unavailable"), &json!(0)));
    assert_eq!(bench.get(WORKFLOWS).await.0, 503);
    assert_eq!(bench.get("/_sandbox/faults").await.1[0]["seen"], 1);
    let (status, body) = bench.call("PUT", "/_sandbox/faults", Some(json!([{"fault": {"kind": "earthquake"}}]))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["message"].as_str().unwrap().contains("earthquake"), "{body}");
    assert_eq!(bench.call("DELETE", "/_sandbox/faults", None).await.0, 200);
    assert_eq!(bench.get(WORKFLOWS).await.0, 200);
    assert_eq!(bench.get("/_sandbox/healthz").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn effects_are_read_over_http_from_any_point() {
    let bench = Bench::new();
    let id = bench.workflow(webhook_workflow("Reception", "p")).await;
    bench.activate(&id).await;
    let (_, all) = bench.get("/_sandbox/effects").await;
    let operations: Vec<&Value> = all["effects"].as_array().unwrap().iter().map(|effect| &effect["operation"]).collect();
    assert_eq!(operations, ["create", "activate", "registerWebhook"]);
    let (_, rest) = bench.get("/_sandbox/effects?after=2").await;
    assert_eq!(rest["effects"], json!([all["effects"][2]]));
    assert_eq!(bench.get("/_sandbox/effects?after=x").await.0, 400);
}

/// Sends one create over a socket and gives every byte that comes back.
async fn bytes_over_a_socket(address: std::net::SocketAddr) -> Vec<u8> {
    let body = webhook_workflow("Reception", "p").to_string();
    let head = format!(
        "POST {WORKFLOWS} HTTP/1.1\r\nhost: x\r\nx-n8n-api-key: sandbox-n8n-key\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A reset and an orderly end are both a cut connection.
    stream.read_to_end(&mut bytes).await.ok();
    bytes
}

#[tokio::test]
async fn over_a_socket_a_lost_reply_is_a_connection_closed_without_a_byte() {
    let bench = Bench::failing(vec![FaultRule::new(Fault::ReplyLost).window(0, 1)]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let sandbox = bench.sandbox.clone();
    let serving = tokio::spawn(async move { sandbox.serve(listener, async { drop(stopped.await) }).await });
    assert_eq!(bytes_over_a_socket(address).await, b"");
    assert_eq!(bench.sandbox.effects().len(), 1);
    assert!(bytes_over_a_socket(address).await.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(bench.sandbox.effects().len(), 2);
    stop.send(()).unwrap();
    timeout(Duration::from_secs(10), serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hanging_request_does_not_hold_up_the_shutdown() {
    let bench = Bench::failing(vec![FaultRule::new(Fault::Hang).after_effect()]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let sandbox = bench.sandbox.clone();
    let serving = tokio::spawn(async move { sandbox.serve(listener, async { drop(stopped.await) }).await });
    let hanging = tokio::spawn(bytes_over_a_socket(address));
    timeout(Duration::from_secs(10), async {
        while bench.sandbox.effects().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    stop.send(()).unwrap();
    timeout(Duration::from_secs(10), serving).await.unwrap().unwrap().unwrap();
    hanging.abort();
}

#[tokio::test(start_paused = true)]
async fn content_that_changes_on_its_way_is_stored_changed_and_logged_as_asked_for() {
    let bench = Bench::new();
    bench.workflow(webhook_workflow("Reception", "p")).await;
    bench.sandbox.set_faults(vec![FaultRule::new(Fault::ContentChanged)]);
    let (_, workflow) = bench.post(WORKFLOWS, webhook_workflow("Reception", "p")).await;
    assert_eq!(workflow["nodes"].as_array().unwrap().last().unwrap()["parameters"]["changed"], true);
    let [plain, changed] = &bench.sandbox.effects()[..] else { panic!() };
    assert_eq!(plain.digest, changed.digest);
    let (_, assistant) = bench.post("/vapi/assistant", json!({"firstMessage": "Hello"})).await;
    assert_eq!(assistant["firstMessage"], "changed");
}

#[tokio::test(start_paused = true)]
async fn an_activation_that_does_not_register_is_active_and_the_next_one_registers() {
    let folder = tempfile::tempdir().unwrap();
    let durable = || SandboxOptions { log: Some(folder.path().join("log")), ..options(1) };
    let bench = Bench::with(durable());
    let id = bench.workflow(webhook_workflow("Reception", "p")).await;
    bench.sandbox.set_faults(vec![FaultRule::new(Fault::NotRegistered)]);
    assert_eq!(bench.activate(&id).await.1["active"], true);
    let answers = async |bench: &Bench| bench.post("/n8n/webhook/p", json!({})).await.0;
    assert_eq!(answers(&bench).await, StatusCode::NOT_FOUND);
    assert!(!bench.operations().iter().any(|(operation, _)| *operation == Operation::RegisterWebhook));
    drop(bench);
    let bench = Bench::with(durable());
    assert_eq!(answers(&bench).await, StatusCode::NOT_FOUND, "a restart registers nothing");
    bench.activate(&id).await;
    assert_eq!(answers(&bench).await, StatusCode::NOT_FOUND, "it is active already");
    bench.call("POST", &format!("{WORKFLOWS}/{id}/deactivate"), None).await;
    bench.activate(&id).await;
    assert_eq!(answers(&bench).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_assistant_loses_its_server_and_nothing_else() {
    let bench = Bench::failing(vec![FaultRule::new(Fault::ServerDropped)]);
    let body = json!({"firstMessage": "Hello", "server": {"url": "https://a.example"}});
    let (_, assistant) = bench.post("/vapi/assistant", body).await;
    assert_eq!((assistant.get("server"), &assistant["firstMessage"]), (None, &json!("Hello")));
}
