//! Where operators are told of outcomes besides Events: arguments of `run` and `up`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::Uri;

use crate::adapters::cloudevents::Receiver;
use crate::adapters::transport::Transport;
use crate::engine::port::{Clock, Notifier};
use crate::operator::notify::{All, Sink};
use crate::operator::telemetry::Telemetry;

/// How long a process that was asked to stop still tries to deliver.
const LAST_TRIES: Duration = Duration::from_secs(1);

/// A receiver of CloudEvents.
#[derive(Debug, Args)]
pub(super) struct Notifications {
    /// Post each outcome to this URL as a CloudEvent, http or https
    #[arg(long, value_name = "URL")]
    notify_url: Option<Target>,
    /// File with the bearer token for --notify-url; read before each try
    #[arg(long, value_name = "FILE", requires = "notify_url")]
    notify_token_file: Option<PathBuf>,
}

/// A URL that requests can be posted to.
#[derive(Clone)]
struct Target(String);

/// A query may hold a secret.
impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Target(***)")
    }
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| "this is no URL")?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(_) | None => return Err("the URL begins with http:// or https://"),
        }
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        if authority.contains('@') {
            return Err("no user and password in the URL: processes are listed with their arguments; use --notify-token-file");
        }
        Ok(Self(text.to_owned()))
    }
}

impl Notifications {
    /// The sink, if a receiver is named.
    pub(super) fn sink(&self, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>, telemetry: Telemetry) -> Option<Arc<Sink>> {
        let Target(url) = self.notify_url.clone()?;
        Some(Arc::new(Sink::new(Receiver { url, token: self.notify_token_file.clone(), transport, clock }, telemetry)))
    }
}

/// Events, and CloudEvents if there is a sink.
pub(super) fn both(events: Arc<dyn Notifier>, sink: Option<&Arc<Sink>>) -> Arc<dyn Notifier> {
    match sink {
        Some(sink) => Arc::new(All(vec![events, Arc::clone(sink) as Arc<dyn Notifier>])),
        None => events,
    }
}

/// Delivers until `stop`, and a little longer if something waits.
pub(super) async fn deliver(sink: Arc<Sink>, stop: impl Future<Output = ()>) {
    let stopped = async {
        stop.await;
        sink.drained(LAST_TRIES).await;
    };
    tokio::select! {
        () = sink.deliver() => {}
        () = stopped => {}
    }
}
