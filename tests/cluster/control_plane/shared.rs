//! What tests share, started by the first that asks.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::{ControlPlane, Controllers};

/// Something with servers that several tests ask and none of them changes for the others.
pub struct Shared<T> {
    started: OnceCell<()>,
    held: Mutex<Option<Arc<T>>>,
}

impl<T> Shared<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { started: OnceCell::const_new(), held: Mutex::new(None) }
    }

    /// It, by `start` for the first that asks.
    pub async fn get(&self, start: impl Future<Output = T>) -> Arc<T> {
        self.started
            .get_or_init(|| async { *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(start.await)) })
            .await;
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone().expect("what is shared is stopped when all tests are done")
    }

    /// Stops it. Called when every test that shares it has ended.
    pub fn stop(&self) {
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

static PLANE: Shared<ControlPlane> = Shared::new();

/// The shared control plane, with our definitions.
pub async fn plane() -> Arc<ControlPlane> {
    PLANE.get(ControlPlane::with_definitions(Controllers::Stock)).await
}

/// Stops the shared control plane.
pub fn stop() {
    PLANE.stop();
}
