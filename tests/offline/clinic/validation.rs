//! A propagation is closed by an operator: refused while a deployment failed, taken once all are on the revision.
//!
//! Only schemas and decisions are reconciled here; what deployments have live is written by hand.

use mandate::engine::kind::{AnyKind, Erased};
use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::kinds::operatordecision::OperatorDecisionKind;
use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::provisioningschema::ProvisioningSchemaKind;
use mandate::kinds::provisioningschema::api::SCHEMA;
use mandate::model::object::ObjectKey;
use mandate::world::server::{ApiServer as _, Identity, Subresource, WriteOptions};
use serde_json::{Value, json};

use super::rig::{Rig, clinic, condition, documents, reason, settle};

static KINDS: [&dyn AnyKind; 2] = [&Erased::<OperatorDecisionKind>::KIND, &Erased::<ProvisioningSchemaKind>::KIND];
const R1: &str = "recepcionista-ia-1.0-r1";
const R2: &str = "recepcionista-ia-1.0-r2";

async fn schema(rig: &Rig, name: &str) -> Value {
    rig.get(&SCHEMA, "", name).await.unwrap().body.clone()
}

/// The receptionist is live on this revision.
async fn is_on(rig: &Rig, revision: &str, up_to_date: (&str, &str)) {
    let digest = schema(rig, revision).await["status"]["digest"].clone();
    let (status, reason) = up_to_date;
    let patch = json!({"status": {
        "observedGeneration": 1, "schema": {"name": revision, "digest": digest},
        "conditions": [{
            "type": "UpToDate", "status": status, "reason": reason, "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    }});
    let key = ObjectKey::new(&DEPLOYMENT, "acme-dental", "receptionist");
    rig.memory.merge_patch(&Identity::controller(), &key, &patch, Subresource::Status, WriteOptions::default()).await.unwrap();
    settle(rig.operator_of(&KINDS)).await;
}

/// Decides as an operator would; the verdict and its reason.
async fn validate(rig: &Rig, namespace: &str, number: u32) -> (String, String) {
    let subject = schema(rig, R2).await;
    let name = format!("validatepropagation-r2-{number}");
    rig.apply(json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "subject": {
                "kind": "ProvisioningSchema", "name": R2, "uid": subject["metadata"]["uid"], "hash": subject["status"]["decision"]["hash"],
            },
            "act": "ValidatePropagation", "operator": "ben@platform.example", "via": "Relay",
        },
    }))
    .await;
    settle(rig.operator_of(&KINDS)).await;
    let decision = rig.get(&DECISION, namespace, &name).await.unwrap();
    (decision.body["status"]["verdict"].as_str().unwrap_or("-").to_owned(), reason(&decision).to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_propagation_is_validated_in_the_system_namespace_and_only_when_all_are_on_the_revision() {
    let rig = Rig::clinic().await;
    let mut next = documents(&clinic()).into_iter().find(|document| document["kind"] == "ProvisioningSchema").unwrap();
    next["metadata"]["name"] = R2.into();
    next["spec"]["revision"] = 2.into();
    let voice = next["spec"]["voice"]["assistant"].as_str().unwrap().replace("Hasta pronto.", "Hasta luego.");
    next["spec"]["voice"]["assistant"] = voice.into();
    rig.apply(next).await;
    settle(rig.operator_of(&KINDS)).await;
    assert_eq!(schema(&rig, R2).await["status"]["decision"], Value::Null, "nothing is live");

    is_on(&rig, R1, ("False", "PropagationFailed")).await;
    let status = schema(&rig, R2).await["status"].clone();
    assert_eq!(status["deployments"], json!({"live": 1, "current": 0, "pending": 0, "failed": 1}));
    assert_eq!(status["decision"]["acts"], json!([]));
    let r2 = rig.get(&SCHEMA, "", R2).await.unwrap();
    assert_eq!(condition(&r2, "Propagated")[..2], ["False", "PropagationIncomplete"]);
    assert_eq!((condition(&r2, "InSequence")[0], reason(&r2)), ("True", "Valid"));
    let r1 = rig.get(&SCHEMA, "", R1).await.unwrap();
    assert_eq!((r1.body["status"]["deployments"]["current"].as_u64(), condition(&r1, "Propagated")), (Some(1), ["-"; 3]));
    let verdict = |verdict: &str, reason: &str| (verdict.to_owned(), reason.to_owned());
    assert_eq!(validate(&rig, "mandate-system", 1).await, verdict("Void", "PropagationIncomplete"));

    is_on(&rig, R2, ("True", "UpToDate")).await;
    assert_eq!(schema(&rig, R2).await["status"]["decision"]["acts"], json!(["ValidatePropagation"]));
    assert_eq!(validate(&rig, "acme-dental", 1).await, verdict("Void", "WrongNamespace"));
    assert_eq!(validate(&rig, "mandate-system", 2).await, verdict("Accepted", "Accepted"));
    let r2 = rig.get(&SCHEMA, "", R2).await.unwrap();
    assert_eq!(condition(&r2, "Propagated")[..2], ["True", "PropagationValidated"]);
    assert_eq!((&r2.body["status"]["decision"], r2.body["status"]["chain"]["length"].as_u64()), (&Value::Null, Some(1)));
    let records = rig.all("AuditRecord");
    let record = records.iter().find(|record| record.body["spec"]["subject"]["uid"] == r2.uid()).unwrap();
    assert_eq!((record.namespace(), record.body["spec"]["event"].as_str()), ("mandate-system", Some("PropagationValidated")));
    let version = r2.resource_version().to_owned();
    settle(rig.operator_of(&KINDS)).await;
    assert_eq!(rig.get(&SCHEMA, "", R2).await.unwrap().resource_version(), version, "a steady state writes nothing");
    rig.hold();
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_cannot_be_propagated_never_becomes_current() {
    let rig = Rig::clinic().await;
    let mut next = documents(&clinic()).into_iter().find(|document| document["kind"] == "ProvisioningSchema").unwrap();
    next["metadata"]["name"] = R2.into();
    next["spec"]["revision"] = 2.into();
    next["spec"]["integrations"]["calendar"]["triggers"] = json!(["BOOKING_CREATED"]);
    rig.apply(next).await;
    rig.settle().await;
    let r2 = rig.get(&SCHEMA, "", R2).await.unwrap();
    assert_eq!((reason(&r2), condition(&r2, "Stalled")[0]), ("RevisionNotPropagable", "True"));
    assert_eq!(rig.request().await.body["spec"]["schemaRef"]["name"], R1);
}
