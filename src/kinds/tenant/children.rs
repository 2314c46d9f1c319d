//! Children of a tenant: namespace, role bindings, quota.

use serde_json::{Value, json};

use super::api::{ADMIN_ROLE, CONSUMER_ROLE, RbacSubject, SubjectKind, TENANT, TENANT_LABEL, Tenant, VIEWER_ROLE};
use super::facts::Facts;
use crate::engine::decision::{Child, ChildMode, Owner};
use crate::model::object::{HOLDS_RECORDS, Object};
use crate::model::resource::{NAMESPACE, RESOURCE_QUOTA, ROLE_BINDING};

/// The namespace alone: it comes first, and is neither owned nor ever deleted by us.
pub fn namespace(tenant: &Tenant) -> Child {
    let mut object = Object::named(&NAMESPACE, "", tenant.namespace_name());
    object.set_metadata("labels", json!({ TENANT_LABEL: owner(tenant).name }));
    Child::of(&owner(tenant), object, ChildMode::CreateOnly, false)
}

/// The namespace without the label that keeps it. It is somebody else's, so that nothing but the label changes.
pub fn unlabelled(tenant: &Tenant, facts: &Facts) -> Option<Child> {
    let mut object = Object::named(&NAMESPACE, "", tenant.namespace_name());
    object.set_metadata("uid", facts.namespace.as_ref()?.uid.as_str().into());
    object.set_metadata("labels", json!({ HOLDS_RECORDS: null }));
    Some(Child { object, mode: ChildMode::Labels })
}

/// Everything that lives in the namespace.
pub fn inside(tenant: &Tenant) -> Vec<Child> {
    let spec = &tenant.spec;
    let roles = [
        ("mandate-owners", ADMIN_ROLE, &spec.owners),
        ("mandate-admins", ADMIN_ROLE, &spec.admins),
        ("mandate-viewers", VIEWER_ROLE, &spec.viewers),
        ("mandate-consumers", CONSUMER_ROLE, &spec.consumers),
    ];
    let bindings =
        roles.iter().filter(|(_, _, subjects)| !subjects.is_empty()).map(|(name, role, subjects)| binding(tenant, name, role, subjects));
    bindings.chain(quota(tenant)).collect()
}

fn owner(tenant: &Tenant) -> Owner<'_> {
    Owner {
        resource: &TENANT,
        name: tenant.metadata.name.as_deref().unwrap_or_default(),
        uid: tenant.metadata.uid.as_deref().unwrap_or_default(),
    }
}

fn binding(tenant: &Tenant, name: &str, role: &str, subjects: &[RbacSubject]) -> Child {
    let mut object = Object::named(&ROLE_BINDING, tenant.namespace_name(), name);
    object.body["roleRef"] = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
    object.body["subjects"] = subjects.iter().map(rbac_subject).collect();
    Child::of(&owner(tenant), object, ChildMode::Kept, true)
}

fn rbac_subject(subject: &RbacSubject) -> Value {
    let group = "rbac.authorization.k8s.io";
    match subject.kind {
        SubjectKind::User => json!({"apiGroup": group, "kind": "User", "name": subject.name}),
        SubjectKind::Group => json!({"apiGroup": group, "kind": "Group", "name": subject.name}),
        SubjectKind::ServiceAccount => {
            let namespace = subject.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
            json!({"kind": "ServiceAccount", "name": subject.name, "namespace": namespace})
        }
    }
}

fn quota(tenant: &Tenant) -> Option<Child> {
    let quotas = tenant.spec.quotas.as_ref()?;
    let mut hard = serde_json::Map::new();
    let counts = [("assistantdeployments", quotas.assistant_deployments), ("operatordecisions", quotas.operator_decisions)];
    for (plural, count) in counts {
        if let Some(count) = count {
            hard.insert(format!("count/{plural}.mandate.dev"), count.to_string().into());
        }
    }
    let mut object = Object::named(&RESOURCE_QUOTA, tenant.namespace_name(), "mandate");
    object.body["spec"] = json!({ "hard": hard });
    Some(Child::of(&owner(tenant), object, ChildMode::Kept, true))
}
