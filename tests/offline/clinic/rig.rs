//! One world, one sandbox, and operators that come and go.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mandate::adapters::Adapters;

use mandate::adapters::transport::{CallHook, InProcess, Request, Response, Transport, TransportFault};
use mandate::engine::kind::AnyKind;
use mandate::engine::port::{Clock, Identifiers, World, WorldError};
use mandate::kinds::crd;
use mandate::kinds::provisioningrequest::api::REQUEST;
use mandate::model::object::{Object, ObjectKey};
use mandate::model::resource::{BUILT_IN, Resource};
use mandate::offline::yaml;
use mandate::operator::embedded;
use mandate::operator::runner::{Load, Operator, Setup};
use mandate::operator::secrets::WorldSecrets;
use mandate::sandbox::{Effect, Sandbox, SandboxOptions};
use mandate::world::faulty::{CrashPlan, Faulty, Point, Verdict};
use mandate::world::memory::Memory;
use mandate::world::server::{ApiServer, Identity, Preconditions, Subresource, WriteOptions};
use serde_json::{Value, json};
use uuid::Uuid;

/// Identifiers that count: the same run gives the same ones.
#[derive(Debug, Default)]
pub struct Counting(AtomicU64);

impl Identifiers for Counting {
    fn uuid(&self) -> Uuid {
        Uuid::from_u64_pair(0xc0, self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// The controller's clients by kind.
pub type Clients = std::collections::HashMap<&'static str, mandate::world::memory::Client>;

/// How long without a wake-up counts as settled.
pub const HORIZON: Duration = Duration::from_secs(300);

/// World, sandbox and clock.
pub struct Rig {
    pub memory: Memory,
    pub sandbox: Sandbox,
    pub clock: Arc<dyn Clock>,
    ids: Arc<dyn Identifiers>,
    /// Systems of the tenant beside, which no fault of `sandbox` touches.
    beside: Option<Sandbox>,
    /// What was sent to `sandbox`, and when.
    pub sent: Arc<Mutex<Vec<Sent>>>,
    /// Requests under way at once: now, and at most so far.
    pub busy: Arc<Mutex<(usize, usize)>>,
}

/// One request to an external system.
#[derive(Debug, Clone)]
pub struct Sent {
    pub at: tokio::time::Instant,
    pub line: String,
    /// What came back; none while nothing has.
    pub got: Option<Result<u16, TransportFault>>,
}

/// Host under which the tenant beside reaches its systems.
const BESIDE: &str = "http://beside.example:8090";

/// Sends by host, and notes what is sent to the clinic's systems.
struct ByHost {
    sandbox: InProcess,
    beside: Option<InProcess>,
    sent: Arc<Mutex<Vec<Sent>>>,
    busy: Arc<Mutex<(usize, usize)>>,
}

/// A request under way; over when dropped, as when the process dies.
struct UnderWay(Arc<Mutex<(usize, usize)>>);

impl UnderWay {
    fn begin(busy: &Arc<Mutex<(usize, usize)>>) -> Self {
        let mut counts = busy.lock().unwrap();
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        Self(busy.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().unwrap().0 -= 1;
    }
}

#[async_trait]
impl Transport for ByHost {
    async fn send(&self, request: Request) -> Result<Response, TransportFault> {
        if let Some(beside) = self.beside.as_ref().filter(|_| request.url.starts_with(BESIDE)) {
            return beside.send(request).await;
        }
        let path = request.url.splitn(4, '/').nth(3).unwrap_or_default();
        let line = format!("{} /{path}", request.method);
        let number = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(Sent { at: tokio::time::Instant::now(), line, got: None });
            sent.len() - 1
        };
        let _under_way = UnderWay::begin(&self.busy);
        let reply = self.sandbox.send(request).await;
        self.sent.lock().unwrap()[number].got = Some(reply.as_ref().map(|reply| reply.status.as_u16()).map_err(|fault| *fault));
        reply
    }
}

pub fn clinic() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clinic")
}

/// The documents of a folder, in order of file names.
pub fn documents(folder: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    let read = |path: &PathBuf| yaml::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    files.iter().flat_map(read).map(|document| document.value).collect()
}

impl Rig {
    /// An empty world and a sandbox with the clinic's templates.
    pub fn empty() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(mandate::engine::port::VirtualClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let ids: Arc<dyn Identifiers> = Arc::new(Counting::default());
        let memory = embedded::open(clock.clone(), ids.clone(), None).unwrap();
        let sandbox = sandbox(&clock, &ids);
        Self { memory, sandbox, clock, ids, beside: None, sent: Arc::default(), busy: Arc::default() }
    }

    /// The clinic's documents applied.
    pub async fn clinic() -> Self {
        let rig = Self::empty();
        for document in documents(&clinic()) {
            rig.apply(document).await;
        }
        rig
    }

    /// The clinic's documents as changed, and beside them a tenant of its own with its own systems.
    pub async fn clinic_beside(change: impl FnMut(&mut Value)) -> Self {
        let rig = Self::empty().with_beside().await;
        let mut documents = documents(&clinic());
        documents.iter_mut().for_each(change);
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            rig.apply(document).await;
        }
        rig
    }

    /// Adds a healthy tenant that shares nothing with the clinic.
    pub async fn with_beside(mut self) -> Self {
        self.beside = Some(sandbox(&self.clock, &self.ids));
        for document in documents(&clinic()) {
            let text = document.to_string().replace("acme-dental", "beside").replace("http://127.0.0.1:8090", BESIDE);
            let mut document: Value = serde_json::from_str(&text).unwrap();
            match document["kind"].as_str().unwrap() {
                "Namespace" if document["metadata"]["name"] == "mandate-system" => {}
                "Provider" => {
                    document["metadata"]["name"] = format!("beside-{}", document["metadata"]["name"].as_str().unwrap()).into();
                    document["spec"]["secretRef"]["name"] =
                        format!("beside-{}", document["spec"]["secretRef"]["name"].as_str().unwrap()).into();
                }
                "Secret" => {
                    document["metadata"]["name"] = format!("beside-{}", document["metadata"]["name"].as_str().unwrap()).into();
                    let provider = document["metadata"]["labels"]["mandate.dev/provider"].as_str().unwrap();
                    document["metadata"]["labels"]["mandate.dev/provider"] = format!("beside-{provider}").into();
                    self.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mandate-system"}})).await;
                }
                "ProvisioningSchema" => {
                    document["metadata"]["name"] = "recepcionista-ia-2.0-r1".into();
                    document["spec"]["version"] = "2.0".into();
                }
                "AssistantDeployment" => {
                    document["spec"]["version"] = "2.0".into();
                    for provider in document["spec"]["providers"].as_object_mut().unwrap().values_mut() {
                        *provider = format!("beside-{}", provider.as_str().unwrap()).into();
                    }
                }
                _ => {}
            }
            self.apply(document).await;
        }
        self
    }

    /// The tenant beside has come as far as it can without a person.
    pub async fn beside_is_well(&self) {
        let request = self.get(&REQUEST, "beside", "receptionist-1").await.expect("the deployment beside has its request");
        assert_eq!(request.body["status"]["state"], "MANUAL_VERIFICATION", "{:#}", request.body["status"]);
    }

    /// Applies a document as the loader would: created, or its content put over what is there.
    pub async fn apply(&self, document: Value) -> Arc<Object> {
        self.try_apply(&Identity::loader(), document).await.unwrap()
    }

    /// As [`Rig::apply`], by anybody, and perhaps refused.
    pub async fn try_apply(&self, who: &Identity, document: Value) -> Result<Arc<Object>, WorldError> {
        let object = object(document.clone());
        let key = object.key();
        match self.memory.create(who, object, WriteOptions::default()).await {
            Ok(written) => Ok(written.object),
            Err(WorldError::AlreadyExists(_)) => {
                Ok(self.memory.merge_patch(who, &key, &document, Subresource::Main, WriteOptions::default()).await?.object)
            }
            Err(error) => Err(error),
        }
    }

    /// Creates a document as this identity, and is told how it was refused.
    pub async fn refused(&self, who: &Identity, document: Value) -> String {
        self.memory.create(who, object(document), WriteOptions::default()).await.expect_err("it is refused").to_string()
    }

    /// Changes an object as the loader would.
    pub async fn patch(&self, resource: &'static Resource, namespace: &str, name: &str, patch: Value) -> Arc<Object> {
        let key = ObjectKey::new(resource, namespace, name);
        self.memory.merge_patch(&Identity::loader(), &key, &patch, Subresource::Main, WriteOptions::default()).await.unwrap().object
    }

    /// Asks for deletion as the loader would.
    pub async fn delete(&self, resource: &'static Resource, namespace: &str, name: &str) {
        self.memory.delete(&Identity::loader(), &ObjectKey::new(resource, namespace, name), &Preconditions::default()).await.unwrap();
    }

    /// The clinic's request.
    pub async fn request(&self) -> Arc<Object> {
        self.get(&REQUEST, "acme-dental", "receptionist-1").await.expect("the deployment has its request")
    }

    /// Events on record about the clinic's request, in order.
    pub async fn events(&self) -> Vec<String> {
        let uid = self.request().await.uid().to_owned();
        let records = self.all("AuditRecord");
        let mut rows: Vec<(u64, String)> = records
            .iter()
            .filter(|record| record.body["spec"]["subject"]["uid"] == uid.as_str())
            .map(|record| (record.body["spec"]["sequence"].as_u64().unwrap(), record.body["spec"]["event"].as_str().unwrap().to_owned()))
            .collect();
        rows.sort();
        rows.into_iter().map(|(_, event)| event).collect()
    }

    /// Asks the clinic's n8n something, as a person at its console would. Whole reply; the status must be 2xx.
    pub async fn n8n(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        use tower::ServiceExt as _;
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/n8n/api/v1{path}"))
            .header("X-N8N-API-KEY", mandate::sandbox::N8N_KEY)
            .header("content-type", "application/json")
            .body(body.map_or_else(axum::body::Body::empty, |body| axum::body::Body::from(body.to_string())))
            .unwrap();
        let reply = self.sandbox.router().oneshot(request).await.unwrap();
        let status = reply.status();
        let bytes = axum::body::to_bytes(reply.into_body(), usize::MAX).await.unwrap();
        assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).unwrap()
    }

    /// An operator at work until it is stopped.
    pub fn run(&self) -> AtWork {
        self.run_with(self.operator(None).0)
    }

    /// This operator at work until it is stopped.
    pub fn run_with(&self, operator: Operator) -> AtWork {
        let load = operator.load();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(async move { operator.run(async { drop(stopped.await) }).await.unwrap() });
        AtWork { load, stop, task }
    }

    pub async fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.memory.get(&Identity::loader(), &ObjectKey::new(resource, namespace, name)).await.ok()
    }

    /// All objects of a kind.
    pub fn all(&self, kind: &str) -> Vec<Arc<Object>> {
        self.memory.snapshot().of_kind(kind).cloned().collect()
    }

    pub fn operator(&self, plan: Option<&Arc<CrashPlan>>) -> (Operator, Clients) {
        let mut sandbox = InProcess::new(self.sandbox.router());
        if let Some(plan) = plan {
            sandbox = sandbox.hooked(Arc::new(CrashHook(plan.clone())));
        }
        let beside = self.beside.as_ref().map(|beside| InProcess::new(beside.router()));
        self.operator_over(Arc::new(ByHost { sandbox, beside, sent: self.sent.clone(), busy: self.busy.clone() }), plan)
    }

    pub fn operator_over(&self, transport: Arc<dyn Transport>, plan: Option<&Arc<CrashPlan>>) -> (Operator, Clients) {
        let secrets =
            WorldSecrets { world: Arc::new(self.memory.client(Identity::controller(), None)), system_namespace: "mandate-system".into() };
        let backends = Arc::new(Adapters::new(transport, Arc::new(secrets), self.clock.clone()));
        let wrap = |world: Arc<dyn World>| match plan {
            Some(plan) => Arc::new(Faulty::new(world, plan.clone())) as Arc<dyn World>,
            None => world,
        };
        let (setup, clients) = embedded::setup(&self.memory, backends, self.clock.clone(), wrap);
        (Operator::new(setup), clients)
    }

    /// An operator with these kinds instead of ours.
    pub fn operator_of(&self, kinds: &'static [&'static dyn AnyKind]) -> Operator {
        Operator::new(Setup { kinds, ..self.setup() })
    }

    /// What an operator is made of.
    pub fn setup(&self) -> Setup {
        let secrets =
            WorldSecrets { world: Arc::new(self.memory.client(Identity::controller(), None)), system_namespace: "mandate-system".into() };
        let transport = ByHost {
            sandbox: InProcess::new(self.sandbox.router()),
            beside: self.beside.as_ref().map(|beside| InProcess::new(beside.router())),
            sent: self.sent.clone(),
            busy: self.busy.clone(),
        };
        let backends = Arc::new(Adapters::new(Arc::new(transport), Arc::new(secrets), self.clock.clone()));
        embedded::setup(&self.memory, backends, self.clock.clone(), |world| world).0
    }

    /// Runs an operator until nothing is to be done for [`HORIZON`].
    pub async fn settle(&self) {
        let (operator, _) = self.operator(None);
        settle(operator).await;
        self.hold();
    }

    /// Runs operators, each until it crashes, until one settles. Returns how many crashed.
    pub async fn settle_through(&self, plan: &Arc<CrashPlan>) -> usize {
        let (operator, _) = self.operator(Some(plan));
        tokio::select! {
            () = plan.crashed() => {}
            () = settle(operator) => { self.hold(); return 0 }
        }
        self.hold();
        self.settle().await;
        1
    }

    /// Every invariant holds.
    pub fn hold(&self) {
        let broken = mandate::engine::audit::violations(&mandate::kinds::invariants(), &self.memory.snapshot());
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// The effects outside, with our keys and ids masked, so that runs can be compared.
    pub fn effects(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.sandbox.effects().iter().map(masked).collect();
        lines.sort();
        lines
    }

    /// A decision on a request as `mandate decide` writes it.
    pub async fn decide(&self, request: &Object, act: &str, change: impl FnOnce(&mut Value)) -> Arc<Object> {
        let offer = &request.body["status"]["decision"];
        let mut document = json!({
            "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision",
            "metadata": {"name": format!("{}-{}-1", act.to_lowercase(), request.name()), "namespace": request.namespace()},
            "spec": {
                "subject": {"kind": "ProvisioningRequest", "name": request.name(), "uid": request.uid(), "hash": offer["hash"]},
                "act": act, "operator": "ben@acme-dental.example", "via": "Relay", "checklist": offer["checklist"],
            },
        });
        change(&mut document);
        self.apply(document).await
    }
}

/// Runs an operator until it is settled, and stops it.
pub async fn settle(operator: Operator) {
    let settled = settled(operator.load(), HORIZON);
    tokio::time::timeout(Duration::from_secs(3600), operator.run(settled)).await.expect("the world settles within an hour").unwrap();
}

/// Until nothing is to be done for this long.
async fn settled(mut load: tokio::sync::watch::Receiver<Load>, horizon: Duration) {
    loop {
        load.wait_for(|load: &Load| load.is_settled(horizon)).await.unwrap();
        // What the world's own controllers do reaches the operator a moment later.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if load.borrow().is_settled(horizon) {
            return;
        }
    }
}

/// An operator at work.
pub struct AtWork {
    load: tokio::sync::watch::Receiver<Load>,
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl AtWork {
    /// Until nothing is to be done now or in the next moments; later wake-ups may stand.
    pub async fn quiet(&self) {
        // What was written just now reaches the operator a moment later.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let settled = settled(self.load.clone(), Duration::ZERO);
        tokio::time::timeout(Duration::from_secs(3600), settled).await.expect("the world comes to rest within an hour");
    }

    /// Stops it.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

fn sandbox(clock: &Arc<dyn Clock>, ids: &Arc<dyn Identifiers>) -> Sandbox {
    let mut options = SandboxOptions::new(clock.clone(), ids.clone());
    options.templates = Some(clinic().join("sandbox"));
    Sandbox::open(options).unwrap()
}

/// A document as an object of its kind.
pub fn object(document: Value) -> Object {
    let kind = document["kind"].as_str().unwrap().to_owned();
    let mut served = BUILT_IN.iter().copied().chain(crd::resources());
    Object { resource: served.find(|resource| resource.kind == kind).unwrap(), body: document }
}

/// A condition's status, reason and message; dashes when it is absent.
pub fn condition<'a>(object: &'a Object, kind: &str) -> [&'a str; 3] {
    let conditions = object.body["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.map_or(["-"; 3], |found| ["status", "reason", "message"].map(|field| found[field].as_str().unwrap()))
}

/// Reason of `Ready`.
pub fn reason(object: &Object) -> &str {
    let [_, reason, _] = condition(object, "Ready");
    reason
}

pub fn masked(effect: &Effect) -> String {
    let mut label = effect.label.clone();
    if let Some(start) = label.find("\"mandateKey\":\"") {
        label.replace_range(start + 14..start + 46, "<key>");
    }
    let words: Vec<&str> = label
        .split(' ')
        .map(|word| if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) { "<key>" } else { word })
        .collect();
    let label = words.join(" ");
    let label = if label.len() == 32 && label.bytes().all(|byte| byte.is_ascii_hexdigit()) { "<key>".to_owned() } else { label };
    format!("{:?} {:?} {label}", effect.vendor, effect.operation)
}

/// Dies at the planned moment of an external call.
struct CrashHook(Arc<CrashPlan>);

impl CrashHook {
    async fn at(&self, point: Point) {
        if self.0.tick(point) == Verdict::Crash {
            self.0.dead::<()>().await;
        }
    }
}

#[async_trait]
impl CallHook for CrashHook {
    async fn before_send(&self, _: &Request) {
        self.at(Point::BeforeCall).await;
    }

    async fn after_send_before_reply(&self, _: &Request) {
        self.at(Point::AfterSendBeforeReply).await;
    }

    async fn after_reply(&self, _: &Request) {
        self.at(Point::AfterCall).await;
    }
}
