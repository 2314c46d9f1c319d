//! Requests by chance: thousands over a handful of names, answered alike to the end. `MANDATE_SEED` repeats a run.

use serde_json::{Value, json};

use super::{decision, decisions, tenant, with};
use crate::Test;
use crate::tests;
use crate::twins::{GROUP, Step, Twins, delete, delete_with, get, merge, post, put};

const SEED: u64 = 0x6d61_6e64_6174_6531;
const REQUESTS: usize = 5000;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const NAMESPACES: [&str; 2] = ["chance-a", "chance-b"];

pub fn shared() -> Vec<Test> {
    tests![requests_by_chance_are_answered_alike]
}

/// Xorshift: the same numbers from the same seed, everywhere.
pub struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    /// From the seed that was asked for, or always the same.
    pub fn seeded() -> Self {
        let seed = std::env::var("MANDATE_SEED").ok().map_or(SEED, |text| text.parse().expect("MANDATE_SEED is a whole number"));
        println!("MANDATE_SEED={seed} repeats these requests");
        Self { seed, state: seed.max(1) }
    }

    /// What repeats the run.
    pub fn named(&self) -> String {
        format!("MANDATE_SEED={}", self.seed)
    }

    pub fn number(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from((self.state >> 11) % below as u64).unwrap()
    }

    pub fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.number(choices.len())].clone()
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.number(times) == 0
    }
}

/// Kinds that the requests are about.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tenant,
    Provider,
    Decision,
    Deployment,
}

const KINDS: [Kind; 4] = [Kind::Tenant, Kind::Provider, Kind::Decision, Kind::Deployment];

impl Kind {
    fn collection(self, namespace: &str) -> String {
        match self {
            Self::Tenant => format!("{GROUP}/tenants"),
            Self::Provider => format!("{GROUP}/providers"),
            Self::Decision => decisions(namespace),
            Self::Deployment => format!("{GROUP}/namespaces/{namespace}/assistantdeployments"),
        }
    }

    fn is_namespaced(self) -> bool {
        matches!(self, Self::Decision | Self::Deployment)
    }

    fn object(self, name: &str) -> Value {
        match self {
            Self::Tenant => tenant(name),
            Self::Provider => json!({
                "apiVersion": "mandate.dev/v1alpha1", "kind": "Provider", "metadata": {"name": name},
                "spec": {"providerId": "n8n", "type": "n8n", "connection": {"baseUrl": "http://127.0.0.1:8090/n8n"}},
            }),
            Self::Decision => decision(name, "Reject"),
            Self::Deployment => json!({
                "apiVersion": "mandate.dev/v1alpha1", "kind": "AssistantDeployment", "metadata": {"name": name},
                "spec": {
                    "product": "recepcionista-ia", "version": "1.0", "operator": "ana@acme-dental.example", "via": "Relay",
                    "providers": {"workflows": "n8n", "crm": "crm", "calendar": "calcom", "voice": "vapi"},
                },
            }),
        }
    }

    /// Changes of the spec, some of them invalid.
    fn changes(self) -> Vec<Value> {
        match self {
            Self::Tenant => vec![
                json!({"fourEyes": true}),
                json!({"fourEyes": null}),
                json!({"quotas": {"assistantDeployments": 3}}),
                json!({"quotas": {"assistantDeployments": -3}}),
                json!({"owners": []}),
                json!({"owners": [{"kind": "User", "name": "ben@acme-dental.example"}, {"kind": "Robot", "name": ""}]}),
                json!({"viewers": [{"kind": "ServiceAccount", "name": "a"}]}),
                json!({"namespace": "elsewhere"}),
                json!({"suspended": "no"}),
            ],
            Self::Provider => vec![
                json!({"required": false}),
                json!({"connection": {"timeoutSeconds": 5}}),
                json!({"connection": {"timeoutSeconds": 61}}),
                json!({"connection": {"baseUrl": "ftp://n8n"}}),
                json!({"type": "smtp"}),
                json!({"providerId": null}),
                json!({"limits": {"concurrency": 4, "perMinute": 0}}),
                json!({"secretRef": {"name": "n8n"}}),
            ],
            Self::Decision => vec![
                json!({"note": "another"}),
                json!({"act": "Dance"}),
                json!({"subject": {"hash": "sha256:0"}}),
                json!({"operator": ""}),
                json!({"checklist": ["a", "b"]}),
                json!({"via": null}),
            ],
            Self::Deployment => vec![
                json!({"parameters": {"language": "es"}}),
                json!({"parameters": {"language": null}}),
                json!({"parameters": {"language": 7}}),
                json!({"version": "2.0"}),
                json!({"version": 2}),
                json!({"product": "vendedor-ia"}),
                json!({"providers": {"crm": null}}),
                json!({"credentials": {"crm": {"id": "a", "name": "b"}}}),
            ],
        }
    }
}

/// One request of a run.
fn step(chance: &mut Chance) -> Step {
    let kind = chance.one_of(&KINDS);
    let namespace = chance.one_of(&NAMESPACES);
    let name = format!("chance-{}", chance.one_of(&NAMES));
    let collection = kind.collection(namespace);
    let one = format!("{collection}/{name}");
    let kept = one.clone();
    let dry = if chance.once_in(12) { "?dryRun=All" } else { "" };
    let object = changed(chance, kind, kind.object(&name));
    let kept_unless_dry = |step: Step| if dry.is_empty() { step.keep(kept.clone()) } else { step };
    match chance.number(20) {
        0..=5 => kept_unless_dry(post(format!("{collection}{dry}"), object)),
        6..=8 => kept_unless_dry(put(format!("{one}{dry}"), versioned(chance, &kept, object))),
        9 => {
            let object = with(object, "/status", status(chance));
            kept_unless_dry(put(format!("{one}/status{dry}"), versioned(chance, &kept, object)))
        }
        10..=12 => kept_unless_dry(merge(format!("{one}{dry}"), patch(chance, kind))),
        13 => kept_unless_dry(merge(format!("{one}/status{dry}"), json!({"status": status(chance)}))),
        14 => delete(one),
        15 => delete_with(one, json!({"preconditions": {"uid": format!("{{{kept}.uid}}")}})),
        16 => get(format!("{one}/status")),
        17 => get(format!("{collection}?labelSelector=colour%3Dred")),
        _ => get(one),
    }
}

fn changed(chance: &mut Chance, kind: Kind, object: Value) -> Value {
    let mut object = object;
    if chance.once_in(3) {
        object = with(object, "/spec", chance.one_of(&kind.changes()));
    }
    if chance.once_in(3) {
        object = with(object, "/metadata", metadata(chance));
    }
    object
}

fn metadata(chance: &mut Chance) -> Value {
    chance.one_of(&[
        json!({"labels": {"colour": "red"}}),
        json!({"labels": {"colour": "blue"}}),
        json!({"labels": {"colour": "not a value!"}}),
        json!({"labels": {"colour": null}}),
        json!({"annotations": {"mandate.dev/a": "b"}}),
        json!({"finalizers": ["mandate.dev/hold"]}),
        json!({"finalizers": ["mandate.dev/hold", "mandate.dev/more"]}),
        json!({"finalizers": null}),
        json!({"finalizers": null}),
    ])
}

fn patch(chance: &mut Chance, kind: Kind) -> Value {
    if chance.once_in(2) { json!({"metadata": metadata(chance)}) } else { json!({"spec": chance.one_of(&kind.changes())}) }
}

fn status(chance: &mut Chance) -> Value {
    let condition = |status: &str| json!([{"type": "Ready", "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    chance.one_of(&[
        json!({"observedGeneration": 1}),
        json!({"observedGeneration": 2, "conditions": condition("True")}),
        json!({"conditions": condition("Perhaps")}),
        json!({"observedGeneration": "one"}),
        json!({}),
    ])
}

/// At the version last seen, at none, or at an old one.
fn versioned(chance: &mut Chance, kept: &str, object: Value) -> Value {
    match chance.number(6) {
        0 => object,
        1 => with(object, "/metadata/resourceVersion", json!("1")),
        _ => with(object, "/metadata/resourceVersion", format!("{{{kept}.version}}").into()),
    }
}

fn everything() -> impl Iterator<Item = (Kind, &'static str, String)> {
    let namespaces = |kind: Kind| NAMESPACES.into_iter().take(if kind.is_namespaced() { 2 } else { 1 });
    let places = KINDS.into_iter().flat_map(move |kind| namespaces(kind).map(move |namespace| (kind, namespace)));
    places.flat_map(|(kind, namespace)| NAMES.map(|name| (kind, namespace, format!("chance-{name}"))))
}

async fn requests_by_chance_are_answered_alike() {
    let mut chance = Chance::seeded();
    let mut twins = Twins::with_namespaces(&NAMESPACES).await;
    twins.any_version();
    // Everything has been there once: every request can name a version and a UID.
    for (kind, namespace, name) in everything() {
        let collection = kind.collection(namespace);
        twins.ask(&post(&collection, kind.object(&name)).keep(format!("{collection}/{name}"))).await;
    }
    let mut done = 0;
    for _ in 0..REQUESTS {
        done += usize::from(twins.ask(&step(&mut chance)).await.status < 300);
    }
    assert!(
        done > REQUESTS / 4 && done < REQUESTS * 3 / 4,
        "{done} of {REQUESTS} requests were done: too many or too few to mean anything"
    );
    for (kind, namespace, name) in everything() {
        twins.ask(&get(format!("{}/{name}", kind.collection(namespace)))).await;
    }
    for kind in KINDS.into_iter().filter(|kind| kind.is_namespaced()) {
        for namespace in NAMESPACES {
            twins.ask(&get(kind.collection(namespace))).await;
        }
    }
    twins.must_agree(&chance.named());
}
