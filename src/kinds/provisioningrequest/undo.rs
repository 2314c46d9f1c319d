//! Removing what an attempt left outside: a step at a time, the last one first, each removal keyed. What is gone already counts
//! as removed; what cannot be removed stops the round until an operator decides anew.

use super::decide::Subject;
use crate::engine::settle;
use crate::kinds::parts;
use crate::model::call::KeyedCall;
use crate::model::decision::Act;
use crate::model::failure::{Failure, FailureCode};
use crate::model::journal::{CallEntry, Evidence, Journal, StepEntry, UndoCause, UndoRound, undo_name};
use crate::model::step::Step;

/// A round that begins.
pub fn round(cause: UndoCause, ordered_by: String) -> UndoRound {
    UndoRound { cause, ordered_by, steps: Vec::new(), done_at: None }
}

/// Writes the intents of the next step to undo, or ends the round when nothing is left.
pub fn advance(subject: &Subject<'_>, journal: &mut Journal) {
    let next = Step::ALL.iter().rev().copied().find(|step| journal.outside().any(|(of, _)| of == *step));
    let entry = next.map(|step| match planned(subject, step, journal) {
        Ok(planned) => StepEntry { done_at: all_done(&planned).then_some(subject.now), ..StepEntry::of(step, planned) },
        Err(failure) => StepEntry { failure: Some(failure), ..StepEntry::of(step, []) },
    });
    let Some(round) = journal.undo.last_mut() else { return };
    match entry {
        Some(entry) => round.steps.push(entry),
        None => round.done_at = Some(subject.now),
    }
}

fn all_done(calls: &[CallEntry]) -> bool {
    calls.iter().all(|call| call.result.is_some())
}

/// Intents to remove what a step left outside.
fn planned(subject: &Subject<'_>, step: Step, journal: &Journal) -> Result<Vec<CallEntry>, Failure> {
    let left = journal.outside().filter(|(of, _)| *of == step);
    left.map(|(_, made)| {
        let mut entry = parts::intent(&keyed(subject, step, made, journal)?, 1, subject.now);
        if removed_by_hand(journal, made) {
            entry.result = Some(Evidence { absent: true, ..Evidence::default() });
        }
        Ok(entry)
    })
    .collect()
}

/// The removal of what `made` made, keyed for the present round.
fn keyed(subject: &Subject<'_>, step: Step, made: &CallEntry, journal: &Journal) -> Result<KeyedCall, Failure> {
    let planned = subject.parts(journal)?.undo(made)?;
    subject.keyed(planned, &format!("Undo{}/{step}", journal.undo.len()), 1)
}

/// A removal that we cannot make, and an operator has put on record that it was made by hand: since the round in which it
/// failed, somebody has intervened, and then decided to go on.
fn removed_by_hand(journal: &Journal, made: &CallEntry) -> bool {
    let Some((_, before)) = journal.undo.split_last() else { return false };
    let Some(round) = before.last() else { return false };
    let name = undo_name(&made.name);
    let failed = round.steps.iter().flat_map(|step| &step.calls).filter(|call| call.name == name);
    let beyond_us = failed
        .into_iter()
        .filter_map(|call| call.failure.as_ref())
        .any(|failure| [FailureCode::NotRemovable, FailureCode::OutcomeUnknown].contains(&failure.code));
    let since = journal.decisions.iter().skip_while(|taken| taken.uid != round.ordered_by);
    beyond_us && since.into_iter().any(|taken| taken.act == Act::Intervene)
}

/// The removals that are due in the open round.
pub fn due(subject: &Subject<'_>, journal: &mut Journal) -> Vec<KeyedCall> {
    let Some(step) = journal.open_round().and_then(|round| round.steps.last()).map(|entry| entry.step) else { return Vec::new() };
    let open = |made: &&CallEntry| {
        let name = undo_name(&made.name);
        let entry = journal.open_round().and_then(|round| round.steps.last());
        entry.is_some_and(|entry| entry.calls.iter().any(|call| call.name == name && call.is_open()))
    };
    let made = journal.step(step).into_iter().flat_map(|entry| &entry.calls).filter(open);
    let planned = made.map(|made| keyed(subject, step, made, journal)).collect();
    let Some(entry) = journal.undo.last_mut().and_then(|round| round.steps.last_mut()) else { return Vec::new() };
    settle::due(&mut entry.calls, planned, subject.now).unwrap_or_else(|failure| {
        entry.failure = Some(failure);
        Vec::new()
    })
}
