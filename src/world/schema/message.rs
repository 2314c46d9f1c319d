//! The API server's wording of one fault, byte for byte: Go's quoting, Go's number formats, `field.Error.ErrorBody`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::engine::port::Cause;

/// What `field.Path.String()` prints for the object itself.
const ROOT: &str = "<nil>";

/// `FieldValueRequired`
pub(super) const REQUIRED: &str = "FieldValueRequired";
/// `FieldValueDuplicate`
pub(super) const DUPLICATE: &str = "FieldValueDuplicate";
/// `FieldValueInvalid`
pub(super) const INVALID: &str = "FieldValueInvalid";
/// `FieldValueTypeInvalid`
pub(super) const TYPE_INVALID: &str = "FieldValueTypeInvalid";
/// `FieldValueNotSupported`
pub(super) const NOT_SUPPORTED: &str = "FieldValueNotSupported";
/// `FieldValueForbidden`
pub(super) const FORBIDDEN: &str = "FieldValueForbidden";
/// `FieldValueTooLong`
pub(super) const TOO_LONG: &str = "FieldValueTooLong";
/// `FieldValueTooMany`
pub(super) const TOO_MANY: &str = "FieldValueTooMany";

/// A cause; an empty field is the object itself.
pub(super) fn cause(field: &str, reason: &'static str, message: String) -> Cause {
    Cause { field: if field.is_empty() { ROOT.to_owned() } else { field.to_owned() }, reason, message }
}

/// `Required value`, with a detail when a rule has one.
pub(super) fn required(field: &str, detail: &str) -> Cause {
    cause(field, REQUIRED, if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") })
}

/// `Invalid value: <value>: <detail>`
pub(super) fn invalid(field: &str, value: &Value, detail: &str) -> Cause {
    cause(field, INVALID, format!("Invalid value: {}: {detail}", bad_value(value)))
}

/// `Invalid value: <detail>`: objects and lists are not repeated in the answer to a rule.
pub(super) fn invalid_omitted(field: &str, detail: &str) -> Cause {
    cause(field, INVALID, format!("Invalid value: {detail}"))
}

/// A value of the wrong type or format.
pub(super) fn type_invalid(path: &str, expected: &str, found: &str) -> Cause {
    let found = quote(found);
    cause(field_of(path), TYPE_INVALID, format!("Invalid value: {found}: {path} in body must be of type {expected}: {found}"))
}

/// A value that breaks a bound: `<path> in body <what>`.
pub(super) fn out_of_bounds(path: &str, value: &Value, what: &str) -> Cause {
    invalid(field_of(path), value, &format!("{path} in body {what}"))
}

/// A fault that the API server reports about no field.
pub(super) fn general(message: &str) -> Cause {
    invalid("", &Value::String(String::new()), message)
}

/// A value that is not one of the permitted ones.
pub(super) fn not_supported(path: &str, value: &Value, supported: &[Value]) -> Cause {
    let names: Vec<String> =
        supported.iter().map(|permitted| quote(&permitted.as_str().map_or_else(|| json(permitted), str::to_owned))).collect();
    let message = format!("Unsupported value: {}: supported values: {}", bad_value(value), names.join(", "));
    cause(field_of(path), NOT_SUPPORTED, message)
}

/// A string with more characters than permitted. The API server says bytes although it counts characters.
pub(super) fn too_long(path: &str, limit: u64) -> Cause {
    let unit = if limit == 1 { "byte" } else { "bytes" };
    cause(field_of(path), TOO_LONG, format!("Too long: may not be more than {limit} {unit}"))
}

/// A list or map with more entries than permitted.
pub(super) fn too_many(path: &str, actual: u64, limit: u64) -> Cause {
    let unit = if limit == 1 { "item" } else { "items" };
    cause(field_of(path), TOO_MANY, format!("Too many: {actual}: must have at most {limit} {unit}"))
}

/// A list entry that stands there twice.
pub(super) fn duplicate(field: &str, value: &Value) -> Cause {
    cause(field, DUPLICATE, format!("Duplicate value: {}", bad_value(value)))
}

/// The field that a path of the structural validator names: it begins with a dot below the object itself.
pub(super) fn field_of(path: &str) -> &str {
    path.strip_prefix('.').unwrap_or(path)
}

fn bad_value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Number(number) if number.as_i64().is_none() => number.as_f64().map_or_else(|| number.to_string(), float),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => json(value),
    }
}

/// Go's `%q`.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            plain if is_printable(plain) => quoted.push(plain),
            control if u32::from(control) < 0x80 => push_formatted(&mut quoted, format_args!("\\x{:02x}", u32::from(control))),
            narrow if u32::from(narrow) < 0x1_0000 => push_formatted(&mut quoted, format_args!("\\u{:04x}", u32::from(narrow))),
            wide => push_formatted(&mut quoted, format_args!("\\U{:08x}", u32::from(wide))),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether `strconv.IsPrint` holds: Rust's debug form leaves the same characters alone, once combining marks are not first.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return (' '..='~').contains(&character);
    }
    let mut probe = String::from("a");
    probe.push(character);
    probe.escape_debug().count() == 2
}

/// Writing to a `String` cannot fail.
fn push_formatted(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

/// Go's `%v` of a float64.
pub(super) fn float(value: f64) -> String {
    let (mantissa, exponent) = scientific(value);
    if (-4..6).contains(&exponent) || value == 0.0 { format!("{value}") } else { format!("{mantissa}e{exponent:+03}") }
}

fn scientific(value: f64) -> (String, i32) {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa.to_owned(), exponent.parse().unwrap_or(0)),
        None => (text, 0),
    }
}

fn json_float(value: f64) -> String {
    let (mantissa, exponent) = scientific(value);
    if (-6..21).contains(&exponent) || value == 0.0 { format!("{value}") } else { format!("{mantissa}e{exponent:+}") }
}

/// Go's `json.Marshal`: sorted keys, HTML escaped.
pub(super) fn json(value: &Value) -> String {
    let mut text = String::new();
    write_json(value, &mut text);
    text
}

fn write_json(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => push_formatted(text, format_args!("{flag}")),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(float)) => text.push_str(&json_float(float)),
            (Some(_), _) | (None, None) => push_formatted(text, format_args!("{number}")),
        },
        Value::String(string) => write_json_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write_json(item, text);
            }
            text.push(']');
        }
        Value::Object(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write_json_string(key, text);
                text.push(':');
                write_json(item, text);
            }
            text.push('}');
        }
    }
}

fn write_json_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                push_formatted(text, format_args!("\\u{:04x}", u32::from(character)));
            }
            plain => text.push(plain),
        }
    }
    text.push('"');
}
