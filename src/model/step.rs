//! The six steps of provisioning, in the order that document 000 fixes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step. The order of the variants is the order of execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Step {
    /// Reads and pins the schema and its templates.
    SchemaInterpretation,
    /// Clones each listed workflow.
    WorkflowCloning,
    /// Assigns webhook paths and activates them.
    WebhookAssignment,
    /// Configures CRM and calendar.
    IntegrationConfiguration,
    /// Creates the voice assistant.
    VapiConfiguration,
    /// Waits for an operator.
    ManualVerification,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 6] = [
        Self::SchemaInterpretation,
        Self::WorkflowCloning,
        Self::WebhookAssignment,
        Self::IntegrationConfiguration,
        Self::VapiConfiguration,
        Self::ManualVerification,
    ];

    /// The name as it is written in YAML, status and keys.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SchemaInterpretation => "SchemaInterpretation",
            Self::WorkflowCloning => "WorkflowCloning",
            Self::WebhookAssignment => "WebhookAssignment",
            Self::IntegrationConfiguration => "IntegrationConfiguration",
            Self::VapiConfiguration => "VapiConfiguration",
            Self::ManualVerification => "ManualVerification",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}
