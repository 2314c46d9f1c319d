//! What a request's decision needs to know.

use std::collections::BTreeMap;

use super::api::{ProvisioningRequest, REQUEST, RequestReason, request_name};
use crate::engine::port::{Read, WorldError};
use crate::kinds::assistantdeployment::api::{AssistantDeployment, DEPLOYMENT};
use crate::kinds::decisions;
use crate::kinds::operatordecision::api::OperatorDecision;
use crate::kinds::provider::api::{CONFIGURED, PROVIDER, Provider};
use crate::kinds::provisioningschema::api::{ProvisioningSchema, ProvisioningSchemaSpec, SCHEMA};
use crate::kinds::tenant::api::{TENANT, Tenant};
use crate::model::call::ProviderTarget;
use crate::model::canonical::Digest;
use crate::model::condition::Truth;
use crate::model::object::ObjectKey;

/// Facts.
#[derive(Debug)]
pub struct Facts {
    /// The pinned schema, if it exists.
    pub schema: Option<SchemaFact>,
    /// The tenant, if it exists.
    pub tenant: Option<TenantFact>,
    /// The deployment that it is for, unless it is gone or being deleted.
    pub deployment: Option<DeploymentFact>,
    /// Providers by name, those that exist.
    pub providers: BTreeMap<String, ProviderFact>,
    /// The attempt that this one repeats, while something of it is still to be removed.
    pub leftovers_of: Option<String>,
    /// Decisions on this request, oldest first.
    pub decisions: Vec<OperatorDecision>,
}

impl Facts {
    /// Whether nothing more is provisioned because the request or its deployment is being deleted, or is gone.
    #[must_use]
    pub fn is_leaving(&self, request: &ProvisioningRequest) -> bool {
        request.metadata.deletion_timestamp.is_some() || self.deployment.is_none()
    }
}

/// What is known of the deployment.
#[derive(Debug)]
pub struct DeploymentFact {
    /// Whether nothing new may start.
    pub suspended: bool,
    /// Whether there is no later attempt.
    pub newest: bool,
    /// UID of the request that has taken over: what this one made is to be removed.
    pub retired_by: Option<String>,
}

/// What is known of the schema.
#[derive(Debug)]
pub struct SchemaFact {
    /// Its spec.
    pub spec: ProvisioningSchemaSpec,
    /// Digest of the spec as it is now.
    pub digest: Option<Digest>,
}

/// What is known of the tenant.
#[derive(Debug)]
pub struct TenantFact {
    /// Whether decider and submitter must differ.
    pub four_eyes: bool,
    /// Whether nothing new may start.
    pub suspended: bool,
    /// Whether it is being deleted.
    pub going: bool,
}

/// What is known of a provider.
#[derive(Debug)]
pub struct ProviderFact {
    /// How it is reached.
    pub target: ProviderTarget,
    /// Whether its condition `Configured` holds for its present spec.
    pub configured: bool,
    /// Tenants that may use it; none means all.
    pub allowed_tenants: Option<Vec<String>>,
}

/// Gathers the facts.
pub async fn gather(request: &ProvisioningRequest, read: &dyn Read) -> Result<Facts, WorldError> {
    let spec = &request.spec;
    let schema = read.get(&ObjectKey::new(&SCHEMA, "", &spec.schema_ref.name)).await?;
    let schema = schema.and_then(|object| object.parse::<ProvisioningSchema>().ok()).map(|schema| {
        let digest = schema.spec.digest().ok();
        SchemaFact { spec: schema.spec, digest }
    });
    let tenant = read.get(&ObjectKey::new(&TENANT, "", &spec.tenant_name)).await?.and_then(|object| object.parse::<Tenant>().ok());
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    let deployment = read.get(&ObjectKey::new(&DEPLOYMENT, namespace, &spec.deployment.name)).await?;
    let deployment = deployment
        .filter(|object| object.uid() == spec.deployment.uid && !object.is_going())
        .and_then(|object| object.parse::<AssistantDeployment>().ok());
    Ok(Facts {
        schema,
        tenant: tenant.map(|tenant| TenantFact {
            four_eyes: tenant.spec.four_eyes,
            suspended: tenant.spec.suspended,
            going: tenant.metadata.deletion_timestamp.is_some(),
        }),
        deployment: deployment.map(|deployment| deployment_fact(request, &deployment)),
        providers: providers(request, read).await?,
        leftovers_of: leftovers_of(request, read).await?,
        decisions: decisions::about(&REQUEST, &request.metadata, namespace, read).await?,
    })
}

fn deployment_fact(request: &ProvisioningRequest, deployment: &AssistantDeployment) -> DeploymentFact {
    let status = deployment.status.as_ref();
    let cutover = status.and_then(|status| status.journal.cutover.as_ref());
    let uid = request.metadata.uid.as_deref().unwrap_or_default();
    let retiring = cutover.filter(|cutover| cutover.is_switched() && cutover.from.as_ref().is_some_and(|from| from.uid == uid));
    DeploymentFact {
        suspended: deployment.spec.suspend,
        newest: status.and_then(|status| status.attempt).is_none_or(|attempt| attempt <= request.spec.attempt),
        retired_by: retiring.map(|cutover| cutover.to.uid.clone()),
    }
}

/// The attempt before a retry, while its removal is not recorded done.
async fn leftovers_of(request: &ProvisioningRequest, read: &dyn Read) -> Result<Option<String>, WorldError> {
    if request.spec.reason != RequestReason::Retry {
        return Ok(None);
    }
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    let name = request_name(&request.spec.deployment.name, request.spec.attempt.saturating_sub(1));
    let before = read.get(&ObjectKey::new(&REQUEST, namespace, &name)).await?;
    let before = before.and_then(|object| object.parse::<ProvisioningRequest>().ok());
    let before = before.filter(|before| before.spec.deployment.uid == request.spec.deployment.uid);
    let left = before.and_then(|before| before.status).is_some_and(|status| status.journal.open_round().is_some());
    Ok(left.then_some(name))
}

async fn providers(request: &ProvisioningRequest, read: &dyn Read) -> Result<BTreeMap<String, ProviderFact>, WorldError> {
    let names = &request.spec.providers;
    let mut providers = BTreeMap::new();
    for name in [&names.workflows, &names.crm, &names.calendar, &names.voice] {
        let found = read.get(&ObjectKey::new(&PROVIDER, "", name)).await?.and_then(|object| object.parse::<Provider>().ok());
        if let Some(provider) = found {
            providers.insert(name.clone(), provider_fact(name, &provider));
        }
    }
    Ok(providers)
}

/// What is known of a provider of this name.
pub fn provider_fact(name: &str, provider: &Provider) -> ProviderFact {
    let spec = &provider.spec;
    let generation = provider.metadata.generation.unwrap_or_default();
    let conditions = provider.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let configured = conditions
        .iter()
        .any(|condition| condition.kind == CONFIGURED && condition.status == Truth::True && condition.observed_generation == generation);
    ProviderFact {
        target: provider.target(name),
        configured,
        allowed_tenants: spec.allowed_tenants.as_ref().map(|tenants| tenants.iter().map(ToString::to_string).collect()),
    }
}
