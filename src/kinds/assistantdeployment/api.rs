//! AssistantDeployment: one assistant that a tenant shall have.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::provisioningrequest::api::SchemaPin;
use crate::kinds::provisioningschema::api::Product;
use crate::model::condition::Condition;
use crate::model::decision::{Offer, Via};
use crate::model::failure::Failure;
use crate::model::journal::{CallEntry, Calls, GroupMut, StepEntry, TakenDecision};
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
    /// The schema revision that the live assistant is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaPin>,
    /// The audit chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainHead>,
    /// What a person may decide now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Offer>,
    /// Cutover and propagation: the only part that is not computed.
    #[serde(default, skip_serializing_if = "DeploymentJournal::is_empty")]
    pub journal: DeploymentJournal,
}

/// One request, of the deployment's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRef {
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID.
    #[schemars(length(max = 36))]
    pub uid: String,
}

/// A step of a cutover, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum CutoverStep {
    /// The new assistant's integrations are switched on.
    EnableNew,
    /// The old assistant's integrations are switched off.
    DisableOld,
}

/// A verified update takes over. What the old assistant was made of is then removed by its own request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cutover {
    /// Who served before; none when nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RequestRef>,
    /// Who serves from now on.
    pub to: RequestRef,
    /// Steps begun so far.
    #[schemars(length(max = 2))]
    pub steps: Vec<StepEntry<CutoverStep>>,
}

impl Cutover {
    /// Why it failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.steps.iter().find_map(StepEntry::failure)
    }

    /// Whether both steps are recorded done.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        self.steps.iter().any(|entry| entry.step == CutoverStep::DisableOld && entry.done_at.is_some())
    }
}

/// The step of a propagation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PropagationStep {
    /// Workflows and assistant are brought to the newer revision in place.
    UpdateInPlace,
}

/// A higher revision of the version reaches the live assistant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Propagation {
    /// Whose parts are updated.
    pub request: RequestRef,
    /// Revision before.
    pub from: SchemaPin,
    /// Revision afterwards.
    pub to: SchemaPin,
    /// The step, once it has begun.
    #[schemars(length(max = 1))]
    pub steps: Vec<StepEntry<PropagationStep>>,
}

impl Propagation {
    /// Whether it is recorded done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.steps.iter().any(|entry| entry.done_at.is_some())
    }

    /// Why it failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.steps.iter().find_map(StepEntry::failure)
    }
}

/// Intents and results of a deployment's own calls, and decisions on them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentJournal {
    /// The newest cutover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutover: Option<Cutover>,
    /// The newest propagation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Propagation>,
    /// Decisions acted upon, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub decisions: Vec<TakenDecision>,
}

impl DeploymentJournal {
    fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

impl Calls for DeploymentJournal {
    fn calls(&self) -> Vec<&CallEntry> {
        let cutover = self.cutover.iter().flat_map(|cutover| &cutover.steps).flat_map(StepEntry::all_calls);
        let propagation = self.propagation.iter().flat_map(|propagation| &propagation.steps).flat_map(StepEntry::all_calls);
        cutover.chain(propagation).collect()
    }

    fn groups_mut(&mut self) -> Vec<GroupMut<'_>> {
        let cutover = self.cutover.iter_mut().flat_map(|cutover| &mut cutover.steps).flat_map(StepEntry::groups_mut);
        let propagation = self.propagation.iter_mut().flat_map(|propagation| &mut propagation.steps).flat_map(StepEntry::groups_mut);
        cutover.chain(propagation).collect()
    }
}
