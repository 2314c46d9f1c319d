//! What `up` says of objects: one line each, with state and reason.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::cli::{CommandError, Format, print};
use crate::engine::audit::Snapshot;
use crate::model::object::Object;
use crate::model::pointer;
use crate::model::resource::GROUP;

/// One object as it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    name: String,
    ready: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    reason: String,
    message: String,
    stalled: bool,
}

fn row(object: &Object) -> Option<Row> {
    let conditions = object.body.pointer("/status/conditions")?.as_array()?;
    let condition = |kind: &str| conditions.iter().find(|condition| condition["type"] == kind);
    let ready = condition("Ready")?;
    let text = |field: &str| ready.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let state = pointer::text(&object.body, "/status/state").or_else(|| pointer::text(&object.body, "/status/verdict"));
    Some(Row {
        kind: object.resource.kind,
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        ready: text("status"),
        state: state.map(str::to_owned),
        reason: text("reason"),
        message: text("message"),
        stalled: condition("Stalled").is_some_and(|stalled| stalled["status"] == "True"),
    })
}

fn rows(world: &Snapshot) -> Vec<Row> {
    world.objects.iter().filter(|object| object.resource.group == GROUP).filter_map(|object| row(object)).collect()
}

/// Prints every object; true when none is stalled.
pub(super) fn print(world: &Snapshot, format: Format) -> Result<bool, CommandError> {
    let rows = rows(world);
    match format {
        Format::Table => {
            let heading = ["KIND", "NAMESPACE", "NAME", "READY", "STATE", "REASON", "MESSAGE"].map(str::to_owned).to_vec();
            let line = |row: &Row| {
                let state = row.state.clone().unwrap_or_default();
                vec![row.kind.to_owned(), row.namespace.clone(), row.name.clone(), row.ready.clone(), state, row.reason.clone(), row.message.clone()]
            };
            let table: Vec<Vec<String>> = std::iter::once(heading).chain(rows.iter().map(line)).collect();
            print::table(&table)?;
        }
        Format::Json | Format::Yaml => print::document(&rows, format)?,
    }
    Ok(rows.iter().all(|row| !row.stalled))
}

/// Tells what has changed since it was last asked to.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    told: BTreeMap<(&'static str, String, String), Row>,
}

impl Reporter {
    /// Prints objects whose state, reason or message is new, on stderr.
    pub(super) fn tell(&mut self, world: &Snapshot) {
        for row in rows(world) {
            let key = (row.kind, row.namespace.clone(), row.name.clone());
            if self.told.get(&key) == Some(&row) {
                continue;
            }
            let place = if row.namespace.is_empty() { row.name.clone() } else { format!("{}/{}", row.namespace, row.name) };
            let state = row.state.as_deref().map(|state| format!(" {state}")).unwrap_or_default();
            eprintln!("{} {place}:{state} {}: {}", row.kind, row.reason, row.message);
            self.told.insert(key, row);
        }
    }
}
