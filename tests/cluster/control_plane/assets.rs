//! The programs of a control plane: from `KUBEBUILDER_ASSETS`, or built from their Go modules into a cache, once.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

const KUBERNETES: &str = "v1.36.4";

/// Where the programs are.
#[derive(Debug)]
pub struct Assets {
    pub etcd: PathBuf,
    pub api_server: PathBuf,
    pub controller_manager: PathBuf,
    pub kubectl: PathBuf,
}

static FOUND: OnceLock<Assets> = OnceLock::new();

impl Assets {
    /// The programs; [`Assets::prepare`] has found them.
    pub fn found() -> &'static Self {
        FOUND.get().expect("main prepares the assets first")
    }

    /// Finds or builds the programs. The error is one line that says what to do.
    pub fn prepare() -> Result<(), String> {
        let folder = match env::var_os("KUBEBUILDER_ASSETS") {
            Some(folder) => ready(PathBuf::from(folder))?,
            None => built()?,
        };
        let program = |name: &str| folder.join(name);
        let assets = Self {
            etcd: program("etcd"),
            api_server: program("kube-apiserver"),
            controller_manager: program("kube-controller-manager"),
            kubectl: program("kubectl"),
        };
        FOUND.set(assets).map_err(|_| "the assets are prepared once".to_owned())
    }
}

const PROGRAMS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];

fn ready(folder: PathBuf) -> Result<PathBuf, String> {
    match PROGRAMS.iter().find(|name| !folder.join(name).exists()) {
        None => Ok(folder),
        Some(name) => Err(format!(
            "KUBEBUILDER_ASSETS={} has no {name}: put it there, or unset KUBEBUILDER_ASSETS and install Go 1.26 to build the control plane",
            folder.display()
        )),
    }
}

fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane")
}

/// A folder of the cache that is named after everything that the programs are built from.
fn cache() -> Result<PathBuf, String> {
    let mut digest = Sha256::new();
    for file in ["go.mod", "go.sum", "etcd/go.mod", "etcd/go.sum"] {
        digest.update(fs::read(modules().join(file)).map_err(|error| format!("reading tests/controlplane/{file}: {error}"))?);
    }
    let name: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let home =
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let home = home.ok_or("neither XDG_CACHE_HOME nor HOME is set: there is no place to build the control plane in")?;
    Ok(home.join("mandate").join(format!("controlplane-{name}")))
}

fn built() -> Result<PathBuf, String> {
    let folder = cache()?;
    let complete = || PROGRAMS.iter().all(|name| folder.join(name).exists());
    if complete() {
        return Ok(folder);
    }
    if Command::new("go").arg("version").output().is_err() {
        return Err("Go 1.26 or KUBEBUILDER_ASSETS (a folder with etcd, kube-apiserver, kube-controller-manager and kubectl) is needed; \
                    MANDATE_CLUSTER_TESTS=off leaves these tests out"
            .to_owned());
    }
    fs::create_dir_all(&folder).map_err(|error| format!("creating {}: {error}", folder.display()))?;
    let lock = File::create(folder.join("lock")).map_err(|error| format!("locking {}: {error}", folder.display()))?;
    lock.lock().map_err(|error| format!("locking {}: {error}", folder.display()))?;
    if complete() {
        return Ok(folder);
    }
    let version = format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES}");
    let parts = [
        ("etcd", "etcd", "go.etcd.io/etcd/server/v3", "-s -w"),
        ("kubectl", ".", "k8s.io/kubernetes/cmd/kubectl", version.as_str()),
        ("kube-apiserver", ".", "k8s.io/kubernetes/cmd/kube-apiserver", version.as_str()),
        ("kube-controller-manager", ".", "k8s.io/kubernetes/cmd/kube-controller-manager", version.as_str()),
    ];
    for (index, (name, module, package, flags)) in parts.into_iter().enumerate() {
        eprintln!("building the control plane, once: {name} ({} of {}, some minutes in all)", index + 1, parts.len());
        build(name, &modules().join(module), package, flags, &folder)?;
    }
    Ok(folder)
}

/// Builds beside its place and moves it there, so that what is there is complete.
fn build(name: &str, module: &Path, package: &str, flags: &str, folder: &Path) -> Result<(), String> {
    let unfinished = folder.join(format!("{name}.unfinished"));
    let mut command = Command::new("go");
    command.args(["build", "-trimpath", "-ldflags", flags, "-o"]).arg(&unfinished).arg(package);
    command.current_dir(module).env("CGO_ENABLED", "0").env("GOWORK", "off");
    let ended = command.status().map_err(|error| format!("building {name}: {error}"))?;
    if !ended.success() {
        return Err(format!("building {name} with Go failed ({ended}); its messages are above"));
    }
    fs::rename(&unfinished, folder.join(name)).map_err(|error| format!("building {name}: {error}"))
}
