//! Audit chains proven without a server, from exported objects.
//!
//! A chain is checked link by link; each record's name and columns must say what its entry says; a subject among the
//! exported objects must know the chain's length and head, which shows a tail that was cut off. A chain whose subject is
//! not there and whose tail was cut off looks complete: the report says which subjects were compared.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::yaml::LocatedDocument;
use crate::kinds::auditrecord::api::AuditRecordSpec;
use crate::model::pointer;
use crate::model::record::{self, ChainHead, Entry};

/// What is known of one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Kind of the subject.
    pub kind: String,
    /// `namespace/name` or name of the subject.
    pub subject: String,
    /// UID of the subject.
    pub uid: String,
    /// Records found.
    pub entries: usize,
    /// Digest of the last entry, if the chain verifies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Whether the subject itself was there to compare with.
    pub compared: bool,
    /// What is wrong with it first; none when it verifies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// Everything exported, by the subjects it is about.
#[derive(Default)]
struct Export<'a> {
    records: BTreeMap<String, Vec<Row<'a>>>,
    subjects: BTreeMap<String, &'a Value>,
}

/// One record.
struct Row<'a> {
    sequence: u64,
    body: &'a Value,
}

/// Checks every chain among these documents, by subject. Subjects with a chain but no records are reported too.
#[must_use]
pub fn verify(documents: &[LocatedDocument]) -> Vec<Report> {
    let export = sorted(documents);
    let uids: std::collections::BTreeSet<&String> = export.records.keys().chain(export.subjects.keys()).collect();
    let mut reports: Vec<Report> = uids
        .into_iter()
        .map(|uid| report(uid, export.records.get(uid).map(Vec::as_slice).unwrap_or_default(), export.subjects.get(uid).copied()))
        .collect();
    reports.sort_by(|one, other| (&one.kind, &one.subject, &one.uid).cmp(&(&other.kind, &other.subject, &other.uid)));
    reports
}

fn sorted(documents: &[LocatedDocument]) -> Export<'_> {
    let mut export = Export::default();
    for document in documents {
        let body = &document.value;
        if pointer::text(body, "/kind") == Some("AuditRecord") {
            let uid = pointer::text(body, "/spec/subject/uid").unwrap_or_default();
            let sequence = body.pointer("/spec/sequence").and_then(Value::as_u64).unwrap_or_default();
            export.records.entry(uid.to_owned()).or_default().push(Row { sequence, body });
        } else if body.pointer("/status/chain").is_some() {
            export.subjects.insert(pointer::text(body, "/metadata/uid").unwrap_or_default().to_owned(), body);
        }
    }
    for rows in export.records.values_mut() {
        rows.sort_by_key(|row| row.sequence);
        // The same export twice is still one chain.
        rows.dedup_by(|one, other| one.body == other.body);
    }
    export
}

fn report(uid: &str, rows: &[Row<'_>], subject: Option<&Value>) -> Report {
    let checked = check(rows, subject);
    let (entries, broken) = match checked {
        Ok(entries) => (entries, None),
        Err(broken) => (Vec::new(), Some(broken)),
    };
    let named = |body: &Value, kind: &str, namespace: &str, name: &str| {
        let text = |field: &str| pointer::text(body, field).unwrap_or_default().to_owned();
        (text(kind), text(namespace), text(name))
    };
    let (kind, namespace, name) = match (entries.first(), subject, rows.first()) {
        (Some(Entry { subject, .. }), _, _) => (subject.kind.clone(), subject.namespace.clone(), subject.name.clone()),
        (None, Some(subject), _) => named(subject, "/kind", "/metadata/namespace", "/metadata/name"),
        (None, None, Some(row)) => named(row.body, "/spec/subject/kind", "/metadata/namespace", "/spec/subject/name"),
        (None, None, None) => Default::default(),
    };
    Report {
        kind,
        subject: if namespace.is_empty() { name } else { format!("{namespace}/{name}") },
        uid: uid.to_owned(),
        entries: rows.len(),
        head: rows.last().filter(|_| broken.is_none()).and_then(|row| pointer::text(row.body, "/spec/hash")).map(str::to_owned),
        compared: subject.is_some(),
        broken,
    }
}

/// The entries of a chain, or what is wrong with it first.
fn check(rows: &[Row<'_>], subject: Option<&Value>) -> Result<Vec<Entry>, String> {
    let texts: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (pointer::text(row.body, "/spec/entry").unwrap_or_default(), pointer::text(row.body, "/spec/hash").unwrap_or_default()))
        .collect();
    let named = |place: u32, what: &dyn std::fmt::Display| {
        let row = usize::try_from(place).ok().and_then(|place| rows.get(place.checked_sub(1)?));
        let name = row.and_then(|row| pointer::text(row.body, "/metadata/name")).unwrap_or_default();
        format!("AuditRecord {name}: {what}")
    };
    let chain = record::verify_chain(texts.iter().copied());
    // Links are proven up to the first broken one; a column that lies before it comes first.
    let proven =
        chain.as_ref().map_or_else(|broken| broken.place().saturating_sub(1), |entries| u32::try_from(entries.len()).unwrap_or(u32::MAX));
    for (place, (row, (entry, hash))) in (1..=proven).zip(rows.iter().zip(&texts)) {
        let entry = record::read_entry(place, entry, hash).map_err(|error| named(place, &error))?;
        columns(&entry, row.body).map_err(|what| named(place, &what))?;
    }
    let entries = chain.map_err(|broken| named(broken.place(), &broken))?;
    if let Some(subject) = subject {
        tail(&texts, subject)?;
    }
    Ok(entries)
}

/// Name, namespace and columns of a record are copies of what its entry says.
fn columns(entry: &Entry, body: &Value) -> Result<(), String> {
    let spec = body.get("spec").cloned().unwrap_or_default();
    let spec: AuditRecordSpec = serde_json::from_value(spec).map_err(|error| format!("spec: {error}"))?;
    let copy = AuditRecordSpec::holding(entry, spec.entry.clone(), spec.hash.clone());
    let metadata = |field: &str| pointer::text(body, field).unwrap_or_default().to_owned();
    let namespace = metadata("/metadata/namespace");
    // Records about cluster-scoped subjects live in the system namespace, which the entry does not name.
    let expected = if entry.subject.namespace.is_empty() { namespace.clone() } else { entry.subject.namespace.clone() };
    let pairs = [
        ("metadata.name", record::record_name(&entry.subject, entry.sequence), metadata("/metadata/name")),
        ("metadata.namespace", expected, namespace),
        ("spec.subject.kind", copy.subject.kind, spec.subject.kind),
        ("spec.subject.name", copy.subject.name, spec.subject.name),
        ("spec.subject.uid", copy.subject.uid, spec.subject.uid),
        ("spec.sequence", copy.sequence.to_string(), spec.sequence.to_string()),
        ("spec.event", copy.event, spec.event),
        ("spec.actor", copy.actor, spec.actor),
        ("spec.time", copy.time.to_string(), spec.time.to_string()),
    ];
    let differing = pairs.into_iter().find(|(_, entry, column)| entry != column);
    differing.map_or(Ok(()), |(field, entry, column)| Err(format!("{field} is {column:?} but the entry says {entry:?}")))
}

/// The subject's status counts its chain.
fn tail(texts: &[(&str, &str)], subject: &Value) -> Result<(), String> {
    let stated = subject.pointer("/status/chain").cloned().unwrap_or_default();
    let stated: ChainHead = serde_json::from_value(stated).map_err(|error| format!("status.chain of the subject: {error}"))?;
    let counted = usize::try_from(stated.length).unwrap_or(usize::MAX);
    let found = texts.len();
    if found < counted {
        return Err(format!("record {} is missing: status.chain of the subject counts {counted}, the export holds {found}", found + 1));
    }
    if found > counted {
        let what = format!("record {} is not counted by status.chain of the subject ({counted})", counted + 1);
        return Err(format!("{what}: export again if the controller was at work"));
    }
    match texts.last() {
        Some((_, hash)) if *hash == stated.head.as_str() => Ok(()),
        Some((_, hash)) => Err(format!("record {counted} has hash {hash} but status.chain of the subject names {}", stated.head)),
        None => Ok(()),
    }
}
