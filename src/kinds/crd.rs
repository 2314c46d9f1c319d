//! CustomResourceDefinitions: derived from the Rust types, completed here where the derive cannot say it.

use std::sync::LazyLock;

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::assistantdeployment::api::{AssistantDeployment, DEPLOYMENT};
use super::auditrecord::api::{AuditRecord, RECORD};
use super::operatordecision::api::{DECISION, OperatorDecision};
use super::provider::api::{PROVIDER, Provider};
use super::provisioningrequest::api::{ProvisioningRequest, REQUEST};
use super::provisioningschema::api::{ProvisioningSchema, SCHEMA};
use super::tenant::api::{TENANT, Tenant};
use crate::model::resource::Resource;

/// A resource of ours and its CRD.
#[derive(Debug, Clone)]
pub struct Defined {
    /// The resource.
    pub resource: &'static Resource,
    /// The CustomResourceDefinition.
    pub crd: Value,
}

/// Every resource of ours, alphabetical by kind.
#[must_use]
pub fn resources() -> [&'static Resource; 7] {
    [&DEPLOYMENT, &RECORD, &DECISION, &PROVIDER, &REQUEST, &SCHEMA, &TENANT]
}

/// Every CRD, alphabetical by kind. Made once: deriving the schemas takes most of what opening a world does.
#[must_use]
pub fn all() -> &'static [Defined] {
    static ALL: LazyLock<[Defined; 7]> = LazyLock::new(|| {
        [
            define::<AssistantDeployment>(&DEPLOYMENT),
            define::<AuditRecord>(&RECORD),
            define::<OperatorDecision>(&DECISION),
            define::<Provider>(&PROVIDER),
            define::<ProvisioningRequest>(&REQUEST),
            define::<ProvisioningSchema>(&SCHEMA),
            define::<Tenant>(&TENANT),
        ]
    });
    &*ALL
}

/// A CRD as it is written to a file.
///
/// # Errors
/// None in practice: a CRD holds maps, lists, text and numbers.
pub fn yaml(defined: &Defined) -> Result<String, serde_yaml::ser::Error> {
    serde_yaml::to_string(&defined.crd)
}

/// Documents as one YAML stream.
///
/// # Errors
/// None in practice: manifests hold maps, lists, text and numbers.
pub fn stream(documents: &[Value]) -> Result<String, serde_yaml::ser::Error> {
    documents.iter().map(|document| Ok(format!("---\n{}", serde_yaml::to_string(document)?))).collect()
}

fn define<K: CustomResourceExt>(resource: &'static Resource) -> Defined {
    let mut crd = serde_json::to_value(K::crd()).unwrap_or(Value::Null);
    if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        if let Some(status) = schema.pointer_mut("/properties/status").and_then(Value::as_object_mut) {
            // So that an object says "not yet observed" from its first moment, and kstatus believes it.
            status.insert("default".into(), json!({"observedGeneration": -1}));
            status.remove("nullable");
        }
        if resource == &SCHEMA {
            // `format` and not `+`: the API server takes the text of a number to be of any length, and refuses the sum for its cost.
            schema["x-kubernetes-validations"] = json!([{
                "rule": "self.metadata.name == '%s-%s-r%d'.format([self.spec.product, self.spec.version, self.spec.revision])",
                "message": "metadata.name must be <product>-<version>-r<revision>",
            }]);
        }
        tidy(schema);
    }
    Defined { resource, crd }
}

/// Numbers as integers where they are whole, without formats that the API server does not check, and without nulls: what
/// is unset is absent, so that one meaning has one form.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
                if let Some(values) = fields.get_mut("enum").and_then(Value::as_array_mut) {
                    values.retain(|value| !value.is_null());
                }
            }
            if fields.get("type").and_then(Value::as_str) == Some("integer") {
                let unsigned = fields
                    .get("format")
                    .and_then(Value::as_str)
                    .is_some_and(|format| format.starts_with('u') || format == "int8" || format == "int16");
                if unsigned {
                    fields.insert("format".into(), "int32".into());
                }
            }
            for name in ["minimum", "maximum"] {
                let whole = fields.get(name).and_then(Value::as_f64).filter(|number| number.fract() == 0.0 && number.abs() < 9e15);
                if let Some(number) = whole {
                    #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53, as just checked")]
                    fields.insert(name.into(), json!(number as i64));
                }
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
