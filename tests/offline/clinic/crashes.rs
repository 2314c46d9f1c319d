//! Every crash point of the clinic: before and after each write, before, in and after each external exchange, and every
//! lost reply. Each ends in the same state with the same effects outside.

use std::sync::Arc;

use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::provisioningrequest::api::{REQUEST, State};
use mandate::sandbox::{Fault, FaultRule, Vendor};
use mandate::world::faulty::{CrashPlan, Fault as WorldFault, FaultPoint};

use super::rig::Rig;

/// What a run came to, comparable between runs.
#[derive(Debug, PartialEq, Eq)]
struct End {
    state: State,
    steps: Vec<String>,
    records: Vec<String>,
    notices: Vec<String>,
    decision: Option<String>,
    effects: Vec<String>,
}

async fn end(rig: &Rig) -> End {
    let object = rig.get(&REQUEST, "acme-dental", "receptionist-1").await.expect("the deployment has its request");
    let status = object.parse::<mandate::kinds::provisioningrequest::api::ProvisioningRequest>().unwrap().status.unwrap();
    let records = rig.all("AuditRecord");
    let decision = rig.get(&DECISION, "acme-dental", "verify-receptionist-1-1").await;
    End {
        state: status.state.unwrap(),
        steps: status.steps.iter().map(|step| format!("{:?} {:?}", step.step, step.progress)).collect(),
        records: records.iter().map(|record| format!("{} {}", record.body["spec"]["sequence"], record.body["spec"]["event"])).collect(),
        notices: notices(rig),
        decision: decision.and_then(|decision| decision.body.pointer("/status/verdict")?.as_str().map(str::to_owned)),
        effects: rig.effects(),
    }
}

/// Reasons of all Events, each as often as it was told.
fn notices(rig: &Rig) -> Vec<String> {
    let mut reasons: Vec<String> = rig.all("Event").iter().map(|event| event.body["reason"].to_string()).collect();
    reasons.sort();
    reasons
}

/// The clinic from YAML to COMPLETED, interrupted as planned.
async fn run(plan: &Arc<CrashPlan>) -> (End, usize) {
    let rig = Rig::clinic().await;
    let mut crashes = rig.settle_through(plan).await;
    let waiting = rig.get(&REQUEST, "acme-dental", "receptionist-1").await.expect("the deployment has its request");
    assert_eq!(waiting.body["status"]["state"], "MANUAL_VERIFICATION", "{:#}", waiting.body["status"]);
    rig.decide(&waiting, "Verify", |_| {}).await;
    if crashes == 0 {
        crashes += rig.settle_through(plan).await;
    } else {
        rig.settle().await;
    }
    (end(&rig).await, crashes)
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_point_costs_nothing_but_time() {
    let counting = CrashPlan::counting();
    let (expected, _) = run(&counting).await;
    assert_eq!(expected.state, State::Completed);
    assert_eq!(expected.decision.as_deref(), Some("Accepted"));
    assert_eq!(expected.notices, ["\"AwaitingVerification\"", "\"Completed\""], "one Event for each outcome");
    let points = counting.hits();
    assert!(points > 100, "only {points} crash points were found");
    let mut crashed = 0;
    for number in 1..=points {
        let plan = CrashPlan::new(FaultPoint::Nth(number), WorldFault::Crash);
        let (ended, crashes) = run(&plan).await;
        crashed += crashes;
        assert_eq!(ended, expected, "crash at point {number} of {points}: {:?}", plan.points().last());
    }
    assert_eq!(crashed, points, "every point was crashed at");
    println!("{points} crash points, each with the same end");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_or_whose_reply_is_lost_costs_nothing_but_time() {
    let counting = CrashPlan::counting();
    let (expected, _) = run(&counting).await;
    for number in 1..=counting.hits() {
        let plan = CrashPlan::new(FaultPoint::Nth(number), WorldFault::Fail);
        let (ended, _) = run(&plan).await;
        assert_eq!(ended, expected, "fault at point {number}: {:?}", plan.points().last());
    }
}

#[tokio::test(start_paused = true)]
async fn every_lost_reply_of_every_vendor_costs_nothing_but_time() {
    let (expected, _) = run(&CrashPlan::counting()).await;
    let mut struck = 0;
    for vendor in [Vendor::N8n, Vendor::Vapi, Vendor::Calcom, Vendor::Crm] {
        for skip in 0.. {
            let rig = Rig::clinic().await;
            rig.sandbox.set_faults(vec![FaultRule::new(Fault::ReplyLost).vendor(vendor).window(skip, 1)]);
            rig.settle().await;
            let waiting = rig.get(&REQUEST, "acme-dental", "receptionist-1").await.unwrap();
            rig.decide(&waiting, "Verify", |_| {}).await;
            rig.settle().await;
            assert_eq!(end(&rig).await, expected, "{vendor:?}: reply {skip} lost");
            let matched: u64 = rig.sandbox.faults().iter().map(|fault| fault.seen).sum();
            if matched <= skip {
                break;
            }
            struck += 1;
        }
    }
    assert!(struck > 20, "only {struck} replies were lost");
}
