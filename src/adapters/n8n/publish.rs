//! Webhook paths and activation: repeating it changes nothing.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{WORKFLOWS, node, node_mut, webhook_id, workflow_by_id, writable};
use crate::adapters::faults::Refusal;
use crate::adapters::reply::Reply;
use crate::adapters::session::{Known, Session, Written};
use crate::adapters::url;
use crate::engine::outcome::Outcome;
use crate::model::call::WebhookPath;
use crate::model::journal::Evidence;
use crate::model::workflow::WEBHOOK_PATH;
use crate::model::{canonical, pointer};

const PUBLISHED_TYPE: &str = "mandate.dev/PublishedWebhooks/v1";
/// Methods to ask an n8n webhook with; one that it does not take is answered without running the workflow.
const METHODS: [&str; 4] = ["PUT", "PATCH", "DELETE", "GET"];
/// How n8n ends the answer about a path that nothing is registered at.
const UNREGISTERED: &str = "is not registered.";
/// How n8n begins the answer about a path that is registered for other methods.
const WRONG_METHOD: &str = "This webhook is not registered for ";
/// What n8n says when another active workflow holds a path.
const CONFLICT: &str = "conflict with one of the webhooks";

/// Gives a workflow its webhook paths, activates it, and proves that n8n answers at them.
pub(in crate::adapters) async fn publish_webhooks(session: &mut Session<'_>, id: &str, webhooks: &[WebhookPath]) -> Known<Evidence> {
    let mut urls = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let Some(path) = url::path(&webhook.path) else {
            return Err(session.refused(Refusal::InputsInvalid, &webhook.path, format!("{:?} is no webhook path", webhook.path)));
        };
        urls.push(format!("{}/webhook/{path}", session.call.provider.base_url.trim_end_matches('/')));
    }
    let before = present(session, id).await?;
    let published = if is_published(&before, webhooks) { before } else { publish(session, id, &before, webhooks).await? };
    for webhook in webhooks {
        registered(session, id, &published, webhook).await?;
    }
    let paths: Vec<&str> = webhooks.iter().map(|webhook| webhook.path.as_str()).collect();
    let document = json!({"@type": PUBLISHED_TYPE, "workflowId": id, "paths": paths});
    Ok(Evidence { external_id: Some(id.to_owned()), digest: canonical::own(&document).ok().map(|text| text.digest()), urls, absent: false })
}

async fn present(session: &mut Session<'_>, id: &str) -> Known<Value> {
    let mut looks = session.looks_before();
    loop {
        if let Some(document) = workflow_by_id(session, id).await? {
            return Ok(document);
        }
        if !looks.again().await {
            return Err(missing(session, id));
        }
    }
}

fn is_published(document: &Value, webhooks: &[WebhookPath]) -> bool {
    document.get("active") == Some(&Value::Bool(true)) && has_paths(document, webhooks)
}

fn has_paths(document: &Value, webhooks: &[WebhookPath]) -> bool {
    webhooks
        .iter()
        .all(|webhook| node(document, &webhook.node).and_then(|node| pointer::text(node, WEBHOOK_PATH)) == Some(webhook.path.as_str()))
}

/// Writes the paths where they differ, activates, and reads back.
async fn publish(session: &mut Session<'_>, id: &str, before: &Value, webhooks: &[WebhookPath]) -> Known<Value> {
    // The id was read with, so it is a segment.
    let path = format!("{WORKFLOWS}/{}", url::encoded(id));
    if !has_paths(before, webhooks) {
        let body = with_paths(session, id, before, webhooks)?;
        written(session, id, webhooks, Method::PUT, &path, Some(&body)).await?;
    }
    if before.get("active") != Some(&Value::Bool(true)) {
        written(session, id, webhooks, Method::POST, &format!("{path}/activate"), None).await?;
    }
    let mut looks = session.looks_after();
    loop {
        match workflow_by_id(session, id).await? {
            Some(document) if is_published(&document, webhooks) => return Ok(document),
            Some(_) | None if looks.again().await => {}
            Some(_) => {
                let message = format!("workflow {id} was activated with its paths, but reads back without");
                return Err(session.refused(Refusal::ResourceDiffers, &format!("workflow {id}"), message));
            }
            None => return Err(missing(session, id)),
        }
    }
}

fn with_paths(session: &Session<'_>, id: &str, before: &Value, webhooks: &[WebhookPath]) -> Known<Value> {
    let name = pointer::text(before, "/name").unwrap_or_default();
    let mut body = writable(before, name);
    for webhook in webhooks {
        let set = node_mut(&mut body, &webhook.node).and_then(|node| {
            let own = webhook_id(session, &webhook.node);
            let kept = node.entry("webhookId").or_insert(own.clone());
            if kept.as_str().is_none_or(str::is_empty) {
                *kept = own;
            }
            node.get_mut("parameters")?.as_object_mut()?.insert("path".into(), webhook.path.clone().into())
        });
        if set.is_none() {
            let message = format!("workflow {id} has no webhook node {:?} with a path", webhook.node);
            return Err(session.refused(Refusal::ResourceDiffers, &format!("workflow {id}"), message));
        }
    }
    Ok(body)
}

async fn written(
    session: &mut Session<'_>,
    id: &str,
    webhooks: &[WebhookPath],
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Known<()> {
    match session.write(method, path, body).await? {
        // What was done is read back; the reply itself proves nothing.
        Written::Done(_) => Ok(()),
        Written::Refused(reply) => Err(refusal(session, id, webhooks, &reply)),
    }
}

fn refusal(session: &Session<'_>, id: &str, webhooks: &[WebhookPath], reply: &Reply) -> Outcome {
    let said = session.said(reply);
    let object = format!("workflow {id}");
    if reply.status == StatusCode::NOT_FOUND && reply.document::<Value>().is_ok() {
        return missing(session, id);
    }
    if reply.status == StatusCode::BAD_REQUEST && said.contains(CONFLICT) {
        let paths: Vec<&str> = webhooks.iter().map(|webhook| webhook.path.as_str()).collect();
        let message = format!("workflow {id}: another active workflow holds one of the paths {}", paths.join(", "));
        return session.refused(Refusal::WebhookConflict, &object, message);
    }
    let kind = if reply.status.is_redirection() { Refusal::BadReply } else { Refusal::RequestRefused };
    session.refused(kind, &object, format!("publishing workflow {id}: provider {} answered {said}", session.call.provider.name))
}

fn missing(session: &Session<'_>, id: &str) -> Outcome {
    let message = format!("workflow {id} does not exist in provider {}", session.call.provider.name);
    session.refused(Refusal::ResourceMissing, &format!("workflow {id}"), message)
}

/// Proves that n8n answers at a path, without running the workflow: a method that the webhook does not take is refused in one
/// way where the path is registered, in another where it is not.
async fn registered(session: &mut Session<'_>, id: &str, document: &Value, webhook: &WebhookPath) -> Known<()> {
    let Some(method) = refused_method(node(document, &webhook.node)) else { return Ok(()) };
    let Some(path) = url::path(&webhook.path) else { return Ok(()) };
    let mut looks = session.looks_after();
    loop {
        let reply = session.probe(method.clone(), &format!("/webhook/{path}")).await?;
        let answer: Value = reply.document().unwrap_or_default();
        let message = pointer::text(&answer, "/message").unwrap_or_default();
        if reply.status == StatusCode::NOT_FOUND && message.starts_with(WRONG_METHOD) {
            return Ok(());
        }
        if looks.again().await {
            continue;
        }
        let what = if message.ends_with(UNREGISTERED) {
            "is not registered".to_owned()
        } else {
            format!("is answered with {}, not as n8n answers for a registered path", session.said(&reply))
        };
        let message = format!("workflow {id} is active, but its webhook path {} {what}", webhook.path);
        return Err(session.refused(Refusal::WebhookNotRegistered, &format!("workflow {id}"), message));
    }
}

/// A method that the node does not take; none if it takes all that could be asked with.
fn refused_method(node: Option<&Value>) -> Option<Method> {
    let taken: Vec<&str> = match node.and_then(|node| node.pointer("/parameters/httpMethod")) {
        Some(Value::String(method)) => vec![method],
        Some(Value::Array(methods)) => methods.iter().filter_map(Value::as_str).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => vec!["GET"],
    };
    let free = METHODS.into_iter().find(|method| !taken.contains(method))?;
    free.parse().ok()
}
