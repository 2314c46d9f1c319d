//! What is served: definitions with their compiled schemas.

use std::sync::Arc;

use super::OpenError;
use crate::model::resource::Resource;
use crate::world::schema::Schema;
use crate::world::server::Definition;

/// One served resource.
#[derive(Clone, Copy)]
pub(super) struct Served<'a> {
    pub(super) definition: &'a Definition,
    /// None for built-in resources, which are stored as they come.
    pub(super) schema: Option<&'a Schema>,
}

impl Served<'_> {
    /// Whether it is defined by a CRD: these have generations and are not updated without a resource version.
    pub(super) fn is_custom(self) -> bool {
        self.schema.is_some()
    }
}

/// Everything that is served. Worlds of the same definitions may share one: compiling the schemas takes longer than the rest
/// of opening a world.
pub struct Catalogue {
    definitions: Vec<Definition>,
    schemas: Vec<Option<Schema>>,
}

impl Catalogue {
    /// Compiles definitions.
    ///
    /// # Errors
    /// [`OpenError::Schema`] for the first whose schema does not compile.
    pub fn compile(definitions: Vec<Definition>) -> Result<Arc<Self>, OpenError> {
        let compile = |definition: &Definition| {
            let failed = |error| OpenError::Schema { resource: definition.resource.to_string(), error };
            definition.schema.as_ref().map(|schema| Schema::compile(schema).map_err(failed)).transpose()
        };
        let schemas = definitions.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { definitions, schemas }))
    }

    pub(super) fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    fn find(&self, wanted: impl Fn(&Resource) -> bool) -> Option<Served<'_>> {
        let mut served = self.definitions.iter().zip(&self.schemas);
        let (definition, schema) = served.find(|(definition, _)| wanted(definition.resource))?;
        Some(Served { definition, schema: schema.as_ref() })
    }

    pub(super) fn get(&self, resource: &Resource) -> Option<Served<'_>> {
        self.find(|served| served == resource)
    }

    /// As an owner reference names it. The version is not compared: one object has one identity in all versions.
    pub(super) fn by_kind(&self, api_version: &str, kind: &str) -> Option<&'static Resource> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        self.find(|served| served.group == group && served.kind == kind).map(|served| served.definition.resource)
    }

    /// As the store writes it.
    pub(super) fn by_plural(&self, group: &str, plural: &str) -> Option<&'static Resource> {
        self.find(|served| served.group == group && served.plural == plural).map(|served| served.definition.resource)
    }
}
