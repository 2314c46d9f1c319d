//! An upgrade, a revision, and a deletion: what is live is changed, and left, as people decide.

use std::fs;

use mandate::sandbox::{CALCOM_KEY, CRM_KEY, Fault, FaultRule, Vendor};
use serde_json::{Value, json};

use super::{ONE, OURS, accepted, at, attempt, deployment, edit, events, in_order, left, message, named, offered, reason, run, stands};
use crate::Test;
use crate::control_plane::users::{ADMIN, CONTROLLER};
use crate::control_plane::{Controllers, eventually};
use crate::rig::{Clinic, PATIENCE, condition};
use crate::tests;

pub fn alone() -> Vec<Test> {
    tests![an_assistant_is_upgraded_brought_to_a_revision_and_left_when_people_decide]
}

const R1: &str = "recepcionista-ia-1.1-r1";
const R2: &str = "recepcionista-ia-1.1-r2";
const R3: &str = "recepcionista-ia-1.1-r3";

async fn an_assistant_is_upgraded_brought_to_a_revision_and_left_when_people_decide() {
    let clinic = Clinic::start(Controllers::Stock).await;
    let operator = clinic.replica("one", &[]);
    operator.ready().await;
    clinic.apply();
    clinic.reaches("MANUAL_VERIFICATION").await;
    clinic.verify().await;
    clinic.says("Completed").await;

    an_upgrade_takes_over_when_it_is_verified(&clinic).await;
    a_revision_is_brought_along_and_validated(&clinic).await;
    a_revision_that_cannot_be_brought_along_is_not_validated(&clinic).await;
    in_order(&clinic, "on the revision").await;
    a_deletion_waits_and_a_release_lets_it_go(&clinic).await;
    in_order(&clinic, "released").await;
}

/// Publishes the clinic's schema as a version and revision, with another limit of the voice assistant, and waits until it is
/// valid.
async fn publish(clinic: &Clinic, version: &str, revision: u32, seconds: u32) {
    let text = fs::read_to_string(clinic.manifests().join("30-schema.yaml")).unwrap();
    let name = format!("recepcionista-ia-{version}-r{revision}");
    let text = [
        ("recepcionista-ia-1.0-r1", name.as_str()),
        ("version: \"1.0\"\n  revision: 1", &format!("version: \"{version}\"\n  revision: {revision}")),
        ("\"maxDurationSeconds\":600", &format!("\"maxDurationSeconds\":{seconds}")),
    ]
    .iter()
    .fold(text, |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    });
    let file = clinic.plane.folder().join(format!("{name}.yaml"));
    fs::write(&file, text).unwrap();
    clinic.kubectl(&ADMIN, &["apply", "-f", file.to_str().unwrap()]);
    clinic.says_ready("provisioningschemas", &name).await;
}

/// Whether each registration that is there is told of anything: at the CRM, in the calendar.
async fn switched_on(clinic: &Clinic) -> [Vec<bool>; 2] {
    let flags = |list: &Value, field: &str| {
        let mut flags: Vec<bool> = list.as_array().unwrap().iter().map(|one| one[field].as_bool().unwrap()).collect();
        flags.sort_unstable();
        flags
    };
    let crm = clinic.outside("/crm/v1/subscriptions", CRM_KEY).await;
    let calendar = clinic.outside("/calcom/v2/webhooks", CALCOM_KEY).await;
    [flags(&crm["items"], "enabled"), flags(&calendar["data"], "active")]
}

async fn an_upgrade_takes_over_when_it_is_verified(clinic: &Clinic) {
    let old = deployment(clinic).await["status"]["webhooks"].clone();
    publish(clinic, "1.1", 1, 500).await;
    assert_eq!(deployment(clinic).await["status"]["request"], "receptionist-1", "the timing is the operator's");
    edit(clinic, json!({"version": "1.1"})).await;
    let second = stands(clinic, 2, "MANUAL_VERIFICATION", "AwaitingVerification").await;
    assert_eq!((&second["spec"]["reason"], &second["spec"]["schemaRef"]["name"]), (&json!("Update"), &json!(R1)));
    clinic.says("AwaitingVerification").await;
    let meanwhile = deployment(clinic).await;
    assert!(message(&meanwhile).contains("receptionist-1 serves meanwhile"), "{}", message(&meanwhile));
    assert_eq!((&meanwhile["status"]["webhooks"], left(clinic).await), (&old, ONE.map(|count| 2 * count)));
    assert_ne!(second["status"]["webhooks"], old, "new paths");
    assert_eq!(switched_on(clinic).await, [[false, true], [false, true]], "the new ones are registered and hear nothing yet");

    accepted(clinic, &named(&message(&second), "verify"), &["--all-checks"]);
    stands(clinic, 1, "COMPLETED", "Retired").await;
    clinic.says("Completed").await;
    let now = deployment(clinic).await;
    assert_eq!((&now["status"]["webhooks"], &now["status"]["schema"]["name"]), (&second["status"]["webhooks"], &json!(R1)));
    assert_eq!(left(clinic).await, ONE, "the old one is retired");
    assert_eq!(switched_on(clinic).await, [[true], [true]]);
    assert_eq!(events(clinic, &now).await, ["CutoverStepDone", "CutoverStepDone"]);
    clinic.each_effect_once().await;
}

async fn a_revision_is_brought_along_and_validated(clinic: &Clinic) {
    let (asked, before) = (clinic.plane.requests().len(), clinic.effects().await.len());
    publish(clinic, "1.1", 2, 550).await;
    let schema = counts(clinic, R2, json!({"live": 1, "current": 1, "pending": 0, "failed": 0})).await;
    let now = deployment(clinic).await;
    assert_eq!((&now["status"]["schema"]["name"], reason(&now).as_str()), (&json!(R2), "Completed"));
    assert_eq!(condition(&now, "UpToDate")["status"], "True");
    assert_eq!(events(clinic, &now).await[2..], ["RevisionPropagated"]);
    assert_eq!((left(clinic).await, clinic.effects().await.len()), (ONE, before + 1), "in place: the assistant, and nothing else");
    let since = clinic.plane.requests().split_off(asked);
    let written = |resource: &str| {
        let ours = since.iter().filter(|asked| asked.user == CONTROLLER.name && asked.is_write());
        ours.filter(|asked| asked.resource == resource).count()
    };
    let counted = ["assistantdeployments/status", "auditrecords", "events", "provisioningrequests/status"].map(written);
    assert_eq!(counted, [2, 1, 1, 0], "status writes, records, Events");

    assert_eq!(offered(&schema), ["ValidatePropagation"]);
    let propagated = condition(&schema, "Propagated");
    assert_eq!(propagated["reason"], "AwaitingValidation");
    accepted(clinic, &named(propagated["message"].as_str().unwrap(), "validate-propagation"), &[]);
    let done = clinic.get(&format!("{OURS}/provisioningschemas/{R2}")).await.unwrap();
    assert_eq!((&condition(&done, "Propagated")["reason"], offered(&done)), (&json!("PropagationValidated"), Vec::new()));
    assert_eq!(events(clinic, &done).await, ["PropagationValidated"]);
}

/// Waits until a schema has counted so, and gives it.
async fn counts(clinic: &Clinic, schema: &str, counts: Value) -> Value {
    let path = format!("{OURS}/provisioningschemas/{schema}");
    eventually(&format!("{schema} counts {counts}"), PATIENCE, || async {
        clinic.get(&path).await.is_some_and(|found| found["status"]["deployments"] == counts)
    })
    .await;
    clinic.get(&path).await.unwrap()
}

async fn a_revision_that_cannot_be_brought_along_is_not_validated(clinic: &Clinic) {
    let validate = ["decide", "validate-propagation", "pschema/recepcionista-ia-1.1-r3"];
    clinic.disturb(&[FaultRule::new(Fault::Unauthorized).vendor(Vendor::Vapi)]).await;
    publish(clinic, "1.1", 3, 560).await;
    let schema = counts(clinic, R3, json!({"live": 1, "current": 0, "pending": 0, "failed": 1})).await;
    assert_eq!((condition(&schema, "Propagated")["reason"].as_str(), offered(&schema)), (Some("PropagationIncomplete"), Vec::new()));
    let (said, taken) = run(clinic, &validate, &[]);
    assert!(!taken && said.contains("PropagationIncomplete: not every live deployment is on the revision"), "{said}");
    let behind = deployment(clinic).await;
    let up_to_date = condition(&behind, "UpToDate");
    assert_eq!((up_to_date["reason"].as_str(), reason(&behind).as_str()), (Some("PropagationFailed"), "Completed"), "it serves as it was");
    assert_eq!(behind["status"]["schema"]["name"], R2);

    clinic.disturb(&[]).await;
    accepted(clinic, &named(up_to_date["message"].as_str().unwrap(), "retry"), &[]);
    counts(clinic, R3, json!({"live": 1, "current": 1, "pending": 0, "failed": 0})).await;
    accepted(clinic, &validate, &[]);
    let said = events(clinic, &behind).await;
    assert_eq!(said[3..], ["PropagationFailed", "RetryOrdered", "RevisionPropagated"]);
}

async fn a_deletion_waits_and_a_release_lets_it_go(clinic: &Clinic) {
    let (live, subject, effects) = (deployment(clinic).await, attempt(clinic, 2).await, clinic.effects().await);
    clinic.kubectl(&ADMIN, &["delete", "assistantdeployment", "receptionist", "-n", "acme-dental", "--wait=false"]);
    clinic.says("AwaitingDecision").await;
    let waiting = stands(clinic, 2, "COMPLETED", "AwaitingDecision").await;
    assert_eq!(offered(&waiting), ["Rollback", "Release"]);
    let said = message(&waiting);
    for act in ["rollback", "release"] {
        assert_eq!(named(&said, act), ["decide", act, "-n", "acme-dental", "receptionist-2"], "{said}");
    }
    assert_eq!(clinic.effects().await, effects, "nothing outside goes by itself");
    accepted(clinic, &named(&said, "release"), &["--note", "the clinic takes it over"]);
    for path in [
        at("assistantdeployments", "receptionist"),
        at("provisioningrequests", "receptionist-2"),
        at("provisioningrequests", "receptionist-1"),
    ] {
        eventually(&format!("{path} is gone"), PATIENCE, || async { clinic.get(&path).await.is_none() }).await;
    }
    assert_eq!(clinic.effects().await, effects, "nothing outside was touched");
    assert_eq!(events(clinic, &subject).await, ["ProvisioningInitiated", "ProvisioningVerified", "Released"], "the records stay");
    assert_eq!(events(clinic, &live).await.len(), 6, "of cutover and propagation too");
}
