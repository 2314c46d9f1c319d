//! The embedded default put together: an API server in memory with our definitions and guards, and the operator's setup
//! over it. `up`, `plan` and every simulation use the same.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::sync::watch;

use super::guards::{self, EmbeddedRights};
use super::notify::{self, Events};
use super::runner::Setup;
use super::telemetry::Telemetry;
use crate::engine::kind::Settings;
use crate::engine::port::{Backends, Clock, Identifiers, World, WorldError};
use crate::kinds::{self, crd};
use crate::model::object::Object;
use crate::model::resource::{BUILT_IN, EVENT, NAMESPACE, Resource};
use crate::world::events;
use crate::world::memory::{Catalogue, Client, Memory, MemoryOptions, OpenError, Permissions};
use crate::world::server::{ApiServer, Column, Definition, Identity, WriteOptions};
use crate::world::store::Store;

/// Passes at once in the embedded default: they wait for providers, not for processors.
pub const WORKERS: usize = 16;

/// Everything that is served: the built-in resources and our kinds.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let stored_as_they_come = BUILT_IN.iter().filter(|resource| **resource != &EVENT);
    let built_in = stored_as_they_come.map(|resource| Definition {
        resource,
        schema: None,
        // A namespace's phase and what holds up its deletion.
        has_status: *resource == &NAMESPACE,
        columns: Vec::new(),
        selectable: Vec::new(),
        short_names: short_names(resource),
        categories: Vec::new(),
    });
    built_in.chain([events::definition()]).chain(crd::all().iter().map(|defined| from_crd(defined.resource, &defined.crd))).collect()
}

/// Short names that kubectl users know.
fn short_names(resource: &Resource) -> Vec<String> {
    let known = [("namespaces", "ns"), ("resourcequotas", "quota")];
    known.iter().filter(|(plural, _)| *plural == resource.plural).map(|(_, short)| (*short).to_owned()).collect()
}

fn from_crd(resource: &'static Resource, crd: &Value) -> Definition {
    let version = crd.pointer("/spec/versions/0").cloned().unwrap_or_default();
    let texts = |value: Option<&Value>| -> Vec<String> {
        value
            .and_then(Value::as_array)
            .map(|items| items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
            .unwrap_or_default()
    };
    let paths = version.get("selectableFields").and_then(Value::as_array).cloned().unwrap_or_default();
    Definition {
        resource,
        schema: version.pointer("/schema/openAPIV3Schema").cloned(),
        has_status: version.pointer("/subresources/status").is_some(),
        columns: version.get("additionalPrinterColumns").and_then(Value::as_array).into_iter().flatten().map(column).collect(),
        selectable: paths.iter().filter_map(|field| field.get("jsonPath")?.as_str().map(str::to_owned)).collect(),
        short_names: texts(crd.pointer("/spec/names/shortNames")),
        categories: texts(crd.pointer("/spec/names/categories")),
    }
}

fn column(column: &Value) -> Column {
    let text = |field: &str| column.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    Column {
        name: text("name"),
        column_type: text("type"),
        json_path: text("jsonPath"),
        priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
        description: text("description"),
    }
}

/// Our definitions, compiled once.
fn catalogue() -> Result<Arc<Catalogue>, OpenError> {
    static COMPILED: OnceLock<Arc<Catalogue>> = OnceLock::new();
    if let Some(compiled) = COMPILED.get() {
        return Ok(Arc::clone(compiled));
    }
    let compiled = Catalogue::compile(definitions())?;
    Ok(Arc::clone(COMPILED.get_or_init(|| compiled)))
}

/// A world with our definitions, guards and rights.
///
/// # Errors
/// [`OpenError`] when the state cannot be read.
pub fn open(clock: Arc<dyn Clock>, ids: Arc<dyn Identifiers>, storage: Option<Store>) -> Result<Memory, OpenError> {
    Memory::open(MemoryOptions {
        catalogue: catalogue()?,
        guards: guards::all(),
        authorizer: Arc::new(EmbeddedRights),
        clock,
        ids,
        storage,
    })
}

/// Makes the namespaces that a cluster brings along: `default`, and that of the platform.
///
/// # Errors
/// [`WorldError`] when the world cannot be written.
pub async fn make_namespaces(memory: &Memory, settings: &Settings) -> Result<(), WorldError> {
    for name in ["default", &settings.system_namespace] {
        match memory.create(&Identity::loader(), Object::named(&NAMESPACE, "", name), WriteOptions::default()).await {
            Ok(_) | Err(WorldError::AlreadyExists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Clients of the controller, one per kind, each with no more than the kind declares.
#[must_use]
pub fn clients(memory: &Memory) -> HashMap<&'static str, Client> {
    let client = |kind: &&'static dyn crate::engine::kind::AnyKind| {
        let permissions = Permissions::of(kind.reads().iter().chain(kind.writes()));
        (kind.resource().kind, memory.client(Identity::controller(), Some(Arc::new(permissions))))
    };
    kinds::KINDS.iter().map(client).collect()
}

/// Nobody else runs here.
fn always() -> watch::Receiver<bool> {
    // The last value stays readable when its sender is gone.
    watch::channel(true).1
}

/// The operator's setup over a world. `wrap` may put something between the loop and the world.
pub fn setup(
    memory: &Memory,
    backends: Arc<dyn Backends>,
    clock: Arc<dyn Clock>,
    wrap: impl Fn(Arc<dyn World>) -> Arc<dyn World>,
) -> (Setup, HashMap<&'static str, Client>) {
    let clients = clients(memory);
    let worlds: HashMap<&'static str, Arc<dyn World>> =
        clients.iter().map(|(kind, client)| (*kind, wrap(Arc::new(client.clone())))).collect();
    let outsider = wrap(Arc::new(memory.client(Identity::controller(), Some(Arc::default()))));
    let world_of = move |kind: &'static dyn crate::engine::kind::AnyKind| worlds.get(kind.resource().kind).unwrap_or(&outsider).clone();
    let teller = memory.client(Identity::controller(), Some(Arc::new(Permissions::of([&notify::ACCESS]))));
    let telemetry = Telemetry::new("embedded");
    let events =
        Events { world: wrap(Arc::new(teller)), clock: clock.clone(), process: "embedded".to_owned(), telemetry: telemetry.clone() };
    let setup = Setup {
        kinds: &kinds::KINDS,
        world_of: Arc::new(world_of),
        backends,
        notifier: Arc::new(events),
        clock,
        settings: Settings::default(),
        workers: WORKERS,
        telemetry,
        active: always(),
    };
    (setup, clients)
}
