//! Under the guards and the generated roles: several users ask both servers for the same, and get the same answers.

use std::sync::Arc;

use mandate::operator::guards::BREAK_GLASS;
use mandate::operator::{embedded, guards};
use serde_json::{Value, json};

use super::chance::Chance;
use super::roles::{self, RELAYED, Roles};
use super::{at_version, with};
use crate::Test;
use crate::control_plane::users::{ADMIN, AGENT, CONTROLLER, GLASS_BREAKER, NOBODY, OPERATOR, User};
use crate::control_plane::{ControlPlane, Controllers, eventually};
use crate::ours::{self, FINALIZER, SOON, collection, path};
use crate::tests;
use crate::twins::{Rules, Step, Twins, delete, get, merge, post, put};

/// Everybody who asks.
const EVERYBODY: [&User; 6] = [&ADMIN, &CONTROLLER, &OPERATOR, &NOBODY, &AGENT, &GLASS_BREAKER];
const ELSEWHERE: &str = "guarded-b";
const NAMESPACES: [&str; 2] = [RELAYED, ELSEWHERE];
/// Requests by chance.
const REQUESTS: usize = 1500;

pub fn alone() -> Vec<Test> {
    tests![whoever_asks_is_answered_alike_under_the_guards]
}

/// One control plane for all of it: each part in objects of its own.
async fn whoever_asks_is_answered_alike_under_the_guards() {
    let plane = Arc::new(ours::plane(Controllers::Stock).await);
    let admin = plane.api(&ADMIN);
    for name in NAMESPACES {
        ours::create(&admin, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
    }
    let generated = mandate::operator::rbac::documents("mandate-system").len();
    for document in roles::documents().split_off(generated) {
        ours::create(&admin, &document).await;
    }
    ours::guard(&admin, &ours::objects(&admin).await).await;
    until_granted(&plane).await;

    let mut twins = twins(&plane, Rules { definitions: embedded::definitions(), ..rules() }).await;
    twins.ask_all(every_write_by_everybody()).await;
    twins.must_agree("every write of every kind by everybody");
    twins.ask_all(in_whose_name()).await;
    twins.must_agree("decisions and deployments in somebody's name");
    twins.ask_all(deployments_change_hands()).await;
    twins.must_agree("changes of deployments");
    twins.ask_all(records_go_with_their_namespace()).await;
    twins.must_agree("records and their namespace");
    by_chance(&mut twins).await;
    every_guard_has_spoken(&twins);
    drop(twins);
    frozen_without_the_rule(&plane).await;
}

/// Of every kind that it covers: otherwise nothing was compared. (Frozen specs have a part of their own.)
fn every_guard_has_spoken(twins: &Twins) {
    let (records, named) = (["auditrecords", "operatordecisions"], ["assistantdeployments", "operatordecisions"]);
    let mut expected: Vec<(&str, String)> = Vec::new();
    for plural in mandate::kinds::crd::resources().map(|resource| resource.plural) {
        if plural != "auditrecords" {
            expected.push((plural, format!("may not update the status of {plural}: the controller does")));
        }
        expected.push((plural, format!("finalizer {FINALIZER} is removed by the controller only, not by")));
    }
    expected
        .extend(["auditrecords", "provisioningrequests"].map(|plural| (plural, format!("may not create {plural}: the controller does"))));
    expected.extend(records.map(|plural| (plural, format!("may not delete them (group {BREAK_GLASS} may)"))));
    expected
        .extend(records.map(|plural| (plural, format!("{plural} take no ownerReferences: the garbage collector would delete the record"))));
    for plural in named {
        expected.push((plural, "is no person".to_owned()));
        expected.push((plural, "but the request is from".to_owned()));
        expected.push((plural, format!("may not relay for ana@acme-dental.example (needs verb relay on {plural}.mandate.dev)")));
    }
    expected.extend(
        ["verify", "reject"]
            .map(|verb| ("operatordecisions", format!("may not {verb} (needs verb {verb} on operatordecisions.mandate.dev)"))),
    );
    for (plural, words) in expected {
        let by = format!("ValidatingAdmissionPolicy '{plural}.mandate.dev' with binding '{plural}.mandate.dev' denied request: ");
        assert!(twins.were_forbidden(&by, &words), "no request was refused by the policy of {plural}: {words}");
    }
}

fn rules() -> Rules {
    Rules { guards: guards::all(), rights: Arc::new(Roles::of(&roles::documents())), ..Rules::default() }
}

/// Both have the namespaces already, so that their creation is refused by both.
async fn twins(plane: &Arc<ControlPlane>, rules: Rules) -> Twins {
    let mut twins = Twins::of(plane.clone(), rules, &[]).await;
    twins.any_version();
    for name in NAMESPACES {
        twins.ask_memory(&post("/api/v1/namespaces", json!({"metadata": {"name": name}}))).await;
    }
    twins
}

/// Until the API server knows what the tests' own bindings grant.
async fn until_granted(plane: &ControlPlane) {
    for (user, verb, resource) in
        [(&NOBODY, "deletecollection", "tenants"), (&AGENT, "verify", "operatordecisions"), (&AGENT, "relay", "operatordecisions")]
    {
        let attributes = json!({"namespace": RELAYED, "verb": verb, "group": "mandate.dev", "resource": resource});
        let review =
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}});
        let api = plane.api(user);
        eventually(&format!("{} may {verb} {resource}", user.name), SOON, || async {
            let reply = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await;
            reply.is_ok_and(|reply| reply.body["status"]["allowed"] == true)
        })
        .await;
    }
}

/// One valid object of every kind under names of their own.
fn objects(namespace: &str, number: u64) -> Vec<Value> {
    let named = |document: Value, name: &str| with(document, "/metadata/name", name.into());
    let placed = |document: Value, name: &str| named(with(document, "/metadata/namespace", namespace.into()), name);
    let name = format!("held-{number}");
    let operator = OPERATOR.name;
    let schema = named(ours::example("30-schema.yaml"), &format!("recepcionista-ia-1.0-r{number}"));
    vec![
        placed(ours::deployment("", operator, "Direct"), &name),
        placed(ours::record(namespace, ""), &name),
        placed(ours::decision(namespace, "", operator, "Direct"), &name),
        named(ours::example("20-providers.yaml"), &name),
        placed(ours::request(""), &name),
        with(schema, "/spec/revision", number.into()),
        named(ours::example("10-tenant.yaml"), &name),
    ]
}

/// Who makes an object of a kind, where not everybody may.
fn maker(document: &Value) -> &'static User {
    match document["kind"].as_str().unwrap() {
        "AuditRecord" | "ProvisioningRequest" => &CONTROLLER,
        "AssistantDeployment" | "OperatorDecision" => &OPERATOR,
        _ => &ADMIN,
    }
}

fn dry(path: &str) -> String {
    format!("{path}?dryRun=All")
}

/// A change of the spec that the schema allows.
fn change(document: &Value) -> Value {
    match document["kind"].as_str().unwrap() {
        "AssistantDeployment" => json!({"version": "1.1"}),
        "AuditRecord" => json!({"actor": "eve"}),
        "OperatorDecision" => json!({"note": "else"}),
        "Provider" => json!({"required": false}),
        "ProvisioningRequest" => json!({"demo": true}),
        "ProvisioningSchema" => json!({"constitutionVersion": "9.9"}),
        _ => json!({"fourEyes": true}),
    }
}

fn every_write_by_everybody() -> Vec<Step> {
    let mut steps = Vec::new();
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "c5b1e6cc-0000-4000-8000-000000000000"}]);
    for document in objects(RELAYED, 7) {
        let (all, one) = (collection(&document), path(&document));
        let held = with(document.clone(), "/metadata/finalizers", json!([FINALIZER, "mandate.dev/another"]));
        let status = json!({"status": {"observedGeneration": 7}});
        let labelled = |value: &str| json!({"metadata": {"labels": {"colour": value}}});
        let by_everybody = |step: Step| EVERYBODY.map(|user| step.clone().by(user));
        for step in [
            post(dry(&all), document.clone()),
            post(dry(&all), with(document.clone(), "/metadata/ownerReferences", owner.clone())),
            post(dry(&all), with(document.clone(), "/spec", Value::Null)),
            get(&one),
        ] {
            steps.extend(by_everybody(step));
        }
        steps.push(post(&all, held.clone()).by(maker(&document)).keep("held"));
        // Nothing is served at the status of a kind without one.
        if document["kind"] != "AuditRecord" {
            let place = dry(&format!("{one}/status"));
            steps.extend(by_everybody(merge(&place, status.clone())));
            steps.extend(by_everybody(put(&place, with(at_version(held.clone(), "held"), "/status", status["status"].clone()))));
        }
        for step in [
            get(&one),
            post(dry(&all), held.clone()),
            merge(dry(&one), labelled("red")),
            put(dry(&one), at_version(with(held.clone(), "/metadata/labels/colour", "blue".into()), "held")),
            merge(dry(&one), json!({"metadata": {"finalizers": ["mandate.dev/another"]}})),
            merge(dry(&one), json!({"metadata": {"finalizers": [FINALIZER]}})),
            put(dry(&one), at_version(document.clone(), "held")),
            merge(dry(&one), json!({"metadata": {"ownerReferences": owner}})),
            merge(dry(&one), json!({"spec": change(&document)})),
            merge(dry(&one), json!({"spec": change(&document), "metadata": {"finalizers": null}})),
            merge(dry(&one), json!({"spec": null})),
            merge(dry(&format!("{one}-absent")), labelled("red")),
            delete(format!("{one}-absent")),
            delete(format!("{all}?labelSelector=colour%3Dnone")),
            merge(&one, labelled("kept")),
            delete(format!("{all}?labelSelector=colour%3Dkept")),
            delete(&one),
            merge(&one, json!({"metadata": {"finalizers": [FINALIZER]}})),
            merge(&one, json!({"metadata": {"finalizers": null}})),
            get(&one),
        ] {
            steps.extend(by_everybody(step));
        }
    }
    steps
}

fn in_whose_name() -> Vec<Step> {
    let mut steps = Vec::new();
    let machines = ["system:serviceaccount:gitops:agent", "system:node:worker-1", " system:serviceaccount:a:b"];
    for user in EVERYBODY {
        for namespace in NAMESPACES {
            for operator in [user.name, "ana@acme-dental.example", machines[0], machines[1], machines[2]] {
                for via in ["Direct", "Relay"] {
                    let made = ours::decision(namespace, "new", operator, via);
                    let deployment = with(ours::deployment("new", operator, via), "/metadata/namespace", namespace.into());
                    let rejected = with(made.clone(), "/spec/act", "Reject".into());
                    for document in [made, rejected, deployment] {
                        steps.push(post(dry(&collection(&document)), document).by(user));
                    }
                }
            }
        }
    }
    steps
}

fn deployments_change_hands() -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, via) in [("direct", "Direct"), ("relayed", "Relay")] {
        let document = with(ours::deployment(name, OPERATOR.name, via), "/metadata/namespace", RELAYED.into());
        let one = path(&document);
        steps.push(post(collection(&document), document.clone()).keep(name));
        for user in EVERYBODY {
            for changes in [
                json!({"version": "1.1"}),
                json!({"suspend": true}),
                json!({"suspend": true, "version": "1.1"}),
                json!({"version": "1.1", "operator": user.name}),
                json!({"operator": user.name, "via": "Direct"}),
                json!({"operator": user.name, "via": "Relay"}),
                json!({"via": if via == "Direct" { "Relay" } else { "Direct" }}),
                json!({"parameters": {"language": "es"}}),
                json!({"operator": "system:node:worker-1"}),
            ] {
                steps.push(merge(dry(&one), json!({"spec": changes})).by(user));
            }
            let edited = with(at_version(document.clone(), name), "/spec/version", "1.2".into());
            steps.push(put(dry(&one), edited).by(user));
        }
        steps.push(delete(&one));
    }
    steps
}

fn records_go_with_their_namespace() -> Vec<Step> {
    let leaving = "guarded-leaving";
    let mut steps = vec![post("/api/v1/namespaces", json!({"metadata": {"name": leaving}}))];
    let [record, decision] = [ours::record(leaving, "r"), ours::decision(leaving, "d", OPERATOR.name, "Direct")];
    for document in [&record, &decision] {
        steps.push(post(collection(document), document.clone()).by(maker(document)));
        steps.extend([&ADMIN, &NOBODY, &CONTROLLER].map(|user| delete(path(document)).by(user)));
    }
    steps.push(delete(format!("/api/v1/namespaces/{leaving}")));
    steps.extend([&record, &decision].map(|document| get(path(document)).settles()));
    steps.push(get(format!("/api/v1/namespaces/{leaving}")).settles());
    let broken = ours::record(ELSEWHERE, "r");
    steps.push(post(collection(&broken), broken.clone()).by(&CONTROLLER));
    steps.extend([&ADMIN, &GLASS_BREAKER].map(|user| delete(path(&broken)).by(user)));
    steps.push(get(path(&broken)));
    steps
}

/// Requests of everybody about a few objects of every kind.
async fn by_chance(twins: &mut Twins) {
    let mut chance = Chance::seeded();
    let objects: Vec<Value> = NAMESPACES.iter().zip([11, 12]).flat_map(|(namespace, number)| objects(namespace, number)).collect();
    let mut answers = [0; 3];
    for _ in 0..REQUESTS {
        let document = chance.one_of(&objects);
        let (one, user) = (path(&document), chance.one_of(&EVERYBODY));
        let held = with(document.clone(), "/metadata/finalizers", json!([FINALIZER]));
        let step = match chance.number(12) {
            0..=2 => post(collection(&document), chance.one_of(&[document, held])),
            3 => merge(&one, json!({"metadata": {"labels": {"number": chance.number(3).to_string()}}})),
            4 => merge(&one, json!({"spec": change(&document)})),
            5 => merge(&one, json!({"metadata": {"finalizers": null}})),
            6 => merge(&one, json!({"metadata": {"finalizers": [FINALIZER]}})),
            7 if document["kind"] != "AuditRecord" => {
                merge(format!("{one}/status"), json!({"status": {"observedGeneration": chance.number(3)}}))
            }
            8 => put(&one, at_version(with(document, "/spec/operator", Value::Null), &one)),
            9 | 10 => delete(&one),
            _ => get(&one),
        };
        // The newest version that each has told of: the real one makes a new one of some writes that change nothing.
        let step = step.keep(&one).by(user);
        let code = twins.ask(&step).await.status;
        answers[match code {
            200..300 => 0,
            403 => 1,
            _ => 2,
        }] += 1;
    }
    twins.must_agree(&chance.named());
    assert!(answers.iter().all(|times| *times > REQUESTS / 10), "{answers:?} done, forbidden, else: too few of one to mean anything");
}

/// The guard of frozen specs speaks where the definition's own rule does not. Definitions that have forgotten it, on both sides.
async fn frozen_without_the_rule(plane: &Arc<ControlPlane>) {
    let admin = plane.api(&ADMIN);
    let break_glass = plane.api(&ADMIN).acting_as("carol@platform.example", &["mandate.dev:break-glass"]);
    let mut definitions = embedded::definitions();
    let spec = "/properties/spec";
    for definition in &mut definitions {
        let Some(schema) = definition.schema.as_mut() else { continue };
        if schema.pointer_mut(spec).unwrap().as_object_mut().unwrap().remove("x-kubernetes-validations").is_none() {
            continue;
        }
        let place = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}", definition.resource);
        let mut stored = admin.get(&place).await.unwrap().body;
        *stored.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").unwrap() = schema.clone();
        ours::permitted(&break_glass.put(&place, &stored).await.unwrap(), &place);
    }
    let mut twins = twins(plane, Rules { definitions, ..rules() }).await;
    for document in objects(ELSEWHERE, 13) {
        let one = path(&document);
        twins.ask(&post(collection(&document), document.clone()).by(maker(&document)).keep("held")).await;
        let changed = merge(dry(&one), json!({"spec": change(&document)}));
        twins.ask(&changed.clone().settles()).await;
        let kind = document["kind"].as_str().unwrap();
        if !matches!(kind, "AssistantDeployment" | "Provider" | "Tenant") {
            let plural = format!("{}s", kind.to_lowercase());
            let words = format!("denied request: the spec of {plural} never changes");
            assert!(twins.were_forbidden("ValidatingAdmissionPolicy", &words), "the guard of {kind} speaks");
        }
        for user in EVERYBODY {
            twins.ask(&changed.clone().by(user)).await;
            twins.ask(&put(dry(&one), at_version(with(document.clone(), "/spec", change(&document)), "held")).by(user)).await;
            twins.ask(&merge(dry(&one), json!({"metadata": {"labels": {"colour": "red"}}})).by(user)).await;
        }
    }
    twins.must_agree("frozen specs under definitions that have forgotten so");
}
