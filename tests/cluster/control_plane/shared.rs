//! The control plane that tests share, started by the first that asks.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::{ControlPlane, Controllers};

static STARTED: OnceCell<()> = OnceCell::const_new();
static PLANE: Mutex<Option<Arc<ControlPlane>>> = Mutex::new(None);

/// The shared control plane, with our definitions.
pub async fn plane() -> Arc<ControlPlane> {
    STARTED
        .get_or_init(|| async {
            let plane = ControlPlane::with_definitions(Controllers::Stock).await;
            *PLANE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(plane));
        })
        .await;
    PLANE.lock().unwrap_or_else(PoisonError::into_inner).clone().expect("the shared control plane is stopped when all tests are done")
}

/// Stops it. Called when every test that shares it has ended.
pub fn stop() {
    drop(PLANE.lock().unwrap_or_else(PoisonError::into_inner).take());
}
