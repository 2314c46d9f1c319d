//! Files that a control plane starts with.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::users;

/// Each line of the log is one request, when it was answered; a watch when it began, since it may last longer than the server.
const AUDIT: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
- level: Metadata
  verbs: [watch]
  omitStages: [RequestReceived, ResponseComplete, Panic]
- level: Metadata
  omitStages: [RequestReceived, ResponseStarted, Panic]
";

/// Writes tokens, keys and the audit policy.
pub fn write(folder: &Path) {
    fs::write(folder.join("tokens.csv"), users::token_file()).unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    fs::write(folder.join("service-account.key"), pair.serialize_pem()).unwrap();
    fs::write(folder.join("service-account.pub"), pair.public_key_pem()).unwrap();
    fs::write(folder.join("audit.yaml"), AUDIT).unwrap();
}

/// Our CustomResourceDefinitions as they are committed.
pub fn definitions() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let documents = texts.flat_map(|text| serde_yaml::from_multiple::<Value>(&text).unwrap());
    documents.filter(|document| document["kind"] == "CustomResourceDefinition").collect()
}
