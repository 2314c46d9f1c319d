//! Workflow templates that lie beside manifests, and whether they are what schemas pin.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::problem::Problem;
use crate::kinds::provisioningschema::api::{ProvisioningSchemaSpec, WorkflowSpec};
use crate::model::canonical;
use crate::model::finding::Finding;
use crate::model::workflow::{self, WorkflowError};

/// One template and its file.
#[derive(Debug, Clone)]
pub struct Template {
    /// File as it was found.
    pub file: String,
    /// The workflow as exported.
    pub workflow: Value,
}

/// Templates by their identifier.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    by_id: BTreeMap<String, Template>,
}

impl Templates {
    /// Reads every `*.json` of these folders. What cannot be read is a problem of its own.
    #[must_use]
    pub fn read(folders: &[PathBuf]) -> (Self, Vec<Problem>) {
        let (mut templates, mut problems) = (Self::default(), Vec::new());
        for folder in folders {
            let mut files: Vec<PathBuf> = match fs::read_dir(folder) {
                Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).collect(),
                Err(error) => {
                    problems.push(Problem::unreadable(&folder.display().to_string(), error.to_string()));
                    continue;
                }
            };
            files.retain(|file| file.extension() == Some(OsStr::new("json")));
            files.sort();
            problems.extend(files.iter().filter_map(|file| templates.add(file).err()));
        }
        (templates, problems)
    }

    fn add(&mut self, path: &Path) -> Result<(), Problem> {
        let file = path.display().to_string();
        let refuse = |message: String| Problem { reason: "TemplateInvalid", ..Problem::unreadable(&file, message) };
        let text = fs::read_to_string(path).map_err(|error| Problem::unreadable(&file, error.to_string()))?;
        let workflow = canonical::parse(&text).map_err(|error| refuse(error.to_string()))?;
        let id = workflow.get("id").and_then(Value::as_str).ok_or_else(|| refuse("the template has no id".into()))?.to_owned();
        if let Some(other) = self.by_id.get(&id) {
            return Err(refuse(format!("template {id} is also in {}", other.file)));
        }
        self.by_id.insert(id, Template { file, workflow });
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What each workflow of a schema finds here: drift, places that match nothing, node types, webhooks. A template that
    /// is not here may be at the provider.
    #[must_use]
    pub fn findings(&self, schema: &ProvisioningSchemaSpec) -> Vec<Finding> {
        if self.is_empty() {
            return Vec::new();
        }
        let each = schema.workflows.iter().enumerate().flat_map(|(index, spec)| match self.by_id.get(&spec.template_id) {
            Some(template) => compare(index, spec, template),
            None => {
                let message = format!("no template {} in the sandbox folder: it must exist at the workflow provider", spec.template_id);
                vec![Finding::waiting("TemplateMissing", message).at(format!("/spec/workflows/{index}/templateId"))]
            }
        });
        each.collect()
    }
}

/// The checks that step 1 makes on the real template, all of them.
fn compare(index: usize, spec: &WorkflowSpec, template: &Template) -> Vec<Finding> {
    let at = |field: &str| format!("/spec/workflows/{index}/{field}");
    let Template { file, workflow } = template;
    let pinned = spec.template();
    let mut findings = Vec::new();
    match workflow::node_types(workflow) {
        Ok(types) => {
            let strange = types.iter().filter(|found| !pinned.node_types.contains(found));
            findings.extend(strange.map(|found| {
                let message = format!("{file} holds a node of type {found:?}, which is not listed");
                Finding::error("NodeTypeNotAllowed", message).at(at("nodeTypes"))
            }));
        }
        Err(error) => return vec![Finding::error("TemplateInvalid", format!("{file}: {error}")).at(at("templateId"))],
    }
    if let Err(error) = workflow::check_webhooks(workflow, &pinned.webhooks) {
        findings.push(Finding::error("WebhooksDiffer", format!("{file}: {error}")).at(at("webhooks")));
        return findings;
    }
    match workflow::structural_digest(workflow, &pinned.places, &pinned.webhooks) {
        Ok(found) if found == pinned.digest => {}
        Ok(found) => {
            let message = format!("{file} has structural digest {found}, which is not the pinned one");
            findings.push(Finding::error("TemplateDrift", message).at(at("digest")));
        }
        Err(error) => {
            let place = match &error {
                WorkflowError::PlaceUnmatched { node, pointer, source_name } => pinned
                    .places
                    .iter()
                    .position(|place| place.node == *node && place.pointer == *pointer && place.source == *source_name)
                    .map_or_else(|| at("substitutions"), |position| at(&format!("substitutions/{position}"))),
                WorkflowError::Malformed(_)
                | WorkflowError::DuplicateNode(_)
                | WorkflowError::PlacesOverlap { .. }
                | WorkflowError::Webhooks { .. }
                | WorkflowError::Canonical(_) => at("substitutions"),
            };
            findings.push(Finding::error("SubstitutionUnmatched", format!("{file}: {error}")).at(place));
        }
    }
    findings
}
