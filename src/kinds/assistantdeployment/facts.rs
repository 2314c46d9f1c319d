//! What a deployment's decision needs to know.
//!
//! Which request is current: the one with the highest attempt. Which schema is current: of the valid revisions of the
//! wanted version, the one with the highest revision number.

use std::collections::BTreeMap;

use super::api::{AssistantDeployment, DEPLOYMENT};
use crate::engine::port::{Query, Read, WorldError};
use crate::kinds::decisions;
use crate::kinds::operatordecision::api::OperatorDecision;
use crate::kinds::provider::api::{PROVIDER, Provider};
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, REQUEST, State, request_name};
use crate::kinds::provisioningschema::api::{ProvisioningSchema, SCHEMA};
use crate::kinds::tenant::api::{TENANT, TENANT_LABEL, Tenant};
use crate::model::call::ProviderTarget;
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
    /// Every valid schema of the product, and those that its requests are pinned to.
    pub schemas: Vec<ProvisioningSchema>,
    /// Providers by name, while the deployment has calls of its own to make.
    pub providers: BTreeMap<String, ProviderTarget>,
    /// Decisions on this deployment, oldest first.
    pub decisions: Vec<OperatorDecision>,
}

impl Facts {
    /// The newest attempt.
    #[must_use]
    pub fn newest(&self) -> Option<&ProvisioningRequest> {
        self.requests.last()
    }

    /// The request whose assistant serves: the newest that was completed and neither retired, rolled back nor released.
    #[must_use]
    pub fn live(&self) -> Option<&ProvisioningRequest> {
        self.requests.iter().rev().find(|request| is_live(request))
    }

    /// Who served before `newest`.
    #[must_use]
    pub fn before(&self, newest: &ProvisioningRequest) -> Option<&ProvisioningRequest> {
        self.requests.iter().rev().find(|request| request.spec.attempt < newest.spec.attempt && is_live(request))
    }

    /// The schema of a name.
    #[must_use]
    pub fn schema_named(&self, name: &str) -> Option<&ProvisioningSchema> {
        self.schemas.iter().find(|schema| schema.metadata.name.as_deref() == Some(name))
    }

    /// The current revision of a version.
    #[must_use]
    pub fn current_of(&self, version: &str) -> Option<&ProvisioningSchema> {
        let of = self.schemas.iter().filter(|schema| schema.spec.version == version && is_valid(schema));
        of.filter(|schema| schema.metadata.deletion_timestamp.is_none()).max_by_key(|schema| schema.spec.revision)
    }
}

fn is_live(request: &ProvisioningRequest) -> bool {
    let Some(status) = &request.status else { return false };
    status.state == Some(State::Completed) && status.journal.undo.is_empty() && !status.journal.is_released()
}

fn is_valid(schema: &ProvisioningSchema) -> bool {
    let conditions = schema.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| condition.kind == READY && condition.status == Truth::True)
}

/// What is known of the tenant.
#[derive(Debug)]
pub struct TenantFact {
    /// Whether it is ready.
    pub ready: bool,
    /// Whether nothing new may start.
    pub suspended: bool,
    /// Whether decider and submitter must differ.
    pub four_eyes: bool,
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
    let all = read.list(&Query::all(&SCHEMA)).await?;
    let requests = requests(deployment, read).await?;
    let attempt = requests.last().map_or(0, |request| request.spec.attempt) + 1;
    let next = read.get(&ObjectKey::new(&REQUEST, namespace, &request_name(name, attempt))).await?;
    let mut facts = Facts {
        tenant_name,
        tenant,
        schema: None,
        invalid_schemas: Vec::new(),
        name_taken: next.is_some(),
        schemas: all.iter().filter_map(|object| object.parse::<ProvisioningSchema>().ok()).collect(),
        requests,
        providers: BTreeMap::new(),
        decisions: decisions::about(&DEPLOYMENT, &deployment.metadata, namespace, read).await?,
    };
    facts.schemas.retain(|schema| schema.spec.product == deployment.spec.product);
    facts.schema = facts.current_of(&deployment.spec.version).cloned();
    let wanted = facts.schemas.iter().filter(|schema| schema.spec.version == deployment.spec.version);
    facts.invalid_schemas = wanted.filter(|schema| !is_valid(schema)).filter_map(|schema| schema.metadata.name.clone()).collect();
    if super::work::is_wanted(deployment, &facts) {
        facts.providers = providers(&facts, read).await?;
    }
    Ok(facts)
}

/// Providers of the requests whose parts the deployment's own calls touch.
async fn providers(facts: &Facts, read: &dyn Read) -> Result<BTreeMap<String, ProviderTarget>, WorldError> {
    let mut providers = BTreeMap::new();
    for request in &facts.requests {
        let names = &request.spec.providers;
        for name in [&names.workflows, &names.crm, &names.calendar, &names.voice] {
            if !providers.contains_key(name)
                && let Some(provider) =
                    read.get(&ObjectKey::new(&PROVIDER, "", name)).await?.and_then(|object| object.parse::<Provider>().ok())
            {
                providers.insert(name.clone(), provider.target(name));
            }
        }
    }
    Ok(providers)
}

fn tenant_fact(tenant: &Tenant) -> TenantFact {
    let conditions = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = conditions.iter().any(|condition| condition.kind == READY && condition.status == Truth::True);
    TenantFact { ready, suspended: tenant.spec.suspended, four_eyes: tenant.spec.four_eyes }
}

async fn requests(deployment: &AssistantDeployment, read: &dyn Read) -> Result<Vec<ProvisioningRequest>, WorldError> {
    let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
    let found = read.list(&Query::related(&REQUEST, uid)).await?;
    let mut requests: Vec<ProvisioningRequest> = found.iter().filter_map(|object| object.parse().ok()).collect();
    requests.retain(|request| request.spec.deployment.uid == uid);
    requests.sort_by_key(|request| request.spec.attempt);
    Ok(requests)
}
