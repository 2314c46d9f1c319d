//! The guards on a real API server: that it understands each, what holds without the rules of definitions, and what goes with
//! its namespace. What they refuse is in `refusals`.

use std::time::Duration;

use mandate::operator::guards::manifest;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::Test;
use crate::control_plane::api::Api;
use crate::control_plane::users::{ADMIN, CONTROLLER, OPERATOR};
use crate::control_plane::{ControlPlane, Controllers, eventually};
use crate::ours::{self, ACME, Guarded, SOON, create, decision, name, path, permitted, plural, record, refused};
use crate::tests;

pub fn alone() -> Vec<Test> {
    tests![
        every_policy_is_type_checked_and_without_a_warning,
        a_frozen_spec_stays_when_its_definition_forgets_the_rule,
        records_outlive_their_owners_and_go_with_their_namespace,
    ]
}

/// How long the stock controllers may take until they know of our kinds.
const KINDS_FOUND: Duration = Duration::from_secs(120);
const BEN: &str = "ben@acme-dental.example";

/// Policies are checked once, and silently not at all while the controller has not yet found the kinds they name (it looks
/// again every 30 s). So each policy has twins with a field that does not exist, a new one until one is warned of; from then
/// on no warning means that there is nothing to warn of.
async fn every_policy_is_type_checked_and_without_a_warning() {
    let plane = ControlPlane::with_definitions(Controllers::Stock).await;
    let admin = plane.api(&ADMIN);
    let policies: Vec<Value> =
        manifest::documents("mandate-system").into_iter().filter(|document| document["kind"] == "ValidatingAdmissionPolicy").collect();
    for policy in &policies {
        let deadline = Instant::now() + KINDS_FOUND;
        for number in 1.. {
            let mut twin = policy.clone();
            twin["metadata"]["name"] = format!("twin-{number}-{}", policy["metadata"]["name"].as_str().unwrap()).into();
            twin["spec"]["validations"].as_array_mut().unwrap().push(json!({"expression": "object.spec.nowhere == 1"}));
            create(&admin, &twin).await;
            let warnings = type_warnings(&admin, &twin).await;
            assert!(warnings.iter().all(|warning| warning.to_string().contains("undefined field 'nowhere'")), "{warnings:?}");
            if warnings.len() == 1 {
                break;
            }
            assert!(Instant::now() < deadline, "not within {KINDS_FOUND:?}: types of {} are known", path(policy));
            sleep(Duration::from_millis(500)).await;
        }
        create(&admin, policy).await;
        assert_eq!(type_warnings(&admin, policy).await, Vec::<Value>::new(), "{}", path(policy));
    }
    assert_eq!(policies.len(), mandate::operator::guards::guarded().len());
}

/// What the controller says of a policy once it has checked it.
async fn type_warnings(admin: &Api, policy: &Value) -> Vec<Value> {
    let place = path(policy);
    eventually(&format!("{place} is type-checked"), SOON, || async {
        admin.get(&place).await.is_ok_and(|reply| reply.body["status"]["typeChecking"].is_object())
    })
    .await;
    let checked = admin.get(&place).await.unwrap().body["status"]["typeChecking"].clone();
    checked["expressionWarnings"].as_array().cloned().unwrap_or_default()
}

/// Layers: the definition's rule first, and the policy where that is gone.
async fn a_frozen_spec_stays_when_its_definition_forgets_the_rule() {
    type Edit = fn(&mut Value);
    let world = Guarded::start().await;
    let admin = world.plane.api(&ADMIN);
    // Nobody else may change a definition.
    let break_glass = world.plane.api(&ADMIN).acting_as("carol@platform.example", &["mandate.dev:break-glass"]);
    let change = |body: &mut Value| body["spec"]["constitutionVersion"] = "9.9".into();
    let edits: [(&str, Edit); 4] = [
        ("AuditRecord", |body| body["spec"]["actor"] = "eve".into()),
        ("OperatorDecision", |body| body["spec"]["note"] = "eve".into()),
        ("ProvisioningRequest", |body| body["spec"]["operator"] = "eve".into()),
        ("ProvisioningSchema", change),
    ];
    for (kind, edit) in edits {
        let object = world.of(kind);
        let plural = plural(object);
        let by_rule = world.try_edit(&admin, object, "", edit).await;
        assert_eq!(by_rule.status, 422, "{}", by_rule.text());
        assert!(by_rule.message().contains("spec: Forbidden: spec is immutable"), "{}", by_rule.text());

        let crd = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.mandate.dev");
        let mut forgetful = break_glass.get(&crd).await.unwrap().body;
        let spec = forgetful.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
        spec.as_object_mut().unwrap().remove("x-kubernetes-validations").unwrap();
        permitted(&break_glass.put(&crd, &forgetful).await.unwrap(), "the definition");
        eventually(&format!("{crd} has no rule"), SOON, || async { world.try_edit(&admin, object, "", edit).await.status != 422 }).await;
        let words = format!("the spec of {plural} never changes");
        refused(&world.try_edit(&admin, object, "", edit).await, &plural, name(object), &words);
    }
}

async fn records_outlive_their_owners_and_go_with_their_namespace() {
    let plane = ours::plane(Controllers::Stock).await;
    let admin = plane.api(&ADMIN);
    let owner = create(&admin, &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": ACME}})).await;
    let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}]);
    // From a time before the guards, and therefore with an owner.
    let mut old = [record(ACME, "old"), decision(ACME, "old", BEN, "Direct")];
    for document in &mut old {
        document["metadata"]["ownerReferences"] = reference.clone();
        create(&admin, document).await;
    }
    let objects = ours::objects(&admin).await;
    ours::guard(&admin, &objects).await;

    permitted(&admin.delete(&path(&owner)).await.unwrap(), "the owner");
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    for document in &old {
        let plural = plural(document);
        eventually(&format!("the collector was refused {plural}"), SOON * 2, || async {
            plane
                .requests()
                .iter()
                .any(|asked| asked.user == collector && asked.verb == "delete" && asked.resource == plural && asked.code == 403)
        })
        .await;
        permitted(&admin.get(&path(document)).await.unwrap(), "kept");
        // A reference may be taken off, and then the collector is content.
        let mut freed = admin.get(&path(document)).await.unwrap().body;
        freed["metadata"]["ownerReferences"] = json!([]);
        permitted(&admin.put(&path(document), &freed).await.unwrap(), "freed");
    }

    let leaving = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaving"}});
    create(&admin, &leaving).await;
    let kept = create(&plane.api(&CONTROLLER), &record("leaving", "r")).await;
    create(&plane.api(&OPERATOR), &decision("leaving", "d", BEN, "Direct")).await;
    permitted(&admin.delete(&path(&leaving)).await.unwrap(), "the namespace");
    eventually("the namespace is gone", SOON * 2, || async { admin.get(&path(&leaving)).await.is_ok_and(|reply| reply.status == 404) })
        .await;
    assert_eq!(admin.get(&path(&kept)).await.unwrap().status, 404);
}
