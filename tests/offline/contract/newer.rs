//! Updates, which take over when a person has verified them, and revisions, which reach live assistants by themselves.

use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::sandbox::{Fault, FaultRule, Vendor};
use serde_json::{Value, json};

use super::{accepted, attempt, completed, deployment, events, left, nothing_left, offered, state};
use crate::clinic::rig::{Rig, clinic, condition, documents, reason};

async fn greet(rig: &Rig, with: &str) {
    rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"spec": {"parameters": {"greeting": with}}})).await;
    rig.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_becomes_a_request_with_paths_of_its_own_and_the_old_assistant_serves_until_it_is_verified() {
    let rig = completed().await;
    let old = deployment(&rig).await.body["status"]["webhooks"].clone();
    greet(&rig, "Good day").await;
    let second = attempt(&rig, 2).await;
    assert_eq!((state(&second), &second.body["spec"]["reason"]), ("MANUAL_VERIFICATION", &"Update".into()));
    assert_eq!(deployment(&rig).await.body["status"]["webhooks"], old, "the old one serves");
    assert_ne!(second.body["status"]["webhooks"], old);
    assert_eq!(left(&rig).iter().map(|(_, count)| *count).collect::<Vec<_>>(), [4, 2, 2, 2], "both exist");
    accepted(&rig, &second, "Verify").await;
    let now = deployment(&rig).await;
    assert_eq!(reason(&now), "Completed", "{:#}", now.body["status"]);
    assert_eq!(now.body["status"]["webhooks"], second.body["status"]["webhooks"]);
    assert_eq!(left(&rig).iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 1, 1, 1], "the old one is gone");
    assert_eq!(reason(&*attempt(&rig, 1).await), "Retired");
    assert_eq!(events(&rig, &now), ["CutoverStepDone", "CutoverStepDone"]);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_fails_or_is_rolled_back_leaves_the_old_assistant_alone() {
    let rig = completed().await;
    let before = left(&rig);
    rig.sandbox.set_faults(vec![FaultRule::new(Fault::Unauthorized).vendor(Vendor::Vapi)]);
    greet(&rig, "Good day").await;
    rig.sandbox.set_faults(Vec::new());
    let second = attempt(&rig, 2).await;
    assert_eq!(state(&second), "FAILED");
    assert!(condition(&*deployment(&rig).await, "Ready")[2].contains("receptionist-1 serves meanwhile"));
    accepted(&rig, &second, "Rollback").await;
    accepted(&rig, &*attempt(&rig, 2).await, "ConfirmRollback").await;
    assert_eq!(left(&rig), before);
    assert_eq!(reason(&*deployment(&rig).await), "RolledBack");
    greet(&rig, "Good evening").await;
    assert_eq!(state(&*attempt(&rig, 3).await), "MANUAL_VERIFICATION", "a new edit is a new request");
}

#[tokio::test(start_paused = true)]
async fn a_cutover_that_fails_stops_for_a_person_and_goes_on_where_it_stopped() {
    let rig = completed().await;
    greet(&rig, "Good day").await;
    rig.sandbox.set_faults(vec![FaultRule::new(Fault::BadRequest).vendor(Vendor::Calcom).on("PATCH", "/calcom/**")]);
    accepted(&rig, &*attempt(&rig, 2).await, "Verify").await;
    let stopped = deployment(&rig).await;
    assert_eq!((reason(&stopped), offered(&stopped)), ("CutoverFailed", vec!["Retry", "Intervene"]));
    assert_eq!(
        left(&rig).iter().map(|(_, count)| *count).collect::<Vec<_>>(),
        [4, 2, 2, 2],
        "nothing old is removed before it is switched off"
    );
    rig.sandbox.set_faults(Vec::new());
    accepted(&rig, &stopped, "Retry").await;
    assert_eq!(reason(&*deployment(&rig).await), "Completed");
    assert_eq!(left(&rig).iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 1, 1, 1]);
}

/// Revision 2 of the clinic's schema: another prompt for the assistant.
pub fn revision(number: u32, change: impl FnOnce(&mut Value)) -> Value {
    let mut schema = documents(&clinic()).into_iter().find(|document| document["kind"] == "ProvisioningSchema").unwrap();
    schema["metadata"]["name"] = format!("recepcionista-ia-1.0-r{number}").into();
    schema["spec"]["revision"] = number.into();
    let text = schema["spec"]["voice"]["assistant"].as_str().unwrap();
    let mut assistant: Value = serde_json::from_str(text).unwrap();
    assistant["maxDurationSeconds"] = 555.into();
    schema["spec"]["voice"]["assistant"] = assistant.to_string().into();
    change(&mut schema);
    schema
}

#[tokio::test(start_paused = true)]
async fn a_higher_revision_reaches_the_live_assistant_in_place() {
    let rig = completed().await;
    assert_eq!(condition(&*deployment(&rig).await, "UpToDate")[..2], ["True", "UpToDate"]);
    let before = left(&rig);
    rig.apply(revision(2, |_| {})).await;
    rig.settle().await;
    let now = deployment(&rig).await;
    assert_eq!(condition(&now, "UpToDate")[..2], ["True", "UpToDate"], "{:#}", now.body["status"]);
    assert_eq!(now.body["status"]["schema"]["name"], "recepcionista-ia-1.0-r2");
    assert_eq!((reason(&now), events(&rig, &now)), ("Completed", vec!["RevisionPropagated".to_owned()]));
    assert_eq!(left(&rig), before, "in place");
    assert_eq!(rig.all("ProvisioningRequest").len(), 1);
    accepted(&rig, &*attempt(&rig, 1).await, "Rollback").await;
    nothing_left(&rig);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_deployment_keeps_its_revision_until_it_is_not() {
    let rig = completed().await;
    rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"spec": {"suspend": true}})).await;
    rig.apply(revision(2, |_| {})).await;
    rig.settle().await;
    assert_eq!(condition(&*deployment(&rig).await, "UpToDate")[..2], ["False", "Suspended"]);
    rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"spec": {"suspend": false}})).await;
    rig.settle().await;
    assert_eq!(condition(&*deployment(&rig).await, "UpToDate")[..2], ["True", "UpToDate"]);
}

#[tokio::test(start_paused = true)]
async fn a_propagation_that_fails_says_so_and_the_assistant_stays_ready() {
    let rig = completed().await;
    rig.sandbox.set_faults(vec![FaultRule::new(Fault::Unauthorized).vendor(Vendor::Vapi)]);
    rig.apply(revision(2, |_| {})).await;
    rig.settle().await;
    let now = deployment(&rig).await;
    assert_eq!((condition(&now, "Ready")[0], &condition(&now, "UpToDate")[..2]), ("True", &["False", "PropagationFailed"][..]));
    assert_eq!(events(&rig, &now), ["PropagationFailed"]);
    assert_eq!(now.body["status"]["schema"]["name"], "recepcionista-ia-1.0-r1");
    rig.sandbox.set_faults(Vec::new());
    accepted(&rig, &now, "Retry").await;
    assert_eq!(condition(&*deployment(&rig).await, "UpToDate")[..2], ["True", "UpToDate"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_finishes_on_its_pin_first() {
    let rig = Rig::clinic().await;
    rig.settle().await;
    rig.apply(revision(2, |_| {})).await;
    rig.settle().await;
    let first = attempt(&rig, 1).await;
    assert_eq!((state(&first), &first.body["spec"]["schemaRef"]["name"]), ("MANUAL_VERIFICATION", &"recepcionista-ia-1.0-r1".into()));
    accepted(&rig, &first, "Verify").await;
    assert_eq!(deployment(&rig).await.body["status"]["schema"]["name"], "recepcionista-ia-1.0-r2");
}
