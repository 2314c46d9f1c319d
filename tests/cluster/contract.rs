//! Document 000 in full through the real binary on a real API server: what people decide, by the commands that the objects
//! themselves name, and what comes of it there and outside.

mod failed;
mod newer;
mod strangers;

use mandate::sandbox::{Operation, Vendor};
use serde_json::{Value, json};

use crate::Test;
use crate::control_plane::eventually;
use crate::control_plane::users::OPERATOR;
use crate::ends::World;
use crate::ours::ACME;
use crate::rig::{Clinic, PATIENCE, condition};

pub fn alone() -> Vec<Test> {
    [failed::alone(), newer::alone(), strangers::alone()].into_iter().flatten().collect()
}

const OURS: &str = "/apis/mandate.dev/v1alpha1";

fn at(plural: &str, name: &str) -> String {
    format!("{OURS}/namespaces/{ACME}/{plural}/{name}")
}

async fn attempt(clinic: &Clinic, number: u32) -> Value {
    let found = clinic.get(&at("provisioningrequests", &format!("receptionist-{number}"))).await;
    found.unwrap_or_else(|| panic!("attempt {number} is there"))
}

async fn deployment(clinic: &Clinic) -> Value {
    clinic.get(&at("assistantdeployments", "receptionist")).await.expect("the deployment is there")
}

/// Why an object is ready, or not.
fn reason(object: &Value) -> String {
    condition(object, "Ready")["reason"].as_str().unwrap_or_default().to_owned()
}

fn message(object: &Value) -> String {
    condition(object, "Ready")["message"].as_str().unwrap_or_default().to_owned()
}

/// Acts that an object offers now.
fn offered(object: &Value) -> Vec<&str> {
    object["status"]["decision"]["acts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Waits until an attempt is in a state for a reason, and gives it.
async fn stands(clinic: &Clinic, number: u32, state: &str, why: &str) -> Value {
    let path = at("provisioningrequests", &format!("receptionist-{number}"));
    eventually(&format!("attempt {number} is {state}: {why}"), PATIENCE, || async {
        clinic.get(&path).await.is_some_and(|found| found["status"]["state"] == state && reason(&found) == why)
    })
    .await;
    attempt(clinic, number).await
}

/// The command that a message names for an act, the last of them, without the program's name.
fn named<'a>(message: &'a str, act: &str) -> Vec<&'a str> {
    let commands = message.split("mandate decide ").skip(1).map(|command| command.split([';', '`']).next().unwrap_or_default());
    let command = commands.filter(|command| command.split(' ').next() == Some(act)).last();
    let command = command.unwrap_or_else(|| panic!("no command to {act}: {message}"));
    ["decide"].into_iter().chain(command.split_whitespace()).collect()
}

/// Runs a command as the operator, with what a person adds to it. What it said, and whether it succeeded.
fn run(clinic: &Clinic, command: &[&str], more: &[&str]) -> (String, bool) {
    let command: Vec<&str> = [command, &["--operator", OPERATOR.name], more].concat();
    let ended = clinic.mandate(&OPERATOR, &command);
    (String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout), ended.status.success())
}

/// Decides, and the subject acts upon it.
fn accepted(clinic: &Clinic, command: &[&str], more: &[&str]) {
    let (said, done) = run(clinic, command, more);
    assert!(done && said.contains(": Accepted: "), "{command:?} {more:?}: {said}");
}

/// Events on record about an object, in order.
async fn events(clinic: &Clinic, subject: &Value) -> Vec<String> {
    let records = clinic.get(&format!("{OURS}/auditrecords")).await.unwrap();
    let all = records["items"].as_array().unwrap().iter().map(|record| &record["spec"]);
    let mut rows: Vec<(u64, String)> = all
        .filter(|spec| spec["subject"]["uid"] == subject["metadata"]["uid"])
        .map(|spec| (spec["sequence"].as_u64().unwrap(), spec["event"].as_str().unwrap().to_owned()))
        .collect();
    rows.sort();
    rows.into_iter().map(|(_, event)| event).collect()
}

/// How often something was done outside: to workflows, assistants, calendar webhooks, CRM registrations.
async fn done(clinic: &Clinic, operation: Operation) -> [usize; 4] {
    let effects = clinic.effects().await;
    let of = |vendor| effects.iter().filter(|effect| effect.vendor == vendor && effect.operation == operation).count();
    [Vendor::N8n, Vendor::Vapi, Vendor::Calcom, Vendor::Crm].map(of)
}

/// What is left outside: what was created less what was removed.
async fn left(clinic: &Clinic) -> [usize; 4] {
    let (made, removed) = (done(clinic, Operation::Create).await, done(clinic, Operation::Delete).await);
    std::array::from_fn(|vendor| made[vendor] - removed[vendor])
}

/// What one assistant is made of.
const ONE: [usize; 4] = [2, 1, 1, 1];

/// Every invariant holds of everything that is stored, and the chains, exported, verify without a cluster.
async fn in_order(clinic: &Clinic, when: &str) {
    World::read(&clinic.admin()).await.hold(when);
    let export = clinic.plane.folder().join("export.yaml");
    std::fs::write(&export, clinic.kubectl(&OPERATOR, &["get", "preq,adep,pschema,auditrecords", "-A", "-o", "yaml"])).unwrap();
    let verified = clinic.mandate(&OPERATOR, &["verify", export.to_str().unwrap()]);
    assert!(verified.status.success(), "{when}: {}", String::from_utf8_lossy(&verified.stderr));
}

/// Changes the clinic's deployment in the operator's own name.
async fn edit(clinic: &Clinic, spec: Value) {
    let mut patch = json!({"spec": {"operator": OPERATOR.name, "via": "Direct"}});
    crate::conformance::apply(&mut patch["spec"], &spec);
    let edited = clinic.plane.api(&OPERATOR).merge(&at("assistantdeployments", "receptionist"), &patch).await.unwrap();
    assert_eq!(edited.status, 200, "{}", edited.text());
}
