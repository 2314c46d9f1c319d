//! Rules of a provider: what must be there before anything is sent to it.

use super::api::Provider;
use super::facts::{Facts, SecretFact};
use crate::model::call::ProviderType;
use crate::model::finding::Finding;

/// Why the provider is not configured. None when it is.
pub fn unconfigured(provider: &Provider, facts: &Facts, system_namespace: &str) -> Option<Finding> {
    let name = provider.metadata.name.as_deref().unwrap_or_default();
    let reference = provider.spec.secret_ref.as_ref();
    let (secret, key) = reference.map_or(("", ""), |reference| (reference.name.as_str(), reference.key.as_str()));
    match facts.secret {
        SecretFact::NotNamed if provider.spec.provider_type == ProviderType::Http => None,
        SecretFact::NotNamed => {
            let message = format!("spec.secretRef is missing: a provider of type {} needs a credential", provider.spec.provider_type);
            Some(Finding::error("SecretNotNamed", message).at("/spec/secretRef"))
        }
        SecretFact::Missing => {
            let message =
                format!("Secret {system_namespace}/{secret} is missing: create it with key {key}, labelled mandate.dev/provider={name}");
            Some(Finding::waiting("SecretMissing", message))
        }
        SecretFact::NotLabelled => {
            let message = format!(
                "Secret {system_namespace}/{secret} is not for this provider: kubectl -n {system_namespace} label secret {secret} mandate.dev/provider={name}"
            );
            Some(Finding::waiting("SecretNotLabelled", message))
        }
        SecretFact::KeyMissing => {
            let message = format!("Secret {system_namespace}/{secret} has no value under key {key}: add it");
            Some(Finding::waiting("SecretKeyMissing", message))
        }
        SecretFact::Present => None,
    }
}
