//! The request surface of the embedded API server: what the Kubernetes API over HTTP, the loader and the operator ask.
//!
//! Every request carries an identity; guards and permissions are checked for it as on a cluster.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::Value;

use crate::engine::port::WorldError;
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// User name, as authentication gave it.
    pub username: String,
    /// Groups, as authentication gave them.
    pub groups: Vec<String>,
}

impl Identity {
    /// The controller itself: writes status, records and children, nothing else.
    #[must_use]
    pub fn controller() -> Self {
        Self { username: "system:serviceaccount:mandate-system:mandate".into(), groups: vec!["system:serviceaccounts".into()] }
    }

    /// The loader of `up`: applies and prunes what the folder holds.
    #[must_use]
    pub fn loader() -> Self {
        Self { username: "mandate:loader".into(), groups: vec!["mandate.dev:loaders".into(), "mandate.dev:operators".into()] }
    }
}

/// What happens to fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Dropped silently.
    Ignore,
    /// Dropped with a warning.
    #[default]
    Warn,
    /// Refused, as are duplicate fields.
    Strict,
}

/// Options of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Unknown fields.
    pub field_validation: FieldValidation,
    /// Everything is checked, nothing is stored.
    pub dry_run: bool,
}

/// Which object a delete or update is meant for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// Only if it has this UID.
    pub uid: Option<String>,
    /// Only if it has this resource version.
    pub resource_version: Option<String>,
}

/// The main resource or its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subresource {
    /// Everything but the status.
    Main,
    /// The status alone.
    Status,
}

/// A stored object and what the server remarks on the request.
#[derive(Debug, Clone)]
pub struct Written {
    /// As stored (or as it would be, in a dry run).
    pub object: Arc<Object>,
    /// `Warning` headers.
    pub warnings: Vec<String>,
}

/// Which objects a list or watch covers.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Resource type.
    pub resource: &'static Resource,
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Field selector as typed: `metadata.name=x,spec.act!=Verify`; empty selects all.
    pub fields: String,
    /// Label selector as typed: equality and set forms; empty selects all.
    pub labels: String,
}

/// A consistent list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// By namespace and name.
    pub objects: Vec<Arc<Object>>,
    /// Version that the list reflects; a watch may begin here.
    pub resource_version: u64,
}

/// What a watch tells. An object that leaves the selection is told as deleted, as the API server does.
#[derive(Debug, Clone)]
pub enum WatchEvent {
    /// Created, or entered the selection.
    Added(Arc<Object>),
    /// Changed.
    Modified(Arc<Object>),
    /// Deleted or left; last state, with the resource version of the deletion.
    Deleted(Arc<Object>),
}

/// Type of a column that shows an object reference as `kind/name`; the column is told as a string.
pub const REFERENCE: &str = "reference";

/// A printer column of a CRD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// OpenAPI type: string, integer, boolean, date, number; or [`REFERENCE`].
    pub column_type: String,
    /// JSONPath as in the CRD: `.status.conditions[?(@.type=="Ready")].status`.
    pub json_path: String,
    /// 0 in the standard table, higher only under `-o wide`.
    pub priority: i64,
    /// Help text.
    pub description: String,
}

/// One resource that the server serves.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Which.
    pub resource: &'static Resource,
    /// `spec.versions[0].schema.openAPIV3Schema` of the CRD; none for built-in resources, which are stored as they come.
    pub schema: Option<Value>,
    /// Whether there is a status subresource.
    pub has_status: bool,
    /// Printer columns, Age apart.
    pub columns: Vec<Column>,
    /// JSON paths that field selectors may name besides metadata: `.spec.act`.
    pub selectable: Vec<String>,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
}

/// An admission request, as guards see it.
pub struct AdmissionRequest<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// What for.
    pub operation: Operation,
    /// Main or status.
    pub subresource: Subresource,
    /// Which object.
    pub key: &'a ObjectKey,
    /// As it would be stored; none on delete.
    pub object: Option<&'a Object>,
    /// As it is stored; none on create.
    pub old: Option<&'a Object>,
    /// The namespace that it is in; none for cluster-scoped objects.
    pub namespace: Option<&'a Object>,
    /// Whether the identity may do `verb` to the resource in the namespace: for synthetic verbs.
    pub may: &'a dyn Fn(&str, &Resource, &str) -> bool,
}

/// What an admission request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Create.
    Create,
    /// Update or patch.
    Update,
    /// Delete.
    Delete,
}

/// A rule about identities: the embedded counterpart of a ValidatingAdmissionPolicy.
pub trait Guard: Send + Sync {
    /// Why the request is refused (HTTP 403), naming who may not do what and which verb would allow it.
    fn refusal(&self, request: &AdmissionRequest<'_>) -> Option<String>;
}

/// Who may do what: the embedded counterpart of RBAC.
pub trait Authorizer: Send + Sync {
    /// Whether the identity may do `verb` (real or synthetic, lower case; `update` on `plural/status` for status) to the
    /// resource in the namespace (empty: cluster-wide).
    fn may(&self, identity: &Identity, verb: &str, resource: &Resource, subresource: Subresource, namespace: &str) -> bool;
}

/// What RBAC says of a request that nothing permits.
#[must_use]
pub fn not_permitted(user: &str, verb: &str, resource: &Resource, subresource: Subresource, namespace: &str) -> String {
    let plural = match subresource {
        Subresource::Main => resource.plural.to_owned(),
        Subresource::Status => format!("{}/status", resource.plural),
    };
    let place = if namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace {namespace:?}") };
    format!("User {user:?} cannot {verb} resource {plural:?} in API group {:?} {place}", resource.group)
}

/// Requests to the embedded API server.
#[async_trait]
pub trait ApiServer: Send + Sync {
    /// Everything that is served.
    fn definitions(&self) -> &[Definition];
    /// One object.
    async fn get(&self, who: &Identity, key: &ObjectKey) -> Result<Arc<Object>, WorldError>;
    /// All objects of a selection.
    async fn list(&self, who: &Identity, selection: &Selection) -> Result<Listed, WorldError>;
    /// Creates.
    async fn create(&self, who: &Identity, object: Object, options: WriteOptions) -> Result<Written, WorldError>;
    /// Replaces the main resource or the status. A resource version in the object is a precondition.
    async fn update(&self, who: &Identity, object: Object, subresource: Subresource, options: WriteOptions) -> Result<Written, WorldError>;
    /// Applies a JSON merge patch (RFC 7386).
    async fn merge_patch(
        &self,
        who: &Identity,
        key: &ObjectKey,
        patch: &Value,
        subresource: Subresource,
        options: WriteOptions,
    ) -> Result<Written, WorldError>;
    /// Deletes, or marks for deletion while finalizers stand. The object as it was, or as it waits.
    async fn delete(&self, who: &Identity, key: &ObjectKey, preconditions: &Preconditions) -> Result<Arc<Object>, WorldError>;
    /// Changes after `from`; [`WorldError::Gone`] when that is no longer kept.
    async fn watch(&self, who: &Identity, selection: &Selection, from: u64) -> Result<BoxStream<'static, WatchEvent>, WorldError>;
    /// The newest resource version.
    fn resource_version(&self) -> u64;
}
