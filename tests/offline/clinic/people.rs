//! What people decide, and what becomes of it.

use std::time::Duration;

use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::tenant::api::TENANT;
use mandate::model::object::Object;
use mandate::model::time::Time;
use mandate::world::faulty::{CrashPlan, Fault as WorldFault, FaultPoint};
use mandate::world::server::Identity;
use serde_json::{Value, json};

use super::rig::{Rig, condition, reason, settle};

/// The clinic at rest in `MANUAL_VERIFICATION`, and the tenant beside.
async fn waiting() -> Rig {
    let rig = Rig::clinic_beside(|_| {}).await;
    rig.settle().await;
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    rig
}

async fn decision(rig: &Rig, name: &str) -> std::sync::Arc<Object> {
    rig.get(&DECISION, "acme-dental", name).await.expect("decisions stay")
}

/// Verdict and reason of a decision.
async fn fate(rig: &Rig, name: &str) -> (String, String) {
    let decision = decision(rig, name).await;
    (decision.body["status"]["verdict"].as_str().unwrap_or("open").to_owned(), reason(&decision).to_owned())
}

fn is(verdict: &str, reason: &str) -> (String, String) {
    (verdict.to_owned(), reason.to_owned())
}

fn named(name: &str) -> impl FnOnce(&mut Value) {
    move |decision| decision["metadata"]["name"] = name.into()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_equal_decisions_is_acted_upon_and_recorded_once() {
    let rig = waiting().await;
    let request = rig.request().await;
    rig.decide(&request, "Verify", named("one")).await;
    rig.decide(&request, "Verify", named("two")).await;
    rig.settle().await;
    assert_eq!(fate(&rig, "one").await, is("Accepted", "Accepted"));
    assert_eq!(fate(&rig, "two").await, is("Superseded", "Superseded"));

    rig.decide(&request, "Verify", named("three")).await;
    rig.settle().await;
    assert_eq!(fate(&rig, "three").await, is("Superseded", "Superseded"));
    assert_eq!(
        condition(&*decision(&rig, "three").await, "Ready")[2],
        "one (Verify by ben@acme-dental.example) on the same evidence came first"
    );
    assert_eq!(rig.request().await.body["status"]["state"], "COMPLETED");
    assert_eq!(rig.events().await, ["ProvisioningInitiated", "ProvisioningVerified"]);
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn of_verify_and_reject_made_together_exactly_one_acts() {
    let rig = waiting().await;
    let request = rig.request().await;
    rig.decide(&request, "Verify", |_| {}).await;
    rig.decide(&request, "Reject", |decision| decision["spec"]["note"] = "It greets in the wrong language.".into()).await;
    rig.settle().await;
    let mut fates = vec![fate(&rig, "verify-receptionist-1-1").await.0, fate(&rig, "reject-receptionist-1-1").await.0];
    fates.sort();
    assert_eq!(fates, ["Accepted", "Superseded"]);
    let acts: Vec<String> = rig.events().await.into_iter().filter(|event| event != "ProvisioningFailed").collect();
    assert_eq!(acts.len(), 2, "{acts:?}");
    assert_eq!(rig.request().await.body["status"]["journal"]["decisions"].as_array().unwrap().len(), 1);
}

type Change = fn(&mut Value);

/// Name, act, what is wrong with it, the reason given, and how the message begins.
fn void() -> [(&'static str, &'static str, Change, &'static str, &'static str); 9] {
    [
        (
            "moved",
            "Verify",
            |it| it["spec"]["subject"]["hash"] = format!("sha256:{}", "0".repeat(64)).into(),
            "HashMoved",
            "the decision is for evidence 000000000000 but the subject's evidence is ",
        ),
        (
            "half",
            "Verify",
            |it| it["spec"]["checklist"] = json!(["vapi-configuration"]),
            "ChecklistIncomplete",
            "spec.checklist lacks webhook-accessibility, booking-round-trip: tick every item after checking it",
        ),
        (
            "none",
            "Verify",
            |it| drop(it["spec"].as_object_mut().unwrap().remove("checklist")),
            "ChecklistIncomplete",
            "spec.checklist lacks vapi-configuration, webhook-accessibility, booking-round-trip: ",
        ),
        (
            "tea",
            "Verify",
            |it| it["spec"]["checklist"].as_array_mut().unwrap().push("tea".into()),
            "ChecklistUnknownItem",
            "spec.checklist names tea which is not asked for",
        ),
        (
            "late",
            "Verify",
            |it| it["spec"]["expiresAt"] = "2026-01-01T00:00:00Z".into(),
            "Expired",
            "the decision lapsed at 2026-01-01T00:00:00Z: create a new one",
        ),
        (
            "nobody",
            "Verify",
            |it| it["spec"]["operator"] = "  ".into(),
            "OperatorMissing",
            "spec.operator is empty: name the person who acts",
        ),
        ("mute", "Reject", |_| {}, "NoteMissing", "Reject needs spec.note: say why"),
        (
            "successor",
            "Verify",
            |it| it["spec"]["subject"]["uid"] = "00000000-0000-4000-8000-000000000000".into(),
            "SubjectReplaced",
            "ProvisioningRequest receptionist-1 is another object of the same name: decide on it anew",
        ),
        (
            "kind",
            "Verify",
            |it| it["spec"]["subject"]["kind"] = "Provider".into(),
            "SubjectKindUnknown",
            "spec.subject.kind Provider takes no decisions: AssistantDeployment, ProvisioningRequest, ProvisioningSchema and Tenant do",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_does_not_hold_is_void_and_says_why_for_good() {
    let rig = waiting().await;
    let request = rig.request().await;
    for (name, act, change, _, _) in void() {
        rig.decide(&request, act, |it| {
            named(name)(it);
            change(it);
        })
        .await;
    }
    rig.settle().await;
    let check = async |when: &str| {
        for (name, _, _, reason, message) in void() {
            assert_eq!(fate(&rig, name).await, is("Void", reason), "{name} {when}");
            let decision = decision(&rig, name).await;
            let [ready, _, said] = condition(&decision, "Ready");
            assert_eq!((ready, condition(&decision, "Stalled")[0]), ("False", "True"), "{name} {when}");
            assert!(said.starts_with(message), "{name} {when}: {said}");
        }
    };
    check("at first").await;
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    assert_eq!(rig.events().await, ["ProvisioningInitiated"]);

    rig.decide(&request, "Verify", |_| {}).await;
    rig.settle().await;
    assert_eq!(fate(&rig, "verify-receptionist-1-1").await, is("Accepted", "Accepted"));
    check("after another was accepted").await;
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn rejecting_with_a_note_fails_the_attempt_and_records_why() {
    let rig = waiting().await;
    let request = rig.request().await;
    rig.decide(&request, "Reject", |it| it["spec"]["note"] = "It greets in the wrong language.".into()).await;
    rig.settle().await;
    assert_eq!(fate(&rig, "reject-receptionist-1-1").await, is("Accepted", "Accepted"));
    let request = rig.request().await;
    assert_eq!(request.body["status"]["state"], "FAILED");
    assert_eq!(
        condition(&request, "Ready"),
        ["False", "Rejected", "ben@acme-dental.example rejected the result: It greets in the wrong language."]
    );
    assert_eq!(condition(&request, "Stalled")[0], "True");
    let deployment = rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.unwrap();
    assert_eq!((reason(&deployment), condition(&deployment, "Stalled")[0]), ("RequestFailed", "True"));
    assert_eq!(rig.events().await, ["ProvisioningInitiated", "ProvisioningRejected", "ProvisioningFailed"]);
    let failed = rig.all("AuditRecord").into_iter().find(|record| record.body["spec"]["event"] == "ProvisioningFailed").unwrap();
    let entry: Value = serde_json::from_str(failed.body["spec"]["entry"].as_str().unwrap()).unwrap();
    assert_eq!(entry["payload"]["class"], "HUMAN_ACTION_REQUIRED", "{entry:#}");
    assert_eq!(entry["payload"]["code"], "RejectedByOperator");
    assert_eq!(entry["payload"]["message"], "ben@acme-dental.example rejected the result: It greets in the wrong language.");
    assert!(!entry["payload"]["remediation"].as_array().unwrap().is_empty());
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn under_four_eyes_the_submitter_does_not_decide_and_lifting_it_revives_nothing() {
    let rig = Rig::clinic_beside(|document| {
        if document["kind"] == "Tenant" {
            document["spec"]["fourEyes"] = true.into();
        }
    })
    .await;
    rig.settle().await;
    let request = rig.request().await;
    rig.decide(&request, "Verify", |it| {
        named("own")(it);
        it["spec"]["operator"] = "ana@acme-dental.example".into();
    })
    .await;
    rig.settle().await;
    assert_eq!(fate(&rig, "own").await, is("Void", "FourEyes"));
    let said = "the tenant demands four eyes and ana@acme-dental.example submitted what is decided on";
    assert_eq!(condition(&*decision(&rig, "own").await, "Ready")[2], said);

    rig.patch(&TENANT, "", "acme-dental", json!({"spec": {"fourEyes": false}})).await;
    rig.settle().await;
    assert_eq!(fate(&rig, "own").await, is("Void", "FourEyes"), "void is for good");
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");

    rig.patch(&TENANT, "", "acme-dental", json!({"spec": {"fourEyes": true}})).await;
    rig.decide(&request, "Verify", named("another")).await;
    rig.settle().await;
    assert_eq!(fate(&rig, "another").await, is("Accepted", "Accepted"));
    assert_eq!(rig.request().await.body["status"]["state"], "COMPLETED");
    rig.beside_is_well().await;
}

/// A decision as `mandate decide` would write it, about a subject that need not exist.
fn about(name: &str, uid: &str, hash: &Value) -> Value {
    json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision",
        "metadata": {"name": name, "namespace": "acme-dental"},
        "spec": {
            "subject": {"kind": "ProvisioningRequest", "name": "receptionist-1", "uid": uid, "hash": hash},
            "act": "Verify", "operator": "ben@acme-dental.example", "via": "Relay",
            "checklist": ["vapi-configuration", "webhook-accessibility", "booking-round-trip"],
        },
    })
}

#[tokio::test(start_paused = true)]
async fn a_decision_on_a_subject_that_does_not_come_waits_and_lapses_by_itself() {
    let rig = Rig::clinic_beside(|document| {
        if document["kind"] == "ProvisioningSchema" {
            *document = Value::Null;
        }
    })
    .await;
    let mut early = about("early", "00000000-0000-4000-8000-000000000000", &format!("sha256:{}", "0".repeat(64)).into());
    early["spec"]["expiresAt"] = "2026-01-01T02:00:00Z".into();
    // Wrong whatever its subject offers: that is not waited for.
    let mut wrong = early.clone();
    wrong["metadata"]["name"] = "wrong".into();
    wrong["spec"]["act"] = "Reject".into();
    rig.apply(early).await;
    rig.apply(wrong).await;
    let work = rig.run();
    work.quiet().await;
    assert_eq!(fate(&rig, "early").await, is("open", "SubjectMissing"));
    assert_eq!(fate(&rig, "wrong").await, is("Void", "NoteMissing"));
    assert_eq!(condition(&*decision(&rig, "early").await, "Reconciling")[0], "True");
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    work.quiet().await;
    assert_eq!(fate(&rig, "early").await, is("Void", "Expired"));
    assert_eq!(condition(&*decision(&rig, "early").await, "Ready")[2], "ProvisioningRequest receptionist-1 did not appear in time");
    work.stop().await;
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_waits_for_its_subject_is_acted_upon_when_the_evidence_is_what_it_names() {
    let run = async |uid: &str, hash: &Value| {
        let rig = Rig::empty();
        for document in super::rig::documents(&super::rig::clinic()) {
            let last = document["kind"] == "AssistantDeployment";
            if last {
                rig.apply(about("early", uid, hash)).await;
                rig.settle().await;
                assert_eq!(fate(&rig, "early").await, is("open", "SubjectMissing"));
            }
            rig.apply(document).await;
        }
        rig.settle().await;
        rig
    };
    let nothing = format!("sha256:{}", "0".repeat(64)).into();
    let rehearsal = run("00000000-0000-4000-8000-000000000000", &nothing).await;
    assert_eq!(fate(&rehearsal, "early").await, is("Void", "SubjectReplaced"));
    let request = rehearsal.request().await;

    let moved = run(request.uid(), &nothing).await;
    assert_eq!(fate(&moved, "early").await, is("Void", "HashMoved"));
    assert_eq!(moved.request().await.body["status"]["state"], "MANUAL_VERIFICATION");

    let rig = run(request.uid(), &request.body["status"]["decision"]["hash"]).await;
    assert_eq!(fate(&rig, "early").await, is("Accepted", "Accepted"));
    assert_eq!(rig.request().await.body["status"]["state"], "COMPLETED");
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_names_one_object_and_has_the_uid_of_another_reaches_neither() {
    let rig = waiting().await;
    let request = rig.request().await;
    let live = rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.unwrap();
    for (name, subject) in [("nobody", ("ProvisioningRequest", "receptionist-9")), ("another", ("AssistantDeployment", live.name()))] {
        rig.decide(&request, "Verify", |it| {
            it["metadata"]["name"] = name.into();
            it["spec"]["subject"]["kind"] = subject.0.into();
            it["spec"]["subject"]["name"] = subject.1.into();
        })
        .await;
    }
    rig.settle().await;
    assert_eq!(fate(&rig, "nobody").await, is("open", "SubjectMissing"));
    assert_eq!(fate(&rig, "another").await, is("Void", "SubjectReplaced"));
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    assert_eq!(rig.events().await, ["ProvisioningInitiated"]);
}

#[tokio::test(start_paused = true)]
async fn a_decision_in_another_namespace_reaches_no_subject() {
    let rig = waiting().await;
    let request = rig.request().await;
    rig.decide(&request, "Verify", |it| {
        it["metadata"]["namespace"] = "beside".into();
        it["metadata"]["name"] = "abroad".into();
    })
    .await;
    let mut stranger = about("stranger", request.uid(), &request.body["status"]["decision"]["hash"]);
    stranger["metadata"]["namespace"] = "beside".into();
    stranger["spec"]["subject"]["name"] = "receptionist-9".into();
    rig.apply(stranger).await;
    rig.settle().await;
    let abroad = rig.get(&DECISION, "beside", "abroad").await.unwrap();
    assert_eq!(reason(&abroad), "SubjectReplaced");
    let stranger = rig.get(&DECISION, "beside", "stranger").await.unwrap();
    assert_eq!(
        condition(&stranger, "Ready")[1..],
        [
            "SubjectMissing",
            "spec.subject: ProvisioningRequest receptionist-9 does not exist in this namespace: it is waited for; if the name is wrong, \
             create another decision"
        ]
    );
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_person_decides_directly_in_their_own_name() {
    let rig = waiting().await;
    let request = rig.request().await;
    let ben = Identity { username: "ben@acme-dental.example".into(), groups: vec!["mandate.dev:operators".into()] };
    let mut direct = about("direct", request.uid(), &request.body["status"]["decision"]["hash"]);
    direct["spec"]["via"] = "Direct".into();
    rig.try_apply(&ben, direct).await.unwrap();
    rig.settle().await;
    assert_eq!(fate(&rig, "direct").await, is("Accepted", "Accepted"));
    let taken = &rig.request().await.body["status"]["journal"]["decisions"][0];
    assert_eq!((&taken["operator"], &taken["via"]), (&json!("ben@acme-dental.example"), &json!("Direct")));
}

/// The process dies between the record of an act and the status that follows it, and the decision lapses before the next one
/// is there: what is on record was done.
#[tokio::test(start_paused = true)]
async fn an_act_that_is_on_record_is_completed_though_the_decision_has_lapsed_meanwhile() {
    let prepared = Rig::clinic().await;
    prepared.settle().await;
    let mut between = 0;
    for write in 1..=8 {
        let rig = prepared.fork();
        let expires = Time::after(rig.clock.now(), Duration::from_secs(60));
        let decision = rig.decide(&*rig.request().await, "Verify", |document| document["spec"]["expiresAt"] = json!(expires)).await;
        let plan = CrashPlan::new(FaultPoint::After(write), WorldFault::Crash);
        tokio::select! {
            () = plan.crashed() => {}
            () = settle(rig.operator(Some(&plan)).0) => break,
        }
        let verified = rig.events().await.contains(&"ProvisioningVerified".to_owned());
        let completed = rig.request().await.body["status"]["state"] == "COMPLETED";
        between += usize::from(verified && !completed);
        tokio::time::sleep(Duration::from_secs(120)).await;
        rig.settle().await;
        let (state, decision) = (rig.request().await, rig.get(&DECISION, "acme-dental", decision.name()).await.unwrap());
        let said = (state.body["status"]["state"].as_str().unwrap(), decision.body["status"]["verdict"].as_str().unwrap());
        let expected = if verified { ("COMPLETED", "Accepted") } else { ("MANUAL_VERIFICATION", "Void") };
        assert_eq!(said, expected, "death after write {write}");
    }
    assert!(between > 0, "no death fell between record and status");
}
