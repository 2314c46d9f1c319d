//! What a scalar means: go-yaml v2's resolution, then JSON.

use granit_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

/// The value of a scalar.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain { plain(text) } else { Ok(Value::String(text.to_owned())) };
    };
    let original = tag.original();
    if original == "!" {
        return Ok(Value::String(text.to_owned()));
    }
    let value = match tag.core_suffix() {
        Some("str") => return Ok(Value::String(text.to_owned())),
        Some("bool" | "int" | "float" | "null") => plain(text)?,
        Some(_) | None => return Err(format!("tag {original} is not supported")),
    };
    let fits = match tag.core_suffix() {
        Some("bool") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("int") => value.is_i64() || value.is_u64(),
        Some(_) | None => value.is_number(),
    };
    if fits { Ok(value) } else { Err(format!("{text:?} is not what its tag {original} says")) }
}

fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Ok(Value::Bool(true)),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!("JSON has no number {text}"));
        }
        _ => {}
    }
    let number = match text.bytes().next() {
        Some(b'0'..=b'9' | b'+' | b'-') if is_timestamp_like(text) => None,
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| float(&digits))
        }
        Some(b'.') if underscores_separate_digits(text) => float(&text.replace('_', "")),
        Some(_) | None => None,
    };
    Ok(number.map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

/// `2001-01-01`: no number begins so.
fn is_timestamp_like(text: &str) -> bool {
    text.as_bytes().get(4) == Some(&b'-') && text.bytes().take(4).all(|byte| byte.is_ascii_digit())
}

fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |index: Option<usize>| index.and_then(|index| bytes.get(index)).is_some_and(u8::is_ascii_digit);
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'_')
        .all(|(index, _)| is_digit(index.checked_sub(1)) && is_digit(Some(index + 1)))
}

/// Go's `ParseInt` and `ParseUint` with base 0.
fn integer(text: &str) -> Option<Number> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, digits) = match (lower.get(..2), lower.get(2..)) {
        (Some("0x"), Some(digits)) => (16, digits),
        (Some("0o"), Some(digits)) => (8, digits),
        (Some("0b"), Some(digits)) => (2, digits),
        (Some(_), _) if lower.starts_with('0') => (8, lower.get(1..)?),
        (Some(_) | None, _) => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if is_negative {
        0_i64.checked_sub_unsigned(magnitude).map(Number::from)
    } else if text.starts_with('+') {
        // `ParseUint` takes no sign.
        i64::try_from(magnitude).ok().map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// A decimal number. What is whole becomes an integer, as on its way through JSON.
fn float(text: &str) -> Option<Number> {
    if !is_decimal(text) {
        return None;
    }
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    if value.fract() == 0.0 && value.abs() < 1e21 {
        let whole: i128 = format!("{value:.0}").parse().ok()?;
        if let Ok(whole) = i64::try_from(whole) {
            return Some(Number::from(whole));
        }
    }
    Number::from_f64(value)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => are_digits(whole) && are_digits(fraction) && !(whole.is_empty() && fraction.is_empty()),
        None => !mantissa.is_empty() && are_digits(mantissa),
    };
    is_mantissa && exponent.is_none_or(|digits| !digits.is_empty() && are_digits(digits))
}
