//! What an operator is told by a real API server, and by a receiver of CloudEvents.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::control_plane::eventually;
use crate::control_plane::users::{CONTROLLER, OPERATOR};
use crate::rig::{Clinic, PATIENCE};

/// A receiver on loopback that fails at first.
pub struct Receiver {
    got: Arc<Mutex<Vec<Value>>>,
    /// Where it listens.
    pub url: String,
}

impl Receiver {
    /// Listens until the test ends.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/outcomes", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let into = got.clone();
        let take = move |headers: HeaderMap, body: Bytes| {
            let into = into.clone();
            async move {
                assert_eq!(headers["content-type"], "application/cloudevents+json");
                let mut got = into.lock().unwrap();
                got.push(serde_json::from_slice(&body).unwrap());
                if got.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::ACCEPTED }
            }
        };
        let router = axum::Router::new().route("/outcomes", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { got, url }
    }
}

/// The reasons of all Events about an object, as kubectl lists them.
fn reasons(clinic: &Clinic, uid: &str) -> Vec<(String, String)> {
    let listed = clinic.kubectl(&OPERATOR, &["get", "events", "-n", "acme-dental", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let about = listed["items"].as_array().unwrap().iter().filter(|event| event["involvedObject"]["uid"] == uid);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    about.map(|event| (text(&event["reason"]), text(&event["message"]))).collect()
}

/// The clinic, verified: each outcome is one Event that kubectl shows, and one CloudEvent under the hash that proves it.
pub async fn each_outcome_was_told_once(clinic: &Clinic, receiver: &Receiver) {
    let request = clinic.get("/apis/mandate.dev/v1alpha1/namespaces/acme-dental/provisioningrequests/receptionist-1").await.unwrap();
    let uid = request["metadata"]["uid"].as_str().unwrap();
    let mut told = reasons(clinic, uid);
    told.sort();
    let words: Vec<&str> = told.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(words, ["AwaitingVerification", "Completed"], "one Event for each outcome");
    assert!(told[0].1.contains("mandate decide verify"), "it says what to do: {told:?}");

    let described = clinic.kubectl(&OPERATOR, &["describe", "preq", "receptionist-1", "-n", "acme-dental"]);
    let (_, events) = described.split_once("Events:").unwrap();
    for (reason, message) in &told {
        let shown = events.lines().filter(|line| line.contains(reason.as_str()) && line.contains(message.as_str())).count();
        assert_eq!(shown, 1, "{reason}: {described}");
    }
    assert!(events.contains("mandate.dev/controller"), "{events}");

    eventually("both outcomes are delivered", PATIENCE, || async { receiver.got.lock().unwrap().len() >= 3 }).await;
    let got = receiver.got.lock().unwrap().clone();
    let kinds: Vec<&str> = got.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let awaiting = "dev.mandate.provisioning.awaiting-verification.v1";
    assert_eq!(kinds, [awaiting, awaiting, "dev.mandate.provisioning.completed.v1"], "the one that was not taken came again");
    assert_eq!(got[0], got[1]);
    let decided = &request["status"]["journal"]["decisions"][0]["hash"];
    assert_eq!((&got[0]["id"], &got[2]["id"]), (decided, &request["status"]["chain"]["head"]));

    let created = clinic.plane.requests().into_iter().filter(|request| request.user == CONTROLLER.name && request.resource == "events");
    assert_eq!(created.count(), 2, "one request for each Event");
}
