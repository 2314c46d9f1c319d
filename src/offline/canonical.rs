//! The exact text that is hashed, for every kind that has a hash.

use serde_json::{Value, json};

use crate::kinds::assistantdeployment::api::{AssistantDeployment, DEPLOYMENT};
use crate::kinds::assistantdeployment::evidence as deployment_evidence;
use crate::kinds::auditrecord::api::{AuditRecord, RECORD};
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, REQUEST, REQUEST_TYPE};
use crate::kinds::provisioningrequest::evidence;
use crate::kinds::provisioningschema::api::{ProvisioningSchema, SCHEMA, SCHEMA_TYPE};
use crate::kinds::provisioningschema::propagation;
use crate::kinds::tenant::api::{TENANT, Tenant};
use crate::kinds::tenant::evidence as tenant_evidence;
use crate::model::canonical::{self, CanonicalError, CanonicalText};
use crate::model::pointer;
use crate::model::resource::Resource;

/// What of a document is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice<'a> {
    /// Only the value at this JSON pointer, as a plain document.
    pub pointer: Option<&'a str>,
    /// A document of another system: finite doubles allowed.
    pub foreign: bool,
    /// The evidence that an operator decides on, instead of the inputs.
    pub evidence: bool,
}

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing stands at the pointer.
    #[error("nothing stands at {0}")]
    Nothing(String),
    /// It has no canonical text.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// An object of ours that does not have the shape of its kind.
    #[error("{kind}: {message}")]
    Shape {
        /// Kind.
        kind: &'static str,
        /// What does not fit.
        message: String,
    },
    /// Evidence is asked of something that has none.
    #[error(
        "only a ProvisioningRequest, an AssistantDeployment whose own calls have failed, a ProvisioningSchema or a Tenant has evidence"
    )]
    NoEvidence,
    /// Evidence is asked of several subjects at once, or of none.
    #[error("one subject is expected among these documents, not {0}")]
    Subjects(usize),
}

/// The text: of the document hashed for our own hashed kinds, of the whole document otherwise.
///
/// # Errors
/// [`TextError`]
pub fn text(document: &Value, choice: Choice<'_>) -> Result<String, TextError> {
    if let Some(place) = choice.pointer {
        let value = document.pointer(place).ok_or_else(|| TextError::Nothing(place.to_owned()))?;
        return plain(value, choice.foreign);
    }
    if is(document, &REQUEST) {
        return request(document, choice.evidence);
    }
    if is(document, &SCHEMA) {
        let schema: ProvisioningSchema = shaped(document, SCHEMA.kind)?;
        if choice.evidence {
            return propagation::document(&schema).map(CanonicalText::into_string).ok_or(TextError::NoEvidence);
        }
        return typed(SCHEMA_TYPE, &schema.spec);
    }
    if choice.evidence && is(document, &DEPLOYMENT) {
        let deployment: AssistantDeployment = shaped(document, DEPLOYMENT.kind)?;
        let journal = deployment.status.as_ref().map(|status| status.journal.clone()).unwrap_or_default();
        return deployment_evidence::document(&deployment, &journal).map(CanonicalText::into_string).ok_or(TextError::NoEvidence);
    }
    if choice.evidence {
        return Err(TextError::NoEvidence);
    }
    if is(document, &RECORD) {
        let entry = pointer::text(document, "/spec/entry").ok_or_else(|| TextError::Nothing("/spec/entry".to_owned()))?;
        return Ok(entry.to_owned());
    }
    plain(document, choice.foreign)
}

/// The evidence of the one subject among exported documents. That of a Tenant is made of the records in its namespace, which
/// the export has to hold.
///
/// # Errors
/// [`TextError`]
pub fn evidence_among(documents: &[Value]) -> Result<String, TextError> {
    let (records, subjects): (Vec<&Value>, Vec<&Value>) = documents.iter().partition(|document| is(document, &RECORD));
    let [subject] = subjects.as_slice() else { return Err(TextError::Subjects(subjects.len())) };
    if is(subject, &TENANT) {
        let tenant: Tenant = shaped(subject, TENANT.kind)?;
        let inside = records.into_iter().filter(|record| pointer::text(record, "/metadata/namespace") == Some(tenant.namespace_name()));
        let records: Result<Vec<AuditRecord>, TextError> = inside.map(|record| shaped(record, RECORD.kind)).collect();
        let specs = records?.into_iter().map(|record| record.spec).collect();
        return tenant_evidence::of_export(&tenant, specs).map(CanonicalText::into_string).ok_or(TextError::NoEvidence);
    }
    text(subject, Choice { evidence: true, ..Choice::default() })
}

fn is(document: &Value, resource: &Resource) -> bool {
    pointer::text(document, "/kind") == Some(resource.kind)
        && pointer::text(document, "/apiVersion") == Some(resource.api_version().as_str())
}

fn request(document: &Value, of_evidence: bool) -> Result<String, TextError> {
    let request: ProvisioningRequest = shaped(document, REQUEST.kind)?;
    if !of_evidence {
        return typed(REQUEST_TYPE, &request.spec);
    }
    let journal = request.status.as_ref().map(|status| status.journal.clone()).unwrap_or_default();
    let text = evidence::document(&request, &journal).ok_or(TextError::NoEvidence)?;
    Ok(text.into_string())
}

fn shaped<T: serde::de::DeserializeOwned>(document: &Value, kind: &'static str) -> Result<T, TextError> {
    T::deserialize(document).map_err(|error| TextError::Shape { kind, message: error.to_string() })
}

/// A frozen spec with its type inside, as its kind hashes it.
fn typed(document_type: &str, spec: &impl serde::Serialize) -> Result<String, TextError> {
    let spec = serde_json::to_value(spec).map_err(|error| CanonicalError::Syntax(error.to_string()))?;
    plain(&json!({"@type": document_type, "spec": spec}), false)
}

fn plain(value: &Value, is_foreign: bool) -> Result<String, TextError> {
    let text = if is_foreign { canonical::foreign(value) } else { canonical::own(value) };
    Ok(text?.into_string())
}
