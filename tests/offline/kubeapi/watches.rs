//! Watches.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Harness, WIDGETS, widget};

const JSON: &str = "application/json";

fn told(change: &str, name: &str) -> (String, String) {
    (change.to_owned(), name.to_owned())
}

fn version(list: &Value) -> String {
    list["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_watch_goes_on_where_a_list_ended() {
    let harness = Harness::new().await;
    harness.widget("a").await;
    let from = version(&harness.get(WIDGETS).await.must(StatusCode::OK));
    let mut watch = harness.open(&format!("{WIDGETS}?watch=1&resourceVersion={from}&allowWatchBookmarks=true"), JSON).await;
    harness.widget("b").await;
    harness.patch(&format!("{WIDGETS}/a"), &json!({"spec": {"size": 5}})).await.must(StatusCode::OK);
    harness.delete(&format!("{WIDGETS}/b"), None).await.must(StatusCode::OK);
    assert_eq!(watch.event().await, told("ADDED", "b"));
    let modified = watch.next().await.unwrap();
    assert_eq!((&modified["type"], &modified["object"]["spec"]["size"]), (&json!("MODIFIED"), &json!(5)));
    let deleted = watch.next().await.unwrap();
    assert_eq!((&deleted["type"], &deleted["object"]["metadata"]["name"]), (&json!("DELETED"), &json!("b")));
    assert_eq!(version(&deleted["object"]), version(&harness.get(WIDGETS).await.must(StatusCode::OK)));
}

#[tokio::test]
async fn a_watch_without_a_version_begins_with_what_exists() {
    let harness = Harness::new().await;
    harness.widget("a").await;
    for query in ["watch=true", "watch=true&resourceVersion=0", "watch=true&resourceVersion="] {
        let mut watch = harness.open(&format!("{WIDGETS}?{query}"), JSON).await;
        assert_eq!(watch.event().await, told("ADDED", "a"), "{query}");
    }
}

#[tokio::test]
async fn a_streaming_list_ends_with_a_bookmark_that_says_so() {
    let harness = Harness::new().await;
    harness.widget("a").await;
    let streaming = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = harness.open(&format!("{WIDGETS}?{streaming}"), JSON).await;
    assert_eq!(watch.event().await, told("ADDED", "a"));
    let newest = version(&harness.get(WIDGETS).await.must(StatusCode::OK));
    let metadata = json!({"resourceVersion": newest, "annotations": {"k8s.io/initial-events-end": "true"}});
    let bookmark = json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "Widget", "metadata": metadata});
    assert_eq!(watch.next().await.unwrap(), json!({"type": "BOOKMARK", "object": bookmark}));
    harness.widget("b").await;
    assert_eq!(watch.event().await, told("ADDED", "b"));
    let without = harness.get(&format!("{WIDGETS}?watch=true&sendInitialEvents=true")).await;
    assert!(without.refused(422, "Invalid").contains("requires setting resourceVersionMatch to NotOlderThan"));
    let without = harness.get(&format!("{WIDGETS}?watch=true&resourceVersionMatch=NotOlderThan")).await;
    assert!(without.refused(422, "Invalid").contains("forbidden for watch unless sendInitialEvents is provided"));
}

#[tokio::test]
async fn an_object_that_leaves_the_selection_is_told_as_deleted() {
    let harness = Harness::new().await;
    harness.widget("a").await;
    let mut watch = harness.open(&format!("{WIDGETS}?watch=true&fieldSelector=spec.colour%3Dred"), JSON).await;
    assert_eq!(watch.event().await, told("ADDED", "a"));
    harness.patch(&format!("{WIDGETS}/a"), &json!({"spec": {"colour": "blue"}})).await.must(StatusCode::OK);
    assert_eq!(watch.event().await, told("DELETED", "a"));
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_is_told_to_begin_again() {
    let harness = Harness::new().await;
    let from = version(&harness.widget("a").await);
    let mut large = widget("large");
    large["spec"]["parts"] = json!(["x".repeat(1_000_000)]);
    harness.post(WIDGETS, &large).await.must(StatusCode::CREATED);
    for size in 0..10 {
        harness.patch(&format!("{WIDGETS}/large"), &json!({"spec": {"size": size}})).await.must(StatusCode::OK);
    }
    let mut watch = harness.open(&format!("{WIDGETS}?watch=true&resourceVersion={from}"), JSON).await;
    let told = watch.next().await.unwrap();
    assert_eq!((&told["type"], &told["object"]["code"], &told["object"]["reason"]), (&json!("ERROR"), &json!(410), &json!("Expired")));
    assert_eq!(told["object"]["kind"], "Status");
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_watch_from_the_future_is_refused() {
    let harness = Harness::new().await;
    harness.get(&format!("{WIDGETS}?watch=true&resourceVersion=9999")).await.refused(504, "Timeout");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_at_its_timeout() {
    let harness = Harness::new().await;
    let begun = tokio::time::Instant::now();
    let mut watch = harness.open(&format!("{WIDGETS}?watch=true&timeoutSeconds=17"), JSON).await;
    assert_eq!(watch.next().await, None);
    assert_eq!(begun.elapsed().as_secs(), 17);
}

#[tokio::test]
async fn a_watch_shows_metadata_alone_when_asked() {
    let harness = Harness::new().await;
    harness.widget("a").await;
    let mut watch = harness.open(&format!("{WIDGETS}?watch=true"), "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").await;
    let line = watch.next().await.unwrap();
    assert_eq!((&line["object"]["kind"], line["object"].get("spec")), (&json!("PartialObjectMetadata"), None));
}
