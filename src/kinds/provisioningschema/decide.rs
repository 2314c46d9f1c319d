//! What shall be for a schema: its digest, whether it may be used, how far it has come among live deployments.

use super::api::{ProvisioningSchema, ProvisioningSchemaStatus, SchemaJournal};
use super::facts::Facts;
use super::propagation::{self, Standing};
use super::rules;
use crate::engine::decision::{Decision, Finalizer};
use crate::engine::kind::Around;
use crate::kinds::{decisions, status_value};
use crate::model::condition::{self, Observation, Summary, Truth};
use crate::model::decision::Stand;
use crate::model::finding::{Finding, Severity};

/// Condition: it follows the revision and the version before it, and brings something new.
const IN_SEQUENCE: &str = "InSequence";

/// Decides.
pub fn decide(schema: &ProvisioningSchema, facts: &Facts, around: &Around<'_>) -> Decision {
    let findings: Vec<Finding> = rules::lint(schema, &facts.others).into_iter().map(|linted| linted.finding).collect();
    let before = schema.status.clone().unwrap_or_default();
    let mut journal = before.journal.clone();
    let counts = propagation::count(schema, &facts.live);
    let standing = |journal: &SchemaJournal| propagation::standing(schema, &facts.others, counts, &journal.decisions);
    let offered = propagation::offer(schema, standing(&journal));
    let stand = Stand { offer: offered.as_ref(), submitter: "", four_eyes: false, now: around.now };
    let recorded = decisions::recorded(&facts.decisions, &journal.decisions, around.chain);
    let taken = recorded.or_else(|| decisions::first_passing(&facts.decisions, &journal.decisions, &stand, around.now));
    journal.decisions.extend(taken);
    let standing = standing(&journal);
    let generation = schema.metadata.generation.unwrap_or_default();
    let mut status = ProvisioningSchemaStatus {
        conditions: condition::merge(&before.conditions, &observations(schema, facts, &findings, standing), generation, around.now),
        observed_generation: generation,
        digest: schema.spec.digest().ok(),
        deployments: before.deployments,
        decision: propagation::offer(schema, standing),
        chain: around.chain.head.clone(),
        journal,
    };
    let (census, wake) = propagation::census(status.journal.census.as_ref(), counts, status == before, around.now);
    status.journal.census = census;
    status.deployments = census.map(|census| census.counts);
    Decision {
        finalizer: if is_going(schema) && facts.pinned_by.is_empty() { Finalizer::Absent } else { Finalizer::Present },
        records: status.journal.decisions.iter().filter_map(decisions::record).collect(),
        status: status_value(&status),
        findings,
        wake,
        ..Decision::default()
    }
}

fn is_going(schema: &ProvisioningSchema) -> bool {
    schema.metadata.deletion_timestamp.is_some()
}

fn observations(schema: &ProvisioningSchema, facts: &Facts, findings: &[Finding], standing: Standing) -> Vec<Observation> {
    let mut observations = summary(schema, facts, findings).observations();
    observations.extend(sequence(schema, facts, findings));
    observations.extend(propagation::condition(schema, standing));
    observations
}

fn summary(schema: &ProvisioningSchema, facts: &Facts, findings: &[Finding]) -> Summary {
    if is_going(schema) && !facts.pinned_by.is_empty() {
        let message = format!("deletion waits for {}", facts.pinned_by.join(", "));
        return Summary::Progressing(Finding::waiting("Pinned", message));
    }
    let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let Some(first) = errors.first() else {
        return Summary::Ready(Finding::info("Valid", "the schema is complete and contradicts nothing"));
    };
    let more = errors.len() - 1;
    let suffix = if more == 0 { String::new() } else { format!(" (and {more} more: mandate validate shows all)") };
    Summary::Stalled(Finding::error(first.reason, format!("{}{suffix}", first.message)))
}

/// Where it stands among the revisions and versions before it. Said only where there is something before it or something is
/// wrong, and in one condition: its first finding speaks.
fn sequence(schema: &ProvisioningSchema, facts: &Facts, findings: &[Finding]) -> Option<Observation> {
    let odd = findings.iter().find(|finding| finding.severity == Severity::Waiting);
    let follows = facts.others.iter().any(|other| other.spec.revision < schema.spec.revision && other.spec.version == schema.spec.version);
    let (status, why) = match odd {
        Some(odd) => (Truth::False, Finding { field: None, ..odd.clone() }),
        None if follows => (Truth::True, Finding::info("Follows", "it follows the revision before it and brings something new")),
        None => return None,
    };
    Some(Observation { kind: IN_SEQUENCE, status, why })
}
