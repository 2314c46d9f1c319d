//! What every subject of decisions does with them: finds those about it, and takes the first that no rule refuses.
//! See docs/adr/0001-the-subject-acts.md.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::operatordecision::api::{DECISION, OperatorDecision};
use crate::engine::kind::Chain;
use crate::engine::port::{Query, Read, WorldError};
use crate::model::canonical;
use crate::model::decision::{self, Act, Stand};
use crate::model::journal::TakenDecision;
use crate::model::record::RecordDraft;
use crate::model::resource::Resource;
use crate::model::time::Time;

/// Decisions on this subject, by kind, name and UID, oldest first. They live in `namespace`: the subject's own, or the system
/// namespace for a cluster-scoped one.
///
/// # Errors
/// The world's.
pub async fn about(
    resource: &'static Resource,
    subject: &ObjectMeta,
    namespace: &str,
    read: &dyn Read,
) -> Result<Vec<OperatorDecision>, WorldError> {
    let (name, uid) = (subject.name.as_deref().unwrap_or_default(), subject.uid.as_deref().unwrap_or_default());
    let found = read.list(&Query::related(&DECISION, uid)).await?;
    let mut decisions: Vec<OperatorDecision> = found
        .iter()
        .filter(|object| object.namespace() == namespace)
        .filter_map(|object| object.parse::<OperatorDecision>().ok())
        .filter(|decision| {
            let on = &decision.spec.subject;
            // A person who names one object has not decided on another, whatever its UID.
            on.kind == resource.kind && on.name == name && on.uid == uid
        })
        .collect();
    decisions.sort_by(|one, other| {
        let order = |decision: &OperatorDecision| (decision.metadata.creation_timestamp.clone(), decision.metadata.name.clone());
        order(one).cmp(&order(other))
    });
    Ok(decisions)
}

/// The first open decision that the rules let pass, as it goes into the subject's journal. One that was judged void stays so
/// whatever has changed since; one that was taken is not taken again.
#[must_use]
pub fn first_passing(decisions: &[OperatorDecision], taken: &[TakenDecision], stand: &Stand<'_>, now: Time) -> Option<TakenDecision> {
    let open = decisions.iter().filter(|decision| decision.status.as_ref().is_none_or(|status| status.verdict.is_none()));
    let mut new = open.filter(|decision| !taken.iter().any(|before| Some(&before.uid) == decision.metadata.uid.as_ref()));
    let chosen = new.find(|decision| decision::refusal(&decision.spec.submission(), stand).is_none())?;
    Some(taken_at(chosen, now))
}

/// A decision whose act is on record already and not in the subject's journal, as it goes there: the process died between
/// record and status, and what is on record was done, whatever has changed since.
#[must_use]
pub fn recorded(decisions: &[OperatorDecision], taken: &[TakenDecision], chain: &Chain) -> Option<TakenDecision> {
    let mut new = decisions.iter().filter(|decision| !taken.iter().any(|before| Some(&before.uid) == decision.metadata.uid.as_ref()));
    new.find_map(|decision| {
        let (uid, event) = (decision.metadata.uid.as_deref()?, event(decision.spec.act));
        let entry = chain.entries.iter().find(|entry| entry.event == event && entry.payload["decisionUid"] == uid)?;
        Some(taken_at(decision, entry.time))
    })
}

/// A decision as it goes into its subject's journal.
#[must_use]
pub fn taken_at(decision: &OperatorDecision, at: Time) -> TakenDecision {
    TakenDecision {
        name: decision.metadata.name.clone().unwrap_or_default(),
        uid: decision.metadata.uid.clone().unwrap_or_default(),
        act: decision.spec.act,
        hash: decision.spec.subject.hash.clone(),
        operator: decision.spec.operator.clone(),
        via: decision.spec.via,
        note: decision.spec.note.clone(),
        at,
    }
}

/// Event under which an act is on record.
fn event(act: Act) -> &'static str {
    match act {
        Act::Verify => "ProvisioningVerified",
        Act::Reject => "ProvisioningRejected",
        Act::Retry => "RetryOrdered",
        Act::Rollback => "RollbackOrdered",
        Act::ConfirmRollback => "RollbackConfirmed",
        Act::Release => "Released",
        Act::Intervene => "Intervened",
        Act::ValidatePropagation => "PropagationValidated",
    }
}

/// The record of a decision that was acted upon.
#[must_use]
pub fn record(taken: &TakenDecision) -> Option<RecordDraft> {
    let mut payload: Value =
        json!({"decision": taken.name, "decisionUid": taken.uid, "act": taken.act, "evidence": taken.hash, "via": taken.via});
    if let Some(note) = &taken.note {
        payload["note"] = note.as_str().into();
    }
    let identity = json!({"decisionUid": taken.uid, "act": taken.act, "evidence": taken.hash});
    let cause = canonical::own(&identity).ok()?.digest();
    Some(RecordDraft { event: event(taken.act), cause, actor: taken.operator.clone(), payload })
}
