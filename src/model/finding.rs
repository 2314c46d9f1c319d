//! Findings: why a decision is what it is.

use serde::Serialize;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// For information.
    Info,
    /// Something is awaited.
    Waiting,
    /// Refused; a change by a person is needed.
    Error,
}

/// A reason (CamelCase constant, documented), a message for people, and a weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// CamelCase constant.
    pub reason: &'static str,
    /// Names field, value and remedy; no times.
    pub message: String,
    /// Weight.
    pub severity: Severity,
    /// Field of the object it is about, as a JSON pointer, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Finding {
    /// For information.
    #[must_use]
    pub fn info(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), severity: Severity::Info, field: None }
    }

    /// Something is awaited.
    #[must_use]
    pub fn waiting(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), severity: Severity::Waiting, field: None }
    }

    /// Refused.
    #[must_use]
    pub fn error(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), severity: Severity::Error, field: None }
    }

    /// The same finding, about the field at this JSON pointer.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}
