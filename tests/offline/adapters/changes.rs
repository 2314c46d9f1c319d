//! Repairs, updates and switches: what is particular to each.

use mandate::model::call::{Call, Template, WebhookPath};
use mandate::model::failure::{FailureCode, Repair};
use mandate::model::workflow::structural_digest;
use mandate::sandbox::{Fault, FaultRule, Operation, Vendor};
use serde_json::{Value, json};

use super::calls::{
    Later, WORKFLOWS, assistant, clone_of, made_by, newer_document, publish, publishable, resource_call, subscription, switchable,
    template, template_document, update,
};
use super::rig::{Rig, keyed, resumed};

fn activations(fault: Fault) -> FaultRule {
    FaultRule::new(fault).on("POST", "/n8n/api/v1/workflows/*/activate")
}

#[tokio::test(start_paused = true)]
async fn an_activation_that_registers_nothing_is_repaired_by_another() {
    let rig = Rig::new();
    let call = publishable(&rig, "acme-1").await;
    let Call::PublishWebhooks { workflow_id, .. } = call.call.clone() else { panic!() };
    rig.failing(vec![activations(Fault::NotRegistered)]);
    let message = format!("workflow {workflow_id} is active, but its webhook path acme-1 is not registered");
    rig.repairable(&call, FailureCode::WebhookNotRegistered, Repair::Reactivate, &message).await;
    assert_eq!(rig.operations(), [Operation::Update, Operation::Activate]);
    // The repair that does not help is a person's.
    let repair = keyed(Call::ReactivateWorkflow { workflow_id: workflow_id.clone() });
    rig.refused_saying(&repair, FailureCode::WebhookNotRegistered, &message).await;
    rig.failing(vec![]);
    rig.settle();
    let repaired = rig.done(&resumed(&repair)).await;
    assert_eq!(rig.operations(), [Operation::Deactivate, Operation::Activate, Operation::RegisterWebhook]);
    assert_eq!(rig.done(&resumed(&call)).await, repaired);
    assert_eq!(repaired.urls, ["http://sandbox.test/n8n/webhook/acme-1"]);
}

#[tokio::test(start_paused = true)]
async fn an_assistant_without_its_server_is_repaired_by_setting_its_url() {
    for (fault, has) in [(Some(Fault::ServerDropped), "no server URL"), (None, "the server URL \"https://old.example\"")] {
        let rig = Rig::new();
        let call = assistant();
        if let Some(fault) = fault {
            rig.failing(vec![FaultRule::new(fault).on("POST", "/vapi/assistant")]);
        } else {
            let id = rig.done(&call).await.external_id.unwrap();
            rig.direct("PATCH", &format!("/vapi/assistant/{id}"), Some(json!({"server": {"url": "https://old.example"}}))).await;
        }
        let failure = rig.refused(&call).await;
        let id = rig.sandbox.effects().last().unwrap().id.clone();
        let message = format!("assistant {id} has {has} instead of \"https://n8n.example/webhook/acme\"");
        assert_eq!(failure.message, message);
        rig.repairable(&call, FailureCode::ResourceDiffers, Repair::SetServerUrl, &message).await;
        rig.settle();
        let server_url = "https://n8n.example/webhook/acme".into();
        rig.done(&keyed(Call::SetServerUrl { assistant: made_by(&call, None), server_url })).await;
        assert_eq!(rig.operations(), [Operation::Update]);
        assert_eq!(rig.done(&resumed(&call)).await.external_id, Some(id));
    }
}

#[tokio::test(start_paused = true)]
async fn an_assistant_that_differs_elsewhere_too_is_a_persons() {
    let rig = Rig::new();
    let call = assistant();
    let id = rig.done(&call).await.external_id.unwrap();
    let change = json!({"server": null, "firstMessage": "Hello"});
    rig.direct("PATCH", &format!("/vapi/assistant/{id}"), Some(change)).await;
    let message = format!("assistant {id} is not as asked for at /firstMessage");
    rig.refused_saying(&call, FailureCode::ResourceDiffers, &message).await;
}

#[tokio::test(start_paused = true)]
async fn setting_the_server_url_keeps_what_else_is_said_of_the_server() {
    let rig = Rig::new();
    let prepared = Later::SetServerUrl { by_key: false }.prepared(&rig).await;
    rig.done(&prepared.call).await;
    let after = rig.direct("GET", &prepared.path, None).await;
    assert_eq!(after["server"], json!({"url": "https://n8n.example/webhook/acme", "timeoutSeconds": 7}));
    assert_eq!(after["firstMessage"], "Acme Dental, good morning.");
}

#[tokio::test(start_paused = true)]
async fn an_updated_assistant_is_the_newer_definition_and_keeps_its_key() {
    let rig = Rig::new();
    let prepared = Later::UpdateAssistant { by_key: true }.prepared(&rig).await;
    let Call::UpdateAssistant { assistant: made, .. } = &prepared.call.call else { panic!() };
    rig.done(&prepared.call).await;
    let after = rig.direct("GET", &prepared.path, None).await;
    assert_eq!(after["metadata"], json!({"mandateKey": made.key.mark()}));
    assert_eq!((&after["name"], &after["firstMessage"]), (&json!("acme-dental v2"), &json!("Acme Dental, good evening.")));
    assert_eq!(after["model"], json!({"provider": "openai"}));
    assert!(after.get("maxDurationSeconds").is_none(), "what the newer definition does not have is gone");
    assert_eq!(after["server"]["url"], "https://n8n.example/webhook/acme");
}

#[tokio::test(start_paused = true)]
async fn an_assistant_that_does_not_take_its_update_is_noticed() {
    let rig = Rig::new();
    let prepared = Later::UpdateAssistant { by_key: false }.prepared(&rig).await;
    rig.failing(vec![FaultRule::new(Fault::ContentChanged).on("PATCH", "/vapi/assistant/*")]);
    let id = prepared.path.rsplit('/').next().unwrap();
    let message = format!("assistant {id} is not as asked for at /firstMessage");
    rig.refused_saying(&prepared.call, FailureCode::ResourceDiffers, &message).await;
    rig.failing(vec![FaultRule::new(Fault::ServerDropped).on("PATCH", "/vapi/assistant/*")]);
    let message = format!("assistant {id} has no server URL instead of \"https://n8n.example/webhook/acme\"");
    rig.repairable(&prepared.call, FailureCode::ResourceDiffers, Repair::SetServerUrl, &message).await;
}

/// A published clone.
async fn published(rig: &Rig) -> String {
    let call = publishable(rig, "acme-1").await;
    rig.done(&call).await.external_id.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_updated_clone_is_the_newer_template_and_keeps_name_paths_and_identity() {
    let rig = Rig::new();
    let id = published(&rig).await;
    let path = format!("{WORKFLOWS}/{id}");
    let before = rig.direct("GET", &path, None).await;
    let call = update(&rig, &id, newer_document(), &[("Incoming", "acme-1")]).await;
    let evidence = rig.done(&call).await;
    let Call::UpdateWorkflow { template, .. } = &call.call else { panic!() };
    assert_eq!(evidence.digest.as_ref(), Some(&template.digest));
    assert_eq!(evidence.urls, ["http://sandbox.test/n8n/webhook/acme-1"]);
    // The path never ceased to answer.
    assert_eq!(rig.operations(), [Operation::Update]);
    let after = rig.direct("GET", &path, None).await;
    assert_eq!((&after["name"], &after["active"]), (&before["name"], &json!(true)));
    assert_eq!(after["nodes"][0]["webhookId"], before["nodes"][0]["webhookId"]);
    assert_eq!(after["nodes"][0]["parameters"]["path"], "acme-1");
    assert_eq!(after["nodes"][1]["parameters"]["url"], "https://booking.example/acme");
    assert_eq!(after["nodes"][1]["parameters"]["options"]["timeout"], 9000);
    for node in 0..3 {
        assert_eq!(after["nodes"][node]["id"], before["nodes"][node]["id"]);
    }
}

/// A revision that names every node anew leaves a clone that can still be told from a stranger's.
#[tokio::test(start_paused = true)]
async fn a_clone_is_ours_after_any_update() {
    let rig = Rig::new();
    let cloning = clone_of(template(&rig).await);
    let id = rig.done(&cloning).await.external_id.unwrap();
    rig.done(&publish(&id, "acme-1")).await;
    let mut document = newer_document();
    for node in document["nodes"].as_array_mut().unwrap() {
        if node["name"] != "Book" && node["name"] != "Answer" {
            node["name"] = format!("New {}", node["name"].as_str().unwrap()).into();
        }
    }
    document["connections"] = json!({});
    rig.done(&update(&rig, &id, document, &[("New Incoming", "acme-1")]).await).await;
    let after = rig.direct("GET", &format!("{WORKFLOWS}/{id}"), None).await;
    let ids: Vec<&str> = after["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert_eq!(ids.iter().filter(|id| id.starts_with(cloning.key.mark())).count(), 3, "{ids:?}");
    assert_ne!(after["nodes"][0]["webhookId"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn an_update_gives_new_webhooks_their_paths_and_takes_those_of_nodes_that_go() {
    let rig = Rig::new();
    let id = published(&rig).await;
    let mut document = newer_document();
    document["nodes"][3] = json!({"id": "d", "name": "Cancelled", "type": "n8n-nodes-base.webhook", "typeVersion": 2, "position": [0, 200],
        "webhookId": "22222222-2222-4222-8222-222222222222",
        "parameters": {"path": "22222222-2222-4222-8222-222222222222", "httpMethod": "POST"}});
    let call = update(&rig, &id, document, &[("Incoming", "acme-1"), ("Cancelled", "acme-2")]).await;
    let evidence = rig.done(&call).await;
    assert_eq!(evidence.urls, ["http://sandbox.test/n8n/webhook/acme-1", "http://sandbox.test/n8n/webhook/acme-2"]);
    assert_eq!(rig.operations(), [Operation::Update, Operation::RegisterWebhook]);
    let after = rig.direct("GET", &format!("{WORKFLOWS}/{id}"), None).await;
    assert_ne!(after["nodes"][3]["webhookId"], "22222222-2222-4222-8222-222222222222", "that one is the template's");
    rig.settle();
    rig.done(&update(&rig, &id, newer_document(), &[("Incoming", "acme-1")]).await).await;
    assert_eq!(rig.operations(), [Operation::Update, Operation::UnregisterWebhook]);
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_somebody_deactivated_serves_again_after_its_update() {
    let rig = Rig::new();
    let id = published(&rig).await;
    rig.direct("POST", &format!("{WORKFLOWS}/{id}/deactivate"), None).await;
    rig.done(&update(&rig, &id, newer_document(), &[("Incoming", "acme-1")]).await).await;
    assert_eq!(rig.operations(), [Operation::Update, Operation::Activate, Operation::RegisterWebhook]);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_does_not_read_back_is_a_persons_and_never_removes_what_serves() {
    let rig = Rig::new();
    let id = published(&rig).await;
    let call = update(&rig, &id, newer_document(), &[("Incoming", "acme-1")]).await;
    let Call::UpdateWorkflow { template, .. } = &call.call else { panic!() };
    rig.failing(vec![FaultRule::new(Fault::ContentChanged).vendor(Vendor::N8n)]);
    let failure = rig.refused(&call).await;
    assert_eq!((failure.code, failure.repair), (FailureCode::CloneDiffers, None));
    let begins = format!("clone {id} was updated to template {}, but has structural digest sha256:", template.id);
    assert!(
        failure.message.starts_with(&begins) && failure.message.ends_with(&format!(", its template {}", template.digest)),
        "{failure:?}"
    );
    rig.failing(vec![]);
    rig.done(&resumed(&call)).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_n8n_does_not_register_can_be_reactivated() {
    let rig = Rig::new();
    let id = published(&rig).await;
    let call = update(&rig, &id, newer_document(), &[("Incoming", "acme-1")]).await;
    rig.failing(vec![FaultRule::new(Fault::NotRegistered).on("PUT", "/n8n/api/v1/workflows/*")]);
    let message = format!("workflow {id} is active, but its webhook path acme-1 is not registered");
    rig.repairable(&call, FailureCode::WebhookNotRegistered, Repair::Reactivate, &message).await;
    rig.failing(vec![]);
    rig.done(&keyed(Call::ReactivateWorkflow { workflow_id: id })).await;
    rig.done(&resumed(&call)).await;
}

type Change = dyn Fn(&mut Template, &mut Vec<String>, &mut Vec<WebhookPath>);

#[tokio::test(start_paused = true)]
async fn an_update_is_refused_before_the_clone_is_touched() {
    let rig = Rig::new();
    let id = published(&rig).await;
    let call = update(&rig, &id, newer_document(), &[("Incoming", "acme-1")]).await;
    let Call::UpdateWorkflow { template, values, webhooks, .. } = call.call.clone() else { panic!() };
    let with = |change: &Change| {
        let (mut template, mut values, mut webhooks) = (template.clone(), values.clone(), webhooks.clone());
        change(&mut template, &mut values, &mut webhooks);
        keyed(Call::UpdateWorkflow { workflow_id: id.clone(), template, values, webhooks })
    };
    let template_id = &template.id;
    for (call, code, message) in [
        (with(&|_, values, _| drop(values.pop())), FailureCode::InputsInvalid, format!("template {template_id} has 2 places for 1 values")),
        (
            with(&|_, _, webhooks| webhooks.clear()),
            FailureCode::InputsInvalid,
            format!("webhook node \"Incoming\" of template {template_id} has no path"),
        ),
        (with(&|_, _, webhooks| webhooks[0].path = "../x".into()), FailureCode::InputsInvalid, "\"../x\" is no webhook path".to_owned()),
        (
            with(&|template, _, _| template.node_types.truncate(2)),
            FailureCode::NodeTypeNotAllowed,
            format!("template {template_id} holds a node of type \"n8n-nodes-base.set\", which the schema does not allow"),
        ),
        (
            with(&|template, _, _| template.places[0].pointer = "/parameters/no".into()),
            FailureCode::SubstitutionUnmatched,
            format!("template {template_id}: substitution parameter.bookingUrl: node \"Book\" has nothing at /parameters/no"),
        ),
    ] {
        rig.refused_saying(&call, code, &message).await;
    }
    assert_eq!(rig.operations(), []);
}

#[tokio::test(start_paused = true)]
async fn what_declares_no_switch_is_left_as_it_is_without_an_exchange() {
    let rig = Rig::new();
    for enabled in [true, false] {
        let mut resource = switchable();
        (resource.enable, resource.disable) = (None, None);
        let evidence = rig.done(&keyed(Call::SwitchResource { resource: Box::new(resource), id: "sub_1".into(), enabled })).await;
        assert_eq!(evidence.external_id.as_deref(), Some("sub_1"));
    }
    assert!(rig.exchanges().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_switch_whose_path_needs_the_key_is_refused() {
    let rig = Rig::new();
    let mut resource = switchable();
    resource.enable.as_mut().unwrap().path = "/v1/subscriptions/{key}".into();
    let call = keyed(Call::SwitchResource { resource: Box::new(resource), id: "sub_1".into(), enabled: true });
    let message = "the path /v1/subscriptions/{key} asks for the key, which a switch does not know: use {id}";
    rig.refused_saying(&call, FailureCode::InputsInvalid, message).await;
    assert!(rig.exchanges().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_resource_made_disabled_is_switched_off_as_soon_as_it_exists() {
    let disabled = |resource| {
        let mut call = resource_call(resource).call;
        if let Call::CreateResource { disabled, .. } = &mut call {
            *disabled = true;
        }
        keyed(call)
    };
    let rig = Rig::new();
    let call = disabled(switchable());
    rig.failing(vec![FaultRule::new(Fault::ReplyLost).on("PATCH", "/crm/v1/subscriptions/*").window(0, 1)]);
    assert_eq!(rig.unknown(&call).await, "ReplyLost");
    let id = rig.done(&resumed(&call)).await.external_id.unwrap();
    assert_eq!(rig.operations(), [Operation::Create, Operation::Update]);
    assert_eq!(rig.direct("GET", &format!("/crm/v1/subscriptions/{id}"), None).await["enabled"], false);
    // Where the schema declares no switch it is made as it comes.
    let rig = Rig::new();
    let mut resource = switchable();
    resource.disable = None;
    rig.done(&disabled(resource)).await;
    assert_eq!(rig.operations(), [Operation::Create]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_made_disabled_delivers_nothing_until_it_is_switched_on() {
    let rig = Rig::new();
    let mut call = subscription().call;
    if let Call::SubscribeCalendar { disabled, .. } = &mut call {
        *disabled = true;
    }
    let call = keyed(call);
    let made = rig.done(&call).await;
    let id = made.external_id.clone().unwrap();
    let path = format!("/calcom/v2/webhooks/{id}");
    assert_eq!(rig.direct("GET", &path, None).await["data"]["active"], false);
    assert_eq!(rig.done(&resumed(&call)).await, made);
    let subscriber_url = "https://n8n.example/webhook/acme-calendar".to_owned();
    let switch = keyed(Call::SwitchSubscription { id, subscriber_url, enabled: true });
    let on = rig.done(&switch).await;
    assert_eq!(on.digest, rig.done(&subscription()).await.digest);
    assert_ne!(on.digest, made.digest);
    assert_eq!(rig.operations(), [Operation::Create, Operation::Update]);
    rig.refused_with(&call, FailureCode::ResourceDiffers, "is active").await;
}

/// Two MiB of workflow are no template; a little less can be cloned and served, although n8n tells an active one twice.
#[tokio::test(start_paused = true)]
async fn a_template_of_two_mebibytes_is_refused_and_a_little_less_serves() {
    for (kibibytes, fits) in [(2048, false), (1900, true)] {
        let rig = Rig::new();
        let mut document = template_document();
        document["nodes"][2]["parameters"]["prompt"] = "x".repeat(kibibytes * 1024).into();
        let created = rig.direct("POST", WORKFLOWS, Some(document.clone())).await;
        let id = created["id"].as_str().unwrap().to_owned();
        let small = template(&rig).await;
        let digest = structural_digest(&document, &small.places, &small.webhooks).unwrap();
        let pinned = Template { id: id.clone(), digest, ..small };
        rig.settle();
        let cloning = clone_of(pinned.clone());
        if fits {
            let clone = rig.done(&cloning).await.external_id.unwrap();
            rig.done(&publish(&clone, "acme-1")).await;
            continue;
        }
        for call in [keyed(Call::ReadTemplate { template: pinned }), cloning] {
            let message = format!("the reply about workflow {id} is larger than 2097152 bytes");
            let failure = rig.refused_saying(&call, FailureCode::ReplyTooLarge, &message).await;
            assert!(failure.remediation[0].starts_with(&format!("If workflow {id} is a workflow of that size, split it.")), "{failure:?}");
        }
        assert_eq!(rig.operations(), []);
    }
}
