//! Requests that decide wrongly, to see that the search finds them out: ours, with the world or the journal bent before they look.

use std::sync::Arc;

use async_trait::async_trait;
use mandate::engine::audit::Invariant;
use mandate::engine::decision::Decision;
use mandate::engine::kind::{AnyKind, Around, RoundError};
use mandate::engine::news::Telling;
use mandate::engine::outcome::Outcome;
use mandate::engine::port::{Access, Query, Read, WorldError};
use mandate::kinds::operatordecision::api::DECISION;
use mandate::model::call::KeyedCall;
use mandate::model::journal::CallEntry;
use mandate::model::object::{Object, ObjectKey};
use mandate::model::resource::Resource;
use mandate::model::time::Time;
use serde_json::Value;

use super::graph::ours;

/// What a request does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    ActsUponVoid,
    RepairsTwice,
    TriesAgain,
}

struct Broken(Fault);

/// A request that acts upon decisions that were judged void.
pub fn acts_upon_void(kind: &str) -> &'static dyn AnyKind {
    if kind == "ProvisioningRequest" { &Broken(Fault::ActsUponVoid) } else { ours(kind) }
}

/// A request that repairs a step again when the repair has not helped.
pub fn repairs_twice(kind: &str) -> &'static dyn AnyKind {
    if kind == "ProvisioningRequest" { &Broken(Fault::RepairsTwice) } else { ours(kind) }
}

/// A request that sends a call that has failed again, without anybody's decision.
pub fn tries_again(kind: &str) -> &'static dyn AnyKind {
    if kind == "ProvisioningRequest" { &Broken(Fault::TriesAgain) } else { ours(kind) }
}

fn real() -> &'static dyn AnyKind {
    ours("ProvisioningRequest")
}

/// The world with every void decision open again, and for the evidence of today.
struct Revived<'a> {
    read: &'a dyn Read,
    hash: Value,
}

#[async_trait]
impl Read for Revived<'_> {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        self.read.get(key).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        let mut found = self.read.list(query).await?;
        for object in found.iter_mut().filter(|object| object.resource == &DECISION && object.body["status"]["verdict"] == "Void") {
            let mut revived = Object::clone(object);
            revived.body["spec"]["subject"]["hash"] = self.hash.clone();
            revived.body.as_object_mut().unwrap().remove("status");
            *object = Arc::new(revived);
        }
        Ok(found)
    }
}

/// The steps of a journal in which a call has failed.
fn failed(object: &mut Object) -> Vec<&mut Value> {
    let steps = object.body.pointer_mut("/status/journal/steps").and_then(Value::as_array_mut);
    let failed = |step: &&mut Value| step["calls"].as_array().is_some_and(|calls| calls.iter().any(|call| call.get("failure").is_some()));
    steps.into_iter().flatten().filter(failed).collect()
}

fn bend(fault: Fault, object: &mut Object) {
    let undecided = object.body.pointer("/status/journal/decisions").is_none();
    let halted = object.body.pointer("/status/state").is_some_and(|state| state == "FAILED");
    for step in failed(object).into_iter().filter(|_| undecided && (halted || fault != Fault::TriesAgain)) {
        let repair = step.get("repair").filter(|repair| repair.get("repeatedAt").is_some()).map(|repair| repair["repair"].clone());
        for call in step["calls"].as_array_mut().into_iter().flatten() {
            let Some(failure) = call.as_object_mut().and_then(|call| call.get_mut("failure")) else { continue };
            match (fault, &repair) {
                (Fault::RepairsTwice, Some(repair)) => {
                    failure["class"] = "FIXABLE_AUTOMATICALLY".into();
                    failure["repair"] = repair.clone();
                }
                (Fault::TriesAgain, _) => drop(call.as_object_mut().unwrap().remove("failure")),
                (Fault::ActsUponVoid | Fault::RepairsTwice, _) => {}
            }
        }
        if fault == Fault::RepairsTwice && repair.is_some() {
            step.as_object_mut().unwrap().remove("repair");
        }
    }
}

#[async_trait]
impl AnyKind for Broken {
    fn resource(&self) -> &'static Resource {
        real().resource()
    }

    fn children(&self) -> &'static [&'static Resource] {
        real().children()
    }

    fn reads(&self) -> &'static [Access] {
        real().reads()
    }

    fn writes(&self) -> &'static [Access] {
        real().writes()
    }

    fn pause(&self) -> std::time::Duration {
        real().pause()
    }

    fn invariants(&self) -> &'static [Invariant] {
        real().invariants()
    }

    fn tells(&self) -> &'static [Telling] {
        real().tells()
    }

    fn calls(&self, object: &Object) -> Vec<CallEntry> {
        real().calls(object)
    }

    fn settle(&self, object: &mut Object, outcomes: Vec<(&KeyedCall, Outcome)>, now: Time) {
        real().settle(object, outcomes, now);
    }

    async fn round(&self, object: &Object, read: &dyn Read, around: &Around<'_>) -> Result<Decision, RoundError> {
        let mut bent = object.clone();
        bend(self.0, &mut bent);
        match self.0 {
            Fault::ActsUponVoid => {
                let revived = Revived { read, hash: object.body["status"]["decision"]["hash"].clone() };
                real().round(&bent, &revived, around).await
            }
            Fault::RepairsTwice | Fault::TriesAgain => real().round(&bent, read, around).await,
        }
    }
}
