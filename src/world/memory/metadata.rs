//! Rules about `metadata`, in the API server's words. Each is a small check; a write runs them in order.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::engine::port::{Cause, WorldError};
use crate::model::object::Object;
use crate::model::resource::{NAMESPACE, ROLE_BINDING, Resource};

const MAX_ANNOTATION_BYTES: usize = 256 * 1024;
const FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// What the server alone sets; a new object's own values never count.
const SET_BY_SERVER: [&str; 3] = ["generation", "deletionTimestamp", "deletionGracePeriodSeconds"];
/// What an update may not change.
const IMMUTABLE: [&str; 3] = ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"];
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and \
    end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
    alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// A cause as the API server words an invalid value.
pub(super) fn invalid(field: &str, value: &str, detail: &str) -> Cause {
    Cause { field: field.to_owned(), reason: "FieldValueInvalid", message: format!("Invalid value: {value:?}: {detail}") }
}

pub(super) fn forbidden(field: &str, detail: &str) -> Cause {
    Cause { field: field.to_owned(), reason: "FieldValueForbidden", message: format!("Forbidden: {detail}") }
}

/// Refuses a document that cannot be decoded: another type, or metadata of the wrong shape.
pub(super) fn check_shape(object: &Object) -> Result<(), WorldError> {
    let text = |field: &str| object.body.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (object.resource.api_version(), object.resource.kind);
    if text("apiVersion") != version {
        let stated = text("apiVersion");
        let message = format!("the API version in the data ({stated}) does not match the expected API version ({version})");
        return Err(WorldError::BadRequest(message));
    }
    if text("kind") != kind && !text("kind").is_empty() && !object.resource.group.is_empty() {
        let cause = invalid("kind", text("kind"), &format!("must be {kind}"));
        return Err(WorldError::Invalid { key: object.key(), causes: vec![cause] });
    }
    if text("kind") != kind {
        return Err(WorldError::BadRequest(format!("the kind in the data ({}) does not match the expected kind ({kind})", text("kind"))));
    }
    let Some(metadata) = object.body.get("metadata").and_then(Value::as_object) else {
        return Err(WorldError::BadRequest("metadata must be an object".into()));
    };
    match metadata.iter().find(|(field, value)| !fits(field, value)) {
        Some((field, _)) => Err(WorldError::BadRequest(format!("metadata.{field} has the wrong type"))),
        None => Ok(()),
    }
}

fn fits(field: &str, value: &Value) -> bool {
    match field {
        _ if value.is_null() => true,
        "labels" | "annotations" => value.as_object().is_some_and(|map| map.values().all(|text| text.is_string() || text.is_null())),
        "finalizers" => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        "ownerReferences" => value.as_array().is_some_and(|owners| owners.iter().all(Value::is_object)),
        "creationTimestamp" | "deletionTimestamp" => value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok()),
        "generation" | "deletionGracePeriodSeconds" => value.is_i64(),
        "managedFields" => value.is_array(),
        field if FIELDS.contains(&field) => value.is_string(),
        _ => true,
    }
}

/// Drops unknown fields, nulls, empty collections and what is never kept; returns the paths of the unknown.
pub(super) fn normalise(object: &mut Object) -> Vec<String> {
    let Some(metadata) = object.body.get_mut("metadata").and_then(Value::as_object_mut) else { return Vec::new() };
    for field in ["labels", "annotations"] {
        let texts = metadata.get_mut(field).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
        texts.filter(|text| text.is_null()).for_each(|text| *text = "".into());
    }
    let unknown: Vec<String> = metadata.keys().filter(|field| !FIELDS.contains(&field.as_str())).cloned().collect();
    metadata.retain(|field, value| {
        let empty = match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        FIELDS.contains(&field.as_str()) && !empty && field != "managedFields" && field != "selfLink"
    });
    unknown.iter().map(|field| format!("metadata.{field}")).collect()
}

/// Removes what only the server may set.
pub(super) fn strip_set_by_server(metadata: &mut Map<String, Value>) {
    for field in SET_BY_SERVER {
        metadata.remove(field);
    }
}

/// Carries over what an update cannot change. What a client leaves out of the rest is as it was.
pub(super) fn inherit(old: &Object, new: &mut Object) {
    let (Some(before), Some(after)) =
        (old.body.get("metadata").and_then(Value::as_object), new.body.get_mut("metadata").and_then(Value::as_object_mut))
    else {
        return;
    };
    for field in ["generation", "creationTimestamp", "resourceVersion", "generateName"] {
        after.remove(field);
        if let Some(value) = before.get(field) {
            after.insert(field.to_owned(), value.clone());
        }
    }
    for field in IMMUTABLE {
        if let (false, Some(value)) = (after.contains_key(field), before.get(field)) {
            after.insert(field.to_owned(), value.clone());
        }
    }
}

/// Everything wrong with the metadata of a new or changed object.
pub(super) fn causes(object: &Object) -> Vec<Cause> {
    let map = |field: &str| object.body["metadata"].get(field).and_then(Value::as_object).into_iter().flatten();
    let mut causes = name_causes(object.resource, object.name());
    for (key, value) in map("labels") {
        let value = value.as_str().unwrap_or_default();
        causes.extend(qualified_name_problems(key).iter().map(|problem| invalid("metadata.labels", key, problem)));
        if value.len() > 63 {
            causes.push(invalid("metadata.labels", value, "must be no more than 63 bytes"));
        } else if !is_label_value(value) {
            causes.push(invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
    for (key, _) in map("annotations") {
        causes.extend(qualified_name_problems(&key.to_lowercase()).iter().map(|problem| invalid("metadata.annotations", key, problem)));
    }
    let bytes: usize = map("annotations").map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > MAX_ANNOTATION_BYTES {
        let message = format!("Too long: may not be more than {MAX_ANNOTATION_BYTES} bytes");
        causes.push(Cause { field: "metadata.annotations".into(), reason: "FieldValueTooLong", message });
    }
    causes.extend(owner_causes(object));
    for finalizer in object.finalizers() {
        causes.extend(qualified_name_problems(finalizer).iter().map(|problem| invalid("metadata.finalizers", finalizer, problem)));
    }
    causes
}

fn name_causes(resource: &Resource, name: &str) -> Vec<Cause> {
    let field = "metadata.name";
    if name.is_empty() {
        let message = "Required value: name or generateName is required".into();
        return vec![Cause { field: field.into(), reason: "FieldValueRequired", message }];
    }
    let (limit, fits, words) = if *resource == NAMESPACE {
        (63, is_dns_label(name), LABEL)
    } else if *resource == ROLE_BINDING {
        let fits = name != "." && name != ".." && !name.contains(['/', '%']);
        (usize::MAX, fits, "may not be '.' or '..' and may not contain '/' or '%'")
    } else {
        (253, name.split('.').all(is_dns_label), SUBDOMAIN)
    };
    let mut causes = Vec::new();
    if name.len() > limit {
        causes.push(invalid(field, name, &format!("must be no more than {limit} characters")));
    }
    if *resource == NAMESPACE && name.contains('.') && name.split('.').all(is_dns_label) {
        causes.push(invalid(field, name, "must not contain dots"));
    } else if !fits {
        causes.push(invalid(field, name, words));
    }
    causes
}

fn owner_causes(object: &Object) -> Vec<Cause> {
    let owners = object.body["metadata"].get("ownerReferences").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut causes = Vec::new();
    for owner in owners {
        let missing = ["apiVersion", "kind", "name", "uid"].into_iter().filter(|field| owner[*field].as_str().unwrap_or("").is_empty());
        causes.extend(missing.map(|field| {
            let detail = if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
            invalid(&format!("metadata.ownerReferences.{field}"), "", detail)
        }));
    }
    if owners.iter().filter(|owner| owner["controller"] == Value::Bool(true)).count() > 1 {
        let detail = "Only one reference can have Controller set to true";
        causes.push(invalid("metadata.ownerReferences", object.name(), detail));
    }
    causes
}

/// What an update may not change.
pub(super) fn update_causes(old: &Object, new: &Object) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in IMMUTABLE {
        if old.body["metadata"][field] != new.body["metadata"][field] {
            let message = format!("Invalid value: {}: field is immutable", new.body["metadata"][field]);
            causes.push(Cause { field: format!("metadata.{field}"), reason: "FieldValueInvalid", message });
        }
    }
    if old.is_going() {
        let before = old.finalizers();
        let added: Vec<&str> = new.finalizers().into_iter().filter(|finalizer| !before.contains(finalizer)).collect();
        if !added.is_empty() {
            let list = added.iter().map(|finalizer| format!("{finalizer:?}")).collect::<Vec<_>>().join(", ");
            let detail = format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}");
            causes.push(forbidden("metadata.finalizers", &detail));
        }
    }
    causes
}

// The API server does not bound the labels of a subdomain, and its length is judged apart.
fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_name_part(text: &str) -> bool {
    text.len() <= 63 && is_name_part_but_for_length(text)
}

fn is_name_part_but_for_length(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes().all(inner) && ends(text.bytes().next()) && ends(text.bytes().last())
}

/// A key of labels and annotations: `name` or `subdomain/name`.
pub(super) fn is_qualified_name(text: &str) -> bool {
    qualified_name_problems(text).is_empty()
}

/// What is wrong with a key of labels and annotations.
fn qualified_name_problems(text: &str) -> Vec<String> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    if name.contains('/') {
        return vec![format!(
            "a valid label key {QUALIFIED_NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )];
    }
    let mut problems = Vec::new();
    match prefix {
        Some("") => problems.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            if prefix.len() > 253 {
                problems.push("prefix part must be no more than 253 bytes".to_owned());
            }
            if !prefix.split('.').all(is_dns_label) {
                problems.push(format!("prefix part {SUBDOMAIN}"));
            }
        }
        None => {}
    }
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        problems.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_name_part_but_for_length(name) {
        problems.push(format!("name part {QUALIFIED_NAME}"));
    }
    problems
}

/// A value of a label: empty, or a name part.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name_part(text)
}
