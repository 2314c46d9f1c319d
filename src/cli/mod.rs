//! The command line: arguments as typed, one file per command.
//!
//! Exit codes: 0 ok, 1 findings, 2 usage, 3 the API server cannot be reached, 4 timeout. Results go to stdout; progress
//! and remarks to stderr.

mod canonical;
mod connect;
mod crds;
mod decide;
mod generated;
mod get;
mod hash;
mod input;
mod notify;
mod plan;
mod print;
mod run;
mod sandbox;
mod schema;
mod up;
mod validate;
mod verify;
mod wait;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::task::Poll;

use crate::operator::guards::manifest;
use crate::operator::rbac;
use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// Holds AI assistants to their contracts, from git.
#[derive(Debug, Parser)]
#[command(name = "mandate", version, about, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything here: a folder of YAML, a durable world, the sandbox, the Kubernetes API
    Up(up::Arguments),
    /// Run the operator on a cluster
    Run(run::Arguments),
    /// Decide on what a request, deployment, schema or tenant offers
    Decide(decide::Arguments),
    /// Show objects
    Get(get::Arguments),
    /// Wait until an object is in a state or a condition holds
    Wait(wait::Arguments),
    /// Run the simulated providers alone
    Sandbox(sandbox::Arguments),
    /// Check manifests without a server: YAML, schema, CEL, references
    Validate(validate::Arguments),
    /// Check schemas and pin the digests of their templates
    Schema(schema::Arguments),
    /// Show what manifests would create and call, with hashes, without a server
    Plan(plan::Arguments),
    /// Check audit chains offline
    Verify(verify::Arguments),
    /// Print the exact text that is hashed
    Canonical(canonical::Arguments),
    /// Print the hash of a document
    Hash(hash::Arguments),
    /// Print the CustomResourceDefinitions
    Crds(crds::Arguments),
    /// Print the admission policies that guard records, statuses and names
    Guards(generated::Arguments),
    /// Print the roles of the controller, of tenants and of operators
    Rbac(generated::Arguments),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As wished.
    Ok,
    /// With findings.
    Findings,
    /// Not waited for any longer.
    Timeout,
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What was typed cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// The API server cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// Anything else; exit code 1.
    #[error("{0}")]
    Failed(String),
}

/// Parses the arguments, runs the command, prints its error.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    // What nobody watches is read by machines.
    if matches!(arguments.command, Command::Run(_)) {
        run::log_json();
    } else {
        remark_on_stderr();
    }
    let ended = match arguments.command {
        Command::Up(arguments) => up::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Decide(arguments) => decide::run(&arguments),
        Command::Get(arguments) => get::run(&arguments),
        Command::Wait(arguments) => wait::run(&arguments),
        Command::Sandbox(arguments) => sandbox::run(&arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Canonical(arguments) => canonical::run(&arguments),
        Command::Hash(arguments) => hash::run(&arguments),
        Command::Crds(arguments) => crds::run(&arguments),
        Command::Guards(arguments) => generated::run(&arguments, "guards", manifest::yaml),
        Command::Rbac(arguments) => generated::run(&arguments, "rbac", rbac::yaml),
    };
    match ended {
        Ok(Ended::Ok) => ExitCode::SUCCESS,
        Ok(Ended::Findings) => ExitCode::from(1),
        Ok(Ended::Timeout) => ExitCode::from(4),
        Err(error) => {
            eprintln!("mandate: {error}");
            ExitCode::from(match error {
                CommandError::Failed(_) => 1,
                CommandError::Usage(_) => 2,
                CommandError::Unreachable(_) => 3,
            })
        }
    }
}

/// Warnings go to stderr; `MANDATE_LOG=debug` says more, per module if need be.
fn remark_on_stderr() {
    let asked = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).with_env_var("MANDATE_LOG").from_env_lossy();
    // What the client cannot do, the command says itself.
    let filter = "kube_client=off".parse().map_or_else(|_| EnvFilter::default(), |quiet| asked.add_directive(quiet));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
}

/// The runtime of commands that wait for something.
fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| CommandError::Failed(format!("starting the runtime: {error}")))
}

/// Ends with the first SIGINT or SIGTERM after this call. To be called within a runtime.
fn stop_signal() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{Signal, SignalKind, signal};
    // Taken over now, not when first waited for: a signal in between would end the process on the spot. One that cannot be
    // taken over keeps doing so.
    let mut signals: Vec<Signal> =
        [SignalKind::terminate(), SignalKind::interrupt()].into_iter().filter_map(|kind| signal(kind).ok()).collect();
    std::future::poll_fn(move |context| {
        let came = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if came { Poll::Ready(()) } else { Poll::Pending }
    })
}
