//! AuditRecord: one entry of an audit chain, frozen.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::canonical::Digest;
use crate::model::record::{Entry, Subject};
use crate::model::resource::{Resource, ours};
use crate::model::time::Time;

/// The resource.
pub static RECORD: Resource = ours("AuditRecord", "auditrecords", true);

/// What an entry is about; a copy of the entry's own statement, for selecting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordSubject {
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// UID.
    #[schemars(length(min = 1, max = 36))]
    pub uid: String,
}

/// An entry.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "mandate.dev",
    version = "v1alpha1",
    kind = "AuditRecord",
    plural = "auditrecords",
    namespaced,
    shortname = "ar",
    category = "mandate",
    selectable = ".spec.event"
)]
#[kube(printcolumn = r#"{"name":"Event","type":"string","jsonPath":".spec.event"}"#)]
#[kube(printcolumn = r#"{"name":"Subject","type":"string","jsonPath":".spec.subject.name"}"#)]
#[kube(printcolumn = r#"{"name":"Seq","type":"integer","jsonPath":".spec.sequence"}"#)]
#[kube(printcolumn = r#"{"name":"Actor","type":"string","jsonPath":".spec.actor"}"#)]
#[kube(printcolumn = r#"{"name":"Hash","type":"string","jsonPath":".spec.hash","priority":1}"#)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "spec is immutable: records are never changed", "reason": "FieldValueForbidden"},
]))]
pub struct AuditRecordSpec {
    /// The entry as canonical text; its SHA-256 is `hash`.
    #[schemars(length(min = 2, max = 65536))]
    pub entry: String,
    /// SHA-256 of `entry`.
    pub hash: Digest,
    /// What it is about.
    pub subject: RecordSubject,
    /// Place in the chain, from 1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sequence: u32,
    /// What happened.
    #[schemars(length(min = 1, max = 128))]
    pub event: String,
    /// Who acted.
    #[schemars(length(min = 1, max = 253))]
    pub actor: String,
    /// When, RFC 3339 UTC.
    #[schemars(schema_with = "crate::model::time::plain_schema")]
    pub time: Time,
}

impl AuditRecordSpec {
    /// The record that holds an entry.
    #[must_use]
    pub fn holding(entry: &Entry, text: String, hash: Digest) -> Self {
        let Subject { kind, namespace: _, name, uid } = entry.subject.clone();
        Self {
            entry: text,
            hash,
            subject: RecordSubject { kind, name, uid },
            sequence: entry.sequence,
            event: entry.event.clone(),
            actor: entry.actor.clone(),
            time: entry.time,
        }
    }
}
