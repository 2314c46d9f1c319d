//! One revision for many live assistants: what it costs, and that none is touched twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mandate::engine::port::Verb;
use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::model::object::Object;
use mandate::sandbox::{Fault, FaultRule, Operation};
use mandate::world::faulty::{CrashPlan, Fault as WorldFault, FaultPoint};
use serde_json::json;

use crate::clinic::rig::{Clients, Rig, clinic, condition, documents, settle};
use crate::contract::newer::revision;

const TENANTS: usize = 20;
/// An unoptimized build shows that it works, on fewer.
const MANY: usize = if cfg!(debug_assertions) { 60 } else { 1000 };
/// `limits.concurrency` of a Provider that says nothing of it.
const AT_ONCE: usize = 8;

/// Many assistants that an operator has verified.
async fn live() -> Rig {
    let rig = Rig::empty();
    let all = documents(&clinic());
    let of = |kind: &'static str| all.iter().filter(move |document| document["kind"] == kind).cloned();
    rig.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mandate-system"}})).await;
    for document in of("Secret").chain(of("Provider")).chain(of("ProvisioningSchema")) {
        rig.apply(document).await;
    }
    for tenant in (0..TENANTS).map(|number| format!("tenant-{number}")) {
        let namespace = json!({"name": tenant, "labels": {"mandate.dev/tenant": tenant}});
        rig.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})).await;
        let spec = json!({"owners": [{"kind": "User", "name": "owner"}]});
        rig.apply(json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": tenant}, "spec": spec})).await;
    }
    let deployment = of("AssistantDeployment").next().unwrap();
    for number in 0..MANY {
        let mut one = deployment.clone();
        one["metadata"] = json!({"name": format!("receptionist-{number}"), "namespace": format!("tenant-{}", number % TENANTS)});
        rig.apply(one).await;
    }
    rig.settle().await;
    for request in rig.all("ProvisioningRequest") {
        rig.decide(&request, "Verify", |_| {}).await;
    }
    rig.settle().await;
    assert!(deployments(&rig).iter().all(|one| condition(one, "Ready")[1] == "Completed"));
    rig
}

fn deployments(rig: &Rig) -> Vec<Arc<Object>> {
    rig.all(DEPLOYMENT.kind)
}

fn writes(clients: &Clients, kind: &str, verb: Verb) -> usize {
    usize::try_from(clients[kind].requests().get(&verb).copied().unwrap_or(0)).unwrap()
}

/// Every deployment is on revision 2, with one effect outside, one record and one Event for it.
fn each_was_brought_along_once(rig: &Rig, since: usize) {
    let mut touched: BTreeMap<String, usize> = BTreeMap::new();
    for effect in &rig.sandbox.effects()[since..] {
        assert_eq!(effect.operation, Operation::Update, "{effect:?}");
        *touched.entry(effect.id.clone()).or_default() += 1;
    }
    assert_eq!((touched.len(), touched.values().max()), (MANY, Some(&1)), "each assistant is changed once");
    let known: BTreeSet<String> = deployments(rig).iter().map(|one| one.uid().to_owned()).collect();
    let once = |kind: &str, uid: fn(&Object) -> (&serde_json::Value, &serde_json::Value), wanted: &str| {
        let all = rig.all(kind);
        let mut about: Vec<&str> =
            all.iter().map(|object| uid(object)).filter(|(_, what)| *what == wanted).filter_map(|(uid, _)| uid.as_str()).collect();
        about.sort_unstable();
        assert_eq!(about.len(), MANY, "{kind} {wanted}");
        assert!(about.iter().copied().eq(known.iter().map(String::as_str)), "{kind} {wanted}: one for each");
    };
    once("AuditRecord", |record| (&record.body["spec"]["subject"]["uid"], &record.body["spec"]["event"]), "RevisionPropagated");
    once("Event", |event| (&event.body["regarding"]["uid"], &event.body["reason"]), "UpToDate");
    for one in deployments(rig) {
        assert_eq!(condition(&one, "UpToDate")[..2], ["True", "UpToDate"], "{}", one.name());
        assert_eq!(one.body["status"]["schema"]["name"], "recepcionista-ia-1.0-r2");
    }
    let schema = rig.all("ProvisioningSchema").into_iter().find(|schema| schema.name().ends_with("r2")).unwrap();
    assert_eq!(schema.body["status"]["deployments"]["current"], MANY);
}

#[tokio::test(start_paused = true)]
async fn a_revision_costs_each_of_a_thousand_two_status_writes_a_record_and_an_event() {
    let rig = live().await;
    let since = rig.sandbox.effects().len();
    *rig.busy.lock().unwrap() = (0, 0);
    rig.sandbox.set_faults(vec![FaultRule::new(Fault::Latency { milliseconds: 200 })]);
    rig.apply(revision(2, |_| {})).await;
    let (operator, clients) = rig.operator(None);
    settle(operator).await;
    rig.hold();
    each_was_brought_along_once(&rig, since);
    assert_eq!(writes(&clients, DEPLOYMENT.kind, Verb::UpdateStatus), 2 * MANY);
    assert_eq!(writes(&clients, "ProvisioningRequest", Verb::UpdateStatus), 0, "the requests are as they were");
    let counted = writes(&clients, "ProvisioningSchema", Verb::UpdateStatus);
    assert!(counted <= 2 + 60, "{counted} writes of the schemas: one in ten seconds while it lasts");
    let (_, most) = *rig.busy.lock().unwrap();
    assert!((2..=AT_ONCE).contains(&most), "{most} requests at once");
    println!("{MANY} assistants brought to a revision, {most} at once; the schemas written {counted} times");
}

/// As by `kill -9`: nothing that was begun goes on, and nothing is tidied up.
#[tokio::test(start_paused = true)]
async fn a_process_that_dies_amid_a_propagation_leaves_none_to_be_touched_twice() {
    let rig = live().await;
    let since = rig.sandbox.effects().len();
    rig.apply(revision(2, |_| {})).await;
    // Nine moments of a deployment's calls, six of its two status writes, six of its record and its Event.
    let plan = CrashPlan::new(FaultPoint::Nth(MANY * 21 / 2), WorldFault::Crash);
    tokio::select! {
        () = plan.crashed() => {}
        () = settle(rig.operator(Some(&plan)).0) => panic!("it is done before it dies"),
    }
    let amid = rig.sandbox.effects().len() - since;
    assert!((1..MANY).contains(&amid), "{amid} of {MANY} when it died");
    rig.settle().await;
    each_was_brought_along_once(&rig, since);
    println!("{MANY} assistants brought to a revision ; the process died after {amid}");
}
