//! Results on the standard output. A reader that has gone away (`| head`) is no error.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _, stdout};

use serde::Serialize;

use super::{CommandError, Format};

/// One line.
pub(super) fn line(text: &dyn Display) -> Result<(), CommandError> {
    exact(&format!("{text}\n"))
}

/// Text without anything added.
pub(super) fn exact(text: &str) -> Result<(), CommandError> {
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CommandError::Failed(format!("writing the result: {error}"))),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A document as JSON or YAML; for [`Format::Table`], which each command draws itself, as YAML.
pub(super) fn document(value: &impl Serialize, format: Format) -> Result<(), CommandError> {
    let unwritable = |error: &dyn Display| CommandError::Failed(format!("writing the result: {error}"));
    match format {
        Format::Json => {
            let text = serde_json::to_string_pretty(value).map_err(|error| unwritable(&error))?;
            line(&text)
        }
        Format::Yaml | Format::Table => exact(&serde_yaml::to_string(value).map_err(|error| unwritable(&error))?),
    }
}

/// `1 object`, `2 objects`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Rows as aligned columns, two spaces apart, without trailing blanks.
pub(super) fn table(rows: &[Vec<String>]) -> Result<(), CommandError> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        line(&cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
