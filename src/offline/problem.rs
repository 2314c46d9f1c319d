//! One thing wrong with a manifest, and where.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::yaml::Position;
use crate::kinds::provisioningschema::rules::Clause;
use crate::model::finding::Severity;

/// One thing wrong, or missing, with the place to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// File as it was named, `-` for the standard input.
    pub file: Arc<str>,
    /// Line, from 1; 0 when the file could not be read at all.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How much it weighs: `Error`, `Waiting` for what may exist elsewhere or may be meant, `Info`.
    pub severity: Severity,
    /// `Kind namespace/name`, where the object is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Field: `spec.workflows[0].name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
    /// CamelCase constant.
    pub reason: &'static str,
    /// What of document 000 its rule protects, where it is a rule about a schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protects: Option<Clause>,
}

impl Problem {
    /// An error at a place of a file.
    #[must_use]
    pub fn error(file: &Arc<str>, at: Position, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            file: Arc::clone(file),
            line: at.line,
            column: at.column,
            severity: Severity::Error,
            object: None,
            field: None,
            message: message.into(),
            reason,
            protects: None,
        }
    }

    /// A file or folder that cannot be read.
    #[must_use]
    pub fn unreadable(file: &str, message: impl Into<String>) -> Self {
        Self::error(&file.into(), Position { line: 0, column: 0 }, "Unreadable", message)
    }

    /// Whether it refuses the object, rather than await something.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Order of reports: by file and place.
    pub(super) fn place(&self) -> (&str, u32, u32, &str) {
        (&self.file, self.line, self.column, &self.message)
    }
}

/// `file:line:column: error: Kind namespace/name: field: message [Reason]`
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if self.line > 0 {
            write!(formatter, ":{}:{}", self.line, self.column)?;
        }
        formatter.write_str(match self.severity {
            Severity::Error => ": error: ",
            Severity::Waiting => ": warning: ",
            Severity::Info => ": info: ",
        })?;
        if let Some(object) = &self.object {
            write!(formatter, "{object}: ")?;
        }
        // A message that begins with its field needs no second mention of it.
        if let Some(field) = self.field.as_ref().filter(|field| !self.message.starts_with(field.as_str())) {
            write!(formatter, "{field}: ")?;
        }
        write!(formatter, "{} [{}]", self.message, self.reason)
    }
}

/// A JSON pointer as validation writes fields: `/spec/workflows/0/name` is `spec.workflows[0].name`.
#[must_use]
pub fn field_of_pointer(pointer: &str) -> String {
    let mut field = String::new();
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        if name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() {
            field.push_str(&format!("[{name}]"));
        } else {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(&name);
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_reads_as_validation_writes_fields() {
        assert_eq!(field_of_pointer("/spec/workflows/0/name"), "spec.workflows[0].name");
        assert_eq!(field_of_pointer("/spec/parameters/a~1b"), "spec.parameters.a/b");
        assert_eq!(field_of_pointer(""), "");
    }
}
