//! What shall be for a provider.

use super::api::{CONFIGURED, Provider, ProviderStatus};
use super::facts::Facts;
use super::rules;
use crate::engine::decision::Decision;
use crate::engine::kind::Around;
use crate::kinds::status_value;
use crate::model::condition::{self, Observation, Summary, Truth};
use crate::model::finding::Finding;

/// Decides.
pub fn decide(provider: &Provider, facts: &Facts, around: &Around<'_>) -> Decision {
    let unconfigured = rules::unconfigured(provider, facts, &around.settings.system_namespace);
    let summary = match &unconfigured {
        Some(finding) => Summary::Progressing(finding.clone()),
        // Unknown is not ready: nothing has been proven of it yet.
        None => Summary::Unproven(Finding::waiting("NotProbed", "configured; whether it works has not been proven")),
    };
    let configured = Observation {
        kind: CONFIGURED,
        status: Truth::from(unconfigured.is_none()),
        why: unconfigured.unwrap_or_else(|| Finding::info("Configured", "connection, secret and key are present")),
    };
    let mut observations = summary.observations();
    observations.push(configured);
    let before = provider.status.clone().unwrap_or_default();
    let generation = provider.metadata.generation.unwrap_or_default();
    let status = ProviderStatus {
        conditions: condition::merge(&before.conditions, &observations, generation, around.now),
        observed_generation: generation,
        chain: around.chain.head.clone(),
    };
    Decision { status: status_value(&status), ..Decision::default() }
}
