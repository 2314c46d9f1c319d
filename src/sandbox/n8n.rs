//! n8n's public API v1 and production webhooks, as observed on a real instance of n8n 2.20.0.
//!
//! Names are not unique, the name filter is a substring match, activation is what registers webhooks, and a PUT on an active
//! workflow publishes at once. Production webhooks answer but run nothing, and dynamic path segments (`:id`) are plain text.

mod document;
mod workflow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::call::{Call, Reply};
use super::json::{self, ObjectText};
use super::log::{Draft, LogError, Operation, Vendor};
use super::state::{Context, Resource as _};

pub(super) use document::{Content, Invalid};
pub(super) use workflow::{Workflow, Workflows};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 250;
const LIST_PARAMETERS: [&str; 7] = ["active", "tags", "name", "projectId", "excludePinnedData", "limit", "cursor"];

/// Why n8n refuses; the text is what it says.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("'X-N8N-API-KEY' header required")]
    KeyMissing,
    #[error("unauthorized")]
    KeyWrong,
    #[error("not found")]
    NoSuchRoute,
    #[error("Not Found")]
    NoSuchWorkflow,
    #[error("{0} method not allowed")]
    Method(Method),
    #[error("unsupported media type {0}")]
    MediaType(String),
    #[error("Failed to parse request body")]
    Unreadable,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("request/query/limit {0}")]
    Limit(&'static str),
    #[error("An invalid cursor was provided")]
    Cursor,
    #[error("Unknown query parameter '{0}'")]
    Parameter(String),
    #[error("There is a conflict with one of the webhooks.")]
    Conflict,
    #[error("Workflow cannot be activated because it has no trigger node. At least one trigger, webhook, or polling node is required.")]
    NoTrigger,
    #[error("{0}")]
    Log(#[from] LogError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::KeyMissing | Self::KeyWrong => StatusCode::UNAUTHORIZED,
            Self::NoSuchRoute | Self::NoSuchWorkflow => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unreadable | Self::Invalid(_) | Self::Limit(_) | Self::Cursor | Self::Parameter(_) | Self::Conflict | Self::NoTrigger => {
                StatusCode::BAD_REQUEST
            }
            Self::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Answers any request below `/n8n`.
pub(super) fn answer(context: &mut Context<'_>, key: &str, call: &Call) -> Reply {
    let segments = call.segments();
    match segments.as_slice() {
        ["healthz"] => Reply::ok(ObjectText::with_capacity(16).value("status", "ok").finish()),
        ["webhook", path @ ..] => production_webhook(context, &call.method, &path.join("/")),
        ["api", "v1", rest @ ..] => api(context, key, call, rest).unwrap_or_else(|refusal| Reply::message(refusal.status(), &refusal)),
        _ => Reply::message(StatusCode::NOT_FOUND, Refusal::NoSuchRoute),
    }
}

/// An error as n8n words it, for faults that are not its own.
pub(super) fn error(status: StatusCode, message: &str) -> Reply {
    if status == StatusCode::UNAUTHORIZED { Reply::message(status, Refusal::KeyWrong) } else { Reply::message(status, message) }
}

fn api(context: &mut Context<'_>, key: &str, call: &Call, segments: &[&str]) -> Result<Reply, Refusal> {
    match call.header("x-n8n-api-key") {
        None => return Err(Refusal::KeyMissing),
        Some(given) if given != key => return Err(Refusal::KeyWrong),
        Some(_) => {}
    }
    let body = match (&call.method, segments) {
        (&Method::GET, ["workflows"]) => list(context, call)?,
        (&Method::POST, ["workflows"]) => create(context, call)?,
        (&Method::GET, ["workflows", id]) => context.state.workflows.read(id, context.now).ok_or(Refusal::NoSuchWorkflow)?.rendered(),
        (&Method::PUT, ["workflows", id]) => update(context, call, id)?,
        (&Method::DELETE, ["workflows", id]) => delete(context, id)?,
        (&Method::POST, ["workflows", id, "activate"]) => activate(context, id)?,
        (&Method::POST, ["workflows", id, "deactivate"]) => deactivate(context, id)?,
        (method, ["workflows"] | ["workflows", _] | ["workflows", _, "activate" | "deactivate"]) => {
            return Err(Refusal::Method(method.clone()));
        }
        _ => return Err(Refusal::NoSuchRoute),
    };
    Ok(Reply::ok(body))
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    limit: usize,
    offset: usize,
}

fn list(context: &Context<'_>, call: &Call) -> Result<String, Refusal> {
    let mut page = Cursor { limit: DEFAULT_LIMIT, offset: 0 };
    let mut name = None;
    let mut active = None;
    let mut tagged = false;
    for (parameter, value) in call.query() {
        match parameter.as_str() {
            "limit" => page.limit = limit(&value)?,
            "cursor" => page = cursor(&value)?,
            "name" => name = Some(value.trim().to_owned()),
            "active" => active = Some(value == "true"),
            "tags" => tagged = !value.is_empty(),
            known if LIST_PARAMETERS.contains(&known) => {}
            unknown => return Err(Refusal::Parameter(unknown.to_owned())),
        }
    }
    // The API cannot set tags, so nothing here has any.
    let mut matching = context
        .state
        .workflows
        .list(context.now)
        .filter(|workflow| !tagged && active.is_none_or(|active| workflow.active() == active))
        .filter(|workflow| name.as_deref().is_none_or(|part| workflow.name().contains(part)))
        .skip(page.offset);
    let data = json::array(matching.by_ref().take(page.limit).map(Workflow::rendered));
    let next = matching.next().map(|_| BASE64.encode(json::compact(&Cursor { limit: page.limit, offset: page.offset + page.limit })));
    Ok(ObjectText::with_capacity(data.len() + 64).raw("data", &data).value("nextCursor", &next).finish())
}

fn limit(text: &str) -> Result<usize, Refusal> {
    match text.parse::<f64>() {
        Err(_) => Err(Refusal::Limit("must be number")),
        Ok(number) if number > 250.0 => Err(Refusal::Limit("must be <= 250")),
        Ok(_) => text.parse().ok().filter(|limit| *limit > 0).ok_or(Refusal::Limit("must be >= 1")),
    }
}

fn cursor(text: &str) -> Result<Cursor, Refusal> {
    let bytes = BASE64.decode(text).map_err(|_| Refusal::Cursor)?;
    let page: Cursor = serde_json::from_slice(&bytes).map_err(|_| Refusal::Cursor)?;
    if page.limit == 0 || page.limit > MAX_LIMIT { Err(Refusal::Cursor) } else { Ok(page) }
}

fn create(context: &mut Context<'_>, call: &Call) -> Result<String, Refusal> {
    let mut content = content(call)?;
    let digest = content.digest();
    content.complete(|| context.uuid());
    if context.flaws.content_changed {
        content.change();
    }
    let workflow = Workflow::created(new_id(context), content, digest, context.now, context.uuid());
    settle(context, Operation::Create, None, workflow)
}

fn update(context: &mut Context<'_>, call: &Call, id: &str) -> Result<String, Refusal> {
    let mut content = content(call)?;
    let before = context.state.workflows.get(id).ok_or(Refusal::NoSuchWorkflow)?.clone();
    let digest = content.digest();
    content.complete(|| context.uuid());
    if context.flaws.content_changed {
        content.change();
    }
    let after = before.revised(content, digest, context.now, context.uuid()).registering(!context.flaws.not_registered);
    publishable(context, &after)?;
    settle(context, Operation::Update, Some(before), after)
}

fn activate(context: &mut Context<'_>, id: &str) -> Result<String, Refusal> {
    let before = context.state.workflows.get(id).ok_or(Refusal::NoSuchWorkflow)?.clone();
    if before.active() {
        return Ok(before.rendered());
    }
    let after = before.activated(context.now).registering(!context.flaws.not_registered);
    publishable(context, &after)?;
    settle(context, Operation::Activate, Some(before), after)
}

fn deactivate(context: &mut Context<'_>, id: &str) -> Result<String, Refusal> {
    let before = context.state.workflows.get(id).ok_or(Refusal::NoSuchWorkflow)?.clone();
    if !before.active() {
        return Ok(before.rendered());
    }
    let after = before.deactivated(context.now);
    settle(context, Operation::Deactivate, Some(before), after)
}

fn delete(context: &mut Context<'_>, id: &str) -> Result<String, Refusal> {
    let workflow = context.state.workflows.get(id).ok_or(Refusal::NoSuchWorkflow)?.clone();
    let mut effects = vec![draft(Operation::Delete, &workflow)];
    effects.extend(webhook_changes(Some(&workflow), None));
    context.record_all(effects, None)?;
    context.state.workflows.remove(id);
    Ok(workflow.rendered())
}

/// Only an active workflow is held to having a trigger and paths of its own.
fn publishable(context: &Context<'_>, workflow: &Workflow) -> Result<(), Refusal> {
    if !workflow.active() {
        return Ok(());
    }
    if !workflow.has_trigger() {
        return Err(Refusal::NoTrigger);
    }
    if context.state.workflows.conflicts(workflow) { Err(Refusal::Conflict) } else { Ok(()) }
}

fn settle(context: &mut Context<'_>, operation: Operation, before: Option<Workflow>, after: Workflow) -> Result<String, Refusal> {
    let mut effects = vec![draft(operation, &after)];
    effects.extend(webhook_changes(before.as_ref(), Some(&after)));
    context.record_all(effects, Some(&after.record()))?;
    let rendered = after.rendered();
    let visible_from = context.visible_from();
    context.state.workflows.put(after, visible_from);
    Ok(rendered)
}

fn content(call: &Call) -> Result<Content, Refusal> {
    match call.header("content-type") {
        Some(kind) if kind.starts_with("application/json") => {}
        other => return Err(Refusal::MediaType(other.unwrap_or("undefined").to_owned())),
    }
    let body = call.json().map_err(|_| Refusal::Unreadable)?;
    Ok(Content::from_request(&body)?)
}

fn draft(operation: Operation, workflow: &Workflow) -> Draft {
    Draft {
        vendor: Vendor::N8n,
        operation,
        id: workflow.id().to_owned(),
        label: workflow.name().to_owned(),
        digest: workflow.digest().to_owned(),
    }
}

fn webhook_changes(before: Option<&Workflow>, after: Option<&Workflow>) -> Vec<Draft> {
    let old = before.map(Workflow::live_webhooks).unwrap_or_default();
    let new = after.map(Workflow::live_webhooks).unwrap_or_default();
    let Some(workflow) = after.or(before) else { return Vec::new() };
    let change = |operation| {
        move |webhook: &workflow::Webhook| {
            let label = format!("{} {}", webhook.method, webhook.path);
            Draft { label: label.clone(), digest: json::digest(&label.into()), ..draft(operation, workflow) }
        }
    };
    let gone = old.iter().filter(|webhook| !new.contains(webhook)).map(change(Operation::UnregisterWebhook));
    let added = new.iter().filter(|webhook| !old.contains(webhook)).map(change(Operation::RegisterWebhook));
    gone.chain(added).collect()
}

/// 16 alphanumerics. Base 62 of the whole number, so that ids that count up stay different.
fn new_id(context: &Context<'_>) -> String {
    loop {
        let id = alphanumeric(context.uuid());
        if context.state.workflows.get(&id).is_none() {
            return id;
        }
    }
}

fn alphanumeric(uuid: Uuid) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = uuid.as_u128();
    let mut id = String::with_capacity(16);
    for _ in 0..16 {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        id.push(char::from(DIGITS.get(digit).copied().unwrap_or(b'0')));
        rest /= 62;
    }
    id
}

fn production_webhook(context: &Context<'_>, method: &Method, path: &str) -> Reply {
    let methods = context.state.workflows.methods_at(path);
    if methods.contains(&method.as_str()) {
        return Reply::message(StatusCode::OK, "Workflow was started");
    }
    let refusal = ObjectText::with_capacity(256).value("code", &404);
    let refusal = match methods.as_slice() {
        [] => refusal
            .value("message", &format!("The requested webhook \"{method} {path}\" is not registered."))
            .value("hint", UNREGISTERED_HINT),
        [others @ .., last] => {
            let right = if others.is_empty() { (*last).to_owned() } else { format!("{} or {last}", others.join(", ")) };
            let message = format!("This webhook is not registered for {method} requests. Did you mean to make a {right} request?");
            refusal.value("message", &message)
        }
    };
    Reply { status: StatusCode::NOT_FOUND, body: refusal.finish() }
}

const UNREGISTERED_HINT: &str = "The workflow must be active for a production URL to run successfully.";
