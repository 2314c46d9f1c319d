//! The same request to a real API server and to the world in memory behind our own Kubernetes API, and what differs.
//!
//! A request may name what an earlier reply said: `{a.uid}` and `{a.version}`, of the reply kept under `a`, each side its
//! own. Before replies are compared, UIDs and resource versions become the order in which they were first seen, so that
//! "the same object" and "changed" are compared, and times become the word for one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use mandate::engine::port::{RandomIdentifiers, SystemClock};
use mandate::http::auth::TokenFile;
use mandate::http::host::Hosts;
use mandate::http::kubeapi::KubeApi;
use mandate::http::serve::{Shutdown, ShutdownTrigger};
use mandate::operator::embedded;
use mandate::world::memory::{AllowAll, Catalogue, Memory, MemoryOptions};
use mandate::world::server::{Authorizer, Definition, Guard};
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

use crate::control_plane::api::{Api, Reply};
use crate::control_plane::users::{self, ADMIN, User};
use crate::control_plane::{ControlPlane, shared};

/// Our group.
pub const GROUP: &str = "/apis/mandate.dev/v1alpha1";
/// How long the real controllers may take.
const SETTLED: Duration = Duration::from_secs(60);
const HOST: &str = "127.0.0.1:8181";
const JSON: &str = "application/json";

/// One request, as both get it.
#[derive(Debug, Clone)]
pub struct Step {
    method: Method,
    path: String,
    content: &'static str,
    body: Option<Value>,
    keep: Option<String>,
    settles: bool,
    words: bool,
    by: &'static User,
}

impl Step {
    fn new(method: Method, path: impl Into<String>, content: &'static str, body: Option<Value>) -> Self {
        Self { method, path: path.into(), content, body, keep: None, settles: false, words: true, by: &ADMIN }
    }

    /// Asked by somebody else than the administrator.
    pub fn by(self, by: &'static User) -> Self {
        Self { by, ..self }
    }

    /// Keeps a successful reply under a name.
    pub fn keep(self, name: impl Into<String>) -> Self {
        Self { keep: Some(name.into()), ..self }
    }

    /// With another content type.
    pub fn of_type(self, content: &'static str) -> Self {
        Self { content, ..self }
    }

    /// Refused by both for the same reason, by ours in words of its own: docs/embedded-api.md says which.
    pub fn in_other_words(self) -> Self {
        Self { words: false, ..self }
    }

    /// Asked again until both say the same: the real controllers take their time.
    pub fn settles(self) -> Self {
        Self { settles: true, ..self }
    }
}

pub fn get(path: impl Into<String>) -> Step {
    Step::new(Method::GET, path, "", None)
}

pub fn post(path: impl Into<String>, body: Value) -> Step {
    Step::new(Method::POST, path, JSON, Some(body))
}

pub fn put(path: impl Into<String>, body: Value) -> Step {
    Step::new(Method::PUT, path, JSON, Some(body))
}

pub fn merge(path: impl Into<String>, body: Value) -> Step {
    Step::new(Method::PATCH, path, "application/merge-patch+json", Some(body))
}

/// A patch of any type.
pub fn patch(path: impl Into<String>, content: &'static str, body: Value) -> Step {
    Step::new(Method::PATCH, path, content, Some(body))
}

pub fn delete(path: impl Into<String>) -> Step {
    Step::new(Method::DELETE, path, JSON, None)
}

/// With DeleteOptions.
pub fn delete_with(path: impl Into<String>, options: Value) -> Step {
    Step::new(Method::DELETE, path, JSON, Some(options))
}

/// What one side has said so far.
#[derive(Default)]
struct Seen {
    uids: HashMap<String, usize>,
    versions: HashMap<String, usize>,
    any_version: bool,
    kept: BTreeMap<String, Value>,
}

/// Both servers.
pub struct Twins {
    _plane: Arc<ControlPlane>,
    /// Ends the watches of ours when it is dropped.
    _trigger: ShutdownTrigger,
    /// Requests of each user, by token.
    real: BTreeMap<&'static str, Api>,
    memory: Router,
    seen: (Seen, Seen),
    /// Requests whose replies differ, with both replies.
    differences: Vec<String>,
    /// Messages of everything that was forbidden.
    forbidden: BTreeSet<String>,
}

/// What the world in memory goes by. Without guards, and with every right for everybody, who may do what is not the subject.
pub struct Rules {
    pub definitions: Vec<Definition>,
    pub guards: Vec<Arc<dyn Guard>>,
    pub rights: Arc<dyn Authorizer>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { definitions: embedded::definitions(), guards: Vec::new(), rights: Arc::new(AllowAll) }
    }
}

/// Our own API over an empty world.
fn served(rules: Rules) -> (Router, ShutdownTrigger) {
    let options = MemoryOptions {
        catalogue: Catalogue::compile(rules.definitions).unwrap(),
        guards: rules.guards,
        authorizer: rules.rights.clone(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIdentifiers),
        storage: None,
    };
    let (trigger, shutdown) = Shutdown::channel();
    let parts = KubeApi {
        server: Arc::new(Memory::open(options).unwrap()),
        authorizer: rules.rights,
        authenticator: Arc::new(TokenFile::parse(&users::token_file()).unwrap()),
        clock: Arc::new(SystemClock),
        hosts: Hosts::of([HOST.to_owned()]),
        shutdown,
    };
    (parts.router().unwrap(), trigger)
}

impl Twins {
    /// The shared control plane and an empty world beside it, both with these namespaces.
    pub async fn with_namespaces(namespaces: &[&str]) -> Self {
        Self::of(shared::plane().await, Rules::default(), namespaces).await
    }

    /// A control plane and an empty world that goes by the same rules, both with these namespaces.
    pub async fn of(plane: Arc<ControlPlane>, rules: Rules, namespaces: &[&str]) -> Self {
        let (memory, trigger) = served(rules);
        let real = users::ALL.map(|user| (user.token, plane.api(user))).into();
        let (seen, differences, forbidden) = (<(Seen, Seen)>::default(), Vec::new(), BTreeSet::new());
        let mut twins = Self { _plane: plane, _trigger: trigger, real, memory, seen, differences, forbidden };
        for name in namespaces {
            twins.ask(&post("/api/v1/namespaces", json!({"metadata": {"name": name}}))).await;
        }
        twins
    }

    /// From now on an object's version is not compared. The real server gives a new one to some writes that change nothing
    /// but who manages which field, which ours does not record.
    pub fn any_version(&mut self) {
        (self.seen.0.any_version, self.seen.1.any_version) = (true, true);
    }

    /// Asks both; a difference is noted.
    pub async fn ask(&mut self, step: &Step) -> Reply {
        let deadline = Instant::now() + SETTLED;
        loop {
            let (real, memory) = (self.ask_real(step).await, self.ask_memory(step).await);
            let (mut ours, mut theirs) = (normal(&memory, &mut self.seen.1), normal(&real, &mut self.seen.0));
            if !step.words {
                (ours, theirs) = (reason(&memory), reason(&real));
            }
            if ours != theirs {
                if step.settles && Instant::now() < deadline {
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
                self.differences.push(difference(step, &theirs, &ours));
            }
            if memory.status == 403 {
                self.forbidden.insert(memory.message().to_owned());
            }
            if let Some(name) = &step.keep {
                for (seen, reply) in [(&mut self.seen.0, &real), (&mut self.seen.1, &memory)] {
                    if reply.status < 300 && reply.body["metadata"]["uid"].is_string() {
                        seen.kept.insert(name.clone(), reply.body["metadata"].clone());
                    }
                }
            }
            return memory;
        }
    }

    /// Asks both a whole script, one after the other.
    pub async fn ask_all(&mut self, steps: impl IntoIterator<Item = Step>) {
        for step in steps {
            self.ask(&step).await;
        }
    }

    /// Whether anything was forbidden by this, in these words.
    pub fn were_forbidden(&self, by: &str, words: &str) -> bool {
        self.forbidden.iter().any(|message| message.contains(by) && message.contains(words))
    }

    /// Fails if anything differed.
    #[track_caller]
    pub fn must_agree(&self, what: &str) {
        let shown: Vec<&str> = self.differences.iter().take(60).map(String::as_str).collect();
        assert!(shown.is_empty(), "{what}: {} replies differ\n{}", self.differences.len(), shown.join("\n"));
    }

    /// Asks the world in memory alone.
    pub async fn ask_memory(&self, step: &Step) -> Reply {
        let kept = &self.seen.1.kept;
        let mut request = Request::builder()
            .method(step.method.as_str())
            .uri(filled(&step.path, kept))
            .header("host", HOST)
            .header("authorization", format!("Bearer {}", step.by.token));
        if !step.content.is_empty() && step.body.is_some() {
            request = request.header("content-type", step.content);
        }
        let body = step.body.as_ref().map_or_else(Body::empty, |body| Body::from(filled(&body.to_string(), kept)));
        let response = self.memory.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let warnings = response.headers().get_all("warning").iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply { status, warnings, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    async fn ask_real(&self, step: &Step) -> Reply {
        let kept = &self.seen.0.kept;
        let body = step.body.as_ref().map(|body| serde_json::from_str::<Value>(&filled(&body.to_string(), kept)).unwrap());
        self.real[step.by.token].send(step.method.clone(), &filled(&step.path, kept), step.content, body.as_ref()).await.unwrap()
    }
}

/// Text with `{name.uid}` and `{name.version}` filled in. What was never kept stays as it is, on both sides.
fn filled(text: &str, kept: &BTreeMap<String, Value>) -> String {
    let mut text = text.to_owned();
    for (name, metadata) in kept {
        for (word, field) in [("uid", "uid"), ("version", "resourceVersion")] {
            text = text.replace(&format!("{{{name}.{word}}}"), metadata[field].as_str().unwrap_or_default());
        }
    }
    text
}

/// HTTP status and reason of a refusal. A reply that is no Status at all has no reason.
fn reason(reply: &Reply) -> Value {
    assert!(reply.status >= 400, "only refusals have words: {reply:?}");
    let word = if reply.body.is_object() { reply.body["reason"].clone() } else { json!("NotFound") };
    json!({"status": reply.status, "reason": word})
}

/// Causes come from the real server in the order of a Go map, those of metadata twice, so they are a set here.
fn causes_comparable(body: &mut Value) {
    let Some(causes) = body.pointer_mut("/details/causes").and_then(Value::as_array_mut) else { return };
    causes.sort_by_key(Value::to_string);
    causes.dedup();
    let texts: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause["field"].as_str().unwrap_or_default(), cause["message"].as_str().unwrap_or_default()))
        .collect();
    if let Some((head, _)) = body["message"].as_str().and_then(|message| message.split_once(" is invalid: ")) {
        body["message"] = format!("{head} is invalid: {}", texts.join(", ")).into();
    }
}

fn normal(reply: &Reply, seen: &mut Seen) -> Value {
    let mut body = if reply.body["object"].is_object() { Value::Array(vec![reply.body.clone()]) } else { reply.body.clone() };
    // A watch: one document a line.
    let lines = body.as_str().map(|text| text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>());
    if let Some(Ok(lines)) = lines {
        body = Value::Array(lines);
    }
    comparable(&mut body, seen);
    // Ours says that the name is taken, not that it will be free: docs/embedded-api.md.
    if let Some(taken) =
        body.get("message").and_then(Value::as_str).and_then(|message| message.strip_prefix("object is being deleted: ")).map(str::to_owned)
    {
        body["message"] = taken.into();
    }
    causes_comparable(&mut body);
    json!({"status": reply.status, "warnings": reply.warnings, "body": body})
}

fn comparable(value: &mut Value, seen: &mut Seen) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| comparable(item, seen)),
        Value::Object(fields) => {
            if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata_comparable(metadata, seen);
            }
            fields.values_mut().for_each(|field| comparable(field, seen));
        }
        Value::String(text) => *text = text_comparable(text, seen),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn metadata_comparable(metadata: &mut Map<String, Value>, seen: &mut Seen) {
    metadata.remove("managedFields");
    if let Some(Value::String(uid)) = metadata.get("uid") {
        let next = seen.uids.len();
        seen.uids.entry(uid.clone()).or_insert(next);
    }
    if metadata.contains_key("uid") {
        versioned(metadata, seen);
    } else if let Some(version) = metadata.get_mut("resourceVersion") {
        *version = "of the list".into();
    }
}

fn versioned(metadata: &mut Map<String, Value>, seen: &mut Seen) {
    let Some(Value::String(version)) = metadata.get_mut("resourceVersion") else { return };
    if seen.any_version {
        *version = "a version".into();
        return;
    }
    let next = seen.versions.len();
    let place = *seen.versions.entry(version.clone()).or_insert(next);
    *version = format!("version {place}");
}

fn text_comparable(text: &str, seen: &Seen) -> String {
    let time = |text: &str| text.len() == 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok();
    if time(text) {
        return "a time".into();
    }
    if let Some(place) = seen.uids.get(text) {
        return format!("uid {place}");
    }
    if !text.contains('-') || text.len() < 36 {
        return text.to_owned();
    }
    let mut text = text.to_owned();
    for (uid, place) in &seen.uids {
        if text.contains(uid.as_str()) {
            text = text.replace(uid.as_str(), &format!("uid {place}"));
        }
    }
    text
}

fn difference(step: &Step, real: &Value, memory: &Value) -> String {
    let Step { method, path, body, by, .. } = step;
    let body = body.as_ref().map(|body| format!(" {body}")).unwrap_or_default();
    let mut places = Vec::new();
    differing(real, memory, String::new(), &mut places);
    let places = places.join("\n    ");
    format!("{}: {method} {path}{body}\n    {places}\n  real:   {real}\n  memory: {memory}", by.token)
}

/// Pointers of what differs, with both values.
fn differing(real: &Value, memory: &Value, at: String, places: &mut Vec<String>) {
    match (real, memory) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let of = |fields: &Map<String, Value>| fields.get(key).cloned().unwrap_or(Value::Null);
                differing(&of(one), &of(other), format!("{at}/{key}"), places);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differing(one, other, format!("{at}/{index}"), places);
            }
        }
        _ if real == memory => {}
        _ => places.push(format!("{at}: real {real}, memory {memory}")),
    }
}
