//! Starting, settling once, stopping.

use std::time::Duration;

use mandate::sandbox::{Fault, FaultRule};
use tokio::time::Instant;

use super::rig::{Clinic, complaint, until};

#[tokio::test]
async fn once_prints_every_object_and_a_second_time_changes_nothing() {
    let clinic = Clinic::new();
    let first = clinic.run(&["--once", "--timeout", "25"]).await;
    assert!(first.status.success(), "{}", complaint(&first));
    let said = String::from_utf8_lossy(&first.stdout).into_owned();
    let expected = [
        ("AssistantDeployment", "receptionist", "AwaitingVerification"),
        ("Provider", "calcom", "NotProbed"),
        ("Provider", "crm", "NotProbed"),
        ("Provider", "n8n", "NotProbed"),
        ("Provider", "vapi", "NotProbed"),
        ("ProvisioningRequest", "receptionist-1", "MANUAL_VERIFICATION"),
        ("ProvisioningSchema", "recepcionista-ia-1.0-r1", "Valid"),
        ("Tenant", "acme-dental", "NamespaceReady"),
    ];
    assert_eq!(said.lines().count(), expected.len() + 1, "{said}");
    for (kind, name, word) in expected {
        let told =
            |line: &&str| line.starts_with(kind) && [name, word].iter().all(|word| line.split_whitespace().any(|found| found == *word));
        assert_eq!(said.lines().filter(told).count(), 1, "{kind} {name} {word}: {said}");
    }

    let (versions, effects) = (clinic.versions(), clinic.effect_log());
    assert!(versions.len() > expected.len() && !effects.is_empty());
    let second = clinic.run(&["--once", "--timeout", "25"]).await;
    assert!(second.status.success(), "{}", complaint(&second));
    assert_eq!(String::from_utf8_lossy(&second.stdout), said);
    assert_eq!(clinic.versions(), versions, "nothing is written");
    assert_eq!(clinic.effect_log(), effects, "nothing is done outside");
}

#[tokio::test]
async fn serving_begins_within_a_second() {
    let clinic = Clinic::new();
    let started = Instant::now();
    let mut up = clinic.up();
    until("the API is ready", async || {
        up.assert_running();
        clinic.ready().await.then_some(())
    })
    .await;
    let took = started.elapsed();
    println!("ready {took:?} after the start");
    assert!(took <= Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 1 }), "{took:?}");
}

#[tokio::test]
async fn a_termination_signal_ends_it_within_two_seconds() {
    let clinic = Clinic::new();
    let up = clinic.up();
    clinic.request_is("MANUAL_VERIFICATION").await;
    let (status, took) = up.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_termination_signal_ends_it_while_a_provider_does_not_answer() {
    let clinic = Clinic::new();
    let up = clinic.up();
    until("the sandbox answers", async || clinic.disturb(&[FaultRule::new(Fault::Hang)]).await.then_some(())).await;
    until("an exchange hangs", async || (clinic.exchanges().await > 0).then_some(())).await;
    let (status, took) = up.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}
