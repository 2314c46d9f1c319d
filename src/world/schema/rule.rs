//! One rule of `x-kubernetes-validations`, compiled.

use kube_cel::cel::IdedExpr;
use kube_cel::cel::parser::Parser;
use serde::Deserialize;
use serde_json::Value;

use super::SchemaError;
use super::message;
use super::node::{Additional, Node};

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) program: IdedExpr,
    /// Text of the rule, trimmed.
    source: String,
    message: String,
    pub(super) message_program: Option<IdedExpr>,
    pub(super) reason: Reason,
    /// Where faults are reported, below the schema of the rule: `foo.bar[key]`; empty is the schema itself.
    pub(super) field_path: String,
    /// Whether it looks at `oldSelf`: then it runs on updates only, and is never forgiven.
    pub(super) is_transition: bool,
    /// Whether `oldSelf` is an optional, and the rule runs on creation too.
    pub(super) optional_old_self: bool,
}

/// How a broken rule is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Invalid,
    Required,
    Forbidden,
    Duplicate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    rule: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    message_expression: String,
    reason: Option<String>,
    #[serde(default)]
    field_path: String,
    #[serde(default)]
    optional_old_self: bool,
}

impl Rule {
    /// Compiles a rule that stands at `node`.
    pub(super) fn compile(rule: &Value, node: &Node, at: &str) -> Result<Self, SchemaError> {
        let fault = |text: String| SchemaError::new(at, text);
        let written = Written::deserialize(rule).map_err(|error| fault(format!("not a rule: {error}")))?;
        if written.rule.trim().is_empty() {
            return Err(fault("a rule must not be empty".to_owned()));
        }
        let program = compile(&written.rule).map_err(|error| fault(format!("rule {:?}: {error}", written.rule)))?;
        let message_program = match written.message_expression.as_str() {
            "" => None,
            text => Some(compile(text).map_err(|error| fault(format!("messageExpression {text:?}: {error}")))?),
        };
        let is_transition = program.references().has_variable("oldSelf")
            || message_program.as_ref().is_some_and(|program| program.references().has_variable("oldSelf"));
        Ok(Self {
            is_transition,
            program,
            message_program,
            source: written.rule.trim().to_owned(),
            message: written.message.trim().to_owned(),
            reason: reason(written.reason.as_deref()).map_err(fault)?,
            field_path: field_path(&written.field_path, node)
                .map_err(|error| fault(format!("fieldPath {:?} {error}", written.field_path)))?,
            optional_old_self: written.optional_old_self,
        })
    }

    /// The message as written, or the rule itself.
    pub(super) fn name(&self) -> &str {
        if self.message.is_empty() { &self.source } else { &self.message }
    }

    /// The message as written, or that the rule failed.
    pub(super) fn message(&self) -> String {
        if self.message.is_empty() { format!("failed rule: {}", self.source) } else { self.message.clone() }
    }
}

/// Parses an expression; a panic of the library is an error like any other. Optional selection (`self.?a`) is refused, since
/// the library evaluates it wrongly.
pub(super) fn compile(source: &str) -> Result<IdedExpr, String> {
    match std::panic::catch_unwind(|| Parser::new().parse(source)) {
        Ok(Ok(program)) => Ok(program),
        Ok(Err(errors)) => Err(errors.to_string()),
        Err(_) => Err("the CEL compiler failed".to_owned()),
    }
}

fn reason(written: Option<&str>) -> Result<Reason, String> {
    match written {
        None | Some(message::INVALID) => Ok(Reason::Invalid),
        Some(message::REQUIRED) => Ok(Reason::Required),
        Some(message::FORBIDDEN) => Ok(Reason::Forbidden),
        Some(message::DUPLICATE) => Ok(Reason::Duplicate),
        Some(other) => Err(format!("reason {other:?} is not supported")),
    }
}

/// `.foo['bar.baz']` as the API server prints it, having checked that each step exists in the schema.
fn field_path(written: &str, node: &Node) -> Result<String, String> {
    let mut printed = String::new();
    let mut rest = written;
    let mut node = node;
    while !rest.is_empty() {
        let (name, after) = if let Some(step) = rest.strip_prefix("['") {
            let (name, after) = step.split_once("']").ok_or("has no closing bracket")?;
            (name.replace("\\'", "'"), after)
        } else if let Some(step) = rest.strip_prefix('.') {
            let end = step.find(['.', '[']).unwrap_or(step.len());
            let (name, after) = step.split_at(end);
            (name.to_owned(), after)
        } else {
            return Err("must begin with a dot or a bracket".to_owned());
        };
        let is_map = node.properties.is_empty() && matches!(node.additional, Additional::Schema(_));
        node = node.field(&name).filter(|_| !name.is_empty()).ok_or("does not refer to a valid field")?;
        if is_map {
            printed.push_str(&format!("[{name}]"));
        } else {
            printed.push_str(if printed.is_empty() { "" } else { "." });
            printed.push_str(&name);
        }
        rest = after;
    }
    Ok(printed)
}
