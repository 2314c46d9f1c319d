//! The state machine: where a request stands, read from its journal alone (000, guarantee 1).
//!
//! [`TRANSITIONS`] is all of it: what a journal holds is told as causes, and each cause leads along a row. A cause without a row
//! leads nowhere.

use std::fmt;

use super::api::{Progress, State, StepStatus};
use crate::model::decision::Act;
use crate::model::journal::{CallEntry, Journal, StepEntry};
use crate::model::step::Step;

/// What moves a request, as its journal tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The intents of this step are written.
    Begun(Step),
    /// The step has failed in a way that is for a person.
    Failed,
    /// A person's decision was acted upon.
    Decided(Act),
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun(step) => write!(formatter, "{step} begins"),
            Self::Failed => formatter.write_str("the step fails"),
            Self::Decided(act) => write!(formatter, "{act:?} is decided"),
        }
    }
}

/// One row of the lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transition {
    /// State before.
    pub from: State,
    /// What happens.
    pub cause: Cause,
    /// State afterwards; the same where an act is put on record and changes nothing else.
    pub to: State,
}

const fn row(from: State, cause: Cause, to: State) -> Transition {
    Transition { from, cause, to }
}

/// Every transition there is. The first six are the fixed order of 000; no other row leads forward, and out of a state that
/// waits for a person only a decision leads.
pub const TRANSITIONS: &[Transition] = &[
    row(State::Pending, Cause::Begun(Step::SchemaInterpretation), State::SchemaInterpreting),
    row(State::SchemaInterpreting, Cause::Begun(Step::WorkflowCloning), State::WorkflowsCloning),
    row(State::WorkflowsCloning, Cause::Begun(Step::WebhookAssignment), State::WebhooksAssigning),
    row(State::WebhooksAssigning, Cause::Begun(Step::IntegrationConfiguration), State::IntegrationsConfiguring),
    row(State::IntegrationsConfiguring, Cause::Begun(Step::VapiConfiguration), State::VapiConfiguring),
    row(State::VapiConfiguring, Cause::Begun(Step::ManualVerification), State::ManualVerification),
    row(State::SchemaInterpreting, Cause::Failed, State::Failed),
    row(State::WorkflowsCloning, Cause::Failed, State::Failed),
    row(State::WebhooksAssigning, Cause::Failed, State::Failed),
    row(State::IntegrationsConfiguring, Cause::Failed, State::Failed),
    row(State::VapiConfiguring, Cause::Failed, State::Failed),
    // Its deployment is being deleted in the middle of the work, and something may be outside.
    row(State::WorkflowsCloning, Cause::Decided(Act::Rollback), State::RollingBack),
    row(State::WorkflowsCloning, Cause::Decided(Act::Release), State::WorkflowsCloning),
    row(State::WebhooksAssigning, Cause::Decided(Act::Rollback), State::RollingBack),
    row(State::WebhooksAssigning, Cause::Decided(Act::Release), State::WebhooksAssigning),
    row(State::IntegrationsConfiguring, Cause::Decided(Act::Rollback), State::RollingBack),
    row(State::IntegrationsConfiguring, Cause::Decided(Act::Release), State::IntegrationsConfiguring),
    row(State::VapiConfiguring, Cause::Decided(Act::Rollback), State::RollingBack),
    row(State::VapiConfiguring, Cause::Decided(Act::Release), State::VapiConfiguring),
    row(State::ManualVerification, Cause::Decided(Act::Verify), State::Completed),
    row(State::ManualVerification, Cause::Decided(Act::Reject), State::Failed),
    row(State::ManualVerification, Cause::Decided(Act::Rollback), State::RollingBack),
    row(State::ManualVerification, Cause::Decided(Act::Release), State::ManualVerification),
    row(State::Completed, Cause::Decided(Act::Rollback), State::RollingBack),
    row(State::Completed, Cause::Decided(Act::Intervene), State::Completed),
    row(State::Completed, Cause::Decided(Act::Release), State::Completed),
    row(State::Failed, Cause::Decided(Act::Retry), State::Failed),
    row(State::Failed, Cause::Decided(Act::Rollback), State::RollingBack),
    row(State::Failed, Cause::Decided(Act::Intervene), State::Failed),
    row(State::Failed, Cause::Decided(Act::Release), State::Failed),
    row(State::RollingBack, Cause::Decided(Act::Rollback), State::RollingBack),
    row(State::RollingBack, Cause::Decided(Act::Intervene), State::RollingBack),
    row(State::RollingBack, Cause::Decided(Act::ConfirmRollback), State::RolledBack),
    row(State::RollingBack, Cause::Decided(Act::Release), State::RollingBack),
    row(State::RolledBack, Cause::Decided(Act::Retry), State::RolledBack),
];

/// The row that a cause leads along.
#[must_use]
pub fn transition(from: State, cause: Cause) -> Option<&'static Transition> {
    TRANSITIONS.iter().find(|row| row.from == from && row.cause == cause)
}

/// What the journal tells, in the order in which it happened: a decision is acted upon only where the steps have halted.
pub fn causes(journal: &Journal) -> impl Iterator<Item = Cause> {
    let failed = journal.failure().map(|(step, _)| step);
    let worked = journal.steps.iter().flat_map(move |entry| {
        let failed = (failed == Some(entry.step)).then_some(Cause::Failed);
        [Some(Cause::Begun(entry.step)), failed]
    });
    worked.flatten().chain(journal.decisions.iter().map(|taken| Cause::Decided(taken.act)))
}

/// The rows that a request has gone along so far.
#[must_use]
pub fn way(journal: &Journal) -> Vec<&'static Transition> {
    let mut state = State::default();
    causes(journal).filter_map(|cause| transition(state, cause).inspect(|row| state = row.to)).collect()
}

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

/// The request's state.
#[must_use]
pub fn state(journal: &Journal) -> State {
    way(journal).last().map(|row| row.to).unwrap_or_default()
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
