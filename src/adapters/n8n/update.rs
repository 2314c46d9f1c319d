//! A clone that follows a newer template, in place: it keeps its id, its name, its webhook paths, and serves on.

use serde_json::Value;

use super::live::{Live, has_paths, is_active, urls};
use super::publish::set_paths;
use super::{check_values, node, node_mut, substituted, unfaithful, writable};
use crate::adapters::faults::Refusal;
use crate::adapters::session::{Known, Session};
use crate::model::call::{Template, WebhookPath};
use crate::model::journal::Evidence;
use crate::model::pointer;

/// Replaces what a clone holds by a newer template with its values. A clone that is so already is not written to.
pub(in crate::adapters) async fn update_workflow(
    session: &mut Session<'_>,
    id: &str,
    template: &Template,
    values: &[String],
    webhooks: &[WebhookPath],
) -> Known<Evidence> {
    check_values(session, template, values)?;
    if let Some(pathless) = template.webhooks.iter().find(|listed| webhooks.iter().all(|webhook| webhook.node != **listed)) {
        let message = format!("webhook node {pathless:?} of template {} has no path", template.id);
        return Err(session.refused(Refusal::InputsInvalid, &template.id, message));
    }
    let urls = urls(session, webhooks)?;
    let live = Live { id, webhooks, doing: "updating" };
    let update = Update { live: &live, template, values };
    let before = live.present(session).await?;
    let updated = if update.lacking(&before).is_none() { before } else { update.performed(session, &before).await? };
    live.proven(session, &updated).await?;
    Ok(Evidence { external_id: Some(id.to_owned()), digest: Some(template.digest.clone()), urls, absent: false })
}

struct Update<'a> {
    live: &'a Live<'a>,
    template: &'a Template,
    values: &'a [String],
}

impl Update<'_> {
    /// What the clone lacks of what it shall be, its state apart.
    fn outdated(&self, document: &Value) -> Option<String> {
        let pathless = || (!has_paths(document, self.live.webhooks)).then(|| "does not have its webhook paths".to_owned());
        unfaithful(document, self.template, self.values).or_else(pathless)
    }

    fn lacking(&self, document: &Value) -> Option<String> {
        self.outdated(document).or_else(|| (!is_active(document)).then(|| "is not active".to_owned()))
    }

    /// The clone after it was replaced, and activated if somebody had deactivated it.
    async fn performed(&self, session: &mut Session<'_>, before: &Value) -> Known<Value> {
        if self.outdated(before).is_some() {
            let mut newer = substituted(session, self.template, self.values).await?;
            inherit(before, &mut newer, &self.template.webhooks);
            set_paths(session, self.live, &mut newer)?;
            let name = pointer::text(before, "/name").unwrap_or_default();
            self.live.put(session, &writable(&newer, name)).await?;
        }
        if !is_active(before) {
            self.live.activate(session).await?;
        }
        let is_so = |document: &Value| self.lacking(document).is_none();
        self.live
            .reads_back(session, is_so, |session, document| {
                let what = self.lacking(document).unwrap_or_default();
                let message = format!("clone {} was updated to template {}, but {what}", self.live.id, self.template.id);
                session.refused(Refusal::UpdateDiffers, &self.live.object(), message)
            })
            .await
    }
}

/// What a node keeps that stays: its id, and its `webhookId`. Ids of nodes that go are given to the nodes that are new, so that
/// the workflow is known as ours afterwards.
fn inherit(before: &Value, newer: &mut Value, webhooks: &[String]) {
    let names = |document: &Value| -> Vec<String> {
        let nodes = document.get("nodes").and_then(Value::as_array).into_iter().flatten();
        nodes.filter_map(|node| pointer::text(node, "/name").map(str::to_owned)).collect()
    };
    let new_names = names(newer);
    let mut left: Vec<String> = names(before).into_iter().filter(|name| !new_names.contains(name)).rev().collect();
    for name in &new_names {
        let stays = node(before, name);
        let former = stays.or_else(|| left.pop().and_then(|name| node(before, &name)));
        let Some(node) = node_mut(newer, name) else { continue };
        match stays.and_then(|former| former.get("webhookId")) {
            Some(id) => drop(node.insert("webhookId".into(), id.clone())),
            // The template's own is the template's.
            None if webhooks.contains(name) => drop(node.remove("webhookId")),
            None => {}
        }
        match former.and_then(|former| former.get("id")) {
            Some(id) => node.insert("id".into(), id.clone()),
            None => node.remove("id"),
        };
    }
}
