//! The committed policies and roles are the generated ones; roles hold what is declared and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use mandate::engine::port::Verb;
use mandate::kinds::{KINDS, crd};
use mandate::model::resource::{CORE_EVENT, EVENT, NAMESPACE};
use mandate::operator::guards::{self, EmbeddedRights, OPERATORS, manifest};
use mandate::operator::{leader, notify, rbac};
use mandate::world::server::{Authorizer, Identity, Subresource};
use serde_json::{Value, json};

fn committed(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(name)).unwrap_or_default()
}

#[test]
fn the_committed_guards_and_roles_are_fresh() {
    let fresh = [("guards", manifest::yaml("mandate-system").unwrap()), ("rbac", rbac::yaml("mandate-system").unwrap())];
    for (name, text) in fresh {
        assert!(committed(&format!("{name}.yaml")) == text, "crds/{name}.yaml is stale: run `mandate {name} --dir crds`");
    }
}

#[test]
fn guards_and_roles_are_printed_for_the_system_namespace_asked_for() {
    for (name, documents) in [("guards", manifest::documents("control")), ("rbac", rbac::documents("control"))] {
        let output = super::mandate(&[name, "--system-namespace", "control"], "");
        let text = super::said(&output);
        assert_eq!(serde_yaml::from_multiple::<Value>(text).unwrap(), documents);
        assert!(!text.contains("mandate-system") && text.contains("control"), "{text}");
    }
    assert_eq!(super::mandate(&["rbac", "--system-namespace", "No Label"], "").status.code(), Some(2));
}

fn named(kind: &str, name: &str) -> Value {
    let is_it = |document: &Value| document["kind"] == kind && document["metadata"]["name"] == name;
    rbac::documents("mandate-system").into_iter().find(is_it).unwrap()
}

/// `group/resource verb` for each thing that a role's rules grant.
fn granted(role: &Value) -> BTreeSet<String> {
    let mut granted = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let texts = |field: &str| rule[field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        for (group, resource) in
            texts("apiGroups").iter().flat_map(|group| texts("resources").into_iter().map(move |it| (group.clone(), it)))
        {
            for verb in texts("verbs") {
                assert!(granted.insert(format!("{group}/{resource} {verb}")), "{group}/{resource} {verb} is granted twice");
            }
        }
    }
    granted
}

fn declared(platform_only: bool) -> BTreeSet<String> {
    let accesses = KINDS.iter().flat_map(|kind| kind.reads().iter().chain(kind.writes())).chain([&leader::ACCESS, &notify::ACCESS]);
    let wanted = accesses.filter(|access| access.resource.is_platform_only() == platform_only);
    let word = |verb: &Verb| match verb {
        Verb::Get => " get",
        Verb::List => " list",
        Verb::Watch => " watch",
        Verb::Create => " create",
        Verb::Update => " update",
        Verb::UpdateStatus => "/status update",
        Verb::Delete => " delete",
    };
    let line =
        |access: &mandate::engine::port::Access, verb: &Verb| format!("{}/{}{}", access.resource.group, access.resource.plural, word(verb));
    wanted.flat_map(|access| access.verbs.iter().map(move |verb| line(access, verb))).collect()
}

#[test]
fn the_controller_gets_what_its_kinds_declare_and_nothing_else() {
    let mut everywhere = declared(false);
    everywhere.insert("rbac.authorization.k8s.io/clusterroles bind".into());
    assert_eq!(granted(&named("ClusterRole", "mandate")), everywhere);
    let at_home = declared(true);
    let role = named("Role", "mandate");
    assert_eq!(granted(&role), at_home);
    assert_eq!(role["metadata"]["namespace"], "mandate-system");
    assert!(
        at_home.iter().filter(|line| line.contains("secrets")).all(|line| ["get", "list", "watch"].iter().any(|verb| line.ends_with(verb)))
    );
}

#[test]
fn bind_names_the_roles_that_tenants_refer_to_and_those_exist() {
    let role = named("ClusterRole", "mandate");
    let bind = role["rules"].as_array().unwrap().iter().find(|rule| rule["verbs"] == json!(["bind"])).unwrap();
    let names = ["mandate-tenant-admin", "mandate-tenant-consumer", "mandate-tenant-viewer"];
    assert_eq!(bind["resourceNames"], json!(names));
    for name in names {
        assert_eq!(granted(&named("ClusterRole", name)), BTreeSet::from(["mandate.dev/executioncontracts consume".to_owned()]));
    }
}

#[test]
fn nobody_is_granted_a_wildcard_and_secrets_are_read_at_home_only() {
    for document in rbac::documents("mandate-system") {
        let text = document.to_string();
        assert!(!text.contains("\"*\""), "{text}");
        assert!(!text.contains("\"secrets\"") || document["kind"] == "Role", "{text}");
    }
}

/// An operator has the right to each act, but speaks in another's name only where that is granted besides.
#[test]
fn every_act_is_a_verb_of_operators_and_relay_is_not() {
    let decisions = crd::all().iter().find(|defined| defined.resource.kind == "OperatorDecision").unwrap();
    let acts = decisions.crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/act/enum").unwrap();
    let operator = granted(&named("ClusterRole", "mandate-operator"));
    for act in acts.as_array().unwrap() {
        let line = format!("mandate.dev/operatordecisions {}", act.as_str().unwrap().to_lowercase());
        assert!(operator.contains(&line), "{line}");
    }
    assert!(operator.iter().all(|line| !line.ends_with(" relay")));
    let relays = ["assistantdeployments", "operatordecisions"].map(|plural| format!("mandate.dev/{plural} relay"));
    assert_eq!(granted(&named("ClusterRole", "mandate-relay")), BTreeSet::from(relays));
}

/// What a role grants to people on a cluster, `up` grants to the same group.
#[test]
fn the_embedded_world_grants_its_people_no_less_than_these_roles() {
    let holders = [
        ("mandate-operator", OPERATORS),
        ("mandate-relay", OPERATORS),
        ("mandate-platform", OPERATORS),
        ("mandate-break-glass", guards::BREAK_GLASS),
    ];
    for (role, group) in holders {
        let who = Identity { username: "ana".into(), groups: vec![group.into()] };
        let served = || crd::resources().into_iter().chain([&NAMESPACE, &EVENT, &CORE_EVENT]);
        // Definitions are the program's own here: there is nothing to change or delete.
        let lines = granted(&named("ClusterRole", role)).into_iter().filter(|line| !line.contains("/customresourcedefinitions "));
        for line in lines {
            let (resource, verb) = line.split_once(' ').unwrap();
            let resource = served().find(|known| format!("{}/{}", known.group, known.plural) == resource).unwrap();
            assert!(EmbeddedRights.may(&who, verb, resource, Subresource::Main, "acme"), "{role}: {line}");
        }
    }
}

#[test]
fn policies_name_versions_and_resources_exactly_and_refuse_with_403() {
    for policy in manifest::documents("mandate-system").iter().filter(|document| document["kind"] == "ValidatingAdmissionPolicy") {
        let text = policy.to_string();
        assert!(!text.contains("\"*\"") && !text.contains("*/"), "{text}");
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
        for validation in policy["spec"]["validations"].as_array().unwrap() {
            assert_eq!(validation["reason"], "Forbidden");
            // The API server has no authorizer there and would say `failed expression` instead.
            assert!(!validation["messageExpression"].as_str().unwrap().contains("authorizer"), "{validation}");
        }
    }
}
