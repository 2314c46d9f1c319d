//! Providers that refuse, stumble or lie: what fails at once, what is waited out, and what is never done twice.

use std::time::Duration;

use futures::StreamExt as _;
use mandate::kinds::provisioningrequest::api::REQUEST;
use mandate::model::name::{webhook_path, webhook_uuid};
use mandate::model::object::Object;
use mandate::sandbox::{Fault, FaultRule, Operation, Vendor};
use mandate::world::server::{ApiServer, Identity, Selection, WatchEvent};
use serde_json::{Value, json};

use super::rig::{Rig, condition, reason};

/// What failed, in one line without its remedy, and that everything stands still since.
async fn failed(rig: &Rig, step: &str, code: &str) -> String {
    let request = rig.request().await;
    assert_eq!(request.body["status"]["state"], "FAILED", "{:#}", request.body["status"]);
    assert_eq!([condition(&request, "Stalled")[0], condition(&request, "Reconciling")[0]], ["True", "-"]);
    let [_, _, said] = condition(&request, "Ready");
    let begins = format!("{step}: {code}: ");
    assert!(said.starts_with(&begins) && said.contains(". Remedy: "), "{begins:?} expected, said: {said}");
    let steps = request.body["status"]["journal"]["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["step"], step, "no later step ran");
    assert_eq!(rig.events().await, ["ProvisioningInitiated", "ProvisioningFailed"]);

    let (effects, sent) = (rig.effects(), rig.sent.lock().unwrap().len());
    rig.sandbox.set_faults(Vec::new());
    rig.settle().await;
    assert_eq!((rig.effects(), rig.sent.lock().unwrap().len()), (effects, sent), "nothing is tried after a failure");
    assert_eq!(rig.events().await, ["ProvisioningInitiated", "ProvisioningFailed"], "one record of one failure");
    rig.beside_is_well().await;
    said.strip_prefix(&begins).unwrap().to_owned()
}

async fn struck(rules: Vec<FaultRule>) -> Rig {
    let rig = Rig::clinic_beside(|_| {}).await;
    rig.sandbox.set_faults(rules);
    rig
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_fail_at_once() {
    let rig = struck(vec![FaultRule::new(Fault::Unauthorized).vendor(Vendor::N8n)]).await;
    let began = tokio::time::Instant::now();
    let work = rig.run();
    work.quiet().await;
    assert!(began.elapsed() < Duration::from_secs(5), "there is nothing to wait for");
    work.stop().await;
    let said = failed(&rig, "SchemaInterpretation", "CredentialsRejected").await;
    assert!(said.starts_with("provider n8n answered 401 (\"unauthorized\")"), "{said}");
    assert!(said.contains("Put a valid API key into the Secret that Provider n8n names."), "{said}");
    assert!(rig.sandbox.effects().is_empty());
}

#[tokio::test(start_paused = true)]
async fn replies_that_are_not_the_api_fail_with_what_came_instead() {
    for (fault, vendor, step, code) in [
        (Fault::Html, Vendor::N8n, "SchemaInterpretation", "BadReply"),
        (Fault::HugeBody { mebibytes: 10 }, Vendor::N8n, "SchemaInterpretation", "ReplyTooLarge"),
        (Fault::Html, Vendor::Crm, "IntegrationConfiguration", "BadReply"),
        (Fault::HugeBody { mebibytes: 10 }, Vendor::Calcom, "IntegrationConfiguration", "ReplyTooLarge"),
        (Fault::Html, Vendor::Vapi, "VapiConfiguration", "BadReply"),
        (Fault::HugeBody { mebibytes: 10 }, Vendor::Vapi, "VapiConfiguration", "ReplyTooLarge"),
        (Fault::Unauthorized, Vendor::Vapi, "VapiConfiguration", "CredentialsRejected"),
    ] {
        let rig = struck(vec![FaultRule::new(fault).vendor(vendor)]).await;
        rig.settle().await;
        failed(&rig, step, code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_is_waited_for_and_then_named() {
    for timeout_seconds in [10, 60] {
        let rig = Rig::clinic_beside(|document| {
            if document["kind"] == "Provider" {
                document["spec"]["connection"]["timeoutSeconds"] = timeout_seconds.into();
            }
        })
        .await;
        rig.sandbox.set_faults(vec![FaultRule::new(Fault::Hang).vendor(Vendor::N8n)]);
        let work = rig.run();
        tokio::time::sleep(Duration::from_secs(150)).await;
        let request = rig.request().await;
        let [ready, why, said] = condition(&request, "Ready");
        assert_eq!((ready, why), ("False", "ProviderUnavailable"), "{:#}", request.body["status"]);
        assert!(said.contains(" waits for Provider n8n: Timeout "), "{said}");
        assert_eq!(rig.events().await, ["ProvisioningInitiated"], "a wait is no failure yet");
        tokio::time::sleep(Duration::from_secs(450)).await;
        work.quiet().await;
        work.stop().await;
        let said = failed(&rig, "SchemaInterpretation", "Unavailable").await;
        let tries: u32 = said.split(" did not succeed in ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let sent = rig.sent.lock().unwrap().iter().filter(|sent| sent.line.ends_with("/tPlIntake0000001")).count();
        assert_eq!(usize::try_from(tries).unwrap(), sent, "every try is counted: {said}");
        assert!(said.contains(&format!("did not succeed in {tries} tries within 300 s; last: Timeout ")), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_and_is_no_failure() {
    let seconds = 40;
    let rule = FaultRule::new(Fault::TooManyRequests { retry_after_seconds: seconds }).on("POST", "/vapi/assistant").window(0, 3);
    let rig = struck(vec![rule]).await;
    rig.settle().await;
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    assert_eq!(rig.events().await, ["ProvisioningInitiated"]);
    let sent = rig.sent.lock().unwrap().clone();
    let tries: Vec<_> = sent.iter().filter(|sent| sent.line == "POST /vapi/assistant").map(|sent| sent.at).collect();
    assert_eq!(tries.len(), 4);
    for pair in tries.windows(2) {
        let pause = pair[1] - pair[0];
        assert!((Duration::from_secs(seconds)..Duration::from_secs(seconds + 10)).contains(&pause), "{pause:?}");
    }
    rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_away_for_a_moment_costs_a_moment() {
    let calm = Rig::clinic_beside(|_| {}).await;
    calm.settle().await;
    let expected = calm.effects();
    for vendor in [Vendor::N8n, Vendor::Crm, Vendor::Calcom, Vendor::Vapi] {
        for fault in [Fault::Unavailable { retry_after_seconds: None }, Fault::InternalError, Fault::RequestLost] {
            let rig = struck(vec![FaultRule::new(fault.clone()).vendor(vendor).window(1, 2)]).await;
            rig.settle().await;
            assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION", "{vendor:?} {fault:?}");
            assert_eq!(rig.effects(), expected, "{vendor:?} {fault:?}");
            assert_eq!(rig.events().await, ["ProvisioningInitiated"], "{vendor:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lost_replies_of_a_system_that_shows_late_what_it_did_make_nothing_twice() {
    let calm = Rig::clinic_beside(|_| {}).await;
    calm.settle().await;
    let expected = calm.effects();
    for (method, path) in
        [("POST", "/n8n/api/v1/workflows"), ("POST", "/crm/v1/subscriptions"), ("POST", "/vapi/assistant"), ("POST", "/calcom/v2/webhooks")]
    {
        let late = FaultRule::new(Fault::EventualConsistency { milliseconds: 1500 }).on(method, path);
        let lost = FaultRule::new(Fault::ReplyLost).on(method, path).window(0, 1);
        let rig = struck(vec![late, lost]).await;
        rig.settle().await;
        assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION", "{path}: {:#}", rig.request().await.body["status"]);
        assert_eq!(rig.effects(), expected, "{path}");
        assert!(rig.sandbox.faults().iter().all(|fault| fault.seen > 0), "{path} was struck");
        rig.beside_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_template_that_is_gone_or_is_not_what_was_pinned_is_not_cloned() {
    let rig = struck(Vec::new()).await;
    rig.n8n("DELETE", "/workflows/tPlBooking000001", None).await;
    let before = rig.effects();
    rig.settle().await;
    let said = failed(&rig, "SchemaInterpretation", "TemplateMissing").await;
    assert!(said.starts_with("template tPlBooking000001 does not exist in provider n8n"), "{said}");
    assert_eq!(rig.effects(), before);

    let rig = struck(Vec::new()).await;
    let template = rig.n8n("GET", "/workflows/tPlIntake0000001", None).await;
    let mut changed = json!({"name": template["name"], "nodes": template["nodes"], "connections": template["connections"], "settings": {}});
    let node = changed["nodes"].as_array_mut().unwrap().iter_mut().find(|node| node["type"] == "n8n-nodes-base.httpRequest").unwrap();
    node["parameters"]["url"] = "https://elsewhere.example".into();
    rig.n8n("PUT", "/workflows/tPlIntake0000001", Some(changed)).await;
    let before = rig.effects();
    rig.settle().await;
    let said = failed(&rig, "SchemaInterpretation", "TemplateDrift").await;
    assert!(said.starts_with("template tPlIntake0000001 has structural digest sha256:"), "{said}");
    assert_eq!(rig.effects(), before);
}

#[tokio::test(start_paused = true)]
async fn a_node_type_that_the_schema_does_not_allow_is_not_cloned() {
    let rig = Rig::clinic_beside(|document| {
        if document["kind"] == "ProvisioningSchema" {
            document["spec"]["workflows"][0]["nodeTypes"].as_array_mut().unwrap().retain(|node| node != "n8n-nodes-base.code");
        }
    })
    .await;
    rig.settle().await;
    let said = failed(&rig, "SchemaInterpretation", "NodeTypeNotAllowed").await;
    let words = "template tPlIntake0000001 holds a node of type \"n8n-nodes-base.code\", which the schema does not allow";
    assert!(said.starts_with(words), "{said}");
    assert!(rig.sandbox.effects().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_webhook_path_that_a_stranger_holds_is_left_to_them() {
    let rig = struck(Vec::new()).await;
    let deployment = rig.get(&mandate::kinds::assistantdeployment::api::DEPLOYMENT, "acme-dental", "receptionist").await.unwrap();
    let path = webhook_path("acme-dental", webhook_uuid(deployment.uid(), 1, "intake", "Call events"), false);
    let template = rig.n8n("GET", "/workflows/tPlIntake0000001", None).await;
    let mut webhook = template["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "Call events").unwrap().clone();
    webhook["parameters"]["path"] = path.clone().into();
    let stranger = json!({"name": "A stranger's", "nodes": [webhook], "connections": {}, "settings": {}});
    let stranger = rig.n8n("POST", "/workflows", Some(stranger)).await;
    let id = stranger["id"].as_str().unwrap();
    rig.n8n("POST", &format!("/workflows/{id}/activate"), None).await;
    let before = rig.n8n("GET", &format!("/workflows/{id}"), None).await;
    rig.settle().await;
    let said = failed(&rig, "WebhookAssignment", "WebhookConflict").await;
    assert!(said.contains(&path), "{said}");
    assert_eq!(rig.n8n("GET", &format!("/workflows/{id}"), None).await, before, "what is not ours is not touched");
}

/// The clinic whose CRM resource is declared without a lookup.
async fn without_lookup(rule: FaultRule) -> Rig {
    let rig = Rig::clinic_beside(|document| {
        if document["kind"] == "ProvisioningSchema" {
            document["spec"]["integrations"]["crm"]["resource"].as_object_mut().unwrap().remove("lookup");
        }
    })
    .await;
    rig.sandbox.set_faults(vec![rule.on("POST", "/crm/v1/subscriptions")]);
    rig
}

/// The journal's entry of the CRM call.
fn crm_call(request: &Object) -> Option<Value> {
    let steps = request.body["status"]["journal"]["steps"].as_array()?;
    steps.iter().flat_map(|step| step["calls"].as_array().unwrap()).find(|call| call["name"] == "crm").cloned()
}

fn subscriptions(rig: &Rig) -> usize {
    rig.sandbox.effects().iter().filter(|effect| effect.vendor == Vendor::Crm && effect.operation == Operation::Create).count()
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_up_stops_and_asks_when_its_outcome_is_unknown() {
    for (fault, effects) in [(Fault::ReplyLost, 1), (Fault::RequestLost, 0), (Fault::Hang, 0), (Fault::InternalError, 0)] {
        let rig = without_lookup(FaultRule::new(fault.clone())).await;
        rig.settle().await;
        let said = failed(&rig, "IntegrationConfiguration", "OutcomeUnknown").await;
        let call = crm_call(&*rig.request().await).unwrap();
        let mark = call["key"].as_str().unwrap().trim_start_matches("sha256:").get(..32).unwrap().to_owned();
        assert!(said.starts_with("whether crm took effect at Provider crm is unknown ("), "{fault:?}: {said}");
        let look = format!(
            "Inspect Provider crm for a resource that carries key {mark} made at or after {}",
            call["intendedAt"].as_str().unwrap()
        );
        assert!(said.contains(&look), "{fault:?}: {look:?} expected, said: {said}");
        assert_eq!(subscriptions(&rig), effects, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_up_is_sent_again_under_a_new_intent_when_nothing_happened() {
    let rig = without_lookup(FaultRule::new(Fault::TooManyRequests { retry_after_seconds: 20 }).window(0, 1)).await;
    let selection = Selection { resource: &REQUEST, namespace: Some("acme-dental".into()), fields: String::new(), labels: String::new() };
    let seen = rig.memory.watch(&Identity::loader(), &selection, rig.memory.resource_version()).await.unwrap();
    rig.settle().await;
    assert_eq!(rig.request().await.body["status"]["state"], "MANUAL_VERIFICATION");
    assert_eq!(subscriptions(&rig), 1);
    let states: Vec<Value> = seen
        .take_until(tokio::time::sleep(Duration::from_secs(1)))
        .filter_map(async |event| match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => crm_call(&object),
            WatchEvent::Deleted(_) => None,
        })
        .collect()
        .await;
    let mut intents: Vec<&str> =
        states.iter().filter(|call| call["result"].is_null()).map(|call| call["intendedAt"].as_str().unwrap()).collect();
    intents.dedup();
    assert_eq!(intents.len(), 2, "{states:#?}");
    assert_eq!(reason(&*rig.request().await), "AwaitingVerification");
    rig.beside_is_well().await;
}
