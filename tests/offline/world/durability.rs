//! The world made durable.

use std::io;
use std::sync::{Condvar, Mutex};

use mandate::engine::port::{RandomIdentifiers, WorldError};
use mandate::world::store::{DATABASE_FILE, StoreError};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::*;

fn reopened(directory: &tempfile::TempDir) -> Memory {
    Memory::open(stored_in(&Store::open(directory.path()).unwrap())).unwrap()
}

#[tokio::test]
async fn a_world_that_ends_without_warning_is_found_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let memory = world_of(stored_in(&Store::open(directory.path()).unwrap())).await;
    for name in ["a", "b", "c"] {
        create(&memory, widget(name, json!({"text": name}))).await.unwrap();
    }
    patch(&memory, &key("b"), json!({"spec": {"size": 7}})).await.unwrap();
    delete(&memory, &key("c")).await.unwrap();
    let (before, version) = (memory.snapshot().objects, memory.resource_version());
    drop(memory);

    let memory = reopened(&directory);
    assert_eq!((memory.snapshot().objects, memory.resource_version()), (before, version));
    let next = create(&memory, widget("c", json!({}))).await.unwrap();
    assert_eq!(next.resource_version(), (version + 1).to_string());
}

#[tokio::test]
async fn a_resource_version_is_never_given_out_twice() {
    let directory = tempfile::tempdir().unwrap();
    let memory = world_of(stored_in(&Store::open(directory.path()).unwrap())).await;
    create(&memory, widget("a", json!({}))).await.unwrap();
    delete(&memory, &key("a")).await.unwrap();
    let version = memory.resource_version();
    drop(memory);
    let memory = reopened(&directory);
    assert_eq!(memory.resource_version(), version, "the version of the last deletion counts too");
    let made = create(&memory, widget("a", json!({}))).await.unwrap();
    assert_eq!(made.resource_version(), (version + 1).to_string());
}

#[tokio::test]
async fn what_a_killed_process_left_uncollected_is_collected_on_opening() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let memory = world_of(stored_in(&store)).await;
    let owner = create(&memory, gadget("owner")).await.unwrap();
    let reference = json!([{"apiVersion": "mandate.dev/v1alpha1", "kind": "Gadget", "name": "owner", "uid": owner.uid()}]);
    create(&memory, edited(&widget("child", json!({})), |body| body["metadata"]["ownerReferences"] = reference)).await.unwrap();
    let version = memory.resource_version();
    drop(memory);
    let gone = mandate::world::store::Row { key: &owner.key(), json: None };
    store.commit([gone], version + 1).unwrap();
    let memory = Memory::open(stored_in(&store)).unwrap();
    assert_eq!(get(&memory, &key("child")).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_share_transactions() {
    const WRITERS: usize = 32;
    const WRITES: usize = 20;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let memory = world_of(stored_in(&store)).await;
    let before = store.transactions();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let memory = memory.clone();
            tokio::spawn(async move {
                for write in 0..WRITES {
                    create(&memory, widget(&format!("w{writer}-{write}"), json!({}))).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let transactions = usize::try_from(store.transactions() - before).unwrap();
    assert!(transactions * 4 <= WRITERS * WRITES, "{transactions} transactions for {} writes", WRITERS * WRITES);
    drop(memory);
    drop(store);
    assert_eq!(list(&reopened(&directory), &all(&WIDGET)).await.objects.len(), WRITERS * WRITES);
}

/// A disk whose `fsync` can be held up or made to fail.
#[derive(Debug)]
struct Disk {
    memory: InMemoryBackend,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    mode: Mutex<Mode>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Mode {
    #[default]
    Open,
    Closed,
    /// Closed, and a sync is waiting.
    Waiting,
    Broken,
}

impl Gate {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
        self.changed.notify_all();
    }

    fn wait_for(&self, mode: Mode) {
        drop(self.changed.wait_while(self.mode.lock().unwrap(), |now| *now != mode).unwrap());
    }

    fn pass(&self) -> io::Result<()> {
        let mut mode = self.mode.lock().unwrap();
        if *mode == Mode::Closed {
            *mode = Mode::Waiting;
            self.changed.notify_all();
        }
        let mode = self.changed.wait_while(mode, |mode| *mode == Mode::Waiting).unwrap();
        if *mode == Mode::Broken { Err(io::Error::other("no space left on device")) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}

/// Lets a sync go that waits when a test fails: the world waits for its committer when it is dropped.
struct Held(Arc<Gate>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(Mode::Open);
    }
}

fn disk() -> (Store, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    (Store::over(Disk { memory: InMemoryBackend::new(), gate: Arc::clone(&gate) }).unwrap(), gate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_visible_or_acknowledged_before_it_is_on_disk() {
    let (store, gate) = disk();
    let memory = world_of(stored_in(&store)).await;
    let version = memory.resource_version();
    let mut events = memory.watch(&me(), &all(&WIDGET), version).await.unwrap();

    let _held = Held(Arc::clone(&gate));
    gate.set(Mode::Closed);
    let writer = memory.clone();
    let writing = tokio::spawn(async move { create(&writer, widget("a", json!({}))).await });
    let waiting = Arc::clone(&gate);
    tokio::task::spawn_blocking(move || waiting.wait_for(Mode::Waiting)).await.unwrap();

    assert_eq!((get(&memory, &key("a")).await, memory.resource_version()), (None, version));
    assert!(list(&memory, &all(&WIDGET)).await.objects.is_empty());
    assert!(futures::poll!(futures::StreamExt::next(&mut events)).is_pending());
    assert!(!writing.is_finished());

    gate.set(Mode::Open);
    let made = writing.await.unwrap().unwrap();
    assert_eq!(get(&memory, &key("a")).await, Some(made));
    assert!(futures::StreamExt::next(&mut events).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_goes_through_although_its_writer_is_gone() {
    let (store, gate) = disk();
    let memory = world_of(stored_in(&store)).await;
    let _held = Held(Arc::clone(&gate));
    gate.set(Mode::Closed);
    let writer = memory.clone();
    let writing = tokio::spawn(async move { create(&writer, widget("a", json!({}))).await });
    let waiting = Arc::clone(&gate);
    tokio::task::spawn_blocking(move || waiting.wait_for(Mode::Waiting)).await.unwrap();
    writing.abort();
    assert!(writing.await.unwrap_err().is_cancelled());
    gate.set(Mode::Open);
    create(&memory, widget("b", json!({}))).await.unwrap();
    assert_eq!(names(&list(&memory, &all(&WIDGET)).await), ["a", "b"]);
}

#[tokio::test]
async fn when_the_disk_fails_the_write_is_unknown_and_no_other_is_taken() {
    let (store, gate) = disk();
    let memory = world_of(stored_in(&store)).await;
    let version = memory.resource_version();
    gate.set(Mode::Broken);
    let failed = create(&memory, widget("a", json!({}))).await.unwrap_err();
    assert!(matches!(&failed, WorldError::Unknown(message) if message.contains("no space left on device")), "{failed}");
    gate.set(Mode::Open);
    let refused = create(&memory, widget("b", json!({}))).await.unwrap_err();
    assert!(matches!(refused, WorldError::Unavailable { .. }), "{refused}");
    assert_eq!((get(&memory, &key("a")).await, memory.resource_version()), (None, version), "reading goes on");
}

#[tokio::test(start_paused = true)]
async fn virtual_time_stands_still_while_a_write_goes_to_disk() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let memory = world_of(MemoryOptions { clock: virtual_clock(), ..stored_in(&store) }).await;
    let started = tokio::time::Instant::now();
    let deadline = tokio::time::timeout(std::time::Duration::from_millis(1), create(&memory, widget("a", json!({}))));
    let made = deadline.await.expect("time ran on while the disk was busy").unwrap();
    assert_eq!(started.elapsed(), std::time::Duration::ZERO);
    assert_eq!(made.body["metadata"]["creationTimestamp"], "2026-01-31T12:00:00Z");
}

#[test]
fn a_world_may_outlive_its_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let memory = runtime.block_on(world_of(stored_in(&Store::open(directory.path()).unwrap())));
    let abandoned = memory.clone();
    runtime.spawn(async move { create(&abandoned, widget("a", json!({}))).await });
    drop(runtime);
    drop(memory);
    reopened(&directory);
}

#[test]
fn a_state_directory_serves_one_process_and_one_folder() {
    let (state, folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(state.path()).unwrap();
    let refused = Store::open(state.path()).err().unwrap();
    assert_eq!(refused.to_string(), format!("state directory {} is in use by another process", state.path().display()));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(state.path().join(DATABASE_FILE)).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "secrets lie in it");
    store.bind(folder.path()).unwrap();
    let instance = store.instance(&RandomIdentifiers).unwrap();
    drop(store);

    let store = Store::open(state.path()).unwrap();
    store.bind(&folder.path().join(".")).unwrap();
    assert!(matches!(store.bind(other.path()), Err(StoreError::BoundElsewhere { .. })));
    assert_eq!(store.instance(&RandomIdentifiers).unwrap(), instance);
}

#[test]
fn notes_are_kept_beside_the_objects() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.put_notes([("applied/a", Some(&b"1"[..])), ("applied/b", Some(&b"2"[..])), ("other", Some(&b"3"[..]))]).unwrap();
    store.put_notes([("applied/a", None)]).unwrap();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.notes("applied/").unwrap(), [("applied/b".to_owned(), b"2".to_vec())]);
    assert_eq!((store.note("other").unwrap(), store.note("applied/a").unwrap()), (Some(b"3".to_vec()), None));
    assert_eq!(store.version().unwrap(), None, "notes have no versions");
}

#[test]
fn a_state_that_holds_what_nothing_defines_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    static NEWER: Resource = ours("Newer", "newers", false);
    let key = ObjectKey::new(&NEWER, "", "a");
    store.commit([mandate::world::store::Row { key: &key, json: Some(b"{}") }], 5).unwrap();
    let refused = Memory::open(stored_in(&store)).err().unwrap();
    assert_eq!(refused.to_string(), "the state holds newers of group \"mandate.dev\", which this program does not know");
}
