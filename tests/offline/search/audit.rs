//! Each registered invariant of requests and deployments can fail: a sound world is bent in one place, and the invariant says so.

use std::sync::Arc;

use mandate::engine::audit::{Snapshot, violations};
use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::model::decision::Act;
use mandate::model::object::Object;
use serde_json::{Value, json};

use super::clinic;
use super::graph::{decided, settled};
use super::moves::Event;
use super::state::Side;

/// One place in one object, and what is put there; null takes it away.
type Bend = (&'static str, &'static str, &'static str, Value);

fn verified() -> Side {
    decided("alpha", &settled(clinic::side("alpha")), "alpha-desk-1", Act::Verify)
}

/// A second version has taken over, and the first was removed.
fn upgraded() -> Side {
    let mut side = verified();
    Event::Upgrade.happens(&mut side.objects, "alpha");
    decided("alpha", &settled(side), "alpha-desk-2", Act::Verify)
}

/// A first attempt was rejected, and an operator has decided on a second.
fn retried() -> Side {
    let rejected = decided("alpha", &settled(clinic::side("alpha")), "alpha-desk-1", Act::Reject);
    decided("alpha", &rejected, "alpha-desk-1", Act::Retry)
}

fn world(side: &Side) -> Vec<Object> {
    side.objects.values().map(|kept| Object::clone(&kept.object)).collect()
}

fn said(world: Vec<Object>) -> Vec<String> {
    violations(&mandate::kinds::invariants(), &Snapshot { objects: world.into_iter().map(Arc::new).collect() })
}

fn bent(side: &Side, (kind, name, pointer, value): &Bend) -> Vec<String> {
    let mut world = world(side);
    let object = world.iter_mut().find(|object| object.resource.kind == *kind && object.name().starts_with(name)).unwrap();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let place = object.body.pointer_mut(parent).unwrap_or_else(|| panic!("{kind} {name} has no {parent}"));
    match place {
        Value::Object(fields) if value.is_null() => drop(fields.remove(field).expect("it is there")),
        Value::Object(fields) => drop(fields.insert(field.to_owned(), value.clone())),
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => panic!("{pointer} is within nothing"),
    }
    said(world)
}

fn breaks(side: &Side, cases: &[(u8, &str, Bend)]) {
    assert_eq!(said(world(side)), Vec::<String>::new(), "the world is sound before");
    for (number, what, bend) in cases {
        let lines = bent(side, bend);
        let wanted = |line: &String| line.starts_with(&format!("invariant {number} ")) && line.contains(what);
        assert!(lines.iter().any(wanted), "{bend:?} should break invariant {number} ({what}): {lines:#?}");
    }
}

const REQUEST: &str = "ProvisioningRequest";
const DESK: &str = "alpha-desk-1";

#[test]
fn a_journal_that_claims_too_much_breaks_an_invariant() {
    let side = verified();
    let journal = |name: &str| {
        let found = side.of_kind(REQUEST).find(|kept| kept.object.name() == name).unwrap();
        found.object.body["status"]["journal"].clone()
    };
    let key = journal(DESK)["steps"][0]["calls"][0]["key"].clone();
    let stranger = json!([{"cause": "Rollback", "orderedBy": "nobody", "steps": []}]);
    let mut round = json!([{"cause": "Retirement", "orderedBy": "somebody", "steps": [journal(DESK)["steps"][1]]}]);
    round[0]["steps"][0]["calls"][0]["name"] = "undo/somebody-else's".into();
    breaks(
        &side,
        &[
            (1, "shares its key with another call", (REQUEST, DESK, "/status/journal/steps/1/calls/0/key", key)),
            (1, "is done and lacks a result", (REQUEST, DESK, "/status/journal/steps/1/calls/0/result", Value::Null)),
            (3, "COMPLETED without its proofs", (REQUEST, DESK, "/status/journal/steps/4/doneAt", Value::Null)),
            (4, "is not on record", (REQUEST, DESK, "/status/journal/decisions/0/uid", "another".into())),
            (4, "says something else", ("OperatorDecision", "verify", "/spec/act", "Reject".into())),
            (5, "nobody has ordered", (REQUEST, DESK, "/status/journal/undo", stranger)),
            (5, "has not made", (REQUEST, DESK, "/status/journal/undo", round)),
            (9, "attempt 7 of it is alpha-desk-7", (REQUEST, DESK, "/spec/attempt", 7.into())),
        ],
    );
}

#[test]
fn a_cutover_that_did_not_happen_as_it_should_breaks_an_invariant() {
    let side = upgraded();
    let uid = side.of_kind(REQUEST).next().unwrap().object.uid().to_owned();
    let of = |place: &'static str, value: Value| (DEPLOYMENT.kind, "alpha-desk", place, value);
    breaks(
        &side,
        &[
            (1, "lacks a result", of("/status/journal/cutover/steps/0/calls/0/result", Value::Null)),
            (2, "its cutover went", of("/status/journal/cutover/steps/0/step", "DisableOld".into())),
            (2, "its cutover went", of("/status/journal/cutover/steps/0/doneAt", Value::Null)),
            (2, "nothing newer has taken over", of("/status/journal/cutover/steps/1/doneAt", Value::Null)),
            (2, "nothing newer has taken over", (REQUEST, DESK, "/status/journal/undo/0/orderedBy", uid.into())),
            (3, "nobody has verified alpha-desk-2", (REQUEST, "alpha-desk-2", "/status/journal/decisions", Value::Null)),
        ],
    );
}

#[test]
fn a_propagation_to_what_nobody_has_verified_breaks_an_invariant() {
    let side = settled(clinic::side("alpha"));
    let request = &side.of_kind(REQUEST).next().unwrap().object;
    let pin = request.body["spec"]["schemaRef"].clone();
    let propagation = json!({"propagation": {"request": {"name": DESK, "uid": request.uid()}, "from": pin, "to": pin, "steps": []}});
    breaks(&side, &[(3, "nobody has verified alpha-desk-1", (DEPLOYMENT.kind, "alpha-desk", "/status/journal", propagation))]);
}

#[test]
fn an_attempt_that_nobody_has_asked_for_breaks_an_invariant() {
    breaks(
        &retried(),
        &[
            (4, "nobody has decided on a retry of alpha-desk-1", (REQUEST, DESK, "/status/journal/decisions", Value::Null)),
            (5, "nobody has ordered", (REQUEST, DESK, "/status/journal/undo/0/orderedBy", "nobody".into())),
            (9, "alpha-desk-1 has not ended", (REQUEST, DESK, "/status/state", "PENDING".into())),
        ],
    );
}

#[test]
fn two_repairs_of_one_step_break_an_invariant() {
    let mut world = world(&verified());
    let uid = world.iter().find(|object| object.name() == DESK).unwrap().uid().to_owned();
    let about = |object: &&mut Object| object.resource.kind == "AuditRecord" && object.body["spec"]["subject"]["uid"] == uid.as_str();
    let records: Vec<&mut Object> = world.iter_mut().filter(about).collect();
    assert_eq!(records.len(), 2);
    for record in records {
        record.body["spec"]["event"] = "RepairStarted".into();
        record.body["spec"]["entry"] = json!({"payload": {"step": "WorkflowCloning"}}).to_string().into();
    }
    let lines = said(world);
    assert!(lines.iter().any(|line| line.contains("alpha-desk-1: WorkflowCloning was repaired twice")), "{lines:#?}");
}
