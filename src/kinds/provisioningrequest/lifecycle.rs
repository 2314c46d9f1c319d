//! The state machine: where a request stands, read from its journal alone (000, guarantee 1).

use super::api::{Progress, State, StepStatus};
use crate::model::decision::Act;
use crate::model::journal::{Journal, StepEntry};
use crate::model::step::Step;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Leave PENDING, once every gate is open.
    Leave,
    /// Begin this step: the one before is recorded done.
    Begin(Step),
    /// This step has calls without results.
    Await(Step),
    /// An operator decides.
    Decide,
    /// Nothing: the request has ended.
    End,
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
    match state(journal) {
        State::Pending => Next::Leave,
        State::Completed | State::Failed | State::RollingBack | State::RolledBack => Next::End,
        State::ManualVerification => Next::Decide,
        State::SchemaInterpreting
        | State::WorkflowsCloning
        | State::WebhooksAssigning
        | State::IntegrationsConfiguring
        | State::VapiConfiguring => journal.steps.last().map_or(Next::Leave, after),
    }
}

fn after(entry: &StepEntry) -> Next {
    if entry.done_at.is_none() {
        return Next::Await(entry.step);
    }
    let following = Step::ALL.iter().copied().find(|step| *step > entry.step);
    following.map_or(Next::Decide, Next::Begin)
}

/// The six steps as they are shown.
#[must_use]
pub fn progress(journal: &Journal) -> Vec<StepStatus> {
    let state = state(journal);
    let of = |step: Step| match journal.step(step) {
        None => Progress::Pending,
        Some(entry) if entry.failure().is_some() => Progress::Failed,
        Some(entry) if entry.done_at.is_some() => Progress::Done,
        Some(_) if step == Step::ManualVerification && state == State::Failed => Progress::Failed,
        Some(_) => Progress::Running,
    };
    Step::ALL.iter().map(|step| StepStatus { step: *step, progress: of(*step) }).collect()
}
