//! Guards: who may write what, whatever RBAC grants. One table for both worlds.
//!
//! Each [`Guard`](table::Guard) of [`table`] holds its checks twice, side by side: as CEL for a ValidatingAdmissionPolicy
//! on a cluster ([`manifest`]), and as a Rust function for the embedded world. Both refuse with the same words:
//! `<plural>.<group> "<name>" is forbidden: ValidatingAdmissionPolicy '<policy>' with binding '<policy>' denied request: ...`.
//!
//! A policy holds the guards of one resource, in the order of the table. The API server keeps policies in a map and
//! reports the first that refuses, so that among several it is left to chance which one speaks; within a policy the
//! first refusing validation speaks. With one policy per resource every request has one answer, here as there.
//!
//! Controller-only writes are by user name and bind cluster administrators too. Human acts and `relay` are by RBAC verb,
//! which `*` includes. Namespaces that hold records and our own definitions are guarded as well; those have no counterpart in
//! the embedded world, which serves its definitions from the program. Not guarded here: the policies themselves, which a
//! policy cannot see.

pub mod manifest;
mod rights;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

pub use rights::{EmbeddedRights, OPERATORS};
pub use table::BREAK_GLASS;

use crate::kinds::crd;
use crate::model::object::Object;
use crate::model::pointer;
use crate::model::resource::{GROUP, Resource};
use crate::world::server::{self, AdmissionRequest, Identity, Operation, Subresource};

/// The table, once.
static TABLE: LazyLock<Vec<table::Guard>> = LazyLock::new(table::all);

/// User name of the controller on a cluster.
#[must_use]
pub fn controller(system_namespace: &str) -> String {
    format!("system:serviceaccount:{system_namespace}:mandate")
}

/// Name of the policy and of the binding that guard a resource, whosever it is.
#[must_use]
pub fn policy_name(resource: &Resource) -> String {
    format!("{}.{GROUP}", resource.plural)
}

/// Resources that are guarded: our own, alphabetical by kind, and those of others that records depend on.
#[must_use]
pub fn guarded() -> Vec<&'static Resource> {
    crd::resources().into_iter().chain(table::OF_OTHERS).collect()
}

/// The guards of the embedded world.
#[must_use]
pub fn all() -> Vec<Arc<dyn server::Guard>> {
    vec![Arc::new(Table { controller: Identity::controller().username })]
}

/// Whether only the controller creates objects of this resource.
#[must_use]
pub fn is_made_by_controller(resource: &Resource) -> bool {
    table::MADE_BY_CONTROLLER.contains(&resource)
}

/// Resources whose objects name the person who acts, and which therefore know the verb `relay`.
#[must_use]
pub fn relayed() -> [&'static Resource; 2] {
    table::NAMING_AN_OPERATOR
}

/// Resources whose objects are kept for ever.
#[must_use]
pub fn kept() -> [&'static Resource; 2] {
    table::RECORDS
}

struct Table {
    controller: String,
}

impl server::Guard for Table {
    fn refusal(&self, request: &AdmissionRequest<'_>) -> Option<String> {
        let asked = Asked { request, controller: &self.controller };
        let write = asked.write();
        let covers = |guard: &&table::Guard| {
            guard.writes.contains(&write) && guard.resources.contains(&request.key.resource) && guard.selects(request.old, request.object)
        };
        let checks = TABLE.iter().filter(covers).flat_map(|guard| &guard.checks);
        let refusal = checks.into_iter().find_map(|check| (check.refusal)(&asked))?;
        let policy = policy_name(request.key.resource);
        Some(format!("ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {refusal}"))
    }
}

/// What a request writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Create,
    Update,
    UpdateStatus,
    /// Of a namespace alone: its content is said to be gone. Not served in the embedded world.
    Finalize,
    Delete,
}

/// A request, as the checks look at it.
struct Asked<'a> {
    request: &'a AdmissionRequest<'a>,
    controller: &'a str,
}

impl Asked<'_> {
    fn write(&self) -> Write {
        match (self.request.operation, self.request.subresource) {
            (Operation::Create, _) => Write::Create,
            (Operation::Delete, _) => Write::Delete,
            (Operation::Update, Subresource::Main) => Write::Update,
            (Operation::Update, Subresource::Status) => Write::UpdateStatus,
        }
    }

    fn caller(&self) -> &str {
        &self.request.identity.username
    }

    fn by_controller(&self) -> bool {
        self.caller() == self.controller
    }

    fn is_member(&self, group: &str) -> bool {
        self.request.identity.groups.iter().any(|present| present == group)
    }

    fn plural(&self) -> &str {
        self.request.key.resource.plural
    }

    /// A text of the object as it would be stored.
    fn text(&self, field: &str) -> &str {
        self.request.object.and_then(|object| pointer::text(&object.body, field)).unwrap_or_default()
    }

    /// Whether the caller may do a synthetic verb to the resource in the namespace.
    fn may(&self, verb: &str) -> bool {
        (self.request.may)(verb, self.request.key.resource, &self.request.key.namespace)
    }

    /// The words of a verb that is not held.
    fn needs(&self, verb: &str) -> String {
        format!("(needs verb {verb} on {}.{GROUP})", self.plural())
    }

    /// Something of the object as it is stored and as it would be.
    fn before_and_after<'a, T: Default>(&'a self, part: impl Fn(&'a Object) -> T) -> (T, T) {
        let of = |object: Option<&'a Object>| object.map(&part).unwrap_or_default();
        (of(self.request.old), of(self.request.object))
    }
}
