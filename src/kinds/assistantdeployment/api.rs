//! AssistantDeployment: one assistant that a tenant shall have.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::provisioningschema::api::Product;
use crate::model::condition::Condition;
use crate::model::decision::Via;
use crate::model::record::ChainHead;
use crate::model::resource::{Resource, ours};

/// The resource.
pub static DEPLOYMENT: Resource = ours("AssistantDeployment", "assistantdeployments", true);

/// Which Provider plays which part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderNames {
    /// Runs the workflows and answers the webhooks; type n8n.
    #[schemars(length(min = 1, max = 253))]
    pub workflows: String,
    /// The CRM; type http.
    #[schemars(length(min = 1, max = 253))]
    pub crm: String,
    /// The calendar; type calcom.
    #[schemars(length(min = 1, max = 253))]
    pub calendar: String,
    /// The voice assistant; type vapi.
    #[schemars(length(min = 1, max = 253))]
    pub voice: String,
}

/// A credential that exists at the workflow provider, by the vendor's id and name. Never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialRef {
    /// Identifier at the vendor.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Name at the vendor.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
}

/// What is wanted of an assistant.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "mandate.dev",
    version = "v1alpha1",
    kind = "AssistantDeployment",
    plural = "assistantdeployments",
    namespaced,
    status = "AssistantDeploymentStatus",
    shortname = "adep",
    category = "mandate"
)]
#[kube(printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#)]
#[kube(printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#)]
#[kube(printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.version"}"#)]
#[kube(printcolumn = r#"{"name":"Request","type":"string","jsonPath":".status.request"}"#)]
#[kube(printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssistantDeploymentSpec {
    /// Product.
    pub product: Product,
    /// Version of the product, X.Y; the highest valid revision of its schema is used. Example: `1.0`.
    #[schemars(length(min = 3, max = 16), regex(pattern = "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)$"))]
    pub version: String,
    /// The person who asks for it. Example: ana@clinic.example.
    #[schemars(length(min = 1, max = 253))]
    pub operator: String,
    /// How the request reached the cluster.
    pub via: Via,
    /// Providers.
    pub providers: ProviderNames,
    /// Credentials by the names that the schema uses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub credentials: BTreeMap<String, CredentialRef>,
    /// Parameters by the names that the schema uses: exactly those, none more, none less.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 2048}))]
    pub parameters: BTreeMap<String, String>,
    /// Nothing new starts while true; the live assistant goes on. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// A demo: webhook paths are bare UUIDs. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub demo: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A public webhook of the assistant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookStatus {
    /// Workflow in the schema.
    #[schemars(length(max = 63))]
    pub workflow: String,
    /// Webhook node.
    #[schemars(length(max = 128))]
    pub node: String,
    /// URL that answers.
    #[schemars(length(max = 768))]
    pub url: String,
}

/// What is observed of an assistant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssistantDeploymentStatus {
    /// Conditions; `Ready` is the summary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generation that the rest was computed from; -1 before the first.
    #[serde(default)]
    pub observed_generation: i64,
    /// Newest ProvisioningRequest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub request: Option<String>,
    /// Its attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt: Option<u32>,
    /// Webhooks that answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub webhooks: Vec<WebhookStatus>,
    /// The audit chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainHead>,
}
