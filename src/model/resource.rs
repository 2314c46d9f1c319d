//! Resources of the Kubernetes API by group, version and plural.

use std::fmt;
use std::hash::{Hash, Hasher};

/// Our API group.
pub const GROUP: &str = "mandate.dev";
/// Our API version.
pub const VERSION: &str = "v1alpha1";

/// One resource type. Compared by group and plural.
#[derive(Debug, Clone, Copy, Eq)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind, CamelCase.
    pub kind: &'static str,
    /// Plural, as in paths and RBAC rules.
    pub plural: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// `group/version`, or `version` alone in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether the controller touches it in the system namespace only.
    #[must_use]
    pub fn is_platform_only(&self) -> bool {
        self == &SECRET || self == &LEASE
    }

    /// Whether the controller creates it and never looks at it again: its name says what it is.
    #[must_use]
    pub fn is_only_created(&self) -> bool {
        self == &EVENT
    }

    /// Whether a watch of it tells metadata only: what else is in it is read by name, when it is needed, and never kept.
    #[must_use]
    pub fn is_watched_without_body(&self) -> bool {
        self == &SECRET
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.group == other.group && self.plural == other.plural
    }
}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.group.hash(state);
        self.plural.hash(state);
    }
}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Resource {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.group, self.plural).cmp(&(other.group, other.plural))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { formatter.write_str(self.plural) } else { write!(formatter, "{}.{}", self.plural, self.group) }
    }
}

/// A resource of our own group.
#[must_use]
pub const fn ours(kind: &'static str, plural: &'static str, namespaced: bool) -> Resource {
    Resource { group: GROUP, version: VERSION, kind, plural, namespaced }
}

/// Namespaces.
pub static NAMESPACE: Resource = Resource { group: "", version: "v1", kind: "Namespace", plural: "namespaces", namespaced: false };
/// Secrets.
pub static SECRET: Resource = Resource { group: "", version: "v1", kind: "Secret", plural: "secrets", namespaced: true };
/// Events.
pub static EVENT: Resource = Resource { group: "events.k8s.io", version: "v1", kind: "Event", plural: "events", namespaced: true };
/// The same Events as the core group shows them: kubectl asks there.
pub static CORE_EVENT: Resource = Resource { group: "", version: "v1", kind: "Event", plural: "events", namespaced: true };
/// Quotas on what a namespace holds.
pub static RESOURCE_QUOTA: Resource =
    Resource { group: "", version: "v1", kind: "ResourceQuota", plural: "resourcequotas", namespaced: true };
/// Bindings of roles in one namespace.
pub static ROLE_BINDING: Resource =
    Resource { group: "rbac.authorization.k8s.io", version: "v1", kind: "RoleBinding", plural: "rolebindings", namespaced: true };
/// Leases: who leads among replicas.
pub static LEASE: Resource = Resource { group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases", namespaced: true };
/// Resources that are not ours but that the controller reads or writes.
pub static BUILT_IN: [&Resource; 6] = [&NAMESPACE, &SECRET, &EVENT, &RESOURCE_QUOTA, &ROLE_BINDING, &LEASE];
