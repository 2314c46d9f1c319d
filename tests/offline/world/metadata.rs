//! Names, labels, finalizers, unknown fields.

use mandate::model::resource::{ROLE_BINDING, SECRET};
use mandate::world::server::FieldValidation;

use super::*;

#[tokio::test]
async fn names_are_what_the_api_server_takes() {
    let memory = world().await;
    let long = "a".repeat(253);
    for (resource, name, taken) in [
        (&WIDGET, "a.b-c", true),
        (&WIDGET, long.as_str(), true),
        (&WIDGET, "A", false),
        (&WIDGET, "a_b", false),
        (&WIDGET, "-a", false),
        (&WIDGET, "a..b", false),
        (&WIDGET, "ä", false),
        (&SECRET, "a.b", true),
        (&NAMESPACE, "a-b", true),
        (&NAMESPACE, "a.b", false),
        (&ROLE_BINDING, "system:node", true),
        (&ROLE_BINDING, "a/b", false),
    ] {
        let created = create(&memory, Object::named(resource, "acme", name)).await;
        match created {
            Ok(_) => assert!(taken, "{resource} {name} was taken"),
            Err(error) => {
                let causes = causes(error);
                assert!(!taken && causes[0].starts_with(&format!("metadata.name: Invalid value: {name:?}: ")), "{causes:?}");
            }
        }
    }
    for (resource, length, limit) in [(&WIDGET, 254, 253), (&NAMESPACE, 64, 63)] {
        let name = "a".repeat(length);
        let refused = causes(create(&memory, Object::named(resource, "acme", &name)).await.unwrap_err());
        assert_eq!(refused[0], format!("metadata.name: Invalid value: {name:?}: must be no more than {limit} characters"));
    }
    let unnamed = causes(create(&memory, Object::named(&WIDGET, "acme", "")).await.unwrap_err());
    assert_eq!(unnamed[0], "metadata.name: Required value: name or generateName is required");
    assert!(unnamed[1].contains("some validation rules were not checked") && unnamed.len() == 2, "{unnamed:?}");
}

#[tokio::test]
async fn labels_annotations_and_owners_are_checked() {
    let memory = world().await;
    let owner = json!({"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "u", "controller": true});
    for (field, value, cause) in [
        ("labels", json!({"a b": "c"}), "metadata.labels: Invalid value: \"a b\""),
        ("labels", json!({"a": "-"}), "metadata.labels: Invalid value: \"-\""),
        ("labels", json!({"a": "x".repeat(64)}), "metadata.labels: Invalid value: \"xxx"),
        ("annotations", json!({"/a": ""}), "metadata.annotations: Invalid value: \"/a\""),
        ("annotations", json!({"a": "x".repeat(262_144)}), "metadata.annotations: Too long: may not be more than 262144 bytes"),
        ("finalizers", json!(["a/b/c"]), "metadata.finalizers: Invalid value: \"a/b/c\""),
        ("ownerReferences", json!([{"apiVersion": "v1", "kind": "Secret", "name": "s"}]), "metadata.ownerReferences.uid: Invalid value"),
        (
            "ownerReferences",
            json!([owner, owner]),
            "metadata.ownerReferences: Invalid value: \"a\": Only one reference can have Controller",
        ),
    ] {
        let object = edited(&widget("a", json!({})), |body| body["metadata"][field] = value);
        let causes = causes(create(&memory, object).await.unwrap_err());
        // What is too long keeps the rules from being run, which is one more cause.
        let more = usize::from(cause.contains("Too long"));
        assert!(causes.len() == 1 + more && causes[0].starts_with(cause), "{causes:?}");
    }
}

#[tokio::test]
async fn deletion_waits_for_finalizers_and_none_is_added_meanwhile() {
    let memory = world().await;
    let held = edited(&widget("a", json!({})), |body| body["metadata"]["finalizers"] = json!(["mandate.dev/one", "mandate.dev/two"]));
    create(&memory, held).await.unwrap();

    let going = delete(&memory, &key("a")).await.unwrap();
    assert_eq!(going.body["metadata"]["deletionTimestamp"], "2026-01-31T12:00:00Z");
    assert_eq!(going.generation(), 2);
    assert_eq!(delete(&memory, &key("a")).await.unwrap(), going, "asking again changes nothing");

    let more = json!({"metadata": {"finalizers": ["mandate.dev/one", "mandate.dev/three"]}});
    let refused = causes(patch(&memory, &key("a"), more).await.unwrap_err());
    let words = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, \
        found new finalizers []string{\"mandate.dev/three\"}";
    assert_eq!(refused, [words]);

    let fewer = patch(&memory, &key("a"), json!({"metadata": {"finalizers": ["mandate.dev/two"]}})).await.unwrap();
    assert_eq!((fewer.finalizers(), fewer.is_going()), (vec!["mandate.dev/two"], true));
    patch(&memory, &key("a"), json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(get(&memory, &key("a")).await, None);
}

#[tokio::test]
async fn a_deletion_cannot_be_taken_back() {
    let memory = world().await;
    let held = edited(&widget("a", json!({})), |body| body["metadata"]["finalizers"] = json!(["mandate.dev/one"]));
    create(&memory, held).await.unwrap();
    let going = delete(&memory, &key("a")).await.unwrap();
    let back = edited(&going, |body| drop(body["metadata"].as_object_mut().unwrap().remove("deletionTimestamp")));
    assert_eq!(update(&memory, &back).await.unwrap(), going);
}

#[tokio::test]
async fn unknown_metadata_is_dropped_warned_of_or_refused() {
    let memory = world().await;
    let odd = edited(&widget("a", json!({})), |body| body["metadata"]["colour"] = "red".into());
    let with = |field_validation| WriteOptions { field_validation, dry_run: false };
    let refused = write(&memory, odd.clone(), with(FieldValidation::Strict)).await.unwrap_err();
    let message = "Widget in version \"v1alpha1\" cannot be handled as a Widget: strict decoding error: unknown field \"metadata.colour\"";
    assert_eq!(bad_request(refused), message);
    let warned = write(&memory, odd.clone(), with(FieldValidation::Warn)).await.unwrap();
    assert_eq!(warned.warnings, ["unknown field \"metadata.colour\""]);
    assert!(warned.object.body["metadata"].get("colour").is_none());
    delete(&memory, &key("a")).await.unwrap();
    assert!(write(&memory, odd, with(FieldValidation::Ignore)).await.unwrap().warnings.is_empty());
}
