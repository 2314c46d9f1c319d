//! A workflow answers at its paths, or somebody learns why not.

use mandate::model::call::{Call, WebhookPath};
use mandate::model::failure::FailureCode;
use mandate::sandbox::{Fault, FaultRule, Operation};
use serde_json::json;

use super::calls::{WORKFLOWS, publish, publishable, template_document};
use super::rig::{Rig, keyed, resumed};

const PUBLISHED: [Operation; 3] = [Operation::Update, Operation::Activate, Operation::RegisterWebhook];

#[tokio::test(start_paused = true)]
async fn publishing_gives_the_urls_that_answer_and_repeating_it_changes_nothing() {
    let rig = Rig::new();
    let call = publishable(&rig, "acme-dental-1").await;
    let evidence = rig.done(&call).await;
    assert_eq!(evidence.urls, ["http://sandbox.test/n8n/webhook/acme-dental-1"]);
    assert_eq!(rig.operations(), PUBLISHED);
    assert_eq!(rig.done(&resumed(&call)).await, evidence);
    assert_eq!(rig.operations(), PUBLISHED);
    rig.direct("POST", "/n8n/webhook/acme-dental-1", Some(json!({}))).await;
}

#[tokio::test(start_paused = true)]
async fn the_webhook_is_proven_without_running_the_workflow() {
    let rig = Rig::new();
    let call = publishable(&rig, "acme-1").await;
    rig.done(&call).await;
    let asked: Vec<String> = rig.exchanges().into_iter().filter(|exchange| exchange.contains("/webhook/")).collect();
    assert_eq!(asked, ["PUT http://sandbox.test/n8n/webhook/acme-1"]);
}

#[tokio::test(start_paused = true)]
async fn an_active_workflow_moves_to_another_path_and_keeps_its_webhook_id() {
    let rig = Rig::new();
    let call = publishable(&rig, "acme-1").await;
    let id = rig.done(&call).await.external_id.unwrap();
    let before = rig.direct("GET", &format!("{WORKFLOWS}/{id}"), None).await;
    rig.settle();
    rig.done(&publish(&id, "acme-2")).await;
    assert_eq!(rig.operations(), [Operation::Update, Operation::UnregisterWebhook, Operation::RegisterWebhook]);
    let after = rig.direct("GET", &format!("{WORKFLOWS}/{id}"), None).await;
    assert_eq!(before["nodes"][0]["webhookId"], after["nodes"][0]["webhookId"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_either_write_is_made_good() {
    for (method, path) in [("PUT", "/n8n/api/v1/workflows/*"), ("POST", "/n8n/api/v1/workflows/*/activate")] {
        let rig = Rig::new();
        let call = publishable(&rig, "acme-1").await;
        rig.failing(vec![FaultRule::new(Fault::ReplyLost).on(method, path).window(0, 1)]);
        assert_eq!(rig.unknown(&call).await, "ReplyLost");
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), PUBLISHED);
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_another_workflow_holds_is_a_conflict() {
    let rig = Rig::new();
    let call = publishable(&rig, "taken").await;
    let mut other = template_document();
    other["nodes"][0]["parameters"]["path"] = json!("taken");
    let other = rig.direct("POST", WORKFLOWS, Some(other)).await["id"].as_str().unwrap().to_owned();
    rig.direct("POST", &format!("{WORKFLOWS}/{other}/activate"), None).await;
    rig.refused_with(&call, FailureCode::WebhookConflict, "one of the paths taken").await;
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_is_gone_is_named() {
    let rig = Rig::new();
    rig.refused_with(&publish("AAAAAAAAAAAAAAAA", "x"), FailureCode::ResourceMissing, "workflow AAAAAAAAAAAAAAAA does not exist").await;
    let call = publishable(&rig, "acme-1").await;
    let Call::PublishWebhooks { workflow_id, .. } = &call.call else { panic!("{call:?}") };
    rig.direct("DELETE", &format!("{WORKFLOWS}/{workflow_id}"), None).await;
    rig.refused_with(&resumed(&call), FailureCode::ResourceMissing, workflow_id).await;
}

#[tokio::test(start_paused = true)]
async fn a_workflow_without_the_node_or_without_any_trigger_is_refused() {
    let rig = Rig::new();
    let call = publishable(&rig, "acme-1").await;
    let Call::PublishWebhooks { workflow_id, .. } = &call.call else { panic!("{call:?}") };
    let webhooks = vec![WebhookPath { node: "Nobody".into(), path: "p".into() }];
    let stray = keyed(Call::PublishWebhooks { workflow_id: workflow_id.clone(), webhooks });
    rig.refused_with(&stray, FailureCode::ResourceDiffers, "no webhook node \"Nobody\"").await;
    let mut document = template_document();
    document["nodes"][0]["disabled"] = json!(true);
    rig.direct("PUT", &format!("{WORKFLOWS}/{workflow_id}"), Some(document)).await;
    rig.refused_with(&call, FailureCode::RequestRefused, "no trigger node").await;
}

#[tokio::test(start_paused = true)]
async fn an_active_workflow_whose_path_is_not_registered_is_not_accepted() {
    let rig = Rig::new();
    let mut document = template_document();
    document["nodes"][0]["disabled"] = json!(true);
    document["nodes"][2]["type"] = json!("n8n-nodes-base.scheduleTrigger");
    let id = rig.direct("POST", WORKFLOWS, Some(document)).await["id"].as_str().unwrap().to_owned();
    rig.refused_with(&publish(&id, "acme-1"), FailureCode::WebhookNotRegistered, "path acme-1 is not registered").await;
}

#[tokio::test(start_paused = true)]
async fn a_base_url_that_does_not_lead_to_the_webhooks_is_noticed() {
    let rig = Rig::new();
    let call = publishable(&rig, "acme-1").await;
    for (fault, said) in [(Fault::Html, "is answered with 200"), (Fault::Unauthorized, "is answered with 401")] {
        rig.failing(vec![FaultRule { path: Some("/n8n/webhook/**".into()), ..FaultRule::new(fault) }]);
        rig.refused_with(&call, FailureCode::WebhookNotRegistered, said).await;
    }
}
