//! Deactivation and activation, so that n8n registers the paths of a workflow anew.

use serde_json::Value;

use super::live::{Live, is_active, urls};
use crate::adapters::faults::Refusal;
use crate::adapters::session::{Known, Session};
use crate::model::call::WebhookPath;
use crate::model::journal::Evidence;
use crate::model::pointer;
use crate::model::workflow::{WEBHOOK_NODE, WEBHOOK_PATH};

/// Deactivates and activates a workflow, and proves that n8n answers at its paths. One that answers already is left alone.
pub(in crate::adapters) async fn reactivate_workflow(session: &mut Session<'_>, id: &str) -> Known<Evidence> {
    let before = Live { id, webhooks: &[], doing: "reactivating" }.present(session).await?;
    let webhooks = webhooks(&before);
    let urls = urls(session, &webhooks)?;
    let live = Live { id, webhooks: &webhooks, doing: "reactivating" };
    if is_active(&before) {
        if live.answers(session, &before).await? {
            return Ok(live.evidence(urls));
        }
        live.deactivate(session).await?;
    }
    live.activate(session).await?;
    let active = live
        .reads_back(session, is_active, |session, _| {
            let object = live.object();
            let message = format!("{object} was activated, but reads back inactive");
            session.refused(Refusal::ResourceDiffers, &object, message)
        })
        .await?;
    live.proven(session, &active).await?;
    Ok(live.evidence(urls))
}

/// The webhook nodes of a workflow that are to answer, with their paths.
fn webhooks(document: &Value) -> Vec<WebhookPath> {
    let nodes = document.get("nodes").and_then(Value::as_array).into_iter().flatten();
    let answering =
        nodes.filter(|node| pointer::text(node, "/type") == Some(WEBHOOK_NODE) && node.get("disabled") != Some(&Value::Bool(true)));
    let named = answering.filter_map(|node| pointer::text(node, "/name").zip(pointer::text(node, WEBHOOK_PATH)));
    named.map(|(node, path)| WebhookPath { node: node.to_owned(), path: path.to_owned() }).collect()
}
