//! A rig's world served as the Kubernetes API on loopback, and the binary asked against it by people who have tokens.
//!
//! Works in virtual time too: while the binary runs, time stands still.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use mandate::http::auth::TokenFile;
use mandate::http::host::Hosts;
use mandate::http::kubeapi::KubeApi;
use mandate::http::serve::{Shutdown, ShutdownTrigger, serve};
use mandate::operator::guards::EmbeddedRights;
use serde_json::json;
use tempfile::TempDir;

use crate::clinic::rig::Rig;

/// People who may decide, and a machine that holds the same rights.
pub const CALLERS: [&str; 4] = ["ana@acme-dental.example", "ben@acme-dental.example", "carla@acme-dental.example", "gitops"];

/// A served world. Nothing is served any more when it is dropped.
pub struct Served {
    folder: TempDir,
    pub port: u16,
    _trigger: ShutdownTrigger,
}

impl Served {
    /// Serves the rig's world.
    pub async fn of(rig: &Rig) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tokens: String = CALLERS.map(|name| format!("token-of-{name},{name},{name},\"mandate.dev:operators\"\n")).concat();
        let (trigger, shutdown) = Shutdown::channel();
        let api = KubeApi {
            server: Arc::new(rig.memory.clone()),
            authorizer: Arc::new(EmbeddedRights),
            authenticator: Arc::new(TokenFile::parse(&tokens).unwrap()),
            clock: rig.clock.clone(),
            hosts: Hosts::loopback(port),
            shutdown: shutdown.clone(),
        };
        let router = api.router().unwrap();
        tokio::spawn(async move { serve(listener, router, shutdown).await.unwrap() });
        let served = Self { folder: tempfile::tempdir().unwrap(), port, _trigger: trigger };
        for name in CALLERS {
            let cluster = json!({"server": format!("http://127.0.0.1:{port}")});
            let kubeconfig = json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "it",
                "clusters": [{"name": "it", "cluster": cluster}],
                "users": [{"name": "it", "user": {"token": format!("token-of-{name}")}}],
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            });
            std::fs::write(served.kubeconfig(name), kubeconfig.to_string()).unwrap();
        }
        served
    }

    fn kubeconfig(&self, caller: &str) -> PathBuf {
        self.folder.path().join(caller)
    }

    /// Runs the binary in a folder, as this caller.
    pub async fn mandate(&self, caller: &str, folder: &Path, arguments: &[&str]) -> Output {
        assert!(CALLERS.contains(&caller), "{caller} has no token; known: {CALLERS:?}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_mandate"));
        command.args(arguments).current_dir(folder).env("KUBECONFIG", self.kubeconfig(caller)).stdin(Stdio::null());
        // A thread of its own keeps virtual time from moving on meanwhile.
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}
