//! Who tells operators: Kubernetes Events, and a CloudEvents receiver where one is named.

mod events;
mod sink;

use std::sync::Arc;

use async_trait::async_trait;

use crate::engine::port::{Access, Notifier, Verb};
use crate::model::notice::Notice;
use crate::model::resource::EVENT;

pub use self::events::{Events, expire};
pub use self::sink::Sink;

/// What telling by Events needs besides what the kinds declare.
pub const ACCESS: Access = Access { resource: &EVENT, verbs: &[Verb::Create] };

/// Several that tell, one after the other.
pub struct All(pub Vec<Arc<dyn Notifier>>);

#[async_trait]
impl Notifier for All {
    async fn becomes(&self, notice: &Notice) {
        for notifier in &self.0 {
            notifier.becomes(notice).await;
        }
    }

    fn stands(&self, notice: &Notice) {
        self.0.iter().for_each(|notifier| notifier.stands(notice));
    }
}
