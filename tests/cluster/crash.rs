//! The operator is killed at every write that it asks of the API server, on the way from manifests to a verified
//! assistant, and another one goes on. Each run has the end of a run that nobody disturbed.

use std::collections::{BTreeMap, BTreeSet};

use mandate::offline::folder::Folder;
use mandate::sandbox::Effect;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::Test;
use crate::control_plane::users::OPERATOR;
use crate::control_plane::{Controllers, eventually, signal};
use crate::ends::{End, LOOK, TENANT, World};
use crate::proxy::{Kept, Moment, Proxy};
use crate::rig::{Clinic, PATIENCE};
use crate::tests;

const OURS: &str = "/apis/mandate.dev/v1alpha1";
/// Where etcd keeps what a run of the clinic leaves behind.
const LEFT_BEHIND: [&str; 8] = [
    "/registry/mandate.dev",
    "/registry/rolebindings/acme-dental",
    "/registry/resourcequotas/acme-dental",
    "/registry/secrets/mandate-system",
    "/registry/leases/mandate-system",
    "/registry/namespaces/acme-dental",
    "/registry/namespaces/mandate-system",
    "/registry/events/acme-dental",
];
/// Fewer writes than these are not the clinic.
const FEWEST_WRITES: usize = 24;
const FEWEST_SORTS: usize = 10;

pub fn alone() -> Vec<Test> {
    tests![a_kill_at_any_write_costs_nothing_but_time]
}

async fn a_kill_at_any_write_costs_nothing_but_time() {
    let began = Instant::now();
    // Each with a control plane of its own, so that both cores are used.
    let (before, after) = tokio::join!(killed_at_every_write(Kept::BeforeItIsSent), killed_at_every_write(Kept::AfterItIsDone));
    let shown = |kills: BTreeMap<String, usize>| {
        let rows: Vec<String> = kills.iter().map(|(sort, times)| format!("{times} x {sort}")).collect();
        format!("{} kills ({})", kills.values().sum::<usize>(), rows.join(", "))
    };
    let took = began.elapsed().as_secs_f64();
    println!("{took:.0} s; before a write is sent: {}; after it is done: {}", shown(before), shown(after));
}

/// Kills at the first write, at the second, and so on, until a run needs no more writes; how often at which sort of write.
async fn killed_at_every_write(kept: Kept) -> BTreeMap<String, usize> {
    let clinic = Clinic::start(Controllers::None).await;
    let undisturbed = run(&clinic, Moment::Never, kept, None).await;
    assert_eq!(undisturbed.killed, None);
    let expected = undisturbed.end;
    let mut kills: BTreeMap<String, usize> = BTreeMap::new();
    for nth in 1.. {
        let Some(at) = run(&clinic, Moment::Nth(nth), kept, Some(&expected)).await.killed else { break };
        *kills.entry(at).or_default() += 1;
    }
    // What is done at once comes in any order, so that a number may have met one sort twice and another never.
    let sorts: BTreeSet<String> = undisturbed.writes.into_iter().collect();
    assert!(sorts.len() >= FEWEST_SORTS, "{sorts:?}");
    let missed: Vec<String> = sorts.into_iter().filter(|sort| !kills.contains_key(sort)).collect();
    for sort in missed {
        let killed = run(&clinic, Moment::FirstOf(sort.clone()), kept, Some(&expected)).await.killed;
        assert_eq!(killed.as_ref(), Some(&sort));
        kills.insert(sort, 1);
    }
    assert!(kills.values().sum::<usize>() >= FEWEST_WRITES, "{kills:?}");
    kills
}

/// What a run was.
struct Run {
    /// What it came to.
    end: End,
    /// Sorts of the first operator's writes.
    writes: Vec<String>,
    /// Sort of the write that it was killed at.
    killed: Option<String>,
}

/// The clinic from its manifests to COMPLETED; the operator is killed at the moment, if it comes to that.
async fn run(clinic: &Clinic, moment: Moment, kept: Kept, expected: Option<&End>) -> Run {
    clinic.plane.erase(&LEFT_BEHIND).await;
    put(clinic).await;
    let before = clinic.effects().await.len();
    let proxy = Proxy::start(clinic.plane.address(), &clinic.plane.certificate(), moment.clone(), kept).await;
    let first = clinic.replica_at("first", proxy.address(), &[]);
    let mut completed = std::pin::pin!(completed(clinic));
    let mut killed = tokio::select! {
        biased;
        at = proxy.reached() => Some(at),
        () = &mut completed => None,
    };
    let is_completed = killed.is_none();
    if is_completed && proxy.is_met() {
        // The last write of all: what it did is there, its reply is not yet.
        killed = Some(proxy.reached().await);
    }
    let what = format!("{moment:?} {kept:?}, killed at {killed:?}");
    let mut second = None;
    if killed.is_some() {
        signal(first.process.pid, "KILL");
        World::read(&clinic.admin()).await.hold(&what);
        // The lease of the dead is not waited for.
        let lease = "/apis/coordination.k8s.io/v1/namespaces/mandate-system/leases/mandate";
        assert_eq!(clinic.admin().delete(lease).await.unwrap().status, 200, "{what}");
        let next = clinic.replica("second", &[]);
        if is_completed {
            next.ready().await;
        } else {
            completed.await;
        }
        second = Some(next);
    }
    let end = ended(clinic, before, expected, &what).await;
    drop((first, second));
    Run { end, writes: proxy.writes(), killed }
}

/// Creates the clinic's manifests, none of which is there.
async fn put(clinic: &Clinic) {
    let folder = Folder::read(&[clinic.manifests()]);
    assert!(folder.problems.is_empty(), "{:?}", folder.problems);
    for document in &folder.documents {
        let (resource, object) = (document.object.resource, &document.object);
        let root = if resource.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", resource.api_version()) };
        let place = if resource.namespaced { format!("/namespaces/{}", object.namespace()) } else { String::new() };
        let reply = clinic.admin().post(&format!("{root}{place}/{}?fieldValidation=Strict", resource.plural), &object.body).await.unwrap();
        assert_eq!(reply.status, 201, "{}: {}", object.key(), reply.text());
    }
}

/// Follows the clinic to COMPLETED; a person decides as soon as one is asked.
async fn completed(clinic: &Clinic) {
    clinic.reaches("MANUAL_VERIFICATION").await;
    let request = clinic.get(&format!("{OURS}/namespaces/{TENANT}/provisioningrequests/receptionist-1")).await.unwrap();
    let offer = &request["status"]["decision"];
    let hash = offer["hash"].as_str().unwrap();
    let name = format!("verify-receptionist-1-{}-1", &hash["sha256:".len()..][..8]);
    let decision = json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision", "metadata": {"name": name},
        "spec": {
            "subject": {"kind": "ProvisioningRequest", "name": "receptionist-1", "uid": request["metadata"]["uid"], "hash": hash},
            "act": "Verify", "operator": OPERATOR.name, "via": "Direct", "checklist": offer["checklist"],
        },
    });
    let path = format!("{OURS}/namespaces/{TENANT}/operatordecisions");
    let made = clinic.plane.api(&OPERATOR).send(Method::POST, &path, "application/json", Some(&decision)).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    clinic.reaches("COMPLETED").await;
    for path in [format!("{path}/{name}"), format!("{OURS}/namespaces/{TENANT}/assistantdeployments/receptionist")] {
        eventually(&path, PATIENCE, || async { is_ready(&clinic.get(&path).await.unwrap()) }).await;
    }
    let schema = format!("{OURS}/provisioningschemas/recepcionista-ia-1.0-r1");
    eventually("the schema counts the live assistant", PATIENCE, || async {
        clinic.get(&schema).await.is_some_and(|found| found["status"]["deployments"]["live"] == 1)
    })
    .await;
}

fn is_ready(object: &Value) -> bool {
    object["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

/// What the run came to. With an expectation, what it comes to in time, which must be that.
async fn ended(clinic: &Clinic, before: usize, expected: Option<&End>, what: &str) -> End {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let effects: Vec<Effect> = clinic.effects().await.split_off(before);
        let world = World::read(&clinic.admin()).await;
        let found = world.end(&effects, &[]);
        let differences = expected.map(|expected| expected.differences(&found)).unwrap_or_default();
        if differences.is_empty() {
            world.hold(what);
            clinic.each_effect_once().await;
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: another end\n{}", differences.join("\n"));
        sleep(LOOK).await;
    }
}
