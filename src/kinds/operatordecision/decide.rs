//! What became of a decision. The subject acts; this only reports, and what it has judged stands: evidence, tenant and
//! clock may move on, and a decision that people saw refused must not act later.

use super::api::{DecisionJournal, DecisionVerdict, Judgement, OperatorDecision, OperatorDecisionStatus};
use super::facts::{Facts, SubjectFact};
use crate::engine::decision::Decision;
use crate::engine::kind::Around;
use crate::kinds::status_value;
use crate::model::condition::{self, Summary};
use crate::model::decision::{self, Stand};
use crate::model::finding::{Finding, Severity};

/// Reasons that end a decision: those that a judgement in the journal may give.
const FINAL: [&str; 16] = [
    "Accepted",
    "Superseded",
    "SubjectKindUnknown",
    "SubjectReplaced",
    "WrongNamespace",
    "Expired",
    "OperatorMissing",
    "OperatorNotAPerson",
    "NothingToDecide",
    "HashMoved",
    "ActNotOffered",
    "PropagationIncomplete",
    "NoteMissing",
    "ChecklistIncomplete",
    "ChecklistUnknownItem",
    "FourEyes",
];

/// What is to be said of a decision.
enum Fate {
    Open(Finding),
    Judged(DecisionVerdict, Finding),
}

/// Decides.
pub fn decide(object: &OperatorDecision, facts: &Facts, around: &Around<'_>) -> Decision {
    let before = object.status.clone().unwrap_or_default();
    let fate = accepted(object, facts).or_else(|| standing(&before.journal)).unwrap_or_else(|| fate(object, facts, around));
    let (verdict, summary, judgement) = match fate {
        Fate::Open(why) => (None, Summary::Progressing(why), None),
        Fate::Judged(verdict, why) => {
            let judgement = Judgement { verdict, reason: why.reason.to_owned(), message: why.message.clone() };
            let summary = match verdict {
                DecisionVerdict::Accepted => Summary::Ready(why),
                DecisionVerdict::Void | DecisionVerdict::Superseded => Summary::Stalled(why),
            };
            (Some(verdict), summary, Some(judgement))
        }
    };
    let generation = object.metadata.generation.unwrap_or_default();
    let status = OperatorDecisionStatus {
        conditions: condition::merge(&before.conditions, &summary.observations(), generation, around.now),
        observed_generation: generation,
        verdict,
        chain: around.chain.head.clone(),
        journal: DecisionJournal { judgement },
    };
    let wake = if verdict.is_none() { object.spec.expires_at } else { None };
    Decision { status: status_value(&status), wake, ..Decision::default() }
}

/// The subject's journal has the last word: it may have acted while this was judged.
fn accepted(object: &OperatorDecision, facts: &Facts) -> Option<Fate> {
    let Facts::Subject(subject) = facts else { return None };
    let taken = subject.taken.iter().find(|taken| Some(&taken.uid) == object.metadata.uid.as_ref())?;
    let message = format!("{:?} was acted upon; the subject's audit chain records it", taken.act);
    Some(Fate::Judged(DecisionVerdict::Accepted, Finding::info("Accepted", message)))
}

/// What was judged before. A reason that this program does not know is judged anew.
fn standing(journal: &DecisionJournal) -> Option<Fate> {
    let Judgement { verdict, reason, message } = journal.judgement.as_ref()?;
    let reason = FINAL.into_iter().find(|known| known == reason)?;
    Some(Fate::Judged(*verdict, Finding { reason, message: message.clone(), severity: Severity::Error, field: None }))
}

fn fate(object: &OperatorDecision, facts: &Facts, around: &Around<'_>) -> Fate {
    let spec = &object.spec;
    let void = |finding| Fate::Judged(DecisionVerdict::Void, finding);
    match facts {
        Facts::KindUnknown => {
            let message = format!(
                "spec.subject.kind {} takes no decisions: AssistantDeployment, ProvisioningRequest, ProvisioningSchema and Tenant do",
                spec.subject.kind
            );
            void(Finding::error("SubjectKindUnknown", message).at("/spec/subject/kind"))
        }
        Facts::Successor => {
            let message = format!("{} {} is another object of the same name: decide on it anew", spec.subject.kind, spec.subject.name);
            void(Finding::error("SubjectReplaced", message).at("/spec/subject/uid"))
        }
        Facts::Misplaced(system) => {
            let message = format!("{} belongs to the platform: decide on it in namespace {system}", spec.subject.kind);
            void(Finding::error("WrongNamespace", message).at("/metadata/namespace"))
        }
        Facts::SubjectMissing if spec.expires_at.is_some_and(|expires_at| around.now >= expires_at) => {
            void(Finding::error("Expired", format!("{} {} did not appear in time", spec.subject.kind, spec.subject.name)))
        }
        Facts::SubjectMissing => {
            // What is wrong whatever the subject offers is as wrong without it.
            if let Some(wrong) = decision::refusal_by_itself(&spec.submission()).into_iter().next() {
                return void(wrong);
            }
            let message = format!(
                "spec.subject: {} {} does not exist in this namespace: it is waited for; if the name is wrong, create another decision",
                spec.subject.kind, spec.subject.name
            );
            Fate::Open(Finding::waiting("SubjectMissing", message))
        }
        Facts::Subject(subject) => judged(object, subject, around),
    }
}

fn judged(object: &OperatorDecision, subject: &SubjectFact, around: &Around<'_>) -> Fate {
    let spec = &object.spec;
    let settled = subject.taken.iter().find(|taken| taken.act.settles() && taken.hash == spec.subject.hash);
    if let Some(first) = settled.filter(|_| spec.act.settles()) {
        let message = format!("{} ({:?} by {}) on the same evidence came first", first.name, first.act, first.operator);
        return Fate::Judged(DecisionVerdict::Superseded, Finding::error("Superseded", message));
    }
    let stand = Stand { offer: subject.offer.as_ref(), submitter: &subject.submitter, four_eyes: subject.four_eyes, now: around.now };
    match decision::refusal(&spec.submission(), &stand) {
        // The evidence may still become what the decision names.
        Some(finding) if finding.reason == "NothingToDecide" && !subject.ended => {
            Fate::Open(Finding { severity: Severity::Waiting, ..finding })
        }
        Some(finding) => Fate::Judged(DecisionVerdict::Void, finding),
        None => Fate::Open(Finding::waiting("BeingActedUpon", "the subject acts upon it")),
    }
}
