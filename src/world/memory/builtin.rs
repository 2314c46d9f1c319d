//! What the API server does to built-in resources beyond storing them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::metadata::{forbidden, invalid};
use crate::engine::port::{Cause, WorldError};
use crate::model::object::Object;
use crate::model::resource::{NAMESPACE, SECRET};

const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Namespaces that cannot be deleted.
pub(super) const KEPT_NAMESPACES: [&str; 3] = ["default", "kube-public", "kube-system"];

/// Fills in what the server sets on a built-in object, new or changed.
pub(super) fn prepare(object: &mut Object, old: Option<&Object>) -> Result<(), WorldError> {
    if *object.resource == SECRET {
        fold_string_data(object)?;
    }
    if *object.resource == NAMESPACE {
        let mut labels = object.body["metadata"].get("labels").cloned().unwrap_or_else(|| json!({}));
        labels[NAME_LABEL] = object.name().into();
        object.set_metadata("labels", labels);
        object.body["spec"] = old.map_or_else(|| json!({"finalizers": ["kubernetes"]}), |old| old.body["spec"].clone());
        if old.is_none() {
            object.body["status"] = json!({"phase": "Active"});
        }
    }
    Ok(())
}

/// `stringData` is write-only: it ends up in `data`, encoded.
fn fold_string_data(secret: &mut Object) -> Result<(), WorldError> {
    let Some(body) = secret.body.as_object_mut() else { return Ok(()) };
    let plain = body.remove("stringData").unwrap_or_default();
    let refuse = |field: &str, what: &str| WorldError::BadRequest(format!("Secret in version \"v1\" cannot be handled: {field} {what}"));
    let mut data = match body.remove("data") {
        None | Some(Value::Null) => serde_json::Map::new(),
        Some(Value::Object(data)) => data,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => return Err(refuse("data", "must be an object")),
    };
    for (key, value) in &data {
        if value.as_str().is_none_or(|text| STANDARD.decode(text).is_err()) {
            return Err(refuse(&format!("data.{key}"), "is not base64"));
        }
    }
    match plain {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let text = value.as_str().ok_or_else(|| refuse(&format!("stringData.{key}"), "must be a string"))?;
                data.insert(key, STANDARD.encode(text).into());
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => return Err(refuse("stringData", "must be an object")),
    }
    if !data.is_empty() {
        body.insert("data".into(), Value::Object(data));
    }
    body.entry("type").or_insert_with(|| "Opaque".into());
    Ok(())
}

/// What is wrong with a built-in object beyond its metadata.
pub(super) fn causes(object: &Object, old: Option<&Object>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if *object.resource == SECRET {
        let keys = object.body.get("data").and_then(Value::as_object).into_iter().flat_map(|data| data.keys());
        let good = |key: &str| {
            (1..=253).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        let detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or \
            'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
        causes.extend(keys.filter(|key| !good(key)).map(|key| invalid(&format!("data[{key}]"), key, detail)));
        let frozen = |old: &&Object| old.body.get("immutable") == Some(&Value::Bool(true));
        if let Some(old) = old.filter(frozen) {
            let changed = ["data", "immutable"].into_iter().filter(|field| old.body.get(*field) != object.body.get(*field));
            causes.extend(changed.map(|field| forbidden(field, "field is immutable when `immutable` is set")));
        }
        if old.is_some_and(|old| old.body.get("type") != object.body.get("type")) {
            let stated = object.body["type"].as_str().unwrap_or_default();
            causes.push(invalid("type", stated, "field is immutable"));
        }
    }
    causes
}
