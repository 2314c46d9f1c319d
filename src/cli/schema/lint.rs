//! `mandate schema lint`: the rules of `mandate validate`, for schemas alone, with what each protects.

use std::path::PathBuf;

use crate::cli::{CommandError, Ended, Format, print};
use crate::kinds::provisioningschema::api::SCHEMA;
use crate::offline::folder::Folder;
use crate::offline::validate;

/// Check schemas by every rule, each finding with what of document 000 it protects.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files and folders; `-` for the standard input. Give every revision: some rules compare them. Folders named `sandbox`
    /// hold workflow templates.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Exit with 1 for warnings too.
    #[arg(long)]
    strict: bool,
    /// How findings are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    let folder = Folder::read(&arguments.paths);
    let schemas = folder.documents.iter().filter(|document| document.object.resource == &SCHEMA).count();
    let problems = validate::validate(&folder).map_err(|error| CommandError::Failed(error.to_string()))?;
    let problems = validate::of_schemas(problems);
    let refused = validate::refuses(&problems, arguments.strict);
    if schemas == 0 && !refused {
        return Err(CommandError::Failed(format!("no {} in {}", SCHEMA.kind, print::count(folder.files.len(), "file"))));
    }
    match arguments.output {
        Format::Table => {
            for problem in &problems {
                print::line(problem)?;
                if let Some(clause) = problem.protects {
                    print::line(&format_args!("    protects {clause}"))?;
                }
            }
            let verdict = if refused { "refused" } else { "valid" };
            print::line(&format_args!("{}: {verdict}", print::count(schemas, "schema")))?;
        }
        Format::Json | Format::Yaml => print::document(&problems, arguments.output)?,
    }
    Ok(if refused { Ended::Findings } else { Ended::Ok })
}
