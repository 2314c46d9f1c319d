//! Rights of the world in memory, read from the same roles and bindings that the API server is given.

use mandate::model::resource::Resource;
use mandate::operator::rbac;
use mandate::world::server::{Authorizer, Identity, Subresource};
use serde_json::{Value, json};

use crate::control_plane::users::{AGENT, NOBODY, User};

/// Where a relay of the tests may relay, and where not.
pub const RELAYED: &str = "guarded-a";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Manifests that say who may what: the generated ones, and those of the tests. Nobody may write everything of ours, and has
/// none of our own verbs. The agent operates everywhere, and relays in one namespace.
pub fn documents() -> Vec<Value> {
    let plurals: Vec<&str> = mandate::kinds::crd::resources().iter().map(|resource| resource.plural).collect();
    let parts: Vec<String> = plurals.iter().flat_map(|plural| [(*plural).to_owned(), format!("{plural}/status")]).collect();
    let verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    let mut documents = rbac::documents("mandate-system");
    documents.extend([
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": "writes-everything"},
            "rules": [{"apiGroups": ["mandate.dev"], "resources": parts, "verbs": verbs}],
        }),
        binding("writes-everything", &NOBODY, None),
        binding("mandate-operator", &AGENT, None),
        binding("mandate-relay", &AGENT, Some(RELAYED)),
    ]);
    documents
}

fn binding(role: &str, user: &User, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": format!("{role}-{}", user.token)});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    json!({
        "apiVersion": format!("{RBAC}/v1"), "metadata": metadata,
        "kind": if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" },
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user.name}],
    })
}

/// Rules of a role, for these subjects, in one namespace or everywhere.
struct Grant {
    subjects: Vec<Value>,
    namespace: Option<String>,
    rules: Vec<Value>,
}

/// RBAC over manifests.
pub struct Roles {
    grants: Vec<Grant>,
}

impl Roles {
    pub fn of(documents: &[Value]) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let rules = |binding: &Value| {
            let role = &binding["roleRef"];
            let is_meant = |document: &&Value| document["kind"] == role["kind"] && document["metadata"]["name"] == role["name"];
            list(&documents.iter().find(is_meant).unwrap()["rules"])
        };
        let bindings = documents.iter().filter(|document| document["roleRef"].is_object());
        let grant = |binding: &Value| Grant {
            subjects: list(&binding["subjects"]),
            namespace: binding["metadata"]["namespace"].as_str().map(str::to_owned),
            rules: rules(binding),
        };
        Self { grants: bindings.map(grant).collect() }
    }
}

impl Authorizer for Roles {
    fn may(&self, identity: &Identity, verb: &str, resource: &Resource, subresource: Subresource, namespace: &str) -> bool {
        let is_member = |group: &str| identity.groups.iter().any(|present| present == group);
        // The stock controllers have roles of the cluster's own.
        if is_member("system:masters") || identity.username.starts_with("system:serviceaccount:kube-system:") {
            return true;
        }
        let plural = match subresource {
            Subresource::Main => resource.plural.to_owned(),
            Subresource::Status => format!("{}/status", resource.plural),
        };
        let is_of = |subject: &Value| match subject["kind"].as_str() {
            Some("Group") => is_member(subject["name"].as_str().unwrap_or_default()),
            Some("User") => subject["name"] == identity.username,
            _ => {
                let text = |field: &str| subject[field].as_str().unwrap_or_default();
                identity.username == format!("system:serviceaccount:{}:{}", text("namespace"), text("name"))
            }
        };
        let lists =
            |rule: &Value, field: &str, word: &str| rule[field].as_array().is_some_and(|words| words.iter().any(|each| each == word));
        self.grants.iter().any(|grant| {
            grant.namespace.as_deref().is_none_or(|only| only == namespace)
                && grant.subjects.iter().any(is_of)
                && grant
                    .rules
                    .iter()
                    .any(|rule| lists(rule, "apiGroups", resource.group) && lists(rule, "resources", &plural) && lists(rule, "verbs", verb))
        })
    }
}
