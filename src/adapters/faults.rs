//! The fault list of the adapters: everything that can come between a call and its result, how it is classified, and what a
//! person does about it. The only place where an outcome other than `Done` is made, so nothing can go wrong without a row here.

use std::time::Duration;

use crate::engine::outcome::{Fault, Outcome};
use crate::model::call::{KeyedCall, ProviderType};
use crate::model::failure::{Failure, FailureCode};

/// Longest message of a fault, in characters: what a journal keeps of a wait.
const MAX_FAULT_MESSAGE: usize = 512;

/// How a fault is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classified {
    /// A person has to act; the failure's code.
    HumanAction(FailureCode),
    /// It passes: the same call is sent again later.
    Passing(WriteEffect),
}

/// What a fault proves about a write that met it. A read has no effect whatever it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteEffect {
    /// Nothing happened.
    None,
    /// It may have happened.
    Possible,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultRow {
    /// Stable code, unique in the list.
    pub code: &'static str,
    /// Which adapters can meet it.
    pub providers: &'static [ProviderType],
    /// When it occurs.
    pub occurs: &'static str,
    /// What is made of it.
    pub classified: Classified,
    /// Steps for a person; `{provider}`, `{operation}`, `{object}` and `{key}` stand for what the call concerned.
    pub remediation: &'static [&'static str],
}

const ALL: &[ProviderType] = &[ProviderType::N8n, ProviderType::Vapi, ProviderType::Calcom, ProviderType::Http];
const N8N: &[ProviderType] = &[ProviderType::N8n];

/// Defines an enum of faults together with the row of each, so that neither can exist without the other.
macro_rules! fault_list {
    ($(#[$about:meta])* $name:ident($class:ty => $wrap:path) { $($fault:ident: $providers:expr, $classified:expr, $occurs:literal, $remediation:expr;)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $(#[doc = $occurs] $fault,)+ }

        impl $name {
            const ROWS: &'static [FaultRow] = &[$(Self::$fault.row(),)+];

            /// Its classification.
            pub(super) const fn class(self) -> $class {
                match self {
                    $(Self::$fault => $classified,)+
                }
            }

            const fn row(self) -> FaultRow {
                match self {
                    $(Self::$fault => FaultRow {
                        code: stringify!($fault),
                        providers: $providers,
                        occurs: $occurs,
                        classified: $wrap($classified),
                        remediation: $remediation,
                    },)+
                }
            }
        }
    };
}

fault_list! {
    /// What will not happen by trying again.
    Refusal(FailureCode => Classified::HumanAction) {
        TemplateMissing: N8N, FailureCode::TemplateMissing,
            "The workflow provider has no workflow of the template's id.",
            &["Check that workflow {object} exists in the n8n of Provider {provider} and that its API key may read it.",
              "If the template was replaced, commit a new ProvisioningSchema revision with the new id and digest."];
        TemplateDrift: N8N, FailureCode::TemplateDrift,
            "The template's structural digest is not the one that the schema pins.",
            &["Open workflow {object} in the n8n of Provider {provider} and compare it with the one that was reviewed.",
              "Undo the change there, or review it and commit a new ProvisioningSchema revision with the digest found."];
        TemplateInvalid: N8N, FailureCode::TemplateInvalid,
            "The template is no usable workflow: nodes without names, webhook nodes other than listed, settings that the API does not take.",
            &["Correct workflow {object} in the n8n of Provider {provider} as the message says.",
              "Commit a new ProvisioningSchema revision with the corrected template's digest."];
        NodeTypeNotAllowed: N8N, FailureCode::NodeTypeNotAllowed,
            "The template holds a node type that the schema does not allow.",
            &["Remove the node from workflow {object} in the n8n of Provider {provider}.",
              "Or allow its type in a new ProvisioningSchema revision after review."];
        SubstitutionUnmatched: N8N, FailureCode::SubstitutionUnmatched,
            "A substitution of the schema matches nothing in the template, or overlaps another.",
            &["Compare the node name and pointer in the message with workflow {object} in the n8n of Provider {provider}.",
              "Commit a new ProvisioningSchema revision whose substitutions match."];
        CloneDiffers: N8N, FailureCode::CloneDiffers,
            "The clone read back is not the template with its substitutions.",
            &["Compare clone {object} in the n8n of Provider {provider} with its template.",
              "If nobody edited the clone, check the n8n version; then delete the clone and start a new attempt."];
        WebhookConflict: N8N, FailureCode::WebhookConflict,
            "Another active workflow holds one of the webhook paths.",
            &["In the n8n of Provider {provider} find the active workflow that has the path named in the message and deactivate it.",
              "Then start a new attempt for workflow {object}."];
        WebhookNotRegistered: N8N, FailureCode::WebhookNotRegistered,
            "The workflow is active, but its webhook path does not answer as n8n answers for a registered path.",
            &["Check that the base URL of Provider {provider} routes /webhook/ to the same n8n as /api/v1.",
              "Check that workflow {object} is active there and that its webhook nodes are not disabled."];
        CredentialsRejected: ALL, FailureCode::CredentialsRejected,
            "401: the provider does not know the credentials.",
            &["Put a valid API key into the Secret that Provider {provider} names.",
              "Check that the base URL of Provider {provider} is the system that issued the key."];
        CredentialsForbidden: ALL, FailureCode::CredentialsRejected,
            "403: the credentials do not permit the operation.",
            &["Give the API key of Provider {provider} the permission for {operation}, or put another key into its Secret."];
        SecretMissing: ALL, FailureCode::SecretMissing,
            "The Secret or the key in it is missing, or it is not labelled for the provider.",
            &["Create the Secret named in the message in the system namespace, with the key that Provider {provider} names.",
              "Label it mandate.dev/provider={provider}."];
        SecretUnusable: ALL, FailureCode::SecretMissing,
            "The secret value is empty or holds a line break or another character that no header can carry.",
            &["Write the API key of Provider {provider} into its Secret without a trailing line break."];
        RequestRefused: ALL, FailureCode::RequestRefused,
            "The provider refused the request as invalid (4xx).",
            &["Correct what the message names, in the ProvisioningSchema or the deployment's parameters.",
              "If the status is 404 or 405, check the base URL of Provider {provider}."];
        ResourceMissing: N8N, FailureCode::ResourceMissing,
            "What an earlier step created is gone.",
            &["Find out who removed {object} from Provider {provider}; restore it there or start a new attempt."];
        NotReadBack: ALL, FailureCode::ResourceMissing,
            "What was just created cannot be read back within the consistency window.",
            &["Look for {object} in Provider {provider}: it was created with key {key}.",
              "For a declared resource, check that its lookup finds what its create makes. Remove {object} before a new attempt."];
        ResourceDiffers: ALL, FailureCode::ResourceDiffers,
            "What exists under our key or name is not what is asked for.",
            &["Inspect {object} in Provider {provider} and undo the change that the message names, or remove it.",
              "Then start a new attempt."];
        KeyNotUnique: ALL, FailureCode::ResourceDiffers,
            "Two resources carry one key.",
            &["Inspect {object} in Provider {provider}: both carry key {key}. Remove the one that was copied or made by hand.",
              "Then start a new attempt."];
        BadReply: ALL, FailureCode::BadReply,
            "The reply is not what the API promises: not JSON, a redirect, an unexpected status, no identifier, a list without end.",
            &["Check that the base URL of Provider {provider} is the API itself and not a login page or a proxy.",
              "Look for {object} with key {key} in Provider {provider} before a new attempt: {operation} may have happened."];
        ReplyTooLarge: ALL, FailureCode::ReplyTooLarge,
            "The reply is larger than the limit.",
            &["Check that the base URL of Provider {provider} is the API itself.",
              "Look for {object} with key {key} in Provider {provider} before a new attempt: {operation} may have happened."];
        OutcomeUnknown: &[ProviderType::Http], FailureCode::OutcomeUnknown,
            "A declared resource without lookup may or may not have been created.",
            &["Look in Provider {provider} for {object} with key {key}. If it exists, remove it.",
              "Declare a lookup in the ProvisioningSchema, then start a new attempt."];
        ProviderUnusable: ALL, FailureCode::ProviderUnusable,
            "The provider is of a type that does not have the operation, or its base URL is no URL.",
            &["Check type and base URL of Provider {provider}, and which provider the deployment names for {operation}."];
        InputsInvalid: ALL, FailureCode::InputsInvalid,
            "What the schema declares is no JSON object, has no place for our key, or does not fit its values.",
            &["Correct the definition or body for {operation} in a new ProvisioningSchema revision."];
    }
}

fault_list! {
    /// What passes by itself.
    Passing(WriteEffect => Classified::Passing) {
        RateLimited: ALL, WriteEffect::None, "429; nothing happened. Sent again after Retry-After.", &[];
        Unavailable: ALL, WriteEffect::None, "503; nothing happened. Sent again after Retry-After.", &[];
        ServerError: ALL, WriteEffect::Possible, "Another 5xx, or 408.", &[];
        ConnectionRefused: ALL, WriteEffect::None, "Nothing listens at the address; nothing was sent.", &[];
        NameResolution: ALL, WriteEffect::None, "The host name has no address; nothing was sent.", &[];
        TlsInvalid: ALL, WriteEffect::None, "The TLS handshake failed; nothing was sent.", &[];
        ConnectFailed: ALL, WriteEffect::None, "No connection came about for another reason; nothing was sent.", &[];
        Timeout: ALL, WriteEffect::Possible, "No complete reply before the deadline.", &[];
        ReplyLost: ALL, WriteEffect::Possible, "The connection broke before the reply was complete.", &[];
        Withheld: ALL, WriteEffect::None, "The process does not lead any more; nothing was sent.", &[];
        DeadlineSpent: ALL, WriteEffect::None, "Earlier exchanges of the call took all its time; nothing was sent.", &[];
        SecretUnreadable: ALL, WriteEffect::None, "The Secret cannot be read at the moment; nothing was sent.", &[];
    }
}

/// Every fault that an adapter can report: those a person resolves, then those that pass.
pub fn faults() -> impl Iterator<Item = &'static FaultRow> {
    Refusal::ROWS.iter().chain(Passing::ROWS)
}

/// The refusal of a call, about `object`.
pub(super) fn refused(refusal: Refusal, call: &KeyedCall, object: &str, message: String) -> Outcome {
    let row = refusal.row();
    let fill = |step: &&str| {
        step.replace("{provider}", &call.provider.name)
            .replace("{operation}", call.call.operation())
            .replace("{object}", object)
            .replace("{key}", call.key.mark())
    };
    let remediation: Vec<String> = row.remediation.iter().map(fill).collect();
    let remediation: Vec<&str> = remediation.iter().map(String::as_str).collect();
    Outcome::Refused(Failure::human(refusal.class(), message, &remediation))
}

/// Proven: nothing happened.
pub(super) fn no_effect(passing: Passing, message: &str, retry_after: Option<Duration>) -> Outcome {
    Outcome::NoEffect { fault: fault(passing, message), retry_after }
}

/// It may have happened.
pub(super) fn unknown(passing: Passing, message: &str) -> Outcome {
    Outcome::Unknown(fault(passing, message))
}

fn fault(passing: Passing, message: &str) -> Fault {
    Fault { code: passing.row().code, message: message.chars().take(MAX_FAULT_MESSAGE).collect() }
}
