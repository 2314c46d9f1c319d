//! VAPI, Cal.com and declared resources: what is particular to each.

use mandate::model::call::{Call, ProviderType};
use mandate::model::failure::FailureCode;
use mandate::model::rest::{RestLookup, RestResource};
use mandate::sandbox::{Fault, FaultRule, Operation, Vendor};
use serde_json::{Value, json};

use super::calls::{assistant, declared, opaque, resource, resource_call, subscription};
use super::rig::{Rig, keyed, provider, resumed};

#[tokio::test(start_paused = true)]
async fn an_assistant_carries_our_key_its_name_and_its_server_url() {
    let rig = Rig::new();
    let call = assistant();
    let id = rig.done(&call).await.external_id.unwrap();
    let made = rig.direct("GET", &format!("/vapi/assistant/{id}"), None).await;
    assert_eq!(made["metadata"], json!({"tenant": "acme-dental", "mandateKey": call.key.mark()}));
    assert_eq!(made["name"], "acme-dental reception");
    assert_eq!(made["server"]["url"], "https://n8n.example/webhook/acme");
    assert_eq!(made["model"]["temperature"], 0.5);
}

/// Some of somebody else's assistants, all created in one instant.
async fn strangers(rig: &Rig, count: usize) {
    for _ in 0..count {
        rig.direct("POST", "/vapi/assistant", Some(json!({"name": "other", "metadata": {"mandateKey": "other"}}))).await;
    }
    rig.settle();
}

#[tokio::test(start_paused = true)]
async fn an_assistant_is_found_behind_hundreds_of_younger_ones_of_one_instant() {
    let rig = Rig::new();
    strangers(&rig, 130).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let call = assistant();
    rig.failing(vec![FaultRule::new(Fault::ReplyLost).on("POST", "/vapi/assistant").window(0, 1)]);
    assert_eq!(rig.unknown(&call).await, "ReplyLost");
    strangers(&rig, 90).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    strangers(&rig, 230).await;
    rig.done(&resumed(&call)).await;
    assert_eq!(rig.operations(), []);
}

#[tokio::test(start_paused = true)]
async fn an_assistant_is_found_when_a_page_ends_within_its_instant() {
    let rig = Rig::new();
    strangers(&rig, 30).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let call = assistant();
    rig.failing(vec![FaultRule::new(Fault::ReplyLost).on("POST", "/vapi/assistant").window(0, 1)]);
    assert_eq!(rig.unknown(&call).await, "ReplyLost");
    strangers(&rig, 90).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    strangers(&rig, 20).await;
    rig.done(&resumed(&call)).await;
    assert_eq!(rig.operations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_assistants_that_cannot_be_told_apart_by_time_is_not_believed() {
    let rig = Rig::new();
    strangers(&rig, 1000).await;
    rig.refused_with(&assistant(), FailureCode::BadReply, "cannot be read to its end").await;
    assert_eq!(rig.operations(), []);
}

#[tokio::test(start_paused = true)]
async fn an_assistant_that_somebody_changed_is_not_accepted() {
    let changes = [
        (json!({"firstMessage": "Hello"}), "/firstMessage"),
        (json!({"server": {"url": "https://evil.example"}, "firstMessage": "Hello"}), "/firstMessage"),
        (json!({"model": {"provider": "openai"}}), "/model/"),
        (json!({"maxDurationSeconds": 601}), "/maxDurationSeconds"),
    ];
    for (change, place) in changes {
        let rig = Rig::new();
        let id = rig.done(&assistant()).await.external_id.unwrap();
        rig.direct("PATCH", &format!("/vapi/assistant/{id}"), Some(change)).await;
        rig.refused_with(&assistant(), FailureCode::ResourceDiffers, place).await;
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_the_vendor_adds_and_other_spellings_of_a_number_are_no_difference() {
    let rig = Rig::new();
    let id = rig.done(&assistant()).await.external_id.unwrap();
    let change = json!({"maxDurationSeconds": 600.0, "backgroundSound": "off"});
    rig.direct("PATCH", &format!("/vapi/assistant/{id}"), Some(change)).await;
    assert_eq!(rig.done(&assistant()).await.external_id, Some(id));
}

#[tokio::test(start_paused = true)]
async fn a_copied_assistant_stops_for_a_person() {
    let rig = Rig::new();
    let call = assistant();
    let id = rig.done(&call).await.external_id.unwrap();
    let copy = json!({"name": "copy", "metadata": {"mandateKey": call.key.mark()}});
    let copy = rig.direct("POST", "/vapi/assistant", Some(copy)).await["id"].as_str().unwrap().to_owned();
    let failure = rig.refused(&call).await;
    assert_eq!(failure.code, FailureCode::ResourceDiffers);
    assert!(failure.message.contains(&id) && failure.message.contains(&copy), "{}", failure.message);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_definition_is_refused_in_the_vendors_words_or_before_it_is_sent() {
    let rig = Rig::new();
    let with = |definition: &str| {
        keyed(Call::CreateAssistant { name: "a".into(), definition: definition.into(), server_url: "https://x.example".into() })
    };
    rig.refused_with(&with(r#"{"colour": "red"}"#), FailureCode::RequestRefused, "property colour should not exist").await;
    rig.refused_with(&with(r#"{"metadata": "x"}"#), FailureCode::InputsInvalid, "metadata and server must be objects").await;
    rig.refused_with(&with("[]"), FailureCode::InputsInvalid, "no JSON object").await;
    rig.refused_with(&with("{"), FailureCode::InputsInvalid, "no JSON object").await;
    assert_eq!(rig.operations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_calendar_webhook_of_our_url_is_ours_if_it_says_the_same() {
    let rig = Rig::new();
    let present = |triggers: Value, active: bool| json!({"subscriberUrl": "https://n8n.example/webhook/acme-calendar", "triggers": triggers, "active": active});
    let made = rig.direct("POST", "/calcom/v2/webhooks", Some(present(json!(["BOOKING_CANCELLED", "BOOKING_CREATED"]), true))).await;
    rig.settle();
    assert_eq!(rig.done(&subscription()).await.external_id.as_deref(), made["data"]["id"].as_str());
    let path = format!("/calcom/v2/webhooks/{}", made["data"]["id"].as_str().unwrap());
    rig.direct("PATCH", &path, Some(json!({"active": false}))).await;
    rig.refused_with(&subscription(), FailureCode::ResourceDiffers, "is not active").await;
    rig.direct("PATCH", &path, Some(present(json!(["BOOKING_CREATED"]), true))).await;
    rig.refused_with(&subscription(), FailureCode::ResourceDiffers, "BOOKING_CREATED instead of BOOKING_CANCELLED").await;
    assert!(!rig.operations().contains(&Operation::Create));
}

#[tokio::test(start_paused = true)]
async fn a_taken_url_that_is_not_visible_yet_is_waited_for() {
    let rig = Rig::new();
    rig.failing(vec![FaultRule::new(Fault::EventualConsistency { milliseconds: 1200 }).vendor(Vendor::Calcom)]);
    let body = json!({"subscriberUrl": "https://n8n.example/webhook/acme-calendar", "triggers": ["BOOKING_CREATED", "BOOKING_CANCELLED"], "active": true});
    rig.direct("POST", "/calcom/v2/webhooks", Some(body)).await;
    rig.settle();
    rig.done(&subscription()).await;
    assert_eq!(rig.operations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_calendar_webhook_is_found_beyond_the_first_page() {
    let rig = Rig::new();
    for number in 0..260 {
        let body = json!({"subscriberUrl": format!("https://other.example/{number}"), "triggers": ["BOOKING_CREATED"], "active": true});
        rig.direct("POST", "/calcom/v2/webhooks", Some(body)).await;
    }
    rig.settle();
    let first = rig.done(&subscription()).await;
    assert_eq!(rig.done(&subscription()).await, first);
    assert_eq!(rig.operations(), [Operation::Create]);
}

#[tokio::test(start_paused = true)]
async fn an_opaque_create_that_may_have_been_sent_is_never_sent_again() {
    let rig = Rig::new();
    rig.failing(vec![FaultRule::new(Fault::ReplyLost).on("POST", "/crm/v1/subscriptions")]);
    let call = opaque();
    assert_eq!(rig.unknown(&call).await, "ReplyLost");
    let failure = rig.refused(&resumed(&call)).await;
    assert_eq!(failure.code, FailureCode::OutcomeUnknown);
    for part in [call.key.mark(), "crm-main"] {
        assert!(failure.message.contains(part) && failure.remediation[0].contains(part), "{failure:?}");
    }
    assert_eq!(rig.operations(), [Operation::Create]);
    assert_eq!(rig.exchanges().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_opaque_create_with_a_clear_reply_is_done() {
    let rig = Rig::new();
    assert!(rig.done(&opaque()).await.external_id.unwrap().starts_with("sub_"));
}

#[tokio::test(start_paused = true)]
async fn an_opaque_create_whose_reply_is_not_as_declared_may_have_happened() {
    let rig = Rig::new();
    let without_id = resource_call(RestResource { lookup: None, id_pointer: "/number".into(), ..declared() });
    rig.refused_with(&without_id, FailureCode::OutcomeUnknown, "no id at /number").await;
    let mut other_status = RestResource { lookup: None, ..declared() };
    other_status.create.success = vec![200];
    rig.refused_with(&resource_call(other_status), FailureCode::OutcomeUnknown, "answered 201, which is not declared").await;
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_does_not_find_what_was_created_is_noticed_at_the_first_create() {
    let rig = Rig::new();
    let blind = RestLookup { key: "/name".into(), ..declared().lookup.unwrap() };
    let call = resource_call(RestResource { lookup: Some(blind), ..declared() });
    rig.refused_with(&call, FailureCode::ResourceMissing, "cannot be read back").await;
    assert_eq!(rig.operations(), [Operation::Create]);
    let nowhere = RestLookup { items: "/data".into(), ..declared().lookup.unwrap() };
    let call = resource_call(RestResource { lookup: Some(nowhere), ..declared() });
    rig.refused_with(&call, FailureCode::BadReply, "no list at \"/data\"").await;
    assert_eq!(rig.operations(), [Operation::Create]);
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_place_for_our_key_is_not_sent() {
    let rig = Rig::new();
    for pointer in ["", "/name/key", "name"] {
        let call = resource_call(RestResource { key_pointer: pointer.into(), ..declared() });
        rig.refused_with(&call, FailureCode::InputsInvalid, "no place for our key").await;
    }
    assert!(rig.exchanges().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_provider_of_another_type_is_not_asked() {
    let rig = Rig::new();
    let mut call = resource();
    call.provider = provider(ProviderType::Vapi);
    rig.refused_with(&call, FailureCode::ProviderUnusable, "vapi-main is of type vapi, CreateResource needs http").await;
    let mut call = resource();
    call.provider.base_url = "no url".into();
    rig.refused_with(&call, FailureCode::ProviderUnusable, "URL is not valid").await;
    assert!(rig.exchanges().is_empty());
}
