//! The sandbox's own routes below `/_sandbox`: what was done, and the fault knobs. Without authentication, for loopback.

use http::{Method, StatusCode};
use serde_json::json;

use super::Sandbox;
use super::call::{Call, Reply};
use super::faults::FaultRule;
use super::json::{ObjectText, compact};

/// Answers any request below `/_sandbox`.
pub(super) fn answer(sandbox: &Sandbox, call: &Call) -> Reply {
    let segments = call.segments();
    match (&call.method, segments.as_slice()) {
        (&Method::GET, ["healthz"]) => Reply::ok(ObjectText::with_capacity(16).value("status", "ok").finish()),
        (&Method::GET, ["effects"]) => {
            let query = call.query();
            let after = query.iter().find(|(key, _)| key == "after").map_or(Ok(0), |(_, value)| value.parse());
            match after {
                Ok(after) => Reply::ok(json!({ "effects": sandbox.effects_after(after) }).to_string()),
                Err(_) => Reply::message(StatusCode::BAD_REQUEST, "after must be the sequence number of an effect"),
            }
        }
        (&Method::GET, ["faults"]) => Reply::ok(compact(&sandbox.faults())),
        (&Method::PUT, ["faults"]) => match serde_json::from_slice::<Vec<FaultRule>>(&call.body) {
            Ok(rules) => {
                sandbox.set_faults(rules);
                Reply::ok(compact(&sandbox.faults()))
            }
            Err(error) => Reply::message(StatusCode::BAD_REQUEST, format!("a list of fault rules is expected: {error}")),
        },
        (&Method::DELETE, ["faults"]) => {
            sandbox.set_faults(Vec::new());
            Reply::ok(String::from("[]"))
        }
        (method, ["healthz" | "effects" | "faults"]) => {
            Reply::message(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed here"))
        }
        _ => Reply::message(StatusCode::NOT_FOUND, "no such control route"),
    }
}
