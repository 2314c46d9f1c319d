//! What must hold of requests in every state of the world (design section 7).

use super::api::{ProvisioningRequest, State};
use super::lifecycle;
use crate::engine::audit::{Invariant, Snapshot};
use crate::model::decision::Act;
use crate::model::step::Step;

/// All of them.
pub const ALL: &[Invariant] = &[
    Invariant { number: 2, holds: "a step begins only after the one before is recorded done, in the fixed order", broken: order },
    Invariant { number: 3, holds: "COMPLETED implies six recorded steps and one Verify", broken: completed },
    Invariant { number: 5, holds: "after a failure no later step begins", broken: halted },
    Invariant { number: 17, holds: "observedGeneration <= generation", broken: observed },
];

fn requests(world: &Snapshot) -> impl Iterator<Item = ProvisioningRequest> {
    world.of_kind("ProvisioningRequest").filter_map(|object| object.parse().ok())
}

fn each(world: &Snapshot, broken: impl Fn(&ProvisioningRequest) -> Option<String>) -> Vec<String> {
    let name = |request: &ProvisioningRequest| request.metadata.name.clone().unwrap_or_default();
    requests(world).filter_map(|request| broken(&request).map(|why| format!("{}: {why}", name(&request)))).collect()
}

fn order(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let steps = &request.status.as_ref()?.journal.steps;
        let in_order = steps.iter().zip(Step::ALL).all(|(entry, step)| entry.step == step);
        let done = steps.iter().rev().skip(1).all(|entry| entry.done_at.is_some());
        (!in_order || !done).then(|| format!("{:?}", steps.iter().map(|entry| (entry.step, entry.done_at)).collect::<Vec<_>>()))
    })
}

fn completed(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let status = request.status.as_ref()?;
        let verified = status.journal.decisions.iter().filter(|taken| taken.act == Act::Verify).count() == 1;
        let all_done = status.journal.steps.len() == Step::ALL.len() && status.journal.steps.iter().all(|entry| entry.done_at.is_some());
        (status.state == Some(State::Completed) && !(verified && all_done)).then(|| "COMPLETED without its proofs".to_owned())
    })
}

fn halted(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let steps = &request.status.as_ref()?.journal.steps;
        let failed = steps.iter().position(|entry| entry.failure().is_some())?;
        (failed + 1 != steps.len()).then(|| "a step began after a failure".to_owned())
    })
}

fn observed(world: &Snapshot) -> Vec<String> {
    each(world, |request| {
        let status = request.status.as_ref()?;
        let moved = status.observed_generation > request.metadata.generation.unwrap_or_default();
        let stale = status.state.is_some_and(|state| state != lifecycle::state(&status.journal));
        (moved || stale).then(|| "the status does not follow from spec and journal".to_owned())
    })
}
