//! A thousand objects at rest cost the API server nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use mandate::kinds::KINDS;
use serde_json::Value;

use crate::Test;
use crate::control_plane::users::{CONTROLLER, OPERATOR};
use crate::control_plane::{Controllers, Request, eventually, signal};
use crate::ours::{self, example};
use crate::rig::{Clinic, Replica};
use crate::tests;

/// How long nothing may happen.
const IDLE: Duration = Duration::from_secs(60);
/// How long a thousand objects may take until all is said about them.
const SETTLE: Duration = Duration::from_secs(180);
/// How many of each; half of the deployments have a request, too.
const TENANTS: usize = 40;
const PROVIDERS: usize = 160;
const DECISIONS: usize = 200;
const DEPLOYMENTS: usize = 400;
const REQUESTS: usize = DEPLOYMENTS / 2;
const OBJECTS: usize = TENANTS + PROVIDERS + DECISIONS + DEPLOYMENTS + REQUESTS;

pub fn alone() -> Vec<Test> {
    tests![a_thousand_objects_at_rest_are_neither_read_nor_written]
}

fn tenant(number: usize) -> Value {
    let mut tenant = example("10-tenant.yaml");
    tenant["metadata"]["name"] = format!("tenant-{number}").into();
    // Without kube-controller-manager nobody counts.
    tenant["spec"].as_object_mut().unwrap().remove("quotas");
    tenant
}

/// Its secret is missing.
fn provider(number: usize) -> Value {
    let mut provider = example("20-providers.yaml");
    let name = format!("provider-{number}");
    provider["metadata"]["name"] = name.as_str().into();
    provider["spec"]["providerId"] = name.as_str().into();
    provider["spec"]["secretRef"]["name"] = name.into();
    provider
}

/// About nothing that exists.
fn decision(number: usize) -> Value {
    ours::decision(&format!("tenant-{}", number % TENANTS), &format!("decision-{number}"), OPERATOR.name, "Relay")
}

/// Each second has a request that waits for a provider; the others are suspended.
fn deployment(number: usize) -> Value {
    let mut deployment = example("40-receptionist.yaml");
    deployment["metadata"]["namespace"] = format!("tenant-{}", number % TENANTS).into();
    deployment["metadata"]["name"] = format!("deployment-{number}").into();
    if number < REQUESTS {
        deployment["spec"]["providers"]["voice"] = "provider-1".into();
    } else {
        deployment["spec"]["suspend"] = true.into();
    }
    deployment
}

async fn make(clinic: &Clinic, count: usize, object: fn(usize) -> Value) {
    let admin = clinic.admin();
    let made = stream::iter(0..count).map(|number| {
        let admin = admin.clone();
        async move { ours::create(&admin, &object(number)).await }
    });
    made.buffer_unordered(8).collect::<Vec<_>>().await;
}

fn sum(samples: &BTreeMap<String, f64>, containing: &str) -> usize {
    samples.iter().filter(|(labels, _)| labels.contains(containing)).map(|(_, value)| *value as usize).sum()
}

/// Waits until nothing is queued or under way and every one of our objects has a condition.
async fn settled(operator: &Replica, ours: usize) {
    eventually("everything is settled", SETTLE, || async {
        let quiet = sum(&operator.metric("mandate_queue_backlog").await, "") + sum(&operator.metric("mandate_queue_busy").await, "") == 0;
        let seen = sum(&operator.metric("mandate_passes_total").await, "settled") >= ours;
        quiet && seen && sum(&operator.metric("mandate_objects_ready").await, "") == ours
    })
    .await;
}

/// `apiserver_request_total` of everything that the operator reads or writes: by verb, group and resource.
async fn counted(clinic: &Clinic) -> BTreeMap<(String, String), usize> {
    let reply = clinic.admin().get("/metrics").await.unwrap();
    let resources: Vec<_> = KINDS.iter().flat_map(|kind| kind.reads().iter().chain(kind.writes())).map(|access| access.resource).collect();
    let mut counted = BTreeMap::new();
    for line in reply.body.as_str().unwrap().lines() {
        let Some((labels, count)) = line.strip_prefix("apiserver_request_total{").and_then(|rest| rest.rsplit_once("} ")) else { continue };
        let label = |name: &str| {
            labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"')).unwrap_or_default()
        };
        if resources.iter().any(|resource| resource.group == label("group") && resource.plural == label("resource")) {
            *counted.entry((label("verb").to_owned(), label("resource").to_owned())).or_default() += count.parse::<f64>().unwrap() as usize;
        }
    }
    counted
}

fn controllers(requests: &[Request]) -> impl Iterator<Item = &Request> {
    requests.iter().filter(|request| request.user == CONTROLLER.name)
}

async fn a_thousand_objects_at_rest_are_neither_read_nor_written() {
    const { assert!(OBJECTS >= 1_000) };
    let clinic = Clinic::start(Controllers::None).await;
    let operator = clinic.replica("first", &[]);
    operator.ready().await;
    clinic.apply();
    clinic.reaches("MANUAL_VERIFICATION").await;
    let before = sum(&operator.metric("mandate_objects_ready").await, "");
    make(&clinic, TENANTS, tenant).await;
    make(&clinic, PROVIDERS, provider).await;
    settled(&operator, before + TENANTS + PROVIDERS).await;
    make(&clinic, DECISIONS, decision).await;
    make(&clinic, DEPLOYMENTS, deployment).await;
    settled(&operator, before + OBJECTS).await;
    signal(operator.process.pid, "TERM");
    eventually("the first has gone", SETTLE, || async { operator.page("/livez").await.is_none() }).await;

    // Whoever comes next looks at everything once, and finds everything as it shall be.
    let told = clinic.plane.requests().len();
    let operator = clinic.replica("second", &[]);
    operator.ready().await;
    settled(&operator, before + OBJECTS).await;
    let since = clinic.plane.requests().split_off(told);
    let changed: Vec<_> = controllers(&since).filter(|request| request.is_write() && request.resource != "leases").collect();
    assert!(changed.is_empty(), "{changed:#?}");

    let made = counted(&clinic).await[&("POST".to_owned(), "tenants".to_owned())];
    assert_eq!(made, TENANTS + 1, "what is counted is what is looked for");
    let passes = operator.metric("mandate_passes_total").await;
    let (told, first) = (clinic.plane.requests().len(), counted(&clinic).await);
    tokio::time::sleep(IDLE).await;
    let (last, requests) = (counted(&clinic).await, clinic.plane.requests().split_off(told));
    let (renewed, other): (Vec<_>, Vec<_>) =
        controllers(&requests).partition(|request| request.resource == "leases" && request.verb == "update");
    assert!(other.is_empty(), "{other:#?}");
    assert!((20..=31).contains(&renewed.len()), "the lease is renewed every 2 s: {}", renewed.len());
    for (what, count) in &last {
        let (verb, resource) = what;
        let others = requests.iter().filter(|request| request.user != CONTROLLER.name && request.resource == *resource).count();
        let more = count - first.get(what).copied().unwrap_or_default();
        assert!(more <= others, "{more} x {verb} {resource}, of which others asked {others}");
    }
    assert_eq!(operator.metric("mandate_passes_total").await, passes, "no pass has begun");
}
