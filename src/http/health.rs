//! What a kubelet and a scraper ask, without a token: whether the process is alive, whether it is ready, its metrics.
//!
//! Nothing here names an object or repeats what a person wrote.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::operator::telemetry::Telemetry;

/// A runner that has not come round for this long is stuck. It ticks while idle too.
pub const STUCK: Duration = Duration::from_secs(60);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/livez`, `/readyz` and `/metrics`.
pub fn router(telemetry: Telemetry) -> Router {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).route("/metrics", get(metrics)).with_state(telemetry)
}

/// 500 when only a new start can help.
async fn livez(State(telemetry): State<Telemetry>) -> Response {
    match telemetry.since_tick() {
        Some(since) if since >= STUCK => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the runner has not come round for {} s\n", since.as_secs())).into_response()
        }
        Some(_) | None => "ok\n".into_response(),
    }
}

/// 503 with a line for each thing that is not ready. A standby that sees everything is ready.
async fn readyz(State(telemetry): State<Telemetry>) -> Response {
    let unready = telemetry.unready();
    if unready.is_empty() {
        return "ok\n".into_response();
    }
    let lines: String = unready.iter().map(|unready| format!("{unready}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    match telemetry.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("writing the metrics: {error}\n")).into_response(),
    }
}
