//! What a schema's decision needs to know.

use serde_json::Value;

use super::api::ProvisioningSchema;
use crate::engine::port::{Query, Read, WorldError};
use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::provisioningrequest::api::REQUEST;
use crate::model::object::Object;
use crate::model::pointer;

/// Facts.
#[derive(Debug)]
pub struct Facts {
    /// Open requests and live deployments that are pinned to it; only looked for when it is being deleted.
    pub pinned_by: Vec<String>,
}

/// Gathers the facts.
pub async fn gather(schema: &ProvisioningSchema, read: &dyn Read) -> Result<Facts, WorldError> {
    let mut pinned_by = Vec::new();
    if schema.metadata.deletion_timestamp.is_some() {
        let name = schema.metadata.name.as_deref().unwrap_or_default();
        let requests = read.list(&Query::all(&REQUEST)).await?;
        let deployments = read.list(&Query::all(&DEPLOYMENT)).await?;
        pinned_by.extend(
            requests
                .iter()
                .filter(|request| pins(request, name) && is_live(request, &deployments))
                .map(|request| request.key().to_string()),
        );
    }
    Ok(Facts { pinned_by })
}

fn pins(request: &Object, schema: &str) -> bool {
    pointer::text(&request.body, "/spec/schemaRef/name") == Some(schema)
}

/// A request that has not ended, or whose deployment still exists.
fn is_live(request: &Object, deployments: &[std::sync::Arc<Object>]) -> bool {
    let state = request.body.pointer("/status/state").and_then(Value::as_str);
    let deployment = pointer::text(&request.body, "/spec/deployment/uid").unwrap_or_default();
    state != Some("FAILED") && (state != Some("COMPLETED") || deployments.iter().any(|object| object.uid() == deployment))
}
