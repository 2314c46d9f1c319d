//! What every call on something that exists makes of systems that misbehave, and of being repeated.

use std::time::Duration;

use mandate::engine::outcome::Outcome;
use mandate::model::call::KeyedCall;
use mandate::model::failure::{FailureClass, FailureCode};
use mandate::sandbox::{Fault, FaultRule, Operation};
use tokio::time::Instant;

use super::calls::{LATER, Later, Prepared};
use super::rig::{Rig, TIMEOUT, resumed};

/// A rule for one of the call's writes.
fn on(write: (&str, &str), fault: Fault) -> FaultRule {
    FaultRule::new(fault).on(write.0, write.1).window(0, 1)
}

fn on_reads(fault: Fault) -> FaultRule {
    FaultRule { method: Some("GET".into()), ..FaultRule::new(fault) }
}

/// What can be looked at before it is done; the others are sent without a look.
fn looks_first(later: Later) -> bool {
    !matches!(later, Later::SwitchOff | Later::SwitchOn)
}

async fn each(test: impl AsyncFn(Later, Rig, Prepared)) {
    for later in LATER {
        let rig = Rig::new();
        let prepared = later.prepared(&rig).await;
        test(later, rig, prepared).await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_done_once_however_often_it_is_performed() {
    each(async |later, rig, prepared| {
        let Prepared { call, effects, removes, .. } = prepared;
        let first = rig.done(&call).await;
        assert!(first.external_id.is_some() && !first.absent, "{later:?}: {first:?}");
        assert_eq!(rig.operations(), effects, "{later:?}");
        for again in [call.clone(), resumed(&call)] {
            let again = rig.done(&again).await;
            assert_eq!(again.absent, removes, "{later:?}");
            assert_eq!((again.digest, again.urls), (first.digest.clone(), first.urls.clone()), "{later:?}");
        }
        assert_eq!(rig.operations(), effects, "{later:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_lost_after_the_effect_is_made_good_without_a_second_effect() {
    each(async |later, rig, prepared| {
        let Prepared { call, writes, effects, .. } = prepared;
        rig.failing(writes.iter().map(|write| on(*write, Fault::ReplyLost)).collect());
        let mut call = call;
        for _ in &writes {
            assert_eq!(rig.unknown(&call).await, "ReplyLost", "{later:?}");
            call = resumed(&call);
        }
        rig.done(&call).await;
        assert_eq!(rig.operations(), effects, "{later:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_lost_before_the_effect_is_sent_again() {
    each(async |later, rig, prepared| {
        let Prepared { call, writes, effects, .. } = prepared;
        for (index, write) in writes.iter().enumerate() {
            rig.failing(vec![on(*write, Fault::RequestLost)]);
            assert_eq!(rig.unknown(&resumed(&call)).await, "ReplyLost", "{later:?}");
            assert_eq!(rig.operations(), effects[..index], "{later:?}");
        }
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), effects, "{later:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_and_unavailable_are_waits_without_an_effect() {
    let faults = [
        (Fault::TooManyRequests { retry_after_seconds: 7 }, ("RateLimited", Some(Duration::from_secs(7)))),
        (Fault::Unavailable { retry_after_seconds: None }, ("Unavailable", None)),
    ];
    for (fault, expected) in faults {
        each(async |later, rig, prepared| {
            let Prepared { call, writes, effects, .. } = prepared;
            if looks_first(later) {
                rig.failing(vec![on_reads(fault.clone()).window(0, 1)]);
                assert_eq!(rig.no_effect(&call).await, expected, "{later:?}");
            }
            rig.failing(vec![on(writes[0], fault.clone())]);
            assert_eq!(rig.no_effect(&call).await, expected, "{later:?}");
            assert_eq!(rig.operations(), [], "{later:?}");
            rig.done(&resumed(&call)).await;
            assert_eq!(rig.operations(), effects, "{later:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_internal_error_leaves_a_write_open_and_looking_settles_it() {
    for after in [false, true] {
        each(async |later, rig, prepared| {
            let Prepared { call, writes, effects, .. } = prepared;
            let rule = FaultRule { after_effect: after, ..on(writes[0], Fault::InternalError) };
            rig.failing(vec![rule]);
            assert_eq!(rig.unknown(&call).await, "ServerError", "{later:?}");
            assert_eq!(rig.operations().is_empty(), !after, "{later:?}");
            rig.done(&resumed(&call)).await;
            assert_eq!(rig.operations(), effects, "{later:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_stops_for_a_person_in_the_vendors_words() {
    each(async |later, rig, prepared| {
        let Prepared { call, writes, .. } = prepared;
        rig.failing(vec![on(writes[0], Fault::BadRequest)]);
        let failure = rig.refused(&call).await;
        assert_eq!((failure.code, failure.class), (FailureCode::RequestRefused, FailureClass::HumanActionRequired), "{later:?}");
        assert!(failure.message.ends_with("-main answered 400 (\"Bad Request\")"), "{later:?}: {}", failure.message);
        assert_eq!(rig.operations(), [], "{later:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_at_any_exchange_are_a_persons() {
    each(async |later, rig, prepared| {
        let Prepared { call, writes, .. } = prepared;
        let mut rules = vec![on(writes[0], Fault::Unauthorized)];
        if looks_first(later) {
            rules.push(on_reads(Fault::Unauthorized));
        }
        for rule in rules {
            rig.failing(vec![rule]);
            let failure = rig.refused(&call).await;
            let expected = (FailureCode::CredentialsRejected, FailureClass::HumanActionRequired, None);
            assert_eq!((failure.code, failure.class, failure.repair), expected, "{later:?}");
        }
        assert_eq!(rig.operations(), [], "{later:?}");
    })
    .await;
}

/// A login page with status 200 does nothing; nobody may take it for done.
#[tokio::test(start_paused = true)]
async fn a_page_instead_of_the_api_is_never_taken_for_success() {
    each(async |later, rig, prepared| {
        let Prepared { call, writes, .. } = prepared;
        rig.failing(writes.iter().map(|write| on(*write, Fault::Html)).collect());
        let failure = rig.refused(&call).await;
        let expected = match later {
            Later::UpdateWorkflow => FailureCode::CloneDiffers,
            Later::Reactivate => FailureCode::WebhookNotRegistered,
            Later::SwitchOff | Later::SwitchOn => FailureCode::BadReply,
            _ => FailureCode::ResourceDiffers,
        };
        assert_eq!((failure.code, failure.class), (expected, FailureClass::HumanActionRequired), "{later:?}: {failure:?}");
        if looks_first(later) {
            rig.failing(vec![on_reads(Fault::Html)]);
            rig.refused_with(&call, FailureCode::BadReply, "is not the JSON expected").await;
        }
        assert_eq!(rig.operations(), [], "{later:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline() {
    each(async |later, rig, prepared| {
        let Prepared { call, writes, effects, .. } = prepared;
        rig.failing(vec![on(writes[0], Fault::Hang).after_effect()]);
        let asked = Instant::now();
        assert_eq!(rig.unknown(&call).await, "Timeout", "{later:?}");
        assert!(asked.elapsed() <= TIMEOUT, "{later:?}");
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), effects, "{later:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_counts_as_removed_and_cannot_be_changed() {
    each(async |later, rig, prepared| {
        let Prepared { call, path, removes, .. } = prepared;
        rig.direct("DELETE", &path, None).await;
        rig.settle();
        for call in [call.clone(), resumed(&call)] {
            if removes {
                assert!(rig.done(&call).await.absent, "{later:?}");
                continue;
            }
            let failure = rig.refused(&call).await;
            assert_eq!(failure.code, FailureCode::ResourceMissing, "{later:?}: {failure:?}");
            assert!(failure.remediation[0].contains("mandate decide intervene"), "{later:?}: {failure:?}");
        }
        assert_eq!(rig.operations(), [], "{later:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_passes_at_once_leave_the_effects_of_one() {
    each(async |later, rig, prepared| {
        let Prepared { call, effects, .. } = prepared;
        if matches!(later, Later::Reactivate | Later::UpdateWorkflow | Later::UpdateAssistant { .. } | Later::SetServerUrl { .. }) {
            // The same is written twice there: the last state is the one asked for, whoever was first.
            return;
        }
        rig.failing(vec![FaultRule::new(Fault::Latency { milliseconds: 100 })]);
        let (one, other) = tokio::join!(rig.perform(&call), rig.perform(&call));
        for outcome in [one, other] {
            assert!(matches!(outcome, Outcome::Done(_)), "{later:?}: {outcome:?}");
        }
        // The calendar logs a change to what is so already; it is one change all the same.
        let mut once = rig.operations();
        once.dedup();
        assert_eq!(once, effects, "{later:?}");
    })
    .await;
}

/// What somebody makes of the thing so that it is not ours any more.
async fn estranged(rig: &Rig, later: Later, path: &str) {
    use serde_json::json;
    match later {
        Later::Reactivate | Later::UpdateWorkflow | Later::RemoveWorkflow { .. } => {
            let mut body = super::calls::template_document();
            body["nodes"][0]["parameters"]["path"] = json!("elsewhere");
            rig.direct("PUT", path, Some(body)).await;
        }
        Later::SetServerUrl { .. } | Later::UpdateAssistant { .. } | Later::RemoveAssistant { .. } => {
            rig.direct("PATCH", path, Some(json!({"metadata": {"mandateKey": "0123"}}))).await;
        }
        Later::SwitchOff | Later::SwitchOn | Later::RemoveResource { .. } => {
            rig.direct("PATCH", path, Some(json!({"externalId": "0123"}))).await;
        }
        Later::SwitchSubscriptionOff | Later::Unsubscribe { .. } => {
            rig.direct("PATCH", path, Some(json!({"subscriberUrl": "https://other.example"}))).await;
        }
    }
    rig.settle();
}

/// The vendor shows whose it is wherever it has a place for our key.
#[tokio::test(start_paused = true)]
async fn what_does_not_carry_our_key_is_neither_changed_nor_removed() {
    each(async |later, rig, prepared| {
        let Prepared { call, path, .. } = prepared;
        let message = |call: &KeyedCall| match later {
            Later::RemoveWorkflow { by_key: false } => "named \"Reception template\", has no node with key",
            Later::SetServerUrl { by_key: false } | Later::UpdateAssistant { by_key: false } | Later::RemoveAssistant { by_key: false } => {
                "in its metadata: it was not made by us"
            }
            Later::SwitchSubscriptionOff | Later::Unsubscribe { by_key: false } => {
                assert!(call.call.operation().contains("ubscri"));
                "is subscribed for https://other.example, not for https://n8n.example/webhook/acme-calendar: it was not made by us"
            }
            // Known by key alone, or shown by key alone: then it is not there.
            Later::RemoveWorkflow { .. } | Later::RemoveAssistant { .. } | Later::Unsubscribe { .. } | Later::RemoveResource { .. } => "",
            Later::SetServerUrl { .. } | Later::UpdateAssistant { .. } => "does not exist in provider vapi-main",
            // An identifier is all that these are told.
            Later::Reactivate | Later::UpdateWorkflow | Later::SwitchOff | Later::SwitchOn => "-",
        };
        let message = message(&call);
        if message == "-" {
            return;
        }
        estranged(&rig, later, &path).await;
        if message.is_empty() {
            assert!(rig.done(&call).await.absent, "{later:?}");
        } else {
            let failure = rig.refused(&call).await;
            assert!(failure.message.contains(message), "{later:?}: {failure:?}");
            let code = if message.contains("does not exist") { FailureCode::ResourceMissing } else { FailureCode::ResourceDiffers };
            assert_eq!((failure.code, failure.class), (code, FailureClass::HumanActionRequired), "{later:?}");
        }
        assert_eq!(rig.operations(), Vec::<Operation>::new(), "{later:?}");
        rig.direct("GET", &path, None).await;
    })
    .await;
}
