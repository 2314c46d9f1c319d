//! Reading documents of the API server without what nobody reads.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An object without `metadata.managedFields`, which may be half of it; they are skipped, not built and dropped.
#[derive(Debug, Clone, PartialEq)]
pub struct Lean(pub Value);

impl<'de> Deserialize<'de> for Lean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Skipping { name: "metadata", within: Some("managedFields") }.deserialize(deserializer)?;
        Ok(Self(fields))
    }
}

/// A map. With `within`, the field `name` is a map of which the field `within` is skipped; without, `name` is skipped.
#[derive(Clone, Copy)]
struct Skipping {
    name: &'static str,
    within: Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Skipping {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Skipping {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = match self.within {
                None if name == self.name => {
                    access.next_value::<IgnoredAny>()?;
                    continue;
                }
                Some(within) if name == self.name => access.next_value_seed(Self { name: within, within: None })?,
                Some(_) | None => access.next_value()?,
            };
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

/// A page of a list, each object lean.
#[derive(Debug, serde::Deserialize)]
pub struct LeanList {
    /// `metadata` of the list.
    #[serde(default)]
    pub metadata: Value,
    /// Objects. The API server writes null for none in a list of metadata alone.
    pub items: Option<Vec<Lean>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn managed_fields_are_skipped_and_nothing_else() {
        let text = json!({"kind": "X", "metadata": {"name": "a", "managedFields": [{"f": {}}], "labels": {"managedFields": "no"}},
            "spec": {"metadata": {"managedFields": 1}, "managedFields": 2}});
        let Lean(read) = serde_json::from_value(text).unwrap();
        let kept = json!({"kind": "X", "metadata": {"name": "a", "labels": {"managedFields": "no"}},
            "spec": {"metadata": {"managedFields": 1}, "managedFields": 2}});
        assert_eq!(read, kept);
        assert!(serde_json::from_str::<Lean>("[]").is_err());
    }

    #[test]
    fn a_list_without_items_may_say_so_by_null() {
        let count = |text: &str| serde_json::from_str::<LeanList>(text).map(|list| list.items.unwrap_or_default().len()).ok();
        assert_eq!(count(r#"{"metadata": {"resourceVersion": "7"}, "items": null}"#), Some(0));
        assert_eq!(count(r#"{"metadata": {"resourceVersion": "7"}, "items": [{}]}"#), Some(1));
        assert_eq!(count(r#"{"metadata": {}, "items": {}}"#), None);
    }
}
