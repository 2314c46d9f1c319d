//! `mandate decide`: a person's act on what an object offers. It shows what will happen, then writes one OperatorDecision
//! and says what became of it.

use std::time::Duration;

use clap::{Args, ValueEnum};
use http::Request;
use kube::Client;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::connect::{self, Connection};
use super::{CommandError, Ended, Format, print};
use crate::engine::port::{Clock, SystemClock};
use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::operatordecision::api::{DECISION, DecisionSubject, DecisionVerdict, OperatorDecisionSpec, decision_name};
use crate::kinds::provisioningrequest::api::REQUEST;
use crate::kinds::provisioningschema::api::SCHEMA;
use crate::kinds::tenant::api::{TENANT, TENANT_LABEL};
use crate::model::decision::{self, Act, Offer, Stand, Via};
use crate::model::journal::{CallEntry, Journal};
use crate::model::pointer;
use crate::model::resource::{NAMESPACE, Resource};
use crate::model::time::Time;

/// Longest wait for the controller to act.
const ACTED: Duration = Duration::from_secs(30);

/// Arguments of `decide`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to decide
    #[arg(value_enum)]
    act: ActArgument,
    /// What is decided on: the name of a ProvisioningRequest, or TYPE/NAME with type preq, adep, pschema or tenant
    subject: String,
    /// Namespace [default: that of the context]; for a schema or a tenant the platform's
    #[arg(short, long)]
    namespace: Option<String>,
    /// The person who decides [default: whoever the API server knows the caller as]
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// An item that was checked; repeat for each
    #[arg(long = "check", value_name = "ITEM", conflicts_with = "all_checks")]
    checks: Vec<String>,
    /// Every item was checked
    #[arg(long)]
    all_checks: bool,
    /// Why, or what was done; reject, release and intervene need it
    #[arg(long)]
    note: Option<String>,
    /// When the decision lapses if it was not acted upon, RFC 3339 UTC: 2026-02-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<jiff::Timestamp>,
    /// Namespace of the platform: decisions about schemas and tenants live there
    #[arg(long, value_name = "NAMESPACE", default_value = "mandate-system")]
    system_namespace: String,
    /// Print the decision as YAML for a pull request instead of writing it: `via: Relay`, since somebody else will apply it
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActArgument {
    Verify,
    Reject,
    Retry,
    Rollback,
    ConfirmRollback,
    Release,
    Intervene,
    ValidatePropagation,
}

impl From<ActArgument> for Act {
    fn from(act: ActArgument) -> Self {
        match act {
            ActArgument::Verify => Self::Verify,
            ActArgument::Reject => Self::Reject,
            ActArgument::Retry => Self::Retry,
            ActArgument::Rollback => Self::Rollback,
            ActArgument::ConfirmRollback => Self::ConfirmRollback,
            ActArgument::Release => Self::Release,
            ActArgument::Intervene => Self::Intervene,
            ActArgument::ValidatePropagation => Self::ValidatePropagation,
        }
    }
}

/// Types that take decisions, by the names that kubectl knows them by.
const TYPES: [(&Resource, [&str; 4]); 4] = [
    (&REQUEST, ["preq", "provisioningrequest", "provisioningrequests", "provisioningrequests.mandate.dev"]),
    (&DEPLOYMENT, ["adep", "assistantdeployment", "assistantdeployments", "assistantdeployments.mandate.dev"]),
    (&SCHEMA, ["pschema", "provisioningschema", "provisioningschemas", "provisioningschemas.mandate.dev"]),
    (&TENANT, ["tenant", "tenants", "tenants.mandate.dev", "tenants"]),
];

/// Resource and name of what is decided on.
fn subject(text: &str) -> Result<(&'static Resource, &str), CommandError> {
    let Some((kind, name)) = text.split_once('/') else { return Ok((&REQUEST, text)) };
    let known = TYPES.iter().find(|(_, names)| names.contains(&kind.to_ascii_lowercase().as_str()));
    let unknown = || CommandError::Failed(format!("{kind} takes no decisions: use preq, adep, pschema or tenant, as in tenant/acme"));
    known.map(|(resource, _)| (*resource, name)).ok_or_else(unknown)
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    super::runtime()?.block_on(decide(arguments))
}

async fn decide(arguments: &Arguments) -> Result<Ended, CommandError> {
    let (resource, name) = subject(&arguments.subject)?;
    let (client, context_namespace) = arguments.connection.client().await?;
    let own = if resource.namespaced { context_namespace } else { arguments.system_namespace.clone() };
    let namespace = arguments.namespace.as_deref().unwrap_or(&own);
    let object = connect::api(client.clone(), resource, namespace).get(name).await.map_err(connect::request_error)?;
    let offer = object.data.pointer("/status/decision").and_then(|offer| Offer::deserialize(offer).ok());
    let offer =
        offer.ok_or_else(|| CommandError::Failed(format!("{} {name} offers no decision now{}", resource.kind, standing(&object.data))))?;
    let operator = operator(arguments, &client).await?;
    let spec = spec(arguments, (resource, name), &object, &offer, operator);
    let (submitter, four_eyes) = eyes(&client, (resource, namespace), &object.data).await;
    let stand = Stand { offer: Some(&offer), submitter: &submitter, four_eyes, now: Time::new(SystemClock.now()) };
    if let Some(refused) = decision::refusal(&spec.submission(), &stand) {
        return Err(CommandError::Failed(format!("{}: {}", refused.reason, refused.message)));
    }
    let decisions = connect::api(client, &DECISION, namespace);
    let existing = decisions.list(&ListParams::default()).await.map_err(connect::request_error)?;
    let decision = free_name(&spec, name, &existing.items)?;
    let document = json!({
        "apiVersion": DECISION.api_version(), "kind": DECISION.kind,
        "metadata": {"name": decision, "namespace": namespace}, "spec": spec,
    });
    announce(&spec, &object.data, &offer);
    if arguments.print {
        print::document(&document, Format::Yaml)?;
        return Ok(Ended::Ok);
    }
    let object: DynamicObject = serde_json::from_value(document).map_err(|error| CommandError::Failed(error.to_string()))?;
    decisions.create(&PostParams::default(), &object).await.map_err(connect::request_error)?;
    let settled = |object: Option<&DynamicObject>| object.is_some_and(|object| pointer::text(&object.data, "/status/verdict").is_some());
    match tokio::time::timeout(ACTED, await_condition(decisions, &decision, settled)).await {
        Ok(Ok(Some(object))) => report(&decision, &object.data),
        Ok(Ok(None)) => Err(CommandError::Failed(format!("OperatorDecision {decision} is gone"))),
        Ok(Err(error)) => Err(CommandError::Unreachable(format!("watching: {error}"))),
        Err(_) => {
            eprintln!("OperatorDecision {decision} is written; the controller has not acted upon it within {} s", ACTED.as_secs());
            Ok(Ended::Timeout)
        }
    }
}

fn spec(
    arguments: &Arguments,
    (resource, name): (&Resource, &str),
    object: &DynamicObject,
    offer: &Offer,
    (operator, via): (String, Via),
) -> OperatorDecisionSpec {
    let act = Act::from(arguments.act);
    let asked = if act.needs_checklist() { offer.checklist.clone() } else { Vec::new() };
    let checklist = if arguments.all_checks { asked } else { arguments.checks.clone() };
    OperatorDecisionSpec {
        subject: DecisionSubject {
            kind: resource.kind.to_owned(),
            name: name.to_owned(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            hash: offer.hash.clone(),
        },
        act,
        operator,
        via,
        checklist,
        note: arguments.note.clone(),
        expires_at: arguments.expires_at.map(Time::new),
    }
}

/// Where an object stands that offers nothing: its state, and what its summary says.
fn standing(object: &Value) -> String {
    let state = pointer::text(object, "/status/state").map(|state| format!(": it is {state}")).unwrap_or_default();
    let said = ready(object).map(|(reason, message)| format!(": {reason}: {message}")).unwrap_or_default();
    format!("{state}{said}")
}

/// Reason and message of an object's summary.
fn ready(object: &Value) -> Option<(&str, &str)> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    Some((pointer::text(ready, "/reason")?, pointer::text(ready, "/message")?))
}

/// Who decides, and how that reaches the server.
async fn operator(arguments: &Arguments, client: &Client) -> Result<(String, Via), CommandError> {
    let caller = whoami(client).await?;
    let operator = arguments.operator.clone().or_else(|| caller.clone());
    let operator = operator.ok_or_else(|| CommandError::Usage("the API server does not tell who you are: name --operator".to_owned()))?;
    let via = if !arguments.print && caller.as_ref() == Some(&operator) { Via::Direct } else { Via::Relay };
    Ok((operator, via))
}

/// Who submitted what is decided on, and whether that must be another. A tenant's release is submitted by whoever proposed it.
async fn eyes(client: &Client, (resource, namespace): (&Resource, &str), object: &Value) -> (String, bool) {
    if resource.namespaced {
        let submitter = pointer::text(object, "/spec/operator").unwrap_or_default().to_owned();
        return (submitter, demands_four_eyes(client, namespace).await);
    }
    let proposal = proposal(object);
    let demanded = proposal.is_some() && object.pointer("/spec/fourEyes") == Some(&Value::Bool(true));
    (proposal.unwrap_or_default().to_owned(), demanded)
}

/// Who proposed the release of a tenant.
fn proposal(object: &Value) -> Option<&str> {
    let taken = object.pointer("/status/journal/decisions")?.as_array()?;
    let release = taken.iter().find(|taken| pointer::text(taken, "/act") == Some("Release"))?;
    pointer::text(release, "/operator")
}

/// Whether the tenant of a namespace is known to demand four eyes. A caller who may not read that learns it from the
/// controller, which asks again.
async fn demands_four_eyes(client: &Client, namespace: &str) -> bool {
    let space = connect::api(client.clone(), &NAMESPACE, "").get(namespace).await.ok();
    let name = space.and_then(|space| space.metadata.labels?.remove(TENANT_LABEL));
    let Some(name) = name else { return false };
    let tenant = connect::api(client.clone(), &TENANT, "").get(&name).await.ok();
    tenant.is_some_and(|tenant| tenant.data.pointer("/spec/fourEyes") == Some(&Value::Bool(true)))
}

/// The name that authentication gave the caller; none where the server does not tell.
async fn whoami(client: &Client) -> Result<Option<String>, CommandError> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string().into_bytes();
    let request =
        Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews").header("content-type", "application/json").body(review);
    let request = request.map_err(|error| CommandError::Failed(error.to_string()))?;
    match client.request::<Value>(request).await {
        Ok(reply) => Ok(pointer::text(&reply, "/status/userInfo/username").map(str::to_owned)),
        Err(kube::Error::Api(_)) => Ok(None),
        Err(error) => Err(connect::request_error(error)),
    }
}

/// The first name whose predecessors are all void, or settled for an act that may be repeated.
fn free_name(spec: &OperatorDecisionSpec, subject: &str, existing: &[DynamicObject]) -> Result<String, CommandError> {
    for number in 1..=1000 {
        let name = decision_name(spec.act, subject, &spec.subject.hash, number);
        let Some(found) = existing.iter().find(|object| object.metadata.name.as_deref() == Some(name.as_str())) else { return Ok(name) };
        let verdict = found.data.pointer("/status/verdict").and_then(|verdict| serde_json::from_value(verdict.clone()).ok());
        match verdict {
            Some(DecisionVerdict::Void | DecisionVerdict::Superseded) => {}
            Some(DecisionVerdict::Accepted) if !spec.act.settles() => {}
            Some(DecisionVerdict::Accepted) => return Err(CommandError::Failed(format!("{name} was accepted: one act once"))),
            None => return Err(CommandError::Failed(format!("{name} is still waiting: kubectl get operatordecision {name} -o wide"))),
        }
    }
    Err(CommandError::Failed("1000 void decisions on one piece of evidence: nothing more is written".to_owned()))
}

/// What will happen, and on which evidence: shown before anything is written.
fn announce(spec: &OperatorDecisionSpec, object: &Value, offer: &Offer) {
    let happens = match spec.act {
        Act::Verify if object.pointer("/spec/pathAttempt").and_then(Value::as_u64).is_some_and(|begun| begun > 1) => {
            "it becomes COMPLETED, takes over from the assistant that serves now, and what that was made of is removed"
        }
        Act::Verify => "it becomes COMPLETED",
        Act::Reject => "it becomes FAILED, and nothing automatic leaves that",
        Act::Retry if spec.subject.kind == DEPLOYMENT.kind => "the cutover or propagation that has stopped goes on where it stopped",
        Act::Retry => "what the attempt left outside is removed, then everything is made anew from PENDING",
        Act::Release
            if spec.subject.kind == TENANT.kind
                && object.pointer("/spec/fourEyes") == Some(&Value::Bool(true))
                && proposal(object).is_none() =>
        {
            "its release is proposed; the tenant demands four eyes, so nothing happens until another operator decides the same"
        }
        Act::Release if spec.subject.kind == TENANT.kind => {
            "the heads of all audit chains in its namespace are put on record in the platform's; then the tenant goes, and the namespace may be deleted with every record in it"
        }
        Act::Rollback => "everything that it left outside is removed, in reverse order; then an operator confirms",
        Act::ConfirmRollback => "it becomes ROLLED_BACK",
        Act::Release => "what it left outside stays as it is, on record, and is nobody's here any more",
        Act::Intervene => "the note is put on record; nothing else changes",
        Act::ValidatePropagation => "the propagation of this revision is closed",
    };
    eprintln!("{:?} {} {}: {happens}", spec.act, spec.subject.kind, spec.subject.name);
    eprintln!("evidence  {}", offer.hash);
    if matches!(spec.act, Act::Retry | Act::Rollback | Act::Release) {
        for line in outside(object) {
            eprintln!("  outside: {line}");
        }
    }
    if spec.act.needs_checklist() {
        for item in &offer.checklist {
            eprintln!("  [{}] {item}", if spec.checklist.contains(item) { 'x' } else { ' ' });
        }
    }
}

/// What a request left, or may have left, outside.
fn outside(object: &Value) -> Vec<String> {
    let journal = object.pointer("/status/journal").and_then(|journal| Journal::deserialize(journal).ok()).unwrap_or_default();
    let line = |(_, call): (_, &CallEntry)| {
        let id = call.result.as_ref().and_then(|result| result.external_id.as_deref());
        format!("{} at Provider {}: {}", call.name, call.provider, id.map_or_else(|| format!("key {}", call.key.mark()), str::to_owned))
    };
    journal.outside().map(line).collect()
}

fn report(name: &str, object: &Value) -> Result<Ended, CommandError> {
    let verdict = pointer::text(object, "/status/verdict").unwrap_or_default();
    let (_, message) = ready(object).unwrap_or_default();
    print::line(&format!("OperatorDecision {name}: {verdict}: {message}"))?;
    Ok(if verdict == "Accepted" { Ended::Ok } else { Ended::Findings })
}
