//! What is missing is waited for, named, and found by itself when it comes: no error, no restart, nobody else held up.

use std::collections::BTreeMap;

use mandate::engine::port::WorldError;
use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::kinds::provider::api::PROVIDER;
use mandate::kinds::provisioningschema::api::SCHEMA;
use mandate::kinds::tenant::api::TENANT;
use mandate::model::object::Object;
use mandate::model::resource::{NAMESPACE, Resource, SECRET};
use mandate::world::server::Identity;
use serde_json::{Value, json};

use super::rig::{AtWork, Rig, clinic, condition, documents, reason};

/// Leaves out the documents of a kind and name.
fn without(kind: &'static str, name: &'static str) -> impl FnMut(&mut Value) {
    move |document| {
        if document["kind"] == kind && document["metadata"]["name"] == name {
            *document = Value::Null;
        }
    }
}

fn the(kind: &str, name: &str) -> Value {
    documents(&clinic()).into_iter().find(|document| document["kind"] == kind && document["metadata"]["name"] == name).unwrap()
}

async fn deployment(rig: &Rig) -> std::sync::Arc<Object> {
    rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.unwrap()
}

/// Status of `Ready`, reason and message: a wait, so `Reconciling` and not `Stalled`.
fn waits<'a>(object: &'a Object, why: &str) -> &'a str {
    let [ready, reason, message] = condition(object, "Ready");
    assert_eq!((ready, reason), ("False", why), "{:#}", object.body["status"]);
    assert_eq!([condition(object, "Reconciling")[0], condition(object, "Stalled")[0]], ["True", "-"]);
    message
}

/// Only a change by a person helps.
fn stalled<'a>(object: &'a Object, why: &str) -> &'a str {
    let [ready, reason, message] = condition(object, "Ready");
    assert_eq!((ready, reason), ("False", why), "{:#}", object.body["status"]);
    assert_eq!([condition(object, "Reconciling")[0], condition(object, "Stalled")[0]], ["-", "True"]);
    message
}

/// The same operator comes to the end without being restarted.
async fn proceeds(rig: &Rig, work: AtWork) {
    work.quiet().await;
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION", "{:#}", deployment(rig).await.body["status"]);
    assert_eq!(reason(&*deployment(rig).await), "AwaitingVerification");
    assert_eq!(rig.events().await, ["ProvisioningInitiated"], "a wait is no failure");
    work.stop().await;
    rig.hold();
    rig.beside_is_well().await;
}

/// A clinic that lacks something, an operator at work on it, and everything else done.
async fn lacking(change: impl FnMut(&mut Value)) -> (Rig, AtWork) {
    let rig = Rig::clinic_beside(change).await;
    let work = rig.run();
    work.quiet().await;
    rig.beside_is_well().await;
    assert!(rig.sandbox.effects().is_empty(), "nothing is done outside before everything is there");
    (rig, work)
}

#[tokio::test(start_paused = true)]
async fn a_missing_tenant_is_waited_for() {
    let (rig, work) = lacking(without("Tenant", "acme-dental")).await;
    let said = "Tenant acme-dental with namespace acme-dental does not exist: create it";
    assert_eq!(waits(&*deployment(&rig).await, "TenantMissing"), said);
    rig.apply(the("Tenant", "acme-dental")).await;
    proceeds(&rig, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_does_not_consent_is_not_taken_until_it_does() {
    let (rig, work) = lacking(|document| {
        if document["kind"] == "Namespace" {
            document["metadata"].as_object_mut().unwrap().remove("labels");
        }
    })
    .await;
    let tenant = rig.get(&TENANT, "", "acme-dental").await.unwrap();
    let said = "Namespace acme-dental exists and does not consent: kubectl label namespace acme-dental mandate.dev/tenant=acme-dental";
    assert_eq!(stalled(&tenant, "NamespaceNotConsenting"), said);
    let said = "Namespace acme-dental belongs to no tenant: create a Tenant for it and label it mandate.dev/tenant=<name>";
    assert_eq!(waits(&*deployment(&rig).await, "TenantMissing"), said);
    let inside = rig.all("RoleBinding").into_iter().filter(|binding| binding.namespace() == "acme-dental").count();
    assert_eq!(inside, 0, "nothing is put into a namespace that does not consent");

    rig.patch(&NAMESPACE, "", "acme-dental", json!({"metadata": {"labels": {"mandate.dev/tenant": "somebody-else"}}})).await;
    work.quiet().await;
    let tenant = rig.get(&TENANT, "", "acme-dental").await.unwrap();
    let said = "Namespace acme-dental consents to Tenant somebody-else: choose another spec.namespace in a new Tenant";
    assert_eq!(stalled(&tenant, "NamespaceTaken"), said);

    rig.patch(&NAMESPACE, "", "acme-dental", json!({"metadata": {"labels": {"mandate.dev/tenant": "acme-dental"}}})).await;
    proceeds(&rig, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_namespace_is_made_by_its_tenant() {
    let rig = Rig::empty().with_beside().await;
    let work = rig.run();
    rig.apply(the("Tenant", "acme-dental")).await;
    work.quiet().await;
    let namespace = rig.get(&NAMESPACE, "", "acme-dental").await.expect("the tenant makes it");
    assert_eq!(namespace.label("mandate.dev/tenant"), Some("acme-dental"));
    assert!(namespace.owner_uids().is_empty(), "and never owns it");
    assert_eq!(reason(&rig.get(&TENANT, "", "acme-dental").await.unwrap()), "NamespaceReady");
    for document in documents(&clinic()) {
        rig.apply(document).await;
    }
    proceeds(&rig, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_schema_is_waited_for_and_an_invalid_revision_is_none() {
    let (rig, work) = lacking(without("ProvisioningSchema", "recepcionista-ia-1.0-r1")).await;
    let said = "no ProvisioningSchema for recepcionista-ia 1.0: apply recepcionista-ia-1.0-r1";
    assert_eq!(waits(&*deployment(&rig).await, "SchemaMissing"), said);

    let mut invalid = the("ProvisioningSchema", "recepcionista-ia-1.0-r1");
    invalid["spec"]["verification"] = json!([]);
    rig.apply(invalid).await;
    work.quiet().await;
    let said = "no valid ProvisioningSchema for recepcionista-ia 1.0: recepcionista-ia-1.0-r1 is not Ready";
    assert_eq!(waits(&*deployment(&rig).await, "SchemaMissing"), said);
    let schema = rig.get(&SCHEMA, "", "recepcionista-ia-1.0-r1").await.unwrap();
    assert!(stalled(&schema, "VerificationIncomplete").contains("(and 1 more: mandate validate shows all)"));

    let mut valid = the("ProvisioningSchema", "recepcionista-ia-1.0-r1");
    valid["metadata"]["name"] = "recepcionista-ia-1.0-r2".into();
    valid["spec"]["revision"] = 2.into();
    rig.apply(valid).await;
    proceeds(&rig, work).await;
    assert_eq!(rig.request().await.body["spec"]["schemaRef"]["name"], "recepcionista-ia-1.0-r2");
}

#[tokio::test(start_paused = true)]
async fn a_missing_provider_is_waited_for() {
    let (rig, work) = lacking(without("Provider", "vapi")).await;
    assert_eq!(waits(&*rig.request().await, "ProviderMissing"), "Provider vapi (voice) does not exist: create it");
    assert_eq!(rig.request().await.body["status"]["state"], "PENDING");
    rig.apply(the("Provider", "vapi")).await;
    proceeds(&rig, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_of_the_wrong_type_or_for_other_tenants_is_waited_for() {
    let (rig, work) = lacking(|document| {
        if document["kind"] == "Provider" && document["metadata"]["name"] == "calcom" {
            document["spec"]["type"] = "http".into();
            document["spec"]["allowedTenants"] = json!([]);
        }
    })
    .await;
    let said = "Provider calcom (calendar) is of type http: calcom is needed";
    assert_eq!(waits(&*rig.request().await, "ProviderTypeMismatch"), said);
    rig.patch(&PROVIDER, "", "calcom", json!({"spec": {"type": "calcom"}})).await;
    work.quiet().await;
    let said = "Provider calcom (calendar) does not allow Tenant acme-dental: add it to its spec.allowedTenants";
    assert_eq!(waits(&*rig.request().await, "ProviderNotAllowed"), said);
    rig.patch(&PROVIDER, "", "calcom", json!({"spec": {"allowedTenants": ["acme-dental"]}})).await;
    proceeds(&rig, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_missing_unlabelled_or_empty_is_waited_for() {
    let (rig, work) = lacking(without("Secret", "crm-api")).await;
    let provider = async |why: &str, said: &str| {
        let provider = rig.get(&PROVIDER, "", "crm").await.unwrap();
        assert_eq!(waits(&provider, why), said);
        assert_eq!(condition(&provider, "Configured"), ["False", why, said]);
        let said = "Provider crm (crm) is not configured: kubectl get provider crm -o wide says why";
        assert_eq!(waits(&*rig.request().await, "ProviderNotConfigured"), said);
    };
    let said = "Secret mandate-system/crm-api is missing: create it with key apiKey, labelled mandate.dev/provider=crm";
    provider("SecretMissing", said).await;
    let mut secret = the("Secret", "crm-api");
    secret["metadata"].as_object_mut().unwrap().remove("labels");
    secret["stringData"] = json!({"other": "x"});
    rig.apply(secret).await;
    work.quiet().await;
    let said =
        "Secret mandate-system/crm-api is not for this provider: kubectl -n mandate-system label secret crm-api mandate.dev/provider=crm";
    provider("SecretNotLabelled", said).await;
    rig.patch(&SECRET, "mandate-system", "crm-api", json!({"metadata": {"labels": {"mandate.dev/provider": "crm"}}})).await;
    work.quiet().await;
    provider("SecretKeyMissing", "Secret mandate-system/crm-api has no value under key apiKey: add it").await;
    rig.patch(&SECRET, "mandate-system", "crm-api", json!({"stringData": {"apiKey": "\n"}})).await;
    work.quiet().await;
    provider("SecretKeyMissing", "Secret mandate-system/crm-api has no value under key apiKey: add it").await;
    rig.patch(&SECRET, "mandate-system", "crm-api", json!({"stringData": {"apiKey": "sandbox-crm-key\n"}})).await;
    proceeds(&rig, work).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_suspended_starts_when_it_no_longer_is() {
    let (rig, work) = lacking(|document| match document["kind"].as_str().unwrap() {
        "Tenant" => document["spec"]["suspended"] = true.into(),
        "AssistantDeployment" => document["spec"]["suspend"] = true.into(),
        _ => {}
    })
    .await;
    assert_eq!(waits(&*deployment(&rig).await, "TenantSuspended"), "Tenant acme-dental is suspended: nothing new starts");
    rig.patch(&TENANT, "", "acme-dental", json!({"spec": {"suspended": false}})).await;
    work.quiet().await;
    assert_eq!(waits(&*deployment(&rig).await, "Suspended"), "spec.suspend is true: set it to false to start");
    rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"spec": {"suspend": false}})).await;
    proceeds(&rig, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_is_held_in_pending_by_a_suspension_that_comes_in_time() {
    let (rig, work) = lacking(without("Provider", "crm")).await;
    rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"spec": {"suspend": true}})).await;
    rig.patch(&TENANT, "", "acme-dental", json!({"spec": {"suspended": true}})).await;
    rig.apply(the("Provider", "crm")).await;
    work.quiet().await;
    assert_eq!(waits(&*rig.request().await, "TenantSuspended"), "Tenant acme-dental is suspended: nothing new starts");
    rig.patch(&TENANT, "", "acme-dental", json!({"spec": {"suspended": false}})).await;
    work.quiet().await;
    let said = "AssistantDeployment receptionist has spec.suspend: true; set it to false to start";
    assert_eq!(waits(&*rig.request().await, "Suspended"), said);
    assert!(rig.sandbox.effects().is_empty());
    rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"spec": {"suspend": false}})).await;
    proceeds(&rig, work).await;
}

#[tokio::test(start_paused = true)]
async fn inputs_that_do_not_fit_the_schema_are_corrected_by_an_edit() {
    let (rig, work) = lacking(|document| {
        if document["kind"] == "AssistantDeployment" {
            let parameters = document["spec"]["parameters"].as_object_mut().unwrap();
            parameters.remove("language");
            parameters.insert("tongue".into(), "es".into());
        }
    })
    .await;
    let said = "spec.parameters lacks language, which ProvisioningSchema recepcionista-ia-1.0-r1 asks for";
    assert_eq!(stalled(&*deployment(&rig).await, "InputMissing"), said);
    rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"spec": {"parameters": {"language": "es"}}})).await;
    work.quiet().await;
    let said = "spec.parameters.tongue is used nowhere in ProvisioningSchema recepcionista-ia-1.0-r1: remove it";
    assert_eq!(stalled(&*deployment(&rig).await, "InputUnused"), said);
    rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"spec": {"parameters": {"tongue": null}}})).await;
    proceeds(&rig, work).await;
}

/// Numbers that look random and are the same in every run.
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn shuffled(&mut self, mut documents: Vec<Value>) -> Vec<Value> {
        for last in (1..documents.len()).rev() {
            let other = usize::try_from(self.next()).unwrap() % (last + 1);
            documents.swap(last, other);
        }
        documents
    }
}

/// What a world came to, comparable between orders: reasons by object, and what was done outside.
async fn end(rig: &Rig) -> (BTreeMap<String, String>, Vec<String>) {
    let kinds = ["AssistantDeployment", "Provider", "ProvisioningRequest", "ProvisioningSchema", "Tenant"];
    let objects = kinds.into_iter().flat_map(|kind| rig.all(kind));
    let reasons = objects.map(|object| (object.key().to_string(), condition(&object, "Ready").join(" "))).collect();
    let mut effects: Vec<String> =
        rig.sandbox.effects().iter().map(|effect| format!("{:?} {:?}", effect.vendor, effect.operation)).collect();
    effects.sort();
    (reasons, effects)
}

#[tokio::test(start_paused = true)]
async fn documents_applied_in_any_order_come_to_the_same_end() {
    let straight = Rig::clinic().await;
    straight.settle().await;
    let expected = end(&straight).await;
    let mut shuffle = Shuffle(3);
    for round in 0..30 {
        let rig = Rig::empty();
        let work = rig.run();
        let mut left = shuffle.shuffled(documents(&clinic()));
        while !left.is_empty() {
            let mut refused = Vec::new();
            for document in left {
                match rig.try_apply(&Identity::loader(), document.clone()).await {
                    Ok(_) => {}
                    Err(WorldError::NotFound(key)) if key.resource == &NAMESPACE => refused.push(document),
                    Err(error) => panic!("round {round}: {error}"),
                }
                if shuffle.next().is_multiple_of(2) {
                    work.quiet().await;
                }
            }
            left = refused;
        }
        work.quiet().await;
        work.stop().await;
        rig.hold();
        assert_eq!(end(&rig).await, expected, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_goes_after_the_start_fails_the_step_that_needs_it_and_no_other_tenant() {
    let rig = Rig::clinic_beside(|_| {}).await;
    let gone: &'static Resource = &SECRET;
    let rule = mandate::sandbox::FaultRule::new(mandate::sandbox::Fault::Unavailable { retry_after_seconds: Some(30) })
        .vendor(mandate::sandbox::Vendor::N8n)
        .window(0, 1);
    rig.sandbox.set_faults(vec![rule]);
    let work = rig.run();
    work.quiet().await;
    assert_eq!(reason(&*rig.request().await), "ProviderUnavailable");
    rig.delete(gone, "mandate-system", "vapi-api").await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    work.quiet().await;
    let request = rig.request().await;
    let [_, _, said] = condition(&request, "Ready");
    assert!(said.starts_with("VapiConfiguration: SecretMissing: Secret mandate-system/vapi-api is missing"), "{said}");
    assert_eq!(rig.events().await, ["ProvisioningInitiated", "ProvisioningFailed"]);
    work.stop().await;
    rig.beside_is_well().await;
}
