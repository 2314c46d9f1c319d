//! OperatorDecision: one act of one person on one piece of evidence, frozen.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::canonical::Digest;
use crate::model::condition::Condition;
use crate::model::decision::{Act, Submission, Via};
use crate::model::record::ChainHead;
use crate::model::resource::{Resource, ours};
use crate::model::time::Time;

/// The resource.
pub static DECISION: Resource = ours("OperatorDecision", "operatordecisions", true);

/// What is decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionSubject {
    /// Kind. Example: ProvisioningRequest.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// UID: the decision is void for a successor of the same name.
    #[schemars(length(min = 1, max = 36))]
    pub uid: String,
    /// `status.decision.hash` of the subject when it was looked at.
    pub hash: Digest,
}

/// A decision.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "mandate.dev",
    version = "v1alpha1",
    kind = "OperatorDecision",
    plural = "operatordecisions",
    namespaced,
    status = "OperatorDecisionStatus",
    shortname = "od",
    category = "mandate",
    selectable = ".spec.act"
)]
#[kube(printcolumn = r#"{"name":"Verdict","type":"string","jsonPath":".status.verdict"}"#)]
#[kube(printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#)]
#[kube(printcolumn = r#"{"name":"Act","type":"string","jsonPath":".spec.act"}"#)]
#[kube(printcolumn = r#"{"name":"Subject","type":"string","jsonPath":".spec.subject.name"}"#)]
#[kube(printcolumn = r#"{"name":"Operator","type":"string","jsonPath":".spec.operator"}"#)]
#[kube(printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "spec is immutable: a decision is made once", "reason": "FieldValueForbidden"},
]))]
pub struct OperatorDecisionSpec {
    /// What is decided on.
    pub subject: DecisionSubject,
    /// The act.
    pub act: Act,
    /// The person who decides. Example: ben@clinic.example.
    #[schemars(length(min = 1, max = 253))]
    pub operator: String,
    /// How it reached the cluster.
    pub via: Via,
    /// Items checked; `Verify` needs all that the subject asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub checklist: Vec<String>,
    /// Why; `Reject` needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub note: Option<String>,
    /// When it lapses if it was not acted upon, RFC 3339 UTC in whole seconds. Example: `2026-02-01T12:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::model::time::plain_schema")]
    pub expires_at: Option<Time>,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DecisionVerdict {
    /// It was acted upon.
    Accepted,
    /// It cannot be acted upon, now or later.
    Void,
    /// Another decision on the same evidence came first.
    Superseded,
}

/// What was made of a decision once and for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// What became of it.
    pub verdict: DecisionVerdict,
    /// Why, CamelCase.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// Why, for people.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The source part of the status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionJournal {
    /// The judgement, which stands whatever becomes of the subject; absent while the decision is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
}

impl DecisionJournal {
    fn is_empty(&self) -> bool {
        self.judgement.is_none()
    }
}

/// What is observed of a decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatorDecisionStatus {
    /// Conditions; `Ready` is the summary: accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generation that the rest was computed from; -1 before the first.
    #[serde(default)]
    pub observed_generation: i64,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<DecisionVerdict>,
    /// The audit chain of the decision itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainHead>,
    /// The judgement that stands.
    #[serde(default, skip_serializing_if = "DecisionJournal::is_empty")]
    pub journal: DecisionJournal,
}

impl OperatorDecisionSpec {
    /// What the rules look at.
    #[must_use]
    pub fn submission(&self) -> Submission<'_> {
        Submission {
            act: self.act,
            hash: &self.subject.hash,
            operator: &self.operator,
            checklist: &self.checklist,
            note: self.note.as_deref(),
            expires_at: self.expires_at,
        }
    }
}

/// Name of the `number`-th decision of its kind on one piece of evidence: `<act>-<subject>-<hash8>-<n>`.
#[must_use]
pub fn decision_name(act: Act, subject: &str, hash: &Digest, number: u32) -> String {
    format!("{}-{subject}-{}-{number}", act.verb(), hash.short(8))
}
