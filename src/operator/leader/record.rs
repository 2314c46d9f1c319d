//! What a Lease says, read leniently: whatever cannot be read counts as held, never as free.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Options;
use crate::model::object::Object;
use crate::model::resource::LEASE;

/// What kubernetes takes for `leaseTransitions`.
const MAX_TRANSITIONS: u32 = i32::MAX.unsigned_abs();

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// It was released, or never taken.
    Nobody,
    /// The process with this identity.
    Process(String),
    /// The record cannot be read.
    Unreadable,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => formatter.write_str("nobody: it was taken from us"),
            Self::Process(holder) => formatter.write_str(holder),
            Self::Unreadable => formatter.write_str("somebody whose record cannot be read"),
        }
    }
}

/// One state of the Lease object.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The object as it was read.
    pub(super) object: Object,
    /// Who holds it.
    pub(super) holder: Holder,
    /// How often it changed hands.
    pub(super) transitions: u32,
    /// How long it lasts without a renewal; none when the record does not say.
    pub(super) lasts: Option<Duration>,
}

impl Record {
    /// Reads the object.
    pub(super) fn of(object: &Object) -> Self {
        let spec = object.body.get("spec");
        let field = |name: &str| spec.and_then(|spec| spec.get(name)).filter(|value| !value.is_null());
        let readable = spec.is_none_or(|spec| spec.is_object() || spec.is_null());
        let holder = match field("holderIdentity") {
            _ if !readable => Holder::Unreadable,
            None => Holder::Nobody,
            Some(Value::String(holder)) if holder.is_empty() => Holder::Nobody,
            Some(Value::String(holder)) => Holder::Process(holder.clone()),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) | Value::Null) => Holder::Unreadable,
        };
        let transitions = field("leaseTransitions").and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
        let lasts = field("leaseDurationSeconds").and_then(Value::as_u64).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Self { object: object.clone(), holder, transitions: transitions.unwrap_or(0).min(MAX_TRANSITIONS), lasts }
    }

    /// Whether it is the state that was seen before: any write to the object makes another one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let spec = |record: &Self| record.object.body.get("spec").cloned();
        self.object.uid() == other.object.uid()
            && self.object.resource_version() == other.object.resource_version()
            && spec(self) == spec(other)
    }

    /// Whether it is known to be an older state of the same object than `other`.
    pub(super) fn is_older(&self, other: &Self) -> bool {
        let version = |record: &Self| record.object.resource_version().parse::<u64>().ok();
        self.object.uid() == other.object.uid() && version(self) < version(other)
    }

    /// Whether the process with this identity holds it.
    pub(super) fn is_held_by(&self, identity: &str) -> bool {
        matches!(&self.holder, Holder::Process(holder) if holder == identity)
    }
}

/// The number of the tenure that follows `transitions` others.
pub(super) fn next(transitions: u32) -> u32 {
    transitions.saturating_add(1).min(MAX_TRANSITIONS)
}

/// The lease as a process takes or renews it. Of what is there, only the record is replaced.
pub(super) fn held(options: &Options, present: Option<&Object>, fencing: u32, now: Timestamp, taken: bool) -> Object {
    let mut object = present.cloned().unwrap_or_else(|| Object::named(&LEASE, &options.namespace, &options.name));
    let renewed = differing(now, object.body.pointer("/spec/renewTime"));
    let spec = spec_of(&mut object);
    spec["holderIdentity"] = options.identity.as_str().into();
    spec["leaseDurationSeconds"] = options.lease_duration.as_secs().into();
    spec["leaseTransitions"] = fencing.into();
    spec["renewTime"] = renewed.as_str().into();
    if taken || !spec["acquireTime"].is_string() {
        spec["acquireTime"] = renewed.into();
    }
    object
}

/// The lease given back: anybody may take it at once.
pub(super) fn released(present: &Object, now: Timestamp) -> Object {
    let mut object = present.clone();
    let renewed = differing(now, object.body.pointer("/spec/renewTime"));
    let spec = spec_of(&mut object);
    spec["holderIdentity"] = "".into();
    // Kubernetes takes no 0.
    spec["leaseDurationSeconds"] = 1.into();
    spec["renewTime"] = renewed.as_str().into();
    object
}

fn spec_of(object: &mut Object) -> &mut Value {
    let spec = &mut object.body["spec"];
    if !spec.is_object() {
        *spec = json!({});
    }
    spec
}

/// A write that changes nothing gets no new resource version: to those who watch, the leader would seem dead. So the time
/// differs from the one before, even where the wall clock stood still.
fn differing(now: Timestamp, before: Option<&Value>) -> String {
    let text = |time: Timestamp| format!("{time:.6}");
    let first = text(now);
    if before.and_then(Value::as_str) == Some(&first) {
        return text(now.checked_add(Duration::from_micros(1)).unwrap_or(now));
    }
    first
}
