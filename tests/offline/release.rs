//! A tenant goes when what its namespace holds is on record elsewhere: docs/deleting-a-tenant.md, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use mandate::engine::port::{Ledger, LedgerError};
use mandate::kinds::auditrecord::api::RECORD;
use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::tenant::api::TENANT;
use mandate::model::canonical::Digest;
use mandate::model::object::{HOLDS_RECORDS, Object};
use mandate::model::record::{ChainHead, RecordDraft, Subject};
use mandate::model::resource::{NAMESPACE, ROLE_BINDING};
use mandate::offline::verify::{Report, verify};
use mandate::offline::yaml;
use mandate::operator::ledger::ObjectLedger;
use mandate::world::faulty::{CrashPlan, Fault, FaultPoint};
use mandate::world::server::{ApiServer as _, Identity, Preconditions, Subresource, WriteOptions};
use serde_json::{Value, json};

use crate::clinic::rig::{self, Rig, condition, documents, reason};

const ACME: &str = "acme-dental";
const SYSTEM: &str = "mandate-system";

/// The clinic after its request has failed at the first step: two records, and nothing outside.
async fn failed() -> Rig {
    let rig = Rig::empty();
    for mut document in documents(&rig::clinic()) {
        if document["kind"] == "ProvisioningSchema" {
            document["spec"]["workflows"][0]["digest"] = format!("sha256:{}", "0".repeat(64)).into();
        }
        rig.apply(document).await;
    }
    rig.settle().await;
    assert_eq!(rig.request().await.body["status"]["state"], "FAILED");
    assert_eq!(rig.events().await, ["ProvisioningInitiated", "ProvisioningFailed"]);
    rig
}

/// A tenant whose namespace holds one chain of two records, and nothing else of ours: what a release is about, cheaply.
async fn small() -> Rig {
    let rig = Rig::empty();
    for document in documents(&rig::clinic()).into_iter().filter(|document| document["kind"] == "Namespace" || document["kind"] == "Tenant")
    {
        rig.apply(document).await;
    }
    rig.settle().await;
    for cause in ["first", "second"] {
        append(&rig, &old(), cause).await.unwrap();
    }
    rig.hold();
    rig
}

/// What the chain in the small world is about.
fn old() -> Subject {
    subject("receptionist-1", "5f0c0f0e-0000-4000-8000-000000000001")
}

async fn tenant(rig: &Rig) -> Arc<Object> {
    rig.get(&TENANT, "", ACME).await.expect("the tenant is there")
}

async fn namespace(rig: &Rig) -> Arc<Object> {
    rig.get(&NAMESPACE, "", ACME).await.expect("the namespace is there")
}

async fn is_marked(rig: &Rig) -> bool {
    namespace(rig).await.label(HOLDS_RECORDS) == Some("true")
}

/// The operator's release of the tenant as it is offered now, or for another hash.
async fn release(rig: &Rig, name: &str, hash: Option<Value>) -> Arc<Object> {
    let tenant = tenant(rig).await;
    rig.decide(&tenant, "Release", |it| {
        it["metadata"] = json!({"name": name, "namespace": SYSTEM});
        it["spec"]["subject"]["kind"] = "Tenant".into();
        it["spec"]["note"] = "the clinic has closed".into();
        it["spec"].as_object_mut().unwrap().remove("checklist");
        if let Some(hash) = hash {
            it["spec"]["subject"]["hash"] = hash;
        }
    })
    .await
}

async fn verdict(rig: &Rig, name: &str) -> [String; 2] {
    let decision = rig.get(&DECISION, SYSTEM, name).await.expect("the decision is there");
    ["/status/verdict", "/status/conditions/0/reason"]
        .map(|field| decision.body.pointer(field).map_or("-", |it| it.as_str().unwrap()).to_owned())
}

/// Deletes the namespace as the loader.
async fn delete_namespace(rig: &Rig) -> Result<(), String> {
    let deleted = rig.memory.delete(&Identity::loader(), &namespace(rig).await.key(), &Preconditions::default()).await;
    deleted.map(drop).map_err(|error| error.to_string())
}

/// Entries of the records that hold what was released, in order.
fn released(rig: &Rig) -> Vec<Value> {
    let mut records: Vec<_> =
        rig.all("AuditRecord").into_iter().filter(|record| record.body["spec"]["event"] == "TenantReleased").collect();
    records.sort_by_key(|record| record.body["spec"]["sequence"].as_u64());
    assert!(records.iter().all(|record| record.namespace() == SYSTEM));
    records.iter().map(|record| serde_json::from_str(record.body["spec"]["entry"].as_str().unwrap()).unwrap()).collect()
}

/// What `mandate verify` says of an export of everything with a chain.
fn verified(rig: &Rig) -> Vec<Report> {
    let export: Vec<String> = ["AuditRecord", "ProvisioningRequest", "Tenant"]
        .iter()
        .flat_map(|kind| rig.all(kind))
        .filter(|object| *object.resource == RECORD || object.body.pointer("/status/chain").is_some())
        .map(|object| object.body.to_string())
        .collect();
    let reports = verify(&yaml::read(&export.join("\n---\n")).unwrap());
    assert!(reports.iter().all(|report| report.broken.is_none()), "{reports:#?}");
    reports
}

/// Chain heads in the tenant's namespace, as `mandate verify` finds them.
fn heads(rig: &Rig) -> BTreeSet<String> {
    let inside = verified(rig).into_iter().filter(|report| report.kind != "Tenant");
    inside.map(|report| format!("{} {} {} {}", report.subject, report.uid, report.entries, report.head.unwrap())).collect()
}

/// The same, as the newest release has recorded them: all parts for the same evidence.
fn recorded(rig: &Rig) -> BTreeSet<String> {
    let released = released(rig);
    let Some(newest) = released.last() else { return BTreeSet::new() };
    let evidence = &newest["payload"]["evidence"];
    let parts: Vec<_> = released.iter().filter(|entry| entry["payload"]["evidence"] == *evidence).collect();
    assert_eq!(parts.len() as u64, newest["payload"]["parts"].as_u64().unwrap());
    let rows = parts.iter().flat_map(|entry| entry["payload"]["chains"].as_array().unwrap());
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    rows.map(|row| format!("{ACME}/{} {} {} {}", text(row, "name"), text(row, "uid"), row["length"], text(row, "head"))).collect()
}

/// Appends to a chain in the namespace, as the controller does.
async fn append(rig: &Rig, subject: &Subject, cause: &str) -> Result<ChainHead, LedgerError> {
    let client = rig.memory.client(Identity::controller(), None);
    let ledger = ObjectLedger { read: &client, world: &client, clock: rig.clock.as_ref(), system_namespace: SYSTEM };
    let draft = RecordDraft { event: "Intervened", cause: Digest::of_bytes(cause.as_bytes()), actor: "ben".into(), payload: json!({}) };
    ledger.append(subject, &draft).await
}

fn subject(name: &str, uid: &str) -> Subject {
    Subject { kind: "ProvisioningRequest".into(), namespace: ACME.into(), name: name.into(), uid: uid.into() }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_kept_until_its_tenant_is_released_and_goes_then_with_its_records() {
    let rig = failed().await;
    assert!(is_marked(&rig).await);
    let said = delete_namespace(&rig).await.unwrap_err();
    let words = "Namespace acme-dental is forbidden: ValidatingAdmissionPolicy 'namespaces.mandate.dev' with binding 'namespaces.mandate.dev' \
                 denied request: namespace acme-dental holds records: mandate:loader may not delete it until its Tenant is deleted and \
                 released (group mandate.dev:break-glass may)";
    assert_eq!(said, words);

    rig.delete(&TENANT, "", ACME).await;
    rig.settle().await;
    let waiting = tenant(&rig).await;
    let said = "deletion waits: Namespace acme-dental holds 1 audit chain, and an operator decides that they may go: mandate decide release \
                tenant/acme-dental";
    assert_eq!(condition(&waiting, "Ready"), ["False", "AwaitingDecision", said]);
    assert_eq!(waiting.body["status"]["decision"]["acts"], json!(["Release"]));
    assert!(rig.get(&ROLE_BINDING, ACME, "mandate-owners").await.is_some(), "nothing is taken away before the release");
    assert!(delete_namespace(&rig).await.is_err(), "not before the release");

    let before = heads(&rig);
    assert_eq!(before.len(), 1);
    release(&rig, "gone", None).await;
    rig.settle().await;
    assert!(rig.get(&TENANT, "", ACME).await.is_none());
    assert_eq!(verdict(&rig, "gone").await, ["Accepted", "Accepted"]);
    assert!(!is_marked(&rig).await);
    assert_eq!(recorded(&rig), before);
    let entries = released(&rig);
    assert_eq!(entries.len(), 1);
    let payload = &entries[0]["payload"];
    assert_eq!((&entries[0]["actor"], &payload["note"]), (&json!("ben@acme-dental.example"), &json!("the clinic has closed")));
    assert_eq!(payload["namespace"], json!({"name": ACME, "uid": namespace(&rig).await.uid()}));
    assert_eq!((&payload["evidence"], &payload["decidedOn"]), (&waiting.body["status"]["decision"]["hash"], &payload["evidence"]));
    let evidence = json!({
        "@type": "mandate.dev/Evidence/v1", "subject": {"kind": "Tenant", "name": ACME, "uid": waiting.uid()},
        "namespace": payload["namespace"], "chains": payload["chains"],
    });
    let digest = mandate::model::canonical::own(&evidence).unwrap().digest();
    assert_eq!(payload["evidence"], json!(digest), "the evidence can be made anew from the record");
    rig.hold();

    let system = rig.get(&NAMESPACE, "", SYSTEM).await.unwrap();
    assert_eq!(system.label(HOLDS_RECORDS), Some("true"), "it holds the release");
    rig.delete(&mandate::kinds::assistantdeployment::api::DEPLOYMENT, ACME, "receptionist").await;
    rig.settle().await;
    delete_namespace(&rig).await.unwrap();
    rig.settle().await;
    assert!(rig.get(&NAMESPACE, "", ACME).await.is_none());
    assert!(rig.all("AuditRecord").iter().all(|record| record.namespace() == SYSTEM));
    assert_eq!(released(&rig).len(), 1);
    verified(&rig);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_namespace_holds_no_records_goes_at_once() {
    let rig = Rig::empty();
    for document in documents(&rig::clinic()).into_iter().filter(|document| document["kind"] != "AssistantDeployment") {
        rig.apply(document).await;
    }
    rig.settle().await;
    assert_eq!(reason(&*tenant(&rig).await), "NamespaceReady");
    assert!(!is_marked(&rig).await);
    rig.delete(&TENANT, "", ACME).await;
    rig.settle().await;
    assert!(rig.get(&TENANT, "", ACME).await.is_none());
    delete_namespace(&rig).await.unwrap();
    rig.settle().await;
    assert!(rig.get(&NAMESPACE, "", ACME).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn while_something_is_outside_no_release_is_offered_and_none_is_taken() {
    let rig = Rig::clinic().await;
    rig.settle().await;
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    rig.delete(&TENANT, "", ACME).await;
    rig.settle().await;
    let waiting = tenant(&rig).await;
    let said = "deletion waits: resources outside are left by ProvisioningRequest receptionist-1: decide on each in namespace acme-dental, \
                rollback or release";
    assert_eq!(condition(&waiting, "Ready"), ["False", "StillOutside", said]);
    assert_eq!(waiting.body["status"].get("decision"), None);
    let hash = json!(Digest::of_bytes(b"whatever"));
    release(&rig, "early", Some(hash)).await;
    rig.settle().await;
    assert_eq!(verdict(&rig, "early").await, ["-", "NothingToDecide"]);
    assert_eq!(reason(&*tenant(&rig).await), "StillOutside");
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION", "what lives goes on");
    assert!(is_marked(&rig).await && released(&rig).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_release_is_void_when_a_chain_has_grown_since_it_was_looked_at() {
    let rig = small().await;
    rig.delete(&TENANT, "", ACME).await;
    rig.settle().await;
    let stale = tenant(&rig).await.body["status"]["decision"]["hash"].clone();
    append(&rig, &old(), "one more").await.unwrap();
    rig.settle().await;
    assert_ne!(tenant(&rig).await.body["status"]["decision"]["hash"], stale);
    release(&rig, "stale", Some(stale)).await;
    rig.settle().await;
    assert_eq!(verdict(&rig, "stale").await, ["Void", "HashMoved"]);
    assert_eq!(reason(&*tenant(&rig).await), "AwaitingDecision");
    assert!(is_marked(&rig).await && released(&rig).is_empty());

    release(&rig, "fresh", None).await;
    rig.settle().await;
    assert_eq!(verdict(&rig, "fresh").await, ["Accepted", "Accepted"]);
    assert_eq!(recorded(&rig), heads(&rig));
}

#[tokio::test(start_paused = true)]
async fn a_release_belongs_in_the_platforms_namespace() {
    let rig = small().await;
    rig.delete(&TENANT, "", ACME).await;
    rig.settle().await;
    let waiting = tenant(&rig).await;
    rig.decide(&waiting, "Release", |it| {
        it["metadata"] = json!({"name": "elsewhere", "namespace": ACME});
        it["spec"]["subject"]["kind"] = "Tenant".into();
        it["spec"]["note"] = "from within".into();
        it["spec"].as_object_mut().unwrap().remove("checklist");
    })
    .await;
    rig.settle().await;
    let decision = rig.get(&DECISION, ACME, "elsewhere").await.unwrap();
    assert_eq!((reason(&decision), reason(&*tenant(&rig).await)), ("WrongNamespace", "AwaitingDecision"));
}

/// Nobody is on record for having asked for the deletion, so that the first decision stands for it.
#[tokio::test(start_paused = true)]
async fn under_four_eyes_one_operator_proposes_a_release_and_another_decides() {
    let rig = small().await;
    rig.patch(&TENANT, "", ACME, json!({"spec": {"fourEyes": true}})).await;
    rig.delete(&TENANT, "", ACME).await;
    rig.settle().await;
    let before = tenant(&rig).await.body["status"]["decision"]["hash"].clone();
    let by = async |name: &str, operator: &str| {
        let offered = tenant(&rig).await;
        rig.decide(&offered, "Release", |it| {
            it["metadata"] = json!({"name": name, "namespace": SYSTEM});
            it["spec"]["subject"]["kind"] = "Tenant".into();
            it["spec"]["operator"] = operator.into();
            it["spec"]["note"] = "the clinic has closed".into();
            it["spec"].as_object_mut().unwrap().remove("checklist");
        })
        .await;
        rig.settle().await;
        verdict(&rig, name).await
    };
    assert_eq!(by("first", "ben").await, ["Accepted", "Accepted"]);
    let waiting = tenant(&rig).await;
    let said = "deletion waits: Namespace acme-dental holds 1 audit chain, and ben proposed their release; the tenant demands four eyes, \
                and another operator decides that they may go: mandate decide release tenant/acme-dental";
    assert_eq!(condition(&waiting, "Ready"), ["False", "AwaitingDecision", said]);
    assert_ne!(waiting.body["status"]["decision"]["hash"], before, "who proposed it is part of what is decided on");
    assert!(is_marked(&rig).await && released(&rig).is_empty());

    assert_eq!(by("second", "ben").await, ["Void", "FourEyes"]);
    let second = rig.get(&DECISION, SYSTEM, "second").await.unwrap();
    assert_eq!(condition(&second, "Ready")[2], "the tenant demands four eyes and ben submitted what is decided on");
    assert!(is_marked(&rig).await && released(&rig).is_empty());

    assert_eq!(by("third", "carla").await, ["Accepted", "Accepted"]);
    assert!(rig.get(&TENANT, "", ACME).await.is_none());
    assert!(!is_marked(&rig).await);
    assert_eq!((recorded(&rig), released(&rig).len()), (heads(&rig), 1));
    assert_eq!(released(&rig)[0]["actor"], "carla");
    let proposals: Vec<_> =
        rig.all("AuditRecord").into_iter().filter(|record| record.body["spec"]["event"] == "TenantReleaseProposed").collect();
    assert_eq!((proposals.len(), &proposals[0].body["spec"]["actor"]), (1, &json!("ben")));
    rig.hold();
}

#[tokio::test(start_paused = true)]
async fn the_label_comes_off_by_the_controller_alone() {
    let rig = small().await;
    let namespace = namespace(&rig).await;
    let bare = json!({"metadata": {"labels": {HOLDS_RECORDS: null}}});
    for part in [Subresource::Main, Subresource::Status] {
        let tried = rig.memory.merge_patch(&Identity::loader(), &namespace.key(), &bare, part, WriteOptions::default()).await;
        if part == Subresource::Status {
            // A status keeps the labels here.
            assert!(tried.unwrap().object.label(HOLDS_RECORDS).is_some());
            continue;
        }
        let said = tried.expect_err("it is refused").to_string();
        let words = "label mandate.dev/holds-records of namespace acme-dental is taken off by the controller only, not by mandate:loader";
        assert!(said.ends_with(words), "{said}");
    }
    assert!(is_marked(&rig).await);
}

#[tokio::test(start_paused = true)]
async fn more_chains_than_one_record_holds_are_all_on_record() {
    let rig = small().await;
    for number in 100..170 {
        append(&rig, &subject(&format!("old-{number}"), &format!("5f0c0f0e-0000-4000-8000-{number:012}")), "x").await.unwrap();
    }
    rig.delete(&TENANT, "", ACME).await;
    rig.settle().await;
    release(&rig, "gone", None).await;
    rig.settle().await;
    let parts: Vec<_> =
        released(&rig).iter().map(|entry| [&entry["payload"]["part"], &entry["payload"]["parts"]].map(|it| it.as_u64().unwrap())).collect();
    assert_eq!(parts, [[1, 2], [2, 2]]);
    assert_eq!(recorded(&rig).len(), 71);
    assert_eq!(recorded(&rig), heads(&rig));
}

/// A tenant made anew, one more record in its namespace, deleted and released by decision `name`; the last part interrupted
/// as planned. True when it crashed.
async fn round(rig: &Rig, name: &str, plan: &Arc<CrashPlan>, meanwhile: bool) -> bool {
    let anew = documents(&rig::clinic()).into_iter().find(|document| document["kind"] == "Tenant").unwrap();
    rig.apply(anew).await;
    rig.settle().await;
    append(rig, &old(), name).await.unwrap();
    rig.delete(&TENANT, "", ACME).await;
    rig.settle().await;
    release(rig, name, None).await;
    let (operator, _) = rig.operator(Some(plan));
    let crashed = tokio::select! {
        () = plan.crashed() => true,
        () = rig::settle(operator) => false,
    };
    rig.hold();
    if crashed && meanwhile {
        append(rig, &old(), &format!("{name} meanwhile")).await.unwrap();
    }
    rig.settle().await;
    crashed
}

/// A world in which a tenant was released before: the platform's namespace says that it holds records.
async fn seasoned() -> Rig {
    let rig = small().await;
    round(&rig, "first", &CrashPlan::counting(), false).await;
    assert_eq!(released_by(&rig, "first"), 1);
    rig
}

/// Records that hold what this decision released.
fn released_by(rig: &Rig, decision: &str) -> usize {
    released(rig).iter().filter(|entry| entry["payload"]["decision"] == decision).count()
}

#[tokio::test(start_paused = true)]
async fn a_crash_or_a_fault_at_any_write_of_a_release_costs_nothing_but_time() {
    let rig = seasoned().await;
    for fault in [Fault::Crash, Fault::Fail] {
        for number in 1.. {
            let plan = CrashPlan::new(FaultPoint::Nth(number), fault);
            let name = format!("{fault:?}-{number}").to_lowercase();
            let crashed = round(&rig, &name, &plan, false).await;
            let at = format!("{fault:?} at point {number}: {:?}", plan.points().last());
            let reached = plan.hits() >= number;
            assert_eq!(crashed, reached && fault == Fault::Crash, "{at}");
            assert!(rig.get(&TENANT, "", ACME).await.is_none(), "{at}");
            assert_eq!(verdict(&rig, &name).await, ["Accepted", "Accepted"], "{at}");
            assert!(!is_marked(&rig).await, "{at}");
            assert_eq!((released_by(&rig, &name), recorded(&rig)), (1, heads(&rig)), "{at}");
            if !reached {
                assert!(number > 20, "before and after record, journal, label, judgement, bindings, finalizer: {number}");
                println!("{fault:?} at {number} points");
                break;
            }
        }
    }
}

/// A chain that grows between two writes of a release is recorded again before the label comes off, or keeps the label.
#[tokio::test(start_paused = true)]
async fn what_is_appended_while_a_release_is_interrupted_is_never_unprotected() {
    let rig = seasoned().await;
    let mut ends = BTreeSet::new();
    for number in 1.. {
        let plan = CrashPlan::new(FaultPoint::Nth(number), Fault::Crash);
        let name = format!("gone-{number}");
        if !round(&rig, &name, &plan, true).await {
            assert!(number > 20, "{number} points");
            break;
        }
        let at = format!("crash at point {number}: {:?}", plan.points().last());
        let [verdict, _] = verdict(&rig, &name).await;
        let gone = rig.get(&TENANT, "", ACME).await.is_none();
        ends.insert((verdict.clone(), gone, released_by(&rig, &name)));
        if is_marked(&rig).await {
            assert_eq!(verdict == "Void", !gone, "{at}: decided anew, or released already when it grew");
        } else {
            assert_eq!((verdict.as_str(), gone), ("Accepted", true), "{at}");
            assert_eq!(recorded(&rig), heads(&rig), "{at}");
        }
        if !gone {
            release(&rig, &format!("again-{number}"), None).await;
            rig.settle().await;
            assert_eq!(recorded(&rig), heads(&rig), "{at}: decided anew");
        }
    }
    let end = |verdict: &str, gone, records| (verdict.to_owned(), gone, records);
    assert!(ends.contains(&end("Void", false, 0)), "before the record: {ends:?}");
    assert!(ends.contains(&end("Accepted", true, 2)), "after the record: {ends:?}");
}
