//! Secrets of providers: read from the system namespace, by name, at the moment of each call; never kept.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::engine::port::{Read, SecretError, SecretValue, Secrets};
use crate::kinds::provider::api::PROVIDER_LABEL;
use crate::model::call::SecretKey;
use crate::model::object::ObjectKey;
use crate::model::resource::SECRET;

/// Secrets of a world.
pub struct WorldSecrets {
    /// Where they are read.
    pub world: Arc<dyn Read>,
    /// The only namespace that they are read in.
    pub system_namespace: String,
}

#[async_trait]
impl Secrets for WorldSecrets {
    async fn secret(&self, provider: &str, key: &SecretKey) -> Result<SecretValue, SecretError> {
        let place = format!("Secret {}/{}", self.system_namespace, key.name);
        let missing = |what: String| SecretError::Missing(what);
        let secret = self.world.get(&ObjectKey::new(&SECRET, &self.system_namespace, &key.name)).await?;
        let secret = secret.ok_or_else(|| missing(format!("{place} is missing")))?;
        if secret.label(PROVIDER_LABEL) != Some(provider) {
            return Err(missing(format!("{place} is not labelled {PROVIDER_LABEL}={provider}")));
        }
        let encoded = secret.body.get("data").and_then(|data| data.get(&key.key)).and_then(serde_json::Value::as_str);
        let bytes = encoded.and_then(|text| STANDARD.decode(text).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
        // A file's last newline is no part of a credential.
        let value = bytes.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty());
        value.map(SecretValue).ok_or_else(|| missing(format!("{place} has no text under key {}", key.key)))
    }
}
