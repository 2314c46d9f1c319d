//! Kubernetes Events: one for each outcome, none on restarts, nothing held up by them.

use std::sync::Arc;
use std::time::Duration;

use mandate::model::notice::OPERATOR;
use mandate::operator::notify::{Events, expire};
use mandate::operator::runner::{Operator, Setup};
use mandate::sandbox::{Fault, FaultRule, Vendor};
use mandate::world::memory::Permissions;
use mandate::world::server::{ApiServer, Identity};
use serde_json::json;

use super::receiver::Receiver;
use super::{is_golden, run, told};
use crate::clinic::rig::{Rig, condition, reason, settle};

fn reasons(rig: &Rig) -> Vec<String> {
    told(rig).into_iter().map(|(reason, _)| reason).collect()
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_one_event_with_the_words_of_the_condition_and_none_comes_on_a_restart() {
    let rig = Rig::clinic().await;
    rig.settle().await;
    assert_eq!(reasons(&rig), ["AwaitingVerification"]);
    let waiting = rig.request().await;
    let [_, _, said] = condition(&waiting, "Ready");
    let (_, event) = told(&rig).remove(0);
    assert_eq!(event.body["note"], said);
    assert_eq!(event.body["regarding"]["uid"], waiting.uid());
    assert_eq!(event.annotation(OPERATOR), waiting.body["spec"]["operator"].as_str());

    rig.decide(&waiting, "Verify", |_| {}).await;
    rig.settle().await;
    assert_eq!(reasons(&rig), ["AwaitingVerification", "Completed"]);

    let version = rig.memory.resource_version();
    rig.settle().await;
    rig.settle().await;
    assert_eq!(rig.memory.resource_version(), version, "a restart writes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_a_warning_that_says_what_to_do() {
    let rig = Rig::clinic().await;
    rig.sandbox.set_faults(vec![FaultRule::new(Fault::Unauthorized).vendor(Vendor::N8n)]);
    let receiver = Arc::new(Receiver::default());
    run(&rig, &receiver, 60).await;
    let (_, event) = told(&rig).remove(0);
    is_golden("failed.event.json", &event.body);
    let got = receiver.got();
    assert_eq!(got.len(), 1);
    is_golden("failed.cloudevent.json", &got[0].body);

    let records = rig.all("AuditRecord");
    let failed = records.iter().find(|record| record.body["spec"]["event"] == "ProvisioningFailed").unwrap();
    assert_eq!(got[0].body["id"], failed.body["spec"]["hash"], "the record that says it");
    assert_eq!(got[0].body["time"], failed.body["spec"]["time"]);
}

/// The operator may not create Events: they are lost, and nothing else is.
#[tokio::test(start_paused = true)]
async fn events_that_cannot_be_created_hold_up_nothing() {
    let rig = Rig::clinic().await;
    let setup = rig.setup();
    let telemetry = setup.telemetry.clone();
    let world = Arc::new(rig.memory.client(Identity::controller(), Some(Arc::new(Permissions::default()))));
    let events = Events { world, clock: rig.clock.clone(), process: "p".into(), telemetry: telemetry.clone() };
    settle(Operator::new(Setup { notifier: Arc::new(events), ..setup })).await;
    assert_eq!(reason(rig.request().await.as_ref()), "AwaitingVerification");
    assert!(reasons(&rig).is_empty(), "{:?}", reasons(&rig));
    let line = r#"mandate_notifications_total{channel="event",result="failed"} 1"#;
    assert!(telemetry.text().unwrap().contains(line), "{}", telemetry.text().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_world_of_our_own_keeps_events_for_an_hour() {
    let rig = Rig::clinic().await;
    rig.settle().await;
    let world = rig.memory.client(Identity::controller(), None);
    tokio::time::sleep(Duration::from_secs(3500)).await;
    expire(&world, rig.clock.as_ref()).await.unwrap();
    assert_eq!(reasons(&rig).len(), 1);
    tokio::time::sleep(Duration::from_secs(120)).await;
    expire(&world, rig.clock.as_ref()).await.unwrap();
    assert!(reasons(&rig).is_empty(), "{:?}", reasons(&rig));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_told_as_a_failure_with_the_note_of_the_operator() {
    let rig = Rig::clinic().await;
    rig.settle().await;
    let waiting = rig.request().await;
    rig.decide(&waiting, "Reject", |document| {
        document["spec"]["note"] = "the greeting names another clinic".into();
        document["spec"]["checklist"] = json!([]);
    })
    .await;
    rig.settle().await;
    assert_eq!(reasons(&rig), ["AwaitingVerification", "Rejected"]);
    let (_, event) = told(&rig).remove(1);
    assert_eq!(event.body["type"], "Warning");
    assert!(event.body["note"].as_str().unwrap().contains("the greeting names another clinic"), "{:#}", event.body);
}
