//! create, update, patch, and how they are refused.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::harness::{ADMIN, Harness, WIDGETS, widget};

fn path(name: &str) -> String {
    format!("{WIDGETS}/{name}")
}

#[tokio::test]
async fn what_is_created_can_be_read_in_its_namespace() {
    let harness = Harness::new().await;
    let created = harness.widget("w").await;
    assert_eq!(created["metadata"]["namespace"], "shop");
    assert!(created["metadata"]["uid"].is_string());
    assert_eq!(harness.get(&path("w")).await.must(StatusCode::OK), created);
    assert_eq!(harness.get(&format!("{}/status", path("w"))).await.must(StatusCode::OK), created);
}

#[tokio::test]
async fn objects_that_are_missing_or_taken_are_told_as_the_api_server_tells_it() {
    let harness = Harness::new().await;
    let reply = harness.get(&path("x")).await;
    assert_eq!(reply.refused(404, "NotFound"), "widgets.mandate.dev \"x\" not found");
    assert_eq!(reply.body["details"], json!({"name": "x", "group": "mandate.dev", "kind": "widgets"}));
    let reply = harness.get("/api/v1/namespaces/nowhere").await;
    assert_eq!(reply.refused(404, "NotFound"), "namespaces \"nowhere\" not found");
    assert_eq!(reply.body["details"], json!({"name": "nowhere", "kind": "namespaces"}));
    harness.widget("w").await;
    let reply = harness.post(WIDGETS, &widget("w")).await;
    assert_eq!(reply.refused(409, "AlreadyExists"), "widgets.mandate.dev \"w\" already exists");
}

#[tokio::test]
async fn an_invalid_object_is_refused_with_its_causes() {
    let harness = Harness::new().await;
    let mut without = widget("w");
    without["spec"] = json!({"size": 1});
    let reply = harness.post(WIDGETS, &without).await;
    assert_eq!(reply.refused(422, "Invalid"), "Widget.mandate.dev \"w\" is invalid: spec.colour: Required value");
    let cause = json!({"reason": "FieldValueRequired", "message": "Required value", "field": "spec.colour"});
    assert_eq!(reply.body["details"], json!({"name": "w", "group": "mandate.dev", "kind": "Widget", "causes": [cause]}));
}

#[tokio::test]
async fn an_update_from_an_old_version_is_a_conflict() {
    let harness = Harness::new().await;
    let mut first = harness.widget("w").await;
    first["spec"]["size"] = json!(4);
    let second = harness.put(&path("w"), &first).await.must(StatusCode::OK);
    assert_eq!((&second["spec"]["size"], &second["metadata"]["generation"]), (&json!(4), &json!(2)));
    let reply = harness.put(&path("w"), &first).await;
    let message = reply.refused(409, "Conflict");
    let expected = "Operation cannot be fulfilled on widgets.mandate.dev \"w\": the object has been modified; \
                    please apply your changes to the latest version and try again";
    assert_eq!(message, expected);
    assert_eq!(reply.body["details"], json!({"name": "w", "group": "mandate.dev", "kind": "widgets"}));
}

#[tokio::test]
async fn status_is_written_through_its_own_path_only() {
    let harness = Harness::new().await;
    let mut object = harness.widget("w").await;
    object["status"] = json!({"note": "seen"});
    object["spec"]["size"] = json!(9);
    let status = format!("{}/status", path("w"));
    let mut written = harness.put(&status, &object).await.must(StatusCode::OK);
    assert_eq!((&written["status"]["note"], &written["spec"]["size"]), (&json!("seen"), &json!(3)));
    written["status"] = json!({"note": "forged"});
    let written = harness.put(&path("w"), &written).await.must(StatusCode::OK);
    assert_eq!(written["status"]["note"], "seen");
    let patched = harness.patch(&status, &json!({"status": {"note": "patched"}})).await.must(StatusCode::OK);
    assert_eq!(patched["status"]["note"], "patched");
}

#[tokio::test]
async fn a_merge_patch_is_the_one_patch_that_is_understood() {
    let harness = Harness::new().await;
    harness.widget("w").await;
    let patch = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"size": null}});
    let patched = harness.patch(&path("w"), &patch).await.must(StatusCode::OK);
    assert_eq!((&patched["metadata"]["labels"]["a"], patched["spec"].get("size")), (&json!("b"), None));
    for media_type in
        ["application/json-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/json"]
    {
        let sent = harness.request("PATCH", &path("w")).header("content-type", media_type);
        let reply = harness.send(sent, Some(&json!({}))).await;
        let message = reply.refused(415, "UnsupportedMediaType");
        assert!(message.contains(media_type) && message.contains("application/merge-patch+json"), "{message}");
    }
    harness.patch(&path("absent"), &json!({"spec": {"size": 1}})).await.refused(404, "NotFound");
    harness.patch(&path("w"), &json!([])).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn unknown_fields_are_warned_of_or_refused_as_asked() {
    let harness = Harness::new().await;
    let mut object = widget("w");
    object["spec"]["zzz"] = json!(1);
    let dry = |validation: &str| format!("{WIDGETS}?dryRun=All&fieldManager=kubectl-create{validation}");
    let reply = harness.post(&dry(""), &object).await;
    assert_eq!(reply.headers["warning"], "299 - \"unknown field \\\"spec.zzz\\\"\"");
    assert_eq!(reply.must(StatusCode::CREATED)["spec"].get("zzz"), None);
    assert!(harness.post(&dry("&fieldValidation=Ignore"), &object).await.headers.get("warning").is_none());
    let reply = harness.post(&dry("&fieldValidation=Strict"), &object).await;
    assert!(reply.refused(400, "BadRequest").contains("strict decoding error: unknown field \"spec.zzz\""), "{}", reply.body);
    harness.post(&dry("&fieldValidation=Perhaps"), &object).await.refused(422, "Invalid");
    assert_eq!(harness.get(&path("w")).await.code, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn repeated_fields_are_warned_of_or_refused_as_asked() {
    let harness = Harness::new().await;
    let text = r#"{"apiVersion":"mandate.dev/v1alpha1","kind":"Widget","metadata":{"name":"w"},"spec":{"colour":"a","colour":"b"}}"#;
    let send = async |validation: &str| {
        let uri = format!("{WIDGETS}?dryRun=All&fieldValidation={validation}");
        harness.raw(Request::post(uri).header("authorization", format!("Bearer {ADMIN}")).body(Body::from(text)).unwrap()).await
    };
    assert_eq!(send("Warn").await.headers["warning"], "299 - \"duplicate field \\\"spec.colour\\\"\"");
    assert_eq!(send("Ignore").await.must(StatusCode::CREATED)["spec"]["colour"], "b");
    assert_eq!(send("Strict").await.refused(400, "BadRequest"), "strict decoding error: duplicate field \"spec.colour\"");
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_stores_nothing() {
    let harness = Harness::new().await;
    harness.widget("w").await;
    let uri = format!("{}?dryRun=All", path("w"));
    let patched = harness.patch(&uri, &json!({"spec": {"size": 8}})).await.must(StatusCode::OK);
    assert_eq!(patched["spec"]["size"], 8);
    harness.patch(&uri, &json!({"spec": {"size": "eight"}})).await.refused(422, "Invalid");
    harness.patch(&format!("{}?dryRun=Some", path("w")), &json!({})).await.refused(422, "Invalid");
    assert_eq!(harness.get(&path("w")).await.must(StatusCode::OK)["spec"]["size"], 3);
}

#[tokio::test]
async fn an_object_that_contradicts_its_path_is_refused() {
    let harness = Harness::new().await;
    let changed = |pointer: &str, value: &str| {
        let mut object = widget("w");
        object["metadata"]["namespace"] = json!("shop");
        *object.pointer_mut(pointer).unwrap() = json!(value);
        object
    };
    for (pointer, value, message) in [
        ("/apiVersion", "mandate.dev/v2", "the API version in the data (mandate.dev/v2) does not match the expected API version"),
        ("/kind", "", "\"kind\" is missing"),
        ("/metadata/namespace", "other", "the namespace of the provided object does not match"),
    ] {
        let reply = harness.post(WIDGETS, &changed(pointer, value)).await;
        assert!(reply.refused(400, "BadRequest").starts_with(message), "{}", reply.body);
    }
    let reply = harness.post(WIDGETS, &changed("/kind", "Gadget")).await;
    let message = "Widget.mandate.dev \"w\" is invalid: kind: Invalid value: \"Gadget\": must be Widget";
    assert_eq!(reply.refused(422, "Invalid"), message);
    let reply = harness.put(&path("v"), &widget("w")).await;
    assert_eq!(reply.refused(400, "BadRequest"), "the name of the object (w) does not match the name on the URL (v)");
    let mut generated = widget("");
    generated["metadata"] = json!({"generateName": "w-"});
    assert!(harness.post(WIDGETS, &generated).await.refused(400, "BadRequest").contains("generateName"));
    harness.post("/apis/mandate.dev/v1alpha1/widgets", &widget("w")).await.refused(404, "NotFound");
    harness.post(WIDGETS, &json!([])).await.refused(400, "BadRequest");
}
