//! Rights in the embedded world: what RBAC says on a cluster.

use super::table::{BREAK_GLASS, GARBAGE_COLLECTOR, NAMESPACE_CONTROLLERS, RECORDS};
use crate::model::resource::{GROUP, NAMESPACE, Resource};
use crate::world::server::{Authorizer, Identity, Subresource};

/// Group whose members operate the platform. Embedded they hold every verb on our kinds, `relay` included: there is
/// nobody else. On a cluster they hold ClusterRole `mandate-operator`.
pub const OPERATORS: &str = "mandate.dev:operators";
/// Group that may do everything that no guard refuses.
const MASTERS: &str = "system:masters";

/// Rights of the embedded world, by group and by the names of its own controllers.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmbeddedRights;

impl Authorizer for EmbeddedRights {
    fn may(&self, identity: &Identity, verb: &str, resource: &Resource, _: Subresource, _: &str) -> bool {
        let member = |group: &str| identity.groups.iter().any(|present| present == group);
        let user = identity.username.as_str();
        if identity == &Identity::controller() || member(MASTERS) {
            return true;
        }
        if NAMESPACE_CONTROLLERS.contains(&user) || user == GARBAGE_COLLECTOR {
            return matches!(verb, "get" | "list" | "delete");
        }
        if member(BREAK_GLASS) && (RECORDS.contains(&resource) || resource == &NAMESPACE) && matches!(verb, "get" | "list" | "delete") {
            return true;
        }
        member(OPERATORS) && (resource.group == GROUP || matches!(verb, "get" | "list" | "watch") || is_platform(resource))
    }
}

/// What operators of the platform write besides our kinds.
fn is_platform(resource: &Resource) -> bool {
    matches!(resource.kind, "Namespace" | "Secret" | "Event" | "ResourceQuota" | "RoleBinding")
}
