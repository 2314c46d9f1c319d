//! Acts of people: what is offered, and whether a decision may be acted upon.
//!
//! The rules are written once, here, and used by the subject (which acts), by the decision (which reports its own fate)
//! and by the command line (which refuses before it writes).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::canonical::Digest;
use super::finding::Finding;
use super::time::Time;

/// What a person may decide. One synthetic RBAC verb each, the name in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Act {
    /// The result was checked and is good.
    Verify,
    /// The result was checked and is not good.
    Reject,
    /// A failed attempt's leftovers are removed and the next attempt begins anew.
    Retry,
    /// Everything that was left outside is removed, in reverse order.
    Rollback,
    /// What was removed was looked for, and is gone.
    ConfirmRollback,
    /// What is left outside stays there, and is nobody's business here any more.
    Release,
    /// What a person did by hand is put on record; nothing else changes.
    Intervene,
    /// The result of a propagation was checked and is good.
    ValidatePropagation,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 8] = [
        Self::Verify,
        Self::Reject,
        Self::Retry,
        Self::Rollback,
        Self::ConfirmRollback,
        Self::Release,
        Self::Intervene,
        Self::ValidatePropagation,
    ];

    /// Lower-case name: in object names and RBAC verbs.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reject => "reject",
            Self::Retry => "retry",
            Self::Rollback => "rollback",
            Self::ConfirmRollback => "confirmrollback",
            Self::Release => "release",
            Self::Intervene => "intervene",
            Self::ValidatePropagation => "validatepropagation",
        }
    }

    /// Whether the decision must say why, or what was done.
    #[must_use]
    pub fn needs_note(self) -> bool {
        match self {
            Self::Reject | Self::Release | Self::Intervene => true,
            Self::Verify | Self::Retry | Self::Rollback | Self::ConfirmRollback | Self::ValidatePropagation => false,
        }
    }

    /// Whether the decision must tick every item of the checklist.
    #[must_use]
    pub fn needs_checklist(self) -> bool {
        match self {
            Self::Verify | Self::ConfirmRollback => true,
            Self::Reject | Self::Retry | Self::Rollback | Self::Release | Self::Intervene | Self::ValidatePropagation => false,
        }
    }

    /// Whether it ends the matter that its evidence is about: then it is the only one on that evidence.
    #[must_use]
    pub fn settles(self) -> bool {
        match self {
            Self::Intervene => false,
            Self::Verify
            | Self::Reject
            | Self::Retry
            | Self::Rollback
            | Self::ConfirmRollback
            | Self::Release
            | Self::ValidatePropagation => true,
        }
    }
}

/// How a decision reached the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Via {
    /// The operator made the request.
    Direct,
    /// Another identity relayed it, for instance the GitOps agent.
    Relay,
}

/// What an object offers to a person now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Acts that are possible now.
    #[schemars(length(max = 10))]
    pub acts: Vec<Act>,
    /// Digest of the evidence that is decided on.
    pub hash: Digest,
    /// Items to tick before `Verify` or `ConfirmRollback`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    pub checklist: Vec<String>,
}

/// What the rules need to know of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// The act.
    pub act: Act,
    /// Evidence hash that it names.
    pub hash: &'a Digest,
    /// Who decides.
    pub operator: &'a str,
    /// Items ticked.
    pub checklist: &'a [String],
    /// Why.
    pub note: Option<&'a str>,
    /// When it lapses.
    pub expires_at: Option<Time>,
}

/// What the rules need to know of the subject.
#[derive(Debug, Clone, Copy)]
pub struct Stand<'a> {
    /// What it offers; none when nobody can decide anything now.
    pub offer: Option<&'a Offer>,
    /// Who submitted what is being decided on.
    pub submitter: &'a str,
    /// Whether submitter and operator must differ.
    pub four_eyes: bool,
    /// The present.
    pub now: Time,
}

/// Why a decision is void. None when it may be acted upon.
///
/// The checks run in this order; the first that fails speaks.
#[must_use]
pub fn refusal(decision: &Submission<'_>, stand: &Stand<'_>) -> Option<Finding> {
    let checks: [fn(&Submission<'_>, &Stand<'_>) -> Option<Finding>; 6] =
        [|decision, _| is_by_somebody(decision), is_not_expired, is_offered, |decision, _| has_note(decision), is_complete, is_by_another];
    checks.iter().find_map(|check| check(decision, stand))
}

/// Why a decision is void whatever its subject offers: everything that can be said without the subject.
#[must_use]
pub fn refusal_by_itself(decision: &Submission<'_>) -> Vec<Finding> {
    is_by_somebody(decision).into_iter().chain(has_note(decision)).collect()
}

/// Why `operator` names nobody who can answer for an act.
#[must_use]
pub fn not_a_person(operator: &str) -> Option<Finding> {
    let operator = operator.trim();
    if operator.is_empty() {
        return Some(Finding::error("OperatorMissing", "spec.operator is empty: name the person who acts").at("/spec/operator"));
    }
    (operator.starts_with("system:serviceaccount:") || operator.starts_with("system:node:")).then(|| {
        let message = format!("spec.operator {operator} is no person: service accounts and nodes answer for nothing");
        Finding::error("OperatorNotAPerson", message).at("/spec/operator")
    })
}

fn is_by_somebody(decision: &Submission<'_>) -> Option<Finding> {
    not_a_person(decision.operator)
}

fn is_not_expired(decision: &Submission<'_>, stand: &Stand<'_>) -> Option<Finding> {
    let expires_at = decision.expires_at?;
    (stand.now >= expires_at)
        .then(|| Finding::error("Expired", format!("the decision lapsed at {expires_at}: create a new one")).at("/spec/expiresAt"))
}

fn is_offered(decision: &Submission<'_>, stand: &Stand<'_>) -> Option<Finding> {
    let Some(offer) = stand.offer else {
        return Some(Finding::error("NothingToDecide", "the subject offers no decision now: see its status.decision"));
    };
    if offer.hash != *decision.hash {
        let message = format!(
            "the decision is for evidence {} but the subject's evidence is {}: look again and decide anew",
            decision.hash.short(12),
            offer.hash.short(12)
        );
        return Some(Finding::error("HashMoved", message).at("/spec/subject/hash"));
    }
    (!offer.acts.contains(&decision.act)).then(|| {
        if decision.act == Act::ValidatePropagation {
            let message = "not every live deployment is on the revision: kubectl get assistantdeployments -A shows which is not";
            return Finding::error("PropagationIncomplete", message).at("/spec/act");
        }
        let message = format!("{:?} is not possible now; possible: {:?}", decision.act, offer.acts);
        Finding::error("ActNotOffered", message).at("/spec/act")
    })
}

fn has_note(decision: &Submission<'_>) -> Option<Finding> {
    let noted = decision.note.is_some_and(|note| !note.trim().is_empty());
    (decision.act.needs_note() && !noted)
        .then(|| Finding::error("NoteMissing", format!("{:?} needs spec.note: say why", decision.act)).at("/spec/note"))
}

fn is_complete(decision: &Submission<'_>, stand: &Stand<'_>) -> Option<Finding> {
    let wanted = stand.offer.map(|offer| offer.checklist.as_slice()).unwrap_or_default();
    if !decision.act.needs_checklist() {
        return None;
    }
    let missing: Vec<&str> = wanted.iter().filter(|item| !decision.checklist.contains(item)).map(String::as_str).collect();
    if !missing.is_empty() {
        let message = format!("spec.checklist lacks {}: tick every item after checking it", missing.join(", "));
        return Some(Finding::error("ChecklistIncomplete", message).at("/spec/checklist"));
    }
    let strange: Vec<&str> = decision.checklist.iter().filter(|item| !wanted.contains(item)).map(String::as_str).collect();
    (!strange.is_empty()).then(|| {
        let message = format!("spec.checklist names {} which is not asked for", strange.join(", "));
        Finding::error("ChecklistUnknownItem", message).at("/spec/checklist")
    })
}

fn is_by_another(decision: &Submission<'_>, stand: &Stand<'_>) -> Option<Finding> {
    (stand.four_eyes && decision.operator == stand.submitter).then(|| {
        let message = format!("the tenant demands four eyes and {} submitted what is decided on", stand.submitter);
        Finding::error("FourEyes", message).at("/spec/operator")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_own_reason() {
        let hash = Digest::of_bytes(b"evidence");
        let other = Digest::of_bytes(b"other");
        let offer = Offer { acts: vec![Act::Verify, Act::Reject], hash: hash.clone(), checklist: vec!["voice".into(), "webhooks".into()] };
        let only_reject = Offer { acts: vec![Act::Reject], ..offer.clone() };
        let at = |second| Time::new(jiff::Timestamp::from_second(second).unwrap());
        let all = vec!["voice".to_owned(), "webhooks".to_owned()];
        let half = vec!["voice".to_owned()];
        let extra = vec!["voice".to_owned(), "webhooks".to_owned(), "tea".to_owned()];
        let good = Submission { act: Act::Verify, hash: &hash, operator: "ana", checklist: &all, note: None, expires_at: None };
        let stand = Stand { offer: Some(&offer), submitter: "ben", four_eyes: false, now: at(100) };
        let same_person = Stand { submitter: "ana", four_eyes: true, ..stand };
        for (decision, stand, reason) in [
            (good, stand, None),
            (Submission { operator: " ", ..good }, stand, Some("OperatorMissing")),
            (Submission { operator: "system:serviceaccount:a:b", ..good }, stand, Some("OperatorNotAPerson")),
            (Submission { expires_at: Some(at(100)), ..good }, stand, Some("Expired")),
            (Submission { expires_at: Some(at(101)), ..good }, stand, None),
            (good, Stand { offer: None, ..stand }, Some("NothingToDecide")),
            (Submission { hash: &other, ..good }, stand, Some("HashMoved")),
            (good, Stand { offer: Some(&only_reject), ..stand }, Some("ActNotOffered")),
            (Submission { checklist: &half, ..good }, stand, Some("ChecklistIncomplete")),
            (Submission { checklist: &extra, ..good }, stand, Some("ChecklistUnknownItem")),
            (Submission { act: Act::Reject, checklist: &[], ..good }, stand, Some("NoteMissing")),
            (Submission { act: Act::Reject, checklist: &[], note: Some("rings engaged"), ..good }, stand, None),
            (good, same_person, Some("FourEyes")),
            (good, Stand { four_eyes: false, ..same_person }, None),
        ] {
            assert_eq!(refusal(&decision, &stand).map(|finding| finding.reason), reason, "{decision:?} {stand:?}");
        }
    }
}
