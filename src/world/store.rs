//! What the embedded world keeps on disk: one database in one directory, used by one process, bound to one folder.
//!
//! A committed transaction is on disk when the call returns; what was not committed leaves no trace. Torn writes are the
//! database's business.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use serde_json::Value;
use uuid::Uuid;

use crate::engine::port::Identifiers;
use crate::model::object::ObjectKey;

/// Memory the database may use for pages, in bytes.
pub const CACHE_BYTES: usize = 2 * 1024 * 1024;
/// Name of the database file in its directory.
pub const DATABASE_FILE: &str = "world.redb";

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const NOTES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("notes");
const VERSION: &str = "resourceVersion";
const INSTANCE: &str = "instance";
const BOUND_TO: &str = "boundTo";

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Only one process may use a state directory.
    #[error("state directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A state directory belongs to one folder.
    #[error("state directory {} belongs to {bound}, not to {}", state.display(), asked.display())]
    BoundElsewhere {
        /// The state directory.
        state: PathBuf,
        /// The folder it was first used for.
        bound: String,
        /// The folder it was asked to serve now.
        asked: PathBuf,
    },
    /// The directory cannot be made or read.
    #[error("state directory {}: {error}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// The database refused.
    #[error("state database: {0}")]
    Database(Box<redb::Error>),
    /// The database holds something that this program did not write.
    #[error("state database: {what} is not readable: {why}")]
    Corrupt {
        /// Which entry.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// One object as it lies on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredObject {
    /// API group.
    pub group: String,
    /// Plural of the resource.
    pub plural: String,
    /// The whole document.
    pub body: Value,
}

/// One object to write: its JSON, or none to remove it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Where.
    pub key: &'a ObjectKey,
    /// What.
    pub json: Option<&'a [u8]>,
}

/// A state directory. Cheap to clone; the directory is released when the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    directory: PathBuf,
    transactions: AtomicU64,
}

impl Store {
    /// Opens the state directory, making it if need be. Blocks.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another process has it open; otherwise what the file system or database says.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let unusable = |error| StoreError::Directory { path: directory.to_owned(), error };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let path = directory.join(DATABASE_FILE);
        keep_private(&path).map_err(unusable)?;
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        match opened {
            Err(DatabaseError::DatabaseAlreadyOpen) => Err(StoreError::InUse(directory.to_owned())),
            opened => Self::with_tables(opened?, directory),
        }
    }

    /// A store over any medium, so that a test can stand between the database and its disk.
    ///
    /// # Errors
    /// What the medium or the database says.
    pub fn over(medium: impl StorageBackend) -> Result<Self, StoreError> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(medium)?;
        Self::with_tables(database, Path::new(""))
    }

    fn with_tables(database: Database, directory: &Path) -> Result<Self, StoreError> {
        let transaction = database.begin_write()?;
        transaction.open_table(OBJECTS)?;
        transaction.open_table(META)?;
        transaction.open_table(NOTES)?;
        transaction.commit()?;
        Ok(Self { inner: Arc::new(Inner { database, directory: directory.to_owned(), transactions: AtomicU64::new(0) }) })
    }

    /// Ties the state to the folder it is the state of, by its canonical path. Idempotent for the same folder.
    ///
    /// # Errors
    /// [`StoreError::BoundElsewhere`] when it already belongs to another folder.
    pub fn bind(&self, folder: &Path) -> Result<(), StoreError> {
        let canonical = folder.canonicalize().map_err(|error| StoreError::Directory { path: folder.to_owned(), error })?;
        let asked = canonical.to_string_lossy().into_owned();
        let bound = self.meta_or_insert(BOUND_TO, || asked.clone())?;
        if bound == asked {
            return Ok(());
        }
        Err(StoreError::BoundElsewhere { state: self.inner.directory.clone(), bound, asked: canonical })
    }

    /// Identity of this state, made once.
    ///
    /// # Errors
    /// What the database says.
    pub fn instance(&self, ids: &dyn Identifiers) -> Result<Uuid, StoreError> {
        let text = self.meta_or_insert(INSTANCE, || ids.uuid().to_string())?;
        text.parse().map_err(|error: uuid::Error| StoreError::Corrupt { what: INSTANCE.into(), why: error.to_string() })
    }

    fn meta_or_insert(&self, name: &str, value: impl FnOnce() -> String) -> Result<String, StoreError> {
        let transaction = self.inner.database.begin_write()?;
        let stored = transaction.open_table(META)?.get(name)?.map(|text| text.value().to_owned());
        if let Some(stored) = stored {
            transaction.abort()?;
            return Ok(stored);
        }
        let value = value();
        transaction.open_table(META)?.insert(name, value.as_str())?;
        transaction.commit()?;
        Ok(value)
    }

    /// The newest resource version that was ever given out; none in a new state.
    ///
    /// # Errors
    /// What the database says.
    pub fn version(&self) -> Result<Option<u64>, StoreError> {
        let table = self.inner.database.begin_read()?.open_table(META)?;
        let Some(text) = table.get(VERSION)? else { return Ok(None) };
        let corrupt = |error: std::num::ParseIntError| StoreError::Corrupt { what: VERSION.into(), why: error.to_string() };
        text.value().parse().map(Some).map_err(corrupt)
    }

    /// Hands over every object, one at a time, so that the documents are never in memory twice.
    ///
    /// # Errors
    /// What the database says, [`StoreError::Corrupt`], or what `each` says.
    pub fn for_each<E: From<StoreError>>(&self, mut each: impl FnMut(StoredObject) -> Result<(), E>) -> Result<(), E> {
        let table = self.inner.database.begin_read().map_err(StoreError::from)?.open_table(OBJECTS).map_err(StoreError::from)?;
        for row in table.iter().map_err(StoreError::from)? {
            let (key, json) = row.map_err(StoreError::from)?;
            each(stored_object(key.value(), json.value())?)?;
        }
        Ok(())
    }

    /// Writes rows and the newest resource version as one durable transaction. Blocks until it is on disk.
    ///
    /// # Errors
    /// What the database says; then nothing is known of the transaction until the store is opened anew.
    pub fn commit<'a>(&self, rows: impl IntoIterator<Item = Row<'a>>, version: u64) -> Result<(), StoreError> {
        let transaction = self.inner.database.begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for Row { key, json } in rows {
                let key = row_key(key);
                match json {
                    Some(json) => drop(objects.insert(key.as_str(), json)?),
                    None => drop(objects.remove(key.as_str())?),
                }
            }
            transaction.open_table(META)?.insert(VERSION, version.to_string().as_str())?;
        }
        transaction.commit()?;
        self.inner.transactions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Object transactions committed since opening.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.inner.transactions.load(Ordering::Relaxed)
    }

    /// A note of another part of the program: not an object, without a version.
    ///
    /// # Errors
    /// What the database says.
    pub fn note(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.inner.database.begin_read()?.open_table(NOTES)?;
        Ok(table.get(name)?.map(|bytes| bytes.value().to_vec()))
    }

    /// Writes notes, durably, all or none; `None` removes one. Blocks.
    ///
    /// # Errors
    /// What the database says.
    pub fn put_notes<'a>(&self, notes: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> Result<(), StoreError> {
        let transaction = self.inner.database.begin_write()?;
        {
            let mut table = transaction.open_table(NOTES)?;
            for (name, bytes) in notes {
                match bytes {
                    Some(bytes) => drop(table.insert(name, bytes)?),
                    None => drop(table.remove(name)?),
                }
            }
        }
        Ok(transaction.commit()?)
    }

    /// Names and contents of all notes whose name begins with `prefix`, by name.
    ///
    /// # Errors
    /// What the database says.
    pub fn notes(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let table = self.inner.database.begin_read()?.open_table(NOTES)?;
        let mut notes = Vec::new();
        for row in table.range(prefix..)? {
            let (name, bytes) = row?;
            if !name.value().starts_with(prefix) {
                break;
            }
            notes.push((name.value().to_owned(), bytes.value().to_vec()));
        }
        Ok(notes)
    }
}

/// Secrets lie in the file: nobody but its owner may read it.
fn keep_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

/// `group/plural/namespace/name`: no part can hold a slash.
fn row_key(key: &ObjectKey) -> String {
    format!("{}/{}/{}/{}", key.resource.group, key.resource.plural, key.namespace, key.name)
}

fn stored_object(key: &str, json: &[u8]) -> Result<StoredObject, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: key.to_owned(), why };
    let mut parts = key.splitn(3, '/');
    let (Some(group), Some(plural), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(corrupt("its key has no resource".into()));
    };
    let body = serde_json::from_slice(json).map_err(|error| corrupt(error.to_string()))?;
    Ok(StoredObject { group: group.to_owned(), plural: plural.to_owned(), body })
}
