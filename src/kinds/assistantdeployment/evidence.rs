//! The evidence that a person decides on when a deployment's own calls have failed.

use serde_json::json;

use super::api::{AssistantDeployment, DEPLOYMENT, DeploymentJournal};
use super::work;
use crate::model::canonical::{self, CanonicalText};
use crate::model::decision::{Act, Offer};

/// Type inside the hashed document.
const EVIDENCE_TYPE: &str = "mandate.dev/Evidence/v1";

/// The canonical evidence: what was being done, between which requests or revisions, what failed, what was decided before.
#[must_use]
pub fn document(deployment: &AssistantDeployment, journal: &DeploymentJournal) -> Option<CanonicalText> {
    let (work, failure) = work::failure(journal)?;
    let settled = journal.decisions.iter().filter(|taken| taken.act.settles());
    let decided: Vec<_> = settled.map(|taken| json!({"act": taken.act, "decisionUid": taken.uid, "evidence": taken.hash})).collect();
    let document = json!({
        "@type": EVIDENCE_TYPE,
        "subject": {"kind": DEPLOYMENT.kind, "name": deployment.metadata.name, "uid": deployment.metadata.uid},
        "work": work,
        "cutover": journal.cutover.as_ref().map(|cutover| json!({"from": cutover.from, "to": cutover.to})),
        "propagation": journal.propagation.as_ref().map(|propagation| json!({"request": propagation.request, "from": propagation.from, "to": propagation.to})),
        "failure": {"class": failure.class, "code": failure.code, "message": failure.message},
        "decided": decided,
    });
    canonical::own(&document).ok()
}

/// What a person may decide now.
#[must_use]
pub fn offer(deployment: &AssistantDeployment, journal: &DeploymentJournal) -> Option<Offer> {
    if deployment.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let hash = document(deployment, journal)?.digest();
    Some(Offer { acts: vec![Act::Retry, Act::Intervene], hash, checklist: Vec::new() })
}
