//! Webhook paths and activation: repeating it changes nothing.

use serde_json::Value;

use super::live::{Live, has_paths, is_active, urls};
use super::{node_mut, webhook_id, writable};
use crate::adapters::faults::Refusal;
use crate::adapters::session::{Known, Session};
use crate::model::call::WebhookPath;
use crate::model::journal::Evidence;
use crate::model::pointer;

/// Gives a workflow its webhook paths, activates it, and proves that n8n answers at them.
pub(in crate::adapters) async fn publish_webhooks(session: &mut Session<'_>, id: &str, webhooks: &[WebhookPath]) -> Known<Evidence> {
    let urls = urls(session, webhooks)?;
    let live = Live { id, webhooks, doing: "publishing" };
    let before = live.present(session).await?;
    let published = if is_published(&before, webhooks) { before } else { publish(session, &live, &before).await? };
    live.proven(session, &published).await?;
    Ok(live.evidence(urls))
}

fn is_published(document: &Value, webhooks: &[WebhookPath]) -> bool {
    is_active(document) && has_paths(document, webhooks)
}

/// Writes the paths where they differ, activates, and reads back.
async fn publish(session: &mut Session<'_>, live: &Live<'_>, before: &Value) -> Known<Value> {
    if !has_paths(before, live.webhooks) {
        let name = pointer::text(before, "/name").unwrap_or_default();
        let mut body = writable(before, name);
        set_paths(session, live, &mut body)?;
        live.put(session, &body).await?;
    }
    if !is_active(before) {
        live.activate(session).await?;
    }
    let is_so = |document: &Value| is_published(document, live.webhooks);
    live.reads_back(session, is_so, |session, _| {
        let object = live.object();
        let message = format!("{object} was activated with its paths, but reads back without");
        session.refused(Refusal::ResourceDiffers, &object, message)
    })
    .await
}

/// Puts the paths into a document, and a `webhookId` where there is none.
pub(super) fn set_paths(session: &Session<'_>, live: &Live<'_>, body: &mut Value) -> Known<()> {
    for webhook in live.webhooks {
        let set = node_mut(body, &webhook.node).and_then(|node| {
            let own = webhook_id(session, &webhook.node);
            let kept = node.entry("webhookId").or_insert(own.clone());
            if kept.as_str().is_none_or(str::is_empty) {
                *kept = own;
            }
            node.get_mut("parameters")?.as_object_mut()?.insert("path".into(), webhook.path.clone().into())
        });
        if set.is_none() {
            let object = live.object();
            let message = format!("{object} has no webhook node {:?} with a path", webhook.node);
            return Err(session.refused(Refusal::ResourceDiffers, &object, message));
        }
    }
    Ok(())
}
