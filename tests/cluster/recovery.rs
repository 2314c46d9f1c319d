//! What happens to a control plane, under an operator that goes on: it says what is missing, and is whole again by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Test;
use crate::control_plane::users::{ADMIN, CONTROLLER};
use crate::control_plane::{ControlPlane, Controllers, Request, eventually, signal};
use crate::rig::{Clinic, PATIENCE, Replica, committed, condition};
use crate::tests;

/// After the last fault every watch is live within this time (invariant 22).
const RECOVERY: Duration = Duration::from_secs(60);
/// A lease that outlasts what is done to the server: whoever loses it must end.
const LONG: [&str; 4] = ["--lease-duration", "120s", "--renew-deadline", "90s"];
const PROVIDERS: &str = "/apis/mandate.dev/v1alpha1/providers";
const TENANTS: &str = "/apis/mandate.dev/v1alpha1/tenants";

pub fn alone() -> Vec<Test> {
    tests![
        a_server_that_is_killed_amid_the_work_and_comes_back_costs_nothing,
        a_history_that_was_compacted_is_made_up_for_by_a_list,
        definitions_may_come_after_the_operator_and_one_by_one,
        one_kinds_rights_revoked_are_named_and_cost_no_other_kind_anything,
    ]
}

/// Which watches are not live, as `/readyz` and the metric both say; each with its reason.
async fn unready(operator: &Replica) -> Option<BTreeSet<String>> {
    let (status, said) = operator.page("/readyz").await?;
    if said.contains("no watch has been started") {
        return None;
    }
    let named: BTreeSet<String> = said.lines().filter_map(|line| line.strip_prefix("watch of ")).map(str::to_owned).collect();
    assert_eq!(status == 200, named.is_empty(), "{status} {said}");
    Some(named)
}

/// Resources whose watch is not live by the metric.
async fn down(operator: &Replica) -> BTreeSet<String> {
    let live = operator.metric("mandate_watch_live").await;
    live.into_iter().filter(|(_, live)| *live == 0.0).filter_map(|(labels, _)| Some(labels.split('"').nth(1)?.to_owned())).collect()
}

/// Waits until every watch is live again, and the process is the one that was started.
async fn recovers(operator: &Replica) {
    eventually("every watch is live", RECOVERY, || async { unready(operator).await.is_some_and(|named| named.is_empty()) }).await;
    assert_eq!(down(operator).await, BTreeSet::new());
    signal(operator.process.pid, "0");
}

fn controllers(clinic: &Clinic) -> Vec<Request> {
    clinic.plane.requests().into_iter().filter(|request| request.user == CONTROLLER.name).collect()
}

fn tenant(name: &str) -> Value {
    let owner = json!({"kind": "User", "name": format!("owner@{name}.example")});
    json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": {"owners": [owner]}})
}

async fn make_tenant(clinic: &Clinic, name: &str) {
    let made = clinic.admin().post(TENANTS, &tenant(name)).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
}

async fn a_server_that_is_killed_amid_the_work_and_comes_back_costs_nothing() {
    let mut clinic = Clinic::start(Controllers::Stock).await;
    let operator = clinic.replica("one", &LONG);
    operator.ready().await;
    clinic.apply();
    eventually("the work has begun", PATIENCE, || async { !clinic.effects().await.is_empty() }).await;
    clinic.plane.kill_api_server();
    eventually("every watch is said to be down", PATIENCE, || async {
        let named = unready(&operator).await.unwrap();
        named.iter().all(|named| named.ends_with(": Unavailable")) && named.len() == operator.metric("mandate_watch_live").await.len()
    })
    .await;
    assert_eq!(down(&operator).await.len(), unready(&operator).await.unwrap().len());
    clinic.plane.start_api_server().await;
    recovers(&operator).await;
    clinic.reaches("MANUAL_VERIFICATION").await;
    clinic.verify().await;
    clinic.reaches("COMPLETED").await;
    clinic.each_effect_once().await;
    let restarts = operator.metric("mandate_watch_restarts_total").await;
    assert!(restarts.keys().any(|labels| labels.contains("\"tenants.mandate.dev\"") && labels.contains("Unavailable")), "{restarts:#?}");
}

/// One request to etcd's JSON gateway.
async fn etcd(plane: &ControlPlane, path: &str, body: &Value) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let sent = client.post(format!("{}/v3/kv/{path}", plane.etcd_address())).body(body.to_string()).send().await.unwrap();
    serde_json::from_str(&sent.text().await.unwrap()).unwrap()
}

/// Forgets the history up to now. Returns the revision.
async fn compact(plane: &ControlPlane) -> u64 {
    let anything = STANDARD.encode("/registry/mandate.dev/");
    let now = etcd(plane, "range", &json!({"key": anything})).await;
    let revision: u64 = now["header"]["revision"].as_str().unwrap().parse().unwrap();
    etcd(plane, "compaction", &json!({"revision": revision, "physical": true})).await;
    let before = etcd(plane, "range", &json!({"key": anything, "revision": revision - 1})).await;
    assert!(before["message"].as_str().unwrap().contains("required revision has been compacted"), "{before}");
    revision
}

async fn a_history_that_was_compacted_is_made_up_for_by_a_list() {
    let mut clinic = Clinic::start(Controllers::None).await;
    let operator = clinic.replica("one", &LONG);
    operator.ready().await;
    clinic.apply();
    clinic.reaches("MANUAL_VERIFICATION").await;
    make_tenant(&clinic, "gone-dental").await;
    clinic.says_ready("tenants", "gone-dental").await;
    let known = operator.metric("mandate_cached_objects").await["{resource=\"tenants.mandate.dev\"}"];
    assert_eq!(known, 2.0);

    // What changes now the operator has no connection to be told on, and the server forgets it.
    clinic.plane.kill_api_server();
    signal(operator.process.pid, "STOP");
    clinic.plane.start_api_server().await;
    let admin = clinic.admin();
    assert_eq!(admin.delete(&format!("{TENANTS}/gone-dental")).await.unwrap().status, 200);
    let viewers = json!({"spec": {"viewers": [{"kind": "User", "name": "desk@acme-dental.example"}]}});
    assert_eq!(admin.merge(&format!("{TENANTS}/acme-dental"), &viewers).await.unwrap().status, 200);
    make_tenant(&clinic, "first-dental").await;
    make_tenant(&clinic, "second-dental").await;
    let revision = compact(&clinic.plane).await;
    clinic.plane.kill_api_server();
    clinic.plane.start_api_server().await;
    signal(operator.process.pid, "CONT");

    clinic.says_ready("tenants", "first-dental").await;
    clinic.says_ready("tenants", "second-dental").await;
    recovers(&operator).await;
    let binding = "/apis/rbac.authorization.k8s.io/v1/namespaces/acme-dental/rolebindings/mandate-viewers";
    eventually("the edit is acted on", PATIENCE, || async {
        clinic.get(binding).await.is_some_and(|found| found["subjects"][0]["name"] == "desk@acme-dental.example")
    })
    .await;
    eventually("the deleted tenant is forgotten", PATIENCE, || async {
        operator.metric("mandate_cached_objects").await["{resource=\"tenants.mandate.dev\"}"] == 3.0
    })
    .await;
    let asked: Vec<Request> =
        controllers(&clinic).into_iter().filter(|asked| asked.verb == "watch" && asked.resource == "tenants").collect();
    let from = |asked: &Request| asked.uri.rsplit_once("&resourceVersion=").and_then(|(_, version)| version.parse::<u64>().ok());
    assert!(asked.iter().filter_map(from).any(|version| version < revision), "it asked for what was forgotten: {asked:#?}");
    assert!(operator.said().contains("too old resource version"), "{}", operator.said());
    let lists = operator.metric("mandate_api_requests_total").await;
    let lists: f64 = lists
        .iter()
        .filter(|(labels, _)| labels.contains("\"list\"") && labels.contains("\"tenants.mandate.dev\""))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(lists, 2.0, "listed at the start, and once more");
    clinic.each_effect_once().await;
}

async fn definitions_may_come_after_the_operator_and_one_by_one() {
    let clinic = Clinic::before_definitions(ControlPlane::start(Controllers::None).await);
    let operator = clinic.replica("one", &LONG);
    let ours: BTreeSet<String> =
        mandate::kinds::crd::resources().iter().map(|resource| format!("{}.mandate.dev", resource.plural)).collect();
    eventually("what is missing is named, and nothing else", PATIENCE, || async {
        let expected = ours.iter().map(|resource| format!("{resource}: NotFound")).collect();
        unready(&operator).await == Some(expected)
    })
    .await;
    assert_eq!(down(&operator).await, ours);
    assert!(operator.said().contains("apply the CustomResourceDefinitions: mandate crds"), "{}", operator.said());

    // Of ours, providers read nothing but themselves.
    clinic.kubectl(&ADMIN, &["apply", "-f", &committed("providers.mandate.dev.yaml")]);
    eventually("the first kind is served", PATIENCE, || async { clinic.get(PROVIDERS).await.is_some() }).await;
    for file in ["21-sandbox-secrets.yaml", "20-providers.yaml"] {
        clinic.kubectl(&ADMIN, &["apply", "-f", clinic.manifests().join(file).to_str().unwrap()]);
    }
    eventually("it has begun", PATIENCE, || async {
        let found = clinic.get(&format!("{PROVIDERS}/n8n")).await;
        found.is_some_and(|found| condition(&found, "Configured")["status"] == "True")
    })
    .await;
    let missing = unready(&operator).await.unwrap();
    assert_eq!(missing.len(), ours.len() - 1, "a kind begins when what it reads is there: {missing:?}");

    let files: Vec<String> = ours.iter().map(|name| committed(&format!("{name}.yaml"))).collect();
    let arguments: Vec<&str> = ["apply"].into_iter().chain(files.iter().flat_map(|file| ["-f", file])).collect();
    clinic.kubectl(&ADMIN, &arguments);
    recovers(&operator).await;
    clinic.guards_in_force().await;
    clinic.apply();
    clinic.reaches("MANUAL_VERIFICATION").await;
    clinic.each_effect_once().await;
}

/// The controller's role, with or without its rules about the providers.
fn without_providers(role: &Value) -> Value {
    let mut role = role.clone();
    role["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    for rule in role["rules"].as_array_mut().unwrap() {
        rule["resources"].as_array_mut().unwrap().retain(|plural| !plural.as_str().unwrap().starts_with("providers"));
    }
    role
}

async fn one_kinds_rights_revoked_are_named_and_cost_no_other_kind_anything() {
    let mut clinic = Clinic::start(Controllers::Stock).await;
    let operator = clinic.replica("one", &LONG);
    operator.ready().await;
    clinic.apply();
    clinic.reaches("MANUAL_VERIFICATION").await;

    let place = "/apis/rbac.authorization.k8s.io/v1/clusterroles/mandate";
    let whole = clinic.get(place).await.unwrap();
    clinic.revoke("providers");
    assert_eq!(clinic.admin().put(place, &without_providers(&whole)).await.unwrap().status, 200);
    // A watch outlives the right to it; the next one is refused.
    clinic.plane.kill_api_server();
    clinic.plane.start_api_server().await;
    eventually("the one watch is named with its reason, and no other", RECOVERY, || async {
        unready(&operator).await == Some(BTreeSet::from(["providers.mandate.dev: Forbidden".to_owned()]))
    })
    .await;
    assert_eq!(down(&operator).await, BTreeSet::from(["providers.mandate.dev".to_owned()]));
    let restarts = operator.metric("mandate_watch_restarts_total").await;
    let forbidden = |labels: &String| labels.contains("\"providers.mandate.dev\"") && labels.contains("\"Forbidden\"");
    assert!(restarts.keys().any(forbidden), "{restarts:#?}");

    make_tenant(&clinic, "other-dental").await;
    clinic.says_ready("tenants", "other-dental").await;
    let mut deployment = crate::ours::example("40-receptionist.yaml");
    deployment["metadata"]["name"] = "second".into();
    deployment["spec"]["version"] = "9.9".into();
    let deployments = "/apis/mandate.dev/v1alpha1/namespaces/acme-dental/assistantdeployments";
    let made = clinic.admin().post(deployments, &deployment).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    eventually("another kind goes on", PATIENCE, || async {
        let found = clinic.get(&format!("{deployments}/second")).await.unwrap();
        condition(&found, "Ready")["reason"] == "SchemaMissing"
    })
    .await;
    let mut provider = crate::ours::example("20-providers.yaml");
    provider["metadata"]["name"] = "late".into();
    provider["spec"]["providerId"] = "late".into();
    provider["spec"]["secretRef"]["name"] = "late-api".into();
    let providers = "/apis/mandate.dev/v1alpha1/providers";
    assert_eq!(clinic.admin().post(providers, &provider).await.unwrap().status, 201);
    assert_eq!(unready(&operator).await.unwrap().len(), 1);

    let mut whole = whole;
    whole["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(clinic.admin().put(place, &whole).await.unwrap().status, 200);
    recovers(&operator).await;
    eventually("what came meanwhile is looked at", PATIENCE, || async {
        let found = clinic.get(&format!("{providers}/late")).await.unwrap();
        condition(&found, "Ready")["reason"] == "SecretMissing"
    })
    .await;
    clinic.verify().await;
    clinic.reaches("COMPLETED").await;
    clinic.each_effect_once().await;
}
