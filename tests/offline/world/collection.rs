//! What goes with its owner, and what goes with its namespace.

use std::sync::atomic::AtomicBool;

use mandate::engine::port::WorldError;
use mandate::model::resource::SECRET;
use mandate::world::server::{AdmissionRequest, Guard, Operation};

use super::*;

const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";
const NAMESPACES: &str = "system:serviceaccount:kube-system:namespace-controller";

fn owned_by(owners: &[&Object], name: &str) -> Object {
    let reference = |owner: &&Object| json!({"apiVersion": owner.resource.api_version(), "kind": owner.resource.kind, "name": owner.name(), "uid": owner.uid()});
    let references: Vec<Value> = owners.iter().map(reference).collect();
    edited(&widget(name, json!({})), |body| body["metadata"]["ownerReferences"] = references.into())
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner_down_to_the_last_generation() {
    let memory = world().await;
    let owner = create(&memory, gadget("owner")).await.unwrap();
    let child = create(&memory, owned_by(&[&owner], "child")).await.unwrap();
    create(&memory, owned_by(&[&child], "grandchild")).await.unwrap();
    create(&memory, widget("stranger", json!({}))).await.unwrap();
    delete(&memory, &owner.key()).await.unwrap();
    assert_eq!(names(&list(&memory, &all(&WIDGET)).await), ["stranger"]);
}

#[tokio::test]
async fn an_object_stays_while_one_of_its_owners_does() {
    let memory = world().await;
    let (one, two) = (create(&memory, gadget("one")).await.unwrap(), create(&memory, gadget("two")).await.unwrap());
    create(&memory, owned_by(&[&one, &two], "child")).await.unwrap();
    delete(&memory, &one.key()).await.unwrap();
    assert_eq!(get(&memory, &key("child")).await.unwrap().owner_uids(), [two.uid()], "the reference that dangles is dropped");
    delete(&memory, &two.key()).await.unwrap();
    assert_eq!(get(&memory, &key("child")).await, None);
}

#[tokio::test]
async fn a_successor_of_the_same_name_is_no_owner() {
    let memory = world().await;
    let first = create(&memory, gadget("owner")).await.unwrap();
    delete(&memory, &first.key()).await.unwrap();
    create(&memory, gadget("owner")).await.unwrap();
    create(&memory, owned_by(&[&first], "child")).await.unwrap();
    assert_eq!(get(&memory, &key("child")).await, None, "owned by one that never existed under this UID");
}

#[tokio::test]
async fn owners_of_kinds_that_are_not_served_cannot_be_judged() {
    let memory = world().await;
    let foreign = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u"}]);
    create(&memory, edited(&widget("a", json!({})), |body| body["metadata"]["ownerReferences"] = foreign)).await.unwrap();
    assert!(get(&memory, &key("a")).await.is_some());
}

#[tokio::test]
async fn what_is_owned_waits_for_its_own_finalizers() {
    let memory = world().await;
    let owner = create(&memory, gadget("owner")).await.unwrap();
    let child = edited(&owned_by(&[&owner], "child"), |body| body["metadata"]["finalizers"] = json!(["mandate.dev/outside"]));
    create(&memory, child).await.unwrap();
    delete(&memory, &owner.key()).await.unwrap();
    assert!(get(&memory, &key("child")).await.unwrap().is_going());
    patch(&memory, &key("child"), json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(get(&memory, &key("child")).await, None);
}

/// Refuses deletion by one user while it stands.
struct Keeps {
    user: &'static str,
    stands: Arc<AtomicBool>,
}

impl Guard for Keeps {
    fn refusal(&self, request: &AdmissionRequest<'_>) -> Option<String> {
        let refused = request.operation == Operation::Delete && request.identity.username == self.user;
        (refused && self.stands.load(Ordering::Relaxed)).then(|| "records are kept".to_owned())
    }
}

#[tokio::test]
async fn a_guard_stops_the_collector_which_tries_again_after_every_write() {
    let stands = Arc::new(AtomicBool::new(true));
    let memory = world_of(guarded(Keeps { user: COLLECTOR, stands: Arc::clone(&stands) })).await;
    let owner = create(&memory, gadget("owner")).await.unwrap();
    create(&memory, owned_by(&[&owner], "child")).await.unwrap();
    delete(&memory, &owner.key()).await.unwrap();
    assert!(get(&memory, &key("child")).await.is_some());
    stands.store(false, Ordering::Relaxed);
    create(&memory, widget("any", json!({}))).await.unwrap();
    assert_eq!(get(&memory, &key("child")).await, None);
}

fn acme() -> ObjectKey {
    ObjectKey::new(&NAMESPACE, "", "acme")
}

#[tokio::test]
async fn a_namespace_is_born_active_and_labelled_with_its_name() {
    let memory = world().await;
    let namespace = get(&memory, &acme()).await.unwrap();
    assert_eq!(namespace.label("kubernetes.io/metadata.name"), Some("acme"));
    assert_eq!(namespace.body["status"]["phase"], "Active");
    let stripped = patch(&memory, &acme(), json!({"metadata": {"labels": null}})).await.unwrap();
    assert_eq!(stripped.label("kubernetes.io/metadata.name"), Some("acme"));
}

#[tokio::test]
async fn a_namespace_takes_its_content_with_it_and_nothing_else() {
    let memory = world().await;
    create(&memory, Object::named(&NAMESPACE, "", "other")).await.unwrap();
    create(&memory, Object::named(&SECRET, "other", "stays")).await.unwrap();
    create(&memory, Object::named(&SECRET, "acme", "goes")).await.unwrap();
    create(&memory, widget("goes", json!({}))).await.unwrap();
    create(&memory, gadget("stays")).await.unwrap();
    delete(&memory, &acme()).await.unwrap();
    let left: Vec<String> = memory.snapshot().objects.iter().map(|object| object.key().to_string()).collect();
    assert_eq!(left, ["Namespace other", "Secret other/stays", "Gadget stays"]);
}

#[tokio::test]
async fn a_namespace_waits_for_finalizers_in_it_and_says_so() {
    let memory = world().await;
    let held = edited(&widget("held", json!({})), |body| body["metadata"]["finalizers"] = json!(["mandate.dev/outside"]));
    create(&memory, held).await.unwrap();
    create(&memory, widget("free", json!({}))).await.unwrap();
    delete(&memory, &acme()).await.unwrap();
    assert_eq!(names(&list(&memory, &all(&WIDGET)).await), ["held"]);
    let namespace = get(&memory, &acme()).await.unwrap();
    assert_eq!(namespace.body["status"]["phase"], "Terminating");
    let finalizing = &namespace.body["status"]["conditions"][1];
    assert_eq!((&finalizing["type"], &finalizing["status"]), (&json!("NamespaceFinalizersRemaining"), &json!("True")));
    assert_eq!(
        finalizing["message"],
        "Some content in the namespace has finalizers remaining: mandate.dev/outside in 1 resource instances"
    );
    patch(&memory, &key("held"), json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(get(&memory, &acme()).await, None);
}

#[tokio::test]
async fn a_namespace_waits_for_its_own_finalizers_after_its_content() {
    let memory = world().await;
    patch(&memory, &acme(), json!({"metadata": {"finalizers": ["mandate.dev/outside"]}})).await.unwrap();
    create(&memory, widget("a", json!({}))).await.unwrap();
    delete(&memory, &acme()).await.unwrap();
    assert_eq!(get(&memory, &key("a")).await, None);
    assert!(get(&memory, &acme()).await.unwrap().is_going());
    patch(&memory, &acme(), json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(get(&memory, &acme()).await, None);
}

#[tokio::test]
async fn a_guard_keeps_content_and_with_it_the_namespace() {
    let stands = Arc::new(AtomicBool::new(true));
    let memory = world_of(guarded(Keeps { user: NAMESPACES, stands: Arc::clone(&stands) })).await;
    create(&memory, widget("record", json!({}))).await.unwrap();
    delete(&memory, &acme()).await.unwrap();
    let failure = get(&memory, &acme()).await.unwrap().body["status"]["conditions"][0].clone();
    assert_eq!((&failure["reason"], &failure["status"]), (&json!("ContentDeletionFailed"), &json!("True")));
    assert!(failure["message"].as_str().unwrap().contains("Widget acme/record is forbidden: records are kept"));

    let before = memory.resource_version();
    update_status(&memory, &get(&memory, &key("record")).await.unwrap()).await.unwrap();
    assert_eq!(memory.resource_version(), before, "trying again without success writes nothing");

    stands.store(false, Ordering::Relaxed);
    create(&memory, gadget("any")).await.unwrap();
    assert_eq!((get(&memory, &key("record")).await, get(&memory, &acme()).await), (None, None));
}

#[tokio::test]
async fn the_default_namespace_cannot_be_deleted() {
    let memory = world().await;
    create(&memory, Object::named(&NAMESPACE, "", "default")).await.unwrap();
    let refused = delete(&memory, &ObjectKey::new(&NAMESPACE, "", "default")).await.unwrap_err();
    assert_eq!(forbidden(refused), "this namespace may not be deleted");
    let absent = ObjectKey::new(&NAMESPACE, "", "absent");
    assert_eq!(delete(&memory, &absent).await.unwrap_err(), WorldError::NotFound(absent));
}
