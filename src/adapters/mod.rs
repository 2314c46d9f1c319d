//! External systems behind [`Backends`].
//!
//! Every operation has one shape: look the effect up by its key, create it if it is absent, complete it if it is half made,
//! read it back. Changing and removing have it too: look, do what is not so yet, read back; only to what carries our key. What is looked for after an unknown outcome is looked for until the system's consistency window has passed.
//! Redirects, proxies and repetitions do not exist here; when to come back is the loop's business.

mod calcom;
pub mod cloudevents;
mod ensure;
mod faults;
mod limits;
mod n8n;
mod page;
mod remove;
mod reply;
mod rest;
mod session;
pub mod transport;
mod url;
mod vapi;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::engine::outcome::Outcome;
use crate::engine::port::{Backends, Clock, SecretError, SecretValue, Secrets};
use crate::model::call::{Call, IdempotencyKey, KeyedCall, ProviderType};
use crate::model::journal::Evidence;
use faults::{Passing, Refusal};
use limits::Limits;
use session::{Known, Session};
use transport::Transport;

pub use faults::{Classified, FaultRow, WriteEffect, faults};
pub use page::failures_page;

/// All adapters over one transport.
pub struct Adapters {
    transport: Arc<dyn Transport>,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

impl Adapters {
    /// Adapters that send through `transport` and read credentials from `secrets` for every call anew, so that a rotated
    /// secret is used at once.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, secrets: Arc<dyn Secrets>, clock: Arc<dyn Clock>) -> Self {
        Self { transport, secrets, clock, limits: Limits::default() }
    }

    async fn ensure(&self, call: &KeyedCall) -> Known<Evidence> {
        let speaker = speaker(&call.call);
        let provider = &call.provider;
        if provider.provider_type != speaker {
            let message =
                format!("provider {} is of type {}, {} needs {speaker}", provider.name, provider.provider_type, call.call.operation());
            return Err(faults::refused(Refusal::ProviderUnusable, call, &provider.name, message));
        }
        let secret = self.secret(call).await?;
        let doors = (self.transport.as_ref(), self.clock.as_ref(), self.limits.of(provider));
        let mut session = Session::begin(call, doors, secret, window(speaker))?;
        let session = &mut session;
        match &call.call {
            Call::ReadTemplate { template } => n8n::read_template(session, template).await,
            Call::CloneWorkflow { template, label, values } => n8n::clone_workflow(session, template, label, values).await,
            Call::PublishWebhooks { workflow_id, webhooks } => n8n::publish_webhooks(session, workflow_id, webhooks).await,
            Call::CreateResource { resource, body, disabled } => rest::create_resource(session, resource, body, *disabled).await,
            Call::SubscribeCalendar { subscriber_url, triggers, disabled } => {
                calcom::subscribe(session, subscriber_url, triggers, !disabled).await
            }
            Call::CreateAssistant { name, definition, server_url } => vapi::create_assistant(session, name, definition, server_url).await,
            Call::ReactivateWorkflow { workflow_id } => n8n::reactivate_workflow(session, workflow_id).await,
            Call::SetServerUrl { assistant, server_url } => vapi::set_server_url(session, assistant, server_url).await,
            Call::UpdateWorkflow { workflow_id, template, values, webhooks } => {
                n8n::update_workflow(session, workflow_id, template, values, webhooks).await
            }
            Call::UpdateAssistant { assistant, name, definition, server_url } => {
                vapi::update_assistant(session, assistant, name, definition, server_url).await
            }
            Call::SwitchResource { resource, id, enabled } => rest::switch_resource(session, resource, id, *enabled).await,
            Call::SwitchSubscription { id, subscriber_url, enabled } => calcom::switch(session, id, subscriber_url, *enabled).await,
            Call::RemoveWorkflow { workflow } => n8n::remove_workflow(session, workflow).await,
            Call::RemoveResource { resource, made } => rest::remove_resource(session, resource, made).await,
            Call::Unsubscribe { id, subscriber_url } => calcom::unsubscribe(session, id.as_deref(), subscriber_url).await,
            Call::RemoveAssistant { assistant } => vapi::remove_assistant(session, assistant).await,
        }
    }

    async fn secret(&self, call: &KeyedCall) -> Known<Option<SecretValue>> {
        let provider = &call.provider.name;
        let Some(key) = &call.provider.secret else { return Ok(None) };
        match self.secrets.secret(provider, key).await {
            Ok(value) => Ok(Some(value)),
            Err(SecretError::Missing(message)) => Err(faults::refused(Refusal::SecretMissing, call, &key.name, message)),
            Err(error @ SecretError::World(_)) => Err(faults::no_effect(Passing::SecretUnreadable, &error.to_string(), None)),
        }
    }
}

#[async_trait]
impl Backends for Adapters {
    async fn perform(&self, call: &KeyedCall) -> Outcome {
        match self.ensure(call).await {
            Ok(evidence) => Outcome::Done(evidence),
            Err(outcome) => outcome,
        }
    }
}

/// The type of provider that has the operation.
fn speaker(call: &Call) -> ProviderType {
    match call {
        Call::ReadTemplate { .. }
        | Call::CloneWorkflow { .. }
        | Call::PublishWebhooks { .. }
        | Call::ReactivateWorkflow { .. }
        | Call::UpdateWorkflow { .. }
        | Call::RemoveWorkflow { .. } => ProviderType::N8n,
        Call::CreateResource { .. } | Call::SwitchResource { .. } | Call::RemoveResource { .. } => ProviderType::Http,
        Call::SubscribeCalendar { .. } | Call::SwitchSubscription { .. } | Call::Unsubscribe { .. } => ProviderType::Calcom,
        Call::CreateAssistant { .. } | Call::SetServerUrl { .. } | Call::UpdateAssistant { .. } | Call::RemoveAssistant { .. } => {
            ProviderType::Vapi
        }
    }
}

/// The key that what the call is about carries: that of the call which made it, where it is another.
fn carried_key(call: &KeyedCall) -> &IdempotencyKey {
    match &call.call {
        Call::SetServerUrl { assistant: made, .. }
        | Call::UpdateAssistant { assistant: made, .. }
        | Call::RemoveWorkflow { workflow: made }
        | Call::RemoveResource { made, .. }
        | Call::RemoveAssistant { assistant: made } => &made.key,
        Call::ReadTemplate { .. }
        | Call::CloneWorkflow { .. }
        | Call::PublishWebhooks { .. }
        | Call::CreateResource { .. }
        | Call::SubscribeCalendar { .. }
        | Call::CreateAssistant { .. }
        | Call::ReactivateWorkflow { .. }
        | Call::UpdateWorkflow { .. }
        | Call::SwitchResource { .. }
        | Call::SwitchSubscription { .. }
        | Call::Unsubscribe { .. } => &call.key,
    }
}

/// How long after a write a system may not show what it holds, and how long a request that was given up on may still act.
fn window(provider: ProviderType) -> Duration {
    match provider {
        // Both answer from the one database that they write to; the time is for a request still under way.
        ProviderType::N8n | ProviderType::Calcom => Duration::from_secs(2),
        // A hosted API that promises nothing about its list.
        ProviderType::Vapi => Duration::from_secs(5),
        // Nothing is known of it.
        ProviderType::Http => Duration::from_secs(5),
    }
}
