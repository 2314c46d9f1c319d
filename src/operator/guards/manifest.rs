//! The guards as ValidatingAdmissionPolicies and their bindings.

use serde_json::{Value, json};

use super::table::{Check, Guard};
use super::{TABLE, Write, controller, guarded, policy_name};
use crate::kinds::crd;
use crate::model::resource::Resource;

/// Every policy and binding, by resource.
#[must_use]
pub fn documents(system_namespace: &str) -> Vec<Value> {
    guarded().into_iter().flat_map(|resource| guarding(resource, system_namespace)).collect()
}

/// The documents as one YAML stream.
///
/// # Errors
/// None in practice: policies hold maps, lists and text.
pub fn yaml(system_namespace: &str) -> Result<String, serde_yaml::ser::Error> {
    crd::stream(&documents(system_namespace))
}

fn guarding(resource: &'static Resource, system_namespace: &str) -> [Value; 2] {
    let guards: Vec<&Guard> = TABLE.iter().filter(|guard| guard.resources.contains(&resource)).collect();
    let is_written = |write: &Write| guards.iter().any(|guard| guard.writes.contains(write));
    let operations: Vec<&str> = [(Write::Create, "CREATE"), (Write::Update, "UPDATE"), (Write::Delete, "DELETE")]
        .into_iter()
        .filter(|(write, _)| is_written(write))
        .map(|(_, operation)| operation)
        .collect();
    // Exact names: with a wildcard, or with a subresource alone, the API server does not check types.
    let parts = [(Write::UpdateStatus, "status"), (Write::Finalize, "finalize")];
    let parts = parts.iter().filter(|(write, _)| is_written(write)).map(|(_, part)| format!("{}/{part}", resource.plural));
    let resources: Vec<String> = [resource.plural.to_owned()].into_iter().chain(parts).collect();
    let rule = json!({
        "apiGroups": [resource.group], "apiVersions": [resource.version], "operations": operations, "resources": resources,
    });
    let validations: Vec<Value> = guards.iter().flat_map(|guard| guard.checks.iter().map(|check| validation(guard, check))).collect();
    let name = policy_name(resource);
    let mut constraints = json!({"resourceRules": [rule]});
    if let Some((label, value)) = guards.iter().find_map(|guard| guard.selector) {
        constraints["objectSelector"] = json!({"matchLabels": {label: value}});
    }
    let own = guards.iter().filter_map(|guard| guard.variable.clone());
    let mentions = |name: &str| validations.iter().any(|validation| validation.to_string().contains(&format!("variables.{name}")));
    let variables: Vec<Value> = variables(system_namespace)
        .into_iter()
        .chain(own)
        .filter(|(name, _)| mentions(name))
        .map(|(name, expression)| json!({"name": name, "expression": expression}))
        .collect();
    let api_version = "admissionregistration.k8s.io/v1";
    [
        json!({
            "apiVersion": api_version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail", "matchConstraints": constraints,
                "variables": variables, "validations": validations,
            },
        }),
        json!({
            "apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }),
    ]
}

/// What expressions may use, in an order in which each uses earlier ones only. `request.subResource` is absent on the main
/// resource, not empty.
fn variables(system_namespace: &str) -> [(&'static str, String); 8] {
    [
        ("caller", "request.userInfo.username".to_owned()),
        ("plural", "request.resource.resource".to_owned()),
        ("isController", format!("request.userInfo.username == '{}'", controller(system_namespace))),
        ("creates", "request.operation == 'CREATE'".to_owned()),
        ("updates", "request.operation == 'UPDATE' && !has(request.subResource)".to_owned()),
        ("updatesStatus", "request.operation == 'UPDATE' && has(request.subResource) && request.subResource == 'status'".to_owned()),
        ("finalizes", "request.operation == 'UPDATE' && has(request.subResource) && request.subResource == 'finalize'".to_owned()),
        ("deletes", "request.operation == 'DELETE'".to_owned()),
    ]
}

fn validation(guard: &Guard, check: &Check) -> Value {
    let write = |write: &Write| match write {
        Write::Create => "variables.creates",
        Write::Update => "variables.updates",
        Write::UpdateStatus => "variables.updatesStatus",
        Write::Finalize => "variables.finalizes",
        Write::Delete => "variables.deletes",
    };
    let concerned = guard.writes.iter().map(write).collect::<Vec<_>>().join(" || ");
    let concerned = if guard.writes.len() > 1 { format!("({concerned})") } else { concerned };
    // `message` is what the API server says should the expression of the message ever fail, and names the guard.
    json!({
        "expression": format!("!{concerned} || {}", check.holds),
        "message": format!("guard {}", guard.name), "messageExpression": check.message, "reason": "Forbidden",
    })
}
