//! What shall be for a tenant.

use super::api::{Tenant, TenantStatus};
use super::facts::Facts;
use super::{children, rules};
use crate::engine::decision::Decision;
use crate::engine::kind::Around;
use crate::kinds::status_value;
use crate::model::condition::{self, Summary};
use crate::model::finding::{Finding, Severity};

/// Decides.
pub fn decide(tenant: &Tenant, facts: &Facts, around: &Around<'_>) -> Decision {
    let refusal = rules::check(tenant, &around.settings.system_namespace).or_else(|| rules::consent(tenant, facts));
    let (summary, children) = match (refusal, &facts.namespace) {
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
    };
    let ready = matches!(summary, Summary::Ready(_));
    let before = tenant.status.clone().unwrap_or_default();
    let generation = tenant.metadata.generation.unwrap_or_default();
    let status = TenantStatus {
        conditions: condition::merge(&before.conditions, &summary.observations(), generation, around.now),
        observed_generation: generation,
        namespace_uid: facts.namespace.as_ref().filter(|_| ready).map(|namespace| namespace.uid.clone()),
        chain: around.chain.head.clone(),
    };
    Decision {
        children: if tenant.metadata.deletion_timestamp.is_some() { Vec::new() } else { children },
        status: status_value(&status),
        ..Decision::default()
    }
}
