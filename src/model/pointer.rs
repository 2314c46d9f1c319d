//! JSON pointers (RFC 6901).

use serde_json::Value;

/// Runs `inner` with `/name` (escaped) appended to `at`, and takes it away again.
pub fn within<T>(at: &mut String, name: &str, inner: impl FnOnce(&mut String) -> T) -> T {
    let length = at.len();
    at.push('/');
    for character in name.chars() {
        match character {
            '~' => at.push_str("~0"),
            '/' => at.push_str("~1"),
            other => at.push(other),
        }
    }
    let result = inner(at);
    at.truncate(length);
    result
}

/// The string at `pointer`, if there is one.
#[must_use]
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The identifier at `pointer` as text: a string as it is, an integer in decimal; nothing else is an identifier.
#[must_use]
pub fn identifier(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
