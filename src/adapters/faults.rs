//! The fault list of the adapters: everything that can come between a call and its result, how it is classified, and what a
//! person does about it. The only place where an outcome other than `Done` is made, so nothing can go wrong without a row here.

use std::time::Duration;

use super::carried_key;
use crate::engine::outcome::{Fault, Outcome};
use crate::model::call::{Call, KeyedCall, ProviderType};
use crate::model::failure::{Failure, FailureCode, Repair};

/// Longest message of a fault, in characters: what a journal keeps of a wait.
const MAX_FAULT_MESSAGE: usize = 512;

/// How a fault is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classified {
    /// A person has to act; the failure's code.
    HumanAction(FailureCode),
    /// One repair is known and is tried once, by the controller; the failure's code.
    Repair(FailureCode, Repair),
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
const VAPI: &[ProviderType] = &[ProviderType::Vapi];
const HTTP: &[ProviderType] = &[ProviderType::Http];

/// What follows every remedy: nothing goes on by itself after a failure.
const AGAIN: &str =
    "Then decide anew: `mandate decide retry <request>` or, if it was a rollback that failed, `mandate decide rollback <request>`.";
/// The same for what only provisioning can meet.
const RETRY: &str = "Then decide anew: `mandate decide retry <request>`.";
/// How a person's own hand gets into the chain of records.
const ON_RECORD: &str = "Put what you did on record: `mandate decide intervene <request> --note \"what was done\"`.";

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
              "If it was replaced, commit a new ProvisioningSchema revision with the new id; `mandate schema pin FILE` writes its digest.", RETRY];
        TemplateDrift: N8N, FailureCode::TemplateDrift,
            "The template's structural digest is not the one that the schema pins.",
            &["Open workflow {object} in the n8n of Provider {provider} and compare it with the one that was reviewed.",
              "Undo the change there, or review it and commit a new ProvisioningSchema revision; `mandate schema pin FILE` writes the digest found.", RETRY];
        TemplateInvalid: N8N, FailureCode::TemplateInvalid,
            "The template is no usable workflow: nodes without names, webhook nodes other than listed, settings that the API does not take.",
            &["Correct workflow {object} in the n8n of Provider {provider} as the message says.",
              "Commit a new ProvisioningSchema revision; `mandate schema pin FILE` writes the corrected template's digest.", RETRY];
        NodeTypeNotAllowed: N8N, FailureCode::NodeTypeNotAllowed,
            "The template holds a node type that the schema does not allow.",
            &["Remove the node from workflow {object} in the n8n of Provider {provider}.",
              "Or allow its type in a new ProvisioningSchema revision after review.", RETRY];
        SubstitutionUnmatched: N8N, FailureCode::SubstitutionUnmatched,
            "A substitution of the schema matches nothing in the template, or overlaps another.",
            &["Compare the node name and pointer in the message with workflow {object} in the n8n of Provider {provider}.",
              "Commit a new ProvisioningSchema revision whose substitutions match; `mandate schema lint` checks it.", RETRY];
        UpdateDiffers: N8N, FailureCode::CloneDiffers,
            "After its update the clone does not read back as the newer template with its values and paths.",
            &["Compare {object} in the n8n of Provider {provider} with the template in the message; it serves calls as it is now.",
              "If somebody edits it there, have them stop.", RETRY];
        WebhookConflict: N8N, FailureCode::WebhookConflict,
            "Another active workflow holds one of the webhook paths.",
            &["In the n8n of Provider {provider} find the active workflow that has the path of {object} named in the message and deactivate it.",
              ON_RECORD, RETRY];
        WebhookUnreachable: N8N, FailureCode::WebhookNotRegistered,
            "The webhook path is answered, but not in n8n's words: the base URL leads elsewhere.",
            &["Check that the base URL of Provider {provider} routes /webhook/ to the same n8n as /api/v1: `kubectl get provider {provider} -o yaml`.",
              "Check that {object} is active there.", RETRY];
        CredentialsRejected: ALL, FailureCode::CredentialsRejected,
            "401: the provider does not know the credentials, or does not any more.",
            &["Put a valid API key into the Secret that Provider {provider} names. `kubectl get secrets -A -l mandate.dev/provider={provider}` finds it.",
              "Check that the base URL of Provider {provider} is the system that issued the key.", AGAIN];
        CredentialsForbidden: ALL, FailureCode::CredentialsRejected,
            "403: the credentials do not permit the operation.",
            &["Give the API key of Provider {provider} the permission for {operation}, or put another key into its Secret: `kubectl get secrets -A -l mandate.dev/provider={provider}` finds it.", AGAIN];
        SecretMissing: ALL, FailureCode::SecretMissing,
            "The Secret or the key in it is missing, or it is not labelled for the provider.",
            &["Create the Secret named in the message in the system namespace, with the key that Provider {provider} names: `kubectl get provider {provider} -o yaml`.",
              "Label it mandate.dev/provider={provider}.", AGAIN];
        SecretUnusable: ALL, FailureCode::SecretMissing,
            "The secret value is empty or holds a line break or another character that no header can carry.",
            &["Write the API key of Provider {provider} into its Secret without a trailing line break. `kubectl get secrets -A -l mandate.dev/provider={provider}` finds it.", AGAIN];
        RequestRefused: ALL, FailureCode::RequestRefused,
            "The provider refused the request as invalid (4xx).",
            &["Correct what the message says of {object}, in the ProvisioningSchema or the deployment's parameters.",
              "If the status is 404 or 405, check the base URL of Provider {provider}: `kubectl get provider {provider} -o yaml`.", AGAIN];
        ResourceMissing: ALL, FailureCode::ResourceMissing,
            "What an earlier step created is gone.",
            &["Find out who removed {object} from Provider {provider}. If it is restored there under the same identifier, put that on record: `mandate decide intervene <request> --note \"what was done\"`.",
              RETRY];
        NotReadBack: ALL, FailureCode::ResourceMissing,
            "What was just created cannot be read back within the consistency window.",
            &["Look for {object} in Provider {provider}: it was created with key {key}.",
              "For a declared resource, check that its lookup finds what its create makes.", AGAIN];
        ResourceDiffers: ALL, FailureCode::ResourceDiffers,
            "What exists under our key or name is not what is asked for.",
            &["Inspect {object} in Provider {provider} and undo the change that the message names, or remove it.",
              ON_RECORD, AGAIN];
        KeyNotUnique: ALL, FailureCode::ResourceDiffers,
            "Two resources carry one key.",
            &["Inspect {object} in Provider {provider}: both carry key {key}. Remove the one that was copied or made by hand.",
              ON_RECORD, AGAIN];
        NotOurs: ALL, FailureCode::ResourceDiffers,
            "What has our name or the identifier on record was not made by us: it does not carry our key.",
            &["Inspect {object} in Provider {provider}: it does not carry key {key}, so nothing was done to it. If it is a stranger's, give it another name there.",
              ON_RECORD, AGAIN];
        NotRemoved: ALL, FailureCode::ResourceDiffers,
            "Its removal was accepted, and it is still there when the consistency window has passed.",
            &["Look for {object} (key {key}) in Provider {provider} and remove it there.",
              ON_RECORD, "Then decide anew: `mandate decide rollback <request>`."];
        NotRemovable: HTTP, FailureCode::NotRemovable,
            "The schema declares no request to remove it, or there is neither an identifier nor a lookup to find it by.",
            &["Remove {object} (key {key}) in Provider {provider} by hand.",
              ON_RECORD, "Then decide anew: `mandate decide rollback <request>`."];
        BadReply: ALL, FailureCode::BadReply,
            "The reply is not what the API promises: not JSON, a redirect, an unexpected status, no identifier, a list without end.",
            &["Check that the base URL of Provider {provider} is the API itself and not a login page or a proxy: `kubectl get provider {provider} -o yaml`.",
              "Look for {object} (key {key}) in Provider {provider} before you decide: unless {operation} only reads, it may have happened.", AGAIN];
        ReplyTooLarge: ALL, FailureCode::ReplyTooLarge,
            "The reply is larger than the limit: 2 MiB, 4 MiB for a clone, 8 MiB for a page of assistants.",
            &["If {object} is a workflow of that size, split it. If not, check that the base URL of Provider {provider} is the API itself: `kubectl get provider {provider} -o yaml`.",
              "Look for {object} (key {key}) in Provider {provider} before you decide: unless {operation} only reads, it may have happened.", AGAIN];
        OutcomeUnknown: HTTP, FailureCode::OutcomeUnknown,
            "A declared resource without lookup may or may not have been created.",
            &["Look in Provider {provider} for {object} (key {key}). If it exists, remove it.",
              "Declare a lookup in a new ProvisioningSchema revision.", ON_RECORD, RETRY];
        ProviderUnusable: ALL, FailureCode::ProviderUnusable,
            "The provider is of a type that does not have the operation, or its base URL is no URL.",
            &["Check type and base URL of Provider {provider}: `kubectl get provider {provider} -o yaml`.",
              "Check which provider the deployment names for {operation}.", AGAIN];
        InputsInvalid: ALL, FailureCode::InputsInvalid,
            "What the schema declares is no JSON object, has no place for our key, or does not fit its values.",
            &["Correct the definition or body of {object} for {operation} in a new ProvisioningSchema revision; `mandate schema lint` checks it.", AGAIN];
    }
}

fault_list! {
    /// What the controller mends itself, once.
    Repairable((FailureCode, Repair) => repair) {
        CloneDiffers: N8N, (FailureCode::CloneDiffers, Repair::CloneAgain),
            "The clone read back is not the template with its substitutions.",
            &["Compare {object} in the n8n of Provider {provider} with its template.",
              "If nobody edits it there, check the n8n version: one that rewrites nodes cannot clone faithfully.", RETRY];
        WebhookNotRegistered: N8N, (FailureCode::WebhookNotRegistered, Repair::Reactivate),
            "The workflow is active, but n8n says that nothing is registered at its webhook path.",
            &["Check that the webhook nodes of {object} in the n8n of Provider {provider} are not disabled.",
              "Check that the base URL routes /webhook/ to the n8n that answers at /api/v1: `kubectl get provider {provider} -o yaml`.", RETRY];
        AssistantServerMissing: VAPI, (FailureCode::ResourceDiffers, Repair::SetServerUrl),
            "Our assistant has no server URL, or another than asked for, and is otherwise as asked for.",
            &["Set the server URL of {object} in Provider {provider} as the message says, and find out who changes it.", ON_RECORD, RETRY];
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

const fn repair((code, repair): (FailureCode, Repair)) -> Classified {
    Classified::Repair(code, repair)
}

/// Every fault that an adapter can report: those a person resolves, those with a repair, then those that pass.
pub fn faults() -> impl Iterator<Item = &'static FaultRow> {
    Refusal::ROWS.iter().chain(Repairable::ROWS).chain(Passing::ROWS)
}

/// The refusal of a call, about `object`.
pub(super) fn refused(refusal: Refusal, call: &KeyedCall, object: &str, message: String) -> Outcome {
    let steps = steps(refusal.row(), call, object);
    Outcome::Refused(Failure::human(refusal.class(), message, &borrowed(&steps)))
}

/// A failure of a call that its repair may mend. What a repair itself meets is a person's: one repair, then no other.
pub(super) fn repairable(fault: Repairable, call: &KeyedCall, object: &str, message: String) -> Outcome {
    let (code, repair) = fault.class();
    let steps = steps(fault.row(), call, object);
    let failure = Failure::fixable(code, repair, message, &borrowed(&steps));
    Outcome::Refused(if is_repair(&call.call) { failure.reclassified() } else { failure })
}

fn is_repair(call: &Call) -> bool {
    matches!(call, Call::ReactivateWorkflow { .. } | Call::SetServerUrl { .. })
}

/// The remedy with the names of what the call concerned.
fn steps(row: FaultRow, call: &KeyedCall, object: &str) -> Vec<String> {
    let fill = |step: &&str| {
        step.replace("{provider}", &call.provider.name)
            .replace("{operation}", call.call.operation())
            .replace("{object}", object)
            .replace("{key}", carried_key(call).mark())
    };
    row.remediation.iter().map(fill).collect()
}

fn borrowed(steps: &[String]) -> Vec<&str> {
    steps.iter().map(String::as_str).collect()
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
