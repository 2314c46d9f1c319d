//! What must hold of deployments in every state of the world (design section 7).

use std::collections::BTreeMap;

use super::api::{AssistantDeployment, CutoverStep, RequestRef};
use crate::engine::audit::{Invariant, Snapshot};
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, RequestReason, State};
use crate::model::decision::Act;
use crate::model::journal::{CallEntry, Calls, UndoCause};

/// All of them.
pub const ALL: &[Invariant] = &[
    Invariant { number: 1, holds: "a switch or update that is recorded done has every result", broken: proven },
    Invariant { number: 2, holds: "a cutover switches the new on before the old off, and only then is the old removed", broken: in_order },
    Invariant { number: 3, holds: "only what a person has verified takes over, or is brought to a newer revision", broken: verified },
    Invariant { number: 4, holds: "a retry follows a person's decision on the attempt before", broken: retried },
    Invariant { number: 9, holds: "a deployment has one request on its way at most", broken: one_at_a_time },
];

fn deployments(world: &Snapshot) -> impl Iterator<Item = AssistantDeployment> {
    world.of_kind("AssistantDeployment").filter_map(|object| object.parse().ok())
}

/// Requests of each deployment, by attempt.
fn requests(world: &Snapshot) -> BTreeMap<String, Vec<ProvisioningRequest>> {
    let mut all: BTreeMap<String, Vec<ProvisioningRequest>> = BTreeMap::new();
    for request in world.of_kind("ProvisioningRequest").filter_map(|object| object.parse::<ProvisioningRequest>().ok()) {
        all.entry(request.spec.deployment.uid.clone()).or_default().push(request);
    }
    all.values_mut().for_each(|requests| requests.sort_by_key(|request| request.spec.attempt));
    all
}

fn each(world: &Snapshot, broken: impl Fn(&AssistantDeployment, &[ProvisioningRequest]) -> Option<String>) -> Vec<String> {
    let requests = requests(world);
    let told = |deployment: AssistantDeployment| {
        let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
        let why = broken(&deployment, requests.get(uid).map(Vec::as_slice).unwrap_or_default())?;
        Some(format!("{}: {why}", deployment.metadata.name.unwrap_or_default()))
    };
    deployments(world).filter_map(told).collect()
}

fn proven(world: &Snapshot) -> Vec<String> {
    each(world, |deployment, _| {
        let journal = &deployment.status.as_ref()?.journal;
        let lacks = |done: bool, calls: &[CallEntry]| done && calls.iter().any(|call| call.result.is_none());
        let cutover = journal.cutover.iter().flat_map(|cutover| &cutover.steps);
        let propagation = journal.propagation.iter().flat_map(|propagation| &propagation.steps);
        let mut done = cutover.map(|entry| lacks(entry.done_at.is_some(), &entry.calls));
        let mut updated = propagation.map(|entry| lacks(entry.done_at.is_some(), &entry.calls));
        let both = journal.calls().into_iter().any(|call| call.result.is_some() && call.failure.is_some());
        (both || done.any(|lacks| lacks) || updated.any(|lacks| lacks)).then(|| "its own work is done and lacks a result".to_owned())
    })
}

fn in_order(world: &Snapshot) -> Vec<String> {
    each(world, |deployment, requests| {
        let journal = &deployment.status.as_ref()?.journal;
        let steps = journal.cutover.as_ref().map(|cutover| cutover.steps.as_slice()).unwrap_or_default();
        let order = [CutoverStep::EnableNew, CutoverStep::DisableOld];
        let in_order = steps.iter().zip(order).all(|(entry, step)| entry.step == step);
        let done = steps.iter().rev().skip(1).all(|entry| entry.done_at.is_some());
        if !in_order || !done || steps.len() > order.len() {
            return Some(format!("its cutover went {:?}", steps.iter().map(|entry| (entry.step, entry.done_at)).collect::<Vec<_>>()));
        }
        let retiring = requests.iter().find_map(|request| {
            let round = request.status.as_ref()?.journal.undo.iter().find(|round| round.cause == UndoCause::Retirement)?;
            Some((request, &round.ordered_by))
        });
        let (old, by) = retiring?;
        let switching = journal.cutover.as_ref().filter(|cutover| cutover.to.uid == *by && !cutover.is_switched());
        let newer = requests.iter().any(|request| request.metadata.uid.as_ref() == Some(by) && request.spec.attempt > old.spec.attempt);
        let name = old.metadata.name.as_deref().unwrap_or_default();
        (switching.is_some() || !newer).then(|| format!("{name} is removed and nothing newer has taken over"))
    })
}

fn verified(world: &Snapshot) -> Vec<String> {
    each(world, |deployment, requests| {
        let journal = &deployment.status.as_ref()?.journal;
        let unverified = |whose: &RequestRef| {
            let request = requests.iter().find(|request| request.metadata.uid.as_ref() == Some(&whose.uid))?;
            let decisions = request.status.as_ref().map(|status| status.journal.decisions.as_slice()).unwrap_or_default();
            (!decisions.iter().any(|taken| taken.act == Act::Verify)).then(|| whose.name.clone())
        };
        let new = journal.cutover.as_ref().and_then(|cutover| unverified(&cutover.to));
        let live = journal.propagation.as_ref().and_then(|propagation| unverified(&propagation.request));
        new.or(live).map(|name| format!("nobody has verified {name}"))
    })
}

fn retried(world: &Snapshot) -> Vec<String> {
    each(world, |_, requests| {
        let pairs = requests.iter().zip(requests.iter().skip(1));
        let unasked = pairs.into_iter().find(|(before, after)| {
            let taken = before.status.as_ref().map(|status| status.journal.decisions.as_slice()).unwrap_or_default();
            after.spec.reason == RequestReason::Retry
                && after.spec.attempt == before.spec.attempt + 1
                && !taken.iter().any(|taken| taken.act == Act::Retry)
        });
        unasked.map(|(before, _)| format!("nobody has decided on a retry of {}", before.metadata.name.as_deref().unwrap_or_default()))
    })
}

fn one_at_a_time(world: &Snapshot) -> Vec<String> {
    each(world, |_, requests| {
        let (_, earlier) = requests.split_last()?;
        let open = earlier.iter().find(|request| match request.status.as_ref().and_then(|status| status.state).unwrap_or_default() {
            State::Completed | State::Failed | State::RollingBack | State::RolledBack => false,
            State::Pending
            | State::SchemaInterpreting
            | State::WorkflowsCloning
            | State::WebhooksAssigning
            | State::IntegrationsConfiguring
            | State::VapiConfiguring
            | State::ManualVerification => true,
        });
        open.map(|request| format!("{} has not ended and is not the newest", request.metadata.name.as_deref().unwrap_or_default()))
    })
}
