//! Failures: classified before anything else happens (000, guarantee 9).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The two classes of document 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureClass {
    /// One deterministic repair is known.
    FixableAutomatically,
    /// A person has to act.
    HumanActionRequired,
}

/// What went wrong, as a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum FailureCode {
    /// The template that the schema names does not exist.
    TemplateMissing,
    /// The template is not what the schema pinned.
    TemplateDrift,
    /// The template is not a workflow document.
    TemplateInvalid,
    /// The template holds a node type that the schema does not allow.
    NodeTypeNotAllowed,
    /// A substitution matches no place, or more than one.
    SubstitutionUnmatched,
    /// The clone read back is not the template with its substitutions.
    CloneDiffers,
    /// Another active workflow holds the webhook path.
    WebhookConflict,
    /// The workflow was activated, but its path does not answer.
    WebhookNotRegistered,
    /// The provider rejected the credentials.
    CredentialsRejected,
    /// The secret or the key in it is missing or not labelled for the provider.
    SecretMissing,
    /// The provider refused the request as invalid.
    RequestRefused,
    /// What was created before is gone.
    ResourceMissing,
    /// What exists under our key is not what we asked for.
    ResourceDiffers,
    /// The reply is not what the API promises: wrong status, HTML, no identifier.
    BadReply,
    /// The reply is larger than the limit.
    ReplyTooLarge,
    /// No answer within the wait budget.
    Unreachable,
    /// Slowed down or unavailable beyond the wait budget.
    Unavailable,
    /// Whether the effect happened is unknown and cannot be looked up.
    OutcomeUnknown,
    /// The provider object is missing, of another type, or not usable by this tenant.
    ProviderUnusable,
    /// What the step would send is not what its intent promised.
    InputsChanged,
    /// The inputs do not satisfy the schema.
    InputsInvalid,
    /// An operator rejected the result.
    RejectedByOperator,
    /// A newer revision of the same version changes what cannot be changed in place.
    RevisionNotPropagable,
    /// What shall be removed declares no way to remove it.
    NotRemovable,
}

/// The one deterministic repair that a failure of class `FIXABLE_AUTOMATICALLY` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Repair {
    /// Our own clone is deleted, and made again from its template.
    CloneAgain,
    /// The workflow is deactivated and activated, so that n8n registers its paths anew.
    Reactivate,
    /// The assistant gets its server URL.
    SetServerUrl,
}

impl Repair {
    /// Whether the repaired call is a new effect under a new key. Otherwise what exists was mended, and is found by the old key.
    #[must_use]
    pub fn renews_key(self) -> bool {
        match self {
            Self::CloneAgain => true,
            Self::Reactivate | Self::SetServerUrl => false,
        }
    }
}

impl std::fmt::Display for Repair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, formatter)
    }
}

/// Last step of every remedy: nothing goes on by itself after a failure. Who makes a failure does not know what is decided
/// on; [`Failure::remedy`] does.
pub const DECIDE_ANEW: &str = "Then decide anew: `mandate decide retry <request>`.";
/// How such a step begins, whichever command it names.
const ANEW: &str = "Then decide anew: ";
/// Stands for what is decided on, as `mandate decide` takes it.
const SUBJECT: &str = "<request>";

/// One classified failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Class.
    pub class: FailureClass,
    /// Code.
    pub code: FailureCode,
    /// What happened, naming the object and the external id.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Steps that a person can follow.
    #[schemars(length(max = 8), inner(length(max = 512)))]
    pub remediation: Vec<String>,
    /// The repair, for class `FIXABLE_AUTOMATICALLY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
}

impl Failure {
    /// A failure that a person must resolve.
    #[must_use]
    pub fn human(code: FailureCode, message: impl Into<String>, remediation: &[&str]) -> Self {
        Self {
            class: FailureClass::HumanActionRequired,
            code,
            message: bounded(message.into(), 1024),
            remediation: remediation.iter().take(8).map(|step| bounded((*step).to_owned(), 512)).collect(),
            repair: None,
        }
    }

    /// A failure with one deterministic repair. The remediation is for when the repair does not help.
    #[must_use]
    pub fn fixable(code: FailureCode, repair: Repair, message: impl Into<String>, remediation: &[&str]) -> Self {
        Self { class: FailureClass::FixableAutomatically, repair: Some(repair), ..Self::human(code, message, remediation) }
    }

    /// The remedy in full: `act` is the command's word for what goes on afterwards, `subject` what is decided on as
    /// `mandate decide` takes it: `-n acme-dental receptionist-1`.
    #[must_use]
    pub fn remedy(&self, act: &str, subject: &str) -> Vec<String> {
        let own = self.remediation.iter().filter(|step| !step.starts_with(ANEW)).map(|step| step.replace(SUBJECT, subject));
        own.chain([format!("{ANEW}`mandate decide {act} {subject}`.")]).collect()
    }

    /// The same failure once its repair was tried: now a person has to act.
    #[must_use]
    pub fn reclassified(self) -> Self {
        Self { class: FailureClass::HumanActionRequired, repair: None, ..self }
    }
}

impl std::fmt::Display for FailureCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, formatter)
    }
}

/// Steps of a remedy as running text.
#[must_use]
pub fn sentences(steps: &[String]) -> String {
    let steps: Vec<&str> = steps.iter().map(|step| step.trim_end_matches('.')).collect();
    steps.join(". ")
}

/// At most `limit` characters of `text`.
fn bounded(text: String, limit: usize) -> String {
    if text.chars().count() <= limit { text } else { text.chars().take(limit).collect() }
}
