//! Manifests in, with the place of every value.
//!
//! Scalars mean what they mean to kubectl and the API server (sigs.k8s.io/yaml, that is YAML 1.1 as go-yaml v2 reads it):
//! `yes`, `on` and `y` are true, `0777` is 511, `1_000` is 1000, dates stay text. Stricter than they are: a key twice, a
//! custom tag, an infinite number, a `<<` after a key that it would override are refused, each with its place.
//!
//! JSON files are read by the same parser, being YAML. Empty documents are skipped, `List` objects and lists of one kind
//! (`AuditRecordList`) taken apart.

mod build;
pub mod edit;
mod place;
mod scalar;

use std::fmt;

use serde_json::Value;

use self::build::Built;
pub use self::place::{Position, Positions, pointer_of_field};
use crate::model::limits::MAX_OBJECT_BYTES;

/// Largest file that is read, in bytes: many objects, not one.
pub const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;
/// Deepest nesting that is read; as deep as JSON readers go.
pub const MAX_DEPTH: usize = 100;

/// One object of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct LocatedDocument {
    /// The object.
    pub value: Value,
    /// Line on which it begins, from 1.
    pub line: u32,
    /// Where each of its values stands.
    pub positions: Positions,
}

impl LocatedDocument {
    /// Where the field of a validation message stands: `spec.workflows[0].name`; the nearest field above it if it is absent.
    #[must_use]
    pub fn position_of_field(&self, field: &str) -> Position {
        self.positions.nearest(&pointer_of_field(&self.value, field))
    }
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct YamlError {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong there.
    pub message: String,
}

impl YamlError {
    fn new(position: Position, message: impl Into<String>) -> Self {
        Self { line: position.line, column: position.column, message: message.into() }
    }

    /// `file:line:col: message`
    #[must_use]
    pub fn in_file(&self, file: &str) -> String {
        format!("{file}:{self}")
    }
}

/// The objects of a YAML or JSON text, in order.
///
/// # Errors
/// The first place where the text is no YAML, is ambiguous, holds something other than objects, or exceeds a limit:
/// [`MAX_FILE_BYTES`], [`MAX_OBJECT_BYTES`] per document that is no list (and for what its aliases expand to), [`MAX_DEPTH`].
pub fn read(text: &str) -> Result<Vec<LocatedDocument>, YamlError> {
    if text.len() > MAX_FILE_BYTES {
        return Err(YamlError::new(Position::START, format!("the file has {} bytes, more than {MAX_FILE_BYTES}", text.len())));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    for document in build::documents(text)? {
        flatten(document, &mut documents)?;
    }
    Ok(documents)
}

/// The objects of a file as bytes.
///
/// # Errors
/// As [`read`], and where the bytes are not UTF-8.
pub fn read_bytes(bytes: &[u8]) -> Result<Vec<LocatedDocument>, YamlError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => read(text),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or_default();
            Err(YamlError::new(Position::at_end_of(valid), "the file is not UTF-8"))
        }
    }
}

/// An object as it is; the items of a `List` one by one, lists of lists included.
fn flatten(document: Built, documents: &mut Vec<LocatedDocument>) -> Result<(), YamlError> {
    let Built { mut value, mut located, .. } = document;
    let position = located.position();
    if value.is_null() {
        return Ok(());
    }
    if !value.is_object() {
        return Err(YamlError::new(position, format!("an object is expected here, not {}", Kind(&value))));
    }
    if !is_list(&value) {
        documents.push(LocatedDocument { value, line: position.line, positions: Positions::new(located) });
        return Ok(());
    }
    let items = match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(other) => {
            let place = located.take_field("items").map_or(position, |items| items.position());
            return Err(YamlError::new(place, format!("the items of a List must be a list, not {}", Kind(&other))));
        }
    };
    let places = located.take_field("items").map(place::Located::into_items).unwrap_or_default();
    for (item, place) in items.into_iter().zip(places) {
        if item.is_null() {
            return Err(YamlError::new(place.position(), "an object is expected here, not null"));
        }
        flatten(Built { value: item, located: place, size: 0 }, documents)?;
    }
    Ok(())
}

/// A `List` as kubectl prints it, or a list of one kind as the API answers: `AuditRecordList` with items.
fn is_list(value: &Value) -> bool {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind == "List" || (kind.ends_with("List") && value.get("items").is_some_and(Value::is_array))
}

/// Names what a value is.
struct Kind<'a>(&'a Value);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        })
    }
}

/// Refuses a document of more than [`MAX_OBJECT_BYTES`] bytes.
fn check_size(bytes: usize, position: Position, what: &str) -> Result<(), YamlError> {
    if bytes > MAX_OBJECT_BYTES {
        return Err(YamlError::new(position, format!("{what} {bytes} bytes, more than {MAX_OBJECT_BYTES}")));
    }
    Ok(())
}
