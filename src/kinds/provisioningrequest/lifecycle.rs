//! The state machine: where a request stands, read from its journal alone (000, guarantee 1).

use super::api::{Progress, State, StepStatus};
use crate::model::decision::Act;
use crate::model::journal::{CallEntry, Journal, StepEntry};
use crate::model::step::Step;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Leave PENDING, once every gate is open.
    Leave,
    /// Begin this step: the one before is recorded done.
    Begin(Step),
    /// This step, or the round of undoing, has calls without results.
    Await,
    /// A call of this step has failed in a way that one repair may mend: begin it.
    Repair(Step),
    /// The repair of this step is recorded done: the repaired call is intended again.
    Repeat(Step),
    /// Remove the next part of what was left outside, or end the round.
    Undo,
    /// An operator decides, if anything is offered.
    Decide,
}

/// State that a step stands for.
#[must_use]
pub fn state_of(step: Step) -> State {
    match step {
        Step::SchemaInterpretation => State::SchemaInterpreting,
        Step::WorkflowCloning => State::WorkflowsCloning,
        Step::WebhookAssignment => State::WebhooksAssigning,
        Step::IntegrationConfiguration => State::IntegrationsConfiguring,
        Step::VapiConfiguration => State::VapiConfiguring,
        Step::ManualVerification => State::ManualVerification,
    }
}

/// The request's state.
#[must_use]
pub fn state(journal: &Journal) -> State {
    let begun = journal.steps.last().map(|entry| state_of(entry.step)).unwrap_or_default();
    let worked = if journal.failure().is_some() { State::Failed } else { begun };
    journal.decisions.iter().fold(worked, |state, taken| match taken.act {
        Act::Verify => State::Completed,
        Act::Reject => State::Failed,
        Act::Rollback => State::RollingBack,
        Act::ConfirmRollback => State::RolledBack,
        Act::Retry | Act::Release | Act::Intervene | Act::ValidatePropagation => state,
    })
}

/// What comes next.
#[must_use]
pub fn next(journal: &Journal) -> Next {
    if let Some(round) = journal.open_round() {
        return match round.steps.last() {
            _ if round.failure().is_some() => Next::Decide,
            Some(step) if step.done_at.is_none() => Next::Await,
            Some(_) | None => Next::Undo,
        };
    }
    match state(journal) {
        State::Pending => Next::Leave,
        State::ManualVerification | State::Completed | State::Failed | State::RollingBack | State::RolledBack => Next::Decide,
        State::SchemaInterpreting
        | State::WorkflowsCloning
        | State::WebhooksAssigning
        | State::IntegrationsConfiguring
        | State::VapiConfiguring => journal.steps.last().map_or(Next::Leave, after),
    }
}

fn after(entry: &StepEntry) -> Next {
    if entry.done_at.is_some() {
        let following = Step::ALL.iter().copied().find(|step| *step > entry.step);
        return following.map_or(Next::Decide, Next::Begin);
    }
    let fixable = entry.calls.iter().any(|call| call.failure.as_ref().is_some_and(|failure| failure.repair.is_some()));
    match &entry.repair {
        _ if entry.calls.iter().any(CallEntry::is_open) => Next::Await,
        None if fixable => Next::Repair(entry.step),
        Some(repair) if repair.done_at.is_some() && repair.repeated_at.is_none() => Next::Repeat(entry.step),
        Some(_) | None => Next::Await,
    }
}

/// Whether the request is a failed attempt that the next one has superseded: an operator has decided on a retry.
#[must_use]
pub fn is_superseded(journal: &Journal) -> bool {
    journal.last_settled().is_some_and(|taken| taken.act == Act::Retry)
}

/// The six steps as they are shown.
#[must_use]
pub fn progress(journal: &Journal) -> Vec<StepStatus> {
    let state = state(journal);
    let of = |step: Step| match journal.step(step) {
        None => Progress::Pending,
        Some(entry) if entry.failure().is_some_and(|failure| failure.repair.is_none()) => Progress::Failed,
        Some(entry) if entry.done_at.is_some() => Progress::Done,
        Some(_) if step == Step::ManualVerification && state == State::Failed => Progress::Failed,
        Some(_) => Progress::Running,
    };
    Step::ALL.iter().map(|step| StepStatus { step: *step, progress: of(*step) }).collect()
}
