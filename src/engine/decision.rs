//! What `decide` returns: everything that shall be, as a value.

use serde_json::{Value, json};

use crate::model::call::KeyedCall;
use crate::model::finding::Finding;
use crate::model::object::{OWNER_UID, Object};
use crate::model::record::RecordDraft;
use crate::model::resource::Resource;
use crate::model::time::Time;

/// How a child is treated once it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum ChildMode {
    /// Created when absent; neither changed nor deleted afterwards. One that exists unlabelled is left alone.
    CreateOnly,
    /// Created, kept as desired, deleted when no longer desired.
    Kept,
    /// Somebody else's, named by its UID: the labels that are given are set, those that are null taken off. It is neither
    /// created nor deleted, and nothing else of it changes (design section 1, principle 8).
    Labels,
}

/// A child that shall exist.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// The object as desired; only the fields that the controller sets.
    pub object: Object,
    /// How it is treated.
    pub mode: ChildMode,
}

impl Child {
    /// A child of `owner`: labelled with its UID, and owned by it for the garbage collector when `owned`.
    #[must_use]
    pub fn of(owner: &Owner<'_>, mut object: Object, mode: ChildMode, owned: bool) -> Self {
        let mut labels = object.body.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
        labels[OWNER_UID] = owner.uid.into();
        object.set_metadata("labels", labels);
        if owned {
            let reference = json!([{
                "apiVersion": owner.resource.api_version(), "kind": owner.resource.kind, "name": owner.name, "uid": owner.uid,
                "controller": true, "blockOwnerDeletion": true,
            }]);
            object.set_metadata("ownerReferences", reference);
        }
        Self { object, mode }
    }
}

/// The object whose child is described.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Its resource.
    pub resource: &'static Resource,
    /// Its name.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
}

/// Whether the controller's finalizer stands on the object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub enum Finalizer {
    /// It is not there, or may go.
    #[default]
    Absent,
    /// It must be there before anything else happens.
    Present,
}

/// Everything that shall be, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The finalizer.
    pub finalizer: Finalizer,
    /// Records that must exist before the status is written.
    pub records: Vec<RecordDraft>,
    /// The complete set of children.
    pub children: Vec<Child>,
    /// The whole status; null for kinds without one.
    pub status: Value,
    /// Calls whose intents the status carries, to be sent now.
    pub calls: Vec<KeyedCall>,
    /// Why it is so.
    pub findings: Vec<Finding>,
    /// When to look again although nothing has changed.
    pub wake: Option<Time>,
}
