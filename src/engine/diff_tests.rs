use super::*;
use crate::engine::decision::Owner;
use crate::model::resource::{NAMESPACE, RESOURCE_QUOTA};

const OWNER: Owner<'_> = Owner { resource: &NAMESPACE, name: "acme", uid: "u-1" };

fn quota(name: &str, hard: &str) -> Child {
    let mut object = Object::named(&RESOURCE_QUOTA, "acme", name);
    object.body["spec"] = json!({"hard": {"count/x": hard}});
    Child::of(&OWNER, object, ChildMode::Kept, true)
}

/// What the world holds after the changes were made.
fn after(changes: &[Change]) -> Vec<Arc<Object>> {
    let stored = |object: &Object| {
        let mut object = object.clone();
        object.set_metadata("uid", "c-1".into());
        object.body["status"] = json!({"used": {}});
        Arc::new(object)
    };
    changes
        .iter()
        .filter_map(|change| match change {
            Change::Create(object) | Change::Update { object, .. } => Some(stored(object)),
            Change::Delete { .. } => None,
        })
        .collect()
}

#[test]
fn a_child_once_made_needs_nothing_until_one_of_our_fields_differs() {
    let desired = [quota("q", "3")];
    let live = after(&plan("u-1", &desired, &[]).changes);
    assert_eq!(plan("u-1", &desired, &live), Plan::default());

    let mut edited = (*live[0]).clone();
    edited.body["spec"]["hard"]["count/x"] = "9".into();
    let drift = plan("u-1", &desired, &[Arc::new(edited)]);
    assert!(matches!(&drift.changes[..], [Change::Update { fields, .. }] if fields == &["/spec/hard/count~1x"]), "{drift:?}");

    let mut labelled = (*live[0]).clone();
    labelled.body["metadata"]["labels"]["team"] = "x".into();
    assert_eq!(plan("u-1", &desired, &[Arc::new(labelled)]), Plan::default(), "others' fields are left alone");
}

#[test]
fn a_field_that_we_no_longer_set_is_noticed_by_the_digest() {
    let live = after(&plan("u-1", &[quota("q", "3")], &[]).changes);
    let mut fewer = quota("q", "3");
    fewer.object.body["spec"] = json!({"hard": {}});
    let changes = plan("u-1", &[fewer], &live).changes;
    assert!(
        matches!(&changes[..], [Change::Update { fields, .. }] if fields == &["/metadata/annotations/mandate.dev~1desired"]),
        "{changes:?}"
    );
}

#[test]
fn what_is_no_longer_desired_is_deleted_by_uid_but_only_if_it_is_ours() {
    let live = after(&plan("u-1", &[quota("q", "3")], &[]).changes);
    assert_eq!(plan("u-1", &[], &live).changes, [Change::Delete { key: live[0].key(), uid: "c-1".into() }]);
    assert_eq!(plan("u-2", &[], &live), Plan::default());
}

#[test]
fn a_strangers_object_of_the_same_name_is_neither_changed_nor_deleted() {
    let stranger = Arc::new(Object::named(&RESOURCE_QUOTA, "acme", "q"));
    let found = plan("u-1", &[quota("q", "3")], std::slice::from_ref(&stranger));
    assert_eq!(found, Plan { changes: vec![], taken: vec![stranger.key()] });
}

/// A namespace of somebody else's with these labels.
fn somebodys(labels: Value) -> Arc<Object> {
    let mut object = Object::named(&NAMESPACE, "", "acme");
    object.set_metadata("uid", "n-1".into());
    object.set_metadata("labels", labels);
    object.set_metadata("annotations", json!({"theirs": "x"}));
    Arc::new(object)
}

#[test]
fn of_somebody_elses_object_the_labels_asked_for_change_and_nothing_else() {
    let labels = |uid: &str, labels: Value| {
        let mut object = Object::named(&NAMESPACE, "", "acme");
        object.set_metadata("uid", uid.into());
        object.set_metadata("labels", labels);
        vec![Child { object, mode: ChildMode::Labels }]
    };
    let live = somebodys(json!({"a/b": "1", "theirs": "x"}));
    let taken_off = plan("u-1", &labels("n-1", json!({"a/b": null})), std::slice::from_ref(&live));
    let expected = Object::clone(&somebodys(json!({"theirs": "x"})));
    assert_eq!(taken_off.changes, [Change::Update { object: expected, fields: vec!["/metadata/labels/a~1b".into()] }]);
    let set = plan("u-1", &labels("n-1", json!({"c": "2"})), std::slice::from_ref(&live));
    let expected = Object::clone(&somebodys(json!({"a/b": "1", "c": "2", "theirs": "x"})));
    assert_eq!(set.changes, [Change::Update { object: expected, fields: vec!["/metadata/labels/c".into()] }]);

    let as_they_are = labels("n-1", json!({"a/b": "1", "c": null}));
    assert_eq!(plan("u-1", &as_they_are, std::slice::from_ref(&live)), Plan::default());
    assert_eq!(
        plan("u-1", &labels("n-2", json!({"a/b": null})), std::slice::from_ref(&live)),
        Plan::default(),
        "a successor of the same name"
    );
    assert_eq!(plan("u-1", &as_they_are, &[]), Plan::default(), "it is never made");
}
