//! What a request's decision needs to know.

use std::collections::BTreeMap;
use std::time::Duration;

use super::api::ProvisioningRequest;
use crate::engine::port::{Read, WorldError};
use crate::kinds::assistantdeployment::api::{AssistantDeployment, DEPLOYMENT};
use crate::kinds::decisions;
use crate::kinds::operatordecision::api::OperatorDecision;
use crate::kinds::provider::api::{CONFIGURED, PROVIDER, Provider};
use crate::kinds::provisioningschema::api::{ProvisioningSchema, ProvisioningSchemaSpec, SCHEMA};
use crate::kinds::tenant::api::{TENANT, Tenant};
use crate::model::call::{ProviderTarget, SecretKey};
use crate::model::canonical::Digest;
use crate::model::condition::Truth;
use crate::model::limits::CALL_DEADLINE;
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
    /// Decisions on this request, oldest first.
    pub decisions: Vec<OperatorDecision>,
}

/// What is known of the deployment.
#[derive(Debug)]
pub struct DeploymentFact {
    /// Whether nothing new may start.
    pub suspended: bool,
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
        deployment: deployment.map(|deployment| DeploymentFact { suspended: deployment.spec.suspend }),
        providers: providers(request, read).await?,
        decisions: decisions::about(&super::api::REQUEST, request.metadata.uid.as_deref().unwrap_or_default(), namespace, read).await?,
    })
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
    let limits = spec.limits.as_ref();
    let generation = provider.metadata.generation.unwrap_or_default();
    let conditions = provider.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let configured = conditions
        .iter()
        .any(|condition| condition.kind == CONFIGURED && condition.status == Truth::True && condition.observed_generation == generation);
    ProviderFact {
        target: ProviderTarget {
            name: name.to_owned(),
            provider_type: spec.provider_type,
            base_url: spec.connection.base_url.trim_end_matches('/').to_owned(),
            secret: spec.secret_ref.as_ref().map(|secret| SecretKey { name: secret.name.clone(), key: secret.key.clone() }),
            timeout: spec.connection.timeout_seconds.map_or(CALL_DEADLINE, |seconds| Duration::from_secs(seconds.into())),
            concurrency: limits.and_then(|limits| limits.concurrency).unwrap_or(8),
            per_minute: limits.and_then(|limits| limits.per_minute).unwrap_or(0),
        },
        configured,
        allowed_tenants: spec.allowed_tenants.as_ref().map(|tenants| tenants.iter().map(ToString::to_string).collect()),
    }
}
