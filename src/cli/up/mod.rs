//! `mandate up DIR`: the embedded default. A folder of YAML, the loop over a durable world, the sandbox, the Kubernetes API.

mod report;
mod state;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::report::Reporter;
use self::state::State;
use super::{CommandError, Ended, Format, notify};
use crate::adapters::Adapters;
use crate::adapters::transport::HttpTransport;
use crate::engine::kind::Settings;
use crate::engine::port::{Clock, Identifiers, RandomIdentifiers, SystemClock};
use crate::http::host::Hosts;
use crate::http::kubeapi::KubeApi;
use crate::http::kubeconfig;
use crate::http::serve::{Shutdown, ShutdownTrigger, serve};
use crate::http::tls::EitherListener;
use crate::model::limits::WAIT_BUDGET;
use crate::offline::apply::{Agent, Synced};
use crate::offline::folder::Folder;
use crate::operator::embedded;
use crate::operator::guards::EmbeddedRights;
use crate::operator::notify::{Sink, expire};
use crate::operator::runner::{Load, Operator};
use crate::operator::secrets::WorldSecrets;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::world::memory::Memory;
use crate::world::server::Identity;

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long everything must stay settled before `--once` believes it.
const QUIET: Duration = Duration::from_millis(100);
/// How long passes under way may take to end. A provider may leave them waiting for a minute; the next start finds out what
/// became of an exchange that was cut off, as it does after a kill.
const LAST_PASSES: Duration = Duration::from_secs(1);
/// How long `--once` waits until what was told is delivered.
const LAST_NOTICES: Duration = Duration::from_secs(10);
/// How often Events are looked at that are too old to be kept.
const EXPIRY: Duration = Duration::from_secs(600);
/// How long replies under way may take to end.
const LAST_REPLIES: Duration = Duration::from_millis(500);

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder of manifests; templates of the sandbox in DIR/sandbox/*.json
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Settle, print every object's state and reason, and exit: 0 settled, 1 something is refused or stalled, 4 not settled in time
    #[arg(long)]
    once: bool,
    /// With --once: give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// Where state is kept; bound to one folder of manifests [default: DIR/.mandate]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Address of the Kubernetes API
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    listen: SocketAddr,
    /// Address of the sandbox
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090", conflicts_with = "no_sandbox")]
    sandbox_listen: SocketAddr,
    /// Run without the sandbox
    #[arg(long)]
    no_sandbox: bool,
    #[command(flatten)]
    notify: notify::Notifications,
    /// How results are printed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    super::runtime()?.block_on(up(arguments))
}

async fn up(arguments: &Arguments) -> Result<Ended, CommandError> {
    if arguments.once {
        let running = Running::start(arguments).await?;
        let ended = running.once(arguments).await;
        running.stop().await;
        return ended;
    }
    let signal = super::stop_signal();
    let running = Running::start(arguments).await?;
    let ended = running.until_stopped(arguments, signal).await;
    running.stop().await;
    ended
}

/// Everything that runs.
struct Running {
    memory: Memory,
    agent: Agent,
    load: watch::Receiver<Load>,
    sink: Option<Arc<Sink>>,
    trigger: ShutdownTrigger,
    stop: watch::Sender<bool>,
    operator: JoinHandle<Result<(), CommandError>>,
    tasks: tokio::task::JoinSet<Result<(), CommandError>>,
}

impl Running {
    async fn start(arguments: &Arguments) -> Result<Self, CommandError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn Identifiers> = Arc::new(RandomIdentifiers);
        require_loopback(arguments)?;
        let state = State::open(&arguments.folder, arguments.state.as_deref(), ids.as_ref())?;
        // Both before anything is served: what cannot be complete does not begin.
        let api = bind(arguments.listen, "the Kubernetes API", "--listen").await?;
        let sandbox = match arguments.no_sandbox {
            true => None,
            false => Some(bind(arguments.sandbox_listen, "the sandbox", "--sandbox-listen").await?),
        };
        let memory = embedded::open(clock.clone(), ids.clone(), Some(state.store.clone())).map_err(failed("opening the state"))?;
        embedded::make_namespaces(&memory, &Settings::default()).await.map_err(failed("preparing the state"))?;
        let mut tasks = tokio::task::JoinSet::new();
        let (trigger, shutdown) = Shutdown::channel();
        let (stop, _) = watch::channel(false);
        if let Some(listener) = sandbox {
            start_sandbox(listener, arguments, &state, (clock.clone(), ids), shutdown.clone(), &mut tasks)?;
        }
        start_api(api, &state, &memory, clock.clone(), shutdown.clone(), &mut tasks)?;

        let transport = Arc::new(HttpTransport::new().map_err(failed("starting the HTTP client"))?);
        let secrets = WorldSecrets {
            world: Arc::new(memory.client(Identity::controller(), None)),
            system_namespace: Settings::default().system_namespace,
        };
        let backends = Arc::new(Adapters::new(transport.clone(), Arc::new(secrets), clock.clone()));
        let (mut setup, _) = embedded::setup(&memory, backends, clock.clone(), |world| world);
        let sink = arguments.notify.sink(transport, clock.clone(), setup.telemetry.clone());
        setup.notifier = notify::both(setup.notifier, sink.as_ref());
        start_telling(sink.clone(), &memory, clock, shutdown, &mut tasks);
        let operator = Operator::new(setup);
        let load = operator.load();
        let mut stopped = stop.subscribe();
        let operator = tokio::spawn(async move {
            let ended = operator.run(async move { drop(stopped.wait_for(|stop| *stop).await) }).await;
            ended.map_err(failed("running the operator"))
        });
        let agent = Agent { server: Arc::new(memory.clone()), store: state.store };
        Ok(Self { memory, agent, load, sink, trigger, stop, operator, tasks })
    }

    /// Applies the folder until all of it is applied or refused and the operator has nothing to do.
    async fn once(&self, arguments: &Arguments) -> Result<Ended, CommandError> {
        let settled = async {
            loop {
                let synced = self.sync(&arguments.folder).await?;
                self.settled().await;
                if synced.waiting.is_empty() || synced.changed.is_empty() {
                    return Ok::<Synced, CommandError>(synced);
                }
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(arguments.timeout), settled).await;
        let synced = in_time.ok().transpose()?;
        if let Some(sink) = &self.sink {
            sink.drained(LAST_NOTICES).await;
        }
        let good = report::print(&self.memory.snapshot(), arguments.output)?;
        let Some(synced) = synced else {
            eprintln!("not settled within {} s", arguments.timeout);
            return Ok(Ended::Timeout);
        };
        let refused = synced.refused.iter().chain(&synced.waiting);
        refused.clone().for_each(|problem| eprintln!("{problem}"));
        Ok(if good && refused.count() == 0 { Ended::Ok } else { Ended::Findings })
    }

    /// Keeps the world as the folder says, until a signal comes.
    async fn until_stopped(&self, arguments: &Arguments, signal: impl Future<Output = ()>) -> Result<Ended, CommandError> {
        let mut reporter = Reporter::default();
        let mut seen = None;
        let mut complaints = String::new();
        let mut retry = false;
        let mut signal = std::pin::pin!(signal);
        loop {
            let print = fingerprint(&arguments.folder);
            if retry || seen.as_ref() != Some(&print) {
                let synced = self.sync(&arguments.folder).await?;
                retry = !synced.waiting.is_empty();
                let lines: Vec<String> = synced.refused.iter().chain(&synced.waiting).map(ToString::to_string).collect();
                let now = lines.join("\n");
                if now != complaints && !now.is_empty() {
                    eprintln!("{now}");
                }
                complaints = now;
                seen = Some(print);
            }
            reporter.tell(&self.memory.snapshot());
            tokio::select! {
                () = &mut signal => return Ok(Ended::Ok),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn sync(&self, folder: &Path) -> Result<Synced, CommandError> {
        let path = folder.to_owned();
        let read = tokio::task::spawn_blocking(move || Folder::read(&[path])).await.map_err(failed("reading the folder"))?;
        self.agent.sync(&read).await.map_err(failed("noting what was applied"))
    }

    /// Waits until nothing is to be done for longer than any call may wait.
    async fn settled(&self) {
        let mut load = self.load.clone();
        loop {
            // Ends with an error only when the operator has; then there is nothing to wait for.
            let _ = load.wait_for(|load| load.is_settled(WAIT_BUDGET)).await;
            tokio::time::sleep(QUIET).await;
            if load.borrow().is_settled(WAIT_BUDGET) {
                return;
            }
        }
    }

    /// Passes under way first: they still need the sandbox and the API.
    async fn stop(mut self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(LAST_PASSES, &mut self.operator).await.is_err() {
            self.operator.abort();
            let _ = (&mut self.operator).await;
        }
        self.trigger.shut_down();
        let served = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Ok(Err(error)) = ended {
                    eprintln!("mandate: {error}");
                }
            }
        };
        let _ = tokio::time::timeout(LAST_REPLIES, served).await;
    }
}

fn failed<E: std::fmt::Display>(doing: &'static str) -> impl Fn(E) -> CommandError {
    move |error| CommandError::Failed(format!("{doing}: {error}"))
}

/// Whoever reaches these addresses is trusted like a user of this machine.
fn require_loopback(arguments: &Arguments) -> Result<(), CommandError> {
    let sandbox = (!arguments.no_sandbox).then_some((arguments.sandbox_listen, "the sandbox"));
    let mut asked = [(arguments.listen, "the Kubernetes API")].into_iter().chain(sandbox);
    match asked.find(|(address, _)| !address.ip().is_loopback()) {
        None => Ok(()),
        Some((address, what)) => Err(CommandError::Usage(format!("{address} is no loopback address: {what} listens on this machine only"))),
    }
}

async fn bind(address: SocketAddr, what: &str, flag: &str) -> Result<TcpListener, CommandError> {
    let refused =
        |error: io::Error| CommandError::Failed(format!("listening on {address} for {what}: {error}; choose another with {flag} ADDR"));
    TcpListener::bind(address).await.map_err(refused)
}

type Tasks = tokio::task::JoinSet<Result<(), CommandError>>;

fn start_sandbox(
    listener: TcpListener,
    arguments: &Arguments,
    state: &State,
    (clock, ids): (Arc<dyn Clock>, Arc<dyn Identifiers>),
    shutdown: Shutdown,
    tasks: &mut Tasks,
) -> Result<(), CommandError> {
    let mut options = SandboxOptions::new(clock, ids);
    options.log = Some(state.sandbox_log());
    options.templates = Some(arguments.folder.join("sandbox")).filter(|folder| folder.is_dir());
    let sandbox = Sandbox::open(options).map_err(failed("opening the sandbox"))?;
    let address = listener.local_addr().map_err(failed("listening for the sandbox"))?;
    eprintln!("sandbox   http://{address}  (n8n, vapi, calcom, crm; effects at /_sandbox/effects)");
    tasks.spawn(async move { sandbox.serve(listener, shutdown.requested()).await.map_err(failed("serving the sandbox")) });
    Ok(())
}

fn start_api(
    listener: TcpListener,
    state: &State,
    memory: &Memory,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    tasks: &mut Tasks,
) -> Result<(), CommandError> {
    let address = listener.local_addr().map_err(failed("listening for the Kubernetes API"))?;
    let api = KubeApi {
        server: Arc::new(memory.clone()),
        authorizer: Arc::new(EmbeddedRights),
        authenticator: Arc::new(state.tokens()?),
        clock,
        hosts: Hosts::loopback(address.port()),
        shutdown: shutdown.clone(),
    };
    let router = api.router().map_err(failed("building the Kubernetes API"))?;
    let certificate = state.certificate()?;
    let listener = EitherListener::new(listener, &certificate).map_err(failed("preparing TLS"))?;
    let kubeconfig = state.write_kubeconfig(&kubeconfig::render(address, &certificate.certificate, state.token()))?;
    eprintln!("api       https://{address}  (kubectl --kubeconfig {})", kubeconfig.display());
    tasks.spawn(async move { serve(listener, router, shutdown).await.map_err(failed("serving the Kubernetes API")) });
    Ok(())
}

/// Delivers what is told, and removes the Events that a cluster would not keep any more.
fn start_telling(sink: Option<Arc<Sink>>, memory: &Memory, clock: Arc<dyn Clock>, shutdown: Shutdown, tasks: &mut Tasks) {
    if let Some(sink) = sink {
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            notify::deliver(sink, shutdown.requested()).await;
            Ok(())
        });
    }
    let world = memory.client(Identity::controller(), None);
    tasks.spawn(async move {
        let expiring = async {
            loop {
                if let Err(error) = expire(&world, clock.as_ref()).await {
                    tracing::warn!(%error, "old Events were not removed");
                }
                tokio::time::sleep(EXPIRY).await;
            }
        };
        tokio::select! {
            () = expiring => {}
            () = shutdown.requested() => {}
        }
        Ok(())
    });
}

/// Names, sizes and times of everything in the folder: differs when a file changed.
fn fingerprint(folder: &Path) -> Vec<(PathBuf, u64, Option<std::time::SystemTime>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() && !hidden => open.push(entry.path()),
                Ok(metadata) if metadata.is_file() => found.push((entry.path(), metadata.len(), metadata.modified().ok())),
                Ok(_) | Err(_) => {}
            }
        }
    }
    found.sort();
    found
}
