//! What keeps a namespace that holds records, and our definitions, on a real API server; and the way out.

use std::fs;

use serde_json::{Value, json};

use crate::Test;
use crate::control_plane::api::Reply;
use crate::control_plane::users::{ADMIN, CONTROLLER, OPERATOR};
use crate::control_plane::{Controllers, eventually};
use crate::ours::{self, ACME, SOON, permitted};
use crate::rig::{Clinic, PATIENCE};
use crate::tests;

pub fn alone() -> Vec<Test> {
    tests![
        namespaces_that_hold_records_and_our_definitions_are_kept_from_everybody,
        a_released_tenants_namespace_goes_with_its_records_and_the_release_stays,
    ]
}

const LABEL: &str = "mandate.dev/holds-records";
const TENANT: &str = "/apis/mandate.dev/v1alpha1/tenants/acme-dental";
const SYSTEM: &str = "/apis/mandate.dev/v1alpha1/namespaces/mandate-system";

/// That a guard of somebody else's resource refused, and in which words.
fn refused(reply: &Reply, resource: &str, name: &str, words: &str) {
    let plural = resource.split('.').next().unwrap();
    let policy = format!("{plural}.mandate.dev");
    let denial = format!("ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {words}");
    assert_eq!(reply.message(), format!("{resource} {name:?} is forbidden: {denial}"), "{}", reply.text());
    assert_eq!((reply.status, &reply.body["reason"]), (403, &json!("Forbidden")));
}

async fn namespaces_that_hold_records_and_our_definitions_are_kept_from_everybody() {
    let plane = ours::plane(Controllers::None).await;
    let admin = plane.api(&ADMIN);
    ours::guard(&admin, &[]).await;
    let place = format!("/api/v1/namespaces/{ACME}");
    let dry = |part: &str| format!("{place}{part}?dryRun=All");
    permitted(&admin.delete(&dry("")).await.unwrap(), "nothing is recorded there");
    permitted(&admin.merge(&place, &json!({"metadata": {"labels": {LABEL: "true"}}})).await.unwrap(), "the label, put on");

    eventually("the namespace is guarded", SOON, || async { admin.delete(&dry("")).await.is_ok_and(|reply| reply.status == 403) }).await;
    let words = |who: &str| {
        format!(
            "namespace {ACME} holds records: {who} may not delete it until its Tenant is deleted and released (group mandate.dev:break-glass may)"
        )
    };
    refused(&admin.delete(&dry("")).await.unwrap(), "namespaces", ACME, &words("admin"));
    let carol = admin.clone().acting_as("carol@platform.example", &["mandate.dev:break-glass"]);
    permitted(&carol.delete(&dry("")).await.unwrap(), "the glass is broken");

    let marked = admin.get(&place).await.unwrap().body;
    let mut bare = marked.clone();
    bare["metadata"]["labels"].as_object_mut().unwrap().remove(LABEL).unwrap();
    let words = format!("label {LABEL} of namespace {ACME} is taken off by the controller only, not by admin");
    for part in ["", "/status", "/finalize"] {
        refused(&admin.put(&dry(part), &bare).await.unwrap(), "namespaces", ACME, &words);
        permitted(&admin.put(&dry(part), &marked).await.unwrap(), part);
    }
    let unlabel = json!({"metadata": {"labels": {LABEL: null}}});
    for part in ["", "/status"] {
        refused(&admin.merge(&dry(part), &unlabel).await.unwrap(), "namespaces", ACME, &words);
    }
    permitted(&plane.api(&CONTROLLER).put(&dry(""), &bare).await.unwrap(), "the controller");
    let mut orphaned = marked.clone();
    orphaned["spec"]["finalizers"] = json!([]);
    let words = format!("namespace {ACME} is finalized by the namespace controller only, not by admin");
    refused(&admin.put(&dry("/finalize"), &orphaned).await.unwrap(), "namespaces", ACME, &words);
    let namespace_controller = admin.clone().acting_as("system:serviceaccount:kube-system:namespace-controller", &["system:masters"]);
    permitted(&namespace_controller.put(&dry("/finalize"), &orphaned).await.unwrap(), "the namespace controller");

    definitions_are_kept(&plane).await;
}

async fn definitions_are_kept(plane: &crate::control_plane::ControlPlane) {
    let admin = plane.api(&ADMIN);
    let carol = admin.clone().acting_as("carol@platform.example", &["mandate.dev:break-glass"]);
    let (resource, name) = ("customresourcedefinitions.apiextensions.k8s.io", "auditrecords.mandate.dev");
    let place = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
    let dry = format!("{place}?dryRun=All");
    eventually("definitions are guarded", SOON, || async { admin.delete(&dry).await.is_ok_and(|reply| reply.status == 403) }).await;
    let words = |what: &str| format!("{name} defines how records are kept: admin may not {what} it (group mandate.dev:break-glass may)");
    refused(&admin.delete(&dry).await.unwrap(), resource, name, &words("delete"));
    let as_it_is = admin.get(&place).await.unwrap().body;
    permitted(&admin.put(&dry, &as_it_is).await.unwrap(), "applied again as it is");
    permitted(&admin.merge(&dry, &json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap(), "a label");
    let fields = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let mut forgetful = as_it_is.clone();
    forgetful.pointer_mut(fields).unwrap().as_object_mut().unwrap().remove("actor").unwrap();
    forgetful
        .pointer_mut(&fields.replace("/spec/properties", "/spec/required"))
        .unwrap()
        .as_array_mut()
        .unwrap()
        .retain(|field| field != "actor");
    refused(&admin.put(&dry, &forgetful).await.unwrap(), resource, name, &words("change"));
    permitted(&carol.put(&dry, &forgetful).await.unwrap(), "the glass is broken");
    permitted(&carol.delete(&dry).await.unwrap(), "the glass is broken");
}

/// The clinic fails at its first step: two records, and nothing outside.
async fn a_released_tenants_namespace_goes_with_its_records_and_the_release_stays() {
    let clinic = Clinic::start(Controllers::Stock).await;
    let operator = clinic.replica("one", &[]);
    operator.ready().await;
    let schema = clinic.manifests().join("30-schema.yaml");
    let text = fs::read_to_string(&schema).unwrap();
    let pin = text.split_once("digest: sha256:").unwrap().1[..64].to_owned();
    fs::write(&schema, text.replacen(&pin, &"0".repeat(64), 1)).unwrap();
    clinic.kubectl(&ADMIN, &["apply", "-f", clinic.manifests().join("00-namespaces.yaml").to_str().unwrap()]);
    // A quota that was made just now is not counted yet: whoever applies tries again.
    let apply = || clinic.try_kubectl(&ADMIN, &["apply", "-f", clinic.manifests().to_str().unwrap()]);
    eventually("the manifests are applied", PATIENCE, || async { apply().status.success() }).await;
    clinic.reaches("FAILED").await;

    let deleted = clinic.try_kubectl(&ADMIN, &["delete", "namespace", ACME, "--wait=false"]);
    let said = String::from_utf8_lossy(&deleted.stderr).into_owned();
    assert!(said.contains("holds records: admin may not delete it until its Tenant is deleted and released"), "{said}");

    clinic.kubectl(&ADMIN, &["delete", "tenant", ACME, "--wait=false"]);
    let offer = || async { clinic.get(TENANT).await.and_then(|tenant| tenant.pointer("/status/decision/hash").cloned()) };
    eventually("the release is offered", PATIENCE, || async { offer().await.is_some() }).await;
    let tenant = clinic.get(TENANT).await.unwrap();
    let before = heads(&clinic).await;
    let decision = json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision", "metadata": {"name": "release", "namespace": "mandate-system"},
        "spec": {
            "subject": {"kind": "Tenant", "name": ACME, "uid": tenant["metadata"]["uid"], "hash": offer().await},
            "act": "Release", "operator": OPERATOR.name, "via": "Direct", "note": "the clinic has closed",
        },
    });
    ours::create(&clinic.plane.api(&OPERATOR), &decision).await;
    let settled = || async { clinic.get(&format!("{SYSTEM}/operatordecisions/release")).await.map(|it| it["status"]["verdict"].clone()) };
    eventually("the decision is judged", PATIENCE, || async { settled().await.is_some_and(|verdict| verdict.is_string()) }).await;
    assert_eq!(settled().await, Some(json!("Accepted")));
    eventually("the tenant is gone", PATIENCE, || async { clinic.get(TENANT).await.is_none() }).await;

    // As pruning would; a namespace whose content is held for a moment is looked at again after minutes.
    clinic.kubectl(&ADMIN, &["delete", "assistantdeployment", "receptionist", "-n", ACME, "--timeout=60s"]);
    clinic.kubectl(&ADMIN, &["delete", "namespace", ACME, "--wait=false"]);
    let place = format!("/api/v1/namespaces/{ACME}");
    eventually("the namespace is gone", SOON * 4, || async { clinic.admin().get(&place).await.is_ok_and(|reply| reply.status == 404) })
        .await;
    let left = clinic.get("/apis/mandate.dev/v1alpha1/auditrecords").await.unwrap();
    let left = left["items"].as_array().unwrap();
    let events: Vec<&Value> = left.iter().map(|record| &record["spec"]["event"]).collect();
    assert_eq!(events, ["TenantReleased"]);
    let entry: Value = serde_json::from_str(left[0]["spec"]["entry"].as_str().unwrap()).unwrap();
    assert_eq!(entry["payload"]["chains"], json!(before));
    assert_eq!(clinic.admin().get("/api/v1/namespaces/mandate-system").await.unwrap().body["metadata"]["labels"][LABEL], "true");
    let export = clinic.plane.folder().join("left.yaml");
    fs::write(&export, clinic.kubectl(&ADMIN, &["get", "auditrecords", "-A", "-o", "yaml"])).unwrap();
    let verified = clinic.mandate(&OPERATOR, &["verify", export.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// Where the chain of the clinic's request stands, as its release should say.
async fn heads(clinic: &Clinic) -> Vec<Value> {
    let records = clinic.get(&format!("/apis/mandate.dev/v1alpha1/namespaces/{ACME}/auditrecords")).await.unwrap();
    let mut records = records["items"].as_array().unwrap().clone();
    records.sort_by_key(|record| record["spec"]["sequence"].as_u64());
    let last = &records.last().unwrap()["spec"];
    assert_eq!(last["event"], "ProvisioningFailed");
    let subject = &last["subject"];
    vec![json!({"kind": subject["kind"], "name": subject["name"], "uid": subject["uid"], "length": records.len(), "head": last["hash"]})]
}
