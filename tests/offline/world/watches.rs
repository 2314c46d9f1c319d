//! Lists and watches.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use mandate::engine::port::WorldError;
use mandate::world::memory::HISTORY_EVENTS;
use mandate::world::server::WatchEvent;

use super::*;

async fn watch(memory: &Memory, selection: &Selection, from: u64) -> BoxStream<'static, WatchEvent> {
    memory.watch(&me(), selection, from).await.unwrap()
}

fn words(event: &WatchEvent) -> String {
    match event {
        WatchEvent::Added(object) => format!("added {}", object.name()),
        WatchEvent::Modified(object) => format!("modified {}", object.name()),
        WatchEvent::Deleted(object) => format!("deleted {}", object.name()),
    }
}

fn version(event: &WatchEvent) -> u64 {
    let (WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object)) = event;
    object.resource_version().parse().unwrap()
}

/// The next events, or a failure when they do not come.
async fn next(events: &mut BoxStream<'static, WatchEvent>, count: usize) -> Vec<WatchEvent> {
    let collected = events.take(count).collect::<Vec<_>>();
    tokio::time::timeout(Duration::from_secs(20), collected).await.expect("the events never came")
}

#[tokio::test]
async fn a_watch_tells_every_change_after_its_beginning_in_order() {
    let memory = world().await;
    create(&memory, widget("before", json!({}))).await.unwrap();
    let mut events = watch(&memory, &all(&WIDGET), memory.resource_version()).await;
    create(&memory, widget("a", json!({}))).await.unwrap();
    create(&memory, gadget("of-another-resource")).await.unwrap();
    patch(&memory, &key("a"), json!({"spec": {"size": 2}})).await.unwrap();
    delete(&memory, &key("a")).await.unwrap();
    let told = next(&mut events, 3).await;
    assert_eq!(told.iter().map(words).collect::<Vec<_>>(), ["added a", "modified a", "deleted a"]);
    assert!(told.is_sorted_by_key(version));
    assert_eq!(version(&told[2]), memory.resource_version(), "a deletion has a version of its own");
}

#[tokio::test]
async fn a_watch_from_zero_begins_with_what_exists() {
    let memory = world().await;
    create(&memory, widget("a", json!({}))).await.unwrap();
    let mut events = watch(&memory, &all(&WIDGET), 0).await;
    create(&memory, widget("b", json!({}))).await.unwrap();
    assert_eq!(next(&mut events, 2).await.iter().map(words).collect::<Vec<_>>(), ["added a", "added b"]);
}

#[tokio::test]
async fn an_object_that_leaves_the_selection_is_told_as_deleted() {
    for (fields, labels) in [("spec.colour=red", ""), ("", "tier=gold"), ("spec.colour!=blue", "tier in (gold)")] {
        let memory = world().await;
        let selection = Selection { fields: fields.into(), labels: labels.into(), namespace: Some("acme".into()), ..all(&WIDGET) };
        let mut events = watch(&memory, &selection, memory.resource_version()).await;
        create(&memory, widget("a", json!({"colour": "blue"}))).await.unwrap();
        let inside = json!({"spec": {"colour": "red"}, "metadata": {"labels": {"tier": "gold"}}});
        patch(&memory, &key("a"), inside).await.unwrap();
        patch(&memory, &key("a"), json!({"spec": {"size": 2}})).await.unwrap();
        assert_eq!(names(&list(&memory, &selection).await), ["a"]);
        patch(&memory, &key("a"), json!({"spec": {"colour": "blue"}, "metadata": {"labels": {"tier": "tin"}}})).await.unwrap();
        assert!(list(&memory, &selection).await.objects.is_empty());
        delete(&memory, &key("a")).await.unwrap();
        create(&memory, edited(&widget("b", json!({"colour": "red"})), |body| body["metadata"]["labels"] = json!({"tier": "gold"})))
            .await
            .unwrap();
        let told = next(&mut events, 4).await;
        assert_eq!(told.iter().map(words).collect::<Vec<_>>(), ["added a", "modified a", "deleted a", "added b"]);
        let WatchEvent::Deleted(last) = &told[2] else { unreachable!() };
        assert_eq!(last.body["spec"]["colour"], "red", "the state that was last selected");
        assert!(version(&told[2]) > version(&told[1]));
    }
}

#[tokio::test]
async fn lists_are_ordered_and_narrowed() {
    let memory = world().await;
    create(&memory, Object::named(&NAMESPACE, "", "zoo")).await.unwrap();
    for (namespace, name) in [("zoo", "a"), ("acme", "c"), ("acme", "b")] {
        let mut object = widget(name, json!({"colour": "green"}));
        object.set_metadata("namespace", namespace.into());
        create(&memory, object).await.unwrap();
    }
    let everything = list(&memory, &all(&WIDGET)).await;
    assert_eq!((names(&everything), everything.resource_version), (vec!["b", "c", "a"], memory.resource_version()));
    for (namespace, fields, expected) in [
        (Some("acme"), "", vec!["b", "c"]),
        (Some("zoo"), "", vec!["a"]),
        (Some(""), "", vec!["b", "c", "a"]),
        (Some("acme"), "metadata.name=c", vec!["c"]),
        (Some("acme"), "metadata.name=c,spec.colour=red", vec![]),
        (None, "metadata.name=c", vec!["c"]),
        (None, "metadata.namespace!=acme", vec!["a"]),
        (Some("acme"), "metadata.name=absent", vec![]),
    ] {
        let selection = Selection { namespace: namespace.map(str::to_owned), fields: fields.into(), ..all(&WIDGET) };
        assert_eq!(names(&list(&memory, &selection).await), expected, "{selection:?}");
    }
    let unsupported = Selection { fields: "spec.size=1".into(), ..all(&WIDGET) };
    let refused = memory.list(&me(), &unsupported).await.unwrap_err();
    assert_eq!(bad_request(refused), "field label not supported: spec.size");
}

#[tokio::test]
async fn a_watch_that_begins_before_the_kept_history_or_in_the_future_is_gone() {
    let memory = world().await;
    let beginning = memory.resource_version();
    let refused = memory.watch(&me(), &all(&WIDGET), beginning + 1).await.err();
    assert_eq!(refused, Some(WorldError::Gone((beginning + 1).to_string())));
    create(&memory, widget("a", json!({}))).await.unwrap();
    let mut slow = watch(&memory, &all(&WIDGET), beginning).await;
    for size in 0..=HISTORY_EVENTS {
        patch(&memory, &key("a"), json!({"spec": {"size": size + 2}})).await.unwrap();
    }
    let refused = memory.watch(&me(), &all(&WIDGET), beginning).await.err();
    assert_eq!(refused, Some(WorldError::Gone(beginning.to_string())));
    assert!(slow.next().await.is_none(), "a watch that fell out of the history ends; the writes did not wait for it");
}

#[tokio::test]
async fn watches_end_with_their_world_after_telling_everything() {
    let memory = world().await;
    let mut events = watch(&memory, &all(&WIDGET), memory.resource_version()).await;
    create(&memory, widget("a", json!({}))).await.unwrap();
    drop(memory);
    assert_eq!(events.next().await.map(|event| words(&event)), Some("added a".to_owned()));
    assert!(events.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_event_is_lost_or_out_of_order_under_load() {
    const WRITERS: usize = 8;
    const WRITES: usize = 100;
    let memory = world().await;
    let watches: Vec<_> = (0..4)
        .map(|_| {
            let memory = memory.clone();
            tokio::spawn(async move {
                let mut events = watch(&memory, &all(&WIDGET), 2).await;
                next(&mut events, WRITERS * WRITES).await
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let memory = memory.clone();
            tokio::spawn(async move {
                let name = format!("w{writer}");
                create(&memory, widget(&name, json!({}))).await.unwrap();
                for size in 1..WRITES {
                    let written = patch(&memory, &key(&name), json!({"spec": {"size": size + 1}})).await.unwrap();
                    assert_eq!(get(&memory, &key(&name)).await, Some(written), "a writer reads what it wrote");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let first = memory.resource_version() - u64::try_from(WRITERS * WRITES).unwrap();
    for task in watches {
        let versions: Vec<u64> = task.await.unwrap().iter().map(version).collect();
        assert_eq!(versions, (first + 1..=memory.resource_version()).collect::<Vec<_>>());
    }
}
