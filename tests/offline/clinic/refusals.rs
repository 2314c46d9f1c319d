//! What is refused at the door, with the words that the caller reads. Nothing of it disturbs anybody.

use mandate::engine::port::WorldError;
use mandate::kinds::auditrecord::api::RECORD;
use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::provisioningschema::api::SCHEMA;
use mandate::kinds::tenant::api::TENANT;
use mandate::model::object::{Object, ObjectKey};
use mandate::model::resource::Resource;
use mandate::world::server::{ApiServer, Identity, Preconditions, Subresource, WriteOptions};
use serde_json::{Value, json};

use super::rig::{Rig, clinic, documents};

fn person(name: &str) -> Identity {
    Identity { username: name.into(), groups: vec!["mandate.dev:operators".into(), "system:authenticated".into()] }
}

/// The clinic verified, so that there is something of every kind.
async fn completed() -> Rig {
    let rig = Rig::clinic_beside(|_| {}).await;
    rig.settle().await;
    let request = rig.request().await;
    rig.decide(&request, "Verify", |_| {}).await;
    rig.settle().await;
    assert_eq!(rig.request().await.body["status"]["state"], "COMPLETED");
    rig
}

/// The refusal of a merge patch.
async fn unpatched(rig: &Rig, who: &Identity, object: &Object, subresource: Subresource, patch: Value) -> String {
    let before = rig.get(object.resource, object.namespace(), object.name()).await.unwrap();
    let error = rig.memory.merge_patch(who, &object.key(), &patch, subresource, WriteOptions::default()).await.expect_err("it is refused");
    assert_eq!(rig.get(object.resource, object.namespace(), object.name()).await.unwrap(), before);
    error.to_string()
}

async fn undeleted(rig: &Rig, who: &Identity, resource: &'static Resource, name: &str) -> String {
    let key = ObjectKey::new(resource, "acme-dental", name);
    rig.memory.delete(who, &key, &Preconditions::default()).await.expect_err("it is refused").to_string()
}

fn decision(request: &Object, change: impl FnOnce(&mut Value)) -> Value {
    let offer = &request.body["status"]["decision"];
    let mut document = json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision",
        "metadata": {"name": "tried", "namespace": "acme-dental"},
        "spec": {
            "subject": {"kind": "ProvisioningRequest", "name": request.name(), "uid": request.uid(), "hash": offer["hash"]},
            "act": "Verify", "operator": "ben@acme-dental.example", "via": "Relay", "checklist": offer["checklist"],
        },
    });
    change(&mut document);
    document
}

#[tokio::test(start_paused = true)]
async fn nobody_decides_in_anothers_name_and_no_machine_decides() {
    let rig = Rig::clinic_beside(|_| {}).await;
    rig.settle().await;
    let request = rig.request().await;
    let ana = person("ana@acme-dental.example");
    let machine = Identity {
        username: "system:serviceaccount:ci:deployer".into(),
        groups: vec!["mandate.dev:operators".into(), "system:serviceaccounts".into()],
    };
    let passer_by = Identity { username: "eve@elsewhere.example".into(), groups: vec!["system:authenticated".into()] };
    let direct = |operator: &str| {
        let operator = operator.to_owned();
        decision(&request, |it| {
            it["spec"]["via"] = "Direct".into();
            it["spec"]["operator"] = operator.into();
        })
    };
    let cases = [
        (
            &ana,
            direct("ben@acme-dental.example"),
            "spec.operator is ben@acme-dental.example but the request is from ana@acme-dental.example: say via: Relay",
        ),
        (&machine, direct("system:serviceaccount:ci:deployer"), "spec.operator system:serviceaccount:ci:deployer is no person"),
        (&ana, direct("system:node:worker-1"), "spec.operator system:node:worker-1 is no person"),
        (&ana, direct(""), "spec.operator: Invalid value: \"\": spec.operator in body should be at least 1 chars long"),
        (
            &passer_by,
            direct("eve@elsewhere.example"),
            "User \"eve@elsewhere.example\" cannot create resource \"operatordecisions\" in API group \"mandate.dev\" in the namespace \"acme-dental\"",
        ),
        (&ana, decision(&request, |it| it["spec"]["act"] = "Approve".into()), "spec.act: Unsupported value: \"Approve\""),
        (&ana, decision(&request, |it| it["spec"]["subject"]["hash"] = "sha256:abc".into()), "spec.subject.hash"),
        (&ana, decision(&request, |it| it["spec"]["expiresAt"] = "tomorrow".into()), "spec.expiresAt"),
        (&ana, decision(&request, |it| it["metadata"]["name"] = "No Label".into()), "metadata.name"),
        (
            &ana,
            decision(
                &request,
                |it| it["metadata"]["ownerReferences"] = json!([{"apiVersion": "mandate.dev/v1alpha1", "kind": "ProvisioningRequest", "name": request.name(), "uid": request.uid()}]),
            ),
            "take no ownerReferences: the garbage collector would delete the record",
        ),
    ];
    for (who, document, words) in cases {
        let said = rig.refused(who, document).await;
        assert!(said.contains(words), "{words:?} expected, said: {said}");
    }
    assert!(rig.all("OperatorDecision").is_empty());
    rig.settle().await;
    assert_eq!(rig.request().await, request);
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn no_user_writes_what_the_controller_observes_or_keeps() {
    let rig = completed().await;
    let ana = person("ana@acme-dental.example");
    let request = rig.request().await;
    let decision = rig.get(&DECISION, "acme-dental", "verify-receptionist-1-1").await.unwrap();
    let record = rig.all("AuditRecord").into_iter().find(|record| record.namespace() == "acme-dental").unwrap();
    let tenant = rig.get(&TENANT, "", "acme-dental").await.unwrap();
    let schema = rig.get(&SCHEMA, "", "recepcionista-ia-1.0-r1").await.unwrap();

    let may_not_write =
        |object: &Object| format!("ana@acme-dental.example may not update the status of {}: the controller does", object.resource.plural);
    for object in [&request, &decision, &tenant] {
        let said = unpatched(&rig, &ana, object, Subresource::Status, json!({"status": {"observedGeneration": 1, "conditions": []}})).await;
        assert!(said.contains(&may_not_write(object)), "{said}");
    }
    let mut copy = json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "AuditRecord", "metadata": {"name": "forged", "namespace": "acme-dental"}, "spec": record.body["spec"]});
    let said = rig.refused(&ana, copy.clone()).await;
    assert!(said.contains("ana@acme-dental.example may not create auditrecords: the controller does"), "{said}");
    copy["kind"] = "ProvisioningRequest".into();
    copy["spec"] = request.body["spec"].clone();
    let said = rig.refused(&ana, copy).await;
    assert!(said.contains("ana@acme-dental.example may not create provisioningrequests: the controller does"), "{said}");

    for (resource, name) in [(&RECORD, record.name()), (&DECISION, decision.name())] {
        let said = undeleted(&rig, &ana, resource, name).await;
        let words =
            format!("{} are records: ana@acme-dental.example may not delete them (group mandate.dev:break-glass may)", resource.plural);
        assert!(said.contains(&words), "{said}");
    }
    for object in [&request, &schema] {
        let said = unpatched(&rig, &ana, object, Subresource::Main, json!({"metadata": {"finalizers": null}})).await;
        assert!(said.contains("finalizer mandate.dev/outside is removed by the controller only, not by ana@acme-dental.example"), "{said}");
    }
    rig.settle().await;
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_frozen_spec_is_never_edited() {
    let rig = completed().await;
    let ana = person("ana@acme-dental.example");
    let request = rig.request().await;
    let decision = rig.get(&DECISION, "acme-dental", "verify-receptionist-1-1").await.unwrap();
    let record = rig.all("AuditRecord").into_iter().find(|record| record.namespace() == "acme-dental").unwrap();
    let schema = rig.get(&SCHEMA, "", "recepcionista-ia-1.0-r1").await.unwrap();
    for (object, patch, words) in [
        (&request, json!({"spec": {"operator": "eve"}}), "spec is immutable: the inputs of a request never change"),
        (&decision, json!({"spec": {"note": "on second thought"}}), "spec is immutable: a decision is made once"),
        (&record, json!({"spec": {"actor": "eve"}}), "spec is immutable"),
        (&schema, json!({"spec": {"verification": []}}), "spec is immutable"),
    ] {
        let said = unpatched(&rig, &ana, object, Subresource::Main, patch).await;
        assert!(said.contains("is invalid: spec: ") && said.contains(words), "{said}");
    }
    rig.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_its_kind_is_refused_and_the_rest_goes_on() {
    let rig = Rig::empty().with_beside().await;
    let find = |kind: &str| documents(&clinic()).into_iter().find(|document| document["kind"] == kind).unwrap();
    for document in documents(&clinic()) {
        if document["kind"] == "Namespace" {
            rig.apply(document).await;
        }
    }
    let changed = |kind: &str, change: fn(&mut Value)| {
        let mut document = find(kind);
        change(&mut document);
        document
    };
    let ana = Identity::loader();
    for (document, words) in [
        (
            changed("AssistantDeployment", |it| it["spec"]["product"] = "telefonista".into()),
            "spec.product: Unsupported value: \"telefonista\"",
        ),
        (changed("AssistantDeployment", |it| it["spec"]["version"] = 1.into()), "spec.version"),
        (
            changed("AssistantDeployment", |it| drop(it["spec"].as_object_mut().unwrap().remove("providers"))),
            "spec.providers: Required value",
        ),
        (changed("AssistantDeployment", |it| it["metadata"]["name"] = "The Receptionist".into()), "metadata.name"),
        (changed("AssistantDeployment", |it| it["metadata"]["namespace"] = "nowhere".into()), "Namespace nowhere not found"),
        (
            changed("AssistantDeployment", |it| it["spec"]["operator"] = "system:serviceaccount:argocd:application-controller".into()),
            "is no person",
        ),
        (changed("Provider", |it| it["spec"]["connection"]["baseUrl"] = "ftp://n8n".into()), "spec.connection.baseUrl"),
        (changed("Tenant", |it| it["spec"]["owners"] = json!([])), "spec.owners"),
    ] {
        let said = rig.refused(&ana, document).await;
        assert!(said.contains(words), "{words:?} expected, said: {said}");
    }
    let big = changed("AssistantDeployment", |it| it["metadata"]["annotations"] = json!({"note": "x".repeat(1_600_000)}));
    let error = rig.try_apply(&ana, big).await.unwrap_err();
    assert!(matches!(error, WorldError::TooLarge { limit: 1_572_864, .. } | WorldError::Invalid { .. }), "{error}");
    assert!(error.to_string().len() < 10_000, "a refusal does not repeat what it refuses");
    rig.settle().await;
    rig.beside_is_well().await;
}
