//! Digests of templates written into a schema's file.
//!
//! Only the digests change: comments, order, quotes and every other byte stay. The result is read again before it is given
//! out, and says the same as before but for the digests.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::problem::{Problem, field_of_pointer};
use super::templates::Templates;
use super::yaml::edit::{self, Text};
use super::yaml::{self, LocatedDocument, Position};
use crate::kinds::provisioningschema::api::{ProvisioningSchema, SCHEMA, WorkflowSpec};
use crate::kinds::provisioningschema::rules::Linted;
use crate::model::canonical::Digest;
use crate::model::finding::Finding;
use crate::model::pointer;

/// One workflow and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// File as it was named.
    pub file: Arc<str>,
    /// Line of the digest, or of the workflow that has none.
    pub line: u32,
    /// Name of the schema.
    pub schema: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Its template.
    pub template_id: String,
    /// What stood there; none where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The template's digest.
    pub after: Digest,
}

impl Pin {
    /// Whether something else stood there.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.before.as_deref() != Some(self.after.as_str())
    }
}

/// `file:line: schema workflow (template id): before -> after`
impl fmt::Display for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {} {} (template {}): ", self.file, self.line, self.schema, self.workflow, self.template_id)?;
        match &self.before {
            Some(before) if !self.differs() => write!(formatter, "{before}, unchanged"),
            Some(before) if !before.is_empty() => write!(formatter, "{before} -> {}", self.after),
            Some(_) | None => write!(formatter, "nothing -> {}", self.after),
        }
    }
}

/// A file with its digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// Each workflow, in order.
    pub pins: Vec<Pin>,
    /// The file as it shall be.
    pub text: String,
}

/// The schemas of a file, and the templates they name.
pub struct Schemas {
    file: Arc<str>,
    text: String,
    documents: Vec<LocatedDocument>,
    /// Place in `documents`, and the schema with a digest in every workflow.
    schemas: Vec<(usize, ProvisioningSchema)>,
}

impl Schemas {
    /// Reads a file. Other kinds may stand in it and are left alone.
    ///
    /// # Errors
    /// Every reason why nothing can be pinned in it.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let file: Arc<str> = file.into();
        let invalid = |at, message: String| vec![Problem::error(&file, at, "DocumentInvalid", message)];
        let documents =
            yaml::read_bytes(bytes).map_err(|error| invalid(Position { line: error.line, column: error.column }, error.message.clone()))?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| invalid(Position { line: 1, column: 1 }, error.to_string()))?;
        let is_schema = |document: &LocatedDocument| {
            pointer::text(&document.value, "/kind") == Some(SCHEMA.kind)
                && pointer::text(&document.value, "/apiVersion") == Some(SCHEMA.api_version().as_str())
        };
        let (mut schemas, mut problems) = (Vec::new(), Vec::new());
        for (index, document) in documents.iter().enumerate().filter(|(_, document)| is_schema(document)) {
            match typed(document) {
                Ok(schema) => schemas.push((index, schema)),
                Err(message) => problems.push(Problem::error(&file, document.positions.nearest("/spec"), "ShapeInvalid", message)),
            }
        }
        if schemas.is_empty() && problems.is_empty() {
            let message = format!("the file holds no {} {}: name the file of the schema", SCHEMA.api_version(), SCHEMA.kind);
            problems.push(Problem::error(&file, Position { line: 1, column: 1 }, "NoSchema", message));
        }
        if problems.is_empty() { Ok(Self { file, text, documents, schemas }) } else { Err(problems) }
    }

    /// Identifiers of the templates that are named, each once.
    #[must_use]
    pub fn template_ids(&self) -> Vec<&str> {
        let workflows = self.schemas.iter().flat_map(|(_, schema)| &schema.spec.workflows);
        let mut ids: Vec<&str> = workflows.map(|workflow| workflow.template_id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The file with the digests of these templates; `source` says where they were looked for.
    ///
    /// # Errors
    /// Every reason why a digest cannot be pinned; then none is.
    pub fn pin(&self, templates: &Templates, source: &str) -> Result<Pinned, Vec<Problem>> {
        let text = Text::new(&self.text);
        let (mut pins, mut edits, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let mut wanted: Vec<Value> = self.documents.iter().map(|document| document.value.clone()).collect();
        for (document, schema) in self.schemas.iter().filter_map(|(index, schema)| Some((self.documents.get(*index)?, (*index, schema)))) {
            let (index, schema) = schema;
            for (at, workflow) in schema.spec.workflows.iter().enumerate() {
                let digest = match self.digest(document, at, workflow, templates, source) {
                    Ok(digest) => digest,
                    Err(found) => {
                        problems.extend(found);
                        continue;
                    }
                };
                let pin = self.pin_of(document, schema, at, workflow, digest);
                if pin.differs() {
                    match text.set(document, &workflow_at(at), "digest", pin.after.as_str(), "templateId") {
                        Some(edit) => edits.push(edit),
                        None => problems.push(self.unwritable(document, at)),
                    }
                    if let Some(place) = wanted.get_mut(index).and_then(|value| value.pointer_mut(&workflow_at(at))) {
                        place["digest"] = pin.after.as_str().into();
                    }
                }
                pins.push(pin);
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let text = edit::apply(&self.text, edits);
        let again = yaml::read(&text).map(|documents| documents.into_iter().map(|document| document.value).collect::<Vec<_>>());
        if again.as_ref() != Ok(&wanted) {
            let message = "the digests cannot be written without changing something else: write each as plain text on its own line";
            return Err(vec![Problem::error(&self.file, Position { line: 1, column: 1 }, "NotEditable", message)]);
        }
        Ok(Pinned { pins, text })
    }

    fn digest(
        &self,
        document: &LocatedDocument,
        at: usize,
        workflow: &WorkflowSpec,
        templates: &Templates,
        source: &str,
    ) -> Result<Digest, Vec<Problem>> {
        let located = |linted: Linted| Problem { protects: Some(linted.protects), ..self.problem(document, linted.finding) };
        match templates.digest(at, workflow) {
            Some(found) => found.map_err(|findings| findings.into_iter().map(located).collect()),
            None => {
                let message = format!("no template {} in {source}: correct templateId, or export the template there", workflow.template_id);
                Err(vec![self.problem(document, Finding::error("TemplateMissing", message).at(format!("{}/templateId", workflow_at(at))))])
            }
        }
    }

    fn pin_of(&self, document: &LocatedDocument, schema: &ProvisioningSchema, at: usize, workflow: &WorkflowSpec, after: Digest) -> Pin {
        let field = format!("{}/digest", workflow_at(at));
        Pin {
            file: Arc::clone(&self.file),
            line: document.positions.nearest(&field).line,
            schema: schema.metadata.name.clone().unwrap_or_default(),
            workflow: workflow.name.to_string(),
            template_id: workflow.template_id.clone(),
            before: pointer::text(&document.value, &field).map(str::to_owned),
            after,
        }
    }

    fn unwritable(&self, document: &LocatedDocument, at: usize) -> Problem {
        let message =
            "the digest is written in a form that only its author can change (an alias, a tag, a folded text): write it as plain text";
        self.problem(document, Finding::error("NotEditable", message).at(format!("{}/digest", workflow_at(at))))
    }

    fn problem(&self, document: &LocatedDocument, finding: Finding) -> Problem {
        let pointer = finding.field.unwrap_or_default();
        let name = pointer::text(&document.value, "/metadata/name").unwrap_or_default();
        Problem {
            object: Some(format!("{} {name}", SCHEMA.kind)),
            field: Some(field_of_pointer(&pointer)),
            ..Problem::error(&self.file, document.positions.nearest(&pointer), finding.reason, finding.message)
        }
    }
}

fn workflow_at(index: usize) -> String {
    format!("/spec/workflows/{index}")
}

/// The document as a schema. A digest that is none yet is what is to be written, so it refuses nothing.
fn typed(document: &LocatedDocument) -> Result<ProvisioningSchema, String> {
    let mut value = document.value.clone();
    let workflows = value.pointer_mut("/spec/workflows").and_then(Value::as_array_mut);
    for workflow in workflows.into_iter().flatten().filter_map(Value::as_object_mut) {
        let written = workflow.get("digest").and_then(Value::as_str);
        if written.is_none_or(|digest| digest.parse::<Digest>().is_err()) {
            workflow.insert("digest".to_owned(), json!(Digest::of_bytes(b"")));
        }
    }
    serde_json::from_value(value).map_err(|error| format!("it does not have the shape of a {}: {error}", SCHEMA.kind))
}
