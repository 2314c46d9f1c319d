//! From the parser's events to values with their places.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Value};

use super::place::{Located, Position};
use super::{MAX_DEPTH, YamlError, check_size, is_list, scalar};

/// A value with its places.
#[derive(Debug, Clone)]
pub(super) struct Built {
    pub(super) value: Value,
    pub(super) located: Located,
    /// About its bytes as JSON, aliases expanded.
    pub(super) size: usize,
}

/// All documents of a text, empty ones as null.
pub(super) fn documents(text: &str) -> Result<Vec<Built>, YamlError> {
    let mut builder = Builder::default();
    // Comments are read over: to be told of them limits how many may follow each other.
    let options = granit_parser::options! { emit_comments: false };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| YamlError::new(place_of_fault(text, &error), error.info()))?;
        builder.take(event, &span)?;
    }
    Ok(builder.documents)
}

/// The place that the parser names; for a tab, the tab, where the parser names the text before it.
fn place_of_fault(text: &str, error: &ScanError) -> Position {
    let marker = error.marker();
    let rest = marker.byte_offset().and_then(|start| Some((start, text.get(start..)?)));
    match rest.filter(|_| error.info().contains("found a tab")).and_then(|(start, rest)| text.get(..start + rest.find('\t')?)) {
        Some(before) => Position::at_end_of(before),
        None => Position::new(marker.line(), marker.col()),
    }
}

#[derive(Default)]
struct Builder {
    documents: Vec<Built>,
    /// Collections that are open, outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Built>,
    root: Option<Built>,
    /// Byte at which the document begins.
    start: usize,
    /// Bytes that aliases add to the document.
    expanded: usize,
    /// Bytes that are kept for aliases; anchors within anchors count twice.
    anchored: usize,
}

struct Open {
    anchor: usize,
    position: Position,
    size: usize,
    what: Collection,
}

enum Collection {
    List { values: Vec<Value>, places: Vec<Located> },
    Mapping(Mapping),
}

#[derive(Default)]
struct Mapping {
    values: Map<String, Value>,
    places: BTreeMap<String, Located>,
    /// The key whose value comes next.
    key: Option<(Key, Position)>,
    /// What `<<` brought, and is not overridden.
    merged: BTreeMap<String, (Value, Located)>,
}

enum Key {
    Name(String),
    Merge,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), YamlError> {
        let position = Position::new(span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(..) => {
                self.start = span.start.byte_offset().unwrap_or(span.start.index());
                self.anchors.clear();
                self.expanded = 0;
                self.anchored = 0;
                Ok(())
            }
            Event::DocumentEnd => self.end_document(span),
            Event::Scalar(text, style, anchor, tag) => {
                // The parser places what is not there where it noticed.
                let is_absent = span.start.index() == span.end.index();
                let position = if is_absent { self.place_of_absent().unwrap_or(position) } else { position };
                self.scalar(&text, (style, tag), anchor, position)
            }
            Event::Alias(anchor) => self.alias(anchor, position),
            Event::SequenceStart(_, anchor, tag) => {
                let list = Collection::List { values: Vec::new(), places: Vec::new() };
                self.open(list, anchor, tag, "seq", position)
            }
            Event::MappingStart(_, anchor, tag) => self.open(Collection::Mapping(Mapping::default()), anchor, tag, "map", position),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::StreamStart | Event::StreamEnd | Event::Anchor(..) | Event::Comment(..) => Ok(()),
            Event::UnresolvedAlias(name) => Err(YamlError::new(position, format!("nothing is anchored as {name:?}"))),
            // The parser may learn events that this reader does not know: nothing is skipped in silence.
            _ => Err(YamlError::new(position, "this YAML is not supported")),
        }
    }

    fn end_document(&mut self, span: &Span) -> Result<(), YamlError> {
        let Some(root) = self.root.take() else { return Ok(()) };
        let end = span.end.byte_offset().unwrap_or(span.end.index());
        // A list is as long as its file; the limit is one object's.
        if !is_list(&root.value) {
            check_size(end.saturating_sub(self.start), root.located.position(), "the document has")?;
        }
        self.documents.push(root);
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        (style, tag): (ScalarStyle, Option<Cow<'_, Tag>>),
        anchor: usize,
        position: Position,
    ) -> Result<(), YamlError> {
        if tag.is_none() && style == ScalarStyle::Plain && text == "<<" && self.awaits_key() {
            return self.set_key(Key::Merge, position);
        }
        let value = scalar::resolve(text, style, tag.as_deref()).map_err(|message| YamlError::new(position, message))?;
        self.add(Built { value, located: Located::scalar(position), size: text.len() + 3 }, anchor)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { what: Collection::Mapping(Mapping { key: None, .. }), .. }))
    }

    fn place_of_absent(&self) -> Option<Position> {
        self.open.last().map(|open| match &open.what {
            Collection::Mapping(Mapping { key: Some((_, key)), .. }) => *key,
            Collection::Mapping(Mapping { key: None, .. }) | Collection::List { .. } => open.position,
        })
    }

    fn alias(&mut self, anchor: usize, position: Position) -> Result<(), YamlError> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(YamlError::new(position, "an alias cannot stand inside of what it stands for"));
        };
        self.expanded = self.expanded.saturating_add(target.size);
        check_size(self.expanded, position, "aliases expand the document to")?;
        let Built { value, located, size } = target.clone();
        self.add(Built { value, located: located.moved_to(position), size }, 0)
    }

    fn open(
        &mut self,
        what: Collection,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        natural: &str,
        position: Position,
    ) -> Result<(), YamlError> {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(natural)) {
            return Err(YamlError::new(position, format!("tag {} is not supported", tag.original())));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError::new(position, format!("nested more than {MAX_DEPTH} deep")));
        }
        if self.awaits_key() {
            return Err(YamlError::new(position, "a key must be text"));
        }
        self.open.push(Open { anchor, position, size: 2, what });
        Ok(())
    }

    fn close(&mut self) -> Result<(), YamlError> {
        let Some(Open { anchor, position, size, what }) = self.open.pop() else { return Ok(()) };
        let (value, located) = match what {
            Collection::List { values, places } => (Value::Array(values), Located::items(position, places)),
            Collection::Mapping(mapping) => mapping.close(position),
        };
        self.add(Built { value, located, size }, anchor)
    }

    /// Puts a value where one is awaited.
    fn add(&mut self, built: Built, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchored = self.anchored.saturating_add(built.size);
            check_size(self.anchored, built.located.position(), "anchors stand for")?;
            self.anchors.insert(anchor, built.clone());
        }
        if self.awaits_key() {
            let position = built.located.position();
            let name = key_name(&built.value).map_err(|message| YamlError::new(position, message))?;
            return self.set_key(Key::Name(name), position);
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(built);
            return Ok(());
        };
        open.size = open.size.saturating_add(built.size).saturating_add(1);
        match &mut open.what {
            Collection::List { values, places } => {
                values.push(built.value);
                places.push(built.located);
                Ok(())
            }
            Collection::Mapping(mapping) => mapping.add(built),
        }
    }

    fn set_key(&mut self, key: Key, position: Position) -> Result<(), YamlError> {
        if let Some(Open { what: Collection::Mapping(mapping), size, .. }) = self.open.last_mut() {
            if let Key::Name(name) = &key {
                if let Some(first) = mapping.places.get(name) {
                    let line = first.key_line();
                    return Err(YamlError::new(position, format!("key {name:?} stands here twice, first on line {line}")));
                }
                *size = size.saturating_add(name.len() + 4);
            }
            mapping.key = Some((key, position));
        }
        Ok(())
    }
}

impl Mapping {
    fn add(&mut self, built: Built) -> Result<(), YamlError> {
        match self.key.take() {
            Some((Key::Name(name), position)) => {
                self.merged.remove(&name);
                self.places.insert(name.clone(), built.located.with_key(position));
                self.values.insert(name, built.value);
                Ok(())
            }
            Some((Key::Merge, position)) => self.merge(built, position),
            None => Ok(()),
        }
    }

    /// Takes in a mapping or a list of mappings, of which the first wins.
    fn merge(&mut self, built: Built, position: Position) -> Result<(), YamlError> {
        let wrong = || YamlError::new(position, "<< needs an object or a list of objects");
        let sources: Vec<(Value, Located)> = if let Value::Array(items) = built.value {
            items.into_iter().zip(built.located.into_items()).collect()
        } else {
            vec![(built.value, built.located)]
        };
        for (value, located) in sources {
            let Value::Object(fields) = value else { return Err(wrong()) };
            let mut places = located.into_fields();
            for (name, field) in fields {
                // Readers disagree on who wins here.
                if self.values.contains_key(&name) {
                    return Err(YamlError::new(position, format!("<< must stand before key {name:?}, which it also brings")));
                }
                if let (Some(place), false) = (places.remove(&name), self.merged.contains_key(&name)) {
                    self.merged.insert(name, (field, place));
                }
            }
        }
        Ok(())
    }

    fn close(mut self, position: Position) -> (Value, Located) {
        for (name, (value, place)) in self.merged {
            self.values.insert(name.clone(), value);
            self.places.insert(name, place);
        }
        (Value::Object(self.values), Located::fields(position, self.places))
    }
}

/// A key as JSON has it. Truth values and integers become text, as on the way to the cluster.
fn key_name(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        Value::Number(_) => Err("a key must be text: put the number in quotes".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("a key must be text".to_owned()),
    }
}
