//! What a provider's decision needs to know.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::api::{PROVIDER_LABEL, Provider};
use crate::engine::kind::Settings;
use crate::engine::port::{Read, WorldError};
use crate::model::object::ObjectKey;
use crate::model::resource::SECRET;

/// Facts.
#[derive(Debug)]
pub struct Facts {
    /// The secret that the spec names, if it names one.
    pub secret: SecretFact,
}

/// What is known of the secret. Never its value.
#[derive(Debug, PartialEq, Eq)]
pub enum SecretFact {
    /// The spec names none.
    NotNamed,
    /// It does not exist in the system namespace.
    Missing,
    /// It exists and is not labelled for this provider.
    NotLabelled,
    /// It lacks the key, or what stands under it is no text.
    KeyMissing,
    /// The key is there.
    Present,
}

/// Gathers the facts.
pub async fn gather(provider: &Provider, read: &dyn Read, settings: &Settings) -> Result<Facts, WorldError> {
    let Some(reference) = &provider.spec.secret_ref else { return Ok(Facts { secret: SecretFact::NotNamed }) };
    let found = read.get(&ObjectKey::new(&SECRET, &settings.system_namespace, &reference.name)).await?;
    let secret = match found {
        None => SecretFact::Missing,
        Some(secret) if secret.label(PROVIDER_LABEL) != provider.metadata.name.as_deref() => SecretFact::NotLabelled,
        Some(secret) => {
            let value = secret.body.get("data").and_then(|data| data.get(&reference.key)).and_then(serde_json::Value::as_str);
            let text = value.and_then(|value| STANDARD.decode(value).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
            if text.is_some_and(|text| !text.trim().is_empty()) { SecretFact::Present } else { SecretFact::KeyMissing }
        }
    };
    Ok(Facts { secret })
}
