//! Whether this process leads, asked anew each time.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What is known of this process's leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// It leads, until then at most.
    pub until: Option<Instant>,
    /// Number of its tenure, the present or the last; none before the first.
    pub fencing: Option<u32>,
}

impl Standing {
    fn is_held(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// Asks whether this process leads. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Leadership(Arc<watch::Sender<Standing>>);

impl Leadership {
    /// Whether this process may act at this instant. A process that was stopped past its time learns it here, without
    /// any of its tasks having run.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.borrow().is_held()
    }

    /// How often the lease had changed hands when this process took it: one more with each leader, as long as nobody
    /// deletes the Lease.
    #[must_use]
    pub fn fencing(&self) -> Option<u32> {
        self.0.borrow().fencing
    }

    /// Tells when leadership begins and when it is given up; not each renewal, and not that it ran out.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<Standing> {
        self.0.subscribe()
    }

    /// Completes when this process leads.
    pub async fn held(&self) {
        // The sender lives as long as this handle.
        let _ = self.0.subscribe().wait_for(Standing::is_held).await;
    }

    /// Completes when this process does not lead: at once if it never did.
    pub async fn ended(&self) {
        let mut changes = self.0.subscribe();
        loop {
            let Some(until) = changes.borrow_and_update().until else { return };
            if Instant::now() >= until {
                return;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                _ = changes.changed() => {}
            }
        }
    }

    pub(super) fn begin(&self, fencing: u32, until: Instant) {
        self.0.send_replace(Standing { until: Some(until), fencing: Some(fencing) });
    }

    pub(super) fn extend(&self, until: Instant) {
        self.0.send_if_modified(|standing| {
            standing.until = Some(until);
            false
        });
    }

    pub(super) fn end(&self) {
        self.0.send_modify(|standing| standing.until = None);
    }
}
