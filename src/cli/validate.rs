//! `mandate validate`: check manifests without a server.

use std::path::PathBuf;

use super::print;
use super::{CommandError, Ended, Format};
use crate::offline::folder::Folder;
use crate::offline::validate;

/// Check manifests without a server: YAML, schema, CEL, references.
#[derive(Debug, clap::Args)]
#[group(id = "validate")]
pub(super) struct Arguments {
    /// Files and folders; `-` for the standard input. Folders named `sandbox` hold workflow templates.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Exit with 1 for warnings too: everything that is referred to must be among the manifests.
    #[arg(long)]
    strict: bool,
    /// How problems are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    let folder = Folder::read(&arguments.paths);
    let problems = validate::validate(&folder).map_err(|error| CommandError::Failed(error.to_string()))?;
    let refused = validate::refuses(&problems, arguments.strict);
    match arguments.output {
        Format::Table => {
            for problem in &problems {
                print::line(problem)?;
            }
            let (objects, files) = (folder.documents.len(), folder.files.len());
            let verdict = if refused { "refused" } else { "valid" };
            print::line(&format_args!("{} in {}: {verdict}", print::count(objects, "object"), print::count(files, "file")))?;
        }
        Format::Json | Format::Yaml => print::document(&problems, arguments.output)?,
    }
    Ok(if refused { Ended::Findings } else { Ended::Ok })
}
