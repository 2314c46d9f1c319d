//! Names as the API server takes them, and names that we make.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A DNS label: 1 to 63 of `a-z0-9-`, no hyphen first or last (RFC 1123).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsLabel(String);

/// A text that is no name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no DNS label: use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit")]
pub struct NotALabel {
    /// The text.
    pub text: String,
}

impl DnsLabel {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DnsLabel {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let ends_well = !text.starts_with('-') && !text.ends_with('-');
        if (1..=63).contains(&text.len()) && text.bytes().all(inner) && ends_well {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotALabel { text: text.to_owned() })
        }
    }
}

impl TryFrom<String> for DnsLabel {
    type Error = NotALabel;

    fn try_from(text: String) -> Result<Self, NotALabel> {
        text.parse()
    }
}

impl From<DnsLabel> for String {
    fn from(label: DnsLabel) -> Self {
        label.0
    }
}

impl fmt::Display for DnsLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl JsonSchema for DnsLabel {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DnsLabel".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "minLength": 1, "maxLength": 63})
    }
}

/// Whether `text` is a DNS subdomain of at most 253 characters: what most object names must be.
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && !text.is_empty() && text.split('.').all(|label| label.parse::<DnsLabel>().is_ok())
}

/// The stable UUID of a tenant's webhook: v5 of (deployment UID, attempt that began it, workflow, node).
#[must_use]
pub fn webhook_uuid(deployment_uid: &str, attempt: u32, workflow: &str, node: &str) -> Uuid {
    let name = format!("{deployment_uid}\n{attempt}\n{workflow}\n{node}");
    Uuid::new_v5(&WEBHOOK_NAMESPACE, name.as_bytes())
}

/// UUID namespace of webhook paths, itself v5 of the DNS namespace and `webhooks.mandate.dev`.
const WEBHOOK_NAMESPACE: Uuid = Uuid::from_u128(0x8f9a_9fe7_f720_5230_93c1_6a35_4cc5_81e1);

/// The path of a webhook: `<tenant>-<uuid>`, or the bare UUID for a demo (000, guarantee 2).
#[must_use]
pub fn webhook_path(tenant: &str, uuid: Uuid, demo: bool) -> String {
    if demo { uuid.to_string() } else { format!("{tenant}-{uuid}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_the_api_server_takes() {
        for good in ["a", "acme-dental", "0", &"a".repeat(63)] {
            assert!(good.parse::<DnsLabel>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<DnsLabel>().is_err(), "{bad}");
        }
    }

    #[test]
    fn webhook_paths_differ_by_every_input_and_repeat_for_the_same() {
        let base = webhook_uuid("u", 1, "intake", "Call");
        assert_eq!(base, webhook_uuid("u", 1, "intake", "Call"));
        for other in [
            webhook_uuid("v", 1, "intake", "Call"),
            webhook_uuid("u", 2, "intake", "Call"),
            webhook_uuid("u", 1, "x", "Call"),
            webhook_uuid("u", 1, "intake", "x"),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(webhook_path("acme", base, false), format!("acme-{base}"));
        assert_eq!(webhook_path("acme", base, true), base.to_string());
    }

    #[test]
    fn the_webhook_namespace_is_derived_as_documented() {
        assert_eq!(WEBHOOK_NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"webhooks.mandate.dev"));
    }
}
