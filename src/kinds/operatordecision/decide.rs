//! What became of a decision. The subject acts; this only reports.

use super::api::{DecisionVerdict, OperatorDecision, OperatorDecisionStatus};
use super::facts::{Facts, SubjectFact};
use crate::engine::decision::Decision;
use crate::engine::kind::Around;
use crate::kinds::status_value;
use crate::model::condition::{self, Summary};
use crate::model::decision::{self, Stand};
use crate::model::finding::Finding;

/// Decides.
pub fn decide(object: &OperatorDecision, facts: &Facts, around: &Around<'_>) -> Decision {
    let (verdict, summary) = fate(object, facts, around);
    let before = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let status = OperatorDecisionStatus {
        conditions: condition::merge(&before.conditions, &summary.observations(), generation, around.now),
        observed_generation: generation,
        verdict,
        chain: around.chain.head.clone(),
    };
    let wake = if verdict.is_none() { object.spec.expires_at } else { None };
    Decision { status: status_value(&status), wake, ..Decision::default() }
}

fn fate(object: &OperatorDecision, facts: &Facts, around: &Around<'_>) -> (Option<DecisionVerdict>, Summary) {
    let spec = &object.spec;
    let void = |finding| (Some(DecisionVerdict::Void), Summary::Stalled(finding));
    match facts {
        Facts::KindUnknown => {
            let message = format!("spec.subject.kind {} takes no decisions: ProvisioningRequest does", spec.subject.kind);
            void(Finding::error("SubjectKindUnknown", message).at("/spec/subject/kind"))
        }
        Facts::Successor => {
            let message = format!("{} {} is another object of the same name: decide on it anew", spec.subject.kind, spec.subject.name);
            void(Finding::error("SubjectReplaced", message).at("/spec/subject/uid"))
        }
        Facts::SubjectMissing if spec.expires_at.is_some_and(|expires_at| around.now >= expires_at) => {
            void(Finding::error("Expired", format!("{} {} did not appear in time", spec.subject.kind, spec.subject.name)))
        }
        Facts::SubjectMissing => {
            let message = format!("{} {} does not exist in this namespace", spec.subject.kind, spec.subject.name);
            (None, Summary::Progressing(Finding::waiting("SubjectMissing", message)))
        }
        Facts::Subject(subject) => judged(object, subject, around),
    }
}

fn judged(object: &OperatorDecision, subject: &SubjectFact, around: &Around<'_>) -> (Option<DecisionVerdict>, Summary) {
    let spec = &object.spec;
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    if subject.taken.iter().any(|taken| taken.uid == uid) {
        let message = format!("{:?} was acted upon; the subject's audit chain records it", spec.act);
        return (Some(DecisionVerdict::Accepted), Summary::Ready(Finding::info("Accepted", message)));
    }
    if let Some(first) = subject.taken.iter().find(|taken| taken.hash == spec.subject.hash) {
        let message = format!("{} ({:?}) on the same evidence came first", first.name, first.act);
        return (Some(DecisionVerdict::Superseded), Summary::Stalled(Finding::error("Superseded", message)));
    }
    let stand = Stand { offer: subject.offer.as_ref(), submitter: &subject.submitter, four_eyes: subject.four_eyes, now: around.now };
    match decision::refusal(&spec.submission(), &stand) {
        Some(finding) => (Some(DecisionVerdict::Void), Summary::Stalled(finding)),
        None => (None, Summary::Progressing(Finding::waiting("BeingActedUpon", "the subject acts upon it"))),
    }
}
