//! `mandate crds`: the CustomResourceDefinitions, to the standard output or into a folder.

use std::path::PathBuf;

use super::print;
use super::{CommandError, Ended};
use crate::kinds::crd;

/// Print the CustomResourceDefinitions.
#[derive(Debug, clap::Args)]
#[group(id = "crds")]
pub(super) struct Arguments {
    /// Write one file per CRD into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    for defined in crd::all() {
        let text = crd::yaml(defined).map_err(|error| CommandError::Failed(format!("{}: {error}", defined.resource)))?;
        match &arguments.dir {
            None => print::exact(&format!("---\n{text}"))?,
            Some(folder) => {
                let path = folder.join(format!("{}.yaml", defined.resource));
                let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
                written.map_err(|error| CommandError::Failed(format!("{}: {error}", path.display())))?;
            }
        }
    }
    Ok(Ended::Ok)
}
