//! Sources: where a substituted value comes from, and from which step on it exists.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::step::Step;

/// A named source of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// `tenant.name`
    TenantName,
    /// `deployment.name`
    DeploymentName,
    /// `parameters.<name>`: a parameter of the deployment.
    Parameter(String),
    /// `credentials.<name>.id`: the vendor's identifier of a credential.
    CredentialId(String),
    /// `credentials.<name>.name`: the vendor's name of a credential.
    CredentialName(String),
    /// `workflows.<workflow>.id`: identifier of a clone; exists after cloning.
    WorkflowId(String),
    /// `webhooks.<workflow>.<node>`: public URL of a webhook; exists after assignment.
    WebhookUrl(String, String),
}

/// A text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no source: expected tenant.name, deployment.name, parameters.<name>, credentials.<name>.id, credentials.<name>.name, workflows.<workflow>.id or webhooks.<workflow>.<node>"
)]
pub struct UnknownSource(pub String);

impl Source {
    /// The first step that may use it: its value exists once the step before has ended.
    #[must_use]
    pub fn usable_from(&self) -> Step {
        match self {
            Self::TenantName | Self::DeploymentName | Self::Parameter(_) | Self::CredentialId(_) | Self::CredentialName(_) => {
                Step::SchemaInterpretation
            }
            Self::WorkflowId(_) => Step::WebhookAssignment,
            Self::WebhookUrl(..) => Step::IntegrationConfiguration,
        }
    }
}

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        let parts: Vec<&str> = text.splitn(3, '.').collect();
        let named = |name: &str| if name.is_empty() { Err(UnknownSource(text.to_owned())) } else { Ok(name.to_owned()) };
        match parts.as_slice() {
            ["tenant", "name"] => Ok(Self::TenantName),
            ["deployment", "name"] => Ok(Self::DeploymentName),
            ["parameters", name] => named(name).map(Self::Parameter),
            ["credentials", name, "id"] => named(name).map(Self::CredentialId),
            ["credentials", name, "name"] => named(name).map(Self::CredentialName),
            ["workflows", name, "id"] => named(name).map(Self::WorkflowId),
            ["webhooks", workflow, node] => Ok(Self::WebhookUrl(named(workflow)?, named(node)?)),
            _ => Err(UnknownSource(text.to_owned())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TenantName => formatter.write_str("tenant.name"),
            Self::DeploymentName => formatter.write_str("deployment.name"),
            Self::Parameter(name) => write!(formatter, "parameters.{name}"),
            Self::CredentialId(name) => write!(formatter, "credentials.{name}.id"),
            Self::CredentialName(name) => write!(formatter, "credentials.{name}.name"),
            Self::WorkflowId(name) => write!(formatter, "workflows.{name}.id"),
            Self::WebhookUrl(workflow, node) => write!(formatter, "webhooks.{workflow}.{node}"),
        }
    }
}

/// Values of sources that exist by now.
pub type Values = BTreeMap<Source, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reads_back_as_it_is_written() {
        for text in [
            "tenant.name",
            "deployment.name",
            "parameters.greeting",
            "credentials.crm.id",
            "credentials.crm.name",
            "workflows.intake.id",
            "webhooks.intake.Incoming v1.2 call",
        ] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        for text in ["", "tenant", "parameters.", "credentials.crm", "credentials.crm.secret", "webhooks.intake", "voice.id"] {
            assert_eq!(text.parse::<Source>(), Err(UnknownSource(text.to_owned())));
        }
    }
}
