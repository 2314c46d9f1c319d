//! Types, bounds and required fields: what kube-openapi's schema validator checks, in its order.

use serde_json::{Map, Value};

use super::format::Format;
use super::message;
use super::node::{Additional, Node};
use super::unchanged;
use crate::engine::port::Cause;

/// Everything that breaks the structure; on an update only what changed.
pub(super) fn check(root: &Node, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut verdict = Verdict::default();
    check_compared(root, object, old, "", &mut verdict);
    verdict.causes
}

/// What was found, and how many checks were made: the more checks, the nearer an alternative of `oneOf` is taken to be.
#[derive(Default)]
struct Verdict {
    causes: Vec<Cause>,
    checks: u32,
}

impl Verdict {
    /// Adds a cause that was not found before: alternatives may find the same twice.
    fn add(&mut self, cause: Cause) {
        if !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }

    fn merge(&mut self, other: Self) {
        other.causes.into_iter().for_each(|cause| self.add(cause));
        self.checks += other.checks;
    }
}

/// Checks a value and forgives it if it is what it was.
fn check_compared(node: &Node, value: &Value, old: Option<&Value>, path: &str, verdict: &mut Verdict) {
    let found = check_value(node, value, old, path);
    if !found.causes.is_empty() && old.is_some_and(|old| unchanged::is_same(node, value, old)) {
        verdict.checks += found.checks;
    } else {
        verdict.merge(found);
    }
}

fn check_value(node: &Node, value: &Value, old: Option<&Value>, path: &str) -> Verdict {
    let mut verdict = Verdict::default();
    if value.is_null() {
        if !node.types.is_empty() && !node.nullable {
            verdict.add(message::type_invalid(path, &node.types.join(","), "null"));
        }
        check_permitted(node, value, path, &mut verdict);
        return verdict;
    }
    if !node.types.is_empty() || node.format.is_some() {
        match type_fault(node, value, path) {
            Some(fault) => verdict.add(fault),
            None => verdict.checks += 1,
        }
        verdict.checks += 1;
    }
    check_alternatives(node, value, old, path, &mut verdict);
    match value {
        Value::String(text) => check_string(node, value, text, path, &mut verdict),
        Value::Number(number) => check_number(node, value, Number::of(number), path, &mut verdict),
        Value::Array(items) => check_items(node, items, old, path, &mut verdict),
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
    check_permitted(node, value, path, &mut verdict);
    if let Value::Object(fields) = value {
        check_fields(node, fields, old, path, &mut verdict);
    }
    // One for the common checks, one for the schema as a whole.
    verdict.checks += 2;
    verdict
}

/// A number as Go holds it.
#[derive(Clone, Copy)]
enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    fn of(number: &serde_json::Number) -> Self {
        number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Integer)
    }

    /// Whether JSON would write it as an integer that all readers keep.
    fn is_integral(self) -> bool {
        match self {
            Self::Integer(_) => true,
            Self::Float(value) => value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_991.0,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "the API server compares integers with fractional bounds as float64 too")]
    fn as_float(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

fn type_fault(node: &Node, value: &Value, path: &str) -> Option<Cause> {
    let permits = |name: &str| node.types.iter().any(|permitted| permitted == name);
    let (found, found_format, converts) = match value {
        Value::Null => ("null", "", false),
        Value::Bool(_) => ("boolean", "", false),
        Value::String(_) => ("string", "", false),
        Value::Array(_) => ("array", "", false),
        Value::Object(_) => ("object", "", false),
        Value::Number(number) => match Number::of(number) {
            Number::Integer(_) => ("integer", "int64", permits("number")),
            float @ Number::Float(_) => ("number", "float64", permits("integer") && float.is_integral()),
        },
    };
    let fits = permits(found) || converts;
    let is_textual = matches!(value, Value::String(_) | Value::Array(_));
    if let Some((format, _)) = &node.format {
        if !is_textual && !fits && found_format != format {
            return Some(message::type_invalid(path, format, found_format));
        }
        if is_textual && !permits("number") && !permits("integer") {
            return None;
        }
    }
    (!fits).then(|| message::type_invalid(path, &node.types.join(","), found))
}

fn check_permitted(node: &Node, value: &Value, path: &str, verdict: &mut Verdict) {
    if !node.permitted.is_empty() && !node.permitted.iter().any(|permitted| is_equal(permitted, value)) {
        verdict.add(message::not_supported(path, value, &node.permitted));
    }
}

fn is_equal(permitted: &Value, value: &Value) -> bool {
    match (permitted.as_f64(), value.as_f64()) {
        (Some(permitted_number), Some(number)) => permitted == value || (permitted_number - number).abs() == 0.0,
        (Some(_) | None, _) => permitted == value,
    }
}

fn check_alternatives(node: &Node, value: &Value, old: Option<&Value>, path: &str, verdict: &mut Verdict) {
    if !node.any_of.is_empty() {
        let results = node.any_of.iter().map(|schema| check_value(schema, value, old, path));
        let (valid, best) = judge(results, true);
        if valid == 0 {
            verdict.add(message::general(&format!("{} must validate at least one schema (anyOf)", message::quote(path))));
        }
        verdict.merge(best);
    }
    if !node.one_of.is_empty() {
        let results = node.one_of.iter().map(|schema| check_value(schema, value, old, path));
        let (valid, best) = judge(results, false);
        if valid == 1 {
            verdict.merge(best);
        } else {
            let found = if valid == 0 { "Found none valid".to_owned() } else { format!("Found {valid} valid alternatives") };
            let what = "must validate one and only one schema (oneOf).";
            verdict.add(message::general(&format!("{} {what} {found}", message::quote(path))));
            if valid == 0 {
                verdict.merge(best);
            }
        }
    }
    check_all(node, value, old, path, verdict);
    if let Some(schema) = &node.not
        && check_value(schema, value, old, path).causes.is_empty()
    {
        verdict.add(message::general(&format!("{} must not validate the schema (not)", message::quote(path))));
    }
    verdict.checks += 2;
}

fn check_all(node: &Node, value: &Value, old: Option<&Value>, path: &str, verdict: &mut Verdict) {
    let results: Vec<Verdict> = node.all_of.iter().map(|schema| check_value(schema, value, old, path)).collect();
    let valid = results.iter().filter(|result| result.causes.is_empty()).count();
    let all = results.len();
    results.into_iter().for_each(|result| verdict.merge(result));
    if valid != all {
        let none = if valid == 0 { ". None validated" } else { "" };
        verdict.add(message::general(&format!("{} must validate all the schemas (allOf){none}", message::quote(path))));
    }
}

/// How many alternatives are valid, and the first of those; if none, the nearest.
fn judge(results: impl Iterator<Item = Verdict>, stop_at_first: bool) -> (usize, Verdict) {
    let mut valid = 0;
    let mut best: Option<Verdict> = None;
    for result in results {
        if result.causes.is_empty() {
            valid += 1;
            if valid == 1 {
                best = Some(result);
            }
            if stop_at_first {
                break;
            }
        } else if valid == 0 && best.as_ref().is_none_or(|best| result.checks > best.checks) {
            best = Some(result);
        }
    }
    (valid, best.unwrap_or_default())
}

/// The first of length, then pattern; and the format.
fn check_string(node: &Node, value: &Value, text: &str, path: &str, verdict: &mut Verdict) {
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    let unmatched = |(_, regex): &&(String, regex::Regex)| !regex.is_match(text);
    if let Some(limit) = node.length.maximum.filter(|limit| length > *limit) {
        verdict.add(message::too_long(path, limit));
    } else if let Some(limit) = node.length.minimum.filter(|limit| length < *limit) {
        verdict.add(message::out_of_bounds(path, value, &format!("should be at least {limit} chars long")));
    } else if let Some((source, _)) = node.pattern.as_ref().filter(unmatched) {
        verdict.add(message::out_of_bounds(path, value, &format!("should match '{source}'")));
    }
    verdict.checks += 1;
    if let Some((name, format)) = &node.format {
        if !format.holds(text) {
            verdict.add(message::type_invalid(path, name, text));
        }
        verdict.checks += 1;
    }
}

fn check_number(node: &Node, value: &Value, number: Number, path: &str, verdict: &mut Verdict) {
    if let Some(fault) = range_fault(node, number, path) {
        verdict.add(message::general(&fault));
    }
    let data = number.as_float();
    let range = &node.range;
    let bound = |limit: f64| message::float(limit);
    if let Some(factor) = range.multiple_of
        && !Number::Float(if factor < 1.0 { 1.0 / factor * data } else { data / factor }).is_integral()
    {
        verdict.add(message::out_of_bounds(path, value, &format!("should be a multiple of {}", bound(factor))));
    }
    if let Some(limit) = range.minimum.filter(|limit| data < *limit || (range.exclusive_minimum && data <= *limit)) {
        let or_equal = if range.exclusive_minimum { "" } else { " or equal to" };
        verdict.add(message::out_of_bounds(path, value, &format!("should be greater than{or_equal} {}", integer_or(limit, number))));
    }
    if let Some(limit) = range.maximum.filter(|limit| data > *limit || (range.exclusive_maximum && data >= *limit)) {
        let or_equal = if range.exclusive_maximum { "" } else { " or equal to" };
        verdict.add(message::out_of_bounds(path, value, &format!("should be less than{or_equal} {}", integer_or(limit, number))));
    }
    verdict.checks += 2;
}

/// Bounds of integers are printed as integers, without an exponent.
fn integer_or(limit: f64, number: Number) -> String {
    match number {
        Number::Integer(_) => format!("{}", limit.trunc()),
        Number::Float(_) => message::float(limit),
    }
}

fn range_fault(node: &Node, number: Number, path: &str) -> Option<String> {
    let format = node.format.as_ref();
    let is_out = match (node.types.as_slice(), format.map(|(_, format)| *format)) {
        ([name], Some(Format::Int32)) if name == "integer" => match number {
            Number::Integer(value) => i32::try_from(value).is_err(),
            Number::Float(value) => value.fract() != 0.0 || value.abs() > 2_147_483_648.0,
        },
        ([name], _) if name == "integer" => match number {
            Number::Integer(_) => false,
            Number::Float(value) => value.fract() != 0.0 || value.abs() >= 9.223_372_036_854_775e18,
        },
        ([_], Some(Format::Float)) => number.as_float().abs() > f64::from(f32::MAX),
        (_, _) => false,
    };
    is_out.then(|| {
        let type_name = &node.type_name;
        match format {
            Some((name, _)) => format!("Checked value must be of type {type_name} with format {name} in {path}"),
            None => format!("Checked value must be of type {type_name} (default format) in {path}"),
        }
    })
}

fn check_items(node: &Node, items: &[Value], old: Option<&Value>, path: &str, verdict: &mut Verdict) {
    if let Some(child) = &node.items {
        for (index, item) in items.iter().enumerate() {
            let old_item = unchanged::item(node, item, old);
            check_compared(child, item, old_item, &format!("{path}[{index}]"), verdict);
        }
    }
    let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    if let Some(limit) = node.item_count.minimum.filter(|limit| count < *limit) {
        verdict.add(message::out_of_bounds(path, &Value::from(count), &format!("should have at least {limit} items")));
    }
    if let Some(limit) = node.item_count.maximum.filter(|limit| count > *limit) {
        verdict.add(message::too_many(path, count, limit));
    }
    verdict.checks += 2;
}

fn check_fields(node: &Node, fields: &Map<String, Value>, old: Option<&Value>, path: &str, verdict: &mut Verdict) {
    let count = u64::try_from(fields.len()).unwrap_or(u64::MAX);
    if let Some(limit) = node.property_count.minimum.filter(|limit| count < *limit) {
        verdict.add(message::out_of_bounds(path, &Value::from(count), &format!("should have at least {limit} properties")));
    }
    if let Some(limit) = node.property_count.maximum.filter(|limit| count > *limit) {
        verdict.add(message::too_many(path, count, limit));
    }
    let old_field = |name: &str| {
        // The type is not compared: both sides were converted to it.
        let is_type = path.is_empty() && (name == "apiVersion" || name == "kind");
        if is_type { None } else { unchanged::field(node, name, old) }
    };
    if let Additional::Schema(child) = &node.additional {
        for (name, field) in fields.iter().filter(|(name, _)| !node.properties.contains_key(*name)) {
            check_compared(child, field, old_field(name), &format!("{path}.{name}"), verdict);
        }
    }
    for (name, child) in &node.properties {
        if let Some(field) = fields.get(name) {
            let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            check_compared(child, field, old_field(name), &at, verdict);
        }
    }
    for name in node.required.iter().filter(|name| !fields.contains_key(*name)) {
        verdict.add(message::required(message::field_of(&format!("{path}.{name}")), ""));
    }
    verdict.checks += 1;
}
