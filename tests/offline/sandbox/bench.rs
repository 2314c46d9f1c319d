//! A sandbox on the bench: called in process, counting ids, virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mandate::engine::port::{Identifiers, VirtualClock};
use mandate::sandbox::{CALCOM_KEY, CRM_KEY, FaultRule, N8N_KEY, Operation, Sandbox, SandboxOptions, VAPI_KEY};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

/// Ids that count up, so that two runs are the same.
#[derive(Default)]
struct Counting(AtomicU64);

impl Identifiers for Counting {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

pub struct Bench {
    pub sandbox: Sandbox,
}

/// Options in virtual time from a fixed morning, `first_id` being the first id given out.
pub fn options(first_id: u64) -> SandboxOptions {
    let clock = VirtualClock::starting_at("2026-03-02T09:00:00Z".parse().unwrap());
    SandboxOptions::new(Arc::new(clock), Arc::new(Counting(AtomicU64::new(first_id))))
}

impl Bench {
    pub fn new() -> Self {
        Self::with(options(1))
    }

    pub fn with(options: SandboxOptions) -> Self {
        // A process that another test is starting holds a copy of our lock for the moment until it runs its program.
        for _ in 0..100 {
            match Sandbox::open(options.clone()) {
                Err(error) if error.to_string().contains("in use") => std::thread::sleep(std::time::Duration::from_millis(10)),
                opened => return Self { sandbox: opened.unwrap() },
            }
        }
        Self { sandbox: Sandbox::open(options).unwrap() }
    }

    pub fn failing(rules: Vec<FaultRule>) -> Self {
        let bench = Self::new();
        bench.sandbox.set_faults(rules);
        bench
    }

    pub async fn respond(&self, request: Request<Body>) -> Response {
        self.sandbox.router().oneshot(request).await.unwrap()
    }

    /// Sends JSON with every system's default key.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.respond(request(method, path, body)).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into()))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call("POST", path, Some(body)).await
    }

    /// Creates a workflow and gives its id.
    pub async fn workflow(&self, document: Value) -> String {
        let (status, created) = self.post(WORKFLOWS, document).await;
        assert_eq!(status, StatusCode::OK, "{created}");
        created["id"].as_str().unwrap().to_owned()
    }

    pub async fn activate(&self, id: &str) -> (StatusCode, Value) {
        self.call("POST", &format!("{WORKFLOWS}/{id}/activate"), None).await
    }

    pub fn operations(&self) -> Vec<(Operation, String)> {
        self.sandbox.effects().into_iter().map(|effect| (effect.operation, effect.label)).collect()
    }
}

pub const WORKFLOWS: &str = "/n8n/api/v1/workflows";

pub fn request(method: &str, path: &str, body: Option<Value>) -> Request<Body> {
    let bearer = if path.starts_with("/vapi") {
        VAPI_KEY
    } else if path.starts_with("/calcom") {
        CALCOM_KEY
    } else {
        CRM_KEY
    };
    Request::builder()
        .method(method)
        .uri(path)
        .header("x-n8n-api-key", N8N_KEY)
        .header("authorization", format!("Bearer {bearer}"))
        .header("content-type", "application/json")
        .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
        .unwrap()
}

/// A workflow of one webhook node that answers POST, and a node of a type nobody knows.
pub fn webhook_workflow(name: &str, path: &str) -> Value {
    json!({
        "name": name,
        "nodes": [
            {"id": "hook", "name": "Hook", "type": "n8n-nodes-base.webhook", "typeVersion": 2, "position": [0, 0],
             "parameters": {"path": path, "httpMethod": "POST"}},
            {"id": "next", "name": "Next", "type": "n8n-nodes-made-up.thing", "typeVersion": 1, "position": [200, 0], "parameters": {}},
        ],
        "connections": {"Hook": {"main": [[{"node": "Next", "type": "main", "index": 0}]]}},
        "settings": {"executionOrder": "v1"},
    })
}
