//! The cluster world against scripted replies: what a real server does too rarely to wait for.
//!
//! Each test is a trap that the usual client falls into: a relist that loses an update, a deletion while the watch was down,
//! one refused watch that slows the others, a version too old at the start of a watch, a request that hangs, a write
//! whose reply was lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::{Request, Response};
use mandate::engine::port::{Delta, Feed, World, WorldError};
use mandate::model::object::Object;
use mandate::model::resource::{EVENT, NAMESPACE, RESOURCE_QUOTA, Resource};
use mandate::operator::cache::Cache;
use mandate::world::cluster::Cluster;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What the server does with one request.
enum Reply {
    Json(u16, Value),
    /// Lines of a watch; then it ends, or stays open.
    Watch(Vec<Value>, Open),
    /// Nothing ever comes back.
    Hang,
    /// The request was read, the connection broke.
    Broken,
}

#[derive(PartialEq)]
enum Open {
    Stays,
    Ends,
}

type Script = Arc<Mutex<BTreeMap<&'static str, VecDeque<Reply>>>>;

/// A server that answers each resource from its own script, and what it was asked.
#[derive(Clone, Default)]
struct Server {
    script: Script,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn answers(self, resource: &'static Resource, replies: impl IntoIterator<Item = Reply>) -> Self {
        self.script.lock().unwrap().insert(resource.plural, replies.into_iter().collect());
        self
    }

    fn cluster(&self) -> Cluster {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        Cluster::new(kube::Client::new(service, "default"))
    }

    async fn answer(&self, request: Request<kube::client::Body>) -> Result<Response<Body>, std::io::Error> {
        let uri = request.uri().to_string();
        self.asked.lock().unwrap().push(format!("{} {uri}", request.method()));
        let reply = {
            let mut script = self.script.lock().unwrap();
            let plural = script.keys().copied().find(|plural| uri.contains(plural)).unwrap_or_else(|| panic!("no script for {uri}"));
            script.get_mut(plural).unwrap().pop_front()
        };
        match reply {
            Some(Reply::Json(code, body)) => Ok(Response::builder().status(code).body(Body::from(body.to_string())).unwrap()),
            Some(Reply::Watch(events, open)) => {
                let lines = events.into_iter().map(|event| Ok::<_, std::io::Error>(Bytes::from(format!("{event}\n"))));
                let rest: BoxStream<'static, _> = if open == Open::Stays { stream::pending().boxed() } else { stream::empty().boxed() };
                Ok(Response::new(Body::from_stream(stream::iter(lines.collect::<Vec<_>>()).chain(rest))))
            }
            Some(Reply::Broken) => Err(std::io::Error::other("connection reset by peer")),
            Some(Reply::Hang) | None => std::future::pending().await,
        }
    }

    /// What was asked, without the options that every watch has.
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap().clone();
        asked.into_iter().map(|asked| asked.replace("watch=true&allowWatchBookmarks=true&timeoutSeconds=290&", "watch&")).collect()
    }
}

fn object(name: &str, version: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": version.to_string()}})
}

fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

fn bookmark(version: u64, ends: bool) -> Value {
    let annotations = if ends { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
    let metadata = json!({"resourceVersion": version.to_string(), "annotations": annotations});
    event("BOOKMARK", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
}

/// The events of a list that comes as a stream.
fn listed(objects: &[(&str, u64)], version: u64) -> Vec<Value> {
    let added = objects.iter().map(|(name, version)| event("ADDED", object(name, *version)));
    added.chain([bookmark(version, true)]).collect()
}

fn refusal(code: u16, reason: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": reason,
        "details": {"kind": "namespaces", "name": "a"}})
}

fn feed(resource: &'static Resource) -> Feed {
    Feed { resource, namespace: None, metadata_only: false }
}

/// A delta in few words.
fn words(told: &Result<Delta, WorldError>) -> String {
    let of = |object: &Arc<Object>| format!("{}@{}", object.name(), object.resource_version());
    match told {
        Ok(Delta::Listed { objects, version }) => format!("listed {} at {version}", objects.iter().map(of).collect::<Vec<_>>().join(" ")),
        Ok(Delta::Applied(object)) => format!("applied {}", of(object)),
        Ok(Delta::Deleted(object)) => format!("deleted {}", of(object)),
        Ok(Delta::Resumed) => "resumed".to_owned(),
        Err(error) => format!("error {error}"),
    }
}

async fn told(server: &Server, number: usize) -> Vec<String> {
    let deltas: Vec<_> = server.cluster().watch(&feed(&NAMESPACE)).take(number).collect().await;
    deltas.iter().map(words).collect()
}

#[tokio::test(start_paused = true)]
async fn a_relist_is_told_whole_and_tells_what_changed_and_what_vanished_meanwhile() {
    let gone = event("ERROR", refusal(410, "Expired"));
    let mut again = listed(&[("a", 9)], 9);
    let end = again.pop().unwrap();
    let server = Server::default().answers(
        &NAMESPACE,
        [
            Reply::Watch([listed(&[("a", 1), ("b", 2)], 3), vec![gone]].concat(), Open::Ends),
            // The first try to list again breaks off before it is whole.
            Reply::Watch(again.clone(), Open::Ends),
            Reply::Watch([again, vec![end]].concat(), Open::Stays),
        ],
    );
    let cache = Cache::default();
    let mut watch = server.cluster().watch(&feed(&NAMESPACE));
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!(cache.apply(&NAMESPACE, first).len(), 2);
    let broken = watch.next().await.unwrap();
    assert!(words(&broken).contains("the list broke off"), "{}", words(&broken));
    assert_eq!(cache.len(), 2, "half a list takes nothing away");
    let whole = watch.next().await.unwrap().unwrap();
    let mut changed: Vec<_> =
        cache.apply(&NAMESPACE, whole).iter().map(|change| (change.key.name.clone(), change.after.is_some())).collect();
    changed.sort();
    assert_eq!(changed, [("a".to_owned(), true), ("b".to_owned(), false)]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_watch_goes_on_from_the_last_version_it_saw() {
    let first = [listed(&[("a", 1)], 3), vec![event("MODIFIED", object("a", 5)), bookmark(8, false)]].concat();
    let server = Server::default().answers(
        &NAMESPACE,
        [Reply::Watch(first, Open::Ends), Reply::Broken, Reply::Watch(vec![event("DELETED", object("a", 11))], Open::Stays)],
    );
    let told = told(&server, 5).await;
    assert_eq!(told[..2], ["listed a@1 at 3", "applied a@5"]);
    assert!(told[2].starts_with("error the world is unavailable"), "{}", told[2]);
    assert_eq!(told[3..], ["resumed", "deleted a@11"]);
    assert_eq!(
        server.asked(),
        [
            "GET /api/v1/namespaces?watch&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            "GET /api/v1/namespaces?watch&resourceVersion=8",
            "GET /api/v1/namespaces?watch&resourceVersion=8",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_at_the_start_of_a_watch_is_listed_again_and_not_asked_in_a_rush() {
    let server = Server::default().answers(
        &NAMESPACE,
        [
            Reply::Watch(listed(&[("a", 1)], 3), Open::Ends),
            Reply::Json(410, refusal(410, "Expired")),
            Reply::Watch(listed(&[("a", 4)], 6), Open::Stays),
        ],
    );
    let began = Instant::now();
    assert_eq!(told(&server, 2).await, ["listed a@1 at 3", "listed a@4 at 6"]);
    assert!(began.elapsed() >= Duration::from_millis(200), "a server that says no at once is given time: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_refused_watch_slows_no_other() {
    let refused = || Reply::Json(403, refusal(403, "Forbidden"));
    let server = Server::default()
        .answers(&NAMESPACE, std::iter::repeat_with(refused).take(100))
        .answers(&RESOURCE_QUOTA, [Reply::Watch(listed(&[("q", 1)], 2), Open::Stays)]);
    let cluster = server.cluster();
    let mut refused = cluster.watch(&feed(&NAMESPACE));
    let began = Instant::now();
    assert_eq!(words(&refused.next().await.unwrap()), "error Namespace  is forbidden: Forbidden");
    let other = cluster.watch(&feed(&RESOURCE_QUOTA)).next().await.unwrap();
    assert_eq!(words(&other), "listed q@1 at 2");
    assert_eq!(began.elapsed(), Duration::ZERO);
    for _ in 0..9 {
        refused.next().await.unwrap().unwrap_err();
    }
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(20) && waited < Duration::from_secs(90), "it is asked again less and less often: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_costs_its_deadline_and_no_more() {
    let server = Server::default().answers(&NAMESPACE, [Reply::Hang, Reply::Watch(listed(&[], 2), Open::Stays)]);
    let began = Instant::now();
    let told = told(&server, 2).await;
    assert!(told[0].ends_with("no reply within 10 s"), "{}", told[0]);
    assert_eq!(told[1], "listed  at 2");
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_opened_again() {
    let server = Server::default()
        .answers(&NAMESPACE, [Reply::Watch(listed(&[], 2), Open::Stays), Reply::Watch(vec![event("ADDED", object("a", 3))], Open::Stays)]);
    let told = told(&server, 4).await;
    assert!(told[1].ends_with("the watch was silent for 90 s"), "{}", told[1]);
    assert_eq!(told[2..], ["resumed", "applied a@3"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_older_than_what_was_told_is_refused() {
    let server = Server::default().answers(
        &NAMESPACE,
        [
            Reply::Watch([listed(&[("a", 40)], 50), vec![event("ERROR", refusal(410, "Expired"))]].concat(), Open::Ends),
            Reply::Watch(listed(&[("a", 7)], 9), Open::Stays),
            Reply::Watch(listed(&[("a", 51)], 52), Open::Stays),
        ],
    );
    assert_eq!(
        told(&server, 3).await,
        ["listed a@40 at 50", "error the world went back from resource version 50 to 9", "listed a@51 at 52"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_streams_no_lists_is_asked_for_pages() {
    let page = |names: &[(&str, u64)], more: &str| {
        let items: Vec<Value> = names.iter().map(|(name, version)| object(name, *version)).collect();
        Reply::Json(200, json!({"kind": "NamespaceList", "metadata": {"resourceVersion": "7", "continue": more}, "items": items}))
    };
    let server = Server::default().answers(
        &NAMESPACE,
        [
            Reply::Json(422, refusal(422, "Invalid")),
            page(&[("a", 1)], "next page"),
            page(&[("b", 2)], ""),
            Reply::Watch(vec![event("ADDED", object("c", 8))], Open::Stays),
        ],
    );
    assert_eq!(told(&server, 2).await, ["listed a@1 b@2 at 7", "applied c@8"]);
    assert_eq!(
        server.asked()[1..],
        [
            "GET /api/v1/namespaces?limit=500",
            "GET /api/v1/namespaces?limit=500&continue=next%20page",
            "GET /api/v1/namespaces?watch&resourceVersion=7",
        ]
    );
}

fn labelled(value: &str) -> Object {
    let mut wanted = Object::named(&NAMESPACE, "", "a");
    wanted.set_metadata("labels", json!({"mandate.dev/tenant": value}));
    wanted
}

fn stored(value: &str) -> Value {
    let mut stored = object("a", 5);
    stored["metadata"]["labels"] = json!({"mandate.dev/tenant": value, "kubernetes.io/metadata.name": "a"});
    stored
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_reply_was_lost_finds_its_own_object_and_no_other() {
    let script = |found| {
        let replies = [Reply::Broken, Reply::Json(409, refusal(409, "AlreadyExists")), Reply::Json(200, stored(found))];
        Server::default().answers(&NAMESPACE, replies)
    };
    let server = script("acme");
    let made = server.cluster().create(&labelled("acme")).await.unwrap();
    assert_eq!(made.uid(), "uid-a");
    let twice = "POST /api/v1/namespaces?fieldValidation=Strict";
    assert_eq!(server.asked(), [twice, twice, "GET /api/v1/namespaces/a"]);

    let other = script("somebody-else").cluster().create(&labelled("acme")).await.unwrap_err();
    assert!(matches!(other, WorldError::AlreadyExists(_)), "{other}");
}

/// The controller may create Events and not read them; their names say all that there is to compare.
#[tokio::test(start_paused = true)]
async fn an_event_whose_reply_was_lost_is_there_and_is_not_looked_at() {
    let server = Server::default().answers(&EVENT, [Reply::Broken, Reply::Json(409, refusal(409, "AlreadyExists"))]);
    let there = server.cluster().create(&Object::named(&EVENT, "acme", "receptionist-1.0123456789abcdef")).await.unwrap_err();
    assert!(matches!(there, WorldError::AlreadyExists(_)), "{there}");
    let twice = "POST /apis/events.k8s.io/v1/namespaces/acme/events?fieldValidation=Strict";
    assert_eq!(server.asked(), [twice, twice]);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_refused_at_once_is_not_taken_for_ours() {
    let server = Server::default().answers(&NAMESPACE, [Reply::Json(409, refusal(409, "AlreadyExists"))]);
    let refused = server.cluster().create(&labelled("acme")).await.unwrap_err();
    assert!(matches!(refused, WorldError::AlreadyExists(_)), "{refused}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_never_answered_ends_as_unknown() {
    let server = Server::default().answers(&NAMESPACE, [Reply::Hang, Reply::Hang, Reply::Hang]);
    let began = Instant::now();
    let lost = server.cluster().create(&labelled("acme")).await.unwrap_err();
    assert!(matches!(lost, WorldError::Unknown(_)), "{lost}");
    assert!(began.elapsed() <= Duration::from_secs(30), "{:?}", began.elapsed());
}
