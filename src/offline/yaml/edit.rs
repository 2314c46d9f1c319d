//! Edits of a text at the places of its values: everything else stays byte for byte.

use std::ops::Range;

use serde_json::Value;

use super::{LocatedDocument, Position};

/// A replacement of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Which bytes; empty where something is put in.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub text: String,
}

/// A text and where its lines begin.
pub struct Text<'a> {
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Text<'a> {
    /// Lines end as YAML has it: `\n`, `\r\n` or `\r`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        // The reader takes no column for a byte order mark.
        let mut lines = vec![text.len() - text.trim_start_matches('\u{feff}').len()];
        for (index, byte) in text.bytes().enumerate() {
            let ends = byte == b'\n' || (byte == b'\r' && text.as_bytes().get(index + 1) != Some(&b'\n'));
            if ends {
                lines.push(index + 1);
            }
        }
        Self { text, lines }
    }

    /// The edit that makes the field `name` of the mapping at `pointer` this text, which needs no quotes; none where it is
    /// written in a form that only its author can change: an alias, a folded text, a tag. A field that is absent is put in
    /// after its sibling `after`.
    #[must_use]
    pub fn set(&self, document: &LocatedDocument, pointer: &str, name: &str, text: &str, after: &str) -> Option<Edit> {
        let positions = &document.positions;
        let field = format!("{pointer}/{name}");
        let edit = |range| Edit { range, text: text.to_owned() };
        match document.value.pointer(&field) {
            Some(Value::String(old)) => self.scalar(positions.of(&field)?, old).map(edit),
            Some(Value::Null) => {
                let place = self.offset(positions.of(&field)?)?;
                let written = ["null", "Null", "NULL", "~"].into_iter().find(|null| self.from(place).starts_with(null));
                if let Some(null) = written {
                    return Some(edit(place..place + null.len()));
                }
                let key = self.offset(positions.of_key(&field)?)?;
                let colon = key + self.from(key).find(':')? + 1;
                Some(Edit { range: colon..colon, text: format!(" {text}") })
            }
            Some(_) => None,
            None => self.put_in(document, pointer, name, text, after),
        }
    }

    fn put_in(&self, document: &LocatedDocument, pointer: &str, name: &str, text: &str, after: &str) -> Option<Edit> {
        let sibling = format!("{pointer}/{after}");
        let old = document.value.pointer(&sibling)?.as_str()?;
        let key = document.positions.of_key(&sibling)?;
        let scalar = self.scalar(document.positions.of(&sibling)?, old)?;
        let quote = usize::from(self.from(scalar.end).starts_with(['"', '\'']));
        let end = scalar.end + quote;
        if self.from(self.offset(document.positions.of(pointer)?)?).starts_with('{') {
            // In a flow mapping of JSON names stand in quotes, as their sibling's does.
            let quoted = self.from(self.offset(key)?).starts_with('"');
            let text = if quoted { format!(", \"{name}\": \"{text}\"") } else { format!(", {name}: {text}") };
            return Some(Edit { range: end..end, text });
        }
        let line = end + self.from(end).find(['\n', '\r']).unwrap_or(self.from(end).len());
        let newline = if self.from(line).starts_with("\r\n") { "\r\n" } else { "\n" };
        let indent = " ".repeat(usize::try_from(key.column).ok()?.checked_sub(1)?);
        Some(Edit { range: line..line, text: format!("{newline}{indent}{name}: {text}") })
    }

    /// The bytes of a text as they stand between its quotes, if it stands as it is.
    fn scalar(&self, position: Position, value: &str) -> Option<Range<usize>> {
        let start = self.offset(position)?;
        let quote = self.from(start).chars().next().filter(|first| matches!(first, '"' | '\''));
        let inner = start + quote.map_or(0, char::len_utf8);
        let rest = self.from(inner).strip_prefix(value)?;
        let ends = match quote {
            Some(quote) => rest.starts_with(quote),
            None => !value.is_empty() && (rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r', ',', '}', ']'])),
        };
        ends.then(|| inner..inner + value.len())
    }

    fn offset(&self, position: Position) -> Option<usize> {
        let line = usize::try_from(position.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(position.column).ok()?.checked_sub(1)?;
        let start = *self.lines.get(line)?;
        let before: usize = self.from(start).chars().take(column).map(char::len_utf8).sum();
        Some(start + before)
    }

    fn from(&self, offset: usize) -> &'a str {
        self.text.get(offset..).unwrap_or_default()
    }
}

/// The text with every edit made. They must not overlap.
#[must_use]
pub fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.range.start);
    let mut result = text.to_owned();
    for edit in edits.into_iter().rev() {
        result.replace_range(edit.range, &edit.text);
    }
    result
}
