//! The kube client over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Config};
use mandate::http::kubeconfig;
use mandate::http::serve::serve;
use mandate::http::tls::{Certificate, EitherListener};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::harness::{ADMIN, Harness};

struct Served {
    harness: Harness,
    task: JoinHandle<std::io::Result<()>>,
    address: SocketAddr,
    api: Api<DynamicObject>,
    resource: ApiResource,
}

/// A server, reached by the kubeconfig that it is given.
async fn served() -> Served {
    // The client takes the process's provider; a second test finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let harness = Harness::at(&address.to_string()).await;
    let certificate = Certificate::new([]).unwrap();
    let listener = EitherListener::new(listener, &certificate).unwrap();
    let task = tokio::spawn(serve(listener, harness.router.clone(), harness.shutdown.clone()));
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig::render(address, &certificate.certificate, ADMIN)).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let resource = ApiResource {
        group: "mandate.dev".into(),
        version: "v1alpha1".into(),
        api_version: "mandate.dev/v1alpha1".into(),
        kind: "Widget".into(),
        plural: "widgets".into(),
    };
    let api = Api::namespaced_with(client, "shop", &resource);
    Served { harness, task, address, api, resource }
}

impl Served {
    fn widget(&self, name: &str) -> DynamicObject {
        DynamicObject::new(name, &self.resource).data(json!({"spec": {"colour": "red", "size": 3}}))
    }
}

fn code(error: kube::Error) -> (u16, String) {
    let kube::Error::Api(status) = error else { panic!("{error}") };
    (status.code, status.reason.clone())
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("no answer")
}

#[tokio::test]
async fn the_kube_client_creates_reads_changes_and_deletes() {
    let served = served().await;
    let api = &served.api;
    let created = api.create(&PostParams::default(), &served.widget("w")).await.unwrap();
    assert_eq!(api.get("w").await.unwrap().metadata.uid, created.metadata.uid);
    let taken = api.create(&PostParams::default(), &served.widget("w")).await.unwrap_err();
    assert_eq!(code(taken), (409, "AlreadyExists".into()));
    assert_eq!(code(api.get("absent").await.unwrap_err()), (404, "NotFound".into()));

    let list = api.list(&ListParams::default().limit(1).fields("spec.colour=red")).await.unwrap();
    assert_eq!(list.items.len(), 1);
    let metadata = api.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(metadata.items[0].metadata.uid, created.metadata.uid);

    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let patched = api.patch("w", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.metadata.labels.as_ref().unwrap()["a"], "b");
    let mut stale = created.clone();
    stale.data["spec"]["size"] = json!(4);
    assert_eq!(code(api.replace("w", &PostParams::default(), &stale).await.unwrap_err()), (409, "Conflict".into()));
    let mut fresh = patched;
    fresh.data["status"] = json!({"note": "seen"});
    let fresh = api.replace_status("w", &PostParams::default(), &fresh).await.unwrap();
    assert_eq!(fresh.data["status"]["note"], "seen");

    let only = |uid: &str| {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
    };
    let other = api.delete("w", &only("11111111-1111-4111-8111-111111111111")).await.unwrap_err();
    assert_eq!(code(other), (409, "Conflict".into()));
    let gone = api.delete("w", &only(created.metadata.uid.as_ref().unwrap())).await.unwrap();
    assert!(gone.right().unwrap().is_success());
    assert_eq!(code(api.get("w").await.unwrap_err()), (404, "NotFound".into()));
}

#[tokio::test]
async fn the_kube_watcher_sees_everything_in_both_of_its_ways() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let served = served().await;
        served.api.create(&PostParams::default(), &served.widget("a")).await.unwrap();
        let mut events = watcher(served.api.clone(), config).boxed();
        let mut listed = Vec::new();
        loop {
            match within(events.next()).await.unwrap().unwrap() {
                Event::Init => {}
                Event::InitApply(object) => listed.push(object.metadata.name.unwrap()),
                Event::InitDone => break,
                Event::Apply(object) | Event::Delete(object) => panic!("{object:?} before the list was complete"),
            }
        }
        assert_eq!(listed, ["a"]);
        served.api.create(&PostParams::default(), &served.widget("b")).await.unwrap();
        served.api.delete("a", &DeleteParams::default()).await.unwrap();
        let applied = within(events.next()).await.unwrap().unwrap();
        assert!(matches!(&applied, Event::Apply(object) if object.metadata.name.as_deref() == Some("b")), "{applied:?}");
        let deleted = within(events.next()).await.unwrap().unwrap();
        assert!(matches!(&deleted, Event::Delete(object) if object.metadata.name.as_deref() == Some("a")), "{deleted:?}");
    }
}

#[tokio::test]
async fn the_end_of_the_server_ends_watches_without_waiting_for_them() {
    let served = served().await;
    let parameters = kube::api::WatchParams::default().timeout(290);
    let mut events = served.api.watch(&parameters, "0").await.unwrap().boxed();
    served.harness.trigger.shut_down();
    assert!(within(events.next()).await.is_none());
    // The grace is 5 s; a watch that held the server would use it up.
    drop((events, served.api));
    tokio::time::timeout(Duration::from_secs(4), served.task).await.expect("the server hangs").unwrap().unwrap();
}

#[tokio::test]
async fn plain_requests_are_answered_on_the_same_port_while_others_dawdle() {
    let served = served().await;
    // One says nothing, one begins a handshake and stops.
    let _silent = TcpStream::connect(served.address).await.unwrap();
    let mut halting = TcpStream::connect(served.address).await.unwrap();
    halting.write_all(&[0x16, 3, 1]).await.unwrap();
    let mut plain = TcpStream::connect(served.address).await.unwrap();
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.address);
    plain.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    within(plain.read_to_string(&mut reply)).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\nok"), "{reply}");
    assert!(served.api.list(&ListParams::default()).await.unwrap().items.is_empty());
}
