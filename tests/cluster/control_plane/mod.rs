//! A control plane of a test: etcd, kube-apiserver, kube-controller-manager, on loopback, gone with the test.

pub mod api;
pub mod assets;
mod audit;
mod files;
mod process;
pub mod shared;
pub mod users;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use api::Api;
use assets::Assets;
pub use audit::Request;
use process::Process;
pub use process::{Leashed, signal};
use users::{ADMIN, CONTROLLER_MANAGER, User};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(60);

/// What a control plane starts with besides etcd and kube-apiserver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controllers {
    /// Nothing: whatever is asked of the server is asked by the test or the operator.
    None,
    /// kube-controller-manager as kubeadm runs it, with the controllers that our objects meet.
    Stock,
}

/// Ports of one control plane; they stay when a server is started again.
#[derive(Debug, Clone, Copy)]
struct Ports {
    etcd: u16,
    peer: u16,
    api: u16,
}

/// A running control plane.
pub struct ControlPlane {
    folder: TempDir,
    ports: Ports,
    /// More flags of kube-apiserver.
    flags: &'static [&'static str],
    /// From when to when kube-apiserver was not ready, oldest first.
    starts: Vec<(Timestamp, Timestamp)>,
    certificate: String,
    controllers: Option<Process>,
    api_server: Option<Process>,
    etcd: Option<Process>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `condition` holds, looking often; says what it waited for when it never does.
pub async fn eventually<F: Future<Output = bool>>(what: &str, within: Duration, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + within;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

impl ControlPlane {
    /// Starts one: its API answers, RBAC's own roles are there.
    pub async fn start(controllers: Controllers) -> Self {
        Self::start_with(controllers, &[]).await
    }

    /// The same, with more flags for kube-apiserver.
    pub async fn start_with(controllers: Controllers, flags: &'static [&'static str]) -> Self {
        let folder = tempfile::Builder::new().prefix("mandate-control-plane-").tempdir().unwrap();
        let ports = Ports { etcd: free_port(), peer: free_port(), api: free_port() };
        files::write(folder.path());
        let mut plane =
            Self { folder, ports, flags, starts: Vec::new(), certificate: String::new(), controllers: None, api_server: None, etcd: None };
        plane.start_etcd();
        plane.start_api_server().await;
        if controllers == Controllers::Stock {
            plane.start_controllers();
        }
        plane
    }

    /// Starts one with our definitions in force. The stock controllers come after them: they look for new kinds every 30 s,
    /// and until then a tenant's quota refuses what it counts.
    pub async fn with_definitions(controllers: Controllers) -> Self {
        let mut plane = Self::start(Controllers::None).await;
        plane.define().await;
        if controllers == Controllers::Stock {
            plane.start_controllers();
        }
        plane
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where this control plane keeps its files; a test may put its own there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn start_etcd(&mut self) {
        let (client, peer) = (format!("http://127.0.0.1:{}", self.ports.etcd), format!("http://127.0.0.1:{}", self.ports.peer));
        let arguments = [
            format!("--data-dir={}", self.path("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        self.etcd = Some(Process::start("etcd", &Assets::found().etcd, &arguments, &self.path("etcd.log")));
    }

    /// Starts kube-apiserver, and waits until it is ready.
    pub async fn start_api_server(&mut self) {
        let began = Timestamp::now();
        let file = |name: &str| self.path(name).display().to_string();
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.ports.api),
            format!("--cert-dir={}", file("certificates")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--service-account-key-file={}", file("service-account.pub")),
            format!("--service-account-signing-key-file={}", file("service-account.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            format!("--audit-policy-file={}", file("audit.yaml")),
            format!("--audit-log-path={}", file("audit.log")),
            "--audit-log-mode=blocking".to_owned(),
            "--profiling=false".to_owned(),
        ];
        arguments.extend(self.flags.iter().map(|&flag| flag.to_owned()));
        self.api_server = Some(Process::start("kube-apiserver", &Assets::found().api_server, &arguments, &self.path("api.log")));
        let certificate = self.certificate();
        let deadline = Instant::now() + START;
        loop {
            if let Ok(text) = std::fs::read_to_string(&certificate) {
                self.certificate = text;
                let ready = self.api(&ADMIN).get("/readyz").await;
                let roles = self.api(&ADMIN).get("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin").await;
                if ready.is_ok_and(|reply| reply.status == 200) && roles.is_ok_and(|reply| reply.status == 200) {
                    self.starts.push((began, Timestamp::now()));
                    return;
                }
            }
            let log = self.api_server.as_ref().map(Process::log_tail).unwrap_or_default();
            if Instant::now() > deadline || log.contains("\"command failed\"") {
                panic!("kube-apiserver is not ready within {START:?}:\n{log}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn start_controllers(&mut self) {
        let kubeconfig = self.write_kubeconfig(&CONTROLLER_MANAGER);
        let controllers = "garbage-collector-controller,namespace-controller,resourcequota-controller,clusterrole-aggregation-controller,\
                           serviceaccount-controller,validatingadmissionpolicy-status-controller";
        let arguments = [
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--controllers={controllers}"),
            "--use-service-account-credentials=true".to_owned(),
            format!("--service-account-private-key-file={}", self.path("service-account.key").display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        let log = self.path("controllers.log");
        self.controllers = Some(Process::start("kube-controller-manager", &Assets::found().controller_manager, &arguments, &log));
    }

    /// Kills kube-apiserver; etcd keeps what was written.
    pub fn kill_api_server(&mut self) {
        self.api_server = None;
    }

    /// The address of the API, without a path.
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api)
    }

    /// The address of etcd's client API, without a path.
    pub fn etcd_address(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.etcd)
    }

    /// Whether kube-apiserver was starting when it received this: it answers before it knows all rights.
    pub fn was_starting(&self, request: &Request) -> bool {
        let received: Timestamp = request.received.parse().unwrap();
        self.starts.iter().any(|(began, ready)| (*began..=*ready).contains(&received))
    }

    /// Requests as a user.
    pub fn api(&self, user: &User) -> Api {
        Api::new(self.address(), &self.certificate, user)
    }

    /// A client that trusts the API server.
    pub fn client(&self) -> reqwest::Client {
        api::client(&self.certificate)
    }

    /// The file with the certificate that the API server is known by.
    pub fn certificate(&self) -> PathBuf {
        self.path("certificates/apiserver.crt")
    }

    /// A kubeconfig for a user, straight to the API server.
    pub fn write_kubeconfig(&self, user: &User) -> PathBuf {
        self.write_kubeconfig_to(user, &self.address())
    }

    /// A kubeconfig for a user, to this address (a proxy's, say).
    pub fn write_kubeconfig_to(&self, user: &User, address: &str) -> PathBuf {
        let port = address.rsplit(':').next().unwrap_or_default();
        let path = self.path(&format!("{}-{port}.kubeconfig", user.token));
        let trust = if address.starts_with("https:") {
            format!(", certificate-authority: {:?}", self.certificate().display().to_string())
        } else {
            String::new()
        };
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: {address:?}{trust}}}}}]\n\
             users: [{{name: test, user: {{token: {:?}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n",
            user.token
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Creates our CustomResourceDefinitions and waits until they are served.
    pub async fn define(&self) {
        let api = self.api(&ADMIN);
        for crd in files::definitions() {
            let name = crd["metadata"]["name"].as_str().unwrap().to_owned();
            let made = api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd).await.unwrap();
            assert_eq!(made.status, 201, "{name}: {}", made.text());
        }
        for crd in files::definitions() {
            let plural = crd["spec"]["names"]["plural"].as_str().unwrap().to_owned();
            let path = format!("/apis/mandate.dev/v1alpha1/{plural}");
            eventually(&format!("{plural} are served"), START, || async { api.get(&path).await.is_ok_and(|reply| reply.status == 200) })
                .await;
        }
    }

    /// Removes these keys and what lies below them from etcd, past admission and finalizers; the server's watches tell of
    /// deletions.
    pub async fn erase(&self, keys: &[&str]) {
        let address = format!("{}/v3/kv/deleterange", self.etcd_address());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for key in keys {
            let range = serde_json::json!({"key": STANDARD.encode(key), "range_end": STANDARD.encode(format!("{key}0"))});
            let erased = client.post(&address).body(range.to_string()).send().await.unwrap();
            assert!(erased.status().is_success(), "{key}: {}", erased.text().await.unwrap());
        }
    }

    /// Every request that the API server has answered so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        audit::read(&self.path("audit.log"))
    }
}

impl Drop for ControlPlane {
    /// In the order that leaves nobody asking a server that is gone.
    fn drop(&mut self) {
        self.controllers = None;
        self.api_server = None;
        self.etcd = None;
    }
}
