//! Who gets in, with what.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::harness::{ADMIN, HOST, Harness, VIEWER, WIDGETS, widget};

#[tokio::test]
async fn nothing_but_health_is_served_without_a_known_token() {
    let harness = Harness::new().await;
    for path in ["/api", "/version", "/openapi/v2", WIDGETS, "/nothing"] {
        for authorization in [None, Some("Bearer wrong"), Some("Basic admin-token"), Some("Bearer "), Some("admin-token")] {
            let mut request = Request::get(path);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let reply = harness.raw(request.body(Body::empty()).unwrap()).await;
            assert_eq!(reply.refused(401, "Unauthorized"), "Unauthorized", "{path} {authorization:?}");
        }
    }
    for path in ["/healthz", "/livez", "/readyz"] {
        let reply = harness.raw(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.must(StatusCode::OK), "ok", "{path}");
    }
}

#[tokio::test]
async fn a_request_for_another_host_is_refused_even_with_a_token() {
    let harness = Harness::new().await;
    for host in ["evil.example", "evil.example:8181", "127.0.0.1", "127.0.0.1:80"] {
        let reply = harness.send(harness.request("GET", "/api").header("host", host), None).await;
        let message = reply.refused(403, "Forbidden");
        assert!(message.contains(&format!("{host:?}")) && message.contains(HOST), "{message}");
    }
    let twice = harness.request("GET", "/api").header("host", HOST).header("host", "evil.example");
    harness.send(twice, None).await.refused(403, "Forbidden");
    harness.send(harness.request("GET", "http://evil.example/api").header("host", HOST), None).await.refused(403, "Forbidden");
    harness.send(harness.request("GET", "/healthz").header("host", "evil.example"), None).await.refused(403, "Forbidden");
}

#[tokio::test]
async fn a_server_that_shuts_down_is_not_ready() {
    let harness = Harness::new().await;
    harness.trigger.shut_down();
    assert_eq!(harness.get("/readyz").await.code, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn bodies_have_a_size_and_a_format() {
    let harness = Harness::new().await;
    let huge = json!({"spec": "x".repeat(3 * 1024 * 1024)});
    let reply = harness.post(WIDGETS, &huge).await;
    assert_eq!(reply.refused(413, "RequestEntityTooLarge"), "Request entity is too large: limit is 3145728");
    for media_type in ["application/vnd.kubernetes.protobuf", "application/yaml", "text/plain"] {
        let sent = harness.request("POST", WIDGETS).header("content-type", media_type);
        let reply = harness.send(sent, Some(&widget("w"))).await;
        assert!(reply.refused(415, "UnsupportedMediaType").contains(media_type));
    }
    let broken = Request::post(WIDGETS).header("authorization", format!("bearer {ADMIN}")).body(Body::from("{\"a\":")).unwrap();
    harness.raw(broken).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn only_forms_that_can_be_had_are_promised() {
    let harness = Harness::new().await;
    harness.get_as(WIDGETS, "application/vnd.kubernetes.protobuf").await.refused(406, "NotAcceptable");
    let both = "application/vnd.kubernetes.protobuf,application/json";
    assert_eq!(harness.get_as(WIDGETS, both).await.must(StatusCode::OK)["kind"], "WidgetList");
    let table_later = "application/json;as=Table;v=v1;g=meta.k8s.io;q=0.5,application/json";
    assert_eq!(harness.get_as(WIDGETS, table_later).await.must(StatusCode::OK)["kind"], "WidgetList");
    let unknown_first = "application/json;as=Graph;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io";
    assert_eq!(harness.get_as(WIDGETS, unknown_first).await.must(StatusCode::OK)["kind"], "Table");
}

#[tokio::test]
async fn refusals_of_permission_are_passed_on_in_the_servers_words() {
    let harness = Harness::new().await;
    let reply = harness.send(harness.request("POST", WIDGETS).token(VIEWER), Some(&widget("w"))).await;
    let place = "in API group \"mandate.dev\" in the namespace \"shop\"";
    // What would be created has no name yet: that is inside the document.
    let words = |verb: &str| format!("widgets.mandate.dev is forbidden: User \"vera\" cannot {verb} resource \"widgets\" {place}");
    assert_eq!(reply.refused(403, "Forbidden"), words("create"));
    assert_eq!(reply.body["details"], json!({"group": "mandate.dev", "kind": "widgets"}));
    let reply = harness.send(harness.request("DELETE", WIDGETS).token(VIEWER), None).await;
    assert_eq!(reply.refused(403, "Forbidden"), words("deletecollection"));
    let one = format!("{WIDGETS}/w");
    let reply = harness.send(harness.request("DELETE", &one).token(VIEWER), None).await;
    assert_eq!(reply.refused(403, "Forbidden"), words("delete").replacen(" is", " \"w\" is", 1));
}

#[tokio::test]
async fn a_caller_can_ask_who_it_is_and_what_it_may() {
    let harness = Harness::new().await;
    let who = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = harness.post(who, &json!({"kind": "SelfSubjectReview"})).await.must(StatusCode::CREATED);
    let groups = json!(["mandate.dev:operators", "staff", "system:authenticated"]);
    assert_eq!(review["status"]["userInfo"], json!({"username": "ada", "groups": groups}));
    let ask = async |token: &str, attributes: Value| {
        let body = json!({"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let reply = harness.send(harness.request("POST", path).token(token), Some(&body)).await;
        reply.must(StatusCode::CREATED)["status"]["allowed"].clone()
    };
    let widgets = |verb: &str| json!({"verb": verb, "group": "mandate.dev", "resource": "widgets", "namespace": "shop"});
    assert_eq!(ask(VIEWER, widgets("get")).await, true);
    assert_eq!(ask(VIEWER, widgets("delete")).await, false);
    assert_eq!(ask(ADMIN, widgets("delete")).await, true);
    assert_eq!(ask(ADMIN, json!({"verb": "get", "group": "", "resource": "widgets"})).await, false);
}
