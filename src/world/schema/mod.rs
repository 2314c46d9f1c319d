//! Structural schemas: placeholder of the agreed interface, replaced by the real module on merge.

use serde_json::Value;

use crate::engine::port::Cause;

/// A compiled schema.
pub struct Schema;

/// Why a schema does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(pub String);

impl Schema {
    /// Compiles.
    ///
    /// # Errors
    /// What is wrong with the schema.
    pub fn compile(open_api_v3: &Value) -> Result<Self, SchemaError> {
        if open_api_v3.is_object() { Ok(Self) } else { Err(SchemaError("not an object".into())) }
    }

    /// Drops unknown fields and returns their paths.
    pub fn prune(&self, _object: &mut Value) -> Vec<String> {
        Vec::new()
    }

    /// Fills defaults.
    pub fn default(&self, _object: &mut Value) {}

    /// Everything that is wrong.
    #[must_use]
    pub fn validate(&self, _object: &Value, _old: Option<&Value>) -> Vec<Cause> {
        Vec::new()
    }
}
