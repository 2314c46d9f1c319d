//! The calls of each step: a pure function of the frozen inputs, the pinned schema and the results so far.

use serde_json::Value;

use super::api::{ProvisioningRequest, ProvisioningRequestSpec};
use super::facts::Facts;
use crate::kinds::provisioningschema::api::{ProvisioningSchemaSpec, Substitution, WebhookRef, WorkflowSpec};
use crate::model::call::{Call, IdempotencyKey, KeyedCall, WebhookPath};
use crate::model::canonical;
use crate::model::failure::{Failure, FailureCode};
use crate::model::journal::Journal;
use crate::model::name::{webhook_path, webhook_uuid};
use crate::model::source::Source;
use crate::model::step::Step;

/// Longest display name that the voice vendor takes, in characters.
const ASSISTANT_NAME: usize = 40;

/// A call before it has a key: its name within the step, the part that serves it, and what it does.
struct Planned {
    name: String,
    provider: String,
    call: Call,
}

/// The keyed calls of a step.
///
/// # Errors
/// The failure of the step when its inputs do not satisfy the schema or a provider is gone.
pub fn of_step(step: Step, request: &ProvisioningRequest, facts: &Facts, journal: &Journal) -> Result<Vec<KeyedCall>, Failure> {
    let spec = &request.spec;
    let schema = pinned(spec, facts)?;
    let inputs = Inputs { request, schema, journal };
    let planned = match step {
        Step::SchemaInterpretation => inputs.interpretation(),
        Step::WorkflowCloning => inputs.cloning()?,
        Step::WebhookAssignment => inputs.webhooks()?,
        Step::IntegrationConfiguration => inputs.integrations()?,
        Step::VapiConfiguration => vec![inputs.voice()?],
        Step::ManualVerification => Vec::new(),
    };
    let uid = request.metadata.uid.as_deref().unwrap_or_default();
    planned.into_iter().map(|planned| keyed(planned, step, uid, facts)).collect()
}

fn pinned<'a>(spec: &ProvisioningRequestSpec, facts: &'a Facts) -> Result<&'a ProvisioningSchemaSpec, Failure> {
    let pin = &spec.schema_ref;
    let schema = facts.schema.as_ref().filter(|schema| schema.digest.as_ref() == Some(&pin.digest));
    schema.map(|schema| &schema.spec).ok_or_else(|| {
        let message = format!("ProvisioningSchema {} with digest {} is gone", pin.name, pin.digest);
        Failure::human(
            FailureCode::InputsChanged,
            message,
            &["create the schema again exactly as it was, from git", "then decide on a retry"],
        )
    })
}

fn keyed(planned: Planned, step: Step, uid: &str, facts: &Facts) -> Result<KeyedCall, Failure> {
    let Planned { name, provider, call } = planned;
    let Some(found) = facts.providers.get(&provider) else {
        let message = format!("Provider {provider} is gone");
        return Err(Failure::human(FailureCode::ProviderUnusable, message, &["create the Provider again", "then decide on a retry"]));
    };
    let unwritable = |error: canonical::CanonicalError| invalid(format!("{name}: {error}"));
    let input = call.input_digest().map_err(unwritable)?;
    let key = IdempotencyKey::new(uid, step.name(), &name, 1, &input).map_err(unwritable)?;
    Ok(KeyedCall { name, key, input, call, provider: found.target.clone(), resumed: false })
}

fn invalid(message: String) -> Failure {
    Failure::human(
        FailureCode::InputsInvalid,
        message,
        &["correct the AssistantDeployment or publish a corrected schema revision", "then decide on a retry"],
    )
}

/// What the calls are made from.
struct Inputs<'a> {
    request: &'a ProvisioningRequest,
    schema: &'a ProvisioningSchemaSpec,
    journal: &'a Journal,
}

impl Inputs<'_> {
    fn spec(&self) -> &ProvisioningRequestSpec {
        &self.request.spec
    }

    /// Step 1: every template is read and compared with its pin.
    fn interpretation(&self) -> Vec<Planned> {
        let read = |workflow: &WorkflowSpec| Planned {
            name: format!("template/{}", workflow.name),
            provider: self.spec().providers.workflows.clone(),
            call: Call::ReadTemplate { template: workflow.template() },
        };
        self.schema.workflows.iter().map(read).collect()
    }

    /// Step 2: every workflow is cloned.
    fn cloning(&self) -> Result<Vec<Planned>, Failure> {
        let clone = |workflow: &WorkflowSpec| {
            let values = workflow.substitutions.iter().map(|place| self.value(&place.source)).collect::<Result<_, _>>()?;
            Ok(Planned {
                name: format!("clone/{}", workflow.name),
                provider: self.spec().providers.workflows.clone(),
                call: Call::CloneWorkflow {
                    template: workflow.template(),
                    label: format!("{} {} {}", self.spec().tenant_name, self.spec().deployment.name, workflow.name),
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
                provider: self.spec().providers.workflows.clone(),
                call: Call::PublishWebhooks {
                    workflow_id: self.clone_id(workflow.name.as_str())?,
                    webhooks: workflow.webhooks.iter().map(|node| self.webhook(workflow.name.as_str(), node)).collect(),
                },
            })
        };
        with_webhooks.map(publish).collect()
    }

    fn webhook(&self, workflow: &str, node: &str) -> WebhookPath {
        let spec = self.spec();
        let uuid = webhook_uuid(&spec.deployment.uid, spec.path_attempt, workflow, node);
        WebhookPath { node: node.to_owned(), path: webhook_path(&spec.tenant_name, uuid, spec.demo) }
    }

    /// Step 4: CRM and calendar.
    fn integrations(&self) -> Result<Vec<Planned>, Failure> {
        let (Some(crm), Some(calendar)) = (&self.schema.integrations.crm, &self.schema.integrations.calendar) else {
            return Err(invalid("the schema defines no CRM or no calendar".into()));
        };
        let crm = Planned {
            name: "crm".into(),
            provider: self.spec().providers.crm.clone(),
            call: Call::CreateResource {
                resource: Box::new(crm.resource.clone()),
                body: self.document(&crm.body, &crm.substitutions)?,
                disabled: false,
            },
        };
        let calendar = Planned {
            name: "calendar".into(),
            provider: self.spec().providers.calendar.clone(),
            call: Call::SubscribeCalendar {
                subscriber_url: self.url(&calendar.webhook)?,
                triggers: calendar.triggers.clone(),
                disabled: false,
            },
        };
        Ok(vec![crm, calendar])
    }

    /// Step 5: the assistant.
    fn voice(&self) -> Result<Planned, Failure> {
        let Some(voice) = &self.schema.voice else { return Err(invalid("the schema defines no voice assistant".into())) };
        let name = format!("{} {}", self.spec().tenant_name, self.spec().deployment.name);
        Ok(Planned {
            name: "assistant".into(),
            provider: self.spec().providers.voice.clone(),
            call: Call::CreateAssistant {
                name: name.chars().take(ASSISTANT_NAME).collect::<String>().trim_end().to_owned(),
                definition: self.document(&voice.assistant, &voice.substitutions)?,
                server_url: self.url(&voice.server)?,
            },
        })
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
        let spec = self.spec();
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

/// URL of a webhook once it answers.
#[must_use]
pub fn published_url(schema: &ProvisioningSchemaSpec, journal: &Journal, workflow: &str, node: &str) -> Option<String> {
    let index = schema.workflows.iter().find(|known| known.name.as_str() == workflow)?.webhooks.iter().position(|known| known == node)?;
    journal.result(Step::WebhookAssignment, &format!("publish/{workflow}"))?.urls.get(index).cloned()
}
