//! What shall be for a tenant.

use super::api::{Tenant, TenantJournal, TenantStatus};
use super::facts::Facts;
use super::{children, release, rules};
use crate::engine::decision::{Child, Decision, Finalizer};
use crate::engine::kind::Around;
use crate::kinds::status_value;
use crate::model::condition::{self, Summary};
use crate::model::decision::Offer;
use crate::model::finding::{Finding, Severity};
use crate::model::object::FINALIZER;

/// Decides.
pub fn decide(tenant: &Tenant, facts: &Facts, around: &Around<'_>) -> Decision {
    if let Some(leaving) = &facts.leaving {
        let departure = release::departure(tenant, facts, leaving, around);
        return Decision {
            status: status(tenant, facts, around, &departure.summary, departure.offer, departure.journal),
            records: departure.records,
            children: departure.children,
            finalizer: departure.finalizer,
            wake: departure.again.then_some(around.now),
            ..Decision::default()
        };
    }
    let (summary, children) = living(tenant, facts, around);
    let journal = tenant.status.as_ref().map(|status| status.journal.clone()).unwrap_or_default();
    Decision {
        finalizer: if children.is_empty() && !is_held(tenant) { Finalizer::Absent } else { Finalizer::Present },
        children,
        status: status(tenant, facts, around, &summary, None, journal),
        ..Decision::default()
    }
}

/// A tenant that stays. It has children as soon as the namespace is its own, or is being made.
fn living(tenant: &Tenant, facts: &Facts, around: &Around<'_>) -> (Summary, Vec<Child>) {
    let refusal = rules::check(tenant, &around.settings.system_namespace).or_else(|| rules::consent(tenant, facts));
    match (refusal, &facts.namespace) {
        (Some(finding), _) if finding.severity == Severity::Waiting => (Summary::Progressing(finding), Vec::new()),
        (Some(finding), _) => (Summary::Stalled(finding), Vec::new()),
        (None, None) => {
            let finding = Finding::waiting("NamespaceMissing", format!("Namespace {} is being made", tenant.namespace_name()));
            (Summary::Progressing(finding), vec![children::namespace(tenant)])
        }
        (None, Some(_)) => {
            let mut all = children::inside(tenant);
            all.push(children::namespace(tenant));
            let message = format!("Namespace {} belongs to the tenant", tenant.namespace_name());
            let ready = Summary::Ready(Finding::info("NamespaceReady", message));
            (rules::names_free(facts).map_or(ready, Summary::Stalled), all)
        }
    }
}

/// A finalizer that is there stays while the tenant does: its namespace may hold records although it is out of reach now.
fn is_held(tenant: &Tenant) -> bool {
    tenant.metadata.finalizers.as_ref().is_some_and(|finalizers| finalizers.iter().any(|name| name == FINALIZER))
}

fn status(
    tenant: &Tenant,
    facts: &Facts,
    around: &Around<'_>,
    summary: &Summary,
    decision: Option<Offer>,
    journal: TenantJournal,
) -> serde_json::Value {
    let before = tenant.status.clone().unwrap_or_default();
    let generation = tenant.metadata.generation.unwrap_or_default();
    let ready = matches!(summary, Summary::Ready(_));
    let shown = |consents_to: &Option<String>| ready || (facts.leaving.is_some() && *consents_to == tenant.metadata.name);
    status_value(&TenantStatus {
        conditions: condition::merge(&before.conditions, &summary.observations(), generation, around.now),
        observed_generation: generation,
        namespace_uid: facts.namespace.as_ref().filter(|namespace| shown(&namespace.consents_to)).map(|namespace| namespace.uid.clone()),
        decision,
        chain: around.chain.head.clone(),
        journal,
    })
}
