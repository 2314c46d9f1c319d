//! No entry twice in lists of type set and map.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::message;
use super::node::{Additional, ListType, Node};
use crate::engine::port::Cause;

/// Duplicate entries at any depth.
pub(super) fn check(root: &Node, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(root, object, "", &mut causes);
    causes
}

fn walk(node: &Node, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Additional::Schema(child) = &node.additional {
                    walk(child, field, &format!("{path}[{name}]"), causes);
                } else if let Some(child) = node.properties.get(name) {
                    let separator = if path.is_empty() { "" } else { "." };
                    walk(child, field, &format!("{path}{separator}{name}"), causes);
                }
            }
        }
        Value::Array(items) => {
            match node.list_type {
                ListType::Atomic => {}
                ListType::Set => duplicates(items, path, causes),
                ListType::Map => check_map(node, items, path, causes),
            }
            if let Some(child) = &node.items {
                for (index, item) in items.iter().enumerate() {
                    walk(child, item, &format!("{path}[{index}]"), causes);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check_map(node: &Node, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    if let Some((index, wrong)) = items.iter().enumerate().find(|(_, item)| !item.is_object() && !item.is_null()) {
        causes.push(message::invalid(&format!("{path}[{index}]"), wrong, "must be an object for an array of list-type map"));
        return;
    }
    let keys_of = |item: &Value| {
        let keys = node.list_keys.iter().filter_map(|key| item.get(key).map(|value| (key.clone(), value.clone())));
        Value::Object(keys.collect::<Map<_, _>>())
    };
    let keys: Vec<Value> = items.iter().map(keys_of).collect();
    duplicates(&keys, path, causes);
}

/// One cause for each value that stands there more than once, at its second place.
fn duplicates(items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let times = seen.entry(message::json(item)).or_default();
        *times += 1;
        if *times == 2 {
            causes.push(message::duplicate(&format!("{path}[{index}]"), item));
        }
    }
}
