//! The parts of an assistant outside, and the calls that make, change and remove them: a pure function of the frozen inputs, a
//! schema revision and the results so far.

use serde_json::Value;

use super::provisioningrequest::api::ProvisioningRequestSpec;
use super::provisioningschema::api::{CalendarSpec, CrmSpec, ProvisioningSchemaSpec, Substitution, VoiceSpec, WebhookRef, WorkflowSpec};
use crate::model::call::{Call, IdempotencyKey, KeyedCall, Made, ProviderTarget, WebhookPath};
use crate::model::canonical;
use crate::model::failure::{DECIDE_ANEW, Failure, FailureCode, Repair};
use crate::model::journal::{CallEntry, Journal, undo_name};
use crate::model::name::{webhook_path, webhook_uuid};
use crate::model::source::Source;
use crate::model::step::Step;
use crate::model::time::Time;

/// Longest display name that the voice vendor takes, in characters.
const ASSISTANT_NAME: usize = 40;
/// Name of the call that registers with the CRM.
const CRM: &str = "crm";
/// Name of the call that subscribes to the calendar.
const CALENDAR: &str = "calendar";
/// Name of the call that creates the voice assistant.
const ASSISTANT: &str = "assistant";

/// A call before it has a key: its name within the step, the provider that serves it, and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Name, unique within its step.
    pub name: String,
    /// Name of the Provider.
    pub provider: String,
    /// The call.
    pub call: Call,
}

impl Planned {
    /// The call with its key, under the object with UID `owner`, in the `number`-th try.
    ///
    /// # Errors
    /// The failure of the step when the provider is gone, or a text in the call cannot be canonicalized.
    pub fn keyed(self, owner: &str, step: &str, number: u32, target: Option<&ProviderTarget>) -> Result<KeyedCall, Failure> {
        let Self { name, provider, call } = self;
        let Some(target) = target else {
            let message = format!("Provider {provider} is gone");
            return Err(Failure::human(FailureCode::ProviderUnusable, message, &["Create the Provider again.", DECIDE_ANEW]));
        };
        let unwritable = |error: canonical::CanonicalError| invalid(format!("{name}: {error}"));
        let input = call.input_digest().map_err(unwritable)?;
        let key = IdempotencyKey::new(owner, step, &name, number, &input).map_err(unwritable)?;
        Ok(KeyedCall { name, key, input, call, provider: target.clone(), resumed: false })
    }
}

/// The intent of a call, as it goes into a journal.
#[must_use]
pub fn intent(call: &KeyedCall, number: u32, now: Time) -> CallEntry {
    CallEntry {
        name: call.name.clone(),
        operation: call.call.operation().to_owned(),
        key: call.key.clone(),
        try_number: number,
        provider: call.provider.name.clone(),
        leaves_resource: call.call.leaves_resource(),
        intended_at: now,
        waits: None,
        result: None,
        failure: None,
    }
}

/// Inputs that the schema does not fit.
fn invalid(message: String) -> Failure {
    Failure::human(
        FailureCode::InputsInvalid,
        message,
        &["Correct the AssistantDeployment or publish a corrected schema revision.", DECIDE_ANEW],
    )
}

/// What the calls are made from.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Frozen inputs.
    pub spec: &'a ProvisioningRequestSpec,
    /// The schema revision.
    pub schema: &'a ProvisioningSchemaSpec,
    /// Results so far.
    pub journal: &'a Journal,
}

impl Parts<'_> {
    /// The calls of a step.
    ///
    /// # Errors
    /// The failure of the step when the inputs do not satisfy the schema.
    pub fn of_step(&self, step: Step) -> Result<Vec<Planned>, Failure> {
        match step {
            Step::SchemaInterpretation => Ok(self.interpretation()),
            Step::WorkflowCloning => self.cloning(),
            Step::WebhookAssignment => self.webhooks(),
            Step::IntegrationConfiguration => self.integrations(),
            Step::VapiConfiguration => self.voice().map(|voice| vec![voice]),
            Step::ManualVerification => Ok(Vec::new()),
        }
    }

    /// The call that removes what `entry` made, or may have made.
    ///
    /// # Errors
    /// When the schema does not know of it.
    pub fn undo(&self, entry: &CallEntry) -> Result<Planned, Failure> {
        let made = Made { id: entry.result.as_ref().and_then(|result| result.external_id.clone()), key: entry.key.clone() };
        let call = match entry.name.as_str() {
            CRM => Call::RemoveResource { resource: Box::new(self.crm()?.resource.clone()), made },
            CALENDAR => Call::Unsubscribe { id: made.id, subscriber_url: self.url(&self.calendar()?.webhook)? },
            ASSISTANT => Call::RemoveAssistant { assistant: made },
            _ => Call::RemoveWorkflow { workflow: made },
        };
        Ok(Planned { name: undo_name(&entry.name), provider: entry.provider.clone(), call })
    }

    /// The call that repairs what `entry` has met.
    ///
    /// # Errors
    /// When what it needs to know is not there.
    pub fn repair(&self, repair: Repair, entry: &CallEntry) -> Result<Planned, Failure> {
        let made = Made { id: None, key: entry.key.clone() };
        let call = match repair {
            Repair::CloneAgain => Call::RemoveWorkflow { workflow: made },
            Repair::Reactivate => {
                let workflow = entry.name.strip_prefix("publish/").unwrap_or_default();
                Call::ReactivateWorkflow { workflow_id: self.clone_id(workflow)? }
            }
            Repair::SetServerUrl => Call::SetServerUrl { assistant: made, server_url: self.server_url()? },
        };
        Ok(Planned { name: format!("repair/{}", entry.name), provider: entry.provider.clone(), call })
    }

    /// The calls that bring what was made by the revision `from` to this one, in place.
    ///
    /// # Errors
    /// When this revision changes what cannot be changed in place.
    pub fn update_from(&self, from: &ProvisioningSchemaSpec) -> Result<Vec<Planned>, Failure> {
        if let Some(what) = unpropagable(from, self.schema) {
            let message = format!("{} changes {what}, which cannot be changed in place", self.schema.object_name());
            let steps = ["Publish the change as a new version; `mandate schema lint` says what a revision may change.", DECIDE_ANEW];
            return Err(Failure::human(FailureCode::RevisionNotPropagable, message, &steps));
        }
        let changed = |workflow: &&WorkflowSpec| !from.workflows.contains(*workflow);
        let mut planned =
            self.schema.workflows.iter().filter(changed).map(|workflow| self.update(workflow)).collect::<Result<Vec<_>, _>>()?;
        if self.schema.voice != from.voice {
            planned.push(self.update_voice()?);
        }
        Ok(planned)
    }

    fn update(&self, workflow: &WorkflowSpec) -> Result<Planned, Failure> {
        Ok(Planned {
            name: format!("update/{}", workflow.name),
            provider: self.spec.providers.workflows.clone(),
            call: Call::UpdateWorkflow {
                workflow_id: self.clone_id(workflow.name.as_str())?,
                template: workflow.template(),
                values: self.values(workflow)?,
                webhooks: workflow.webhooks.iter().map(|node| self.webhook(workflow.name.as_str(), node)).collect(),
            },
        })
    }

    fn update_voice(&self) -> Result<Planned, Failure> {
        let made = self.journal.step(Step::VapiConfiguration).and_then(|entry| entry.calls.iter().find(|call| call.name == ASSISTANT));
        let made = made.ok_or_else(|| invalid("the voice assistant was not created".into()))?;
        let assistant = Made { id: made.result.as_ref().and_then(|result| result.external_id.clone()), key: made.key.clone() };
        let (name, definition, server_url) = self.assistant()?;
        Ok(Planned {
            name: "update/assistant".into(),
            provider: self.spec.providers.voice.clone(),
            call: Call::UpdateAssistant { assistant, name, definition, server_url },
        })
    }

    fn values(&self, workflow: &WorkflowSpec) -> Result<Vec<String>, Failure> {
        workflow.substitutions.iter().map(|place| self.value(&place.source)).collect()
    }

    /// The calls that switch the integrations on or off.
    ///
    /// # Errors
    /// When what was made is not known.
    pub fn switch(&self, enabled: bool) -> Result<Vec<Planned>, Failure> {
        let id = |name: &str| {
            let result = self.journal.result(Step::IntegrationConfiguration, name);
            result.and_then(|evidence| evidence.external_id.clone()).ok_or_else(|| invalid(format!("{name} was not configured")))
        };
        let crm = Call::SwitchResource { resource: Box::new(self.crm()?.resource.clone()), id: id(CRM)?, enabled };
        let subscriber_url = self.url(&self.calendar()?.webhook)?;
        let calendar = Call::SwitchSubscription { id: id(CALENDAR)?, subscriber_url, enabled };
        Ok(vec![
            Planned { name: CRM.into(), provider: self.spec.providers.crm.clone(), call: crm },
            Planned { name: CALENDAR.into(), provider: self.spec.providers.calendar.clone(), call: calendar },
        ])
    }

    /// Step 1: every template is read and compared with its pin.
    fn interpretation(&self) -> Vec<Planned> {
        let read = |workflow: &WorkflowSpec| Planned {
            name: format!("template/{}", workflow.name),
            provider: self.spec.providers.workflows.clone(),
            call: Call::ReadTemplate { template: workflow.template() },
        };
        self.schema.workflows.iter().map(read).collect()
    }

    /// Step 2: every workflow is cloned.
    fn cloning(&self) -> Result<Vec<Planned>, Failure> {
        let clone = |workflow: &WorkflowSpec| {
            let values = self.values(workflow)?;
            Ok(Planned {
                name: format!("clone/{}", workflow.name),
                provider: self.spec.providers.workflows.clone(),
                call: Call::CloneWorkflow {
                    template: workflow.template(),
                    label: format!("{} {} {}", self.spec.tenant_name, self.spec.deployment.name, workflow.name),
                    values,
                },
            })
        };
        self.schema.workflows.iter().map(clone).collect()
    }

    /// Step 3: every webhook gets its path.
    fn webhooks(&self) -> Result<Vec<Planned>, Failure> {
        let with_webhooks = self.schema.workflows.iter().filter(|workflow| !workflow.webhooks.is_empty());
        let publish = |workflow: &WorkflowSpec| {
            Ok(Planned {
                name: format!("publish/{}", workflow.name),
                provider: self.spec.providers.workflows.clone(),
                call: Call::PublishWebhooks {
                    workflow_id: self.clone_id(workflow.name.as_str())?,
                    webhooks: workflow.webhooks.iter().map(|node| self.webhook(workflow.name.as_str(), node)).collect(),
                },
            })
        };
        with_webhooks.map(publish).collect()
    }

    fn webhook(&self, workflow: &str, node: &str) -> WebhookPath {
        let spec = self.spec;
        let uuid = webhook_uuid(&spec.deployment.uid, spec.path_attempt, workflow, node);
        WebhookPath { node: node.to_owned(), path: webhook_path(&spec.tenant_name, uuid, spec.demo) }
    }

    /// Step 4: CRM and calendar.
    fn integrations(&self) -> Result<Vec<Planned>, Failure> {
        let (crm, calendar) = (self.crm()?, self.calendar()?);
        let disabled = self.spec.takes_over();
        let crm = Planned {
            name: CRM.into(),
            provider: self.spec.providers.crm.clone(),
            call: Call::CreateResource {
                resource: Box::new(crm.resource.clone()),
                body: self.document(&crm.body, &crm.substitutions)?,
                disabled,
            },
        };
        let calendar = Planned {
            name: CALENDAR.into(),
            provider: self.spec.providers.calendar.clone(),
            call: Call::SubscribeCalendar { subscriber_url: self.url(&calendar.webhook)?, triggers: calendar.triggers.clone(), disabled },
        };
        Ok(vec![crm, calendar])
    }

    /// Step 5: the assistant.
    fn voice(&self) -> Result<Planned, Failure> {
        let (name, definition, server_url) = self.assistant()?;
        Ok(Planned {
            name: ASSISTANT.into(),
            provider: self.spec.providers.voice.clone(),
            call: Call::CreateAssistant { name, definition, server_url },
        })
    }

    /// Display name, definition and server URL of the assistant.
    fn assistant(&self) -> Result<(String, String, String), Failure> {
        let voice = self.voice_spec()?;
        let name = format!("{} {}", self.spec.tenant_name, self.spec.deployment.name);
        let name = name.chars().take(ASSISTANT_NAME).collect::<String>().trim_end().to_owned();
        Ok((name, self.document(&voice.assistant, &voice.substitutions)?, self.server_url()?))
    }

    fn crm(&self) -> Result<&CrmSpec, Failure> {
        self.schema.integrations.crm.as_ref().ok_or_else(|| invalid("the schema defines no CRM".into()))
    }

    fn calendar(&self) -> Result<&CalendarSpec, Failure> {
        self.schema.integrations.calendar.as_ref().ok_or_else(|| invalid("the schema defines no calendar".into()))
    }

    fn voice_spec(&self) -> Result<&VoiceSpec, Failure> {
        self.schema.voice.as_ref().ok_or_else(|| invalid("the schema defines no voice assistant".into()))
    }

    fn server_url(&self) -> Result<String, Failure> {
        self.url(&self.voice_spec()?.server)
    }

    /// The JSON text with each place set to its value, as canonical text.
    fn document(&self, text: &str, substitutions: &[Substitution]) -> Result<String, Failure> {
        let mut document = canonical::parse(text).map_err(|error| invalid(error.to_string()))?;
        for place in substitutions {
            let value = self.value(&place.source)?;
            let target = document.pointer_mut(&place.pointer);
            *target.ok_or_else(|| invalid(format!("substitution of {} matches nothing at {}", place.source, place.pointer)))? =
                Value::String(value);
        }
        canonical::foreign(&document).map(canonical::CanonicalText::into_string).map_err(|error| invalid(error.to_string()))
    }

    fn value(&self, text: &str) -> Result<String, Failure> {
        let spec = self.spec;
        let missing = |what: &str, name: &str| invalid(format!("spec.{what} of the deployment lacks {name}, which the schema asks for"));
        match text.parse::<Source>().map_err(|error| invalid(error.to_string()))? {
            Source::TenantName => Ok(spec.tenant_name.clone()),
            Source::DeploymentName => Ok(spec.deployment.name.clone()),
            Source::Parameter(name) => spec.parameters.get(&name).cloned().ok_or_else(|| missing("parameters", &name)),
            Source::CredentialId(name) => {
                spec.credentials.get(&name).map(|found| found.id.clone()).ok_or_else(|| missing("credentials", &name))
            }
            Source::CredentialName(name) => {
                spec.credentials.get(&name).map(|found| found.name.clone()).ok_or_else(|| missing("credentials", &name))
            }
            Source::WorkflowId(name) => self.clone_id(&name),
            Source::WebhookUrl(workflow, node) => self.published(&workflow, &node),
        }
    }

    fn clone_id(&self, workflow: &str) -> Result<String, Failure> {
        let result = self.journal.result(Step::WorkflowCloning, &format!("clone/{workflow}"));
        let id = result.and_then(|evidence| evidence.external_id.clone());
        id.ok_or_else(|| invalid(format!("workflow {workflow} was not cloned")))
    }

    fn url(&self, webhook: &WebhookRef) -> Result<String, Failure> {
        self.published(webhook.workflow.as_str(), &webhook.node)
    }

    fn published(&self, workflow: &str, node: &str) -> Result<String, Failure> {
        published_url(self.schema, self.journal, workflow, node)
            .ok_or_else(|| invalid(format!("webhook {node:?} of workflow {workflow} was not published")))
    }
}

/// What a revision changes that cannot be changed in place; none when it can reach live assistants as it is.
#[must_use]
pub fn unpropagable(from: &ProvisioningSchemaSpec, to: &ProvisioningSchemaSpec) -> Option<&'static str> {
    let names = |schema: &ProvisioningSchemaSpec| {
        schema.workflows.iter().map(|workflow| (workflow.name.clone(), workflow.webhooks.clone())).collect::<Vec<_>>()
    };
    let server = |schema: &ProvisioningSchemaSpec| schema.voice.as_ref().map(|voice| voice.server.clone());
    if names(from) != names(to) {
        return Some("the workflows or their webhooks");
    }
    if from.integrations != to.integrations {
        return Some("the integrations");
    }
    (server(from) != server(to)).then_some("the webhook of the voice assistant")
}

/// URL of a webhook once it answers.
#[must_use]
pub fn published_url(schema: &ProvisioningSchemaSpec, journal: &Journal, workflow: &str, node: &str) -> Option<String> {
    let index = schema.workflows.iter().find(|known| known.name.as_str() == workflow)?.webhooks.iter().position(|known| known == node)?;
    journal.result(Step::WebhookAssignment, &format!("publish/{workflow}"))?.urls.get(index).cloned()
}
