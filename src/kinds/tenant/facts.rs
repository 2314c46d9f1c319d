//! What a tenant's decision needs to know.

use std::collections::BTreeMap;

use super::api::{TENANT, TENANT_LABEL, Tenant};
use super::children;
use crate::engine::kind::Settings;
use crate::engine::port::{Query, Read, WorldError};
use crate::kinds::auditrecord::api::{AuditRecord, AuditRecordSpec, RECORD};
use crate::kinds::decisions;
use crate::kinds::operatordecision::api::OperatorDecision;
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, REQUEST};
use crate::model::canonical::Digest;
use crate::model::object::{HOLDS_RECORDS, OWNER_UID, Object, ObjectKey};
use crate::model::record;
use crate::model::resource::{NAMESPACE, Resource};

/// Facts.
#[derive(Debug)]
pub struct Facts {
    /// The namespace, if it exists.
    pub namespace: Option<NamespaceFact>,
    /// Objects of others that hold the names of what the tenant needs in its namespace.
    pub taken: Vec<ObjectKey>,
    /// What its release depends on; none while it stays, so that nothing in the namespace wakes it.
    pub leaving: Option<Leaving>,
}

/// What is known of the namespace.
#[derive(Debug)]
pub struct NamespaceFact {
    /// Its UID.
    pub uid: String,
    /// The tenant that it consents to.
    pub consents_to: Option<String>,
    /// Whether it is being deleted.
    pub going: bool,
    /// Whether it carries the label of those that hold records.
    pub holds_records: bool,
}

/// What is known of a tenant that is being deleted.
#[derive(Debug)]
pub struct Leaving {
    /// Requests in its namespace that left something outside which nobody has released.
    pub outside: Vec<String>,
    /// Every audit chain in its namespace, by kind, name and UID.
    pub chains: Vec<ChainFact>,
    /// Decisions on the tenant, oldest first.
    pub decisions: Vec<OperatorDecision>,
}

/// One audit chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainFact {
    /// Kind of its subject.
    pub kind: String,
    /// Name of its subject.
    pub name: String,
    /// UID of its subject.
    pub uid: String,
    /// Records in it.
    pub length: usize,
    /// Stated digest of the last of them.
    pub head: Digest,
    /// Why it does not verify.
    pub broken: Option<String>,
}

/// Gathers the facts.
pub async fn gather(tenant: &Tenant, read: &dyn Read, settings: &Settings) -> Result<Facts, WorldError> {
    let namespace = read.get(&ObjectKey::new(&NAMESPACE, "", tenant.namespace_name())).await?.map(|object| NamespaceFact {
        uid: object.uid().to_owned(),
        consents_to: object.label(TENANT_LABEL).map(str::to_owned),
        going: object.is_going(),
        holds_records: object.label(HOLDS_RECORDS) == Some("true"),
    });
    let mut taken = Vec::new();
    for child in children::inside(tenant) {
        let key = child.object.key();
        if read.get(&key).await?.is_some_and(|found| found.label(OWNER_UID) != tenant.metadata.uid.as_deref()) {
            taken.push(key);
        }
    }
    let ours = namespace.as_ref().is_some_and(|namespace| namespace.consents_to == tenant.metadata.name);
    let leaving = match tenant.metadata.deletion_timestamp {
        Some(_) => Some(leaving(tenant, ours, read, settings).await?),
        None => None,
    };
    Ok(Facts { namespace, taken, leaving })
}

/// Nothing is read in a namespace that is not the tenant's.
async fn leaving(tenant: &Tenant, ours: bool, read: &dyn Read, settings: &Settings) -> Result<Leaving, WorldError> {
    let decisions = decisions::about(&TENANT, &tenant.metadata, &settings.system_namespace, read).await?;
    if !ours {
        return Ok(Leaving { outside: Vec::new(), chains: Vec::new(), decisions });
    }
    let inside = |resource: &'static Resource| Query { resource, namespace: Some(tenant.namespace_name().to_owned()), related: None };
    let requests = read.list(&inside(&REQUEST)).await?;
    let outside = requests.iter().filter(|request| has_outside(request)).map(|request| request.name().to_owned()).collect();
    let records = read.list(&inside(&RECORD)).await?;
    let chains = chains(records.iter().filter_map(|object| object.parse::<AuditRecord>().ok()).map(|record| record.spec));
    Ok(Leaving { outside, chains, decisions })
}

/// Whether something outside is still a request's to remove.
fn has_outside(request: &Object) -> bool {
    let Ok(request) = request.parse::<ProvisioningRequest>() else { return true };
    request.status.is_some_and(|status| status.journal.is_held())
}

/// The chains that these records are of, by kind, name and UID of their subjects.
pub fn chains(records: impl IntoIterator<Item = AuditRecordSpec>) -> Vec<ChainFact> {
    let mut rows: BTreeMap<String, Vec<AuditRecordSpec>> = BTreeMap::new();
    for record in records {
        rows.entry(record.subject.uid.clone()).or_default().push(record);
    }
    let mut chains: Vec<ChainFact> = rows.into_values().filter_map(chain).collect();
    chains.sort();
    chains
}

fn chain(mut rows: Vec<AuditRecordSpec>) -> Option<ChainFact> {
    rows.sort_by_key(|row| row.sequence);
    let broken = record::verify_chain(rows.iter().map(|row| (row.entry.as_str(), row.hash.as_str()))).err();
    let length = rows.len();
    let last = rows.pop()?;
    Some(ChainFact {
        kind: last.subject.kind,
        name: last.subject.name,
        uid: last.subject.uid,
        length,
        head: last.hash,
        broken: broken.map(|broken| broken.to_string()),
    })
}
