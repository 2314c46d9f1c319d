//! A workflow made from a template, once per key.

use serde_json::Value;

use super::{
    WORKFLOWS, check_values, clone_by_id, is_signed, named, node_mut, not_ours, sign, substituted, unfaithful, webhook_id, writable,
};
use crate::adapters::ensure::{Desired, ensure, post};
use crate::adapters::faults::Repairable;
use crate::adapters::session::{Known, Session, Written};
use crate::model::call::Template;
use crate::model::journal::Evidence;
use crate::model::pointer;

/// Characters that n8n allows in a name.
const MAX_NAME: usize = 128;

/// Clones a template, its places set to `values`. The clone is inactive and keeps the template's webhook paths, which
/// register nothing until the paths are assigned and published.
pub(in crate::adapters) async fn clone_workflow(
    session: &mut Session<'_>,
    template: &Template,
    label: &str,
    values: &[String],
) -> Known<Evidence> {
    check_values(session, template, values)?;
    let name = name(label, session.mark());
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

impl Desired for Clone<'_> {
    const NOUN: &'static str = "workflow";

    async fn find(&self, session: &mut Session<'_>) -> Known<Vec<String>> {
        named(session, |name| name == self.name).await
    }

    async fn create(&self, session: &mut Session<'_>) -> Known<Written> {
        let mut substituted = substituted(session, self.template, self.values).await?;
        for webhook in &self.template.webhooks {
            if let Some(node) = node_mut(&mut substituted, webhook) {
                node.insert("webhookId".into(), webhook_id(session, webhook));
            }
        }
        sign(&mut substituted, session.mark());
        post(session, WORKFLOWS, &writable(&substituted, &self.name)).await
    }

    fn id(&self, created: &Value) -> Option<String> {
        pointer::identifier(created, "/id")
    }

    /// Only what is proven ours may be called a clone that differs: that is removed and made again.
    async fn read_back(&self, session: &mut Session<'_>, id: &str) -> Known<Option<Evidence>> {
        let Some(document) = clone_by_id(session, id).await? else { return Ok(None) };
        if !is_signed(&document, session.mark()) {
            return Err(not_ours(session, id, &self.name));
        }
        match unfaithful(&document, self.template, self.values) {
            None => {
                let digest = Some(self.template.digest.clone());
                Ok(Some(Evidence { external_id: Some(id.to_owned()), digest, ..Evidence::default() }))
            }
            Some(what) => Err(session.repairable(Repairable::CloneDiffers, &format!("workflow {id}"), format!("clone {id} {what}"))),
        }
    }
}
