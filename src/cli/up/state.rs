//! The state directory of `up`: objects, the sandbox's log, the certificate, the token. Bound to one folder, locked.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::cli::CommandError;
use crate::engine::port::Identifiers;
use crate::http::auth::TokenFile;
use crate::http::tls::Certificate;
use crate::operator::guards::OPERATORS;
use crate::world::store::Store;

/// User of the kubeconfig.
const USER: &str = "admin";

/// An open state directory.
pub(super) struct State {
    /// Objects.
    pub(super) store: Store,
    directory: PathBuf,
    token: String,
}

fn failed(doing: &'static str, path: &Path, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::Failed(format!("{doing} {}: {error}", path.display()))
}

impl State {
    /// Opens or makes the state of a folder.
    pub(super) fn open(folder: &Path, chosen: Option<&Path>, ids: &dyn Identifiers) -> Result<Self, CommandError> {
        if !folder.is_dir() {
            return Err(CommandError::Usage(format!("{} is no folder", folder.display())));
        }
        let directory = chosen.map_or_else(|| folder.join(".mandate"), Path::to_owned);
        fs::create_dir_all(&directory).map_err(|error| failed("making", &directory, &error))?;
        let store = Store::open(&directory).map_err(|error| CommandError::Failed(error.to_string()))?;
        store.bind(folder).map_err(|error| CommandError::Failed(error.to_string()))?;
        let token = kept(&directory.join("token"), || Ok(format!("{}{}", ids.uuid().simple(), ids.uuid().simple())))?;
        Ok(Self { store, directory, token: token.trim().to_owned() })
    }

    /// The sandbox's log.
    pub(super) fn sandbox_log(&self) -> PathBuf {
        self.directory.join("sandbox.jsonl")
    }

    /// The token of the kubeconfig.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Who may ask the API: the user of the kubeconfig, and whoever `tokens.csv` in the directory names.
    pub(super) fn tokens(&self) -> Result<TokenFile, CommandError> {
        let path = self.directory.join("tokens.csv");
        let others = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed("reading", &path, &error)),
        };
        let text = format!("{},{USER},{USER},\"{OPERATORS}\"\n{others}", self.token);
        TokenFile::parse(&text).map_err(|error| failed("reading", &path, &error))
    }

    /// The API's certificate, made once.
    pub(super) fn certificate(&self) -> Result<Certificate, CommandError> {
        let (certificate, key) = (self.directory.join("tls.crt"), self.directory.join("tls.key"));
        if let (Ok(certificate), Ok(key)) = (fs::read_to_string(&certificate), fs::read_to_string(&key)) {
            return Ok(Certificate { certificate, key });
        }
        let made = Certificate::new([]).map_err(|error| failed("making", &certificate, &error))?;
        write_private(&key, &made.key)?;
        write_private(&certificate, &made.certificate)?;
        Ok(made)
    }

    /// Writes the kubeconfig and says where.
    pub(super) fn write_kubeconfig(&self, text: &str) -> Result<PathBuf, CommandError> {
        let path = self.directory.join("kubeconfig");
        write_private(&path, text)?;
        Ok(path)
    }
}

/// The text of a file, made if it does not exist.
fn kept(path: &Path, make: impl FnOnce() -> Result<String, CommandError>) -> Result<String, CommandError> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(text),
        Ok(_) | Err(_) => {
            let text = make()?;
            write_private(path, &text)?;
            Ok(text)
        }
    }
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), CommandError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let beside = path.with_extension("new");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| failed("writing", path, &error))
}
