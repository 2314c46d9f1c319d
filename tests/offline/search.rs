//! Exhaustive search over the real decisions: every state that two tenants, their requests, every act and one fault can bring
//! about, by the loop itself. What bounds it is in [`bounds`] and [`moves`]; what must hold is in [`checks`].
//!
//! A search ends with the shortest way to what is wrong, if anything is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod audit;
mod broken;
mod checks;
mod clinic;
mod graph;
mod moves;
mod outside;
mod product;
mod stage;
mod state;
mod table;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use mandate::kinds::provisioningrequest::api::REQUEST;
use mandate::kinds::provisioningrequest::lifecycle::{Cause, TRANSITIONS};
use mandate::model::decision::Act;
use mandate::model::object::ObjectKey;
use serde_json::json;

use self::graph::{Graph, decided, explore, ours, settled};
use self::moves::{Bounds, Event};
use self::product::pairs;
use self::state::Side;

/// Attempts of one deployment, where one is searched alone. A second one makes twenty times the states, which an unoptimized
/// build is spared.
const ATTEMPTS: usize = if cfg!(debug_assertions) { 1 } else { 2 };

/// Of a pair each has one attempt: two requests.
const PAIRED: Bounds = Bounds { attempts: 1, ..FAULT };
const FAULT: Bounds = Bounds { attempts: ATTEMPTS, faults: 1, any_fault: true, meddling: 0, open: 1 };
const MEDDLING: Bounds = Bounds { attempts: ATTEMPTS, faults: 0, any_fault: true, meddling: 1, open: 1 };
const CONFLICT: Bounds = Bounds { attempts: ATTEMPTS, faults: 0, any_fault: true, meddling: 0, open: 2 };

fn start(tenant: &str) -> Side {
    clinic::side(tenant)
}

static ALPHA: LazyLock<Graph> = LazyLock::new(|| explore("alpha", start("alpha"), PAIRED, ours));
static BETA: LazyLock<Graph> = LazyLock::new(|| explore("beta", start("beta"), PAIRED, ours));
static RETRIED: LazyLock<Graph> = LazyLock::new(|| explore("alpha", start("alpha"), FAULT, ours));
static MEDDLED: LazyLock<Graph> = LazyLock::new(|| explore("alpha", start("alpha"), MEDDLING, ours));
static UPGRADED: LazyLock<Graph> =
    LazyLock::new(|| explore("alpha", upgraded(), Bounds { attempts: 2, any_fault: !cfg!(debug_assertions), ..FAULT }, ours));

/// A deployment that serves, and whose second version waits for its verification. How it came there is no other way than that
/// of a first request.
fn upgraded() -> Side {
    let mut side = decided("alpha", &settled(start("alpha")), "alpha-desk-1", Act::Verify);
    Event::Upgrade.happens(&mut side.objects, "alpha");
    settled(side)
}

#[test]
fn two_tenants_with_every_act_and_one_fault_break_no_invariant() {
    std::thread::scope(|scope| {
        scope.spawn(|| LazyLock::force(&BETA));
        LazyLock::force(&ALPHA);
    });
    ALPHA.holds("one tenant, one fault");
    BETA.holds("the other");
    let found = pairs(&ALPHA, &BETA, 1, 0);
    println!("two tenants, one fault: {} states, {} transitions, depth {}", found.states, found.transitions, found.depth);
    assert!(found.states > 200_000, "{} states are fewer than there were", found.states);
    assert_eq!(ALPHA.states.len(), BETA.states.len(), "the tenants differ in nothing but their names");
}

#[test]
fn one_tenant_with_a_retry_and_one_fault_breaks_no_invariant() {
    RETRIED.holds("one tenant, a retry, one fault");
    let floor = if cfg!(debug_assertions) { 1_500 } else { 25_000 };
    assert!(RETRIED.states.len() > floor, "{} states are fewer than there were", RETRIED.states.len());
}

#[test]
fn deletion_upgrade_suspension_and_wrong_decisions_at_any_time_break_no_invariant() {
    MEDDLED.holds("one tenant, one thing that happens to it");
    let floor = if cfg!(debug_assertions) { 1_500 } else { 14_000 };
    assert!(MEDDLED.states.len() > floor, "{} states are fewer than there were", MEDDLED.states.len());
}

#[test]
fn a_cutover_with_one_fault_breaks_no_invariant() {
    UPGRADED.holds("a cutover, one fault");
    assert!(UPGRADED.states.len() > 200, "{} states are fewer than there were", UPGRADED.states.len());
}

#[test]
fn conflicting_decisions_break_no_invariant() {
    let graph = explore("alpha", start("alpha"), CONFLICT, ours);
    graph.holds("one tenant, two decisions at once");
    assert!(graph.states.len() > if cfg!(debug_assertions) { 100 } else { 2_000 }, "{}", graph.states.len());
}

#[test]
fn every_row_of_the_lifecycle_is_gone_along_and_nothing_else() {
    let mut gone: BTreeSet<_> = [&*RETRIED, &*MEDDLED, &*UPGRADED].into_iter().flat_map(|graph| graph.rows.iter().copied()).collect();
    let table: BTreeSet<_> = TRANSITIONS.iter().copied().collect();
    assert!(gone.is_subset(&table));
    if cfg!(debug_assertions) {
        // What comes of a retry is beyond one attempt.
        gone.extend(table.iter().filter(|row| row.cause == Cause::Decided(Act::Retry)));
    }
    let never: Vec<_> = table.difference(&gone).collect();
    assert!(never.is_empty(), "no search has gone along {never:#?}");
}

/// Found by the search, which had no end: until the deployment had made the next request, a retry could be decided on again.
#[test]
fn a_retry_of_what_was_rolled_back_is_offered_once() {
    let mut side = settled(start("alpha"));
    for act in [Act::Reject, Act::Rollback, Act::ConfirmRollback] {
        side = decided("alpha", &side, "alpha-desk-1", act);
    }
    let (_, ordered) = moves::decisions(&side, "alpha", &Bounds { attempts: 2, ..CONFLICT }).pop().expect("Retry is offered");
    let request = ObjectKey::new(&REQUEST, "alpha", "alpha-desk-1");
    let status = |side: &Side| side.objects[&request].object.body["status"].clone();
    assert_eq!(status(&ordered)["decision"]["acts"], json!(["Retry"]));
    let after = graph::passed(&ordered, &request);
    assert_eq!(status(&after)["journal"]["decisions"].as_array().map(Vec::len), Some(4), "it was acted upon");
    assert_eq!(status(&after)["decision"], json!(null));
}

/// The search ends with the shortest way to what a broken request does, which says this.
fn finds(kinds: graph::Kinds, bounds: Bounds, what: &str) {
    let graph = explore("alpha", start("alpha"), bounds, kinds);
    let broken = graph.broken.expect("the search finds it out");
    assert!(broken.contains(what), "{broken}");
    println!("{broken}");
}

#[test]
fn a_request_that_acts_upon_a_void_decision_is_found_out() {
    finds(broken::acts_upon_void, MEDDLING, "is acted upon and was judged \"Void\"");
}

#[test]
fn a_request_that_repairs_a_step_twice_is_found_out() {
    finds(broken::repairs_twice, FAULT, "was repaired twice");
}

#[test]
fn a_request_that_leaves_failed_by_itself_is_found_out() {
    finds(broken::tries_again, FAULT, "it has gone along");
}
