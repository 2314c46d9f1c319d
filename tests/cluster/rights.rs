//! The generated roles against what the controller was seen to use: whatever it needs is granted, whatever is granted it
//! needs. Seen in every test that runs the operator; compared when all have run.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::Test;
use crate::control_plane::users::CONTROLLER;
use crate::control_plane::{ControlPlane, Controllers, eventually};
use crate::lossy::Lossy;
use crate::ours;
use crate::rig::{Clinic, PATIENCE, committed};
use crate::tests;

/// Verb and resource: `update tenants.mandate.dev/status`.
type Right = String;

static USED: Mutex<BTreeSet<Right>> = Mutex::new(BTreeSet::new());
static REFUSED: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub fn alone() -> Vec<Test> {
    tests![
        when_each_first_reply_to_a_write_is_lost_everything_is_done_once,
        a_server_that_streams_no_lists_is_listed_page_by_page,
        a_refused_request_is_seen,
    ]
}

fn right(verb: &str, group: &str, resource: &str) -> Right {
    let (plural, part) = resource.split_once('/').map_or((resource, String::new()), |(plural, part)| (plural, format!("/{part}")));
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    format!("{verb} {plural}{group}{part}")
}

/// Takes in what the controller asked of a control plane, and what it was refused; `revoked` on purpose.
pub fn saw(plane: &ControlPlane, revoked: &[&str]) {
    for request in plane.requests().into_iter().filter(|request| request.user == CONTROLLER.name) {
        let right = right(&request.verb, &request.group, &request.resource);
        let on_purpose = || revoked.iter().any(|plural| request.resource.split('/').next() == Some(plural));
        if (200..300).contains(&request.code) {
            USED.lock().unwrap_or_else(PoisonError::into_inner).insert(right);
        } else if request.code == 403 && !plane.was_starting(&request) && !on_purpose() {
            REFUSED.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{right}: {} at {}", request.uri, request.received));
        }
    }
}

/// Fails when the controller was refused something since this was asked last.
pub fn none_refused() -> Result<(), Failed> {
    let refused = std::mem::take(&mut *REFUSED.lock().unwrap_or_else(PoisonError::into_inner));
    if refused.is_empty() { Ok(()) } else { Err(format!("the generated roles do not allow what the controller does: {refused:#?}").into()) }
}

/// Every verb on every resource that the controller's roles grant. `bind` is asked of nobody: it is looked for when a
/// RoleBinding is written, and has a test of its own.
fn granted() -> BTreeSet<Right> {
    let text = std::fs::read_to_string(committed("rbac.yaml")).unwrap();
    let documents = serde_yaml::from_multiple::<Value>(&text).unwrap();
    let roles = documents.iter().filter(|document| matches!(document["kind"].as_str(), Some("ClusterRole" | "Role")));
    let ours = roles.filter(|document| document["metadata"]["name"] == "mandate");
    let strings = |list: &Value| list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut granted = BTreeSet::new();
    for rule in ours.flat_map(|role| role["rules"].as_array().unwrap()) {
        for (group, resource) in strings(&rule["apiGroups"])
            .iter()
            .flat_map(|group| strings(&rule["resources"]).into_iter().map(move |resource| (group, resource)))
        {
            granted.extend(strings(&rule["verbs"]).iter().filter(|verb| *verb != "bind").map(|verb| right(verb, group, &resource)));
        }
    }
    granted
}

/// For when every test has run.
pub fn each_is_used() -> Trial {
    Trial::test("rights::whatever_the_roles_grant_the_controller_is_used", || {
        let (granted, used) = (granted(), USED.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let unused: Vec<_> = granted.difference(&used).collect();
        let strange: Vec<_> = used.difference(&granted).collect();
        if unused.is_empty() && strange.is_empty() {
            return Ok(());
        }
        let advice = "test the path that needs it, or take it out of the kind's READS or WRITES";
        Err(format!("granted and never used: {unused:#?}: {advice}; used and not granted by these roles: {strange:#?}").into())
    })
}

/// So that the check above is known to be able to fail.
async fn a_refused_request_is_seen() {
    let clinic = Clinic::start(Controllers::None).await;
    let refused = clinic.plane.api(&CONTROLLER).get("/api/v1/namespaces/kube-system/secrets").await.unwrap();
    assert_eq!(refused.status, 403);
    drop(clinic);
    let said = none_refused().unwrap_err();
    let said = said.message().unwrap_or_default();
    assert!(said.contains("\"list secrets: /api/v1/namespaces/kube-system/secrets at "), "{said}");
}

/// After a lost reply the controller reads what became of its write: the only use of `get` on most resources.
async fn when_each_first_reply_to_a_write_is_lost_everything_is_done_once() {
    let clinic = Clinic::start(Controllers::Stock).await;
    let lossy = Lossy::start(&clinic.plane).await;
    let operator = clinic.replica_at("one", &lossy.address(), &[]);
    operator.ready().await;
    clinic.apply();
    clinic.reaches("MANUAL_VERIFICATION").await;
    clinic.verify().await;
    clinic.reaches("COMPLETED").await;
    clinic.each_effect_once().await;

    a_tenant_is_made_and_changed(&clinic).await;
    a_request_goes_that_had_no_effect(&clinic).await;
    clinic.each_effect_once().await;

    let lost = lossy.lost();
    for verb in ["POST", "PUT", "DELETE"] {
        assert!(lost.iter().any(|(method, _)| method == verb), "a reply to a {verb} was lost: {lost:#?}");
    }
}

async fn a_tenant_is_made_and_changed(clinic: &Clinic) {
    let admin = clinic.admin();
    let beacon = json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "beacon-dental"}, "spec": {
        "owners": [{"kind": "User", "name": "owner@beacon-dental.example"}], "viewers": [{"kind": "User", "name": "desk@beacon-dental.example"}],
        "quotas": {"operatorDecisions": 5},
    }});
    let tenants = "/apis/mandate.dev/v1alpha1/tenants";
    assert_eq!(admin.post(tenants, &beacon).await.unwrap().status, 201);
    clinic.says_ready("tenants", "beacon-dental").await;
    let beacon = format!("{tenants}/beacon-dental");
    let binding = |name: &str| format!("/apis/rbac.authorization.k8s.io/v1/namespaces/beacon-dental/rolebindings/{name}");
    let quota = "/api/v1/namespaces/beacon-dental/resourcequotas/mandate";
    eventually("the tenant has its children", PATIENCE, || async {
        clinic.get(&binding("mandate-owners")).await.is_some()
            && clinic.get(&binding("mandate-viewers")).await.is_some()
            && clinic.get(quota).await.is_some()
    })
    .await;

    let change = json!({"spec": {"owners": [{"kind": "User", "name": "heir@beacon-dental.example"}], "viewers": [], "quotas": {"operatorDecisions": 6}}});
    assert_eq!(admin.merge(&beacon, &change).await.unwrap().status, 200);
    eventually("the change has reached the children", PATIENCE, || async {
        let owners =
            clinic.get(&binding("mandate-owners")).await.is_some_and(|found| found["subjects"][0]["name"] == "heir@beacon-dental.example");
        let count = clinic.get(quota).await.is_some_and(|found| found["spec"]["hard"]["count/operatordecisions.mandate.dev"] == "6");
        owners && count && clinic.get(&binding("mandate-viewers")).await.is_none()
    })
    .await;
    assert_eq!(admin.merge(&beacon, &json!({"spec": {"quotas": null}})).await.unwrap().status, 200);
    eventually("the quota is gone", PATIENCE, || async { clinic.get(quota).await.is_none() }).await;
}

/// A deployment whose provider does not exist is deleted, and its request with it.
async fn a_request_goes_that_had_no_effect(clinic: &Clinic) {
    let admin = clinic.admin();
    let mut deployment = ours::example("40-receptionist.yaml");
    deployment["metadata"] = json!({"name": "mistaken", "namespace": "beacon-dental"});
    deployment["spec"]["providers"]["voice"] = "absent".into();
    ours::create(&admin, &deployment).await;
    let request = "/apis/mandate.dev/v1alpha1/namespaces/beacon-dental/provisioningrequests/mistaken-1";
    eventually("the request waits", PATIENCE, || async {
        clinic.get(request).await.is_some_and(|found| found["status"]["state"] == "PENDING")
    })
    .await;
    assert_eq!(admin.delete(&ours::path(&deployment)).await.unwrap().status, 200);
    eventually("the deployment is gone", PATIENCE, || async { clinic.get(&ours::path(&deployment)).await.is_none() }).await;
    // The garbage collector would, when it has heard of our kinds.
    let deleted = admin.delete(request).await.unwrap();
    assert!(matches!(deleted.status, 200 | 404), "{}", deleted.text());
    eventually("the request is gone", PATIENCE, || async { clinic.get(request).await.is_none() }).await;
}

async fn a_server_that_streams_no_lists_is_listed_page_by_page() {
    let plane = ControlPlane::start_with(Controllers::None, &["--feature-gates=WatchList=false"]).await;
    plane.define().await;
    let clinic = Clinic::on(plane).await;
    let operator = clinic.replica("one", &[]);
    operator.ready().await;
    clinic.apply();
    clinic.reaches("MANUAL_VERIFICATION").await;
    clinic.each_effect_once().await;
    let asked = clinic.plane.requests();
    let asked = |verb: &str, code: u64| {
        let asked = asked.iter().filter(|request| request.user == CONTROLLER.name && request.verb == verb && request.code == code);
        asked.map(|request| request.resource.clone()).collect::<BTreeSet<_>>()
    };
    let listed = granted().into_iter().filter(|right| right.starts_with("list ")).count();
    assert_eq!(asked("list", 200).len(), listed, "every resource that is watched: {:?}", asked("list", 200));
    assert_eq!(asked("watch", 422), asked("list", 200), "the stream was asked for first, and refused");
}
