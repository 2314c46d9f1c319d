//! How many exchanges a provider gets at once and per minute. Shared by all calls to the provider of a name.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as FairMutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::model::call::ProviderTarget;

const WINDOW: Duration = Duration::from_secs(60);

/// The limits of all providers met so far.
#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<String, Arc<Slots>>>);

impl Limits {
    /// The slots of a provider. A changed limit begins anew; exchanges under way keep their old slots.
    pub(super) fn of(&self, provider: &ProviderTarget) -> Arc<Slots> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&provider.name) {
            Some(slots) if slots.concurrency == provider.concurrency && slots.per_minute == provider.per_minute => Arc::clone(slots),
            Some(_) | None => {
                let slots = Arc::new(Slots::new(provider.concurrency, provider.per_minute));
                known.insert(provider.name.clone(), Arc::clone(&slots));
                slots
            }
        }
    }
}

/// The slots of one provider, given in the order they are asked for.
pub(super) struct Slots {
    concurrency: u16,
    per_minute: u32,
    free: Arc<Semaphore>,
    /// Starts of the last minute, oldest first. Who waits for the window holds the lock, which keeps the order and leaves
    /// nothing behind when the waiting is given up.
    starts: FairMutex<VecDeque<Instant>>,
}

impl Slots {
    fn new(concurrency: u16, per_minute: u32) -> Self {
        let free = Arc::new(Semaphore::new(usize::from(concurrency.max(1))));
        Self { concurrency, per_minute, free, starts: FairMutex::default() }
    }

    /// Waits for a slot, which is free again when the permit is dropped.
    pub(super) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        if self.per_minute > 0 {
            let mut starts = self.starts.lock().await;
            let allowed = usize::try_from(self.per_minute).unwrap_or(usize::MAX);
            while starts.len() >= allowed
                && let Some(oldest) = starts.front().copied()
            {
                sleep_until(oldest + WINDOW).await;
                starts.pop_front();
            }
            let now = Instant::now();
            while starts.front().is_some_and(|start| *start + WINDOW <= now) {
                starts.pop_front();
            }
            starts.push_back(now);
        }
        permit
    }
}
