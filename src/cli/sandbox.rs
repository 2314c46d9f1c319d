//! `mandate sandbox`: the simulated providers alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;

use super::{CommandError, Ended, print};
use crate::engine::port::{RandomIdentifiers, SystemClock};
use crate::sandbox::{Sandbox, SandboxOptions};

/// Arguments of `sandbox`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// File that keeps every effect; without it effects end with the process
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Folder of workflow templates (*.json)
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    super::runtime()?.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> Result<Ended, CommandError> {
    if !arguments.listen.ip().is_loopback() {
        return Err(CommandError::Usage(format!("{} is no loopback address: the sandbox listens on this machine only", arguments.listen)));
    }
    let failed = |error: &dyn std::fmt::Display| CommandError::Failed(format!("serving the sandbox: {error}"));
    let mut options = SandboxOptions::new(Arc::new(SystemClock), Arc::new(RandomIdentifiers));
    options.log.clone_from(&arguments.log);
    options.templates.clone_from(&arguments.templates);
    let sandbox = Sandbox::open(options).map_err(|error| failed(&error))?;
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| failed(&error))?;
    print::line(&format!("http://{}", listener.local_addr().map_err(|error| failed(&error))?))?;
    sandbox.serve(listener, super::stop_signal()).await.map_err(|error| failed(&error))?;
    Ok(Ended::Ok)
}
