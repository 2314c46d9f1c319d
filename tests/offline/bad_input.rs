//! Bad input: each is refused in words that name the field, the value and the remedy, and nothing is made outside for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use mandate::kinds::operatordecision::api::DECISION;
use mandate::sandbox::{Effect, Operation};
use serde_json::{Value, json};

use crate::clinic::rig::{Rig, condition, reason};

const INTAKE: &str = "tPlIntake0000001";
const RETRY: &str = "Then decide anew: `mandate decide retry -n acme-dental receptionist-1`";

/// The clinic with its schema changed, settled.
async fn with_schema(change: impl Fn(&mut Value)) -> Rig {
    let rig = Rig::clinic_beside(|document| {
        if document["kind"] == "ProvisioningSchema" {
            change(&mut document["spec"]);
        }
    })
    .await;
    rig.settle().await;
    rig.beside_is_well().await;
    rig
}

/// What the request says of its failure.
async fn said(rig: &Rig) -> String {
    let request = rig.request().await;
    assert_eq!((request.body["status"]["state"].as_str(), reason(&request)), (Some("FAILED"), "Failed"), "{:#}", request.body["status"]);
    condition(&request, "Ready")[2].to_owned()
}

fn created(rig: &Rig) -> Vec<Effect> {
    rig.sandbox.effects().into_iter().filter(|effect| effect.operation == Operation::Create).collect()
}

/// A decision on what the request offers.
async fn decided(rig: &Rig, change: impl FnOnce(&mut Value)) -> [String; 3] {
    let before = rig.effects();
    let decision = rig.decide(&*rig.request().await, "Verify", change).await;
    rig.settle().await;
    assert_eq!(rig.effects(), before, "nothing was done outside");
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    let decision = rig.get(&DECISION, decision.namespace(), decision.name()).await.unwrap();
    let verdict = decision.body["status"]["verdict"].as_str().unwrap_or("open");
    let [_, reason, message] = condition(&decision, "Ready");
    [verdict, reason, message].map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn a_decision_for_an_unknown_subject_is_acted_upon_by_nobody_and_says_what_is_missing() {
    let rig = with_schema(|_| {}).await;
    let missing = decided(&rig, |document| {
        document["metadata"]["name"] = "unknown".into();
        document["spec"]["subject"]["name"] = "receptionist-9".into();
    })
    .await;
    let words = "spec.subject: ProvisioningRequest receptionist-9 does not exist in this namespace: it is waited for; if the name is wrong, create \
                 another decision";
    assert_eq!(missing, ["open", "SubjectMissing", words]);
    let kind = decided(&rig, |document| {
        document["metadata"]["name"] = "kind".into();
        document["spec"]["subject"]["kind"] = "Secret".into();
    })
    .await;
    let words = "spec.subject.kind Secret takes no decisions: AssistantDeployment, ProvisioningRequest, ProvisioningSchema and Tenant do";
    assert_eq!(kind, ["Void", "SubjectKindUnknown", words]);
}

#[tokio::test(start_paused = true)]
async fn a_decision_for_another_tenants_subject_reaches_neither() {
    let rig = with_schema(|_| {}).await;
    let abroad = decided(&rig, |document| document["metadata"]["namespace"] = "beside".into()).await;
    let words = "ProvisioningRequest receptionist-1 is another object of the same name: decide on it anew";
    assert_eq!(abroad, ["Void", "SubjectReplaced", words]);
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_template_with_a_node_type_that_the_schema_does_not_allow_is_not_cloned() {
    let rig =
        with_schema(|spec| spec["workflows"][0]["nodeTypes"].as_array_mut().unwrap().retain(|node| node != "n8n-nodes-base.code")).await;
    let words = "SchemaInterpretation: NodeTypeNotAllowed: template tPlIntake0000001 holds a node of type \"n8n-nodes-base.code\", which the \
                 schema does not allow. Remedy: Remove the node from workflow tPlIntake0000001 in the n8n of Provider n8n. Or allow its type \
                 in a new ProvisioningSchema revision after review. ";
    assert_eq!(said(&rig).await, format!("{words}{RETRY}"));
    assert_eq!(created(&rig), []);
}

#[tokio::test(start_paused = true)]
async fn a_substitution_that_matches_nothing_in_the_template_is_named_with_node_and_pointer() {
    let rig = with_schema(|spec| {
        spec["workflows"][0]["substitutions"][0]["pointer"] = "/parameters/assignments/assignments/77/value".into();
    })
    .await;
    let words = "SchemaInterpretation: SubstitutionUnmatched: template tPlIntake0000001: substitution parameters.clinicName: node \"Clinic \
                 settings\" has nothing at /parameters/assignments/assignments/77/value. Remedy: Compare the node name and pointer in the \
                 message with workflow tPlIntake0000001 in the n8n of Provider n8n. Commit a new ProvisioningSchema revision whose \
                 substitutions match; `mandate schema lint` checks it. ";
    assert_eq!(said(&rig).await, format!("{words}{RETRY}"));
    assert_eq!(created(&rig), []);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_of_two_mebibytes_is_refused_with_its_size_limit() {
    let rig = Rig::clinic_beside(|_| {}).await;
    let mut template = rig.n8n("GET", &format!("/workflows/{INTAKE}"), None).await;
    template["nodes"][0]["notes"] = "x".repeat(2 << 20).into();
    let wanted = ["name", "nodes", "connections", "settings"].map(|part| (part.to_owned(), template[part].take()));
    rig.n8n("PUT", &format!("/workflows/{INTAKE}"), Some(Value::Object(wanted.into_iter().collect()))).await;
    rig.settle().await;
    let words = "SchemaInterpretation: ReplyTooLarge: the reply about workflow tPlIntake0000001 is larger than 2097152 bytes. Remedy: If \
                 workflow tPlIntake0000001 is a workflow of that size, split it. If not, check that the base URL of Provider n8n is the \
                 API itself: `kubectl get provider n8n -o yaml`. Look for workflow tPlIntake0000001 (key ";
    let rest = ") in Provider n8n before you decide: unless ReadTemplate only reads, it may have happened. ";
    let said = said(&rig).await;
    assert!(said.starts_with(words) && said.ends_with(&format!("{rest}{RETRY}")), "{said}");
    assert_eq!(created(&rig), []);
    rig.beside_is_well().await;
}

/// The clinic, and in its n8n a stranger's workflow of this name.
async fn beside_a_strangers_workflow(name: &str) -> (Rig, Value) {
    let rig = Rig::clinic_beside(|_| {}).await;
    let node = json!({
        "name": "Payroll", "type": "n8n-nodes-base.set", "typeVersion": 3.4, "position": [0, 0], "parameters": {},
    });
    let stranger = rig.n8n("POST", "/workflows", Some(json!({"name": name, "nodes": [node], "connections": {}, "settings": {}}))).await;
    (rig, stranger)
}

#[tokio::test(start_paused = true)]
async fn a_strangers_workflow_that_bears_the_name_of_our_clone_is_left_to_them() {
    let (rehearsal, _) = beside_a_strangers_workflow("Payroll").await;
    rehearsal.settle().await;
    let name = created(&rehearsal).into_iter().map(|effect| effect.label).find(|label| label.contains(" intake ")).unwrap();

    let (rig, stranger) = beside_a_strangers_workflow(&name).await;
    rig.settle().await;
    let id = stranger["id"].as_str().unwrap();
    let key = name.split(' ').next_back().unwrap();
    let words = format!(
        "WorkflowCloning: ResourceDiffers: workflow {id}, named \"{name}\", has no node with key {key}: it was not made by us. Remedy: Inspect \
         workflow {id} in Provider n8n: it does not carry key {key}, so nothing was done to it. If it is a stranger's, give it another name \
         there. Put what you did on record: `mandate decide intervene -n acme-dental receptionist-1 --note \"what was done\"`. "
    );
    assert_eq!(said(&rig).await, format!("{words}{RETRY}"));
    assert_eq!(rig.n8n("GET", &format!("/workflows/{id}"), None).await, stranger, "what is not ours is not touched");
    let ours: Vec<String> = created(&rig).into_iter().map(|effect| effect.label).filter(|label| *label == name).collect();
    assert_eq!(ours.len(), 1, "nothing is made under a name that is taken");
    rig.beside_is_well().await;
}
