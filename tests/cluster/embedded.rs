//! The same folder through `mandate up` and through the operator on a cluster comes to the same: every state, condition,
//! step, record and effect, and every hash that covers no UID, time or outside id.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::Test;
use crate::control_plane::api::Api;
use crate::control_plane::users::{ADMIN, User};
use crate::control_plane::{Controllers, Leashed, eventually};
use crate::ends::{End, LOOK, TENANT, World};
use crate::rig::{Clinic, MANDATE, PATIENCE, free_port, write_manifests};
use crate::tests;

/// The person who decides in both worlds, through their administrator.
const DECIDES: &str = "carla@acme-dental.example";

pub fn alone() -> Vec<Test> {
    tests![the_cluster_comes_to_what_up_comes_to]
}

/// `mandate up` for a folder of its own.
struct Up {
    folder: PathBuf,
    listen: String,
    sandbox_port: u16,
}

impl Up {
    fn new(folder: PathBuf) -> Self {
        let up = Self { folder, listen: format!("127.0.0.1:{}", free_port()), sandbox_port: free_port() };
        write_manifests(&up.folder, up.sandbox_port);
        up
    }

    fn arguments(&self) -> Vec<String> {
        let folder = self.folder.display().to_string();
        let sandbox = format!("127.0.0.1:{}", self.sandbox_port);
        ["up", &folder, "--listen", &self.listen, "--sandbox-listen", &sandbox].map(str::to_owned).to_vec()
    }

    fn once(&self) {
        let output = Command::new(MANDATE).args(self.arguments()).arg("--once").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn start(&self) -> Leashed {
        Leashed::start(Path::new(MANDATE), &self.arguments(), &self.folder.with_extension("log"), |_| {})
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join(".mandate/kubeconfig")
    }

    fn api(&self) -> Api {
        let kubeconfig: Value = serde_json::from_str(&std::fs::read_to_string(self.kubeconfig()).unwrap()).unwrap();
        let text = |pointer: &str| kubeconfig.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        let certificate = STANDARD.decode(text("/clusters/0/cluster/certificate-authority-data")).unwrap();
        let token = text("/users/0/user/token").leak();
        let user = User { token, name: "admin", groups: &[] };
        Api::new(text("/clusters/0/cluster/server"), std::str::from_utf8(&certificate).unwrap(), &user)
    }
}

async fn the_cluster_comes_to_what_up_comes_to() {
    let clinic = Clinic::start(Controllers::None).await;
    let _operator = clinic.replica("one", &[]);
    clinic.apply();

    let up = Up::new(clinic.plane.folder().join("embedded"));
    up.once();
    let _running = up.start();
    let api = up.api();
    eventually("up answers", PATIENCE, || async { api.get("/readyz").await.is_ok_and(|reply| reply.status == 200) }).await;

    let (waiting, _) = same(&clinic, &up, &api, "AwaitingVerification").await;
    assert_eq!(waiting.plain_hashes, pinned(&clinic), "no other hash is the same everywhere");

    decide(&clinic.mandate(&ADMIN, &DECIDE));
    decide(&Command::new(MANDATE).args(DECIDE).env("KUBECONFIG", up.kubeconfig()).output().unwrap());
    let (clusters, ups) = same(&clinic, &up, &api, "Completed").await;
    assert_eq!(clusters.plain_hashes, pinned(&clinic), "no other hash is the same everywhere");
    let shared: Vec<_> = clusters.identity_hashes.intersection(&ups.identity_hashes).collect();
    assert!(shared.is_empty(), "a hash that covers a UID, a time or an outside id is nobody else's: {shared:?}");
    clinic.each_effect_once().await;
}

const DECIDE: [&str; 8] = ["decide", "verify", "receptionist-1", "-n", TENANT, "--operator", DECIDES, "--all-checks"];

fn decide(decided: &Output) {
    let said = String::from_utf8_lossy(&decided.stderr).into_owned() + &String::from_utf8_lossy(&decided.stdout);
    assert!(decided.status.success() && said.contains(": Accepted: "), "{said}");
}

/// Digests in the manifests: of the schema, and of the templates that it pins.
fn pinned(clinic: &Clinic) -> BTreeSet<String> {
    let schema = clinic.manifests().join("30-schema.yaml");
    let text = std::fs::read_to_string(&schema).unwrap();
    let templates = text.lines().filter_map(|line| line.trim().strip_prefix("digest: ")).map(str::to_owned);
    let hash = mandate(&["hash", schema.to_str().unwrap()]);
    templates.chain([hash.trim().to_owned()]).collect()
}

/// What a command that asks no server prints.
fn mandate(arguments: &[&str]) -> String {
    let output = Command::new(MANDATE).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until the deployment is there in both worlds; then they come to the same: the cluster's end, and up's.
async fn same(clinic: &Clinic, up: &Up, api: &Api, reason: &str) -> (End, End) {
    let deployment = format!("/apis/mandate.dev/v1alpha1/namespaces/{TENANT}/assistantdeployments/receptionist");
    let admin = clinic.admin();
    for api in [&admin, api] {
        let is_there = || async {
            let found = api.get(&deployment).await;
            let conditions = found.ok().and_then(|reply| reply.body["status"]["conditions"].as_array().cloned());
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["reason"] == reason))
        };
        eventually(&format!("the deployment says {reason}"), PATIENCE, is_there).await;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let on_cluster = end(clinic, &admin, clinic.sandbox_port).await;
        let embedded = end(clinic, api, up.sandbox_port).await;
        let differences = on_cluster.differences(&embedded);
        if differences.is_empty() {
            return (on_cluster, embedded);
        }
        assert!(Instant::now() < deadline, "{reason}: on the cluster (-) and embedded (+)\n{}", differences.join("\n"));
        sleep(LOOK).await;
    }
}

/// What this world has come to, with the sandbox on this port.
async fn end(clinic: &Clinic, api: &Api, sandbox_port: u16) -> End {
    let world = World::read(api).await;
    world.hold("settled");
    let end = world.end(&clinic.effects_at(sandbox_port).await, &[evidence(clinic, &world)]);
    end.with_each_line(|line| line.replace(&format!("127.0.0.1:{sandbox_port}"), "<sandbox>"))
}

/// The document that the operator decides on, as anyone computes it from the request, and its hash.
fn evidence(clinic: &Clinic, world: &World) -> String {
    let request = world.one("ProvisioningRequest", "receptionist-1");
    let file = clinic.plane.folder().join("request.json");
    std::fs::write(&file, request.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let (text, hash) = (mandate(&["canonical", "--evidence", file]), mandate(&["hash", "--evidence", file]));
    if let Some(offered) = request.pointer("/status/decision/hash") {
        assert_eq!(offered, hash.trim(), "the hash that is offered is that of the evidence");
    }
    let document: Value = serde_json::from_str(&text).unwrap();
    format!("{:#}", json!({"evidence": document}))
}
