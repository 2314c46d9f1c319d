//! Events: one storage, shown in two groups, as an API server does.

use std::sync::Arc;

use axum::http::StatusCode;
use mandate::engine::port::RandomIdentifiers;
use mandate::http::auth::TokenFile;
use mandate::http::host::Hosts;
use mandate::http::kubeapi::KubeApi;
use mandate::http::serve::Shutdown;
use mandate::operator::embedded;
use mandate::operator::guards::EmbeddedRights;
use serde_json::{Value, json};

use super::harness::{HOST, HandClock, Harness, TOKENS, names};

const STORED: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const CORE: &str = "/api/v1/namespaces/default/events";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// The API as `up` serves it.
async fn harness() -> Harness {
    let clock = Arc::new(HandClock::at("2026-01-01T00:10:00Z"));
    let memory = embedded::open(clock.clone(), Arc::new(RandomIdentifiers), None).unwrap();
    embedded::make_namespaces(&memory, &mandate::engine::kind::Settings::default()).await.unwrap();
    let (trigger, shutdown) = Shutdown::channel();
    let parts = KubeApi {
        server: Arc::new(memory),
        authorizer: Arc::new(EmbeddedRights),
        authenticator: Arc::new(TokenFile::parse(TOKENS).unwrap()),
        clock: clock.clone(),
        hosts: Hosts::of([HOST.to_owned()]),
        shutdown: shutdown.clone(),
    };
    Harness { router: parts.router().unwrap(), clock, trigger, shutdown }
}

fn event(name: &str, about: &str) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "mandate.dev/controller", "reportingInstance": "p",
        "action": "Provisioning", "reason": "Failed", "type": "Warning", "note": "mend it",
        "regarding": {"apiVersion": "mandate.dev/v1alpha1", "kind": "Provider", "name": about, "uid": format!("uid-{about}"), "namespace": "default"},
    })
}

#[tokio::test]
async fn what_is_written_in_one_group_is_shown_in_the_other_under_its_names() {
    let harness = harness().await;
    harness.post(STORED, &event("a", "n8n")).await.must(StatusCode::CREATED);
    let core = harness.get(&format!("{CORE}/a")).await.must(StatusCode::OK);
    assert_eq!((&core["apiVersion"], &core["kind"]), (&json!("v1"), &json!("Event")));
    assert_eq!(core["involvedObject"], event("a", "n8n")["regarding"]);
    assert_eq!((&core["message"], &core["reportingComponent"]), (&json!("mend it"), &json!("mandate.dev/controller")));
    assert!(core.get("note").is_none() && core.get("regarding").is_none(), "{core}");

    let mut by_recorder = core.clone();
    by_recorder["metadata"] = json!({"name": "b", "namespace": "default"});
    by_recorder["count"] = 3.into();
    harness.post(CORE, &by_recorder).await.must(StatusCode::CREATED);
    let stored = harness.get(&format!("{STORED}/b")).await.must(StatusCode::OK);
    assert_eq!(
        (&stored["apiVersion"], &stored["note"], &stored["deprecatedCount"]),
        (&json!("events.k8s.io/v1"), &json!("mend it"), &json!(3))
    );

    let patched = harness.patch(&format!("{CORE}/b"), &json!({"message": "mended", "count": 4})).await.must(StatusCode::OK);
    assert_eq!((&patched["message"], &patched["count"]), (&json!("mended"), &json!(4)));
    for list in [CORE, STORED, "/api/v1/events", "/apis/events.k8s.io/v1/events"] {
        assert_eq!(names(&harness.get(list).await.must(StatusCode::OK)), ["a", "b"], "{list}");
    }
    harness.delete(&format!("{CORE}/b"), None).await.must(StatusCode::OK);
    let gone = harness.get(&format!("{STORED}/b")).await;
    assert_eq!(gone.refused(404, "NotFound"), "events.events.k8s.io \"b\" not found");
    let gone = harness.get(&format!("{CORE}/b")).await;
    assert_eq!(gone.refused(404, "NotFound"), "events \"b\" not found");
}

/// What `kubectl describe` asks.
#[tokio::test]
async fn events_are_found_by_the_object_that_they_are_about() {
    let harness = harness().await;
    for (name, about) in [("a", "n8n"), ("b", "vapi"), ("c", "n8n")] {
        harness.post(STORED, &event(name, about)).await.must(StatusCode::CREATED);
    }
    let described =
        "involvedObject.uid%3Duid-n8n%2CinvolvedObject.name%3Dn8n%2CinvolvedObject.namespace%3Ddefault%2CinvolvedObject.kind%3DProvider";
    for (uri, found) in [
        (format!("{CORE}?fieldSelector={described}"), vec!["a", "c"]),
        (format!("/api/v1/events?fieldSelector={described}&limit=500"), vec!["a", "c"]),
        (format!("{CORE}?fieldSelector=involvedObject.name!%3Dn8n"), vec!["b"]),
        (format!("{CORE}?fieldSelector=reportingComponent%3Dkubelet"), vec![]),
        (format!("{CORE}?fieldSelector=reason%3DFailed%2Ctype%3DWarning"), vec!["a", "b", "c"]),
        (format!("{STORED}?fieldSelector=regarding.name%3Dvapi"), vec!["b"]),
    ] {
        assert_eq!(names(&harness.get(&uri).await.must(StatusCode::OK)), found, "{uri}");
    }
    let unknown = harness.get(&format!("{CORE}?fieldSelector=involvedObject.colour%3Dred")).await;
    unknown.refused(400, "BadRequest");
}

#[tokio::test]
async fn a_table_of_events_has_the_columns_that_kubectl_users_know() {
    let harness = harness().await;
    harness.post(STORED, &event("a", "n8n")).await.must(StatusCode::CREATED);
    for list in [CORE, STORED] {
        let table = harness.get_as(list, TABLE).await.must(StatusCode::OK);
        let headings: Vec<&str> =
            table["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(headings, ["Last Seen", "Type", "Reason", "Object", "Message", "Count", "Name"]);
        assert!(table["columnDefinitions"].as_array().unwrap().iter().all(|column| column["type"] != "reference"), "{table}");
        assert_eq!(table["rows"][0]["cells"], json!(["10m", "Warning", "Failed", "provider/n8n", "mend it", null, "a"]));
    }
}

#[tokio::test]
async fn both_groups_are_watched_and_discovered() {
    let harness = harness().await;
    let mut core = harness.open(&format!("{CORE}?watch=1"), "application/json").await;
    let mut stored = harness.open(&format!("{STORED}?watch=1"), "application/json").await;
    harness.post(STORED, &event("a", "n8n")).await.must(StatusCode::CREATED);
    let told = core.next().await.unwrap();
    assert_eq!((&told["type"], &told["object"]["involvedObject"]["name"]), (&json!("ADDED"), &json!("n8n")));
    assert_eq!(stored.event().await, ("ADDED".to_owned(), "a".to_owned()));
    for group in ["/api/v1", "/apis/events.k8s.io/v1"] {
        let resources = harness.get(group).await.must(StatusCode::OK);
        let events = resources["resources"].as_array().unwrap().iter().filter(|resource| resource["kind"] == "Event").count();
        assert_eq!(events, 1, "{group}");
    }
}
