//! The schema as a tree of checked nodes. What the API server would refuse in a CRD, and what this validator does not
//! implement, is refused here: a constraint is never dropped in silence.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::SchemaError;
use super::format::Format;
use super::pattern;
use super::rule::Rule;
use crate::model::limits::MAX_DOCUMENT_DEPTH;

/// Keywords without effect on validation.
const ANNOTATIONS: [&str; 5] = ["description", "title", "example", "externalDocs", "x-kubernetes-map-type"];
/// Keywords that are read below.
const KEYWORDS: [&str; 32] = [
    "type",
    "nullable",
    "format",
    "default",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "items",
    "additionalProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
];

/// What an object may hold besides its properties.
#[derive(Debug)]
pub(super) enum Additional {
    /// Nothing is said: unknown fields are pruned.
    None,
    /// Anything; pruned below.
    Any,
    /// Values of this schema.
    Schema(Box<Node>),
}

/// How the items of a list relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListType {
    /// One value.
    Atomic,
    /// No item twice.
    Set,
    /// No key twice; items of one key are compared over an update.
    Map,
}

/// Bounds of a number.
#[derive(Debug, Default)]
pub(super) struct Range {
    pub(super) minimum: Option<f64>,
    pub(super) exclusive_minimum: bool,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_maximum: bool,
    pub(super) multiple_of: Option<f64>,
}

/// Bounds of a length or count.
#[derive(Debug, Default)]
pub(super) struct Size {
    pub(super) minimum: Option<u64>,
    pub(super) maximum: Option<u64>,
}

/// One schema.
#[derive(Debug)]
pub(super) struct Node {
    /// `type` as written; empty when absent or int-or-string. CEL faults print it.
    pub(super) type_name: String,
    /// Types permitted; empty permits all.
    pub(super) types: Vec<String>,
    pub(super) nullable: bool,
    pub(super) preserve_unknown: bool,
    /// `format` as written, and what it means; none when the API server ignores it.
    pub(super) format: Option<(String, Format)>,
    pub(super) default: Option<Value>,
    pub(super) permitted: Vec<Value>,
    pub(super) range: Range,
    pub(super) length: Size,
    pub(super) item_count: Size,
    pub(super) property_count: Size,
    /// `pattern` as written, and compiled.
    pub(super) pattern: Option<(String, Regex)>,
    pub(super) required: Vec<String>,
    pub(super) properties: BTreeMap<String, Node>,
    pub(super) additional: Additional,
    pub(super) items: Option<Box<Node>>,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
    pub(super) list_type: ListType,
    pub(super) list_keys: Vec<String>,
    pub(super) rules: Vec<Rule>,
}

impl Node {
    /// Compiles a schema; `at` is its JSON pointer, for faults.
    pub(super) fn compile(schema: &Value, at: &str) -> Result<Self, SchemaError> {
        Reader::new(schema, at)?.node()
    }

    /// The schema of a field, if it has one.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(child) => Some(child),
            Additional::None | Additional::Any => None,
        })
    }

    /// Whether a rule stands here or below.
    pub(super) fn has_rules(&self) -> bool {
        let additional = match &self.additional {
            Additional::Schema(child) => child.has_rules(),
            Additional::None | Additional::Any => false,
        };
        !self.rules.is_empty()
            || additional
            || self.items.as_ref().is_some_and(|items| items.has_rules())
            || self.properties.values().any(Self::has_rules)
    }
}

/// Reads the keywords of one schema.
struct Reader<'a> {
    schema: &'a Map<String, Value>,
    at: &'a str,
}

impl<'a> Reader<'a> {
    fn new(schema: &'a Value, at: &'a str) -> Result<Self, SchemaError> {
        let schema = schema.as_object().ok_or_else(|| SchemaError::new(at, "a schema must be an object"))?;
        if at.matches('/').count() > 2 * MAX_DOCUMENT_DEPTH {
            return Err(SchemaError::new(at, "the schema is nested too deeply"));
        }
        let unknown = schema.keys().find(|key| !KEYWORDS.contains(&key.as_str()) && !ANNOTATIONS.contains(&key.as_str()));
        match unknown {
            Some(key) => Err(SchemaError::new(at, format!("keyword {key:?} is not supported"))),
            None => Ok(Self { schema, at }),
        }
    }

    fn node(&self) -> Result<Node, SchemaError> {
        let type_name = self.string("type")?.unwrap_or_default().to_owned();
        let types = if self.flag("x-kubernetes-int-or-string")? {
            vec!["integer".to_owned(), "string".to_owned()]
        } else if type_name.is_empty() {
            Vec::new()
        } else {
            vec![type_name.clone()]
        };
        self.refuse_unsupported(&type_name)?;
        let mut node = Node {
            format: self.format(&type_name)?,
            nullable: self.flag("nullable")?,
            preserve_unknown: self.flag("x-kubernetes-preserve-unknown-fields")?,
            default: self.schema.get("default").filter(|value| !value.is_null()).cloned(),
            permitted: self.array("enum")?.to_vec(),
            range: self.range(&type_name)?,
            length: self.size("Length")?,
            item_count: self.size("Items")?,
            property_count: self.size("Properties")?,
            pattern: self.pattern()?,
            required: self.strings("required")?,
            properties: self.properties()?,
            additional: self.additional()?,
            items: self.child("items")?,
            all_of: self.alternatives("allOf")?,
            any_of: self.alternatives("anyOf")?,
            one_of: self.alternatives("oneOf")?,
            not: self.child("not")?.map(|schema| self.without_rules(*schema, "not")).transpose()?.map(Box::new),
            list_type: self.list_type()?,
            list_keys: self.strings("x-kubernetes-list-map-keys")?,
            rules: Vec::new(),
            type_name,
            types,
        };
        node.rules = self
            .array("x-kubernetes-validations")?
            .iter()
            .enumerate()
            .map(|(index, rule)| Rule::compile(rule, &node, &format!("{}/x-kubernetes-validations/{index}", self.at)))
            .collect::<Result<_, _>>()?;
        Ok(node)
    }

    fn refuse_unsupported(&self, type_name: &str) -> Result<(), SchemaError> {
        if !["", "object", "array", "string", "integer", "number", "boolean"].contains(&type_name) {
            return Err(self.fault(format!("type {type_name:?} is not supported")));
        }
        if self.flag("uniqueItems")? {
            return Err(self.fault("uniqueItems cannot be set to true"));
        }
        if self.flag("x-kubernetes-embedded-resource")? {
            return Err(self.fault("embedded resources are not supported"));
        }
        Ok(())
    }

    fn fault(&self, message: impl Into<String>) -> SchemaError {
        SchemaError::new(self.at, message)
    }

    fn typed<T>(&self, key: &str, what: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>, SchemaError> {
        match self.schema.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| self.fault(format!("{key} must be {what}"))),
        }
    }

    fn string(&self, key: &str) -> Result<Option<&'a str>, SchemaError> {
        self.typed(key, "a string", Value::as_str)
    }

    fn flag(&self, key: &str) -> Result<bool, SchemaError> {
        Ok(self.typed(key, "a boolean", Value::as_bool)?.unwrap_or(false))
    }

    fn array(&self, key: &str) -> Result<&'a [Value], SchemaError> {
        Ok(self.typed(key, "a list", Value::as_array)?.map_or(&[], Vec::as_slice))
    }

    fn strings(&self, key: &str) -> Result<Vec<String>, SchemaError> {
        self.array(key)?
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| self.fault(format!("{key} must hold strings"))))
            .collect()
    }

    fn size(&self, what: &str) -> Result<Size, SchemaError> {
        let bound = |prefix: &str| self.typed(&format!("{prefix}{what}"), "a whole number, zero or more", Value::as_u64);
        Ok(Size { minimum: bound("min")?, maximum: bound("max")? })
    }

    fn range(&self, type_name: &str) -> Result<Range, SchemaError> {
        let bound = |key: &str| match self.typed(key, "a number", Value::as_f64)? {
            Some(bound) if type_name == "integer" && (bound.fract() != 0.0 || bound.abs() > 9.2e18) => {
                Err(self.fault(format!("{key} of an integer must be an integer")))
            }
            other => Ok(other),
        };
        let range = Range {
            minimum: bound("minimum")?,
            exclusive_minimum: self.flag("exclusiveMinimum")?,
            maximum: bound("maximum")?,
            exclusive_maximum: self.flag("exclusiveMaximum")?,
            multiple_of: bound("multipleOf")?,
        };
        if range.multiple_of.is_some_and(|factor| factor <= 0.0) {
            return Err(self.fault("multipleOf must be greater than zero"));
        }
        Ok(range)
    }

    fn format(&self, type_name: &str) -> Result<Option<(String, Format)>, SchemaError> {
        let Some(name) = self.string("format")? else { return Ok(None) };
        let format = Format::of(name, type_name).map_err(|message| self.fault(message))?;
        Ok(format.map(|format| (name.to_owned(), format)))
    }

    fn pattern(&self) -> Result<Option<(String, Regex)>, SchemaError> {
        let Some(source) = self.string("pattern")?.filter(|source| !source.is_empty()) else { return Ok(None) };
        let regex = pattern::compile(source).map_err(|error| self.fault(format!("pattern {source:?}: {error}")))?;
        Ok(Some((source.to_owned(), regex)))
    }

    fn list_type(&self) -> Result<ListType, SchemaError> {
        match self.string("x-kubernetes-list-type")? {
            None | Some("atomic") => Ok(ListType::Atomic),
            Some("set") => Ok(ListType::Set),
            Some("map") if self.strings("x-kubernetes-list-map-keys")?.is_empty() => {
                Err(self.fault("a list of type map needs x-kubernetes-list-map-keys"))
            }
            Some("map") => Ok(ListType::Map),
            Some(other) => Err(self.fault(format!("x-kubernetes-list-type {other:?} is not supported"))),
        }
    }

    fn child(&self, key: &str) -> Result<Option<Box<Node>>, SchemaError> {
        let compiled = self.schema.get(key).map(|schema| Node::compile(schema, &format!("{}/{key}", self.at)));
        Ok(compiled.transpose()?.map(Box::new))
    }

    fn alternatives(&self, key: &str) -> Result<Vec<Node>, SchemaError> {
        let compile = |(index, schema)| self.without_rules(Node::compile(schema, &format!("{}/{key}/{index}", self.at))?, key);
        self.array(key)?.iter().enumerate().map(compile).collect()
    }

    /// Structural schemas have their rules and defaults outside of `allOf`, `anyOf`, `oneOf` and `not`.
    fn without_rules(&self, schema: Node, key: &str) -> Result<Node, SchemaError> {
        if schema.has_rules() { Err(self.fault(format!("rules in {key} are not supported"))) } else { Ok(schema) }
    }

    fn properties(&self) -> Result<BTreeMap<String, Node>, SchemaError> {
        let properties = self.typed("properties", "an object", Value::as_object)?;
        properties
            .into_iter()
            .flatten()
            .map(|(name, schema)| Ok((name.clone(), Node::compile(schema, &format!("{}/properties/{name}", self.at))?)))
            .collect()
    }

    fn additional(&self) -> Result<Additional, SchemaError> {
        match self.schema.get("additionalProperties") {
            None => Ok(Additional::None),
            Some(Value::Bool(true)) => Ok(Additional::Any),
            Some(Value::Bool(false)) => Err(self.fault("additionalProperties cannot be set to false")),
            Some(schema) => Ok(Additional::Schema(Box::new(Node::compile(schema, &format!("{}/additionalProperties", self.at))?))),
        }
    }
}
