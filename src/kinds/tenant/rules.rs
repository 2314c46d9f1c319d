//! Rules of a tenant, in order; the first that is broken speaks.

use super::api::Tenant;
use super::facts::Facts;
use crate::model::finding::Finding;
use crate::model::name::DnsLabel;

/// Namespaces that no tenant may take.
const RESERVED: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// What is wrong with the tenant by itself.
pub fn check(tenant: &Tenant, system_namespace: &str) -> Option<Finding> {
    let name = tenant.metadata.name.as_deref().unwrap_or_default();
    if name.parse::<DnsLabel>().is_err() {
        let message = format!("metadata.name {name:?} is no DNS label: webhook paths begin with it; use 1 to 63 of a-z, 0-9 and '-'");
        return Some(Finding::error("NameInvalid", message).at("/metadata/name"));
    }
    let namespace = tenant.namespace_name();
    if RESERVED.contains(&namespace) || namespace == system_namespace {
        let message = format!("namespace {namespace} is reserved: set spec.namespace to one of the tenant's own");
        return Some(Finding::error("NamespaceReserved", message).at("/spec/namespace"));
    }
    None
}

/// Why the namespace cannot be used, if it exists and cannot.
pub fn consent(tenant: &Tenant, facts: &Facts) -> Option<Finding> {
    let namespace = facts.namespace.as_ref()?;
    let name = tenant.metadata.name.as_deref().unwrap_or_default();
    let space = tenant.namespace_name();
    if namespace.going {
        return Some(Finding::waiting(
            "NamespaceTerminating",
            format!("Namespace {space} is being deleted; it is made anew when it is gone"),
        ));
    }
    match namespace.consents_to.as_deref() {
        Some(tenant) if tenant == name => None,
        Some(other) => {
            let message = format!("Namespace {space} consents to Tenant {other}: choose another spec.namespace in a new Tenant");
            Some(Finding::error("NamespaceTaken", message))
        }
        None => {
            let message =
                format!("Namespace {space} exists and does not consent: kubectl label namespace {space} mandate.dev/tenant={name}");
            Some(Finding::error("NamespaceNotConsenting", message))
        }
    }
}

/// Why the tenant does not hold what it promises although the namespace is its own.
pub fn names_free(facts: &Facts) -> Option<Finding> {
    let names: Vec<String> = facts.taken.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| {
        let message = format!("{} exists and is not of this tenant: delete it, and the tenant's own is made", names.join(", "));
        Finding::error("NameTaken", message)
    })
}
