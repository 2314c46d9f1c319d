//! The journal: the only source part of a status. Intents before effects, results after them, decisions taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::IdempotencyKey;
use super::canonical::Digest;
use super::decision::{Act, Via};
use super::failure::{Failure, Repair};
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
    /// What was to be removed was gone already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// Tries of one call that ended without a result, kept beside the result that came at last.
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
    /// When the call is sent again, or was.
    pub retry_at: Time,
    /// The last try is proven to have had no effect, and nothing was sent since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
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
    /// Number of the try that the key covers; only a recorded repair moves it. Default: 1.
    #[serde(rename = "try", default = "first_try", skip_serializing_if = "is_first_try")]
    #[schemars(range(min = 1, max = 2))]
    pub try_number: u32,
    /// Name of the Provider.
    #[schemars(length(max = 253))]
    pub provider: String,
    /// Whether it leaves a resource outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
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

fn first_try() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_first_try(number: &u32) -> bool {
    *number == 1
}

impl CallEntry {
    /// Neither result nor failure yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.result.is_none() && self.failure.is_none()
    }
}

/// One step of a journal: a group of calls that may run at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepEntry<S = Step> {
    /// Which step.
    pub step: S,
    /// Its keyed calls.
    #[schemars(length(max = 64))]
    pub calls: Vec<CallEntry>,
    /// When the last of them had its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
    /// A failure that no single call had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The one repair that was begun in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<RepairEntry>,
}

impl<S> StepEntry<S> {
    /// A step with these calls.
    pub fn of(step: S, calls: impl IntoIterator<Item = CallEntry>) -> Self {
        Self { step, calls: calls.into_iter().collect(), done_at: None, failure: None, repair: None }
    }

    /// The failure of the step: its own or that of its first failed call.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref().or_else(|| self.calls.iter().find_map(|call| call.failure.as_ref()))
    }

    /// Every call in it, those of its repair too.
    pub fn all_calls(&self) -> impl Iterator<Item = &CallEntry> {
        self.calls.iter().chain(self.repair.iter().flat_map(|repair| &repair.calls))
    }

    /// Its groups of calls, to be settled.
    pub fn groups_mut(&mut self) -> impl Iterator<Item = GroupMut<'_>> {
        let repair = self.repair.iter_mut().map(|repair| GroupMut { calls: &mut repair.calls, done_at: &mut repair.done_at });
        std::iter::once(GroupMut { calls: &mut self.calls, done_at: &mut self.done_at }).chain(repair)
    }
}

/// A repair: what had failed, and the call that mends it. The repaired call is sent again afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepairEntry {
    /// Which repair.
    pub repair: Repair,
    /// Name of the call that it repairs.
    #[schemars(length(max = 128))]
    pub repairs: String,
    /// What that call had met, as it was classified.
    pub failure: Failure,
    /// The repairing call.
    #[schemars(length(min = 1, max = 1))]
    pub calls: Vec<CallEntry>,
    /// When it had its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
    /// When the repaired call was intended again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated_at: Option<Time>,
}

/// Calls of one journal that are settled together, and when all of them had a result.
#[derive(Debug)]
pub struct GroupMut<'a> {
    /// The calls.
    pub calls: &'a mut Vec<CallEntry>,
    /// When the last of them had its result.
    pub done_at: &'a mut Option<Time>,
}

/// What the loop needs of any kind's journal.
pub trait Calls {
    /// Every call.
    fn calls(&self) -> Vec<&CallEntry>;
    /// Every group of calls, to be settled.
    fn groups_mut(&mut self) -> Vec<GroupMut<'_>>;
}

/// The journal of a kind that calls nobody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoCalls {}

impl Calls for NoCalls {
    fn calls(&self) -> Vec<&CallEntry> {
        Vec::new()
    }

    fn groups_mut(&mut self) -> Vec<GroupMut<'_>> {
        Vec::new()
    }
}

/// Why what was left outside is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UndoCause {
    /// An operator decided on a rollback.
    Rollback,
    /// An operator decided on a retry: the leftovers of this attempt go first.
    Retry,
    /// A newer assistant has taken over.
    Retirement,
}

/// One round of removing what was left outside, in reverse order of its making.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndoRound {
    /// Why.
    pub cause: UndoCause,
    /// UID of the decision that ordered it, or of the request that took over.
    #[schemars(length(max = 36))]
    pub ordered_by: String,
    /// What is removed, a step at a time, the last step first. A round that goes on with an earlier one holds what is left.
    #[schemars(length(max = 6))]
    pub steps: Vec<StepEntry>,
    /// When nothing was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
}

impl UndoRound {
    /// Its failure, while nothing else is decided.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.steps.iter().find_map(StepEntry::failure)
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
    /// Rounds of undoing them, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub undo: Vec<UndoRound>,
    /// Decisions acted upon, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub decisions: Vec<TakenDecision>,
}

impl Calls for Journal {
    fn calls(&self) -> Vec<&CallEntry> {
        let undo = self.undo.iter().flat_map(|round| &round.steps);
        self.steps.iter().chain(undo).flat_map(StepEntry::all_calls).collect()
    }

    fn groups_mut(&mut self) -> Vec<GroupMut<'_>> {
        let undo = self.undo.iter_mut().flat_map(|round| &mut round.steps);
        self.steps.iter_mut().chain(undo).flat_map(StepEntry::groups_mut).collect()
    }
}

impl Journal {
    /// The entry of a step, once it has begun.
    #[must_use]
    pub fn step(&self, step: Step) -> Option<&StepEntry> {
        self.steps.iter().find(|entry| entry.step == step)
    }

    /// The first failure in order of the steps, unless its repair is still to be tried.
    #[must_use]
    pub fn failure(&self) -> Option<(Step, &Failure)> {
        let failures = self.steps.iter().filter_map(|entry| entry.failure().map(|failure| (entry.step, failure)));
        failures.into_iter().find(|(_, failure)| failure.repair.is_none())
    }

    /// The result of a call.
    #[must_use]
    pub fn result(&self, step: Step, call: &str) -> Option<&Evidence> {
        self.step(step)?.calls.iter().find(|entry| entry.name == call)?.result.as_ref()
    }

    /// Calls that left, or may have left, something outside that no undo has removed.
    pub fn outside(&self) -> impl Iterator<Item = (Step, &CallEntry)> {
        let made = self.steps.iter().flat_map(|entry| entry.calls.iter().map(|call| (entry.step, call)));
        made.filter(|(_, call)| call.leaves_resource && !self.is_undone(call))
    }

    /// The round of undoing that is under way or has failed.
    #[must_use]
    pub fn open_round(&self) -> Option<&UndoRound> {
        self.undo.last().filter(|round| round.done_at.is_none())
    }

    /// Whether an operator has decided that what is left outside stays.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.decisions.iter().any(|taken| taken.act == Act::Release)
    }

    /// Whether something outside is still this request's to remove: what was made, or a rollback that nobody has confirmed.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let rolling_back = self.last_settled().is_some_and(|taken| taken.act == Act::Rollback);
        !self.is_released() && (rolling_back || self.outside().next().is_some())
    }

    /// The last decision that ended a matter.
    #[must_use]
    pub fn last_settled(&self) -> Option<&TakenDecision> {
        self.decisions.iter().rev().find(|taken| taken.act.settles())
    }

    /// Whether a round has removed what the call made.
    #[must_use]
    pub fn is_undone(&self, call: &CallEntry) -> bool {
        let steps = self.undo.iter().flat_map(|round| &round.steps);
        steps.flat_map(|step| &step.calls).any(|undo| undo.name == undo_name(&call.name) && undo.result.is_some())
    }
}

/// Name of the call that undoes the call of this name.
#[must_use]
pub fn undo_name(call: &str) -> String {
    format!("undo/{call}")
}
