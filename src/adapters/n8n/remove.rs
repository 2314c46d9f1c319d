//! Clones that go.

use http::Method;
use serde_json::Value;

use super::{WORKFLOWS, clone_by_id, is_signed, named, not_ours};
use crate::adapters::remove::{Removable, remove};
use crate::adapters::session::{Known, Session, Written};
use crate::adapters::url;
use crate::model::call::Made;
use crate::model::journal::Evidence;
use crate::model::pointer;

/// Removes a workflow, active or not.
pub(in crate::adapters) async fn remove_workflow(session: &mut Session<'_>, made: &Made) -> Known<Evidence> {
    remove(session, &Clone { made }, made.id.as_deref()).await
}

struct Clone<'a> {
    made: &'a Made,
}

impl Removable for Clone<'_> {
    const NOUN: &'static str = "workflow";

    async fn find(&self, session: &mut Session<'_>) -> Known<Vec<String>> {
        let mark = self.made.key.mark();
        named(session, |name| bears(name, mark)).await
    }

    /// With its id on record the name is proof enough, whoever replaced its nodes; without, a name can be anybody's.
    async fn is_there(&self, session: &mut Session<'_>, id: &str) -> Known<bool> {
        let Some(document) = clone_by_id(session, id).await? else { return Ok(false) };
        let mark = self.made.key.mark();
        let name = pointer::text(&document, "/name").unwrap_or_default();
        let on_record = self.made.id.is_some() && bears(name, mark);
        if is_signed(&document, mark) || on_record { Ok(true) } else { Err(not_ours(session, id, name)) }
    }

    async fn remove(&self, session: &mut Session<'_>, id: &str) -> Known<Written> {
        session.write(Method::DELETE, &format!("{WORKFLOWS}/{}", url::encoded(id)), None::<&Value>).await
    }
}

/// Whether our key ends the name, as a word.
fn bears(name: &str, mark: &str) -> bool {
    name.rsplit(' ').next() == Some(mark)
}
