//! What shall be for a schema: its digest, and whether it may be used.

use super::api::{ProvisioningSchema, ProvisioningSchemaStatus};
use super::facts::Facts;
use super::rules;
use crate::engine::decision::{Decision, Finalizer};
use crate::engine::kind::Around;
use crate::kinds::status_value;
use crate::model::condition::{self, Summary};
use crate::model::finding::Finding;

/// Decides.
pub fn decide(schema: &ProvisioningSchema, facts: &Facts, around: &Around<'_>) -> Decision {
    let findings = rules::lint(schema);
    let going = schema.metadata.deletion_timestamp.is_some();
    let summary = match findings.first() {
        _ if going && !facts.pinned_by.is_empty() => {
            let message = format!("deletion waits for {}", facts.pinned_by.join(", "));
            Summary::Progressing(Finding::waiting("Pinned", message))
        }
        Some(first) => {
            let more = findings.len() - 1;
            let suffix = if more == 0 { String::new() } else { format!(" (and {more} more: mandate validate shows all)") };
            Summary::Stalled(Finding::error(first.reason, format!("{}{suffix}", first.message)))
        }
        None => Summary::Ready(Finding::info("Valid", "the schema is complete and contradicts nothing")),
    };
    let before = schema.status.clone().unwrap_or_default();
    let generation = schema.metadata.generation.unwrap_or_default();
    let status = ProvisioningSchemaStatus {
        conditions: condition::merge(&before.conditions, &summary.observations(), generation, around.now),
        observed_generation: generation,
        digest: schema.spec.digest().ok(),
        chain: around.chain.head.clone(),
    };
    let finalizer = if going && facts.pinned_by.is_empty() { Finalizer::Absent } else { Finalizer::Present };
    Decision { finalizer, status: status_value(&status), findings, ..Decision::default() }
}
