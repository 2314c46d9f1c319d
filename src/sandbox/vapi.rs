//! VAPI assistants, from the types of the vendor's own server SDK.
//!
//! There is no idempotency key, no filter by name or metadata and no cursor: callers find their own by `metadata` and page by
//! creation time. Nested plans are kept as given and not checked.

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::call::{Call, Reply};
use super::json::{self, ObjectText, compact};
use super::log::{Draft, LogError, Operation, Vendor};
use super::state::{Context, Resource, written};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
const NAME_CHARACTERS: usize = 40;
const DURATION_SECONDS: std::ops::RangeInclusive<f64> = 10.0..=43_200.0;
const ORGANISATION: &str = "5a9db0c0-0000-4000-8000-000000000001";

/// The members an assistant may be created and patched with.
const MEMBERS: [&str; 31] = [
    "transcriber",
    "model",
    "voice",
    "firstMessage",
    "firstMessageInterruptionsEnabled",
    "firstMessageMode",
    "voicemailDetection",
    "clientMessages",
    "serverMessages",
    "maxDurationSeconds",
    "backgroundSound",
    "modelOutputInMessagesEnabled",
    "transportConfigurations",
    "observabilityPlan",
    "credentials",
    "hooks",
    "name",
    "voicemailMessage",
    "endCallMessage",
    "endCallPhrases",
    "compliancePlan",
    "metadata",
    "backgroundSpeechDenoisingPlan",
    "analysisPlan",
    "artifactPlan",
    "startSpeakingPlan",
    "stopSpeakingPlan",
    "monitorPlan",
    "credentialIds",
    "server",
    "keypadInputPlan",
];

/// Why VAPI refuses.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("Invalid Key. Hot tip, you may be using the private key instead of the public key, or vice versa.")]
    Key,
    #[error("Cannot {0} {1}")]
    NoSuchRoute(Method, String),
    #[error("Assistant not found.")]
    NoSuchAssistant,
    #[error("{0}")]
    Unreadable(serde_json::Error),
    #[error("validation failed")]
    Invalid(Vec<String>),
    #[error("{0}")]
    Log(#[from] LogError),
}

impl Refusal {
    fn reply(&self) -> Reply {
        let status = match self {
            Self::Key => StatusCode::UNAUTHORIZED,
            Self::NoSuchRoute(..) | Self::NoSuchAssistant => StatusCode::NOT_FOUND,
            Self::Unreadable(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let message = if let Self::Invalid(messages) = self { compact(messages) } else { compact(&self.to_string()) };
        shaped(status, &message)
    }
}

/// One assistant: the caller's members as compact JSON text, and what the server adds.
#[derive(Debug, Clone)]
pub(super) struct Assistant {
    id: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    members: Box<str>,
    label: String,
    digest: String,
}

impl Assistant {
    fn new(id: String, created_at: Timestamp, updated_at: Timestamp, members: Map<String, Value>) -> Self {
        let label = match (members.get("metadata"), members.get("name").and_then(Value::as_str)) {
            (Some(metadata), _) => json::canonical(metadata),
            (None, name) => name.unwrap_or_default().to_owned(),
        };
        let members = Value::Object(members);
        Self { id, created_at, updated_at, digest: json::digest(&members), members: compact(&members).into(), label }
    }

    /// Reads back what [`Assistant::rendered`] wrote.
    pub(super) fn restored(record: &Value) -> Result<Self, String> {
        let mut members = record.as_object().cloned().ok_or("an assistant is an object")?;
        let mut text = |key: &str| match members.remove(key) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(format!("{key} is not text: {other}")),
            None => Err(format!("{key} is missing")),
        };
        let id = text("id")?;
        text("orgId")?;
        let mut time = |key| text(key)?.parse::<Timestamp>().map_err(|error| error.to_string());
        let created_at = time("createdAt")?;
        let updated_at = time("updatedAt")?;
        Ok(Self::new(id, created_at, updated_at, members))
    }

    fn members(&self) -> Map<String, Value> {
        serde_json::from_str(&self.members).unwrap_or_default()
    }

    fn rendered(&self) -> String {
        ObjectText::with_capacity(self.members.len() + 256)
            .value("id", &self.id)
            .value("orgId", ORGANISATION)
            .value("createdAt", &written(self.created_at))
            .value("updatedAt", &written(self.updated_at))
            .members_of(&self.members)
            .finish()
    }

    fn draft(&self, operation: Operation) -> Draft {
        Draft { vendor: Vendor::Vapi, operation, id: self.id.clone(), label: self.label.clone(), digest: self.digest.clone() }
    }
}

impl Resource for Assistant {
    fn id(&self) -> &str {
        &self.id
    }
}

/// Answers any request below `/vapi`.
pub(super) fn answer(context: &mut Context<'_>, key: &str, call: &Call) -> Reply {
    if call.bearer() != Some(key) {
        return Refusal::Key.reply();
    }
    let segments = call.segments();
    let answered = match (&call.method, segments.as_slice()) {
        (&Method::POST, ["assistant"]) => create(context, call).map(Reply::created),
        (&Method::GET, ["assistant"]) => list(context, call).map(Reply::ok),
        (&Method::GET, ["assistant", id]) => {
            context.state.assistants.read(id, context.now).ok_or(Refusal::NoSuchAssistant).map(|found| Reply::ok(found.rendered()))
        }
        (&Method::PATCH, ["assistant", id]) => update(context, call, id).map(Reply::ok),
        (&Method::DELETE, ["assistant", id]) => delete(context, id).map(Reply::ok),
        (method, _) => Err(Refusal::NoSuchRoute(method.clone(), format!("/{}", segments.join("/")))),
    };
    answered.unwrap_or_else(|refusal| refusal.reply())
}

/// An error as VAPI words it, for faults that are not its own.
pub(super) fn error(status: StatusCode, message: &str) -> Reply {
    if status == StatusCode::UNAUTHORIZED { Refusal::Key.reply() } else { shaped(status, &compact(message)) }
}

fn shaped(status: StatusCode, message: &str) -> Reply {
    let body = ObjectText::with_capacity(128)
        .raw("message", message)
        .value("error", status.canonical_reason().unwrap_or("Error"))
        .value("statusCode", &status.as_u16())
        .finish();
    Reply { status, body }
}

fn create(context: &mut Context<'_>, call: &Call) -> Result<String, Refusal> {
    let mut members = checked(call)?;
    members.retain(|_, value| !value.is_null());
    spoil(&mut members, context);
    let assistant = Assistant::new(context.uuid().to_string(), context.now, context.now, members);
    settle(context, Operation::Create, assistant)
}

fn update(context: &mut Context<'_>, call: &Call, id: &str) -> Result<String, Refusal> {
    let before = context.state.assistants.get(id).ok_or(Refusal::NoSuchAssistant)?.clone();
    let mut members = before.members();
    for (key, value) in checked(call)? {
        if value.is_null() {
            members.remove(&key)
        } else {
            members.insert(key, value)
        };
    }
    spoil(&mut members, context);
    let after = Assistant::new(before.id, before.created_at, context.now, members);
    settle(context, Operation::Update, after)
}

/// What was ordered to go wrong with the effect.
fn spoil(members: &mut Map<String, Value>, context: &Context<'_>) {
    if context.flaws.content_changed {
        members.insert("firstMessage".into(), "changed".into());
    }
    if context.flaws.server_dropped {
        members.remove("server");
    }
}

fn delete(context: &mut Context<'_>, id: &str) -> Result<String, Refusal> {
    let assistant = context.state.assistants.get(id).ok_or(Refusal::NoSuchAssistant)?.clone();
    context.record(assistant.draft(Operation::Delete), None)?;
    context.state.assistants.remove(id);
    Ok(assistant.rendered())
}

fn settle(context: &mut Context<'_>, operation: Operation, assistant: Assistant) -> Result<String, Refusal> {
    let rendered = assistant.rendered();
    context.record(assistant.draft(operation), Some(&rendered))?;
    let visible_from = context.visible_from();
    context.state.assistants.put(assistant, visible_from);
    Ok(rendered)
}

fn list(context: &Context<'_>, call: &Call) -> Result<String, Refusal> {
    let mut limit = DEFAULT_LIMIT;
    let mut bounds = Vec::new();
    let mut problems = Vec::new();
    for (parameter, value) in call.query() {
        if parameter == "limit" {
            match value.parse() {
                Ok(number) if number <= MAX_LIMIT => limit = number,
                Ok(_) => problems.push(format!("limit must not be greater than {MAX_LIMIT}")),
                Err(_) => problems.push(String::from("limit must be an integer number")),
            }
            continue;
        }
        match Bound::parsed(&parameter, &value) {
            Some(Ok(bound)) => bounds.push(bound),
            Some(Err(())) => problems.push(format!("{parameter} must be a valid ISO 8601 date string")),
            None => problems.push(format!("property {parameter} should not exist")),
        }
    }
    if !problems.is_empty() {
        return Err(Refusal::Invalid(problems));
    }
    let newest_first = context.state.assistants.list(context.now).rev();
    let matching = newest_first.filter(|assistant| bounds.iter().all(|bound| bound.admits(assistant)));
    Ok(json::array(matching.take(limit).map(Assistant::rendered)))
}

/// One of the eight time filters: `createdAt` or `updatedAt`, with `Gt`, `Lt`, `Ge` or `Le`.
struct Bound {
    created: bool,
    admits: fn(&Timestamp, &Timestamp) -> bool,
    than: Timestamp,
}

impl Bound {
    fn parsed(parameter: &str, value: &str) -> Option<Result<Self, ()>> {
        let (created, comparison) = match (parameter.strip_prefix("createdAt"), parameter.strip_prefix("updatedAt")) {
            (Some(comparison), _) => (true, comparison),
            (None, Some(comparison)) => (false, comparison),
            (None, None) => return None,
        };
        let admits: fn(&Timestamp, &Timestamp) -> bool = match comparison {
            "Gt" => Timestamp::gt,
            "Lt" => Timestamp::lt,
            "Ge" => Timestamp::ge,
            "Le" => Timestamp::le,
            _ => return None,
        };
        Some(value.parse().map(|than| Self { created, admits, than }).map_err(|_| ()))
    }

    fn admits(&self, assistant: &Assistant) -> bool {
        let at = if self.created { assistant.created_at } else { assistant.updated_at };
        (self.admits)(&at, &self.than)
    }
}

fn checked(call: &Call) -> Result<Map<String, Value>, Refusal> {
    let body = call.json().map_err(Refusal::Unreadable)?;
    let Value::Object(members) = body else { return Err(Refusal::Invalid(vec![String::from("body must be an object")])) };
    let mut problems: Vec<String> =
        members.keys().filter(|key| !MEMBERS.contains(&key.as_str())).map(|key| format!("property {key} should not exist")).collect();
    for (key, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        problems.extend(problem_with(key, value));
    }
    if problems.is_empty() { Ok(members) } else { Err(Refusal::Invalid(problems)) }
}

fn problem_with(key: &str, value: &Value) -> Option<String> {
    match key {
        "name" => match value.as_str() {
            None => Some(String::from("name must be a string")),
            Some(name) => (name.chars().count() > NAME_CHARACTERS)
                .then(|| format!("name must be shorter than or equal to {NAME_CHARACTERS} characters")),
        },
        "firstMessage" | "firstMessageMode" | "voicemailMessage" | "endCallMessage" => {
            (!value.is_string()).then(|| format!("{key} must be a string"))
        }
        "metadata" | "model" | "voice" | "transcriber" | "analysisPlan" | "artifactPlan" => {
            (!value.is_object()).then(|| format!("{key} must be an object"))
        }
        "server" => {
            let url = value.get("url");
            let valid = value.is_object() && url.is_none_or(|url| url.as_str().is_some_and(|url| url.parse::<http::Uri>().is_ok()));
            (!valid).then(|| String::from("server.url must be a URL address"))
        }
        "serverMessages" | "clientMessages" | "credentialIds" | "endCallPhrases" | "hooks" => {
            (!value.is_array()).then(|| format!("{key} must be an array"))
        }
        "maxDurationSeconds" => match value.as_f64() {
            None => Some(String::from("maxDurationSeconds must be a number")),
            Some(seconds) if seconds < *DURATION_SECONDS.start() => Some(String::from("maxDurationSeconds must not be less than 10")),
            Some(seconds) => (seconds > *DURATION_SECONDS.end()).then(|| String::from("maxDurationSeconds must not be greater than 43200")),
        },
        _ => None,
    }
}
