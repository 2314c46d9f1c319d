//! Which part of the stored object a part of the new one is compared with, and whether it is the same.

use serde_json::Value;

use super::node::{ListType, Node};

/// The old value of a field, where old and new are both objects and the field has a schema.
pub(super) fn field<'a>(node: &Node, name: &str, old: Option<&'a Value>) -> Option<&'a Value> {
    node.field(name)?;
    old?.as_object()?.get(name)
}

/// The old item with the keys of `item`, in a list of type map; items of other lists have no past.
pub(super) fn item<'a>(node: &Node, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    if node.list_type != ListType::Map {
        return None;
    }
    let keys_agree = |other: &Value| node.list_keys.iter().all(|key| other.get(key) == item.get(key));
    old?.as_array()?.iter().find(|other| other.is_object() && item.is_object() && keys_agree(other))
}

/// Whether a value is what it was; lists of type map in any order.
pub(super) fn is_same(node: &Node, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new_fields), Value::Object(old_fields)) => {
            new_fields.len() == old_fields.len()
                && new_fields.iter().all(|(name, new_field)| match (old_fields.get(name), node.field(name)) {
                    (Some(old_field), Some(child)) => is_same(child, new_field, old_field),
                    // The API server does not compare what has no schema: it counts as changed.
                    (Some(_) | None, _) => false,
                })
        }
        (Value::Array(new_items), Value::Array(old_items)) if node.list_type == ListType::Map => {
            new_items.len() == old_items.len()
                && node.items.as_deref().is_some_and(|child| {
                    new_items.iter().all(|new_item| item(node, new_item, Some(old)).is_some_and(|old| is_same(child, new_item, old)))
                })
        }
        (new, old) => new == old,
    }
}
