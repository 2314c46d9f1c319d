//! The part of JSONPath that printer columns use.
//!
//! Dotted fields, `\.` escapes, `['quoted.keys']`, `[n]` (negative from the end), `[*]`, and filters that compare one
//! field: `[?(@.type=="Ready")]`. No recursion, slices, unions or scripts.

use serde_json::Value;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Every,
    Where { path: Vec<Step>, equal: bool, literal: Value },
}

/// Why a text is no path of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("JSONPath {path:?}: {problem} at {rest:?}")]
pub struct JsonPathError {
    path: String,
    problem: &'static str,
    rest: String,
}

impl JsonPath {
    /// Parses `.status.conditions[?(@.type=="Ready")].status`, with or without braces around it or a leading `$`.
    ///
    /// # Errors
    /// What is not understood, and where.
    pub fn parse(path: &str) -> Result<Self, JsonPathError> {
        let inner = path.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(path);
        let inner = inner.strip_prefix('$').unwrap_or(inner);
        let steps = steps(inner).map_err(|(problem, rest)| JsonPathError { path: path.to_owned(), problem, rest: rest.to_owned() })?;
        Ok(Self { steps })
    }

    /// All values that the path leads to, in document order.
    #[must_use]
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        follow(&self.steps, value)
    }
}

fn follow<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    steps.iter().fold(vec![value], |found, step| found.into_iter().flat_map(|value| take(step, value)).collect())
}

fn take<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => at(value, *index).into_iter().collect(),
        Step::Every => members(value),
        Step::Where { path, equal, literal } => {
            let mut found = members(value);
            found.retain(|member| follow(path, member).contains(&literal) == *equal);
            found
        }
    }
}

fn at(value: &Value, index: i64) -> Option<&Value> {
    let items = value.as_array()?;
    let length = i64::try_from(items.len()).ok()?;
    let index = if index < 0 { index.checked_add(length)? } else { index };
    items.get(usize::try_from(index).ok()?)
}

fn members(value: &Value) -> Vec<&Value> {
    match (value.as_array(), value.as_object()) {
        (Some(items), _) => items.iter().collect(),
        (None, Some(fields)) => fields.values().collect(),
        (None, None) => Vec::new(),
    }
}

type Failed<'a> = (&'static str, &'a str);

fn steps(text: &str) -> Result<Vec<Step>, Failed<'_>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('[') {
            Some(inside) => bracket(inside)?,
            None => field(rest.strip_prefix('.').unwrap_or(rest))?,
        };
        steps.push(step);
        rest = after;
    }
    Ok(steps)
}

/// A field name up to an unescaped `.` or `[`.
fn field(text: &str) -> Result<(Step, &str), Failed<'_>> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    let mut end = text.len();
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => {
                end = position;
                break;
            }
            _ => name.push(character),
        }
    }
    let (_, rest) = text.split_at(end);
    match name.as_str() {
        "" => Err(("expected a field name", text)),
        "*" => Ok((Step::Every, rest)),
        _ => Ok((Step::Field(name), rest)),
    }
}

/// What stands after `[`.
fn bracket(text: &str) -> Result<(Step, &str), Failed<'_>> {
    if let Some(condition) = text.strip_prefix("?(") {
        return filter(condition);
    }
    if text.starts_with(['\'', '"']) {
        let (name, after) = quoted(text)?;
        let rest = after.strip_prefix(']').ok_or(("expected ] after a quoted key", after))?;
        return Ok((Step::Field(name), rest));
    }
    let (inside, rest) = text.split_once(']').ok_or(("expected ]", text))?;
    if inside == "*" {
        return Ok((Step::Every, rest));
    }
    inside.parse().map(|index| (Step::Index(index), rest)).map_err(|_| ("expected an index, *, a quoted key or a filter", text))
}

/// What stands after `[?(`.
fn filter(text: &str) -> Result<(Step, &str), Failed<'_>> {
    let condition = text.strip_prefix('@').ok_or(("expected @", text))?;
    let operator = condition.find(['=', '!', '<', '>', ')']).ok_or(("expected == or !=", condition))?;
    let (path, comparison) = condition.split_at(operator);
    let (equal, operand) = match (comparison.strip_prefix("=="), comparison.strip_prefix("!=")) {
        (Some(operand), _) => (true, operand.trim_start()),
        (None, Some(operand)) => (false, operand.trim_start()),
        (None, None) => return Err(("expected == or !=", comparison)),
    };
    let (literal, after) = if operand.starts_with(['\'', '"']) {
        let (text, after) = quoted(operand)?;
        (Value::String(text), after)
    } else {
        let (text, _) = operand.split_once(')').ok_or(("expected )", operand))?;
        let literal = serde_json::from_str(text.trim()).map_err(|_| ("expected a literal", operand))?;
        (literal, operand.strip_prefix(text).unwrap_or(operand))
    };
    let rest = after.trim_start().strip_prefix(")]").ok_or(("expected )]", after))?;
    Ok((Step::Where { path: steps(path.trim_end())?, equal, literal }, rest))
}

/// A quoted text with `\` escapes, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), Failed<'_>> {
    let mut characters = text.char_indices();
    let Some((_, quote)) = characters.next() else {
        return Err(("expected a quote", text));
    };
    let mut content = String::new();
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => content.extend(characters.next().map(|(_, escaped)| escaped)),
            _ if character == quote => {
                let (_, after) = text.split_at(position + quote.len_utf8());
                return Ok((content, after));
            }
            _ => content.push(character),
        }
    }
    Err(("the quote does not end", text))
}
