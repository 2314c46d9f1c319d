//! FAILED, and the two ways out of it that people have.

use mandate::sandbox::{Fault, FaultRule, Vendor};
use serde_json::json;

use super::{accepted, attempt, decide, deployment, events, left, nothing_left, offered, state};
use crate::clinic::rig::{Rig, condition, reason};

/// The clinic failed at its last step, with everything else left outside.
async fn failed() -> Rig {
    let rig = Rig::clinic().await;
    rig.sandbox.set_faults(vec![FaultRule::new(Fault::Unauthorized).vendor(Vendor::Vapi)]);
    rig.settle().await;
    rig.sandbox.set_faults(Vec::new());
    assert_eq!(state(&*attempt(&rig, 1).await), "FAILED");
    rig
}

#[tokio::test(start_paused = true)]
async fn nothing_automatic_leaves_failed_and_an_edit_does_not_either() {
    let rig = failed().await;
    let before = (rig.effects(), rig.all("AuditRecord").len());
    let request = attempt(&rig, 1).await;
    assert_eq!(offered(&request), ["Retry", "Rollback", "Intervene"]);
    rig.patch(
        &mandate::kinds::assistantdeployment::api::DEPLOYMENT,
        "acme-dental",
        "receptionist",
        json!({"spec": {"parameters": {"greeting": "Hello"}}}),
    )
    .await;
    rig.settle().await;
    assert_eq!((rig.effects(), rig.all("AuditRecord").len()), before);
    assert_eq!(state(&*attempt(&rig, 1).await), "FAILED");
    assert_eq!(rig.all("ProvisioningRequest").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_removes_the_leftovers_and_makes_everything_anew_with_the_old_paths() {
    let rig = failed().await;
    let first = attempt(&rig, 1).await;
    accepted(&rig, &first, "Retry").await;
    let (first, second) = (attempt(&rig, 1).await, attempt(&rig, 2).await);
    assert_eq!((state(&first), state(&second)), ("FAILED", "MANUAL_VERIFICATION"));
    assert_eq!((&second.body["spec"]["reason"], &second.body["spec"]["pathAttempt"]), (&"Retry".into(), &1.into()));
    assert_eq!(reason(&first), "Superseded");
    let urls = |object: &mandate::model::object::Object| object.body["status"]["webhooks"].clone();
    assert_eq!(urls(&first), urls(&second), "retries keep their paths");
    assert_eq!(left(&rig).iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 1, 1, 1], "one of everything");
    let said = events(&rig, &first);
    assert_eq!(said[..3], ["ProvisioningInitiated", "ProvisioningFailed", "RetryOrdered"]);
    assert!(said[3..].iter().all(|event| event == "ResourceRemoved") && said.len() == 8, "{said:?}");
    accepted(&rig, &second, "Verify").await;
    assert_eq!(reason(&*deployment(&rig).await), "Completed");
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_until_the_leftovers_are_gone() {
    let rig = failed().await;
    rig.sandbox.set_faults(vec![FaultRule::new(Fault::BadRequest).vendor(Vendor::Crm).on("DELETE", "/crm/**")]);
    accepted(&rig, &*attempt(&rig, 1).await, "Retry").await;
    let (first, second) = (attempt(&rig, 1).await, attempt(&rig, 2).await);
    assert_eq!((state(&second), reason(&second)), ("SCHEMA_INTERPRETING", "LeftoversRemain"));
    assert_eq!((reason(&first), offered(&first)), ("UndoFailed", vec!["Retry", "Rollback", "Intervene"]));
    rig.sandbox.set_faults(Vec::new());
    rig.settle().await;
    assert_eq!(reason(&*attempt(&rig, 1).await), "UndoFailed", "nothing goes on by itself");
    accepted(&rig, &first, "Retry").await;
    assert_eq!(state(&*attempt(&rig, 2).await), "MANUAL_VERIFICATION");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_removes_everything_and_is_confirmed_by_a_person() {
    let rig = failed().await;
    accepted(&rig, &*attempt(&rig, 1).await, "Rollback").await;
    let request = attempt(&rig, 1).await;
    assert_eq!((state(&request), reason(&request), offered(&request)), ("ROLLING_BACK", "AwaitingDecision", vec!["ConfirmRollback"]));
    nothing_left(&rig);
    let checklist = &request.body["status"]["decision"]["checklist"];
    assert_eq!(*checklist, json!(["assistant-is-gone", "calendar-webhook-is-gone", "crm-registration-is-gone", "workflows-are-gone"]));
    let unchecked = rig
        .decide(&request, "ConfirmRollback", |document| {
            document["metadata"]["name"] = "unchecked".into();
            document["spec"]["checklist"] = json!(["workflows-are-gone"]);
        })
        .await;
    rig.settle().await;
    let unchecked = rig.get(unchecked.resource, "acme-dental", "unchecked").await.unwrap();
    assert_eq!(condition(&unchecked, "Ready")[1], "ChecklistIncomplete");
    assert_eq!(state(&*attempt(&rig, 1).await), "ROLLING_BACK");
    accepted(&rig, &request, "ConfirmRollback").await;
    let request = attempt(&rig, 1).await;
    assert_eq!((state(&request), reason(&*deployment(&rig).await)), ("ROLLED_BACK", "RolledBack"));
    assert_eq!(rig.all("ProvisioningRequest").len(), 1, "nothing is tried again unasked");
}

#[tokio::test(start_paused = true)]
async fn undoing_goes_in_reverse_order_and_what_is_gone_already_counts() {
    let rig = super::completed().await;
    let request = attempt(&rig, 1).await;
    let clone = request.body["status"]["journal"]["steps"][1]["calls"][0]["result"]["externalId"].as_str().unwrap().to_owned();
    rig.n8n("DELETE", &format!("/workflows/{clone}"), None).await;
    let before = rig.sandbox.effects().len();
    accepted(&rig, &request, "Rollback").await;
    let order: Vec<_> = rig.sandbox.effects()[before..]
        .iter()
        .filter(|effect| format!("{:?}", effect.operation) == "Delete")
        .map(|effect| effect.vendor)
        .collect();
    assert_eq!(order.first(), Some(&Vendor::Vapi));
    assert_eq!(order.last(), Some(&Vendor::N8n));
    assert_eq!(order.len(), 4, "{order:?}");
    nothing_left(&rig);
    let gone: Vec<_> = rig
        .all("AuditRecord")
        .iter()
        .filter(|record| {
            record.body["spec"]["event"] == "ResourceRemoved"
                && record.body["spec"]["entry"].as_str().unwrap().contains("\"gone\":\"before\"")
        })
        .cloned()
        .collect();
    assert_eq!(gone.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_undo_stands_still_until_a_new_decision() {
    let rig = failed().await;
    rig.sandbox.set_faults(vec![FaultRule::new(Fault::BadRequest).vendor(Vendor::Crm).on("DELETE", "/crm/**")]);
    accepted(&rig, &*attempt(&rig, 1).await, "Rollback").await;
    let request = attempt(&rig, 1).await;
    assert_eq!((state(&request), reason(&request), condition(&request, "Stalled")[0]), ("ROLLING_BACK", "UndoFailed", "True"));
    assert_eq!(offered(&request), ["Rollback", "Intervene"]);
    rig.sandbox.set_faults(Vec::new());
    let removed = rig.effects();
    rig.settle().await;
    assert_eq!(rig.effects(), removed, "nothing goes on by itself");
    accepted(&rig, &request, "Rollback").await;
    nothing_left(&rig);
    assert_eq!(offered(&*attempt(&rig, 1).await), ["ConfirmRollback"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_conflicting_acts_the_first_wins_and_the_other_says_why() {
    let rig = failed().await;
    let request = attempt(&rig, 1).await;
    for (act, name) in [("Rollback", "a"), ("Retry", "b")] {
        rig.decide(&request, act, |document| {
            document["metadata"]["name"] = name.into();
            document["spec"]["checklist"] = json!([]);
        })
        .await;
    }
    rig.settle().await;
    let other = rig.get(&mandate::kinds::operatordecision::api::DECISION, "acme-dental", "b").await.unwrap();
    assert_eq!(condition(&other, "Ready")[1..], ["Superseded", "a (Rollback by ben@acme-dental.example) on the same evidence came first"]);
    assert_eq!(rig.all("ProvisioningRequest").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_intervention_is_put_on_record_as_often_as_it_happens_and_moves_nothing() {
    let rig = failed().await;
    let request = attempt(&rig, 1).await;
    let hash = request.body["status"]["decision"]["hash"].clone();
    for _ in 0..2 {
        accepted(&rig, &request, "Intervene").await;
    }
    let request = attempt(&rig, 1).await;
    assert_eq!((state(&request), &request.body["status"]["decision"]["hash"]), ("FAILED", &hash));
    assert_eq!(events(&rig, &request), ["ProvisioningInitiated", "ProvisioningFailed", "Intervened", "Intervened"]);
    let silent = rig.decide(&request, "Intervene", |document| document["metadata"]["name"] = "silent".into()).await;
    rig.settle().await;
    let silent = rig.get(silent.resource, "acme-dental", "silent").await.unwrap();
    assert_eq!(condition(&silent, "Ready")[1], "NoteMissing");
    assert_eq!(decide(&rig, &request, "Verify").await, ("Void".to_owned(), "ActNotOffered".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_was_rolled_back_may_be_retried_by_a_person() {
    let rig = failed().await;
    accepted(&rig, &*attempt(&rig, 1).await, "Rollback").await;
    accepted(&rig, &*attempt(&rig, 1).await, "ConfirmRollback").await;
    accepted(&rig, &*attempt(&rig, 1).await, "Retry").await;
    assert_eq!(state(&*attempt(&rig, 2).await), "MANUAL_VERIFICATION");
}
