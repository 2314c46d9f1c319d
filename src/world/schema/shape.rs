//! Shaping an object by its schema: nulls, defaults, unknown fields. Follows `defaulting` and `pruning` of the API server.

use serde_json::{Map, Value};

use super::node::{Additional, Node};

/// Fields of the object itself that are never pruned.
const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops nulls where null is neither permitted nor replaced by a default.
pub(super) fn drop_nulls(value: &mut Value, node: Option<&Node>) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, field| {
                let child = node.and_then(|node| node.field(name));
                !(field.is_null() && child.is_some_and(|child| !child.nullable && child.default.is_none()))
            });
            for (name, field) in fields.iter_mut() {
                drop_nulls(field, node.and_then(|node| node.field(name)));
            }
        }
        Value::Array(items) => {
            let child = node.and_then(|node| node.items.as_deref());
            items.iter_mut().for_each(|item| drop_nulls(item, child));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Sets what is absent, or null without being nullable, to its default; at any depth, defaults included.
pub(super) fn default(value: &mut Value, node: &Node) {
    match value {
        Value::Object(fields) => {
            for (name, child) in &node.properties {
                let wanted = fields.get(name).is_none_or(|field| field.is_null() && !child.nullable);
                if let (true, Some(default)) = (wanted, &child.default) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, field) in fields.iter_mut() {
                if let Some(child) = node.properties.get(name) {
                    default(field, child);
                } else if let Additional::Schema(child) = &node.additional {
                    default_entry(field, child);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = &node.items {
                items.iter_mut().for_each(|item| default_entry(item, child));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn default_entry(value: &mut Value, node: &Node) {
    if let (true, Some(fallback)) = (value.is_null() && !node.nullable, &node.default) {
        *value = fallback.clone();
    }
    default(value, node);
}

/// Drops unknown fields of an object; their paths, sorted.
pub(super) fn prune(value: &mut Value, root: &Node) -> Vec<String> {
    let mut pruner = Pruner { at: String::new(), dropped: Vec::new() };
    pruner.prune(value, Some(root), true, false);
    pruner.dropped.sort_unstable();
    pruner.dropped
}

struct Pruner {
    at: String,
    dropped: Vec<String>,
}

impl Pruner {
    /// `inherited`: the list that holds this value preserves unknown fields, and so do its items.
    fn prune(&mut self, value: &mut Value, node: Option<&Node>, is_root: bool, inherited: bool) {
        let preserves = inherited || node.is_some_and(|node| node.preserve_unknown);
        match value {
            Value::Object(fields) => self.prune_fields(fields, node, is_root, preserves),
            Value::Array(items) => {
                let child = node.and_then(|node| node.items.as_deref());
                if preserves && child.is_none() {
                    return;
                }
                for (index, item) in items.iter_mut().enumerate() {
                    self.within(&format!("[{index}]"), |pruner| pruner.prune(item, child, false, preserves));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn prune_fields(&mut self, fields: &mut Map<String, Value>, node: Option<&Node>, is_root: bool, preserves: bool) {
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in names {
            if is_root && META_FIELDS.contains(&name.as_str()) {
                continue;
            }
            let step = if self.at.is_empty() { name.clone() } else { format!(".{name}") };
            let (known, child) = match node {
                Some(node) => match (node.properties.get(&name), &node.additional) {
                    (Some(child), _) => (true, Some(child)),
                    (None, Additional::Schema(child)) => (true, Some(child.as_ref())),
                    (None, Additional::Any) => (true, None),
                    (None, Additional::None) => (false, None),
                },
                None => (false, None),
            };
            if known {
                if let Some(field) = fields.get_mut(&name) {
                    self.within(&step, |pruner| pruner.prune(field, child, false, false));
                }
            } else if !preserves {
                fields.remove(&name);
                self.within(&step, |pruner| pruner.dropped.push(pruner.at.clone()));
            }
        }
    }

    fn within(&mut self, step: &str, inner: impl FnOnce(&mut Self)) {
        let length = self.at.len();
        self.at.push_str(step);
        inner(self);
        self.at.truncate(length);
    }
}
