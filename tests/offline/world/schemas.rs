//! What the world does with a schema: defaults, pruning, validation, transition rules.

use mandate::world::server::FieldValidation;

use super::*;

#[tokio::test]
async fn defaults_are_filled_and_a_status_begins_with_its_default() {
    let memory = world().await;
    let made = create(&memory, widget("a", json!({}))).await.unwrap();
    assert_eq!(made.body["spec"]["size"], 1);
    assert_eq!(made.body["status"], json!({"observedGeneration": -1}));

    let noted =
        update_status(&memory, &edited(&made, |body| body["status"] = json!({"note": "n", "observedGeneration": 1}))).await.unwrap();
    assert_eq!(noted.body["status"]["note"], "n");
    let without = edited(&noted, |body| drop(body.as_object_mut().unwrap().remove("status")));
    assert_eq!(update_status(&memory, &without).await.unwrap().body["status"], json!({"observedGeneration": -1}));
}

#[tokio::test]
async fn unknown_fields_are_dropped_warned_of_or_refused() {
    let memory = world().await;
    let odd = widget("a", json!({"zzz": 1}));
    let with = |field_validation| WriteOptions { field_validation, dry_run: false };
    let refused = write(&memory, odd.clone(), with(FieldValidation::Strict)).await.unwrap_err();
    let words = "Widget in version \"v1alpha1\" cannot be handled as a Widget: strict decoding error: unknown field";
    assert_eq!(bad_request(refused), format!("{words} \"spec.zzz\""));
    let warned = write(&memory, odd, with(FieldValidation::Warn)).await.unwrap();
    assert_eq!(warned.warnings, ["unknown field \"spec.zzz\""]);
    assert_eq!(warned.object.body["spec"], json!({"size": 1}));
    let made = warned.object;

    let odd = edited(&made, |body| body["status"]["zzz"] = 1.into());
    let refused = memory.update(&me(), odd, Subresource::Status, with(FieldValidation::Strict)).await.unwrap_err();
    assert_eq!(bad_request(refused), format!("{words} \"status.zzz\""));
}

#[tokio::test]
async fn invalid_objects_are_refused_with_every_cause() {
    let memory = world().await;
    let refused = causes(create(&memory, widget("A", json!({"colour": "pink", "size": 0}))).await.unwrap_err());
    let fields: Vec<&str> = refused.iter().map(|cause| cause.split(':').next().unwrap()).collect();
    assert_eq!(fields[..3], ["metadata.name", "spec.colour", "spec.size"]);
}

#[tokio::test]
async fn a_transition_rule_freezes_a_field() {
    let memory = world().await;
    create(&memory, widget("a", json!({"fixed": "x"}))).await.unwrap();
    let refused = causes(patch(&memory, &key("a"), json!({"spec": {"fixed": "y"}})).await.unwrap_err());
    assert_eq!(refused, ["spec.fixed: Invalid value: \"y\": fixed is immutable"]);
    patch(&memory, &key("a"), json!({"spec": {"size": 4}})).await.unwrap();
}
