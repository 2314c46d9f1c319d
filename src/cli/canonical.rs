//! `mandate canonical`: the exact text that is hashed, without a newline, so that `sha256sum` agrees.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::input;
use super::print;
use super::{CommandError, Ended};
use crate::model::canonical;
use crate::offline::canonical::{Choice, evidence_among, text};

/// Print the exact text that is hashed.
#[derive(Debug, clap::Args)]
#[group(id = "canonical")]
pub(super) struct Arguments {
    /// One document, JSON or YAML; `-` for the standard input. Of a ProvisioningSchema, ProvisioningRequest or AuditRecord
    /// what its hash covers, of anything else the whole document.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only the value at this JSON pointer, as a plain document.
    #[arg(long)]
    pointer: Option<String>,
    /// A document of another system, in which fractions are allowed.
    #[arg(long)]
    foreign: bool,
    /// The evidence of an object that takes decisions: what `status.decision.hash` covers. That of a Tenant is made of the
    /// records in its namespace: export both into one file.
    #[arg(long, conflicts_with_all = ["pointer", "foreign"])]
    evidence: bool,
}

impl Arguments {
    pub(super) fn text(&self) -> Result<String, CommandError> {
        let failed = |error: &dyn std::fmt::Display| CommandError::Failed(format!("{}: {error}", self.file.display()));
        if self.evidence {
            let documents: Vec<Value> = input::documents(&self.file)?.into_iter().map(|document| document.value).collect();
            return evidence_among(&documents).map_err(|error| failed(&error));
        }
        let choice = Choice { pointer: self.pointer.as_deref(), foreign: self.foreign, evidence: false };
        text(&one(&self.file)?, choice).map_err(|error| failed(&error))
    }
}

/// JSON is read as JSON, whose numbers and values need not be an object; everything else as YAML with one document.
fn one(file: &Path) -> Result<Value, CommandError> {
    let bytes = input::bytes(file)?;
    let name = file.display();
    let as_json = std::str::from_utf8(&bytes).ok().filter(|text| text.trim_start().starts_with(['{', '[', '"']));
    if let Some(text) = as_json {
        return canonical::parse(text).map_err(|error| CommandError::Failed(format!("{name}: {error}")));
    }
    let documents = crate::offline::yaml::read_bytes(&bytes).map_err(|error| CommandError::Failed(error.in_file(&name.to_string())))?;
    let count = documents.len();
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(only), None) => Ok(only.value),
        _ => Err(CommandError::Failed(format!("{name}: one document is expected here, not {count}"))),
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    print::exact(&arguments.text()?)?;
    Ok(Ended::Ok)
}
