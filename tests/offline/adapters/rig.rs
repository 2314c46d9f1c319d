//! Adapters wired to a sandbox in this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use http_body_util::BodyExt;
use mandate::adapters::transport::{CallHook, InProcess, Request};
use mandate::adapters::{Adapters, Classified, faults};
use mandate::engine::outcome::Outcome;
use mandate::engine::port::{Backends, Identifiers, SecretError, SecretValue, Secrets, VirtualClock};
use mandate::model::call::{Call, IdempotencyKey, KeyedCall, ProviderTarget, ProviderType, SecretKey};
use mandate::model::failure::{Failure, FailureClass, FailureCode, Repair};
use mandate::model::journal::Evidence;
use mandate::sandbox::{FaultRule, Keys, Operation, Sandbox, SandboxOptions};
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;
use uuid::Uuid;

/// What must never be seen outside a header.
pub const CANARY: &str = "canary-4f1b8e";
pub const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Counting(AtomicU64);

impl Identifiers for Counting {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

/// One value for every provider, or none.
pub struct OneSecret(pub Result<SecretValue, SecretError>);

#[async_trait]
impl Secrets for OneSecret {
    async fn secret(&self, _provider: &str, _key: &SecretKey) -> Result<SecretValue, SecretError> {
        self.0.clone()
    }
}

/// Every exchange so far: method and URL.
#[derive(Default)]
pub struct Exchanges(Mutex<Vec<String>>);

#[async_trait]
impl CallHook for Exchanges {
    async fn before_send(&self, request: &Request) {
        self.0.lock().unwrap().push(format!("{} {}", request.method, request.url));
    }
}

pub struct Rig {
    pub sandbox: Sandbox,
    pub adapters: Adapters,
    exchanges: Arc<Exchanges>,
    setup: AtomicU64,
}

pub fn adapters(router: axum::Router, hook: Arc<dyn CallHook>) -> Adapters {
    let clock = VirtualClock::starting_at("2026-03-02T09:00:00Z".parse().unwrap());
    let secret = Arc::new(OneSecret(Ok(SecretValue(CANARY.into()))));
    Adapters::new(Arc::new(InProcess::new(router).hooked(hook)), secret, Arc::new(clock))
}

impl Rig {
    pub fn new() -> Self {
        let clock = VirtualClock::starting_at("2026-03-02T09:00:00Z".parse().unwrap());
        let keys = Keys { n8n: CANARY.into(), vapi: CANARY.into(), calcom: CANARY.into(), crm: CANARY.into() };
        let options = SandboxOptions { keys, ..SandboxOptions::new(Arc::new(clock), Arc::new(Counting(AtomicU64::new(1)))) };
        let sandbox = Sandbox::open(options).unwrap();
        let exchanges = Arc::new(Exchanges::default());
        let adapters = adapters(sandbox.router(), Arc::clone(&exchanges) as Arc<dyn CallHook>);
        Self { sandbox, adapters, exchanges, setup: AtomicU64::new(0) }
    }

    /// A request of somebody else, with a valid key.
    pub async fn direct(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("x-n8n-api-key", CANARY)
            .header("authorization", format!("Bearer {CANARY}"))
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap();
        let reply = self.sandbox.router().oneshot(request).await.unwrap();
        assert!(reply.status().is_success(), "{method} {path}: {}", reply.status());
        serde_json::from_slice(&reply.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    pub fn failing(&self, rules: Vec<FaultRule>) {
        self.sandbox.set_faults(rules);
    }

    /// What was done so far is not counted.
    pub fn settle(&self) {
        self.setup.store(self.sandbox.effects().last().map_or(0, |effect| effect.sequence), Ordering::Relaxed);
    }

    /// What was done since [`Rig::settle`].
    pub fn operations(&self) -> Vec<Operation> {
        let effects = self.sandbox.effects_after(self.setup.load(Ordering::Relaxed));
        effects.into_iter().map(|effect| effect.operation).collect()
    }

    pub fn exchanges(&self) -> Vec<String> {
        self.exchanges.0.lock().unwrap().clone()
    }

    /// Performs within what [`Backends::perform`] promises, leaking nothing.
    pub async fn perform(&self, call: &KeyedCall) -> Outcome {
        let started = Instant::now();
        let outcome = self.adapters.perform(call).await;
        let limit = call.provider.timeout + Duration::from_secs(6);
        assert!(started.elapsed() <= limit, "{:?} took {:?}", call.call, started.elapsed());
        assert!(!format!("{outcome:?}").contains(CANARY), "{outcome:?}");
        assert!(has_row(call, &outcome), "no row of the fault list: {outcome:?}");
        outcome
    }

    pub async fn done(&self, call: &KeyedCall) -> Evidence {
        match self.perform(call).await {
            Outcome::Done(evidence) => evidence,
            other => panic!("{other:?}"),
        }
    }

    pub async fn refused(&self, call: &KeyedCall) -> Failure {
        match self.perform(call).await {
            Outcome::Refused(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    pub async fn refused_with(&self, call: &KeyedCall, code: FailureCode, part: &str) {
        let failure = self.refused(call).await;
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
        assert!(!failure.remediation.is_empty());
    }

    /// Refused, word for word, about a person's turn.
    pub async fn refused_saying(&self, call: &KeyedCall, code: FailureCode, message: &str) -> Failure {
        let failure = self.refused(call).await;
        assert_eq!((failure.code, failure.message.as_str(), failure.class), (code, message, FailureClass::HumanActionRequired));
        failure
    }

    /// Refused, word for word, with a repair.
    pub async fn repairable(&self, call: &KeyedCall, code: FailureCode, repair: Repair, message: &str) {
        let failure = self.refused(call).await;
        assert_eq!((failure.code, failure.message.as_str(), failure.repair), (code, message, Some(repair)));
        assert_eq!(failure.class, FailureClass::FixableAutomatically);
    }

    pub async fn unknown(&self, call: &KeyedCall) -> &'static str {
        match self.perform(call).await {
            Outcome::Unknown(fault) => fault.code,
            other => panic!("{other:?}"),
        }
    }

    pub async fn no_effect(&self, call: &KeyedCall) -> (&'static str, Option<Duration>) {
        match self.perform(call).await {
            Outcome::NoEffect { fault, retry_after } => (fault.code, retry_after),
            other => panic!("{other:?}"),
        }
    }
}

/// Whether the fault list has the outcome: the adapter that can meet it, its class, its code, its remedy step by step.
fn has_row(call: &KeyedCall, outcome: &Outcome) -> bool {
    let mut rows = faults().filter(|row| row.providers.contains(&call.provider.provider_type));
    match outcome {
        Outcome::Done(_) => true,
        Outcome::NoEffect { fault, .. } | Outcome::Unknown(fault) => {
            rows.any(|row| row.code == fault.code && matches!(row.classified, Classified::Passing(_)))
        }
        Outcome::Refused(failure) => rows.any(|row| {
            let same_class = match row.classified {
                Classified::HumanAction(code) => failure.code == code && failure.repair.is_none(),
                // What a repair meets itself is a person's.
                Classified::Repair(code, repair) => failure.code == code && failure.repair.is_none_or(|found| found == repair),
                Classified::Passing(_) => false,
            };
            let stands_for = |(step, said): (&&str, &String)| {
                let names = ["provider", "operation", "object", "key"];
                let pattern = names.iter().fold(regex::escape(step), |text, name| text.replace(&format!(r"\{{{name}\}}"), ".+"));
                regex::Regex::new(&format!("^(?s){pattern}$")).unwrap().is_match(said)
            };
            same_class
                && row.remediation.len() == failure.remediation.len()
                && row.remediation.iter().zip(&failure.remediation).all(stands_for)
        }),
    }
}

pub fn provider(provider_type: ProviderType) -> ProviderTarget {
    let prefix = if provider_type == ProviderType::Http { "crm".to_owned() } else { provider_type.to_string() };
    ProviderTarget {
        name: format!("{prefix}-main"),
        provider_type,
        base_url: format!("http://sandbox.test/{prefix}"),
        secret: Some(SecretKey { name: format!("{prefix}-secret"), key: "apiKey".into() }),
        timeout: TIMEOUT,
        concurrency: 4,
        per_minute: 0,
    }
}

/// A call as the loop makes it, fresh.
pub fn keyed(call: Call) -> KeyedCall {
    keyed_for("request-1", call)
}

pub fn keyed_for(request: &str, call: Call) -> KeyedCall {
    let provider_type = match &call {
        Call::ReadTemplate { .. }
        | Call::CloneWorkflow { .. }
        | Call::PublishWebhooks { .. }
        | Call::ReactivateWorkflow { .. }
        | Call::UpdateWorkflow { .. }
        | Call::RemoveWorkflow { .. } => ProviderType::N8n,
        Call::CreateResource { .. } | Call::SwitchResource { .. } | Call::RemoveResource { .. } => ProviderType::Http,
        Call::SubscribeCalendar { .. } | Call::SwitchSubscription { .. } | Call::Unsubscribe { .. } => ProviderType::Calcom,
        Call::CreateAssistant { .. } | Call::SetServerUrl { .. } | Call::UpdateAssistant { .. } | Call::RemoveAssistant { .. } => {
            ProviderType::Vapi
        }
    };
    let input = call.input_digest().unwrap();
    let key = IdempotencyKey::new(request, "step", "call", 1, &input).unwrap();
    KeyedCall { name: "call".into(), key, input, call, provider: provider(provider_type), resumed: false }
}

/// The same call in a later pass.
pub fn resumed(call: &KeyedCall) -> KeyedCall {
    KeyedCall { resumed: true, ..call.clone() }
}
