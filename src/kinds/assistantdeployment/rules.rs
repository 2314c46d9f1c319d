//! Rules of a deployment: what holds back its next request, in order; the first that is broken speaks.

use std::collections::BTreeSet;

use super::api::{AssistantDeployment, AssistantDeploymentSpec};
use super::facts::Facts;
use crate::kinds::provisioningschema::api::ProvisioningSchemaSpec;
use crate::model::finding::Finding;
use crate::model::source::Source;

/// Why no request can be made now.
#[must_use]
pub fn held_back(deployment: &AssistantDeployment, facts: &Facts) -> Option<Finding> {
    let rules: [fn(&AssistantDeployment, &Facts) -> Option<Finding>; 4] = [in_a_tenant, not_suspended, schema_exists, inputs_fit];
    rules.iter().find_map(|rule| rule(deployment, facts))
}

/// What a deployment lacks around it, all of it: a tenant, a schema. Neither inputs nor a suspension, which is a wish.
#[must_use]
pub fn unplaced(deployment: &AssistantDeployment, facts: &Facts) -> Vec<Finding> {
    in_a_tenant(deployment, facts).into_iter().chain(schema_exists(deployment, facts)).collect()
}

/// Why a higher revision does not reach the live assistant now.
#[must_use]
pub fn holds_propagation(deployment: &AssistantDeployment, facts: &Facts) -> Option<Finding> {
    if deployment.spec.suspend {
        return Some(Finding::waiting("Suspended", "spec.suspend is true: set it to false and the newer revision reaches the assistant"));
    }
    let newest = facts.newest()?;
    let name = newest.metadata.name.as_deref().unwrap_or_default();
    let open = facts.live().is_none_or(|live| live.metadata.uid != newest.metadata.uid);
    open.then(|| Finding::waiting("PropagationPending", format!("{name} is to end first, on the revision that it is pinned to")))
}

fn in_a_tenant(deployment: &AssistantDeployment, facts: &Facts) -> Option<Finding> {
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let Some(name) = &facts.tenant_name else {
        let message = format!("Namespace {namespace} belongs to no tenant: create a Tenant for it and label it mandate.dev/tenant=<name>");
        return Some(Finding::waiting("TenantMissing", message));
    };
    match &facts.tenant {
        None => Some(Finding::waiting("TenantMissing", format!("Tenant {name} with namespace {namespace} does not exist: create it"))),
        Some(tenant) if !tenant.ready => {
            Some(Finding::waiting("TenantNotReady", format!("Tenant {name} is not ready: kubectl get tenant {name} -o wide")))
        }
        Some(tenant) if tenant.suspended => {
            Some(Finding::waiting("TenantSuspended", format!("Tenant {name} is suspended: nothing new starts")))
        }
        Some(_) => None,
    }
}

fn not_suspended(deployment: &AssistantDeployment, _: &Facts) -> Option<Finding> {
    deployment.spec.suspend.then(|| Finding::waiting("Suspended", "spec.suspend is true: set it to false to start"))
}

fn schema_exists(deployment: &AssistantDeployment, facts: &Facts) -> Option<Finding> {
    if facts.schema.is_some() {
        return None;
    }
    let (product, version) = (deployment.spec.product, &deployment.spec.version);
    let message = if facts.invalid_schemas.is_empty() {
        format!("no ProvisioningSchema for {product} {version}: apply {product}-{version}-r1")
    } else {
        format!("no valid ProvisioningSchema for {product} {version}: {} is not Ready", facts.invalid_schemas.join(", "))
    };
    Some(Finding::waiting("SchemaMissing", message).at("/spec/version"))
}

fn inputs_fit(deployment: &AssistantDeployment, facts: &Facts) -> Option<Finding> {
    let schema = facts.schema.as_ref()?;
    unfit_inputs(&deployment.spec, &schema.spec).into_iter().next()
}

/// Parameters and credentials that the schema asks for and the deployment lacks, or the other way round (000, guarantee 3).
#[must_use]
pub fn unfit_inputs(spec: &AssistantDeploymentSpec, schema: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let mut parameters = BTreeSet::new();
    let mut credentials = BTreeSet::new();
    for source in schema.sources().filter_map(|text| text.parse::<Source>().ok()) {
        match source {
            Source::Parameter(name) => drop(parameters.insert(name)),
            Source::CredentialId(name) | Source::CredentialName(name) => drop(credentials.insert(name)),
            Source::TenantName | Source::DeploymentName | Source::WorkflowId(_) | Source::WebhookUrl(..) => {}
        }
    }
    let given = spec.parameters.keys().cloned().collect();
    let mut findings = compare("parameters", &parameters, &given, &schema.object_name());
    findings.extend(compare("credentials", &credentials, &spec.credentials.keys().cloned().collect(), &schema.object_name()));
    findings
}

fn compare(field: &str, wanted: &BTreeSet<String>, given: &BTreeSet<String>, schema: &str) -> Vec<Finding> {
    let missing = wanted.difference(given).map(|name| {
        let message = format!("spec.{field} lacks {name}, which ProvisioningSchema {schema} asks for");
        Finding::error("InputMissing", message).at(format!("/spec/{field}"))
    });
    let strange = given.difference(wanted).map(|name| {
        let message = format!("spec.{field}.{name} is used nowhere in ProvisioningSchema {schema}: remove it");
        Finding::error("InputUnused", message).at(format!("/spec/{field}/{}", name.replace('~', "~0").replace('/', "~1")))
    });
    missing.chain(strange).collect()
}
