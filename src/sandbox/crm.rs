//! A small CRM of a common kind: subscriptions as a plain REST resource, of no vendor in particular.
//!
//! A change to what is so already is no effect. External ids are not unique and an `Idempotency-Key` header is not honoured, so a caller has to look up what it may already
//! have made.

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::json::{self as text, ObjectText, compact};
use super::log::{Draft, LogError, Operation, Vendor};
use super::state::{Context, Resource, written};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 100;
const TEXT_CHARACTERS: std::ops::RangeInclusive<usize> = 1..=200;

/// Why the CRM refuses.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("a valid bearer token is required")]
    Key,
    #[error("no such route")]
    NoSuchRoute,
    #[error("method {0} is not allowed here")]
    Method(Method),
    #[error("subscription {0} does not exist")]
    NoSuchSubscription(String),
    #[error("the body is not a JSON object")]
    Unreadable,
    #[error("{field} {rule}")]
    Invalid { field: String, rule: &'static str },
    #[error("{0}")]
    Log(#[from] LogError),
}

impl Refusal {
    fn reply(&self) -> Reply {
        let (status, code) = match self {
            Self::Key => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::NoSuchRoute | Self::NoSuchSubscription(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Unreadable => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed"),
            Self::Log(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let field = if let Self::Invalid { field, .. } = self { Some(field.as_str()) } else { None };
        shaped(status, code, &self.to_string(), field)
    }
}

/// One subscription, as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscription {
    id: String,
    external_id: String,
    name: String,
    callback_url: String,
    enabled: bool,
    created_at: String,
    updated_at: String,
}

impl Subscription {
    fn draft(&self, operation: Operation) -> Draft {
        let Self { id, external_id, name, callback_url, enabled, created_at: _, updated_at: _ } = self;
        let asked = json!({ "externalId": external_id, "name": name, "callbackUrl": callback_url, "enabled": enabled });
        Draft { vendor: Vendor::Crm, operation, id: id.clone(), label: external_id.clone(), digest: text::digest(&asked) }
    }
}

impl Resource for Subscription {
    fn id(&self) -> &str {
        &self.id
    }
}

/// What a caller may send; on a PATCH each member may be absent.
#[derive(Debug, Default)]
struct Asked {
    external_id: Option<String>,
    name: Option<String>,
    callback_url: Option<String>,
    enabled: Option<bool>,
}

/// Answers any request below `/crm`.
pub(super) fn answer(context: &mut Context<'_>, key: &str, call: &Call) -> Reply {
    routed(context, key, call).unwrap_or_else(|refusal| refusal.reply())
}

/// An error as the CRM words it, for faults that are not its own.
pub(super) fn error(status: StatusCode, message: &str) -> Reply {
    if status == StatusCode::UNAUTHORIZED { Refusal::Key.reply() } else { shaped(status, "unavailable", message, None) }
}

fn shaped(status: StatusCode, code: &str, message: &str, field: Option<&str>) -> Reply {
    let error = json!({ "code": code, "message": message, "field": field });
    Reply { status, body: ObjectText::with_capacity(128).value("error", &error).finish() }
}

fn routed(context: &mut Context<'_>, key: &str, call: &Call) -> Result<Reply, Refusal> {
    if call.bearer() != Some(key) {
        return Err(Refusal::Key);
    }
    let segments = call.segments();
    match (&call.method, segments.as_slice()) {
        (&Method::POST, ["v1", "subscriptions"]) => create(context, call),
        (&Method::GET, ["v1", "subscriptions"]) => list(context, call),
        (&Method::GET, ["v1", "subscriptions", id]) => {
            let found = context.state.subscriptions.read(id, context.now).ok_or_else(|| Refusal::NoSuchSubscription((*id).to_owned()))?;
            Ok(Reply::ok(compact(found)))
        }
        (&Method::PATCH, ["v1", "subscriptions", id]) => update(context, call, id),
        (&Method::DELETE, ["v1", "subscriptions", id]) => delete(context, id),
        (method, ["v1", "subscriptions"] | ["v1", "subscriptions", _]) => Err(Refusal::Method(method.clone())),
        _ => Err(Refusal::NoSuchRoute),
    }
}

fn list(context: &Context<'_>, call: &Call) -> Result<Reply, Refusal> {
    let mut limit = DEFAULT_LIMIT;
    let mut after = None;
    let mut external_id = None;
    let invalid = |field: &str, rule| Refusal::Invalid { field: field.to_owned(), rule };
    for (parameter, value) in call.query() {
        match parameter.as_str() {
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                    .ok_or_else(|| invalid("limit", "must be 1 to 100"))?;
            }
            "cursor" => after = Some(value.parse().map_err(|_| invalid("cursor", "is not one of ours"))?),
            "externalId" => external_id = Some(value),
            unknown => return Err(invalid(unknown, "is not a known parameter")),
        }
    }
    let mut matching = context
        .state
        .subscriptions
        .list_after(after, context.now)
        .filter(|(_, found)| external_id.as_ref().is_none_or(|wanted| found.external_id == *wanted))
        .peekable();
    let page: Vec<(u64, &Subscription)> = matching.by_ref().take(limit).collect();
    let next = matching.peek().and(page.last()).map(|(place, _)| place.to_string());
    let items = text::array(page.iter().map(|(_, found)| compact(found)));
    Ok(Reply::ok(ObjectText::with_capacity(items.len() + 64).raw("items", &items).value("nextCursor", &next).finish()))
}

fn create(context: &mut Context<'_>, call: &Call) -> Result<Reply, Refusal> {
    let Asked { external_id, name, callback_url, enabled } = checked(call)?;
    let missing = |field: &str| Refusal::Invalid { field: field.to_owned(), rule: "is required" };
    let at = written(context.now);
    let subscription = Subscription {
        id: format!("sub_{}", context.uuid().simple()),
        external_id: external_id.ok_or_else(|| missing("externalId"))?,
        name: name.ok_or_else(|| missing("name"))?,
        callback_url: callback_url.ok_or_else(|| missing("callbackUrl"))?,
        enabled: enabled.unwrap_or(true),
        created_at: at.clone(),
        updated_at: at,
    };
    settle(context, Operation::Create, subscription).map(Reply::created)
}

fn update(context: &mut Context<'_>, call: &Call, id: &str) -> Result<Reply, Refusal> {
    let before = found(context, id)?;
    let mut subscription = before.clone();
    let Asked { external_id, name, callback_url, enabled } = checked(call)?;
    subscription.external_id = external_id.unwrap_or(subscription.external_id);
    subscription.name = name.unwrap_or(subscription.name);
    subscription.callback_url = callback_url.unwrap_or(subscription.callback_url);
    subscription.enabled = enabled.unwrap_or(subscription.enabled);
    if subscription == before {
        return Ok(Reply::ok(compact(&before)));
    }
    subscription.updated_at = written(context.now);
    settle(context, Operation::Update, subscription).map(Reply::ok)
}

fn delete(context: &mut Context<'_>, id: &str) -> Result<Reply, Refusal> {
    let subscription = found(context, id)?;
    context.record(subscription.draft(Operation::Delete), None)?;
    context.state.subscriptions.remove(id);
    Ok(Reply::ok(compact(&subscription)))
}

fn found(context: &Context<'_>, id: &str) -> Result<Subscription, Refusal> {
    context.state.subscriptions.get(id).cloned().ok_or_else(|| Refusal::NoSuchSubscription(id.to_owned()))
}

fn settle(context: &mut Context<'_>, operation: Operation, subscription: Subscription) -> Result<String, Refusal> {
    let record = compact(&subscription);
    context.record(subscription.draft(operation), Some(&record))?;
    let visible_from = context.visible_from();
    context.state.subscriptions.put(subscription, visible_from);
    Ok(record)
}

fn checked(call: &Call) -> Result<Asked, Refusal> {
    let Ok(Value::Object(members)) = call.json() else { return Err(Refusal::Unreadable) };
    let mut asked = Asked::default();
    for (key, value) in members {
        let invalid = |rule| Refusal::Invalid { field: key.clone(), rule };
        let text = || {
            let text = value.as_str().ok_or_else(|| invalid("must be a string"))?;
            if TEXT_CHARACTERS.contains(&text.chars().count()) {
                Ok(text.to_owned())
            } else {
                Err(invalid("must be 1 to 200 characters long"))
            }
        };
        match key.as_str() {
            "externalId" => asked.external_id = Some(text()?),
            "name" => asked.name = Some(text()?),
            "callbackUrl" => asked.callback_url = Some(web_url(&value).ok_or_else(|| invalid("must be an http or https URL"))?),
            "enabled" => asked.enabled = Some(value.as_bool().ok_or_else(|| invalid("must be a boolean"))?),
            _ => return Err(invalid("is not a known field")),
        }
    }
    Ok(asked)
}

fn web_url(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let uri: http::Uri = text.parse().ok()?;
    (matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()).then(|| text.to_owned())
}
