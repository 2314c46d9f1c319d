//! AuditRecord: see `README.md` in this folder. It has no status and is not reconciled; its invariant is checked on worlds.

pub mod api;

use crate::engine::audit::{Invariant, Snapshot};
use crate::model::pointer;
use crate::model::record;

/// What must hold of records in every world.
pub const INVARIANTS: &[Invariant] = &[Invariant { number: 6, holds: "audit chains verify", broken: broken_chains }];

/// Every chain of the world that does not verify.
fn broken_chains(world: &Snapshot) -> Vec<String> {
    let mut chains: std::collections::BTreeMap<&str, Vec<(u64, &str, &str)>> = std::collections::BTreeMap::new();
    for object in world.of_kind("AuditRecord") {
        let text = |field: &str| pointer::text(&object.body, field).unwrap_or_default();
        let sequence = object.body.pointer("/spec/sequence").and_then(serde_json::Value::as_u64).unwrap_or_default();
        chains.entry(text("/spec/subject/uid")).or_default().push((sequence, text("/spec/entry"), text("/spec/hash")));
    }
    let broken = chains.into_iter().filter_map(|(uid, mut rows)| {
        rows.sort_unstable();
        record::verify_chain(rows.iter().map(|(_, entry, hash)| (*entry, *hash))).err().map(|error| format!("chain of {uid}: {error}"))
    });
    broken.collect()
}
