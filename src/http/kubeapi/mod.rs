//! The Kubernetes API of `mandate up`: what kube clients and the stock kubectl ask, over any [`ApiServer`].
//!
//! A request is read in steps, one file each: host and token (`gate`), path, query and body; it is done by the server; the
//! reply is shown in the form that the client accepts (object, table, metadata). No step knows a kind.
//!
//! Deliberately absent, and refused with a reason: protobuf and YAML bodies, JSON patch, strategic merge patch and apply,
//! `generateName`, dry runs of deletions, subresources other than `status`.

mod accept;
pub mod age;
mod body;
mod delete;
mod discovery;
mod duplicates;
mod gate;
pub mod json_path;
mod pages;
mod path;
mod query;
mod read;
mod review;
mod status;
pub mod table;
mod watch;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::pages::Pages;
use self::path::{Target, target};
use self::query::Parameters;
use self::status::{Refusal, json};
use self::table::{ColumnError, Tables};
use super::auth::Authenticator;
use super::host::Hosts;
use super::serve::Shutdown;
use crate::engine::port::Clock;
use crate::world::events::BothEvents;
use crate::world::server::{ApiServer, Authorizer, Identity};

/// What the API is made of.
pub struct KubeApi {
    /// Does the requests.
    pub server: Arc<dyn ApiServer>,
    /// Answers reviews of one's own permissions.
    pub authorizer: Arc<dyn Authorizer>,
    /// Knows the callers.
    pub authenticator: Arc<dyn Authenticator>,
    /// Tells ages.
    pub clock: Arc<dyn Clock>,
    /// Names that the server goes by.
    pub hosts: Hosts,
    /// Ends the watches.
    pub shutdown: Shutdown,
}

/// The API as handlers see it.
struct Api {
    parts: KubeApi,
    tables: Tables,
    pages: Pages,
}

/// One request, its head read.
struct Asked {
    who: Identity,
    parameters: Parameters,
    request: Request,
}

impl KubeApi {
    /// The routes of the Kubernetes API, health included.
    ///
    /// # Errors
    /// A printer column whose path cannot be parsed.
    pub fn router(self) -> Result<Router, ColumnError> {
        let parts = Self { server: Arc::new(BothEvents::of(self.server)), ..self };
        let tables = Tables::of(parts.server.definitions())?;
        let api = Arc::new(Api { parts, tables, pages: Pages::default() });
        let inside = Router::new()
            .route("/version", get(|| async { json(StatusCode::OK, &discovery::server_version()) }))
            .route("/openapi/{*rest}", get(openapi))
            .route("/api", get(roots).fallback(not_allowed))
            .route("/apis", get(roots).fallback(not_allowed))
            .route("/api/{*rest}", axum::routing::any(below_api))
            .route("/apis/{*rest}", axum::routing::any(below_apis))
            .fallback(|| async { Refusal::no_such_path() })
            .layer(middleware::from_fn_with_state(Arc::clone(&api), gate::token));
        let health = ["/healthz", "/livez", "/readyz"];
        let outside = health.into_iter().fold(Router::new(), |router, path| router.route(path, get(healthy)));
        Ok(outside.merge(inside).layer(middleware::from_fn_with_state(Arc::clone(&api), gate::host)).with_state(api))
    }
}

async fn healthy(State(api): State<Arc<Api>>) -> Response {
    if api.parts.shutdown.is_requested() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response();
    }
    "ok".into_response()
}

async fn openapi() -> Refusal {
    Refusal::not_served("OpenAPI documents are not served yet; for kubectl, add --validate=false")
}

async fn not_allowed() -> Refusal {
    Refusal::method_not_allowed()
}

async fn roots(state: State<Arc<Api>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    dispatch(state, &path, request).await
}

async fn below_api(state: State<Arc<Api>>, Path(rest): Path<String>, request: Request) -> Response {
    dispatch(state, &format!("/api/{rest}"), request).await
}

async fn below_apis(state: State<Arc<Api>>, Path(rest): Path<String>, request: Request) -> Response {
    dispatch(state, &format!("/apis/{rest}"), request).await
}

async fn dispatch(State(api): State<Arc<Api>>, path: &str, request: Request) -> Response {
    answer(&api, path, request).await.unwrap_or_else(Refusal::into_response)
}

/// From the path to the handler.
async fn answer(api: &Api, path: &str, request: Request) -> Result<Response, Refusal> {
    let definitions = api.parts.server.definitions();
    let target = target(definitions, path)?;
    let who = request.extensions().get::<Identity>().cloned().ok_or_else(Refusal::unauthorized)?;
    let method = request.method().clone();
    let asked = Asked { who, parameters: Parameters::parse(&method, request.uri())?, request };
    match (target, method) {
        (Target::Roots(root), Method::GET) => Ok(discovery::root(definitions, root, accept::discovery_form(asked.request.headers())?)),
        (Target::Group(group), Method::GET) => discovery::group(definitions, &group),
        (Target::Version(group, version), Method::GET) => discovery::version(definitions, &group, &version),
        (Target::Review(group, plural), Method::POST) => review::answer(api, &group, &plural, asked).await,
        (Target::Collection { definition, namespace }, Method::GET) if asked.parameters.truth("watch")? => {
            watch::collection(api, definition, namespace, asked).await
        }
        (Target::Collection { definition, namespace }, Method::GET) => read::collection(api, definition, namespace, asked).await,
        (Target::Collection { definition, namespace }, Method::POST) => write::create(api, definition, namespace, asked).await,
        (Target::Collection { definition, namespace }, Method::DELETE) => delete::collection(api, definition, namespace, asked).await,
        (Target::Object { key, .. }, Method::GET) => read::object(api, &key, asked).await,
        (Target::Object { definition, key, subresource }, Method::PUT) => write::update(api, definition, &key, subresource, asked).await,
        (Target::Object { key, subresource, .. }, Method::PATCH) => write::patch(api, &key, subresource, asked).await,
        (Target::Object { key, subresource, .. }, Method::DELETE) => delete::object(api, &key, subresource, asked).await,
        (
            Target::Roots(_)
            | Target::Group(_)
            | Target::Version(..)
            | Target::Review(..)
            | Target::Collection { .. }
            | Target::Object { .. },
            _,
        ) => Err(Refusal::method_not_allowed()),
    }
}
