//! CloudEvents: at least once and in order, through everything that a receiver may do, and never in the way.

use std::sync::Arc;
use std::time::Duration;

use mandate::adapters::cloudevents::Receiver as Target;
use mandate::engine::port::Notifier;
use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::provisioningrequest::api::REQUEST;
use mandate::model::canonical::Digest;
use mandate::model::notice::{Cause, Notice, Regarding, Topic};
use mandate::model::object::ObjectKey;
use mandate::operator::notify::Sink;
use mandate::operator::runner::{Operator, Setup};
use mandate::operator::telemetry::Telemetry;
use mandate::sandbox::{CALCOM_KEY, CRM_KEY, N8N_KEY, VAPI_KEY};
use mandate::world::server::ApiServer;
use tokio::sync::watch;

use super::receiver::{Answer, Receiver};
use super::{is_golden, process, run, told};
use crate::clinic::rig::{Rig, reason};

const AWAITING: &str = "provisioning.awaiting-verification.v1";
const COMPLETED: &str = "provisioning.completed.v1";

fn whats(receiver: &Receiver) -> Vec<String> {
    receiver.got().iter().map(|got| got.what().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_awaits_a_person_is_told_under_the_hash_that_is_to_be_decided_on() {
    let (rig, receiver) = (Rig::clinic().await, Arc::new(Receiver::default()));
    run(&rig, &receiver, 60).await;
    let got = receiver.got();
    assert_eq!(got.len(), 1);
    is_golden("awaiting.cloudevent.json", &got[0].body);
    assert_eq!(got[0].content_type, "application/cloudevents+json");
    assert_eq!(got[0].url, "http://receiver.example/outcomes");
    let waiting = rig.request().await;
    assert_eq!(got[0].body["id"], waiting.body["status"]["decision"]["hash"]);

    rig.decide(&waiting, "Verify", |_| {}).await;
    run(&rig, &receiver, 60).await;
    assert_eq!(whats(&receiver), [AWAITING, COMPLETED]);
    let records = rig.all("AuditRecord");
    let verified = records.iter().find(|record| record.body["spec"]["event"] == "ProvisioningVerified").unwrap();
    assert_eq!(receiver.got()[1].body["id"], verified.body["spec"]["hash"]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_hangs_or_stumbles_gets_the_same_notice_until_it_takes_it() {
    let (rig, receiver) = (Rig::clinic().await, Arc::new(Receiver::default()));
    let answers = [Answer::Refuse, Answer::Hang, Answer::Status(500), Answer::Later(90), Answer::ReplyLost, Answer::Status(202)];
    receiver.answers(&answers);
    let (operator, sink, telemetry) = process(&rig, &receiver);
    let began = tokio::time::Instant::now();
    let work = rig.run_with(operator);
    let delivering = tokio::spawn({
        let sink = sink.clone();
        async move { sink.deliver().await }
    });
    work.quiet().await;
    let waiting = rig.request().await;
    assert_eq!(reason(&waiting), "AwaitingVerification");
    assert!(began.elapsed() < Duration::from_secs(1), "the loop does not wait for the receiver: {:?}", began.elapsed());
    rig.decide(&waiting, "Verify", |_| {}).await;
    work.quiet().await;
    assert!(rig.get(&DECISION, "acme-dental", "verify-receptionist-1-1").await.is_some());
    assert_eq!(reason(rig.request().await.as_ref()), "Completed", "nor does an operator");
    assert!(receiver.got().len() < answers.len(), "while the receiver still has taken nothing");

    sink.drained(Duration::from_secs(600)).await;
    delivering.abort();
    work.stop().await;
    let got = receiver.got();
    assert_eq!(whats(&receiver), [AWAITING, AWAITING, AWAITING, AWAITING, AWAITING, AWAITING, COMPLETED], "in order");
    assert!(got[1..6].iter().all(|again| again.body == got[0].body), "the same to the last byte");
    let pauses: Vec<u64> = got[..6].windows(2).map(|two| (two[1].at - two[0].at).as_secs()).collect();
    assert_eq!(pauses, [1, 10 + 2, 4, 90, 16], "growing, after the ten seconds of the one that hung, and as the receiver wished");
    let text = telemetry.text().unwrap();
    for line in [
        r#"mandate_notifications_total{channel="cloud_event",result="failed"} 5"#,
        r#"mandate_notifications_total{channel="cloud_event",result="delivered"} 2"#,
        r#"mandate_notifications_total{channel="event",result="delivered"} 2"#,
        "mandate_notifications_waiting 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pause_stops_growing_at_five_minutes() {
    let (rig, receiver) = (Rig::clinic().await, Arc::new(Receiver::default()));
    receiver.answers(&[Answer::Refuse; 12]);
    run(&rig, &receiver, 3600).await;
    let pauses: Vec<u64> = receiver.got().windows(2).map(|two| (two[1].at - two[0].at).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_will_never_be_taken_holds_up_no_other() {
    let (rig, receiver) = (Rig::clinic().await, Arc::new(Receiver::default()));
    receiver.answers(&[Answer::Status(400)]);
    run(&rig, &receiver, 60).await;
    rig.decide(rig.request().await.as_ref(), "Verify", |_| {}).await;
    run(&rig, &receiver, 60).await;
    assert_eq!(whats(&receiver), [AWAITING, COMPLETED]);
}

#[tokio::test(start_paused = true)]
async fn rights_and_addresses_that_are_mended_later_lose_nothing() {
    let (rig, receiver) = (Rig::clinic().await, Arc::new(Receiver::default()));
    receiver.answers(&[Answer::Status(401), Answer::Status(403), Answer::Status(404), Answer::Status(302)]);
    run(&rig, &receiver, 60).await;
    assert_eq!(whats(&receiver), [AWAITING; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_is_followed_by_one_that_tells_what_stands_under_the_same_id() {
    let (rig, receiver) = (Rig::clinic().await, Arc::new(Receiver::default()));
    receiver.answers(&[Answer::Refuse; 3]);
    {
        let (operator, sink, _) = process(&rig, &receiver);
        let (load, dying) = (operator.load(), tokio::spawn(async move { operator.run(std::future::pending()).await }));
        let delivering = tokio::spawn(async move { sink.deliver().await });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(load.borrow().is_settled(Duration::ZERO));
        dying.abort();
        delivering.abort();
    }
    let before = receiver.got();
    assert_eq!(before.len(), 3, "refused each time");
    let (version, events) = (rig.memory.resource_version(), told(&rig).len());

    run(&rig, &receiver, 60).await;
    let after = receiver.got();
    assert_eq!(after.len(), 4);
    assert_eq!(after[3].body, before[0].body, "taken now, and the same");

    run(&rig, &receiver, 60).await;
    assert_eq!(receiver.got().len(), 5, "a new process does not know what its predecessor had delivered");
    assert_eq!(receiver.got()[4].id(), before[0].id(), "so receivers tell copies by the id");
    assert_eq!((rig.memory.resource_version(), told(&rig).len()), (version, events), "and in the world nothing is told twice");
}

#[tokio::test(start_paused = true)]
async fn a_standby_tells_nothing_until_it_leads() {
    let (rig, receiver) = (Rig::clinic().await, Arc::new(Receiver::default()));
    rig.settle().await;
    let setup = rig.setup();
    let target = Target { url: "http://r.example".into(), token: None, transport: receiver.clone(), clock: rig.clock.clone() };
    let sink = Arc::new(Sink::new(target, setup.telemetry.clone()));
    let (lead, active) = watch::channel(false);
    let work = rig.run_with(Operator::new(Setup { notifier: sink.clone(), active, ..setup }));
    let delivering = tokio::spawn({
        let sink = sink.clone();
        async move { sink.deliver().await }
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(receiver.got().len(), 0);
    lead.send_replace(true);
    work.quiet().await;
    sink.drained(Duration::from_secs(60)).await;
    assert_eq!(whats(&receiver), [AWAITING]);
    delivering.abort();
    work.stop().await;
}

fn notice(uid: &str, cause: &str) -> Notice {
    Notice {
        topic: Topic::Propagated,
        about: Regarding { api_version: "mandate.dev/v1alpha1".into(), key: ObjectKey::new(&REQUEST, "acme", uid), uid: uid.into() },
        owner: None,
        operator: None,
        reason: "Propagated".into(),
        message: cause.into(),
        remediation: Vec::new(),
        cause: Cause::Known(Digest::of_bytes(cause.as_bytes())),
        time: None,
    }
}

fn sink_to(receiver: &Arc<Receiver>, token: Option<std::path::PathBuf>) -> (Sink, Telemetry) {
    let clock = Arc::new(mandate::engine::port::VirtualClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
    let telemetry = Telemetry::new("test");
    let target = Target { url: "http://r.example/?key=in-the-query".into(), token, transport: receiver.clone(), clock };
    (Sink::new(target, telemetry.clone()), telemetry)
}

async fn deliver(sink: &Sink) {
    tokio::select! {
        () = sink.deliver() => {}
        () = sink.drained(Duration::from_secs(3600)) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn one_object_cannot_fill_the_queue() {
    let receiver = Arc::new(Receiver::default());
    let (sink, telemetry) = sink_to(&receiver, None);
    sink.stands(&notice("quiet", "only"));
    for number in 0..10 {
        sink.stands(&notice("restless", &number.to_string()));
        sink.stands(&notice("restless", &number.to_string()));
    }
    assert!(telemetry.text().unwrap().contains("mandate_notifications_waiting 9\n"), "{}", telemetry.text().unwrap());
    deliver(&sink).await;
    let messages: Vec<String> = receiver.got().iter().map(|got| got.body["data"]["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(messages, ["only", "2", "3", "4", "5", "6", "7", "8", "9"], "the oldest gave way, the rest came in order");
    assert!(telemetry.text().unwrap().contains(r#"{channel="cloud_event",result="dropped"} 2"#));
}

#[tokio::test(start_paused = true)]
async fn the_token_is_read_before_each_try_and_shown_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let receiver = Arc::new(Receiver::default());
    let (sink, _) = sink_to(&receiver, Some(file.clone()));
    sink.stands(&notice("a", "first"));
    tokio::select! {
        () = sink.deliver() => {}
        () = sink.drained(Duration::from_secs(5)) => {}
    }
    assert_eq!(receiver.got().len(), 0, "without its token nothing is sent");
    for token in ["one\n", "two"] {
        std::fs::write(&file, token).unwrap();
        sink.stands(&notice(token, token));
        deliver(&sink).await;
    }
    let sent: Vec<_> = receiver.got().iter().map(|got| got.authorization.clone().unwrap()).collect();
    assert_eq!(sent, ["Bearer one", "Bearer one", "Bearer two"]);
    assert!(sent.iter().all(http::HeaderValue::is_sensitive));
    assert!(!format!("{sent:?}").contains("one"));
}

#[tokio::test(start_paused = true)]
async fn no_secret_of_a_provider_is_in_what_is_told() {
    let (rig, receiver) = (Rig::clinic().await, Arc::new(Receiver::default()));
    run(&rig, &receiver, 60).await;
    rig.decide(rig.request().await.as_ref(), "Verify", |_| {}).await;
    run(&rig, &receiver, 60).await;
    let mut said: Vec<String> = receiver.got().iter().map(|got| got.body.to_string()).collect();
    said.extend(told(&rig).iter().map(|(_, event)| event.body.to_string()));
    assert_eq!(said.len(), 4);
    for secret in [N8N_KEY, VAPI_KEY, CALCOM_KEY, CRM_KEY] {
        assert!(said.iter().all(|text| !text.contains(secret)));
    }
}
