//! Audit entries and their chain: one per subject, each entry naming the digest of the one before.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::canonical::{self, CanonicalError, CanonicalText, Digest};
use super::time::Time;

/// Type of an entry, inside the hashed text.
pub const ENTRY_TYPE: &str = "mandate.dev/AuditRecord/v1";

/// What a chain is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped subjects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// A record to be appended: what happened and why, without its place in the chain.
/// Event and cause are its identity: an entry that exists for them is the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordDraft {
    /// What happened: CamelCase, or the name that a contract fixes.
    pub event: &'static str,
    /// Digest of what caused it.
    pub cause: Digest,
    /// Who acted: an operator's name, or `mandate`.
    pub actor: String,
    /// Details; a document of our own (integers and strings).
    pub payload: Value,
}

impl RecordDraft {
    /// Whether it is the draft of this entry.
    #[must_use]
    pub fn is_of(&self, entry: &Entry) -> bool {
        entry.event == self.event && entry.cause == self.cause
    }
}

/// One entry, read from its canonical text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Always [`ENTRY_TYPE`].
    #[serde(rename = "@type")]
    pub entry_type: String,
    /// What it is about.
    pub subject: Subject,
    /// Place in the chain, from 1.
    pub sequence: u32,
    /// Digest of the entry before; absent in the first.
    #[serde(default)]
    pub previous: Option<Digest>,
    /// When it was appended.
    pub time: Time,
    /// What happened.
    pub event: String,
    /// Digest of what caused it.
    pub cause: Digest,
    /// Who acted.
    pub actor: String,
    /// Details.
    pub payload: Value,
}

/// Where a chain stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChainHead {
    /// Number of entries.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub length: u32,
    /// Digest of the last entry.
    pub head: Digest,
}

/// Canonical text of the entry that follows `before` with this draft.
///
/// # Errors
/// When the payload is outside the guard for our own documents.
pub fn entry_text(subject: &Subject, before: Option<&ChainHead>, time: Time, draft: &RecordDraft) -> Result<CanonicalText, CanonicalError> {
    let mut document = json!({
        "@type": ENTRY_TYPE,
        "subject": {"kind": subject.kind, "namespace": subject.namespace, "name": subject.name, "uid": subject.uid},
        "sequence": before.map_or(0, |head| head.length) + 1,
        "time": time.to_string(),
        "event": draft.event,
        "cause": draft.cause.as_str(),
        "actor": draft.actor,
        "payload": draft.payload,
    });
    if let Some(head) = before {
        document["previous"] = head.head.as_str().into();
    }
    canonical::own(&document)
}

/// Name of the object that holds an entry: `<kind>-<uid>-<seq>`.
#[must_use]
pub fn record_name(subject: &Subject, sequence: u32) -> String {
    format!("{}-{}-{sequence}", subject.kind.to_lowercase(), subject.uid)
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLink {
    /// The text is no entry.
    #[error("entry {sequence}: not a canonical {ENTRY_TYPE}: {why}")]
    NotAnEntry {
        /// Expected place in the chain.
        sequence: u32,
        /// What is wrong with it.
        why: String,
    },
    /// The text does not hash to the stated digest.
    #[error("entry {sequence}: its text hashes to {actual}, not to the stated {stated}")]
    Hash {
        /// Place in the chain.
        sequence: u32,
        /// Stated digest.
        stated: String,
        /// Digest of the text.
        actual: Digest,
    },
    /// An entry is missing, doubled or out of place.
    #[error("expected entry {expected}, found entry {found}")]
    Sequence {
        /// Expected place.
        expected: u32,
        /// Stated place.
        found: u32,
    },
    /// The entry does not name the one before.
    #[error("entry {sequence}: names {stated} as the entry before, which is {actual}")]
    Previous {
        /// Place in the chain.
        sequence: u32,
        /// Stated digest of the entry before.
        stated: String,
        /// Its actual digest.
        actual: String,
    },
    /// The entry is about another subject.
    #[error("entry {sequence}: is about another subject")]
    Subject {
        /// Place in the chain.
        sequence: u32,
    },
}

impl BrokenLink {
    /// Place in the chain of the first entry that cannot be trusted, from 1.
    #[must_use]
    pub fn place(&self) -> u32 {
        match self {
            Self::NotAnEntry { sequence, .. }
            | Self::Hash { sequence, .. }
            | Self::Sequence { expected: sequence, .. }
            | Self::Previous { sequence, .. }
            | Self::Subject { sequence } => *sequence,
        }
    }
}

/// Reads one entry and checks its digest and that its text is canonical.
///
/// # Errors
/// [`BrokenLink::NotAnEntry`] or [`BrokenLink::Hash`]; `sequence` is for the message only.
pub fn read_entry(sequence: u32, text: &str, stated: &str) -> Result<Entry, BrokenLink> {
    let actual = Digest::of_bytes(text.as_bytes());
    if actual.as_str() != stated {
        return Err(BrokenLink::Hash { sequence, stated: stated.to_owned(), actual });
    }
    let malformed = |why: String| BrokenLink::NotAnEntry { sequence, why };
    let document = canonical::parse(text).map_err(|error| malformed(error.to_string()))?;
    let again = canonical::own(&document).map_err(|error| malformed(error.to_string()))?;
    if again.as_str() != text {
        return Err(malformed("the text is not in canonical form".into()));
    }
    let entry: Entry = serde_json::from_value(document).map_err(|error| malformed(error.to_string()))?;
    if entry.entry_type == ENTRY_TYPE { Ok(entry) } else { Err(malformed(format!("its type is {}", entry.entry_type))) }
}

/// Checks a whole chain, given as (text, stated digest) in order, and returns its entries.
///
/// # Errors
/// The first broken link.
pub fn verify_chain<'a>(rows: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Entry>, BrokenLink> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut head: Option<String> = None;
    for (expected, (text, stated)) in (1_u32..).zip(rows) {
        let entry = read_entry(expected, text, stated)?;
        if entry.sequence != expected {
            return Err(BrokenLink::Sequence { expected, found: entry.sequence });
        }
        let named = entry.previous.as_ref().map(Digest::as_str);
        if named != head.as_deref() {
            let words = |digest: Option<&str>| digest.unwrap_or("nothing").to_owned();
            return Err(BrokenLink::Previous { sequence: expected, stated: words(named), actual: words(head.as_deref()) });
        }
        if entries.first().is_some_and(|first| first.subject != entry.subject) {
            return Err(BrokenLink::Subject { sequence: expected });
        }
        head = Some(stated.to_owned());
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
