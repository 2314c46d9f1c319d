//! Decisions that the API server takes, for their author may decide, and that meet nothing of theirs.

use serde_json::{Value, json};

use super::{OURS, at, attempt, deployment, message, offered, reason, stands};
use crate::Test;
use crate::control_plane::users::{ADMIN, OPERATOR};
use crate::control_plane::{Controllers, eventually};
use crate::ours::{ACME, create, example};
use crate::rig::{Clinic, PATIENCE};
use crate::tests;

pub fn alone() -> Vec<Test> {
    tests![a_decision_on_nobody_or_on_another_tenants_subject_moves_nothing]
}

const BEACON: &str = "beacon-dental";

/// A tenant beside the clinic, with a deployment of the same name that does not begin.
async fn beside(clinic: &Clinic) {
    let admin = clinic.admin();
    create(
        &admin,
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": BEACON, "labels": {"mandate.dev/tenant": BEACON}}}),
    )
    .await;
    let owners = json!([{"kind": "User", "name": "owner@beacon-dental.example"}]);
    create(
        &admin,
        &json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": BEACON}, "spec": {"owners": owners}}),
    )
    .await;
    let mut same = example("40-receptionist.yaml");
    same["metadata"]["namespace"] = BEACON.into();
    same["spec"]["suspend"] = true.into();
    create(&admin, &same).await;
}

async fn a_decision_on_nobody_or_on_another_tenants_subject_moves_nothing() {
    let clinic = Clinic::start(Controllers::None).await;
    let operator = clinic.replica("one", &[]);
    operator.ready().await;
    clinic.apply();
    beside(&clinic).await;
    stands(&clinic, 1, "MANUAL_VERIFICATION", "AwaitingVerification").await;
    clinic.says("AwaitingVerification").await;
    let (request, live, effects) = (attempt(&clinic, 1).await, deployment(&clinic).await, clinic.effects().await);
    assert_eq!(offered(&request), ["Verify", "Reject"]);

    let of = |object: &Value| json!({"kind": object["kind"], "name": object["metadata"]["name"], "uid": object["metadata"]["uid"], "hash": request["status"]["decision"]["hash"]});
    let nobody =
        json!({"kind": "ProvisioningRequest", "name": "receptionist-9", "uid": request["metadata"]["uid"], "hash": of(&request)["hash"]});
    let unknown = json!({"kind": "Provider", "name": "n8n", "uid": "u", "hash": of(&request)["hash"]});
    let past = json!("2026-01-01T00:00:00Z");
    for (namespace, name, subject, expires_at, verdict, why, words) in [
        (ACME, "nobody", &nobody, None, None, "SubjectMissing", "ProvisioningRequest receptionist-9 does not exist in this namespace"),
        (ACME, "late", &nobody, Some(&past), Some("Void"), "Expired", "ProvisioningRequest receptionist-9 did not appear in time"),
        (
            ACME,
            "unknown",
            &unknown,
            None,
            Some("Void"),
            "SubjectKindUnknown",
            "spec.subject.kind Provider takes no decisions: AssistantDeployment, ProvisioningRequest, ProvisioningSchema and Tenant do",
        ),
        (
            BEACON,
            "theirs",
            &of(&request),
            None,
            None,
            "SubjectMissing",
            "ProvisioningRequest receptionist-1 does not exist in this namespace",
        ),
        (
            BEACON,
            "namesake",
            &of(&live),
            None,
            Some("Void"),
            "SubjectReplaced",
            "AssistantDeployment receptionist is another object of the same name: decide on it anew",
        ),
    ] {
        let mut document = json!({
            "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision", "metadata": {"name": name, "namespace": namespace},
            "spec": {"subject": subject, "act": "Verify", "operator": OPERATOR.name, "via": "Direct", "checklist": request["status"]["decision"]["checklist"]},
        });
        if let Some(time) = expires_at {
            document["spec"]["expiresAt"] = time.clone();
        }
        create(&clinic.plane.api(&OPERATOR), &document).await;
        let path = format!("{OURS}/namespaces/{namespace}/operatordecisions/{name}");
        eventually(&format!("{path} is judged"), PATIENCE, || async {
            clinic.get(&path).await.is_some_and(|found| !reason(&found).is_empty())
        })
        .await;
        let judged = clinic.get(&path).await.unwrap();
        assert_eq!((judged["status"]["verdict"].as_str(), reason(&judged).as_str(), message(&judged).as_str()), (verdict, why, words));
    }
    for (now, before) in [(attempt(&clinic, 1).await, request), (deployment(&clinic).await, live)] {
        assert_eq!(format!("{now:#}"), format!("{before:#}"), "to its resource version");
    }
    assert_eq!(clinic.effects().await, effects);
    let theirs = clinic.get(&at("assistantdeployments", "receptionist").replace(ACME, BEACON)).await.unwrap();
    assert_eq!(reason(&theirs), "Suspended");
    let kinds: &[&str] = &["get", "preq", "-n", BEACON, "-o", "name"];
    assert_eq!(clinic.kubectl(&ADMIN, kinds), "");
}
