//! get and list.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json as value};

use super::accept::{Form, form};
use super::pages::Page;
use super::query::{IncludeObject, Parameters, VersionMatch};
use super::status::{Refusal, json};
use super::table::{PartialObject, TableView};
use super::{Api, Asked};
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::Resource;
use crate::world::server::{Definition, Selection, Subresource};

/// One object. Its status shows the whole object, as on a cluster.
pub async fn object(api: &Api, key: &ObjectKey, asked: Asked) -> Result<Response, Refusal> {
    let form = form(asked.request.headers())?;
    let include = asked.parameters.include_object()?;
    let object = api.parts.server.get(&asked.who, key).await?;
    Ok(api.show(StatusCode::OK, form, include, &object))
}

/// All objects that a request selects, in pages if it asks for that.
pub async fn collection(api: &Api, definition: &Definition, namespace: Option<String>, asked: Asked) -> Result<Response, Refusal> {
    let Asked { who, parameters, request } = asked;
    let form = form(request.headers())?;
    let include = parameters.include_object()?;
    let selection = selection(definition, namespace, &parameters);
    let limit = parameters.number("limit")?.unwrap_or(0);
    let page = if let Some(token) = parameters.text("continue") {
        if parameters.text("resourceVersion").is_some_and(|version| version != "0") {
            return Err(Refusal::bad_request("specifying resource version is not allowed when using continue"));
        }
        // The objects are those of the first page's time, the permission is asked for anew.
        let scope = selection.namespace.as_deref().unwrap_or("");
        if !api.parts.authorizer.may(&who, "list", selection.resource, Subresource::Main, scope) {
            let message = format!("{} is forbidden: User {:?} cannot list them any more", selection.resource, who.username);
            return Err(Refusal::forbidden(message));
        }
        api.pages.next(&who, &selection, token, limit)?
    } else {
        let listed = api.parts.server.list(&who, &selection).await?;
        match_version(&parameters, listed.resource_version)?;
        api.pages.first(&who, &selection, listed, limit)
    };
    Ok(api.show_page(form, include, selection.resource, &page))
}

/// What a request selects.
pub fn selection(definition: &Definition, namespace: Option<String>, parameters: &Parameters) -> Selection {
    Selection {
        resource: definition.resource,
        namespace,
        fields: parameters.text("fieldSelector").unwrap_or("").to_owned(),
        labels: parameters.text("labelSelector").unwrap_or("").to_owned(),
    }
}

/// The newest version is all there is to list; a request for another one is refused rather than answered with this.
fn match_version(parameters: &Parameters, current: u64) -> Result<(), Refusal> {
    let asked = parameters.number::<u64>("resourceVersion")?;
    match (asked, parameters.version_match()?) {
        (None, Some(_)) => {
            Err(parameters.forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        }
        (Some(0), Some(VersionMatch::Exact)) => {
            Err(parameters.forbidden("resourceVersionMatch", "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\""))
        }
        (Some(asked), _) if asked > current => Err(Refusal::version_too_large(asked, current)),
        (Some(asked), Some(VersionMatch::Exact)) if asked < current => {
            Err(Refusal::expired(format!("The resourceVersion for the provided list is too old: {asked} (newest: {current})")))
        }
        (None, None) | (Some(_), _) => Ok(()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a, T> {
    kind: &'a str,
    api_version: &'a str,
    metadata: &'a Value,
    items: Vec<T>,
}

/// An object in a list: of built-in types, the list alone says the type.
fn item(body: &Value, is_custom: bool) -> Cow<'_, Value> {
    if is_custom {
        return Cow::Borrowed(body);
    }
    let mut item = body.clone();
    if let Some(fields) = item.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    Cow::Owned(item)
}

impl Api {
    /// An object as a reply.
    pub(super) fn show(&self, code: StatusCode, form: Form, include: IncludeObject, object: &Object) -> Response {
        match form {
            Form::Object => json(code, &object.body),
            Form::Metadata => json(code, &PartialObject::of(object)),
            Form::Table => {
                let metadata = value!({"resourceVersion": object.resource_version()});
                json(code, &self.view(object.resource, include).table(&metadata, true, &[object]))
            }
        }
    }

    /// How a resource's objects look in tables now.
    pub(super) fn view(&self, resource: &Resource, include: IncludeObject) -> TableView<'_> {
        TableView { columns: self.tables.columns(resource), include, now: self.parts.clock.now() }
    }

    fn show_page(&self, form: Form, include: IncludeObject, resource: &Resource, page: &Page) -> Response {
        let Page { objects, resource_version, next, remaining } = page;
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".into(), resource_version.to_string().into());
        let is_custom = self.parts.server.definitions().iter().any(|served| served.resource == resource && served.schema.is_some());
        if is_custom && form == Form::Object {
            metadata.insert("continue".into(), "".into());
        }
        if let Some(token) = next {
            metadata.insert("continue".into(), token.as_str().into());
            metadata.insert("remainingItemCount".into(), (*remaining).into());
        }
        let metadata = Value::Object(metadata);
        let objects: Vec<&Object> = objects.iter().map(Arc::as_ref).collect();
        match form {
            Form::Table => json(StatusCode::OK, &self.view(resource, include).table(&metadata, true, &objects)),
            Form::Metadata => {
                let items = objects.into_iter().map(PartialObject::of).collect();
                let list = List { kind: "PartialObjectMetadataList", api_version: "meta.k8s.io/v1", metadata: &metadata, items };
                json(StatusCode::OK, &list)
            }
            Form::Object => {
                let (kind, api_version) = (format!("{}List", resource.kind), resource.api_version());
                let items: Vec<Cow<'_, Value>> = objects.into_iter().map(|object| item(&object.body, is_custom)).collect();
                json(StatusCode::OK, &List { kind: &kind, api_version: &api_version, metadata: &metadata, items })
            }
        }
    }
}
