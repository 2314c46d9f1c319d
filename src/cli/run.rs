//! `mandate run`: the operator on a cluster. Stands by until it holds the lease, then leads until it is stopped or loses it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::connect::Connection;
use super::{CommandError, Ended, notify};
use crate::adapters::Adapters;
use crate::adapters::transport::HttpTransport;
use crate::engine::kind::Settings;
use crate::engine::port::{Backends, Clock, RandomIdentifiers, SystemClock, World};
use crate::http::health;
use crate::http::serve::{Shutdown, serve};
use crate::kinds;
use crate::operator::embedded::WORKERS;
use crate::operator::fence::{FencedCalls, FencedTransport, FencedWorld};
use crate::operator::leader::{self, Election, Farewell, Leadership};
use crate::operator::notify::{Events, Sink};
use crate::operator::runner::{Operator, RunError, Setup};
use crate::operator::secrets::WorldSecrets;
use crate::operator::supervise::{Asked, Stage, Supervisor};
use crate::operator::telemetry::{MeteredCalls, MeteredWorld, Telemetry, log_json_to_stderr};
use crate::world::cluster::{self, Cluster};

/// How long passes under way may take to end after a signal: a call may take its deadline.
const GRACE: Duration = Duration::from_secs(20);

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Namespace of the platform: lease, secrets of providers, records about cluster-scoped subjects
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "mandate-system")]
    system_namespace: String,
    /// Name of this process among the candidates; made unique
    #[arg(long, value_name = "NAME", env = "HOSTNAME", default_value = "mandate")]
    identity: String,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// How long the lease lasts for others after a renewal, whole seconds
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    lease_duration: SignedDuration,
    /// How long the leader acts after its last renewal; shorter than the lease
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    renew_deadline: SignedDuration,
    /// How long from one renewal to the next; shorter than the renew deadline
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    retry_period: SignedDuration,
    /// Passes at once
    #[arg(long, value_name = "NUMBER", default_value_t = WORKERS)]
    workers: usize,
    #[command(flatten)]
    notify: notify::Notifications,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    super::runtime()?.block_on(operate(arguments))
}

/// Each event as one line of JSON on stderr; `MANDATE_LOG=debug` says more, per module if need be.
pub(super) fn log_json() {
    let asked = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).with_env_var("MANDATE_LOG").from_env_lossy();
    log_json_to_stderr(Arc::new(SystemClock), asked);
}

fn failed<E: std::fmt::Display>(doing: &'static str) -> impl Fn(E) -> CommandError {
    move |error| CommandError::Failed(format!("{doing}: {error}"))
}

fn duration(flag: &str, typed: SignedDuration) -> Result<Duration, CommandError> {
    Duration::try_from(typed).map_err(|_| CommandError::Usage(format!("{flag} {typed}: a duration is not negative")))
}

async fn operate(arguments: &Arguments) -> Result<Ended, CommandError> {
    let signal = super::stop_signal();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let identity = leader::identity(&arguments.identity, &RandomIdentifiers);
    let process = identity.clone();
    let telemetry = Telemetry::new(identity.rsplit('_').next().unwrap_or_default());
    let unusable = |error: kube::Error| CommandError::Unreachable(format!("preparing the client: {error}"));
    let client = cluster::client(arguments.connection.config().await?).map_err(unusable)?;
    let cluster: Arc<dyn World> = Arc::new(MeteredWorld { world: Arc::new(Cluster::new(client)), telemetry: telemetry.clone() });
    let options = leader::Options {
        identity,
        namespace: arguments.system_namespace.clone(),
        name: "mandate".to_owned(),
        lease_duration: duration("--lease-duration", arguments.lease_duration)?,
        renew_deadline: duration("--renew-deadline", arguments.renew_deadline)?,
        retry_period: duration("--retry-period", arguments.retry_period)?,
    };
    let standing = Election::new(cluster.clone(), clock.clone(), options).map_err(|error| CommandError::Usage(error.to_string()));
    let (election, leadership) = standing?;
    telemetry.follow(leadership.clone());
    let taken =
        |error: std::io::Error| CommandError::Failed(format!("listening on {}: {error}; choose another with --listen", arguments.listen));
    let listener = TcpListener::bind(arguments.listen).await.map_err(taken)?;
    let (activate, active) = watch::channel(false);
    let (setup, sink) = setup(arguments, cluster, &leadership, &telemetry, (clock, process), active)?;
    let operator = Operator::new(setup);

    let mut supervisor = Supervisor::new(GRACE);
    supervisor.spawn(Stage::Work, "runner", |stop| async move {
        let leads = async {
            leadership.held().await;
            activate.send_replace(true);
            std::future::pending::<Result<(), RunError>>().await
        };
        tokio::select! {
            ended = operator.run(async { let _ = stop.requested().await; }) => ended,
            never = leads => never,
        }
    });
    if let Some(sink) = sink {
        supervisor.spawn(Stage::Work, "notifications", |stop| async move {
            let stopped = async {
                let _ = stop.requested().await;
            };
            notify::deliver(sink, stopped).await;
            Ok::<(), std::convert::Infallible>(())
        });
    }
    supervisor.spawn(Stage::Lease, "election", |stop| {
        election.run(async {
            match stop.requested().await {
                Asked::Orderly => Farewell::Release,
                Asked::AfterCut => Farewell::RunOut,
            }
        })
    });
    supervisor.spawn(Stage::Last, "health", |stop| async move {
        let (trigger, shutdown) = Shutdown::channel();
        tokio::select! {
            served = serve(listener, health::router(telemetry), shutdown) => served,
            _ = stop.requested() => {
                trigger.shut_down();
                Ok(())
            }
        }
    });
    supervisor.run(signal).await.map(|()| Ended::Ok).map_err(failed("running"))
}

/// The loop over the cluster, and what carries its notifications: written, called and told only while this process leads.
fn setup(
    arguments: &Arguments,
    cluster: Arc<dyn World>,
    leadership: &Leadership,
    telemetry: &Telemetry,
    (clock, process): (Arc<dyn Clock>, String),
    active: watch::Receiver<bool>,
) -> Result<(Setup, Option<Arc<Sink>>), CommandError> {
    let settings = Settings { system_namespace: arguments.system_namespace.clone() };
    let transport = HttpTransport::new().map_err(failed("starting the HTTP client"))?;
    let transport = Arc::new(FencedTransport { transport: Arc::new(transport), leadership: leadership.clone() });
    let secrets = WorldSecrets { world: cluster.clone(), system_namespace: settings.system_namespace.clone() };
    let adapters = Adapters::new(transport.clone(), Arc::new(secrets), clock.clone());
    let fenced = FencedCalls { backends: Arc::new(adapters), leadership: leadership.clone() };
    let backends: Arc<dyn Backends> = Arc::new(MeteredCalls { backends: Arc::new(fenced), telemetry: telemetry.clone() });
    let world: Arc<dyn World> = Arc::new(FencedWorld { world: cluster, leadership: leadership.clone() });
    let sink = arguments.notify.sink(transport, clock.clone(), telemetry.clone());
    let events = Events { world: world.clone(), clock: clock.clone(), process, telemetry: telemetry.clone() };
    let setup = Setup {
        kinds: &kinds::KINDS,
        // Rights are the service account's: RBAC gives it the union of what the kinds declare.
        world_of: Arc::new(move |_| world.clone()),
        backends,
        notifier: notify::both(Arc::new(events), sink.as_ref()),
        clock,
        settings,
        workers: arguments.workers,
        telemetry: telemetry.clone(),
        active,
    };
    Ok((setup, sink))
}
