//! Provider: an external system, how it is reached, and what is proven of it.

use std::time::Duration;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::call::{ProviderTarget, ProviderType, SecretKey};
use crate::model::condition::Condition;
use crate::model::limits::CALL_DEADLINE;
use crate::model::name::DnsLabel;
use crate::model::record::ChainHead;
use crate::model::resource::{Resource, ours};

/// The resource.
pub static PROVIDER: Resource = ours("Provider", "providers", false);
/// Label on a Secret: the name of the only provider that may read it.
pub const PROVIDER_LABEL: &str = "mandate.dev/provider";
/// Condition: spec, secret and key are present.
pub const CONFIGURED: &str = "Configured";

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connection {
    /// Base URL without query and fragment. Example: `https://n8n.example.com`.
    #[schemars(length(min = 8, max = 512), regex(pattern = "^https?://[^?#\\s]+$"))]
    pub base_url: String,
    /// Deadline of one exchange in seconds. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60))]
    pub timeout_seconds: Option<u32>,
}

/// Where the credential is: in the system namespace, in a Secret labelled `mandate.dev/provider: <name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its data. Example: apiKey.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// How hard it may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Exchanges under way at once. Default: 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub concurrency: Option<u16>,
    /// Exchanges started per minute. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub per_minute: Option<u32>,
}

/// What is wanted of a provider.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "mandate.dev",
    version = "v1alpha1",
    kind = "Provider",
    plural = "providers",
    status = "ProviderStatus",
    category = "mandate"
)]
#[kube(printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#)]
#[kube(printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#)]
#[kube(printcolumn = r#"{"name":"Type","type":"string","jsonPath":".spec.type"}"#)]
#[kube(printcolumn = r#"{"name":"Configured","type":"string","jsonPath":".status.conditions[?(@.type==\"Configured\")].status"}"#)]
#[kube(
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Configured\")].message","priority":1}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderSpec {
    /// Name in the provider API. Example: `openai_codex`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$"))]
    pub provider_id: String,
    /// Type: which protocol it speaks.
    #[serde(rename = "type")]
    pub provider_type: ProviderType,
    /// How it is reached.
    pub connection: Connection,
    /// Its credential; none for an API without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Whether the platform cannot do without it. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// How hard it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Tenants that may use it; all when absent, none when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub allowed_tenants: Option<Vec<DnsLabel>>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What is observed of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderStatus {
    /// Conditions: `Ready` the summary, `Configured`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generation that the rest was computed from; -1 before the first.
    #[serde(default)]
    pub observed_generation: i64,
    /// The audit chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainHead>,
}

impl Provider {
    /// How it is reached.
    #[must_use]
    pub fn target(&self, name: &str) -> ProviderTarget {
        let spec = &self.spec;
        let limits = spec.limits.as_ref();
        ProviderTarget {
            name: name.to_owned(),
            provider_type: spec.provider_type,
            base_url: spec.connection.base_url.trim_end_matches('/').to_owned(),
            secret: spec.secret_ref.as_ref().map(|secret| SecretKey { name: secret.name.clone(), key: secret.key.clone() }),
            timeout: spec.connection.timeout_seconds.map_or(CALL_DEADLINE, |seconds| Duration::from_secs(seconds.into())),
            concurrency: limits.and_then(|limits| limits.concurrency).unwrap_or(8),
            per_minute: limits.and_then(|limits| limits.per_minute).unwrap_or(0),
        }
    }
}
