//! `mandate validate` and a real API server agree on every example: what is refused, in which words, and what is stored.
//! What validate finds across objects is in `parity::operated`.

mod operated;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mandate::model::object::Object;
use mandate::offline::folder::{Document, Folder};
use mandate::offline::validate::validate;
use mandate::operator::embedded;
use mandate::world::memory::Checker;
use serde_json::{Value, json};

use crate::Test;
use crate::control_plane::api::{Api, Reply};
use crate::control_plane::shared;
use crate::control_plane::users::ADMIN;
use crate::tests;

/// What validate says of a document alone is what the API server says of it, under the same reasons.
const OF_THE_SERVER: [&str; 9] = [
    "FieldValueRequired",
    "FieldValueInvalid",
    "FieldValueNotSupported",
    "FieldValueTypeInvalid",
    "FieldValueForbidden",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueDuplicate",
    "UnknownField",
];

pub fn shared() -> Vec<Test> {
    tests![
        validate_refuses_a_document_exactly_when_the_server_does_and_in_its_words,
        what_the_server_stores_of_every_example_is_what_memory_stores,
    ]
}

pub fn alone() -> Vec<Test> {
    operated::alone()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

/// A dry run of a create: nothing of one file is in the way of the next. Unknown fields are refused, as validate does.
async fn create(api: &Api, document: &Document) -> Reply {
    let resource = document.object.resource;
    let root = if resource.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", resource.api_version()) };
    let place = if resource.namespaced { format!("/namespaces/{}", document.object.namespace()) } else { String::new() };
    let path = format!("{root}{place}/{}?dryRun=All&fieldValidation=Strict", resource.plural);
    api.post(&path, &document.object.body).await.unwrap()
}

/// The admin's requests, with the namespaces that examples lie in.
async fn api() -> Api {
    let api = shared::plane().await.api(&ADMIN);
    for name in ["acme-dental", "mandate-system"] {
        let made = api.post("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await.unwrap();
        assert!(made.status == 201 || made.status == 409, "{}", made.text());
    }
    api
}

/// Field and message of every cause, sorted: the real server names fields in the order of a Go map.
fn words(reply: &Reply) -> Vec<(String, String)> {
    let text = |cause: &Value, field: &str| cause[field].as_str().unwrap_or_default().to_owned();
    let causes = reply.body.pointer("/details/causes").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut words: Vec<_> = causes.iter().map(|cause| (text(cause, "field").replace("<nil>", ""), text(cause, "message"))).collect();
    if words.is_empty() {
        // Unknown fields are no causes, only words.
        let unknown = reply.message().split_once("strict decoding error: ").map(|(_, list)| list.to_owned());
        words.extend(unknown.map(|list| (String::new(), list)));
    }
    words.sort();
    words
}

async fn validate_refuses_a_document_exactly_when_the_server_does_and_in_its_words() {
    let api = api().await;
    let (mut wrong, mut refusals, mut accepted) = (Vec::new(), 0, 0);
    for file in files("clinic").iter().chain(&files("broken")) {
        let folder = Folder::read(&[file]);
        if folder.problems.iter().any(|problem| problem.reason == "DocumentInvalid") {
            // No YAML: kubectl sends nothing.
            continue;
        }
        assert!(!folder.documents.is_empty(), "{}", file.display());
        let problems = validate(&folder).unwrap();
        for document in &folder.documents {
            let name = document.object.key().to_string();
            let of_the_server =
                problems.iter().filter(|problem| problem.object.as_ref() == Some(&name) && OF_THE_SERVER.contains(&problem.reason));
            let mut said: Vec<(String, String)> =
                of_the_server.map(|problem| (problem.field.clone().unwrap_or_default(), problem.message.clone())).collect();
            said.sort();
            // Made by the controller alone is a guard's refusal: who asks, not what.
            let reply = create(&api, document).await;
            let refused = matches!(reply.status, 400 | 422);
            assert!(refused || reply.status == 201 || reply.status == 409, "{name}: {}", reply.text());
            let heard = words(&reply);
            if refused == said.is_empty() || (refused && heard != said) {
                wrong.push(format!("{} {name}\n  server: {} {heard:?}\n  validate: {said:?}", file.display(), reply.status));
            }
            if refused { refusals += 1 } else { accepted += 1 }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(refusals >= 7 && accepted >= 40, "{refusals} refused, {accepted} accepted: too few to mean anything");
}

/// Without what no two servers share.
fn stored(body: &Value) -> Value {
    let mut body = body.clone();
    let metadata = body["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
        metadata.remove(field);
    }
    body
}

/// Documents of every file that the server accepts, each as the real server and as memory would store it.
async fn both() -> BTreeMap<String, (Object, Object)> {
    let api = api().await;
    let checker = Checker::new(embedded::definitions()).unwrap();
    let mut both = BTreeMap::new();
    for file in files("clinic").iter().chain(&files("broken")) {
        for document in Folder::read(&[file]).documents {
            let mut ours = document.object.clone();
            let checked = checker.check(&mut ours);
            let reply = create(&api, &document).await;
            // The namespaces exist, and stay as they are. What is refused is compared by its words.
            if reply.status == 201 {
                let checked = checked.unwrap();
                assert_eq!((checked.unknown, checked.causes), (Vec::new(), Vec::new()), "{}", ours.key());
                let theirs = Object { resource: ours.resource, body: reply.body };
                both.insert(format!("{} {}", file.file_name().unwrap().display(), ours.key()), (theirs, ours));
            }
        }
    }
    both
}

async fn what_the_server_stores_of_every_example_is_what_memory_stores() {
    let both = both().await;
    assert!(both.len() >= 80, "{} documents", both.len());
    for (name, (theirs, ours)) in &both {
        assert_eq!(stored(&theirs.body), stored(&ours.body), "{name}");
    }
    let defaulted = both.values().filter(|(theirs, _)| theirs.body["status"]["observedGeneration"] == -1).count();
    assert!(defaulted >= 40, "{defaulted} documents with a defaulted status: too few to mean anything");
}
