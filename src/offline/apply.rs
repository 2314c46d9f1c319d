//! Applies a folder to a world as a GitOps agent does: create, update, and prune what it applied before and no longer finds.
//!
//! Guarantees: spec is exactly what the file says; labels and annotations of others are left alone; nothing is pruned
//! while a file cannot be read; what is pruned is named by UID. Namespaces and decisions are never pruned: the one holds
//! records, the other is one. What cannot be applied yet (its namespace does not exist) is tried again by the next sync.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::folder::{Document, Folder};
use super::problem::Problem;
use super::validate::refused;
use crate::engine::port::WorldError;
use crate::model::finding::Severity;
use crate::model::object::{Object, ObjectKey};
use crate::world::server::{ApiServer, FieldValidation, Identity, Preconditions, Subresource, WriteOptions};
use crate::world::store::{Store, StoreError};

/// Notes of the agent in the store.
const APPLIED: &str = "applied/";
/// Kinds in the order that they are applied in; all others after them, in order of files.
const FIRST: [&str; 6] = ["Namespace", "Secret", "Tenant", "Provider", "ProvisioningSchema", "AssistantDeployment"];
/// Kinds that are never pruned.
const KEPT: [&str; 2] = ["Namespace", "OperatorDecision"];
const STRICT: WriteOptions = WriteOptions { field_validation: FieldValidation::Strict, dry_run: false };

/// The agent.
pub struct Agent {
    /// Where objects go.
    pub server: Arc<dyn ApiServer>,
    /// Where it is noted what was applied.
    pub store: Store,
}

/// What a sync came to.
#[derive(Debug, Default)]
pub struct Synced {
    /// Objects created or changed.
    pub changed: Vec<ObjectKey>,
    /// Objects deleted.
    pub pruned: Vec<ObjectKey>,
    /// What was refused, and will be until the file changes.
    pub refused: Vec<Problem>,
    /// What cannot be applied yet.
    pub waiting: Vec<Problem>,
}

/// What was applied of an object, so that it can be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Applied {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    labels: Vec<String>,
    annotations: Vec<String>,
}

impl Agent {
    /// Makes the world hold what the folder holds.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be noted what was applied; everything else is part of the result.
    pub async fn sync(&self, folder: &Folder) -> Result<Synced, StoreError> {
        let mut synced = Synced { refused: folder.problems.clone(), ..Synced::default() };
        let mut applied = self.applied()?;
        let mut documents: Vec<&Document> = folder.documents.iter().collect();
        documents.sort_by_key(|document| FIRST.iter().position(|kind| *kind == document.object.resource.kind).unwrap_or(FIRST.len()));
        for document in documents {
            let note = note_of(&document.object);
            let before = applied.remove(&note);
            match self.apply(&document.object, before.as_ref()).await {
                Ok((object, changed)) => {
                    let now = Applied::of(&document.object, object.uid());
                    if before.as_ref() != Some(&now) {
                        self.put(&note, Some(&now))?;
                    }
                    synced.changed.extend(changed.then(|| object.key()));
                }
                Err(WorldError::NotFound(missing)) => synced.waiting.push(not_yet(document, &format!("{missing} does not exist yet"))),
                Err(WorldError::Conflict { message, .. }) => synced.waiting.push(not_yet(document, &message)),
                // Says nothing about the document: the same write may pass the next time.
                Err(
                    error @ (WorldError::AlreadyExists(_)
                    | WorldError::NotServed(_)
                    | WorldError::Gone(_)
                    | WorldError::Unavailable { .. }
                    | WorldError::Unknown(_)
                    | WorldError::WentBack { .. }),
                ) => {
                    synced.waiting.push(not_yet(document, &error.to_string()));
                }
                Err(
                    error @ (WorldError::Invalid { .. }
                    | WorldError::Forbidden { .. }
                    | WorldError::BadRequest(_)
                    | WorldError::TooLarge { .. }),
                ) => synced.refused.extend(refused(document, error)),
            }
        }
        if folder.problems.is_empty() {
            self.prune(applied, &mut synced).await?;
        }
        Ok(synced)
    }

    async fn apply(&self, wanted: &Object, before: Option<&Applied>) -> Result<(Arc<Object>, bool), WorldError> {
        let who = Identity::loader();
        match self.server.get(&who, &wanted.key()).await {
            Err(WorldError::NotFound(_)) => Ok((self.server.create(&who, wanted.clone(), STRICT).await?.object, true)),
            Err(error) => Err(error),
            Ok(live) => {
                let object = merged(&live, wanted, before);
                let written = self.server.update(&who, object, Subresource::Main, STRICT).await?.object;
                let changed = written.resource_version() != live.resource_version();
                Ok((written, changed))
            }
        }
    }

    async fn prune(&self, gone: BTreeMap<String, Applied>, synced: &mut Synced) -> Result<(), StoreError> {
        for (note, applied) in gone {
            let definition = self.server.definitions().iter().find(|definition| definition.resource.kind == applied.kind);
            if let Some(definition) = definition.filter(|_| !KEPT.contains(&applied.kind.as_str())) {
                let key = ObjectKey::new(definition.resource, &applied.namespace, &applied.name);
                let only = Preconditions { uid: Some(applied.uid.clone()), resource_version: None };
                match self.server.delete(&Identity::loader(), &key, &only).await {
                    Ok(_) => synced.pruned.push(key),
                    // Gone already, or replaced by somebody else's.
                    Err(WorldError::NotFound(_) | WorldError::Conflict { .. }) => {}
                    Err(error) => {
                        synced.waiting.push(Problem::unreadable("(pruned)", error.to_string()));
                        continue;
                    }
                }
            }
            self.put(&note, None)?;
        }
        Ok(())
    }

    fn applied(&self) -> Result<BTreeMap<String, Applied>, StoreError> {
        let notes = self.store.notes(APPLIED)?;
        Ok(notes.into_iter().filter_map(|(name, value)| Some((name, serde_json::from_slice(&value).ok()?))).collect())
    }

    fn put(&self, note: &str, applied: Option<&Applied>) -> Result<(), StoreError> {
        let value = applied.and_then(|applied| serde_json::to_vec(applied).ok());
        self.store.put_notes([(note, value.as_deref())])
    }
}

impl Applied {
    fn of(object: &Object, uid: &str) -> Self {
        let names = |field: &str| {
            let map = object.body.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
            map.map(|map| map.keys().cloned().collect()).unwrap_or_default()
        };
        Self {
            kind: object.resource.kind.to_owned(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            uid: uid.to_owned(),
            labels: names("labels"),
            annotations: names("annotations"),
        }
    }
}

fn note_of(object: &Object) -> String {
    format!("{APPLIED}{}/{}/{}", object.resource, object.namespace(), object.name())
}

/// What may pass the next time.
fn not_yet(document: &Document, message: &str) -> Problem {
    let mut problem = Problem::error(&document.file, document.position_of(""), "NotApplied", message.to_owned());
    problem.object = Some(document.object.key().to_string());
    problem.severity = Severity::Waiting;
    problem
}

/// The live object with everything that the file states, and without labels and annotations that it stated before.
fn merged(live: &Object, wanted: &Object, before: Option<&Applied>) -> Object {
    let mut object = live.clone();
    let none = Vec::new();
    let maps = [
        ("labels", before.map_or(&none, |applied| &applied.labels)),
        ("annotations", before.map_or(&none, |applied| &applied.annotations)),
    ];
    for (field, stated_before) in maps {
        let mut map: Map<String, Value> =
            live.body.pointer(&format!("/metadata/{field}")).and_then(Value::as_object).cloned().unwrap_or_default();
        map.retain(|name, _| !stated_before.contains(name));
        map.extend(wanted.body.pointer(&format!("/metadata/{field}")).and_then(Value::as_object).cloned().unwrap_or_default());
        if !map.is_empty() || live.body.pointer(&format!("/metadata/{field}")).is_some() {
            object.set_metadata(field, Value::Object(map));
        }
    }
    let kept = ["apiVersion", "kind", "metadata", "status"];
    if let (Some(body), Some(stated)) = (object.body.as_object_mut(), wanted.body.as_object()) {
        body.retain(|field, _| kept.contains(&field.as_str()));
        body.extend(
            stated.iter().filter(|(field, _)| !kept.contains(&field.as_str())).map(|(field, value)| (field.clone(), value.clone())),
        );
    }
    object
}
