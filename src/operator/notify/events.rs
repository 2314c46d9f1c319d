//! Notices as Kubernetes Events, one each.
//!
//! The name of an Event is that of its notice, so an Event that exists has been told: by a predecessor, or by a try whose
//! reply was lost. Events are for looking at and are not kept for long; the records are.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use crate::engine::port::{Clock, Notifier, Query, World, WorldError};
use crate::model::notice::Notice;
use crate::model::resource::EVENT;
use crate::operator::telemetry::{Channel, Delivery, Telemetry};

/// Longest time that a pass waits for its Event.
const DEADLINE: Duration = Duration::from_secs(5);
/// Pause before a create is tried again that may have had no effect.
const PAUSE: Duration = Duration::from_millis(200);
/// Tries in all.
const TRIES: u32 = 3;
/// How long Events are kept where nobody else removes them: an API server's default.
const KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// Tells by Events.
pub struct Events {
    /// Where they are created.
    pub world: Arc<dyn World>,
    /// Their time.
    pub clock: Arc<dyn Clock>,
    /// Which process tells.
    pub process: String,
    /// Counts them.
    pub telemetry: Telemetry,
}

impl Events {
    async fn create(&self, notice: &Notice) -> Result<(), WorldError> {
        // Microseconds, as the API server prints them.
        let now = format!("{:.6}", self.clock.now());
        let event = notice.event(&now, &self.process);
        for tried in 1.. {
            match self.world.create(&event).await {
                Ok(_) | Err(WorldError::AlreadyExists(_)) => break,
                Err(WorldError::Unavailable { .. } | WorldError::Unknown(_)) if tried < TRIES => sleep(PAUSE * tried).await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Notifier for Events {
    async fn becomes(&self, notice: &Notice) {
        let late = |_| Err(WorldError::Unknown(format!("create event {}", notice.event_name())));
        match timeout(DEADLINE, self.create(notice)).await.unwrap_or_else(late) {
            Ok(()) => self.telemetry.notified(Channel::Event, Delivery::Delivered),
            Err(error) => {
                self.telemetry.notified(Channel::Event, Delivery::Failed);
                tracing::warn!(object = %notice.about.key, reason = notice.reason, %error, "an Event was not created");
            }
        }
    }

    fn stands(&self, _: &Notice) {}
}

/// Deletes Events that are older than an API server would keep them: a world of our own has nobody else to do it.
///
/// # Errors
/// [`WorldError`]; what was deleted before stays deleted.
pub async fn expire(world: &dyn World, clock: &dyn Clock) -> Result<(), WorldError> {
    let now = clock.now();
    for event in world.list(&Query::all(&EVENT)).await? {
        let created: Option<jiff::Timestamp> =
            event.body.pointer("/metadata/creationTimestamp").and_then(|time| time.as_str()?.parse().ok());
        if created.is_some_and(|created| now.duration_since(created) > KEPT) {
            match world.delete(&event.key(), event.uid()).await {
                Ok(()) | Err(WorldError::NotFound(_) | WorldError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
