//! What people can observe, and what of it is new since they last looked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mandate::model::notice::OPERATOR;
use mandate::model::object::{HOLDS_RECORDS, Object};
use mandate::sandbox::{Effect, Vendor};
use serde_json::Value;

use super::mask::Mask;
use crate::clinic::rig::Rig;

/// Kinds whose status is shown, in this order.
const SHOWN: [&str; 6] = ["Namespace", "Tenant", "ProvisioningSchema", "AssistantDeployment", "ProvisioningRequest", "OperatorDecision"];
/// What is shown of a record's payload, where it is there.
const TOLD_OF: [&str; 22] = [
    "/attempt",
    "/reason",
    "/version",
    "/schema/name",
    "/step",
    "/class",
    "/code",
    "/call",
    "/calls",
    "/repair",
    "/met/class",
    "/met/code",
    "/outcome",
    "/gone",
    "/externalId",
    "/cause",
    "/from/name",
    "/to/name",
    "/verdict",
    "/failure/code",
    "/note",
    "/left",
];
/// Longest line.
const WIDTH: usize = 128;

/// What was looked at before.
#[derive(Default)]
pub struct Seen {
    effects: usize,
    known: BTreeSet<String>,
    objects: BTreeMap<String, BTreeMap<String, String>>,
}

impl Seen {
    /// Everything that is new, line by line.
    pub fn news(&mut self, rig: &Rig, mask: &mut Mask) -> Vec<String> {
        let effects = rig.sandbox.effects();
        mask.made(&effects);
        let mut lines = outside(&effects[self.effects..]);
        self.effects = effects.len();
        for record in self.fresh(rig, "AuditRecord") {
            lines.push(format!("record   {}", recorded(&record.body["spec"])));
        }
        let told: Vec<Arc<Object>> = self.fresh(rig, "Event");
        let changed = self.changed(rig);
        lines.extend(told.iter().map(|event| format!("told     {}", notice(event, &changed))));
        lines.extend(changed);
        lines.iter().flat_map(|line| wrapped(&mask.over(line))).collect()
    }

    /// Objects of a kind that were not there before, the oldest first.
    fn fresh(&mut self, rig: &Rig, kind: &str) -> Vec<Arc<Object>> {
        let mut objects = rig.all(kind);
        objects.retain(|object| self.known.insert(object.uid().to_owned()));
        objects.sort_by_key(|object| object.resource_version().parse::<u64>().unwrap());
        objects
    }

    fn changed(&mut self, rig: &Rig) -> Vec<String> {
        let mut lines = Vec::new();
        let mut before = std::mem::take(&mut self.objects);
        for object in SHOWN.iter().flat_map(|kind| rig.all(kind)) {
            let name = format!("{} {}", object.resource.kind, object.name());
            let now = standing(&object);
            let then = before.remove(&name).unwrap_or_default();
            let mut changed: Vec<String> =
                now.iter().filter(|(part, text)| then.get(*part) != Some(*text)).map(|(_, text)| text.clone()).collect();
            changed.extend(
                then.keys()
                    .filter(|part| !now.contains_key(*part))
                    .map(|part| format!("no {} any more", part.split(' ').next_back().unwrap())),
            );
            changed.retain(|text| !text.is_empty());
            lines.extend(changed.into_iter().map(|text| format!("now      {name}: {text}")));
            self.objects.insert(name, now);
        }
        lines.extend(before.keys().map(|name| format!("now      {name} is gone")));
        lines
    }
}

/// What was done outside. Calls of one step run together: they are shown in an order of their own.
fn outside(effects: &[Effect]) -> Vec<String> {
    let line = |effect: &Effect| {
        let operation = format!("{:?}", effect.operation);
        let label = match effect.vendor {
            Vendor::Vapi => serde_json::from_str::<Value>(&effect.label)
                .ok()
                .and_then(|metadata| Some(metadata.get("mandateKey")?.as_str()?.to_owned()))
                .unwrap_or_else(|| effect.label.clone()),
            Vendor::N8n | Vendor::Calcom | Vendor::Crm => effect.label.clone(),
        };
        let id = if operation.ends_with("Webhook") { String::new() } else { format!(" {}", effect.id) };
        format!("{}({label})", id.trim_start().to_owned() + if id.is_empty() { "" } else { " " })
    };
    let together = effects.chunk_by(|one, other| (one.vendor, one.operation) == (other.vendor, other.operation));
    let shown = |effects: &[Effect]| {
        let mut each: Vec<String> = effects.iter().map(line).collect();
        each.sort();
        format!("outside  {}: {:?} {}", format!("{:?}", effects[0].vendor).to_lowercase(), effects[0].operation, each.join(", "))
    };
    together.map(shown).collect()
}

fn recorded(spec: &Value) -> String {
    let entry: Value = serde_json::from_str(spec["entry"].as_str().unwrap()).unwrap();
    let payload = &entry["payload"];
    let part = |pointer: &&str| {
        let name = pointer.trim_start_matches('/').replace('/', " ");
        match payload.pointer(pointer)? {
            Value::String(text) => Some(format!("{name} {text:?}")),
            Value::Array(items) => {
                let named: Vec<&str> = items.iter().filter_map(|item| item["externalId"].as_str()).collect();
                let items = if named.is_empty() { items.len().to_string() } else { named.join(" ") };
                Some(format!("{name} {items}"))
            }
            value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => Some(format!("{name} {value}")),
        }
    };
    let parts: Vec<String> = TOLD_OF.iter().filter_map(part).collect();
    let text = |field: &str| spec[field].as_str().unwrap_or_default();
    let subject = spec["subject"]["name"].as_str().unwrap();
    let line = format!("{subject} #{} {} by {}: {}", spec["sequence"], text("event"), entry["actor"].as_str().unwrap(), parts.join(", "));
    line.trim_end_matches(": ").to_owned()
}

/// An Event. Words that a status below repeats are left to it.
fn notice(event: &Object, changed: &[String]) -> String {
    let text = |field: &str| event.body[field].as_str().unwrap_or_default();
    let about = event.body.pointer("/regarding/name").and_then(Value::as_str).unwrap_or_default();
    let whom = event.annotation(OPERATOR).map_or_else(|| "everybody".to_owned(), str::to_owned);
    let repeated = changed.iter().any(|line| line.ends_with(&format!("{}: {}", text("reason"), text("note"))));
    let note = if repeated { "in the words of its condition" } else { text("note") };
    format!("{whom}: {} {} about {about}: {note}", text("type"), text("reason"))
}

/// Where an object stands: parts that change on their own.
fn standing(object: &Object) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    if object.resource.kind == "Namespace" {
        let holds = object.label(HOLDS_RECORDS) == Some("true");
        parts.insert("label".to_owned(), if holds { "holds records" } else { "" }.to_owned());
        return parts;
    }
    let status = &object.body["status"];
    let of = |kind: &str| {
        let conditions = status["conditions"].as_array();
        conditions.into_iter().flatten().find(|condition| condition["type"] == kind)
    };
    let (stalled, working) = (of("Stalled").is_some(), of("Reconciling").is_some());
    let word = status["state"].as_str().or(status["verdict"].as_str()).unwrap_or_default();
    for condition in status["conditions"].as_array().into_iter().flatten() {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        let (kind, value, reason, message) = (text("type"), text("status"), text("reason"), text("message"));
        match kind {
            "Stalled" | "Reconciling" => {}
            "Ready" => {
                let more = if stalled {
                    ", Stalled"
                } else if working {
                    ", Reconciling"
                } else {
                    ""
                };
                let word = if word.is_empty() { String::new() } else { format!("{word}, ") };
                parts.insert("1 Ready".to_owned(), format!("{word}Ready {value}{more}: {reason}: {message}"));
            }
            _ => drop(parts.insert(format!("2 {kind}"), format!("{kind} {value}: {reason}: {message}"))),
        }
    }
    if let Some(counts) = status.get("deployments").filter(|counts| !counts.is_null()) {
        parts.insert("3 deployments".to_owned(), format!("deployments {counts}"));
    }
    let acts: Vec<&str> = status["decision"]["acts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !acts.is_empty() {
        parts.insert("offer".to_owned(), format!("offers {} on {}", acts.join(", "), status["decision"]["hash"].as_str().unwrap()));
    }
    parts
}

/// A line in as many as it takes, the later ones indented.
pub fn wrapped(line: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut current = String::new();
    for word in line.split(' ') {
        if !current.trim().is_empty() && !word.is_empty() && current.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut current, "        ".to_owned()));
        }
        current = format!("{current} {word}");
    }
    lines.push(current);
    let mut lines: Vec<String> = lines.into_iter().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect();
    lines.retain(|line| !line.is_empty());
    lines
}
