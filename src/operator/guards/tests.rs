use serde_json::{Value, json};

use super::table::{GARBAGE_COLLECTOR, NAMESPACE_CONTROLLERS};
use super::*;
use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::auditrecord::api::RECORD;
use crate::kinds::operatordecision::api::DECISION;
use crate::kinds::provider::api::PROVIDER;
use crate::kinds::provisioningrequest::api::REQUEST;
use crate::kinds::provisioningschema::api::SCHEMA;
use crate::kinds::tenant::api::TENANT;
use crate::model::object::{FINALIZER, HOLDS_RECORDS, ObjectKey};
use crate::model::resource::NAMESPACE;
use crate::world::server::Authorizer;

fn identity(name: &str, groups: &[&str]) -> Identity {
    Identity { username: name.into(), groups: groups.iter().map(|group| (*group).to_owned()).collect() }
}

/// What the guards say without the prefix, which is checked.
fn refusal(who: &Identity, write: Write, object: Option<&Object>, old: Option<&Object>, going: bool) -> Option<String> {
    let key: ObjectKey = object.or(old).unwrap().key();
    let (operation, subresource) = match write {
        Write::Create => (Operation::Create, Subresource::Main),
        // Not served here: what the checks say of it is what they say of the main resource.
        Write::Update | Write::Finalize => (Operation::Update, Subresource::Main),
        Write::UpdateStatus => (Operation::Update, Subresource::Status),
        Write::Delete => (Operation::Delete, Subresource::Main),
    };
    let may = |verb: &str, resource: &Resource, namespace: &str| EmbeddedRights.may(who, verb, resource, Subresource::Main, namespace);
    let mut namespace = Object::named(&NAMESPACE, "", "acme");
    if going {
        namespace.set_metadata("deletionTimestamp", "2026-02-01T12:00:00Z".into());
    }
    let namespace = Some(&namespace);
    let request = AdmissionRequest { identity: who, operation, subresource, key: &key, object, old, namespace, may: &may };
    let refusal = all().iter().find_map(|guard| guard.refusal(&request))?;
    let prefix = format!("ValidatingAdmissionPolicy '{0}' with binding '{0}' denied request: ", policy_name(key.resource));
    Some(refusal.strip_prefix(&prefix).unwrap_or_else(|| panic!("{refusal}")).to_owned())
}

fn create(who: &Identity, object: &Object) -> Option<String> {
    refusal(who, Write::Create, Some(object), None, false)
}

fn update(who: &Identity, old: &Object, object: &Object) -> Option<String> {
    refusal(who, Write::Update, Some(object), Some(old), false)
}

fn decision(operator: &str, via: &str) -> Object {
    let mut object = Object::named(&DECISION, "acme", "d");
    object.body["spec"] = json!({"operator": operator, "via": via, "act": "Verify"});
    object
}

fn deployment(operator: &str, via: &str) -> Object {
    let mut object = Object::named(&DEPLOYMENT, "acme", "r");
    object.body["spec"] = json!({"operator": operator, "via": via, "version": "1.0"});
    object
}

fn changed(object: &Object, pointer: &str, value: Value) -> Object {
    let mut object = object.clone();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.body.pointer_mut(parent).unwrap()[field] = value;
    object
}

#[test]
fn a_decision_is_in_the_callers_name_or_openly_relayed() {
    let (operator, stranger) = (identity("ana", &[OPERATORS]), identity("eve", &[]));
    assert_eq!(create(&operator, &decision("ana", "Direct")), None);
    assert_eq!(create(&operator, &decision("ben", "Relay")), None);
    for (who, object, words) in [
        (&operator, decision("ben", "Direct"), "spec.operator is ben but the request is from ana: say via: Relay"),
        (&operator, decision("system:serviceaccount:a:b", "Relay"), "spec.operator system:serviceaccount:a:b is no person"),
        (&operator, decision(" system:node:n", "Relay"), "spec.operator  system:node:n is no person"),
        (&stranger, decision("eve", "Direct"), "eve may not verify (needs verb verify on operatordecisions.mandate.dev)"),
    ] {
        assert_eq!(create(who, &object).as_deref(), Some(words));
    }
}

#[test]
fn whoever_changes_a_deployment_answers_for_it() {
    let (ana, stranger) = (identity("ana", &[OPERATORS]), identity("eve", &[]));
    let anas = deployment("ana", "Direct");
    assert_eq!(create(&ana, &anas), None);
    assert_eq!(update(&ana, &anas, &changed(&anas, "/spec/version", json!("1.1"))), None);
    let said = "eve may not relay for ben (needs verb relay on assistantdeployments.mandate.dev)";
    assert_eq!(create(&stranger, &deployment("ben", "Relay")).as_deref(), Some(said));
    let edited = changed(&anas, "/spec/version", json!("1.1"));
    let said = "spec.operator is ana but the request is from eve: say via: Relay";
    assert_eq!(update(&stranger, &anas, &edited).as_deref(), Some(said));
    for pointer in ["/metadata/labels", "/spec/suspend"] {
        assert_eq!(update(&stranger, &anas, &changed(&anas, pointer, json!({"a": "b"}))), None, "{pointer}");
    }
}

#[test]
fn every_status_is_the_controllers() {
    let (admin, controller) = (identity("root", &["system:masters"]), Identity::controller());
    for resource in [&DEPLOYMENT, &DECISION, &PROVIDER, &REQUEST, &SCHEMA, &TENANT] {
        let object = Object::named(resource, "acme", "o");
        let status = |who: &Identity| refusal(who, Write::UpdateStatus, Some(&object), Some(&object), false);
        assert_eq!(status(&controller), None);
        let words = format!("root may not update the status of {}: the controller does", resource.plural);
        assert_eq!(status(&admin), Some(words));
    }
}

#[test]
fn only_the_controller_makes_records_and_requests() {
    let (admin, controller) = (identity("root", &["system:masters"]), Identity::controller());
    for resource in [&RECORD, &REQUEST] {
        let object = Object::named(resource, "acme", "o");
        assert_eq!(create(&controller, &object), None);
        assert_eq!(create(&admin, &object), Some(format!("root may not create {}: the controller does", resource.plural)));
    }
}

#[test]
fn records_go_with_their_namespace_or_by_breaking_glass_only() {
    let cases = [
        (identity("root", &["system:masters"]), true, false),
        (Identity::controller(), true, false),
        (identity(GARBAGE_COLLECTOR, &[]), true, false),
        (identity(NAMESPACE_CONTROLLERS[0], &[]), false, false),
        (identity(NAMESPACE_CONTROLLERS[0], &[]), true, true),
        (identity(NAMESPACE_CONTROLLERS[1], &[]), true, true),
        (identity("root", &[BREAK_GLASS]), false, true),
    ];
    for (resource, (who, going, allowed)) in
        [&RECORD, &DECISION].into_iter().flat_map(|resource| cases.iter().map(move |case| (resource, case)))
    {
        let object = Object::named(resource, "acme", "o");
        let words = format!("{} are records: {} may not delete them (group {BREAK_GLASS} may)", resource.plural, who.username);
        assert_eq!(refusal(who, Write::Delete, None, Some(&object), *going), (!allowed).then_some(words));
    }
    let request = Object::named(&REQUEST, "acme", "q");
    assert_eq!(refusal(&identity("root", &[]), Write::Delete, None, Some(&request), false), None);
}

#[test]
fn owners_of_records_may_go_but_not_come() {
    let bare = Object::named(&RECORD, "acme", "r");
    let owned = changed(&bare, "/metadata/ownerReferences", json!([{"uid": "u"}]));
    let other = changed(&bare, "/metadata/ownerReferences", json!([{"uid": "v"}]));
    let controller = Identity::controller();
    let words = Some("auditrecords take no ownerReferences: the garbage collector would delete the record".to_owned());
    assert_eq!(create(&controller, &owned), words);
    assert_eq!(update(&controller, &bare, &owned), words);
    assert_eq!(update(&controller, &owned, &other), words);
    assert_eq!(update(&controller, &owned, &bare), None);
    assert_eq!(update(&controller, &owned, &owned), None);
}

#[test]
fn frozen_specs_stay_to_the_letter() {
    let controller = Identity::controller();
    for resource in [&DECISION, &RECORD, &REQUEST, &SCHEMA] {
        let mut object = Object::named(resource, "acme", "o");
        object.body["spec"] = json!({"a": 1});
        let words = format!("the spec of {} never changes", resource.plural);
        assert_eq!(update(&controller, &object, &changed(&object, "/spec/a", json!(2))), Some(words));
        assert_eq!(update(&controller, &object, &changed(&object, "/metadata/labels", json!({"a": "b"}))), None);
    }
    for resource in [&TENANT, &PROVIDER] {
        let object = Object::named(resource, "", "o");
        assert_eq!(update(&controller, &object, &changed(&object, "/spec", json!({"a": 2}))), None);
    }
}

#[test]
fn the_finalizer_is_taken_off_by_the_controller_alone() {
    for resource in crate::kinds::crd::resources() {
        let bare = Object::named(resource, "acme", "q");
        let held = changed(&bare, "/metadata/finalizers", json!([FINALIZER, "other"]));
        let rest = changed(&bare, "/metadata/finalizers", json!(["other"]));
        let kept = changed(&bare, "/metadata/finalizers", json!([FINALIZER]));
        assert_eq!(update(&Identity::controller(), &held, &rest), None);
        for who in [identity("root", &["system:masters"]), identity(NAMESPACE_CONTROLLERS[0], &[])] {
            let words = format!("finalizer mandate.dev/outside is removed by the controller only, not by {}", who.username);
            assert_eq!(update(&who, &held, &rest), Some(words));
            assert_eq!(update(&who, &held, &kept), None);
        }
    }
}

/// The API server would otherwise leave it to chance which of several policies speaks.
#[test]
fn of_several_refusals_the_first_of_the_table_speaks() {
    let mut object = Object::named(&RECORD, "acme", "r");
    object.set_metadata("ownerReferences", json!([{"uid": "u"}]));
    assert_eq!(create(&identity("eve", &[]), &object).as_deref(), Some("eve may not create auditrecords: the controller does"));
    let policies = manifest::documents("mandate-system");
    let names: Vec<&str> = policies.iter().step_by(2).map(|policy| policy["metadata"]["name"].as_str().unwrap()).collect();
    let expected: Vec<String> = guarded().into_iter().map(policy_name).collect();
    assert_eq!(names, expected);
    let once: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(once.len(), names.len(), "one policy per resource");
}

fn namespace(labels: Value) -> Object {
    let mut object = Object::named(&NAMESPACE, "", "acme");
    object.set_metadata("labels", labels);
    object.body["spec"] = json!({"finalizers": ["kubernetes"]});
    object
}

#[test]
fn a_namespace_that_holds_records_goes_by_its_release_or_by_breaking_glass_only() {
    let (marked, bare) = (namespace(json!({ HOLDS_RECORDS: "true", "a": "b" })), namespace(json!({"a": "b"})));
    let delete = |who: &Identity, object: &Object| refusal(who, Write::Delete, None, Some(object), false);
    let (admin, controller) = (identity("root", &["system:masters"]), Identity::controller());
    for who in [&admin, &controller, &identity(NAMESPACE_CONTROLLERS[0], &[])] {
        let words = format!(
            "namespace acme holds records: {} may not delete it until its Tenant is deleted and released (group {BREAK_GLASS} may)",
            who.username
        );
        assert_eq!(delete(who, &marked), Some(words));
        assert_eq!(delete(who, &bare), None);
    }
    assert_eq!(delete(&identity("root", &[BREAK_GLASS]), &marked), None);

    for write in [Write::Update, Write::UpdateStatus] {
        let edit = |who: &Identity, object: &Object| refusal(who, write, Some(object), Some(&marked), false);
        for other in [&bare, &namespace(json!({ HOLDS_RECORDS: "false" }))] {
            let words = "label mandate.dev/holds-records of namespace acme is taken off by the controller only, not by root";
            assert_eq!(edit(&admin, other).as_deref(), Some(words));
            assert!(edit(&identity("root", &[BREAK_GLASS]), other).is_some(), "whoever breaks the glass deletes it instead");
            assert_eq!(edit(&controller, other), None);
        }
        assert_eq!(edit(&admin, &namespace(json!({ HOLDS_RECORDS: "true" }))), None, "other labels are the user's");
    }
    assert_eq!(update(&admin, &bare, &marked), None, "one label too many is no harm");
}

/// The embedded world serves no finalize, and no definitions: their checks are asked directly.
fn asked_of(guard: &str, who: &Identity, operation: Operation, old: &Object, object: Option<&Object>) -> Option<String> {
    let key = old.key();
    let subresource = Subresource::Main;
    let request = AdmissionRequest {
        identity: who,
        operation,
        subresource,
        key: &key,
        object,
        old: Some(old),
        namespace: None,
        may: &|_, _, _| true,
    };
    let asked = Asked { request: &request, controller: &Identity::controller().username };
    TABLE.iter().find(|one| one.name == guard).unwrap().checks.iter().find_map(|check| (check.refusal)(&asked))
}

#[test]
fn a_namespace_is_finalized_by_the_namespace_controller_alone() {
    let held = namespace(json!({ HOLDS_RECORDS: "true" }));
    let finalized = changed(&held, "/spec/finalizers", json!([]));
    let finalize =
        |who: &str, object: &Object| asked_of("namespace-finalized", &identity(who, &[]), Operation::Update, &held, Some(object));
    assert_eq!(finalize("root", &finalized).as_deref(), Some("namespace acme is finalized by the namespace controller only, not by root"));
    assert_eq!(finalize("root", &held), None);
    assert_eq!(finalize(NAMESPACE_CONTROLLERS[0], &finalized), None);
}

#[test]
fn our_definitions_are_changed_and_deleted_by_breaking_glass_only() {
    let mut ours = Object::named(&table::DEFINITION, "", "auditrecords.mandate.dev");
    ours.body["spec"] = json!({"group": "mandate.dev", "versions": []});
    let other = changed(&ours, "/spec/group", json!("example.com"));
    let (edited, labelled) = (changed(&ours, "/spec/versions", json!([{}])), changed(&ours, "/metadata/labels", json!({"a": "b"})));
    let (admin, glass) = (identity("root", &["system:masters"]), identity("root", &[BREAK_GLASS]));
    let ask = |who: &Identity, operation, old: &Object, new: Option<&Object>| asked_of("definition-kept", who, operation, old, new);
    let words = |what: &str| {
        Some(format!("auditrecords.mandate.dev defines how records are kept: root may not {what} it (group {BREAK_GLASS} may)"))
    };
    assert_eq!(ask(&admin, Operation::Update, &ours, Some(&edited)), words("change"));
    assert_eq!(ask(&admin, Operation::Delete, &ours, None), words("delete"));
    for (who, operation, old, new) in [
        (&admin, Operation::Update, &ours, Some(&ours)),
        (&admin, Operation::Update, &ours, Some(&labelled)),
        (&glass, Operation::Update, &ours, Some(&edited)),
        (&glass, Operation::Delete, &ours, None),
        (&admin, Operation::Update, &other, Some(&edited)),
        (&admin, Operation::Delete, &other, None),
    ] {
        assert_eq!(ask(who, operation, old, new), None);
    }
}
