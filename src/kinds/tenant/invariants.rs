//! What must hold of tenants in every state of the world (design section 7).

use std::collections::BTreeSet;

use serde_json::Value;

use super::release::RELEASED;
use crate::engine::audit::{Invariant, Snapshot};
use crate::model::object::HOLDS_RECORDS;
use crate::model::pointer;

/// All of them.
pub const ALL: &[Invariant] = &[Invariant {
    number: 6,
    holds: "a namespace that holds records says so until what it holds is on record elsewhere",
    broken: unprotected,
}];

/// Namespaces that hold records, do not say so, and were not released.
fn unprotected(world: &Snapshot) -> Vec<String> {
    let holding: BTreeSet<&str> = world.of_kind("AuditRecord").map(|record| record.namespace()).collect();
    let entries = world.of_kind("AuditRecord").filter(|record| pointer::text(&record.body, "/spec/event") == Some(RELEASED));
    let released: BTreeSet<String> = entries
        .filter_map(|record| serde_json::from_str::<Value>(pointer::text(&record.body, "/spec/entry")?).ok())
        .filter_map(|entry| pointer::text(&entry, "/payload/namespace/uid").map(str::to_owned))
        .collect();
    let namespaces = world.of_kind("Namespace").filter(|namespace| holding.contains(namespace.name()));
    let unprotected = namespaces.filter(|namespace| namespace.label(HOLDS_RECORDS) != Some("true") && !released.contains(namespace.uid()));
    unprotected.map(|namespace| format!("Namespace {}", namespace.name())).collect()
}
