//! Credentials reach the system they are for and nobody else.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use mandate::adapters::Adapters;
use mandate::adapters::transport::InProcess;
use mandate::engine::outcome::Outcome;
use mandate::engine::port::{Backends, SecretError, SecretValue, SystemClock, WorldError};
use mandate::model::failure::FailureCode;
use serde_json::json;

use super::calls::{assistant, opaque, publishable, resource, subscription};
use super::rig::{CANARY, OneSecret, Rig, adapters};

async fn with_secret(secret: Result<SecretValue, SecretError>) -> Outcome {
    let router = Router::new().fallback(|| async { "{}" });
    let adapters = Adapters::new(Arc::new(InProcess::new(router)), Arc::new(OneSecret(secret)), Arc::new(SystemClock));
    adapters.perform(&assistant()).await
}

#[tokio::test(start_paused = true)]
async fn a_missing_secret_stops_for_a_person_who_learns_which() {
    let missing = SecretError::Missing("secret vapi-secret has no key apiKey".into());
    let Outcome::Refused(failure) = with_secret(Err(missing)).await else { panic!() };
    assert_eq!(failure.code, FailureCode::SecretMissing);
    assert!(failure.message.contains("no key apiKey") && failure.remediation[1].contains("mandate.dev/provider=vapi-main"), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_no_header_can_carry_is_refused_without_being_shown() {
    for value in [format!("{CANARY}\n"), String::new(), "  ".into()] {
        let outcome = with_secret(Ok(SecretValue(value))).await;
        let Outcome::Refused(failure) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.code, FailureCode::SecretMissing);
        assert!(!format!("{outcome:?}").contains(CANARY));
    }
}

#[tokio::test(start_paused = true)]
async fn a_world_that_does_not_answer_is_waited_for() {
    let error = WorldError::Unavailable { message: "busy".into(), retry_after: None };
    let Outcome::NoEffect { fault, .. } = with_secret(Err(error.into())).await else { panic!() };
    assert_eq!(fault.code, "SecretUnreadable");
}

/// Answers every request with the credentials it came with.
async fn echo(request: Request) -> (http::StatusCode, String) {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let message = format!("bad key {} {}", text("authorization"), text("x-n8n-api-key"));
    (http::StatusCode::BAD_REQUEST, json!({ "message": message }).to_string())
}

#[tokio::test(start_paused = true)]
async fn credentials_that_a_vendor_repeats_are_taken_out() {
    let adapters = adapters(Router::new().fallback(echo), Arc::new(super::rig::Exchanges::default()));
    for call in [assistant(), subscription(), resource(), opaque()] {
        let outcome = format!("{:?}", adapters.perform(&call).await);
        assert!(outcome.contains("bad key Bearer ***"), "{outcome}");
        assert!(!outcome.contains(CANARY), "{outcome}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_itself_can_be_printed() {
    use mandate::adapters::transport::{CallHook, Request};
    struct Printed(std::sync::Mutex<Vec<(bool, String)>>);
    #[async_trait::async_trait]
    impl CallHook for Printed {
        async fn before_send(&self, request: &Request) {
            let carries = request.headers.values().any(|value| value.as_bytes().ends_with(CANARY.as_bytes()));
            self.0.lock().unwrap().push((carries, format!("{request:?}")));
        }
    }
    let rig = Rig::new();
    let publication = publishable(&rig, "acme-1").await;
    let printed = Arc::new(Printed(std::sync::Mutex::default()));
    let adapters = adapters(rig.sandbox.router(), Arc::clone(&printed) as Arc<dyn CallHook>);
    for call in [assistant(), subscription(), resource(), publication] {
        assert!(matches!(adapters.perform(&call).await, Outcome::Done(_)));
    }
    let printed = printed.0.lock().unwrap();
    assert!(printed.iter().all(|(_, text)| !text.contains(CANARY)));
    // The probe of a webhook goes to a public path and takes no key along.
    assert!(printed.iter().all(|(carries, text)| *carries != text.contains("/webhook/acme-1\"")));
}
