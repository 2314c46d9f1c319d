//! The journal: the only source part of a status. Intents before effects, results after them, decisions taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::IdempotencyKey;
use super::canonical::Digest;
use super::decision::{Act, Via};
use super::failure::Failure;
use super::step::Step;
use super::time::Time;

/// What an effect left outside and what proves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Identifier that the external system gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub external_id: Option<String>,
    /// Digest of what was read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Public URLs that answer now, one per webhook in the order asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 512)))]
    pub urls: Vec<String>,
}

/// Tries of one call that ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waits {
    /// Code of the last fault.
    #[schemars(length(max = 64))]
    pub code: String,
    /// What the last fault said.
    #[schemars(length(max = 512))]
    pub message: String,
    /// Tries so far.
    #[schemars(range(min = 1, max = 10000))]
    pub tries: u32,
    /// When the first of them ended.
    pub since: Time,
    /// When the call is sent again.
    pub retry_at: Time,
    /// The last try is proven to have had no effect, and nothing was sent since.
    #[serde(default, skip_serializing_if = "is_false")]
    pub proven: bool,
}

/// One keyed call: its intent and, later, its result or failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallEntry {
    /// Name within the step.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Operation.
    #[schemars(length(max = 64))]
    pub operation: String,
    /// Key of the effect.
    pub key: IdempotencyKey,
    /// Name of the Provider.
    #[schemars(length(max = 253))]
    pub provider: String,
    /// Whether it leaves a resource outside.
    #[serde(default, skip_serializing_if = "is_false")]
    pub leaves_resource: bool,
    /// When the intent was written.
    pub intended_at: Time,
    /// Tries without a result, while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
    /// What it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Evidence>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

impl CallEntry {
    /// Neither result nor failure yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.result.is_none() && self.failure.is_none()
    }
}

/// One step of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepEntry {
    /// Which step.
    pub step: Step,
    /// Its keyed calls.
    #[schemars(length(max = 64))]
    pub calls: Vec<CallEntry>,
    /// When the last of them had its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
    /// A failure that no single call had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl StepEntry {
    /// The failure of the step: its own or that of its first failed call.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref().or_else(|| self.calls.iter().find_map(|call| call.failure.as_ref()))
    }
}

/// An operator's decision that was acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakenDecision {
    /// Name of the OperatorDecision.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its UID.
    #[schemars(length(max = 36))]
    pub uid: String,
    /// The act.
    pub act: Act,
    /// The evidence hash that was decided on.
    pub hash: Digest,
    /// Who decided.
    #[schemars(length(max = 253))]
    pub operator: String,
    /// How it reached the cluster.
    pub via: Via,
    /// Why, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub note: Option<String>,
    /// When it was acted upon.
    pub at: Time,
}

/// Intents, results, decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    /// Steps begun so far, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub steps: Vec<StepEntry>,
    /// Decisions acted upon, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub decisions: Vec<TakenDecision>,
}

impl Journal {
    /// The entry of a step, once it has begun.
    #[must_use]
    pub fn step(&self, step: Step) -> Option<&StepEntry> {
        self.steps.iter().find(|entry| entry.step == step)
    }

    /// The first failure in order of the steps.
    #[must_use]
    pub fn failure(&self) -> Option<(Step, &Failure)> {
        self.steps.iter().find_map(|entry| entry.failure().map(|failure| (entry.step, failure)))
    }

    /// The result of a call.
    #[must_use]
    pub fn result(&self, step: Step, call: &str) -> Option<&Evidence> {
        self.step(step)?.calls.iter().find(|entry| entry.name == call)?.result.as_ref()
    }

    /// Calls that left, or may have left, something outside.
    pub fn outside(&self) -> impl Iterator<Item = &CallEntry> {
        self.steps.iter().flat_map(|step| &step.calls).filter(|call| call.leaves_resource)
    }
}
