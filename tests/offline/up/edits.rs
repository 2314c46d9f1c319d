//! The folder is what is wanted: edits reach the world, refusals leave it as it was.

use super::rig::{Clinic, REQUEST, Up, until};

const SCHEMA: &str = "provisioningschemas/recepcionista-ia-1.0-r1";
const DEPLOYMENT: &str = "namespaces/acme-dental/assistantdeployments/receptionist";

async fn settled() -> (Clinic, Up) {
    let clinic = Clinic::new();
    let up = clinic.up();
    clinic.request_is("MANUAL_VERIFICATION").await;
    (clinic, up)
}

/// The file without the document of this name.
fn without(text: &str, name: &str) -> String {
    let stays = |document: &&str| !document.contains(&format!("name: {name}\n"));
    text.split("---\n").filter(stays).collect::<Vec<_>>().join("---\n")
}

#[tokio::test]
async fn an_edit_reaches_the_world() {
    let (clinic, _up) = settled().await;
    let before = clinic.get("providers/crm").await.unwrap();
    assert_eq!(before["spec"]["connection"]["timeoutSeconds"], 10);
    clinic.edit("20-providers.yaml", |text| text.replace("timeoutSeconds: 10", "timeoutSeconds: 11"));
    let after = until("the edit is applied", async || {
        clinic.get("providers/crm").await.filter(|provider| provider["spec"]["connection"]["timeoutSeconds"] == 11)
    })
    .await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["metadata"]["generation"], 2);
}

#[tokio::test]
async fn an_edit_of_a_frozen_schema_is_refused_where_it_stands() {
    let (clinic, mut up) = settled().await;
    let before = clinic.get(SCHEMA).await.unwrap();
    clinic.edit("30-schema.yaml", |text| text.replace("check: Call the assistant", "check: Ring the assistant"));
    let spec = std::fs::read_to_string(clinic.path().join("30-schema.yaml")).unwrap();
    let line = spec.lines().position(|line| line.starts_with("spec:")).unwrap() + 2;
    let file = clinic.path().join("30-schema.yaml");
    let said = up.says("spec is immutable: publish a new revision").await;
    let complaint = said.lines().find(|line| line.contains("immutable")).unwrap();
    let expected = format!("{}:{line}:3: error: ProvisioningSchema recepcionista-ia-1.0-r1: spec: ", file.display());
    assert!(complaint.starts_with(&expected), "{complaint}\n{expected}");
    assert!(complaint.ends_with("[FieldValueForbidden]"), "{complaint}");
    assert_eq!(clinic.get(SCHEMA).await.unwrap(), before, "the old one stays");
}

#[tokio::test]
async fn nothing_is_pruned_while_a_file_cannot_be_read() {
    let (clinic, mut up) = settled().await;
    let broken = clinic.path().join("50-broken.yaml");
    std::fs::write(&broken, "kind: [\n").unwrap();
    up.says("50-broken.yaml:1:7: error: ").await;
    // What is still readable is applied in the same look at the folder in which nothing is pruned.
    clinic.edit("20-providers.yaml", |text| without(text, "vapi").replace("timeoutSeconds: 10", "timeoutSeconds: 12"));
    until("the readable files are applied", async || {
        clinic.get("providers/crm").await.filter(|provider| provider["spec"]["connection"]["timeoutSeconds"] == 12)
    })
    .await;
    clinic.edit("20-providers.yaml", |text| text.replace("timeoutSeconds: 12", "timeoutSeconds: 13"));
    until("another look at the folder", async || {
        clinic.get("providers/crm").await.filter(|provider| provider["spec"]["connection"]["timeoutSeconds"] == 13)
    })
    .await;
    assert!(clinic.get("providers/vapi").await.is_some(), "what is gone from a readable file stays too");

    std::fs::remove_file(&broken).unwrap();
    until("the provider is pruned", async || clinic.is_gone("providers/vapi").await.then_some(())).await;
    for kept in ["n8n", "calcom", "crm"] {
        assert!(clinic.get(&format!("providers/{kept}")).await.is_some(), "{kept} stays");
    }
}

#[tokio::test]
async fn a_deployment_that_is_gone_from_the_folder_waits_and_leaves_the_outside_alone() {
    let (clinic, up) = settled().await;
    let effects = clinic.effect_log();
    std::fs::remove_file(clinic.path().join("40-receptionist.yaml")).unwrap();
    let deployment = until("the deployment waits for a decision", async || {
        let deployment = clinic.get(DEPLOYMENT).await?;
        let conditions = deployment["status"]["conditions"].as_array()?.clone();
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["reason"] == "AwaitingDecision").then_some(deployment)
    })
    .await;
    assert!(deployment["metadata"]["deletionTimestamp"].is_string());
    let request = clinic.get(REQUEST).await.expect("the request stays");
    assert_eq!(request["status"]["state"], "MANUAL_VERIFICATION");
    let (ended, _) = up.terminate().await;
    assert!(ended.success());
    let again = clinic.run(&["--once", "--timeout", "25"]).await;
    assert!(String::from_utf8_lossy(&again.stdout).contains("AwaitingDecision"), "{again:?}");
    assert_eq!(clinic.effect_log(), effects, "nothing outside is touched");
}
