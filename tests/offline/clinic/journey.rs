//! What happens to the clinic without faults, and what it costs.

use super::rig::{Rig, settle};
use mandate::engine::port::Verb;
use mandate::kinds::provisioningrequest::api::{ProvisioningRequest, REQUEST, State};
use mandate::model::record;
use mandate::model::step::Step;

async fn request(rig: &Rig) -> std::sync::Arc<mandate::model::object::Object> {
    rig.get(&REQUEST, "acme-dental", "receptionist-1").await.expect("the deployment has its request")
}

fn state(object: &mandate::model::object::Object) -> State {
    object.parse::<ProvisioningRequest>().unwrap().status.unwrap().state.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_folder_of_yaml_becomes_a_verified_assistant() {
    let rig = Rig::clinic().await;
    rig.settle().await;
    let waiting = request(&rig).await;
    assert_eq!(state(&waiting), State::ManualVerification, "{:#}", waiting.body["status"]);
    rig.decide(&waiting, "Verify", |_| {}).await;
    rig.settle().await;
    let done = request(&rig).await;
    assert_eq!(state(&done), State::Completed, "{:#}", done.body["status"]);
    let typed: ProvisioningRequest = done.parse().unwrap();
    let journal = typed.status.unwrap().journal;
    assert_eq!(journal.steps.iter().map(|entry| entry.step).collect::<Vec<_>>(), Step::ALL);
    assert!(journal.steps.iter().all(|entry| entry.done_at.is_some()));
}
