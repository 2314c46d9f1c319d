//! Roles on a cluster: what the controller may, generated from what the kinds declare, and roles for people.
//!
//! The controller's rules are the union of every kind's READS and WRITES and nothing else; what it touches in the system
//! namespace only is granted there only. `bind` on the tenants' roles lets it bind roles whose rights it does not hold.
//! Roles for people are as small as what they are for; guards hold whatever is granted here or elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::guards::{BREAK_GLASS, OPERATORS, kept, relayed};
use super::{leader, notify};
use crate::engine::port::{Access, Verb};
use crate::kinds::KINDS;
use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::crd;
use crate::kinds::operatordecision::api::DECISION;
use crate::kinds::tenant::api::{ADMIN_ROLE, CONSUMER_ROLE, VIEWER_ROLE};
use crate::model::decision::Act;
use crate::model::resource::{CORE_EVENT, EVENT, GROUP, Resource};

/// Name of the controller's service account, roles and bindings.
const CONTROLLER: &str = "mandate";
const RBAC: &str = "rbac.authorization.k8s.io";
const READ: [&str; 3] = ["get", "list", "watch"];
const CHANGE: [&str; 4] = ["create", "update", "patch", "delete"];

/// Group and resource (or `resource/status`) with the verbs that are granted on it.
type Grants = BTreeMap<(&'static str, String), BTreeSet<&'static str>>;

/// Every manifest: service account, the controller's roles and bindings, the tenants' roles, roles for people.
#[must_use]
pub fn documents(system_namespace: &str) -> Vec<Value> {
    let controller = json!([{"kind": "ServiceAccount", "name": CONTROLLER, "namespace": system_namespace}]);
    let mut documents = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": CONTROLLER, "namespace": system_namespace}}),
        cluster_role(CONTROLLER, "What the controller reads and writes, as its kinds declare.", controller_rules()),
        cluster_binding(CONTROLLER, CONTROLLER, &controller),
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "Role",
            "metadata": described(CONTROLLER, Some(system_namespace), "What the controller touches in its own namespace only."),
            "rules": platform_rules(),
        }),
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding",
            "metadata": {"name": CONTROLLER, "namespace": system_namespace},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": CONTROLLER}, "subjects": controller,
        }),
    ];
    documents.extend(people().into_iter().flat_map(|role| {
        let group = |group: &str| json!([{"apiGroup": RBAC, "kind": "Group", "name": group}]);
        let binding = role.held_by.map(|held_by| cluster_binding(role.name, role.name, &group(held_by)));
        [cluster_role(role.name, role.purpose, role.rules)].into_iter().chain(binding)
    }));
    documents
}

/// The manifests as one YAML stream.
///
/// # Errors
/// None in practice: roles hold maps, lists and text.
pub fn yaml(system_namespace: &str) -> Result<String, serde_yaml::ser::Error> {
    crd::stream(&documents(system_namespace))
}

/// What the controller may in every namespace.
fn controller_rules() -> Vec<Value> {
    let mut rules = rules_of(&declared(|resource| !resource.is_platform_only()));
    let names: BTreeSet<&str> = [ADMIN_ROLE, VIEWER_ROLE, CONSUMER_ROLE].into();
    rules.push(json!({"apiGroups": [RBAC], "resources": ["clusterroles"], "resourceNames": names, "verbs": ["bind"]}));
    rules
}

/// What the controller may in the system namespace only: secrets, and the lease of the leader.
fn platform_rules() -> Vec<Value> {
    rules_of(&declared(Resource::is_platform_only))
}

/// What the kinds, the election of a leader and the telling of operators declare of some resources.
fn declared(of: impl Fn(&Resource) -> bool) -> Grants {
    let mut grants = Grants::new();
    let accesses = KINDS.iter().flat_map(|kind| kind.reads().iter().chain(kind.writes())).chain([&leader::ACCESS, &notify::ACCESS]);
    for Access { resource, verbs } in accesses {
        for verb in verbs.iter().filter(|_| of(resource)) {
            let (verb, part) = words(*verb);
            grants.entry((resource.group, format!("{}{part}", resource.plural))).or_default().insert(verb);
        }
    }
    grants
}

/// RBAC's word for a verb, and the subresource that it is about.
fn words(verb: Verb) -> (&'static str, &'static str) {
    match verb {
        Verb::Get => ("get", ""),
        Verb::List => ("list", ""),
        Verb::Watch => ("watch", ""),
        Verb::Create => ("create", ""),
        Verb::Update => ("update", ""),
        Verb::UpdateStatus => ("update", "/status"),
        Verb::Delete => ("delete", ""),
    }
}

/// One rule per group and set of verbs.
fn rules_of(grants: &Grants) -> Vec<Value> {
    let mut alike: BTreeMap<(&str, &BTreeSet<&str>), Vec<&str>> = BTreeMap::new();
    for ((group, resource), verbs) in grants {
        alike.entry((group, verbs)).or_default().push(resource);
    }
    alike.into_iter().map(|((group, verbs), resources)| json!({"apiGroups": [group], "resources": resources, "verbs": verbs})).collect()
}

/// A ClusterRole for people.
struct Role {
    name: &'static str,
    purpose: &'static str,
    rules: Vec<Value>,
    /// Group that it is bound to everywhere; none: bound by a Tenant, or by whoever runs the cluster.
    held_by: Option<&'static str>,
}

fn people() -> Vec<Role> {
    let consume = || vec![json!({"apiGroups": [GROUP], "resources": ["executioncontracts"], "verbs": ["consume"]})];
    let ours = |resources: Vec<&str>, verbs: &[&str]| json!({"apiGroups": [GROUP], "resources": resources, "verbs": verbs});
    let plurals = |of: &[&'static Resource]| of.iter().map(|resource| resource.plural).collect::<Vec<_>>();
    let all = || ours(plurals(&crd::resources()), &READ);
    let of_the_platform: Vec<&str> =
        crd::resources().iter().filter(|resource| !resource.namespaced).map(|resource| resource.plural).collect();
    let role = |name, purpose, rules, held_by| Role { name, purpose, rules, held_by };
    // Provisioning is the operators': a tenant's people neither start nor watch it.
    let tenant = "Bound by Tenants. What issued contracts need over HTTP; nothing of provisioning, which is the operators'.";
    vec![
        role(ADMIN_ROLE, tenant, consume(), None),
        role(CONSUMER_ROLE, tenant, consume(), None),
        role(VIEWER_ROLE, tenant, consume(), None),
        role(
            "mandate-operator",
            "Ask for assistants, look at everything, decide in one's own name.",
            vec![
                all(),
                json!({"apiGroups": [CORE_EVENT.group, EVENT.group], "resources": [EVENT.plural], "verbs": READ}),
                ours(vec![DEPLOYMENT.plural], &CHANGE),
                ours(vec![DECISION.plural], &["create"]),
                ours(vec![DECISION.plural], &Act::ALL.map(Act::verb)),
            ],
            Some(OPERATORS),
        ),
        role(
            "mandate-relay",
            "Carry what others decided or asked for, beside mandate-operator: for a GitOps agent. Whoever holds it can speak in any person's name.",
            vec![ours(plurals(&relayed()), &["relay"])],
            None,
        ),
        role(
            "mandate-platform",
            "Publish tenants, providers and schemas: for platform engineers or their GitOps agent.",
            vec![all(), ours(of_the_platform, &CHANGE)],
            None,
        ),
        role(
            "mandate-break-glass",
            "Delete records, or change how they are kept, when there is no other way: the group is reached by impersonation and held by nobody.",
            vec![
                ours(plurals(&kept()), &["get", "list", "delete"]),
                definitions(),
                json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "delete"]}),
            ],
            Some(BREAK_GLASS),
        ),
    ]
}

/// Our definitions, by name: creating them is for whoever installs.
fn definitions() -> Value {
    let names: Vec<String> = crd::resources().iter().map(ToString::to_string).collect();
    json!({
        "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "resourceNames": names,
        "verbs": ["get", "update", "patch", "delete"],
    })
}

fn described(name: &str, namespace: Option<&str>, purpose: &str) -> Value {
    let mut metadata = json!({"name": name, "annotations": {"kubernetes.io/description": purpose}});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn cluster_role(name: &str, purpose: &str, rules: Vec<Value>) -> Value {
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": described(name, None, purpose), "rules": rules})
}

fn cluster_binding(name: &str, role: &str, subjects: &Value) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}, "subjects": subjects,
    })
}
