//! Tables and metadata.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Harness, WIDGETS, widget};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/// A widget that became ready at the start, seen three days and four hours later.
async fn ready(harness: &Harness) {
    harness.widget("w").await;
    let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({"status": {"note": "fine", "conditions": [condition]}});
    harness.patch(&format!("{WIDGETS}/w/status"), &status).await.must(StatusCode::OK);
    harness.clock.advance(76 * 3600);
}

fn cells(table: &Value) -> Vec<Value> {
    table["rows"].as_array().unwrap().iter().map(|row| row["cells"].clone()).collect()
}

#[tokio::test]
async fn a_table_has_name_the_printer_columns_and_age() {
    let harness = Harness::new().await;
    ready(&harness).await;
    harness.widget("x").await;
    let reply = harness.get_as(&format!("{WIDGETS}?limit=500"), TABLE).await;
    assert_eq!(reply.headers["content-type"], "application/json");
    let table = reply.must(StatusCode::OK);
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    let headings: Vec<Value> = table["columnDefinitions"].as_array().unwrap().to_vec();
    let shown: Vec<_> = headings.iter().map(|heading| (heading["name"].as_str().unwrap(), heading["priority"].as_i64().unwrap())).collect();
    assert_eq!(shown, [("Name", 0), ("Ready", 0), ("Size", 0), ("Since", 0), ("Note", 1), ("Age", 0)]);
    assert_eq!((&headings[0]["format"], &headings[2]["type"]), (&json!("name"), &json!("integer")));
    assert_eq!(cells(&table), [json!(["w", "True", 3, "3d4h", "fine", "3d4h"]), json!(["x", null, 3, null, null, "0s"])]);
    assert!(table["metadata"]["resourceVersion"].is_string());
    let object = &table["rows"][0]["object"];
    assert_eq!((&object["kind"], &object["apiVersion"]), (&json!("PartialObjectMetadata"), &json!("meta.k8s.io/v1")));
    assert_eq!((&object["metadata"]["name"], object.get("spec")), (&json!("w"), None));
}

#[tokio::test]
async fn rows_carry_as_much_of_the_object_as_is_asked_for() {
    let harness = Harness::new().await;
    ready(&harness).await;
    let row = async |include: &str| {
        let table = harness.get_as(&format!("{WIDGETS}/w?includeObject={include}"), TABLE).await.must(StatusCode::OK);
        table["rows"][0].clone()
    };
    assert_eq!(row("None").await.get("object"), None);
    assert_eq!(row("Metadata").await["object"].get("spec"), None);
    assert_eq!(row("Object").await["object"]["spec"]["size"], 3);
    harness.get_as(&format!("{WIDGETS}?includeObject=Some"), TABLE).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn metadata_can_be_had_alone() {
    let harness = Harness::new().await;
    let created = harness.widget("w").await;
    let list = harness.get_as(WIDGETS, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").await.must(StatusCode::OK);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("PartialObjectMetadataList"), &json!("meta.k8s.io/v1")));
    let item = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": created["metadata"]});
    assert_eq!(list["items"], json!([item]));
    let one = harness.get_as(&format!("{WIDGETS}/w"), "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").await;
    assert_eq!(one.must(StatusCode::OK), item);
}

#[tokio::test]
async fn a_watch_shows_the_headings_once() {
    let harness = Harness::new().await;
    ready(&harness).await;
    let mut watch = harness.open(&format!("{WIDGETS}?watch=true&resourceVersion=0"), TABLE).await;
    harness.post(WIDGETS, &widget("x")).await.must(StatusCode::CREATED);
    let (first, second) = (watch.next().await.unwrap(), watch.next().await.unwrap());
    assert_eq!((&first["type"], &first["object"]["kind"]), (&json!("ADDED"), &json!("Table")));
    assert_eq!(first["object"]["columnDefinitions"].as_array().unwrap().len(), 6);
    assert_eq!(
        (cells(&second["object"]), &second["object"]["columnDefinitions"]),
        (vec![json!(["x", null, 3, null, null, "0s"])], &json!([]))
    );
}
