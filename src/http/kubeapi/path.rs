//! What a path of the Kubernetes API names.

use super::status::Refusal;
use crate::model::object::ObjectKey;
use crate::world::server::{Definition, Subresource};

/// What a request is about.
#[derive(Debug, Clone)]
pub enum Target<'a> {
    /// `/api` or `/apis`.
    Roots(Root),
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` or `/apis/GROUP/VERSION`: group and version.
    Version(String, String),
    /// All objects of a resource, in one namespace or everywhere.
    Collection {
        /// Of which resource.
        definition: &'a Definition,
        /// In which namespace; none: in all, or the resource has none.
        namespace: Option<String>,
    },
    /// One object, or its status.
    Object {
        /// Of which resource.
        definition: &'a Definition,
        /// Which.
        key: ObjectKey,
        /// Main or status.
        subresource: Subresource,
    },
    /// A review: create-only, nothing is stored. Group and plural.
    Review(String, String),
}

/// The two roots of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// `/api`: the core group.
    Core,
    /// `/apis`: named groups.
    Groups,
}

/// Groups and plurals of reviews.
pub const REVIEWS: [(&str, &str, &str); 2] = [
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
];

/// Reads a path, already percent-decoded.
///
/// # Errors
/// 404 when nothing is served there.
pub fn target<'a>(definitions: &'a [Definition], path: &str) -> Result<Target<'a>, Refusal> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api"] => return Ok(Target::Roots(Root::Core)),
        ["apis"] => return Ok(Target::Roots(Root::Groups)),
        ["apis", group] => return Ok(Target::Group((*group).to_owned())),
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(Refusal::no_such_path()),
    };
    if let [plural] = rest
        && version == "v1"
        && REVIEWS.iter().any(|review| (review.0, review.1) == (group, *plural))
    {
        return Ok(Target::Review(group.to_owned(), (*plural).to_owned()));
    }
    let served = |plural: &str| {
        let found = definitions.iter().find(|definition| {
            let resource = definition.resource;
            (resource.group, resource.version, resource.plural) == (group, version, plural)
        });
        found.ok_or_else(Refusal::no_such_path)
    };
    match rest {
        [] => Ok(Target::Version(group.to_owned(), version.to_owned())),
        // The status of a namespace has the shape of a collection inside it: `namespaces/NAME/status`.
        ["namespaces", name, "status"] if group.is_empty() => object(served("namespaces")?, "", name, Some("status")),
        ["namespaces", namespace, plural] => collection(served(plural)?, Some(namespace)),
        ["namespaces", namespace, plural, name] => object(served(plural)?, namespace, name, None),
        ["namespaces", namespace, plural, name, subresource] => object(served(plural)?, namespace, name, Some(subresource)),
        [plural] => collection(served(plural)?, None),
        [plural, name] => object(served(plural)?, "", name, None),
        [plural, name, subresource] => object(served(plural)?, "", name, Some(subresource)),
        _ => Err(Refusal::no_such_path()),
    }
}

fn collection<'a>(definition: &'a Definition, namespace: Option<&str>) -> Result<Target<'a>, Refusal> {
    if namespace.is_some_and(|namespace| namespace.is_empty() || !definition.resource.namespaced) {
        return Err(Refusal::no_such_path());
    }
    Ok(Target::Collection { definition, namespace: namespace.map(str::to_owned) })
}

fn object<'a>(definition: &'a Definition, namespace: &str, name: &str, subresource: Option<&str>) -> Result<Target<'a>, Refusal> {
    let resource = definition.resource;
    if resource.namespaced == namespace.is_empty() || name.is_empty() {
        return Err(Refusal::no_such_path());
    }
    let subresource = match subresource {
        None => Subresource::Main,
        Some("status") if definition.has_status => Subresource::Status,
        Some(_) => return Err(Refusal::no_such_path()),
    };
    Ok(Target::Object { definition, key: ObjectKey::new(resource, namespace, name), subresource })
}
