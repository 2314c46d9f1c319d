//! How far a revision has come among live deployments, and what an operator may then decide.
//!
//! ```text
//! deployment                                  counted as
//! nothing live, or live on another version    not at all
//! live on this revision                       current
//! live on another revision of this version    failed if its condition UpToDate says PropagationFailed, else pending
//! ```
//!
//! Only a revision that follows another has a propagation to validate, and only while it is the highest valid one.

use serde_json::{Value, json};

use super::api::{Census, DeploymentCounts, ProvisioningSchema, SCHEMA};
use super::revisions;
use crate::model::canonical::{self, CanonicalText, Digest};
use crate::model::condition::{Observation, Truth};
use crate::model::decision::{Act, Offer};
use crate::model::finding::Finding;
use crate::model::journal::TakenDecision;
use crate::model::object::Object;
use crate::model::pointer;
use crate::model::time::Time;

/// Condition of deployments: the live assistant is on the current revision of its version.
const UP_TO_DATE: &str = "UpToDate";
/// Its reason when the current revision could not be brought there.
const PROPAGATION_FAILED: &str = "PropagationFailed";
/// Condition of schemas: every live deployment of the version is on this revision.
const PROPAGATED: &str = "Propagated";
/// Type inside the hashed document.
const EVIDENCE_TYPE: &str = "mandate.dev/Evidence/v1";
/// Pause between two writes of counts while nothing else changes.
const CENSUS_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

/// What a deployment has live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Name of the revision.
    revision: String,
    /// Its digest.
    digest: String,
    /// The current revision could not be brought there.
    failed: bool,
}

impl Live {
    /// Of a deployment; none while it has nothing live. Read without its type: there may be thousands.
    #[must_use]
    pub fn of(deployment: &Object) -> Option<Self> {
        let text = |at: &str| pointer::text(&deployment.body, at).map(str::to_owned);
        let conditions = deployment.body.pointer("/status/conditions").and_then(Value::as_array);
        let says = |condition: &Value, field: &str, text: &str| condition.get(field).and_then(Value::as_str) == Some(text);
        let failed = conditions.into_iter().flatten().any(|condition| {
            says(condition, "type", UP_TO_DATE) && says(condition, "status", "False") && says(condition, "reason", PROPAGATION_FAILED)
        });
        Some(Self { revision: text("/status/schema/name")?, digest: text("/status/schema/digest")?, failed })
    }

    fn is_on(&self, schema: &ProvisioningSchema, digest: Option<&Digest>) -> bool {
        Some(&self.revision) == schema.metadata.name.as_ref() && digest.is_some_and(|digest| digest.as_str() == self.digest)
    }
}

/// Counts the live deployments of a schema's version.
#[must_use]
pub fn count(schema: &ProvisioningSchema, live: &[Live]) -> DeploymentCounts {
    let digest = schema.spec.digest().ok();
    let mut counts = DeploymentCounts::default();
    let prefix = schema.spec.revision_prefix();
    // A name is the version's revision and nothing else: CEL sees to it.
    for one in live.iter().filter(|one| one.revision.starts_with(&prefix)) {
        counts.live += 1;
        if one.is_on(schema, digest.as_ref()) {
            counts.current += 1;
        } else if one.failed {
            counts.failed += 1;
        } else {
            counts.pending += 1;
        }
    }
    counts
}

/// The census to be written now, and when to take the next. While nothing else moves (`is_quiet`), counts are written at most
/// once per [`CENSUS_INTERVAL`], however many deployments move them.
#[must_use]
pub fn census(before: Option<&Census>, counts: DeploymentCounts, is_quiet: bool, now: Time) -> (Option<Census>, Option<Time>) {
    let taken = Census { counts, at: now };
    match before {
        None if counts == DeploymentCounts::default() => (None, None),
        None => (Some(taken), None),
        Some(before) if before.counts == counts => (Some(*before), None),
        Some(before) if is_quiet && now.since(before.at) < CENSUS_INTERVAL => {
            (Some(*before), Some(Time::after(before.at.instant(), CENSUS_INTERVAL)))
        }
        Some(_) => (Some(taken), None),
    }
}

/// Where the propagation of a revision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is nothing to propagate: it is the first, it is not current or not valid, or nothing is live.
    None,
    /// Deployments are still to be brought to it.
    UnderWay,
    /// Some could not be.
    Failing,
    /// All are on it; an operator has to look.
    Done,
    /// An operator has looked.
    Validated,
}

/// Where the propagation stands. `others` are the schemas of the product; the schema itself may be among them.
#[must_use]
pub fn standing(
    schema: &ProvisioningSchema,
    others: &[ProvisioningSchema],
    counts: DeploymentCounts,
    decisions: &[TakenDecision],
) -> Standing {
    let validated = decisions.iter().any(|taken| taken.act == Act::ValidatePropagation);
    if schema.spec.revision <= 1 || !revisions::is_current(schema, others) {
        return Standing::None;
    }
    match counts {
        _ if validated => Standing::Validated,
        DeploymentCounts { live: 0, .. } => Standing::None,
        DeploymentCounts { failed: 1.., .. } => Standing::Failing,
        DeploymentCounts { pending: 1.., .. } => Standing::UnderWay,
        DeploymentCounts { .. } => Standing::Done,
    }
}

/// The canonical evidence: it is bound to the revision's digest, not to who is live at the moment.
#[must_use]
pub fn document(schema: &ProvisioningSchema) -> Option<CanonicalText> {
    let document = json!({
        "@type": EVIDENCE_TYPE,
        "subject": {"kind": SCHEMA.kind, "name": schema.metadata.name, "uid": schema.metadata.uid},
        "schemaDigest": schema.spec.digest().ok()?,
    });
    canonical::own(&document).ok()
}

/// What a person may decide. While the propagation is not complete the evidence is told and no act is possible on it, so that
/// a decision is refused instead of waiting.
#[must_use]
pub fn offer(schema: &ProvisioningSchema, standing: Standing) -> Option<Offer> {
    let acts = match standing {
        Standing::None | Standing::Validated => return None,
        Standing::UnderWay | Standing::Failing => Vec::new(),
        Standing::Done => vec![Act::ValidatePropagation],
    };
    Some(Offer { acts, hash: document(schema)?.digest(), checklist: Vec::new() })
}

/// The condition that says it; absent where nothing is propagated. No counts in it: they move.
#[must_use]
pub fn condition(schema: &ProvisioningSchema, standing: Standing) -> Option<Observation> {
    let name = schema.metadata.name.as_deref().unwrap_or_default();
    let version = &schema.spec.version;
    let (status, why) = match standing {
        Standing::None => return None,
        Standing::UnderWay => {
            let message =
                format!("live deployments of {version} are being brought to it: kubectl get assistantdeployments -A shows which are");
            (Truth::False, Finding::waiting("Propagating", message))
        }
        Standing::Failing => {
            let message =
                "some live deployments could not be brought to it: kubectl get assistantdeployments -A shows which, mandate get says why";
            (Truth::False, Finding::error("PropagationIncomplete", message))
        }
        Standing::Done => {
            let message = format!(
                "every live deployment of {version} is on it; an operator checks: mandate decide validate-propagation pschema/{name}"
            );
            (Truth::False, Finding::waiting("AwaitingValidation", message))
        }
        Standing::Validated => {
            let message = "an operator has validated that every live deployment was brought to it";
            (Truth::True, Finding::info("PropagationValidated", message))
        }
    };
    Some(Observation { kind: PROPAGATED, status, why })
}
