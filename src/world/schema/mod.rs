//! Structural schemas of custom resources, as kube-apiserver 1.36 applies them: defaults, pruning, validation, rules.
//!
//! The wording of every cause is the API server's. What the API server leaves to chance (the order of fields) is sorted
//! here. A constraint that cannot be checked refuses the schema; a rule that cannot be evaluated refuses the object.
//!
//! As on the API server, an update does not fail for what was wrong before and has not changed ("ratcheting"), unless the
//! rule looks at `oldSelf`.
//!
//! Not here: `metadata`, `apiVersion` and `kind` (the server checks those), embedded resources, CEL cost limits, and CEL's
//! loose equality of sets, maps and their order: here `self == oldSelf` on a `list-type: set` minds the order.

mod format;
mod lists;
mod message;
mod node;
mod pattern;
mod rule;
mod rules;
mod shape;
mod structure;
mod unchanged;

use serde_json::Value;

use self::node::Node;
use crate::engine::port::Cause;

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema at {at:?}: {message}")]
pub struct SchemaError {
    /// JSON pointer into the schema; empty is the schema itself.
    pub at: String,
    /// What is wrong there.
    pub message: String,
}

impl SchemaError {
    fn new(at: &str, message: impl Into<String>) -> Self {
        Self { at: at.to_owned(), message: message.into() }
    }
}

/// A compiled schema: patterns and rules are compiled once.
#[derive(Debug)]
pub struct Schema {
    root: Node,
    has_rules: bool,
}

impl Schema {
    /// Compiles `spec.versions[].schema.openAPIV3Schema` of a CRD.
    ///
    /// # Errors
    /// When it is not structural, a pattern or rule does not compile, or it uses a keyword or format that is not supported.
    pub fn compile(open_api_v3: &Value) -> Result<Self, SchemaError> {
        let root = Node::compile(open_api_v3, "")?;
        let has_rules = root.has_rules();
        Ok(Self { root, has_rules })
    }

    /// Drops fields that the schema does not know, at any depth, but never `apiVersion`, `kind` and `metadata` of the object
    /// nor anything in `metadata`. Returns their paths, sorted: `spec.zzz`, `spec.items[0].zzz`.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        shape::prune(object, &self.root)
    }

    /// Sets absent fields to their defaults. A null where none is permitted becomes the default, or absent if there is none.
    pub fn default(&self, object: &mut Value) {
        shape::drop_nulls(object, Some(&self.root));
        shape::default(object, &self.root);
    }

    /// Everything that is wrong with the object, as the API server says it; `old` is the stored object of an update.
    /// Both are expected defaulted and pruned.
    ///
    /// Structure first, then duplicate list entries, then rules. Rules are not run when what is wrong before them is more
    /// than an invalid value; a last cause then says so.
    #[must_use]
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        self.validate_beside(&[], object, old)
    }

    /// The same beside what is wrong with the metadata, which may keep the rules from being run too.
    #[must_use]
    pub fn validate_beside(&self, others: &[Cause], object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = structure::check(&self.root, object, old);
        if old.is_none_or(|old| lists::check(&self.root, old).is_empty()) {
            causes.extend(lists::check(&self.root, object));
        }
        if self.has_rules {
            if others.iter().chain(&causes).any(blocks_rules) {
                causes.push(message::invalid("", &Value::Null, RULES_NOT_CHECKED));
            } else {
                causes.extend(rules::check(&self.root, object, old));
            }
        }
        causes
    }
}

const RULES_NOT_CHECKED: &str =
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

fn blocks_rules(cause: &Cause) -> bool {
    [message::NOT_SUPPORTED, message::REQUIRED, message::TOO_LONG, message::TOO_MANY, message::TYPE_INVALID].contains(&cause.reason)
}
