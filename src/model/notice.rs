//! Notices: what an operator is told, as a Kubernetes Event and as a CloudEvent.
//!
//! A notice repeats what a status says and a record proves; nothing reads one back. Its identity is what caused it, so
//! that telling it twice is the same notice.

use serde_json::{Value, json};

use super::canonical::Digest;
use super::failure;
use super::object::{Object, ObjectKey};
use super::resource::EVENT;
use super::time::Time;

/// Annotation on an Event: the operator that it is addressed to.
pub const OPERATOR: &str = "mandate.dev/operator";
/// Longest note of an Event that the API server takes, in bytes.
pub const MAX_NOTE: usize = 1024;
/// Who reports, in every Event.
const REPORTER: &str = "mandate.dev/controller";
/// Longest name of an object.
const MAX_NAME: usize = 253;
/// Namespace of Events about objects that have none: the API server takes them there or in `kube-system` only.
const OF_THE_CLUSTER: &str = "default";
/// What stands between what happened and what to do.
const REMEDY: &str = " Remedy: ";

/// What an operator is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A person is to check the result.
    AwaitingVerification,
    /// Provisioned and verified.
    Completed,
    /// Halted; a person decides.
    Failed,
    /// Nothing is left outside, and a person has confirmed it.
    RolledBack,
    /// Something could not be removed; a person decides.
    RollbackFailed,
    /// A newer revision has reached the live assistant.
    Propagated,
    /// A newer revision could not reach it.
    PropagationFailed,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 7] = [
        Self::AwaitingVerification,
        Self::Completed,
        Self::Failed,
        Self::RolledBack,
        Self::RollbackFailed,
        Self::Propagated,
        Self::PropagationFailed,
    ];

    /// `type` of the CloudEvent.
    #[must_use]
    pub fn event_type(self) -> &'static str {
        match self {
            Self::AwaitingVerification => "dev.mandate.provisioning.awaiting-verification.v1",
            Self::Completed => "dev.mandate.provisioning.completed.v1",
            Self::Failed => "dev.mandate.provisioning.failed.v1",
            Self::RolledBack => "dev.mandate.provisioning.rolled-back.v1",
            Self::RollbackFailed => "dev.mandate.provisioning.rollback-failed.v1",
            Self::Propagated => "dev.mandate.propagation.succeeded.v1",
            Self::PropagationFailed => "dev.mandate.propagation.failed.v1",
        }
    }

    /// `action` of the Event.
    fn action(self) -> &'static str {
        match self {
            Self::AwaitingVerification | Self::Completed | Self::Failed => "Provisioning",
            Self::RolledBack | Self::RollbackFailed => "Rollback",
            Self::Propagated | Self::PropagationFailed => "Propagation",
        }
    }

    /// `type` of the Event.
    fn weight(self) -> &'static str {
        match self {
            Self::Failed | Self::RollbackFailed | Self::PropagationFailed => "Warning",
            Self::AwaitingVerification | Self::Completed | Self::RolledBack | Self::Propagated => "Normal",
        }
    }
}

/// What caused a notice: with the object's UID and the topic, its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The record that says it, or the evidence that is to be decided on.
    Known(Digest),
    /// The audit chain does not verify, so no record can be trusted to say it: digest of what the status says.
    Said(Digest),
}

impl Cause {
    /// The digest: `id` of the CloudEvent.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Known(digest) | Self::Said(digest) => digest,
        }
    }
}

/// An object, as an Event names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regarding {
    /// `group/version`.
    pub api_version: String,
    /// Which.
    pub key: ObjectKey,
    /// UID.
    pub uid: String,
}

/// One thing to tell an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What of.
    pub topic: Topic,
    /// About which object.
    pub about: Regarding,
    /// The owner of that object, as an object reference.
    pub owner: Option<Value>,
    /// Who asked for it, where somebody did.
    pub operator: Option<String>,
    /// Reason of the condition.
    pub reason: String,
    /// Message of the condition.
    pub message: String,
    /// What a person can do, step by step.
    pub remediation: Vec<String>,
    /// Its cause.
    pub cause: Cause,
    /// When it came about; the same however often it is told.
    pub time: Option<Time>,
}

impl Notice {
    /// What happened and what to do, in at most [`MAX_NOTE`] bytes. What to do is shortened last.
    #[must_use]
    pub fn note(&self) -> String {
        let remedy = failure::sentences(&self.remediation);
        if self.message.contains(&remedy) && self.message.len() <= MAX_NOTE {
            return self.message.clone();
        }
        if remedy.is_empty() {
            return shortened(&self.message, MAX_NOTE);
        }
        let remedy = shortened(&remedy, MAX_NOTE - REMEDY.len());
        let happened = self.message.split(REMEDY).next().unwrap_or_default();
        let happened = shortened(happened, MAX_NOTE - REMEDY.len() - remedy.len());
        format!("{happened}{REMEDY}{remedy}").trim_start().to_owned()
    }

    /// Name of the Event: the same for the same notice, another for every other.
    #[must_use]
    pub fn event_name(&self) -> String {
        let identity = format!("{}\n{}\n{}", self.about.uid, self.topic.event_type(), self.cause.digest());
        let mark = Digest::of_bytes(identity.as_bytes()).short(16).to_owned();
        let name: String = self.about.key.name.chars().take(MAX_NAME - 1 - mark.len()).collect();
        format!("{}.{mark}", name.trim_end_matches(['.', '-']))
    }

    /// The Event (events.k8s.io/v1), as reported at `now` (RFC 3339 with microseconds) by this process.
    #[must_use]
    pub fn event(&self, now: &str, process: &str) -> Object {
        let key = &self.about.key;
        let namespace = if key.namespace.is_empty() { OF_THE_CLUSTER } else { &key.namespace };
        let mut object = Object::named(&EVENT, namespace, &self.event_name());
        if let Some(operator) = &self.operator {
            object.set_metadata("annotations", json!({ OPERATOR: operator }));
        }
        let mut regarding =
            json!({"apiVersion": self.about.api_version, "kind": key.resource.kind, "name": key.name, "uid": self.about.uid});
        if !key.namespace.is_empty() {
            regarding["namespace"] = key.namespace.as_str().into();
        }
        let fields = json!({
            "eventTime": now,
            "reportingController": REPORTER,
            "reportingInstance": shortened(process, 128),
            "action": self.topic.action(),
            "reason": self.reason,
            "regarding": regarding,
            "note": self.note(),
            "type": self.topic.weight(),
        });
        for (field, value) in fields.as_object().into_iter().flatten() {
            object.body[field.as_str()] = value.clone();
        }
        if let Some(owner) = &self.owner {
            object.body["related"] = owner.clone();
        }
        object
    }

    /// The CloudEvent (1.0, structured mode).
    #[must_use]
    pub fn cloud_event(&self) -> Value {
        let Regarding { api_version, key, uid } = &self.about;
        let mut event = json!({
            "specversion": "1.0",
            "id": self.cause.digest(),
            "source": key.path(),
            "type": self.topic.event_type(),
            "subject": key.name,
            "datacontenttype": "application/json",
            "data": {
                "object": {"apiVersion": api_version, "kind": key.resource.kind, "namespace": key.namespace, "name": key.name, "uid": uid},
                "reason": self.reason,
                "message": self.message,
                "remediation": self.remediation,
            },
        });
        if let Some(time) = self.time {
            event["time"] = time.to_string().into();
        }
        if let Some(operator) = &self.operator {
            event["data"]["operator"] = operator.as_str().into();
        }
        event
    }
}

/// The text within a number of bytes; what is cut off is shown to be missing.
fn shortened(text: &str, bytes: usize) -> String {
    const GONE: &str = "...";
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes.saturating_sub(GONE.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text.get(..end).unwrap_or_default();
    format!("{kept}{}", GONE.get(..bytes.min(GONE.len())).unwrap_or_default())
}

#[cfg(test)]
#[path = "notice_tests.rs"]
mod tests;
