//! Desired against observed children: a plan that prints.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::decision::{Child, ChildMode};
use crate::model::canonical;
use crate::model::object::{DESIRED, OWNER_UID, Object, ObjectKey};

/// One change to a child.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It does not exist.
    Create(Object),
    /// A field that we set differs live, or was changed by us since.
    Update {
        /// The live object with our fields set.
        object: Object,
        /// JSON pointers of the fields that differ.
        fields: Vec<String>,
    },
    /// It is no longer desired.
    Delete {
        /// Which.
        key: ObjectKey,
        /// Its UID.
        uid: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(object) => write!(formatter, "create {}", object.key()),
            Self::Update { object, fields } => write!(formatter, "update {} ({})", object.key(), fields.join(", ")),
            Self::Delete { key, .. } => write!(formatter, "delete {key}"),
        }
    }
}

/// What has to change for the desired children to exist, and which cannot because a stranger has the name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Changes, creations first.
    pub changes: Vec<Change>,
    /// Desired children whose name an object holds that is not ours.
    pub taken: Vec<ObjectKey>,
}

/// Compares the desired children of the object with UID `owner` with `live`: all objects labelled for it, and whatever
/// holds a desired name.
#[must_use]
pub fn plan(owner: &str, desired: &[Child], live: &[Arc<Object>]) -> Plan {
    let mut plan = Plan::default();
    for child in desired {
        let key = child.object.key();
        match live.iter().find(|object| object.key() == key) {
            found if child.mode == ChildMode::Labels => plan.changes.extend(found.and_then(|found| relabelled(child, found))),
            None => plan.changes.push(Change::Create(created(child))),
            Some(found) if found.label(OWNER_UID) != Some(owner) => plan.taken.push(key),
            Some(found) => plan.changes.extend(update(child, found)),
        }
    }
    let wanted = |object: &Arc<Object>| desired.iter().any(|child| child.object.key() == object.key());
    let deletable =
        |object: &&Arc<Object>| object.annotation(DESIRED).is_some() && object.label(OWNER_UID) == Some(owner) && !object.is_going();
    plan.changes.extend(
        live.iter()
            .filter(deletable)
            .filter(|object| !wanted(object))
            .map(|object| Change::Delete { key: object.key(), uid: object.uid().to_owned() }),
    );
    plan
}

/// The child as it is created. Only kept children carry the annotation: what has it may be deleted by us.
fn created(child: &Child) -> Object {
    match child.mode {
        ChildMode::CreateOnly | ChildMode::Labels => child.object.clone(),
        ChildMode::Kept => marked(&child.object),
    }
}

/// The object with the digest of everything that we set.
fn marked(object: &Object) -> Object {
    let mut marked = object.clone();
    if let Ok(text) = canonical::foreign(&object.body) {
        marked.set_metadata("annotations", json!({ DESIRED: text.digest() }));
    }
    marked
}

fn update(child: &Child, live: &Object) -> Option<Change> {
    match child.mode {
        ChildMode::CreateOnly | ChildMode::Labels => None,
        ChildMode::Kept => {
            let desired = marked(&child.object);
            let mut fields = Vec::new();
            let mut object = live.clone();
            overlay(&mut object.body, &desired.body, &mut String::new(), &mut fields);
            (!fields.is_empty()).then_some(Change::Update { object, fields })
        }
    }
}

/// The live object with the labels that are given and without those that are null. One with another UID is another object.
fn relabelled(child: &Child, live: &Object) -> Option<Change> {
    if child.object.uid() != live.uid() {
        return None;
    }
    let labels = |object: &Object| object.body.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, mut after) = (labels(live), labels(live));
    let mut fields = Vec::new();
    for (name, wanted) in labels(&child.object) {
        let wanted = Some(wanted).filter(|wanted| !wanted.is_null());
        if before.get(&name) != wanted.as_ref() {
            crate::model::pointer::within(&mut "/metadata/labels".to_owned(), &name, |at| fields.push(at.clone()));
        }
        match wanted {
            Some(wanted) => after.insert(name, wanted),
            None => after.remove(&name),
        };
    }
    let mut object = live.clone();
    object.set_metadata("labels", Value::Object(after));
    (!fields.is_empty()).then_some(Change::Update { object, fields })
}

/// Sets in `live` every field of `desired`, noting the pointers of those that differ. Maps are merged, lists replaced.
fn overlay(live: &mut Value, desired: &Value, at: &mut String, differing: &mut Vec<String>) {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            for (name, wanted) in desired {
                let slot = live.entry(name.clone()).or_insert(Value::Null);
                crate::model::pointer::within(at, name, |at| overlay(slot, wanted, at, differing));
            }
        }
        (slot, wanted) => {
            if slot != wanted {
                differing.push(at.clone());
                *slot = wanted.clone();
            }
        }
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
