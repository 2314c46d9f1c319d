//! A workflow made from a template, once per key.

use serde::Deserialize;
use serde_json::Value;

use super::{WORKFLOWS, interpretation, node, node_mut, pinned, webhook_id, workflow_by_id, writable};
use crate::adapters::ensure::{Desired, ensure, post};
use crate::adapters::faults::Refusal;
use crate::adapters::session::{Known, Session, Written};
use crate::adapters::url;
use crate::model::call::Template;
use crate::model::journal::Evidence;
use crate::model::{pointer, workflow};

/// Characters that n8n allows in a name.
const MAX_NAME: usize = 128;
/// What n8n allows in a page.
const PAGE: usize = 250;
/// Pages of one lookup. Our key is in the filter, so more than one page is already strange.
const MAX_PAGES: usize = 40;

/// Clones a template, its places set to `values`. The clone is inactive and keeps the template's webhook paths, which
/// register nothing until the paths are assigned and published.
pub(in crate::adapters) async fn clone_workflow(
    session: &mut Session<'_>,
    template: &Template,
    label: &str,
    values: &[String],
) -> Known<Evidence> {
    if values.len() != template.places.len() {
        let message = format!("template {} has {} places for {} values", template.id, template.places.len(), values.len());
        return Err(session.refused(Refusal::InputsInvalid, &template.id, message));
    }
    let name = name(label, session.call.key.mark());
    ensure(session, &Clone { template, name, values }).await
}

/// As much of the label as leaves room for the key.
fn name(label: &str, mark: &str) -> String {
    let room = MAX_NAME.saturating_sub(mark.chars().count() + 1);
    let label: String = label.trim().chars().take(room).collect();
    format!("{} {mark}", label.trim_end()).trim_start().to_owned()
}

struct Clone<'a> {
    template: &'a Template,
    name: String,
    values: &'a [String],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<Listed>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    name: String,
}

impl Desired for Clone<'_> {
    const NOUN: &'static str = "workflow";

    async fn find(&self, session: &mut Session<'_>) -> Known<Vec<String>> {
        let first = format!("{WORKFLOWS}?name={}&limit={PAGE}", session.call.key.mark());
        let mut path = first.clone();
        let mut ids = Vec::new();
        for _ in 0..MAX_PAGES {
            let reply = session.read(&path).await?;
            let page: Page = session.document(&reply, "the list of workflows")?;
            ids.extend(page.data.into_iter().filter(|listed| listed.name == self.name).map(|listed| listed.id));
            match page.next_cursor.filter(|cursor| !cursor.is_empty()) {
                None => return Ok(ids),
                Some(cursor) => path = format!("{first}&cursor={}", url::encoded(&cursor)),
            }
        }
        Err(session.refused(Refusal::BadReply, "the list of workflows", format!("the list of workflows has more than {MAX_PAGES} pages")))
    }

    async fn create(&self, session: &mut Session<'_>) -> Known<Written> {
        let id = &self.template.id;
        let document = pinned(session, self.template).await?;
        let substituted = workflow::substitute(&document, &self.template.places, self.values);
        let mut substituted = substituted.map_err(|error| interpretation(session, id, &error))?;
        for webhook in &self.template.webhooks {
            if let Some(node) = node_mut(&mut substituted, webhook) {
                node.insert("webhookId".into(), webhook_id(session, webhook));
            }
        }
        post(session, WORKFLOWS, &writable(&substituted, &self.name)).await
    }

    fn id(&self, created: &Value) -> Option<String> {
        pointer::identifier(created, "/id")
    }

    async fn read_back(&self, session: &mut Session<'_>, id: &str) -> Known<Option<Evidence>> {
        let Some(document) = workflow_by_id(session, id).await? else { return Ok(None) };
        let differs = |what: String| Err(session.refused(Refusal::CloneDiffers, &format!("workflow {id}"), format!("clone {id} {what}")));
        let Template { digest: pinned, places, webhooks, .. } = self.template;
        let digest = match workflow::structural_digest(&document, places, webhooks) {
            Ok(digest) if digest == *pinned => digest,
            Ok(digest) => return differs(format!("has structural digest {digest}, its template {pinned}")),
            Err(error) => return differs(format!("cannot be interpreted: {error}")),
        };
        for (place, value) in places.iter().zip(self.values) {
            if node(&document, &place.node).and_then(|node| pointer::text(node, &place.pointer)) != Some(value) {
                return differs(format!("does not hold {} at {} of node {:?}", place.source, place.pointer, place.node));
            }
        }
        Ok(Some(Evidence { external_id: Some(id.to_owned()), digest: Some(digest), ..Evidence::default() }))
    }
}
