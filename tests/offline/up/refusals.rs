//! What `up` does not do, and what it says instead.

use std::net::TcpListener;

use super::rig::{Clinic, complaint, until};

#[tokio::test]
async fn a_second_process_on_the_same_state_is_refused() {
    let clinic = Clinic::new();
    let mut up = clinic.up();
    until("the API is ready", async || clinic.ready().await.then_some(())).await;
    let second = clinic.run(&[]).await;
    assert_eq!(second.status.code(), Some(1));
    let said = complaint(&second);
    assert!(said.contains(&format!("state directory {} is in use by another process", clinic.state().display())), "{said}");
    up.assert_running();
}

#[tokio::test]
async fn the_state_of_another_folder_is_refused() {
    let (mine, other) = (Clinic::new(), Clinic::new());
    let settled = mine.run(&["--once", "--timeout", "25"]).await;
    assert!(settled.status.success(), "{}", complaint(&settled));
    let before = mine.versions();
    let refused = other.run(&["--state", mine.state().to_str().unwrap()]).await;
    assert_eq!(refused.status.code(), Some(1));
    let said = complaint(&refused);
    for folder in [mine.path(), other.path()] {
        let folder = folder.canonicalize().unwrap();
        assert!(said.contains(folder.to_str().unwrap()), "{said} names {}", folder.display());
    }
    assert_eq!(mine.versions(), before);
}

#[tokio::test]
async fn a_missing_folder_is_refused() {
    let clinic = Clinic::new();
    let missing = clinic.path().join("missing");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mandate"));
    let refused = command.arg("up").arg(&missing).kill_on_drop(true).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = complaint(&refused);
    assert!(said.contains(&format!("{} is no folder", missing.display())), "{said}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_option_that_changes_it() {
    for (taken, option) in [("api", "--listen"), ("sandbox", "--sandbox-listen")] {
        let clinic = Clinic::new();
        let port = if taken == "api" { clinic.api } else { clinic.sandbox };
        let _holder = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let refused = clinic.run(&[]).await;
        assert_eq!(refused.status.code(), Some(1));
        let said = complaint(&refused);
        assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("in use"), "{said}");
        assert!(said.contains(&format!("choose another with {option} ADDR")), "{said}");
        assert!(!said.contains("http"), "nothing is announced: {said}");
        assert!(clinic.effect_log().is_empty());
    }
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused() {
    for (option, what) in [("--listen", "the Kubernetes API"), ("--sandbox-listen", "the sandbox")] {
        let clinic = Clinic::new();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mandate"));
        let refused = command.arg("up").arg(clinic.path()).args([option, "0.0.0.0:0"]).kill_on_drop(true).output().await.unwrap();
        assert_eq!(refused.status.code(), Some(2));
        let said = complaint(&refused);
        assert!(said.contains(&format!("0.0.0.0:0 is no loopback address: {what} listens on this machine only")), "{said}");
        assert!(!clinic.state().exists(), "nothing is made");
    }
}
