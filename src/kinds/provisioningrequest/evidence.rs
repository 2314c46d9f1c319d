//! The evidence that a person decides on, and the offer made with its hash.

use serde_json::{Value, json};

use super::api::{ProvisioningRequest, State};
use super::facts::Facts;
use super::lifecycle;
use crate::model::canonical::{self, CanonicalText};
use crate::model::decision::{Act, Offer};
use crate::model::journal::{CallEntry, Journal};

/// Type inside the hashed document.
const EVIDENCE_TYPE: &str = "mandate.dev/Evidence/v1";

/// The canonical evidence: request, paths, external ids with digests, failure. No observation times.
#[must_use]
pub fn document(request: &ProvisioningRequest, journal: &Journal) -> Option<CanonicalText> {
    let spec = &request.spec;
    let call = |entry: &CallEntry| {
        let mut row = json!({"call": entry.name, "operation": entry.operation, "provider": entry.provider, "key": entry.key});
        if let Some(result) = &entry.result {
            row["result"] = serde_json::to_value(result).unwrap_or(Value::Null);
        }
        row
    };
    let steps: Vec<Value> =
        journal.steps.iter().map(|step| json!({"step": step.step, "calls": step.calls.iter().map(call).collect::<Vec<_>>()})).collect();
    let mut document = json!({
        "@type": EVIDENCE_TYPE,
        "subject": {"kind": super::api::REQUEST.kind, "name": request.metadata.name, "uid": request.metadata.uid},
        "requestDigest": spec.digest().ok()?,
        "schema": spec.schema_ref,
        "attempt": spec.attempt,
        "undoRounds": 0,
        "steps": steps,
    });
    if let Some((step, failure)) = journal.failure() {
        document["failure"] = json!({"step": step, "class": failure.class, "code": failure.code, "message": failure.message});
    }
    canonical::own(&document).ok()
}

/// What a person may decide now.
#[must_use]
pub fn offer(request: &ProvisioningRequest, facts: &Facts, journal: &Journal) -> Option<Offer> {
    if lifecycle::state(journal) != State::ManualVerification {
        return None;
    }
    let checklist = facts.schema.as_ref()?.spec.verification.iter().map(|item| item.item.to_string()).collect();
    Some(Offer { acts: vec![Act::Verify, Act::Reject], hash: document(request, journal)?.digest(), checklist })
}
