//! The guards on a real API server: each allows what it should, refuses the rest with 403, in the embedded world's words.

use std::time::Duration;

use mandate::operator::guards::manifest;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::Test;
use crate::control_plane::api::{Api, Reply};
use crate::control_plane::users::{ADMIN, AGENT, CONTROLLER, NOBODY, OPERATOR, User};
use crate::control_plane::{ControlPlane, Controllers, eventually};
use crate::ours::{self, ACME, FINALIZER, SOON, create, decision, deployment, path, permitted, record, refused, request};
use crate::tests;

pub fn alone() -> Vec<Test> {
    tests![
        every_policy_is_type_checked_and_without_a_warning,
        statuses_finalizers_and_records_are_the_controllers,
        nobody_acts_in_anothers_name_unseen,
        a_frozen_spec_stays_when_its_definition_forgets_the_rule,
        records_outlive_their_owners_and_go_with_their_namespace,
    ]
}

/// How long the stock controllers may take until they know of our kinds.
const KINDS_FOUND: Duration = Duration::from_secs(120);
const BEN: &str = "ben@acme-dental.example";

struct Guarded {
    plane: ControlPlane,
    /// One of every kind, with the finalizer.
    objects: Vec<Value>,
}

impl Guarded {
    async fn start(controllers: Controllers) -> Self {
        let plane = ours::plane(controllers).await;
        let admin = plane.api(&ADMIN);
        let objects = ours::objects(&admin).await;
        ours::guard(&admin, &objects).await;
        Self { plane, objects }
    }

    fn of(&self, kind: &str) -> &Value {
        self.objects.iter().find(|object| object["kind"] == kind).unwrap()
    }

    /// Would it be created? Nothing is stored.
    async fn try_create(&self, who: &User, document: &Value) -> Reply {
        let path = format!("{}?dryRun=All", ours::collection(document));
        self.plane.api(who).post(&path, document).await.unwrap()
    }

    /// Would an edit be taken? Nothing is stored.
    async fn try_edit(&self, who: &User, object: &Value, part: &str, edit: impl FnOnce(&mut Value)) -> Reply {
        let mut edited = self.plane.api(&ADMIN).get(&path(object)).await.unwrap().body;
        edit(&mut edited);
        self.plane.api(who).put(&format!("{}{part}?dryRun=All", path(object)), &edited).await.unwrap()
    }

    async fn try_delete(&self, api: &Api, object: &Value) -> Reply {
        api.delete(&format!("{}?dryRun=All", path(object))).await.unwrap()
    }
}

fn plural(object: &Value) -> String {
    format!("{}s", object["kind"].as_str().unwrap().to_lowercase())
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// A role for the users of one test.
async fn grant(plane: &ControlPlane, name: &str, rules: Value, user: &User) {
    let admin = plane.api(&ADMIN);
    let rbac = "rbac.authorization.k8s.io";
    let role = json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    create(&admin, &role).await;
    bind(plane, name, user).await;
}

async fn bind(plane: &ControlPlane, role: &str, user: &User) {
    let rbac = "rbac.authorization.k8s.io";
    let binding = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": format!("{role}-{}", user.token)},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": user.name}],
    });
    create(&plane.api(&ADMIN), &binding).await;
}

/// Until RBAC knows what was granted: a question about oneself.
async fn until_may(plane: &ControlPlane, user: &User, verb: &str, plural: &str) {
    let api = plane.api(user);
    let attributes = json!({"namespace": ACME, "verb": verb, "group": "mandate.dev", "resource": plural});
    let review =
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}});
    eventually(&format!("{} may {verb} {plural}", user.name), SOON, || async {
        let reply = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await;
        reply.is_ok_and(|reply| reply.body["status"]["allowed"] == true)
    })
    .await;
}

/// Policies are checked once, and silently not at all while the controller has not yet found the kinds they name (it looks
/// again every 30 s). So each policy has twins with a field that does not exist, a new one until one is warned of; from then
/// on no warning means that there is nothing to warn of.
async fn every_policy_is_type_checked_and_without_a_warning() {
    let plane = ControlPlane::with_definitions(Controllers::Stock).await;
    let admin = plane.api(&ADMIN);
    let policies: Vec<Value> =
        manifest::documents("mandate-system").into_iter().filter(|document| document["kind"] == "ValidatingAdmissionPolicy").collect();
    for policy in &policies {
        let deadline = Instant::now() + KINDS_FOUND;
        for number in 1.. {
            let mut twin = policy.clone();
            twin["metadata"]["name"] = format!("twin-{number}-{}", policy["metadata"]["name"].as_str().unwrap()).into();
            twin["spec"]["validations"].as_array_mut().unwrap().push(json!({"expression": "object.spec.nowhere == 1"}));
            create(&admin, &twin).await;
            let warnings = type_warnings(&admin, &twin).await;
            assert!(warnings.iter().all(|warning| warning.to_string().contains("undefined field 'nowhere'")), "{warnings:?}");
            if warnings.len() == 1 {
                break;
            }
            assert!(Instant::now() < deadline, "not within {KINDS_FOUND:?}: types of {} are known", path(policy));
            sleep(Duration::from_millis(500)).await;
        }
        create(&admin, policy).await;
        assert_eq!(type_warnings(&admin, policy).await, Vec::<Value>::new(), "{}", path(policy));
    }
    assert_eq!(policies.len(), mandate::operator::guards::guarded().len());
}

/// What the controller says of a policy once it has checked it.
async fn type_warnings(admin: &Api, policy: &Value) -> Vec<Value> {
    let place = path(policy);
    eventually(&format!("{place} is type-checked"), SOON, || async {
        admin.get(&place).await.is_ok_and(|reply| reply.body["status"]["typeChecking"].is_object())
    })
    .await;
    let checked = admin.get(&place).await.unwrap().body["status"]["typeChecking"].clone();
    checked["expressionWarnings"].as_array().cloned().unwrap_or_default()
}

async fn statuses_finalizers_and_records_are_the_controllers() {
    let world = Guarded::start(Controllers::None).await;
    let controller_updates = ["AssistantDeployment", "ProvisioningRequest", "ProvisioningSchema", "Tenant"];
    for object in &world.objects {
        let (plural, name, kind) = (plural(object), name(object), object["kind"].as_str().unwrap());
        if kind != "AuditRecord" {
            let observe = |body: &mut Value| body["status"]["observedGeneration"] = 7.into();
            let words = format!("admin may not update the status of {plural}: the controller does");
            refused(&world.try_edit(&ADMIN, object, "/status", observe).await, &plural, name, &words);
            permitted(&world.try_edit(&CONTROLLER, object, "/status", observe).await, &plural);
        }
        let release = |body: &mut Value| body["metadata"]["finalizers"] = json!([]);
        let words = format!("finalizer {FINALIZER} is removed by the controller only, not by admin");
        refused(&world.try_edit(&ADMIN, object, "", release).await, &plural, name, &words);
        let label = |body: &mut Value| body["metadata"]["labels"]["another"] = "label".into();
        permitted(&world.try_edit(&ADMIN, object, "", label).await, &plural);
        if controller_updates.contains(&kind) {
            permitted(&world.try_edit(&CONTROLLER, object, "", release).await, &plural);
        }
    }
    for document in [record(ACME, "new"), request("new")] {
        let plural = plural(&document);
        let words = format!("admin may not create {plural}: the controller does");
        refused(&world.try_create(&ADMIN, &document).await, &plural, "new", &words);
        permitted(&world.try_create(&CONTROLLER, &document).await, &plural);
    }
    let break_glass = world.plane.api(&ADMIN).acting_as("carol@platform.example", &["mandate.dev:break-glass"]);
    let of_the_namespaces = world.plane.api(&ADMIN).acting_as("system:serviceaccount:kube-system:namespace-controller", &[]);
    for kind in ["AuditRecord", "OperatorDecision"] {
        let object = world.of(kind);
        let plural = plural(object);
        let words = |who: &str| format!("{plural} are records: {who} may not delete them (group mandate.dev:break-glass may)");
        refused(&world.try_delete(&world.plane.api(&ADMIN), object).await, &plural, name(object), &words("admin"));
        // The namespace stays, so its content does.
        let said = words("system:serviceaccount:kube-system:namespace-controller");
        refused(&world.try_delete(&of_the_namespaces, object).await, &plural, name(object), &said);
        permitted(&world.try_delete(&break_glass, object).await, kind);
        let all = world.plane.api(&ADMIN).delete(&format!("{}?dryRun=All", ours::collection(object))).await.unwrap();
        refused(&all, &plural, "Unknown", &words("admin"));
    }
    records_take_no_owner(&world).await;
}

async fn records_take_no_owner(world: &Guarded) {
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "c5b1e6cc-0000-4000-8000-000000000000"}]);
    let words = |plural: &str| format!("{plural} take no ownerReferences: the garbage collector would delete the record");
    let mut owned = record(ACME, "owned");
    owned["metadata"]["ownerReferences"] = owner.clone();
    refused(&world.try_create(&CONTROLLER, &owned).await, "auditrecords", "owned", &words("auditrecords"));
    // Two guards refuse this one: the first of the table speaks.
    let said = "admin may not create auditrecords: the controller does";
    refused(&world.try_create(&ADMIN, &owned).await, "auditrecords", "owned", said);
    let adopt = |body: &mut Value| body["metadata"]["ownerReferences"] = owner.clone();
    for kind in ["AuditRecord", "OperatorDecision"] {
        let object = world.of(kind);
        let plural = plural(object);
        refused(&world.try_edit(&ADMIN, object, "", adopt).await, &plural, name(object), &words(&plural));
    }
}

async fn nobody_acts_in_anothers_name_unseen() {
    let world = Guarded::start(Controllers::None).await;
    let plane = &world.plane;
    let create_only = json!([{
        "apiGroups": ["mandate.dev"], "resources": ["operatordecisions", "assistantdeployments"], "verbs": ["create", "update"],
    }]);
    grant(plane, "creates-only", create_only, &NOBODY).await;
    bind(plane, "mandate-operator", &AGENT).await;
    until_may(plane, &NOBODY, "create", "operatordecisions").await;
    until_may(plane, &AGENT, "verify", "operatordecisions").await;

    let (decisions, deployments) = ("operatordecisions", "assistantdeployments");
    let made = |operator: &str, via: &str| [decision(ACME, "new", operator, via), deployment("new", operator, via)];
    let relay = |who: &User, plural: &str| format!("{} may not relay for {BEN} (needs verb relay on {plural}.mandate.dev)", who.name);
    for (document, plural) in made(BEN, "Relay").iter().zip([decisions, deployments]) {
        refused(&world.try_create(&AGENT, document).await, plural, "new", &relay(&AGENT, plural));
        refused(&world.try_create(&OPERATOR, document).await, plural, "new", &relay(&OPERATOR, plural));
        permitted(&world.try_create(&ADMIN, document).await, "* includes relay");
    }
    bind(plane, "mandate-relay", &AGENT).await;
    until_may(plane, &AGENT, "relay", decisions).await;
    for document in made(BEN, "Relay") {
        permitted(&world.try_create(&AGENT, &document).await, "relayed");
    }
    for (document, plural) in made(BEN, "Direct").iter().zip([decisions, deployments]) {
        permitted(&world.try_create(&OPERATOR, document).await, "in one's own name");
        let words = format!("spec.operator is {BEN} but the request is from admin: say via: Relay");
        refused(&world.try_create(&ADMIN, document).await, plural, "new", &words);
    }
    for machine in [AGENT.name, "system:node:worker-1", " system:serviceaccount:a:b"] {
        for (document, plural) in made(machine, "Relay").iter().zip([decisions, deployments]) {
            refused(&world.try_create(&AGENT, document).await, plural, "new", &format!("spec.operator {machine} is no person"));
        }
    }
    let words = format!("{} may not verify (needs verb verify on operatordecisions.mandate.dev)", NOBODY.name);
    refused(&world.try_create(&NOBODY, &decision(ACME, "new", NOBODY.name, "Direct")).await, decisions, "new", &words);

    let held = world.of("AssistantDeployment");
    let newer = |body: &mut Value| body["spec"]["version"] = "1.1".into();
    let words = format!("spec.operator is {BEN} but the request is from {}: say via: Relay", NOBODY.name);
    refused(&world.try_edit(&NOBODY, held, "", newer).await, deployments, "held", &words);
    permitted(&world.try_edit(&OPERATOR, held, "", newer).await, "one's own");
    permitted(&world.try_edit(&NOBODY, held, "", |body| body["spec"]["suspend"] = true.into()).await, "suspended");
    let taken_over = |body: &mut Value| {
        body["spec"]["version"] = "1.1".into();
        body["spec"]["operator"] = NOBODY.name.into();
    };
    permitted(&world.try_edit(&NOBODY, held, "", taken_over).await, "answered for");
}

/// Layers: the definition's rule first, and the policy where that is gone.
async fn a_frozen_spec_stays_when_its_definition_forgets_the_rule() {
    type Edit = fn(&mut Value);
    let world = Guarded::start(Controllers::None).await;
    // Nobody else may change a definition.
    let break_glass = world.plane.api(&ADMIN).acting_as("carol@platform.example", &["mandate.dev:break-glass"]);
    let change = |body: &mut Value| body["spec"]["constitutionVersion"] = "9.9".into();
    let edits: [(&str, Edit); 4] = [
        ("AuditRecord", |body| body["spec"]["actor"] = "eve".into()),
        ("OperatorDecision", |body| body["spec"]["note"] = "eve".into()),
        ("ProvisioningRequest", |body| body["spec"]["operator"] = "eve".into()),
        ("ProvisioningSchema", change),
    ];
    for (kind, edit) in edits {
        let object = world.of(kind);
        let plural = plural(object);
        let by_rule = world.try_edit(&ADMIN, object, "", edit).await;
        assert_eq!(by_rule.status, 422, "{}", by_rule.text());
        assert!(by_rule.message().contains("spec: Forbidden: spec is immutable"), "{}", by_rule.text());

        let crd = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.mandate.dev");
        let mut forgetful = break_glass.get(&crd).await.unwrap().body;
        let spec = forgetful.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
        spec.as_object_mut().unwrap().remove("x-kubernetes-validations").unwrap();
        permitted(&break_glass.put(&crd, &forgetful).await.unwrap(), "the definition");
        eventually(&format!("{crd} has no rule"), SOON, || async { world.try_edit(&ADMIN, object, "", edit).await.status != 422 }).await;
        let words = format!("the spec of {plural} never changes");
        refused(&world.try_edit(&ADMIN, object, "", edit).await, &plural, name(object), &words);
    }
}

async fn records_outlive_their_owners_and_go_with_their_namespace() {
    let plane = ours::plane(Controllers::Stock).await;
    let admin = plane.api(&ADMIN);
    let owner = create(&admin, &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": ACME}})).await;
    let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}]);
    // From a time before the guards, and therefore with an owner.
    let mut old = [record(ACME, "old"), decision(ACME, "old", BEN, "Direct")];
    for document in &mut old {
        document["metadata"]["ownerReferences"] = reference.clone();
        create(&admin, document).await;
    }
    let objects = ours::objects(&admin).await;
    ours::guard(&admin, &objects).await;

    permitted(&admin.delete(&path(&owner)).await.unwrap(), "the owner");
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    for document in &old {
        let plural = plural(document);
        eventually(&format!("the collector was refused {plural}"), SOON * 2, || async {
            plane
                .requests()
                .iter()
                .any(|asked| asked.user == collector && asked.verb == "delete" && asked.resource == plural && asked.code == 403)
        })
        .await;
        permitted(&admin.get(&path(document)).await.unwrap(), "kept");
        // A reference may be taken off, and then the collector is content.
        let mut freed = admin.get(&path(document)).await.unwrap().body;
        freed["metadata"]["ownerReferences"] = json!([]);
        permitted(&admin.put(&path(document), &freed).await.unwrap(), "freed");
    }

    let leaving = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaving"}});
    create(&admin, &leaving).await;
    let kept = create(&plane.api(&CONTROLLER), &record("leaving", "r")).await;
    create(&plane.api(&OPERATOR), &decision("leaving", "d", BEN, "Direct")).await;
    permitted(&admin.delete(&path(&leaving)).await.unwrap(), "the namespace");
    eventually("the namespace is gone", SOON * 2, || async { admin.get(&path(&leaving)).await.is_ok_and(|reply| reply.status == 404) })
        .await;
    assert_eq!(admin.get(&path(&kept)).await.unwrap().status, 404);
}
