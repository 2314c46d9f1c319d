//! The doors are closed to whoever does not lead: the world, the call, and each exchange within a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mandate::adapters::transport::{Request, Response, Transport, TransportFault};
use mandate::engine::outcome::{Fault, Outcome};
use mandate::engine::port::{Backends, Read, World, WorldError};
use mandate::model::call::{Call, KeyedCall};
use mandate::model::object::Object;
use mandate::model::resource::LEASE;
use mandate::operator::fence::{FencedCalls, FencedTransport, FencedWorld};
use mandate::operator::leader::Leadership;
use tokio::time::sleep;

use super::rig::{Line, Rig, SYSTEM, lease_key, seconds};
use crate::adapters::rig::keyed;

/// Counts what comes through and, if it is to hang, never answers.
#[derive(Default)]
struct Behind {
    came: AtomicUsize,
    hangs: bool,
}

impl Behind {
    async fn come(&self) {
        self.came.fetch_add(1, Ordering::SeqCst);
        if self.hangs {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Backends for Behind {
    async fn perform(&self, _: &KeyedCall) -> Outcome {
        self.come().await;
        Outcome::Unknown(Fault { code: "Answered", message: String::new() })
    }
}

#[async_trait]
impl Transport for Behind {
    async fn send(&self, _: Request) -> Result<Response, TransportFault> {
        self.come().await;
        Err(TransportFault::ConnectFailed)
    }
}

fn call() -> KeyedCall {
    keyed(Call::PublishWebhooks { workflow_id: "1".into(), webhooks: Vec::new() })
}

fn request() -> Request {
    Request {
        method: http::Method::GET,
        url: "http://n8n.invalid/".into(),
        headers: http::HeaderMap::new(),
        body: None,
        timeout: seconds(10),
        max_reply_bytes: 1,
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_led_reads_and_writes_nothing() {
    let rig = Rig::new().await;
    let fenced = FencedWorld { world: Arc::new(rig.admin()), leadership: Leadership::default() };
    let refused = WorldError::Unavailable { message: "not the leader any more".into(), retry_after: None };
    let object = Object::named(&LEASE, SYSTEM, "other");
    assert_eq!(fenced.create(&object).await.unwrap_err(), refused);
    assert_eq!(fenced.update(&object).await.unwrap_err(), refused);
    assert_eq!(fenced.update_status(&object).await.unwrap_err(), refused);
    assert_eq!(fenced.delete(&object.key(), "uid").await.unwrap_err(), refused);
    assert_eq!(fenced.get(&object.key()).await.unwrap(), None, "reads pass");

    let behind = Arc::new(Behind::default());
    let calls = FencedCalls { backends: behind.clone(), leadership: Leadership::default() };
    let outcome = calls.perform(&call()).await;
    assert!(matches!(&outcome, Outcome::NoEffect { fault, retry_after: None } if fault.code == "NotLeader"), "{outcome:?}");
    let transport = FencedTransport { transport: behind.clone(), leadership: Leadership::default() };
    assert_eq!(transport.send(request()).await.unwrap_err(), TransportFault::Withheld);
    assert_eq!(behind.came.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_the_lease_ends_is_given_up_as_unknown() {
    let mut rig = Rig::new().await;
    rig.start();
    rig.until_led_by_another(None, seconds(1)).await;
    let leadership = rig.candidates[0].leadership.clone();
    let behind = Arc::new(Behind { hangs: true, ..Behind::default() });
    let calls = FencedCalls { backends: behind.clone(), leadership: leadership.clone() };
    let transport = FencedTransport { transport: behind.clone(), leadership: leadership.clone() };
    let link = rig.candidates[0].link.clone();
    let world = FencedWorld { world: Arc::new(link), leadership };
    rig.candidates[0].line(Line::Silent);
    let object = Object::named(&LEASE, SYSTEM, "other");
    let began = tokio::time::Instant::now();
    let (call, request) = (call(), request());
    let (called, sent, written) = tokio::join!(calls.perform(&call), transport.send(request), world.create(&object));
    assert!(began.elapsed() <= seconds(10), "{:?}", began.elapsed());
    assert!(matches!(&called, Outcome::Unknown(fault) if fault.code == "NotLeader"), "{called:?}");
    assert_eq!(sent.unwrap_err(), TransportFault::ReplyLost);
    let Err(WorldError::Unknown(what)) = written else { panic!("{written:?}") };
    assert_eq!(what, format!("create Lease {SYSTEM}/other: not the leader any more"));
    assert_eq!(behind.came.load(Ordering::SeqCst), 2);
    sleep(seconds(1)).await;
    assert_eq!(rig.admin().get(&lease_key()).await.unwrap().unwrap().name(), "mandate");
}

#[tokio::test(start_paused = true)]
async fn the_leader_passes() {
    let mut rig = Rig::new().await;
    rig.start();
    rig.until_led_by_another(None, seconds(1)).await;
    let leadership = rig.candidates[0].leadership.clone();
    let behind = Arc::new(Behind::default());
    let calls = FencedCalls { backends: behind.clone(), leadership: leadership.clone() };
    let outcome = calls.perform(&call()).await;
    assert!(matches!(&outcome, Outcome::Unknown(fault) if fault.code == "Answered"), "{outcome:?}");
    let transport = FencedTransport { transport: behind, leadership: leadership.clone() };
    assert_eq!(transport.send(request()).await.unwrap_err(), TransportFault::ConnectFailed);
    let world = FencedWorld { world: Arc::new(rig.admin()), leadership };
    assert_eq!(world.create(&Object::named(&LEASE, SYSTEM, "other")).await.unwrap().name(), "other");
}
