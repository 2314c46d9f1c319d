//! The closed set of calls to external systems, each with its class.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::canonical::{self, CanonicalError, Digest};
use super::rest::RestResource;

/// What makes a repeated call harmless (design section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CallClass {
    /// Repeating it changes nothing: a read, or a write that the server dedupes.
    Idempotent,
    /// The server enforces a unique name.
    Named,
    /// Found again by our key in its name or metadata, once its consistency window has passed.
    Observable,
    /// Cannot be found again: after an unknown outcome a person must look.
    Opaque,
}

/// Key of one external effect: SHA-256 over what was asked for, by whom, in which step and try.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct IdempotencyKey(Digest);

impl IdempotencyKey {
    /// `sha256(JCS{requestUid, step, call, try, inputDigest})`.
    ///
    /// # Errors
    /// None in practice: the document holds strings and one small integer.
    pub fn new(request_uid: &str, step: &str, call: &str, attempt: u32, input: &Digest) -> Result<Self, CanonicalError> {
        let document = json!({"requestUid": request_uid, "step": step, "call": call, "try": attempt, "inputDigest": input.as_str()});
        canonical::own(&document).map(|text| Self(text.digest()))
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.0
    }

    /// 32 hexadecimal digits (128 bits): the form that goes into names and metadata of external resources.
    #[must_use]
    pub fn mark(&self) -> &str {
        self.0.short(32)
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A place in a workflow document and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Name of the node.
    pub node: String,
    /// JSON pointer within the node.
    pub pointer: String,
    /// Source, as written in the schema.
    pub source: String,
}

/// A webhook node and the path it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookPath {
    /// Name of the node.
    pub node: String,
    /// Path below the provider's `/webhook/`.
    pub path: String,
}

/// A workflow template as a schema pins it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Identifier in the workflow provider.
    pub id: String,
    /// Pinned structural digest.
    pub digest: Digest,
    /// Node types that it may hold.
    pub node_types: Vec<String>,
    /// Places that are substituted.
    pub places: Vec<Place>,
    /// Names of the webhook nodes.
    pub webhooks: Vec<String>,
}

/// One call to an external system, complete but for the provider's address and secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all_fields = "camelCase")]
pub enum Call {
    /// Reads a template and checks it against its pin.
    ReadTemplate {
        /// What must be found.
        template: Template,
    },
    /// Creates a workflow from a template.
    CloneWorkflow {
        /// The template.
        template: Template,
        /// Human part of the clone's name; our key is added to it.
        label: String,
        /// Values of the places, in the order of `template.places`.
        values: Vec<String>,
    },
    /// Gives a workflow its webhook paths and activates it.
    PublishWebhooks {
        /// Identifier of the workflow.
        workflow_id: String,
        /// All its webhook nodes.
        webhooks: Vec<WebhookPath>,
    },
    /// Creates a declared REST resource.
    CreateResource {
        /// How.
        resource: Box<RestResource>,
        /// Body with its substitutions made, as canonical text, still without our key.
        body: String,
        /// It is switched off as soon as it exists, where the schema declares how.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        disabled: bool,
    },
    /// Subscribes a URL to calendar events.
    SubscribeCalendar {
        /// Where events go; unique per calendar account.
        subscriber_url: String,
        /// Event names.
        triggers: Vec<String>,
        /// It is made switched off.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        disabled: bool,
    },
    /// Creates a voice assistant.
    CreateAssistant {
        /// Display name, at most 40 characters.
        name: String,
        /// Definition with its substitutions made, as canonical text.
        definition: String,
        /// Where the assistant's events go.
        server_url: String,
    },
    /// Deactivates and activates a workflow.
    ReactivateWorkflow {
        /// Identifier of the workflow.
        workflow_id: String,
    },
    /// Gives an assistant its server URL.
    SetServerUrl {
        /// The assistant.
        assistant: Made,
        /// Where its events go.
        server_url: String,
    },
    /// Replaces what a clone holds by a newer template. Its webhook paths stay, it stays active.
    UpdateWorkflow {
        /// Identifier of the clone.
        workflow_id: String,
        /// The newer template.
        template: Template,
        /// Values of the places, in the order of `template.places`.
        values: Vec<String>,
        /// All its webhook nodes.
        webhooks: Vec<WebhookPath>,
    },
    /// Replaces an assistant's definition.
    UpdateAssistant {
        /// The assistant.
        assistant: Made,
        /// Display name, at most 40 characters.
        name: String,
        /// Definition with its substitutions made, as canonical text.
        definition: String,
        /// Where the assistant's events go.
        server_url: String,
    },
    /// Switches a declared REST resource on or off, where the schema declares how.
    SwitchResource {
        /// How.
        resource: Box<RestResource>,
        /// Identifier of the resource.
        id: String,
        /// On or off.
        enabled: bool,
    },
    /// Switches a calendar subscription on or off.
    SwitchSubscription {
        /// Identifier of the subscription.
        id: String,
        /// Where events go.
        subscriber_url: String,
        /// On or off.
        enabled: bool,
    },
    /// Removes a workflow. One that is gone counts as removed.
    RemoveWorkflow {
        /// The workflow.
        workflow: Made,
    },
    /// Removes a declared REST resource. One that is gone counts as removed.
    RemoveResource {
        /// How.
        resource: Box<RestResource>,
        /// The resource.
        made: Made,
    },
    /// Removes a calendar subscription. One that is gone counts as removed.
    Unsubscribe {
        /// Identifier, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Where its events go: by that it is found.
        subscriber_url: String,
    },
    /// Removes a voice assistant. One that is gone counts as removed.
    RemoveAssistant {
        /// The assistant.
        assistant: Made,
    },
}

/// What an earlier call made, or may have made: its identifier if a result told it, and the key that it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Identifier; none when the outcome of the call that made it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Key of the call that made it.
    pub key: IdempotencyKey,
}

impl Call {
    /// Its class. What changes or removes a thing by its identifier or key may be repeated.
    #[must_use]
    pub fn class(&self) -> CallClass {
        match self {
            Self::ReadTemplate { .. }
            | Self::PublishWebhooks { .. }
            | Self::ReactivateWorkflow { .. }
            | Self::SetServerUrl { .. }
            | Self::UpdateWorkflow { .. }
            | Self::UpdateAssistant { .. }
            | Self::SwitchResource { .. }
            | Self::SwitchSubscription { .. }
            | Self::RemoveWorkflow { .. }
            | Self::RemoveResource { .. }
            | Self::Unsubscribe { .. }
            | Self::RemoveAssistant { .. } => CallClass::Idempotent,
            Self::CloneWorkflow { .. } | Self::CreateAssistant { .. } => CallClass::Observable,
            Self::SubscribeCalendar { .. } => CallClass::Named,
            Self::CreateResource { resource, .. } if resource.lookup.is_some() => CallClass::Observable,
            Self::CreateResource { .. } => CallClass::Opaque,
        }
    }

    /// Digest of everything it would send, address and secret apart.
    ///
    /// # Errors
    /// When a text in it cannot be canonicalized.
    pub fn input_digest(&self) -> Result<Digest, CanonicalError> {
        let document = serde_json::to_value(self).map_err(|error| CanonicalError::Syntax(error.to_string()))?;
        canonical::own(&document).map(|text| text.digest())
    }

    /// Name of the operation.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Self::ReadTemplate { .. } => "ReadTemplate",
            Self::CloneWorkflow { .. } => "CloneWorkflow",
            Self::PublishWebhooks { .. } => "PublishWebhooks",
            Self::CreateResource { .. } => "CreateResource",
            Self::SubscribeCalendar { .. } => "SubscribeCalendar",
            Self::CreateAssistant { .. } => "CreateAssistant",
            Self::ReactivateWorkflow { .. } => "ReactivateWorkflow",
            Self::SetServerUrl { .. } => "SetServerUrl",
            Self::UpdateWorkflow { .. } => "UpdateWorkflow",
            Self::UpdateAssistant { .. } => "UpdateAssistant",
            Self::SwitchResource { .. } => "SwitchResource",
            Self::SwitchSubscription { .. } => "SwitchSubscription",
            Self::RemoveWorkflow { .. } => "RemoveWorkflow",
            Self::RemoveResource { .. } => "RemoveResource",
            Self::Unsubscribe { .. } => "Unsubscribe",
            Self::RemoveAssistant { .. } => "RemoveAssistant",
        }
    }

    /// Whether it leaves something outside that has to be removed one day.
    #[must_use]
    pub fn leaves_resource(&self) -> bool {
        match self {
            Self::CloneWorkflow { .. } | Self::CreateResource { .. } | Self::SubscribeCalendar { .. } | Self::CreateAssistant { .. } => {
                true
            }
            Self::ReadTemplate { .. }
            | Self::PublishWebhooks { .. }
            | Self::ReactivateWorkflow { .. }
            | Self::SetServerUrl { .. }
            | Self::UpdateWorkflow { .. }
            | Self::UpdateAssistant { .. }
            | Self::SwitchResource { .. }
            | Self::SwitchSubscription { .. }
            | Self::RemoveWorkflow { .. }
            | Self::RemoveResource { .. }
            | Self::Unsubscribe { .. }
            | Self::RemoveAssistant { .. } => false,
        }
    }
}

/// Types of providers that the first wave can talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderType {
    /// n8n, public API v1.
    N8n,
    /// VAPI.
    Vapi,
    /// Cal.com, API v2.
    Calcom,
    /// Any REST API, its resources declared in the schema.
    Http,
}

impl fmt::Display for ProviderType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::N8n => "n8n",
            Self::Vapi => "vapi",
            Self::Calcom => "calcom",
            Self::Http => "http",
        })
    }
}

/// Address and credentials of a provider, as its object states them. Never part of a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderTarget {
    /// Name of the Provider object.
    pub name: String,
    /// Type.
    pub provider_type: ProviderType,
    /// Base URL without trailing slash.
    pub base_url: String,
    /// Secret and key in the system namespace; none for an API without credentials.
    pub secret: Option<SecretKey>,
    /// Deadline of one HTTP exchange.
    pub timeout: std::time::Duration,
    /// Exchanges under way at once, at most.
    pub concurrency: u16,
    /// Exchanges started per minute, at most; 0 means unlimited.
    pub per_minute: u32,
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretKey {
    /// Name of the Secret.
    pub name: String,
    /// Key in its data.
    pub key: String,
}

/// A call with its key, its provider and whether it may have been sent before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedCall {
    /// Name within the step, unique there: `clone/intake`.
    pub name: String,
    /// Key of the effect.
    pub key: IdempotencyKey,
    /// Digest of the inputs that the key covers.
    pub input: Digest,
    /// The call.
    pub call: Call,
    /// Whom to ask.
    pub provider: ProviderTarget,
    /// The intent is older than this pass: the effect may exist although no result is recorded.
    pub resumed: bool,
}
