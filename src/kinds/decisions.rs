//! What every subject of decisions does with them: finds those about it, and takes the first that no rule refuses.
//! See docs/adr/0001-the-subject-acts.md.

use super::operatordecision::api::{DECISION, OperatorDecision};
use crate::engine::port::{Query, Read, WorldError};
use crate::model::decision::{self, Stand};
use crate::model::journal::TakenDecision;
use crate::model::resource::Resource;
use crate::model::time::Time;

/// Decisions on the subject with this UID, oldest first. They live in `namespace`: the subject's own, or the system namespace
/// for a cluster-scoped one.
///
/// # Errors
/// The world's.
pub async fn about(subject: &'static Resource, uid: &str, namespace: &str, read: &dyn Read) -> Result<Vec<OperatorDecision>, WorldError> {
    let found = read.list(&Query::related(&DECISION, uid)).await?;
    let mut decisions: Vec<OperatorDecision> = found
        .iter()
        .filter(|object| object.namespace() == namespace)
        .filter_map(|object| object.parse::<OperatorDecision>().ok())
        .filter(|decision| decision.spec.subject.kind == subject.kind && decision.spec.subject.uid == uid)
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
