//! Guards of the embedded world: who may write what. On a cluster ValidatingAdmissionPolicies say the same.

use std::sync::Arc;

use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::auditrecord::api::RECORD;
use crate::kinds::operatordecision::api::DECISION;
use crate::kinds::provisioningrequest::api::REQUEST;
use crate::model::object::FINALIZER;
use crate::model::pointer;
use crate::model::resource::{GROUP, Resource};
use crate::world::server::{AdmissionRequest, Authorizer, Guard, Identity, Operation, Subresource};

/// Group whose members operate the platform: every verb on our kinds, the acts and `relay`.
pub const OPERATORS: &str = "mandate.dev:operators";
/// Group that may do everything, records apart.
const MASTERS: &str = "system:masters";
/// Deletes the contents of a namespace that is going.
const NAMESPACE_CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";
/// Deletes what lost its owners.
const GARBAGE_COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// All guards, in order.
#[must_use]
pub fn all() -> Vec<Arc<dyn Guard>> {
    let guards: [fn(&AdmissionRequest<'_>) -> Option<String>; 6] =
        [operator_is_caller, status_by_controller, created_by_controller, records_stay, records_unowned, finalizer_by_controller];
    guards.into_iter().map(|guard| Arc::new(Named(guard)) as Arc<dyn Guard>).collect()
}

struct Named(fn(&AdmissionRequest<'_>) -> Option<String>);

impl Guard for Named {
    fn refusal(&self, request: &AdmissionRequest<'_>) -> Option<String> {
        (self.0)(request)
    }
}

fn is_controller(identity: &Identity) -> bool {
    identity == &Identity::controller()
}

/// Nobody acts in another's name, unless allowed to relay and saying so.
fn operator_is_caller(request: &AdmissionRequest<'_>) -> Option<String> {
    let resource = request.key.resource;
    let written = request.subresource == Subresource::Main && request.operation != Operation::Delete;
    if !written || (resource != &DECISION && resource != &DEPLOYMENT) {
        return None;
    }
    let object = request.object?;
    let old = request.old.map(|old| &old.body);
    let text = |field: &str| pointer::text(&object.body, field).unwrap_or_default();
    let same = |field: &str| old.is_some_and(|old| old.pointer(field) == object.body.pointer(field));
    if same("/spec/operator") && same("/spec/via") {
        return None;
    }
    let (operator, via, caller) = (text("/spec/operator"), text("/spec/via"), request.identity.username.as_str());
    if operator.starts_with("system:serviceaccount:") || operator.starts_with("system:node:") {
        return Some(format!("spec.operator {operator} is no person"));
    }
    let namespace = &request.key.namespace;
    let plural = resource.plural;
    let act = text("/spec/act").to_lowercase();
    if resource == &DECISION && !(request.may)(&act, resource, namespace) {
        return Some(format!("{caller} may not {act} (needs verb {act} on {plural}.{GROUP})"));
    }
    match via {
        "Direct" if operator != caller => Some(format!("spec.operator is {operator} but the request is from {caller}: say via: Relay")),
        "Relay" if !(request.may)("relay", resource, namespace) => {
            Some(format!("{caller} may not relay for {operator} (needs verb relay on {plural}.{GROUP})"))
        }
        _ => None,
    }
}

fn status_by_controller(request: &AdmissionRequest<'_>) -> Option<String> {
    let status = request.subresource == Subresource::Status && request.key.resource.group == GROUP;
    (status && !is_controller(request.identity))
        .then(|| format!("{} may not update the status of {}: the controller does", request.identity.username, request.key))
}

/// Whether only the controller creates objects of this resource.
#[must_use]
pub fn is_made_by_controller(resource: &Resource) -> bool {
    resource == &RECORD || resource == &REQUEST
}

fn created_by_controller(request: &AdmissionRequest<'_>) -> Option<String> {
    (is_made_by_controller(request.key.resource) && request.operation == Operation::Create && !is_controller(request.identity))
        .then(|| format!("{} may not create {}: the controller does", request.identity.username, request.key))
}

fn is_record(resource: &Resource) -> bool {
    resource == &RECORD || resource == &DECISION
}

fn records_stay(request: &AdmissionRequest<'_>) -> Option<String> {
    let kept = is_record(request.key.resource) && request.operation == Operation::Delete;
    (kept && request.identity.username != NAMESPACE_CONTROLLER)
        .then(|| format!("{} is a record: {} may not delete it", request.key, request.identity.username))
}

fn records_unowned(request: &AdmissionRequest<'_>) -> Option<String> {
    let owned = request.object.is_some_and(|object| !object.owner_uids().is_empty());
    (is_record(request.key.resource) && owned)
        .then(|| format!("{} takes no ownerReferences: the garbage collector would delete the record", request.key))
}

fn finalizer_by_controller(request: &AdmissionRequest<'_>) -> Option<String> {
    let had = request.old.is_some_and(|old| old.finalizers().contains(&FINALIZER));
    let has = request.object.is_some_and(|object| object.finalizers().contains(&FINALIZER));
    let removed = request.operation == Operation::Update && request.subresource == Subresource::Main && had && !has;
    (removed && !is_controller(request.identity))
        .then(|| format!("finalizer {FINALIZER} is removed by the controller only, not by {}", request.identity.username))
}

/// Rights of the embedded world, by group and by the names of its own controllers.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmbeddedRights;

impl Authorizer for EmbeddedRights {
    fn may(&self, identity: &Identity, verb: &str, resource: &Resource, _: Subresource, _: &str) -> bool {
        let member = |group: &str| identity.groups.iter().any(|present| present == group);
        let user = identity.username.as_str();
        if is_controller(identity) || member(MASTERS) {
            return true;
        }
        if user == NAMESPACE_CONTROLLER || user == GARBAGE_COLLECTOR {
            return matches!(verb, "get" | "list" | "delete");
        }
        member(OPERATORS) && (resource.group == GROUP || matches!(verb, "get" | "list" | "watch") || is_platform(resource))
    }
}

/// What operators of the platform write besides our kinds.
fn is_platform(resource: &Resource) -> bool {
    matches!(resource.kind, "Namespace" | "Secret" | "Event" | "ResourceQuota" | "RoleBinding")
}

#[cfg(test)]
#[path = "guards_tests.rs"]
mod tests;
