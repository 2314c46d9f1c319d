use serde_json::json;

use super::*;
use crate::model::object::{Object, ObjectKey};

fn identity(name: &str, groups: &[&str]) -> Identity {
    Identity { username: name.into(), groups: groups.iter().map(|group| (*group).to_owned()).collect() }
}

fn refusal(
    identity: &Identity,
    operation: Operation,
    subresource: Subresource,
    object: Option<&Object>,
    old: Option<&Object>,
) -> Option<String> {
    let key: ObjectKey = object.or(old).unwrap().key();
    let may = |verb: &str, resource: &Resource, namespace: &str| EmbeddedRights.may(identity, verb, resource, Subresource::Main, namespace);
    let request = AdmissionRequest { identity, operation, subresource, key: &key, object, old, may: &may };
    all().iter().find_map(|guard| guard.refusal(&request))
}

fn decision(operator: &str, via: &str) -> Object {
    let mut object = Object::named(&DECISION, "acme", "d");
    object.body["spec"] = json!({"operator": operator, "via": via, "act": "Verify"});
    object
}

#[test]
fn a_decision_is_in_the_callers_name_or_openly_relayed() {
    let (operator, stranger) = (identity("ana", &[OPERATORS]), identity("eve", &[]));
    let create = |who: &Identity, object: &Object| refusal(who, Operation::Create, Subresource::Main, Some(object), None);
    assert_eq!(create(&operator, &decision("ana", "Direct")), None);
    assert_eq!(create(&operator, &decision("ben", "Relay")), None);
    for (who, object, needle) in [
        (&operator, decision("ben", "Direct"), "say via: Relay"),
        (&operator, decision("system:serviceaccount:a:b", "Relay"), "no person"),
        (&stranger, decision("eve", "Direct"), "needs verb verify"),
    ] {
        let refused = create(who, &object).unwrap_or_default();
        assert!(refused.contains(needle), "{refused}");
    }
}

#[test]
fn only_the_controller_writes_status_and_records_and_nobody_deletes_records() {
    let admin = identity("root", &[MASTERS]);
    let controller = Identity::controller();
    let record = Object::named(&RECORD, "acme", "r");
    let request = Object::named(&REQUEST, "acme", "q");
    let status = |who: &Identity| refusal(who, Operation::Update, Subresource::Status, Some(&request), Some(&request));
    assert!(status(&admin).is_some() && status(&controller).is_none());
    for object in [&record, &request] {
        let create = |who: &Identity| refusal(who, Operation::Create, Subresource::Main, Some(object), None);
        assert!(create(&admin).is_some() && create(&controller).is_none());
    }
    let delete = |who: &Identity| refusal(who, Operation::Delete, Subresource::Main, None, Some(&record));
    assert!(delete(&admin).is_some() && delete(&controller).is_some());
    assert!(delete(&identity(GARBAGE_COLLECTOR, &[])).is_some());
    assert!(delete(&identity(NAMESPACE_CONTROLLER, &[])).is_none());
}

#[test]
fn records_take_no_owner_and_the_finalizer_is_the_controllers() {
    let mut owned = Object::named(&RECORD, "acme", "r");
    owned.set_metadata("ownerReferences", json!([{"uid": "u"}]));
    assert!(refusal(&Identity::controller(), Operation::Create, Subresource::Main, Some(&owned), None).is_some());
    let bare = Object::named(&REQUEST, "acme", "q");
    let mut held = bare.clone();
    held.set_metadata("finalizers", json!([FINALIZER]));
    let remove = |who: &Identity| refusal(who, Operation::Update, Subresource::Main, Some(&bare), Some(&held));
    assert!(remove(&identity("root", &[MASTERS])).is_some());
    assert!(remove(&Identity::controller()).is_none());
}
