//! Every example under the operator, on a cluster with guards and roles: what `mandate validate` finds across objects is a
//! condition of the same reason, and every hash that `mandate` prints of a file is that of what the server has stored.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mandate::model::object::{HOLDS_RECORDS, Object};
use mandate::model::resource::{NAMESPACE, Resource};
use mandate::offline::canonical::{Choice, text};
use mandate::offline::folder::{Document, Folder};
use mandate::offline::problem::Problem;
use mandate::offline::validate::validate;
use mandate::operator::embedded;
use mandate::world::memory::Checker;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{OF_THE_SERVER, files, stored};
use crate::Test;
use crate::control_plane::api::Api;
use crate::control_plane::users::{ADMIN, GLASS_BREAKER, OPERATOR};
use crate::control_plane::{Controllers, eventually};
use crate::rig::{Clinic, MANDATE, PATIENCE};
use crate::tests;

/// Findings that only a guard can refuse: who acts, not what is said.
const OF_A_GUARD: [&str; 1] = ["OperatorNotAPerson"];

pub fn alone() -> Vec<Test> {
    tests![every_example_ends_as_validate_says_with_the_same_hashes]
}

async fn every_example_ends_as_validate_says_with_the_same_hashes() {
    let clinic = Clinic::start(Controllers::Stock).await;
    let operator = clinic.replica("one", &[]);
    operator.ready().await;
    let mut reasons = BTreeSet::new();
    let broken: Vec<PathBuf> = files("broken").iter().enumerate().map(|(number, file)| moved(&clinic, file, number)).collect();
    for file in &broken {
        let folder = Folder::read(&[file]);
        if folder.problems.iter().any(|problem| problem.reason == "DocumentInvalid") {
            // No YAML: kubectl sends nothing.
            continue;
        }
        let example = Example::apply(&clinic, folder).await;
        reasons.extend(example.conditions_are_the_findings(&clinic).await);
        example.hashes_are_those_of_the_file(&clinic).await;
        example.remove(&clinic).await;
    }
    assert!(reasons.len() >= 17, "{} reasons: too few to mean anything: {reasons:?}", reasons.len());

    let example = Example::apply(&clinic, Folder::read(&[clinic.manifests()])).await;
    clinic.reaches("MANUAL_VERIFICATION").await;
    assert_eq!(example.conditions_are_the_findings(&clinic).await, BTreeSet::new());
    for (document, _) in &example.taken {
        let stalled = conditions(&clinic, &document.object).await.into_iter().find(|condition| condition["type"] == "Stalled");
        assert_eq!(stalled, None, "{}: validate finds nothing", document.object.key());
    }
    example.hashes_are_those_of_the_file(&clinic).await;
    hashes_of_what_the_controller_made(&clinic, &example).await;
}

/// The file in a namespace, and of a tenant, of its own.
fn moved(clinic: &Clinic, file: &Path, number: usize) -> PathBuf {
    let folder = clinic.plane.folder().join("broken");
    fs::create_dir_all(&folder).unwrap();
    let to = folder.join(file.file_name().unwrap());
    fs::write(&to, fs::read_to_string(file).unwrap().replace("acme-dental", &format!("acme-{number}"))).unwrap();
    to
}

/// One file or folder, created document by document as it is written.
struct Example {
    problems: Vec<Problem>,
    /// What the server took: as written, and as validate has read it, which is what the server said that it stored.
    taken: Vec<(Document, Value)>,
}

fn place(object: &Object) -> String {
    let Resource { group, plural, namespaced, .. } = object.resource;
    let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", object.resource.api_version()) };
    let namespace = if *namespaced { format!("/namespaces/{}", object.namespace()) } else { String::new() };
    format!("{root}{namespace}/{plural}")
}

fn path(object: &Object) -> String {
    format!("{}/{}", place(object), object.name())
}

impl Example {
    /// Both refuse the same documents, and store the same of the rest.
    async fn apply(clinic: &Clinic, folder: Folder) -> Self {
        let (admin, checker) = (clinic.admin(), Checker::new(embedded::definitions()).unwrap());
        let problems = validate(&folder).unwrap();
        let mut taken = Vec::new();
        for document in folder.documents {
            let object = &document.object;
            let name = format!("{} {}", document.file, object.key());
            let found = of(&problems, object);
            let by_the_server = found.iter().any(|problem| OF_THE_SERVER.contains(&problem.reason));
            let guarded = found.iter().find(|problem| OF_A_GUARD.contains(&problem.reason));
            let reply = asked_by(&admin, object).post(&format!("{}?fieldValidation=Strict", place(object)), &object.body).await.unwrap();
            match reply.status {
                201 => {
                    assert!(!by_the_server && guarded.is_none(), "{name}: created, but {found:?}");
                    let mut ours = object.clone();
                    checker.check(&mut ours).unwrap();
                    assert_eq!(stored(&reply.body), stored(&ours.body), "{name}");
                    taken.push((document, ours.body));
                }
                400 | 422 => assert!(by_the_server, "{name}: {}", reply.text()),
                403 => {
                    let words = guarded.unwrap_or_else(|| panic!("{name}: {}", reply.text()));
                    let (said, _) = words.message.rsplit_once(": ").unwrap();
                    assert!(reply.message().ends_with(said), "{said}: {}", reply.text());
                }
                409 => assert_eq!(object.name(), "mandate-system", "{name}: {}", reply.text()),
                code => panic!("{name}: {code} {}", reply.text()),
            }
        }
        Self { problems, taken }
    }

    /// Waits until each finding about an accepted object is a condition of it. The reasons that were seen.
    async fn conditions_are_the_findings(&self, clinic: &Clinic) -> BTreeSet<&'static str> {
        let mut reasons = BTreeSet::new();
        for (document, _) in &self.taken {
            for problem in of(&self.problems, &document.object) {
                let what = format!("{} {} has a condition {}: {}", document.file, document.object.key(), problem.reason, problem.message);
                eventually(&what, PATIENCE, || async {
                    conditions(clinic, &document.object).await.iter().any(|condition| {
                        condition["reason"] == problem.reason && condition["status"] != "True" || stalled_for(condition, problem.reason)
                    })
                })
                .await;
                reasons.insert(problem.reason);
            }
        }
        reasons
    }

    /// What is stored has the canonical text, and so the hash, of what validate has read.
    async fn hashes_are_those_of_the_file(&self, clinic: &Clinic) {
        for (document, ours) in &self.taken {
            let object = &document.object;
            let mut now = clinic.get(&path(object)).await.unwrap_or_else(|| panic!("{} is there", object.key()));
            // The one label of a user's object that is ours to set.
            if let Some(labels) = now.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
                labels.remove(HOLDS_RECORDS);
            }
            for part in ["/spec", "/data", "/metadata/labels"].into_iter().filter(|part| ours.pointer(part).is_some()) {
                let of = |body: &Value| text(body, Choice { pointer: Some(part), ..Choice::default() }).unwrap();
                assert_eq!(of(&now), of(ours), "{} {part}", object.key());
            }
            if object.resource.kind == "ProvisioningSchema" {
                self.digest_is_that_of_the_file(clinic, object, &now).await;
            }
        }
    }

    /// `mandate hash`, `sha256sum` of `mandate canonical`, and the operator agree, of the file and of what is stored.
    async fn digest_is_that_of_the_file(&self, clinic: &Clinic, object: &Object, now: &Value) {
        let digest = hash(&object.body, &[]);
        assert_eq!(hash(now, &[]), digest, "{}", object.key());
        let exact = text(now, Choice::default()).unwrap();
        let sum: String = Sha256::digest(exact.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, format!("sha256:{sum}"), "{}", object.key());
        let what = format!("{} states its digest {digest}", object.key());
        let stated = || async { clinic.get(&path(object)).await.is_some_and(|body| body["status"]["digest"] == digest.as_str()) };
        eventually(&what, PATIENCE, stated).await;
    }

    /// Takes it away again, dependents first: the next file has providers and schemas of the same names.
    async fn remove(&self, clinic: &Clinic) {
        let (admin, breaker) = (clinic.admin(), clinic.plane.api(&GLASS_BREAKER));
        for (document, _) in self.taken.iter().rev().filter(|(document, _)| document.object.resource != &NAMESPACE) {
            let path = path(&document.object);
            let by: &Api = if document.object.resource.kind == "OperatorDecision" { &breaker } else { &admin };
            let reply = by.delete(&path).await.unwrap();
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            eventually(&format!("{path} is gone"), PATIENCE, || async { clinic.get(&path).await.is_none() }).await;
        }
    }
}

/// Who acts directly asks for it in person; everything else is the administrator's.
fn asked_by(admin: &Api, object: &Object) -> Api {
    match (object.body["spec"]["via"].as_str(), object.body["spec"]["operator"].as_str()) {
        (Some("Direct"), Some(operator)) if !operator.is_empty() => admin.clone().acting_as(operator, OPERATOR.groups),
        _ => admin.clone(),
    }
}

/// What validate says of one object.
fn of<'a>(problems: &'a [Problem], object: &Object) -> Vec<&'a Problem> {
    let name = object.key().to_string();
    problems.iter().filter(|problem| problem.object.as_ref() == Some(&name)).collect()
}

/// A terminal finding is told by Stalled too, which is then true.
fn stalled_for(condition: &Value, reason: &str) -> bool {
    condition["type"] == "Stalled" && condition["reason"] == reason
}

/// The conditions of an object, and of the request that a deployment has made: a provider holds up that.
async fn conditions(clinic: &Clinic, object: &Object) -> Vec<Value> {
    let listed = |body: &Value| body["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let body = clinic.get(&path(object)).await.unwrap_or_default();
    let mut conditions = listed(&body);
    if let Some(request) = body["status"]["request"].as_str() {
        let place = format!("/apis/mandate.dev/v1alpha1/namespaces/{}/provisioningrequests/{request}", object.namespace());
        conditions.extend(listed(&clinic.get(&place).await.unwrap_or_default()));
    }
    conditions
}

/// What `mandate hash` prints of a document.
fn hash(document: &Value, more: &[&str]) -> String {
    let mut command = Command::new(MANDATE);
    command.arg("hash").arg("-").args(more).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(document.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "mandate hash {more:?}: {document}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The hashes that the controller wrote are those that `mandate hash` finds in what the server gives back.
async fn hashes_of_what_the_controller_made(clinic: &Clinic, example: &Example) {
    let ours = "/apis/mandate.dev/v1alpha1/namespaces/acme-dental";
    let request = clinic.get(&format!("{ours}/provisioningrequests/receptionist-1")).await.unwrap();
    let schema = example.taken.iter().find(|(document, _)| document.object.resource.kind == "ProvisioningSchema").unwrap();
    assert_eq!(request["spec"]["schemaRef"]["digest"], hash(&schema.0.object.body, &[]).as_str());
    assert_eq!(request["status"]["decision"]["hash"], hash(&request, &["--evidence"]).as_str());
    let records = clinic.get(&format!("{ours}/auditrecords")).await.unwrap()["items"].as_array().cloned().unwrap_or_default();
    assert!(!records.is_empty());
    let mut initiated = 0;
    for record in &records {
        let mut record = record.clone();
        // Items of a list do not say what they are.
        record["apiVersion"] = "mandate.dev/v1alpha1".into();
        record["kind"] = "AuditRecord".into();
        assert_eq!(record["spec"]["hash"], hash(&record, &[]).as_str());
        let entry: Value = serde_json::from_str(record["spec"]["entry"].as_str().unwrap()).unwrap();
        if entry["event"] == "ProvisioningInitiated" {
            assert_eq!(entry["payload"]["requestDigest"], hash(&request, &[]).as_str(), "{entry}");
            initiated += 1;
        }
    }
    assert_eq!(initiated, 1);
    let exported = clinic.plane.folder().join("chain.yaml");
    fs::write(&exported, clinic.kubectl(&OPERATOR, &["get", "preq,auditrecords", "-n", "acme-dental", "-o", "yaml"])).unwrap();
    let verified = clinic.mandate(&ADMIN, &["verify", exported.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
