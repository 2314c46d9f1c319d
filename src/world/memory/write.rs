//! One write as the API server performs it: decode, prepare, validate, guard, store.

use std::sync::Arc;

use serde_json::Value;

use super::builtin;
use super::catalogue::Served;
use super::commit::{Draft, Shared};
use super::metadata;
use crate::engine::port::{Cause, WorldError};
use crate::model::limits::MAX_OBJECT_BYTES;
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::{NAMESPACE, Resource};
use crate::model::time::Time;
use crate::world::server::{AdmissionRequest, FieldValidation, Identity, Operation, Preconditions, Subresource, WriteOptions, Written};

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// What is asked of the committer.
pub(super) enum Request {
    Create { object: Object },
    Update { object: Object, subresource: Subresource },
    Patch { key: ObjectKey, patch: Value, subresource: Subresource },
    Delete { key: ObjectKey, preconditions: Preconditions },
}

impl Request {
    /// The RBAC verb, the object and the subresource.
    pub(super) fn asks(&self) -> (&'static str, ObjectKey, Subresource) {
        match self {
            Self::Create { object } => ("create", object.key(), Subresource::Main),
            Self::Update { object, subresource } => ("update", object.key(), *subresource),
            Self::Patch { key, subresource, .. } => ("patch", key.clone(), *subresource),
            Self::Delete { key, .. } => ("delete", key.clone(), Subresource::Main),
        }
    }
}

/// One write on a draft. Fails before it has changed the draft, or not at all.
pub(super) struct Writer<'a> {
    shared: &'a Shared,
    draft: &'a mut Draft,
    who: &'a Identity,
    options: WriteOptions,
    warnings: Vec<String>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(shared: &'a Shared, draft: &'a mut Draft, who: &'a Identity, options: WriteOptions) -> Self {
        Self { shared, draft, who, options, warnings: Vec::new() }
    }

    pub(super) fn apply(self, request: Request) -> Result<Written, WorldError> {
        match request {
            Request::Create { object } => self.create(object),
            Request::Update { object, subresource } => self.update(object, subresource),
            Request::Patch { key, patch, subresource } => self.patch(&key, &patch, subresource),
            Request::Delete { key, preconditions } => self.delete(&key, &preconditions),
        }
    }

    fn create(mut self, mut object: Object) -> Result<Written, WorldError> {
        let key = object.key();
        let served = self.shared.served(&key)?;
        self.decode(&mut object, served)?;
        if let Some(message) = refused_on_create(&object) {
            return Err(WorldError::BadRequest(message.into()));
        }
        self.check_namespace(&key)?;
        if let Some(body) = object.body.as_object_mut().filter(|_| served.definition.has_status) {
            body.remove("status");
        }
        if let Some(fields) = object.body["metadata"].as_object_mut() {
            metadata::strip_set_by_server(fields);
            if !key.resource.namespaced {
                fields.remove("namespace");
            }
        }
        object.set_metadata("uid", self.shared.ids.uuid().to_string().into());
        object.set_metadata("creationTimestamp", self.now().into());
        if served.is_custom() {
            object.set_metadata("generation", 1.into());
        }
        builtin::prepare(&mut object, None)?;
        self.warn_of_finalizers(&object);
        self.check(&key, served, &mut object, Subresource::Main, None)?;
        self.guard(&key, Operation::Create, Subresource::Main, Some(&object), None)?;
        if self.draft.state.get(&key).is_some() {
            return Err(WorldError::AlreadyExists(key));
        }
        self.store(object)
    }

    fn update(mut self, mut object: Object, subresource: Subresource) -> Result<Written, WorldError> {
        let key = object.key();
        let served = self.shared.served(&key)?;
        self.decode(&mut object, served)?;
        let old = self.existing(&key)?;
        if !object.uid().is_empty() && object.uid() != old.uid() {
            return Err(conflict(&key, &uid_differs(object.uid(), old.uid())));
        }
        if matches!(object.resource_version(), "" | "0") && served.is_custom() {
            let message = "Invalid value: 0: must be specified for an update".into();
            let cause = Cause { field: "metadata.resourceVersion".into(), reason: "FieldValueInvalid", message };
            return Err(WorldError::Invalid { key, causes: vec![cause] });
        }
        self.replace(&key, served, &old, object, subresource)
    }

    fn patch(mut self, key: &ObjectKey, patch: &Value, subresource: Subresource) -> Result<Written, WorldError> {
        let served = self.shared.served(key)?;
        let old = self.existing(key)?;
        if !patch.is_object() {
            return Err(WorldError::BadRequest("a merge patch must be an object".into()));
        }
        let mut object = Object::clone(&old);
        merge(&mut object.body, patch);
        self.decode(&mut object, served).map_err(|error| unfit_patch(key, error))?;
        if object.name() != key.name {
            let (stated, asked) = (object.name(), &key.name);
            return Err(WorldError::BadRequest(format!("the name of the object ({stated}) does not match the name on the URL ({asked})")));
        }
        if object.namespace() != key.namespace {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(WorldError::BadRequest(message.into()));
        }
        self.replace(key, served, &old, object, subresource)
    }

    /// The common end of update and patch.
    fn replace(
        mut self,
        key: &ObjectKey,
        served: Served<'_>,
        old: &Arc<Object>,
        submitted: Object,
        subresource: Subresource,
    ) -> Result<Written, WorldError> {
        if !submitted.resource_version().is_empty() && submitted.resource_version() != old.resource_version() {
            return Err(conflict(key, MODIFIED));
        }
        let mut new = match subresource {
            Subresource::Main => main_of(served, old, submitted),
            Subresource::Status if served.definition.has_status => status_of(old, submitted),
            Subresource::Status => return Err(WorldError::NotFound(key.clone())),
        };
        builtin::prepare(&mut new, Some(old))?;
        if subresource == Subresource::Main {
            self.warn_of_finalizers(&new);
        }
        self.check(key, served, &mut new, subresource, Some(old))?;
        self.guard(key, Operation::Update, subresource, Some(&new), Some(old))?;
        if new.body == old.body {
            return Ok(Written { object: Arc::clone(old), warnings: self.warnings });
        }
        if new.is_going() && new.finalizers().is_empty() && *new.resource != NAMESPACE {
            return self.remove(key, Arc::new(new));
        }
        self.store(new)
    }

    fn delete(self, key: &ObjectKey, preconditions: &Preconditions) -> Result<Written, WorldError> {
        let old = self.existing(key)?;
        if let Some(uid) = preconditions.uid.as_deref().filter(|uid| *uid != old.uid()) {
            return Err(conflict(key, &uid_differs(uid, old.uid())));
        }
        if let Some(version) = preconditions.resource_version.as_deref().filter(|version| *version != old.resource_version()) {
            let stored = old.resource_version();
            let message =
                format!("Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {stored}");
            return Err(conflict(key, &message));
        }
        let is_namespace = *key.resource == NAMESPACE;
        if is_namespace && builtin::KEPT_NAMESPACES.contains(&key.name.as_str()) {
            return Err(WorldError::Forbidden { key: key.clone(), message: "this namespace may not be deleted".into() });
        }
        self.guard(key, Operation::Delete, Subresource::Main, None, Some(&old))?;
        if old.is_going() {
            return Ok(Written { object: old, warnings: self.warnings });
        }
        if old.finalizers().is_empty() && !is_namespace {
            return self.remove(key, old);
        }
        let mut going = Object::clone(&old);
        going.set_metadata("deletionTimestamp", self.now().into());
        if is_namespace {
            going.body["status"]["phase"] = "Terminating".into();
        } else {
            going.set_metadata("deletionGracePeriodSeconds", 0.into());
        }
        if old.generation() > 0 {
            going.set_metadata("generation", (old.generation() + 1).into());
        }
        self.store(going)
    }

    fn existing(&self, key: &ObjectKey) -> Result<Arc<Object>, WorldError> {
        self.draft.state.get(key).cloned().ok_or_else(|| WorldError::NotFound(key.clone()))
    }

    fn now(&self) -> String {
        Time::new(self.shared.clock.now()).to_string()
    }

    /// Refuses what is no object of the resource, and treats unknown fields as asked.
    fn decode(&mut self, object: &mut Object, served: Served<'_>) -> Result<(), WorldError> {
        metadata::check_shape(object)?;
        let mut unknown = metadata::normalise(object);
        if let (Some(schema), Some(body)) = (served.schema, object.body.as_object_mut()) {
            // Type and metadata belong to every object; schemas do not list them.
            let kept: Vec<_> = ["apiVersion", "kind", "metadata"].into_iter().filter_map(|field| body.remove_entry(field)).collect();
            unknown.extend(schema.prune(&mut object.body));
            if let Some(body) = object.body.as_object_mut() {
                body.extend(kept);
            }
        }
        let words = |path: &String| format!("unknown field {path:?}");
        match self.options.field_validation {
            FieldValidation::Strict if !unknown.is_empty() => {
                let list = unknown.iter().map(words).collect::<Vec<_>>().join(", ");
                let Resource { version, kind, .. } = served.definition.resource;
                let message = format!("{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {list}");
                return Err(WorldError::BadRequest(message));
            }
            FieldValidation::Warn => self.warnings.extend(unknown.iter().map(words)),
            FieldValidation::Strict | FieldValidation::Ignore => {}
        }
        Ok(())
    }

    fn warn_of_finalizers(&mut self, object: &Object) {
        let unqualified = object.finalizers().into_iter().filter(|finalizer| !finalizer.contains('/'));
        let words = "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers";
        self.warnings.extend(unqualified.map(|finalizer| format!("metadata.finalizers: {finalizer:?}: {words}")));
    }

    /// New content needs a namespace that stays.
    fn check_namespace(&self, key: &ObjectKey) -> Result<(), WorldError> {
        if !key.resource.namespaced {
            return Ok(());
        }
        if key.namespace.is_empty() {
            return Err(WorldError::BadRequest("an empty namespace may not be set during creation".into()));
        }
        let namespace = self.existing(&ObjectKey::new(&NAMESPACE, "", &key.namespace))?;
        if !namespace.is_going() {
            return Ok(());
        }
        let message = format!("unable to create new content in namespace {} because it is being terminated", key.namespace);
        Err(WorldError::Forbidden { key: key.clone(), message })
    }

    /// Fills defaults and refuses what is invalid.
    fn check(
        &self,
        key: &ObjectKey,
        served: Served<'_>,
        new: &mut Object,
        subresource: Subresource,
        old: Option<&Object>,
    ) -> Result<(), WorldError> {
        if let Some(schema) = served.schema {
            schema.default(&mut new.body);
        }
        let mut causes = metadata::causes(new);
        causes.extend(old.into_iter().flat_map(|old| metadata::update_causes(old, new)));
        causes.extend(builtin::causes(new, old));
        if let Some(schema) = served.schema {
            causes.extend(schema.validate_beside(&causes, &new.body, old.map(|old| &old.body)));
        }
        if subresource == Subresource::Status {
            causes.iter_mut().for_each(from_the_status_on);
        }
        if causes.is_empty() { Ok(()) } else { Err(WorldError::Invalid { key: key.clone(), causes }) }
    }

    fn guard(
        &self,
        key: &ObjectKey,
        operation: Operation,
        subresource: Subresource,
        object: Option<&Object>,
        old: Option<&Object>,
    ) -> Result<(), WorldError> {
        let may = |verb: &str, resource: &Resource, namespace: &str| {
            self.shared.authorizer.may(self.who, verb, resource, Subresource::Main, namespace)
        };
        let namespace = self.draft.state.get(&ObjectKey::new(&NAMESPACE, "", &key.namespace)).map(Arc::as_ref);
        let request = AdmissionRequest { identity: self.who, operation, subresource, key, object, old, namespace, may: &may };
        match self.shared.guards.iter().find_map(|guard| guard.refusal(&request)) {
            Some(message) => Err(WorldError::Forbidden { key: key.clone(), message }),
            None => Ok(()),
        }
    }

    fn store(self, object: Object) -> Result<Written, WorldError> {
        // What is not stored has no version of its own.
        let object = if self.options.dry_run { object } else { super::history::at_version(&object, self.draft.state.version + 1) };
        let json = serde_json::to_vec(&object.body).map_err(|error| WorldError::BadRequest(error.to_string()))?;
        if json.len() > MAX_OBJECT_BYTES {
            return Err(WorldError::TooLarge { key: object.key(), bytes: json.len(), limit: MAX_OBJECT_BYTES });
        }
        let object = Arc::new(object);
        if !self.options.dry_run {
            self.draft.put(&object, json);
        }
        Ok(Written { object, warnings: self.warnings })
    }

    fn remove(self, key: &ObjectKey, last: Arc<Object>) -> Result<Written, WorldError> {
        if !self.options.dry_run {
            self.draft.remove(key);
        }
        Ok(Written { object: last, warnings: self.warnings })
    }
}

/// What a patch makes unreadable is told as something wrong with the patch.
fn unfit_patch(key: &ObjectKey, error: WorldError) -> WorldError {
    let WorldError::BadRequest(message) = error else { return error };
    let cause = Cause { field: "patch".into(), reason: "FieldValueInvalid", message: format!("Invalid value: {message}") };
    WorldError::Invalid { key: key.clone(), causes: vec![cause] }
}

/// Whoever writes a status is told of its fields by their path inside the status.
fn from_the_status_on(cause: &mut Cause) {
    if let Some(inside) = cause.field.strip_prefix("status.") {
        cause.message = cause.message.replacen(&format!("{} in body", cause.field), &format!("{inside} in body"), 1);
    }
}

/// The object as submitted, but for what the main resource does not change.
fn main_of(served: Served<'_>, old: &Object, mut new: Object) -> Object {
    metadata::inherit(old, &mut new);
    if let (true, Some(body)) = (served.definition.has_status, new.body.as_object_mut()) {
        body.remove("status");
        if let Some(status) = old.body.get("status") {
            body.insert("status".into(), status.clone());
        }
    }
    if old.generation() > 0 && desired(&new, served) != desired(old, served) {
        new.set_metadata("generation", (old.generation() + 1).into());
    }
    new
}

/// Everything that a generation counts the changes of.
fn desired<'a>(object: &'a Object, served: Served<'a>) -> Vec<(&'a String, &'a Value)> {
    let observed = move |field: &str| field == "metadata" || (field == "status" && served.definition.has_status);
    object.body.as_object().into_iter().flatten().filter(|(field, _)| !observed(field)).collect()
}

/// The object as it was, but for the status.
fn status_of(old: &Object, mut submitted: Object) -> Object {
    let mut new = old.clone();
    if let Some(body) = new.body.as_object_mut() {
        body.remove("status");
        let status = submitted.body.as_object_mut().and_then(|submitted| submitted.remove("status"));
        body.extend(status.map(|status| ("status".to_owned(), status)));
    }
    new
}

fn refused_on_create(object: &Object) -> Option<&'static str> {
    let metadata = &object.body["metadata"];
    if metadata.get("generateName").is_some() {
        return Some("metadata.generateName is not supported by this server: set metadata.name");
    }
    metadata.get("resourceVersion").map(|_| "resourceVersion should not be set on objects to be created")
}

fn conflict(key: &ObjectKey, message: &str) -> WorldError {
    WorldError::Conflict { key: key.clone(), message: message.to_owned() }
}

fn uid_differs(asked: &str, stored: &str) -> String {
    format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {stored}")
}

/// JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (field, value) in patch {
        if value.is_null() {
            target.remove(field);
        } else {
            merge(target.entry(field.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_patches_follow_the_examples_of_rfc_7386() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} + {patch}");
        }
    }
}
