//! An API over a world in memory that defines one resource of each kind of scope.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use mandate::engine::port::{Clock, RandomIdentifiers};
use mandate::http::auth::TokenFile;
use mandate::http::host::Hosts;
use mandate::http::kubeapi::KubeApi;
use mandate::http::serve::{Shutdown, ShutdownTrigger};
use mandate::model::resource::{NAMESPACE, Resource, SECRET, ours};
use mandate::world::memory::{Catalogue, Memory, MemoryOptions};
use mandate::world::server::{AdmissionRequest, Authorizer, Column, Definition, Guard, Identity, Operation, Subresource};
use serde_json::{Value, json};
use tower::ServiceExt;

pub static WIDGET: Resource = ours("Widget", "widgets", true);
pub static MAKER: Resource = ours("Maker", "makers", false);

pub const HOST: &str = "127.0.0.1:8181";
pub const ADMIN: &str = "admin-token";
pub const VIEWER: &str = "viewer-token";
pub const TOKENS: &str = "admin-token,ada,1,\"mandate.dev:operators,staff\"\nviewer-token,vera,2\n";
pub const WIDGETS: &str = "/apis/mandate.dev/v1alpha1/namespaces/shop/widgets";
pub const ALL_WIDGETS: &str = "/apis/mandate.dev/v1alpha1/widgets";

/// A clock that stands until it is moved.
pub struct HandClock(Mutex<Timestamp>);

impl HandClock {
    pub fn at(now: &str) -> Self {
        Self(Mutex::new(now.parse().unwrap()))
    }

    pub fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// `vera` reads, everybody else may do everything.
struct Rules;

impl Authorizer for Rules {
    fn may(&self, identity: &Identity, verb: &str, _: &Resource, _: Subresource, _: &str) -> bool {
        identity.username != "vera" || ["get", "list", "watch"].contains(&verb)
    }
}

pub struct Harness {
    pub router: Router,
    pub clock: Arc<HandClock>,
    pub trigger: ShutdownTrigger,
    pub shutdown: Shutdown,
}

pub struct Reply {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

fn column(name: &str, column_type: &str, json_path: &str, priority: i64) -> Column {
    let description = format!("{name} of the widget");
    Column { name: name.into(), column_type: column_type.into(), json_path: json_path.into(), priority, description }
}

pub fn definitions() -> Vec<Definition> {
    let condition = json!({"type": "object", "properties": {
        "type": {"type": "string"}, "status": {"type": "string"}, "lastTransitionTime": {"type": "string"},
    }});
    let schema = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["colour"], "properties": {
            "colour": {"type": "string"}, "size": {"type": "integer"}, "parts": {"type": "array", "items": {"type": "string"}},
        }},
        "status": {"type": "object", "properties": {
            "conditions": {"type": "array", "items": condition}, "note": {"type": "string"},
        }},
    }});
    let plain = |resource| Definition {
        resource,
        schema: None,
        has_status: false,
        columns: Vec::new(),
        selectable: Vec::new(),
        short_names: Vec::new(),
        categories: Vec::new(),
    };
    let widget = Definition {
        schema: Some(schema.clone()),
        has_status: true,
        columns: vec![
            column("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status", 0),
            column("Size", "integer", ".spec.size", 0),
            column("Since", "date", ".status.conditions[?(@.type==\"Ready\")].lastTransitionTime", 0),
            column("Note", "string", ".status.note", 1),
        ],
        selectable: vec![".spec.colour".into()],
        short_names: vec!["wd".into()],
        categories: vec!["mandate".into()],
        ..plain(&WIDGET)
    };
    let maker = Definition { schema: Some(schema), has_status: true, ..plain(&MAKER) };
    let namespace = Definition { has_status: true, ..plain(&NAMESPACE) };
    vec![namespace, plain(&SECRET), widget, maker]
}

/// Refuses the deletion of what is called `kept`, as an admission policy does.
struct Keeps;

impl Guard for Keeps {
    fn refusal(&self, request: &AdmissionRequest<'_>) -> Option<String> {
        let refused = request.operation == Operation::Delete && request.key.name == "kept";
        refused.then(|| "ValidatingAdmissionPolicy 'keeps' with binding 'keeps' denied request: it is kept".to_owned())
    }
}

impl Harness {
    /// A world with the namespace `shop`.
    pub async fn new() -> Self {
        Self::at(HOST).await
    }

    /// The same under a name of its own.
    pub async fn at(host: &str) -> Self {
        let clock = Arc::new(HandClock(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())));
        let options = MemoryOptions {
            catalogue: Catalogue::compile(definitions()).unwrap(),
            guards: vec![Arc::new(Keeps)],
            authorizer: Arc::new(Rules),
            clock: clock.clone(),
            ids: Arc::new(RandomIdentifiers),
            storage: None,
        };
        let (trigger, shutdown) = Shutdown::channel();
        let parts = KubeApi {
            server: Arc::new(Memory::open(options).unwrap()),
            authorizer: Arc::new(Rules),
            authenticator: Arc::new(TokenFile::parse(TOKENS).unwrap()),
            clock: clock.clone(),
            hosts: Hosts::of([HOST.to_owned(), host.to_owned()]),
            shutdown: shutdown.clone(),
        };
        let harness = Self { router: parts.router().unwrap(), clock, trigger, shutdown };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        harness.send(harness.request("POST", "/api/v1/namespaces"), Some(&namespace)).await.must(StatusCode::CREATED);
        harness
    }

    pub fn request(&self, method: &str, uri: &str) -> Sent {
        Sent(Request::builder().method(method).uri(uri).header("authorization", format!("Bearer {ADMIN}")))
    }

    pub async fn send(&self, sent: Sent, body: Option<&Value>) -> Reply {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.raw(sent.0.body(body).unwrap()).await
    }

    pub async fn raw(&self, mut request: Request<Body>) -> Reply {
        request.headers_mut().entry("host").or_insert(HOST.parse().unwrap());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&text).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&text).into_owned()));
        Reply { code: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, uri: &str) -> Reply {
        self.send(self.request("GET", uri), None).await
    }

    pub async fn get_as(&self, uri: &str, accept: &str) -> Reply {
        self.send(self.request("GET", uri).header("accept", accept), None).await
    }

    pub async fn post(&self, uri: &str, body: &Value) -> Reply {
        self.send(self.request("POST", uri), Some(body)).await
    }

    pub async fn put(&self, uri: &str, body: &Value) -> Reply {
        self.send(self.request("PUT", uri), Some(body)).await
    }

    pub async fn patch(&self, uri: &str, body: &Value) -> Reply {
        self.send(self.request("PATCH", uri).header("content-type", "application/merge-patch+json"), Some(body)).await
    }

    pub async fn delete(&self, uri: &str, body: Option<&Value>) -> Reply {
        self.send(self.request("DELETE", uri), body).await
    }

    /// Creates a widget in `shop`.
    pub async fn widget(&self, name: &str) -> Value {
        self.post(WIDGETS, &widget(name)).await.must(StatusCode::CREATED)
    }

    /// The body of a reply that goes on.
    pub async fn open(&self, uri: &str, accept: &str) -> Lines {
        let request = self.request("GET", uri).header("accept", accept).header("host", HOST).0.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Lines { body: response.into_body(), begun: Vec::new() }
    }
}

pub struct Sent(axum::http::request::Builder);

impl Sent {
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// With this token instead.
    pub fn token(mut self, token: &str) -> Self {
        self.0.headers_mut().unwrap().insert("authorization", format!("Bearer {token}").parse().unwrap());
        self
    }
}

impl Reply {
    #[track_caller]
    pub fn must(self, code: StatusCode) -> Value {
        assert_eq!(self.code, code, "{}", self.body);
        self.body
    }

    /// Asserts a Status and returns its message.
    #[track_caller]
    pub fn refused(&self, code: u16, reason: &str) -> &str {
        assert_eq!(self.code.as_u16(), code, "{}", self.body);
        for (field, expected) in [("kind", "Status"), ("apiVersion", "v1"), ("status", "Failure"), ("reason", reason)] {
            assert_eq!(self.body[field], expected, "{}", self.body);
        }
        assert_eq!(self.body["code"], code);
        self.body["message"].as_str().unwrap()
    }
}

/// Lines of a watch as they come.
pub struct Lines {
    body: Body,
    begun: Vec<u8>,
}

impl Lines {
    /// The next line; none at the end. A watch that says nothing for a minute fails the test.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.begun.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(std::time::Duration::from_secs(60), self.body.frame()).await.expect("the watch is silent");
            self.begun.extend_from_slice(&frame?.unwrap().into_data().unwrap());
        }
    }

    /// Type and name of the next event.
    pub async fn event(&mut self) -> (String, String) {
        let line = self.next().await.expect("the watch has ended");
        let name = line["object"]["metadata"]["name"].as_str().unwrap_or("").to_owned();
        (line["type"].as_str().unwrap().to_owned(), name)
    }
}

pub fn widget(name: &str) -> Value {
    json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "Widget", "metadata": {"name": name}, "spec": {"colour": "red", "size": 3}})
}

/// Names of a list's items.
pub fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}
