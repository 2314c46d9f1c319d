use std::time::Duration;

use super::*;
use crate::model::call::{Call, IdempotencyKey, ProviderTarget, ProviderType};
use crate::model::canonical::Digest;
use crate::model::journal::{Evidence, Journal, StepEntry};
use crate::model::rest::{Method, RestRequest, RestResource};
use crate::model::step::Step;

fn at(second: i64) -> Time {
    Time::new(jiff::Timestamp::from_second(second).unwrap())
}

fn keyed(call: Call) -> KeyedCall {
    let input = Digest::of_bytes(b"input");
    let provider = ProviderTarget {
        name: "crm".into(),
        provider_type: ProviderType::Http,
        base_url: "http://127.0.0.1:1".into(),
        secret: None,
        timeout: Duration::from_secs(1),
        concurrency: 1,
        per_minute: 0,
    };
    let key = IdempotencyKey::new("u", "IntegrationConfiguration", "crm", 1, &input).unwrap();
    KeyedCall { name: "crm".into(), key, input, call, provider, resumed: false }
}

fn opaque() -> KeyedCall {
    let create = RestRequest { method: Method::Post, path: "/x".into(), body: None, success: vec![201] };
    let resource = RestResource {
        create,
        key_pointer: "/key".into(),
        id_pointer: "/id".into(),
        lookup: None,
        enable: None,
        disable: None,
        remove: None,
    };
    keyed(Call::CreateResource { resource: Box::new(resource), body: "{}".into(), disabled: false })
}

fn named() -> KeyedCall {
    keyed(Call::SubscribeCalendar { subscriber_url: "http://x".into(), triggers: vec![], disabled: false })
}

fn journal(call: &KeyedCall) -> Journal {
    let entry = CallEntry {
        try_number: 1,
        name: call.name.clone(),
        operation: call.call.operation().into(),
        key: call.key.clone(),
        provider: call.provider.name.clone(),
        leaves_resource: true,
        intended_at: at(0),
        waits: None,
        result: None,
        failure: None,
    };
    let step = StepEntry { step: Step::IntegrationConfiguration, calls: vec![entry], done_at: None, failure: None, repair: None };
    Journal { steps: vec![step], ..Journal::default() }
}

fn fault() -> Fault {
    Fault { code: "Timeout", message: "no answer".into() }
}

#[test]
fn a_result_ends_the_step_and_is_never_overwritten() {
    let call = named();
    let mut journal = journal(&call);
    let done = |id: &str| Outcome::Done(Evidence { external_id: Some(id.into()), ..Evidence::default() });
    settle(&mut journal, vec![(&call, done("1"))], at(5));
    settle(&mut journal, vec![(&call, done("2"))], at(6));
    assert_eq!(journal.result(Step::IntegrationConfiguration, "crm").unwrap().external_id.as_deref(), Some("1"));
    assert_eq!(journal.steps[0].done_at, Some(at(5)));
}

#[test]
fn waits_back_off_honour_retry_after_and_end_in_a_failure_after_five_minutes() {
    let call = named();
    let mut journal = journal(&call);
    let no_effect = |retry_after| Outcome::NoEffect { fault: fault(), retry_after };
    settle(&mut journal, vec![(&call, no_effect(None))], at(0));
    assert_eq!(journal.steps[0].calls[0].waits.as_ref().unwrap().retry_at, at(1));
    settle(&mut journal, vec![(&call, Outcome::Unknown(fault()))], at(1));
    assert_eq!(journal.steps[0].calls[0].waits.as_ref().unwrap().retry_at, at(3));
    settle(&mut journal, vec![(&call, no_effect(Some(Duration::from_secs(30))))], at(3));
    let waits = journal.steps[0].calls[0].waits.clone().unwrap();
    assert_eq!((waits.tries, waits.since, waits.retry_at), (3, at(0), at(33)));
    settle(&mut journal, vec![(&call, no_effect(Some(Duration::from_secs(30))))], at(280));
    assert_eq!(journal.failure().unwrap().1.code, FailureCode::Unavailable);
    assert_eq!(journal.steps[0].done_at, None);
}

/// Issue 3, item 1: each failed try is classified, counted and recorded.
#[test]
fn the_tries_that_came_to_nothing_stay_beside_the_result() {
    let call = named();
    let mut journal = journal(&call);
    settle(&mut journal, vec![(&call, Outcome::NoEffect { fault: fault(), retry_after: None })], at(0));
    settle(&mut journal, vec![(&call, Outcome::Done(Evidence::default()))], at(1));
    let entry = &journal.steps[0].calls[0];
    let waits = entry.waits.as_ref().unwrap();
    assert!(!entry.is_open());
    assert_eq!((waits.code.as_str(), waits.tries, waits.proven), ("Timeout", 1, false));
}

#[test]
fn an_unknown_outcome_that_cannot_be_looked_up_stops_and_names_the_key() {
    let call = opaque();
    let mut journal = journal(&call);
    settle(&mut journal, vec![(&call, Outcome::Unknown(fault()))], at(1));
    let failure = journal.failure().unwrap().1.clone();
    assert_eq!(failure.code, FailureCode::OutcomeUnknown);
    assert!(failure.remediation[0].contains(call.key.mark()), "{failure:?}");
}

#[test]
fn an_opaque_call_is_sent_again_only_under_a_new_intent_and_only_if_nothing_was_sent() {
    let call = opaque();
    let mut journal = journal(&call);
    settle(&mut journal, vec![(&call, Outcome::NoEffect { fault: fault(), retry_after: None })], at(1));
    let entry = &mut journal.steps[0].calls[0];
    assert!(entry.waits.as_ref().unwrap().proven);
    renew_intent(entry, CallClass::Opaque, at(5));
    assert_eq!(entry.intended_at, at(5));
    assert!(!entry.waits.as_ref().unwrap().proven, "from here on something may have been sent");
    renew_intent(entry, CallClass::Opaque, at(9));
    assert_eq!(entry.intended_at, at(5), "an intent that was acted upon is not renewed");
}
