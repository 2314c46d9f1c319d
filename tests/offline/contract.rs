//! Document 000 in full, in virtual time: repair, failure, retry, rollback, leaving, updates, propagation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod failed;
mod leaving;
pub mod newer;
mod repaired;

use std::sync::Arc;

use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::provisioningrequest::api::REQUEST;
use mandate::model::object::Object;
use mandate::sandbox::Vendor;
use serde_json::{Value, json};

use crate::clinic::rig::{Rig, condition};

/// The clinic's request of this attempt.
pub async fn attempt(rig: &Rig, number: u32) -> Arc<Object> {
    rig.get(&REQUEST, "acme-dental", &format!("receptionist-{number}")).await.expect("the attempt exists")
}

async fn deployment(rig: &Rig) -> Arc<Object> {
    rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.expect("the deployment is there")
}

fn state(request: &Object) -> &str {
    request.body["status"]["state"].as_str().unwrap_or_default()
}

/// Acts that are offered now.
fn offered(object: &Object) -> Vec<&str> {
    object.body["status"]["decision"]["acts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Decides on what `subject` offers, lets the operator act, and says what became of it: verdict and reason.
async fn decide(rig: &Rig, subject: &Object, act: &str) -> (String, String) {
    let name = format!("{}-{}", act.to_lowercase(), rig.all("OperatorDecision").len());
    rig.decide(subject, act, |document| {
        document["metadata"]["name"] = name.clone().into();
        document["spec"]["subject"]["kind"] = subject.resource.kind.into();
        document["spec"]["note"] = "as agreed".into();
        if !matches!(act, "Verify" | "ConfirmRollback") {
            document["spec"]["checklist"] = json!([]);
        }
    })
    .await;
    rig.settle().await;
    let decision = rig.get(&DECISION, "acme-dental", &name).await.expect("decisions stay");
    let verdict = decision.body["status"]["verdict"].as_str().unwrap_or("open").to_owned();
    (verdict, condition(&decision, "Ready")[1].to_owned())
}

pub async fn accepted(rig: &Rig, subject: &Object, act: &str) {
    assert_eq!(decide(rig, subject, act).await, ("Accepted".to_owned(), "Accepted".to_owned()), "{act}");
}

/// The clinic verified: COMPLETED.
async fn completed() -> Rig {
    let rig = Rig::clinic().await;
    rig.settle().await;
    accepted(&rig, &*attempt(&rig, 1).await, "Verify").await;
    assert_eq!(state(&*attempt(&rig, 1).await), "COMPLETED");
    rig
}

/// Events on record about an object, in order.
fn events(rig: &Rig, subject: &Object) -> Vec<String> {
    let records = rig.all("AuditRecord");
    let mut rows: Vec<(u64, String)> = records
        .iter()
        .map(|record| &record.body["spec"])
        .filter(|spec| spec["subject"]["uid"] == subject.uid())
        .map(|spec| (spec["sequence"].as_u64().unwrap(), spec["event"].as_str().unwrap().to_owned()))
        .collect();
    rows.sort();
    rows.into_iter().map(|(_, event)| event).collect()
}

/// What is left outside: creations less removals, by vendor.
fn left(rig: &Rig) -> Vec<(Vendor, i64)> {
    let effects = rig.sandbox.effects();
    [Vendor::N8n, Vendor::Vapi, Vendor::Calcom, Vendor::Crm]
        .into_iter()
        .map(|vendor| {
            let of =
                |word: &str| effects.iter().filter(|effect| effect.vendor == vendor && format!("{:?}", effect.operation) == word).count();
            (vendor, i64::try_from(of("Create")).unwrap() - i64::try_from(of("Delete")).unwrap())
        })
        .collect()
}

fn nothing_left(rig: &Rig) {
    assert!(left(rig).iter().all(|(_, count)| *count == 0), "{:?}", left(rig));
}
