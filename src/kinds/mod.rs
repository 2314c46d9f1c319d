//! The registry: one line per kind, alphabetical.

pub mod assistantdeployment;
pub mod auditrecord;
pub mod crd;
mod decisions;
pub mod operatordecision;
mod parts;
pub mod provider;
pub mod provisioningrequest;
pub mod provisioningschema;
pub mod tenant;

use serde::Serialize;
use serde_json::Value;

use crate::engine::audit::Invariant;
use crate::engine::kind::{AnyKind, Erased};

/// Every kind that is reconciled.
pub static KINDS: [&dyn AnyKind; 6] = [
    &Erased::<assistantdeployment::AssistantDeploymentKind>::KIND,
    &Erased::<operatordecision::OperatorDecisionKind>::KIND,
    &Erased::<provider::ProviderKind>::KIND,
    &Erased::<provisioningrequest::ProvisioningRequestKind>::KIND,
    &Erased::<provisioningschema::ProvisioningSchemaKind>::KIND,
    &Erased::<tenant::TenantKind>::KIND,
];

/// Every invariant of every kind.
#[must_use]
pub fn invariants() -> Vec<Invariant> {
    KINDS.iter().flat_map(|kind| kind.invariants()).chain(auditrecord::INVARIANTS).copied().collect()
}

/// A status as it is written. Statuses are maps of strings, integers and lists, which always serialize.
fn status_value<S: Serialize>(status: &S) -> Value {
    serde_json::to_value(status).unwrap_or(Value::Null)
}
