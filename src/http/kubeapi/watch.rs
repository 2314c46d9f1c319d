//! watch: changes as they happen, one JSON document a line.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::accept::{Form, form};
use super::query::{IncludeObject, Parameters, VersionMatch};
use super::read::selection;
use super::status::Refusal;
use super::table::{PartialObject, TableColumn, TableView};
use super::{Api, Asked};
use crate::engine::port::{Clock, WorldError};
use crate::model::object::Object;
use crate::model::resource::Resource;
use crate::world::server::{Definition, Selection, WatchEvent};

/// How long a watch lasts that does not say. Clients begin anew from where they were.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// Annotation of the bookmark that ends the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// With everything that exists, then its changes; a bookmark between them if asked for.
    Everything { bookmark: bool },
    /// With changes after this version.
    After(u64),
}

/// Changes of what a request selects, until the client, its timeout, the server or the watch itself ends it.
pub async fn collection(api: &Api, definition: &Definition, namespace: Option<String>, asked: Asked) -> Result<Response, Refusal> {
    let Asked { who, parameters, request } = asked;
    let mut lines = Lines {
        form: form(request.headers())?,
        include: parameters.include_object()?,
        resource: definition.resource,
        columns: api.tables.columns(definition.resource).to_vec(),
        clock: Arc::clone(&api.parts.clock),
        headings: true,
    };
    let selection = selection(definition, namespace, &parameters);
    let timeout = parameters.timeout()?.unwrap_or(DEFAULT_TIMEOUT);
    let start = start(&parameters)?;
    let (mut head, from) = match start {
        Start::After(version) => (Vec::new(), version),
        Start::Everything { bookmark } => {
            let listed = api.parts.server.list(&who, &selection).await?;
            at_least(&parameters, listed.resource_version)?;
            let mut head: Vec<Bytes> = listed.objects.iter().map(|object| lines.event("ADDED", object)).collect();
            head.extend(bookmark.then(|| lines.initial_events_end(listed.resource_version)));
            (head, listed.resource_version)
        }
    };
    let changes = match changes(api, &who, &selection, from).await? {
        Ok(changes) => changes,
        Err(gone) => {
            head.push(line("ERROR", &gone.document()));
            stream::empty().boxed()
        }
    };
    let ending = ending(timeout, api.parts.shutdown.clone());
    let tail = changes.map(move |event| lines.change(&event)).take_until(Box::pin(ending));
    Ok(reply(stream::iter(head).chain(tail)))
}

/// The outer error refuses the request; the inner one is told as an event, as the API server does with versions that are
/// too old.
async fn changes(
    api: &Api,
    who: &crate::world::server::Identity,
    selection: &Selection,
    from: u64,
) -> Result<Result<BoxStream<'static, WatchEvent>, Refusal>, Refusal> {
    let current = api.parts.server.resource_version();
    if from > current {
        return Err(Refusal::version_too_large(from, current));
    }
    match api.parts.server.watch(who, selection, from).await {
        Ok(changes) => Ok(Ok(changes)),
        Err(WorldError::Gone(_)) => Ok(Err(Refusal::expired(format!("too old resource version: {from} ({current})")))),
        Err(error) => Err(error.into()),
    }
}

async fn ending(timeout: Duration, shutdown: crate::http::serve::Shutdown) {
    tokio::select! {
        () = tokio::time::sleep(timeout) => {}
        () = shutdown.requested() => {}
    }
}

fn start(parameters: &Parameters) -> Result<Start, Refusal> {
    let forbidden = |why: &str| parameters.forbidden("resourceVersionMatch", why);
    let version = parameters.number::<u64>("resourceVersion")?.filter(|version| *version > 0);
    match (parameters.stated_truth("sendInitialEvents")?, parameters.version_match()?) {
        (None, Some(_)) => Err(forbidden("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")),
        (Some(_), None | Some(VersionMatch::Exact)) => {
            Err(forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
        }
        (Some(true), Some(VersionMatch::NotOlderThan)) => Ok(Start::Everything { bookmark: parameters.truth("allowWatchBookmarks")? }),
        (None, None) | (Some(false), Some(VersionMatch::NotOlderThan)) => {
            Ok(version.map_or(Start::Everything { bookmark: false }, Start::After))
        }
    }
}

/// A list to begin with must not be older than what the client has seen.
fn at_least(parameters: &Parameters, current: u64) -> Result<(), Refusal> {
    match parameters.number::<u64>("resourceVersion")? {
        Some(asked) if asked > current => Err(Refusal::version_too_large(asked, current)),
        Some(_) | None => Ok(()),
    }
}

/// Events as lines.
struct Lines {
    form: Form,
    include: IncludeObject,
    resource: &'static Resource,
    columns: Vec<TableColumn>,
    clock: Arc<dyn Clock>,
    /// Whether the next table has headings: the first of a watch alone.
    headings: bool,
}

#[derive(Serialize)]
struct Line<'a, T> {
    #[serde(rename = "type")]
    change: &'a str,
    object: &'a T,
}

impl Lines {
    fn change(&mut self, event: &WatchEvent) -> Bytes {
        match event {
            WatchEvent::Added(object) => self.event("ADDED", object),
            WatchEvent::Modified(object) => self.event("MODIFIED", object),
            WatchEvent::Deleted(object) => self.event("DELETED", object),
        }
    }

    fn event(&mut self, change: &str, object: &Object) -> Bytes {
        match self.form {
            Form::Object => line(change, &object.body),
            Form::Metadata => line(change, &PartialObject::of(object)),
            Form::Table => {
                let metadata = json!({"resourceVersion": object.resource_version()});
                let headings = std::mem::take(&mut self.headings);
                line(change, &self.view(self.clock.now()).table(&metadata, headings, &[object]))
            }
        }
    }

    fn initial_events_end(&mut self, version: u64) -> Bytes {
        let metadata = json!({"resourceVersion": version.to_string(), "annotations": {INITIAL_EVENTS_END: "true"}});
        let bookmark = Object { resource: self.resource, body: self.typed(&metadata) };
        match self.form {
            Form::Object => line("BOOKMARK", &bookmark.body),
            Form::Metadata => line("BOOKMARK", &PartialObject::of(&bookmark)),
            Form::Table => {
                let headings = std::mem::take(&mut self.headings);
                line("BOOKMARK", &self.view(self.clock.now()).table(&metadata, headings, &[]))
            }
        }
    }

    fn typed(&self, metadata: &Value) -> Value {
        json!({"apiVersion": self.resource.api_version(), "kind": self.resource.kind, "metadata": metadata})
    }

    fn view(&self, now: Timestamp) -> TableView<'_> {
        TableView { columns: &self.columns, include: self.include, now }
    }
}

fn line(change: &str, object: &impl Serialize) -> Bytes {
    // Only a map whose keys are no strings cannot be written, and no document here has one.
    let mut text = serde_json::to_vec(&Line { change, object }).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

fn reply(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
