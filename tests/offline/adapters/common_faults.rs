//! What every operation makes of a system that misbehaves.

use std::time::Duration;

use mandate::engine::outcome::Outcome;
use mandate::model::failure::FailureCode;
use mandate::sandbox::{Fault, FaultRule, Operation};

use super::calls::creating;
use super::rig::{Rig, TIMEOUT, resumed};

/// A rule for the create of whatever is created.
fn on_create(fault: Fault) -> FaultRule {
    FaultRule { method: Some("POST".into()), ..FaultRule::new(fault) }
}

fn on_reads(fault: Fault) -> FaultRule {
    FaultRule { method: Some("GET".into()), ..FaultRule::new(fault) }
}

#[tokio::test(start_paused = true)]
async fn each_create_leaves_one_effect_however_often_it_is_performed() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        let first = rig.done(&call).await;
        assert!(first.external_id.is_some() && first.digest.is_some());
        assert_eq!(rig.done(&call).await, first);
        assert_eq!(rig.done(&resumed(&call)).await, first);
        assert_eq!(rig.operations(), [Operation::Create]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_an_unknown_outcome_that_the_next_pass_resolves_without_a_second_effect() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        rig.failing(vec![on_create(Fault::ReplyLost)]);
        assert_eq!(rig.unknown(&call).await, "ReplyLost");
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), [Operation::Create]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_never_arrived_is_sent_again() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        rig.failing(vec![on_create(Fault::RequestLost).window(0, 1)]);
        assert_eq!(rig.unknown(&call).await, "ReplyLost");
        assert_eq!(rig.operations(), []);
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), [Operation::Create]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_is_not_visible_at_once_is_waited_for_before_it_is_created_again() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        let hidden = Fault::EventualConsistency { milliseconds: 1900 };
        rig.failing(vec![on_create(hidden), on_create(Fault::ReplyLost)]);
        assert_eq!(rig.unknown(&call).await, "ReplyLost");
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), [Operation::Create]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_just_created_is_read_back_as_soon_as_it_is_visible() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        rig.failing(vec![on_create(Fault::EventualConsistency { milliseconds: 1500 })]);
        rig.done(&call).await;
        assert_eq!(rig.operations(), [Operation::Create]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_back_within_the_window_stops_for_a_person_and_is_named() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        rig.failing(vec![on_create(Fault::EventualConsistency { milliseconds: 60_000 })]);
        let failure = rig.refused(&call).await;
        assert_eq!(failure.code, FailureCode::ResourceMissing);
        let id = rig.sandbox.effects().last().unwrap().id.clone();
        assert!(failure.message.contains(&id) && failure.remediation[0].contains(&id), "{failure:?}");
        assert_eq!(rig.operations(), [Operation::Create]);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_and_unavailable_have_no_effect_and_say_when_to_come_back() {
    let rig = Rig::new();
    let faults = [
        (Fault::TooManyRequests { retry_after_seconds: 7 }, ("RateLimited", Some(Duration::from_secs(7)))),
        (Fault::Unavailable { retry_after_seconds: Some(9) }, ("Unavailable", Some(Duration::from_secs(9)))),
        (Fault::Unavailable { retry_after_seconds: None }, ("Unavailable", None)),
    ];
    for call in creating(&rig).await {
        rig.settle();
        for (fault, expected) in &faults {
            for rule in [on_reads(fault.clone()), on_create(fault.clone())] {
                rig.failing(vec![rule]);
                assert_eq!(rig.no_effect(&call).await, *expected);
            }
        }
        assert_eq!(rig.operations(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_internal_error_proves_nothing_about_a_write_and_everything_about_a_read() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        rig.failing(vec![on_reads(Fault::InternalError)]);
        assert_eq!(rig.no_effect(&call).await, ("ServerError", None));
        rig.failing(vec![on_create(Fault::InternalError).after_effect()]);
        assert_eq!(rig.unknown(&call).await, "ServerError");
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), [Operation::Create]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_after_the_create_leaves_the_outcome_unknown() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        // Reads before the create: the lookup, for a clone the template too.
        let before = if call.call.operation() == "CloneWorkflow" { 2 } else { 1 };
        rig.failing(vec![on_reads(Fault::TooManyRequests { retry_after_seconds: 3 }).window(before, 1)]);
        assert_eq!(rig.unknown(&call).await, "RateLimited");
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), [Operation::Create]);
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_stop_for_a_person() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        for rule in [on_reads(Fault::Unauthorized), on_create(Fault::Unauthorized)] {
            rig.failing(vec![rule]);
            rig.refused_with(&call, FailureCode::CredentialsRejected, "answered 401").await;
        }
        assert_eq!(rig.operations(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn html_and_ten_mebibytes_are_refused_where_something_is_read() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        rig.failing(vec![on_reads(Fault::Html)]);
        rig.refused_with(&call, FailureCode::BadReply, "is not the JSON expected").await;
        rig.failing(vec![on_reads(Fault::HugeBody { mebibytes: 10 })]);
        rig.refused_with(&call, FailureCode::ReplyTooLarge, " is larger than ").await;
        assert_eq!(rig.operations(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_reply_to_a_create_is_looked_up_before_it_is_judged() {
    let rig = Rig::new();
    for (fault, code) in [(Fault::Html, FailureCode::BadReply), (Fault::HugeBody { mebibytes: 10 }, FailureCode::ReplyTooLarge)] {
        for call in creating(&rig).await {
            rig.settle();
            rig.failing(vec![on_create(fault.clone())]);
            rig.refused_with(&call, code, call.key.mark()).await;
            assert_eq!(rig.operations(), []);
        }
        for call in creating(&rig).await {
            rig.settle();
            rig.failing(vec![on_create(fault.clone()).after_effect(), on_create(Fault::EventualConsistency { milliseconds: 1000 })]);
            rig.done(&call).await;
            assert_eq!(rig.operations(), [Operation::Create]);
            let made = rig.sandbox.effects().last().unwrap().clone();
            rig.failing(vec![]);
            remove(&rig, &made).await;
        }
    }
}

/// Takes back what was created, so that the same call can be made anew.
async fn remove(rig: &Rig, effect: &mandate::sandbox::Effect) {
    use mandate::sandbox::Vendor;
    let path = match effect.vendor {
        Vendor::N8n => "/n8n/api/v1/workflows",
        Vendor::Vapi => "/vapi/assistant",
        Vendor::Calcom => "/calcom/v2/webhooks",
        Vendor::Crm => "/crm/v1/subscriptions",
    };
    rig.direct("DELETE", &format!("{path}/{}", effect.id), None).await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        for fault in [Fault::Hang, Fault::SlowDrip { milliseconds_per_byte: 6000 }] {
            rig.failing(vec![on_reads(fault)]);
            let asked = tokio::time::Instant::now();
            assert_eq!(rig.no_effect(&call).await, ("Timeout", None));
            assert_eq!(asked.elapsed(), TIMEOUT);
        }
        assert_eq!(rig.operations(), []);
        rig.failing(vec![on_create(Fault::Hang).after_effect()]);
        assert_eq!(rig.unknown(&call).await, "Timeout");
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), [Operation::Create]);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_exchanges_together_do_not_outlast_the_call() {
    let rig = Rig::new();
    for call in creating(&rig).await {
        rig.settle();
        rig.failing(vec![FaultRule::new(Fault::Latency { milliseconds: 9_000 })]);
        let mut call = call;
        // Each pass gets further, and none forgets what another did.
        for _ in 0..4 {
            if let Outcome::Done(_) = rig.perform(&call).await {
                break;
            }
            call = resumed(&call);
        }
        rig.failing(vec![]);
        rig.done(&resumed(&call)).await;
        assert_eq!(rig.operations(), [Operation::Create]);
    }
}
