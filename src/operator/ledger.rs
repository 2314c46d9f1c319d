//! The ledger whose entries are AuditRecord objects.
//!
//! Appending is create-only with a deterministic name, so two writers cannot both take a place in a chain: the loser
//! reads what is there, adopts it if it is the same record, and takes the next place if not.
//!
//! Before the first record of a namespace, the namespace is labelled [`HOLDS_RECORDS`]: from then on its deletion is refused.
//! It happens here because every record passes here, whatever it is about: a crash in between leaves a label too many, never
//! a record unprotected. The label is looked for in the cache, so that it costs one read and one write per namespace in all.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::engine::port::{Clock, Ledger, LedgerError, Query, Read, StoredEntry, World, WorldError};
use crate::kinds::auditrecord::api::{AuditRecordSpec, RECORD};
use crate::model::object::{HOLDS_RECORDS, OWNER_UID, Object, ObjectKey};
use crate::model::pointer;
use crate::model::record::{self, ChainHead, RecordDraft, Subject};
use crate::model::resource::NAMESPACE;
use crate::model::time::Time;

/// Tries to take a place before giving up: each lost try means that another writer made progress.
const TRIES: usize = 16;

/// The ledger of one pass.
pub struct ObjectLedger<'a> {
    /// Where entries are read.
    pub read: &'a dyn Read,
    /// Where they are created, and read again after a collision.
    pub world: &'a dyn World,
    /// Time of entries.
    pub clock: &'a dyn Clock,
    /// Namespace of records about cluster-scoped subjects.
    pub system_namespace: &'a str,
}

impl ObjectLedger<'_> {
    async fn entries(&self, subject: &Subject, read: &dyn Read) -> Result<Vec<StoredEntry>, WorldError> {
        let objects = read.list(&Query::related(&RECORD, &subject.uid)).await?;
        let mut rows: Vec<(u64, StoredEntry)> = objects
            .iter()
            .filter(|object| pointer::text(&object.body, "/spec/subject/uid") == Some(&subject.uid))
            .map(|object| {
                let text = |field: &str| pointer::text(&object.body, field).unwrap_or_default().to_owned();
                let sequence = object.body.pointer("/spec/sequence").and_then(serde_json::Value::as_u64).unwrap_or_default();
                (sequence, StoredEntry { text: text("/spec/entry"), hash: text("/spec/hash") })
            })
            .collect();
        rows.sort_by_key(|(sequence, _)| *sequence);
        Ok(rows.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Labels the namespace of a record that is about to be made. One that is absent or going refuses the record itself.
    async fn mark(&self, namespace: &str) -> Result<(), WorldError> {
        let key = ObjectKey::new(&NAMESPACE, "", namespace);
        let is_marked = |namespace: &Arc<Object>| namespace.label(HOLDS_RECORDS) == Some("true");
        if self.read.get(&key).await?.as_ref().is_some_and(is_marked) {
            return Ok(());
        }
        // What was read may be older than the label.
        let Some(live) = self.world.get(&key).await? else { return Ok(()) };
        if is_marked(&live) || live.is_going() {
            return Ok(());
        }
        let mut labels = live.body.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
        labels[HOLDS_RECORDS] = "true".into();
        let mut object = Object::clone(&live);
        object.set_metadata("labels", labels);
        self.world.update(&object).await.map(drop)
    }

    fn object(&self, subject: &Subject, text: &record::Entry, entry: String, hash: crate::model::canonical::Digest) -> Object {
        let namespace = if subject.namespace.is_empty() { self.system_namespace } else { &subject.namespace };
        let mut object = Object::named(&RECORD, namespace, &record::record_name(subject, text.sequence));
        object.set_metadata("labels", json!({ OWNER_UID: subject.uid }));
        object.body["spec"] = serde_json::to_value(AuditRecordSpec::holding(text, entry, hash)).unwrap_or_default();
        object
    }
}

#[async_trait]
impl Ledger for ObjectLedger<'_> {
    async fn read(&self, subject: &Subject) -> Result<Vec<StoredEntry>, WorldError> {
        self.entries(subject, self.read).await
    }

    async fn append(&self, subject: &Subject, draft: &RecordDraft) -> Result<ChainHead, LedgerError> {
        let mut stored = self.entries(subject, self.read).await?;
        for _ in 0..TRIES {
            let entries = record::verify_chain(stored.iter().map(|entry| (entry.text.as_str(), entry.hash.as_str())))?;
            let head = stored.last().and_then(|last| last.hash.parse().ok()).zip(u32::try_from(stored.len()).ok());
            let head = head.map(|(head, length)| ChainHead { length, head });
            if let Some(head) =
                head.clone().filter(|_| entries.iter().any(|entry| entry.event == draft.event && entry.cause == draft.cause))
            {
                return Ok(head);
            }
            let time = Time::new(self.clock.now());
            let unfit = |error| LedgerError::Draft { event: draft.event, error };
            let text = record::entry_text(subject, head.as_ref(), time, draft).map_err(unfit)?;
            let hash = text.digest();
            let entry = record::read_entry(head.as_ref().map_or(1, |head| head.length + 1), text.as_str(), hash.as_str())?;
            let object = self.object(subject, &entry, text.into_string(), hash.clone());
            self.mark(object.namespace()).await?;
            match self.world.create(&object).await {
                Ok(_) => return Ok(ChainHead { length: entry.sequence, head: hash }),
                Err(WorldError::AlreadyExists(_)) => stored = self.entries(subject, self.world).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(LedgerError::World(WorldError::Unavailable { message: "too many writers append to one chain".into(), retry_after: None }))
    }
}
