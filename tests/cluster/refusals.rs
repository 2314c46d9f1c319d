//! Refusals on a real API server under the definitions, guards and roles as they are generated: what is asked is refused in
//! exactly these words, and what it was about is as it was.
//!
//! All tests share one control plane and its objects, one of every kind: nothing that they ask for happens. That somebody
//! may is asked for by a dry run.

use std::sync::Arc;

use mandate::model::decision::Act;
use serde_json::{Value, json};

use crate::Test;
use crate::conformance::apply;
use crate::control_plane::api::{Api, Reply};
use crate::control_plane::shared::Shared;
use crate::control_plane::users::{ADMIN, CONTROLLER, NOBODY, OPERATOR};
use crate::control_plane::{ControlPlane, eventually};
use crate::ours::{
    ACME, FINALIZER, Guarded, SOON, collection, create, decision, deployment, example, name, path, permitted, plural, record, refused,
    request,
};
use crate::tests;

pub fn shared() -> Vec<Test> {
    tests![
        a_frozen_field_is_not_edited_through_the_main_resource,
        a_frozen_field_is_not_edited_through_the_status,
        a_status_is_written_by_nobody_but_the_controller,
        requests_and_records_are_made_by_nobody_but_the_controller,
        a_finalizer_is_removed_by_nobody_but_the_controller,
        an_audit_record_is_never_updated,
        an_audit_record_keeps_its_finalizer,
        an_audit_record_and_a_decision_are_not_deleted_while_their_namespace_stays,
        a_record_takes_no_owner,
        a_decision_in_another_persons_name_is_refused,
        a_decision_of_a_machine_is_refused,
        a_decision_without_the_verb_of_its_act_is_refused,
        a_decision_relayed_without_the_verb_relay_is_refused,
        a_deployment_is_asked_for_and_changed_by_who_answers_for_it,
    ]
}

/// Stops what they share.
pub fn stop() {
    WORLD.stop();
}

static WORLD: Shared<Guarded> = Shared::new();

const ANA: &str = "ana@acme-dental.example";
const BEN: &str = "ben@acme-dental.example";
const CAROL: &str = "carol@platform.example";
/// Holds the operators' verbs on decisions and deployments, in its own name.
const AGENT: &str = "system:serviceaccount:gitops:agent";
/// Holds `relay` beside them.
const RELAY: &str = "system:serviceaccount:gitops:relay";
/// May create, and nothing else that is ours.
const CREATOR: &str = NOBODY.name;
/// May create and verify.
const VERIFIER: &str = "vera@acme-dental.example";

async fn world() -> Arc<Guarded> {
    let start = async {
        let world = Guarded::start().await;
        let ours = |resources: Value, verbs: Value| json!({"apiGroups": ["mandate.dev"], "resources": resources, "verbs": verbs});
        let named = json!(["operatordecisions", "assistantdeployments"]);
        grant(&world.plane, "creates", &[ours(named, json!(["create", "update"]))], &[CREATOR, VERIFIER]).await;
        grant(&world.plane, "verifies", &[ours(json!(["operatordecisions"]), json!(["verify"]))], &[VERIFIER]).await;
        bind(&world.plane, "mandate-operator", &[AGENT, RELAY]).await;
        bind(&world.plane, "mandate-relay", &[RELAY]).await;
        for (who, verb) in [(CREATOR, "create"), (VERIFIER, "create"), (VERIFIER, "verify"), (AGENT, "verify"), (RELAY, "relay")] {
            until_may(&world.plane, who, verb, "operatordecisions").await;
        }
        world
    };
    WORLD.get(start).await
}

const RBAC: &str = "rbac.authorization.k8s.io";

async fn grant(plane: &ControlPlane, role: &str, rules: &[Value], users: &[&str]) {
    let role_document = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules});
    create(&plane.api(&ADMIN), &role_document).await;
    bind(plane, role, users).await;
}

async fn bind(plane: &ControlPlane, role: &str, users: &[&str]) {
    let subject = |user: &&str| json!({"apiGroup": RBAC, "kind": "User", "name": user});
    let binding = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": format!("{role}-of-the-tests")},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}, "subjects": users.iter().map(subject).collect::<Vec<_>>(),
    });
    create(&plane.api(&ADMIN), &binding).await;
}

/// Until RBAC knows what was granted: a question about oneself.
async fn until_may(plane: &ControlPlane, user: &str, verb: &str, plural: &str) {
    let api = plane.api(&ADMIN).acting_as(user, &["system:authenticated"]);
    let attributes = json!({"namespace": ACME, "verb": verb, "group": "mandate.dev", "resource": plural});
    let review =
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}});
    eventually(&format!("{user} may {verb} {plural}"), SOON, || async {
        let reply = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await;
        reply.is_ok_and(|reply| reply.body["status"]["allowed"] == true)
    })
    .await;
}

/// Requests of somebody with the rights that bindings give them by name.
fn by(world: &Guarded, user: &str) -> Api {
    world.plane.api(&ADMIN).acting_as(user, &["system:authenticated"])
}

/// Who has broken the glass and has no other right.
fn breaking_the_glass(world: &Guarded) -> Api {
    world.plane.api(&ADMIN).acting_as(CAROL, &["mandate.dev:break-glass"])
}

/// Whoever may do everything as far as RBAC goes: as an administrator is, and with the glass broken.
fn almighty(world: &Guarded) -> [(Api, &'static str); 2] {
    let admin = world.plane.api(&ADMIN);
    [(admin.clone(), ADMIN.name), (admin.acting_as(CAROL, &["system:masters", "mandate.dev:break-glass"]), CAROL)]
}

/// What is asked about an object leaves it as it was, to its resource version.
async fn unchanged(world: &Guarded, object: &Value, ask: impl Future<Output = Reply>) -> Reply {
    let before = world.stored(object).await;
    let reply = ask.await;
    assert_eq!(world.stored(object).await, before, "{}", reply.text());
    reply
}

/// That the definition itself refused, and why.
fn frozen(reply: &Reply, object: &Value, why: &str) {
    let (kind, message) = (object["kind"].as_str().unwrap(), format!("Forbidden: spec is immutable: {why}"));
    assert_eq!(reply.message(), format!("{kind}.mandate.dev {:?} is invalid: spec: {message}", name(object)), "{}", reply.text());
    assert_eq!((reply.status, &reply.body["reason"]), (422, &json!("Invalid")));
    assert_eq!(reply.body["details"]["causes"], json!([{"reason": "FieldValueForbidden", "message": message, "field": "spec"}]));
}

/// That RBAC refused, whatever the guards would have said.
fn unauthorized(reply: &Reply, who: &str, verb: &str, resource: &str, name: &str) {
    let (group, plural) = ("mandate.dev", resource.split('/').next().unwrap());
    let what = format!("User {who:?} cannot {verb} resource {resource:?} in API group {group:?} in the namespace {ACME:?}");
    assert_eq!(reply.message(), format!("{plural}.{group} {name:?} is forbidden: {what}"), "{}", reply.text());
    assert_eq!((reply.status, &reply.body["reason"]), (403, &json!("Forbidden")));
}

/// Whoever asks, an administrator included.
async fn a_frozen_field_is_not_edited_through_the_main_resource() {
    let world = world().await;
    let digest = format!("sha256:{}", "d".repeat(64));
    let (of_requests, of_decisions) = ("the inputs of a request never change", "a decision is made once");
    let edits = [
        // The fields that document 000 calls immutable (guarantee 7), but those that are metadata.
        ("ProvisioningRequest", json!({"tenantName": "beacon-dental"}), of_requests),
        ("ProvisioningRequest", json!({"schemaRef": {"name": "recepcionista-ia-1.0-r2"}}), of_requests),
        ("ProvisioningRequest", json!({"schemaRef": {"digest": digest}}), of_requests),
        ("ProvisioningRequest", json!({"operator": BEN}), of_requests),
        ("ProvisioningRequest", json!({"attempt": 2}), of_requests),
        ("ProvisioningRequest", json!({"parameters": {"clinicName": "Beacon"}}), of_requests),
        ("OperatorDecision", json!({"act": "Reject"}), of_decisions),
        ("OperatorDecision", json!({"operator": ANA}), of_decisions),
        ("OperatorDecision", json!({"subject": {"hash": digest}}), of_decisions),
        ("OperatorDecision", json!({"checklist": ["webhook-accessibility"]}), of_decisions),
        ("ProvisioningSchema", json!({"voice": null}), "publish a new revision"),
        ("ProvisioningSchema", json!({"constitutionVersion": "9.9"}), "publish a new revision"),
    ];
    for (kind, change, why) in edits {
        let object = world.of(kind);
        for (who, _) in almighty(&world) {
            let by_patch = unchanged(&world, object, async { who.merge(&path(object), &json!({"spec": change})).await.unwrap() }).await;
            frozen(&by_patch, object, why);
            let by_update = unchanged(&world, object, world.edit(&who, object, "", |body| apply(&mut body["spec"], &change))).await;
            frozen(&by_update, object, why);
        }
    }
    the_rest_of_the_canonical_object_is_fixed(&world).await;
}

/// `request_id` and `created_at` are metadata; there is one product.
async fn the_rest_of_the_canonical_object_is_fixed(world: &Guarded) {
    let (request, admin) = (world.of("ProvisioningRequest"), world.plane.api(&ADMIN));
    let asked = |patch: Value| {
        let admin = &admin;
        unchanged(world, request, async move { admin.merge(&path(request), &patch).await.unwrap() })
    };
    let product = asked(json!({"spec": {"productType": "recepcionista-ib"}})).await;
    let cause = json!({
        "reason": "FieldValueNotSupported", "field": "spec.productType",
        "message": "Unsupported value: \"recepcionista-ib\": supported values: \"recepcionista-ia\"",
    });
    assert_eq!((product.status, &product.body["details"]["causes"][0]), (422, &cause), "{}", product.text());
    let created = json!({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}});
    let created = admin.merge(&format!("{}?dryRun=All", path(request)), &created).await.unwrap();
    assert_eq!(created.body["metadata"]["creationTimestamp"], request["metadata"]["creationTimestamp"], "{}", created.text());
    let another = "c5b1e6cc-0000-4000-8000-000000000000";
    let uid = asked(json!({"metadata": {"uid": another}})).await;
    let words =
        format!("ProvisioningRequest.mandate.dev \"held\" is invalid: metadata.uid: Invalid value: {another:?}: field is immutable");
    assert_eq!((uid.status, uid.message()), (422, words.as_str()));
}

/// Nobody but the controller gets through, and what it puts there beside the status is not taken up.
async fn a_frozen_field_is_not_edited_through_the_status() {
    type Edit = fn(&mut Value);
    let world = world().await;
    let (admin, controller, operator) = (world.plane.api(&ADMIN), world.plane.api(&CONTROLLER), world.plane.api(&OPERATOR));
    let mut schema = example("30-schema.yaml");
    schema["metadata"]["name"] = "recepcionista-ia-1.0-r9".into();
    schema["spec"]["revision"] = 9.into();
    // Of their own, for something is written.
    let made: [(Value, &Api, Edit); 3] = [
        (request("edited"), &controller, |spec| spec["schemaRef"]["name"] = "recepcionista-ia-1.0-r2".into()),
        (decision(ACME, "edited", BEN, "Direct"), &operator, |spec| spec["act"] = "Reject".into()),
        (schema, &admin, |spec| spec["constitutionVersion"] = "9.9".into()),
    ];
    for (document, maker, edit) in made {
        let object = create(maker, &document).await;
        let plural = plural(&object);
        let edited = |body: &mut Value| {
            edit(&mut body["spec"]);
            body["metadata"]["labels"] = json!({"another": "label"});
            body["status"]["observedGeneration"] = 7.into();
        };
        let words = format!("admin may not update the status of {plural}: the controller does");
        let asked = unchanged(&world, &object, world.edit(&admin, &object, "/status", edited)).await;
        refused(&asked, &plural, name(&object), &words);
        permitted(&world.edit(&controller, &object, "/status", edited).await, "the controller");
        let stored = world.stored(&object).await;
        assert_eq!(stored["status"]["observedGeneration"], 7, "the status was written");
        assert_eq!(stored["spec"], object["spec"]);
        for field in ["generation", "labels", "uid"] {
            assert_eq!(stored["metadata"][field], object["metadata"][field], "{field}");
        }
    }
    // A record has none.
    let record = world.of("AuditRecord");
    let asked = unchanged(&world, record, world.edit(&admin, record, "/status", |_| {})).await;
    assert_eq!((asked.status, asked.message()), (404, "auditrecords.mandate.dev \"held\" not found"));
}

async fn a_status_is_written_by_nobody_but_the_controller() {
    let world = world().await;
    let (admin, operator, controller) = (world.plane.api(&ADMIN), world.plane.api(&OPERATOR), world.plane.api(&CONTROLLER));
    let observe = |body: &mut Value| body["status"]["observedGeneration"] = 7.into();
    for object in world.objects.iter().filter(|object| object["kind"] != "AuditRecord") {
        let (plural, name) = (plural(object), name(object));
        for (api, who) in almighty(&world) {
            let words = format!("{who} may not update the status of {plural}: the controller does");
            refused(&unchanged(&world, object, world.edit(&api, object, "/status", observe)).await, &plural, name, &words);
            let patch = json!({"status": {"observedGeneration": 1}});
            let asked = unchanged(&world, object, async { api.merge(&format!("{}/status", path(object)), &patch).await.unwrap() }).await;
            refused(&asked, &plural, name, &words);
        }
        let asked = unchanged(&world, object, world.edit(&operator, object, "/status", observe)).await;
        assert_eq!(asked.status, 403);
        assert!(asked.message().contains(&format!("cannot update resource \"{plural}/status\"")), "{}", asked.text());
        permitted(&world.try_edit(&controller, object, "/status", observe).await, &plural);
        // Written with the rest, it is not taken up.
        let labelled = |body: &mut Value| {
            observe(body);
            body["metadata"]["labels"]["another"] = "label".into();
        };
        let asked = world.try_edit(&admin, object, "", labelled).await;
        permitted(&asked, &plural);
        assert_eq!(asked.body["status"], object["status"]);
    }
}

async fn requests_and_records_are_made_by_nobody_but_the_controller() {
    let world = world().await;
    for document in [record(ACME, "new"), request("new")] {
        let plural = plural(&document);
        for (api, who) in almighty(&world) {
            let words = format!("{who} may not create {plural}: the controller does");
            not_created(&world, &api, &document, &words).await;
        }
        let asked = world.plane.api(&OPERATOR).post(&collection(&document), &document).await.unwrap();
        assert_eq!(asked.status, 403);
        assert!(asked.message().contains(&format!("cannot create resource \"{plural}\"")), "{}", asked.text());
        permitted(&try_create(&world.plane.api(&CONTROLLER), &document).await, &plural);
    }
}

/// Refused by the guard in these words, and nothing of that name is there.
async fn not_created(world: &Guarded, who: &Api, document: &Value, words: &str) {
    let reply = who.post(&collection(document), document).await.unwrap();
    refused(&reply, &plural(document), name(document), words);
    assert_eq!(world.plane.api(&ADMIN).get(&path(document)).await.unwrap().status, 404, "{}", path(document));
}

/// Would it be created? Nothing is stored.
async fn try_create(who: &Api, document: &Value) -> Reply {
    who.post(&format!("{}?dryRun=All", collection(document)), document).await.unwrap()
}

async fn a_finalizer_is_removed_by_nobody_but_the_controller() {
    let world = world().await;
    let (admin, controller) = (world.plane.api(&ADMIN), world.plane.api(&CONTROLLER));
    let released = |body: &mut Value| body["metadata"]["finalizers"] = json!([]);
    for object in &world.objects {
        let (plural, name) = (plural(object), name(object));
        let words = format!("finalizer {FINALIZER} is removed by the controller only, not by admin");
        let asked = unchanged(&world, object, world.edit(&admin, object, "", released)).await;
        refused(&asked, &plural, name, &words);
        let patch = json!({"metadata": {"finalizers": null}});
        let asked = unchanged(&world, object, async { admin.merge(&path(object), &patch).await.unwrap() }).await;
        refused(&asked, &plural, name, &words);
        permitted(&world.try_edit(&admin, object, "", |body| body["metadata"]["labels"]["another"] = "label".into()).await, &plural);
        if ["AssistantDeployment", "ProvisioningRequest", "ProvisioningSchema", "Tenant"].contains(&object["kind"].as_str().unwrap()) {
            permitted(&world.try_edit(&controller, object, "", released).await, &plural);
        }
    }
}

/// Not by who breaks the glass, and not by the controller, which only appends.
async fn an_audit_record_is_never_updated() {
    let world = world().await;
    let held = world.of("AuditRecord");
    let digest = format!("sha256:{}", "e".repeat(64));
    for change in [
        json!({"entry": "{\"event\":\"Another\"}"}),
        json!({"hash": digest}),
        json!({"sequence": 2}),
        json!({"event": "Another"}),
        json!({"actor": "eve"}),
        json!({"time": "2026-01-02T00:00:00Z"}),
        json!({"subject": {"uid": "another"}}),
    ] {
        for (who, _) in almighty(&world) {
            let asked = unchanged(&world, held, world.edit(&who, held, "", |body| apply(&mut body["spec"], &change))).await;
            frozen(&asked, held, "records are never changed");
            let asked = unchanged(&world, held, async { who.merge(&path(held), &json!({"spec": change})).await.unwrap() }).await;
            frozen(&asked, held, "records are never changed");
        }
    }
    for (who, user) in [(&CONTROLLER, CONTROLLER.name), (&OPERATOR, OPERATOR.name)] {
        let as_it_is = unchanged(&world, held, world.edit(&world.plane.api(who), held, "", |_| {})).await;
        unauthorized(&as_it_is, user, "update", "auditrecords", "held");
    }
}

async fn an_audit_record_keeps_its_finalizer() {
    let world = world().await;
    let held = world.of("AuditRecord");
    for (who, user) in almighty(&world) {
        let words = format!("finalizer {FINALIZER} is removed by the controller only, not by {user}");
        let patch = json!({"metadata": {"finalizers": null}});
        let asked = unchanged(&world, held, async { who.merge(&path(held), &patch).await.unwrap() }).await;
        refused(&asked, "auditrecords", "held", &words);
        let another = |body: &mut Value| body["metadata"]["finalizers"] = json!(["mandate.dev/another"]);
        refused(&unchanged(&world, held, world.edit(&who, held, "", another)).await, "auditrecords", "held", &words);
    }
    let released = |body: &mut Value| body["metadata"]["finalizers"] = json!([]);
    let asked = unchanged(&world, held, world.edit(&world.plane.api(&CONTROLLER), held, "", released)).await;
    unauthorized(&asked, CONTROLLER.name, "update", "auditrecords", "held");
}

async fn an_audit_record_and_a_decision_are_not_deleted_while_their_namespace_stays() {
    let world = world().await;
    let namespaces = "system:serviceaccount:kube-system:namespace-controller";
    for object in [world.of("AuditRecord"), world.of("OperatorDecision")] {
        let plural = plural(object);
        let words = |who: &str| format!("{plural} are records: {who} may not delete them (group mandate.dev:break-glass may)");
        let masters = ["system:masters"];
        for who in [ADMIN.name, namespaces] {
            let api = world.plane.api(&ADMIN).acting_as(who, &masters);
            let asked = unchanged(&world, object, async { api.delete(&path(object)).await.unwrap() }).await;
            refused(&asked, &plural, name(object), &words(who));
            let asked = unchanged(&world, object, async { api.delete(&collection(object)).await.unwrap() }).await;
            refused(&asked, &plural, "Unknown", &words(who));
        }
        for who in [&CONTROLLER, &OPERATOR] {
            let api = world.plane.api(who);
            let asked = unchanged(&world, object, async { api.delete(&path(object)).await.unwrap() }).await;
            unauthorized(&asked, who.name, "delete", &plural, name(object));
        }
        let asked = breaking_the_glass(&world).delete(&format!("{}?dryRun=All", path(object))).await.unwrap();
        permitted(&asked, "who breaks the glass");
    }
}

async fn a_record_takes_no_owner() {
    let world = world().await;
    let (admin, controller) = (world.plane.api(&ADMIN), world.plane.api(&CONTROLLER));
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "c5b1e6cc-0000-4000-8000-000000000000"}]);
    let words = |plural: &str| format!("{plural} take no ownerReferences: the garbage collector would delete the record");
    let mut owned = record(ACME, "owned");
    owned["metadata"]["ownerReferences"] = owner.clone();
    not_created(&world, &controller, &owned, &words("auditrecords")).await;
    // Two guards refuse this one: the first of the table speaks.
    not_created(&world, &admin, &owned, "admin may not create auditrecords: the controller does").await;
    let adopt = |body: &mut Value| body["metadata"]["ownerReferences"] = owner.clone();
    for object in [world.of("AuditRecord"), world.of("OperatorDecision")] {
        let plural = plural(object);
        refused(&unchanged(&world, object, world.edit(&admin, object, "", adopt)).await, &plural, name(object), &words(&plural));
    }
}

async fn a_decision_in_another_persons_name_is_refused() {
    let world = world().await;
    let operator = world.plane.api(&OPERATOR);
    let words = |operator: &str, caller: &str| format!("spec.operator is {operator} but the request is from {caller}: say via: Relay");
    not_created(&world, &operator, &decision(ACME, "new", ANA, "Direct"), &words(ANA, BEN)).await;
    // Who may do everything may not do this; nor is a name the same but for its case or a blank.
    not_created(&world, &world.plane.api(&ADMIN), &decision(ACME, "new", BEN, "Direct"), &words(BEN, "admin")).await;
    for almost in ["Ben@acme-dental.example", "ben@acme-dental.example "] {
        not_created(&world, &operator, &decision(ACME, "new", almost, "Direct"), &words(almost, BEN)).await;
    }
    permitted(&try_create(&operator, &decision(ACME, "new", BEN, "Direct")).await, "in one's own name");
}

/// Relayed by who may relay everything, and by the machine itself.
async fn a_decision_of_a_machine_is_refused() {
    let world = world().await;
    let machines = [AGENT, RELAY, "system:node:worker-1", " system:serviceaccount:a:b"];
    for machine in machines {
        let words = format!("spec.operator {machine} is no person");
        not_created(&world, &by(&world, RELAY), &decision(ACME, "new", machine, "Relay"), &words).await;
        not_created(&world, &world.plane.api(&ADMIN), &decision(ACME, "new", machine, "Relay"), &words).await;
    }
    for itself in [AGENT, RELAY] {
        let words = format!("spec.operator {itself} is no person");
        not_created(&world, &by(&world, itself), &decision(ACME, "new", itself, "Direct"), &words).await;
    }
    permitted(&try_create(&by(&world, RELAY), &decision(ACME, "new", BEN, "Relay")).await, "a person's, carried by a machine");
}

/// Each act has a verb of its own, and that alone gives it.
async fn a_decision_without_the_verb_of_its_act_is_refused() {
    let world = world().await;
    for act in Act::ALL {
        let document = |operator: &str| {
            let mut document = decision(ACME, "new", operator, "Direct");
            document["spec"]["act"] = json!(act);
            document
        };
        let verb = act.verb();
        let words = |who: &str| format!("{who} may not {verb} (needs verb {verb} on operatordecisions.mandate.dev)");
        not_created(&world, &by(&world, CREATOR), &document(CREATOR), &words(CREATOR)).await;
        if act == Act::Verify {
            permitted(&try_create(&by(&world, VERIFIER), &document(VERIFIER)).await, verb);
        } else {
            not_created(&world, &by(&world, VERIFIER), &document(VERIFIER), &words(VERIFIER)).await;
        }
        permitted(&try_create(&world.plane.api(&OPERATOR), &document(BEN)).await, verb);
    }
    // And without the right to create it, its verb gives nothing.
    let stranger = by(&world, "sue@acme-dental.example");
    let asked = stranger.post(&collection(&decision(ACME, "new", BEN, "Direct")), &decision(ACME, "new", BEN, "Direct")).await.unwrap();
    assert_eq!(asked.status, 403);
    assert!(asked.message().contains("cannot create resource \"operatordecisions\""), "{}", asked.text());
}

async fn a_decision_relayed_without_the_verb_relay_is_refused() {
    let world = world().await;
    let relayed = decision(ACME, "new", ANA, "Relay");
    let words = |who: &str| format!("{who} may not relay for {ANA} (needs verb relay on operatordecisions.mandate.dev)");
    not_created(&world, &by(&world, AGENT), &relayed, &words(AGENT)).await;
    not_created(&world, &world.plane.api(&OPERATOR), &relayed, &words(BEN)).await;
    // One's own decision is not relayed either.
    let own = decision(ACME, "new", BEN, "Relay");
    let words = format!("{BEN} may not relay for {BEN} (needs verb relay on operatordecisions.mandate.dev)");
    not_created(&world, &world.plane.api(&OPERATOR), &own, &words).await;
    permitted(&try_create(&by(&world, RELAY), &relayed).await, "relay beside the act's verb");
    permitted(&try_create(&world.plane.api(&ADMIN), &relayed).await, "* includes relay");
}

async fn a_deployment_is_asked_for_and_changed_by_who_answers_for_it() {
    let world = world().await;
    let held = world.of("AssistantDeployment");
    let not_direct = |caller: &str| format!("spec.operator is {BEN} but the request is from {caller}: say via: Relay");
    let not_relayed = |caller: &str| format!("{caller} may not relay for {BEN} (needs verb relay on assistantdeployments.mandate.dev)");
    let (creator, admin, operator) = (by(&world, CREATOR), world.plane.api(&ADMIN), world.plane.api(&OPERATOR));
    not_created(&world, &admin, &deployment("new", BEN, "Direct"), &not_direct("admin")).await;
    not_created(&world, &by(&world, AGENT), &deployment("new", BEN, "Relay"), &not_relayed(AGENT)).await;
    for machine in [AGENT, "system:node:worker-1"] {
        let words = format!("spec.operator {machine} is no person");
        not_created(&world, &by(&world, RELAY), &deployment("new", machine, "Relay"), &words).await;
    }
    permitted(&try_create(&operator, &deployment("new", BEN, "Direct")).await, "in one's own name");
    permitted(&try_create(&by(&world, RELAY), &deployment("new", BEN, "Relay")).await, "relayed");

    let newer = |body: &mut Value| body["spec"]["version"] = "1.1".into();
    // Who may only create and update reads nothing: the administrator does.
    let asked = unchanged(&world, held, world.edit(&creator, held, "", newer)).await;
    refused(&asked, "assistantdeployments", "held", &not_direct(CREATOR));
    permitted(&world.try_edit(&operator, held, "", newer).await, "one's own");
    permitted(&world.try_edit(&creator, held, "", |body| body["spec"]["suspend"] = true.into()).await, "suspended");
    let taken_over = |body: &mut Value| {
        newer(body);
        body["spec"]["operator"] = CREATOR.into();
    };
    permitted(&world.try_edit(&creator, held, "", taken_over).await, "answered for");
}
