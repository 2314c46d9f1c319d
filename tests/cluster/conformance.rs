//! The world in memory behind our own Kubernetes API answers as a real API server does: scripts of requests sent to both.
//!
//! What is not imitated is refused by ours; docs/embedded-api.md lists it, each with its test in `refused`.

mod chance;
mod guarded;
mod refused;
mod roles;

use serde_json::{Value, json};

use crate::Test;
use crate::tests;
use crate::twins::{GROUP, Step, Twins, delete, delete_with, get, merge, post, put};

pub fn shared() -> Vec<Test> {
    let tests = tests![
        creates_are_answered_alike,
        updates_and_patches_are_answered_alike,
        invalid_specs_are_refused_in_the_same_words,
        invalid_metadata_is_refused_in_the_same_words,
        rules_and_statuses_are_refused_in_the_same_words,
        fields_and_bodies_that_do_not_fit_are_answered_alike,
        deletions_and_finalizers_are_answered_alike,
        owned_objects_go_with_their_owner,
        lists_select_alike,
        watches_tell_the_same_events_in_order,
        secrets_and_namespaces_are_answered_alike,
    ];
    tests.into_iter().chain(chance::shared()).chain(refused::shared()).collect()
}

pub fn alone() -> Vec<Test> {
    guarded::alone()
}

pub fn tenant(name: &str) -> Value {
    json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "Tenant",
        "metadata": {"name": name, "labels": {"test": "conformance"}},
        "spec": {"owners": [{"kind": "User", "name": "ana@acme-dental.example"}]},
    })
}

pub fn decision(name: &str, act: &str) -> Value {
    json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision", "metadata": {"name": name},
        "spec": {
            "subject": {"kind": "ProvisioningRequest", "name": "r-1", "uid": "u", "hash": format!("sha256:{}", "0".repeat(64))},
            "act": act, "operator": "ben@acme-dental.example", "via": "Direct", "note": "because",
        },
    })
}

/// The document with this value at a pointer, made if it is not there; null removes.
pub fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let patch = pointer.rsplit('/').filter(|part| !part.is_empty()).fold(value, |inner, part| json!({ (part): inner }));
    apply(&mut document, &patch);
    document
}

/// Merges a patch into a document; null removes.
pub fn apply(target: &mut Value, patch: &Value) {
    match (target.as_object_mut(), patch.as_object()) {
        (Some(fields), Some(changes)) => {
            for (field, change) in changes {
                if change.is_null() {
                    fields.remove(field);
                } else {
                    apply(fields.entry(field.clone()).or_insert(Value::Null), change);
                }
            }
        }
        _ => *target = patch.clone(),
    }
}

pub fn decisions(namespace: &str) -> String {
    format!("{GROUP}/namespaces/{namespace}/operatordecisions")
}

/// The object as an update sends it: at a version of what was kept.
pub fn at_version(object: Value, of: &str) -> Value {
    with(object, "/metadata/resourceVersion", format!("{{{of}.version}}").into())
}

async fn agree(what: &str, namespaces: &[&str], steps: Vec<Step>) {
    let mut twins = Twins::with_namespaces(namespaces).await;
    twins.ask_all(steps).await;
    twins.must_agree(what);
}

fn tenants(name: &str) -> String {
    format!("{GROUP}/tenants/{name}")
}

async fn creates_are_answered_alike() {
    let (all, one) = (format!("{GROUP}/tenants"), tenants("made"));
    let path = decisions("create-a");
    let steps = vec![
        get(&one),
        post(&all, tenant("made")),
        get(&one),
        get(format!("{one}/status")),
        post(&all, tenant("made")),
        post(format!("{all}?dryRun=All"), tenant("made")),
        post(format!("{all}?dryRun=All"), tenant("made-dry")),
        get(tenants("made-dry")),
        post(format!("{all}?dryRun=Some"), tenant("made-dry")),
        post(&all, with(tenant("made-status"), "/status", json!({"observedGeneration": 7}))),
        post(
            &all,
            with(
                tenant("made-uid"),
                "/metadata",
                json!({"uid": "mine", "generation": 9, "creationTimestamp": "2020-01-01T00:00:00Z", "deletionTimestamp": "2020-01-01T00:00:00Z", "selfLink": "/x"}),
            ),
        ),
        post(&all, with(tenant("made-in"), "/metadata/namespace", json!("create-a"))),
        post(&path, decision("d", "Reject")),
        post(&path, decision("d", "Verify")),
        post(&path, with(decision("other", "Reject"), "/metadata/namespace", json!("create-b"))),
        post(decisions("nowhere"), decision("d", "Reject")),
        post(format!("{GROUP}/operatordecisions"), decision("d", "Reject")).in_other_words(),
        post(format!("{path}?dryRun=All"), decision("dry", "Reject")),
        get(format!("{path}/dry")),
        get(format!("{path}/d")),
        get(format!("{GROUP}/namespaces/create-a/tenants/made")).in_other_words(),
        get(format!("{GROUP}/nothing")).in_other_words(),
        get(format!("{GROUP}/nothing/x")).in_other_words(),
        get("/apis/nobody.example/v1/things").in_other_words(),
        delete(&one),
        delete(tenants("made-status")),
        delete(tenants("made-uid")),
        delete(tenants("made-in")),
    ];
    agree("create", &["create-a", "create-b"], steps).await;
}

async fn updates_and_patches_are_answered_alike() {
    let one = tenants("changed");
    let quotas = |count: i64| with(tenant("changed"), "/spec/quotas", json!({"assistantDeployments": count}));
    let status = format!("{one}/status");
    let observed = |generation: i64| json!({"observedGeneration": generation, "namespaceUid": "n"});
    let steps = vec![
        put(&one, tenant("changed")),
        put(&one, with(tenant("changed"), "/metadata/resourceVersion", json!("1"))),
        merge(&one, json!({"spec": {"fourEyes": true}})),
        post(format!("{GROUP}/tenants"), tenant("changed")).keep("first"),
        put(&one, quotas(1)),
        put(&one, at_version(quotas(1), "first")).keep("second"),
        put(&one, at_version(quotas(2), "first")),
        put(&one, at_version(quotas(1), "second")),
        put(&one, at_version(with(quotas(1), "/metadata/uid", json!("another")), "second")).in_other_words(),
        put(&one, with(quotas(1), "/metadata/uid", json!("{first.uid}"))),
        put(format!("{one}?dryRun=All"), at_version(quotas(5), "second")),
        get(&one),
        put(&status, with(at_version(quotas(3), "second"), "/status", observed(2))).keep("third"),
        put(&status, with(quotas(3), "/status", observed(3))),
        put(&status, with(at_version(quotas(3), "second"), "/status", observed(3))),
        put(&one, with(at_version(quotas(3), "third"), "/status", observed(9))),
        put(&one, with(quotas(3), "/metadata/resourceVersion", json!("0"))),
        put(&status, with(at_version(tenant("changed"), "third"), "/status", observed(3))),
        merge(&one, json!({"spec": {"fourEyes": true}})),
        merge(&one, json!({"spec": {"fourEyes": true}})),
        merge(&one, json!({"spec": {"fourEyes": null}, "status": observed(11)})),
        merge(&one, json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}})),
        merge(&one, json!({"metadata": {"labels": {"a": null}, "annotations": null}})),
        merge(&one, json!({"metadata": {"resourceVersion": "{first.version}"}, "spec": {"fourEyes": true}})),
        merge(&one, json!({"metadata": {"uid": "another"}})),
        merge(&one, json!({"metadata": {"name": "another"}})),
        merge(&one, json!({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}})),
        merge(&one, json!({"metadata": {"creationTimestamp": null, "generation": 40, "uid": null}})),
        merge(&one, json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}})),
        merge(&one, json!({"kind": "Provider"})).in_other_words(),
        merge(&one, json!({"apiVersion": "mandate.dev/v2"})).in_other_words(),
        merge(&one, json!({"kind": null})).in_other_words(),
        merge(&one, json!({"spec": null})),
        merge(&one, json!({"spec": {"owners": []}})),
        merge(&one, json!({})),
        merge(&one, json!([])).in_other_words(),
        merge(&status, json!({"status": {"observedGeneration": 4}, "spec": {"fourEyes": false}, "metadata": {"labels": {"x": "y"}}})),
        merge(&status, json!({"status": null})),
        merge(&status, json!({"status": {"observedGeneration": "four"}})),
        merge(format!("{one}?dryRun=All"), json!({"spec": {"suspended": true}})),
        get(&one),
        merge(tenants("absent"), json!({"spec": {"fourEyes": true}})),
        merge(&one, json!({"spec": {"namespace": "elsewhere"}})),
        delete(&one),
    ];
    agree("update and patch", &[], steps).await;
}

async fn invalid_specs_are_refused_in_the_same_words() {
    let all = format!("{GROUP}/tenants");
    let mut steps = Vec::new();
    let owner = |owner: Value| json!({"owners": [owner]});
    let specs = [
        json!({}),
        json!({"owners": []}),
        json!({"owners": {}}),
        json!({"owners": null}),
        json!({"owners": [1, "a"]}),
        owner(json!({"kind": "User"})),
        owner(json!({"kind": "Robot", "name": "r"})),
        owner(json!({"kind": "User", "name": ""})),
        owner(json!({"kind": "User", "name": "a".repeat(254)})),
        owner(json!({"kind": "User", "name": "a", "namespace": "b"})),
        owner(json!({"kind": "ServiceAccount", "name": "a"})),
        owner(json!({"kind": "ServiceAccount", "name": "a", "namespace": "UPPER"})),
        json!({"owners": [{"kind": "User", "name": "a"}], "quotas": {"assistantDeployments": -1, "operatorDecisions": 1_000_001}}),
        json!({"owners": [{"kind": "User", "name": "a"}], "quotas": {"assistantDeployments": 1.5}}),
        json!({"owners": [{"kind": "User", "name": "a"}], "quotas": {"assistantDeployments": 2.0}}),
        json!({"owners": [{"kind": "User", "name": "a"}], "quotas": {"assistantDeployments": 4_294_967_296_i64}}),
        json!({"owners": [{"kind": "User", "name": "a"}], "quotas": null, "fourEyes": null}),
        json!({"owners": [{"kind": "User", "name": "a"}], "fourEyes": "yes", "namespace": "-a-"}),
        json!({"owners": vec![json!({"kind": "User", "name": "a"}); 65]}),
        json!("text"),
        json!(null),
    ];
    for (number, spec) in specs.into_iter().enumerate() {
        let mut body = tenant(&format!("invalid-{number}"));
        body["spec"] = spec;
        steps.push(post(format!("{all}?dryRun=All"), body));
    }
    agree("invalid specs", &[], steps).await;
}

async fn invalid_metadata_is_refused_in_the_same_words() {
    let all = format!("{GROUP}/tenants");
    let mut steps = Vec::new();
    let metadata = [
        json!({"name": ""}),
        json!({"name": "Upper_Case"}),
        json!({"name": "a".repeat(254)}),
        json!({"name": "-a"}),
        json!({"labels": {"bad key!": "v", "": "w"}}),
        json!({"labels": {"k": "bad value!", "l": "a".repeat(64)}}),
        json!({"labels": {"UPPER.example/a": "b", "a/b/c": "d"}}),
        json!({"labels": {(format!("{}/a", "a".repeat(254))): "v", ("b".repeat(64)): "w", "/c": "x"}}),
        json!({"annotations": {"bad key!": "v"}}),
        json!({"annotations": {"a": "b".repeat(256 * 1024)}}),
        json!({"finalizers": ["unqualified name", "mandate.dev/a"]}),
        json!({"finalizers": ["unqualified"]}),
        json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": "n", "uid": ""}]}),
        json!({"ownerReferences": [{"kind": "Namespace", "name": "n", "uid": "u"}]}),
    ];
    let unreadable = [
        json!({"ownerReferences": [
            {"apiVersion": "v1", "kind": "Namespace", "name": "n", "uid": "u", "controller": true},
            {"apiVersion": "v1", "kind": "Namespace", "name": "m", "uid": "v", "controller": true},
        ]}),
        json!({"labels": {"a": 1}}),
        json!({"labels": []}),
        json!({"name": 5}),
        json!({"finalizers": "text"}),
        json!({"generation": "one"}),
        json!({"creationTimestamp": "yesterday"}),
    ];
    for change in metadata {
        steps.push(post(format!("{all}?dryRun=All"), with(tenant("invalid"), "/metadata", change)));
    }
    for change in unreadable {
        steps.push(post(format!("{all}?dryRun=All"), with(tenant("invalid"), "/metadata", change)).in_other_words());
    }
    agree("invalid metadata", &[], steps).await;
}

async fn rules_and_statuses_are_refused_in_the_same_words() {
    let path = decisions("invalid-a");
    let steps = vec![
        post(&path, decision("d", "Reject")).keep("d"),
        put(format!("{path}/d"), at_version(with(decision("d", "Reject"), "/spec/note", json!("else")), "d")),
        merge(format!("{path}/d"), json!({"spec": {"note": "else"}})),
        merge(format!("{path}/d"), json!({"spec": {"act": "Dance", "note": "else"}})),
        merge(format!("{path}/d"), json!({"spec": {"note": null, "via": null}})),
        merge(format!("{path}/d/status"), json!({"status": {"verdict": "Perhaps", "chain": {"head": "x"}}})),
        merge(format!("{path}/d/status"), json!({"status": {"conditions": [{"type": "Ready"}]}})),
        merge(
            format!("{path}/d/status"),
            json!({"status": {"conditions": [
                {"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "Ready", "status": "False", "reason": "R", "message": "m", "lastTransitionTime": "soon"},
            ]}}),
        ),
        merge(
            format!("{path}/d/status"),
            json!({"status": {"conditions": [
                {"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ]}}),
        ),
        get(format!("{path}/d")),
    ];
    agree("rules and statuses", &["invalid-a"], steps).await;
}

async fn fields_and_bodies_that_do_not_fit_are_answered_alike() {
    let all = format!("{GROUP}/tenants");
    let unknown = with(with(tenant("fits"), "/spec/fourEye", json!(true)), "/spec/quotas/more", json!({"a": 1}));
    let path = decisions("fits-a");
    let steps = vec![
        post(format!("{all}?dryRun=All&fieldValidation=Strict"), unknown.clone()),
        post(format!("{all}?dryRun=All&fieldValidation=Warn"), unknown.clone()),
        post(format!("{all}?dryRun=All&fieldValidation=Ignore"), unknown.clone()),
        post(format!("{all}?dryRun=All&fieldValidation=Loud"), unknown.clone()),
        post(format!("{all}?dryRun=All"), unknown),
        post(format!("{all}?dryRun=All&fieldValidation=Strict"), with(tenant("fits"), "/metadata/label", json!("x"))),
        post(format!("{all}?dryRun=All"), with(tenant("fits"), "/extra", json!("x"))),
        post(format!("{all}?dryRun=All"), with(tenant("fits"), "/kind", json!("Provider"))).in_other_words(),
        post(format!("{all}?dryRun=All"), with(tenant("fits"), "/apiVersion", json!("mandate.dev/v1"))).in_other_words(),
        post(format!("{all}?dryRun=All"), with(tenant("fits"), "/kind", Value::Null)).in_other_words(),
        post(format!("{all}?dryRun=All"), with(tenant("fits"), "/apiVersion", Value::Null)).in_other_words(),
        post(format!("{all}?dryRun=All"), json!([])).in_other_words(),
        post(format!("{all}?dryRun=All"), json!("text")).in_other_words(),
        post(&all, tenant("fits")).keep("fits"),
        put(tenants("fits"), at_version(tenant("misfit"), "fits")),
        put(tenants("fits"), with(at_version(tenant("fits"), "fits"), "/kind", json!("Provider"))).in_other_words(),
        put(format!("{}?fieldValidation=Strict", tenants("fits")), with(at_version(tenant("fits"), "fits"), "/spec/x", json!(1))),
        put(format!("{}?dryRun=All", tenants("fits")), with(at_version(tenant("fits"), "fits"), "/spec/x", json!(1))),
        merge(format!("{}?dryRun=All", tenants("fits")), json!({"spec": {"x": 1}})),
        merge(format!("{}?fieldValidation=Strict", tenants("fits")), json!({"spec": {"x": 1}})).in_other_words(),
        post(&path, decision("d", "Reject")).keep("d"),
        put(format!("{path}/d"), with(at_version(decision("d", "Reject"), "d"), "/metadata/namespace", json!("fits-b"))),
        merge(format!("{path}/d"), json!({"metadata": {"namespace": "fits-b"}})),
        delete(tenants("fits")),
    ];
    agree("bodies", &["fits-a", "fits-b"], steps).await;
}

async fn deletions_and_finalizers_are_answered_alike() {
    let all = format!("{GROUP}/tenants");
    let held = with(tenant("held"), "/metadata/finalizers", json!(["mandate.dev/hold", "mandate.dev/more"]));
    let (one, plain) = (tenants("held"), tenants("plain"));
    let only = |precondition: Value| json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": precondition});
    let steps = vec![
        delete(&plain),
        post(&all, tenant("plain")).keep("plain"),
        delete_with(&plain, only(json!({"uid": "another"}))).in_other_words(),
        delete_with(&plain, only(json!({"resourceVersion": "1"}))).in_other_words(),
        delete_with(&plain, json!({"kind": "Tenant", "apiVersion": "mandate.dev/v1alpha1"})).in_other_words(),
        delete_with(&plain, json!({"propagationPolicy": "Sideways"})),
        get(&plain),
        delete_with(&plain, only(json!({"uid": "{plain.uid}", "resourceVersion": "{plain.version}"}))),
        get(&plain),
        delete(&plain),
        post(&all, held.clone()).keep("held"),
        delete(&one).keep("going"),
        get(&one),
        delete(&one),
        post(&all, held).in_other_words(),
        merge(&one, json!({"metadata": {"finalizers": ["mandate.dev/hold", "mandate.dev/more", "mandate.dev/new"]}})),
        merge(&one, json!({"spec": {"fourEyes": true}})),
        merge(&one, json!({"metadata": {"deletionTimestamp": null}})),
        merge(&one, json!({"metadata": {"finalizers": ["mandate.dev/hold"]}})),
        merge(&one, json!({"metadata": {"finalizers": null}})),
        get(&one),
        post(&all, tenant("plain")),
        delete(format!("{plain}/status")).in_other_words(),
        delete_with(&plain, json!({"gracePeriodSeconds": 5})),
        get(&plain),
    ];
    agree("deletions", &[], steps).await;
}

async fn owned_objects_go_with_their_owner() {
    let path = decisions("owned-a");
    let owned = |name: &str, owners: Value| with(decision(name, "Reject"), "/metadata/ownerReferences", owners);
    let owner = |name: &str| json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision", "name": name, "uid": format!("{{{name}.uid}}")});
    let steps = vec![
        post(&path, decision("one", "Reject")).keep("one"),
        post(&path, decision("two", "Reject")).keep("two"),
        post(&path, owned("child", json!([owner("one")]))).keep("child"),
        post(&path, owned("both", json!([owner("one"), owner("two")]))),
        post(&path, owned("held", json!([owner("one")]))),
        merge(format!("{path}/held"), json!({"metadata": {"finalizers": ["mandate.dev/hold"]}})),
        post(&path, owned("grandchild", json!([owner("child")]))),
        delete(format!("{path}/one")),
        get(format!("{path}/child")).settles(),
        get(format!("{path}/grandchild")).settles(),
        get(format!("{path}/held")).settles(),
        get(format!("{path}/both")).settles(),
        merge(format!("{path}/held"), json!({"metadata": {"finalizers": null}})),
        get(format!("{path}/held")),
        delete(format!("{path}/two")),
        get(format!("{path}/both")).settles(),
        get(&path).settles(),
    ];
    agree("owned objects", &["owned-a"], steps).await;
}

async fn lists_select_alike() {
    let path = decisions("lists-a");
    let mut steps = Vec::new();
    for (name, act, shade) in [("a", "Reject", "red"), ("b", "Verify", "blue"), ("c", "Reject", "blue")] {
        steps.push(post(&path, with(decision(name, act), "/metadata/labels", json!({"shade": shade, (name): ""}))));
    }
    steps.push(post(decisions("lists-b"), with(decision("d", "Verify"), "/metadata/labels", json!({"shade": "red"}))));
    let queries = [
        "",
        "?labelSelector=shade%3Dred",
        "?labelSelector=shade%21%3Dred",
        "?labelSelector=shade%20in%20(red,blue),a",
        "?labelSelector=shade%20notin%20(red)",
        "?labelSelector=%21a",
        "?labelSelector=a,b",
        "?fieldSelector=metadata.name%3Da",
        "?fieldSelector=metadata.name%21%3Da",
        "?fieldSelector=spec.act%3DVerify",
        "?fieldSelector=spec.act%21%3DVerify,metadata.name%3Dc",
        "?fieldSelector=spec.note%3Dbecause",
        "?fieldSelector=nonsense",
        "?fieldSelector=metadata.namespace%3Dlists-a",
        "?labelSelector=shade%3Dgreen",
        "?limit=0",
    ];
    steps.extend(queries.iter().map(|query| get(format!("{path}{query}"))));
    steps.push(get(format!("{GROUP}/operatordecisions?labelSelector=shade%3Dred")));
    steps.push(get(format!("{GROUP}/operatordecisions?fieldSelector=metadata.namespace%3Dlists-b")));
    steps.push(get(decisions("lists-nowhere")));
    steps.push(get(format!("{path}?resourceVersionMatch=Exact")));
    for selector in ["%3D%3D", "shade%20in%20red", "bad%20key%21"] {
        steps.push(get(format!("{path}?labelSelector={selector}")).in_other_words());
    }
    steps.push(get(format!("{path}?resourceVersion=abc")).in_other_words());
    steps.push(delete(format!("{path}?labelSelector=shade%3Dblue")));
    steps.push(get(&path));
    agree("lists", &["lists-a", "lists-b"], steps).await;
}

async fn watches_tell_the_same_events_in_order() {
    let path = decisions("watches-a");
    let red = |name: &str| with(decision(name, "Reject"), "/metadata/labels/colour", json!("red"));
    let steps = vec![
        post(&path, decision("first", "Reject")).keep("first"),
        post(&path, red("a")).keep("a"),
        post(&path, decision("b", "Verify")),
        merge(format!("{path}/b"), json!({"metadata": {"labels": {"colour": "red"}}})),
        merge(format!("{path}/a"), json!({"metadata": {"labels": {"size": "big"}}})),
        merge(format!("{path}/a"), json!({"metadata": {"labels": {"colour": "blue"}}})),
        merge(format!("{path}/a"), json!({"metadata": {"labels": {"size": "small"}}})),
        merge(format!("{path}/b/status"), json!({"status": {"observedGeneration": 1}})),
        merge(format!("{path}/b"), json!({"metadata": {"finalizers": ["mandate.dev/hold"]}})),
        delete(format!("{path}/b")),
        merge(format!("{path}/b"), json!({"metadata": {"finalizers": null}})),
        delete(format!("{path}/a")),
        get(format!("{path}?watch=true&timeoutSeconds=2&resourceVersion={{first.version}}")),
        get(format!("{path}?watch=true&timeoutSeconds=2&resourceVersion={{first.version}}&labelSelector=colour%3Dred")),
        get(format!("{path}?watch=true&timeoutSeconds=2&resourceVersion={{first.version}}&fieldSelector=spec.act%3DVerify")),
        get(format!("{path}?watch=true&timeoutSeconds=2&resourceVersion={{a.version}}&fieldSelector=metadata.name%3Da")),
        get(format!("{path}?watch=true&timeoutSeconds=1")),
        get(format!("{path}?watch=true&timeoutSeconds=1&sendInitialEvents=true")),
    ];
    agree("watches", &["watches-a"], steps).await;
}

async fn secrets_and_namespaces_are_answered_alike() {
    let path = "/api/v1/namespaces/builtin-a/secrets";
    let secret = |name: &str, more: Value| with(json!({"metadata": {"name": name}}), "", more);
    let steps = vec![
        post(path, secret("s", json!({"stringData": {"k": "v"}}))).keep("s"),
        post(path, secret("t", json!({"data": {"k": "dg=="}, "type": "example.com/own"}))),
        post(path, secret("u", json!({"data": {"k": "no base64!"}}))).in_other_words(),
        post(path, secret("u", json!({"data": {"bad key": "dg=="}}))),
        post(path, secret("u", json!({"kind": "Pod", "apiVersion": "v1"}))).in_other_words(),
        put(format!("{path}/s"), secret("s", json!({"stringData": {"k": "w"}}))),
        put(format!("{path}/s"), secret("s", json!({"metadata": {"resourceVersion": "{s.version}"}, "stringData": {"k": "w"}}))),
        put(format!("{path}/s"), secret("s", json!({"type": "example.com/own"}))),
        merge(format!("{path}/s"), json!({"stringData": {"l": "m"}, "immutable": true})),
        merge(format!("{path}/s"), json!({"stringData": {"l": "n"}})),
        merge(format!("{path}/s"), json!({"immutable": null})),
        get(path),
        get(format!("{path}/s")),
        get(format!("{path}/absent")),
        delete(format!("{path}/s")),
        post("/api/v1/namespaces", json!({"metadata": {"name": "builtin-a"}})),
        post("/api/v1/namespaces", json!({"metadata": {"name": "Builtin"}})),
        post("/api/v1/namespaces", json!({"metadata": {"name": "n".repeat(64)}})),
        post("/api/v1/namespaces", json!({"metadata": {"name": "builtin.b"}})),
        get("/api/v1/namespaces/builtin-a"),
        merge("/api/v1/namespaces/builtin-a", json!({"metadata": {"labels": {"a": "b"}}})),
        merge("/api/v1/namespaces/builtin-a", json!({"metadata": {"labels": null}})),
        post(decisions("builtin-a"), with(decision("held", "Reject"), "/metadata/finalizers", json!(["mandate.dev/hold"]))),
        delete("/api/v1/namespaces/builtin-a"),
        get(format!("{}/held", decisions("builtin-a"))).settles(),
        post(decisions("builtin-a"), decision("late", "Reject")).in_other_words(),
        merge(format!("{}/held", decisions("builtin-a")), json!({"metadata": {"finalizers": null}})),
        get(decisions("builtin-a")),
        get("/api/v1/namespaces/builtin-a").settles(),
    ];
    agree("secrets and namespaces", &["builtin-a"], steps).await;
}
