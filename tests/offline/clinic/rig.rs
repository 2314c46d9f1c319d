//! One world, one sandbox, and operators that come and go.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mandate::adapters::Adapters;

use mandate::adapters::transport::{CallHook, InProcess, Request, Transport};
use mandate::engine::port::{Clock, Identifiers, World};
use mandate::model::object::{Object, ObjectKey};
use mandate::model::resource::Resource;
use mandate::offline::yaml;
use mandate::operator::embedded;
use mandate::operator::runner::{Load, Operator};
use mandate::operator::secrets::WorldSecrets;
use mandate::sandbox::{Effect, Sandbox, SandboxOptions};
use mandate::world::faulty::{CrashPlan, Faulty, Point, Verdict};
use mandate::world::memory::Memory;
use mandate::world::server::{ApiServer, Identity, WriteOptions};
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
        let mut options = SandboxOptions::new(clock.clone(), ids);
        options.templates = Some(clinic().join("sandbox"));
        Self { memory, sandbox: Sandbox::open(options).unwrap(), clock }
    }

    /// The clinic's documents applied.
    pub async fn clinic() -> Self {
        let rig = Self::empty();
        for document in documents(&clinic()) {
            rig.apply(document).await;
        }
        rig
    }

    /// Creates a document as the loader would.
    pub async fn apply(&self, document: Value) -> Arc<Object> {
        let kind = document["kind"].as_str().unwrap().to_owned();
        let definition = embedded::definitions().into_iter().find(|definition| definition.resource.kind == kind).unwrap();
        let object = Object { resource: definition.resource, body: document };
        self.memory.create(&Identity::loader(), object, WriteOptions::default()).await.unwrap().object
    }

    pub async fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.memory.get(&Identity::loader(), &ObjectKey::new(resource, namespace, name)).await.ok()
    }

    /// All objects of a kind.
    pub fn all(&self, kind: &str) -> Vec<Arc<Object>> {
        self.memory.snapshot().of_kind(kind).cloned().collect()
    }

    pub fn operator(&self, plan: Option<&Arc<CrashPlan>>) -> (Operator, Clients) {
        let mut transport = InProcess::new(self.sandbox.router());
        if let Some(plan) = plan {
            transport = transport.hooked(Arc::new(CrashHook(plan.clone())));
        }
        self.operator_over(Arc::new(transport), plan)
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
    let mut load = operator.load();
    let settled = async move {
        loop {
            load.wait_for(|load: &Load| load.is_settled(HORIZON)).await.unwrap();
            // What the world's own controllers do reaches the operator a moment later.
            tokio::time::sleep(Duration::from_millis(50)).await;
            if load.borrow().is_settled(HORIZON) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), operator.run(settled)).await.expect("the world settles within an hour");
}

/// An effect without our keys.
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
