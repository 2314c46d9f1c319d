//! Where values stand.

use std::collections::BTreeMap;

use serde_json::Value;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// From a line counted from 1 and a column counted from 0.
    pub(super) fn new(line: usize, column: usize) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: narrow(line.max(1)), column: narrow(column.saturating_add(1)) }
    }

    pub(super) fn at_end_of(text: &str) -> Self {
        let last_line = text.rsplit('\n').next().unwrap_or_default();
        Self::new(text.matches('\n').count() + 1, last_line.chars().count())
    }
}

/// A value's place, that of its key, and those of what it holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located {
    position: Position,
    key: Option<Position>,
    children: Children,
}

#[derive(Debug, Clone, PartialEq)]
enum Children {
    None,
    Items(Vec<Located>),
    Fields(BTreeMap<String, Located>),
}

impl Located {
    pub(super) fn scalar(position: Position) -> Self {
        Self { position, key: None, children: Children::None }
    }

    pub(super) fn items(position: Position, items: Vec<Self>) -> Self {
        Self { position, key: None, children: Children::Items(items) }
    }

    pub(super) fn fields(position: Position, fields: BTreeMap<String, Self>) -> Self {
        Self { position, key: None, children: Children::Fields(fields) }
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn key_line(&self) -> u32 {
        self.key.unwrap_or(self.position).line
    }

    /// The same, standing at another place: an alias, or an empty value.
    pub(super) fn moved_to(self, position: Position) -> Self {
        Self { position, ..self }
    }

    pub(super) fn with_key(self, key: Position) -> Self {
        Self { key: Some(key), ..self }
    }

    pub(super) fn take_field(&mut self, name: &str) -> Option<Self> {
        match &mut self.children {
            Children::Fields(fields) => fields.remove(name),
            Children::None | Children::Items(_) => None,
        }
    }

    pub(super) fn into_items(self) -> Vec<Self> {
        match self.children {
            Children::Items(items) => items,
            Children::None | Children::Fields(_) => Vec::new(),
        }
    }

    pub(super) fn into_fields(self) -> BTreeMap<String, Self> {
        match self.children {
            Children::Fields(fields) => fields,
            Children::None | Children::Items(_) => BTreeMap::new(),
        }
    }

    fn child(&self, token: &str) -> Option<&Self> {
        match &self.children {
            Children::None => None,
            Children::Items(items) => items.get(token.parse::<usize>().ok()?),
            Children::Fields(fields) => fields.get(token),
        }
    }
}

/// Where each value of an object stands. What an alias stands for is where the anchor is.
#[derive(Debug, Clone, PartialEq)]
pub struct Positions(Located);

impl Positions {
    pub(super) fn new(root: Located) -> Self {
        Self(root)
    }

    /// Where the value at a JSON pointer stands; the empty pointer is the object. An empty value stands where its key does.
    #[must_use]
    pub fn of(&self, pointer: &str) -> Option<Position> {
        self.walk(pointer).ok().map(Located::position)
    }

    /// Where the key of the value at a JSON pointer stands.
    #[must_use]
    pub fn of_key(&self, pointer: &str) -> Option<Position> {
        self.walk(pointer).ok()?.key
    }

    /// Where the value stands, or if it is absent, the key of the nearest above it.
    #[must_use]
    pub fn nearest(&self, pointer: &str) -> Position {
        match self.walk(pointer) {
            Ok(found) => found.position,
            Err(above) => above.key.unwrap_or(above.position),
        }
    }

    /// The value, or the nearest above it.
    fn walk(&self, pointer: &str) -> Result<&Located, &Located> {
        let mut at = &self.0;
        for token in pointer.split('/').skip(1) {
            at = at.child(&token.replace("~1", "/").replace("~0", "~")).ok_or(at)?;
        }
        if pointer.is_empty() || pointer.starts_with('/') { Ok(at) } else { Err(at) }
    }
}

/// The JSON pointer of a field as validation names it: `spec.workflows[0].name`, `spec.providers[a.b]`, `spec.map.a.b`.
///
/// Names may hold dots and brackets, so the object decides where one ends: the longest key that fits. What is absent from
/// the object ends at the next dot or bracket. `<nil>`, the object itself, is the empty pointer.
#[must_use]
pub fn pointer_of_field(object: &Value, field: &str) -> String {
    let mut pointer = String::new();
    let mut at = Some(object);
    let mut rest = if field == "<nil>" { "" } else { field };
    while !rest.is_empty() {
        let in_brackets = rest.strip_prefix('[');
        let step = in_brackets.or_else(|| rest.strip_prefix('.')).unwrap_or(rest);
        let (name, after) = split_step(at, step, in_brackets.is_some());
        at = at.and_then(|value| match value {
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            Value::Object(fields) => fields.get(name),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        });
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        rest = after;
    }
    pointer
}

/// The name at the start of `step`, and what follows it.
fn split_step<'a>(at: Option<&Value>, step: &'a str, in_brackets: bool) -> (&'a str, &'a str) {
    let ends = |after: &str| if in_brackets { after.starts_with(']') } else { after.is_empty() || after.starts_with(['.', '[']) };
    let known = at
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|fields| fields.keys())
        .filter(|key| step.strip_prefix(key.as_str()).is_some_and(ends))
        .map(String::len)
        .max();
    let end = known.unwrap_or_else(|| {
        let is_end = |character: char| if in_brackets { character == ']' } else { character == '.' || character == '[' };
        step.find(is_end).unwrap_or(step.len())
    });
    let (name, after) = step.split_at(end);
    (name, if in_brackets { after.strip_prefix(']').unwrap_or(after) } else { after })
}
