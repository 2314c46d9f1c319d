//! What is served: the documents that clients read before anything else.

use std::collections::BTreeSet;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::accept::DiscoveryForm;
use super::path::{REVIEWS, Root};
use super::status::{Refusal, json as reply};
use crate::world::server::Definition;

/// Verbs of every resource.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Verbs of every status subresource.
const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];
/// Media type of the aggregated form: clients tell by it which form they got.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/api` or `/apis`.
pub fn root(definitions: &[Definition], root: Root, form: DiscoveryForm) -> Response {
    let groups = groups(definitions, root);
    let document = match (form, root) {
        (DiscoveryForm::Aggregated, _) => {
            let items: Vec<Value> = groups.iter().map(|(group, versions)| aggregated_group(definitions, group, versions)).collect();
            json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
        }
        (DiscoveryForm::Plain, Root::Core) => {
            let versions: Vec<&str> = groups.iter().flat_map(|(_, versions)| versions.iter().copied()).collect();
            json!({"kind": "APIVersions", "versions": versions, "serverAddressByClientCIDRs": []})
        }
        (DiscoveryForm::Plain, Root::Groups) => {
            let groups: Vec<Value> = groups.iter().map(|(group, versions)| plain_group(group, versions)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
    };
    let mut response = reply(StatusCode::OK, &document);
    if form == DiscoveryForm::Aggregated {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    }
    response
}

/// `/apis/GROUP`.
///
/// # Errors
/// 404 when the group is not served.
pub fn group(definitions: &[Definition], name: &str) -> Result<Response, Refusal> {
    let groups = groups(definitions, Root::Groups);
    let (group, versions) = groups.iter().find(|(group, _)| *group == name).ok_or_else(Refusal::no_such_path)?;
    let mut document = plain_group(group, versions);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("kind".into(), "APIGroup".into());
        fields.insert("apiVersion".into(), "v1".into());
    }
    Ok(reply(StatusCode::OK, &document))
}

/// `/api/v1` or `/apis/GROUP/VERSION`.
///
/// # Errors
/// 404 when the version is not served.
pub fn version(definitions: &[Definition], group: &str, version: &str) -> Result<Response, Refusal> {
    let mut resources: Vec<Value> = of(definitions, group, version).flat_map(plain_resources).collect();
    resources.extend(reviews(group, version).map(|(_, plural, kind)| {
        json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind, "verbs": ["create"]})
    }));
    if resources.is_empty() {
        return Err(Refusal::no_such_path());
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let document = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources});
    Ok(reply(StatusCode::OK, &document))
}

/// `/version`. States the API that is imitated: the versions of the built-in kinds are those of that release.
pub fn server_version() -> Value {
    json!({
        "major": "1",
        "minor": "33",
        "gitVersion": concat!("v1.33.0+mandate-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

type Group<'a> = (&'a str, BTreeSet<&'a str>);

/// Groups under a root with their versions, by name.
fn groups(definitions: &[Definition], root: Root) -> Vec<Group<'_>> {
    let served = definitions.iter().map(|definition| (definition.resource.group, definition.resource.version));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (group, version) in served.chain(REVIEWS.iter().map(|review| (review.0, "v1"))) {
        if group.is_empty() != (root == Root::Core) {
            continue;
        }
        match groups.iter_mut().find(|(name, _)| *name == group) {
            Some((_, versions)) => drop(versions.insert(version)),
            None => groups.push((group, BTreeSet::from([version]))),
        }
    }
    groups.sort();
    groups
}

fn of<'a>(definitions: &'a [Definition], group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Definition> {
    definitions.iter().filter(move |definition| (definition.resource.group, definition.resource.version) == (group, version))
}

fn reviews<'a>(group: &'a str, version: &'a str) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> + 'a {
    REVIEWS.into_iter().filter(move |review| review.0 == group && version == "v1")
}

fn plain_group(group: &str, versions: &BTreeSet<&str>) -> Value {
    let versions: Vec<Value> =
        versions.iter().map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version})).collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

fn plain_resources(definition: &Definition) -> Vec<Value> {
    let resource = definition.resource;
    let main = json!({
        "name": resource.plural,
        "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": VERBS,
        "shortNames": definition.short_names,
        "categories": definition.categories,
    });
    let status = definition.has_status.then(|| {
        json!({
            "name": format!("{}/status", resource.plural),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": STATUS_VERBS,
        })
    });
    std::iter::once(main).chain(status).collect()
}

fn aggregated_group(definitions: &[Definition], group: &str, versions: &BTreeSet<&str>) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let stored = of(definitions, group, version).map(aggregated_resource);
            let resources: Vec<Value> = stored.chain(reviews(group, version).map(aggregated_review)).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(definition: &Definition) -> Value {
    let resource = definition.resource;
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let status = definition.has_status.then(|| json!({"subresource": "status", "responseKind": kind, "verbs": STATUS_VERBS}));
    json!({
        "resource": resource.plural,
        "responseKind": kind,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.kind.to_lowercase(),
        "verbs": VERBS,
        "shortNames": definition.short_names,
        "categories": definition.categories,
        "subresources": status.into_iter().collect::<Vec<Value>>(),
    })
}

fn aggregated_review((group, plural, kind): (&str, &str, &str)) -> Value {
    json!({
        "resource": plural,
        "responseKind": {"group": group, "version": "v1", "kind": kind},
        "scope": "Cluster",
        "singularResource": kind.to_lowercase(),
        "verbs": ["create"],
    })
}
