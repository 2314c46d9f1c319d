//! A clone is the template with its values, made once and recognised among others.

use mandate::model::call::{Call, KeyedCall};
use mandate::model::failure::{FailureCode, Repair};
use mandate::sandbox::{Fault, FaultRule, Operation};
use serde_json::{Value, json};

use super::calls::{TEMPLATE_PATH, WORKFLOWS, clone_of, template, template_document};
use super::rig::{Rig, resumed};

fn named(name: &str) -> Value {
    let mut document = template_document();
    document["name"] = name.into();
    document
}

fn name_of(call: &KeyedCall) -> String {
    format!("acme-dental intake {}", call.key.mark())
}

#[tokio::test(start_paused = true)]
async fn a_clone_is_inactive_and_holds_the_values_in_their_places() {
    let rig = Rig::new();
    let template = template(&rig).await;
    let call = clone_of(template.clone());
    let evidence = rig.done(&call).await;
    assert_eq!(evidence.digest, Some(template.digest));
    let clone = rig.direct("GET", &format!("{WORKFLOWS}/{}", evidence.external_id.unwrap()), None).await;
    assert_eq!(clone["active"], false);
    assert_eq!(clone["name"], name_of(&call));
    assert_eq!(clone["nodes"][1]["parameters"]["url"], "https://booking.example/acme");
    assert_eq!(clone["nodes"][2]["parameters"]["values"]["string"][0]["value"], "Acme Dental");
    assert_eq!(clone["nodes"][0]["parameters"]["path"], TEMPLATE_PATH);
    let original = rig.direct("GET", &format!("{WORKFLOWS}/{}", template.id), None).await;
    assert_ne!(clone["nodes"][0]["webhookId"], original["nodes"][0]["webhookId"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_label_gives_way_to_the_key() {
    let rig = Rig::new();
    let mut call = clone_of(template(&rig).await);
    if let Call::CloneWorkflow { label, .. } = &mut call.call {
        *label = "ñ".repeat(300);
    }
    rig.done(&call).await;
    let name = rig.sandbox.effects().last().unwrap().label.clone();
    assert_eq!(name.chars().count(), 128);
    assert!(name.ends_with(&format!(" {}", call.key.mark())));
}

#[tokio::test(start_paused = true)]
async fn a_value_too_few_is_no_clone_with_a_placeholder() {
    let rig = Rig::new();
    let mut call = clone_of(template(&rig).await);
    if let Call::CloneWorkflow { values, .. } = &mut call.call {
        values.pop();
    }
    rig.refused_with(&call, FailureCode::InputsInvalid, "2 places for 1 values").await;
    assert_eq!(rig.operations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_strangers_workflow_whose_name_contains_ours_is_not_taken_for_it() {
    let rig = Rig::new();
    let call = clone_of(template(&rig).await);
    for name in [format!("{} copy", name_of(&call)), format!("my {}", name_of(&call)), call.key.mark().to_owned()] {
        rig.direct("POST", WORKFLOWS, Some(named(&name))).await;
    }
    rig.settle();
    let id = rig.done(&call).await.external_id.unwrap();
    assert_eq!(rig.operations(), [Operation::Create]);
    assert_eq!(rig.sandbox.effects().last().unwrap().id, id);
}

#[tokio::test(start_paused = true)]
async fn our_clone_is_found_beyond_the_first_page() {
    let rig = Rig::new();
    let call = clone_of(template(&rig).await);
    for number in 0..260 {
        rig.direct("POST", WORKFLOWS, Some(named(&format!("{} {number}", call.key.mark())))).await;
    }
    rig.settle();
    rig.failing(vec![FaultRule::new(Fault::ReplyLost).on("POST", "/n8n/api/v1/workflows")]);
    rig.unknown(&call).await;
    rig.failing(vec![]);
    rig.done(&resumed(&call)).await;
    assert_eq!(rig.operations(), [Operation::Create]);
}

#[tokio::test(start_paused = true)]
async fn two_workflows_of_our_name_stop_for_a_person_who_learns_both_ids() {
    let rig = Rig::new();
    let call = clone_of(template(&rig).await);
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(rig.direct("POST", WORKFLOWS, Some(named(&name_of(&call)))).await["id"].as_str().unwrap().to_owned());
    }
    rig.settle();
    let failure = rig.refused(&call).await;
    assert_eq!(failure.code, FailureCode::ResourceDiffers);
    assert!(ids.iter().all(|id| failure.message.contains(id.as_str())), "{}", failure.message);
    assert_eq!(rig.operations(), []);
}

type Change = fn(&mut Value);

#[tokio::test(start_paused = true)]
async fn a_clone_that_somebody_changed_is_not_accepted() {
    let changes: [(Change, &str); 3] = [
        (|document| document["nodes"][1]["parameters"]["method"] = json!("GET"), "has structural digest"),
        (|document| document["nodes"][1]["parameters"]["url"] = json!("https://evil.example"), "does not hold parameter.bookingUrl"),
        (|document| document["nodes"][2]["name"] = json!("Book"), "cannot be interpreted: two nodes are named \"Book\""),
    ];
    for (change, part) in changes {
        let rig = Rig::new();
        let call = clone_of(template(&rig).await);
        let id = rig.done(&call).await.external_id.unwrap();
        let mut document = rig.direct("GET", &format!("{WORKFLOWS}/{id}"), None).await;
        change(&mut document);
        let body = json!({"name": document["name"], "nodes": document["nodes"], "connections": document["connections"], "settings": {"executionOrder": "v1"}});
        rig.direct("PUT", &format!("{WORKFLOWS}/{id}"), Some(body)).await;
        rig.refused_with(&resumed(&call), FailureCode::CloneDiffers, part).await;
        let failure = rig.refused(&call).await;
        assert_eq!((failure.code, failure.repair), (FailureCode::CloneDiffers, Some(Repair::CloneAgain)));
        assert!(failure.message.starts_with(&format!("clone {id} ")), "{failure:?}");
    }
}
