//! One copy of examples/clinic with ports of its own, and the processes that serve it.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use mandate::engine::audit::Snapshot;
use mandate::engine::port::{RandomIdentifiers, SystemClock};
use mandate::operator::embedded;
use mandate::sandbox::{Effect, FaultRule};
use mandate::world::store::{DATABASE_FILE, Store};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use crate::clinic::rig as virtual_clinic;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

/// The address of the sandbox in the manifests.
const WRITTEN: &str = "127.0.0.1:8090";

/// A port that nobody listens on. Below the ports that systems give to outgoing connections, so that it stays free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    let candidates = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    candidates.take(2000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

/// Looks until there is something, or gives up.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A folder of manifests and where it is served.
pub struct Clinic {
    folder: tempfile::TempDir,
    pub api: u16,
    pub sandbox: u16,
    http: reqwest::Client,
}

impl Clinic {
    pub fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let clinic = Self { folder: tempfile::tempdir().unwrap(), api: free_port(), sandbox: free_port(), http };
        let from = virtual_clinic::clinic();
        std::fs::create_dir(clinic.path().join("sandbox")).unwrap();
        for folder in ["", "sandbox"] {
            for entry in std::fs::read_dir(from.join(folder)).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    let text = std::fs::read_to_string(entry.path()).unwrap();
                    let to = clinic.path().join(folder).join(entry.file_name());
                    std::fs::write(to, text.replace(WRITTEN, &format!("127.0.0.1:{}", clinic.sandbox))).unwrap();
                }
            }
        }
        clinic
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join(".mandate")
    }

    /// Changes a manifest as an editor does.
    pub fn edit(&self, file: &str, change: impl FnOnce(&str) -> String) {
        let path = self.path().join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        let after = change(&before);
        assert_ne!(before, after, "the edit of {file} changes something");
        std::fs::write(path, after).unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = mandate(&["up", self.path().to_str().unwrap()]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.api)]);
        command.args(["--sandbox-listen", &format!("127.0.0.1:{}", self.sandbox)]);
        command.args(more);
        command
    }

    /// Starts `up`.
    pub fn up(&self) -> Up {
        // Hidden, so that it is no change of the folder's.
        let said = self.path().join(".said");
        let child = self.command(&[]).stdout(Stdio::null()).stderr(File::create(&said).unwrap()).spawn().unwrap();
        Up { child, said }
    }

    /// Runs `up` that is expected to end by itself.
    pub async fn run(&self, more: &[&str]) -> Output {
        finish(self.command(more)).await
    }

    /// Runs another command against the API of this clinic's `up`.
    pub async fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = mandate(arguments);
        command.arg("--kubeconfig").arg(self.state().join("kubeconfig"));
        finish(command).await
    }

    async fn exchange(&self, method: Method, port: u16, path: &str, body: Option<String>) -> Option<(StatusCode, Value)> {
        let mut request = self.http.request(method, format!("http://127.0.0.1:{port}{path}")).timeout(Duration::from_secs(5));
        if let Ok(token) = std::fs::read_to_string(self.state().join("token")) {
            request = request.bearer_auth(token.trim());
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let reply = request.send().await.ok()?;
        let status = reply.status();
        let text = reply.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Whether the API says that it is ready.
    pub async fn ready(&self) -> bool {
        self.exchange(Method::GET, self.api, "/readyz", None).await.is_some_and(|(status, _)| status == StatusCode::OK)
    }

    /// An object as the API gives it, below `/apis/mandate.dev/v1alpha1`; none when it does not exist or nobody answers.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let path = format!("/apis/mandate.dev/v1alpha1/{path}");
        let (status, object) = self.exchange(Method::GET, self.api, &path, None).await?;
        (status == StatusCode::OK).then_some(object)
    }

    /// Whether the API says that the object does not exist.
    pub async fn is_gone(&self, path: &str) -> bool {
        let path = format!("/apis/mandate.dev/v1alpha1/{path}");
        self.exchange(Method::GET, self.api, &path, None).await.is_some_and(|(status, _)| status == StatusCode::NOT_FOUND)
    }

    /// Waits for a state of the clinic's request.
    pub async fn request_is(&self, state: &str) -> Value {
        until(&format!("the request is {state}"), async || self.get(REQUEST).await.filter(|request| request["status"]["state"] == state))
            .await
    }

    /// Replaces the sandbox's faults; false while it does not answer.
    pub async fn disturb(&self, rules: &[FaultRule]) -> bool {
        let rules = serde_json::to_string(rules).unwrap();
        let reply = self.exchange(Method::PUT, self.sandbox, "/_sandbox/faults", Some(rules)).await;
        assert!(reply.as_ref().is_none_or(|(status, _)| *status == StatusCode::OK), "{reply:?}");
        reply.is_some()
    }

    /// How many exchanges the sandbox's faults have met.
    pub async fn exchanges(&self) -> u64 {
        let reply = self.exchange(Method::GET, self.sandbox, "/_sandbox/faults", None).await;
        let rules = reply.map(|(_, rules)| rules).unwrap_or_default();
        rules.as_array().into_iter().flatten().filter_map(|rule| rule["seen"].as_u64()).sum()
    }

    /// What was done outside, as the sandbox says.
    pub async fn effects(&self) -> Vec<Effect> {
        let (_, mut reply) = self.exchange(Method::GET, self.sandbox, "/_sandbox/effects", None).await.expect("the sandbox answers");
        serde_json::from_value(reply["effects"].take()).unwrap()
    }

    /// What was done outside, comparable between clinics.
    pub async fn masked_effects(&self) -> Vec<String> {
        let here = format!("127.0.0.1:{}", self.sandbox);
        let line = |effect: &Effect| without_uuids(&virtual_clinic::masked(effect)).replace(&here, WRITTEN);
        let mut lines: Vec<String> = self.effects().await.iter().map(line).collect();
        lines.sort();
        lines
    }

    /// The objects on disk. Looks at a copy: what a killed process left is for the next one to recover.
    pub fn stored(&self) -> Snapshot {
        let copy = tempfile::tempdir().unwrap();
        let database = self.state().join(DATABASE_FILE);
        if !database.exists() {
            return Snapshot::default();
        }
        std::fs::copy(database, copy.path().join(DATABASE_FILE)).unwrap();
        let store = Store::open(copy.path()).unwrap();
        embedded::open(Arc::new(SystemClock), Arc::new(RandomIdentifiers), Some(store)).unwrap().snapshot()
    }

    /// Resource versions by object.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let of = |object: &Arc<mandate::model::object::Object>| (object.key().to_string(), object.resource_version().to_owned());
        self.stored().objects.iter().map(of).collect()
    }

    /// The effect log as it lies on disk.
    pub fn effect_log(&self) -> String {
        std::fs::read_to_string(self.state().join("sandbox.jsonl")).unwrap_or_default()
    }
}

/// The clinic's request.
pub const REQUEST: &str = "namespaces/acme-dental/provisioningrequests/receptionist-1";

/// A served clinic; killed when dropped.
pub struct Up {
    child: Child,
    said: PathBuf,
}

impl Up {
    /// What it has said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    /// Fails when it has ended.
    pub fn assert_running(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "up has ended, {ended:?}: {}", self.said());
    }

    /// Waits for it to say this.
    pub async fn says(&mut self, text: &str) -> String {
        until(&format!("up says {text:?}"), async || {
            self.assert_running();
            Some(self.said()).filter(|said| said.contains(text))
        })
        .await
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.assert_running();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; how it ended and how long that took.
    pub async fn terminate(mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let status = until("up ends after SIGTERM", async || self.child.try_wait().unwrap()).await;
        (status, started.elapsed())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mandate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mandate"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Waits for a command to end; kills it when that takes too long.
async fn finish(command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    let running = command.kill_on_drop(true).output();
    tokio::time::timeout(PATIENCE, running).await.expect("the command ends").unwrap()
}

/// What a command wrote to stderr.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn without_uuids(text: &str) -> String {
    static UUID: std::sync::LazyLock<regex::Regex> =
        std::sync::LazyLock::new(|| regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap());
    UUID.replace_all(text, "<uuid>").into_owned()
}
