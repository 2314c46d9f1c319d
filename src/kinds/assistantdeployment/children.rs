//! Children of a deployment: its provisioning requests.

use serde_json::json;

use super::api::{AssistantDeployment, DEPLOYMENT};
use crate::engine::decision::{Child, ChildMode, Owner};
use crate::kinds::provisioningrequest::api::{DeploymentRef, ProvisioningRequestSpec, REQUEST, RequestReason, SchemaPin, request_name};
use crate::kinds::provisioningschema::api::ProvisioningSchema;
use crate::kinds::tenant::api::TENANT_LABEL;
use crate::model::object::{FINALIZER, Object};

/// Which attempt a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Number, from 1.
    pub number: u32,
    /// Attempt that its webhook paths come from.
    pub path: u32,
    /// Why it is made.
    pub reason: RequestReason,
}

/// The inputs of an attempt, frozen.
#[must_use]
pub fn request_spec(
    deployment: &AssistantDeployment,
    tenant: &str,
    schema: &ProvisioningSchema,
    attempt: &Attempt,
) -> Option<ProvisioningRequestSpec> {
    let spec = &deployment.spec;
    Some(ProvisioningRequestSpec {
        deployment: DeploymentRef { name: deployment.metadata.name.clone()?, uid: deployment.metadata.uid.clone()? },
        tenant_name: tenant.to_owned(),
        product_type: spec.product,
        version: spec.version.clone(),
        schema_ref: SchemaPin { name: schema.metadata.name.clone()?, digest: schema.spec.digest().ok()? },
        operator: spec.operator.clone(),
        via: spec.via,
        attempt: attempt.number,
        path_attempt: attempt.path,
        reason: attempt.reason,
        demo: spec.demo,
        providers: spec.providers.clone(),
        credentials: spec.credentials.clone(),
        parameters: spec.parameters.clone(),
    })
}

/// The request as a child: created once, with the finalizer on it from the start, owned, never changed.
#[must_use]
pub fn request(deployment: &AssistantDeployment, spec: &ProvisioningRequestSpec) -> Option<Child> {
    let owner = Owner { resource: &DEPLOYMENT, name: deployment.metadata.name.as_deref()?, uid: deployment.metadata.uid.as_deref()? };
    let mut object = Object::named(&REQUEST, deployment.metadata.namespace.as_deref()?, &request_name(owner.name, spec.attempt));
    object.set_metadata("labels", json!({ TENANT_LABEL: spec.tenant_name }));
    object.set_metadata("finalizers", json!([FINALIZER]));
    object.body["spec"] = serde_json::to_value(spec).ok()?;
    Some(Child::of(&owner, object, ChildMode::CreateOnly, true))
}
