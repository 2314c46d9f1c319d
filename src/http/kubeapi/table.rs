//! Objects as rows of printer columns (`meta.k8s.io/v1` Table).

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::age::age;
use super::json_path::{JsonPath, JsonPathError};
use super::query::IncludeObject;
use crate::model::object::Object;
use crate::model::resource::Resource;
use crate::world::server::{Column, Definition, REFERENCE};

/// The tables of all resources, with their paths parsed once.
#[derive(Debug)]
pub struct Tables {
    columns: HashMap<&'static Resource, Vec<TableColumn>>,
}

/// A column and how its cells are read.
#[derive(Debug, Clone)]
pub struct TableColumn {
    column: Column,
    format: &'static str,
    path: JsonPath,
}

/// A column whose path cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column} of {resource}: {error}")]
pub struct ColumnError {
    resource: &'static Resource,
    column: String,
    error: JsonPathError,
}

/// Rows of a table.
#[derive(Debug, Clone, Copy)]
pub struct TableView<'a> {
    /// The columns.
    pub columns: &'a [TableColumn],
    /// What rows carry of their object.
    pub include: IncludeObject,
    /// The instant that ages are counted to.
    pub now: Timestamp,
}

#[derive(Serialize)]
struct Row<'a> {
    cells: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<RowObject<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RowObject<'a> {
    Whole(&'a Value),
    Metadata(PartialObject<'a>),
}

/// An object reduced to its metadata.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartialObject<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Option<&'a Value>,
}

impl<'a> PartialObject<'a> {
    /// The metadata of an object.
    #[must_use]
    pub fn of(object: &'a Object) -> Self {
        Self { kind: "PartialObjectMetadata", api_version: "meta.k8s.io/v1", metadata: object.body.get("metadata") }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Table<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: &'a Value,
    column_definitions: Vec<Heading<'a>>,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Heading<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    column_type: &'a str,
    format: &'static str,
    description: &'a str,
    priority: i64,
}

impl Tables {
    /// Tables for definitions: Name first and Age last, unless a definition has columns of these names itself.
    ///
    /// # Errors
    /// The first column with a path that cannot be parsed.
    pub fn of(definitions: &[Definition]) -> Result<Self, ColumnError> {
        let columns = definitions.iter().map(|definition| Ok((definition.resource, columns(definition)?)));
        Ok(Self { columns: columns.collect::<Result<_, _>>()? })
    }

    /// Columns of a resource; none for one that is not served.
    #[must_use]
    pub fn columns(&self, resource: &Resource) -> &[TableColumn] {
        self.columns.get(resource).map_or(&[], Vec::as_slice)
    }
}

fn columns(definition: &Definition) -> Result<Vec<TableColumn>, ColumnError> {
    let lacks = |name: &str| !definition.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let name =
        lacks("name").then(|| column("Name", "string", ".metadata.name", "Name of the object, unique for its resource and namespace."));
    let mut all: Vec<Column> = name.into_iter().chain(definition.columns.iter().cloned()).collect();
    if lacks("age") && lacks("last seen") {
        all.push(column("Age", "date", ".metadata.creationTimestamp", "Time since the object was created."));
    }
    let compiled = all.into_iter().map(|column| match JsonPath::parse(&column.json_path) {
        Ok(path) => Ok(TableColumn { format: if column.name == "Name" { "name" } else { "" }, column, path }),
        Err(error) => Err(ColumnError { resource: definition.resource, column: column.name, error }),
    });
    compiled.collect()
}

fn column(name: &str, column_type: &str, json_path: &str, description: &str) -> Column {
    Column {
        name: name.to_owned(),
        column_type: column_type.to_owned(),
        json_path: json_path.to_owned(),
        priority: 0,
        description: description.to_owned(),
    }
}

impl<'a> TableView<'a> {
    /// A table of objects under a list's metadata. `headings` are left out in all events of a watch but the first.
    pub fn table(&self, metadata: &'a Value, headings: bool, objects: &[&'a Object]) -> impl Serialize + use<'a> {
        let column_definitions = if headings { self.columns.iter().map(TableColumn::heading).collect() } else { Vec::new() };
        let rows = objects.iter().map(|object| self.row(object)).collect();
        Table { kind: "Table", api_version: "meta.k8s.io/v1", metadata, column_definitions, rows }
    }

    fn row(&self, object: &'a Object) -> Row<'a> {
        let cells = self.columns.iter().map(|column| column.cell(&object.body, self.now)).collect();
        let object = match self.include {
            IncludeObject::None => None,
            IncludeObject::Metadata => Some(RowObject::Metadata(PartialObject::of(object))),
            IncludeObject::Object => Some(RowObject::Whole(&object.body)),
        };
        Row { cells, object }
    }
}

impl TableColumn {
    fn heading(&self) -> Heading<'_> {
        let Column { name, column_type, json_path: _, priority, description } = &self.column;
        let column_type = if column_type == REFERENCE { "string" } else { column_type };
        Heading { name, column_type, format: self.format, description, priority: *priority }
    }

    /// Null when the object lacks the value or has it in another type, which kubectl prints as a blank.
    fn cell(&self, body: &Value, now: Timestamp) -> Value {
        let found = self.path.find(body);
        let Some(first) = found.first().filter(|value| !value.is_null()) else {
            return Value::Null;
        };
        match self.column.column_type.as_str() {
            "string" => found.iter().map(|value| printed(value)).collect::<Vec<_>>().join(" ").into(),
            REFERENCE => reference(first),
            "integer" => first.as_i64().map_or(Value::Null, Value::from),
            "number" => first.as_f64().map_or(Value::Null, |number| json!(number)),
            "boolean" => first.as_bool().map_or(Value::Null, Value::from),
            "date" => first.as_str().map_or(Value::Null, |text| match text.parse::<Timestamp>() {
                Ok(then) => age(then, now).into(),
                Err(_) => "<invalid>".into(),
            }),
            _ => Value::Null,
        }
    }
}

/// `kind/name`, as kubectl takes it.
fn reference(value: &Value) -> Value {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}", text("kind").to_lowercase(), text("name")).into()
}

fn printed(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
