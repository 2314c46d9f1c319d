//! `mandate decide`: a person's act on what a request offers. It shows what will happen, then writes one OperatorDecision
//! and says what became of it.

use std::time::Duration;

use clap::{Args, ValueEnum};
use http::Request;
use kube::Client;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use super::connect::{self, Connection};
use super::{CommandError, Ended, Format, print};
use crate::engine::port::{Clock, SystemClock};
use crate::kinds::operatordecision::api::{DECISION, DecisionSubject, DecisionVerdict, OperatorDecisionSpec, decision_name};
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, REQUEST};
use crate::model::decision::{self, Act, Offer, Stand, Via};
use crate::model::pointer;
use crate::model::time::Time;

/// Longest wait for the controller to act.
const ACTED: Duration = Duration::from_secs(30);

/// Arguments of `decide`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to decide
    #[arg(value_enum)]
    act: ActArgument,
    /// Name of the ProvisioningRequest
    request: String,
    /// Namespace [default: that of the context]
    #[arg(short, long)]
    namespace: Option<String>,
    /// The person who decides
    #[arg(long, value_name = "NAME")]
    operator: String,
    /// An item that was checked; repeat for each
    #[arg(long = "check", value_name = "ITEM", conflicts_with = "all_checks")]
    checks: Vec<String>,
    /// Every item was checked
    #[arg(long)]
    all_checks: bool,
    /// Why; reject needs it
    #[arg(long)]
    note: Option<String>,
    /// When the decision lapses if it was not acted upon, RFC 3339 UTC: 2026-02-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<jiff::Timestamp>,
    /// Print the decision as YAML for a pull request instead of writing it
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActArgument {
    Verify,
    Reject,
}

impl From<ActArgument> for Act {
    fn from(act: ActArgument) -> Self {
        match act {
            ActArgument::Verify => Self::Verify,
            ActArgument::Reject => Self::Reject,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    super::runtime()?.block_on(decide(arguments))
}

async fn decide(arguments: &Arguments) -> Result<Ended, CommandError> {
    let (client, context_namespace) = arguments.connection.client().await?;
    let namespace = arguments.namespace.as_deref().unwrap_or(&context_namespace);
    let requests = connect::api(client.clone(), &REQUEST, namespace);
    let object = requests.get(&arguments.request).await.map_err(connect::request_error)?;
    let request: ProvisioningRequest = object.try_parse().map_err(|error| CommandError::Failed(format!("reading the request: {error}")))?;
    let offer = request.status.clone().unwrap_or_default().decision.ok_or_else(|| {
        let state = request.status.as_ref().and_then(|status| status.state).unwrap_or_default();
        CommandError::Failed(format!("ProvisioningRequest {} offers no decision now: it is {state}", arguments.request))
    })?;
    let via = if whoami(&client).await?.as_deref() == Some(arguments.operator.as_str()) { Via::Direct } else { Via::Relay };
    let spec = spec(arguments, &request, &offer, via);
    let stand = Stand { offer: Some(&offer), submitter: &request.spec.operator, four_eyes: false, now: Time::new(SystemClock.now()) };
    if let Some(refused) = decision::refusal(&spec.submission(), &stand) {
        return Err(CommandError::Failed(format!("{}: {}", refused.reason, refused.message)));
    }
    let decisions = connect::api(client, &DECISION, namespace);
    let existing = decisions.list(&ListParams::default()).await.map_err(connect::request_error)?;
    let name = free_name(&spec, &arguments.request, &existing.items)?;
    let document = json!({
        "apiVersion": DECISION.api_version(), "kind": DECISION.kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    });
    if arguments.print {
        print::document(&document, Format::Yaml)?;
        return Ok(Ended::Ok);
    }
    announce(&spec, &arguments.request, &offer);
    let object: DynamicObject = serde_json::from_value(document).map_err(|error| CommandError::Failed(error.to_string()))?;
    decisions.create(&PostParams::default(), &object).await.map_err(connect::request_error)?;
    let settled = |object: Option<&DynamicObject>| object.is_some_and(|object| pointer::text(&object.data, "/status/verdict").is_some());
    match tokio::time::timeout(ACTED, await_condition(decisions, &name, settled)).await {
        Ok(Ok(Some(object))) => report(&name, &object.data),
        Ok(Ok(None)) => Err(CommandError::Failed(format!("OperatorDecision {name} is gone"))),
        Ok(Err(error)) => Err(CommandError::Unreachable(format!("watching: {error}"))),
        Err(_) => {
            eprintln!("OperatorDecision {name} is written; the controller has not acted upon it within {} s", ACTED.as_secs());
            Ok(Ended::Timeout)
        }
    }
}

fn spec(arguments: &Arguments, request: &ProvisioningRequest, offer: &Offer, via: Via) -> OperatorDecisionSpec {
    let act = Act::from(arguments.act);
    let checklist = if arguments.all_checks { offer.checklist.clone() } else { arguments.checks.clone() };
    OperatorDecisionSpec {
        subject: DecisionSubject {
            kind: REQUEST.kind.to_owned(),
            name: arguments.request.clone(),
            uid: request.metadata.uid.clone().unwrap_or_default(),
            hash: offer.hash.clone(),
        },
        act,
        operator: arguments.operator.clone(),
        via,
        checklist,
        note: arguments.note.clone(),
        expires_at: arguments.expires_at.map(Time::new),
    }
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

/// The first name whose predecessors are all void.
fn free_name(spec: &OperatorDecisionSpec, request: &str, existing: &[DynamicObject]) -> Result<String, CommandError> {
    for number in 1..=1000 {
        let name = decision_name(spec.act, request, &spec.subject.hash, number);
        let Some(found) = existing.iter().find(|object| object.metadata.name.as_deref() == Some(name.as_str())) else { return Ok(name) };
        let verdict = found.data.pointer("/status/verdict").and_then(|verdict| serde_json::from_value(verdict.clone()).ok());
        match verdict {
            Some(DecisionVerdict::Void | DecisionVerdict::Superseded) => {}
            Some(DecisionVerdict::Accepted) => return Err(CommandError::Failed(format!("{name} was accepted: one act once"))),
            None => return Err(CommandError::Failed(format!("{name} is still waiting: kubectl get operatordecision {name} -o wide"))),
        }
    }
    Err(CommandError::Failed("1000 void decisions on one piece of evidence: nothing more is written".to_owned()))
}

fn announce(spec: &OperatorDecisionSpec, request: &str, offer: &Offer) {
    let happens = match spec.act {
        Act::Verify => "it becomes COMPLETED",
        Act::Reject => "it becomes FAILED, and nothing automatic leaves that",
        Act::Retry => "its leftovers are removed, and the next attempt begins anew",
        Act::Rollback => "everything it left outside is removed, in reverse order",
        Act::ConfirmRollback => "it becomes ROLLED_BACK",
        Act::Release => "what it left outside stays there, and is on record",
        Act::Intervene => "what was done by hand is put on record",
        Act::ValidatePropagation => "the propagation is closed",
    };
    eprintln!("{:?} ProvisioningRequest {request}: {happens}", spec.act);
    eprintln!("evidence  {}", offer.hash);
    for item in &offer.checklist {
        eprintln!("  [{}] {item}", if spec.checklist.contains(item) { 'x' } else { ' ' });
    }
}

fn report(name: &str, object: &Value) -> Result<Ended, CommandError> {
    let verdict = pointer::text(object, "/status/verdict").unwrap_or_default();
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.and_then(|list| list.iter().find(|condition| condition["type"] == "Ready"));
    let message = ready.and_then(|ready| ready.get("message")).and_then(Value::as_str).unwrap_or_default();
    print::line(&format!("OperatorDecision {name}: {verdict}: {message}"))?;
    Ok(if verdict == "Accepted" { Ended::Ok } else { Ended::Findings })
}
