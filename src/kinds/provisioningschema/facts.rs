//! What a schema's decision needs to know.

use serde_json::Value;

use super::api::{ProvisioningSchema, SCHEMA};
use super::propagation::Live;
use crate::engine::kind::Settings;
use crate::engine::port::{Query, Read, WorldError};
use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::decisions;
use crate::kinds::operatordecision::api::OperatorDecision;
use crate::kinds::provisioningrequest::api::REQUEST;
use crate::model::object::Object;
use crate::model::pointer;

/// Facts.
#[derive(Debug)]
pub struct Facts {
    /// Open requests and live deployments that are pinned to it; only looked for when it is being deleted.
    pub pinned_by: Vec<String>,
    /// Every schema of its product, itself too.
    pub others: Vec<ProvisioningSchema>,
    /// What deployments have live.
    pub live: Vec<Live>,
    /// Decisions on it, oldest first.
    pub decisions: Vec<OperatorDecision>,
}

/// Gathers the facts.
pub async fn gather(schema: &ProvisioningSchema, read: &dyn Read, settings: &Settings) -> Result<Facts, WorldError> {
    let schemas = read.list(&Query::all(&SCHEMA)).await?;
    let schemas = schemas.iter().filter_map(|object| object.parse::<ProvisioningSchema>().ok());
    let deployments = read.list(&Query::all(&DEPLOYMENT)).await?;
    let mut pinned_by = Vec::new();
    if schema.metadata.deletion_timestamp.is_some() {
        let name = schema.metadata.name.as_deref().unwrap_or_default();
        let requests = read.list(&Query::all(&REQUEST)).await?;
        let pinning: Vec<_> = requests.iter().filter(|request| pins(request, name) && is_live(request, &deployments)).collect();
        // What was propagated to is pinned by the deployment alone.
        let named = |deployment: &Object| pinning.iter().any(|request| deployment_of(request) == deployment.uid());
        let on_it = deployments.iter().filter(|deployment| pointer::text(&deployment.body, "/status/schema/name") == Some(name));
        let on_it: Vec<_> = on_it.filter(|deployment| !named(deployment)).collect();
        pinned_by.extend(pinning.iter().map(|request| request.key().to_string()));
        pinned_by.extend(on_it.iter().map(|deployment| deployment.key().to_string()));
    }
    Ok(Facts {
        pinned_by,
        others: schemas.filter(|other| other.spec.product == schema.spec.product).collect(),
        live: deployments.iter().filter_map(|deployment| Live::of(deployment)).collect(),
        decisions: decisions::about(&SCHEMA, &schema.metadata, &settings.system_namespace, read).await?,
    })
}

fn pins(request: &Object, schema: &str) -> bool {
    pointer::text(&request.body, "/spec/schemaRef/name") == Some(schema)
}

/// A request that has not ended, or whose deployment still exists.
fn is_live(request: &Object, deployments: &[std::sync::Arc<Object>]) -> bool {
    let state = request.body.pointer("/status/state").and_then(Value::as_str);
    let deployment = deployment_of(request);
    state != Some("FAILED") && (state != Some("COMPLETED") || deployments.iter().any(|object| object.uid() == deployment))
}

fn deployment_of(request: &Object) -> &str {
    pointer::text(&request.body, "/spec/deployment/uid").unwrap_or_default()
}
