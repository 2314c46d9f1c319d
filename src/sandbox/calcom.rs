//! Cal.com's API v2 webhooks of one user, from the service's published source.
//!
//! One webhook per subscriber URL and user: a second one is a conflict. `cal-api-version` is accepted and, as there, changes
//! nothing for webhooks. Nothing is ever delivered.

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::json::{self as text, ObjectText, compact};
use super::log::{Draft, LogError, Operation, Vendor};
use super::state::{Context, Resource, written};

const DEFAULT_TAKE: usize = 250;
const USER: u64 = 1;

const TRIGGERS: [&str; 21] = [
    "BOOKING_CREATED",
    "BOOKING_PAYMENT_INITIATED",
    "BOOKING_PAID",
    "BOOKING_RESCHEDULED",
    "BOOKING_REQUESTED",
    "BOOKING_CANCELLED",
    "BOOKING_REJECTED",
    "BOOKING_NO_SHOW_UPDATED",
    "FORM_SUBMITTED",
    "FORM_SUBMITTED_NO_EVENT",
    "MEETING_STARTED",
    "MEETING_ENDED",
    "RECORDING_READY",
    "RECORDING_TRANSCRIPTION_GENERATED",
    "INSTANT_MEETING",
    "OOO_CREATED",
    "AFTER_HOSTS_CAL_VIDEO_NO_SHOW",
    "AFTER_GUESTS_CAL_VIDEO_NO_SHOW",
    "DELEGATION_CREDENTIAL_ERROR",
    "WRONG_ASSIGNMENT_REPORT",
    "ROUTING_FORM_FALLBACK_HIT",
];

/// Why Cal.com refuses.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "No authentication method provided. Either pass an API key as 'Bearer' header or OAuth client credentials as 'x-cal-secret-key' and 'x-cal-client-id' headers"
    )]
    KeyMissing,
    #[error("Your api key is not valid")]
    KeyWrong,
    #[error("Cannot {0} {1}")]
    NoSuchRoute(Method, String),
    #[error("Webhook ({0}) not found")]
    NoSuchWebhook(String),
    #[error("Webhook with this subscriber url already exists for this user")]
    Taken,
    #[error("{0}")]
    Unreadable(serde_json::Error),
    #[error("Bad Request Exception")]
    Invalid(Vec<Problem>),
    #[error("{0}")]
    Log(#[from] LogError),
}

/// One property and the rules it breaks.
#[derive(Debug, Serialize)]
struct Problem {
    property: String,
    constraints: Map<String, Value>,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::KeyMissing | Self::KeyWrong => StatusCode::UNAUTHORIZED,
            Self::NoSuchRoute(..) | Self::NoSuchWebhook(_) => StatusCode::NOT_FOUND,
            Self::Taken => StatusCode::CONFLICT,
            Self::Unreadable(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn reply(&self, path: &str, at: &str) -> Reply {
        shaped(self.status(), &self.to_string(), &self.details(), path, at)
    }

    fn details(&self) -> Value {
        if let Self::Invalid(problems) = self {
            return json!({ "errors": problems });
        }
        let status = self.status();
        json!({ "message": self.to_string(), "error": status.canonical_reason(), "statusCode": status.as_u16() })
    }
}

/// One webhook, as it is stored and shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hook {
    id: String,
    user_id: u64,
    subscriber_url: String,
    triggers: Vec<String>,
    active: bool,
    payload_template: Option<String>,
    secret: Option<String>,
}

impl Hook {
    fn draft(&self, operation: Operation) -> Draft {
        let Self { id, user_id: _, subscriber_url, triggers, active, payload_template, secret } = self;
        let asked = json!({
            "subscriberUrl": subscriber_url,
            "triggers": triggers,
            "active": active,
            "payloadTemplate": payload_template,
            "secret": secret,
        });
        Draft { vendor: Vendor::Calcom, operation, id: id.clone(), label: subscriber_url.clone(), digest: text::digest(&asked) }
    }
}

impl Resource for Hook {
    fn id(&self) -> &str {
        &self.id
    }
}

/// What a caller may send; on a PATCH each member may be absent.
#[derive(Debug, Default)]
struct Asked {
    subscriber_url: Option<String>,
    triggers: Option<Vec<String>>,
    active: Option<bool>,
    payload_template: Option<String>,
    secret: Option<String>,
}

/// Answers any request below `/calcom`.
pub(super) fn answer(context: &mut Context<'_>, key: &str, call: &Call) -> Reply {
    routed(context, key, call).unwrap_or_else(|refusal| refusal.reply(call.uri.path(), &written(context.now)))
}

/// An error as Cal.com words it, for faults that are not its own.
pub(super) fn error(status: StatusCode, message: &str, path: &str, at: &str) -> Reply {
    if status == StatusCode::UNAUTHORIZED {
        return Refusal::KeyWrong.reply(path, at);
    }
    let details = json!({ "message": message, "statusCode": status.as_u16() });
    shaped(status, message, &details, path, at)
}

fn shaped(status: StatusCode, message: &str, details: &Value, path: &str, at: &str) -> Reply {
    let code = match status {
        StatusCode::BAD_REQUEST => "BadRequestException",
        StatusCode::UNAUTHORIZED => "UnauthorizedException",
        StatusCode::NOT_FOUND => "NotFoundException",
        StatusCode::CONFLICT => "ConflictException",
        StatusCode::TOO_MANY_REQUESTS => "ThrottlerException",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailableException",
        _ => "InternalServerErrorException",
    };
    let error = json!({ "code": code, "message": message, "details": details });
    let body = ObjectText::with_capacity(256)
        .value("status", "error")
        .value("timestamp", at)
        .value("path", path.trim_start_matches("/calcom"))
        .value("error", &error)
        .finish();
    Reply { status, body }
}

fn routed(context: &mut Context<'_>, key: &str, call: &Call) -> Result<Reply, Refusal> {
    match call.bearer() {
        None => return Err(Refusal::KeyMissing),
        Some(given) if given != key => return Err(Refusal::KeyWrong),
        Some(_) => {}
    }
    let segments = call.segments();
    match (&call.method, segments.as_slice()) {
        (&Method::POST, ["v2", "webhooks"]) => create(context, call),
        (&Method::GET, ["v2", "webhooks"]) => Ok(list(context, call)),
        (&Method::GET, ["v2", "webhooks", id]) => {
            let hook = context.state.hooks.read(id, context.now).ok_or_else(|| Refusal::NoSuchWebhook((*id).to_owned()))?;
            Ok(Reply::ok(success(&compact(hook))))
        }
        (&Method::PATCH, ["v2", "webhooks", id]) => update(context, call, id),
        (&Method::DELETE, ["v2", "webhooks", id]) => delete(context, id),
        (method, _) => Err(Refusal::NoSuchRoute(method.clone(), format!("/{}", segments.join("/")))),
    }
}

fn success(data: &str) -> String {
    ObjectText::with_capacity(data.len() + 32).value("status", "success").raw("data", data).finish()
}

fn list(context: &Context<'_>, call: &Call) -> Reply {
    let query = call.query();
    let number = |name: &str| query.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse::<usize>().ok());
    let take = number("take").unwrap_or(DEFAULT_TAKE).clamp(1, DEFAULT_TAKE);
    let hooks = context.state.hooks.list(context.now).skip(number("skip").unwrap_or(0)).take(take);
    Reply::ok(success(&text::array(hooks.map(compact))))
}

fn create(context: &mut Context<'_>, call: &Call) -> Result<Reply, Refusal> {
    let asked = checked(call, true)?;
    let Asked { subscriber_url, triggers, active, payload_template, secret } = asked;
    let hook = Hook {
        id: context.uuid().to_string(),
        user_id: USER,
        subscriber_url: subscriber_url.unwrap_or_default(),
        triggers: triggers.unwrap_or_default(),
        active: active.unwrap_or_default(),
        payload_template,
        secret,
    };
    settle(context, Operation::Create, hook).map(Reply::created)
}

fn update(context: &mut Context<'_>, call: &Call, id: &str) -> Result<Reply, Refusal> {
    let mut hook = found(context, id)?;
    let Asked { subscriber_url, triggers, active, payload_template, secret } = checked(call, false)?;
    hook.subscriber_url = subscriber_url.unwrap_or(hook.subscriber_url);
    hook.triggers = triggers.unwrap_or(hook.triggers);
    hook.active = active.unwrap_or(hook.active);
    hook.payload_template = payload_template.or(hook.payload_template);
    hook.secret = secret.or(hook.secret);
    settle(context, Operation::Update, hook).map(Reply::ok)
}

fn delete(context: &mut Context<'_>, id: &str) -> Result<Reply, Refusal> {
    let hook = found(context, id)?;
    context.record(hook.draft(Operation::Delete), None)?;
    context.state.hooks.remove(id);
    Ok(Reply::ok(success(&compact(&hook))))
}

fn found(context: &Context<'_>, id: &str) -> Result<Hook, Refusal> {
    context.state.hooks.get(id).cloned().ok_or_else(|| Refusal::NoSuchWebhook(id.to_owned()))
}

fn settle(context: &mut Context<'_>, operation: Operation, hook: Hook) -> Result<String, Refusal> {
    if context.state.hooks.all().any(|other| other.id != hook.id && other.subscriber_url == hook.subscriber_url) {
        return Err(Refusal::Taken);
    }
    let record = compact(&hook);
    context.record(hook.draft(operation), Some(&record))?;
    let visible_from = context.visible_from();
    context.state.hooks.put(hook, visible_from);
    Ok(success(&record))
}

/// Members that the schema does not have are dropped in silence, as there.
fn checked(call: &Call, whole: bool) -> Result<Asked, Refusal> {
    let body = call.json().map_err(Refusal::Unreadable)?;
    let mut problems = Vec::new();
    let mut wrong = |property: &str, rule: &str, message: &str| {
        let constraints = Map::from_iter([(rule.to_owned(), Value::from(message))]);
        problems.push(Problem { property: property.to_owned(), constraints });
    };
    let member = |key: &str| body.get(key).filter(|value| !value.is_null());
    let needed = |key: &str| member(key).is_some() || whole;
    let text = |key: &str| member(key).and_then(Value::as_str).map(str::to_owned);
    let asked = Asked {
        subscriber_url: text("subscriberUrl"),
        triggers: member("triggers").and_then(Value::as_array).and_then(|items| items.iter().map(trigger).collect()),
        active: member("active").and_then(Value::as_bool),
        payload_template: text("payloadTemplate"),
        secret: text("secret"),
    };
    if needed("active") && asked.active.is_none() {
        wrong("active", "isBoolean", "active must be a boolean value");
    }
    if needed("subscriberUrl") {
        match asked.subscriber_url.as_deref() {
            None => wrong("subscriberUrl", "isString", "subscriberUrl must be a string"),
            Some(url) if !is_web_url(url) => wrong("subscriberUrl", "isUrl", "subscriberUrl must be a URL address"),
            Some(_) => {}
        }
    }
    if needed("triggers") && asked.triggers.is_none() {
        let message = format!("each value in triggers must be one of the following values: {}", TRIGGERS.join(", "));
        wrong("triggers", "isEnum", &message);
    }
    for key in ["payloadTemplate", "secret"] {
        if member(key).is_some_and(|value| !value.is_string()) {
            wrong(key, "isString", &format!("{key} must be a string"));
        }
    }
    if problems.is_empty() { Ok(asked) } else { Err(Refusal::Invalid(problems)) }
}

fn trigger(value: &Value) -> Option<String> {
    value.as_str().filter(|text| TRIGGERS.contains(text)).map(str::to_owned)
}

fn is_web_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}
