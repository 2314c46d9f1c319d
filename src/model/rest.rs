//! A resource of any REST API, declared in a schema: how it is created, found again, switched and removed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// HTTP methods that a declared request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

/// One request. `{id}` and `{key}` in the path stand for the resource's id and our idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestRequest {
    /// Method.
    pub method: Method,
    /// Path below the provider's base URL, with its query.
    #[schemars(length(min = 1, max = 512), regex(pattern = "^/"))]
    pub path: String,
    /// Body as canonical JSON text; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub body: Option<String>,
    /// Statuses that mean success.
    #[schemars(length(min = 1, max = 8), inner(range(min = 200, max = 299)), extend("x-kubernetes-list-type" = "atomic"))]
    pub success: Vec<u16>,
}

/// How a resource is found by our key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestLookup {
    /// Path of the list, `{key}` standing for our idempotency key.
    #[schemars(length(min = 1, max = 512), regex(pattern = "^/"))]
    pub path: String,
    /// JSON pointer of the list in the reply; empty for the whole reply.
    #[schemars(length(max = 256))]
    pub items: String,
    /// JSON pointer of our key in an item.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
}

/// A declared resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestResource {
    /// Creates it. The body takes our key at `keyPointer`.
    pub create: RestRequest,
    /// JSON pointer in the create body where our idempotency key is put.
    #[schemars(length(min = 1, max = 256))]
    pub key_pointer: String,
    /// JSON pointer of the id in the reply to create and in a found item.
    #[schemars(length(min = 1, max = 256))]
    pub id_pointer: String,
    /// Finds it by our key. Without it an unknown outcome cannot be looked up and stops for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<RestLookup>,
    /// Switches it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable: Option<RestRequest>,
    /// Switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<RestRequest>,
    /// Removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<RestRequest>,
}
