//! Workflows that serve: writing to them, and the proof that n8n answers at their paths.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{WORKFLOWS, clone_by_id, node};
use crate::adapters::ensure::said_no;
use crate::adapters::faults::{Refusal, Repairable};
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

/// A workflow, its webhooks, and what is being done to it.
pub(super) struct Live<'a> {
    pub(super) id: &'a str,
    pub(super) webhooks: &'a [WebhookPath],
    /// For messages: `publishing`.
    pub(super) doing: &'static str,
}

impl Live<'_> {
    /// What it is called in messages.
    pub(super) fn object(&self) -> String {
        format!("workflow {}", self.id)
    }

    /// The workflow, which must exist.
    pub(super) async fn present(&self, session: &mut Session<'_>) -> Known<Value> {
        let mut looks = session.looks_before();
        loop {
            if let Some(document) = clone_by_id(session, self.id).await? {
                return Ok(document);
            }
            if !looks.again().await {
                return Err(self.missing(session));
            }
        }
    }

    /// The workflow once `is_so` holds of it; `what` is to be said when it never does.
    pub(super) async fn reads_back(
        &self,
        session: &mut Session<'_>,
        is_so: impl Fn(&Value) -> bool,
        what: impl Fn(&Session<'_>, &Value) -> Outcome,
    ) -> Known<Value> {
        let mut looks = session.looks_after();
        loop {
            match clone_by_id(session, self.id).await? {
                Some(document) if is_so(&document) => return Ok(document),
                Some(_) | None if looks.again().await => {}
                Some(document) => return Err(what(session, &document)),
                None => return Err(self.missing(session)),
            }
        }
    }

    /// Replaces what the workflow holds.
    pub(super) async fn put(&self, session: &mut Session<'_>, body: &Value) -> Known<()> {
        self.written(session, Method::PUT, "", Some(body)).await
    }

    /// Has n8n register the paths.
    pub(super) async fn activate(&self, session: &mut Session<'_>) -> Known<()> {
        self.written(session, Method::POST, "/activate", None).await
    }

    /// Has n8n forget the paths.
    pub(super) async fn deactivate(&self, session: &mut Session<'_>) -> Known<()> {
        self.written(session, Method::POST, "/deactivate", None).await
    }

    async fn written(&self, session: &mut Session<'_>, method: Method, suffix: &str, body: Option<&Value>) -> Known<()> {
        // The id was read with, so it is a segment.
        let path = format!("{WORKFLOWS}/{}{suffix}", url::encoded(self.id));
        match session.write(method, &path, body).await? {
            // What was done is read back; the reply itself proves nothing.
            Written::Done(_) => Ok(()),
            Written::Refused(reply) => Err(self.refusal(session, &reply)),
        }
    }

    fn refusal(&self, session: &Session<'_>, reply: &Reply) -> Outcome {
        let object = self.object();
        if reply.status == StatusCode::NOT_FOUND && reply.document::<Value>().is_ok() {
            return self.missing(session);
        }
        if reply.status == StatusCode::BAD_REQUEST && session.said(reply).contains(CONFLICT) {
            let paths: Vec<&str> = self.webhooks.iter().map(|webhook| webhook.path.as_str()).collect();
            let message = format!("{object}: another active workflow holds one of the paths {}", paths.join(", "));
            return session.refused(Refusal::WebhookConflict, &object, message);
        }
        said_no(session, &object, &format!("{} {object}", self.doing), reply)
    }

    fn missing(&self, session: &Session<'_>) -> Outcome {
        let object = self.object();
        let message = format!("{object} does not exist in provider {}", session.call.provider.name);
        session.refused(Refusal::ResourceMissing, &object, message)
    }

    /// Proves that n8n answers at every path, within the consistency window.
    pub(super) async fn proven(&self, session: &mut Session<'_>, document: &Value) -> Known<()> {
        for webhook in self.webhooks {
            let mut looks = session.looks_after();
            loop {
                let answer = answer(session, document, webhook).await?;
                if answer == Answer::Registered {
                    break;
                }
                if !looks.again().await {
                    return Err(self.unproven(session, webhook, &answer));
                }
            }
        }
        Ok(())
    }

    /// Whether n8n answers at every path now.
    pub(super) async fn answers(&self, session: &mut Session<'_>, document: &Value) -> Known<bool> {
        for webhook in self.webhooks {
            if answer(session, document, webhook).await? != Answer::Registered {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn unproven(&self, session: &Session<'_>, webhook: &WebhookPath, answer: &Answer) -> Outcome {
        let object = self.object();
        let begins = format!("{object} is active, but its webhook path {}", webhook.path);
        match answer {
            Answer::Registered | Answer::Unregistered => {
                session.repairable(Repairable::WebhookNotRegistered, &object, format!("{begins} is not registered"))
            }
            Answer::Strange(said) => {
                let message = format!("{begins} is answered with {said}, not as n8n answers for a registered path");
                session.refused(Refusal::WebhookUnreachable, &object, message)
            }
        }
    }

    /// What a published workflow proves.
    pub(super) fn evidence(&self, urls: Vec<String>) -> Evidence {
        let paths: Vec<&str> = self.webhooks.iter().map(|webhook| webhook.path.as_str()).collect();
        let document = json!({"@type": PUBLISHED_TYPE, "workflowId": self.id, "paths": paths});
        let digest = canonical::own(&document).ok().map(|text| text.digest());
        Evidence { external_id: Some(self.id.to_owned()), digest, urls, absent: false }
    }
}

/// Public URLs of webhook paths.
pub(super) fn urls(session: &Session<'_>, webhooks: &[WebhookPath]) -> Known<Vec<String>> {
    let url = |webhook: &WebhookPath| match url::path(&webhook.path) {
        Some(path) => Ok(format!("{}/webhook/{path}", session.call.provider.base_url.trim_end_matches('/'))),
        None => Err(session.refused(Refusal::InputsInvalid, &webhook.path, format!("{:?} is no webhook path", webhook.path))),
    };
    webhooks.iter().map(url).collect()
}

/// Whether the workflow is active.
pub(super) fn is_active(document: &Value) -> bool {
    document.get("active") == Some(&Value::Bool(true))
}

/// Whether each node has its path.
pub(super) fn has_paths(document: &Value, webhooks: &[WebhookPath]) -> bool {
    webhooks
        .iter()
        .all(|webhook| node(document, &webhook.node).and_then(|node| pointer::text(node, WEBHOOK_PATH)) == Some(webhook.path.as_str()))
}

/// What is said about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// As n8n says it of a path that is registered.
    Registered,
    /// As n8n says it of a path that is not.
    Unregistered,
    /// Something else, perhaps not by n8n.
    Strange(String),
}

/// Asks about a path without running the workflow: a method that the webhook does not take is refused in one way where the
/// path is registered, in another where it is not.
async fn answer(session: &mut Session<'_>, document: &Value, webhook: &WebhookPath) -> Known<Answer> {
    let Some(method) = refused_method(node(document, &webhook.node)) else { return Ok(Answer::Registered) };
    let Some(path) = url::path(&webhook.path) else { return Ok(Answer::Registered) };
    let reply = session.probe(method, &format!("/webhook/{path}")).await?;
    let answer: Value = reply.document().unwrap_or_default();
    let message = pointer::text(&answer, "/message").unwrap_or_default();
    if reply.status == StatusCode::NOT_FOUND && message.starts_with(WRONG_METHOD) {
        return Ok(Answer::Registered);
    }
    Ok(if message.ends_with(UNREGISTERED) { Answer::Unregistered } else { Answer::Strange(session.said(&reply)) })
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
