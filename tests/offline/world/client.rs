//! The controller's client of the memory world.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::StreamExt;
use mandate::engine::port::{Access, Delta, Query, Read, Verb, World, WorldError};
use mandate::model::object::OWNER_UID;
use mandate::model::resource::SECRET;
use mandate::world::memory::{Client, HISTORY_EVENTS, Permissions};

use super::*;

const READS: &[Access] =
    &[Access { resource: &WIDGET, verbs: &[Verb::Get, Verb::List, Verb::Watch] }, Access { resource: &GADGET, verbs: &[Verb::List] }];
const WRITES: &[Access] = &[Access { resource: &WIDGET, verbs: &[Verb::UpdateStatus] }];

fn client(memory: &Memory) -> Client {
    memory.client(Identity::controller(), Some(Arc::new(Permissions::of(READS.iter().chain(WRITES)))))
}

#[tokio::test]
async fn what_no_kind_declares_is_refused_by_resource_and_verb() {
    let memory = world().await;
    let made = create(&memory, widget("a", json!({}))).await.unwrap();
    let client = client(&memory);
    assert_eq!(client.get(&key("a")).await.unwrap(), Some(Arc::clone(&made)));
    assert_eq!(client.get(&key("absent")).await.unwrap(), None);
    client.update_status(&edited(&made, |body| body["status"] = json!({"note": "n"}))).await.unwrap();

    let user = "User \"system:serviceaccount:mandate-system:mandate\" cannot";
    let group = "in API group \"mandate.dev\" in the namespace \"acme\": no kind declares it";
    for (refused, words) in [
        (client.update(&made).await.err(), format!("{user} update resource \"widgets\" {group}")),
        (client.create(&widget("b", json!({}))).await.err(), format!("{user} create resource \"widgets\" {group}")),
        (client.delete(&key("a"), made.uid()).await.err(), format!("{user} delete resource \"widgets\" {group}")),
        (
            client.list(&Query::all(&SECRET)).await.err(),
            format!("{user} list resource \"secrets\" in API group \"\" at the cluster scope: no kind declares it"),
        ),
        (
            client.watch(&whole(&GADGET)).next().await.unwrap().err(),
            format!("{user} watch resource \"gadgets\" in API group \"mandate.dev\" at the cluster scope: no kind declares it"),
        ),
    ] {
        assert_eq!(forbidden(refused.unwrap()), words);
    }
    let everything = client.requests();
    let counted = [(Verb::Get, 2), (Verb::List, 2), (Verb::Watch, 1), (Verb::Create, 1), (Verb::Update, 1)];
    let expected: BTreeMap<Verb, u64> = counted.into_iter().chain([(Verb::UpdateStatus, 1), (Verb::Delete, 1)]).collect();
    assert_eq!(everything, expected);
}

#[tokio::test]
async fn every_write_but_create_names_the_object_it_is_meant_for() {
    let memory = world().await;
    let client = memory.client(Identity::controller(), None);
    let made = client.create(&widget("a", json!({}))).await.unwrap();
    let anonymous = edited(&made, |body| drop(body["metadata"].as_object_mut().unwrap().remove("uid")));
    assert!(bad_request(client.update_status(&anonymous).await.unwrap_err()).contains("must name its UID and resource version"));
    assert!(bad_request(client.delete(&key("a"), "").await.unwrap_err()).contains("must name its UID"));

    client.delete(&key("a"), made.uid()).await.unwrap();
    let successor = client.create(&widget("a", json!({}))).await.unwrap();
    assert!(matches!(client.update_status(&made).await, Err(WorldError::Conflict { .. })));
    assert!(matches!(client.delete(&key("a"), made.uid()).await, Err(WorldError::Conflict { .. })));
    assert_eq!(client.get(&key("a")).await.unwrap(), Some(successor));
}

#[tokio::test]
async fn objects_are_found_by_what_they_are_about() {
    let memory = world().await;
    let client = client(&memory);
    let owner = create(&memory, gadget("owner")).await.unwrap();
    let labelled = |name: &str, uid: &str| edited(&widget(name, json!({})), |body| body["metadata"]["labels"] = json!({OWNER_UID: uid}));
    for (name, uid) in [("b", owner.uid()), ("a", owner.uid()), ("c", "another")] {
        create(&memory, labelled(name, uid)).await.unwrap();
    }
    let related = async |resource, uid: &str| {
        let objects = client.list(&Query::related(resource, uid)).await.unwrap();
        objects.iter().map(|object| object.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(related(&WIDGET, owner.uid()).await, ["a", "b"]);
    assert_eq!(related(&GADGET, owner.uid()).await, Vec::<String>::new());

    patch(&memory, &key("a"), json!({"metadata": {"labels": {OWNER_UID: "another"}}})).await.unwrap();
    delete(&memory, &key("b")).await.unwrap();
    assert_eq!((related(&WIDGET, owner.uid()).await, related(&WIDGET, "another").await), (vec![], vec!["a".into(), "c".into()]));
}

fn words(delta: &Delta) -> String {
    match delta {
        Delta::Listed { objects, .. } => format!("listed {}", objects.len()),
        Delta::Resumed => "resumed".to_owned(),
        Delta::Applied(object) => format!("applied {}", object.name()),
        Delta::Deleted(object) => format!("deleted {}", object.name()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_begins_with_the_list_and_lists_again_after_it_fell_behind() {
    let memory = world_of(MemoryOptions { clock: virtual_clock(), ..options() }).await;
    create(&memory, widget("a", json!({}))).await.unwrap();
    let client = client(&memory);
    let mut deltas = client.watch(&whole(&WIDGET)).map(|delta| words(&delta.unwrap()));
    assert_eq!(deltas.next().await.unwrap(), "listed 1");
    create(&memory, widget("b", json!({}))).await.unwrap();
    assert_eq!(deltas.next().await.unwrap(), "applied b");
    delete(&memory, &key("b")).await.unwrap();
    assert_eq!(deltas.next().await.unwrap(), "deleted b");
    let quiet = tokio::time::timeout(Duration::from_secs(3600), deltas.next()).await;
    assert!(quiet.is_err(), "a quiet world tells nothing, for an hour of virtual time");

    for size in 0..=HISTORY_EVENTS {
        patch(&memory, &key("a"), json!({"spec": {"size": size + 2}})).await.unwrap();
    }
    create(&memory, widget("c", json!({}))).await.unwrap();
    assert_eq!(deltas.next().await.unwrap(), "listed 2");
    delete(&memory, &key("c")).await.unwrap();
    assert_eq!(deltas.next().await.unwrap(), "deleted c");
}
