//! Decisions that the API server takes, for their author may decide, and that meet nothing of theirs.

use serde_json::{Value, json};

use super::{OURS, at, attempt, deployment, message, offered, reason};
use crate::Test;
use crate::control_plane::users::OPERATOR;
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
    let space = json!({"name": BEACON, "labels": {"mandate.dev/tenant": BEACON}});
    create(&admin, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": space})).await;
    let spec = json!({"owners": [{"kind": "User", "name": "owner@beacon-dental.example"}]});
    create(&admin, &json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": BEACON}, "spec": spec})).await;
    let mut same = example("40-receptionist.yaml");
    same["metadata"]["namespace"] = BEACON.into();
    same["spec"]["suspend"] = true.into();
    create(&admin, &same).await;
}

/// A decision that the API server takes, and what its status says of it.
struct Stray<'a> {
    namespace: &'a str,
    name: &'a str,
    subject: &'a Value,
    expires_at: Option<&'a str>,
    verdict: Option<&'a str>,
    why: &'a str,
    words: &'a str,
}

impl Stray<'_> {
    /// Writes it as the operator, and waits until it is judged so.
    async fn is_judged(&self, clinic: &Clinic, checklist: &Value) {
        let Self { namespace, name, subject, expires_at, verdict, why, words } = self;
        let mut document = json!({
            "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision", "metadata": {"name": name, "namespace": namespace},
            "spec": {"subject": subject, "act": "Verify", "operator": OPERATOR.name, "via": "Direct", "checklist": checklist},
        });
        if let Some(time) = expires_at {
            document["spec"]["expiresAt"] = (*time).into();
        }
        create(&clinic.plane.api(&OPERATOR), &document).await;
        let path = format!("{OURS}/namespaces/{namespace}/operatordecisions/{name}");
        let judged = || async { clinic.get(&path).await.filter(|found| !reason(found).is_empty()) };
        eventually(&format!("{path} is judged"), PATIENCE, || async { judged().await.is_some() }).await;
        let judged = judged().await.unwrap();
        let said = (judged["status"]["verdict"].as_str(), reason(&judged), message(&judged));
        assert_eq!(said, (*verdict, (*why).to_owned(), (*words).to_owned()), "{path}");
    }
}

async fn a_decision_on_nobody_or_on_another_tenants_subject_moves_nothing() {
    let clinic = Clinic::start(Controllers::None).await;
    let operator = clinic.replica("one", &[]);
    operator.ready().await;
    clinic.apply();
    beside(&clinic).await;
    clinic.says("AwaitingVerification").await;
    let (request, live, effects) = (attempt(&clinic, 1).await, deployment(&clinic).await, clinic.effects().await);
    let offer = &request["status"]["decision"];
    assert_eq!(offered(&request), ["Verify", "Reject"]);

    // In order but for whom they are on, and on the evidence that is on offer.
    let of = |kind: &str, name: &str, uid: &Value| json!({"kind": kind, "name": name, "uid": uid, "hash": offer["hash"]});
    let nobody = of("ProvisioningRequest", "receptionist-9", &request["metadata"]["uid"]);
    let no_subject = of("Provider", "n8n", &json!("u"));
    let theirs = of("ProvisioningRequest", "receptionist-1", &request["metadata"]["uid"]);
    let of_ours = of("AssistantDeployment", "receptionist", &live["metadata"]["uid"]);
    let waits = Stray {
        namespace: ACME,
        name: "nobody",
        subject: &nobody,
        expires_at: None,
        verdict: None,
        why: "SubjectMissing",
        words: "spec.subject: ProvisioningRequest receptionist-9 does not exist in this namespace: it is waited for; if the name is wrong, \
                create another decision",
    };
    let lapsed = "ProvisioningRequest receptionist-9 did not appear in time";
    let takes_none =
        "spec.subject.kind Provider takes no decisions: AssistantDeployment, ProvisioningRequest, ProvisioningSchema and Tenant do";
    let elsewhere = "spec.subject: ProvisioningRequest receptionist-1 does not exist in this namespace: it is waited for; if the name is \
                     wrong, create another decision";
    let replaced = "AssistantDeployment receptionist is another object of the same name: decide on it anew";
    let void = Some("Void");
    for stray in [
        Stray { name: "late", expires_at: Some("2026-01-01T00:00:00Z"), verdict: void, why: "Expired", words: lapsed, ..waits },
        Stray { name: "no-subject", subject: &no_subject, verdict: void, why: "SubjectKindUnknown", words: takes_none, ..waits },
        Stray { namespace: BEACON, name: "theirs", subject: &theirs, words: elsewhere, ..waits },
        Stray { namespace: BEACON, name: "namesake", subject: &of_ours, verdict: void, why: "SubjectReplaced", words: replaced, ..waits },
        waits,
    ] {
        stray.is_judged(&clinic, &offer["checklist"]).await;
    }
    for (now, before) in [(attempt(&clinic, 1).await, &request), (deployment(&clinic).await, &live)] {
        assert_eq!(format!("{now:#}"), format!("{before:#}"), "to its resource version");
    }
    assert_eq!(clinic.effects().await, effects);
    let namesake = at("assistantdeployments", "receptionist").replace(ACME, BEACON);
    eventually("the namesake says why it does not begin", PATIENCE, || async {
        reason(&clinic.get(&namesake).await.unwrap()) == "Suspended"
    })
    .await;
    assert_eq!(clinic.get(&namesake).await.unwrap()["status"]["request"], Value::Null);
}
