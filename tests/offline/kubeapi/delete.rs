//! delete and deletecollection.

use axum::http::StatusCode;
use serde_json::json;

use super::harness::{ALL_WIDGETS, Harness, WIDGETS, names, widget};

#[tokio::test]
async fn a_deletion_tells_what_is_gone() {
    let harness = Harness::new().await;
    let created = harness.widget("w").await;
    let uri = format!("{WIDGETS}/w");
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
    let status = harness.delete(&uri, Some(&options)).await.must(StatusCode::OK);
    let details = json!({"name": "w", "group": "mandate.dev", "kind": "widgets", "uid": created["metadata"]["uid"]});
    assert_eq!((&status["status"], &status["details"]), (&json!("Success"), &details));
    harness.delete(&uri, None).await.refused(404, "NotFound");
}

#[tokio::test]
async fn an_object_with_a_finalizer_waits_and_is_shown_waiting() {
    let harness = Harness::new().await;
    let mut object = widget("w");
    object["metadata"]["finalizers"] = json!(["mandate.dev/outside"]);
    harness.post(WIDGETS, &object).await.must(StatusCode::CREATED);
    let uri = format!("{WIDGETS}/w");
    let waiting = harness.delete(&uri, None).await.must(StatusCode::OK);
    assert_eq!(waiting["kind"], "Widget");
    assert!(waiting["metadata"]["deletionTimestamp"].is_string());
    harness.patch(&uri, &json!({"metadata": {"finalizers": null}})).await.must(StatusCode::OK);
    harness.get(&uri).await.refused(404, "NotFound");
}

#[tokio::test]
async fn a_deletion_meant_for_another_object_does_nothing() {
    let harness = Harness::new().await;
    let created = harness.widget("w").await;
    let uri = format!("{WIDGETS}/w");
    for preconditions in [json!({"uid": "11111111-1111-4111-8111-111111111111"}), json!({"resourceVersion": "1"})] {
        let reply = harness.delete(&uri, Some(&json!({"preconditions": preconditions}))).await;
        let message = reply.refused(409, "Conflict");
        assert!(message.starts_with("Operation cannot be fulfilled on widgets.mandate.dev \"w\": Precondition failed: "), "{message}");
    }
    for options in [
        json!({"dryRun": ["All"]}),
        json!({"propagationPolicy": "Orphan"}),
        json!({"kind": "Widget"}),
        json!({"preconditions": []}),
        json!([]),
    ] {
        harness.delete(&uri, Some(&options)).await.refused(400, "BadRequest");
    }
    harness.delete(&uri, Some(&json!({"propagationPolicy": "Sideways"}))).await.refused(422, "Invalid");
    harness.delete(&format!("{uri}?dryRun=All"), None).await.refused(400, "BadRequest");
    assert_eq!(harness.get(&uri).await.must(StatusCode::OK), created);
    let preconditions = json!({"uid": created["metadata"]["uid"], "resourceVersion": created["metadata"]["resourceVersion"]});
    harness.delete(&uri, Some(&json!({"preconditions": preconditions}))).await.must(StatusCode::OK);
}

#[tokio::test]
async fn a_collection_is_deleted_as_far_as_it_is_selected() {
    let harness = Harness::new().await;
    for (name, colour) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        let mut object = widget(name);
        object["spec"]["colour"] = json!(colour);
        harness.post(WIDGETS, &object).await.must(StatusCode::CREATED);
    }
    let deleted = harness.delete(&format!("{WIDGETS}?fieldSelector=spec.colour%3Dred"), None).await.must(StatusCode::OK);
    assert_eq!((&deleted["kind"], names(&deleted)), (&json!("WidgetList"), vec!["a", "c"]));
    assert_eq!(names(&harness.get(ALL_WIDGETS).await.must(StatusCode::OK)), ["b"]);
}

/// In the words of a policy on a cluster, which is not told a name when a collection is asked for.
#[tokio::test]
async fn a_guard_refuses_with_its_cause_and_a_collection_has_no_name() {
    let harness = Harness::new().await;
    harness.post(WIDGETS, &widget("kept")).await.must(StatusCode::CREATED);
    let denial = "ValidatingAdmissionPolicy 'keeps' with binding 'keeps' denied request: it is kept";
    for (uri, name) in [(format!("{WIDGETS}/kept"), "kept"), (WIDGETS.to_owned(), "Unknown")] {
        let reply = harness.delete(&uri, None).await;
        assert_eq!(reply.refused(403, "Forbidden"), format!("widgets.mandate.dev {name:?} is forbidden: {denial}"));
        let details = json!({"name": name, "group": "mandate.dev", "kind": "widgets", "causes": [{"message": denial}]});
        assert_eq!(reply.body["details"], details);
    }
}
