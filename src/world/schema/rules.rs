//! Evaluating rules over an object, in the order and with the wording of the API server.
//!
//! The functions are kube-cel's; the walk is ours, because kube-cel's own validator compares list items by position, binds
//! null for an optional `oldSelf` and escapes single underscores, none of which the API server does.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use base64::Engine as _;
use kube_cel::KubeCelExt;
use kube_cel::cel::objects::{Key, Map as CelMap, OptionalValue};
use kube_cel::cel::{Context, ExecutionError, IdedExpr, Value as CelValue};
use serde_json::Value;

use super::format::Format;
use super::message;
use super::node::{Additional, Node};
use super::rule::{Reason, Rule, compile};
use super::unchanged;
use crate::engine::port::Cause;

/// Longest message of a `messageExpression`, in bytes; a longer one is not used.
const MAX_MESSAGE_BYTES: usize = 5 * 1024;

thread_local! {
    /// Building it registers some two hundred functions.
    static FUNCTIONS: Context<'static> = Context::default().with_all();
}

/// Everything that breaks a rule.
pub(super) fn check(root: &Node, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let past = Past { old, compared: old.map_or(Compared::Never, Compared::With), is_root: true };
    FUNCTIONS.with(|functions| Evaluation { functions, causes: &mut causes }.walk(root, object, past, ""));
    causes
}

/// What a value was before.
#[derive(Clone, Copy)]
struct Past<'a> {
    /// Bound to `oldSelf`.
    old: Option<&'a Value>,
    /// What decides whether a fault is forgiven.
    compared: Compared<'a>,
    is_root: bool,
}

#[derive(Clone, Copy)]
enum Compared<'a> {
    /// The old value in the same place.
    With(&'a Value),
    /// No old value in this place: the nearest one above that has one, and whether that is unchanged.
    Above { is_same: bool },
    /// Nothing to compare with: a creation.
    Never,
}

struct Evaluation<'a> {
    functions: &'a Context<'static>,
    causes: &'a mut Vec<Cause>,
}

impl Evaluation<'_> {
    fn walk(&mut self, node: &Node, value: &Value, past: Past<'_>, path: &str) {
        if value.is_null() || !node.has_rules() {
            return;
        }
        if !node.rules.is_empty() {
            self.run_rules(node, value, past, path);
        }
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if let Additional::Schema(child) = &node.additional {
                        let past = self.below(node, value, past, name, unchanged::field(node, name, past.old));
                        self.walk(child, field, past, &format!("{path}[{name}]"));
                    } else if let Some(child) = node.properties.get(name) {
                        let past = self.below(node, value, past, name, unchanged::field(node, name, past.old));
                        let separator = if path.is_empty() { "" } else { "." };
                        self.walk(child, field, past, &format!("{path}{separator}{name}"));
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(child) = &node.items {
                        let past = self.below(node, value, past, "", unchanged::item(node, item, past.old));
                        self.walk(child, item, past, &format!("{path}[{index}]"));
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn below<'a>(&self, node: &Node, value: &Value, past: Past<'a>, name: &str, old: Option<&'a Value>) -> Past<'a> {
        let compared = match (past.compared, old) {
            (Compared::With(_), _) if past.is_root && (name == "apiVersion" || name == "kind") => Compared::Never,
            (Compared::With(_), Some(old)) => Compared::With(old),
            (Compared::With(above), None) => Compared::Above { is_same: unchanged::is_same(node, value, above) },
            (above @ (Compared::Above { .. } | Compared::Never), _) => above,
        };
        Past { old: old.filter(|old| !old.is_null()), compared, is_root: false }
    }

    fn run_rules(&mut self, node: &Node, value: &Value, past: Past<'_>, path: &str) {
        let bound = self.bind(node, value, past.is_root).and_then(|bound| {
            let old = past.old.map(|old| self.bind(node, old, past.is_root)).transpose()?;
            Ok((bound, old))
        });
        let (bound, old) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                self.causes.push(message::invalid(path, &node.type_name.clone().into(), &format!("values cannot be bound: {error}")));
                return;
            }
        };
        let is_forgiven = match past.compared {
            Compared::With(old) => unchanged::is_same(node, value, old),
            Compared::Above { is_same } => is_same,
            Compared::Never => false,
        };
        for rule in &node.rules {
            if rule.is_transition && old.is_none() && !rule.optional_old_self {
                continue;
            }
            let mut scope = self.functions.new_inner_scope();
            scope.add_variable_from_value("self", bound.clone());
            if rule.optional_old_self {
                let optional = old.clone().map_or_else(OptionalValue::none, OptionalValue::of);
                scope.add_variable_from_value("oldSelf", CelValue::Opaque(Arc::new(optional)));
            } else if let Some(old) = &old {
                scope.add_variable_from_value("oldSelf", old.clone());
            }
            if let Some(cause) = run(rule, node, value, &scope, path)
                && (rule.is_transition || !is_forgiven || cause.is_fault_of_rule)
            {
                self.causes.push(cause.cause);
            }
        }
    }

    /// The value as CEL sees it: only what the schema declares, under names that are identifiers.
    fn bind(&self, node: &Node, value: &Value, is_root: bool) -> Result<CelValue, String> {
        Ok(match value {
            Value::Null => CelValue::Null,
            Value::Bool(flag) => CelValue::Bool(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(integer) if node.type_name != "number" => CelValue::Int(integer),
                Some(_) | None => CelValue::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => self.bind_text(node, text)?,
            Value::Array(items) => {
                let bound = items.iter().map(|item| match &node.items {
                    Some(child) => self.bind(child, item, false),
                    None => Ok(CelValue::Null),
                });
                CelValue::List(Arc::new(bound.collect::<Result<Vec<_>, _>>()?))
            }
            Value::Object(fields) => {
                let mut bound = HashMap::with_capacity(fields.len());
                for (name, field) in fields {
                    let entry = match (&node.additional, node.properties.get(name)) {
                        (_, _) if is_root && name == "metadata" => Some((name.clone(), object_name(field))),
                        (_, _) if is_root && (name == "apiVersion" || name == "kind") => Some((name.clone(), text_of(field))),
                        (Additional::Schema(child), _) => Some((name.clone(), self.bind(child, field, false)?)),
                        (Additional::None | Additional::Any, Some(child)) => match escape(name) {
                            Some(identifier) => Some((identifier, self.bind(child, field, false)?)),
                            None => None,
                        },
                        (Additional::None | Additional::Any, None) => None,
                    };
                    bound.extend(entry.map(|(name, value)| (Key::String(Arc::new(name)), value)));
                }
                CelValue::Map(CelMap { map: Arc::new(bound) })
            }
        })
    }

    fn bind_text(&self, node: &Node, text: &str) -> Result<CelValue, String> {
        let plain = CelValue::String(Arc::new(text.to_owned()));
        match node.format.as_ref().map(|(_, format)| *format) {
            Some(Format::DateTime) => self.convert("timestamp", &text.to_uppercase()),
            Some(Format::Date) => self.convert("timestamp", &format!("{text}T00:00:00Z")),
            Some(Format::Duration) => self.convert("duration", text),
            Some(Format::Byte) => base64::engine::general_purpose::STANDARD
                .decode(text)
                .map(|bytes| CelValue::Bytes(Arc::new(bytes)))
                .map_err(|error| error.to_string()),
            Some(Format::Int32 | Format::Int64 | Format::Float | Format::Double | Format::Uuid | Format::Password) | None => Ok(plain),
        }
    }

    /// Calls a conversion of the CEL library: its types are not named here, nor is the crate they come from.
    fn convert(&self, function: &str, text: &str) -> Result<CelValue, String> {
        let program = compile(&format!("{function}(text)"))?;
        let mut scope = self.functions.new_inner_scope();
        scope.add_variable_from_value("text", CelValue::String(Arc::new(text.to_owned())));
        evaluate(&program, &scope)
    }
}

struct Broken {
    cause: Cause,
    /// The rule could not be evaluated: no reason to forgive the object.
    is_fault_of_rule: bool,
}

fn run(rule: &Rule, node: &Node, value: &Value, scope: &Context<'_>, path: &str) -> Option<Broken> {
    let fault = |what: String| {
        let cause = message::invalid(path, &node.type_name.clone().into(), &what);
        Some(Broken { cause, is_fault_of_rule: true })
    };
    match evaluate(&rule.program, scope) {
        Ok(CelValue::Bool(true)) => None,
        Ok(CelValue::Bool(false)) => {
            Some(Broken { cause: broken(rule, node, value, &message_of(rule, scope), path), is_fault_of_rule: false })
        }
        Ok(_) => fault(format!("the rule is neither true nor false evaluating rule: {}", rule.name())),
        Err(error) if error.starts_with("no such overload") => fault(format!(
            "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {}",
            rule.name()
        )),
        Err(error) => fault(format!("{error} evaluating rule: {}", rule.name())),
    }
}

/// Runs a program; a panic of the library is an error like any other.
fn evaluate(program: &IdedExpr, scope: &Context<'_>) -> Result<CelValue, String> {
    match catch_unwind(AssertUnwindSafe(|| CelValue::resolve(program, scope))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(describe(&error)),
        Err(_) => Err("the CEL library failed".to_owned()),
    }
}

/// Errors that both libraries know, in the words of cel-go.
fn describe(error: &ExecutionError) -> String {
    if let ExecutionError::NoSuchKey(key) = error {
        return format!("no such key: {key}");
    }
    if matches!(error, ExecutionError::NoSuchOverload) {
        return "no such overload".to_owned();
    }
    if matches!(error, ExecutionError::DivisionByZero(_)) {
        return "division by zero".to_owned();
    }
    if matches!(error, ExecutionError::RemainderByZero(_)) {
        return "modulus by zero".to_owned();
    }
    if matches!(error, ExecutionError::Overflow(..)) {
        return "integer overflow".to_owned();
    }
    if let ExecutionError::IndexOutOfBounds(CelValue::Int(index)) = error {
        return format!("index out of bounds: {index}");
    }
    let text = error.to_string();
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

/// The message of the expression if it gives a usable one, else as written.
fn message_of(rule: &Rule, scope: &Context<'_>) -> String {
    let computed = rule.message_program.as_ref().and_then(|program| match evaluate(program, scope) {
        Ok(CelValue::String(text)) => Some(text.trim().to_owned()),
        Ok(_) | Err(_) => None,
    });
    computed.filter(|text| !text.is_empty() && text.len() <= MAX_MESSAGE_BYTES && !text.contains('\n')).unwrap_or_else(|| rule.message())
}

fn broken(rule: &Rule, node: &Node, value: &Value, detail: &str, path: &str) -> Cause {
    let is_container = node.type_name == "object" || node.type_name == "array";
    let field = match (path.is_empty(), rule.field_path.is_empty()) {
        (_, true) => path.to_owned(),
        (true, false) => rule.field_path.clone(),
        (false, false) => format!("{path}.{}", rule.field_path),
    };
    match rule.reason {
        Reason::Invalid if is_container => message::invalid_omitted(&field, detail),
        Reason::Invalid => message::invalid(&field, value, detail),
        Reason::Required => message::required(&field, detail),
        Reason::Forbidden => message::cause(&field, message::FORBIDDEN, format!("Forbidden: {detail}")),
        Reason::Duplicate if is_container => message::cause(&field, message::DUPLICATE, "Duplicate value".to_owned()),
        Reason::Duplicate => message::duplicate(&field, value),
    }
}

/// Rules see of `metadata` only the name and the prefix of a generated one.
fn object_name(metadata: &Value) -> CelValue {
    let fields = ["name", "generateName"].into_iter().filter_map(|name| {
        let field = metadata.get(name)?;
        Some((Key::String(Arc::new(name.to_owned())), text_of(field)))
    });
    CelValue::Map(CelMap { map: Arc::new(fields.collect()) })
}

fn text_of(value: &Value) -> CelValue {
    CelValue::String(Arc::new(value.as_str().unwrap_or_default().to_owned()))
}

/// A field's name as a CEL identifier; none if it cannot be one, and rules cannot see the field.
fn escape(name: &str) -> Option<String> {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    if !name.chars().all(|character| character.is_ascii_alphanumeric() || "_-./".contains(character)) {
        return None;
    }
    let escaped = name.replace("__", "__underscores__");
    Some(escaped.replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__"))
}
