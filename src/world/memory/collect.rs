//! What the garbage collector and the namespace controller of a cluster do, done by the committer after each batch.
//!
//! An object whose owners are all gone is deleted; a namespace that is going takes its content with it. Guards apply to
//! both. What a guard refuses is tried again after every later batch, as the controllers of a cluster try again for ever.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::commit::{Draft, Shared};
use super::history::Event;
use super::state::State;
use super::write::Request;
use crate::engine::port::WorldError;
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::NAMESPACE;
use crate::world::server::{Identity, Preconditions, Subresource, WriteOptions};

fn service_account(name: &str) -> Identity {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
    Identity { username: format!("system:serviceaccount:kube-system:{name}"), groups: groups.map(str::to_owned).to_vec() }
}

/// What may have to be collected.
#[derive(Default)]
pub(super) struct Work {
    /// Objects whose owners may be gone.
    dependents: BTreeSet<ObjectKey>,
    /// Namespaces that are going.
    namespaces: BTreeSet<String>,
    /// Objects whose deletion was refused.
    refused: BTreeSet<ObjectKey>,
}

impl Work {
    /// Everything a process may have left undone.
    pub(super) fn found_in(state: &State) -> Self {
        let mut work = Self::default();
        for object in state.all() {
            work.note_object(object, state);
        }
        work
    }

    pub(super) fn is_empty(&self) -> bool {
        self.dependents.is_empty() && self.namespaces.is_empty()
    }

    pub(super) fn retry_refused(&mut self) {
        for key in std::mem::take(&mut self.refused) {
            if *key.resource == NAMESPACE {
                self.namespaces.insert(key.name);
            } else {
                self.dependents.insert(key);
            }
        }
    }

    /// Takes note of a change; `state` is the one it led to.
    pub(super) fn note(&mut self, event: &Event, state: &State) {
        let object = &event.object;
        if !event.deleted {
            let owners = |old: &Arc<Object>| old.owner_uids() == object.owner_uids() && old.is_going() == object.is_going();
            if !event.old.as_ref().is_some_and(owners) || *object.resource == NAMESPACE {
                self.note_object(object, state);
            }
            return;
        }
        self.dependents.extend(state.related(object.uid()).map(|key| ObjectKey::clone(key)));
        self.note_namespace(object.namespace(), state);
    }

    fn note_object(&mut self, object: &Object, state: &State) {
        if !object.owner_uids().is_empty() {
            self.dependents.insert(object.key());
        }
        if *object.resource == NAMESPACE {
            self.note_namespace(object.name(), state);
        }
    }

    fn note_namespace(&mut self, name: &str, state: &State) {
        let key = ObjectKey::new(&NAMESPACE, "", name);
        if state.get(&key).is_some_and(|namespace| namespace.is_going()) {
            self.namespaces.insert(name.to_owned());
        }
    }

    /// Does what there is to do and returns what was refused.
    pub(super) fn perform(self, shared: &Shared, draft: &mut Draft) -> Self {
        let Self { dependents, namespaces, mut refused } = self;
        for key in dependents {
            if !collect_dependent(shared, draft, &key) {
                refused.insert(key);
            }
        }
        for name in namespaces {
            empty_namespace(shared, draft, &name, &mut refused);
        }
        Self { refused, ..Self::default() }
    }
}

/// Whether nothing more is to be done about the object.
fn collect_dependent(shared: &Shared, draft: &mut Draft, key: &ObjectKey) -> bool {
    let Some(object) = draft.state.get(key).cloned() else { return true };
    if object.is_going() {
        return true;
    }
    let owners = object.body["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
    let (present, gone): (Vec<&Value>, Vec<&Value>) = owners.iter().partition(|owner| stands(shared, &draft.state, &object, owner));
    if gone.is_empty() {
        return true;
    }
    let collector = service_account("generic-garbage-collector");
    let request = if present.is_empty() {
        delete_of(&object)
    } else {
        let patch = json!({"metadata": {"uid": object.uid(), "ownerReferences": present}});
        Request::Patch { key: key.clone(), patch, subresource: Subresource::Main }
    };
    perform(shared, draft, &collector, request).is_ok()
}

/// Whether an owner exists. One of a kind that is not served here, or out of reach of its dependent, cannot be judged.
fn stands(shared: &Shared, state: &State, object: &Object, owner: &Value) -> bool {
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    let Some(resource) = shared.catalogue.by_kind(text("apiVersion"), text("kind")) else { return true };
    if resource.namespaced && object.namespace().is_empty() {
        return true;
    }
    let key = ObjectKey::new(resource, object.namespace(), text("name"));
    state.get(&key).is_some_and(|stored| stored.uid() == text("uid"))
}

fn delete_of(object: &Object) -> Request {
    Request::Delete { key: object.key(), preconditions: Preconditions { uid: Some(object.uid().to_owned()), resource_version: None } }
}

fn perform(shared: &Shared, draft: &mut Draft, who: &Identity, request: Request) -> Result<(), WorldError> {
    shared.apply(draft, who, request, WriteOptions::default()).map(|_| ())
}

/// Deletes the content of a namespace that is going, and the namespace once nothing is left and nothing holds it.
fn empty_namespace(shared: &Shared, draft: &mut Draft, name: &str, refused: &mut BTreeSet<ObjectKey>) {
    let key = ObjectKey::new(&NAMESPACE, "", name);
    let controller = service_account("namespace-controller");
    let mut refusals = Vec::new();
    for object in content(shared, &draft.state, name) {
        if let Err(error) = perform(shared, draft, &controller, delete_of(&object)) {
            refused.insert(key.clone());
            refusals.push(error.to_string());
        }
    }
    let left = content(shared, &draft.state, name);
    let Some(namespace) = draft.state.get(&key).cloned() else { return };
    if left.is_empty() && namespace.finalizers().is_empty() {
        draft.remove(&key);
        return;
    }
    report(shared, draft, &namespace, &refusals, &left);
}

fn content(shared: &Shared, state: &State, namespace: &str) -> Vec<Arc<Object>> {
    let resources = shared.catalogue.definitions().iter().map(|definition| definition.resource).filter(|resource| resource.namespaced);
    resources.flat_map(|resource| state.of(resource, Some(namespace))).cloned().collect()
}

/// Says in the namespace's status what keeps it.
fn report(shared: &Shared, draft: &mut Draft, namespace: &Object, refusals: &[String], left: &[Arc<Object>]) {
    let condition = |kind: &str, reasons: (&str, &str), message: String| {
        let (status, reason) = if message.is_empty() { ("False", reasons.0) } else { ("True", reasons.1) };
        let before = namespace.body["status"]["conditions"].as_array().into_iter().flatten();
        let same = before.into_iter().find(|condition| condition["type"] == kind && condition["status"] == status);
        let now = crate::model::time::Time::new(shared.clock.now()).to_string();
        let since = same.map_or_else(|| Value::String(now), |condition| condition["lastTransitionTime"].clone());
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    };
    let finalizers: BTreeSet<&str> = left.iter().flat_map(|object| object.finalizers()).collect();
    let holding = |finalizer: &&str| {
        let count = left.iter().filter(|object| object.finalizers().contains(finalizer)).count();
        format!("{finalizer} in {count} resource instances")
    };
    let failure = if refusals.is_empty() {
        String::new()
    } else {
        format!("Failed to delete all resource types, {} remaining: {}", refusals.len(), refusals.join(", "))
    };
    let finalizing = if finalizers.is_empty() {
        String::new()
    } else {
        let list = finalizers.iter().map(holding).collect::<Vec<_>>().join(", ");
        format!("Some content in the namespace has finalizers remaining: {list}")
    };
    let conditions = json!([
        condition("NamespaceDeletionContentFailure", ("ContentDeleted", "ContentDeletionFailed"), failure),
        condition("NamespaceFinalizersRemaining", ("ContentHasNoFinalizers", "SomeFinalizersRemain"), finalizing),
    ]);
    let patch = json!({"metadata": {"uid": namespace.uid()}, "status": {"conditions": conditions}});
    let request = Request::Patch { key: namespace.key(), patch, subresource: Subresource::Status };
    if let Err(error) = perform(shared, draft, &service_account("namespace-controller"), request) {
        tracing::debug!(%error, "the status of a namespace that is going");
    }
}
