//! One stored object as JSON, and the key it is found by.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::resource::Resource;

/// Label on everything the controller creates: UID of the object it was created for.
pub const OWNER_UID: &str = "mandate.dev/owner-uid";
/// Annotation on children: digest of the fields that the controller sets.
pub const DESIRED: &str = "mandate.dev/desired";
/// Label on a namespace that holds records: its deletion is refused until its Tenant is released. Set before the first record
/// there; the only thing of a user's object that the controller writes.
pub const HOLDS_RECORDS: &str = "mandate.dev/holds-records";
/// The controller's finalizer.
pub const FINALIZER: &str = "mandate.dev/outside";

/// Resource, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Resource type.
    pub resource: &'static Resource,
    /// Namespace; empty for cluster-scoped resources.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// Key of an object; the namespace is dropped when the resource is cluster-scoped.
    #[must_use]
    pub fn new(resource: &'static Resource, namespace: &str, name: &str) -> Self {
        let namespace = if resource.namespaced { namespace.to_owned() } else { String::new() };
        Self { resource, namespace, name: name.to_owned() }
    }

    /// Path of the object in the Kubernetes API.
    #[must_use]
    pub fn path(&self) -> String {
        let Resource { group, version, plural, .. } = self.resource;
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let namespace = if self.namespace.is_empty() { String::new() } else { format!("/namespaces/{}", self.namespace) };
        format!("{root}{namespace}/{plural}/{}", self.name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.resource.kind;
        if self.namespace.is_empty() {
            write!(formatter, "{kind} {}", self.name)
        } else {
            write!(formatter, "{kind} {}/{}", self.namespace, self.name)
        }
    }
}

/// A whole object: `apiVersion`, `kind`, `metadata` and the rest, as the API serves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Resource type.
    pub resource: &'static Resource,
    /// The document.
    pub body: Value,
}

impl Object {
    /// An object of `resource` with `apiVersion`, `kind` and `metadata.name` (and namespace) set.
    #[must_use]
    pub fn named(resource: &'static Resource, namespace: &str, name: &str) -> Self {
        let mut metadata = json!({"name": name});
        if resource.namespaced {
            metadata["namespace"] = namespace.into();
        }
        Self { resource, body: json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": metadata}) }
    }

    fn metadata_text(&self, field: &str) -> &str {
        self.metadata().and_then(|metadata| metadata.get(field)).and_then(Value::as_str).unwrap_or("")
    }

    fn metadata(&self) -> Option<&Map<String, Value>> {
        self.body.get("metadata").and_then(Value::as_object)
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.resource, self.namespace(), self.name())
    }

    /// `metadata.name`, empty when absent.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata_text("name")
    }

    /// `metadata.namespace`, empty when absent.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.metadata_text("namespace")
    }

    /// `metadata.uid`, empty before the object is stored.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.metadata_text("uid")
    }

    /// `metadata.resourceVersion`, empty before the object is stored.
    #[must_use]
    pub fn resource_version(&self) -> &str {
        self.metadata_text("resourceVersion")
    }

    /// `metadata.generation`, 0 when absent.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.metadata().and_then(|metadata| metadata.get("generation")).and_then(Value::as_i64).unwrap_or(0)
    }

    /// Whether deletion was asked for and waits for finalizers.
    #[must_use]
    pub fn is_going(&self) -> bool {
        !self.metadata_text("deletionTimestamp").is_empty()
    }

    /// A label's value.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.metadata()?.get("labels")?.get(name)?.as_str()
    }

    /// An annotation's value.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata()?.get("annotations")?.get(name)?.as_str()
    }

    /// `metadata.finalizers`.
    #[must_use]
    pub fn finalizers(&self) -> Vec<&str> {
        let list = self.metadata().and_then(|metadata| metadata.get("finalizers")).and_then(Value::as_array);
        list.map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    /// UIDs of `metadata.ownerReferences`.
    #[must_use]
    pub fn owner_uids(&self) -> Vec<&str> {
        let list = self.metadata().and_then(|metadata| metadata.get("ownerReferences")).and_then(Value::as_array);
        list.map(|items| items.iter().filter_map(|owner| owner.get("uid")?.as_str()).collect()).unwrap_or_default()
    }

    /// UIDs of the objects that this one belongs to or is about: owners, the owner label, the subject in its spec.
    #[must_use]
    pub fn related_uids(&self) -> Vec<&str> {
        let mut uids = self.owner_uids();
        uids.extend(self.label(OWNER_UID));
        uids.extend(self.body.pointer("/spec/subject/uid").and_then(Value::as_str));
        uids.sort_unstable();
        uids.dedup();
        uids
    }

    /// The object as its Rust type.
    ///
    /// # Errors
    /// The field that does not fit.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.body)
    }

    /// Sets a field of `metadata`. Every object has a `metadata` map: [`Object::named`] and the readers see to it.
    pub fn set_metadata(&mut self, field: &str, value: Value) {
        if let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert(field.to_owned(), value);
        }
    }
}
