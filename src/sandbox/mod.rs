//! A simulated n8n, VAPI, calendar and CRM on loopback: where a schema is rehearsed before it meets the real systems, and the
//! other side of every crash simulation.
//!
//! One port, one prefix per system: `/n8n`, `/vapi`, `/calcom`, `/crm`, and `/_sandbox` for what was done and the fault knobs.
//! Every effect is in an append-only log before its reply is sent; with a log file the state survives a kill -9 and is a fold
//! over that file. Time and identifiers come through [`crate::engine::port`], delays are `tokio::time`, and nothing depends on
//! a socket, so a simulation calls [`Sandbox::router`] in its own process and in virtual time.
//!
//! It validates what those systems were seen to validate and runs nothing: no workflow executes, no webhook is delivered.

mod calcom;
mod call;
mod control;
mod crm;
mod delivery;
mod faults;
mod json;
mod log;
mod n8n;
mod packed;
mod state;
mod templates;
mod vapi;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;

use crate::engine::port::{Clock, Identifiers};

use call::{Call, Reply};
use faults::{Faults, Flaws, ReplyFault};
use log::Log;
use state::{Context, State, written};

pub use delivery::ReplyLost;
pub use faults::{ArmedRule, Fault, FaultRule};
pub use log::{Effect, LogError, Operation, Vendor};
pub use templates::TemplateError;

/// The n8n key of a sandbox that was given none.
pub const N8N_KEY: &str = "sandbox-n8n-key";
/// The VAPI key of a sandbox that was given none.
pub const VAPI_KEY: &str = "sandbox-vapi-key";
/// The Cal.com key of a sandbox that was given none.
pub const CALCOM_KEY: &str = "sandbox-calcom-key";
/// The CRM key of a sandbox that was given none.
pub const CRM_KEY: &str = "sandbox-crm-key";

/// Largest request body taken, in bytes; n8n's own default.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// How long connections may outlive a shutdown; a request that hangs by order would hold it up forever.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// The one key each system accepts.
#[derive(Clone)]
pub struct Keys {
    /// Expected in `X-N8N-API-KEY`.
    pub n8n: String,
    /// Expected as bearer token.
    pub vapi: String,
    /// Expected as bearer token.
    pub calcom: String,
    /// Expected as bearer token.
    pub crm: String,
}

impl Default for Keys {
    fn default() -> Self {
        Self { n8n: N8N_KEY.into(), vapi: VAPI_KEY.into(), calcom: CALCOM_KEY.into(), crm: CRM_KEY.into() }
    }
}

/// How a sandbox is set up.
#[derive(Clone)]
pub struct SandboxOptions {
    /// Times of creation and of effects.
    pub clock: Arc<dyn Clock>,
    /// Ids of what is created.
    pub ids: Arc<dyn Identifiers>,
    /// File of the effect log; in memory when absent.
    pub log: Option<PathBuf>,
    /// Whether each line is forced to disk before its reply, to survive a power cut too.
    pub sync: bool,
    /// Folder of workflow templates, `*.json`.
    pub templates: Option<PathBuf>,
    /// Accepted keys.
    pub keys: Keys,
}

impl SandboxOptions {
    /// In memory, without templates, with the default keys.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, ids: Arc<dyn Identifiers>) -> Self {
        Self { clock, ids, log: None, sync: false, templates: None, keys: Keys::default() }
    }
}

/// Why a sandbox cannot be opened or served.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The effect log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The listener.
    #[error("serve sandbox")]
    Serve(#[source] std::io::Error),
}

/// The simulated systems; clones share one state.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Identifiers>,
    keys: Keys,
    state: Mutex<State>,
    faults: Mutex<Faults>,
}

impl Sandbox {
    /// Loads the templates, then folds the log over them.
    ///
    /// # Errors
    /// A template that is no workflow, or a log that cannot be read, is in use, or is damaged before its last line.
    pub fn open(options: SandboxOptions) -> Result<Self, SandboxError> {
        let SandboxOptions { clock, ids, log, sync, templates, keys } = options;
        let mut state = State::default();
        if let Some(folder) = templates {
            templates::load(&folder, &mut state.workflows)?;
        }
        if let Some(path) = log {
            state.log = Log::open(&path, sync, |entry| state.fold(entry))?;
        }
        Ok(Self(Arc::new(Inner { clock, ids, keys, state: Mutex::new(state), faults: Mutex::default() })))
    }

    /// A sandbox of its own that begins as this one stands, with its own time and ids, without faults, kept nowhere.
    #[must_use]
    pub fn fork(&self, clock: Arc<dyn Clock>, ids: Arc<dyn Identifiers>) -> Self {
        let state = Mutex::new(locked(&self.0.state).fork());
        Self(Arc::new(Inner { clock, ids, keys: self.0.keys.clone(), state, faults: Mutex::default() }))
    }

    /// All routes, to be called in process or served.
    pub fn router(&self) -> Router {
        Router::new().fallback(exchange).with_state(self.clone())
    }

    /// Serves until `shutdown` resolves, then at most two seconds more.
    ///
    /// # Errors
    /// What the listener fails with.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), SandboxError> {
        let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = axum::serve(listener, self.router()).with_graceful_shutdown(async move {
            shutdown.await;
            drop(stopping);
        });
        let overdue = async {
            // Resolves when the sender is dropped, which is the shutdown.
            stopped.await.ok();
            tokio::time::sleep(SHUTDOWN_GRACE).await;
        };
        tokio::select! {
            served = served.into_future() => served.map_err(SandboxError::Serve),
            () = overdue => Ok(()),
        }
    }

    /// Every effect so far, oldest first.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.effects_after(0)
    }

    /// The effects with a higher sequence number than this one.
    #[must_use]
    pub fn effects_after(&self, sequence: u64) -> Vec<Effect> {
        let known = usize::try_from(sequence).unwrap_or(usize::MAX);
        locked(&self.0.state).log.effects().iter().skip(known).cloned().collect()
    }

    /// Replaces all fault rules; counts start anew.
    pub fn set_faults(&self, rules: Vec<FaultRule>) {
        *locked(&self.0.faults) = Faults::new(rules);
    }

    /// The fault rules in force and how often each was met.
    #[must_use]
    pub fn faults(&self) -> Vec<ArmedRule> {
        locked(&self.0.faults).rules().to_vec()
    }

    fn perform(&self, vendor: Vendor, call: &Call, hidden_for: SignedDuration, flaws: Flaws) -> Reply {
        let mut state = locked(&self.0.state);
        let keys = &self.0.keys;
        let context = &mut Context { state: &mut state, ids: self.0.ids.as_ref(), now: self.now(), hidden_for, flaws };
        match vendor {
            Vendor::N8n => n8n::answer(context, &keys.n8n, call),
            Vendor::Vapi => vapi::answer(context, &keys.vapi, call),
            Vendor::Calcom => calcom::answer(context, &keys.calcom, call),
            Vendor::Crm => crm::answer(context, &keys.crm, call),
        }
    }

    /// Whole milliseconds: what was written and what is compared are then the same instant.
    fn now(&self) -> Timestamp {
        let now = self.0.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn failure(&self, vendor: Vendor, status: StatusCode, call: &Call) -> Reply {
        let message = status.canonical_reason().unwrap_or("Error");
        match vendor {
            Vendor::N8n => n8n::error(status, message),
            Vendor::Vapi => vapi::error(status, message),
            Vendor::Calcom => calcom::error(status, message, call.uri.path(), &written(self.now())),
            Vendor::Crm => crm::error(status, message),
        }
    }
}

/// One request: read it, see what is to go wrong, wait, do it, wait, reply.
async fn exchange(Shared(sandbox): Shared<Sandbox>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return delivery::whole(Reply::message(StatusCode::PAYLOAD_TOO_LARGE, "request entity too large"));
    };
    let call = Call { method: parts.method, uri: parts.uri, headers: parts.headers, body };
    let vendor = match call.uri.path().split('/').nth(1) {
        Some("n8n") => Vendor::N8n,
        Some("vapi") => Vendor::Vapi,
        Some("calcom") => Vendor::Calcom,
        Some("crm") => Vendor::Crm,
        Some("_sandbox") => return delivery::whole(control::answer(&sandbox, &call)),
        _ => return delivery::whole(Reply::message(StatusCode::NOT_FOUND, "no such system; there are /n8n, /vapi, /calcom and /crm")),
    };
    let plan = locked(&sandbox.0.faults).plan(vendor, call.method.as_str(), call.uri.path());
    let half = plan.latency / 2;
    pause(half).await;
    let effect = plan.disruption.as_ref().is_none_or(|disruption| disruption.effect);
    let reply = effect.then(|| sandbox.perform(vendor, &call, plan.hidden_for, plan.flaws));
    pause(plan.latency - half).await;
    match plan.disruption {
        None => reply.map_or_else(delivery::cut, delivery::whole),
        Some(disruption) => disrupted(&sandbox, vendor, &call, disruption.fault, reply).await,
    }
}

async fn disrupted(sandbox: &Sandbox, vendor: Vendor, call: &Call, fault: ReplyFault, reply: Option<Reply>) -> Response {
    match fault {
        ReplyFault::Status { code, retry_after_seconds } => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            delivery::with_retry_after(sandbox.failure(vendor, status, call), retry_after_seconds)
        }
        ReplyFault::Cut => delivery::cut(),
        ReplyFault::Drip { pause } => reply.map_or_else(delivery::cut, |reply| delivery::dripping(reply, pause)),
        ReplyFault::Html => delivery::html(),
        ReplyFault::Huge { mebibytes } => delivery::huge(mebibytes),
        ReplyFault::Hang => std::future::pending().await,
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// A panic elsewhere cannot leave the state half changed: each change is one `put` or `remove` after its log line.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
