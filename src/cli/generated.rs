//! `mandate guards` and `mandate rbac`: manifests for a cluster, to the standard output or into a folder.

use std::path::PathBuf;

use super::print;
use super::{CommandError, Ended};
use crate::model::name::DnsLabel;

/// What a cluster gets besides the CRDs.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Namespace that the controller runs in.
    #[arg(long, value_name = "NAMESPACE", default_value = "mandate-system")]
    system_namespace: DnsLabel,
    /// Write a file of the command's name into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn run(
    arguments: &Arguments,
    name: &str,
    yaml: impl Fn(&str) -> Result<String, serde_yaml::ser::Error>,
) -> Result<Ended, CommandError> {
    let text = yaml(arguments.system_namespace.as_str()).map_err(|error| CommandError::Failed(format!("{name}: {error}")))?;
    let Some(folder) = &arguments.dir else {
        print::exact(&text)?;
        return Ok(Ended::Ok);
    };
    let path = folder.join(format!("{name}.yaml"));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
    written.map_err(|error| CommandError::Failed(format!("{}: {error}", path.display())))?;
    Ok(Ended::Ok)
}
