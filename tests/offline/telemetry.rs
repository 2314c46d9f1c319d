//! What the operator tells of itself: metrics as documented, health, logs of passes.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use mandate::engine::port::{Verb, VirtualClock, WorldError};
use mandate::engine::step::Passed;
use mandate::http::health;
use mandate::model::call::ProviderType;
use mandate::model::object::Object;
use mandate::model::resource::{NAMESPACE, Resource, SECRET, ours};
use mandate::operator::retry::Ended;
use mandate::operator::telemetry::{Channel, Delivery, JsonLines, Telemetry};
use regex::Regex;
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing_subscriber::layer::SubscriberExt;

static THING: Resource = ours("Thing", "things", true);

fn thing(ready: &str) -> Object {
    let mut object = Object::named(&THING, "acme", "a-name-that-is-no-label");
    object.set_metadata("uid", "7f".into());
    object.set_metadata("generation", 3.into());
    object.body["status"] = json!({"conditions": [{"type": "Ready", "status": ready}]});
    object
}

/// Telemetry in which every metric has been touched.
fn touched() -> Telemetry {
    let telemetry = Telemetry::new("1f3a9c2e");
    let second = Duration::from_secs(1);
    telemetry.passed("Thing", &Ok(Passed::Settled(None)), second);
    telemetry.passed("Thing", &Err(Ended::Panic("secret text".into())), second);
    telemetry.queue(3, 2);
    telemetry.object_changed(None, Some(&thing("True")));
    telemetry.requested(Verb::UpdateStatus, &THING, "409", second);
    telemetry.called(ProviderType::N8n, "done", second);
    telemetry.notified(Channel::CloudEvent, Delivery::Failed);
    telemetry.notices_waiting(4);
    telemetry.feed_live(&THING);
    telemetry.feed_down(&SECRET, &WorldError::Unknown("secret text".into()));
    telemetry.feed_refused(&SECRET);
    telemetry
}

/// Metrics by name as a scraper stores them: type, labels, help.
fn served(text: &str) -> BTreeMap<String, (String, BTreeSet<String>, String)> {
    let head = Regex::new(r"(?m)^# HELP (\S+) (.*)\n# TYPE \S+ (\w+)$").unwrap();
    let label = Regex::new(r#"(\w+)=""#).unwrap();
    let mut found = BTreeMap::new();
    for one in head.captures_iter(text) {
        let (name, help, kind) = (&one[1], &one[2], &one[3]);
        let sample = text.lines().filter(|line| !line.starts_with('#')).find(|line| {
            let rest = line.strip_prefix(name).unwrap_or("-");
            ["", "_total", "_info", "_bucket"]
                .iter()
                .any(|suffix| rest.strip_prefix(suffix).is_some_and(|rest| rest.starts_with(['{', ' '])))
        });
        let labels = label.captures_iter(sample.unwrap_or_default()).map(|label| label[1].to_owned()).filter(|label| label != "le");
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        found.insert(format!("{name}{suffix}"), (kind.to_owned(), labels.collect(), help.to_owned()));
    }
    found
}

fn documented() -> BTreeMap<String, (String, BTreeSet<String>, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let row = Regex::new(r"(?m)^\| `(mandate_\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$").unwrap();
    let labels = |cell: &str| {
        cell.split(", ").map(|label| label.trim_matches('`').to_owned()).filter(|label| !label.is_empty()).collect::<BTreeSet<_>>()
    };
    row.captures_iter(&text).map(|row| (row[1].to_owned(), (row[2].to_owned(), labels(&row[3]), row[4].to_owned()))).collect()
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_is_served() {
    let text = touched().text().unwrap();
    let served = served(&text);
    assert!(served.len() >= 16, "{text}");
    // prometheus-client says the unit beside help and type, which the head above does not know.
    let with_unit = Regex::new(r"(?m)^# UNIT ").unwrap().find_iter(&text).count();
    assert_eq!(with_unit, served.values().filter(|(kind, _, _)| kind == "histogram").count());
    assert_eq!(served, documented());
    assert!(!text.contains("secret text") && !text.contains("a-name-that-is-no-label"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn counts_follow_what_happened() {
    let telemetry = touched();
    telemetry.object_changed(Some(&thing("True")), Some(&thing("False")));
    telemetry.object_changed(None, Some(&thing("True")));
    telemetry.object_changed(Some(&thing("True")), None);
    telemetry.feed_live(&SECRET);
    let text = telemetry.text().unwrap();
    for line in [
        r#"mandate_passes_total{kind="Thing",end="settled"} 1"#,
        r#"mandate_passes_total{kind="Thing",end="panic"} 1"#,
        r#"mandate_pass_seconds_sum{kind="Thing"} 2.0"#,
        "mandate_queue_backlog 3",
        "mandate_queue_busy 2",
        r#"mandate_cached_objects{resource="things.mandate.dev"} 1"#,
        r#"mandate_objects_ready{kind="Thing",ready="True"} 0"#,
        r#"mandate_objects_ready{kind="Thing",ready="False"} 1"#,
        r#"mandate_watch_live{resource="secrets"} 1"#,
        r#"mandate_watch_restarts_total{resource="secrets",reason="NoAnswer"} 1"#,
        r#"mandate_watch_refused_total{resource="secrets"} 1"#,
        r#"mandate_api_requests_total{verb="update_status",resource="things.mandate.dev",code="409"} 1"#,
        r#"mandate_notifications_total{channel="cloud_event",result="failed"} 1"#,
        "mandate_notifications_waiting 4",
        r#"mandate_external_calls_total{provider_type="n8n",outcome="done"} 1"#,
        "mandate_leader 0",
        concat!("mandate_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|present| present == line), "{line}\n{text}");
    }
}

async fn ask(telemetry: &Telemetry, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let reply = health::router(telemetry.clone()).oneshot(request).await.unwrap();
    let status = reply.status();
    (status, String::from_utf8(reply.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn readiness_names_each_watch_that_is_not_live_and_why() {
    let telemetry = Telemetry::new("x");
    assert_eq!(ask(&telemetry, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, "no watch has been started\n".into()));
    telemetry.feed_expected(&SECRET);
    telemetry.feed_expected(&NAMESPACE);
    telemetry.feed_expected(&THING);
    telemetry.feed_live(&THING);
    let key = mandate::model::object::ObjectKey::new(&SECRET, "", "");
    telemetry.feed_down(&SECRET, &WorldError::Forbidden { key, message: "hidden".into() });
    let (status, text) = ask(&telemetry, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text, "watch of namespaces: NotListed\nwatch of secrets: Forbidden\n");
    telemetry.feed_live(&SECRET);
    telemetry.feed_live(&NAMESPACE);
    assert_eq!(ask(&telemetry, "/readyz").await, (StatusCode::OK, "ok\n".into()), "a standby that sees everything is ready");
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_stopped_coming_round_is_not_alive() {
    let telemetry = Telemetry::new("x");
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!(ask(&telemetry, "/livez").await.0, StatusCode::OK, "waiting for the API server at the start is no reason to start again");
    telemetry.tick();
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(ask(&telemetry, "/livez").await.0, StatusCode::OK);
    tokio::time::advance(Duration::from_secs(1)).await;
    let (status, text) = ask(&telemetry, "/livez").await;
    assert_eq!((status, text.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "the runner has not come round for 60 s\n"));
    telemetry.tick();
    assert_eq!(ask(&telemetry, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_served_as_openmetrics() {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let reply = health::router(touched()).oneshot(request).await.unwrap();
    assert_eq!(reply.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn parsed(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn each_event_inside_a_pass_is_one_line_with_object_uid_generation_and_pass() {
    let lines = Lines::default();
    let writer = {
        let lines = lines.clone();
        move || lines.clone()
    };
    let clock = Arc::new(VirtualClock::starting_at("2026-01-31T12:00:00Z".parse().unwrap()));
    // Warnings only: the span of a pass must not be lost with what is filtered out.
    let filter = tracing_subscriber::filter::LevelFilter::WARN;
    let subscriber = tracing_subscriber::registry().with(filter).with(JsonLines::new(clock, writer));
    let telemetry = Telemetry::new("1f3a9c2e");
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!("outside");
        telemetry.pass_span(&thing("True").key(), Some(&thing("True"))).in_scope(|| {
            tracing::error_span!("call", operation = "clone").in_scope(|| tracing::warn!(tries = 2, "two\nlines"));
            tracing::debug!("not asked for");
        });
        telemetry.pass_span(&thing("True").key(), None).in_scope(|| tracing::error!(time = "later", ok = true, "gone"));
    });
    let line = |level: &str, fields: Value| {
        let mut line = json!({"time": "2026-01-31T12:00:00.000000Z", "level": level, "target": module_path!()});
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        line
    };
    let object = "Thing acme/a-name-that-is-no-label";
    assert_eq!(
        lines.parsed(),
        [
            line("WARN", json!({"message": "outside"})),
            line(
                "WARN",
                json!({
                    "message": "two\nlines", "tries": 2, "operation": "clone",
                    "object": object, "uid": "7f", "generation": 3, "pass": "1f3a9c2e-1",
                })
            ),
            line("ERROR", json!({"message": "gone", "ok": true, "object": object, "pass": "1f3a9c2e-2"})),
        ]
    );
}
