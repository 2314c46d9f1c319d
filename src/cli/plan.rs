//! `mandate plan`: what manifests would create and call.

use std::path::PathBuf;
use std::sync::Arc;

use super::print;
use super::{CommandError, Ended, Format};
use crate::engine::port::SystemClock;
use crate::model::canonical::Digest;
use crate::offline::folder::Folder;
use crate::offline::simulate::{self, Simulation};

/// What stands for a hash that covers identifiers of the real world.
const VARIES: &str = "varies";

/// Show what manifests would create and call, with hashes, without a server.
#[derive(Debug, clap::Args)]
#[group(id = "plan")]
pub(super) struct Arguments {
    /// Files and folders; `-` for the standard input. The folder named `sandbox` holds the workflow templates to play with.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How the plan is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::Failed(error.to_string());
    let folder = Folder::read(&arguments.paths);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|error| failed(&error))?;
    let plan = runtime.block_on(simulate::simulate(&folder, Arc::new(SystemClock))).map_err(|error| failed(&error))?;
    match arguments.output {
        Format::Table => tables(&plan)?,
        Format::Json | Format::Yaml => print::document(&plan, arguments.output)?,
    }
    let stuck = !plan.refused.is_empty() || plan.objects.iter().any(|object| object.stalled);
    Ok(if stuck { Ended::Findings } else { Ended::Ok })
}

fn tables(plan: &Simulation) -> Result<(), CommandError> {
    let Simulation { refused, created, calls, objects, hashes, with_templates } = plan;
    if !refused.is_empty() {
        print::line(&"REFUSED")?;
        refused.iter().try_for_each(|problem| print::line(problem))?;
        print::line(&"")?;
    }
    let rows = created.iter().map(|row| vec![row.kind.clone(), place(&row.namespace, &row.name), row.owner.clone()]);
    section(&["CREATED", "NAME", "FOR"], rows)?;
    let rows = calls.iter().map(|call| {
        let class = format!("{:?}", call.class);
        let input = short(call.input.as_ref());
        vec![
            call.step.to_string(),
            call.request.clone(),
            call.name.clone(),
            call.operation.clone(),
            call.provider.clone(),
            class,
            input,
            call.outcome.clone(),
        ]
    });
    section(&["CALL IN STEP", "REQUEST", "NAME", "OPERATION", "PROVIDER", "CLASS", "INPUT", "OUTCOME"], rows)?;
    if !with_templates {
        print::line(&"No folder named sandbox with workflow templates lies beside the manifests: what follows step 1 was not played.\n")?;
    }
    let rows = hashes.iter().map(|hash| {
        let digest = hash.digest.as_ref().map_or(VARIES, Digest::as_str).to_owned();
        vec![hash.of.to_owned(), hash.object.clone(), digest]
    });
    section(&["HASH OF", "OBJECT", "DIGEST"], rows)?;
    let rows = objects.iter().map(|object| {
        let ready = format!("{:?}", object.ready);
        vec![object.object.clone(), ready, object.reason.clone(), object.message.clone()]
    });
    print::table(&with_heading(&["OBJECT", "READY", "REASON", "MESSAGE"], rows))
}

fn section(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<(), CommandError> {
    let table = with_heading(heading, rows);
    if table.len() == 1 {
        return Ok(());
    }
    print::table(&table)?;
    print::line(&"")
}

fn with_heading(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    std::iter::once(heading.iter().map(|cell| (*cell).to_owned()).collect()).chain(rows).collect()
}

fn place(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

fn short(digest: Option<&Digest>) -> String {
    digest.map_or(VARIES, |digest| digest.short(12)).to_owned()
}
