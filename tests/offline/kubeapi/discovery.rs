//! What clients read before anything else.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::harness::Harness;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn find<'a>(list: &'a Value, field: &str, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|item| item[field] == name).unwrap_or_else(|| panic!("no {name} in {list}"))
}

#[tokio::test]
async fn aggregated_discovery_tells_everything_in_one_document_per_root() {
    let harness = Harness::new().await;
    let reply = harness.get_as("/apis", &format!("{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1,application/json")).await;
    assert_eq!(reply.headers["content-type"], AGGREGATED);
    let body = reply.must(StatusCode::OK);
    assert_eq!((&body["kind"], &body["apiVersion"]), (&json!("APIGroupDiscoveryList"), &json!("apidiscovery.k8s.io/v2")));
    let group = body["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "mandate.dev").unwrap();
    let version = &group["versions"][0];
    assert_eq!((&version["version"], &version["freshness"]), (&json!("v1alpha1"), &json!("Current")));
    let kind = json!({"group": "mandate.dev", "version": "v1alpha1", "kind": "Widget"});
    assert_eq!(
        find(&version["resources"], "resource", "widgets"),
        &json!({
            "resource": "widgets", "responseKind": kind, "scope": "Namespaced", "singularResource": "widget",
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            "shortNames": ["wd"], "categories": ["mandate"],
            "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get", "patch", "update"]}],
        })
    );
    assert_eq!(find(&version["resources"], "resource", "makers")["scope"], "Cluster");
    let core = harness.get_as("/api", AGGREGATED).await.must(StatusCode::OK);
    let resources = &core["items"][0]["versions"][0]["resources"];
    assert_eq!(find(resources, "resource", "secrets")["subresources"], json!([]));
    assert_eq!(core["items"][0]["metadata"], json!({}));
}

#[tokio::test]
async fn a_client_that_knows_no_aggregated_form_finds_the_same() {
    let harness = Harness::new().await;
    assert_eq!(harness.get("/api").await.must(StatusCode::OK)["versions"], json!(["v1"]));
    let groups = harness.get_as("/apis", "application/json").await.must(StatusCode::OK);
    let preferred = json!({"groupVersion": "mandate.dev/v1alpha1", "version": "v1alpha1"});
    assert_eq!(find(&groups["groups"], "name", "mandate.dev")["preferredVersion"], preferred);
    let group = harness.get("/apis/mandate.dev").await.must(StatusCode::OK);
    assert_eq!((&group["kind"], &group["versions"]), (&json!("APIGroup"), &json!([preferred])));
    let version = harness.get("/apis/mandate.dev/v1alpha1").await.must(StatusCode::OK);
    assert_eq!(version["groupVersion"], "mandate.dev/v1alpha1");
    let widgets = find(&version["resources"], "name", "widgets");
    assert_eq!((&widgets["shortNames"], &widgets["categories"]), (&json!(["wd"]), &json!(["mandate"])));
    assert_eq!(find(&version["resources"], "name", "widgets/status")["verbs"], json!(["get", "patch", "update"]));
    let core = harness.get("/api/v1").await.must(StatusCode::OK);
    assert_eq!(find(&core["resources"], "name", "namespaces")["namespaced"], false);
}

#[tokio::test]
async fn what_is_not_served_is_not_found() {
    let harness = Harness::new().await;
    for path in [
        "/nothing",
        "/api/v2",
        "/apis/other.dev",
        "/apis/mandate.dev/v2",
        "/apis/mandate.dev/v1alpha1/gadgets",
        "/apis/mandate.dev/v1alpha1/namespaces/shop/makers",
        "/apis/mandate.dev/v1alpha1/widgets/without-namespace",
        "/apis/mandate.dev/v1alpha1/namespaces/shop/widgets/w/scale",
        "/api/v1/namespaces/shop/secrets/s/status",
        "/api/v1/namespaces/shop/finalize",
    ] {
        let reply = harness.get(path).await;
        assert_eq!(reply.refused(404, "NotFound"), "the server could not find the requested resource", "{path}");
    }
    for path in ["/openapi/v2", "/openapi/v3", "/openapi/v3/apis/mandate.dev/v1alpha1"] {
        assert!(harness.get(path).await.refused(404, "NotFound").contains("OpenAPI"), "{path}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_refused() {
    let harness = Harness::new().await;
    for (method, path) in [
        ("POST", "/apis"),
        ("PUT", super::harness::WIDGETS),
        ("POST", "/apis/mandate.dev/v1alpha1/namespaces/shop/widgets/w"),
        ("DELETE", "/apis/mandate.dev/v1alpha1/namespaces/shop/widgets/w/status"),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ] {
        harness.send(harness.request(method, path), None).await.refused(405, "MethodNotAllowed");
    }
}

#[tokio::test]
async fn the_version_states_the_api_that_is_imitated() {
    let version = Harness::new().await.get("/version").await.must(StatusCode::OK);
    assert_eq!((&version["major"], &version["minor"]), (&json!("1"), &json!("33")));
    assert!(version["gitVersion"].as_str().unwrap().starts_with("v1.33.0+mandate"), "{version}");
}
