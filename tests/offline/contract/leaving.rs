//! Deletion by hand or by git: nothing outside is removed or orphaned silently.

use std::collections::BTreeSet;

use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::sandbox::Operation;
use serde_json::Value;

use super::{accepted, attempt, completed, deployment, events, left, nothing_left, offered, state};
use crate::clinic::rig::{condition, reason};

#[tokio::test(start_paused = true)]
async fn a_deleted_deployment_waits_and_names_both_ways_on() {
    let rig = completed().await;
    let effects = rig.effects();
    rig.delete(&DEPLOYMENT, "acme-dental", "receptionist").await;
    rig.settle().await;
    assert_eq!(reason(&*deployment(&rig).await), "AwaitingDecision");
    let request = attempt(&rig, 1).await;
    assert_eq!((reason(&request), offered(&request)), ("AwaitingDecision", vec!["Rollback", "Release"]));
    let said = condition(&request, "Ready")[2];
    assert!(
        said.contains("mandate decide rollback -n acme-dental receptionist-1")
            && said.contains("mandate decide release -n acme-dental receptionist-1"),
        "{said}"
    );
    assert_eq!(rig.effects(), effects);
}

#[tokio::test(start_paused = true)]
async fn a_release_leaves_everything_on_record_and_lets_the_deployment_go() {
    let rig = completed().await;
    let before = left(&rig);
    rig.delete(&DEPLOYMENT, "acme-dental", "receptionist").await;
    rig.settle().await;
    let request = attempt(&rig, 1).await;
    let made: BTreeSet<String> =
        rig.sandbox.effects().into_iter().filter(|effect| effect.operation == Operation::Create).map(|effect| effect.id).collect();
    accepted(&rig, &request, "Release").await;
    assert!(rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.is_none());
    assert!(rig.all("ProvisioningRequest").is_empty());
    assert_eq!(left(&rig), before, "nothing outside was touched");
    assert_eq!(events(&rig, &request), ["ProvisioningInitiated", "ProvisioningVerified", "Released"]);
    let records = rig.all("AuditRecord");
    let released = records.iter().find(|record| record.body["spec"]["event"] == "Released").unwrap();
    let entry: Value = serde_json::from_str(released.body["spec"]["entry"].as_str().unwrap()).unwrap();
    let left = entry["payload"]["left"].as_array().unwrap();
    let named: BTreeSet<String> = left.iter().map(|row| row["externalId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(named, made, "the request is gone: the record alone knows what was left, and where");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_of_what_is_being_deleted_is_confirmed_before_it_goes() {
    let rig = completed().await;
    rig.delete(&DEPLOYMENT, "acme-dental", "receptionist").await;
    rig.settle().await;
    accepted(&rig, &*attempt(&rig, 1).await, "Rollback").await;
    nothing_left(&rig);
    let request = attempt(&rig, 1).await;
    assert_eq!((state(&request), offered(&request)), ("ROLLING_BACK", vec!["ConfirmRollback", "Release"]));
    accepted(&rig, &request, "ConfirmRollback").await;
    assert!(rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.is_none());
}
