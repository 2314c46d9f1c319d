//! Gates: what must hold before a request leaves PENDING. Each is a wait with a name, never an error.

use std::collections::BTreeMap;

use super::api::ProvisioningRequest;
use super::facts::{Facts, ProviderFact};
use crate::kinds::assistantdeployment::api::ProviderNames;
use crate::model::call::ProviderType;
use crate::model::finding::Finding;
use crate::model::step::Step;

/// The first gate that is closed.
#[must_use]
pub fn closed_gate(request: &ProvisioningRequest, facts: &Facts) -> Option<Finding> {
    let gates: [fn(&ProvisioningRequest, &Facts) -> Option<Finding>; 4] =
        [tenant_open, deployment_stays, schema_pinned, providers_configured];
    gates.iter().find_map(|gate| gate(request, facts))
}

/// The gate before cloning: what a failed attempt left behind is removed before its retry makes it anew.
#[must_use]
pub fn leftovers_gone(step: Step, facts: &Facts) -> Option<Finding> {
    let before = facts.leftovers_of.as_ref().filter(|_| step == Step::WorkflowCloning)?;
    let message = format!("what {before} left behind is being removed first: kubectl get preq {before} -o wide");
    Some(Finding::waiting("LeftoversRemain", message))
}

fn tenant_open(request: &ProvisioningRequest, facts: &Facts) -> Option<Finding> {
    let name = &request.spec.tenant_name;
    match &facts.tenant {
        None => Some(Finding::waiting("TenantMissing", format!("Tenant {name} does not exist: create it"))),
        Some(tenant) if tenant.going => {
            Some(Finding::waiting("TenantDeleting", format!("Tenant {name} is being deleted: nothing new starts")))
        }
        Some(tenant) if tenant.suspended => {
            Some(Finding::waiting("TenantSuspended", format!("Tenant {name} is suspended: nothing new starts")))
        }
        Some(_) => None,
    }
}

fn deployment_stays(request: &ProvisioningRequest, facts: &Facts) -> Option<Finding> {
    let name = &request.spec.deployment.name;
    match &facts.deployment {
        None => Some(Finding::waiting(
            "DeploymentGone",
            format!("AssistantDeployment {name} is gone or being deleted: nothing is provisioned for it"),
        )),
        Some(deployment) if deployment.suspended => {
            Some(Finding::waiting("Suspended", format!("AssistantDeployment {name} has spec.suspend: true; set it to false to start")))
        }
        Some(_) => None,
    }
}

fn schema_pinned(request: &ProvisioningRequest, facts: &Facts) -> Option<Finding> {
    let pin = &request.spec.schema_ref;
    match &facts.schema {
        None => {
            Some(Finding::waiting("SchemaMissing", format!("ProvisioningSchema {} does not exist: create it again as it was", pin.name)))
        }
        Some(schema) if schema.digest.as_ref() != Some(&pin.digest) => {
            let message = format!("ProvisioningSchema {} is not the one this request is pinned to ({})", pin.name, pin.digest.short(12));
            Some(Finding::waiting("SchemaReplaced", message))
        }
        Some(_) => None,
    }
}

fn providers_configured(request: &ProvisioningRequest, facts: &Facts) -> Option<Finding> {
    unusable_providers(&request.spec.providers, &request.spec.tenant_name, &facts.providers).into_iter().next()
}

/// What stands in the way of each part's provider, at most one finding per part.
#[must_use]
pub fn unusable_providers(names: &ProviderNames, tenant: &str, providers: &BTreeMap<String, ProviderFact>) -> Vec<Finding> {
    let parts = [
        ("workflows", &names.workflows, ProviderType::N8n),
        ("crm", &names.crm, ProviderType::Http),
        ("calendar", &names.calendar, ProviderType::Calcom),
        ("voice", &names.voice, ProviderType::Vapi),
    ];
    let unusable = |(part, name, expected): &(&str, &String, ProviderType)| {
        let finding = unusable(part, name, *expected, tenant, providers.get(*name))?;
        Some(finding.at(format!("/spec/providers/{part}")))
    };
    parts.iter().filter_map(unusable).collect()
}

fn unusable(part: &str, name: &str, expected: ProviderType, tenant: &str, provider: Option<&ProviderFact>) -> Option<Finding> {
    let Some(provider) = provider else {
        return Some(Finding::waiting("ProviderMissing", format!("Provider {name} ({part}) does not exist: create it")));
    };
    if provider.target.provider_type != expected {
        let message = format!("Provider {name} ({part}) is of type {}: {expected} is needed", provider.target.provider_type);
        return Some(Finding::waiting("ProviderTypeMismatch", message));
    }
    if provider.allowed_tenants.as_ref().is_some_and(|allowed| !allowed.iter().any(|one| one == tenant)) {
        let message = format!("Provider {name} ({part}) does not allow Tenant {tenant}: add it to its spec.allowedTenants");
        return Some(Finding::waiting("ProviderNotAllowed", message));
    }
    (!provider.configured).then(|| {
        let message = format!("Provider {name} ({part}) is not configured: kubectl get provider {name} -o wide says why");
        Finding::waiting("ProviderNotConfigured", message)
    })
}
