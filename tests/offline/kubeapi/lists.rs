//! Lists: selection, pages, versions.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::harness::{ALL_WIDGETS, Harness, VIEWER, WIDGETS, names, widget};

async fn colours(harness: &Harness) {
    for (name, colour) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        let mut object = widget(name);
        object["spec"]["colour"] = json!(colour);
        object["metadata"]["labels"] = json!({"shade": colour});
        harness.post(WIDGETS, &object).await.must(StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_list_selects_by_namespace_fields_and_labels() {
    let harness = Harness::new().await;
    colours(&harness).await;
    let list = harness.get(WIDGETS).await.must(StatusCode::OK);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("WidgetList"), &json!("mandate.dev/v1alpha1")));
    for (uri, expected) in [
        (WIDGETS.to_owned(), vec!["a", "b", "c"]),
        (ALL_WIDGETS.to_owned(), vec!["a", "b", "c"]),
        ("/apis/mandate.dev/v1alpha1/namespaces/other/widgets".to_owned(), vec![]),
        (format!("{WIDGETS}?fieldSelector=metadata.name%3Db"), vec!["b"]),
        (format!("{WIDGETS}?fieldSelector=spec.colour!%3Dred"), vec!["b"]),
        (format!("{ALL_WIDGETS}?labelSelector=shade+in+(red,green)"), vec!["a", "c"]),
    ] {
        assert_eq!(names(&harness.get(&uri).await.must(StatusCode::OK)), expected, "{uri}");
    }
    harness.get(&format!("{WIDGETS}?fieldSelector=spec.size%3D3")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn all_pages_of_a_list_show_one_version() {
    let harness = Harness::new().await;
    colours(&harness).await;
    let first = harness.get(&format!("{WIDGETS}?limit=2")).await.must(StatusCode::OK);
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(1)));
    harness.widget("bb").await;
    harness.delete(&format!("{WIDGETS}/c"), None).await.must(StatusCode::OK);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let next = format!("{WIDGETS}?limit=2&continue={token}");
    for _ in 0..2 {
        let second = harness.get(&next).await.must(StatusCode::OK);
        assert_eq!(names(&second), ["c"], "as it was when the list began, however often it is asked");
        assert_eq!(second["metadata"], json!({"continue": "", "resourceVersion": first["metadata"]["resourceVersion"]}));
    }
    assert_eq!(names(&harness.get(WIDGETS).await.must(StatusCode::OK)), ["a", "b", "bb"]);
}

#[tokio::test]
async fn a_token_is_for_its_own_list_only() {
    let harness = Harness::new().await;
    colours(&harness).await;
    let first = harness.get(&format!("{WIDGETS}?limit=1")).await.must(StatusCode::OK);
    let token = first["metadata"]["continue"].as_str().unwrap();
    harness.get(&format!("{ALL_WIDGETS}?limit=1&continue={token}")).await.refused(400, "BadRequest");
    harness.get(&format!("{WIDGETS}?limit=1&continue=nonsense")).await.refused(400, "BadRequest");
    let theirs = harness.request("GET", &format!("{WIDGETS}?limit=1&continue={token}")).token(VIEWER);
    harness.send(theirs, None).await.refused(410, "Expired");
}

#[tokio::test]
async fn a_list_that_is_no_longer_kept_has_expired() {
    let harness = Harness::new().await;
    colours(&harness).await;
    let first = harness.get(&format!("{WIDGETS}?limit=1")).await.must(StatusCode::OK);
    let token = first["metadata"]["continue"].as_str().unwrap();
    for _ in 0..32 {
        harness.get(&format!("{ALL_WIDGETS}?limit=1")).await.must(StatusCode::OK);
    }
    let reply = harness.get(&format!("{WIDGETS}?limit=1&continue={token}")).await;
    assert!(reply.refused(410, "Expired").contains("start a new list"), "{}", reply.body);
}

#[tokio::test]
async fn versions_that_cannot_be_shown_are_refused() {
    let harness = Harness::new().await;
    colours(&harness).await;
    let list = harness.get(WIDGETS).await.must(StatusCode::OK);
    let current: u64 = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let ask = async |query: String| harness.get(&format!("{WIDGETS}?{query}")).await;
    for query in
        ["resourceVersion=0".to_owned(), format!("resourceVersion={current}&resourceVersionMatch=Exact"), "resourceVersion=1".into()]
    {
        assert_eq!(names(&ask(query).await.must(StatusCode::OK)), ["a", "b", "c"]);
    }
    ask(format!("resourceVersion={}&resourceVersionMatch=Exact", current - 1)).await.refused(410, "Expired");
    let reply = ask(format!("resourceVersion={}", current + 1)).await;
    let message = format!("Timeout: Too large resource version: {}, current: {current}", current + 1);
    assert_eq!(reply.refused(504, "Timeout"), message);
    assert_eq!(
        (&reply.headers["retry-after"], &reply.body["details"]["causes"][0]["reason"]),
        (&"1".parse().unwrap(), &Value::from("ResourceVersionTooLarge"))
    );
    ask("resourceVersion=x".into()).await.refused(400, "BadRequest");
    ask("resourceVersionMatch=Exact".into()).await.refused(422, "Invalid");
    ask("limit=-1".into()).await.refused(400, "BadRequest");
}
