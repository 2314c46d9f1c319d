//! ProvisioningRequest: one attempt to provision an assistant, with its frozen inputs and its journal.

use std::collections::BTreeMap;
use std::fmt;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::kinds::assistantdeployment::api::{CredentialRef, ProviderNames, WebhookStatus};
use crate::kinds::provisioningschema::api::Product;
use crate::model::canonical::{self, CanonicalError, Digest};
use crate::model::condition::Condition;
use crate::model::decision::{Offer, Via};
use crate::model::journal::Journal;
use crate::model::record::ChainHead;
use crate::model::resource::{Resource, ours};
use crate::model::step::Step;

/// The resource.
pub static REQUEST: Resource = ours("ProvisioningRequest", "provisioningrequests", true);
/// Type inside the hashed document.
pub const REQUEST_TYPE: &str = "mandate.dev/ProvisioningRequest/v1";

/// The schema revision that a request is pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchemaPin {
    /// Name of the ProvisioningSchema.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Digest of its spec.
    pub digest: Digest,
}

/// The deployment that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeploymentRef {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// UID.
    #[schemars(length(min = 1, max = 36))]
    pub uid: String,
}

/// Why a request was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RequestReason {
    /// The first for its deployment.
    Initial,
    /// After a failure, by an operator's decision.
    Retry,
    /// The deployment's spec changed.
    Update,
}

/// The canonical object of document 000: inputs that never change.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "mandate.dev",
    version = "v1alpha1",
    kind = "ProvisioningRequest",
    plural = "provisioningrequests",
    namespaced,
    status = "ProvisioningRequestStatus",
    shortname = "preq",
    category = "mandate"
)]
#[kube(printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#)]
#[kube(printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#)]
#[kube(printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#)]
#[kube(printcolumn = r#"{"name":"Attempt","type":"integer","jsonPath":".spec.attempt"}"#)]
#[kube(printcolumn = r#"{"name":"Evidence","type":"string","jsonPath":".status.decision.hash","priority":1}"#)]
#[kube(printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "spec is immutable: the inputs of a request never change", "reason": "FieldValueForbidden"},
]))]
pub struct ProvisioningRequestSpec {
    /// The deployment that it is for.
    pub deployment: DeploymentRef,
    /// Tenant.
    #[schemars(length(min = 1, max = 63))]
    pub tenant_name: String,
    /// Product.
    pub product_type: Product,
    /// Version of the product.
    #[schemars(length(min = 3, max = 16))]
    pub version: String,
    /// The pinned schema revision.
    pub schema_ref: SchemaPin,
    /// The person who asked for it.
    #[schemars(length(min = 1, max = 253))]
    pub operator: String,
    /// How that reached the cluster.
    pub via: Via,
    /// Number of the attempt, from 1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt: u32,
    /// Attempt that the webhook paths are derived from: retries keep those of the attempt they repeat.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub path_attempt: u32,
    /// Why it was made.
    pub reason: RequestReason,
    /// Whether the assistant is a demo.
    pub demo: bool,
    /// Providers.
    pub providers: ProviderNames,
    /// Credentials by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub credentials: BTreeMap<String, CredentialRef>,
    /// Parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 2048}))]
    pub parameters: BTreeMap<String, String>,
}

/// States of document 000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Nothing was done yet.
    #[default]
    Pending,
    /// Step 1.
    SchemaInterpreting,
    /// Step 2.
    WorkflowsCloning,
    /// Step 3.
    WebhooksAssigning,
    /// Step 4.
    IntegrationsConfiguring,
    /// Step 5.
    VapiConfiguring,
    /// Step 6: waits for an operator.
    ManualVerification,
    /// Was provisioned and verified.
    Completed,
    /// Halted; nothing automatic leaves it.
    Failed,
    /// What was left outside is being removed, by an operator's decision.
    RollingBack,
    /// Nothing is left outside, which an operator has confirmed.
    RolledBack,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pending => "PENDING",
            Self::SchemaInterpreting => "SCHEMA_INTERPRETING",
            Self::WorkflowsCloning => "WORKFLOWS_CLONING",
            Self::WebhooksAssigning => "WEBHOOKS_ASSIGNING",
            Self::IntegrationsConfiguring => "INTEGRATIONS_CONFIGURING",
            Self::VapiConfiguring => "VAPI_CONFIGURING",
            Self::ManualVerification => "MANUAL_VERIFICATION",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::RollingBack => "ROLLING_BACK",
            Self::RolledBack => "ROLLED_BACK",
        })
    }
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Progress {
    /// Not begun.
    Pending,
    /// Begun.
    Running,
    /// Done.
    Done,
    /// Failed.
    Failed,
}

/// One step as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Step.
    pub step: Step,
    /// How far it is.
    pub progress: Progress,
}

/// What is observed of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisioningRequestStatus {
    /// Conditions; `Ready` is the summary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generation that the rest was computed from; -1 before the first.
    #[serde(default)]
    pub observed_generation: i64,
    /// State.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The six steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub steps: Vec<StepStatus>,
    /// Webhooks that answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub webhooks: Vec<WebhookStatus>,
    /// What a person may decide now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Offer>,
    /// The audit chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainHead>,
    /// Intents, results, decisions: the only part that is not computed.
    #[serde(default)]
    pub journal: Journal,
}

/// Name of an attempt's request.
#[must_use]
pub fn request_name(deployment: &str, attempt: u32) -> String {
    format!("{deployment}-{attempt}")
}

impl ProvisioningRequestSpec {
    /// Whether it takes over from an assistant that serves already, once it is verified: an update, or the retry of one.
    #[must_use]
    pub fn takes_over(&self) -> bool {
        self.path_attempt > 1
    }

    /// Digest of the frozen inputs with their type inside.
    ///
    /// # Errors
    /// When a text in it cannot be canonicalized.
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        let spec = serde_json::to_value(self).map_err(|error| CanonicalError::Syntax(error.to_string()))?;
        canonical::own(&json!({"@type": REQUEST_TYPE, "spec": spec})).map(|text| text.digest())
    }
}
