//! `mandate verify`: prove audit chains offline.

use std::path::PathBuf;

use super::input;
use super::print;
use super::{CommandError, Ended, Format};
use crate::offline::verify::{self, Report};

/// Check audit chains offline.
#[derive(Debug, clap::Args)]
#[group(id = "verify")]
pub(super) struct Arguments {
    /// AuditRecords, and the objects they are about, as `kubectl get auditrecords,preq -A -o yaml` prints them; `-` for the
    /// standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    let mut documents = Vec::new();
    for file in &arguments.files {
        documents.extend(input::documents(file)?);
    }
    let reports = verify::verify(&documents);
    if reports.iter().all(|report| report.entries == 0 && report.broken.is_none()) {
        return Err(CommandError::Failed("no AuditRecord among these documents: nothing was verified".into()));
    }
    match arguments.output {
        Format::Table => reports.iter().try_for_each(|report| print::line(&sentence(report)))?,
        Format::Json | Format::Yaml => print::document(&reports, arguments.output)?,
    }
    let broken = reports.iter().any(|report| report.broken.is_some());
    Ok(if broken { Ended::Findings } else { Ended::Ok })
}

fn sentence(report: &Report) -> String {
    let Report { kind, subject, entries, head, compared, broken, uid: _ } = report;
    let entries = if *entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
    let Some(broken) = broken else {
        let remark = if *compared { "" } else { " (the subject is not in the export: a tail that was cut off would not show)" };
        return format!("{kind} {subject}: {entries}, head {}: ok{remark}", head.as_deref().unwrap_or("none"));
    };
    format!("{kind} {subject}: {entries}: BROKEN: {broken}")
}
