//! What happened in a scenario: everything that was sent and written, in order.

use std::fmt;
use std::sync::Arc;

use mandate::model::canonical::{self, Digest};
use mandate::world::faulty::{CrashPlan, Point};

use crate::clinic::rig::{Rig, Sent, masked, reason};

/// A scenario's course and end.
pub struct Trace {
    /// Moments until the process died, or all.
    points: Vec<Point>,
    pub moments: usize,
    sent: Vec<Sent>,
    /// Effects in the order in which they happened.
    pub effects: Vec<String>,
    /// Events on record: subject, sequence, event.
    pub records: Vec<(String, u64, String)>,
    /// Events told, each as often as it was.
    pub told: Vec<String>,
    /// Where everything stands.
    pub ends: Vec<String>,
    /// What the person decided.
    pub acts: Vec<String>,
}

impl Trace {
    pub fn of(rig: &Rig, plan: &Arc<CrashPlan>, (effects, sent): (usize, usize), acts: Vec<String>) -> Self {
        let mut records: Vec<(String, u64, String)> = rig
            .all("AuditRecord")
            .iter()
            .map(|record| &record.body["spec"])
            .map(|spec| {
                let text = |path: &str| spec.pointer(path).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
                (format!("{} {}", text("/subject/kind"), text("/subject/name")), spec["sequence"].as_u64().unwrap(), text("/event"))
            })
            .collect();
        records.sort();
        let mut told: Vec<String> =
            rig.all("Event").iter().map(|event| format!("{} {}", event.body["regarding"]["name"], event.body["reason"])).collect();
        told.sort();
        let mut ends: Vec<String> = ["ProvisioningRequest", "AssistantDeployment", "ProvisioningSchema", "OperatorDecision"]
            .iter()
            .flat_map(|kind| rig.all(kind))
            .map(|object| {
                format!(
                    "{} {} {} {}",
                    object.resource.kind,
                    object.name(),
                    object.body["status"]["state"].as_str().unwrap_or("-"),
                    reason(&object)
                )
            })
            .collect();
        ends.sort();
        Self {
            moments: plan.hits(),
            points: plan.points(),
            sent: rig.sent.lock().unwrap()[sent..].to_vec(),
            effects: rig.sandbox.effects()[effects..].iter().map(masked).collect(),
            records,
            told,
            ends,
            acts,
        }
    }

    pub fn requests(&self) -> usize {
        self.sent.len()
    }

    /// The line of a request, from 0.
    pub fn request(&self, number: usize) -> &str {
        &self.sent[number].line
    }

    /// One digest for one course of events.
    pub fn digest(&self) -> Digest {
        canonical::own(&serde_json::json!({"trace": self.to_string()})).unwrap().digest()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "moments: {:?}", self.points)?;
        let start = self.sent.first().map(|sent| sent.at);
        for sent in &self.sent {
            let after = start.map_or(0, |start| sent.at.duration_since(start).as_millis());
            writeln!(f, "{after} ms: {} -> {:?}", sent.line, sent.got)?;
        }
        for (subject, sequence, event) in &self.records {
            writeln!(f, "record: {subject} {sequence} {event}")?;
        }
        for (what, lines) in [("effect", &self.effects), ("told", &self.told), ("end", &self.ends), ("act", &self.acts)] {
            for line in lines {
                writeln!(f, "{what}: {line}")?;
            }
        }
        Ok(())
    }
}
