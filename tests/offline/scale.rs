//! `up` over many deployments: time and memory. The figures are printed by
//! `cargo test --release --test offline scale -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod propagation;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mandate::offline::yaml;
use tokio::time::Instant;

/// Tenants that the deployments are spread over.
const TENANTS: usize = 20;
/// Longest run that is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a run cost.
struct Cost {
    seconds: f64,
    peak_mib: f64,
}

fn clinic() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clinic")
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The clinic with this many receptionists instead of one.
fn write_folder(folder: &Path, deployments: usize, sandbox: u16) {
    std::fs::create_dir_all(folder.join("sandbox")).unwrap();
    for template in std::fs::read_dir(clinic().join("sandbox")).unwrap() {
        let path = template.unwrap().path();
        std::fs::copy(&path, folder.join("sandbox").join(path.file_name().unwrap())).unwrap();
    }
    for file in ["20-providers.yaml", "21-sandbox-secrets.yaml", "30-schema.yaml"] {
        let text = std::fs::read_to_string(clinic().join(file)).unwrap();
        // Many tenants share the providers here: their own politeness is not what is measured.
        std::fs::write(folder.join(file), text.replace(":8090", &format!(":{sandbox}"))).unwrap();
    }
    let deployment = yaml::read(&std::fs::read_to_string(clinic().join("40-receptionist.yaml")).unwrap()).unwrap().remove(0).value;
    let mut text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: mandate-system}\n".to_owned();
    for tenant in 0..TENANTS {
        write!(
            text,
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: tenant-{tenant}, labels: {{mandate.dev/tenant: tenant-{tenant}}}}}\n"
        )
        .unwrap();
        write!(text, "---\napiVersion: mandate.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: tenant-{tenant}}}\nspec: {{owners: [{{kind: User, name: owner}}]}}\n").unwrap();
    }
    for number in 0..deployments {
        let mut one = deployment.clone();
        one["metadata"]["name"] = format!("receptionist-{number}").into();
        one["metadata"]["namespace"] = format!("tenant-{}", number % TENANTS).into();
        write!(text, "---\n{one}\n").unwrap();
    }
    std::fs::write(folder.join("50-many.yaml"), text).unwrap();
}

/// The most memory that a process has held, in MiB, as the kernel counts it.
fn peak_mib(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

fn settle(deployments: usize) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let (api, sandbox) = (free_port(), free_port());
    write_folder(folder.path(), deployments, sandbox);
    let (started, output) = (Instant::now(), folder.path().join(".output"));
    let mut process = Command::new(env!("CARGO_BIN_EXE_mandate"))
        .args(["up", folder.path().to_str().unwrap(), "--once", "--timeout", "900"])
        .args(["--listen", &format!("127.0.0.1:{api}"), "--sandbox-listen", &format!("127.0.0.1:{sandbox}")])
        .stdout(std::fs::File::create(&output).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0.0_f64;
    let ended = loop {
        peak = peak.max(peak_mib(process.id()).unwrap_or(0.0));
        if let Some(ended) = process.try_wait().unwrap() {
            break ended;
        }
        assert!(started.elapsed() < PATIENCE, "not settled within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let seconds = started.elapsed().as_secs_f64();
    let text = std::fs::read_to_string(&output).unwrap();
    assert!(ended.success(), "{ended}: {}", text.lines().take(20).collect::<Vec<_>>().join("\n"));
    assert_eq!(text.matches(" MANUAL_VERIFICATION ").count(), deployments, "every request waits for a person");
    Cost { seconds, peak_mib: peak }
}

/// Only an optimized build says anything about time and memory; an unoptimized one shows that it works, on fewer.
#[test]
fn a_thousand_deployments_settle_in_linear_time_and_little_memory() {
    let (few, many) = if cfg!(debug_assertions) { (5, 50) } else { (100, 1000) };
    let (before, large, after) = (settle(few), settle(many), settle(few));
    // Other tests come and go beside it: the slower of two small runs is the one that met as much of them.
    let small = if after.seconds > before.seconds { after } else { before };
    let ratio = large.seconds / small.seconds;
    println!("{few} deployments: {:.2} s, {:.0} MiB at most", small.seconds, small.peak_mib);
    println!("{many} deployments: {:.2} s, {:.0} MiB at most; {ratio:.1} times as long", large.seconds, large.peak_mib);
    assert!(ratio <= 12.0, "ten times the work took {ratio:.1} times as long");
    if !cfg!(debug_assertions) {
        assert!(large.peak_mib <= 150.0, "{:.0} MiB", large.peak_mib);
    }
}
