//! A provider is asked no more often than its limits allow.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use mandate::adapters::transport::{CallHook, Request};
use mandate::engine::outcome::Outcome;
use mandate::engine::port::Backends;
use mandate::model::call::{Call, KeyedCall};
use mandate::sandbox::{Fault, FaultRule};
use tokio::time::Instant;

use super::calls::template;
use super::rig::{Rig, adapters, keyed_for};

#[derive(Default)]
struct Watch {
    starts: Mutex<Vec<Instant>>,
    under_way: Mutex<(usize, usize)>,
}

#[async_trait]
impl CallHook for Watch {
    async fn before_send(&self, _: &Request) {
        self.starts.lock().unwrap().push(Instant::now());
        let mut under_way = self.under_way.lock().unwrap();
        under_way.0 += 1;
        under_way.1 = under_way.1.max(under_way.0);
    }

    async fn after_reply(&self, _: &Request) {
        self.under_way.lock().unwrap().0 -= 1;
    }
}

async fn reads(count: usize, limit: impl Fn(&mut KeyedCall)) -> (Arc<Watch>, Vec<Outcome>) {
    let rig = Rig::new();
    let template = template(&rig).await;
    rig.failing(vec![FaultRule::new(Fault::Latency { milliseconds: 100 })]);
    let watch = Arc::new(Watch::default());
    let adapters = adapters(rig.sandbox.router(), Arc::clone(&watch) as Arc<dyn CallHook>);
    let calls: Vec<KeyedCall> = (0..count)
        .map(|number| {
            let mut call = keyed_for(&format!("request-{number}"), Call::ReadTemplate { template: template.clone() });
            limit(&mut call);
            call
        })
        .collect();
    let outcomes = join_all(calls.iter().map(|call| adapters.perform(call))).await;
    (watch, outcomes)
}

fn all_done(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_)))
}

#[tokio::test(start_paused = true)]
async fn no_more_exchanges_are_under_way_than_allowed() {
    let (watch, outcomes) = reads(20, |call| call.provider.concurrency = 3).await;
    assert!(all_done(&outcomes));
    assert_eq!(watch.under_way.lock().unwrap().1, 3);
}

#[tokio::test(start_paused = true)]
async fn no_minute_sees_more_exchanges_than_allowed_and_the_waiting_costs_no_call_its_deadline() {
    let (watch, outcomes) = reads(25, |call| call.provider.per_minute = 10).await;
    assert!(all_done(&outcomes), "{outcomes:?}");
    let starts = watch.starts.lock().unwrap();
    assert_eq!(starts.len(), 25);
    for pair in starts.windows(11) {
        assert!(pair[10] - pair[0] >= Duration::from_secs(60));
    }
    assert!(*starts.last().unwrap() - starts[0] < Duration::from_secs(121));
}

#[tokio::test(start_paused = true)]
async fn one_provider_does_not_wait_for_another() {
    let (watch, _) = reads(20, |call| {
        call.provider.concurrency = 1;
        call.provider.name = call.key.mark().to_owned();
    })
    .await;
    assert_eq!(watch.under_way.lock().unwrap().1, 20);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_takes_no_slot_along() {
    let rig = Rig::new();
    let mut call = keyed_for("request", Call::ReadTemplate { template: template(&rig).await });
    call.provider.per_minute = 1;
    rig.perform(&call).await;
    for _ in 0..50 {
        let given_up = tokio::time::timeout(Duration::from_millis(10), rig.adapters.perform(&call)).await;
        assert!(given_up.is_err());
    }
    let asked = Instant::now();
    assert!(matches!(rig.adapters.perform(&call).await, Outcome::Done(_)));
    assert!(asked.elapsed() <= Duration::from_secs(60));
}
