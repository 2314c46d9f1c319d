//! Workflow templates that lie beside manifests, and whether they are what schemas pin.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use uuid::Uuid;

use super::problem::Problem;
use crate::kinds::provisioningschema::api::{ProvisioningSchemaSpec, WorkflowSpec};
use crate::kinds::provisioningschema::rules::{Clause, Linted};
use crate::model::call::Place;
use crate::model::canonical::{self, Digest};
use crate::model::finding::Finding;
use crate::model::limits::MAX_REPLY_BYTES;
use crate::model::pointer;
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
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        if usize::try_from(bytes).map_or(true, |bytes| bytes > MAX_REPLY_BYTES) {
            return Err(refuse(too_large(Some(bytes))));
        }
        let text = fs::read_to_string(path).map_err(|error| Problem::unreadable(&file, error.to_string()))?;
        let workflow = canonical::parse(&text).map_err(|error| refuse(error.to_string()))?;
        let id = workflow.get("id").and_then(Value::as_str).ok_or_else(|| refuse("the template has no id".into()))?.to_owned();
        if let Some(other) = self.by_id.get(&id) {
            return Err(refuse(format!("template {id} is also in {}", other.file)));
        }
        self.by_id.insert(id, Template { file, workflow });
        Ok(())
    }

    /// Takes in a template of this identifier; `file` says where it comes from.
    pub fn insert(&mut self, id: String, file: String, workflow: Value) {
        self.by_id.insert(id, Template { file, workflow });
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What each workflow of a schema finds here: drift, places that match nothing, node types, webhooks. A template that
    /// is not here may be at the provider.
    #[must_use]
    pub fn findings(&self, schema: &ProvisioningSchemaSpec) -> Vec<Linted> {
        if self.is_empty() {
            return Vec::new();
        }
        let each = schema.workflows.iter().enumerate().flat_map(|(index, spec)| match self.by_id.get(&spec.template_id) {
            Some(template) => compare(index, spec, template),
            None => {
                let message = format!("no template {} in the sandbox folder: it must exist at the workflow provider", spec.template_id);
                let finding = Finding::waiting("TemplateMissing", message).at(format!("/spec/workflows/{index}/templateId"));
                vec![Linted { finding, protects: Clause::Fidelity }]
            }
        });
        each.collect()
    }

    /// The digest to pin the workflow at `index` by; none if its template is not here.
    ///
    /// # Errors
    /// Everything that step 1 would refuse of the template.
    pub fn digest(&self, index: usize, spec: &WorkflowSpec) -> Option<Result<Digest, Vec<Linted>>> {
        Some(digest(index, spec, self.by_id.get(&spec.template_id)?))
    }
}

/// What is said of a template that is too large, of this many bytes if they are known.
#[must_use]
pub fn too_large(bytes: Option<u64>) -> String {
    let has = bytes.map_or_else(String::new, |bytes| format!("{bytes} bytes, "));
    format!("the template has {has}more than {MAX_REPLY_BYTES} bytes: it could not be read while provisioning; split it")
}

/// The checks that step 1 makes on the real template, all of them.
fn compare(index: usize, spec: &WorkflowSpec, template: &Template) -> Vec<Linted> {
    match digest(index, spec, template) {
        Ok(found) if found == spec.digest => Vec::new(),
        Ok(found) => {
            let message = format!(
                "{} has structural digest {found}, which is not the pinned one: put it back, or publish the next revision with mandate schema pin",
                template.file
            );
            let finding = Finding::error("TemplateDrift", message).at(format!("/spec/workflows/{index}/digest"));
            vec![Linted { finding, protects: Clause::Fidelity }]
        }
        Err(findings) => findings,
    }
}

/// The template's structural digest, if it is what the schema says of it.
fn digest(index: usize, spec: &WorkflowSpec, template: &Template) -> Result<Digest, Vec<Linted>> {
    let at = |field: &str| format!("/spec/workflows/{index}/{field}");
    let error = |reason, message: String, field: String, protects| Linted { finding: Finding::error(reason, message).at(field), protects };
    let Template { file, workflow } = template;
    let pinned = spec.template();
    let types = match workflow::node_types(workflow) {
        Ok(types) => types,
        Err(why) => return Err(vec![error("TemplateInvalid", format!("{file}: {why}"), at("templateId"), Clause::Fidelity)]),
    };
    let strange = types.iter().filter(|found| !pinned.node_types.contains(found));
    let mut findings: Vec<Linted> = strange
        .map(|found| {
            let message = format!("{file} holds a node of type {found:?}, which is not listed: add it, or take the node out");
            error("NodeTypeNotAllowed", message, at("nodeTypes"), Clause::SchemaDriven)
        })
        .collect();
    if let Err(why) = workflow::check_webhooks(workflow, &pinned.webhooks) {
        findings.push(error("WebhooksDiffer", format!("{file}: {why}"), at("webhooks"), Clause::TenantIsolation));
        return Err(findings);
    }
    findings.extend(paths_of_tenants(workflow).map(|(node, path)| {
        let message = format!("{file}: the path of webhook {node:?} is {path:?}: a template's path is a bare UUID");
        error("TemplatePathNotBare", message, at("templateId"), Clause::TenantIsolation)
    }));
    match workflow::structural_digest(workflow, &pinned.places, &pinned.webhooks) {
        Ok(found) if findings.is_empty() => Ok(found),
        Ok(_) => Err(findings),
        Err(why) => {
            let message = format!("{file}: {why}: correct the node or the pointer");
            findings.push(error("SubstitutionUnmatched", message, place_of(&why, index, &pinned.places), Clause::Fidelity));
            Err(findings)
        }
    }
}

/// Webhook nodes whose path is no bare UUID: such a path may be a tenant's (000, guarantee 2).
fn paths_of_tenants(workflow: &Value) -> impl Iterator<Item = (&str, &str)> {
    let nodes = workflow::nodes(workflow).into_iter().flatten();
    let webhooks = nodes.filter(|node| node.get("type").and_then(Value::as_str) == Some(workflow::WEBHOOK_NODE));
    webhooks.filter_map(|node| {
        let path = pointer::text(node, workflow::WEBHOOK_PATH)?;
        let is_bare = path.parse::<Uuid>().is_ok_and(|uuid| uuid.to_string() == path);
        (!is_bare).then(|| (pointer::text(node, "/name").unwrap_or_default(), path))
    })
}

fn place_of(error: &WorkflowError, index: usize, places: &[Place]) -> String {
    let all = format!("/spec/workflows/{index}/substitutions");
    match error {
        WorkflowError::PlaceUnmatched { node, pointer, source_name } => places
            .iter()
            .position(|place| place.node == *node && place.pointer == *pointer && place.source == *source_name)
            .map_or(all.clone(), |position| format!("{all}/{position}")),
        WorkflowError::Malformed(_)
        | WorkflowError::DuplicateNode(_)
        | WorkflowError::PlacesOverlap { .. }
        | WorkflowError::Webhooks { .. }
        | WorkflowError::Canonical(_) => all,
    }
}
