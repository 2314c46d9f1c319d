//! A crash at every point of every exchange costs nothing but time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mandate::adapters::transport::{CallHook, Request};
use mandate::engine::port::Backends;
use mandate::model::call::KeyedCall;
use mandate::model::journal::Evidence;
use mandate::sandbox::Operation;
use tokio::sync::Notify;

use super::calls::{LATER, assistant, clone_of, publishable, resource, subscription, template};
use super::rig::{Rig, adapters, resumed};

/// Never returns from one crash point, counted over all exchanges.
struct CrashAt {
    point: usize,
    met: AtomicUsize,
    crashed: Notify,
}

impl CrashAt {
    async fn pass(&self) {
        if self.met.fetch_add(1, Ordering::Relaxed) == self.point {
            self.crashed.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl CallHook for CrashAt {
    async fn before_send(&self, _: &Request) {
        self.pass().await;
    }

    async fn after_send_before_reply(&self, _: &Request) {
        self.pass().await;
    }

    async fn after_reply(&self, _: &Request) {
        self.pass().await;
    }
}

/// The operation in a sandbox of its own.
async fn prepared(rig: &Rig, operation: usize) -> KeyedCall {
    match operation {
        0 => clone_of(template(rig).await),
        1 => publishable(rig, "acme-1").await,
        2 => assistant(),
        3 => subscription(),
        4 => resource(),
        later => LATER[later - 5].prepared(rig).await.call,
    }
}

/// Whether the crash point was reached.
async fn crashes(rig: &Rig, call: &KeyedCall, point: usize) -> bool {
    let hook = Arc::new(CrashAt { point, met: AtomicUsize::new(0), crashed: Notify::new() });
    let doomed = adapters(rig.sandbox.router(), Arc::clone(&hook) as Arc<dyn CallHook>);
    tokio::select! {
        () = hook.crashed.notified() => true,
        _ = doomed.perform(call) => false,
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_at_any_point_the_effects_are_those_of_an_undisturbed_run() {
    let mut points = 0;
    for operation in 0..5 + LATER.len() {
        let undisturbed = Rig::new();
        let evidence = {
            let call = prepared(&undisturbed, operation).await;
            undisturbed.done(&call).await
        };
        let expected: Vec<Operation> = undisturbed.operations();
        assert!(!expected.is_empty());
        for point in 0.. {
            let rig = Rig::new();
            let call = prepared(&rig, operation).await;
            if !crashes(&rig, &call, point).await {
                break;
            }
            points += 1;
            let resolved = rig.done(&resumed(&call)).await;
            // What a removal finds removed was perhaps removed by itself; everything else is as if nothing had happened.
            let external_id = resolved.external_id.clone().or_else(|| evidence.external_id.clone());
            assert_eq!(Evidence { absent: false, external_id, ..resolved }, evidence, "operation {operation}, point {point}");
            assert_eq!(rig.operations(), expected, "operation {operation}, point {point}");
        }
    }
    // 4 exchanges of a clone, 5 of a publication, 3 or 4 of the other creates, 1 to 7 of what comes later, three points each.
    assert!(points >= 3 * (4 + 5 + 3 + 3 + 3 + 40), "{points}");
}
