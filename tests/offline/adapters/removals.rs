//! What is removed is ours, all of it, and gone afterwards.

use std::time::Duration;

use mandate::model::call::{Call, KeyedCall};
use mandate::model::failure::{FailureCode, Repair};
use mandate::model::rest::RestResource;
use mandate::sandbox::{Fault, FaultRule, Operation};
use serde_json::json;
use tokio::time::Instant;

use super::calls::{
    WORKFLOWS, assistant, clone_of, creating, declared, made_by, opaque, resource_call, second_try, subscription, switchable, template,
    template_document,
};
use super::rig::{Rig, keyed, resumed};

const SUBSCRIBER: &str = "https://n8n.example/webhook/acme-calendar";

/// The removal of what a creating call made, its identifier unknown.
fn removal(call: &KeyedCall) -> KeyedCall {
    let made = made_by(call, None);
    keyed(match call.call {
        Call::CloneWorkflow { .. } => Call::RemoveWorkflow { workflow: made },
        Call::CreateAssistant { .. } => Call::RemoveAssistant { assistant: made },
        Call::SubscribeCalendar { .. } => Call::Unsubscribe { id: None, subscriber_url: SUBSCRIBER.into() },
        Call::CreateResource { .. } => Call::RemoveResource { resource: Box::new(switchable()), made },
        ref other => panic!("{other:?}"),
    })
}

#[tokio::test(start_paused = true)]
async fn what_may_still_be_under_way_is_looked_for_until_the_window_has_passed() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        let asked = Instant::now();
        let evidence = rig.done(&removal(&call)).await;
        assert!(evidence.absent && evidence.external_id.is_none(), "{evidence:?}");
        let window = if call.provider.name.starts_with("n8n") || call.provider.name.starts_with("calcom") { 2 } else { 5 };
        assert_eq!(asked.elapsed(), Duration::from_secs(window), "{}", call.call.operation());
    }
    assert_eq!(rig.sandbox.effects().len(), 1, "only the template was ever made");
}

#[tokio::test(start_paused = true)]
async fn what_appears_only_after_a_while_is_removed_all_the_same() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        let create = |fault| FaultRule { method: Some("POST".into()), ..FaultRule::new(fault) };
        rig.failing(vec![create(Fault::EventualConsistency { milliseconds: 1500 }), create(Fault::ReplyLost)]);
        assert_eq!(rig.unknown(&call).await, "ReplyLost");
        let evidence = rig.done(&removal(&call)).await;
        assert!(!evidence.absent);
        assert_eq!(rig.operations(), [Operation::Create, Operation::Delete]);
        assert_eq!(evidence.external_id, Some(rig.sandbox.effects().last().unwrap().id.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_others_were_quicker_with_is_done() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.done(&call).await;
        rig.settle();
        // The second looks before the first has removed it, and removes after.
        rig.failing(vec![FaultRule::new(Fault::Latency { milliseconds: 200 })]);
        let one = removal(&call);
        let (first, second) = tokio::join!(rig.done(&one), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            rig.done(&one).await
        });
        assert!(!first.absent && second.absent, "{first:?} {second:?}");
        assert_eq!(rig.operations(), [Operation::Delete]);
        rig.failing(vec![]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_without_effect_is_seen_by_reading_back() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        let id = rig.done(&call).await.external_id.unwrap();
        rig.settle();
        rig.failing(vec![FaultRule { method: Some("DELETE".into()), ..FaultRule::new(Fault::Html) }]);
        let noun = match call.call {
            Call::CloneWorkflow { .. } => "workflow",
            Call::CreateAssistant { .. } => "assistant",
            Call::SubscribeCalendar { .. } => "calendar webhook",
            _ => "resource",
        };
        let removal = removal(&call);
        let key = if noun == "calendar webhook" { &removal.key } else { &call.key };
        let message = format!("{noun} {id} with key {} was removed and is still there", key.mark());
        let failure = rig.refused_saying(&removal, FailureCode::ResourceDiffers, &message).await;
        assert!(failure.remediation[0].contains(&id) && failure.remediation[2].contains("mandate decide rollback"), "{failure:?}");
        assert_eq!(rig.operations(), []);
        rig.failing(vec![]);
    }
}

#[tokio::test(start_paused = true)]
async fn two_of_one_key_stop_for_a_person_and_neither_is_removed() {
    let rig = Rig::new();
    let cloning = clone_of(template(&rig).await);
    let clone = rig.done(&cloning).await.external_id.unwrap();
    let mut copy = template_document();
    copy["name"] = format!("copy of {}", cloning.key.mark()).into();
    let copy = rig.direct("POST", WORKFLOWS, Some(copy)).await["id"].as_str().unwrap().to_owned();
    let creating = assistant();
    let made = rig.done(&creating).await.external_id.unwrap();
    let body = json!({"name": "copy", "metadata": {"mandateKey": creating.key.mark()}});
    let other = rig.direct("POST", "/vapi/assistant", Some(body)).await["id"].as_str().unwrap().to_owned();
    let resource = resource_call(switchable());
    let first = rig.done(&resource).await.external_id.unwrap();
    let body = json!({"externalId": resource.key.mark(), "name": "copy", "callbackUrl": "https://x.example"});
    let second = rig.direct("POST", "/crm/v1/subscriptions", Some(body)).await["id"].as_str().unwrap().to_owned();
    rig.settle();
    for (call, ids) in [(&cloning, [&clone, &copy]), (&creating, [&made, &other]), (&resource, [&first, &second])] {
        let failure = rig.refused(&removal(call)).await;
        assert_eq!(failure.code, FailureCode::ResourceDiffers);
        assert!(ids.iter().all(|id| failure.message.contains(id.as_str())), "{}", failure.message);
        assert!(failure.remediation[0].contains(call.key.mark()), "{failure:?}");
    }
    let known = Call::RemoveResource { resource: Box::new(switchable()), made: made_by(&resource, Some(&first)) };
    let message = format!("resource {first} was made with key {}, and {second} carries it too", resource.key.mark());
    rig.refused_saying(&keyed(known), FailureCode::ResourceDiffers, &message).await;
    assert_eq!(rig.operations(), []);
}

/// The name alone proves nothing: a repair or a rollback must not remove what somebody else made.
#[tokio::test(start_paused = true)]
async fn a_strangers_workflow_of_our_clones_name_is_neither_taken_nor_removed() {
    let rig = Rig::new();
    let cloning = clone_of(template(&rig).await);
    let name = format!("acme-dental intake {}", cloning.key.mark());
    let mut strange = template_document();
    strange["name"] = name.clone().into();
    let id = rig.direct("POST", WORKFLOWS, Some(strange)).await["id"].as_str().unwrap().to_owned();
    rig.settle();
    let message = format!("workflow {id}, named {name:?}, has no node with key {}: it was not made by us", cloning.key.mark());
    for call in [cloning.clone(), resumed(&cloning), removal(&cloning)] {
        let failure = rig.refused_saying(&call, FailureCode::ResourceDiffers, &message).await;
        assert!(failure.remediation[0].contains(&id) && failure.remediation[1].contains("mandate decide intervene"), "{failure:?}");
    }
    assert_eq!(rig.operations(), []);
    let renamed = json!({"name": "mine", "nodes": [], "connections": {}, "settings": {}});
    rig.direct("PUT", &format!("{WORKFLOWS}/{id}"), Some(renamed)).await;
    rig.done(&cloning).await;
}

#[tokio::test(start_paused = true)]
async fn our_clone_is_ours_under_another_name_and_with_other_nodes_but_not_with_both() {
    for (rename, replace) in [(true, false), (false, true), (true, true)] {
        let rig = Rig::new();
        let cloning = clone_of(template(&rig).await);
        let id = rig.done(&cloning).await.external_id.unwrap();
        let path = format!("{WORKFLOWS}/{id}");
        let clone = rig.direct("GET", &path, None).await;
        let (name, nodes) = (&clone["name"], &clone["nodes"]);
        let (other, renamed) = (template_document(), json!("Front desk"));
        let body = json!({
            "name": if rename { &renamed } else { name },
            "nodes": if replace { &other["nodes"] } else { nodes },
            "connections": {}, "settings": {},
        });
        rig.direct("PUT", &path, Some(body)).await;
        rig.settle();
        let call = keyed(Call::RemoveWorkflow { workflow: made_by(&cloning, Some(&id)) });
        if rename && replace {
            rig.refused_with(&call, FailureCode::ResourceDiffers, "named \"Front desk\", has no node with key").await;
            assert_eq!(rig.operations(), []);
        } else {
            rig.done(&call).await;
            assert_eq!(rig.operations(), [Operation::Delete]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_would_lead_elsewhere_is_no_id() {
    let rig = Rig::new();
    for id in ["..", ".", ""] {
        for call in [
            Call::RemoveWorkflow { workflow: made_by(&assistant(), Some(id)) },
            Call::RemoveAssistant { assistant: made_by(&assistant(), Some(id)) },
            Call::Unsubscribe { id: Some(id.into()), subscriber_url: SUBSCRIBER.into() },
        ] {
            assert!(rig.done(&keyed(call)).await.absent);
        }
        let blind = RestResource { lookup: None, ..switchable() };
        let call = Call::RemoveResource { resource: Box::new(blind), made: made_by(&opaque(), Some(id)) };
        rig.refused_saying(&keyed(call), FailureCode::InputsInvalid, &format!("{id:?} is no id that a path can hold")).await;
    }
    assert!(rig.exchanges().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_lookup_the_id_and_the_reply_are_all_there_is() {
    let rig = Rig::new();
    let blind = RestResource { lookup: None, ..switchable() };
    let creating = resource_call(blind.clone());
    let id = rig.done(&creating).await.external_id.unwrap();
    rig.settle();
    let call = keyed(Call::RemoveResource { resource: Box::new(blind.clone()), made: made_by(&creating, Some(&id)) });
    rig.failing(vec![FaultRule::new(Fault::Html).on("DELETE", "/crm/v1/subscriptions/*").window(0, 1)]);
    let message = format!("removing resource {id} was answered with 200, and not with JSON");
    rig.refused_saying(&call, FailureCode::BadReply, &message).await;
    rig.failing(vec![FaultRule::new(Fault::ReplyLost).on("DELETE", "/crm/v1/subscriptions/*").window(0, 1)]);
    assert_eq!(rig.unknown(&call).await, "ReplyLost");
    assert!(rig.done(&resumed(&call)).await.absent, "not found counts as done");
    assert_eq!(rig.operations(), [Operation::Delete]);
    let mut undeclared = blind;
    undeclared.remove.as_mut().unwrap().success = vec![202];
    let creating = second_try(&creating);
    let id = rig.done(&creating).await.external_id.unwrap();
    let call = keyed(Call::RemoveResource { resource: Box::new(undeclared), made: made_by(&creating, Some(&id)) });
    let message = format!("removing resource {id} was answered with 200, which is not declared as success");
    rig.refused_saying(&call, FailureCode::BadReply, &message).await;
}

#[tokio::test(start_paused = true)]
async fn what_declares_no_removal_is_left_to_a_person_who_learns_what_to_do() {
    let rig = Rig::new();
    let creating = resource_call(declared());
    let id = rig.done(&creating).await.external_id.unwrap();
    rig.settle();
    let key = creating.key.mark();
    let undeclared = "the schema declares no request that removes it";
    let unknown = "neither its id nor a lookup to find it by is known";
    let blind = |remove| RestResource { lookup: None, remove, ..declared() };
    for (resource, known, said) in [
        (declared(), Some(id.as_str()), format!("resource {id} in provider crm-main cannot be removed: {undeclared}; key {key}")),
        (declared(), None, format!("resource {id} in provider crm-main cannot be removed: {undeclared}; key {key}")),
        (blind(None), Some(id.as_str()), format!("resource {id} in provider crm-main cannot be removed: {undeclared}; key {key}")),
        (blind(None), None, format!("resource with key {key} in provider crm-main cannot be removed: {undeclared}; key {key}")),
        (blind(switchable().remove), None, format!("resource with key {key} in provider crm-main cannot be removed: {unknown}; key {key}")),
    ] {
        let call = keyed(Call::RemoveResource { resource: Box::new(resource), made: made_by(&creating, known) });
        let failure = rig.refused_saying(&call, FailureCode::NotRemovable, &said).await;
        let [by_hand, on_record, again] = failure.remediation.as_slice() else { panic!("{failure:?}") };
        assert!(by_hand.contains(key) && by_hand.contains("crm-main"), "{by_hand}");
        assert!(on_record.contains("`mandate decide intervene ") && again.contains("`mandate decide rollback "), "{failure:?}");
    }
    assert_eq!(rig.operations(), []);
    // Removed by hand, a lookup shows that it is gone; so the rollback can go on.
    rig.direct("DELETE", &format!("/crm/v1/subscriptions/{id}"), None).await;
    for known in [Some(id.as_str()), None] {
        let call = keyed(Call::RemoveResource { resource: Box::new(declared()), made: made_by(&creating, known) });
        assert!(rig.done(&call).await.absent);
    }
}

#[tokio::test(start_paused = true)]
async fn an_active_workflow_goes_with_its_webhooks() {
    let rig = Rig::new();
    let cloning = clone_of(template(&rig).await);
    let id = rig.done(&cloning).await.external_id.unwrap();
    rig.done(&super::calls::publish(&id, "acme-1")).await;
    rig.settle();
    rig.done(&removal(&cloning)).await;
    assert_eq!(rig.operations(), [Operation::Delete, Operation::UnregisterWebhook]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_found_by_its_url_alone_among_others() {
    let rig = Rig::new();
    for number in 0..260 {
        let body = json!({"subscriberUrl": format!("{SUBSCRIBER}/{number}"), "triggers": ["BOOKING_CREATED"], "active": true});
        rig.direct("POST", "/calcom/v2/webhooks", Some(body)).await;
    }
    let id = rig.done(&subscription()).await.external_id;
    rig.settle();
    let evidence = rig.done(&removal(&subscription())).await;
    assert_eq!(evidence.external_id, id);
    assert_eq!(rig.operations(), [Operation::Delete]);
}

/// The repair of a clone that differs, as the loop does it: remove by key, clone under the next key.
#[tokio::test(start_paused = true)]
async fn a_clone_that_differs_is_removed_and_cloned_again() {
    let rig = Rig::new();
    let template = template(&rig).await;
    let cloning = clone_of(template.clone());
    rig.settle();
    rig.failing(vec![FaultRule::new(Fault::ContentChanged).on("POST", WORKFLOWS)]);
    let failure = rig.refused(&cloning).await;
    let id = rig.sandbox.effects().last().unwrap().id.clone();
    assert_eq!((failure.code, failure.repair), (FailureCode::CloneDiffers, Some(Repair::CloneAgain)));
    let begins = format!("clone {id} has structural digest sha256:");
    assert!(
        failure.message.starts_with(&begins) && failure.message.ends_with(&format!(", its template {}", template.digest)),
        "{failure:?}"
    );
    rig.failing(vec![]);
    assert_eq!(rig.done(&removal(&cloning)).await.external_id, Some(id));
    rig.done(&second_try(&cloning)).await;
    assert_eq!(rig.operations(), [Operation::Create, Operation::Delete, Operation::Create]);
}
