//! Deletion, strangers, faults of our own, and what holds of every status at rest.

use std::time::Duration;

use async_trait::async_trait;
use mandate::engine::audit::Invariant;
use mandate::engine::decision::Decision;
use mandate::engine::kind::{AnyKind, Around, Chain, Erased, Kind, Settings};
use mandate::engine::port::{Access, Ledger, Read, WorldError};
use mandate::engine::step::subject_of;
use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::provider::ProviderKind;
use mandate::kinds::provider::api::PROVIDER;
use mandate::kinds::provisioningrequest::api::REQUEST;
use mandate::kinds::provisioningschema::api::SCHEMA;
use mandate::kinds::tenant::api::TENANT;
use mandate::kinds::{assistantdeployment, operatordecision, provisioningrequest, provisioningschema, tenant};
use mandate::model::object::Object;
use mandate::model::record;
use mandate::model::resource::{NAMESPACE, RESOURCE_QUOTA, ROLE_BINDING, Resource};
use mandate::model::time::Time;
use mandate::operator::ledger::ObjectLedger;
use mandate::sandbox::{Fault, FaultRule, Vendor};
use mandate::world::server::{ApiServer, Identity, WriteOptions};
use serde_json::{Value, json};

use super::rig::{Rig, clinic, condition, documents, object, reason};

async fn waiting() -> Rig {
    let rig = Rig::clinic_beside(|_| {}).await;
    rig.settle().await;
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    rig
}

/// Somebody else's finalizer keeps the deployment in deletion while the last gate of its request opens.
#[tokio::test(start_paused = true)]
async fn nothing_is_provisioned_for_a_deployment_that_is_being_deleted() {
    let rig = Rig::clinic_beside(|document| {
        if document["kind"] == "Provider" && document["metadata"]["name"] == "crm" {
            *document = Value::Null;
        }
    })
    .await;
    rig.settle().await;
    let request = rig.request().await;
    assert_eq!(reason(&request), "ProviderMissing");
    rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"metadata": {"finalizers": ["mandate.dev/outside", "example.com/hold"]}}))
        .await;
    rig.delete(&DEPLOYMENT, "acme-dental", "receptionist").await;
    rig.apply(the("Provider", "crm")).await;
    rig.settle().await;
    let request = rig.request().await;
    assert_eq!(reason(&request), "DeploymentGone");
    assert_eq!(request.body["status"]["state"], "PENDING");
    assert!(rig.sandbox.effects().is_empty());
}

fn the(kind: &str, name: &str) -> Value {
    documents(&clinic()).into_iter().find(|document| document["kind"] == kind && document["metadata"]["name"] == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_left_nothing_outside_goes_completely() {
    for lacking in ["ProvisioningSchema", "Provider"] {
        let rig = Rig::clinic_beside(|document| {
            if document["kind"] == lacking && !document["metadata"]["name"].as_str().unwrap().starts_with("beside") {
                *document = Value::Null;
            }
        })
        .await;
        rig.settle().await;
        assert_eq!(rig.get(&REQUEST, "acme-dental", "receptionist-1").await.is_some(), lacking == "Provider");
        rig.delete(&DEPLOYMENT, "acme-dental", "receptionist").await;
        rig.settle().await;
        assert!(rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.is_none(), "without {lacking}");
        assert!(rig.get(&REQUEST, "acme-dental", "receptionist-1").await.is_none(), "without {lacking}");
        assert!(rig.sandbox.effects().is_empty());
        rig.beside_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_with_resources_outside_waits_for_a_decision_and_touches_nothing() {
    let rig = waiting().await;
    let (effects, sent) = (rig.effects(), rig.sent.lock().unwrap().len());
    rig.delete(&DEPLOYMENT, "acme-dental", "receptionist").await;
    rig.settle().await;
    let deployment = rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.expect("it waits");
    let said = "deletion waits: receptionist-1 left resources outside, and nothing outside is removed or orphaned silently; remove them: mandate decide rollback -n acme-dental receptionist-1; or leave them, on record: mandate decide release -n acme-dental receptionist-1";
    assert_eq!(condition(&deployment, "Ready"), ["False", "AwaitingDecision", said]);
    assert_eq!([condition(&deployment, "Reconciling")[0], condition(&deployment, "Stalled")[0]], ["-", "-"]);
    assert_eq!((rig.effects(), rig.sent.lock().unwrap().len()), (effects, sent));
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_is_pinned_stays_and_says_by_whom_and_a_free_one_goes() {
    let rig = waiting().await;
    let mut free = the("ProvisioningSchema", "recepcionista-ia-1.0-r1");
    free["metadata"]["name"] = "recepcionista-ia-9.0-r1".into();
    free["spec"]["version"] = "9.0".into();
    rig.apply(free).await;
    rig.settle().await;
    rig.delete(&SCHEMA, "", "recepcionista-ia-9.0-r1").await;
    rig.delete(&SCHEMA, "", "recepcionista-ia-1.0-r1").await;
    rig.settle().await;
    assert!(rig.get(&SCHEMA, "", "recepcionista-ia-9.0-r1").await.is_none());
    let pinned = rig.get(&SCHEMA, "", "recepcionista-ia-1.0-r1").await.expect("it waits");
    assert_eq!(condition(&pinned, "Ready"), ["False", "Pinned", "deletion waits for ProvisioningRequest acme-dental/receptionist-1"]);

    let request = rig.request().await;
    rig.decide(&request, "Reject", |it| it["spec"]["note"] = "no".into()).await;
    rig.settle().await;
    assert!(rig.get(&SCHEMA, "", "recepcionista-ia-1.0-r1").await.is_none(), "nothing is pinned to it any more");
    assert_eq!(rig.request().await.body["status"]["state"], "FAILED");
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_goes_takes_its_role_bindings_and_quota_and_never_the_namespace() {
    let rig = Rig::clinic_beside(|document| {
        if document["kind"] == "AssistantDeployment" {
            *document = Value::Null;
        }
    })
    .await;
    rig.settle().await;
    let inside = || {
        let all = [&ROLE_BINDING, &RESOURCE_QUOTA].into_iter().flat_map(|resource: &'static Resource| rig.all(resource.kind));
        let mut names: Vec<String> = all.filter(|it| it.namespace() == "acme-dental").map(|it| it.name().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(inside(), ["mandate", "mandate-admins", "mandate-consumers", "mandate-owners", "mandate-viewers"]);
    rig.delete(&TENANT, "", "acme-dental").await;
    rig.settle().await;
    assert!(rig.get(&TENANT, "", "acme-dental").await.is_none());
    assert_eq!(inside(), Vec::<String>::new());
    let namespace = rig.get(&NAMESPACE, "", "acme-dental").await.expect("the namespace stays");
    assert!(!namespace.is_going());
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_deleted_in_mid_run_fails_the_step_that_needs_it() {
    let rig = Rig::clinic_beside(|_| {}).await;
    let busy = FaultRule::new(Fault::Unavailable { retry_after_seconds: Some(30) }).vendor(Vendor::N8n).window(2, 1);
    rig.sandbox.set_faults(vec![busy]);
    let work = rig.run();
    work.quiet().await;
    assert_eq!(reason(&*rig.request().await), "ProviderUnavailable");
    rig.delete(&PROVIDER, "", "crm").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    work.quiet().await;
    let request = rig.request().await;
    let said = "IntegrationConfiguration: ProviderUnusable: Provider crm is gone. Remedy: Create the Provider again. Then decide anew: `mandate decide retry -n acme-dental receptionist-1`";
    assert_eq!(condition(&request, "Ready"), ["False", "Failed", said]);
    assert_eq!(rig.events().await, ["ProvisioningInitiated", "ProvisioningFailed"]);
    work.stop().await;
    rig.hold();
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_strangers_request_of_our_name_is_not_taken_for_ours() {
    let rig = Rig::clinic_beside(|document| {
        if document["kind"] == "AssistantDeployment" {
            *document = Value::Null;
        }
    })
    .await;
    rig.settle().await;
    let model = rig.get(&REQUEST, "beside", "receptionist-1").await.unwrap();
    let mut stranger = object(json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "ProvisioningRequest",
        "metadata": {"name": "receptionist-1", "namespace": "acme-dental"}, "spec": model.body["spec"],
    }));
    stranger.body["spec"]["deployment"]["uid"] = "00000000-0000-4000-8000-000000000000".into();
    stranger.body["spec"]["tenantName"] = "nobody".into();
    rig.memory.create(&Identity::controller(), stranger, WriteOptions::default()).await.unwrap();
    let work = rig.run();
    rig.apply(the("AssistantDeployment", "receptionist")).await;
    work.quiet().await;
    let deployment = rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.unwrap();
    let said = "ProvisioningRequest receptionist-1 exists and is not of this deployment: use another metadata.name";
    assert_eq!(condition(&deployment, "Ready"), ["False", "NameTaken", said]);
    assert_eq!(condition(&deployment, "Stalled")[0], "True");
    assert!(deployment.body["status"].get("request").is_none());
    assert!(rig.sandbox.effects().is_empty());

    rig.delete(&REQUEST, "acme-dental", "receptionist-1").await;
    work.quiet().await;
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION", "the name is free, and nobody had to ask");
    work.stop().await;
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn an_edited_role_binding_is_put_back_and_a_strangers_is_left_alone() {
    let rig = Rig::clinic_beside(|_| {}).await;
    let theirs = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "mandate-viewers", "namespace": "acme-dental"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}],
    });
    let theirs = rig.apply(theirs).await;
    let work = rig.run();
    work.quiet().await;
    assert_eq!(rig.get(&ROLE_BINDING, "acme-dental", "mandate-viewers").await.unwrap(), theirs);
    let tenant = rig.get(&TENANT, "", "acme-dental").await.unwrap();
    let said = "RoleBinding acme-dental/mandate-viewers exists and is not of this tenant: delete it, and the tenant's own is made";
    assert_eq!(condition(&tenant, "Ready"), ["False", "NameTaken", said]);
    assert_eq!(condition(&tenant, "Stalled")[0], "True");

    let ours = rig.get(&ROLE_BINDING, "acme-dental", "mandate-owners").await.unwrap();
    rig.patch(&ROLE_BINDING, "acme-dental", "mandate-owners", json!({"subjects": [{"kind": "User", "name": "eve"}]})).await;
    work.quiet().await;
    let back = rig.get(&ROLE_BINDING, "acme-dental", "mandate-owners").await.unwrap();
    assert_eq!(back.body["subjects"], ours.body["subjects"]);
    rig.delete(&ROLE_BINDING, "acme-dental", "mandate-owners").await;
    work.quiet().await;
    let back = rig.get(&ROLE_BINDING, "acme-dental", "mandate-owners").await.expect("it is made again");
    assert_eq!(back.body["subjects"], ours.body["subjects"]);
    rig.delete(&ROLE_BINDING, "acme-dental", "mandate-viewers").await;
    work.quiet().await;
    assert_eq!(rig.get(&ROLE_BINDING, "acme-dental", "mandate-viewers").await.unwrap().body["roleRef"]["name"], "mandate-tenant-viewer");
    assert_eq!(reason(&rig.get(&TENANT, "", "acme-dental").await.unwrap()), "NamespaceReady");
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    work.stop().await;
    rig.beside_is_well().await;
}

/// Provider, but with a fault of ours that one object meets.
struct Faulty;

#[async_trait]
impl Kind for Faulty {
    type Object = <ProviderKind as Kind>::Object;
    type Facts = <ProviderKind as Kind>::Facts;
    type Journal = <ProviderKind as Kind>::Journal;
    const RESOURCE: &'static Resource = ProviderKind::RESOURCE;
    const CHILDREN: &'static [&'static Resource] = ProviderKind::CHILDREN;
    const READS: &'static [Access] = ProviderKind::READS;
    const WRITES: &'static [Access] = ProviderKind::WRITES;
    const INVARIANTS: &'static [Invariant] = ProviderKind::INVARIANTS;

    async fn gather(object: &Self::Object, read: &dyn Read, settings: &Settings) -> Result<Self::Facts, WorldError> {
        ProviderKind::gather(object, read, settings).await
    }

    fn decide(object: &Self::Object, facts: &Self::Facts, around: &Around<'_>) -> Decision {
        assert!(object.metadata.name.as_deref() != Some("vapi"), "index out of bounds");
        ProviderKind::decide(object, facts, around)
    }
}

static WITH_A_FAULT: [&dyn AnyKind; 6] = [
    &Erased::<assistantdeployment::AssistantDeploymentKind>::KIND,
    &Erased::<operatordecision::OperatorDecisionKind>::KIND,
    &Erased::<Faulty>::KIND,
    &Erased::<provisioningrequest::ProvisioningRequestKind>::KIND,
    &Erased::<provisioningschema::ProvisioningSchemaKind>::KIND,
    &Erased::<tenant::TenantKind>::KIND,
];

#[tokio::test(start_paused = true)]
async fn a_fault_of_ours_is_reported_on_the_object_that_met_it_and_holds_up_nobody_else() {
    let rig = Rig::clinic_beside(|_| {}).await;
    let work = rig.run_with(rig.operator_of(&WITH_A_FAULT));
    work.quiet().await;
    let met = rig.get(&PROVIDER, "", "vapi").await.unwrap();
    let said = "the controller failed on this object: index out of bounds; please report it";
    assert_eq!(condition(&met, "Ready"), ["False", "InternalError", said]);
    assert_eq!(condition(&met, "Stalled")[0], "True");
    assert_eq!(reason(&rig.get(&PROVIDER, "", "n8n").await.unwrap()), "NotProbed");
    assert_eq!(reason(&*rig.request().await), "ProviderNotConfigured");
    rig.beside_is_well().await;
    let version = met.resource_version().to_owned();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(rig.get(&PROVIDER, "", "vapi").await.unwrap().resource_version(), version, "what was said once is not written again");
    work.stop().await;

    rig.settle().await;
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION", "a mended controller goes on");
}

/// The status without its journal and without the times that only history knows.
fn recomputable(status: &Value) -> Value {
    let mut status = status.clone();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition.as_object_mut().unwrap().remove("lastTransitionTime");
    }
    status
}

/// Invariants 14, 17 and 20 of every object of every kind.
async fn every_status_follows(rig: &Rig) -> usize {
    let client = rig.memory.client(Identity::controller(), None);
    let settings = Settings::default();
    let ledger = ObjectLedger { read: &client, world: &client, clock: rig.clock.as_ref(), system_namespace: "mandate-system" };
    let mut checked = 0;
    for kind in mandate::kinds::KINDS {
        for stored in rig.all(kind.resource().kind) {
            let key = stored.key();
            assert!(stored.body["status"]["observedGeneration"].as_i64().unwrap() == stored.generation(), "{key} is observed");
            assert!(!stored.body["status"]["conditions"].as_array().unwrap().is_empty(), "{key} has a condition");
            let mut bare: Object = Object::clone(&stored);
            let journal = stored.body["status"].get("journal").cloned();
            bare.body["status"] = json!({"observedGeneration": -1});
            if let Some(journal) = journal {
                bare.body["status"]["journal"] = journal;
            }
            let entries = ledger.read(&subject_of(&stored)).await.unwrap();
            let verified = record::verify_chain(entries.iter().map(|entry| (entry.text.as_str(), entry.hash.as_str()))).unwrap();
            let head = entries
                .last()
                .map(|last| record::ChainHead { length: u32::try_from(entries.len()).unwrap(), head: last.hash.parse().unwrap() });
            let chain = Chain { entries: verified, head, broken: None };
            let around = Around { now: Time::new(rig.clock.now()), settings: &settings, chain: &chain };
            let decision = kind.round(&bare, &client, &around).await.unwrap();
            assert_eq!(recomputable(&decision.status), recomputable(&stored.body["status"]), "{key}");
            assert!(decision.calls.is_empty(), "{key} is at rest");
            checked += 1;
        }
    }
    checked
}

#[tokio::test(start_paused = true)]
async fn at_rest_every_status_follows_from_spec_journal_and_children() {
    let rig = Rig::clinic_beside(|document| {
        if document["metadata"]["name"] == "crm" && document["kind"] == "Provider" {
            *document = Value::Null;
        }
    })
    .await;
    let mut another = the("AssistantDeployment", "receptionist");
    another["metadata"]["name"] = "lost".into();
    another["spec"]["version"] = "7.0".into();
    rig.apply(another).await;
    rig.settle().await;
    assert!(every_status_follows(&rig).await >= 15);

    rig.apply(the("Provider", "crm")).await;
    rig.settle().await;
    let request = rig.request().await;
    for (name, hash) in [("good", request.body["status"]["decision"]["hash"].clone()), ("bad", json!(format!("sha256:{}", "1".repeat(64))))]
    {
        rig.decide(&request, "Verify", |it| {
            it["metadata"]["name"] = name.into();
            it["spec"]["subject"]["hash"] = hash;
        })
        .await;
    }
    every_at_rest(&rig).await;
    assert_eq!(rig.request().await.body["status"]["state"], "COMPLETED");
    rig.delete(&DEPLOYMENT, "acme-dental", "receptionist").await;
    rig.delete(&DEPLOYMENT, "beside", "receptionist").await;
    every_at_rest(&rig).await;

    let failing = Rig::clinic_beside(|_| {}).await;
    failing.sandbox.set_faults(vec![FaultRule::new(Fault::Html).vendor(Vendor::Vapi)]);
    every_at_rest(&failing).await;
    assert_eq!(failing.request().await.body["status"]["state"], "FAILED");
}

async fn every_at_rest(rig: &Rig) {
    rig.settle().await;
    every_status_follows(rig).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_stays_decided_when_its_subject_is_gone() {
    let rig = Rig::clinic_beside(|_| {}).await;
    rig.sandbox.set_faults(vec![FaultRule::new(Fault::Unauthorized).vendor(Vendor::N8n)]);
    rig.settle().await;
    let request = rig.request().await;
    assert_eq!(request.body["status"]["state"], "FAILED");
    let mut document = json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision",
        "metadata": {"name": "late", "namespace": "acme-dental"},
        "spec": {
            "subject": {"kind": "ProvisioningRequest", "name": request.name(), "uid": request.uid(), "hash": format!("sha256:{}", "0".repeat(64))},
            "act": "Verify", "operator": "ben@acme-dental.example", "via": "Relay",
        },
    });
    document["spec"]["checklist"] = json!([]);
    rig.apply(document).await;
    rig.settle().await;
    let late = rig.get(&DECISION, "acme-dental", "late").await.unwrap();
    assert_eq!([reason(&late), late.body["status"]["verdict"].as_str().unwrap()], ["HashMoved", "Void"]);
    rig.delete(&DEPLOYMENT, "acme-dental", "receptionist").await;
    rig.settle().await;
    assert!(rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.is_none(), "a failed attempt that made nothing goes");
    assert!(rig.get(&REQUEST, "acme-dental", "receptionist-1").await.is_none());
    assert_eq!(rig.get(&DECISION, "acme-dental", "late").await.unwrap(), late, "a void decision has nothing to wait for");
    assert!(!rig.all("AuditRecord").is_empty(), "the records stay");
    rig.beside_is_well().await;
}
