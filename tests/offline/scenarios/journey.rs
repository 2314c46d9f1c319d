//! The journeys, what fails in them, and the person who acts.

use std::sync::Arc;

use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::kinds::provisioningrequest::api::REQUEST;
use mandate::kinds::provisioningschema::api::{ProvisioningSchemaSpec, SCHEMA};
use mandate::model::object::Object;
use mandate::model::workflow::structural_digest;
use mandate::sandbox::{Fault, FaultRule, Vendor};
use mandate::world::faulty::CrashPlan;
use serde_json::{Value, json};

use super::trace::Trace;
use super::{STRIKES, Scenario};
use crate::clinic::rig::{Rig, reason};
use crate::contract::newer::revision;

/// A way through the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Journey {
    /// From YAML to COMPLETED.
    Provision,
    /// From FAILED, with everything but the assistant left outside, to a second attempt that is COMPLETED.
    Retry,
    /// From COMPLETED to ROLLED_BACK.
    Rollback,
    /// From an update that waits for verification to the new assistant alone.
    Cutover,
    /// From a new revision to a live assistant on it, closed by an operator.
    Propagate,
}

impl Journey {
    pub const ALL: [Self; 5] = [Self::Provision, Self::Retry, Self::Rollback, Self::Cutover, Self::Propagate];

    pub fn name(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Retry => "retry",
            Self::Rollback => "rollback",
            Self::Cutover => "cutover",
            Self::Propagate => "propagate",
        }
    }

    /// Least number of distinct traces in an optimized build. All together are more than ten thousand.
    pub fn floor(self) -> usize {
        match self {
            Self::Provision => 4_000,
            Self::Retry => 2_900,
            Self::Rollback => 850,
            Self::Cutover => 1_700,
            Self::Propagate => 550,
        }
    }

    /// The world before anything is disturbed, with what sets the journey going.
    pub async fn prepared(self) -> Prepared {
        let mut person = Person::default();
        let rig = self.begun(&mut person).await;
        Prepared { rig, person }
    }

    async fn begun(self, person: &mut Person) -> Rig {
        let rig = Rig::clinic().await;
        match self {
            Self::Provision => return rig,
            Self::Retry => {
                rig.sandbox.set_faults(vec![FaultRule::new(Fault::Unauthorized).vendor(Vendor::Vapi)]);
                rig.settle().await;
            }
            Self::Rollback | Self::Cutover | Self::Propagate => {
                rig.settle().await;
                assert!(person.act(&rig, self).await, "verified");
                rig.settle().await;
            }
        }
        match self {
            Self::Cutover => {
                rig.patch(&DEPLOYMENT, "acme-dental", "receptionist", json!({"spec": {"parameters": {"greeting": "Good day"}}})).await;
                rig.settle().await;
            }
            Self::Propagate => {
                rig.apply(revised(&rig).await).await;
                return rig;
            }
            Self::Provision | Self::Retry | Self::Rollback => {}
        }
        assert!(person.act(&rig, self).await, "decided");
        rig
    }
}

/// Changes both templates in n8n, and says so in a revision that pins what they are now.
async fn revised(rig: &Rig) -> Value {
    let mut schema = revision(2, |_| {});
    let spec: ProvisioningSchemaSpec = serde_json::from_value(schema["spec"].clone()).unwrap();
    for (number, workflow) in spec.workflows.iter().enumerate() {
        let template = workflow.template();
        let path = format!("/workflows/{}", template.id);
        let mut document = rig.n8n("GET", &path, None).await;
        let mut nodes = document["nodes"].as_array_mut().unwrap().iter_mut();
        nodes.find(|node| node["type"] == "n8n-nodes-base.httpRequest").unwrap()["parameters"]["options"] = json!({"timeout": 9000});
        let content = ["name", "nodes", "connections", "settings"].map(|field| (field, document[field].clone()));
        rig.n8n("PUT", &path, Some(content.into_iter().collect())).await;
        let digest = structural_digest(&document, &template.places, &template.webhooks).unwrap();
        schema["spec"]["workflows"][number]["digest"] = digest.to_string().into();
    }
    schema
}

/// A world from which a journey begins, any number of times.
pub struct Prepared {
    rig: Rig,
    person: Person,
}

/// What fails, and what that is for Mandate.
#[derive(Debug, PartialEq, Eq)]
pub struct Failing {
    /// As it stands in a seed.
    pub name: &'static str,
    /// Where it can happen.
    pub journeys: &'static [Journey],
    /// The fault with the requests that it strikes: vendor, method, path.
    pub fault: Option<(Fault, Vendor, &'static str, &'static str)>,
}

impl Failing {
    /// A fault that one repair mends strikes once; one for a person lasts until the person has seen to it.
    pub fn is_mended(&self) -> bool {
        self.name.starts_with("repair:")
    }

    /// Whether it is for a person and met while something is made.
    pub fn is_of_creation(&self) -> bool {
        !self.is_mended() && self.journeys == CREATING
    }

    fn rule(&self) -> Option<FaultRule> {
        let (fault, vendor, method, path) = self.fault.clone()?;
        let rule = FaultRule::new(fault).vendor(vendor).on(method, path);
        Some(if self.is_mended() { rule.window(0, 1) } else { rule })
    }

    /// Whether a request is one that the fault strikes: another fault of it would take its place.
    pub fn strikes(&self, line: &str) -> bool {
        let Some((_, _, method, path)) = &self.fault else { return false };
        let end = path.rsplit('*').next().unwrap_or_default();
        line.starts_with(method) && line.ends_with(end)
    }
}

const CREATING: &[Journey] = &[Journey::Provision, Journey::Retry];
const CREATE: &str = "/n8n/api/v1/workflows";
const ACTIVATE: &str = "/n8n/api/v1/workflows/*/activate";
const WORKFLOW: &str = "/n8n/api/v1/workflows/*";
const ASSISTANT: &str = "/vapi/assistant";
const ASSISTANTS: &str = "/vapi/assistant/*";
const SUBSCRIPTIONS: &str = "/crm/v1/subscriptions";
const SUBSCRIPTION: &str = "/crm/v1/subscriptions/*";
const HOOKS: &str = "/calcom/v2/webhooks";
const HOOK: &str = "/calcom/v2/webhooks/*";

const fn failing(
    name: &'static str,
    journeys: &'static [Journey],
    fault: Fault,
    vendor: Vendor,
    method: &'static str,
    path: &'static str,
) -> Failing {
    Failing { name, journeys, fault: Some((fault, vendor, method, path)) }
}

/// Every failure: none, those that one repair mends, those for a person.
pub static FAILINGS: [Failing; 18] = [
    Failing { name: "none", journeys: &Journey::ALL, fault: None },
    failing("repair:clone", CREATING, Fault::ContentChanged, Vendor::N8n, "POST", CREATE),
    failing("repair:activate", CREATING, Fault::NotRegistered, Vendor::N8n, "POST", ACTIVATE),
    failing("repair:server", CREATING, Fault::ServerDropped, Vendor::Vapi, "POST", ASSISTANT),
    failing("person:clone", CREATING, Fault::BadRequest, Vendor::N8n, "POST", CREATE),
    failing("person:webhooks", CREATING, Fault::BadRequest, Vendor::N8n, "PUT", WORKFLOW),
    failing("person:activate", CREATING, Fault::BadRequest, Vendor::N8n, "POST", ACTIVATE),
    failing("person:crm", CREATING, Fault::BadRequest, Vendor::Crm, "POST", SUBSCRIPTIONS),
    failing("person:calcom", CREATING, Fault::BadRequest, Vendor::Calcom, "POST", HOOKS),
    failing("person:vapi", CREATING, Fault::Unauthorized, Vendor::Vapi, "POST", ASSISTANT),
    failing(
        "person:remove-workflow",
        &[Journey::Rollback, Journey::Cutover, Journey::Retry],
        Fault::BadRequest,
        Vendor::N8n,
        "DELETE",
        WORKFLOW,
    ),
    failing(
        "person:remove-crm",
        &[Journey::Rollback, Journey::Cutover, Journey::Retry],
        Fault::BadRequest,
        Vendor::Crm,
        "DELETE",
        SUBSCRIPTION,
    ),
    failing(
        "person:remove-calcom",
        &[Journey::Rollback, Journey::Cutover, Journey::Retry],
        Fault::BadRequest,
        Vendor::Calcom,
        "DELETE",
        HOOK,
    ),
    failing("person:remove-vapi", &[Journey::Rollback, Journey::Cutover], Fault::Unauthorized, Vendor::Vapi, "DELETE", ASSISTANTS),
    failing("person:switch-crm", &[Journey::Cutover], Fault::BadRequest, Vendor::Crm, "PATCH", SUBSCRIPTION),
    failing("person:switch-calcom", &[Journey::Cutover], Fault::BadRequest, Vendor::Calcom, "PATCH", HOOK),
    failing("person:update-vapi", &[Journey::Propagate], Fault::Unauthorized, Vendor::Vapi, "PATCH", ASSISTANTS),
    failing("person:update-workflow", &[Journey::Propagate], Fault::BadRequest, Vendor::N8n, "PUT", WORKFLOW),
];

/// Runs a scenario to its end.
pub async fn run(scenario: Scenario, prepared: &Prepared, plan: &Arc<CrashPlan>) -> Trace {
    let mut person = prepared.person.clone();
    let rig = prepared.rig.fork();
    let before = (rig.sandbox.effects().len(), rig.sent.lock().unwrap().len());
    let struck = scenario.strike.map(|(strike, request)| {
        let (_, fault, after) = STRIKES[strike].clone();
        let rule = FaultRule::new(fault).window(u64::try_from(request).unwrap(), 1);
        if after { rule.after_effect() } else { rule }
    });
    rig.sandbox.set_faults(scenario.failing.rule().into_iter().chain(struck).collect());
    for _ in 0..MOST_ACTS {
        if plan.has_crashed() {
            rig.settle().await;
        } else {
            rig.settle_through(plan).await;
        }
        if !person.act(&rig, scenario.journey).await {
            return Trace::of(&rig, plan, before, person.acts);
        }
    }
    let deployment = rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.unwrap();
    panic!("{scenario}: no end after {:?}: {:#}", person.acts, deployment.body["status"]["conditions"]);
}

/// Acts in a journey, at most.
const MOST_ACTS: usize = 10;

/// The person who decides, as somebody would who wants the journey to end.
#[derive(Clone, Default)]
struct Person {
    acts: Vec<String>,
}

impl Person {
    /// Decides on the first thing that waits for a person. False when nothing does.
    async fn act(&mut self, rig: &Rig, journey: Journey) -> bool {
        let Some((subject, act)) = self.next(rig, journey).await else { return false };
        if act == "Retry" || reason(&subject) == "UndoFailed" {
            // Whoever decides that it goes on has seen to what failed.
            rig.sandbox.set_faults(Vec::new());
        }
        self.decide(rig, &subject, act).await;
        true
    }

    async fn next(&self, rig: &Rig, journey: Journey) -> Option<(Arc<Object>, &'static str)> {
        let mut requests: Vec<Arc<Object>> = rig.all(REQUEST.kind);
        requests.sort_by_key(|request| request.body["spec"]["attempt"].as_u64());
        let deployment = rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await?;
        let schemas = rig.all(SCHEMA.kind);
        let once = |object: &Object, act: &str| !self.acts.contains(&said(object, act));
        let newest = requests.last()?.clone();
        let stuck = requests.iter().find(|request| reason(request) == "UndoFailed").cloned();
        let offers = |object: &Object, act: &str| {
            object.body["status"]["decision"]["acts"].as_array().is_some_and(|acts| acts.iter().any(|offered| offered == act))
        };
        if let Some(stuck) = stuck {
            let act = if offers(&stuck, "Retry") { "Retry" } else { "Rollback" };
            return Some((stuck, act));
        }
        if let Some(removed) = requests.into_iter().find(|request| offers(request, "ConfirmRollback")) {
            return Some((removed, "ConfirmRollback"));
        }
        if offers(&deployment, "Retry") {
            return Some((deployment, "Retry"));
        }
        let state = newest.body["status"]["state"].as_str()?.to_owned();
        match state.as_str() {
            "MANUAL_VERIFICATION" => Some((newest, "Verify")),
            "FAILED" if journey != Journey::Provision => Some((newest, "Retry")),
            "COMPLETED" if journey == Journey::Rollback && once(&newest, "Rollback") => Some((newest, "Rollback")),
            "COMPLETED" if journey == Journey::Propagate => schemas
                .into_iter()
                .find(|schema| offers(schema, "ValidatePropagation") && once(schema, "ValidatePropagation"))
                .map(|schema| (schema, "ValidatePropagation")),
            _ => None,
        }
    }

    async fn decide(&mut self, rig: &Rig, subject: &Object, act: &str) {
        let namespace = if subject.namespace().is_empty() { "mandate-system" } else { subject.namespace() };
        let name = format!("act-{}", rig.all("OperatorDecision").len());
        rig.decide(subject, act, |document: &mut Value| {
            document["metadata"] = json!({"name": name, "namespace": namespace});
            document["spec"]["subject"]["kind"] = subject.resource.kind.into();
            document["spec"]["note"] = "as agreed".into();
            if !matches!(act, "Verify" | "ConfirmRollback") {
                document["spec"]["checklist"] = json!([]);
            }
        })
        .await;
        self.acts.push(said(subject, act));
    }
}

fn said(subject: &Object, act: &str) -> String {
    format!("{act} {}", subject.name())
}
