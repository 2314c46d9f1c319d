//! Documents from files and the standard input.

use std::io::Read as _;
use std::path::Path;

use super::CommandError;
use crate::offline::folder::STDIN;
use crate::offline::yaml::{self, LocatedDocument};

/// The bytes of a file, or of the standard input for `-`.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == STDIN {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| CommandError::Failed(format!("{}: {error}", path.display())))?;
    Ok(bytes)
}

/// The objects of a YAML or JSON file, lists taken apart.
pub(super) fn documents(path: &Path) -> Result<Vec<LocatedDocument>, CommandError> {
    let file = path.display().to_string();
    yaml::read_bytes(&bytes(path)?).map_err(|error| CommandError::Failed(error.in_file(&file)))
}
