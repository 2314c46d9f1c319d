//! A listener, a router, and an orderly end.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use tokio::sync::watch;

/// How long requests may go on after the end was asked for. Watches end at once.
const GRACE: Duration = Duration::from_secs(5);

/// Asks the server to end. Dropping it asks too, so that no server outlives its owner.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl ShutdownTrigger {
    /// Asks. Later calls change nothing.
    pub fn shut_down(&self) {
        self.0.send_replace(true);
    }
}

/// Tells when the server shall end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// A trigger and what it pulls.
    #[must_use]
    pub fn channel() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Self(receiver))
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Returns when the end is asked for.
    pub async fn requested(mut self) {
        // An error means that the trigger is gone, which asks as well.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}

/// Serves until `shutdown`, then lets running requests finish for at most 5 s. Each connection is a task of its own: a slow
/// client holds up nobody else.
///
/// # Errors
/// Of the listener.
pub async fn serve<L: Listener<Addr: std::fmt::Debug>>(listener: L, router: Router, shutdown: Shutdown) -> io::Result<()> {
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().requested());
    let overdue = async {
        shutdown.requested().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = served => result,
        () = overdue => Ok(()),
    }
}
