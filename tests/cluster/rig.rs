//! The clinic on a control plane of its own: definitions, guards and roles as they are committed, the sandbox, operators.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use mandate::sandbox::{Effect, FaultRule};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::control_plane::api::Api;
use crate::control_plane::assets::Assets;
use crate::control_plane::users::{ADMIN, CONTROLLER, OPERATOR, User};
use crate::control_plane::{ControlPlane, Controllers, Leashed, eventually};
use crate::rights;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The address of the sandbox in the manifests.
const WRITTEN: &str = "127.0.0.1:8090";
/// The binary under test.
pub const MANDATE: &str = env!("CARGO_BIN_EXE_mandate");

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A port that nobody listens on. Below the ports that systems give to outgoing connections, so that it stays free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 40).unwrap() * 500;
    let candidates = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    candidates.take(2000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

/// A control plane with everything that `mandate crds`, `guards` and `rbac` print, and the clinic's manifests.
pub struct Clinic {
    pub plane: ControlPlane,
    _sandbox: Leashed,
    pub sandbox_port: u16,
    http: reqwest::Client,
    /// Resources that the controller was refused on purpose.
    revoked: Vec<&'static str>,
    admin: Api,
}

/// One process of `mandate run`.
pub struct Replica {
    pub process: Leashed,
    pub port: u16,
    pub log: PathBuf,
    http: reqwest::Client,
}

impl Clinic {
    /// Everything but an operator and the manifests.
    pub async fn start(controllers: Controllers) -> Self {
        Self::on(ControlPlane::with_definitions(controllers).await).await
    }

    /// The same on this control plane, which has our definitions.
    pub async fn on(plane: ControlPlane) -> Self {
        let clinic = Self::before_definitions(plane);
        clinic.guards_in_force().await;
        clinic
    }

    /// Roles and guards on a control plane that does not know our kinds.
    pub fn before_definitions(plane: ControlPlane) -> Self {
        let clinic = Self::around(plane);
        clinic.kubectl(&ADMIN, &["create", "namespace", "mandate-system"]);
        clinic.kubectl(&ADMIN, &["apply", "-f", &committed("rbac.yaml"), "-f", &committed("guards.yaml")]);
        clinic
    }

    fn around(plane: ControlPlane) -> Self {
        let sandbox_port = free_port();
        let manifests = plane.folder().join("clinic");
        write_manifests(&manifests, sandbox_port);
        let templates = manifests.join("sandbox").display().to_string();
        let arguments = ["sandbox".to_owned(), "--listen".into(), format!("127.0.0.1:{sandbox_port}"), "--templates".into(), templates];
        let sandbox = Leashed::start(Path::new(MANDATE), &arguments, &plane.folder().join("sandbox.log"), |_| {});
        let admin = plane.api(&ADMIN);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { plane, _sandbox: sandbox, sandbox_port, http, admin, revoked: Vec::new() }
    }

    /// A policy takes up to a second until it is enforced: until it refuses what it must, nothing is proven.
    pub async fn guards_in_force(&self) {
        let api = self.admin();
        let record = json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "AuditRecord", "metadata": {"name": "probe"},
            "spec": {"subject": {"kind": "Tenant", "name": "x", "uid": "u"}, "sequence": 1, "event": "Probe", "actor": "probe", "time": "2026-01-01T00:00:00Z",
                     "entry": "{}", "hash": format!("sha256:{}", "0".repeat(64))}});
        let path = "/apis/mandate.dev/v1alpha1/namespaces/default/auditrecords?dryRun=All";
        eventually("the guards are in force", PATIENCE, || async { api.post(path, &record).await.is_ok_and(|reply| reply.status == 403) })
            .await;
    }

    /// The folder of manifests.
    pub fn manifests(&self) -> PathBuf {
        self.plane.folder().join("clinic")
    }

    /// kubectl as a user; it must succeed.
    pub fn kubectl(&self, user: &User, arguments: &[&str]) -> String {
        let output = self.try_kubectl(user, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {}: {said}", arguments.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// kubectl as a user.
    pub fn try_kubectl(&self, user: &User, arguments: &[&str]) -> Output {
        let kubeconfig = self.plane.write_kubeconfig(user);
        let mut command = Command::new(&Assets::found().kubectl);
        command.arg("--kubeconfig").arg(kubeconfig).arg("--cache-dir").arg(self.plane.folder().join("kubectl-cache"));
        command.args(arguments).output().unwrap()
    }

    /// mandate as a user.
    pub fn mandate(&self, user: &User, arguments: &[&str]) -> Output {
        Command::new(MANDATE).args(arguments).env("KUBECONFIG", self.plane.write_kubeconfig(user)).output().unwrap()
    }

    /// Applies the manifests: the namespaces first, and the deployment before its tenant. A quota that is not counted yet
    /// lets nothing be made that it limits, and without kube-controller-manager it never is.
    pub fn apply(&self) {
        let folder = self.manifests();
        for first in ["00-namespaces.yaml", "40-receptionist.yaml", ""] {
            self.kubectl(&ADMIN, &["apply", "-f", folder.join(first).to_str().unwrap()]);
        }
    }

    /// From now on the controller may be refused this resource, by its plural.
    pub fn revoke(&mut self, plural: &'static str) {
        self.revoked.push(plural);
    }

    /// Decides that the clinic's request is verified, as the operator. Until the tenant's quota is counted the API server takes
    /// no decision; kube-controller-manager counts.
    pub async fn verify(&self) {
        let quota = "/api/v1/namespaces/acme-dental/resourcequotas/mandate";
        eventually("the quota is counted", 2 * PATIENCE, || async {
            self.get(quota).await.is_some_and(|found| found["status"]["used"]["count/operatordecisions.mandate.dev"].is_string())
        })
        .await;
        let decided = ["decide", "verify", "receptionist-1", "-n", "acme-dental", "--operator", OPERATOR.name, "--all-checks"];
        let decided = self.mandate(&OPERATOR, &decided);
        let said = String::from_utf8_lossy(&decided.stderr).into_owned() + &String::from_utf8_lossy(&decided.stdout);
        assert!(decided.status.success() && said.contains("Accepted"), "{said}");
    }

    /// Waits until an object of ours says that it is ready.
    pub async fn says_ready(&self, plural: &str, name: &str) {
        eventually(&format!("{plural} {name} is ready"), PATIENCE, || async {
            let found = self.get(&format!("/apis/mandate.dev/v1alpha1/{plural}/{name}")).await;
            found.is_some_and(|found| condition(&found, "Ready")["status"] == "True")
        })
        .await;
    }

    /// An operator, asking the API server at `address`.
    pub fn replica_at(&self, name: &str, address: &str, more: &[&str]) -> Replica {
        let port = free_port();
        let log = self.plane.folder().join(format!("{name}.log"));
        let kubeconfig = self.plane.write_kubeconfig_to(&CONTROLLER, address);
        let mut arguments = vec!["run".to_owned(), "--identity".into(), name.into(), "--listen".into(), format!("127.0.0.1:{port}")];
        arguments.extend(["--kubeconfig".to_owned(), kubeconfig.display().to_string()]);
        arguments.extend(more.iter().map(|&more| more.to_owned()));
        Replica { process: Leashed::start(Path::new(MANDATE), &arguments, &log, |_| {}), port, log, http: self.http.clone() }
    }

    /// An operator.
    pub fn replica(&self, name: &str, more: &[&str]) -> Replica {
        self.replica_at(name, &self.plane.address(), more)
    }

    /// One object, if it is there.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let reply = self.admin().get(path).await.ok()?;
        (reply.status == 200).then_some(reply.body)
    }

    /// Requests as the administrator, all over the same connections.
    pub fn admin(&self) -> Api {
        self.admin.clone()
    }

    /// Waits until the clinic's request is in a state.
    pub async fn reaches(&self, state: &str) {
        let what = format!("the request is {state}");
        eventually(&what, PATIENCE, || async { self.state().await.as_deref() == Some(state) }).await;
    }

    /// Waits until the clinic's deployment is ready, or not, for this reason. AwaitingVerification is the last that is written before a
    /// person acts.
    pub async fn says(&self, reason: &str) {
        let path = "/apis/mandate.dev/v1alpha1/namespaces/acme-dental/assistantdeployments/receptionist";
        eventually(&format!("the deployment says {reason}"), PATIENCE, || async {
            let found = self.get(path).await.unwrap_or_default();
            let conditions = found["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["reason"] == reason))
        })
        .await;
    }

    /// The state of the clinic's request.
    pub async fn state(&self) -> Option<String> {
        let request = self.get("/apis/mandate.dev/v1alpha1/namespaces/acme-dental/provisioningrequests/receptionist-1").await?;
        request.pointer("/status/state").and_then(Value::as_str).map(str::to_owned)
    }

    /// What goes wrong outside from now on; nothing else does.
    pub async fn disturb(&self, rules: &[FaultRule]) {
        let request = self.http.put(format!("http://127.0.0.1:{}/_sandbox/faults", self.sandbox_port));
        let sent = request.body(serde_json::to_string(rules).unwrap()).send().await.unwrap();
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
    }

    /// What an external system has at a path, asked with a bearer token.
    pub async fn outside(&self, path: &str, token: &str) -> Value {
        let request = self.http.get(format!("http://127.0.0.1:{}{path}", self.sandbox_port)).bearer_auth(token);
        let reply = request.send().await.unwrap();
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
        serde_json::from_str(&reply.text().await.unwrap()).unwrap()
    }

    /// Every effect that the sandbox has had.
    pub async fn effects(&self) -> Vec<Effect> {
        self.effects_at(self.sandbox_port).await
    }

    /// Every effect that the sandbox on this port has had.
    pub async fn effects_at(&self, port: u16) -> Vec<Effect> {
        let reply = self.http.get(format!("http://127.0.0.1:{port}/_sandbox/effects")).send().await.unwrap();
        let body: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
        let effects = body.get("effects").cloned().unwrap_or(body);
        serde_json::from_value(effects).unwrap()
    }

    /// Fails unless there are effects, and none that asks for the same thing as another, whoever did it.
    pub async fn each_effect_once(&self) {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for effect in self.effects().await {
            let Effect { vendor, operation, label, digest, .. } = effect;
            *times.entry(format!("{vendor:?} {operation:?} {label} {digest}")).or_default() += 1;
        }
        assert!(!times.is_empty(), "there are effects to look at");
        assert!(times.values().all(|times| *times == 1), "{times:#?}");
    }
}

impl Drop for Clinic {
    fn drop(&mut self) {
        rights::saw(&self.plane, &self.revoked);
    }
}

/// A condition of an object; null if it has none of this type.
pub fn condition(object: &Value, of_type: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == of_type).cloned().unwrap_or_default()
}

/// Copies the clinic's manifests and templates into a folder, for a sandbox on this port.
pub fn write_manifests(manifests: &Path, sandbox_port: u16) {
    fs::create_dir_all(manifests.join("sandbox")).unwrap();
    for folder in ["", "sandbox"] {
        for entry in fs::read_dir(root().join("examples/clinic").join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                let text = fs::read_to_string(entry.path()).unwrap();
                let to = manifests.join(folder).join(entry.file_name());
                fs::write(to, text.replace(WRITTEN, &format!("127.0.0.1:{sandbox_port}"))).unwrap();
            }
        }
    }
}

/// A file of `crds/`.
pub fn committed(name: &str) -> String {
    root().join("crds").join(name).display().to_string()
}

impl Replica {
    /// One of its pages, if it answers.
    pub async fn page(&self, path: &str) -> Option<(u16, String)> {
        let reply = self.http.get(format!("http://127.0.0.1:{}{path}", self.port)).send().await.ok()?;
        let status = reply.status().as_u16();
        Some((status, reply.text().await.ok()?))
    }

    /// A metric's samples by their labels.
    pub async fn metric(&self, name: &str) -> BTreeMap<String, f64> {
        let Some((_, text)) = self.page("/metrics").await else { return BTreeMap::new() };
        let samples = text.lines().filter_map(|line| line.strip_prefix(name)).filter_map(|rest| rest.rsplit_once(' '));
        samples.filter_map(|(labels, value)| Some((labels.to_owned(), value.parse().ok()?))).collect()
    }

    /// Waits until every watch is live.
    pub async fn ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.page("/readyz").await;
            if page.as_ref().is_some_and(|(status, _)| *status == 200) {
                return;
            }
            let said = self.said();
            assert!(Instant::now() < deadline && !said.contains("\"a task ended"), "the operator is not ready: {page:?}\n{said}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it has logged.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
