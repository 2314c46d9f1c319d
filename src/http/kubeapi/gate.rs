//! What every request passes first: the host that it names, then the token that it carries.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::status::Refusal;
use crate::http::auth::AUTHENTICATED;

/// Lets requests for this host through.
pub async fn host(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match api.parts.hosts.refusal(request.uri(), request.headers()) {
        Some(message) => Refusal::forbidden(message).into_response(),
        None => next.run(request).await,
    }
}

/// Lets known callers through, and says inside who they are.
pub async fn token(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let identity = bearer(request.headers()).and_then(|token| api.parts.authenticator.authenticate(token));
    let Some(mut identity) = identity else {
        return Refusal::unauthorized().into_response();
    };
    if !identity.groups.iter().any(|group| group == AUTHENTICATED) {
        identity.groups.push(AUTHENTICATED.to_owned());
    }
    request.extensions_mut().insert(identity);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
