//! What operators are told: each outcome once, as an Event and as a CloudEvent, whatever becomes of the receiver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod delivery;
mod events;
pub mod receiver;

use std::path::Path;
use std::sync::Arc;

use mandate::adapters::cloudevents::Receiver as Target;
use mandate::engine::news::Proof;
use mandate::kinds::KINDS;
use mandate::model::object::Object;
use mandate::operator::notify::{All, Sink};
use mandate::operator::runner::{Operator, Setup};
use mandate::operator::telemetry::Telemetry;
use regex::Regex;
use serde_json::Value;

use crate::clinic::rig::Rig;
use receiver::Receiver;

/// An operator that posts to a receiver, and its sink.
pub fn process(rig: &Rig, receiver: &Arc<Receiver>) -> (Operator, Arc<Sink>, Telemetry) {
    let setup = rig.setup();
    let telemetry = setup.telemetry.clone();
    let target =
        Target { url: "http://receiver.example/outcomes".into(), token: None, transport: receiver.clone(), clock: rig.clock.clone() };
    let sink = Arc::new(Sink::new(target, telemetry.clone()));
    let notifier = Arc::new(All(vec![setup.notifier.clone(), sink.clone()]));
    (Operator::new(Setup { notifier, ..setup }), sink, telemetry)
}

/// Runs a process until the world rests, and everything is delivered or this long has passed.
async fn run(rig: &Rig, receiver: &Arc<Receiver>, seconds: u64) {
    let (operator, sink, _) = process(rig, receiver);
    let work = rig.run_with(operator);
    tokio::select! {
        () = sink.deliver() => {}
        () = async { work.quiet().await; sink.drained(std::time::Duration::from_secs(seconds)).await } => {}
    }
    work.stop().await;
    rig.hold();
}

/// All Events as (reason, Event), the oldest first.
fn told(rig: &Rig) -> Vec<(String, Arc<Object>)> {
    let mut events = rig.all("Event");
    events.sort_by_key(|event| event.resource_version().parse::<u64>().unwrap());
    events.into_iter().map(|event| (event.body["reason"].as_str().unwrap().to_owned(), event)).collect()
}

/// A document with everything masked that differs from run to run.
fn masked(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap() + "\n";
    for (pattern, mask) in [
        (r"sha256:[0-9a-f]{64}", "sha256:<64 digits>"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
        (r"\.[0-9a-f]{16}\b", ".<16 digits>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "<instant>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<second>"),
        (r#""resourceVersion": "\d+""#, r#""resourceVersion": "<version>""#),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, mask).into_owned();
    }
    text
}

/// Compares with a committed document.
#[track_caller]
fn is_golden(name: &str, document: &Value) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/offline/notify").join(name);
    let now = masked(document);
    assert_eq!(now, std::fs::read_to_string(&path).unwrap_or_default(), "{name} is not what it was; now it is\n{now}");
}

/// What is told is what a kind says and records.
#[test]
fn every_telling_names_a_reason_and_a_record_that_exist() {
    let sources = |folder: &str| -> Vec<String> {
        let files = std::fs::read_dir(format!("{}/src/kinds/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let of_the_kind = paths.filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("mod.rs"));
        let decisions = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kinds/decisions.rs");
        of_the_kind.chain([decisions]).map(|path| std::fs::read_to_string(path).unwrap()).collect()
    };
    let mut rows = 0;
    for kind in KINDS {
        let folder = kind.resource().kind.to_lowercase();
        for telling in kind.tells() {
            rows += 1;
            let said = |word: &str| sources(&folder).iter().any(|text| text.contains(&format!("\"{word}\"")));
            assert!(said(telling.reason), "{folder}: no reason {}", telling.reason);
            if let Proof::Record(event) = telling.proof {
                assert!(said(event), "{folder}: no record {event}");
            }
        }
    }
    assert!(rows >= 5, "only {rows} rows");
}

#[test]
fn a_receiver_that_cannot_be_meant_is_refused_before_anything_begins() {
    for (arguments, said) in [
        (vec!["--notify-url", "ftp://receiver.example/"], "the URL begins with http:// or https://"),
        (vec!["--notify-url", "receiver.example"], "the URL begins with http:// or https://"),
        (vec!["--notify-url", "https://ana:hush@receiver.example/"], "use --notify-token-file"),
        (vec!["--notify-token-file", "token"], "--notify-url"),
    ] {
        for command in [vec!["up", "/nowhere"], vec!["run"]] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_mandate")).args(&command).args(&arguments).output().unwrap();
            let complaint = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command:?} {arguments:?}: {complaint}");
            assert!(complaint.contains(said), "{command:?} {arguments:?}: {complaint}");
        }
    }
}

/// The table for people is the one that is told by.
#[test]
fn every_telling_is_in_the_guide() {
    let guide = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notifications.md")).unwrap();
    let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with("| ") && line.contains("dev.mandate.")).collect();
    for telling in KINDS.iter().flat_map(|kind| kind.tells()) {
        let proof = match telling.proof {
            Proof::Record(event) => format!("the record {event}"),
            Proof::Offer => "`status.decision.hash`".to_owned(),
        };
        let words = [telling.condition.to_owned(), format!("`{}`", telling.reason), proof, format!("`{}`", telling.topic.event_type())];
        assert!(rows.iter().any(|row| words.iter().all(|word| row.contains(word))), "no row holds {words:?}");
    }
}
