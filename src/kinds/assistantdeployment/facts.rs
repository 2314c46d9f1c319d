//! What a deployment's decision needs to know.
//!
//! Which request is current: the one with the highest attempt. Which schema is current: of the valid revisions of the
//! wanted version, the one with the highest revision number.

use super::api::AssistantDeployment;
use crate::engine::port::{Query, Read, WorldError};
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, REQUEST};
use crate::kinds::provisioningschema::api::{ProvisioningSchema, SCHEMA};
use crate::kinds::tenant::api::{TENANT, TENANT_LABEL, Tenant};
use crate::model::condition::{READY, Truth};
use crate::model::object::ObjectKey;
use crate::model::resource::NAMESPACE;

/// Facts.
#[derive(Debug)]
pub struct Facts {
    /// Name of the tenant that the namespace consents to.
    pub tenant_name: Option<String>,
    /// That tenant, if it exists and is ready.
    pub tenant: Option<TenantFact>,
    /// The current revision of the wanted version.
    pub schema: Option<ProvisioningSchema>,
    /// Revisions of the wanted version that exist and are not valid.
    pub invalid_schemas: Vec<String>,
    /// Requests of this deployment, by attempt.
    pub requests: Vec<ProvisioningRequest>,
    /// An object that is not ours holds the name of the next request.
    pub name_taken: bool,
}

/// What is known of the tenant.
#[derive(Debug)]
pub struct TenantFact {
    /// Whether it is ready.
    pub ready: bool,
    /// Whether nothing new may start.
    pub suspended: bool,
}

/// Gathers the facts.
pub async fn gather(deployment: &AssistantDeployment, read: &dyn Read) -> Result<Facts, WorldError> {
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let space = read.get(&ObjectKey::new(&NAMESPACE, "", namespace)).await?;
    let tenant_name = space.and_then(|space| space.label(TENANT_LABEL).map(str::to_owned));
    let tenant = match &tenant_name {
        Some(tenant) => read.get(&ObjectKey::new(&TENANT, "", tenant)).await?.and_then(|object| object.parse::<Tenant>().ok()),
        None => None,
    };
    let tenant = tenant.filter(|tenant| tenant.namespace_name() == namespace).map(|tenant| tenant_fact(&tenant));
    let (schema, invalid_schemas) = current_schema(deployment, read).await?;
    let requests = requests(deployment, read).await?;
    let next = read.get(&ObjectKey::new(&REQUEST, namespace, &super::children::request_name(name, 1))).await?;
    let name_taken = requests.is_empty() && next.is_some();
    Ok(Facts { tenant_name, tenant, schema, invalid_schemas, requests, name_taken })
}

fn tenant_fact(tenant: &Tenant) -> TenantFact {
    let conditions = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = conditions.iter().any(|condition| condition.kind == READY && condition.status == Truth::True);
    TenantFact { ready, suspended: tenant.spec.suspended }
}

async fn current_schema(
    deployment: &AssistantDeployment,
    read: &dyn Read,
) -> Result<(Option<ProvisioningSchema>, Vec<String>), WorldError> {
    let wanted =
        |schema: &ProvisioningSchema| schema.spec.product == deployment.spec.product && schema.spec.version == deployment.spec.version;
    let all = read.list(&Query::all(&SCHEMA)).await?;
    let schemas = all.iter().filter_map(|object| object.parse::<ProvisioningSchema>().ok()).filter(wanted);
    let valid = |schema: &ProvisioningSchema| {
        let conditions = schema.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        conditions.iter().any(|condition| condition.kind == READY && condition.status == Truth::True)
    };
    let (valid, invalid): (Vec<_>, Vec<_>) = schemas.partition(valid);
    let current = valid.into_iter().filter(|schema| schema.metadata.deletion_timestamp.is_none()).max_by_key(|schema| schema.spec.revision);
    Ok((current, invalid.into_iter().filter_map(|schema| schema.metadata.name).collect()))
}

async fn requests(deployment: &AssistantDeployment, read: &dyn Read) -> Result<Vec<ProvisioningRequest>, WorldError> {
    let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
    let found = read.list(&Query::related(&REQUEST, uid)).await?;
    let mut requests: Vec<ProvisioningRequest> = found.iter().filter_map(|object| object.parse().ok()).collect();
    requests.retain(|request| request.spec.deployment.uid == uid);
    requests.sort_by_key(|request| request.spec.attempt);
    Ok(requests)
}
