//! Workflow templates: exported n8n documents with fixed ids, present from the start as inactive workflows.
//!
//! They are no effects and are read once, on open; what the log says of the same id comes after and wins. Times and versions
//! that a document lacks are derived from its content, so that two openings show the same workflow.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::n8n::{Content, Workflow, Workflows};
use super::state::Resource;

const ID_CHARACTERS: usize = 16;

/// Why a template cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("workflow template {}: {reason}", path.display())]
pub struct TemplateError {
    /// The file, or the folder when that cannot be read.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Puts every `*.json` of a folder into the workflows, in the order of the file names.
pub(super) fn load(folder: &Path, workflows: &mut Workflows) -> Result<(), TemplateError> {
    let unreadable = |error: std::io::Error| TemplateError { path: folder.to_path_buf(), reason: error.to_string() };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension() == Some(OsStr::new("json")) {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        let loaded = template(&path).and_then(|workflow| match workflows.get(workflow.id()) {
            Some(other) => Err(format!("id {} is also that of \"{}\"", workflow.id(), other.name())),
            None => Ok(workflow),
        });
        match loaded {
            Ok(workflow) => workflows.put(workflow, Timestamp::MIN),
            Err(reason) => return Err(TemplateError { path, reason }),
        }
    }
    Ok(())
}

fn template(path: &Path) -> Result<Workflow, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let document: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let text = |key| document.get(key).and_then(Value::as_str);
    let id = text("id").ok_or("id is missing")?;
    if id.len() != ID_CHARACTERS || !id.chars().all(|character| character.is_ascii_alphanumeric()) {
        return Err(format!("id \"{id}\" is not {ID_CHARACTERS} letters and digits"));
    }
    let mut content = Content::from_export(&document).map_err(|error| error.to_string())?;
    let digest = content.digest();
    let mut derived = (1_u64..).map(|number| Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{id} {digest} {number}").as_bytes()));
    let mut uuid = || derived.next().unwrap_or_default();
    content.complete(&mut uuid);
    let version_id = text("versionId").and_then(|text| text.parse().ok()).unwrap_or_else(uuid);
    let created_at = text("createdAt").and_then(|text| text.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Workflow::created(id.to_owned(), content, digest, created_at, version_id))
}
