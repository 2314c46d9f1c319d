//! The append-only log of effects, and the only durable state of the sandbox.
//!
//! One line per commit: the effects of one request together with the whole resource they leave behind, so that the state is a
//! fold over the lines. A line reaches the file before the reply is sent; a kill -9 can tear the last line only, and a torn line
//! is an effect that was never acknowledged, so it is cut off on open. Surviving a power cut needs `sync`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{self, ObjectText};

/// Which simulated system an effect or a fault belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Workflows and their production webhooks, below `/n8n`.
    N8n,
    /// Voice assistants, below `/vapi`.
    Vapi,
    /// Calendar webhooks, below `/calcom`.
    Calcom,
    /// Subscriptions, below `/crm`.
    Crm,
}

/// What was done. Reads are no effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// A resource came into being.
    Create,
    /// A resource's content was replaced or changed.
    Update,
    /// A workflow was published.
    Activate,
    /// A workflow was unpublished.
    Deactivate,
    /// A resource is gone.
    Delete,
    /// A production webhook answers from now on.
    RegisterWebhook,
    /// A production webhook no longer answers.
    UnregisterWebhook,
}

/// One thing that was done to a simulated system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// Position in the log, from 1, without gaps.
    pub sequence: u64,
    /// When, by the sandbox's clock.
    pub at: Timestamp,
    /// The system it was done to.
    pub vendor: Vendor,
    /// What was done.
    pub operation: Operation,
    /// The resource's server-made id.
    pub id: String,
    /// What a caller can recognise the resource by: workflow name, assistant metadata as canonical text (its name without
    /// metadata), subscriber URL, external id; for a webhook its method and path.
    pub label: String,
    /// `sha256:<hex>` of what the caller asked for, free of server-made ids and times: equal for equal requests.
    pub digest: String,
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened, read, written or cut.
    #[error("{operation} effect log {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The log file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Another process writes this log.
    #[error("effect log {} is in use by another sandbox", .0.display())]
    InUse(PathBuf),
    /// A complete line is not what this version writes.
    #[error("effect log {} line {line}: {reason}", path.display())]
    Corrupt {
        /// The log file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An earlier failure left an unfinished line that could not be removed.
    #[error("effect log refuses writes after an earlier failure")]
    Broken,
}

/// An effect before the log has given it a place.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) vendor: Vendor,
    pub(super) operation: Operation,
    pub(super) id: String,
    pub(super) label: String,
    pub(super) digest: String,
}

/// One line read back.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    /// Never empty; the first effect is the one done to the resource, the others follow from it.
    pub(super) effects: Vec<Effect>,
    /// The whole resource after the effect; absent after a delete.
    pub(super) resource: Option<Value>,
}

/// Effects in memory, and the file they are also in when the log is durable.
#[derive(Debug, Default)]
pub(super) struct Log {
    effects: Vec<Effect>,
    disk: Option<Disk>,
}

#[derive(Debug)]
struct Disk {
    file: File,
    path: PathBuf,
    length: u64,
    sync: bool,
    broken: bool,
}

impl Log {
    /// The same effects, in memory alone.
    pub(super) fn fork(&self) -> Self {
        Self { effects: self.effects.clone(), disk: None }
    }

    /// Opens or creates the file, hands every complete line to `fold` in order, and cuts off a torn last line.
    pub(super) fn open(path: &Path, sync: bool, mut fold: impl FnMut(&Entry) -> Result<(), String>) -> Result<Self, LogError> {
        let failed = |operation| move |source| LogError::File { operation, path: path.to_path_buf(), source };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(LogError::InUse(path.to_path_buf())),
            Err(std::fs::TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        file.seek(SeekFrom::Start(0)).map_err(failed("read"))?;
        let mut effects = Vec::new();
        let mut length = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed("read"))?;
            if !line.ends_with(b"\n") {
                break;
            }
            let corrupt = |reason| LogError::Corrupt { path: path.to_path_buf(), line: number, reason };
            let entry: Entry = serde_json::from_slice(&line).map_err(|error| corrupt(error.to_string()))?;
            fold(&entry).map_err(corrupt)?;
            effects.extend(entry.effects);
            length += u64::try_from(read).unwrap_or(u64::MAX);
        }
        file.set_len(length).map_err(failed("cut"))?;
        Ok(Self { effects, disk: Some(Disk { file, path: path.to_path_buf(), length, sync, broken: false }) })
    }

    /// All effects, oldest first.
    pub(super) fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// Appends the effects of one request as one line. On an error nothing was appended.
    pub(super) fn append(&mut self, at: Timestamp, drafts: Vec<Draft>, resource: Option<&str>) -> Result<(), LogError> {
        let first = u64::try_from(self.effects.len()).unwrap_or(u64::MAX).saturating_add(1);
        let effects: Vec<Effect> = (first..)
            .zip(drafts)
            .map(|(sequence, draft)| {
                let Draft { vendor, operation, id, label, digest } = draft;
                Effect { sequence, at, vendor, operation, id, label, digest }
            })
            .collect();
        if let Some(disk) = &mut self.disk {
            let resource = resource.unwrap_or("null");
            let mut line =
                ObjectText::with_capacity(resource.len() + 512).raw("effects", &json::compact(&effects)).raw("resource", resource).finish();
            line.push('\n');
            disk.write(line.as_bytes())?;
        }
        self.effects.extend(effects);
        Ok(())
    }
}

impl Disk {
    fn write(&mut self, line: &[u8]) -> Result<(), LogError> {
        if self.broken {
            return Err(LogError::Broken);
        }
        let written = self.file.write_all(line).and_then(|()| if self.sync { self.file.sync_data() } else { Ok(()) });
        if let Err(source) = written {
            // Half a line in the middle would make the whole log unreadable.
            self.broken = self.file.set_len(self.length).is_err();
            return Err(LogError::File { operation: "append to", path: self.path.clone(), source });
        }
        self.length += u64::try_from(line.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}
