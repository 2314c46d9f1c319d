//! What the API server says of a new object before it asks who creates it and where: the checks of a create without a world.

use std::sync::Arc;

use super::catalogue::Catalogue;
use super::{OpenError, builtin, metadata};
use crate::engine::port::{Cause, WorldError};
use crate::model::limits::MAX_OBJECT_BYTES;
use crate::model::object::Object;
use crate::world::server::Definition;

/// Compiled definitions, to check any number of objects with.
pub struct Checker {
    catalogue: Arc<Catalogue>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Paths of fields that the schema does not know; they were dropped.
    pub unknown: Vec<String>,
    /// Everything that is invalid, in the API server's words.
    pub causes: Vec<Cause>,
}

impl Checker {
    /// Compiles the schemas.
    ///
    /// # Errors
    /// [`OpenError::Schema`]
    pub fn new(definitions: Vec<Definition>) -> Result<Self, OpenError> {
        Ok(Self { catalogue: Catalogue::compile(definitions)? })
    }

    /// Checks an object as a create would, and makes it what would be stored: unknown fields dropped, defaults set.
    ///
    /// # Errors
    /// Where a create answers with an error at once: metadata of the wrong shape, `generateName`, no namespace, an object
    /// that is too large, a resource that is not served.
    pub fn check(&self, object: &mut Object) -> Result<Checked, WorldError> {
        let key = object.key();
        let served = self.catalogue.get(object.resource).ok_or_else(|| WorldError::NotFound(key.clone()))?;
        let bytes = serde_json::to_vec(&object.body).map_err(|error| WorldError::BadRequest(error.to_string()))?.len();
        if bytes > MAX_OBJECT_BYTES {
            return Err(WorldError::TooLarge { key, bytes, limit: MAX_OBJECT_BYTES });
        }
        metadata::check_shape(object)?;
        let mut unknown = metadata::normalise(object);
        if object.body["metadata"].get("generateName").is_some() {
            return Err(WorldError::BadRequest("metadata.generateName is not supported: set metadata.name".into()));
        }
        if object.resource.namespaced && object.namespace().is_empty() {
            return Err(WorldError::BadRequest("metadata.namespace is missing: objects of this kind live in a namespace".into()));
        }
        let body = if served.definition.has_status { object.body.as_object_mut() } else { None };
        if let Some(body) = body {
            body.remove("status");
        }
        if let (Some(schema), Some(body)) = (served.schema, object.body.as_object_mut()) {
            let kept: Vec<_> = ["apiVersion", "kind", "metadata"].into_iter().filter_map(|field| body.remove_entry(field)).collect();
            unknown.extend(schema.prune(&mut object.body));
            if let Some(body) = object.body.as_object_mut() {
                body.extend(kept);
            }
        }
        builtin::prepare(object, None)?;
        if let Some(schema) = served.schema {
            schema.default(&mut object.body);
        }
        let mut causes = metadata::causes(object);
        causes.extend(builtin::causes(object, None));
        causes.extend(served.schema.map(|schema| schema.validate_beside(&causes, &object.body, None)).unwrap_or_default());
        Ok(Checked { unknown, causes })
    }
}
