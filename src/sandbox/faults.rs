//! The knobs: which requests are disturbed, and how.
//!
//! Rules are tried in order for every request to a vendor. Delays, hiding and flaws of the effect add up; of the faults that replace or maim the
//! reply the first one that applies wins. Control requests below `/_sandbox` are never disturbed.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::log::Vendor;

/// What goes wrong. Status faults answer with an error as the vendor words it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// The exchange takes this long: half of it before the effect, half after, so that a crash can fall on either side.
    Latency {
        /// Whole delay in milliseconds.
        milliseconds: u64,
    },
    /// 400.
    BadRequest,
    /// 401.
    Unauthorized,
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// Seconds named in `Retry-After`.
        retry_after_seconds: u64,
    },
    /// 500.
    InternalError,
    /// 503, with `Retry-After` when given.
    Unavailable {
        /// Seconds named in `Retry-After`.
        #[serde(default)]
        retry_after_seconds: Option<u64>,
    },
    /// The connection is cut before anything happened.
    RequestLost,
    /// The effect happens, then the connection is cut without a byte of reply.
    ReplyLost,
    /// The effect happens, the reply trickles in byte by byte.
    SlowDrip {
        /// Milliseconds before each byte.
        #[serde(default = "one_second")]
        milliseconds_per_byte: u64,
    },
    /// What the request creates appears in lists and reads only after this time; writes by id see it at once.
    EventualConsistency {
        /// How long reads do not see it, in milliseconds.
        milliseconds: u64,
    },
    /// 200 with an HTML page, as a proxy in the way would send.
    Html,
    /// 200 with a JSON document of this size.
    HugeBody {
        /// Size in MiB.
        mebibytes: u32,
    },
    /// No reply ever.
    Hang,
    /// What the request writes is not what it asked for: a workflow gets a parameter that nobody sent, an assistant another
    /// first message. The reply shows it.
    ContentChanged,
    /// n8n calls a workflow active that the request activates or replaces, and registers none of its webhooks.
    NotRegistered,
    /// The assistant that the request creates or changes has no server.
    ServerDropped,
}

/// What goes wrong with the effect itself, with a reply that says nothing of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flaws {
    pub(super) content_changed: bool,
    pub(super) not_registered: bool,
    pub(super) server_dropped: bool,
}

/// A fault and the requests it strikes: those for which every given criterion holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// Only requests to this vendor; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Vendor>,
    /// Only this method, upper case; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only paths of this form, vendor prefix included; any when absent. `*` stands for one segment, a final `**` for any rest:
    /// `/n8n/api/v1/workflows/*/activate`, `/vapi/**`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How many requests that match pass undisturbed first.
    #[serde(default)]
    pub skip: u64,
    /// How many requests are struck after those; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Whether a fault that replaces the reply strikes after the effect has happened. `ReplyLost` always does.
    #[serde(default)]
    pub after_effect: bool,
    /// What goes wrong.
    pub fault: Fault,
}

impl FaultRule {
    /// A rule that strikes every request.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { vendor: None, method: None, path: None, skip: 0, times: None, after_effect: false, fault }
    }

    /// Restricts the rule to one vendor.
    #[must_use]
    pub fn vendor(self, vendor: Vendor) -> Self {
        Self { vendor: Some(vendor), ..self }
    }

    /// Restricts the rule to a method and a path pattern.
    #[must_use]
    pub fn on(self, method: &str, path: &str) -> Self {
        Self { method: Some(method.to_owned()), path: Some(path.to_owned()), ..self }
    }

    /// Strikes `times` requests after letting `skip` pass.
    #[must_use]
    pub fn window(self, skip: u64, times: u64) -> Self {
        Self { skip, times: Some(times), ..self }
    }

    /// Strikes after the effect instead of before it.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Self { after_effect: true, ..self }
    }

    fn matches(&self, vendor: Vendor, method: &str, path: &str) -> bool {
        self.vendor.is_none_or(|wanted| wanted == vendor)
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path.as_ref().is_none_or(|pattern| path_matches(pattern, path))
    }
}

/// A rule in force and how many requests have matched it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArmedRule {
    /// The rule.
    pub rule: FaultRule,
    /// Requests that matched it so far, struck or not.
    pub seen: u64,
}

/// The rules in force.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<ArmedRule>);

impl Faults {
    /// Rules in force from now on, none of which has seen a request.
    pub(super) fn new(rules: Vec<FaultRule>) -> Self {
        Self(rules.into_iter().map(|rule| ArmedRule { rule, seen: 0 }).collect())
    }

    /// The rules with their counts.
    pub(super) fn rules(&self) -> &[ArmedRule] {
        &self.0
    }

    /// What happens to a request; counts it.
    pub(super) fn plan(&mut self, vendor: Vendor, method: &str, path: &str) -> Plan {
        let mut plan = Plan::default();
        for armed in self.0.iter_mut().filter(|armed| armed.rule.matches(vendor, method, path)) {
            armed.seen += 1;
            let ordinal = armed.seen - 1;
            let rule = &armed.rule;
            let last = rule.times.map_or(u64::MAX, |times| rule.skip.saturating_add(times));
            if (rule.skip..last).contains(&ordinal) {
                plan.add(rule);
            }
        }
        plan
    }
}

/// What happens to one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Sum of all latencies.
    pub(super) latency: Duration,
    /// How long reads do not see what is created.
    pub(super) hidden_for: SignedDuration,
    /// What goes wrong with the effect.
    pub(super) flaws: Flaws,
    /// What becomes of the reply.
    pub(super) disruption: Option<Disruption>,
}

/// A fault of the reply, and whether the effect happens all the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disruption {
    pub(super) fault: ReplyFault,
    pub(super) effect: bool,
}

/// The faults that replace or maim the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyFault {
    Status { code: u16, retry_after_seconds: Option<u64> },
    Cut,
    Drip { pause: Duration },
    Html,
    Huge { mebibytes: u32 },
    Hang,
}

impl Plan {
    fn add(&mut self, rule: &FaultRule) {
        let status = |code, retry_after_seconds| (ReplyFault::Status { code, retry_after_seconds }, rule.after_effect);
        let (fault, effect) = match rule.fault {
            Fault::Latency { milliseconds } => {
                self.latency = self.latency.saturating_add(Duration::from_millis(milliseconds));
                return;
            }
            Fault::EventualConsistency { milliseconds } => {
                let more = SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX));
                self.hidden_for = self.hidden_for.saturating_add(more);
                return;
            }
            Fault::ContentChanged => {
                self.flaws.content_changed = true;
                return;
            }
            Fault::NotRegistered => {
                self.flaws.not_registered = true;
                return;
            }
            Fault::ServerDropped => {
                self.flaws.server_dropped = true;
                return;
            }
            Fault::BadRequest => status(400, None),
            Fault::Unauthorized => status(401, None),
            Fault::TooManyRequests { retry_after_seconds } => status(429, Some(retry_after_seconds)),
            Fault::InternalError => status(500, None),
            Fault::Unavailable { retry_after_seconds } => status(503, retry_after_seconds),
            Fault::RequestLost => (ReplyFault::Cut, false),
            Fault::ReplyLost => (ReplyFault::Cut, true),
            Fault::SlowDrip { milliseconds_per_byte } => (ReplyFault::Drip { pause: Duration::from_millis(milliseconds_per_byte) }, true),
            Fault::Html => (ReplyFault::Html, rule.after_effect),
            Fault::HugeBody { mebibytes } => (ReplyFault::Huge { mebibytes }, rule.after_effect),
            Fault::Hang => (ReplyFault::Hang, rule.after_effect),
        };
        self.disruption.get_or_insert(Disruption { fault, effect });
    }
}

fn path_matches(pattern: &str, path: &str) -> bool {
    let segments = |text| str::split(text, '/').filter(|segment| !segment.is_empty());
    let mut rest = segments(path);
    for wanted in segments(pattern) {
        if wanted == "**" {
            return true;
        }
        match rest.next() {
            Some(segment) if wanted == "*" || wanted == segment => {}
            Some(_) | None => return false,
        }
    }
    rest.next().is_none()
}

fn one_second() -> u64 {
    1000
}
