//! What a tenant leaves behind in its namespace: the evidence that its release is decided on, and what is put on record.

use serde_json::{Value, json};

use super::api::{TENANT, Tenant};
use super::facts::{self, ChainFact, Facts};
use crate::kinds::auditrecord::api::AuditRecordSpec;
use crate::model::canonical::{self, CanonicalText};
use crate::model::decision::{Act, Offer};

/// Type inside the hashed document.
const EVIDENCE_TYPE: &str = "mandate.dev/Evidence/v1";

/// The canonical evidence: the namespace, where every audit chain in it stands, and under four eyes who proposed the release.
/// No observation times. Hashes of
/// execution contracts belong beside `chains`, as `contracts`, once there are any: a new field is omitted when unset.
#[must_use]
pub fn document(tenant: &Tenant, facts: &Facts) -> Option<CanonicalText> {
    let chains = facts.leaving.as_ref().map(|leaving| leaving.chains.as_slice()).unwrap_or_default();
    text(tenant, &namespace(tenant, facts), chains)
}

/// The same from what was exported: the tenant, and every record in its namespace.
#[must_use]
pub fn of_export(tenant: &Tenant, records: Vec<AuditRecordSpec>) -> Option<CanonicalText> {
    let uid = tenant.status.as_ref().and_then(|status| status.namespace_uid.as_ref());
    text(tenant, &json!({"name": tenant.namespace_name(), "uid": uid}), &facts::chains(records))
}

fn text(tenant: &Tenant, namespace: &Value, chains: &[ChainFact]) -> Option<CanonicalText> {
    let mut document = json!({
        "@type": EVIDENCE_TYPE,
        "subject": {"kind": TENANT.kind, "name": tenant.metadata.name, "uid": tenant.metadata.uid},
        "namespace": namespace,
        "chains": chains.iter().map(head).collect::<Vec<_>>(),
    });
    let proposal = tenant.status.as_ref().and_then(|status| status.journal.proposal());
    if let Some(taken) = proposal.filter(|_| tenant.spec.four_eyes) {
        document["proposed"] = json!({"operator": taken.operator, "decisionUid": taken.uid, "evidence": taken.hash});
    }
    canonical::own(&document).ok()
}

/// Its name and UID: a successor of the same name is another one.
#[must_use]
pub fn namespace(tenant: &Tenant, facts: &Facts) -> Value {
    json!({"name": tenant.namespace_name(), "uid": facts.namespace.as_ref().map(|namespace| &namespace.uid)})
}

/// Where a chain stands.
#[must_use]
pub fn head(chain: &ChainFact) -> Value {
    let ChainFact { kind, name, uid, length, head, broken } = chain;
    let mut row = json!({"kind": kind, "name": name, "uid": uid, "length": length, "head": head});
    if let Some(broken) = broken {
        row["broken"] = broken.as_str().into();
    }
    row
}

/// What a person may decide now.
#[must_use]
pub fn offer(tenant: &Tenant, facts: &Facts) -> Option<Offer> {
    Some(Offer { acts: vec![Act::Release], hash: document(tenant, facts)?.digest(), checklist: Vec::new() })
}
