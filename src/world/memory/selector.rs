//! Field and label selectors, as the API server reads them.

use serde_json::Value;

use crate::engine::port::WorldError;
use crate::model::object::Object;
use crate::model::resource::Resource;
use crate::world::server::{Definition, Selection};

/// A parsed selection.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    pub(super) resource: &'static Resource,
    pub(super) namespace: Option<String>,
    fields: Vec<FieldTerm>,
    labels: Vec<LabelTerm>,
}

#[derive(Debug, Clone, PartialEq)]
struct FieldTerm {
    /// Without the leading dot: `spec.act`.
    path: String,
    value: String,
    equal: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum LabelTerm {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Present(String),
    Absent(String),
}

impl Selector {
    /// Parses a selection for a definition.
    ///
    /// # Errors
    /// Bad request: a field label that is not supported, or a text that is no selector.
    pub(super) fn parse(selection: &Selection, definition: &Definition) -> Result<Self, WorldError> {
        // An empty namespace is how a client of the HTTP API says all namespaces.
        let namespace = selection.namespace.clone().filter(|namespace| !namespace.is_empty() && definition.resource.namespaced);
        let fields = field_terms(&selection.fields)?;
        for FieldTerm { path, .. } in &fields {
            let selectable = definition.selectable.iter().any(|selectable| selectable.trim_start_matches('.') == path);
            if !selectable && path != "metadata.name" && path != "metadata.namespace" {
                return Err(WorldError::BadRequest(format!("field label not supported: {path}")));
            }
        }
        Ok(Self { resource: definition.resource, namespace, fields, labels: label_terms(&selection.labels)? })
    }

    pub(super) fn selects(&self, object: &Object) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| namespace == object.namespace())
            && self.fields.iter().all(|term| (field_text(object, &term.path) == term.value) == term.equal)
            && self.labels.iter().all(|term| term.selects(object))
    }

    /// The only name that can be selected, if the fields say so: then the list is one lookup.
    pub(super) fn name(&self) -> Option<&str> {
        self.fields.iter().find(|term| term.equal && term.path == "metadata.name").map(|term| term.value.as_str())
    }
}

impl LabelTerm {
    fn selects(&self, object: &Object) -> bool {
        match self {
            Self::In(key, values) => object.label(key).is_some_and(|label| values.iter().any(|value| value == label)),
            Self::NotIn(key, values) => object.label(key).is_none_or(|label| values.iter().all(|value| value != label)),
            Self::Present(key) => object.label(key).is_some(),
            Self::Absent(key) => object.label(key).is_none(),
        }
    }
}

fn field_text(object: &Object, path: &str) -> String {
    match path.split('.').try_fold(&object.body, |value, field| value.get(field)) {
        None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(scalar @ (Value::Bool(_) | Value::Number(_))) => scalar.to_string(),
    }
}

fn field_terms(text: &str) -> Result<Vec<FieldTerm>, WorldError> {
    let refuse = |term: &str| WorldError::BadRequest(format!("invalid selector: '{text}'; can't understand '{term}'"));
    let parse = |term: &str| {
        let at = find_unescaped(term, '=').ok_or_else(|| refuse(term))?;
        let (left, right) = (&term[..at], &term[at + 1..]);
        let (path, equal) = left.strip_suffix('!').map_or((left, true), |path| (path, false));
        let value = unescape(right.strip_prefix('=').unwrap_or(right));
        if path.is_empty() { Err(refuse(term)) } else { Ok(FieldTerm { path: path.trim().to_owned(), value, equal }) }
    };
    split_unescaped(text, ',').into_iter().filter(|term| !term.is_empty()).map(parse).collect()
}

fn find_unescaped(text: &str, wanted: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == wanted => return Some(at),
            _ => {}
        }
    }
    None
}

fn split_unescaped(mut text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    while let Some(at) = find_unescaped(text, separator) {
        parts.push(&text[..at]);
        text = &text[at + separator.len_utf8()..];
    }
    parts.push(text);
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

fn label_terms(text: &str) -> Result<Vec<LabelTerm>, WorldError> {
    split_outside_parentheses(text).into_iter().map(str::trim).filter(|term| !term.is_empty()).map(label_term).collect()
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|character: char| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
    .collect()
}

fn label_term(term: &str) -> Result<LabelTerm, WorldError> {
    let refuse = || WorldError::BadRequest(format!("unable to parse requirement: {term:?} is no label requirement"));
    let key = |text: &str| {
        let text = text.trim();
        if super::metadata::is_qualified_name(text) { Ok(text.to_owned()) } else { Err(refuse()) }
    };
    let value = |text: &str| {
        let text = text.trim();
        if super::metadata::is_label_value(text) { Ok(text.to_owned()) } else { Err(refuse()) }
    };
    if let Some((left, right)) = term.split_once("!=") {
        return Ok(LabelTerm::NotIn(key(left)?, vec![value(right)?]));
    }
    if let Some((left, right)) = term.split_once('=') {
        return Ok(LabelTerm::In(key(left)?, vec![value(right.strip_prefix('=').unwrap_or(right))?]));
    }
    if let Some(absent) = term.strip_prefix('!') {
        return Ok(LabelTerm::Absent(key(absent)?));
    }
    let Some((left, list)) = term.split_once('(') else { return Ok(LabelTerm::Present(key(term)?)) };
    let list = list.trim_end().strip_suffix(')').ok_or_else(refuse)?;
    let values = list.split(',').map(value).collect::<Result<Vec<_>, _>>()?;
    match left.trim().rsplit_once(char::is_whitespace) {
        Some((name, "in")) => Ok(LabelTerm::In(key(name)?, values)),
        Some((name, "notin")) => Ok(LabelTerm::NotIn(key(name)?, values)),
        Some(_) | None => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::resource::SECRET;

    fn labelled() -> Object {
        let mut object = Object::named(&SECRET, "acme", "crm");
        object.set_metadata("labels", json!({"tier": "gold", "mandate.dev/provider": "crm"}));
        object.body["spec"] = json!({"act": "Verify", "count": 3, "text": "a,b=c"});
        object
    }

    #[test]
    fn label_selectors_select_as_the_api_server_does() {
        for (text, selected) in [
            ("", true),
            ("tier=gold", true),
            ("tier==gold", true),
            ("tier = silver", false),
            ("tier!=gold", false),
            ("absent!=gold", true),
            ("tier in (silver, gold)", true),
            ("tier in (silver)", false),
            ("tier notin (silver,bronze)", true),
            ("tier notin (gold)", false),
            ("absent notin (gold)", true),
            ("tier", true),
            ("!tier", false),
            ("!absent", true),
            ("tier=gold,mandate.dev/provider in (crm),!absent", true),
            ("tier=gold,absent", false),
        ] {
            let terms = label_terms(text).unwrap();
            assert_eq!(terms.iter().all(|term| term.selects(&labelled())), selected, "{text}");
        }
        for bad in ["tier in gold", "tier in (gold", "=gold", "a b", "tier=ä", "/x=y", "tier within (gold)"] {
            assert!(matches!(label_terms(bad), Err(WorldError::BadRequest(_))), "{bad}");
        }
    }

    #[test]
    fn field_selectors_compare_scalars_as_text_and_absent_as_empty() {
        for (text, selected) in [
            ("spec.act=Verify", true),
            ("spec.act==Verify,metadata.name=crm", true),
            ("spec.act!=Verify", false),
            ("spec.count=3", true),
            ("spec.absent=", true),
            ("spec.absent!=", false),
            (r"spec.text=a\,b\=c", true),
        ] {
            let terms = field_terms(text).unwrap();
            let all = terms.iter().all(|term| (field_text(&labelled(), &term.path) == term.value) == term.equal);
            assert_eq!(all, selected, "{text}");
        }
        assert_eq!(
            field_terms("spec.act").unwrap_err(),
            WorldError::BadRequest("invalid selector: 'spec.act'; can't understand 'spec.act'".into())
        );
    }
}
