//! Manifests as they lie in files and folders.
//!
//! One bad file or document is a problem of its own and never hides the others. Reading again gives the same order.
//! Left out: folders whose name begins with a dot, and folders named `sandbox`, which hold workflow templates.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::problem::Problem;
use super::yaml::{self, LocatedDocument, MAX_FILE_BYTES, Position, Positions, pointer_of_field};
use crate::kinds::crd;
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::{BUILT_IN, Resource};

/// The standard input, as a path.
pub const STDIN: &str = "-";
/// Folder of workflow templates, beside manifests.
pub const SANDBOX: &str = "sandbox";
/// Files that are read.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// One object and where it stands.
#[derive(Debug, Clone)]
pub struct Document {
    /// File as it was named.
    pub file: Arc<str>,
    /// Line on which it begins, from 1.
    pub line: u32,
    /// The object as written.
    pub object: Object,
    positions: Positions,
}

impl Document {
    /// Where a field stands, as validation names it (`spec.workflows[0]`); the nearest above it if it is absent.
    #[must_use]
    pub fn position_of_field(&self, field: &str) -> Position {
        self.positions.nearest(&pointer_of_field(&self.object.body, field))
    }

    /// Where the value at a JSON pointer stands; the nearest above it if it is absent.
    #[must_use]
    pub fn position_of(&self, pointer: &str) -> Position {
        self.positions.nearest(pointer)
    }

    /// Where the key of a field stands.
    #[must_use]
    pub fn position_of_key(&self, field: &str) -> Position {
        let pointer = pointer_of_field(&self.object.body, field);
        self.positions.of_key(&pointer).unwrap_or_else(|| self.positions.nearest(&pointer))
    }
}

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// Objects of known kinds, by file and place; of two with one key the first.
    pub documents: Vec<Document>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Files that were read, in order.
    pub files: Vec<Arc<str>>,
    /// Folders of workflow templates beside what was read.
    pub sandboxes: Vec<PathBuf>,
}

impl Folder {
    /// Reads files, folders with what is in them, and the standard input (`-`).
    #[must_use]
    pub fn read<P: AsRef<Path>>(paths: &[P]) -> Self {
        let mut found = Found::default();
        for path in paths {
            found.visit(path.as_ref());
        }
        let Found { files, sandboxes, problems, .. } = found;
        let mut folder = Self { problems, sandboxes: sandboxes.into_iter().collect(), ..Self::default() };
        for path in files {
            folder.read_file(&path);
        }
        folder.drop_duplicates();
        folder
    }

    fn read_file(&mut self, path: &Path) {
        let name: Arc<str> = path.display().to_string().into();
        self.files.push(Arc::clone(&name));
        match bytes_of(path) {
            Ok(bytes) => self.read_bytes(&name, &bytes),
            Err(message) => self.problems.push(Problem::unreadable(&name, message)),
        }
    }

    fn read_bytes(&mut self, file: &Arc<str>, bytes: &[u8]) {
        let documents = match yaml::read_bytes(bytes) {
            Ok(documents) => documents,
            Err(error) => {
                let at = Position { line: error.line, column: error.column };
                self.problems.push(Problem::error(file, at, "DocumentInvalid", error.message));
                return;
            }
        };
        for document in documents {
            match resolve(file, document) {
                Ok(document) => self.documents.push(document),
                Err(problem) => self.problems.push(*problem),
            }
        }
    }

    fn drop_duplicates(&mut self) {
        let mut first: BTreeMap<ObjectKey, (Arc<str>, u32)> = BTreeMap::new();
        let problems = &mut self.problems;
        self.documents.retain(|document| {
            let key = document.object.key();
            let Some((file, line)) = first.get(&key) else {
                first.insert(key, (Arc::clone(&document.file), document.line));
                return true;
            };
            let at = document.position_of("");
            let mut problem =
                Problem::error(&document.file, at, "DuplicateObject", format!("the same object stands at {file}:{line}: keep one"));
            problem.object = Some(key.to_string());
            problems.push(problem);
            false
        });
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that what is too long is known to be.
    let read = if path.as_os_str() == STDIN {
        std::io::stdin().take(limit + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

/// The document as an object of a kind that is known.
fn resolve(file: &Arc<str>, document: LocatedDocument) -> Result<Document, Box<Problem>> {
    let LocatedDocument { mut value, line, positions } = document;
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let known = known();
    let resource = known.iter().find(|resource| resource.kind == kind && resource.api_version() == version);
    let Some(resource) = resource else {
        let field = if kind.is_empty() || known.iter().any(|resource| resource.kind == kind) { "apiVersion" } else { "kind" };
        let list: Vec<String> = known.iter().map(|resource| format!("{} {}", resource.api_version(), resource.kind)).collect();
        let message = format!("apiVersion {version:?} kind {kind:?} is not known here; known are {}", list.join(", "));
        return Err(Box::new(Problem::error(file, positions.nearest(&format!("/{field}")), "UnknownKind", message)));
    };
    match value.get("metadata") {
        None => value["metadata"] = Value::Object(serde_json::Map::new()),
        Some(Value::Object(_)) => {}
        Some(_) => {
            let at = positions.nearest("/metadata");
            return Err(Box::new(Problem::error(file, at, "DocumentInvalid", "metadata must be an object")));
        }
    }
    Ok(Document { file: Arc::clone(file), line, object: Object { resource, body: value }, positions })
}

/// Every kind that manifests may hold, ours first.
fn known() -> Vec<&'static Resource> {
    crd::resources().into_iter().chain(BUILT_IN).collect()
}

/// Files still to be read, in order.
#[derive(Default)]
struct Found {
    files: Vec<PathBuf>,
    sandboxes: BTreeSet<PathBuf>,
    visited: BTreeSet<PathBuf>,
    problems: Vec<Problem>,
}

impl Found {
    /// What was named is read whatever it is called.
    fn visit(&mut self, path: &Path) {
        if path.as_os_str() == STDIN {
            self.files.push(path.to_path_buf());
            return;
        }
        match fs::metadata(path) {
            Ok(kind) if kind.is_dir() => self.visit_folder(path),
            Ok(_) => {
                self.add_file(path);
                let beside = path.parent().unwrap_or(Path::new("")).join(SANDBOX);
                if beside.is_dir() {
                    self.sandboxes.insert(beside);
                }
            }
            Err(error) => self.problems.push(Problem::unreadable(&path.display().to_string(), error.to_string())),
        }
    }

    fn add_file(&mut self, path: &Path) {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_path_buf());
        }
    }

    fn visit_folder(&mut self, folder: &Path) {
        // A link that leads back up would otherwise never end.
        if fs::canonicalize(folder).is_ok_and(|place| !self.visited.insert(place)) {
            return;
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut paths: Vec<PathBuf> = match entries {
            Ok(entries) => entries.iter().map(fs::DirEntry::path).collect(),
            Err(error) => {
                self.problems.push(Problem::unreadable(&folder.display().to_string(), error.to_string()));
                return;
            }
        };
        paths.sort();
        for path in paths {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() && name == SANDBOX {
                self.sandboxes.insert(path);
            } else if path.is_dir() {
                self.visit_folder(&path);
            } else if path.extension().and_then(OsStr::to_str).is_some_and(|extension| EXTENSIONS.contains(&extension)) {
                self.add_file(&path);
            }
        }
    }
}

