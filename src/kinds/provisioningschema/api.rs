//! ProvisioningSchema: what must be provisioned for one product version, frozen per revision.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::model::call::{Place, Template};
use crate::model::canonical::{self, CanonicalError, Digest};
use crate::model::condition::Condition;
use crate::model::decision::Offer;
use crate::model::journal::TakenDecision;
use crate::model::name::DnsLabel;
use crate::model::record::ChainHead;
use crate::model::resource::{Resource, ours};
use crate::model::rest::RestResource;
use crate::model::step::Step;
use crate::model::time::Time;

/// The resource.
pub static SCHEMA: Resource = ours("ProvisioningSchema", "provisioningschemas", false);
/// Type inside the hashed document.
pub const SCHEMA_TYPE: &str = "mandate.dev/ProvisioningSchema/v1";

/// Products that can be provisioned (000, non-guarantee 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Product {
    /// The voice receptionist.
    #[serde(rename = "recepcionista-ia")]
    RecepcionistaIa,
}

impl std::fmt::Display for Product {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::RecepcionistaIa => "recepcionista-ia",
        })
    }
}

/// A place in a workflow node that takes a tenant's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSubstitution {
    /// Name of the node. Example: `Greet caller`.
    #[schemars(length(min = 1, max = 128))]
    pub node: String,
    /// JSON pointer within the node; it must match exactly one place. Example: `/parameters/url`.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: String,
    /// Source of the value. Example: `parameters.greeting`.
    #[schemars(length(min = 1, max = 256))]
    pub source: String,
}

/// A place in a JSON document that takes a tenant's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Substitution {
    /// JSON pointer; it must match exactly one place.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: String,
    /// Source of the value.
    #[schemars(length(min = 1, max = 256))]
    pub source: String,
}

/// A workflow to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkflowSpec {
    /// Name within the schema. Example: intake.
    pub name: DnsLabel,
    /// Identifier of the template in the workflow provider. Example: `tPlIntake0000001`.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9]+$"))]
    pub template_id: String,
    /// Structural digest of the template, its substituted places and webhook paths replaced by their sources' names.
    pub digest: Digest,
    /// Node types that the template may hold; one that is not listed is refused.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "atomic"))]
    pub node_types: Vec<String>,
    /// Tenant-specific values. Nothing else of the template changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub substitutions: Vec<NodeSubstitution>,
    /// Names of all webhook nodes of the template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "atomic"))]
    pub webhooks: Vec<String>,
}

/// A webhook of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookRef {
    /// Name of the workflow in this schema.
    pub workflow: DnsLabel,
    /// Name of its webhook node.
    #[schemars(length(min = 1, max = 128))]
    pub node: String,
}

/// How the CRM is told about the assistant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrmSpec {
    /// The resource to create.
    pub resource: RestResource,
    /// Body to create it with, as JSON text.
    #[schemars(length(min = 2, max = 16384))]
    pub body: String,
    /// Tenant-specific values in the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub substitutions: Vec<Substitution>,
}

/// Which calendar events go to which webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CalendarSpec {
    /// Event names as the calendar's vendor spells them. Example: `BOOKING_CREATED`.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub triggers: Vec<String>,
    /// Where they go.
    pub webhook: WebhookRef,
}

/// Integrations. Both are part of the product; they are optional here only so that lint can name what is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IntegrationsSpec {
    /// The CRM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crm: Option<CrmSpec>,
    /// The calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarSpec>,
}

/// The voice assistant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VoiceSpec {
    /// Definition as JSON text in the vendor's shape, without name, server and metadata, which the controller sets.
    #[schemars(length(min = 2, max = 65536))]
    pub assistant: String,
    /// Tenant-specific values in the definition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub substitutions: Vec<Substitution>,
    /// Where the assistant's events go.
    pub server: WebhookRef,
}

/// One item that an operator checks before COMPLETED.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationItem {
    /// Name, ticked in the decision. Example: vapi-configuration.
    pub item: DnsLabel,
    /// What to check and how.
    #[schemars(length(min = 1, max = 512))]
    pub check: String,
}

/// What must be provisioned.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "mandate.dev",
    version = "v1alpha1",
    kind = "ProvisioningSchema",
    plural = "provisioningschemas",
    status = "ProvisioningSchemaStatus",
    shortname = "pschema",
    category = "mandate",
    selectable = ".spec.version"
)]
#[kube(printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#)]
#[kube(printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#)]
#[kube(printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.version"}"#)]
#[kube(printcolumn = r#"{"name":"Revision","type":"integer","jsonPath":".spec.revision"}"#)]
#[kube(printcolumn = r#"{"name":"Live","type":"integer","jsonPath":".status.deployments.live"}"#)]
#[kube(printcolumn = r#"{"name":"Current","type":"integer","jsonPath":".status.deployments.current"}"#)]
#[kube(printcolumn = r#"{"name":"Failed","type":"integer","jsonPath":".status.deployments.failed"}"#)]
#[kube(printcolumn = r#"{"name":"Digest","type":"string","jsonPath":".status.digest","priority":1}"#)]
#[kube(printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "spec is immutable: publish a new revision", "reason": "FieldValueForbidden"},
]))]
pub struct ProvisioningSchemaSpec {
    /// Version of the constitution (document 000) that it is written for. Only 1.0 exists.
    #[schemars(length(min = 1, max = 8), regex(pattern = "^[0-9]+\\.[0-9]+$"))]
    pub constitution_version: String,
    /// Product.
    pub product: Product,
    /// Version of the product, X.Y. Example: `1.0`.
    #[schemars(length(min = 3, max = 16), regex(pattern = "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)$"))]
    pub version: String,
    /// Revision of the version, from 1. The highest valid one is current.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub revision: u32,
    /// Workflows to clone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub workflows: Vec<WorkflowSpec>,
    /// CRM and calendar.
    #[serde(default)]
    pub integrations: IntegrationsSpec,
    /// Voice assistant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<VoiceSpec>,
    /// What the operator checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub verification: Vec<VerificationItem>,
    /// The steps, stated for the reader. It must be the fixed order; nothing is configured by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6), extend("x-kubernetes-list-type" = "atomic"))]
    pub order: Vec<Step>,
}

/// How far a revision has come among the live deployments of its version. Each is current, pending or failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentCounts {
    /// Deployments whose live assistant is on any revision of this version.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub live: u32,
    /// Those on this very revision.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub current: u32,
    /// Those that are not on it yet: under way, waiting or suspended.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub pending: u32,
    /// Those that could not be brought to it.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub failed: u32,
}

/// Counts, and when they were last written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Census {
    /// The counts.
    pub counts: DeploymentCounts,
    /// When they were taken: while nothing but counts moves, the next are taken 10 s later.
    pub at: Time,
}

/// The source part of the status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaJournal {
    /// The last census of live deployments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub census: Option<Census>,
    /// Decisions acted upon, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub decisions: Vec<TakenDecision>,
}

impl SchemaJournal {
    fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// What is observed of a schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisioningSchemaStatus {
    /// Conditions; `Ready` is the summary: the schema is complete and contradicts nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generation that the rest was computed from; -1 before the first.
    #[serde(default)]
    pub observed_generation: i64,
    /// Digest of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Live deployments of this version; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployments: Option<DeploymentCounts>,
    /// What a person may decide now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Offer>,
    /// The audit chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainHead>,
    /// Census and decisions: the only part that is not computed.
    #[serde(default, skip_serializing_if = "SchemaJournal::is_empty")]
    pub journal: SchemaJournal,
}

impl ProvisioningSchemaSpec {
    /// Digest of the whole spec with its type inside.
    ///
    /// # Errors
    /// When a text in it cannot be canonicalized.
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        let spec = serde_json::to_value(self).map_err(|error| CanonicalError::Syntax(error.to_string()))?;
        canonical::own(&json!({"@type": SCHEMA_TYPE, "spec": spec})).map(|text| text.digest())
    }

    /// Name that the object must have.
    #[must_use]
    pub fn object_name(&self) -> String {
        format!("{}-{}-r{}", self.product, self.version, self.revision)
    }

    /// What the names of this version's revisions begin with; their number follows.
    #[must_use]
    pub fn revision_prefix(&self) -> String {
        format!("{}-{}-r", self.product, self.version)
    }

    /// All sources that it names.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        let crm = self.integrations.crm.iter().flat_map(|crm| &crm.substitutions);
        let voice = self.voice.iter().flat_map(|voice| &voice.substitutions);
        let nodes = self.workflows.iter().flat_map(|workflow| &workflow.substitutions).map(|place| place.source.as_str());
        nodes.chain(crm.chain(voice).map(|place| place.source.as_str()))
    }
}

impl WorkflowSpec {
    /// The template as adapters take it.
    #[must_use]
    pub fn template(&self) -> Template {
        let place =
            |place: &NodeSubstitution| Place { node: place.node.clone(), pointer: place.pointer.clone(), source: place.source.clone() };
        Template {
            id: self.template_id.clone(),
            digest: self.digest.clone(),
            node_types: self.node_types.clone(),
            places: self.substitutions.iter().map(place).collect(),
            webhooks: self.webhooks.clone(),
        }
    }
}
