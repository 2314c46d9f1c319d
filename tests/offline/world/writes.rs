//! Create, update, status, patch, delete.

use mandate::engine::port::WorldError;
use mandate::model::limits::MAX_OBJECT_BYTES;
use mandate::model::resource::SECRET;
use mandate::world::server::{AdmissionRequest, Authorizer, Guard, Operation};
use std::sync::Mutex;

use super::*;

#[tokio::test]
async fn a_new_object_gets_what_the_server_sets() {
    let memory = world().await;
    let made = create(&memory, widget("a", json!({"size": 2}))).await.unwrap();
    assert_eq!(made.uid(), "00000000-0000-0000-0000-000000000002");
    assert_eq!(made.generation(), 1);
    assert_eq!(made.body["metadata"]["creationTimestamp"], "2026-01-31T12:00:00Z");
    assert_eq!(made.resource_version(), memory.resource_version().to_string());
    assert_eq!(get(&memory, &key("a")).await, Some(made));
}

#[tokio::test]
async fn what_only_the_server_sets_is_not_taken_from_the_client() {
    let memory = world().await;
    let forged = edited(&widget("a", json!({})), |body| {
        body["metadata"]["generation"] = 7.into();
        body["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z".into();
        body["metadata"]["uid"] = "mine".into();
        body["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
        body["status"] = json!({"observedGeneration": 9, "note": "forged"});
    });
    let made = create(&memory, forged).await.unwrap();
    assert_eq!((made.generation(), made.is_going()), (1, false));
    assert_ne!(made.uid(), "mine");
    assert!(made.body["metadata"].get("managedFields").is_none());
    assert_ne!(made.body["status"]["note"], "forged");
}

#[tokio::test]
async fn the_second_object_of_a_name_is_refused() {
    let memory = world().await;
    create(&memory, widget("a", json!({}))).await.unwrap();
    let refused = create(&memory, widget("a", json!({"size": 3}))).await.unwrap_err();
    assert_eq!(refused, WorldError::AlreadyExists(key("a")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_concurrent_creates_of_one_name_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    for options in [options(), stored_in(&Store::open(directory.path()).unwrap())] {
        let memory = world_of(options).await;
        let tasks: Vec<_> = (0..1000)
            .map(|size| {
                let memory = memory.clone();
                tokio::spawn(async move { create(&memory, widget("a", json!({"size": size + 1}))).await })
            })
            .collect();
        let mut won = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(object) => won.push(object),
                Err(error) => assert_eq!(error, WorldError::AlreadyExists(key("a"))),
            }
        }
        assert_eq!(won.len(), 1);
        assert_eq!(get(&memory, &key("a")).await, won.pop());
    }
}

#[tokio::test]
async fn a_main_update_keeps_the_status_and_a_status_update_keeps_the_rest() {
    let memory = world().await;
    let made = create(&memory, widget("a", json!({"size": 1}))).await.unwrap();
    let both = |object: &Object| {
        edited(object, |body| {
            body["spec"]["size"] = 5.into();
            body["status"] = json!({"observedGeneration": 1, "note": "seen"});
            body["metadata"]["labels"] = json!({"tier": "gold"});
        })
    };
    let after_status = update_status(&memory, &both(&made)).await.unwrap();
    assert_eq!(after_status.body["spec"]["size"], 1);
    assert_eq!(after_status.body["status"]["note"], "seen");
    assert_eq!((after_status.label("tier"), after_status.generation()), (None, 1));

    let changed = edited(&both(&after_status), |body| body["status"] = json!({"note": "ignored"}));
    let after_main = update(&memory, &changed).await.unwrap();
    assert_eq!(after_main.body["spec"]["size"], 5);
    assert_eq!(after_main.body["status"]["note"], "seen");
    assert_eq!((after_main.label("tier"), after_main.generation()), (Some("gold"), 2));
}

#[tokio::test]
async fn metadata_alone_does_not_move_the_generation() {
    let memory = world().await;
    let made = create(&memory, widget("a", json!({}))).await.unwrap();
    let labelled = patch(&memory, &key("a"), json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap();
    assert_eq!((made.generation(), labelled.generation()), (1, 1));
    assert_ne!(made.resource_version(), labelled.resource_version());
}

#[tokio::test]
async fn an_update_that_changes_nothing_writes_nothing() {
    let memory = world().await;
    let made = create(&memory, widget("a", json!({"size": 1}))).await.unwrap();
    let before = memory.resource_version();
    assert_eq!(update(&memory, &made).await.unwrap(), made);
    assert_eq!(update_status(&memory, &made).await.unwrap(), made);
    assert_eq!(patch(&memory, &key("a"), json!({"spec": {"size": 1}, "metadata": {"labels": null}})).await.unwrap(), made);
    assert_eq!(memory.resource_version(), before);
}

#[tokio::test]
async fn a_write_that_is_meant_for_another_state_is_a_conflict() {
    const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";
    let memory = world().await;
    let made = create(&memory, widget("a", json!({}))).await.unwrap();
    patch(&memory, &key("a"), json!({"spec": {"size": 2}})).await.unwrap();

    assert_eq!(conflict(update(&memory, &made).await.unwrap_err()), MODIFIED);
    assert_eq!(conflict(update_status(&memory, &made).await.unwrap_err()), MODIFIED);
    let stale = json!({"metadata": {"resourceVersion": made.resource_version()}, "spec": {"size": 3}});
    assert_eq!(conflict(patch(&memory, &key("a"), stale).await.unwrap_err()), MODIFIED);

    let other = edited(&made, |body| body["metadata"]["uid"] = "other".into());
    let uid = format!("Precondition failed: UID in precondition: other, UID in object meta: {}", made.uid());
    assert_eq!(conflict(update(&memory, &other).await.unwrap_err()), uid);
    let preconditions = Preconditions { uid: Some("other".into()), resource_version: None };
    assert_eq!(conflict(memory.delete(&me(), &key("a"), &preconditions).await.unwrap_err()), uid);
    let preconditions = Preconditions { uid: None, resource_version: Some(made.resource_version().into()) };
    let version = conflict(memory.delete(&me(), &key("a"), &preconditions).await.unwrap_err());
    assert!(version.starts_with("Precondition failed: ResourceVersion in precondition"), "{version}");

    let patched = patch(&memory, &key("a"), json!({"metadata": {"uid": "other"}})).await.unwrap_err();
    assert_eq!(causes(patched), ["metadata.uid: Invalid value: \"other\": field is immutable"]);
    assert_eq!(get(&memory, &key("a")).await.unwrap().body["spec"]["size"], 2);
}

#[tokio::test]
async fn only_built_in_objects_are_replaced_without_a_resource_version() {
    let memory = world().await;
    let made = create(&memory, widget("a", json!({}))).await.unwrap();
    let blind = edited(&made, |body| drop(body["metadata"].as_object_mut().unwrap().remove("resourceVersion")));
    let refused = update(&memory, &blind).await.unwrap_err();
    assert_eq!(causes(refused), ["metadata.resourceVersion: Invalid value: 0: must be specified for an update"]);

    create(&memory, Object::named(&SECRET, "acme", "s")).await.unwrap();
    let secret = edited(&Object::named(&SECRET, "acme", "s"), |body| body["data"] = json!({"token": "eA=="}));
    assert_eq!(update(&memory, &secret).await.unwrap().body["data"]["token"], "eA==");
}

#[tokio::test]
async fn a_merge_patch_removes_nulls_and_keeps_the_rest() {
    let memory = world().await;
    create(&memory, widget("a", json!({"size": 2, "colour": "red"}))).await.unwrap();
    let patched = patch(&memory, &key("a"), json!({"spec": {"colour": null, "text": "t"}})).await.unwrap();
    assert_eq!(patched.body["spec"], json!({"size": 2, "text": "t"}));
    assert_eq!(patched.generation(), 2);
    let renamed = patch(&memory, &key("a"), json!({"metadata": {"name": "b"}})).await.unwrap_err();
    assert!(bad_request(renamed).contains("does not match the name on the URL"));
    assert_eq!(patch(&memory, &key("absent"), json!({})).await.unwrap_err(), WorldError::NotFound(key("absent")));
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_stores_nothing() {
    let memory = world().await;
    let before = memory.resource_version();
    let dry = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let would = write(&memory, widget("a", json!({"size": 2})), dry).await.unwrap().object;
    assert_eq!(would.generation(), 1);
    assert_eq!((get(&memory, &key("a")).await, memory.resource_version()), (None, before));
    let refused = write(&memory, widget("A", json!({})), dry).await.unwrap_err();
    assert!(matches!(refused, WorldError::Invalid { .. }));

    let made = create(&memory, widget("a", json!({}))).await.unwrap();
    let changed = edited(&made, |body| body["spec"]["size"] = 9.into());
    memory.update(&me(), changed, Subresource::Main, dry).await.unwrap();
    assert_eq!(get(&memory, &key("a")).await, Some(made));
}

#[tokio::test]
async fn an_object_that_etcd_would_not_take_is_too_large() {
    let memory = world().await;
    let refused = create(&memory, widget("a", json!({"text": "x".repeat(MAX_OBJECT_BYTES)}))).await.unwrap_err();
    assert!(matches!(refused, WorldError::TooLarge { bytes, limit: MAX_OBJECT_BYTES, .. } if bytes > MAX_OBJECT_BYTES));
    create(&memory, widget("a", json!({"text": "x".repeat(MAX_OBJECT_BYTES - 1000)}))).await.unwrap();
}

#[tokio::test]
async fn documents_of_another_type_are_bad_requests() {
    let memory = world().await;
    let cases: [(&str, Value, &str); 8] = [
        ("/apiVersion", json!("v1"), "the API version in the data (v1) does not match the expected API version (mandate.dev/v1alpha1)"),
        ("/kind", json!(""), "the kind in the data () does not match the expected kind (Widget)"),
        ("/metadata/labels", json!({"a": 1}), "metadata.labels has the wrong type"),
        ("/metadata/finalizers", json!("x"), "metadata.finalizers has the wrong type"),
        ("/metadata/ownerReferences", json!(["x"]), "metadata.ownerReferences has the wrong type"),
        ("/metadata/generateName", json!("a-"), "metadata.generateName is not supported by this server: set metadata.name"),
        ("/metadata/resourceVersion", json!("5"), "resourceVersion should not be set on objects to be created"),
        ("/metadata/namespace", json!(""), "an empty namespace may not be set during creation"),
    ];
    for (pointer, value, message) in cases {
        let object = edited(&widget("a", json!({})), |body| {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[field] = value;
        });
        assert_eq!(bad_request(create(&memory, object).await.unwrap_err()), message);
    }
    let gadget = edited(&widget("a", json!({})), |body| body["kind"] = "Gadget".into());
    assert_eq!(causes(create(&memory, gadget).await.unwrap_err()), ["kind: Invalid value: \"Gadget\": must be Widget"]);
    for body in [json!(null), json!([]), json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "Widget"})] {
        assert!(matches!(create(&memory, Object { resource: &WIDGET, body }).await, Err(WorldError::BadRequest(_))));
    }
}

#[tokio::test]
async fn secrets_are_kept_encoded() {
    let memory = world().await;
    let plain = edited(&Object::named(&SECRET, "acme", "s"), |body| {
        body["stringData"] = json!({"token": "geheim"});
        body["data"] = json!({"other": "eA=="});
    });
    let made = create(&memory, plain.clone()).await.unwrap();
    assert_eq!(made.body["data"], json!({"token": "Z2VoZWlt", "other": "eA=="}));
    assert!(made.body.get("stringData").is_none());
    assert_eq!(made.body["type"], "Opaque");
    assert_eq!(made.generation(), 0, "built-in objects have no generation");

    let again = update(&memory, &plain).await.unwrap();
    assert_eq!(again, made, "the same text again is no change");
    let no_base64 = edited(&made, |body| body["data"]["token"] = "ä".into());
    assert!(bad_request(update(&memory, &no_base64).await.unwrap_err()).contains("data.token is not base64"));
}

struct NoRed;

impl Guard for NoRed {
    fn refusal(&self, request: &AdmissionRequest<'_>) -> Option<String> {
        assert!((request.may)("get", &WIDGET, "acme"));
        let document = request.object.or(request.old)?;
        let red = document.body["spec"]["colour"] == "red" && request.operation != Operation::Delete;
        assert_ne!(document.body["spec"]["text"], "panic", "a fault of a guard");
        red.then(|| format!("{} may not paint {} red", request.identity.username, request.key.name))
    }
}

#[tokio::test]
async fn guards_see_the_object_as_it_would_be_stored_and_refuse_with_their_reason() {
    let memory = world_of(guarded(NoRed)).await;
    let refused = create(&memory, widget("a", json!({"colour": "red"}))).await.unwrap_err();
    assert_eq!(forbidden(refused), "ada may not paint a red");
    create(&memory, widget("a", json!({"colour": "blue"}))).await.unwrap();
    let refused = patch(&memory, &key("a"), json!({"spec": {"colour": "red"}})).await.unwrap_err();
    assert_eq!(forbidden(refused), "ada may not paint a red");
    assert_eq!(get(&memory, &key("a")).await.unwrap().body["spec"]["colour"], "blue");
    delete(&memory, &key("a")).await.unwrap();
}

#[tokio::test]
async fn a_fault_of_ours_while_judging_one_write_does_not_stop_the_next() {
    let memory = world_of(guarded(NoRed)).await;
    let failed = create(&memory, widget("a", json!({"text": "panic"}))).await.unwrap_err();
    assert!(matches!(failed, WorldError::Unavailable { .. }), "{failed}");
    create(&memory, widget("b", json!({}))).await.unwrap();
    assert_eq!(names(&list(&memory, &all(&WIDGET)).await), ["b"]);
}

/// Allows all but one verb.
struct AllBut(Mutex<&'static str>);

impl Authorizer for AllBut {
    fn may(&self, _: &Identity, verb: &str, _: &Resource, subresource: Subresource, _: &str) -> bool {
        let asked = if subresource == Subresource::Status { format!("{verb} status") } else { verb.to_owned() };
        *self.0.lock().unwrap() != asked
    }
}

#[tokio::test]
async fn every_verb_is_authorized() {
    let authorizer = Arc::new(AllBut(Mutex::new("")));
    let memory = world_of(MemoryOptions { authorizer: Arc::clone(&authorizer) as Arc<dyn Authorizer>, ..options() }).await;
    let made = create(&memory, widget("a", json!({}))).await.unwrap();
    let selection = Selection { namespace: Some("acme".into()), ..all(&WIDGET) };
    for verb in ["get", "list", "watch", "create", "update", "update status", "patch", "delete"] {
        *authorizer.0.lock().unwrap() = verb;
        let refused = match verb {
            "get" => memory.get(&me(), &key("a")).await.err(),
            "list" => memory.list(&me(), &selection).await.err(),
            "watch" => memory.watch(&me(), &selection, 0).await.err(),
            "create" => create(&memory, widget("b", json!({}))).await.err(),
            "update" => update(&memory, &made).await.err(),
            "update status" => update_status(&memory, &made).await.err(),
            "patch" => patch(&memory, &key("a"), json!({})).await.err(),
            _ => delete(&memory, &key("a")).await.err(),
        };
        let (verb, plural) = verb.strip_suffix(" status").map_or((verb, "widgets"), |verb| (verb, "widgets/status"));
        let words = format!(r#"User "ada" cannot {verb} resource "{plural}" in API group "mandate.dev" in the namespace "acme""#);
        assert_eq!(forbidden(refused.unwrap()), words);
    }
}

#[tokio::test]
async fn nothing_is_created_where_there_is_no_namespace_or_it_is_going() {
    let memory = world().await;
    let mut elsewhere = widget("a", json!({}));
    elsewhere.set_metadata("namespace", "nowhere".into());
    let namespace = ObjectKey::new(&NAMESPACE, "", "nowhere");
    assert_eq!(create(&memory, elsewhere).await.unwrap_err(), WorldError::NotFound(namespace));

    let held = edited(&widget("held", json!({})), |body| body["metadata"]["finalizers"] = json!(["mandate.dev/outside"]));
    let held = create(&memory, held).await.unwrap();
    delete(&memory, &ObjectKey::new(&NAMESPACE, "", "acme")).await.unwrap();
    let refused = create(&memory, widget("late", json!({}))).await.unwrap_err();
    assert_eq!(forbidden(refused), "unable to create new content in namespace acme because it is being terminated");
    let held = get(&memory, &held.key()).await.unwrap();
    update_status(&memory, &edited(&held, |body| body["status"] = json!({"note": "still written"}))).await.unwrap();
}

#[tokio::test]
async fn a_resource_that_is_not_served_is_not_found() {
    static OTHER: Resource = ours("Other", "others", false);
    let memory = world().await;
    let key = ObjectKey::new(&OTHER, "", "a");
    assert_eq!(memory.get(&me(), &key).await.unwrap_err(), WorldError::NotFound(key.clone()));
    assert_eq!(create(&memory, Object::named(&OTHER, "", "a")).await.unwrap_err(), WorldError::NotFound(key));
}
