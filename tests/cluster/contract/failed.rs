//! A failure, what a person does by hand, a retry, and a rollback that does not go at once.

use mandate::sandbox::{Fault, FaultRule, Operation, Vendor};
use serde_json::json;

use super::{ONE, accepted, attempt, deployment, done, edit, events, in_order, left, message, named, offered, reason, run, stands};
use crate::Test;
use crate::control_plane::{Controllers, eventually};
use crate::rig::{Clinic, PATIENCE, condition};
use crate::tests;

pub fn alone() -> Vec<Test> {
    tests![what_failed_is_retried_and_what_was_completed_is_rolled_back_when_people_decide]
}

async fn what_failed_is_retried_and_what_was_completed_is_rolled_back_when_people_decide() {
    let clinic = Clinic::start(Controllers::None).await;
    let operator = clinic.replica("one", &[]);
    operator.ready().await;
    clinic.disturb(&[FaultRule::new(Fault::Unauthorized).vendor(Vendor::Vapi)]).await;
    clinic.apply();
    a_failure_halts_and_an_intervention_moves_nothing(&clinic).await;
    clinic.disturb(&[]).await;
    a_retry_removes_what_was_left_and_begins_anew(&clinic).await;
    a_completed_one_is_rolled_back_as_far_as_it_goes_and_then_to_the_end(&clinic).await;
    in_order(&clinic, "rolled back").await;
}

async fn a_failure_halts_and_an_intervention_moves_nothing(clinic: &Clinic) {
    let failed = stands(clinic, 1, "FAILED", "Failed").await;
    assert_eq!(offered(&failed), ["Retry", "Rollback", "Intervene"]);
    assert_eq!(condition(&failed, "Stalled")["status"], "True");
    let said = message(&failed);
    assert!(said.starts_with("VapiConfiguration: CredentialsRejected: ") && said.contains(" Remedy: "), "{said}");
    assert_eq!(left(clinic).await, [2, 0, 1, 1], "everything but the assistant");

    let (effects, hash) = (clinic.effects().await, failed["status"]["decision"]["hash"].clone());
    edit(clinic, json!({"parameters": {"greeting": "Acme Dental, good day."}})).await;
    for note in ["gave the key its rights back", "called the vendor"] {
        accepted(clinic, &["decide", "intervene", "receptionist-1", "-n", "acme-dental"], &["--note", note]);
    }
    eventually("the edit was looked at", PATIENCE, || async {
        let found = deployment(clinic).await;
        found["status"]["observedGeneration"] == found["metadata"]["generation"] && reason(&found) == "RequestFailed"
    })
    .await;
    let failed = stands(clinic, 1, "FAILED", "Failed").await;
    assert_eq!((&failed["status"]["decision"]["hash"], clinic.effects().await), (&hash, effects), "nothing automatic leaves it");
    assert_eq!(events(clinic, &failed).await, ["ProvisioningInitiated", "ProvisioningFailed", "Intervened", "Intervened"]);
    assert_eq!(deployment(clinic).await["status"]["request"], "receptionist-1");
}

async fn a_retry_removes_what_was_left_and_begins_anew(clinic: &Clinic) {
    let made = clinic.effects().await.len();
    accepted(clinic, &["decide", "retry", "receptionist-1", "-n", "acme-dental"], &[]);
    let second = stands(clinic, 2, "MANUAL_VERIFICATION", "AwaitingVerification").await;
    let first = stands(clinic, 1, "FAILED", "Superseded").await;
    assert_eq!((&second["spec"]["reason"], &second["spec"]["pathAttempt"]), (&json!("Retry"), &json!(1)));
    assert_eq!(second["spec"]["parameters"]["greeting"], "Acme Dental, good day.", "with the newest spec");
    assert_eq!(first["status"]["webhooks"], second["status"]["webhooks"], "nothing is reused but the paths");
    assert_eq!(left(clinic).await, ONE);
    let since = clinic.effects().await.split_off(made);
    let last_removed = since.iter().rposition(|effect| effect.operation == Operation::Delete);
    let first_made = since.iter().position(|effect| effect.operation == Operation::Create);
    assert!(last_removed.is_some() && last_removed < first_made, "{since:#?}");
    let said = events(clinic, &first).await;
    // The assistant, whose creation was refused, was looked for like the rest.
    assert_eq!(said[4..], ["RetryOrdered"].into_iter().chain(["ResourceRemoved"; 5]).collect::<Vec<_>>());
    assert_eq!(done(clinic, Operation::Create).await, [4, 1, 2, 2], "each of both attempts once");
}

async fn a_completed_one_is_rolled_back_as_far_as_it_goes_and_then_to_the_end(clinic: &Clinic) {
    accepted(clinic, &named(&message(&attempt(clinic, 2).await), "verify"), &["--all-checks"]);
    let completed = stands(clinic, 2, "COMPLETED", "Completed").await;
    assert_eq!(offered(&completed), ["Rollback"]);
    clinic.disturb(&[FaultRule::new(Fault::BadRequest).vendor(Vendor::Crm).on("DELETE", "/crm/**")]).await;
    accepted(clinic, &["decide", "rollback", "receptionist-2", "-n", "acme-dental"], &[]);
    let stalled = stands(clinic, 2, "ROLLING_BACK", "UndoFailed").await;
    assert_eq!((&condition(&stalled, "Stalled")["status"], offered(&stalled)), (&json!("True"), vec!["Rollback", "Intervene"]));
    assert_eq!(left(clinic).await, [2, 0, 0, 1], "in reverse order, as far as it goes");

    clinic.disturb(&[]).await;
    let effects = clinic.effects().await;
    accepted(clinic, &["decide", "intervene", "receptionist-2", "-n", "acme-dental"], &["--note", "the vendor takes it now"]);
    let stalled = stands(clinic, 2, "ROLLING_BACK", "UndoFailed").await;
    assert_eq!(clinic.effects().await, effects, "nothing goes on by itself");
    accepted(clinic, &named(&message(&stalled), "rollback"), &[]);
    let removed = stands(clinic, 2, "ROLLING_BACK", "AwaitingDecision").await;
    assert_eq!((left(clinic).await, offered(&removed)), ([0; 4], vec!["ConfirmRollback"]));

    let said = message(&removed);
    let confirm = named(&said, "confirm-rollback");
    let (said, taken) = run(clinic, &confirm, &["--check", "workflows-are-gone"]);
    assert!(!taken && said.contains("ChecklistIncomplete: spec.checklist lacks assistant-is-gone"), "{said}");
    accepted(clinic, &confirm, &["--all-checks"]);
    let rolled_back = stands(clinic, 2, "ROLLED_BACK", "RolledBack").await;
    let said = events(clinic, &rolled_back).await;
    let count = |event: &str| said.iter().filter(|said| *said == event).count();
    assert_eq!((count("RollbackOrdered"), count("RemovalFailed"), count("ResourceRemoved"), count("RollbackConfirmed")), (2, 1, 5, 1));
    eventually("the deployment says so", PATIENCE, || async { reason(&deployment(clinic).await) == "RolledBack" }).await;
    assert_eq!(deployment(clinic).await["status"]["request"], "receptionist-2", "nothing is tried again unasked");
}
