//! The one deterministic repair of a step, and what follows when it does not help.

use mandate::sandbox::{Fault, FaultRule, Vendor};

use super::{attempt, events, state};
use crate::clinic::rig::{Rig, condition};

const CREATE: (&str, &str) = ("POST", "/n8n/api/v1/workflows");
const ACTIVATE: (&str, &str) = ("POST", "/n8n/api/v1/workflows/*/activate");
const ASSISTANT: (&str, &str) = ("POST", "/vapi/assistant");

async fn struck(fault: Fault, vendor: Vendor, (method, path): (&str, &str), times: u64) -> Rig {
    let rig = Rig::clinic().await;
    rig.sandbox.set_faults(vec![FaultRule::new(fault).vendor(vendor).on(method, path).window(0, times)]);
    rig.settle().await;
    rig
}

fn operations(rig: &Rig, vendor: Vendor, operation: &str) -> usize {
    rig.sandbox.effects().iter().filter(|effect| effect.vendor == vendor && format!("{:?}", effect.operation) == operation).count()
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_is_not_its_template_is_deleted_and_made_once_more() {
    let rig = struck(Fault::ContentChanged, Vendor::N8n, CREATE, 1).await;
    let request = attempt(&rig, 1).await;
    assert_eq!(state(&request), "MANUAL_VERIFICATION", "{:#}", request.body["status"]);
    assert_eq!((operations(&rig, Vendor::N8n, "Create"), operations(&rig, Vendor::N8n, "Delete")), (3, 1));
    assert_eq!(events(&rig, &request), ["ProvisioningInitiated", "RepairStarted", "RepairEnded"]);
    let steps = request.body["status"]["journal"]["steps"].as_array().unwrap();
    let repaired = steps.iter().find_map(|step| step.get("repair")).unwrap();
    assert_eq!((&repaired["repair"], &repaired["failure"]["class"]), (&"CloneAgain".into(), &"FIXABLE_AUTOMATICALLY".into()));
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_not_registered_is_activated_once_more() {
    let rig = struck(Fault::NotRegistered, Vendor::N8n, ACTIVATE, 1).await;
    let request = attempt(&rig, 1).await;
    assert_eq!(state(&request), "MANUAL_VERIFICATION", "{:#}", request.body["status"]);
    assert_eq!(events(&rig, &request), ["ProvisioningInitiated", "RepairStarted", "RepairEnded"]);
}

#[tokio::test(start_paused = true)]
async fn an_assistant_without_its_server_url_gets_it() {
    let rig = struck(Fault::ServerDropped, Vendor::Vapi, ASSISTANT, 1).await;
    let request = attempt(&rig, 1).await;
    assert_eq!(state(&request), "MANUAL_VERIFICATION", "{:#}", request.body["status"]);
    assert_eq!(operations(&rig, Vendor::Vapi, "Create"), 1, "mended, not made anew");
    assert_eq!(events(&rig, &request), ["ProvisioningInitiated", "RepairStarted", "RepairEnded"]);
}

#[tokio::test(start_paused = true)]
async fn what_its_one_repair_does_not_mend_is_for_a_person() {
    let rig = struck(Fault::ContentChanged, Vendor::N8n, CREATE, 100).await;
    let request = attempt(&rig, 1).await;
    assert_eq!(state(&request), "FAILED");
    let journal = &request.body["status"]["journal"]["steps"];
    let failures: Vec<_> = journal
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step["calls"].as_array().unwrap())
        .filter_map(|call| call.get("failure"))
        .collect();
    assert!(!failures.is_empty() && failures.iter().all(|failure| failure["class"] == "HUMAN_ACTION_REQUIRED"), "{failures:#?}");
    let created = operations(&rig, Vendor::N8n, "Create");
    rig.settle().await;
    assert_eq!(operations(&rig, Vendor::N8n, "Create"), created, "nothing is tried again");
    assert!(condition(&request, "Ready")[2].contains("CloneDiffers"), "{:?}", condition(&request, "Ready"));
    assert!(events(&rig, &request).iter().filter(|event| *event == "RepairStarted").count() <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_repair_that_fails_itself_fails_the_step() {
    let rig = Rig::clinic().await;
    rig.sandbox.set_faults(vec![
        FaultRule::new(Fault::ContentChanged).vendor(Vendor::N8n).on(CREATE.0, CREATE.1).window(0, 1),
        FaultRule::new(Fault::BadRequest).vendor(Vendor::N8n).on("DELETE", "/n8n/api/v1/workflows/*"),
    ]);
    rig.settle().await;
    let request = attempt(&rig, 1).await;
    assert_eq!(state(&request), "FAILED", "{:#}", request.body["status"]);
    assert!(condition(&request, "Ready")[2].contains("its repair CloneAgain failed: RequestRefused"), "{:?}", condition(&request, "Ready"));
    assert_eq!(events(&rig, &request), ["ProvisioningInitiated", "RepairStarted", "RepairEnded", "ProvisioningFailed"]);
}
