//! The generated roles on a real API server: the synthetic verbs and `bind`, each with the refusal without it.

use std::time::Duration;

use mandate::operator::rbac;
use serde_json::{Value, json};

use crate::Test;
use crate::control_plane::users::{ADMIN, AGENT, CONTROLLER, OPERATOR, User};
use crate::control_plane::{ControlPlane, Controllers, eventually};
use crate::ours::{self, ACME, SOON, path, permitted};
use crate::tests;

/// A user's name and groups.
type Who<'a> = (&'a str, &'a [&'a str]);

pub fn alone() -> Vec<Test> {
    tests![the_controller_binds_a_tenants_roles_by_the_verb_bind_alone, everybody_may_what_the_generated_roles_say_and_no_more,]
}

fn binding(role: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": role, "namespace": ACME},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "owner@acme-dental.example"}],
    })
}

async fn the_controller_binds_a_tenants_roles_by_the_verb_bind_alone() {
    let plane = ours::plane(Controllers::None).await;
    let (admin, controller) = (plane.api(&ADMIN), plane.api(&CONTROLLER));
    let roles = ["mandate-tenant-admin", "mandate-tenant-viewer", "mandate-tenant-consumer"];
    let try_bind = |role: &'static str| {
        let controller = controller.clone();
        async move { controller.post(&format!("{}?dryRun=All", ours::collection(&binding(role))), &binding(role)).await.unwrap() }
    };
    for role in roles {
        eventually(&format!("{role} is bound"), SOON, || async { try_bind(role).await.status == 201 }).await;
    }
    let other = try_bind("mandate-operator").await;
    assert_eq!(other.status, 403);
    assert!(other.message().contains("is attempting to grant RBAC permissions not currently held"), "{}", other.text());

    let place = "/apis/rbac.authorization.k8s.io/v1/clusterroles/mandate";
    let mut role = admin.get(place).await.unwrap().body;
    role["rules"].as_array_mut().unwrap().retain(|rule| rule["verbs"] != json!(["bind"]));
    permitted(&admin.put(place, &role).await.unwrap(), "the role without bind");
    for name in roles {
        eventually(&format!("{name} is not bound any more"), SOON, || async { try_bind(name).await.status == 403 }).await;
        let said = try_bind(name).await;
        assert!(said.message().contains("is attempting to grant RBAC permissions not currently held"), "{}", said.text());
        assert!(said.message().contains("Resources:[\"executioncontracts\"], Verbs:[\"consume\"]"), "{}", said.text());
    }
}

/// Whether a user may do something, as the API server's authorizer says.
async fn may(plane: &ControlPlane, user: &str, groups: &[&str], verb: &str, resource: &str, namespace: &str) -> bool {
    let (group, plural) = resource.split_once('/').unwrap();
    let (plural, part) = plural.split_once('/').unwrap_or((plural, ""));
    let attributes = json!({"namespace": namespace, "verb": verb, "group": group, "resource": plural, "subresource": part});
    let spec = json!({"user": user, "groups": groups, "resourceAttributes": attributes});
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
    let reply = plane.api(&ADMIN).post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await.unwrap();
    reply.body["status"]["allowed"].as_bool().unwrap_or_else(|| panic!("{}", reply.text()))
}

async fn everybody_may_what_the_generated_roles_say_and_no_more() {
    let plane = ours::plane(Controllers::None).await;
    let admin = plane.api(&ADMIN);
    for document in rbac::documents("mandate-system") {
        assert_eq!(admin.get(&path(&document)).await.unwrap().body["rules"], document["rules"], "stored as generated: {}", path(&document));
    }
    permitted(&admin.post(&ours::collection(&binding("mandate-tenant-admin")), &binding("mandate-tenant-admin")).await.unwrap(), "bound");
    let owner = "owner@acme-dental.example";
    eventually("the tenant's binding counts", Duration::from_secs(30), || async {
        may(&plane, owner, &[], "consume", "mandate.dev/executioncontracts", ACME).await
    })
    .await;
    let who = |user: &'static User| (user.name, user.groups);
    let (controller, operator, agent) = (who(&CONTROLLER), who(&OPERATOR), who(&AGENT));
    let (tenant, glass): (Who<'_>, Who<'_>) = ((owner, &[]), ("carol", &["mandate.dev:break-glass"]));
    for ((user, groups), verb, resource, namespace, allowed) in [
        (controller, "get", "/secrets", "mandate-system", true),
        (controller, "watch", "/secrets", "mandate-system", true),
        (controller, "update", "/secrets", "mandate-system", false),
        (controller, "get", "/secrets", ACME, false),
        (controller, "list", "/secrets", "", false),
        (controller, "update", "coordination.k8s.io/leases", "mandate-system", true),
        (controller, "update", "coordination.k8s.io/leases", ACME, false),
        (controller, "update", "mandate.dev/tenants/status", "", true),
        (controller, "update", "mandate.dev/tenants", "", true),
        (controller, "patch", "mandate.dev/tenants", "", false),
        (controller, "update", "/namespaces", "", true),
        (controller, "patch", "/namespaces", "", false),
        (controller, "update", "/namespaces/finalize", "", false),
        (controller, "create", "mandate.dev/auditrecords", ACME, true),
        (controller, "delete", "mandate.dev/auditrecords", ACME, false),
        (controller, "create", "mandate.dev/operatordecisions", ACME, false),
        (controller, "verify", "mandate.dev/operatordecisions", ACME, false),
        (controller, "relay", "mandate.dev/operatordecisions", ACME, false),
        (controller, "delete", "/namespaces", "", false),
        (operator, "create", "mandate.dev/operatordecisions", ACME, true),
        (operator, "verify", "mandate.dev/operatordecisions", ACME, true),
        (operator, "reject", "mandate.dev/operatordecisions", ACME, true),
        (operator, "relay", "mandate.dev/operatordecisions", ACME, false),
        (operator, "update", "mandate.dev/operatordecisions", ACME, false),
        (operator, "patch", "mandate.dev/assistantdeployments", ACME, true),
        (operator, "list", "mandate.dev/auditrecords", "", true),
        (operator, "delete", "mandate.dev/auditrecords", ACME, false),
        (operator, "patch", "mandate.dev/tenants", "", false),
        (operator, "get", "/secrets", "mandate-system", false),
        (agent, "relay", "mandate.dev/operatordecisions", ACME, false),
        (tenant, "consume", "mandate.dev/executioncontracts", "elsewhere", false),
        (tenant, "create", "mandate.dev/assistantdeployments", ACME, false),
        (tenant, "watch", "mandate.dev/provisioningrequests", ACME, false),
        (tenant, "get", "mandate.dev/auditrecords", ACME, false),
        (glass, "delete", "mandate.dev/auditrecords", ACME, true),
        (glass, "delete", "mandate.dev/operatordecisions", ACME, true),
        (glass, "delete", "mandate.dev/provisioningrequests", ACME, false),
        (glass, "delete", "/namespaces", "", true),
        (glass, "update", "/namespaces", "", false),
        (glass, "update", "/namespaces/finalize", "", false),
    ] {
        assert_eq!(may(&plane, user, groups, verb, resource, namespace).await, allowed, "{user} {verb} {resource} in {namespace:?}");
    }
}
