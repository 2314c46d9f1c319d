//! The clinic through the real binary, under the generated roles and guards.

use crate::Test;
use crate::control_plane::users::OPERATOR;
use crate::control_plane::{Controllers, eventually};
use crate::notify::{Receiver, each_outcome_was_told_once};
use crate::rig::{Clinic, PATIENCE, condition};
use crate::tests;

pub fn alone() -> Vec<Test> {
    tests![a_folder_becomes_a_verified_assistant]
}

async fn a_folder_becomes_a_verified_assistant() {
    let clinic = Clinic::start(Controllers::Stock).await;
    let receiver = Receiver::start().await;
    let operator = clinic.replica("one", &["--notify-url", &receiver.url]);
    operator.ready().await;
    clinic.apply();
    clinic.reaches("MANUAL_VERIFICATION").await;

    clinic.verify().await;
    clinic.reaches("COMPLETED").await;

    let deployment = "/apis/mandate.dev/v1alpha1/namespaces/acme-dental/assistantdeployments/receptionist";
    eventually("the deployment says Completed", PATIENCE, || async {
        let found = clinic.get(deployment).await.unwrap();
        condition(&found, "Ready")["reason"] == "Completed"
    })
    .await;

    clinic.each_effect_once().await;
    each_outcome_was_told_once(&clinic, &receiver).await;

    let records = clinic.plane.folder().join("chain.yaml");
    std::fs::write(&records, clinic.kubectl(&OPERATOR, &["get", "preq,auditrecords", "-n", "acme-dental", "-o", "yaml"])).unwrap();
    let verified = clinic.mandate(&OPERATOR, &["verify", records.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    let status_writes =
        clinic.plane.requests().into_iter().filter(|request| request.resource == "provisioningrequests/status" && request.code == 200);
    assert!(status_writes.count() <= 7, "no more status writes than in the embedded world");
}
