//! Two replicas: one leads, the other takes over, and nothing is done twice.

use std::time::Duration;

use tokio::time::Instant;

use crate::Test;
use crate::control_plane::users::CONTROLLER;
use crate::control_plane::{Controllers, Request, eventually, signal};
use crate::rig::{Clinic, PATIENCE, Replica};
use crate::tests;

/// A lease short enough to be waited for.
const LEASE: Duration = Duration::from_secs(3);
const FAST: [&str; 6] = ["--lease-duration", "3s", "--renew-deadline", "2s", "--retry-period", "500ms"];

pub fn alone() -> Vec<Test> {
    tests![
        a_killed_leader_is_followed_within_the_lease_and_nothing_is_done_twice,
        a_leader_that_is_asked_to_stop_hands_over_at_once,
        a_leader_that_was_halted_past_its_lease_writes_nothing_more,
    ]
}

/// A leader and a warm standby.
async fn two(clinic: &Clinic) -> (Replica, Replica) {
    let first = clinic.replica("first", &FAST);
    eventually("the first leads", PATIENCE, || leads(&first)).await;
    let second = clinic.replica("second", &FAST);
    first.ready().await;
    second.ready().await;
    (first, second)
}

async fn leads(replica: &Replica) -> bool {
    replica.metric("mandate_leader").await.values().any(|value| *value > 0.0)
}

/// Writes of the operators, the lease apart.
fn writes(clinic: &Clinic) -> Vec<Request> {
    let ours = clinic.plane.requests().into_iter().filter(|request| request.user == CONTROLLER.name);
    ours.filter(|request| request.is_write() && request.resource != "leases").collect()
}

async fn a_killed_leader_is_followed_within_the_lease_and_nothing_is_done_twice() {
    let clinic = Clinic::start(Controllers::None).await;
    let (first, second) = two(&clinic).await;
    clinic.apply();
    eventually("the work has begun", PATIENCE, || async { !clinic.effects().await.is_empty() }).await;
    signal(first.process.pid, "KILL");
    let killed = Instant::now();
    eventually("the second leads", LEASE + Duration::from_secs(1), || leads(&second)).await;
    assert!(killed.elapsed() <= LEASE + Duration::from_secs(1), "{:?}", killed.elapsed());
    clinic.reaches("MANUAL_VERIFICATION").await;
    clinic.each_effect_once().await;
}

async fn a_leader_that_is_asked_to_stop_hands_over_at_once() {
    let clinic = Clinic::start(Controllers::None).await;
    let (first, second) = two(&clinic).await;
    clinic.apply();
    clinic.reaches("MANUAL_VERIFICATION").await;
    signal(first.process.pid, "TERM");
    eventually("the second leads", Duration::from_millis(300), || leads(&second)).await;
    clinic.each_effect_once().await;
}

async fn a_leader_that_was_halted_past_its_lease_writes_nothing_more() {
    let clinic = Clinic::start(Controllers::None).await;
    let (first, second) = two(&clinic).await;
    clinic.apply();
    eventually("the work has begun", PATIENCE, || async { !clinic.effects().await.is_empty() }).await;
    signal(first.process.pid, "STOP");
    eventually("the second leads", LEASE + Duration::from_secs(1), || leads(&second)).await;
    clinic.says("AwaitingVerification").await;
    let settled = (writes(&clinic), clinic.effects().await.len());
    signal(first.process.pid, "CONT");
    eventually("the first has found out and ended", PATIENCE, || async { first.page("/livez").await.is_none() }).await;
    assert!(first.said().contains("not leading any more"), "{}", first.said());
    let later = writes(&clinic).split_off(settled.0.len());
    assert!(later.is_empty(), "the old leader writes nothing: {later:#?}");
    assert_eq!(clinic.effects().await.len(), settled.1, "the old leader does nothing");
    clinic.each_effect_once().await;
}
