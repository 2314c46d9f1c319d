//! What docs/embedded-api.md lists as not imitated is refused by our API, never half done; and the list is that of the document.

use std::path::Path;

use serde_json::{Value, json};

use super::{tenant, tenants, with};
use crate::Test;
use crate::tests;
use crate::twins::{GROUP, Step, Twins, delete_with, get, patch, post, put};

pub fn shared() -> Vec<Test> {
    tests![what_is_not_imitated_is_refused_and_changes_nothing, the_document_lists_what_is_refused]
}

/// What is not imitated: as the document lists it, a request for it, and how ours answers.
fn refused() -> Vec<(&'static str, Step, u16, &'static str)> {
    let all = format!("{GROUP}/tenants");
    let one = tenants("kept");
    let generated = with(with(tenant("x"), "/metadata/name", Value::Null), "/metadata/generateName", json!("kept-"));
    vec![
        ("JSON patch", patch(&one, "application/json-patch+json", json!([])), 415, "UnsupportedMediaType"),
        ("strategic merge patch", patch(&one, "application/strategic-merge-patch+json", json!({})), 415, "UnsupportedMediaType"),
        (
            "server-side apply",
            patch(format!("{one}?fieldManager=a"), "application/apply-patch+yaml", json!({})),
            415,
            "UnsupportedMediaType",
        ),
        ("YAML bodies", post(&all, tenant("x")).of_type("application/yaml"), 415, "UnsupportedMediaType"),
        ("`generateName`", post(&all, generated), 400, "BadRequest"),
        ("dry runs of deletions", delete_with(&one, json!({"dryRun": ["All"]})), 400, "BadRequest"),
        ("orphaning deletions", delete_with(&one, json!({"propagationPolicy": "Orphan"})), 400, "BadRequest"),
        ("foreground deletions", delete_with(&one, json!({"propagationPolicy": "Foreground"})), 400, "BadRequest"),
        ("POST to an object's own path", post(&one, tenant("kept")), 405, "MethodNotAllowed"),
        ("PUT to a collection", put(&all, tenant("kept")), 405, "MethodNotAllowed"),
        ("POST to discovery", post("/apis", json!({})), 405, "MethodNotAllowed"),
        ("a resource version on create", post(&all, with(tenant("x"), "/metadata/resourceVersion", json!("1"))), 400, "BadRequest"),
        ("a resource version that is no number", put(&one, with(tenant("kept"), "/metadata/resourceVersion", json!("a"))), 409, "Conflict"),
        ("a watch from a version that is no number", get(format!("{all}?watch=true&resourceVersion=a")), 400, "BadRequest"),
        ("a negative `limit`", get(format!("{all}?limit=-1")), 400, "BadRequest"),
        ("subresources other than `status`", get(format!("{one}/scale")), 404, "NotFound"),
    ]
}

async fn what_is_not_imitated_is_refused_and_changes_nothing() {
    let twins = Twins::with_namespaces(&[]).await;
    let all = get(format!("{GROUP}/tenants"));
    assert_eq!(twins.ask_memory(&post(format!("{GROUP}/tenants"), tenant("kept"))).await.status, 201);
    let before = twins.ask_memory(&all).await.body;
    for (what, step, status, reason) in refused() {
        let reply = twins.ask_memory(&step).await;
        assert_eq!((reply.status, &reply.body["reason"]), (status, &json!(reason)), "{what}: {}", reply.text());
        assert!(reply.message().len() > 10, "{what}: {}", reply.text());
    }
    assert_eq!(twins.ask_memory(&all).await.body, before);
}

async fn the_document_lists_what_is_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/embedded-api.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("## Refused").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).skip(1).collect();
    let tested: Vec<&str> = refused().iter().map(|(what, ..)| *what).collect();
    assert_eq!(listed, tested);
}
