//! What a run of the clinic came to, as text that can be compared with that of another run.
//!
//! Numbered in the order in which they appear, so that "the same" stays the same: UIDs and every other UUID, ids that outside
//! systems gave, and the hashes that cover one of these or a time. Which hashes those are is said here once more, field by
//! field, as docs/hashes.md says it; every other hash stays as it is. Times become the word for one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mandate::engine::audit::{Snapshot, violations};
use mandate::kinds::{self, crd};
use mandate::model::object::Object;
use mandate::model::resource::{NAMESPACE, RESOURCE_QUOTA, ROLE_BINDING, Resource};
use mandate::sandbox::Effect;
use regex::{Captures, Regex};
use serde_json::Value;

use crate::control_plane::api::Api;

/// How often an end is looked at that is not yet as expected.
pub const LOOK: Duration = Duration::from_millis(50);
/// The clinic's namespace.
pub const TENANT: &str = "acme-dental";
const NAMESPACES: [&str; 2] = [TENANT, "mandate-system"];
/// Calls whose result is digested with paths, keys or outside ids in it.
const COVER_IDENTITY: [&str; 4] = ["PublishWebhooks", "SubscribeCalendar", "CreateResource", "CreateAssistant"];
/// Annotation of the kept children of a tenant: covers the reference to their owner.
const DESIRED: &str = "/metadata/annotations/mandate.dev~1desired";
/// Every token that may have to be numbered.
const TOKENS: &str =
    r"sha256:[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z";

/// Every object of the clinic.
pub struct World {
    objects: Vec<Arc<Object>>,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Every line of every object, then every effect.
    pub lines: Vec<String>,
    /// Hashes that must be the same wherever the same manifests are.
    pub plain_hashes: BTreeSet<String>,
    /// Hashes that no other run may have.
    pub identity_hashes: BTreeSet<String>,
}

/// In the order in which they are asked for: requests before records, whose appending a request's status relies on.
fn listed() -> Vec<&'static Resource> {
    let ours = crd::all().iter().rev().map(|defined| defined.resource);
    [&NAMESPACE, &ROLE_BINDING, &RESOURCE_QUOTA].into_iter().chain(ours).collect()
}

impl World {
    /// What this API server holds of the clinic.
    pub async fn read(api: &Api) -> Self {
        let mut objects = Vec::new();
        for resource in listed() {
            let root = if resource.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", resource.api_version()) };
            let reply = api.get(&format!("{root}/{}", resource.plural)).await.unwrap();
            assert_eq!(reply.status, 200, "{}: {}", resource.plural, reply.text());
            for mut body in reply.body["items"].as_array().unwrap().iter().cloned() {
                body["apiVersion"] = resource.api_version().into();
                body["kind"] = resource.kind.into();
                let object = Object { resource, body };
                let place = if resource == &NAMESPACE { object.name() } else { object.namespace() };
                if place.is_empty() || NAMESPACES.contains(&place) && !is_granted(&object) {
                    objects.push(Arc::new(object));
                }
            }
        }
        objects.sort_by_cached_key(|object| order(object));
        Self { objects }
    }

    /// Fails unless every invariant holds.
    pub fn hold(&self, when: &str) {
        let broken = violations(&kinds::invariants(), &Snapshot { objects: self.objects.clone() });
        assert!(broken.is_empty(), "{when}: {broken:#?}");
    }

    /// The end of a run with these effects; `more` are texts about it.
    pub fn end(&self, effects: &[Effect], more: &[String]) -> End {
        let mut names = Names { identity_hashes: self.identity_hashes(), given: BTreeMap::new(), plain_hashes: BTreeSet::new() };
        let decided = self.of_kind("OperatorDecision").map(|decision| decision.name().to_owned()).collect::<Vec<_>>();
        let ids: BTreeSet<String> = effects.iter().map(|effect| regex::escape(&effect.id)).collect();
        let ids: Vec<String> = decided.iter().map(|name| regex::escape(name)).chain(ids).chain([TOKENS.to_owned()]).collect();
        let tokens = Regex::new(&ids.join("|")).unwrap();

        let objects = self.objects.iter().map(|object| format!("{:#}", stripped(object))).collect::<Vec<_>>();
        let texts = objects.into_iter().chain(more.iter().cloned()).map(|text| names.replace(&tokens, &text)).collect::<Vec<_>>();
        let mut done: Vec<[String; 2]> = effects.iter().map(|effect| line(effect).map(|text| names.replace(&tokens, &text))).collect();
        // What was done to different resources came in any order, what was done to one of them in this.
        done.sort_by(|one, other| one[0].cmp(&other[0]));
        let done = done.into_iter().map(|[resource, what]| format!("{resource}: {what}"));
        let lines = texts.iter().flat_map(|text| text.lines().map(str::to_owned)).chain(done).collect();
        End { lines, plain_hashes: names.plain_hashes, identity_hashes: names.identity_hashes }
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        self.objects.iter().filter(move |object| object.resource.kind == kind)
    }

    /// The one object of a kind and name.
    pub fn one<'a>(&'a self, kind: &'a str, name: &str) -> &'a Value {
        let found = self.of_kind(kind).find(|object| object.name() == name);
        &found.unwrap_or_else(|| panic!("{kind} {name} is not there")).body
    }

    fn identity_hashes(&self) -> BTreeSet<String> {
        let mut hashes = BTreeSet::new();
        for object in &self.objects {
            let body = &object.body;
            let mut add = |value: Option<&Value>| hashes.extend(value.and_then(Value::as_str).map(str::to_owned));
            for pointer in ["/status/decision/hash", "/status/chain/head", "/spec/hash", "/spec/subject/hash", DESIRED] {
                add(body.pointer(pointer));
            }
            for step in body.pointer("/status/journal/steps").and_then(Value::as_array).into_iter().flatten() {
                for call in step["calls"].as_array().into_iter().flatten() {
                    add(call.get("key"));
                    add(call.pointer("/result/digest").filter(|_| COVER_IDENTITY.iter().any(|operation| call["operation"] == *operation)));
                }
            }
            if let Some(entry) = body.pointer("/spec/entry").and_then(Value::as_str) {
                let entry: Value = serde_json::from_str(entry).unwrap();
                for pointer in ["/cause", "/previous", "/payload/requestDigest", "/payload/evidence"] {
                    add(entry.pointer(pointer));
                }
            }
        }
        hashes
    }
}

/// Rights of the controller itself, which are no part of the clinic.
fn is_granted(object: &Object) -> bool {
    object.resource == &ROLE_BINDING && object.namespace() != TENANT
}

/// Names of records hold UIDs: their order is that of their chain.
fn order(object: &Object) -> (&'static str, String, String, u64) {
    let text = |pointer: &str| object.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = match object.resource.kind {
        "AuditRecord" => format!("{}/{}", text("/spec/subject/kind"), text("/spec/subject/name")),
        "OperatorDecision" => text("/spec/subject/name").to_owned(),
        _ => object.name().to_owned(),
    };
    (object.resource.kind, object.namespace().to_owned(), name, object.body.pointer("/spec/sequence").and_then(Value::as_u64).unwrap_or(0))
}

/// Without what no two servers share, and what is the applier's or another controller's.
fn stripped(object: &Object) -> Value {
    let mut body = object.body.clone();
    if object.resource == &RESOURCE_QUOTA {
        body.as_object_mut().unwrap().remove("status");
    }
    let metadata = body["metadata"].as_object_mut().unwrap();
    metadata.retain(|field, _| !["managedFields", "resourceVersion"].contains(&field.as_str()));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    body
}

/// The resource, and what was done to it. The digest covers keys.
fn line(effect: &Effect) -> [String; 2] {
    let Effect { sequence: _, at: _, vendor, operation, id, label, digest: _ } = effect;
    [format!("{vendor:?} {id}"), format!("{operation:?} {label}")]
}

struct Names {
    identity_hashes: BTreeSet<String>,
    given: BTreeMap<String, String>,
    plain_hashes: BTreeSet<String>,
}

impl Names {
    fn replace(&mut self, tokens: &Regex, text: &str) -> String {
        tokens.replace_all(text, |found: &Captures<'_>| self.name(&found[0])).into_owned()
    }

    fn name(&mut self, token: &str) -> String {
        if token.as_bytes().get(10) == Some(&b'T') && token.ends_with('Z') {
            return "<time>".to_owned();
        }
        // A key's first digits are what outside systems see of it.
        let whole = format!("sha256:{token}");
        let whole = self.identity_hashes.iter().find(|hash| token.len() == 32 && hash.starts_with(&whole)).cloned();
        let (token, form) = whole.map_or((token.to_owned(), ""), |whole| (whole, " begins"));
        if token.starts_with("sha256:") && !self.identity_hashes.contains(&token) {
            self.plain_hashes.insert(token.clone());
            return token;
        }
        let next = self.given.len() + 1;
        let kind = if token.starts_with("sha256:") { "hash" } else { "id" };
        let name = self.given.entry(token).or_insert_with(|| format!("{kind} {next}"));
        format!("<{name}{form}>")
    }
}

impl End {
    /// With something done to every line.
    pub fn with_each_line(self, change: impl Fn(&str) -> String) -> Self {
        Self { lines: self.lines.iter().map(|line| change(line)).collect(), ..self }
    }

    /// Lines that only one of the two has, in the order in which they stand; empty when both are the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (&self.lines, &other.lines);
        let same = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
        let before = same.saturating_sub(12);
        if same == ours.len() && same == theirs.len() {
            return Vec::new();
        }
        let shown =
            |sign: char, lines: &[String]| lines.iter().skip(same).take(12).map(|line| format!("{sign} {line}")).collect::<Vec<_>>();
        let context = ours[before..same].iter().map(|line| format!("  {line}"));
        context.chain(shown('-', ours)).chain(shown('+', theirs)).collect()
    }
}
