//! Canonical text (RFC 8785, JCS) and its SHA-256.
//!
//! Two guards: [`own`] for our documents (integers within +-(2^53-1) and strings, no floats) and [`foreign`] for
//! documents of other systems (finite doubles as JCS writes them). Both bound the depth. [`parse`] refuses duplicate
//! keys, which JSON readers otherwise resolve each in their own way.
//! The digest is over the exact UTF-8 text, without prefix or salt, so plain `sha256sum` agrees.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

use super::limits::{MAX_DOCUMENT_DEPTH, MAX_SAFE_INTEGER};
use super::pointer;

/// Why a document has no canonical text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// A number that not every reader keeps exactly.
    #[error("{pointer}: {number} is not an integer within +-(2^53-1); write decimals as strings, ratios as numerator and denominator")]
    Number {
        /// JSON pointer of the number.
        pointer: String,
        /// The number as read.
        number: String,
    },
    /// Nested deeper than the limit.
    #[error("{pointer}: nested deeper than {MAX_DOCUMENT_DEPTH} levels")]
    Depth {
        /// JSON pointer of the first value that is too deep.
        pointer: String,
    },
    /// Not JSON, or JSON with a duplicate key.
    #[error("not canonicalizable JSON: {0}")]
    Syntax(String),
}

/// A digest: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a digest: expected sha256: and 64 lower-case hexadecimal digits")]
pub struct NotADigest(String);

impl Digest {
    /// SHA-256 of exactly these bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in Sha256::digest(bytes) {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The whole digest, prefix included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// The first `digits` hexadecimal digits (at most 64): for names and columns, never for comparison.
    #[must_use]
    pub fn short(&self, digits: usize) -> &str {
        self.hex().get(..digits.min(64)).unwrap_or(self.hex())
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").unwrap_or("");
        if hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text))
        } else {
            Err(NotADigest(text))
        }
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        Self::try_from(text.to_owned())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl schemars::JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "maxLength": 71})
    }
}

/// Canonical text of one document: the exact characters that are hashed.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CanonicalText(String);

impl CanonicalText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(self.0.as_bytes())
    }

    /// The text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for CanonicalText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Canonical text of a document of our own: no floats, integers within +-(2^53-1).
///
/// # Errors
/// [`CanonicalError`] naming the place of the first value outside the guard.
pub fn own(document: &Value) -> Result<CanonicalText, CanonicalError> {
    guard(document, &mut String::new(), 0, &|number| number.as_i64().is_some_and(|integer| integer.abs() <= MAX_SAFE_INTEGER))?;
    write(document)
}

/// Canonical text of another system's document: finite doubles allowed.
///
/// # Errors
/// [`CanonicalError`] naming the place of the first value outside the guard.
pub fn foreign(document: &Value) -> Result<CanonicalText, CanonicalError> {
    guard(document, &mut String::new(), 0, &|number| number.as_f64().is_some_and(f64::is_finite))?;
    write(document)
}

fn write(document: &Value) -> Result<CanonicalText, CanonicalError> {
    serde_json_canonicalizer::to_string(document).map(CanonicalText).map_err(|error| CanonicalError::Syntax(error.to_string()))
}

fn guard(value: &Value, at: &mut String, depth: usize, allowed: &dyn Fn(&Number) -> bool) -> Result<(), CanonicalError> {
    if depth > MAX_DOCUMENT_DEPTH {
        return Err(CanonicalError::Depth { pointer: at.clone() });
    }
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) if allowed(number) => Ok(()),
        Value::Number(number) => Err(CanonicalError::Number { pointer: at.clone(), number: number.to_string() }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| pointer::within(at, &index.to_string(), |at| guard(item, at, depth + 1, allowed))),
        Value::Object(fields) => {
            fields.iter().try_for_each(|(name, field)| pointer::within(at, name, |at| guard(field, at, depth + 1, allowed)))
        }
    }
}

/// Reads JSON text, refusing duplicate keys and nesting beyond the limit.
///
/// # Errors
/// [`CanonicalError::Syntax`] with line and column.
pub fn parse(text: &str) -> Result<Value, CanonicalError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(|error| CanonicalError::Syntax(error.to_string()))?;
    reader.end().map_err(|error| CanonicalError::Syntax(error.to_string()))?;
    Ok(value)
}

/// Builds a `Value` like serde_json does, but a key that comes twice is an error.
struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DOCUMENT_DEPTH {
            return Err(de::Error::custom(format!("nested deeper than {MAX_DOCUMENT_DEPTH} levels")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without duplicate keys")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Strict { depth: self.depth + 1 })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if fields.contains_key(&name) {
                return Err(de::Error::custom(format!("duplicate key {name:?}")));
            }
            let field = access.next_value_seed(Strict { depth: self.depth + 1 })?;
            fields.insert(name, field);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
