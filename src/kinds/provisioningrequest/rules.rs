//! Gates: what must hold before a request leaves PENDING. Each is a wait with a name, never an error.

use super::api::ProvisioningRequest;
use super::facts::Facts;
use crate::model::call::ProviderType;
use crate::model::finding::Finding;

/// The first gate that is closed.
#[must_use]
pub fn closed_gate(request: &ProvisioningRequest, facts: &Facts) -> Option<Finding> {
    let gates: [fn(&ProvisioningRequest, &Facts) -> Option<Finding>; 4] = [tenant_open, not_suspended, schema_pinned, providers_configured];
    gates.iter().find_map(|gate| gate(request, facts))
}

fn tenant_open(request: &ProvisioningRequest, facts: &Facts) -> Option<Finding> {
    let name = &request.spec.tenant_name;
    match &facts.tenant {
        None => Some(Finding::waiting("TenantMissing", format!("Tenant {name} does not exist: create it"))),
        Some(tenant) if tenant.suspended => {
            Some(Finding::waiting("TenantSuspended", format!("Tenant {name} is suspended: nothing new starts")))
        }
        Some(_) => None,
    }
}

fn not_suspended(request: &ProvisioningRequest, facts: &Facts) -> Option<Finding> {
    let name = &request.spec.deployment.name;
    facts
        .suspended
        .then(|| Finding::waiting("Suspended", format!("AssistantDeployment {name} has spec.suspend: true; set it to false to start")))
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
    let names = &request.spec.providers;
    let parts = [
        ("workflows", &names.workflows, ProviderType::N8n),
        ("crm", &names.crm, ProviderType::Http),
        ("calendar", &names.calendar, ProviderType::Calcom),
        ("voice", &names.voice, ProviderType::Vapi),
    ];
    parts.iter().find_map(|(part, name, expected)| {
        let Some(provider) = facts.providers.get(*name) else {
            return Some(Finding::waiting("ProviderMissing", format!("Provider {name} ({part}) does not exist: create it")));
        };
        let tenant = &request.spec.tenant_name;
        if provider.target.provider_type != *expected {
            let message = format!("Provider {name} ({part}) is of type {}: {expected} is needed", provider.target.provider_type);
            return Some(Finding::waiting("ProviderTypeMismatch", message));
        }
        if provider.allowed_tenants.as_ref().is_some_and(|allowed| !allowed.contains(tenant)) {
            let message = format!("Provider {name} ({part}) does not allow Tenant {tenant}: add it to its spec.allowedTenants");
            return Some(Finding::waiting("ProviderNotAllowed", message));
        }
        (!provider.configured).then(|| {
            let message = format!("Provider {name} ({part}) is not configured: kubectl get provider {name} -o wide says why");
            Finding::waiting("ProviderNotConfigured", message)
        })
    })
}
