//! The control plane itself, and that our definitions are what it accepts.

use std::time::Duration;

use serde_json::json;

use crate::Test;
use crate::control_plane::users::{ADMIN, NOBODY};
use crate::control_plane::{ControlPlane, Controllers, eventually, shared};
use crate::tests;

pub fn shared() -> Vec<Test> {
    tests![our_definitions_are_established_without_complaint, a_user_without_rights_is_refused]
}

pub fn alone() -> Vec<Test> {
    tests![what_was_written_survives_a_restart_of_the_server]
}

async fn our_definitions_are_established_without_complaint() {
    let plane = shared::plane().await;
    let listed = plane.api(&ADMIN).get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").await.unwrap();
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(items.len(), mandate::kinds::KINDS.len() + 1, "one per kind, and the AuditRecord, which nobody reconciles");
    for crd in items {
        for condition in crd["status"]["conditions"].as_array().unwrap() {
            let wanted = match condition["type"].as_str().unwrap() {
                "Established" | "NamesAccepted" => "True",
                "NonStructuralSchema" | "Terminating" | "KubernetesAPIApprovalPolicyConformant" => "False",
                other => panic!("{}: a condition {other}: {condition}", crd["metadata"]["name"]),
            };
            assert_eq!(condition["status"], wanted, "{}: {condition}", crd["metadata"]["name"]);
        }
    }
}

async fn a_user_without_rights_is_refused() {
    let plane = shared::plane().await;
    let refused = plane.api(&NOBODY).get("/apis/mandate.dev/v1alpha1/tenants").await.unwrap();
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.message(),
        "tenants.mandate.dev is forbidden: User \"mallory@acme-dental.example\" cannot list resource \"tenants\" in API group \"mandate.dev\" at the cluster scope"
    );
}

async fn what_was_written_survives_a_restart_of_the_server() {
    let mut plane = ControlPlane::start(Controllers::None).await;
    let made = plane.api(&ADMIN).post("/api/v1/namespaces", &json!({"metadata": {"name": "kept"}})).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    plane.kill_api_server();
    assert!(plane.api(&ADMIN).get("/api/v1/namespaces/kept").await.is_err(), "a killed server answers nothing");
    plane.start_api_server().await;
    let api = plane.api(&ADMIN);
    eventually("the namespace is there again", Duration::from_secs(5), || async {
        api.get("/api/v1/namespaces/kept").await.is_ok_and(|reply| reply.body["metadata"]["uid"] == made.body["metadata"]["uid"])
    })
    .await;
    assert!(plane.requests().iter().any(|request| request.verb == "create" && request.name == "kept" && request.code == 201));
}
