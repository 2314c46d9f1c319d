//! Events in both groups that an API server shows them in: one storage, two views.
//!
//! They are stored as `events.k8s.io/v1`, which is what the controller writes. The core group shows the same objects under
//! its older field names; kubectl asks there. What is written through it is stored as the newer ones.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;

use super::server::{
    ApiServer, Column, Definition, Identity, Listed, Preconditions, REFERENCE, Selection, Subresource, WatchEvent, WriteOptions, Written,
};
use crate::engine::port::WorldError;
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::{CORE_EVENT, EVENT, Resource};

/// Field names that differ: stored, and in the core group.
const RENAMED: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// Fields that both views select by, besides metadata.
const SELECTABLE: [&str; 10] = [
    ".reason",
    ".type",
    ".reportingController",
    ".regarding.kind",
    ".regarding.namespace",
    ".regarding.name",
    ".regarding.uid",
    ".regarding.apiVersion",
    ".regarding.resourceVersion",
    ".regarding.fieldPath",
];

/// How Events are served and stored.
#[must_use]
pub fn definition() -> Definition {
    defined(&EVENT, [".regarding", ".note", ".deprecatedCount"], &SELECTABLE.map(str::to_owned))
}

fn core_definition() -> Definition {
    let selectable = SELECTABLE.map(|path| format!(".{}", renamed(path.trim_start_matches('.'), to_core)));
    defined(&CORE_EVENT, [".involvedObject", ".message", ".count"], &selectable)
}

fn defined(resource: &'static Resource, [about, note, count]: [&str; 3], selectable: &[String]) -> Definition {
    let column = |name: &str, column_type: &str, path: &str, priority| Column {
        name: name.to_owned(),
        column_type: column_type.to_owned(),
        json_path: path.to_owned(),
        priority,
        description: String::new(),
    };
    Definition {
        resource,
        schema: None,
        has_status: false,
        columns: vec![
            column("Last Seen", "date", ".eventTime", 0),
            column("Type", "string", ".type", 0),
            column("Reason", "string", ".reason", 0),
            column("Object", REFERENCE, about, 0),
            column("Message", "string", note, 0),
            column("Count", "integer", count, 1),
            column("Name", "string", ".metadata.name", 1),
        ],
        selectable: selectable.to_vec(),
        short_names: vec!["ev".to_owned()],
        categories: Vec::new(),
    }
}

fn to_core(field: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(stored, _)| *stored == field).map(|(_, core)| *core)
}

fn to_stored(field: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(_, core)| *core == field).map(|(stored, _)| *stored)
}

/// A dotted path with its first field renamed.
fn renamed(path: &str, name: fn(&str) -> Option<&'static str>) -> String {
    let (field, rest) = path.find(['.', '=', '!']).map_or((path, ""), |at| path.split_at(at));
    format!("{}{rest}", name(field).unwrap_or(field))
}

fn rename_fields(body: &mut Value, name: fn(&str) -> Option<&'static str>) {
    if let Some(fields) = body.as_object_mut() {
        *fields = std::mem::take(fields).into_iter().map(|(field, value)| (name(&field).map_or(field, str::to_owned), value)).collect();
    }
}

fn as_core(stored: &Object) -> Arc<Object> {
    let mut body = stored.body.clone();
    rename_fields(&mut body, to_core);
    body["apiVersion"] = CORE_EVENT.api_version().into();
    Arc::new(Object { resource: &CORE_EVENT, body })
}

fn as_stored(core: Object) -> Object {
    let mut body = core.body;
    rename_fields(&mut body, to_stored);
    body["apiVersion"] = EVENT.api_version().into();
    Object { resource: &EVENT, body }
}

fn stored_key(key: &ObjectKey) -> ObjectKey {
    ObjectKey { resource: &EVENT, ..key.clone() }
}

/// A selection of the core group as one of what is stored. A comma after a backslash belongs to a value.
fn stored_selection(selection: &Selection) -> Selection {
    let mut fields = String::new();
    for term in selection.fields.split_inclusive(',') {
        let inside_value = fields.ends_with("\\,");
        fields.push_str(&if inside_value { term.to_owned() } else { renamed(term, to_stored) });
    }
    Selection { resource: &EVENT, fields, ..selection.clone() }
}

/// A refusal in the words of the view that was asked.
fn in_core(error: WorldError) -> WorldError {
    let core = |key: ObjectKey| if key.resource == &EVENT { ObjectKey { resource: &CORE_EVENT, ..key } } else { key };
    match error {
        WorldError::NotFound(key) => WorldError::NotFound(core(key)),
        WorldError::AlreadyExists(key) => WorldError::AlreadyExists(core(key)),
        WorldError::Conflict { key, message } => WorldError::Conflict { key: core(key), message },
        WorldError::Invalid { key, causes } => WorldError::Invalid { key: core(key), causes },
        WorldError::Forbidden { key, message } => WorldError::Forbidden { key: core(key), message },
        WorldError::TooLarge { key, bytes, limit } => WorldError::TooLarge { key: core(key), bytes, limit },
        other @ (WorldError::BadRequest(_)
        | WorldError::NotServed(_)
        | WorldError::Gone(_)
        | WorldError::Unavailable { .. }
        | WorldError::Unknown(_)
        | WorldError::WentBack { .. }) => other,
    }
}

fn written_in_core(written: Written) -> Written {
    Written { object: as_core(&written.object), warnings: written.warnings }
}

/// A server whose Events are shown in the core group too.
pub struct BothEvents {
    server: Arc<dyn ApiServer>,
    definitions: Vec<Definition>,
}

impl BothEvents {
    /// The same server, with both views.
    #[must_use]
    pub fn of(server: Arc<dyn ApiServer>) -> Self {
        let core = server.definitions().iter().any(|definition| definition.resource == &EVENT).then(core_definition);
        // The core group comes first: a plural that two groups have means it.
        let definitions = core.into_iter().chain(server.definitions().iter().cloned()).collect();
        Self { server, definitions }
    }
}

#[async_trait]
impl ApiServer for BothEvents {
    fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    async fn get(&self, who: &Identity, key: &ObjectKey) -> Result<Arc<Object>, WorldError> {
        if key.resource != &CORE_EVENT {
            return self.server.get(who, key).await;
        }
        self.server.get(who, &stored_key(key)).await.map(|object| as_core(&object)).map_err(in_core)
    }

    async fn list(&self, who: &Identity, selection: &Selection) -> Result<Listed, WorldError> {
        if selection.resource != &CORE_EVENT {
            return self.server.list(who, selection).await;
        }
        let Listed { objects, resource_version } = self.server.list(who, &stored_selection(selection)).await.map_err(in_core)?;
        Ok(Listed { objects: objects.iter().map(|object| as_core(object)).collect(), resource_version })
    }

    async fn create(&self, who: &Identity, object: Object, options: WriteOptions) -> Result<Written, WorldError> {
        if object.resource != &CORE_EVENT {
            return self.server.create(who, object, options).await;
        }
        self.server.create(who, as_stored(object), options).await.map(written_in_core).map_err(in_core)
    }

    async fn update(&self, who: &Identity, object: Object, subresource: Subresource, options: WriteOptions) -> Result<Written, WorldError> {
        if object.resource != &CORE_EVENT {
            return self.server.update(who, object, subresource, options).await;
        }
        self.server.update(who, as_stored(object), subresource, options).await.map(written_in_core).map_err(in_core)
    }

    async fn merge_patch(
        &self,
        who: &Identity,
        key: &ObjectKey,
        patch: &Value,
        subresource: Subresource,
        options: WriteOptions,
    ) -> Result<Written, WorldError> {
        if key.resource != &CORE_EVENT {
            return self.server.merge_patch(who, key, patch, subresource, options).await;
        }
        let mut patch = patch.clone();
        rename_fields(&mut patch, to_stored);
        if patch.get("apiVersion").is_some_and(|stated| stated == CORE_EVENT.version) {
            patch["apiVersion"] = EVENT.api_version().into();
        }
        let patched = self.server.merge_patch(who, &stored_key(key), &patch, subresource, options).await;
        patched.map(written_in_core).map_err(in_core)
    }

    async fn delete(&self, who: &Identity, key: &ObjectKey, preconditions: &Preconditions) -> Result<Arc<Object>, WorldError> {
        if key.resource != &CORE_EVENT {
            return self.server.delete(who, key, preconditions).await;
        }
        self.server.delete(who, &stored_key(key), preconditions).await.map(|object| as_core(&object)).map_err(in_core)
    }

    async fn watch(&self, who: &Identity, selection: &Selection, from: u64) -> Result<BoxStream<'static, WatchEvent>, WorldError> {
        if selection.resource != &CORE_EVENT {
            return self.server.watch(who, selection, from).await;
        }
        let changes = self.server.watch(who, &stored_selection(selection), from).await.map_err(in_core)?;
        let told = |event| match event {
            WatchEvent::Added(object) => WatchEvent::Added(as_core(&object)),
            WatchEvent::Modified(object) => WatchEvent::Modified(as_core(&object)),
            WatchEvent::Deleted(object) => WatchEvent::Deleted(as_core(&object)),
        };
        Ok(changes.map(told).boxed())
    }

    fn resource_version(&self) -> u64 {
        self.server.resource_version()
    }
}
