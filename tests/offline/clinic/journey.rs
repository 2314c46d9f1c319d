//! What happens to the clinic without faults, what it costs, and what its people may do.

use std::collections::BTreeMap;
use std::time::Duration;

use mandate::engine::port::Verb;
use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::kinds::provisioningrequest::api::{ProvisioningRequest, REQUEST, State};
use mandate::model::object::Object;
use mandate::model::record;
use mandate::model::step::Step;

use super::rig::{Clients, Rig, settle};

async fn request(rig: &Rig) -> ProvisioningRequest {
    stored(rig).await.parse().unwrap()
}

async fn stored(rig: &Rig) -> std::sync::Arc<Object> {
    rig.get(&REQUEST, "acme-dental", "receptionist-1").await.expect("the deployment has its request")
}

fn reason(object: &Object) -> &str {
    let conditions = object.body["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == "Ready").unwrap()["reason"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_folder_of_yaml_becomes_a_verified_assistant() {
    let rig = Rig::clinic().await;
    rig.settle().await;
    let waiting = stored(&rig).await;
    assert_eq!(request(&rig).await.status.unwrap().state, Some(State::ManualVerification), "{:#}", waiting.body["status"]);
    assert_eq!(reason(&waiting), "AwaitingVerification");

    rig.decide(&waiting, "Verify", |_| {}).await;
    rig.settle().await;
    let status = request(&rig).await.status.unwrap();
    assert_eq!(status.state, Some(State::Completed));
    assert_eq!(status.journal.steps.iter().map(|entry| entry.step).collect::<Vec<_>>(), Step::ALL);
    assert!(status.journal.steps.iter().all(|entry| entry.done_at.is_some()));
    let deployment = rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.unwrap();
    assert_eq!(reason(&deployment), "Completed");
    for webhook in &status.webhooks {
        assert!(webhook.url.contains("/webhook/acme-dental-"), "{}", webhook.url);
    }

    let records = rig.all("AuditRecord");
    let rows: Vec<(&str, &str)> = records
        .iter()
        .map(|record| (record.body["spec"]["entry"].as_str().unwrap(), record.body["spec"]["hash"].as_str().unwrap()))
        .collect();
    let entries = record::verify_chain(rows).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.event.as_str()).collect::<Vec<_>>(), ["ProvisioningInitiated", "ProvisioningVerified"]);
    assert_eq!(entries[1].actor, "ben@acme-dental.example");
    assert_eq!(status.chain.unwrap().length, 2);
}

/// Design section 1, principle 9, and the issue: at most 7 status writes, one record per recorded event.
#[tokio::test(start_paused = true)]
async fn a_request_costs_seven_status_writes_and_a_settled_world_is_silent() {
    let rig = Rig::clinic().await;
    let (operator, clients) = rig.operator(None);
    settle(operator).await;
    let waiting = stored(&rig).await;
    rig.decide(&waiting, "Verify", |_| {}).await;
    let (operator, later) = rig.operator(None);
    let load = operator.load();
    let count = |clients: &Clients| {
        let mut total: BTreeMap<Verb, u64> = BTreeMap::new();
        for (verb, number) in clients.values().flat_map(|client| client.requests()) {
            *total.entry(verb).or_default() += number;
        }
        total
    };
    let status_writes = |clients: &Clients| clients["ProvisioningRequest"].requests().get(&Verb::UpdateStatus).copied().unwrap_or(0);
    let stopped = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(async move { operator.run(async { drop(stopped.1.await) }).await.unwrap() });
    let mut load = load;
    load.wait_for(|load| load.is_settled(super::rig::HORIZON)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = count(&later);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(count(&later), before, "a settled world makes no request");
    drop(stopped.0);
    running.await.unwrap();

    let status_writes = status_writes(&clients) + status_writes(&later);
    assert_eq!(request(&rig).await.status.unwrap().state, Some(State::Completed));
    assert!(status_writes <= 7, "{status_writes} status writes");
    assert_eq!(rig.all("AuditRecord").len(), 2);
}
